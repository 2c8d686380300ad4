"""Writer of event files: whole or not at all, with types that are planned before the first row."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skad.exceptions import DataFileError, SkadError
from skad.io._formats import format_of, shortened
from skad.io._formats._arrow import arrow_kind, arrow_to_numpy
from skad.io._formats._base import is_number, native, refuse_option
from skad.io._stream import as_dtype
from skad.utils import _sklearn as sk
from skad.utils._replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from skad.utils._types import FilePath

__all__ = ["check_dtypes", "open_writer", "write_events"]

# A larger batch is written in parts of this size, so that readers need not hold all of it.
_PART_ROWS = 1 << 20


@sk.validate_params(
    {
        "events": "no_validation",
        "path": [str, os.PathLike],
        "column_names": [None, list, tuple],
        "key": [None, str],
        "overwrite": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def write_events(
    events: Any,
    path: FilePath,
    *,
    column_names: Sequence[str] | None = None,
    key: str | None = None,
    overwrite: bool = False,
) -> int:
    """Write events to a file, whole or not at all.

    The events go to a temporary file in the same folder, which then takes the name; an error or
    an interruption leaves no file, or the old one. Another writer of the same file is refused.

    Parameters
    ----------
    events : DataFrame, table of Arrow, array-like of shape (n_events, n_columns), or iterable
        Events, or batches of events with the same columns and dtypes, such as from `iter_events`.
        Batches are written as they come (.npz collects them in memory first). The index of a
        DataFrame is not written, and refused when it has a name. Nulls become NaN.
    path : str or path-like
        The suffix tells the format: .parquet, .h5 (table format of pandas), .csv, .tsv (also
        with .gz), .npy (structured array), .npz or .root. Parquet, HDF5, .npz and .gz keep
        checksums. CSV has no types: it gives back int64, float64 and bool.
    column_names : list of str, default=None
        Names of the columns of arrays; default "x0", "x1", ...
    key : str, default=None
        Name of the DataFrame in HDF5 or of the tree in ROOT; default "events". Other formats
        refuse it.
    overwrite : bool, default=False
        Replace an existing file.

    Returns
    -------
    n_events : int
        Number of events written.

    Raises
    ------
    FileExistsError
        When the file exists and `overwrite` is False.
    DataFileError
        When a column does not hold numbers or has a dtype that the format lacks, batches have
        different columns or dtypes, another process writes the file, or the disk is full.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from skad.datasets import make_resonance
    >>> from skad.io import read_events, write_events
    >>> events = make_resonance(1000, 10, random_state=0, as_frame=True).data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "events.parquet"
    ...     n_events = write_events(events, path)
    ...     equal = read_events(path).equals(events)
    >>> n_events, equal
    (1010, True)
    """
    path = Path(path)
    format_of(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
    n_events = 0
    with open_writer(path, key) as write:
        # Once more, since another writer may have finished meanwhile.
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
        for batch in _batches_of(events):
            n_events += write(_columns_of(batch, column_names, path))
        if not write.begun:
            raise ValueError("events holds no batch, so that the columns are not known.")
    return n_events


@contextmanager
def open_writer(path, key=None, *, lock=True):
    """Yield a function that appends ``{name: values}`` and returns the number of its rows.

    The file takes its name when the block ends without an error.
    """
    path = Path(path)
    file_format = format_of(path)
    with replacing(path, lock=lock) as temporary:
        with _naming(path):
            writer = file_format.writer(temporary, key)
        write = _PlannedWriter(writer, path)
        try:
            yield write
        except BaseException:
            with suppress(Exception):  # the first error is the one to report
                writer.close()
            raise
        with _naming(path):
            writer.close()


def check_dtypes(path, dtypes):
    """Raise `DataFileError` where the format of a file lacks a dtype of ``{name: dtype}``."""
    allowed = format_of(path).dtypes.split()
    for name, dtype in dtypes.items():
        if dtype.name not in allowed:
            raise DataFileError(
                f"{path}: column {name!r} holds {dtype}, which the format has not; convert it, "
                "for example with astype('float64')."
            )


@contextmanager
def _naming(path):
    """Say which file could not be written, and why, whatever the library raised."""
    try:
        yield
    except (SkadError, ImportError):
        raise
    except Exception as exc:
        raise DataFileError(
            f"{path}: cannot be written ({type(exc).__name__}: {exc}). Nothing was changed."
        ) from exc


class _PlannedWriter:
    """Holds every batch to the names and dtypes of the first one."""

    def __init__(self, writer, path):
        self._writer, self._path, self._dtypes = writer, path, None

    @property
    def begun(self):
        return self._dtypes is not None

    def __call__(self, columns):
        if self._dtypes is None:
            self._dtypes = self._plan(columns)
        elif list(columns) != list(self._dtypes):
            raise DataFileError(
                f"{self._path}: a batch has the columns {shortened(columns)}, the first one has "
                f"{shortened(self._dtypes)}."
            )
        columns = {name: self._fitted(name, values) for name, values in columns.items()}
        n_rows = len(next(iter(columns.values())))
        with _naming(self._path):
            for start in range(0, max(n_rows, 1), _PART_ROWS):
                rows = slice(start, start + _PART_ROWS)
                self._writer.write({name: values[rows] for name, values in columns.items()})
        return n_rows

    def _plan(self, columns):
        if not columns:
            raise DataFileError(f"{self._path}: events have no columns.")
        dtypes = {name: values.dtype for name, values in columns.items()}
        check_dtypes(self._path, dtypes)
        return dtypes

    def _fitted(self, name, values):
        dtype = self._dtypes[name]
        if values.dtype == dtype:
            return values
        if not np.can_cast(values.dtype, dtype, "safe"):
            raise DataFileError(
                f"{self._path}: column {name!r} is {dtype} in the first batch and {values.dtype} "
                "in a later one, where it may hold NaN or fractions. Give all batches one dtype, "
                f"for example with batch.astype({{{name!r}: 'float64'}})."
            )
        return as_dtype(values, dtype, self._path, name)


def _batches_of(events):
    """Return the batches of what the caller gave; one of anything but an iterable of batches."""
    if isinstance(events, (list, tuple)) and any(
        _is_batch(item) and getattr(item, "ndim", 2) == 2 for item in events
    ):
        return events
    if isinstance(events, memoryview):
        return [np.asarray(events)]
    if _is_batch(events) or isinstance(events, (list, tuple, dict)):
        return [events]
    if isinstance(events, (str, bytes)) or not isinstance(events, Iterable):
        raise TypeError(
            "events must be a DataFrame, an array, a table of Arrow or an iterable of them; got "
            f"{type(events).__name__}."
        )
    return events


def _is_batch(item):
    if hasattr(item, "columns"):
        return True
    # Readers of Arrow have a stream as tables do, but are read batch by batch.
    if hasattr(item, "__next__"):
        return False
    if hasattr(item, "__arrow_c_stream__") or hasattr(item, "__arrow_c_array__"):
        return not hasattr(item, "read_next_batch")
    return hasattr(item, "__array__")


def _columns_of(batch, column_names, path):
    """Return ``{name: values}`` of a DataFrame, a table of Arrow, or an array."""
    if hasattr(batch, "iloc") and hasattr(batch, "columns"):
        refuse_option(path, "the columns of a DataFrame have names", column_names=column_names)
        columns = _columns_of_frame(batch, path)
    elif hasattr(batch, "__arrow_c_stream__") or hasattr(batch, "__arrow_c_array__"):
        refuse_option(path, "the columns of a table have names", column_names=column_names)
        columns = _columns_of_table(batch, path)
    else:
        columns = _columns_of_array(batch, column_names, path)
    for name, values in columns.items():
        if not is_number(values.dtype):
            raise DataFileError(
                f"{path}: column {name!r} holds {values.dtype}, not numbers. Leave it out, or "
                "turn it into numbers."
            )
    return {name: native(values) for name, values in columns.items()}


def _columns_of_frame(frame, path):
    import pandas as pd

    if isinstance(frame.columns, pd.MultiIndex):
        raise DataFileError(
            f"{path}: the columns are a MultiIndex; join the levels, for example with "
            "df.columns = ['_'.join(c) for c in df.columns]."
        )
    named = [name for name in frame.index.names if name is not None]
    if named:
        raise DataFileError(
            f"{path}: the index {named} would be lost; make columns of it with reset_index(), or "
            "drop it with reset_index(drop=True)."
        )
    names = [str(name) for name in frame.columns]
    _refuse_repeated(names, path)
    return {name: _values_of_series(frame.iloc[:, i], name, path) for i, name in enumerate(names)}


def _values_of_series(series, name, path):
    """Return numbers; nulls of pandas become NaN in floats."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return series.to_numpy()
    numpy_dtype = getattr(dtype, "numpy_dtype", None)
    if numpy_dtype is None or not is_number(np.dtype(numpy_dtype)):
        raise DataFileError(
            f"{path}: column {name!r} holds {dtype}, not numbers. Leave it out, or turn it into "
            "numbers."
        )
    numpy_dtype = np.dtype(numpy_dtype)
    missing = series.isna()
    if not missing.any():
        return series.to_numpy(numpy_dtype)
    if numpy_dtype.kind == "f":
        return series.to_numpy(numpy_dtype, na_value=np.nan)
    as_dtype(series[~missing].to_numpy(numpy_dtype), np.dtype(np.float64), path, name)
    return series.to_numpy(np.float64, na_value=np.nan)


def _columns_of_table(batch, path):
    import pyarrow as pa

    table = pa.table(batch)
    _refuse_repeated(table.column_names, path)
    columns = {}
    for name in table.column_names:
        kind = arrow_kind(table.schema.field(name).type)
        if not is_number(kind):
            raise DataFileError(
                f"{path}: column {name!r} holds {kind}, not numbers. Leave it out, or turn it "
                "into numbers."
            )
        columns[name] = arrow_to_numpy(table.column(name), f"{path}: column {name!r}")
    return columns


def _columns_of_array(batch, column_names, path):
    if isinstance(batch, dict):
        raise DataFileError(f"{path}: events are a dict; make a DataFrame of it.")
    array = np.asarray(batch)
    if array.dtype.names and array.ndim == 1:
        refuse_option(path, "the fields of the array have names", column_names=column_names)
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2:
        raise DataFileError(f"{path}: events must have two dimensions; got {array.shape}.")
    numbered = (f"x{i}" for i in range(array.shape[1]))
    names = list(numbered if column_names is None else column_names)
    if len(names) != array.shape[1]:
        raise DataFileError(
            f"{path}: events have {array.shape[1]} columns, column_names has {len(names)}."
        )
    _refuse_repeated(names, path)
    return {name: array[:, i] for i, name in enumerate(names)}


def _refuse_repeated(names, path):
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataFileError(
            f"{path}: several columns are named {shortened(repeated)}; give them different names."
        )
    if "" in names:
        raise DataFileError(f"{path}: a column has no name; give it one.")
