"""CSV files, plain or compressed, through pyarrow."""

import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from skad.io._formats._base import Format, Source, Writer, damaged

__all__ = ["CSV"]


class CSVSource(Source):
    """Every column is read as float64, because CSV has no types."""

    def __init__(self, path, key=None, column_names=None):
        self.path = path
        # Given names mean that the file has no header line.
        self._header = {} if column_names is None else {"column_names": list(column_names)}
        self._n_rows = None
        try:
            with self._open(pacsv.ConvertOptions()) as reader:
                self.names = list(reader.schema.names)
        except (pa.ArrowException, OSError, EOFError) as exc:
            raise damaged(path, None, exc) from exc

    def _open(self, convert_options):
        return pacsv.open_csv(
            pa.input_stream(str(self.path), compression="detect"),
            # Without threads the messages of pyarrow name the row.
            read_options=pacsv.ReadOptions(use_threads=False, **self._header),
            convert_options=convert_options,
        )

    @property
    def n_rows(self):
        if self._n_rows is None:
            column = self.names[:1]
            self._n_rows = sum(len(batch) for batch in self._batches(column, pa.string()))
        return self._n_rows

    @property
    def end(self):
        return sys.maxsize  # counting would read the file once more

    def chunks(self, columns, start, stop, batch_size, filters=None):
        row = 0
        for batch in self._batches(columns, pa.float64()):
            for first in range(max(start - row, 0), min(stop - row, len(batch)), batch_size):
                part = batch.slice(first, min(batch_size, stop - row - first))
                yield (
                    row + first,
                    {name: part.column(name).to_numpy(zero_copy_only=False) for name in columns},
                )
            row += len(batch)
            if row >= stop:
                return

    def _batches(self, columns, kind):
        convert = pacsv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, kind)
        )
        try:
            with self._open(convert) as reader:
                yield from reader
        except (pa.ArrowException, OSError) as exc:
            raise damaged(self.path, self._place(str(exc)), exc) from exc

    def _place(self, message):
        """Name the column that pyarrow's message only numbers."""
        found = re.search(r"CSV column #(\d+)", message)
        return f"column {self.names[int(found[1])]!r}" if found else None


class CSVWriter(Writer):
    """A header line and one line per event; floats round-trip in their own precision."""

    def __init__(self, path, key):
        self._path, self._writer = path, None

    def write(self, batch):
        # A boolean would be written as a word, and CSV is read as numbers.
        table = pa.table(
            {
                name: values.astype(np.int8) if values.dtype == bool else values
                for name, values in batch.items()
            }
        )
        if self._writer is None:
            self._schema = table.schema
            self._writer = pacsv.CSVWriter(self._path, table.schema)
        self._writer.write_table(table.cast(self._schema))

    def close(self):
        self._writer.close()


CSV = Format((".csv",), CSVSource, CSVWriter, read_only=(".csv.gz",))
