"""File formats of events, chosen by the suffix of the path; one file and one line here for each."""

from pathlib import Path

from skad.io._formats._base import shortened
from skad.io._formats._csv import CSV
from skad.io._formats._hdf5 import HDF5
from skad.io._formats._numpy import NUMPY
from skad.io._formats._parquet import PARQUET
from skad.io._formats._root import ROOT

__all__ = [
    "FORMATS",
    "HDF5",
    "format_to_write",
    "open_source",
    "shortened",
]

FORMATS = (PARQUET, HDF5, CSV, NUMPY, ROOT)


def open_source(path, *, key=None, column_names=None, file_format=None):
    """Open a file of events for reading; the suffix tells the format where none is given."""
    path = Path(path)
    file_format = file_format or _format_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    return file_format.source(path, key, column_names)


def format_to_write(path):
    """Return the format of a file that is to be written."""
    file_format = _format_of(path)
    for suffix in file_format.read_only:
        if path.name.lower().endswith(suffix):
            raise ValueError(
                f"{path}: files with the suffix {suffix!r} can be read but not written; take "
                f"{' or '.join(map(repr, file_format.suffixes))}."
            )
    return file_format


def _format_of(path):
    name = path.name.lower()
    for file_format in FORMATS:
        if name.endswith(file_format.suffixes + file_format.read_only):
            return file_format
    suffixes = sorted(suffix for each in FORMATS for suffix in each.suffixes + each.read_only)
    raise ValueError(
        f"{path}: the format is chosen by the suffix, which must be one of {suffixes}."
    )
