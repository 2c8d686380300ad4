"""Parquet files through pyarrow."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skad.io._formats._base import Format, Source, Writer, damaged

__all__ = ["PARQUET"]


class ParquetSource(Source):
    """Skips the row groups that the row range or the statistics of the filters exclude."""

    def __init__(self, path, key=None, column_names=None):
        self.path = path
        try:
            # By default pyarrow fetches all column chunks to be read at once, and without a buffer
            # those of a row group: files and row groups may be larger than memory.
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        except (pa.ArrowInvalid, OSError) as exc:
            raise damaged(path, None, exc) from exc
        self.names = list(self._file.schema_arrow.names)
        metadata = self._file.metadata
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @property
    def n_rows(self):
        return int(self._starts[-1])

    def close(self):
        self._file.close()

    def locate(self, row):
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return f"row group {group}, row {row} of the file"

    def chunks(self, columns, start, stop, batch_size, filters=None):
        for groups in self._runs(start, stop, filters):
            row = int(self._starts[groups[0]])
            try:
                batches = self._file.iter_batches(batch_size, row_groups=groups, columns=columns)
                for batch in batches:
                    first, last = max(start - row, 0), min(stop - row, batch.num_rows)
                    if first < last:
                        part = batch.slice(first, last - first)
                        yield row + first, {name: self._values(part, name) for name in columns}
                    row += batch.num_rows
            except (pa.ArrowException, OSError) as exc:
                raise damaged(self.path, self._culprit(groups, columns), exc) from exc

    def check_types(self, columns):
        for name in columns:
            kind = self._file.schema_arrow.field(name).type
            if not (
                pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
            ):
                self.refuse_type(name, kind)

    def _values(self, batch, name):
        values = batch.column(name)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if values.null_count and (
            pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
        ):
            values = pc.cast(values, pa.float64())
        return values.to_numpy(zero_copy_only=False)

    def _runs(self, start, stop, filters):
        """Return lists of consecutive row groups that may hold wanted rows."""
        wanted = [
            i
            for i, (first, last) in enumerate(pairwise(self._starts))
            if first < stop and last > start and self._may_pass(i, filters)
        ]
        runs = []
        for i in wanted:
            if runs and runs[-1][-1] == i - 1:
                runs[-1].append(i)
            else:
                runs.append([i])
        return runs

    def _may_pass(self, group, filters):
        if filters is None:
            return True
        metadata = self._file.metadata.row_group(group)
        bounds = {}
        for i in range(metadata.num_columns):
            column = metadata.column(i)
            statistics = column.statistics
            if column.path_in_schema in filters.columns and statistics and statistics.has_min_max:
                bounds[column.path_in_schema] = (statistics.min, statistics.max)
        return filters.may_pass(bounds)

    def _culprit(self, groups, columns):
        """Find the row group and column that cannot be read."""
        for group in groups:
            for name in columns:
                try:
                    self._file.read_row_group(group, columns=[name])
                except (pa.ArrowException, OSError):
                    return f"row group {group}, column {name!r}"
        return f"row groups {groups[0]} to {groups[-1]}"


class ParquetWriter(Writer):
    """zstd, a row group for each batch (or for each million rows of a larger one)."""

    def __init__(self, path, key):
        self._path, self._writer = path, None

    def write(self, batch):
        table = pa.table(batch)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table.cast(self._writer.schema))

    def close(self):
        self._writer.close()


PARQUET = Format((".parquet", ".pq"), ParquetSource, ParquetWriter)
