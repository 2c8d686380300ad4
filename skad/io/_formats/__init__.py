"""File formats of events, chosen by the suffix of the path."""

from pathlib import Path

from skad.io._formats._base import Source, Writer, replacing, shortened
from skad.io._formats._csv import CSVSource, CSVWriter
from skad.io._formats._hdf5 import HDF5Writer, open_hdf5
from skad.io._formats._numpy import NumpyWriter, open_numpy
from skad.io._formats._parquet import ParquetSource, ParquetWriter
from skad.io._formats._root import ROOTSource, ROOTWriter

__all__ = ["FORMATS", "Source", "Writer", "open_source", "open_writer", "replacing", "shortened"]

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".hdf": "hdf5",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".npy": "numpy",
    ".npz": "numpy",
    ".root": "root",
}
_WRITERS = {
    "parquet": ParquetWriter,
    "hdf5": HDF5Writer,
    "csv": CSVWriter,
    "numpy": NumpyWriter,
    "root": ROOTWriter,
}


def _format_of(path):
    name = path.name.lower()
    for suffix, file_format in FORMATS.items():
        if name.endswith(suffix):
            return file_format
    raise ValueError(
        f"{path}: the format is chosen by the suffix, which must be one of {sorted(FORMATS)}."
    )


def open_source(path, *, key=None, column_names=None, file_format=None):
    """Open a file of events for reading; the suffix tells the format where none is given."""
    path = Path(path)
    file_format = file_format or _format_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    if file_format == "parquet":
        return ParquetSource(path)
    if file_format == "hdf5":
        return open_hdf5(path, key, column_names)
    if file_format == "csv":
        return CSVSource(path, column_names)
    if file_format == "numpy":
        return open_numpy(path, key, column_names)
    return ROOTSource(path, key)


def open_writer(path, *, key=None):
    """Open a file of events for writing."""
    path = Path(path)
    file_format = _format_of(path)
    if path.name.lower().endswith(".gz"):
        raise ValueError(f"{path}: compressed CSV can be read but not written; drop the '.gz'.")
    return _WRITERS[file_format](path, key)
