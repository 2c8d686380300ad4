"""Readers of event files: whole, in batches, from one file or many."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np

from skad.io._stream import Selection, chunks_of
from skad.io._whole import Whole
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Literal

    from pandas import DataFrame

    from skad.utils._types import FilePath

__all__ = ["iter_events", "read_events"]

# Rows decoded at a time when a whole file is read.
_READ_ROWS = 1 << 18

_READER = {
    "columns": [None, list, tuple, sk.StrOptions({"flat"})],
    "rows": [None, slice],
    "filters": [None, list, tuple],
    "key": [None, str],
    "column_names": [None, list, tuple],
    "on_nan": [sk.StrOptions({"raise", "keep", "drop"})],
}


@sk.validate_params({"path": "no_validation", **_READER}, prefer_skip_nested_validation=True)
def read_events(
    path: Sequence[FilePath] | FilePath,
    columns: Literal["flat"] | Sequence[int | str] | None = None,
    *,
    rows: slice | None = None,
    filters: Sequence[tuple[str, str, Any]] | None = None,
    key: str | None = None,
    column_names: Sequence[str] | None = None,
    on_nan: Literal["raise", "keep", "drop"] = "raise",
) -> DataFrame:
    """Read events from one file or several into a DataFrame.

    Parameters
    ----------
    path : str, path-like, or list of them
        Files to read, in order: a file, a pattern such as ``"run*.parquet"``, a folder with files
        of one format, or a list of these; "~" is the home folder. The suffix tells the format:

        - Parquet: .parquet, .pq; the index that pandas keeps in a file is no column;
        - HDF5: .h5, .hdf5, .hdf, with a DataFrame written by pandas (fixed or table format, as
          the LHC Olympics files) or plain arrays (a 2-D or compound dataset, or a group of
          datasets); nothing in a file is unpickled; needs the extra "hep";
        - CSV: .csv, .csv.gz, .tsv, .tsv.gz, with a header line of names; fields separated by
          commas, semicolons, tabs or bars; lines that begin with "#" are left out, as are columns
          without a name; columns of integers, of floats and of true and false;
        - NumPy: .npy (1-D, 2-D or structured), .npz (1-D arrays that are the columns, one 2-D
          array, or both);
        - ROOT: .root, a TTree, TNtuple or RNTuple, also as "file.root:tree"; branches with one
          number per event, those inside of objects by their full name; needs "hep".
    columns : list of str or int, or "flat", default=None
        Columns to read, in this order, by name or by position from 0. None means all columns of
        the first file, which every further file must have, and no others; all must hold one
        number per event. "flat" means those that do, where others hold lists or text; what is
        left out is in ``events.attrs["left_out"]``.
    rows : slice, default=None
        Rows by position over all files, for example ``slice(0, 1_000_000)``; no step.
    filters : list of (str, str, value), default=None
        Conditions that every row must meet, for example
        ``[("mjj", ">", 3300), ("mjj", "<", 3700)]``; operators ==, !=, <, <=, >, >=, in, not in.
        They choose the rows that pandas would, NaN and nulls meet only != and not in, and apply to
        the rows that `rows` selects. The columns need not be among `columns`, and may hold text.
        Row groups of Parquet that cannot hold such a row are not read.
    key : str, default=None
        Which DataFrame, dataset, array or tree of an HDF5, .npz or ROOT file; needed when there
        are several.
    column_names : list of str, default=None
        Names for columns without any: of 2-D arrays (default "x0", "x1", ...) and of CSV files
        without a header line. Refused for columns that have names.
    on_nan : {"raise", "keep", "drop"}, default="raise"
        What to do with events that hold NaN or a null in one of `columns`: raise an error that
        says where the first one is, keep them as NaN, or leave the event out.

    Returns
    -------
    events : DataFrame
        In the dtypes of the file; float64 for integers and booleans with nulls, and for decimals.

    Raises
    ------
    FileNotFoundError
        When a file does not exist.
    MissingColumnError
        When a file lacks a column.
    DataFileError
        When a file is damaged, columns differ between files, a column does not hold numbers,
        integers would lose digits, NaN are found or the memory does not suffice; the message
        names the file, the place, the column and the way out.

    Notes
    -----
    Checksums of pages and chunks are compared where a file has them: Parquet and HDF5 as
    `write_events` writes them, .npz, gzip. Changed digits in a CSV or .npy file are not noticed.

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

    selection = Selection.of(
        path,
        columns,
        key,
        rows=rows,
        filters=filters,
        column_names=column_names,
        on_nan=on_nan,
    )
    with selection:
        dtypes, (bound, exact) = selection.kinds(), selection.bound()
        exact = exact and selection.filters is None and on_nan != "drop"
        whole = Whole(selection.paths[0][0], dtypes, bound, exact=exact)
        for chunk in chunks_of(selection, _READ_ROWS, planned=False):
            whole.add(chunk)
    return _frame(pd, whole.columns(), selection)


def _frame(pd, columns, selection):
    frame = pd.DataFrame(columns, copy=False)
    if selection.left_out:
        frame.attrs["left_out"] = dict(selection.left_out)
    return frame


@sk.validate_params(
    {
        "path": "no_validation",
        "batch_size": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        **_READER,
    },
    prefer_skip_nested_validation=True,
)
def iter_events(
    path: Sequence[FilePath] | FilePath,
    batch_size: int = 100_000,
    columns: Any = None,
    *,
    rows: Any = None,
    filters: Any = None,
    key: Any = None,
    column_names: Any = None,
    on_nan: Any = "raise",
) -> Iterator[DataFrame]:
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
        None of them empty, all of the same dtypes, which are those of `read_events`; rows that
        `filters` leave out count too. For that, the columns of a CSV file that begin with integers
        are read first, and those of Parquet without statistics.

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
    selection = Selection.of(
        path,
        columns,
        key,
        rows=rows,
        filters=filters,
        column_names=column_names,
        on_nan=on_nan,
    )
    return _batches(selection, batch_size)


def _batches(selection, batch_size):
    import pandas as pd

    with selection:
        stream = chunks_of(selection, batch_size, planned=True)
        for batch in _rebatched(stream, batch_size):
            yield _frame(pd, batch, selection)


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
