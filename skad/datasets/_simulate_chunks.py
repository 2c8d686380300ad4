"""Production in chunks: independent seeds, files that a later call resumes from."""

import json
import shutil
from pathlib import Path

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import DataFileError
from skad.utils._random import draw_seed
from skad.utils._replacing import replacing
from skad.utils._tasks import progress

__all__ = ["produce_in_chunks"]

_KEY = b"skad.simulation"
_MANIFEST = "settings.json"


def produce_in_chunks(
    produce, *, n_rows, chunk_size, settings, random_state, path, n_jobs, verbose
):
    """Produce a table chunk by chunk, in parallel, and keep what is done.

    The chunk k holds the same rows whatever `n_jobs` and however often the run was interrupted:
    its seed depends on the seed of the run and on k alone.

    Parameters
    ----------
    produce : callable
        ``produce(n_rows, seed)`` with an int seed returns a DataFrame of `n_rows` rows.
    n_rows, chunk_size : int
    settings : dict
        JSON-serialisable description of the run; a file made with another one is not touched.
    random_state : None, int or RandomState
    path : str, path-like or None
        Parquet file to write, None to keep everything in memory. Until it is complete the
        chunks are in the folder ``<path>.parts``.
    n_jobs : int or None
    verbose : int
        Above 0, a progress bar over the chunks.

    Returns
    -------
    table : DataFrame

    Raises
    ------
    DataFileError
        The file or the folder of its parts belongs to a run with other settings.
    """
    import pandas as pd

    sizes = [chunk_size] * (n_rows // chunk_size) + [n_rows % chunk_size] * (
        n_rows % chunk_size > 0
    )
    settings = {**settings, "n_rows": n_rows, "chunk_size": chunk_size}
    if path is None:
        seed = draw_seed(random_state)
        tasks = [(produce, n, chunk_seed(seed, k)) for k, n in enumerate(sizes)]
        tables = _run(_produced, tasks, n_jobs, verbose)
        return pd.concat(tables, ignore_index=True)

    path = Path(path)
    if path.exists():
        return _read_finished(path, settings, random_state)
    folder = path.with_name(path.name + ".parts")
    seed = _open_parts(folder, settings, random_state)
    parts = [folder / f"part-{k:05d}.parquet" for k in range(len(sizes))]
    tasks = [
        (produce, n, chunk_seed(seed, k), part)
        for k, (n, part) in enumerate(zip(sizes, parts, strict=True))
        if not part.exists()
    ]
    _run(_written, tasks, n_jobs, verbose)
    _join(parts, path, {**settings, "seed": seed})
    shutil.rmtree(folder)
    return pd.read_parquet(path)


def chunk_seed(seed, chunk):
    """Return the seed of a chunk, an int below 2**32."""
    return int(np.random.SeedSequence([seed, chunk]).generate_state(1)[0])


def _run(function, tasks, n_jobs, verbose):
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(function)(*task) for task in tasks
    )
    return list(progress(results, len(tasks), "simulated chunks", verbose=verbose))


def _produced(produce, n_rows, seed):
    return produce(n_rows, seed)


def _written(produce, n_rows, seed, part):
    table = produce(n_rows, seed)
    with replacing(part) as temporary:
        table.to_parquet(temporary, compression="zstd", index=False)


def _open_parts(folder, settings, random_state):
    """Return the seed of the run in `folder`, starting one if there is none."""
    manifest = folder / _MANIFEST
    if manifest.exists():
        found = json.loads(manifest.read_text(encoding="utf-8"))
        return _check_same(folder, found, settings, random_state)
    seed = draw_seed(random_state)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(manifest) as temporary:
        temporary.write_text(json.dumps({**settings, "seed": seed}, indent=1), encoding="utf-8")
    return seed


def _read_finished(path, settings, random_state):
    import pandas as pd
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(path).metadata or {}
    if _KEY not in metadata:
        raise DataFileError(
            f"{path} exists and was not made by a simulation of skad; choose another path."
        )
    _check_same(path, json.loads(metadata[_KEY]), settings, random_state)
    return pd.read_parquet(path)


def _check_same(path, found, settings, random_state):
    """Return the seed of the run at `path` if it is the wanted one.

    With ``random_state=None`` any seed will do, so that a run resumes without one.
    """
    wanted = dict(settings)
    if random_state is not None:
        wanted["seed"] = draw_seed(random_state)
    # Through JSON, where a tuple is a list.
    wanted = json.loads(json.dumps(wanted))
    different = {
        key: (found.get(key), value) for key, value in wanted.items() if found.get(key) != value
    }
    if different:
        listing = "; ".join(
            f"{k}: there {there!r}, now {now!r}" for k, (there, now) in different.items()
        )
        raise DataFileError(
            f"{path} belongs to a simulation with other settings ({listing}). Use the same "
            "settings to resume it, choose another path, or delete it."
        )
    return found["seed"]


def _join(parts, path, settings):
    """Write the parts into one file, a row group each; complete or not at all."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(parts[0]).with_metadata({_KEY: json.dumps(settings).encode()})
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as w:
        for part in parts:
            w.write_table(pq.read_table(part).replace_schema_metadata(schema.metadata))
