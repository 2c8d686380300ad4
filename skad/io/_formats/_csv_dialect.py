"""What the first lines of a CSV file say: comments, delimiter, header."""

import csv
import io
from dataclasses import dataclass

import pyarrow as pa

from skad.exceptions import DataFileError
from skad.io._formats._base import damaged, shortened

__all__ = ["Dialect", "header_line", "read_dialect"]

_HEAD_BYTES = 1 << 17
_DELIMITERS = [",", ";", "\t", "|"]


@dataclass(frozen=True)
class Dialect:
    """How to read the lines of events: how many to skip, and what separates the fields."""

    skip_rows: int
    delimiter: str
    names: list[str]


def read_dialect(path, column_names):
    """Return the dialect of a file; given names say that it has no header line."""
    lines = _first_lines(path)
    n_comments = 0
    while n_comments < len(lines) and (
        lines[n_comments].startswith("#") or not lines[n_comments].strip()
    ):
        n_comments += 1
    if n_comments == len(lines):
        raise DataFileError(f"{path}: is empty, or holds nothing but comments.")
    line = lines[n_comments]
    n_names = None if column_names is None else len(column_names)
    delimiter = _delimiter(path, line, n_names)
    fields = [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
    if len(fields) == 1 and len(line.split()) > 1:
        following = lines[n_comments + 1 : n_comments + 2]
        if not following or len(following[0].split()) == len(line.split()):
            raise DataFileError(
                f"{path}: its fields are separated by blanks ({line[:60]!r}). Read it with "
                "pandas.read_csv(path, sep=r'\\s+') and pass the DataFrame on."
            )
    if column_names is not None:
        if len(fields) != n_names:
            raise DataFileError(
                f"{path}: has {len(fields)} columns, but column_names has {n_names} names."
            )
        return Dialect(n_comments, delimiter, list(column_names))
    if '"' not in line and all(_is_number(field) for field in fields):
        raise DataFileError(
            f"{path}: the header line holds numbers only, {shortened(fields, 5)}. If it is an "
            "event, name the columns with column_names=; if they are names, put them in quotes."
        )
    return Dialect(n_comments + 1, delimiter, fields)


def header_line(names, delimiter):
    """Return the line of names; in quotes where it could be taken for a comment or an event."""
    for name in names:
        if name != name.strip() or "\n" in name or "\r" in name:
            raise ValueError(f"CSV has no columns named {name!r}, with blanks or lines around it")
    quoted = names[0].startswith("#") or all(_is_number(name) for name in names)
    line = io.StringIO()
    writer = csv.writer(
        line,
        delimiter=delimiter,
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL,
    )
    writer.writerow(names)
    return line.getvalue()


def _first_lines(path):
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            content = stream.read(_HEAD_BYTES)
    except (pa.ArrowException, OSError, EOFError) as exc:
        raise damaged(path, None, exc) from exc
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _encoding_error(path, "UTF-16")
    if b"\0" in content:
        raise DataFileError(
            f"{path}: holds bytes of zero, so that it is no text; its suffix is wrong, or it is "
            "damaged."
        )
    # The last line may be cut in the middle of a letter.
    lines = content.splitlines() if len(content) < _HEAD_BYTES else content.splitlines()[:-1]
    try:
        return [line.decode("utf-8") for line in lines[:1000]]
    except UnicodeDecodeError as exc:
        raise _encoding_error(path, "not UTF-8, perhaps latin-1", exc) from exc


def _encoding_error(path, encoding, exc=None):
    where = f" ({exc})" if exc is not None else ""
    return DataFileError(
        f"{path}: its text is {encoding}{where}. Convert it, for example with: "
        "iconv -f latin1 -t utf-8 old.csv > new.csv"
    )


def _delimiter(path, line, n_names):
    if ".tsv" in path.name.lower():
        return "\t"
    if n_names is not None:
        for delimiter in _DELIMITERS:
            if len(next(csv.reader([line], delimiter=delimiter))) == n_names:
                return delimiter
    return next((delimiter for delimiter in _DELIMITERS if delimiter in line), ",")


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True
