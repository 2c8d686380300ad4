"""DataFrames in HDF5, in the fixed and the table format of pandas, read without unpickling.

pandas keeps the names of columns as pickles in attributes. Those are lists of texts and numbers;
what could run anything is refused.
"""

import io
import pickle

import numpy as np

from skad.exceptions import DataFileError
from skad.io._formats._arrays import Fields, Matrix, kind_of

__all__ = ["frame_blocks", "is_frame"]


def is_frame(node):
    """Whether pandas wrote this group."""
    return "pandas_type" in node.attrs


def frame_blocks(group, path):
    """Return the blocks of columns of a DataFrame and the order of their names."""
    kind = _text(group.attrs["pandas_type"])
    if kind == "frame":
        return _fixed(group, path)
    if kind == "frame_table":
        return _table(group, path)
    words = "a Series" if "series" in kind else f"a pandas object {kind!r}"
    raise DataFileError(
        f"{path}: {group.name!r} holds {words}; events need a DataFrame. Write it again with "
        "to_frame()."
    )


def _fixed(group, path):
    """Return blocks of columns of one type each, ``block0_values`` of ``block0_items``."""
    order = _labels(group, "axis0", path)
    n_rows = _axis_length(group)
    blocks = []
    for i in range(int(group.attrs["nblocks"])):
        names, values = _labels(group, f"block{i}_items", path), group[f"block{i}_values"]
        if "shape" in values.attrs:  # a block without rows holds one meaningless number
            dtype = np.dtype(_text(values.attrs["value_type"]))
            blocks.append(Matrix(np.empty((0, len(names)), dtype), names, kind_of(dtype), n_rows=0))
            continue
        stored = _text(values.attrs.get("value_type", b""))
        kind = kind_of(values.dtype)
        if stored and stored not in ("float64", "int64"):
            kind = "dates" if stored.startswith("datetime") else f"pandas objects ({stored})"
        transposed = not values.attrs.get("transposed", 0)
        blocks.append(Matrix(values, names, kind, transposed, n_rows))
    _check_names(order, [name for block in blocks for name in block.names], group)
    return [block for block in blocks if block.names], order


def _axis_length(group):
    for name in ("axis1", "axis1_label0"):
        if name in group:
            axis = group[name]
            return 0 if "shape" in axis.attrs else int(axis.shape[0])
    raise KeyError("axis1")


def _labels(group, name, path):
    """Return the names in an axis of the fixed format."""
    if _text(group.attrs.get(f"{name}_variety", b"regular")) == "multi":
        raise DataFileError(
            f"{path}: the columns of {group.name!r} are a MultiIndex; join the levels before "
            "writing, for example with df.columns = ['_'.join(c) for c in df.columns]."
        )
    axis = group[name]
    if "shape" in axis.attrs:
        return []
    if axis.dtype.kind == "S":
        encoding = _text(group.attrs.get("encoding", b"UTF-8")) or "UTF-8"
        return [label.decode(encoding, "replace") for label in axis[:].tolist()]
    if axis.dtype.kind in "iuf" and _text(axis.attrs.get("kind", b"")) != "datetime64":
        return [str(label) for label in axis[:].tolist()]
    raise DataFileError(
        f"{path}: the names of the columns of {group.name!r} are pickled Python objects, which "
        "are not read, since a pickle can run code. Rename the columns to texts and write it again."
    )


def _table(group, path):
    """Return the one table; ``values_block_0`` holds several columns of one type."""
    table = group["table"]
    index = {_plain(pair, group, path)[1] for pair in _list(group, "index_cols", path)}
    levels = group.attrs.get("levels", 1)
    # The levels of a MultiIndex are columns of the table, not of the frame.
    inner = [] if isinstance(levels, np.integer) else [str(x) for x in _plain(levels, group, path)]
    index.update(inner)
    places, kinds = {}, {}
    for field in table.dtype.names:
        if field in index:
            continue
        dtype = table.dtype[field]
        labels = _list(table, f"{field}_kind", path) if f"{field}_kind" in table.attrs else [field]
        stored = _text(table.attrs.get(f"{field}_dtype", b""))
        kind = kind_of(dtype.base if dtype.shape else dtype)
        if _text(table.attrs.get(f"{field}_meta", b"")) == "category":
            kind = "categories"
        elif stored.startswith(("datetime", "timedelta")):
            kind = "dates"
        elif stored.startswith("period"):
            kind = "periods"
        for position, name in enumerate(map(str, labels)):
            # pandas keeps the names of text columns with their nan_rep in the same attribute.
            places[name] = (field, position) if dtype.shape else field
            kinds[name] = kind
    axes = _list(group, "non_index_axes", path)
    order = [str(name) for _, names in axes for name in names if str(name) not in inner]
    _check_names(order, places, group)
    return [Fields(table, places, kinds)], order


def _check_names(order, stored, group):
    """Compare the names of the columns with those of their blocks; damage may change either."""
    if sorted(order) != sorted(stored):
        odd = sorted(set(order) ^ set(stored)) or sorted(stored)
        raise ValueError(f"the columns of {group.name!r} disagree in the names {odd[:5]}")


def _list(node, name, path):
    return _plain(node.attrs[name], node, path)


def _text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, (str, np.str_)) else ""


def _plain(value, node, path):
    """Return the lists, texts and numbers in a pickle; anything else is refused."""
    if not isinstance(value, bytes):
        return value
    try:
        return _PlainUnpickler(io.BytesIO(value), encoding="utf-8", errors="replace").load()
    except Exception as exc:
        raise DataFileError(
            f"{path}: the names of the columns of {node.name!r} cannot be read without running "
            f"code ({exc}). Rename the columns to texts and write it again."
        ) from exc


class _PlainUnpickler(pickle.Unpickler):
    """Without classes and functions, a pickle can make lists, texts and numbers only."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("it refers to something outside")
