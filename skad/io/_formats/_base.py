"""What a file format offers: a source of columns by row range, and a writer of batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skad.exceptions import DataFileError, MissingColumnError

__all__ = [
    "TEXT",
    "Format",
    "Source",
    "Writer",
    "damaged",
    "is_number",
    "native",
    "refuse_option",
    "shortened",
]

TEXT = "text"


class Source(ABC):
    """One file of events: named columns of equal length.

    A subclass sets `path` and `names`, the columns that are read by default, and raises nothing
    but `DataFileError` and `MissingColumnError`, naming the place where a file cannot be read.
    """

    path: Path
    names: list[str]

    @property
    @abstractmethod
    def n_rows(self):
        """Number of events."""

    end_is_exact = True

    @property
    def end(self):
        """A bound on the rows that costs nothing to know."""
        return self.n_rows

    @abstractmethod
    def kind(self, name):
        """Return what a column holds: a dtype of one number per event, or words for the rest.

        Raises KeyError for a column that the file has not. A column may be of another dtype in
        rows with nulls, see `dtypes`.
        """

    @abstractmethod
    def chunks(self, columns, start, stop, batch_size, filters=None):
        """Yield ``(first_row, values, compared)`` of the rows start to stop in order.

        `values` are the arrays of `columns`, `compared` what the conditions of `filters` look at,
        by name. A chunk holds at most `batch_size` rows. A format that can tell from its
        statistics that no row of a range passes the `filters` may leave the range out.
        """

    def dtypes(self, columns, start=0, stop=None):
        """Return the dtypes that hold the rows start to stop; may read the file for it."""
        return {name: self.kind(name) for name in columns}

    def comparable(self, name):
        """Whether filters may look at a column."""
        return is_number(self.kind(name)) or self.kind(name) == TEXT

    def close(self):  # noqa: B027
        """Release the file."""

    def locate(self, row):
        """Describe the place of a row for a message."""
        return f"row {row}"

    def resolve(self, columns):
        """Return the names of `columns`: all (None), those of numbers ("flat"), names, positions.

        Raises `DataFileError` where a column does not hold one number per event.
        """
        if columns is None:
            self._refuse_unless_numbers(self.names, flat=True)
            columns = self.names
        elif isinstance(columns, str):
            columns = [name for name in self.names if is_number(self.kind(name))]
            if not columns:
                self._refuse_unless_numbers(self.names, flat=False)
                raise DataFileError(f"{self.path}: has no column of numbers.")
        else:
            columns = [self._name_of(column) for column in columns]
            if not columns:
                raise ValueError("columns must hold at least one column; it is empty.")
            self._require(columns)
            self._refuse_unless_numbers(columns, flat=False)
        repeated = sorted({name for name in columns if self.names.count(name) > 1})
        if repeated:
            raise DataFileError(
                f"{self.path}: has several columns named {shortened(repeated)}; give them "
                "different names, or read the others with columns=."
            )
        if len(set(columns)) < len(columns):
            raise ValueError(f"columns names a column twice: {shortened(columns)}.")
        return list(columns)

    def left_out(self):
        """Return what "flat" leaves out, ``{name: what it holds}``."""
        kinds = {name: self.kind(name) for name in self.names}
        return {name: kind for name, kind in kinds.items() if not is_number(kind)}

    def check_filters(self, filters):
        """Raise where a condition looks at a column that is not there or cannot be compared."""
        self._require(filters.columns)
        for name in filters.columns:
            if self.names.count(name) > 1:
                raise DataFileError(f"{self.path}: has several columns named {name!r}.")
            if not self.comparable(name):
                raise DataFileError(
                    f"{self.path}: column {name!r} holds {self.kind(name)}, which filters cannot "
                    "compare."
                )

    def _has(self, name):
        try:
            self.kind(name)
        except KeyError:
            return False
        return True

    def _name_of(self, column):
        if isinstance(column, str):
            return column
        if not 0 <= column < len(self.names):
            raise MissingColumnError(
                f"{self.path}: no column at position {column}; the file has {len(self.names)} "
                "columns, counted from 0."
            )
        return self.names[column]

    def _require(self, columns):
        missing = [name for name in columns if not self._has(name)]
        if missing:
            raise MissingColumnError(
                f"{self.path}: no column {', '.join(map(repr, missing))}; "
                f"the file has {shortened(self.names)}."
            )

    def _refuse_unless_numbers(self, columns, *, flat):
        wrong = [name for name in columns if not is_number(self.kind(name))]
        if wrong:
            others = f", and {len(wrong) - 1} more columns hold no numbers" if wrong[1:] else ""
            way_out = " or take all that are numbers with columns='flat'" if flat else ""
            raise DataFileError(
                f"{self.path}: column {wrong[0]!r} holds {self.describe(wrong[0])}{others}; events "
                f"need one number per column. Name the columns to read with columns={way_out}."
            )

    def describe(self, name):
        """Say what a column without numbers holds; may look into it for an example."""
        return self.kind(name)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


class Writer(ABC):
    """Writes batches of events, ``{name: values}``, all with columns and dtypes of the first."""

    @abstractmethod
    def write(self, batch):
        """Append a batch."""

    @abstractmethod
    def close(self):
        """Finish the file."""


def is_number(kind):
    """Whether a column of this kind holds one number per event."""
    return isinstance(kind, np.dtype) and kind.kind in "fiub" and kind.shape == ()


def native(values):
    """Return the array in the byte order of this machine."""
    dtype = values.dtype.newbyteorder("=")
    return values if dtype == values.dtype else values.astype(dtype)


def damaged(path, where, exc):
    """Return the error for a file that cannot be read at some place."""
    place = f" at {where}" if where else ""
    reason = " ".join(str(exc).split()) or type(exc).__name__
    if len(reason) > 300:
        reason = f"{reason[:300]} ..."
    way_out = "The file is truncated or damaged; copy or download it again."
    if isinstance(exc, BlockingIOError):
        way_out = "Another process is writing it; wait until it has finished."
    elif isinstance(exc, PermissionError):
        way_out = "You may not read it; ask for the right to."
    elif isinstance(exc, MemoryError):
        way_out = "It needs more memory than there is, or it is damaged."
    elif isinstance(exc, NotImplementedError) or "equivalent for Type" in reason:
        way_out = "The library that reads it cannot do this; convert the file."
    return DataFileError(f"{path}: cannot be read{place} ({reason}). {way_out}")


def refuse_option(path, why, **options):
    """Raise `DataFileError` for an option of a reader or writer that has no meaning here."""
    for name, value in options.items():
        if value is not None:
            raise DataFileError(f"{path}: {name}= has no meaning here; {why}.")


def shortened(names, limit=20):
    """Return the names for a message, cut after `limit`."""
    names = list(names)
    shown = ", ".join(map(repr, names[:limit]))
    return f"[{shown}]" if len(names) <= limit else f"[{shown}, ... {len(names)} columns]"


@dataclass(frozen=True)
class Format:
    """A file format: the suffixes that choose it, and what opens its files.

    `source` takes path, key and column_names and returns a `Source`; `writer` takes path and key
    and returns a `Writer`. Both refuse an option that means nothing in the format. `dtypes` are
    those that it can write.
    """

    suffixes: tuple[str, ...]
    source: Callable[..., Source]
    writer: Callable[..., Writer]
    dtypes: str = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
