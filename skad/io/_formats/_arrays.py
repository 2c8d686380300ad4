"""Plain arrays as a source of events, whether in memory, memory-mapped or in HDF5."""

from skad.exceptions import DataFileError
from skad.io._formats._base import Source, damaged, numbered

__all__ = ["ArraySource"]


class ArraySource(Source):
    """A 2-D array, a structured array, or a dict of equally long 1-D arrays.

    The arrays are those of NumPy or datasets of h5py; only the rows asked for are read.
    """

    def __init__(self, path, content, column_names=None, close=None):
        self.path = path
        self._close = close
        if isinstance(content, dict):
            shapes = {name: array.shape for name, array in content.items()}
            if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) > 1:
                raise DataFileError(
                    f"{path}: its arrays have the shapes {shapes}; columns must be 1-D and "
                    "equally long. Choose one array with key=."
                )
            self._dtypes = {name: array.dtype for name, array in content.items()}
            self._read = lambda rows, columns: {name: content[name][rows] for name in columns}
            self._n_rows = next(iter(shapes.values()), (0,))[0]
        elif content.dtype.names and len(content.shape) == 1:
            self._dtypes = {name: content.dtype[name] for name in content.dtype.names}
            self._read = self._read_fields
            self._n_rows = content.shape[0]
        elif len(content.shape) == 2:
            names = numbered(content.shape[1], column_names, path)
            self._dtypes = dict.fromkeys(names, content.dtype)
            self._read = self._read_matrix
            self._n_rows = content.shape[0]
        else:
            raise DataFileError(
                f"{path}: holds an array of shape {content.shape}; events need two dimensions, "
                "(n_events, n_columns). Choose another with key=."
            )
        self._content = content
        self.names = list(self._dtypes)

    @property
    def n_rows(self):
        return self._n_rows

    def close(self):
        if self._close is not None:
            self._close()

    def check_types(self, columns):
        for name in columns:
            if self._dtypes[name].kind not in "fiub":
                self.refuse_type(name, self._dtypes[name])

    def chunks(self, columns, start, stop, batch_size, filters=None):
        for first in range(start, stop, batch_size):
            last = min(first + batch_size, stop)
            try:
                chunk = self._read(slice(first, last), columns)
            except OSError as exc:
                raise damaged(self.path, f"rows {first} to {last}", exc) from exc
            yield first, chunk

    def _read_fields(self, rows, columns):
        block = self._content[rows]
        return {name: block[name] for name in columns}

    def _read_matrix(self, rows, columns):
        block = self._content[rows]
        return {name: block[:, self.names.index(name)] for name in columns}
