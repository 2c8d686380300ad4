"""HDF5 files: DataFrames as pandas writes them, and plain arrays."""

from skad.exceptions import DataFileError
from skad.io._formats._arrays import ArraySource
from skad.io._formats._base import Format, Source, Writer, damaged
from skad.utils._optional import import_optional

__all__ = ["HDF5"]

_DEFAULT_KEY = "events"


def open_hdf5(path, key=None, column_names=None):
    """Return the source of a DataFrame written by pandas, or of plain arrays."""
    h5py = import_optional("h5py", extra="hep", purpose="Reading HDF5")
    try:
        file = h5py.File(path, "r")
    except OSError as exc:
        raise damaged(path, None, exc) from exc
    try:
        if key is not None and key not in file:
            raise DataFileError(f"{path}: no {key!r}; it has {sorted(file)}.")
        frames = [name for name, node in file.items() if "pandas_type" in node.attrs]
        if key is None and len(frames) > 1:
            raise DataFileError(f"{path}: holds the DataFrames {frames}; choose one with key=.")
        node = file[key or (frames[0] if frames else "/")]
        if "pandas_type" not in node.attrs:
            return ArraySource(path, _arrays(node, path, h5py), column_names, close=file.close)
    except BaseException:
        file.close()
        raise
    key = node.name
    file.close()
    return _FrameSource(path, key)


def _arrays(node, path, h5py):
    """Return a dataset, or the datasets of a group by name."""
    if isinstance(node, h5py.Dataset):
        return node
    datasets = {name: value for name, value in node.items() if isinstance(value, h5py.Dataset)}
    if not datasets:
        raise DataFileError(
            f"{path}: no dataset in {node.name!r}; it has {sorted(node)}. "
            "Choose a dataset or a group of datasets with key=."
        )
    return next(iter(datasets.values())) if len(datasets) == 1 else datasets


class _FrameSource(Source):
    """A DataFrame in the fixed or the table format of `DataFrame.to_hdf` (PyTables)."""

    def __init__(self, path, key):
        import_optional("tables", extra="hep", purpose="Reading HDF5 files of pandas")
        import pandas as pd

        self.path = path
        self._key = key
        self._store = pd.HDFStore(path, mode="r")
        try:
            head = self._select(0, 1)
            if head.ndim != 2:
                raise DataFileError(f"{path}: {key!r} holds a Series; events need a DataFrame.")
            storer = self._store.get_storer(key)
            self._is_table = storer.is_table
            self._n_rows = int(storer.nrows if storer.is_table else storer.shape[0])
        except BaseException:
            self.close()
            raise
        # The raw LHC Olympics files number their columns.
        self._labels = {str(label): label for label in head.columns}
        self._dtypes = {str(label): dtype for label, dtype in head.dtypes.items()}
        self.names = list(self._labels)

    @property
    def n_rows(self):
        return self._n_rows

    def close(self):
        self._store.close()

    def check_types(self, columns):
        for name in columns:
            if self._dtypes[name].kind not in "fiub":
                self.refuse_type(name, self._dtypes[name])

    def chunks(self, columns, start, stop, batch_size, filters=None):
        labels = [self._labels[name] for name in columns]
        # The fixed format stores blocks of columns, which can only be read whole.
        pushed = {"columns": labels} if self._is_table else {}
        for first in range(start, stop, batch_size):
            frame = self._select(first, min(first + batch_size, stop), **pushed)
            yield first, {name: frame[self._labels[name]].to_numpy() for name in columns}

    def _select(self, start, stop, **columns):
        try:
            return self._store.select(self._key, start=start, stop=stop, **columns)
        # Those of PyTables derive from Exception only.
        except Exception as exc:
            raise damaged(self.path, f"rows {start} to {stop}", exc) from exc


class HDF5Writer(Writer):
    """A DataFrame in the table format of pandas, which can be appended to and selected from."""

    def __init__(self, path, key):
        import_optional("tables", extra="hep", purpose="Writing HDF5")
        import pandas as pd

        self._store = pd.HDFStore(path, mode="w", complevel=5, complib="blosc")
        self._key = key or _DEFAULT_KEY

    def write(self, batch):
        import pandas as pd

        self._store.append(self._key, pd.DataFrame(batch), index=False)

    def close(self):
        self._store.close()


HDF5 = Format((".h5", ".hdf5", ".hdf"), open_hdf5, HDF5Writer)
