"""CSV files, plain or compressed, through pyarrow; _csv_dialect reads the first lines."""

import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.types as pat

from skad.exceptions import DataFileError
from skad.io._formats._arrow import arrow_kind, arrow_to_numpy
from skad.io._formats._base import TEXT, Format, Source, Writer, damaged, is_number, refuse_option
from skad.io._formats._csv_dialect import header_line, read_dialect

__all__ = ["CSV"]

_ERRORS = (pa.ArrowException, OSError, EOFError)
_BLOCK_BYTES = 1 << 20
# What the types are taken from; a first line that is longer needs a larger block.
_FIRST_BYTES = 1 << 18
_EXACT = 1 << 53


class CSVSource(Source):
    """The first block tells the types; a column of integers becomes floats where others follow."""

    def __init__(self, path, key=None, column_names=None):
        refuse_option(path, "a CSV file holds one table", key=key)
        self.path = path
        self._dialect = read_dialect(path, column_names)
        # pandas writes its index as a column without a name.
        self.names = [name for name in self._dialect.names if name]
        self._all_names = _distinct(self._dialect.names)
        self._n_rows = None
        self._types = self._first_types()
        # What begins with integers and goes on with other numbers, as far as the file was read.
        self._widened = set()

    def _first_types(self):
        try:
            with self._open({}, block=_FIRST_BYTES) as reader:
                types = {field.name: field.type for field in reader.schema}
                block = reader.read_next_batch() if types else None
        except StopIteration:
            block = None
        except _ERRORS as exc:
            raise self._error(exc) from exc
        for name, kind in types.items():
            if pat.is_null(kind):
                types[name] = pa.float64()
            elif pat.is_float64(kind) and block is not None:
                top = pc.max(block.column(name)).as_py()
                # Integers beyond int64 come as floats, which would lose digits.
                if top is not None and top >= float(1 << 63) and self._unsigned(name):
                    types[name] = pa.uint64()
        return types

    def _unsigned(self, name):
        try:
            with self._open({name: pa.uint64()}, [name], block=_FIRST_BYTES) as reader:
                reader.read_next_batch()
        except _ERRORS:
            return False
        return True

    def _open(self, types, columns=None, *, threads=False, block=_BLOCK_BYTES):
        dialect = self._dialect
        return pacsv.open_csv(
            pa.input_stream(str(self.path), compression="detect"),
            read_options=pacsv.ReadOptions(
                # Without threads the messages of pyarrow name the row.
                use_threads=threads,
                block_size=block,
                skip_rows=dialect.skip_rows,
                column_names=self._all_names,
            ),
            parse_options=pacsv.ParseOptions(
                delimiter=dialect.delimiter,
                invalid_row_handler=lambda row: "skip" if row.text[:1] == "#" else "error",
            ),
            convert_options=pacsv.ConvertOptions(include_columns=columns, column_types=types),
        )

    @property
    def n_rows(self):
        if self._n_rows is None:
            column = self._all_names[0]
            self._n_rows = sum(len(batch) for batch in self._batches({column: pa.string()}))
        return self._n_rows

    end_is_exact = False

    @property
    def end(self):
        # Counting would read the file once more. A line has a byte for every field but an empty
        # line, which is no event; what a compressed file holds is not known.
        if self.path.suffix == ".gz":
            return sys.maxsize
        return self.path.stat().st_size // max(len(self._all_names), 2) + 1

    def kind(self, name):
        return arrow_kind(self._types[name])

    def describe(self, name):
        kind = self.kind(name)
        if kind not in (TEXT, "dates", "times"):
            return kind
        try:
            for _ in self._batches({name: pa.float64()}):
                pass
        except DataFileError as exc:
            hint = "pandas.read_csv knows thousands= and decimal=, if these are numbers"
            return f"{kind} ({exc.__cause__}; {hint})"
        return kind

    def dtypes(self, columns, start=0, stop=None):
        """Read the columns that begin with integers or booleans through the rows."""
        stop = sys.maxsize if stop is None else stop
        kinds = {name: self.kind(name) for name in columns}
        unknown = [name for name, kind in kinds.items() if kind.kind in "iub"]
        while types := {name: self._types[name] for name in unknown if name not in self._widened}:
            try:
                for row, batch in self._numbered(types):
                    inside = batch[max(start - row, 0) : max(stop - row, 0)]
                    for name in types:
                        if inside.column(name).null_count:
                            kinds[name] = np.dtype(np.float64)
                    if row + len(batch) >= stop:
                        break
                break
            except _WidenError as exc:
                self._widened.add(exc.name)
        return kinds | dict.fromkeys(self._widened & kinds.keys(), np.dtype(np.float64))

    def chunks(self, columns, start, stop, batch_size, filters=None):
        compared = [] if filters is None else filters.columns
        needed = list(dict.fromkeys([*columns, *compared]))
        types = {
            name: pa.float64() if name in self._widened else self._types[name] for name in needed
        }
        done = 0
        while True:
            try:
                for first, part in self._parts(types, start, stop, batch_size, done):
                    done = first + len(part)
                    values = {name: self._numbers(part, name, types[name]) for name in columns}
                    filtered = {
                        name: self._comparable(part, name, values, types) for name in compared
                    }
                    yield first, values, filtered
                return
            except _WidenError as exc:
                # From here on the column is one of floats; what came before stays.
                types[exc.name] = pa.float64()

    def _parts(self, types, start, stop, batch_size, done):
        """Yield the rows start to stop from row `done` on, cut alike each time."""
        for row, batch in self._numbered(types):
            for first in range(max(start - row, 0), min(stop - row, len(batch)), batch_size):
                if row + first >= done:
                    last = min(first + batch_size, stop - row, len(batch))
                    yield row + first, batch.slice(first, last - first)
            if row + len(batch) >= stop:
                return

    def _numbered(self, types):
        row = 0
        for batch in self._batches(types):
            yield row, batch
            row += len(batch)

    def _numbers(self, batch, name, kind):
        values = batch.column(name)
        numbers = arrow_to_numpy(values, f"{self.path}: column {name!r}")
        if pat.is_float64(kind):
            low, high = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 0.0)
            if np.isnan(low):
                low, high = np.nanmin(numbers, initial=0.0), np.nanmax(numbers, initial=0.0)
            if _EXACT <= -low < np.inf or _EXACT <= high < np.inf:
                self._refuse_long_integers(name)
        return numbers

    def _refuse_long_integers(self, name):
        for row, batch in self._numbered({name: pa.string()}):
            long = pc.match_substring_regex(batch.column(name), r"^\s*[+-]?[0-9]{16,}\s*$")
            where = np.flatnonzero(long.fill_null(False).to_numpy(zero_copy_only=False))
            for i in where:
                text = batch.column(name)[int(i)].as_py()
                if int(text) != int(float(text)):
                    raise DataFileError(
                        f"{self.path}: column {name!r} at row {row + int(i)} holds the integer "
                        f"{text.strip()}, which loses digits as a float, beside numbers that are "
                        "no integers or are missing. Leave the column out with columns=, or write "
                        "the file as Parquet."
                    )

    def _comparable(self, batch, name, values, types):
        if is_number(arrow_kind(types[name])):
            return values[name] if name in values else self._numbers(batch, name, types[name])
        return batch.column(name).to_pandas()

    def _batches(self, types):
        columns = list(types)
        try:
            with self._open(types, columns, threads=True) as reader:
                yield from reader
            return
        except _ERRORS as exc:
            if not isinstance(exc, pa.ArrowInvalid):
                raise self._error(exc) from exc
        # Once more, for the place.
        try:
            with self._open(types, columns) as reader:
                for _ in reader:
                    pass
        except _ERRORS as exc:
            name = self._column_in(str(exc))
            if name in types and pat.is_integer(types[name]):
                raise _WidenError(name) from exc
            raise self._error(exc) from exc

    def _column_in(self, message):
        """Return the column that pyarrow's message only numbers."""
        found = re.search(r"CSV column #(\d+)", message)
        return self._all_names[int(found[1])] if found else None

    def _error(self, exc):
        """Tell texts and odd lines from damage."""
        message = " ".join(str(exc).split())
        name = self._column_in(message)
        if name is not None:
            place = re.sub(r"^In CSV column #\d+: ", "", message)
            kind = "true and false" if "to bool:" in place else "numbers"
            return DataFileError(
                f"{self.path}: column {name!r}: {place}. It holds something else than {kind} "
                "there; leave the column out with columns=, or read the file with "
                "pandas.read_csv, which knows thousands=, decimal= and na_values=, and pass the "
                "DataFrame on."
            )
        if "Expected" in message and "columns, got" in message:
            return DataFileError(
                f"{self.path}: {message}. The lines have different numbers of fields, separated by "
                f"{self._dialect.delimiter!r}; the file is cut off there, or the line is none of "
                "events."
            )
        return damaged(self.path, None, exc)


def _distinct(names):
    """Return names for pyarrow, which takes each only once; the first keeps its own."""
    return [
        name if name and names.index(name) == i else f"unnamed {i}" for i, name in enumerate(names)
    ]


class _WidenError(Exception):
    """A column that began with integers holds other numbers later."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class CSVWriter(Writer):
    """A header line and one line per event; floats round-trip in their own precision."""

    def __init__(self, path, key):
        refuse_option(path, "a CSV file holds one table", key=key)
        suffixes = path.name.lower()
        self._delimiter = "\t" if ".tsv" in suffixes else ","
        compression = "gzip" if suffixes.endswith(".gz") else None
        self._stream = pa.output_stream(str(path), compression=compression)
        self._begun = False

    def write(self, batch):
        table = pa.table({name: _printable(values) for name, values in batch.items()})
        if not self._begun:
            self._stream.write(header_line(list(batch), self._delimiter).encode())
            self._begun = True
        options = pacsv.WriteOptions(
            include_header=False, delimiter=self._delimiter, quoting_style="none"
        )
        pacsv.write_csv(table, self._stream, options)

    def close(self):
        self._stream.close()


def _printable(values):
    """Return what Arrow prints so that it is read back as the same kind of number."""
    if values.dtype == np.float16:
        values = values.astype(np.float32)  # Arrow prints no half floats; the digits are the same
    if values.dtype.kind == "f" and np.all(values == np.floor(values)):
        # Arrow prints 1.0 as 1, which would be read as an integer.
        texts = pc.cast(pa.array(values), pa.string())
        whole = pc.match_substring_regex(texts, "^-?[0-9]+$")
        return pc.if_else(whole, pc.binary_join_element_wise(texts, "0", "."), texts)
    return values


CSV = Format((".csv", ".csv.gz", ".tsv", ".tsv.gz"), CSVSource, CSVWriter)
