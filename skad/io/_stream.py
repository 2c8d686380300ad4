"""Events of files as a stream of chunks: which columns and rows, of which dtypes."""

from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from skad.exceptions import DataFileError
from skad.io._filters import Filters
from skad.io._formats import open_source, shortened
from skad.io._paths import expand_paths

__all__ = ["Selection", "as_dtype", "chunks_of", "common_dtype", "nan_error", "nan_rows"]

# Files that stay open between planning and reading; opening a wide ROOT tree takes seconds.
_KEPT_OPEN = 32
# Integers of more digits than a float of this type holds.
_EXACT = {np.dtype(f"f{size}"): 1 << digits for size, digits in ((2, 11), (4, 24), (8, 53))}


@dataclass
class Selection:
    """What a reader is asked for; `columns` become names when the first file is open."""

    paths: list
    columns: object = None
    rows: slice | None = None
    filters: object = None
    column_names: object = None
    on_nan: str = "raise"
    left_out: dict = field(default_factory=dict)

    def __post_init__(self):
        self.start, self.stop = _row_range(self.rows)
        self.filters = Filters(self.filters) if self.filters else None
        self._exact = self.columns is None
        self._resolved = None
        self._kept = {}

    @classmethod
    def of(cls, path, columns, key, **options):
        """Read the parameters of the public functions."""
        if isinstance(columns, str) and columns != "flat":
            raise ValueError(f"columns must be a list of columns, or 'flat'; got {columns!r}.")
        return cls(expand_paths(path, key), columns, **options)

    @contextmanager
    def source(self, i):
        """Yield file `i`, open and checked."""
        if i not in self._kept:
            source = self._open(i)
            if len(self._kept) >= _KEPT_OPEN:
                with source:
                    yield source
                return
            self._kept[i] = source
        yield self._kept[i]

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        for source in self._kept.values():
            source.close()
        self._kept.clear()

    def _open(self, i):
        path, key = self.paths[i]
        source = open_source(path, key=key, column_names=self.column_names)
        try:
            if self._resolved is None:
                self._resolved = source.resolve(self.columns)
                if isinstance(self.columns, str):
                    self.left_out = source.left_out()
            else:
                self._check_same(source)
            if self.filters is not None:
                source.check_filters(self.filters)
        except BaseException:
            source.close()
            raise
        return source

    @property
    def names(self):
        """Names of the columns, known once the first file is open."""
        return self._resolved

    def _check_same(self, source):
        names = self._resolved
        if self._exact and set(source.names) != set(names):
            missing = sorted(set(names) - set(source.names))
            surplus = sorted(set(source.names) - set(names))
            raise DataFileError(
                f"{source.path}: columns differ from those of {self.paths[0][0]}: missing "
                f"{shortened(missing)}, unexpected {shortened(surplus)}. Name the columns to read "
                "with columns=."
            )
        source.resolve(names)

    def ranges(self):
        """Yield each file that the rows reach, open, with the first and last of them in it."""
        start, stop = self.start, self.stop
        for i in range(len(self.paths)):
            if stop is not None and start >= stop:
                return
            with self.source(i) as source:
                # The position of rows in later files is only known by counting.
                n_rows = source.end if self.rows is None else source.n_rows
                yield source, start, n_rows if stop is None else min(stop, n_rows)
            start = max(start - n_rows, 0)
            stop = None if stop is None else stop - n_rows

    def plan(self):
        """Return the dtypes that hold the rows of the columns in all files, ``{name: dtype}``."""
        dtypes, reached = {}, 0
        for source, first, last in self.ranges():
            _widen(dtypes, source.dtypes(self.names, first, last), source.path)
            reached += 1
        return self._kinds_from(reached, dtypes)

    def kinds(self):
        """Return the dtypes of the columns in all files as far as they are known at once."""
        return self._kinds_from(0, {})

    def _kinds_from(self, first, dtypes):
        for i in range(first, len(self.paths)):
            with self.source(i) as source:
                _widen(dtypes, {name: source.kind(name) for name in self.names}, source.path)
        return dtypes

    def bound(self):
        """Return how many rows there can be, and whether there are as many before filters."""
        bound, exact = 0, True
        for i in range(len(self.paths)):
            with self.source(i) as source:
                bound += source.end
                exact = exact and source.end_is_exact
        bound = max((bound if self.stop is None else min(self.stop, bound)) - self.start, 0)
        return bound, exact


def chunks_of(selection, batch_size, *, planned):
    """Yield ``{name: values}`` with at most `batch_size` selected rows, none of them empty.

    With `planned`, all chunks have the same dtypes, for which some files are read twice.
    """
    dtypes = selection.plan() if planned else None
    for source, start, stop in selection.ranges():
        chunks = source.chunks(selection.names, start, stop, batch_size, selection.filters)
        for first_row, chunk, compared in chunks:
            chosen = _select(source, first_row, chunk, compared, selection)
            if len(next(iter(chosen.values()))):
                if planned:
                    chosen = {
                        name: as_dtype(values, dtypes[name], source.path, name)
                        for name, values in chosen.items()
                    }
                yield chosen


def _row_range(rows):
    if rows is None:
        return 0, None
    start, stop = rows.start or 0, rows.stop
    if rows.step not in (None, 1) or start < 0 or (stop is not None and stop < 0):
        raise ValueError(f"rows must be a slice forwards from the first event; got {rows!r}.")
    return start, stop


def _select(source, first_row, chunk, compared, selection):
    rows = None
    if selection.filters is not None:
        rows = np.flatnonzero(selection.filters.mask(compared, source.path))
    selected = {name: chunk[name] if rows is None else chunk[name][rows] for name in chunk}
    if selection.on_nan == "keep":
        return selected
    mask, culprit = nan_rows(selected)
    if mask is None:
        return selected
    if selection.on_nan == "drop":
        return {name: values[~mask] for name, values in selected.items()}
    index = int(np.flatnonzero(np.isnan(selected[culprit]))[0])
    n_nan = int(mask.sum())
    raise nan_error(source, first_row, index if rows is None else rows[index], culprit, n_nan)


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


def _widen(dtypes, others, path):
    for name, dtype in others.items():
        dtypes[name] = common_dtype(dtypes.get(name, dtype), dtype, path, name)


def common_dtype(one, other, path, name):
    """Return the dtype that holds the values of both, or refuse."""
    common = np.result_type(one, other)
    if common.kind == "f" and one.kind != "f" and other.kind != "f":
        raise DataFileError(
            f"{path}: column {name!r} holds {other} here and {one} before; no dtype holds both. "
            "Read the files one by one."
        )
    return common


def as_dtype(values, dtype, path, name):
    """Return the values in a wider dtype; refuse integers that would lose digits."""
    if values.dtype == dtype:
        return values
    if values.dtype.kind in "iu" and dtype.kind == "f" and values.size:
        limit = _EXACT.get(dtype, 1 << 53)
        if not -limit <= int(values.min()) <= int(values.max()) <= limit:
            raise DataFileError(
                f"{path}: column {name!r} holds integers beyond {limit}, which lose digits as "
                f"{dtype}, the dtype that other rows need. Leave the column out with columns=, or "
                "write it as integers everywhere."
            )
    return values.astype(dtype)
