"""Events of files too many for memory, as rows of one temporary file."""

import tempfile
from contextlib import contextmanager

import numpy as np

from skad.exceptions import DataFileError
from skad.io._read import iter_events
from skad.utils import _blocks
from skad.utils._columns import resolve_columns

__all__ = ["LabelColumn", "StoredEvents", "StoredRows", "events_to_fit"]

_READER = {"rows", "filters", "key", "column_names", "on_nan"}


class StoredRows:
    """Rows of numbers of one dtype in a temporary file, read with memory for the rows asked for.

    Not a memory map: pages of one count as memory of the process as long as there is any.

    Parameters
    ----------
    n_columns : int
    dtype : dtype
    """

    def __init__(self, n_columns, dtype):
        self.n_columns, self.dtype = n_columns, np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="skad-")  # noqa: SIM115
        self._n = 0

    def __len__(self):
        return self._n

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()

    @property
    def shape(self):
        """Numbers of rows and columns."""
        return self._n, self.n_columns

    def append(self, rows):
        """Write rows behind those that are there."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows, dtype=self.dtype).data)
        self._n += len(rows)

    def read(self, start, stop):
        """Return the rows from `start` to before `stop`."""
        rows = np.empty((stop - start, self.n_columns), self.dtype)
        self._file.seek(start * self.n_columns * self.dtype.itemsize)
        if self._file.readinto(rows) != rows.nbytes:
            raise OSError(f"The temporary file of events ends before row {stop}.")
        return rows

    def take(self, rows):
        """Return these rows, given in increasing order and close to each other."""
        first = int(rows[0])
        return self.read(first, int(rows[-1]) + 1)[rows - first]

    def blocks(self):
        """Yield all rows, a block at a time."""
        for rows in _blocks.block_slices(len(self)):
            yield self.read(rows.start, rows.stop)


class StoredEvents(StoredRows):
    """Events to learn from, all of them finite.

    Parameters
    ----------
    path : str
        What to call their files in a message.
    head : DataFrame
        The first block of them.
    """

    def __init__(self, path, head):
        dtype = np.result_type(*head.dtypes)
        super().__init__(head.shape[1], dtype if dtype in (np.float32, np.float64) else np.float64)
        self._path = path
        self.head = head.head().copy()
        self.low, self.high = (np.full(self.n_columns, x, self.dtype) for x in (np.inf, -np.inf))

    def append_frame(self, frame):
        """Write a batch of `iter_events`."""
        _refuse_infinite(self._path, frame, len(self))
        rows = np.ascontiguousarray(frame.to_numpy(self.dtype))
        self.low = np.minimum(self.low, rows.min(axis=0))
        self.high = np.maximum(self.high, rows.max(axis=0))
        self.append(rows)


def _refuse_infinite(path, frame, first):
    for name, column in frame.items():
        infinite = np.flatnonzero(~np.isfinite(column.to_numpy()))
        if len(infinite):
            raise DataFileError(
                f"{path}: {column.iloc[infinite[0]]} in column {name!r} of event "
                f"{first + infinite[0]} among those read; events to learn from must be finite. "
                "Leave such events out with filters=, or the column with columns=."
            )


class LabelColumn:
    """The column of two labels of files, taken out of the events as they are read.

    Parameters
    ----------
    column : str or int
        Its name or position.
    """

    def __init__(self, column):
        self.column = column
        self._parts = []
        self._found = None

    def beside(self, columns):
        """Return which columns to read, for events of these columns."""
        if columns is None:
            return None
        if self.column in columns:
            raise ValueError(
                f"label={self.column!r} must not be among columns, which are learned from."
            )
        return [*columns, self.column]

    def split_off(self, frames, columns):
        """Yield the frames without the column, of the columns that `beside` was asked for."""
        for frame in frames:
            position = len(frame.columns) - 1
            if columns is None:
                (position,) = resolve_columns(
                    self.column, list(frame.columns), len(frame.columns), parameter="label"
                )
            self._add(frame.iloc[:, position].to_numpy())
            yield frame.drop(columns=frame.columns[position])

    def _add(self, labels):
        new = np.unique(labels if self._found is None else np.append(self._found, labels))
        if len(new) > 2:
            raise ValueError(
                f"label={self.column!r} must be a column of two values; got "
                f"{', '.join(str(value) for value in new[:5])}" + (", ..." if len(new) > 5 else ".")
            )
        if self._found is None:
            self._found = new[:1]
        if len(self._found) == 1:
            # In the order in which they were met, which the codes so far follow.
            self._found = np.append(self._found, new[new != self._found[0]])
        self._parts.append(labels != self._found[0])

    def read(self):
        """Return the two labels in order and, for every event, whether it has the second one."""
        second = np.concatenate(self._parts)
        if len(self._found) == 2 and self._found[0] > self._found[1]:
            return self._found[::-1].copy(), ~second
        return self._found, second


@contextmanager
def events_to_fit(path, columns, reader, label=None):
    """Yield the events of files: up to a block as a DataFrame, more of them as `StoredEvents`.

    Parameters
    ----------
    path, columns
        As in `read_events`.
    reader : dict
        Its other parameters; ``on_nan="keep"`` is refused.
    label : LabelColumn, default=None
        Takes a column out of them.
    """
    unknown = sorted(set(reader) - _READER)
    if unknown:
        raise TypeError(
            f"fit_file takes the parameters of read_events, {', '.join(sorted(_READER))}; got "
            f"{', '.join(unknown)}."
        )
    if reader.get("on_nan") == "keep":
        raise ValueError("on_nan must be 'raise' or 'drop' to learn from events; got 'keep'.")
    to_read = columns if label is None else label.beside(columns)
    batches = iter_events(path, _blocks.BLOCK, to_read, **reader)
    if label is not None:
        batches = label.split_off(batches, columns)
    head, second = next(batches, None), next(batches, None)
    if head is None:
        raise DataFileError(f"{path}: holds no event that fit_file is asked to read.")
    _refuse_infinite(path, head, 0)
    if second is None:
        yield head
        return
    with StoredEvents(path, head) as events:
        for frame in (head, second):
            events.append_frame(frame)
        del head, second, frame
        for frame in batches:
            events.append_frame(frame)
        yield events
