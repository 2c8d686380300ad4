"""A graph of ONNX that is written by computing: values that record what NumPy does to them."""

import math

import numpy as np
from scipy import special

from skad.exceptions import UnknownTypeError
from skad.utils._optional import import_optional

__all__ = ["OPSET", "Graph", "Value", "concatenate", "elementwise", "has_counterpart", "stack"]

# Of onnxruntime 1.15 and later, with the version of the format that belongs to it.
OPSET = 17
IR_VERSION = 8
# Stands for the number of events in the shapes of values; no other axis is as long.
N_EVENTS = 1_000_003


class Graph:
    """The nodes and constants of a graph.

    Parameters
    ----------
    n_features : int
        Columns of its input X, in float64.
    """

    def __init__(self, n_features):
        self.onnx = import_optional("onnx", extra="onnx", purpose="to_onnx")
        self.nodes = []
        self.constants = {}
        self._n_names = 0
        self.X = Value(self, "X", (N_EVENTS, n_features), np.float64)

    def constant(self, values):
        """Return the name of a constant."""
        values = np.asarray(values)
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self.constants:
            name = f"c{len(self.constants)}"
            tensor = self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name)
            # NumPy makes a number to an array of one.
            if values.ndim == 0:
                tensor = self.onnx.numpy_helper.from_array(values, name)
            self.constants[key] = tensor
        return self.constants[key].name

    def add(self, operator, inputs, shape, dtype, **attributes):
        """Add a node; inputs are values, or arrays that become constants."""
        names = [v.name if isinstance(v, Value) else self.constant(v) for v in inputs]
        self._n_names += 1
        name = f"v{self._n_names}"
        self.nodes.append(self.onnx.helper.make_node(operator, names, [name], **attributes))
        return Value(self, name, shape, dtype)

    def model(self, outputs, metadata):
        """Return the graph as a model of ONNX.

        Parameters
        ----------
        outputs : dict of str to Value
        metadata : dict of str to str
        """
        helper, kind = self.onnx.helper, self.onnx.TensorProto.DOUBLE
        for name, value in outputs.items():
            self.nodes.append(helper.make_node("Identity", [value.name], [name]))

        def described(name, shape):
            sizes = ["n_events" if size == N_EVENTS else size for size in shape]
            return helper.make_tensor_value_info(name, kind, sizes)

        graph = helper.make_graph(
            self.nodes,
            "skad",
            [described("X", self.X.shape)],
            [described(name, value.shape) for name, value in outputs.items()],
            list(self.constants.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="skad",
        )
        helper.set_model_props(model, metadata)
        self.onnx.checker.check_model(model, full_check=True)
        return model


class Value:
    """A tensor of a graph; functions of NumPy on it add nodes."""

    def __init__(self, graph, name, shape, dtype):
        self.graph = graph
        self.name = name
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    @property
    def ndim(self):
        return len(self.shape)

    def __len__(self):
        # Of arrays with a row for each event that NumPy makes: one row, which is broadcast.
        return 1

    def astype(self, dtype, copy=True):
        """Return the value in another precision."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        to = self.graph.onnx.helper.np_dtype_to_tensor_dtype(dtype)
        return self.graph.add("Cast", [self], self.shape, dtype, to=to)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return elementwise(ufunc if method == "__call__" and not kwargs else method, *inputs)

    def __array_function__(self, function, types, args, kwargs):
        rule = _FUNCTIONS.get(function)
        if rule is None:
            raise UnknownTypeError(
                f"The function {function.__name__} has no counterpart in ONNX here; replace the "
                "step that uses it, or serve the model by load_model."
            )
        return rule(*args, **kwargs)

    def _apply(self, operator, inputs):
        values = [v for v in inputs if isinstance(v, Value)]
        dtype = values[0].dtype
        inputs = [v if isinstance(v, Value) else np.asarray(v, dtype=dtype) for v in inputs]
        shape = np.broadcast_shapes(*(v.shape for v in inputs))
        result = np.bool_ if operator in _TO_BOOL else dtype
        return self.graph.add(operator, inputs, shape, result)

    def __getitem__(self, key):
        if not isinstance(key, tuple) or len(key) != 2:
            raise UnknownTypeError("Only columns, X[:, columns], can be taken in ONNX.")
        rows, columns = key
        if columns is None:
            return self.reshaped(-1, 1)
        if rows != slice(None):
            raise UnknownTypeError("Events cannot be selected in ONNX.")
        if isinstance(columns, slice):
            columns = np.arange(self.shape[1])[columns]
        index = np.asarray(columns, dtype=np.int64)
        shape = (self.shape[0], *index.shape)
        return self.graph.add("Gather", [self, index], shape, self.dtype, axis=1)

    def reshaped(self, *sizes):
        """Return the value in another shape of which the first axis counts the events."""
        shape = (N_EVENTS, *sizes[1:])
        return self.graph.add("Reshape", [self, np.array(sizes, np.int64)], shape, self.dtype)

    def sum(self, axis=-1, keepdims=False):
        """Sum over an axis."""
        axis = axis % self.ndim
        shape = [size for i, size in enumerate(self.shape) if i != axis or keepdims]
        if keepdims:
            shape[axis] = 1
        axes = np.array([axis], np.int64)
        return self.graph.add("ReduceSum", [self, axes], shape, self.dtype, keepdims=int(keepdims))

    def mean(self, axis=-1):
        """Mean over an axis."""
        return self.sum(axis) / self.shape[axis]

    def square(self):
        """Square of every number."""
        return self * self

    def __matmul__(self, other):
        return _matmul(self, other)

    def _binary(operator, flipped=False):  # noqa: N805, RUF100
        def method(self, other):
            return self._apply(operator, (other, self) if flipped else (self, other))

        return method

    __add__, __radd__ = _binary("Add"), _binary("Add", True)
    __sub__, __rsub__ = _binary("Sub"), _binary("Sub", True)
    __mul__, __rmul__ = _binary("Mul"), _binary("Mul", True)
    __truediv__, __rtruediv__ = _binary("Div"), _binary("Div", True)
    __lt__, __gt__ = _binary("Less"), _binary("Greater")
    __le__, __ge__ = _binary("LessOrEqual"), _binary("GreaterOrEqual")
    __or__, __and__ = _binary("Or"), _binary("And")

    def __neg__(self):
        return self._apply("Neg", (self,))

    def __pow__(self, power):
        return self._apply("Pow", (self, power))


_TO_BOOL = {"Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Or", "And", "Not", "Equal"}


def _matmul(a, b):
    matrix = np.asarray(b, dtype=a.dtype)
    return a.graph.add("MatMul", [a, matrix], (*a.shape[:-1], matrix.shape[1]), a.dtype)


def concatenate(values):
    """Join values of shape (n, ...) along their last axis."""
    first = values[0]
    shape = (*first.shape[:-1], sum(value.shape[-1] for value in values))
    return first.graph.add("Concat", values, shape, first.dtype, axis=first.ndim - 1)


def stack(columns):
    """Put columns of shape (n,) beside each other."""
    return concatenate([column.reshaped(-1, 1) for column in columns])


def where(condition, one, other):
    """As `numpy.where`."""
    value = next(v for v in (one, other, condition) if isinstance(v, Value))
    dtype = next((v.dtype for v in (one, other) if isinstance(v, Value)), np.dtype(np.float64))
    inputs = [
        condition,
        *(v if isinstance(v, Value) else np.asarray(v, dtype) for v in (one, other)),
    ]
    shape = np.broadcast_shapes(*(v.shape for v in inputs))
    return value.graph.add("Where", inputs, shape, dtype)


def _normal_tail(x):
    """Return the normal probability above x >= 0, to the last digits of float64.

    With w = x / sqrt(2) and t = 2 / (2 + w), erfc(w) = t exp(-w^2 + p(2 t - 1)) for a smooth p,
    whose Chebyshev series is summed by Clenshaw's recurrence.
    """
    w = x / math.sqrt(2)
    t = 2.0 / (w + 2.0)
    u = t * 2.0 - 1.0
    first, second = 0.0, 0.0
    for coefficient in _TAIL_SERIES[:0:-1]:
        first, second = u * first * 2.0 - second + coefficient, first
    return 0.5 * t * np.exp(u * first - second + _TAIL_SERIES[0] - w * w)


def _log_of_scaled_tail(u):
    t = (u + 1) / 2
    return np.log(special.erfcx(2 / t - 2) / t)


_TAIL_SERIES = np.polynomial.chebyshev.chebinterpolate(_log_of_scaled_tail, 40)


def _normal_cdf(x):
    if x.dtype == np.float32:
        return 0.5 * (1.0 + _error_function(x / math.sqrt(2)))
    tail = _normal_tail(np.abs(x))
    return np.where(x < 0.0, tail, 1.0 - tail)


def _error_function(x):
    if x.dtype == np.float32:
        # onnxruntime has it in this precision alone.
        return x._apply("Erf", (x,))
    return np.sign(x) * (1.0 - 2.0 * _normal_tail(np.abs(x) * math.sqrt(2)))


def elementwise(function, *inputs):
    """Return what an elementwise function of NumPy or SciPy makes of values.

    Those of SciPy are to be called through this: with its support of other arrays switched on they
    do not ask a value what to do.
    """
    rule = _ELEMENTWISE.get(function)
    if rule is None:
        raise UnknownTypeError(
            f"The function {getattr(function, '__name__', function)} has no counterpart in ONNX "
            "here; replace the step that uses it, or serve the model by load_model."
        )
    if callable(rule):
        return rule(*inputs)
    return next(v for v in inputs if isinstance(v, Value))._apply(rule, inputs)


def has_counterpart(function):
    """Whether `elementwise` knows a function."""
    return function in _ELEMENTWISE


def _square(x):
    return x * x


def _log1p(x):
    return np.log(x + 1.0)


def _logaddexp(x, y):
    return np.maximum(x, y) + _log1p(np.exp(-np.abs(x - y)))


_ELEMENTWISE = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.divide: "Div",
    np.negative: "Neg",
    np.exp: "Exp",
    np.log: "Log",
    np.sqrt: "Sqrt",
    np.absolute: "Abs",
    np.sign: "Sign",
    np.tanh: "Tanh",
    np.power: "Pow",
    np.maximum: "Max",
    np.minimum: "Min",
    np.less: "Less",
    np.greater: "Greater",
    np.less_equal: "LessOrEqual",
    np.greater_equal: "GreaterOrEqual",
    np.logical_or: "Or",
    np.logical_and: "And",
    np.square: _square,
    np.matmul: _matmul,
    np.reciprocal: lambda x: 1.0 / x,
    np.hypot: lambda x, y: np.sqrt(_square(x) + _square(y)),
    np.log1p: _log1p,
    np.expm1: lambda x: np.exp(x) - 1.0,
    np.log2: lambda x: np.log(x) / math.log(2),
    np.log10: lambda x: np.log(x) / math.log(10),
    np.logaddexp: _logaddexp,
    np.arcsinh: lambda x: np.sign(x) * np.log(np.abs(x) + np.sqrt(_square(x) + 1.0)),
    np.arctanh: lambda x: 0.5 * (_log1p(x) - _log1p(-x)),
    special.expit: lambda x: x._apply("Sigmoid", (x,)),
    special.logit: lambda x: np.log(x) - np.log(1.0 - x),
    special.erf: _error_function,
    special.ndtr: _normal_cdf,
}


def _sum(x, axis=None, **kwargs):
    if axis is None or kwargs:
        raise UnknownTypeError("Only sums over the features of an event can be taken in ONNX.")
    return x.sum(axis)


_FUNCTIONS = {
    np.sum: _sum,
    np.where: where,
    np.clip: lambda x, low, high: np.minimum(np.maximum(x, low), high),
}
