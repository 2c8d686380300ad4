"""Scores of files that are larger than memory: constant memory, resumable, whole or not at all."""

import json
import numbers
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import DataFileError
from skad.io._events import as_paths, check_schema, nan_error, nan_rows
from skad.io._formats import open_source
from skad.utils import _sklearn as sk
from skad.utils._replacing import replacing

__all__ = ["score_file"]

_METHODS = ("anomaly_score", "score_samples", "predict_proba", "decision_function")
# A crash loses at most the part that each worker is at.
_BATCHES_PER_PART = 10
_PROBE_EVENTS = 256


@sk.validate_params(
    {
        "detector": [sk.HasMethods("fit")],
        "source": "no_validation",
        "target": [str, os.PathLike],
        "columns": [None, list, tuple],
        "method": [None, str, list, tuple],
        "keep": [list, tuple],
        "batch_size": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        "n_jobs": [None, numbers.Integral],
        "on_nan": [sk.StrOptions({"raise", "keep"})],
        "key": [None, str],
        "column_names": [None, list, tuple],
        "overwrite": ["boolean"],
        "restart": ["boolean"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def score_file(
    detector,
    source,
    target,
    *,
    columns=None,
    method=None,
    keep=(),
    batch_size=100_000,
    n_jobs=None,
    on_nan="raise",
    key=None,
    column_names=None,
    overwrite=False,
    restart=False,
    verbose=0,
):
    """Score the events of files into a Parquet file, row by row in the same order.

    Memory is needed for one batch per worker, whatever the size of the files. Finished parts wait
    in the folder ``<target>.parts``; after a crash or an interruption the same call goes on where
    it stopped. `target` appears when all is done, whole.

    Parameters
    ----------
    detector : fitted estimator
        A detector, density, classifier or pipeline.
    source : str, path-like, or list of them
        Files of events, as in `read_events`.
    target : str or path-like
        Parquet file to write.
    columns : list of str, default=None
        Features of the detector, in the order of its fit. None means its
        ``feature_names_in_`` if it was fitted on a DataFrame, else all columns of the file.
    method : str or list of str, default=None
        Methods that score; each becomes a column of this name. None means the first that the
        detector has of anomaly_score, score_samples, predict_proba and decision_function. Of
        predict_proba with two classes, the probability of the second is written.
    keep : list of str, default=()
        Columns of the source to copy into the target.
    batch_size : int, default=100_000
        Events that are scored at once.
    n_jobs : int, default=None
        Processes that score parts of ten batches each; -1 means all cores.
    on_nan : {"raise", "keep"}, default="raise"
        What to do with events that hold NaN: raise an error that says where, or give them the
        score NaN without showing them to the detector.
    key, column_names : optional
        As in `read_events`.
    overwrite : bool, default=False
        Replace an existing `target`.
    restart : bool, default=False
        Throw away the parts of an earlier, unfinished call.
    verbose : int, default=0
        Show a progress bar when positive.

    Returns
    -------
    n_events : int
        Number of events scored.

    Raises
    ------
    FileExistsError
        When `target` exists and `overwrite` is False.
    MissingColumnError, DataFileError
        As `read_events`; also when parts of another call (other files, columns or detector) are
        in the way, see `restart`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.io import read_events, score_file, write_events
    >>> events = make_resonance(2000, 20, random_state=0, as_frame=True).data
    >>> forest = IsolationForest(n_estimators=10, random_state=0).fit(events)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source, target = (pathlib.Path(folder) / f"{name}.parquet" for name in ("in", "out"))
    ...     n_events = write_events(events, source)
    ...     n_events = score_file(forest, source, target, keep=["m"])
    ...     print(n_events, list(read_events(target).columns))
    2020 ['m', 'score_samples']
    """
    target = Path(target)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; pass overwrite=True to replace it.")
    paths = as_paths(source)
    opener = partial(open_source, key=key, column_names=column_names)
    methods = _resolve_methods(detector, method)
    columns, n_rows = _survey(detector, opener, paths, columns, keep)
    score = partial(
        _score_chunks,
        detector=detector,
        methods=methods,
        columns=columns,
        keep=list(keep),
        batch_size=batch_size,
        on_nan=on_nan,
    )
    parts_folder = target.with_name(target.name + ".parts")
    if restart:
        shutil.rmtree(parts_folder, ignore_errors=True)
    _check_manifest(
        parts_folder,
        plan={
            "sources": [
                [str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns]
                for path in paths
            ],
            "columns": columns,
            "methods": methods,
            "keep": list(keep),
            "batch_size": int(batch_size),
        },
        probe=_probe(score, opener, paths[0]),
    )
    parts = _parts(parts_folder, paths, n_rows, batch_size * _BATCHES_PER_PART)
    missing = [part for part in parts if not part[0].exists()]
    results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
        delayed(_write_part)(score, opener, *part) for part in missing
    )
    _drain(results, parts, missing, verbose)
    _merge([part[0] for part in parts], target, [*keep, *methods])
    shutil.rmtree(parts_folder)
    return sum(n_rows)


def _resolve_methods(detector, method):
    if method is None:
        found = [name for name in _METHODS if hasattr(detector, name)]
        if not found:
            raise TypeError(
                f"{type(detector).__name__} has none of the methods {list(_METHODS)}; "
                "name one with method=."
            )
        return found[:1]
    methods = [method] if isinstance(method, str) else list(method)
    for name in methods:
        if not hasattr(detector, name):
            raise TypeError(f"{type(detector).__name__} has no method {name!r}.")
    return methods


def _survey(detector, opener, paths, columns, keep):
    """Check all files before the long work; return the features and the rows of each file."""
    if columns is None and hasattr(detector, "feature_names_in_"):
        columns = list(detector.feature_names_in_)
    n_rows = []
    for path in paths:
        with opener(path) as source:
            columns = list(source.names if columns is None else columns)
            check_schema(source, [*columns, *keep], paths[0], exact=False)
            n_rows.append(source.n_rows)
    expected = getattr(detector, "n_features_in_", len(columns))
    if expected != len(columns):
        raise DataFileError(
            f"{paths[0]}: {type(detector).__name__} was fitted on {expected} features, but the "
            f"columns are {columns}. Name the features with columns=."
        )
    return columns, n_rows


def _score_chunks(source, start, stop, *, detector, methods, columns, keep, batch_size, on_nan):
    """Yield ``{name: values}`` of the kept columns and the scores of the rows start to stop."""
    needed = list(dict.fromkeys([*columns, *keep]))
    for first_row, chunk in source.chunks(needed, start, stop, batch_size):
        features = {name: chunk[name] for name in columns}
        mask, culprit = nan_rows(features)
        if mask is not None and on_nan == "raise":
            index = int(np.flatnonzero(np.isnan(features[culprit]))[0])
            raise nan_error(source, first_row, index, culprit, int(mask.sum()))
        result = {name: chunk[name] for name in keep}
        for method in methods:
            result[method] = _apply(detector, method, features, mask)
        yield result


def _apply(detector, method, features, mask):
    n_events = len(next(iter(features.values())))
    scores = np.full(n_events, np.nan)
    wanted = np.ones(n_events, dtype=bool) if mask is None else ~mask
    if not wanted.any():
        return scores
    if hasattr(detector, "feature_names_in_"):
        import pandas as pd

        X = pd.DataFrame(features, copy=False)
    else:
        X = np.column_stack(list(features.values()))
    result = np.asarray(getattr(detector, method)(X if mask is None else X[wanted]))
    if result.ndim == 2 and result.shape[1] == 2 and method == "predict_proba":
        result = result[:, 1]
    if result.shape != (wanted.sum(),):
        raise ValueError(
            f"{type(detector).__name__}.{method} must return one score per event, shape "
            f"({wanted.sum()},); got {result.shape}."
        )
    scores[wanted] = result
    return scores


def _probe(score, opener, path):
    """Score the first events: the fingerprint of the detector, whatever it is made of."""
    with opener(path) as source:
        chunks = list(score(source, 0, min(source.n_rows, _PROBE_EVENTS)))
    return [
        [float(value) for value in np.concatenate([chunk[name] for chunk in chunks])]
        for name in (score.keywords["methods"] if chunks else ())
    ]


def _check_manifest(folder, plan, probe):
    """Write what the parts belong to, or check that it is the same as in the earlier call."""
    path = folder / "manifest.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"plan": plan, "probe": probe}))
        return
    earlier = json.loads(path.read_text())
    different = [name for name in plan if earlier["plan"].get(name) != plan[name]]
    if not different and not np.allclose(earlier["probe"], probe, rtol=1e-5, equal_nan=True):
        different = ["detector"]
    if different:
        raise DataFileError(
            f"{folder}: holds parts of an unfinished call with other {' and '.join(different)}. "
            "Repeat that call to finish it, or pass restart=True to throw them away."
        )


def _parts(folder, paths, n_rows, rows_per_part):
    """Return the path of each part with the file and the rows it covers."""
    return [
        (folder / f"{number:04d}-{start:012d}.parquet", path, start, min(start + rows_per_part, n))
        for number, (path, n) in enumerate(zip(paths, n_rows, strict=True))
        for start in range(0, n, rows_per_part)
    ]


def _write_part(score, opener, part_path, path, start, stop):
    with opener(path) as source, replacing(part_path) as temporary:
        writer = None
        try:
            for columns in score(source, start, stop):
                table = pa.table(columns)
                if writer is None:
                    writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()
    return stop - start


def _drain(results, parts, missing, verbose):
    """Wait for all parts, with a progress bar that knows those finished before."""
    if not verbose:
        for _ in results:
            pass
        return
    from tqdm.auto import tqdm

    total = sum(stop - start for _, _, start, stop in parts)
    waiting = sum(stop - start for _, _, start, stop in missing)
    with tqdm(total=total, initial=total - waiting, unit=" events", unit_scale=True) as bar:
        for n_events in results:
            bar.update(n_events)


def _merge(part_paths, target, names):
    """Join the parts, one row group at a time."""
    if part_paths:
        schema = pq.read_schema(part_paths[0])
    else:
        schema = pa.schema([(name, pa.float64()) for name in names])
    with (
        replacing(target) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for path in part_paths:
            with pq.ParquetFile(path) as part:
                for i in range(part.num_row_groups):
                    writer.write_table(part.read_row_group(i).cast(schema))
