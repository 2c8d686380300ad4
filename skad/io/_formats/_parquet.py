"""Parquet files through pyarrow."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pyarrow.types as pat
from pyarrow.fs import LocalFileSystem

from skad.exceptions import DataFileError
from skad.io._formats._arrow import arrow_kind, arrow_to_numpy, comparable_type, values_type
from skad.io._formats._base import Format, Source, Writer, damaged, refuse_option

__all__ = ["PARQUET"]

_ERRORS = (pa.ArrowException, OSError, MemoryError)
_EXACT = 1 << 53


class ParquetSource(Source):
    """Skips the row groups that the row range or the statistics of the filters exclude."""

    def __init__(self, path, key=None, column_names=None):
        refuse_option(path, "a Parquet file holds one table", key=key)
        refuse_option(path, "its columns have names", column_names=column_names)
        self.path = path
        try:
            # By default pyarrow fetches all column chunks to be read at once, and without a buffer
            # those of a row group: files and row groups may be larger than memory.
            self._file = pq.ParquetFile(
                path, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
            )
            self._schema = self._file.schema_arrow
        except _ERRORS as exc:
            raise self._error(None, exc) from exc
        index = self._index_columns()
        self.names = [name for name in self._schema.names if name not in index]
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    def _index_columns(self):
        """Return the columns in which pandas keeps an index that is none of events."""
        try:
            index = (self._schema.pandas_metadata or {}).get("index_columns", [])
        except (ValueError, UnicodeDecodeError):
            return []
        return [name for name in index if isinstance(name, str)]

    @property
    def n_rows(self):
        return int(self._starts[-1])

    def kind(self, name):
        return arrow_kind(self._field(name).type)

    def comparable(self, name):
        return comparable_type(self._field(name).type)

    def _field(self, name):
        position = self._schema.get_all_field_indices(name)
        if not position:
            raise KeyError(name)
        return self._schema.field(position[0])

    def dtypes(self, columns, start=0, stop=None):
        kinds = {name: self.kind(name) for name in columns}
        for name, kind in kinds.items():
            if (
                kind.kind in "iub"
                and self._field(name).nullable
                and self._has_nulls(name, start, self.n_rows if stop is None else stop)
            ):
                kinds[name] = np.dtype(np.float64)
        return kinds

    def _has_nulls(self, name, start, stop):
        for group in range(len(self._starts) - 1):
            first, last = int(self._starts[group]), int(self._starts[group + 1])
            if last <= start or first >= stop:
                continue
            statistics = self._statistics(group, name)
            if statistics is not None and statistics.has_null_count:
                if not statistics.null_count:
                    continue
                if start <= first and last <= stop:
                    return True
            row = first
            for batch in self._batches([group], [name], 1 << 18):
                inside = batch.column(0)[max(start - row, 0) : max(stop - row, 0)]
                if inside.null_count:
                    return True
                row += batch.num_rows
        return False

    def _statistics(self, group, name):
        metadata = self._file.metadata.row_group(group)
        for i in range(metadata.num_columns):
            if metadata.column(i).path_in_schema == name:
                return metadata.column(i).statistics
        return None

    def close(self):
        self._file.close()

    def locate(self, row):
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return f"row group {group}, row {row} of the file"

    def chunks(self, columns, start, stop, batch_size, filters=None):
        compared = [] if filters is None else filters.columns
        needed = list(dict.fromkeys([*columns, *compared]))
        for groups in self._runs(start, stop, filters):
            row = int(self._starts[groups[0]])
            for batch in self._batches(groups, needed, batch_size):
                first, last = max(start - row, 0), min(stop - row, batch.num_rows)
                if first < last:
                    part = batch.slice(first, last - first)
                    values = {name: self._numbers(part, name) for name in columns}
                    yield (
                        row + first,
                        values,
                        {name: self._comparable(part, name, values) for name in compared},
                    )
                row += batch.num_rows

    def _batches(self, groups, columns, batch_size):
        try:
            yield from self._file.iter_batches(batch_size, row_groups=groups, columns=columns)
        except _ERRORS as exc:
            raise self._error(self._culprit(groups, columns), exc) from exc

    def _numbers(self, batch, name):
        return arrow_to_numpy(batch.column(name), f"{self.path}: column {name!r}")

    def _comparable(self, batch, name, values):
        column = batch.column(name)
        kind = values_type(column.type)
        if pat.is_floating(kind) or pat.is_integer(kind) or pat.is_boolean(kind):
            return values[name] if name in values else self._numbers(batch, name)
        if kind != column.type:
            column = pc.cast(column, kind)
        return column.to_pandas()

    def _runs(self, start, stop, filters):
        """Return lists of consecutive row groups that may hold wanted rows."""
        possible = self._possible(filters)
        wanted = [
            i
            for i, (first, last) in enumerate(pairwise(self._starts))
            if first < stop and last > start and (possible is None or i in possible)
        ]
        runs = []
        for i in wanted:
            if runs and runs[-1][-1] == i - 1:
                runs[-1].append(i)
            else:
                runs.append([i])
        return runs

    def _possible(self, filters):
        """Return the row groups whose statistics leave room for a passing row; None for all."""
        if filters is None or len(self._starts) < 3:
            return None
        bounds = [bound for condition in filters.conditions for bound in self._bound(*condition)]
        if not bounds:
            return None
        expression = bounds[0]
        for bound in bounds[1:]:
            expression = expression & bound
        try:
            fragment = ds.ParquetFileFormat().make_fragment(
                str(self.path.resolve()), LocalFileSystem()
            )
            parts = fragment.split_by_row_group(expression, schema=self._schema)
        except _ERRORS as exc:
            raise self._error(None, exc) from exc
        return {group.id for part in parts for group in part.row_groups}

    def _bound(self, name, symbol, value):
        """Return expressions that every row meets which meets the condition, wider by an ulp."""
        kind = self._field(name).type
        if symbol in ("!=", "not in") or not self._certain(name, kind):
            return
        values = value if symbol == "in" else [value]
        try:
            limits = [_limits(kind, item) for item in values]
        except (TypeError, ValueError, OverflowError, pa.ArrowException):
            return
        if not limits or any(limit is None for limit in limits):
            return
        field = pc.field(name)
        if symbol in (">", ">=", "==", "in"):
            yield field >= pa.scalar(min(low for low, _ in limits), kind)
        if symbol in ("<", "<=", "==", "in"):
            yield field <= pa.scalar(max(high for _, high in limits), kind)

    def _certain(self, name, kind):
        """Whether minimum and maximum hold for all rows; writers of old let NaN decide them."""
        if pat.is_integer(kind) or pat.is_string(kind):
            return True
        if not (pat.is_float32(kind) or pat.is_float64(kind)):
            return False
        for group in range(len(self._starts) - 1):
            statistics = self._statistics(group, name)
            if statistics is not None and statistics.has_min_max:
                low, high = statistics.min, statistics.max
                if not (isinstance(low, float) and low <= high):
                    return False
        return True

    def _culprit(self, groups, columns):
        """Find the row group and column that cannot be read."""
        for group in groups:
            for name in columns:
                try:
                    self._file.read_row_group(group, columns=[name])
                except _ERRORS:
                    return f"row group {group}, column {name!r}"
        return f"row groups {groups[0]} to {groups[-1]}"

    def _error(self, where, exc):
        if "crypt" in str(exc).lower():
            return DataFileError(
                f"{self.path}: is encrypted ({exc}). Decrypt it with pyarrow and write it again "
                "without encryption."
            )
        return damaged(self.path, where, exc)


def _limits(kind, value):
    """Return the least and the largest stored value that may be equal to `value`, or None."""
    if pat.is_string(kind):
        return (value, value) if isinstance(value, str) else None
    number = float(value)
    if isinstance(value, (str, bytes)) or not np.isfinite(number):
        return None
    if pat.is_integer(kind):
        # NumPy compares integers with a float as floats, which are exact up to here.
        if abs(number) > _EXACT:
            return None
        limits = np.iinfo(kind.to_pandas_dtype())
        low, high = int(np.floor(number)), int(np.ceil(number))
        return min(max(low, limits.min), limits.max), max(min(high, limits.max), limits.min)
    dtype = np.dtype(kind.to_pandas_dtype())
    with np.errstate(over="ignore"):
        nearest = dtype.type(number)
    low, high = np.nextafter(nearest, -np.inf), np.nextafter(nearest, np.inf)
    return float(low), float(high)


class ParquetWriter(Writer):
    """zstd with a checksum of every page; a row group for each batch."""

    def __init__(self, path, key):
        refuse_option(path, "a Parquet file holds one table", key=key)
        self._path, self._writer = path, None

    def write(self, batch):
        table = pa.table(batch)
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path,
                table.schema,
                compression="zstd",
                write_page_checksum=True,
                # Measured floats hardly repeat; reading them without a dictionary is faster.
                use_dictionary=[name for name, values in batch.items() if values.dtype.kind != "f"],
            )
        self._writer.write_table(table)

    def close(self):
        if self._writer is not None:
            self._writer.close()


PARQUET = Format((".parquet", ".pq"), ParquetSource, ParquetWriter)
