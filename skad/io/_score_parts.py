"""The finished parts of an unfinished `score_file`: whose they are, and whether they are whole."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from skad.exceptions import DataFileError
from skad.utils._replacing import replacing

__all__ = ["Part", "Parts", "read_part", "write_part"]

_IDENTITY = b"skad.score_file"
_WAY_OUT = "Repeat that call to finish it, or pass restart=True to throw the finished parts away."


@dataclass(frozen=True)
class Part:
    """A file of scores, and the rows of the source that it covers."""

    path: Path
    source: int
    start: int
    stop: int
    identity: str


class Parts:
    """A folder with a manifest, and parts that carry its digest.

    Parameters
    ----------
    folder : path
    plan : dict
        Sources, options and schema of the call, of what JSON holds.
    probe : dict
        Answers of the detector to the first events, by method: what tells two detectors apart,
        whatever they are made of.
    """

    def __init__(self, folder, plan, probe):
        self._folder = folder
        path = folder / "manifest.json"
        # Without a finished part there is nothing to mix.
        if path.exists() and any(folder.glob("[0-9]*.parquet")):
            text = self._check(path, plan, probe)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"plan": plan, "probe": probe})
            with replacing(path, lock=False) as temporary:
                temporary.write_text(text, encoding="utf-8")
        self._identity = hashlib.sha256(text.encode()).hexdigest()

    def _check(self, path, plan, probe):
        """Return the manifest of the earlier call, which must have been the same."""
        try:
            text = path.read_text(encoding="utf-8")
            earlier = json.loads(text)
            old_plan, old_probe = earlier["plan"], earlier["probe"]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise DataFileError(
                f"{path}: cannot be read ({exc}), so that the parts beside it belong to nobody. "
                "Pass restart=True to throw them away."
            ) from exc
        plan = json.loads(json.dumps(plan))
        different = [name for name in plan if old_plan.get(name) != plan[name]]
        if not different and not _same(old_probe, probe):
            different = ["detector"]
        if different:
            raise DataFileError(
                f"{self._folder}: holds parts of an unfinished call with other "
                f"{' and '.join(different)}. {_WAY_OUT}"
            )
        return text

    def listing(self, n_rows, rows_per_part):
        """Return the parts of all files."""
        return [
            Part(
                self._folder / f"{number:04d}-{start:012d}.parquet",
                number,
                start,
                min(start + rows_per_part, n),
                self._identity,
            )
            for number, n in enumerate(n_rows)
            for start in range(0, n, rows_per_part)
        ]

    def is_finished(self, part):
        """Whether the part is there; a damaged one is removed, to be scored again."""
        if not part.path.exists():
            return False
        try:
            with pq.ParquetFile(part.path) as file:
                identity = (file.schema_arrow.metadata or {}).get(_IDENTITY, b"").decode()
                n_rows = file.metadata.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            part.path.unlink()
            return False
        if identity != part.identity or n_rows != part.stop - part.start:
            raise DataFileError(
                f"{part.path}: is a part of another call, with another detector or other options. "
                f"{_WAY_OUT}"
            )
        return True


def write_part(part, batches, dtypes):
    """Write a part, whole or not at all."""
    schema = pa.schema(
        [(name, pa.from_numpy_dtype(dtype)) for name, dtype in dtypes.items()],
        metadata={_IDENTITY: part.identity.encode()},
    )
    with (
        replacing(part.path, lock=False) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for columns in batches:
            writer.write_table(pa.table(columns, schema=schema))


def read_part(part):
    """Yield the batches of a part; checksums are compared, since a disk may forget."""
    try:
        with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
            identity = (file.schema_arrow.metadata or {}).get(_IDENTITY, b"").decode()
            if identity != part.identity:
                raise DataFileError(
                    f"{part.path}: is a part of another call, with another detector or other "
                    f"options. {_WAY_OUT}"
                )
            for i in range(file.num_row_groups):
                table = file.read_row_group(i)
                yield {name: table.column(name).to_numpy() for name in table.column_names}
    except (pa.ArrowException, OSError) as exc:
        part.path.unlink(missing_ok=True)
        raise DataFileError(
            f"{part.path}: the finished part was damaged ({exc}) and has been removed. Repeat the "
            "call; only this part is scored again."
        ) from exc


def _same(old, new):
    """Whether two detectors gave the same answers, up to the rounding of threads and devices."""
    return set(old) == set(new) and all(
        np.shape(old[name]) == np.shape(new[name])
        and np.allclose(old[name], new[name], rtol=1e-5, equal_nan=True)
        for name in new
    )
