"""NumPy's .npy (memory-mapped) and .npz files."""

import zipfile

import numpy as np

from skad.exceptions import DataFileError
from skad.io._formats._arrays import ArraySource
from skad.io._formats._base import Format, Writer, damaged

__all__ = ["NUMPY"]


def open_numpy(path, key=None, column_names=None):
    """Return the source of a .npy or .npz file."""
    try:
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content as archive:
                content = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as exc:
        raise damaged(path, None, exc) from exc
    if isinstance(content, dict):
        if key is not None and key not in content:
            raise DataFileError(f"{path}: no array {key!r}; it has {sorted(content)}.")
        if key is None and len(content) == 1:
            (key,) = content
        content = content if key is None else content[key]
    return ArraySource(path, content, column_names)


class NumpyWriter(Writer):
    """A structured array (.npy) or one array per column (.npz); collects all batches."""

    def __init__(self, path, key):
        self._path, self._batches = path, []

    def write(self, batch):
        self._batches.append(batch)

    def close(self):
        columns = {
            name: np.concatenate([batch[name] for batch in self._batches])
            for name in self._batches[0]
        }
        if self._path.suffix == ".npz":
            np.savez(self._path, **columns)
            return
        n_rows = len(next(iter(columns.values())))
        array = np.empty(n_rows, dtype=[(name, values.dtype) for name, values in columns.items()])
        for name, values in columns.items():
            array[name] = values
        np.save(self._path, array)


NUMPY = Format((".npy", ".npz"), open_numpy, NumpyWriter)
