"""NumPy's .npy (memory-mapped) and .npz files (streamed out of the archive)."""

import ast
import struct
import zipfile

import numpy as np
from numpy.lib import format as npy_format

from skad.exceptions import DataFileError, SkadError
from skad.io._formats._arrays import ArraySource, blocks_of
from skad.io._formats._base import Format, Writer, damaged, refuse_option, shortened

__all__ = ["NUMPY"]

_COPY_ROWS = 1 << 18
_MAX_HEADER = 1 << 20


def open_numpy(path, key=None, column_names=None):
    """Return the source of a .npy or .npz file."""
    archive = None
    try:
        if path.suffix.lower() == ".npz":
            archive = zipfile.ZipFile(path)
            _check_directory(archive, path)
            arrays = _arrays_of(archive, path, key)
        else:
            refuse_option(path, "a .npy file holds one array", key=key)
            arrays = {"x0": _mapped(path)}
        blocks = blocks_of(path, arrays, column_names)
    except BaseException as exc:
        if archive is not None:
            archive.close()
        if isinstance(exc, Exception) and not isinstance(exc, SkadError):
            raise damaged(path, None, exc) from exc
        raise
    return ArraySource(path, blocks, close=None if archive is None else archive.close)


def _check_directory(archive, path):
    """Notice a damaged list of arrays, which would be a shorter one."""
    odd = [name for name in archive.namelist() if not name.endswith(".npy")]
    if odd:
        raise DataFileError(f"{path}: holds {shortened(odd, 3)}, no arrays of NumPy.")
    with open(path, "rb") as file:
        file.seek(archive.start_dir)
        n_entries = file.read().count(zipfile.stringCentralDir)
    if n_entries != len(archive.infolist()):
        raise ValueError(f"it lists {len(archive.infolist())} of {n_entries} arrays")


def _mapped(path):
    with open(path, "rb") as file:
        _, _, dtype = _header(file)
        if dtype.hasobject:
            raise DataFileError(
                f"{path}: holds pickled Python objects, which are not read, since a pickle can "
                "run code. Write it again with one number per value."
            )
    return np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=_MAX_HEADER)


def _header(file):
    """Return shape, order and dtype; NumPy's functions stop at the first two versions."""
    version = npy_format.read_magic(file)
    if version < (3, 0):
        read = (
            npy_format.read_array_header_1_0
            if version == (1, 0)
            else npy_format.read_array_header_2_0
        )
        return read(file, max_header_size=_MAX_HEADER)
    (length,) = struct.unpack("<I", file.read(4))
    if version != (3, 0) or length > _MAX_HEADER:
        raise ValueError(f"a header of version {version} and {length} bytes")
    header = ast.literal_eval(file.read(length).decode("utf-8"))
    return header["shape"], header["fortran_order"], npy_format.descr_to_dtype(header["descr"])


def _arrays_of(archive, path, key):
    names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if key is not None and key not in names:
        raise DataFileError(f"{path}: no array {key!r}; it has {shortened(sorted(names))}.")
    arrays = {name: _ZippedArray(archive, f"{name}.npy") for name in names}
    if key is not None:
        return {key: arrays[key]}
    # Single values beside the columns say something about them.
    columns = {name: array for name, array in arrays.items() if array.shape != ()}
    if not columns:
        raise DataFileError(f"{path}: holds no array of events; it has {shortened(names)}.")
    return columns


class _ZippedArray:
    """Rows of an array in an archive, decompressed as they are read, best in order."""

    def __init__(self, archive, name):
        self._archive, self._name = archive, name
        self._stream, self._row, self._whole = None, 0, None
        with archive.open(name) as stream:
            self.shape, self._fortran, self.dtype = _header(stream)

    def __getitem__(self, rows):
        start, stop, _ = rows.indices(self.shape[0])
        if self.dtype.hasobject:
            raise ValueError("Python objects")
        if self._fortran and len(self.shape) > 1:
            if self._whole is None:
                with self._archive.open(self._name) as stream:
                    self._whole = npy_format.read_array(
                        stream, allow_pickle=False, max_header_size=_MAX_HEADER
                    )
            return self._whole[start:stop]
        return self._rows(start, max(stop, start))

    def _rows(self, start, stop):
        n_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        if self._stream is None or self._row > start:
            if self._stream is not None:
                self._stream.close()
            self._stream = self._archive.open(self._name)
            _header(self._stream)
            self._row = 0
        skip = (start - self._row) * n_bytes
        while skip > 0:
            skip -= len(self._stream.read(min(skip, 1 << 20))) or _too_short(self._name)
        wanted = (stop - start) * n_bytes
        pieces = []
        while wanted > 0:
            # A damaged header may promise more than there is memory.
            piece = self._stream.read(min(wanted, 1 << 24)) or _too_short(self._name)
            pieces.append(piece)
            wanted -= len(piece)
        self._row = stop
        if stop == self.shape[0]:
            # The end is where the checksum of the archive is compared.
            while self._stream.read(1 << 20):
                pass
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return np.frombuffer(content, self.dtype).reshape(stop - start, *self.shape[1:])


def _too_short(name):
    raise EOFError(f"{name} ends too early")


class NpyWriter(Writer):
    """A structured array, written as it comes; its length is filled in at the end."""

    def __init__(self, path, key):
        refuse_option(path, "a .npy file holds one array", key=key)
        self._file, self._dtype, self._n_rows = open(path, "wb"), None, 0  # noqa: SIM115

    def write(self, batch):
        if self._dtype is None:
            self._dtype = np.dtype([(name, values.dtype) for name, values in batch.items()])
            self._write_header()
        n_rows = len(next(iter(batch.values())))
        for start in range(0, n_rows, _COPY_ROWS):
            rows = slice(start, min(start + _COPY_ROWS, n_rows))
            block = np.empty(rows.stop - start, self._dtype)
            for name, values in batch.items():
                block[name] = values[rows]
            self._file.write(block.tobytes())
        self._n_rows += n_rows

    def _write_header(self):
        descr = npy_format.dtype_to_descr(self._dtype)
        # Wide enough for any number of rows, so that the header keeps its length.
        text = repr({"descr": descr, "fortran_order": False, "shape": (self._n_rows,)})
        text += " " * (20 - len(str(self._n_rows)))
        version, encoding = ((2, 0), "latin-1") if text.isascii() else ((3, 0), "utf-8")
        header = text.encode(encoding)
        start = npy_format.magic(*version)
        padding = -(len(start) + 4 + len(header) + 1) % npy_format.ARRAY_ALIGN
        self._file.write(start + struct.pack("<I", len(header) + padding + 1))
        self._file.write(header + b" " * padding + b"\n")

    def close(self):
        with self._file:
            if self._dtype is not None:
                end = self._file.tell()
                self._file.seek(0)
                self._write_header()
                self._file.seek(end)


class NpzWriter(Writer):
    """One array per column; collects all batches."""

    def __init__(self, path, key):
        refuse_option(path, "the columns are the arrays of a .npz file", key=key)
        self._path, self._batches = path, []

    def write(self, batch):
        self._batches.append(batch)

    def close(self):
        if self._batches:
            columns = {
                name: np.concatenate([batch.pop(name) for batch in self._batches])
                for name in list(self._batches[0])
            }
            _save_columns(self._path, columns)


def _save_columns(path, columns):
    """Write the archive; `numpy.savez` takes no column of the name "file"."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, values in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                npy_format.write_array(stream, values, allow_pickle=False)


def open_writer(path, key):
    return NpzWriter(path, key) if path.suffix.lower() == ".npz" else NpyWriter(path, key)


NUMPY = Format((".npy", ".npz"), open_numpy, open_writer)
