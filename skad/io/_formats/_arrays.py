"""Plain arrays as a source of events, whether memory-mapped, zipped or in HDF5."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skad.exceptions import DataFileError
from skad.io._formats._base import TEXT, Source, damaged, is_number, native, shortened

__all__ = ["ArraySource", "Fields", "Matrix", "blocks_of", "kind_of"]

_SLAB_BYTES = 1 << 26


@dataclass
class Matrix:
    """Columns in an array of shape (n_rows, n_columns), (n_columns, n_rows) or (n_rows,)."""

    array: Any
    names: list[str]
    dtype: Any
    transposed: bool = False
    n_rows: int | None = None

    def __post_init__(self):
        self.kinds = dict.fromkeys(self.names, self.dtype)
        self._position = {name: i for i, name in enumerate(self.names)}
        if self.n_rows is None:
            self.n_rows = int(self.array.shape[-1 if self.transposed else 0])

    def read(self, start, stop, columns):
        if len(self.array.shape) == 1:
            (name,) = columns
            return {name: _converted(self.array[start:stop], self.dtype)}
        positions = [self._position[name] for name in columns]
        if self.transposed:
            return {
                name: _converted(self.array[i, start:stop], self.dtype)
                for name, i in zip(columns, positions, strict=True)
            }
        values = [np.empty(stop - start, self.dtype.newbyteorder("=")) for _ in columns]
        # A slab of all columns may be far larger than the columns that are wanted.
        step = max(1, _SLAB_BYTES // max(1, self.array.shape[1] * self.array.dtype.itemsize))
        for first in range(start, stop, step):
            slab = self.array[first : min(first + step, stop)]
            for column, i in zip(values, positions, strict=True):
                column[first - start : first - start + len(slab)] = slab[:, i]
        return dict(zip(columns, values, strict=True))


@dataclass
class Fields:
    """Columns in a structured array; ``places[name]`` is a field, or (field, position in it)."""

    array: Any
    places: dict[str, Any]
    kinds: dict[str, Any]

    def __post_init__(self):
        self.names = list(self.places)
        self.n_rows = int(self.array.shape[0])

    def read(self, start, stop, columns):
        fields = list(dict.fromkeys(self._field(name)[0] for name in columns))
        # h5py takes the names of several fields only through this.
        array = self.array.fields(fields) if hasattr(self.array, "fields") else self.array
        block = array[start:stop]
        values = {}
        for name in columns:
            field, position = self._field(name)
            column = block[field]
            column = column if position is None else column[:, position]
            values[name] = _converted(np.ascontiguousarray(column), self.kinds[name])
        return values

    def _field(self, name):
        place = self.places[name]
        return place if isinstance(place, tuple) else (place, None)


class ArraySource(Source):
    """Blocks of columns side by side, all of the same number of rows."""

    def __init__(self, path, blocks, *, names=None, close=None):
        self.path = path
        self._close = close
        self._blocks = blocks
        self._block_of = {name: block for block in blocks for name in block.names}
        self.names = list(names) if names is not None else [n for b in blocks for n in b.names]
        self._n_rows = blocks[0].n_rows if blocks else 0

    @property
    def n_rows(self):
        return self._n_rows

    def kind(self, name):
        return self._block_of[name].kinds[name]

    def close(self):
        if self._close is not None:
            self._close()

    def stored_chunks(self):
        """Whether all chunks of HDF5 are there; missing ones are read as zeros."""
        return all(
            block.array.id.get_num_chunks() == -(-block.n_rows // block.array.chunks[0])
            for block in self._blocks
        )

    def chunks(self, columns, start, stop, batch_size, filters=None):
        compared = [] if filters is None else filters.columns
        for first in range(start, stop, batch_size):
            last = min(first + batch_size, stop)
            try:
                chunk = self._read(first, last, dict.fromkeys([*columns, *compared]))
            # Damaged bytes make the libraries below raise errors of every kind.
            except Exception as exc:
                raise damaged(self.path, f"rows {first} to {last}", exc) from exc
            yield (
                first,
                {name: chunk[name] for name in columns},
                {name: _readable(chunk[name]) for name in compared},
            )

    def _read(self, start, stop, columns):
        chunk = {}
        for block in self._blocks:
            wanted = [name for name in columns if self._block_of[name] is block]
            if wanted:
                chunk.update(block.read(start, stop, wanted))
        for name, values in chunk.items():
            if len(values) != stop - start:
                raise ValueError(f"column {name!r} has {len(values)} of {stop - start} rows")
        return chunk


def _converted(values, kind):
    values = np.asarray(values)
    if isinstance(kind, np.dtype) and kind.kind == "b":
        return values.astype(bool)
    return native(values)


def _readable(values):
    """Decode text that is stored as bytes."""
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace").astype(object)
    return values


def kind_of(dtype):
    """Return the kind of a column of this dtype: itself, or words where it is no number."""
    if is_number(dtype):
        return dtype.newbyteorder("=")
    if dtype.shape:
        return f"{' x '.join(map(str, dtype.shape))} values for each event"
    if dtype.names:
        return f"a structure of {list(dtype.names)}"
    words = {
        "S": TEXT,
        "U": TEXT,
        "O": "Python objects, lists or text of varying length",
        "c": "complex numbers",
        "M": "dates",
        "m": "time differences",
        "V": "bytes without a type",
    }
    return words.get(dtype.kind, str(dtype))


def blocks_of(path, arrays, column_names):
    """Return the blocks of named arrays, ``{name: array}``, that are columns of the same events.

    1-D arrays are columns, a structured one has its fields as columns, and one 2-D array may have
    numbered ones, x0, x1, ... or `column_names`.
    """
    shapes = {name: tuple(array.shape) for name, array in arrays.items()}
    listing = ", ".join(f"{name!r} {shape}" for name, shape in list(shapes.items())[:20])
    odd = [name for name, shape in shapes.items() if not 1 <= len(shape) <= 2]
    if odd:
        raise DataFileError(
            f"{path}: holds an array {odd[0]!r} of shape {shapes[odd[0]]}; events need two "
            "dimensions, (n_events, n_columns), or one. Choose another with key=; there are "
            f"{listing}."
        )
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    if len({shape[0] for shape in shapes.values()}) > 1 or len(matrices) > 1:
        raise DataFileError(
            f"{path}: holds arrays that are not columns of the same events: {listing}. "
            "Choose one with key=."
        )
    structured = [name for name, array in arrays.items() if array.dtype.names]
    if structured and (len(arrays) > 1 or matrices):
        raise DataFileError(f"{path}: holds {listing}. Choose one with key=.")
    n_named = arrays[matrices[0]].shape[1] if matrices else None
    if column_names is not None:
        lone = len(arrays) == 1 and not structured
        n_named = n_named if n_named is not None else int(lone)
        if not n_named:
            raise DataFileError(
                f"{path}: column_names= has no meaning here; its columns have names."
            )
        if len(column_names) != n_named:
            raise DataFileError(
                f"{path}: has {n_named} columns, but column_names has {len(column_names)} names."
            )
    blocks = []
    for name, array in arrays.items():
        kind = kind_of(array.dtype)
        if array.dtype.names:
            kinds = {field: kind_of(array.dtype[field]) for field in array.dtype.names}
            blocks.append(Fields(array, {field: field for field in kinds}, kinds))
        elif len(array.shape) == 2:
            names = list(column_names or (f"x{i}" for i in range(array.shape[1])))
            words = kind if is_number(kind) else f"a matrix of {kind}"
            blocks.append(Matrix(array, names, words))
        else:
            lone = column_names is not None and len(arrays) == 1
            blocks.append(Matrix(array, list(column_names) if lone else [name], kind))
    names = [name for block in blocks for name in block.names]
    if len(set(names)) < len(names):
        raise DataFileError(
            f"{path}: its arrays give two columns of one name among {shortened(names)}. "
            "Choose one array with key=, or name columns with column_names=."
        )
    return blocks
