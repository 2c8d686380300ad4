"""Values that a model file holds in a form of their own: arrays, tables, generators, trees."""

import functools
import io
import math
from abc import ABC, abstractmethod

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from scipy import sparse
from scipy.interpolate import BSpline
from sklearn.neighbors import BallTree, KDTree

from skad.exceptions import ModelFileError, UnknownTypeError
from skad.utils import _sklearn as sk

__all__ = ["FORMS", "form_of", "read_array", "write_array"]


class Form(ABC):
    """How values of some types are written and read.

    Rows are dicts of JSON. `encode` and `decode` get the `Encoder` or `Decoder` for what is inside.
    """

    name: str

    @abstractmethod
    def matches(self, value):
        """Whether a value has this form."""

    @abstractmethod
    def encode(self, value, encoder, path):
        """Return the row of a value."""

    @abstractmethod
    def decode(self, row, decoder):
        """Return the value of a row."""


class Array(Form):
    name = "array"

    def matches(self, value):
        return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)

    def encode(self, value, encoder, path):
        if type(value) not in (np.ndarray, np.memmap):
            raise UnknownTypeError(f"{path} is a {type(value).__name__}; make it an array.")
        if value.dtype == object:
            items = [encoder.encode(item, f"{path}[{i}]") for i, item in enumerate(value.flat)]
            return {"shape": list(value.shape), "items": items}
        if value.dtype.hasobject:
            raise UnknownTypeError(f"{path} is an array with fields of Python objects.")
        return {"array": encoder.add_array(value)}

    def decode(self, row, decoder):
        if "array" in row:
            return decoder.array(row["array"])
        items = [decoder.decode(item) for item in row["items"]]
        values = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):
            values[i] = item
        return values.reshape(row["shape"])


class Masked(Form):
    name = "masked"

    def matches(self, value):
        return type(value) is np.ma.MaskedArray

    def encode(self, value, encoder, path):
        parts = (value.data, np.ma.getmaskarray(value), value.fill_value)
        return {"parts": [encoder.encode(part, path) for part in parts]}

    def decode(self, row, decoder):
        data, mask, fill_value = (decoder.decode(part) for part in row["parts"])
        return np.ma.MaskedArray(data, mask=mask, fill_value=fill_value)


class Element(Form):
    """A number of a rare type, such as one of 80 bits or a date."""

    name = "element"

    def matches(self, value):
        return isinstance(value, np.generic) and not value.dtype.hasobject

    def encode(self, value, encoder, path):
        return {"array": encoder.add_array(np.asarray(value).reshape(1))}

    def decode(self, row, decoder):
        return decoder.array(row["array"])[0]


class OldGenerator(Form):
    name = "RandomState"

    def matches(self, value):
        return type(value) is np.random.RandomState

    def encode(self, value, encoder, path):
        return {"state": encoder.encode(value.get_state(legacy=False), path)}

    def decode(self, row, decoder):
        random_state = np.random.RandomState()
        random_state.set_state(decoder.decode(row["state"]))
        return random_state


class Generator(Form):
    name = "Generator"
    _kinds = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")

    def matches(self, value):
        return type(value) is np.random.Generator

    def encode(self, value, encoder, path):
        bits = value.bit_generator
        seeds = bits.seed_seq
        spawn = (seeds.entropy, list(seeds.spawn_key), seeds.pool_size, seeds.n_children_spawned)
        return {
            "state": encoder.encode(bits.state, path),
            "seeds": [encoder.encode(part, path) for part in spawn],
        }

    def decode(self, row, decoder):
        state = decoder.decode(row["state"])
        entropy, spawn_key, pool_size, n_children = (decoder.decode(v) for v in row["seeds"])
        seeds = np.random.SeedSequence(
            entropy, spawn_key=spawn_key, pool_size=pool_size, n_children_spawned=n_children
        )
        if state["bit_generator"] not in self._kinds:
            raise ModelFileError(f"unknown generator {state['bit_generator']!r:.40}")
        bits = getattr(np.random, state["bit_generator"])(seeds)
        bits.state = state
        return np.random.Generator(bits)


class Table(Form):
    """A data frame, series or index, column by column."""

    name = "pandas"
    _dtypes = ("str", "string", "boolean", "Int64", "Int32", "Float64", "Float32", "category")

    def matches(self, value):
        return isinstance(value, (pd.DataFrame, pd.Series, pd.Index))

    def encode(self, value, encoder, path):
        if isinstance(value, pd.DataFrame):
            columns = [self._values(value.iloc[:, i], encoder, path) for i in range(value.shape[1])]
            labels = [self._index(index, encoder, path) for index in (value.columns, value.index)]
            return {"columns": columns, "labels": labels}
        if isinstance(value, pd.Series):
            labels = [self._index(value.index, encoder, path), encoder.encode(value.name, path)]
            return {"values": self._values(value, encoder, path), "labels": labels}
        return {"index": self._index(value, encoder, path)}

    def _index(self, index, encoder, path):
        if type(index) is pd.RangeIndex:
            steps = [index.start, index.stop, index.step]
            return {"range": steps, "name": encoder.encode(index.name, path)}
        if isinstance(index, pd.MultiIndex):
            levels = [index.get_level_values(i) for i in range(index.nlevels)]
            return {"levels": [self._index(level, encoder, path) for level in levels]}
        values = self._values(index.to_series(), encoder, path)
        return {"values": values, "name": encoder.encode(index.name, path)}

    def _values(self, series, encoder, path):
        if isinstance(series.dtype, np.dtype):
            return {"array": encoder.encode(series.to_numpy(), path)}
        dtype = series.dtype.name
        if dtype not in self._dtypes:
            raise UnknownTypeError(
                f"{path} has a column of dtype {dtype}; make it numbers or text."
            )
        missing = series.isna().to_numpy()
        values = np.array(series.astype(object), dtype=object)
        values[missing] = None
        row = {"dtype": dtype, "array": encoder.encode(values, path)}
        if dtype == "category":
            row["categories"] = self._index(series.cat.categories, encoder, path)
            row["ordered"] = bool(series.cat.ordered)
        return row

    def decode(self, row, decoder):
        if "columns" in row:
            names, index = (self._read_index(part, decoder) for part in row["labels"])
            columns = [self._read(part, decoder) for part in row["columns"]]
            frame = pd.DataFrame(dict(enumerate(columns)), index=range(len(index)))
            frame.columns, frame.index = names, index
            return frame
        if "values" in row:
            index, name = row["labels"]
            index = self._read_index(index, decoder)
            values = self._read(row["values"], decoder)
            return pd.Series(values, index=index, name=decoder.decode(name))
        return self._read_index(row["index"], decoder)

    def _read_index(self, row, decoder):
        if "range" in row:
            return pd.RangeIndex(*row["range"], name=decoder.decode(row["name"]))
        if "levels" in row:
            return pd.MultiIndex.from_arrays([self._read_index(v, decoder) for v in row["levels"]])
        return pd.Index(self._read(row["values"], decoder), name=decoder.decode(row["name"]))

    def _read(self, row, decoder):
        values = decoder.decode(row["array"])
        if "dtype" not in row:
            # Without a dtype, pandas guesses one for arrays of objects.
            return pd.Series(values, dtype=values.dtype).array
        if row["dtype"] not in self._dtypes:
            raise ModelFileError(f"unknown dtype {row['dtype']!r:.40}")
        if row["dtype"] == "category":
            categories = self._read_index(row["categories"], decoder)
            return pd.Categorical(values, categories=categories, ordered=row["ordered"])
        return pd.array(values, dtype=row["dtype"])


class Sparse(Form):
    name = "sparse"
    _formats = ("csr_matrix", "csc_matrix", "csr_array", "csc_array")

    def matches(self, value):
        return type(value).__name__ in self._formats and sparse.issparse(value)

    def encode(self, value, encoder, path):
        parts = (value.data, value.indices, value.indptr)
        return {
            "type": type(value).__name__,
            "shape": [int(n) for n in value.shape],
            "parts": [encoder.encode(part, path) for part in parts],
        }

    def decode(self, row, decoder):
        if row["type"] not in self._formats:
            raise ModelFileError(f"unknown sparse format {row['type']!r:.40}")
        parts = tuple(decoder.decode(part) for part in row["parts"])
        matrix = getattr(sparse, row["type"])(parts, shape=tuple(row["shape"]))
        # Compiled code follows the indices without a look.
        matrix.check_format(full_check=True)
        return matrix


class DecisionTree(Form):
    """The nodes of a decision tree, whose compiled code follows them without a look."""

    name = "Tree"

    def matches(self, value):
        return type(value) is sk.tree_class()

    def encode(self, value, encoder, path):
        _, (n_features, n_classes, n_outputs), state = value.__reduce__()
        return {
            "shape": [int(n_features), int(n_outputs)],
            "parts": [encoder.encode(part, path) for part in (n_classes, *_fields(state))],
        }

    def decode(self, row, decoder):
        n_features, n_outputs = row["shape"]
        n_classes, max_depth, count, nodes, values = (decoder.decode(v) for v in row["parts"])
        inner = nodes["left_child"] != -1
        rows = np.arange(len(nodes))[inner]
        left, right = nodes["left_child"][inner], nodes["right_child"][inner]
        feature = nodes["feature"][inner]
        if (
            count != len(nodes)
            or len(n_classes) != n_outputs
            or (n_classes < 1).any()
            or values.shape != (count, n_outputs, n_classes.max())
            # Children follow their parents, so that no walk is endless.
            or not ((left > rows) & (left < count) & (right > rows) & (right < count)).all()
            or not ((feature >= 0) & (feature < n_features)).all()
        ):
            raise ModelFileError("the nodes of a decision tree do not fit together")
        tree = sk.tree_class()(n_features, n_classes, n_outputs)
        tree.__setstate__(
            {"max_depth": max_depth, "node_count": count, "nodes": nodes, "values": values}
        )
        return tree


def _fields(state):
    return state["max_depth"], state["node_count"], state["nodes"], state["values"]


class NeighbourTree(Form):
    """A tree of neighbours, which is grown again from its points: always the same."""

    name = "neighbours"
    _kinds = {"KDTree": KDTree, "BallTree": BallTree}

    def matches(self, value):
        return type(value) in (KDTree, BallTree)

    def encode(self, value, encoder, path):
        state = value.__getstate__()
        metric, options = sk.metric_of_tree(state[11])
        if metric is None:
            raise UnknownTypeError(f"{path} is a tree of neighbours in a metric of your own.")
        parts = (state[0], state[12], options)
        return {
            "type": type(value).__name__,
            "leaf_size": int(state[4]),
            "metric": metric,
            "parts": [encoder.encode(part, path) for part in parts],
        }

    def decode(self, row, decoder):
        points, weight, options = (decoder.decode(part) for part in row["parts"])
        kind = self._kinds[row["type"]]
        if row["metric"] not in sk.METRICS_OF_TREES or not isinstance(row["leaf_size"], int):
            raise ModelFileError(f"unknown metric {row['metric']!r:.40}")
        return kind(points, row["leaf_size"], row["metric"], sample_weight=weight, **options)


class Spline(Form):
    name = "BSpline"

    def matches(self, value):
        return type(value) is BSpline

    def encode(self, value, encoder, path):
        parts = (value.t, value.c, value.k, value.extrapolate, value.axis)
        return {"parts": [encoder.encode(part, path) for part in parts]}

    def decode(self, row, decoder):
        t, c, k, extrapolate, axis = (decoder.decode(part) for part in row["parts"])
        return BSpline(t, c, k, extrapolate=extrapolate, axis=axis)


class Partial(Form):
    name = "partial"

    def matches(self, value):
        return type(value) is functools.partial

    def encode(self, value, encoder, path):
        parts = (value.func, value.args, value.keywords)
        return {"parts": [encoder.encode(part, path) for part in parts]}

    def decode(self, row, decoder):
        function, arguments, keywords = (decoder.decode(part) for part in row["parts"])
        return functools.partial(function, *arguments, **keywords)


FORMS = {
    form.name: form
    for form in (
        Array(),
        Masked(),
        Element(),
        OldGenerator(),
        Generator(),
        Table(),
        Sparse(),
        DecisionTree(),
        NeighbourTree(),
        Spline(),
        Partial(),
    )
}


def form_of(value):
    """Return the form of a value, or None."""
    return next((form for form in FORMS.values() if form.matches(value)), None)


def write_array(file, values):
    """Write an array as a NumPy file."""
    npy.write_array(file, np.asanyarray(values), allow_pickle=False)


def read_array(content):
    """Return the array of a NumPy file in bytes; it holds as many numbers as it says, or raises."""
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ModelFileError(f"array of the unknown version {version}")
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran_order, dtype = header(file)
    if dtype.hasobject:
        raise ModelFileError("array of Python objects, which only a pickle could hold")
    n_values = math.prod(shape)
    body = memoryview(content)[file.tell() :]
    # Before anything is allocated: the header may promise more than there is.
    if min(shape, default=1) < 0 or n_values * dtype.itemsize != len(body):
        raise ModelFileError(f"array of shape {shape} and {dtype} in {len(body)} bytes")
    values = np.frombuffer(bytearray(body), dtype=dtype, count=n_values)
    return values.reshape(shape, order="F" if fortran_order else "C")
