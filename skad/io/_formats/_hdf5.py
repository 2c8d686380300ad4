"""HDF5 files: plain arrays, and the choice of what to read; DataFrames are in _hdf5_frames.

Everything is read through h5py, which runs nothing that a file holds. PyTables and pandas unpickle
attributes, and so run code in them; they only write here.
"""

from contextlib import suppress

from skad.exceptions import DataFileError, SkadError
from skad.io._formats._arrays import ArraySource, Fields, Matrix, blocks_of
from skad.io._formats._base import Format, Writer, damaged, refuse_option, shortened
from skad.io._formats._hdf5_frames import frame_blocks, is_frame
from skad.utils._optional import import_optional

__all__ = ["HDF5", "open_hdf5"]

_DEFAULT_KEY = "events"


def open_hdf5(path, key=None, column_names=None):
    """Return the source of a DataFrame written by pandas, or of plain arrays."""
    h5py = import_optional("h5py", extra="hep", purpose="Reading HDF5")
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401 - registers the filters of PyTables and others
    file = None
    try:
        file = h5py.File(path, "r")
        return _source(file, path, key, column_names, h5py)
    except BaseException as exc:
        if file is not None:
            file.close()
        if isinstance(exc, Exception) and not isinstance(exc, SkadError):
            raise damaged(path, None, exc) from exc
        raise


def _source(file, path, key, column_names, h5py):
    frames, datasets = _contents(file, h5py)
    if key is not None:
        node = file.get(key) if file.get(key, getlink=True, default=None) else None
        if node is None:
            raise DataFileError(
                f"{path}: no {key!r}; it has {shortened([*frames, *datasets] or sorted(file))}."
            )
    elif len(frames) > 1:
        raise DataFileError(
            f"{path}: holds the DataFrames {shortened(frames)}; choose one with key=."
        )
    else:
        node = file[frames[0]] if frames else _default_node(file, path, datasets)
    _refuse_elsewhere(file, node, path, h5py)
    if is_frame(node):
        refuse_option(path, "the columns of a DataFrame have names", column_names=column_names)
        blocks, names = frame_blocks(node, path)
    else:
        blocks, names = blocks_of(path, _arrays(node, path, h5py), column_names), None
    for block in blocks:
        if isinstance(block.array, h5py.Dataset):  # not the stand-in for a block without rows
            _check_dataset(block.array, path, h5py)
            _mark_booleans(block, h5py)
    return ArraySource(path, blocks, names=names, close=file.close)


def _contents(file, h5py):
    """Return the paths of the DataFrames, and of the datasets that belong to none."""
    frames, datasets = [], []

    def visit(name, node):
        if any(name.startswith(f"{frame}/") for frame in frames):
            return
        if is_frame(node):
            frames.append(name)
        # PyTables keeps the indices of its tables in such groups.
        elif isinstance(node, h5py.Dataset) and "_i_" not in name:
            datasets.append(name)

    file.visititems(visit)
    return frames, datasets


def _default_node(file, path, datasets):
    """Return the dataset or group of datasets that can be meant when no key is given."""
    parents = {name.rpartition("/")[0] for name in datasets}
    if len(datasets) == 1:
        return file[datasets[0]]
    if "" in parents:
        return file
    if len(parents) == 1:
        return file[parents.pop()]
    if not datasets:
        raise DataFileError(f"{path}: holds no dataset; it has {shortened(sorted(file))}.")
    raise DataFileError(
        f"{path}: holds the datasets {shortened(datasets)}; choose one, or a group of them, with "
        "key=."
    )


def _arrays(node, path, h5py):
    """Return a dataset, or the datasets of a group, by name."""
    if isinstance(node, h5py.Dataset):
        return {node.name.rpartition("/")[2]: node}
    if not isinstance(node, h5py.Group):
        raise DataFileError(f"{path}: {node.name!r} is a type, not a dataset.")
    arrays = {}
    for name in node:
        # Links to other files, or to nowhere, are no columns of this one.
        if isinstance(node.get(name, getlink=True), h5py.HardLink):
            item = node[name]
            if isinstance(item, h5py.Dataset) and item.shape != ():
                arrays[name] = item
    if not arrays:
        raise DataFileError(
            f"{path}: no dataset in {node.name!r}; it has {shortened(sorted(node))}. "
            "Choose a dataset or a group of datasets with key=."
        )
    for array in arrays.values():
        if array.shape is None:
            raise DataFileError(f"{path}: {array.name!r} is an empty dataset without a shape.")
    return arrays


def _refuse_elsewhere(file, node, path, h5py):
    if node.file.filename != file.filename:
        raise DataFileError(
            f"{path}: {node.name!r} lies in another file, {node.file.filename}; read that file."
        )
    if isinstance(node, h5py.Dataset) and node.shape is None:
        raise DataFileError(f"{path}: {node.name!r} is an empty dataset without a shape.")


def _check_dataset(dataset, path, h5py):
    """Refuse what would be read as zeros, or cannot be decompressed."""
    if dataset.is_virtual or dataset.external:
        raise DataFileError(
            f"{path}: {dataset.name!r} keeps its values in other files; copy it into one file "
            "with h5repack."
        )
    filters = dataset.id.get_create_plist()
    for i in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(i)
        if not h5py.h5z.filter_avail(code):
            name = name.decode("ascii", "replace") if name else "unknown"
            raise DataFileError(
                f"{path}: {dataset.name!r} is compressed with the HDF5 filter {code} ({name}), "
                "which is not installed. If pip install hdf5plugin does not bring it (it has no "
                "lzo), compress the file anew: ptrepack --complib zlib --complevel 5 old.h5 new.h5"
            )


def _mark_booleans(block, h5py):
    """PyTables writes booleans as bit fields, which h5py takes for integers."""

    def is_boolean(stored):
        base = stored.get_super() if stored.get_class() == h5py.h5t.ARRAY else stored
        return base.get_class() == h5py.h5t.BITFIELD and base.get_size() == 1

    import numpy as np

    stored = block.array.id.get_type()
    if isinstance(block, Matrix):
        if is_boolean(stored) and isinstance(block.dtype, np.dtype):
            block.dtype = np.dtype(bool)
            block.kinds = dict.fromkeys(block.names, block.dtype)
    elif isinstance(block, Fields):
        bits = {
            stored.get_member_name(i).decode()
            for i in range(stored.get_nmembers())
            if is_boolean(stored.get_member_type(i))
        }
        for name, place in block.places.items():
            field = place[0] if isinstance(place, tuple) else place
            if field in bits and isinstance(block.kinds[name], np.dtype):
                block.kinds[name] = np.dtype(bool)


class HDF5Writer(Writer):
    """A DataFrame in the table format of pandas, with a checksum of every chunk."""

    def __init__(self, path, key):
        import_optional("tables", extra="hep", purpose="Writing HDF5")
        import pandas as pd

        self._path, self._key, self._n_rows = path, key or _DEFAULT_KEY, 0
        self._first = None
        self._store = pd.HDFStore(path, mode="w", complevel=5, complib="blosc", fletcher32=True)

    def write(self, batch):
        import pandas as pd

        frame = pd.DataFrame(batch)
        if self._first is None:
            self._first = frame[:0]
        if len(frame):
            self._store.append(self._key, frame, index=False)
            self._n_rows += len(frame)

    def close(self):
        try:
            if self._n_rows == 0 and self._first is not None:
                # pandas does not append a frame without rows.
                import pandas as pd

                row = pd.DataFrame({name: self._first[name].to_numpy() for name in self._first})
                row = row.reindex([0]).fillna(0).astype(self._first.dtypes)
                self._store.append(self._key, row, index=False)
                self._store.get_storer(self._key).table.remove_rows(0, 1)
        finally:
            self._store.close()
        if self._first is not None:
            self._verify()

    def _verify(self):
        """Read the file back, because PyTables goes on when the disk is full."""
        try:
            with open_hdf5(self._path) as source:
                n_rows = source.n_rows
                chunks = source.chunks(source.names, 0, n_rows, 1 << 18)
                n_read = sum(len(chunk[source.names[0]]) for _, chunk, _ in chunks)
                stored = source.stored_chunks()
        except SkadError as exc:
            raise OSError(f"it cannot be read back; is the disk full? {exc}") from exc
        # Chunks that never arrived are read as zeros.
        if not n_read == n_rows == self._n_rows or not stored:
            raise OSError(f"{n_read} of {self._n_rows} rows arrived; is the disk full?")


HDF5 = Format(
    (".h5", ".hdf5", ".hdf"),
    open_hdf5,
    HDF5Writer,
    dtypes="bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64",
)
