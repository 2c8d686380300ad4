"""What a file format offers: a source of columns by row range, and a writer of batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from skad.exceptions import DataFileError, MissingColumnError

__all__ = ["Format", "Source", "Writer", "damaged", "numbered"]


class Source(ABC):
    """One file of events: named columns of equal length.

    A subclass sets `path` and `names` and raises `DataFileError` naming the place where a file
    cannot be read.
    """

    path: Path
    names: list[str]

    @property
    @abstractmethod
    def n_rows(self):
        """Number of events."""

    @property
    def end(self):
        """A bound on the rows that costs nothing to know."""
        return self.n_rows

    @abstractmethod
    def chunks(self, columns, start, stop, batch_size, filters=None):
        """Yield ``(first_row, {name: values})`` of the rows start to stop in order.

        A chunk holds at most `batch_size` rows. A format that can tell from its statistics that
        no row of a range passes the `filters` may leave the range out.
        """

    def check_types(self, columns):  # noqa: B027
        """Raise `DataFileError` where a column does not hold one number per event."""

    def close(self):  # noqa: B027
        """Release the file."""

    def locate(self, row):
        """Describe the place of a row for a message."""
        return f"row {row}"

    def require(self, columns):
        """Raise `MissingColumnError` when the file lacks one of `columns`."""
        missing = [name for name in columns if name not in self.names]
        if missing:
            raise MissingColumnError(
                f"{self.path}: no column {', '.join(map(repr, missing))}; "
                f"the file has {shortened(self.names)}."
            )

    def refuse_type(self, column, kind):
        """Raise `DataFileError` for a column that does not hold one number per event."""
        raise DataFileError(
            f"{self.path}: column {column!r} holds {kind}; events need one number per column. "
            "Name the columns to read with columns=."
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


class Writer(ABC):
    """Writes batches of events, ``{name: values}``, all with the columns of the first."""

    @abstractmethod
    def write(self, batch):
        """Append a batch."""

    @abstractmethod
    def close(self):
        """Finish the file."""


def damaged(path, where, exc):
    """Return the error for a file that cannot be read at some place."""
    place = f" at {where}" if where else ""
    return DataFileError(
        f"{path}: cannot be read{place} ({exc}). The file is truncated or damaged; "
        "copy or download it again."
    )


def numbered(n_columns, column_names, path):
    """Return the names of unnamed columns: the given ones, or x0, x1, ..."""
    if column_names is None:
        return [f"x{i}" for i in range(n_columns)]
    if len(column_names) != n_columns:
        raise DataFileError(
            f"{path}: has {n_columns} columns, but column_names has {len(column_names)} names."
        )
    return list(column_names)


def shortened(names, limit=20):
    """Return the names for a message, cut after `limit`."""
    shown = ", ".join(map(repr, names[:limit]))
    return f"[{shown}]" if len(names) <= limit else f"[{shown}, ... {len(names)} columns]"


@dataclass(frozen=True)
class Format:
    """A file format: the suffixes that choose it, and what opens its files.

    `source` takes path, key and column_names and returns a `Source`; `writer` takes path and key
    and returns a `Writer`. What a format has no use for, it ignores.
    """

    suffixes: tuple[str, ...]
    source: Callable[..., Source]
    writer: Callable[..., Writer]
    read_only: tuple[str, ...] = ()
