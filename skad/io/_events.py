"""Readers and writers of event files: whole, in batches, from one file or many."""

import numbers
import os
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from skad.exceptions import DataFileError
from skad.io._filters import Filters
from skad.io._formats import format_to_write, open_source, shortened
from skad.utils import _sklearn as sk
from skad.utils._replacing import replacing

__all__ = ["iter_events", "read_events", "write_events"]

# Rows decoded at a time when a whole file is read.
_READ_ROWS = 1 << 18

_READER = {
    "columns": [None, list, tuple],
    "rows": [None, slice],
    "filters": [None, list, tuple],
    "key": [None, str],
    "column_names": [None, list, tuple],
    "on_nan": [sk.StrOptions({"raise", "keep", "drop"})],
}


@sk.validate_params({"path": "no_validation", **_READER}, prefer_skip_nested_validation=True)
def read_events(
    path,
    columns=None,
    *,
    rows=None,
    filters=None,
    key=None,
    column_names=None,
    on_nan="raise",
):
    """Read events from one file or several into a DataFrame.

    Parameters
    ----------
    path : str, path-like, or list of them
        Files to read, in order. The suffix tells the format:

        - Parquet: .parquet, .pq;
        - HDF5: .h5, .hdf5, .hdf, with a DataFrame written by pandas (fixed or table format, as
          the LHC Olympics files) or plain arrays (a 2-D or compound dataset, or a group of 1-D
          datasets); needs the extra "hep";
        - CSV: .csv, .csv.gz, with a header line; every column becomes float64;
        - NumPy: .npy (2-D or structured), .npz (1-D arrays that are the columns);
        - ROOT: .root, a TTree or RNTuple with one number per event and branch; needs "hep".
    columns : list of str, default=None
        Columns to read, in this order. None means all columns of the first file, which every
        further file must have, and no others.
    rows : slice, default=None
        Rows by position over all files, for example ``slice(0, 1_000_000)``; no step.
    filters : list of (str, str, value), default=None
        Conditions that every row must meet, for example
        ``[("mjj", ">", 3300), ("mjj", "<", 3700)]``; operators ==, !=, <, <=, >, >=, in, not in.
        They apply to the rows that `rows` selects. The columns need not be among `columns`.
        Row groups of Parquet that cannot hold such a row are not read.
    key : str, default=None
        Which DataFrame, dataset, array or tree of an HDF5, .npz or ROOT file; needed when there
        are several.
    column_names : list of str, default=None
        Names for columns without any: of 2-D arrays (default "x0", "x1", ...) and of CSV files
        without a header line.
    on_nan : {"raise", "keep", "drop"}, default="raise"
        What to do with events that hold NaN or a null in one of `columns`: raise an error that
        says where the first one is, keep them as NaN, or leave the event out.

    Returns
    -------
    events : DataFrame

    Raises
    ------
    FileNotFoundError
        When a file does not exist.
    MissingColumnError
        When a file lacks a column.
    DataFileError
        When a file is damaged, columns differ between files, a column does not hold numbers, or
        NaN are found; the message names the file, the place and the column.

    Examples
    --------
    >>> from skad.datasets import load_dijets
    >>> from skad.io import read_events
    >>> shipped = load_dijets(n_background=1, n_signal=0).filename
    >>> events = read_events(shipped, ["mj1", "mj2"], filters=[("sample", "==", "signal")])
    >>> events.shape
    (12000, 2)
    """
    import pandas as pd

    stream = _stream(path, columns, rows, filters, key, column_names, on_nan, _READ_ROWS)
    chunks = list(stream)
    if not chunks:
        return pd.DataFrame(columns=list(_columns_of_first(path, columns, key, column_names)))
    # Column by column, giving up the chunks, so that the events are not in memory twice.
    whole = {
        name: np.concatenate([chunk.pop(name) for chunk in chunks]) for name in list(chunks[0])
    }
    return pd.DataFrame(whole, copy=False)


@sk.validate_params(
    {
        "path": "no_validation",
        "batch_size": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        **_READER,
    },
    prefer_skip_nested_validation=True,
)
def iter_events(
    path,
    batch_size=100_000,
    columns=None,
    *,
    rows=None,
    filters=None,
    key=None,
    column_names=None,
    on_nan="raise",
):
    """Read events in batches, with memory for a few batches only.

    Parameters
    ----------
    path : str, path-like, or list of them
        As in `read_events`.
    batch_size : int, default=100_000
        Events of every batch but the last, which may have fewer.
    columns, rows, filters, key, column_names, on_nan : optional
        As in `read_events`.

    Returns
    -------
    batches : iterator of DataFrame
        None of them empty.

    Raises
    ------
    FileNotFoundError, MissingColumnError, DataFileError
        As `read_events`, when the iteration reaches the place.

    Examples
    --------
    >>> from skad.datasets import load_dijets
    >>> from skad.io import iter_events
    >>> shipped = load_dijets(n_background=1, n_signal=0).filename
    >>> sum(len(batch) for batch in iter_events(shipped, columns=["mj1"]))
    412000
    """
    return _frames(
        _rebatched(
            _stream(path, columns, rows, filters, key, column_names, on_nan, batch_size), batch_size
        )
    )


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
def write_events(events, path, *, column_names=None, key=None, overwrite=False):
    """Write events to a file, whole or not at all.

    The events go to a temporary file in the same folder, which then takes the name; an error or
    an interruption leaves no file, or the old one.

    Parameters
    ----------
    events : DataFrame, array-like of shape (n_events, n_columns), or iterable of them
        Events, or batches of events with the same columns, such as from `iter_events`. Batches
        are written as they come (NumPy files collect them in memory first).
    path : str or path-like
        The suffix tells the format: .parquet, .h5 (table format of pandas), .csv, .npy
        (structured array), .npz or .root.
    column_names : list of str, default=None
        Names of the columns of arrays; default "x0", "x1", ...
    key : str, default=None
        Name of the DataFrame in HDF5 or of the tree in ROOT; default "events".
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
        When a column does not hold numbers or the batches have different columns.

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
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
    open_writer = format_to_write(path).writer
    n_events, names = 0, None
    with replacing(path) as temporary, _closing(open_writer(temporary, key)) as writer:
        for batch in _batches_of(events):
            columns = _named_columns(batch, column_names, path)
            if names is None:
                names = list(columns)
            elif list(columns) != names:
                raise DataFileError(
                    f"{path}: a batch has the columns {shortened(list(columns))}, the first one "
                    f"has {shortened(names)}."
                )
            writer.write(columns)
            n_events += len(columns[names[0]])
        if names is None:
            raise ValueError("events holds no batch, so that the columns are not known.")
    return n_events


@contextmanager
def _closing(writer):
    """Close the writer; the file of an aborted one is thrown away."""
    try:
        yield writer
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            writer.close()
        raise
    writer.close()


def _batches_of(events):
    if hasattr(events, "columns") or hasattr(events, "__array__") or isinstance(events, list):
        return [events]
    return events


def _named_columns(batch, column_names, path):
    if hasattr(batch, "columns"):
        columns = {str(name): batch[name].to_numpy() for name in batch.columns}
    else:
        array = np.asarray(batch)
        if array.ndim != 2:
            raise DataFileError(f"{path}: events must have two dimensions; got {array.shape}.")
        names = column_names or [f"x{i}" for i in range(array.shape[1])]
        if len(names) != array.shape[1]:
            raise DataFileError(
                f"{path}: events have {array.shape[1]} columns, column_names has {len(names)}."
            )
        columns = {name: array[:, i] for i, name in enumerate(names)}
    for name, values in columns.items():
        if values.dtype.kind not in "fiub":
            raise DataFileError(f"{path}: column {name!r} holds {values.dtype}, not numbers.")
    return columns


def as_paths(path):
    """Return a list of paths from one path or several."""
    paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if not paths:
        raise ValueError("path holds no file.")
    return [Path(item) for item in paths]


def check_schema(source, columns, first_path, *, exact):
    """Check that a file has the columns, of numbers; and no others when `exact`."""
    if exact and set(source.names) != set(columns):
        missing = sorted(set(columns) - set(source.names))
        surplus = sorted(set(source.names) - set(columns))
        raise DataFileError(
            f"{source.path}: columns differ from those of {first_path}: missing "
            f"{shortened(missing)}, unexpected {shortened(surplus)}. Name the columns to read "
            "with columns=."
        )
    source.require(columns)
    source.check_types(columns)


def nan_error(source, first_row, index, column, n_nan):
    """Return the error for a NaN in row `index` of a chunk that begins at `first_row`."""
    others = f" and {n_nan - 1} more in the same batch" if n_nan > 1 else ""
    return DataFileError(
        f"{source.path}: NaN in column {column!r} at {source.locate(first_row + index)}{others}. "
        "Keep such events with on_nan='keep'."
    )


def nan_rows(columns):
    """Return the mask of rows with a NaN and the first column that has one, or (None, None)."""
    mask, culprit = None, None
    for name, values in columns.items():
        if values.dtype.kind == "f":
            nan = np.isnan(values)
            if nan.any():
                mask = nan if mask is None else mask | nan
                culprit = culprit or name
    return mask, culprit


def _columns_of_first(path, columns, key, column_names):
    if columns is not None:
        return columns
    with open_source(as_paths(path)[0], key=key, column_names=column_names) as source:
        return source.names


def _stream(path, columns, rows, filters, key, column_names, on_nan, batch_size):
    """Yield ``{name: values}`` with at most `batch_size` selected rows, none of them empty."""
    start, stop = _row_range(rows)
    filters = None if filters is None else Filters(filters)
    paths = as_paths(path)
    exact = columns is None
    for one_path in paths:
        if stop is not None and start >= stop:
            return
        with open_source(one_path, key=key, column_names=column_names) as source:
            if columns is None:
                columns = source.names
            check_schema(source, columns, paths[0], exact=exact)
            needed = list(columns)
            if filters is not None:
                source.require(filters.columns)
                needed += [name for name in filters.columns if name not in needed]
            # The position of rows in later files is only known by counting.
            n_rows = source.end if rows is None else source.n_rows
            last = n_rows if stop is None else min(stop, n_rows)
            for first_row, chunk in source.chunks(needed, start, last, batch_size, filters):
                selected = _select(source, first_row, chunk, columns, filters, on_nan)
                if len(next(iter(selected.values()))):
                    yield selected
            start = max(start - n_rows, 0)
            stop = None if stop is None else stop - n_rows


def _row_range(rows):
    if rows is None:
        return 0, None
    start, stop = rows.start or 0, rows.stop
    if rows.step not in (None, 1) or start < 0 or (stop is not None and stop < 0):
        raise ValueError(f"rows must be a slice forwards from the first event; got {rows!r}.")
    return start, stop


def _select(source, first_row, chunk, columns, filters, on_nan):
    rows = None if filters is None else np.flatnonzero(filters.mask(chunk))
    selected = {name: chunk[name] if rows is None else chunk[name][rows] for name in columns}
    if on_nan == "keep":
        return selected
    mask, culprit = nan_rows(selected)
    if mask is None:
        return selected
    if on_nan == "drop":
        return {name: values[~mask] for name, values in selected.items()}
    index = int(np.flatnonzero(np.isnan(selected[culprit]))[0])
    n_nan = int(mask.sum())
    raise nan_error(source, first_row, index if rows is None else rows[index], culprit, n_nan)


def _rebatched(stream, batch_size):
    """Join and cut chunks of at most `batch_size` rows to exactly that size, but for the last."""
    pending, n_pending = [], 0
    for chunk in stream:
        n_rows = len(next(iter(chunk.values())))
        take = min(batch_size - n_pending, n_rows)
        pending.append({name: values[:take] for name, values in chunk.items()})
        n_pending += take
        if n_pending == batch_size:
            yield _join(pending)
            rest = n_rows - take
            pending = [{name: values[take:] for name, values in chunk.items()}] if rest else []
            n_pending = rest
    if pending:
        yield _join(pending)


def _join(chunks):
    if len(chunks) == 1:
        return chunks[0]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _frames(stream):
    import pandas as pd

    for batch in stream:
        yield pd.DataFrame(batch, copy=False)
