"""Transformers in a graph of ONNX: skad's coordinates, scikit-learn's scalers, nests of them."""

from functools import singledispatch

import numpy as np
from scipy import special
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from skad.coordinates import (
    ColumnCoordinates,
    CoordinateTransformer,
    DijetCoordinates,
    EmpiricalCDFTransformer,
    FunctionCoordinates,
    InverseCoordinates,
    LogitTransformer,
    NormalCDFTransformer,
    log_abs_det_jacobian,
)
from skad.coordinates._jacobian import named
from skad.exceptions import UnknownTypeError
from skad.serving._graph import Value, concatenate, elementwise, has_counterpart, stack
from skad.utils import _sklearn as sk

__all__ = ["finite", "log_det_of", "refused", "transformed"]

# Their Jacobian is the same everywhere.
_SCALERS = (StandardScaler, RobustScaler, MaxAbsScaler, MinMaxScaler, PCA)


def refused(part, why=""):
    """Return the error for a part that cannot be exported."""
    name = part if isinstance(part, str) else type(part).__name__
    return UnknownTypeError(
        f"{name} cannot be written as ONNX{why and f': {why}'}. Replace it, or serve the model by "
        "skad.save_model and load_model."
    )


@singledispatch
def transformed(transformer, x):
    """Return the coordinates of events x in the graph."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return x
    raise refused(transformer)


@singledispatch
def log_det_of(transformer, x):
    """Return log|det dz/dx| of events x in the graph, a number where it is the same for all."""
    if transformer is None or (isinstance(transformer, str) and transformer == "passthrough"):
        return 0.0
    if isinstance(transformer, _SCALERS):
        middle = np.zeros((1, transformer.n_features_in_))
        return float(log_abs_det_jacobian(transformer, named(middle, transformer))[0])
    raise refused(transformer)


@transformed.register(StandardScaler)
@transformed.register(RobustScaler)
def _(transformer, x):
    center = getattr(transformer, "mean_", getattr(transformer, "center_", None))
    centers = getattr(transformer, "with_mean", getattr(transformer, "with_centering", False))
    x = x - center if centers else x
    return x if transformer.scale_ is None else x / transformer.scale_


@transformed.register(MaxAbsScaler)
def _(transformer, x):
    x = x / transformer.scale_
    return np.clip(x, -1.0, 1.0) if getattr(transformer, "clip", False) else x


@transformed.register(MinMaxScaler)
def _(transformer, x):
    x = x * transformer.scale_ + transformer.min_
    return np.clip(x, *transformer.feature_range) if transformer.clip else x


@transformed.register(PCA)
def _(transformer, x):
    z = (x - transformer.mean_) @ transformer.components_.T
    return z / np.sqrt(transformer.explained_variance_) if transformer.whiten else z


@transformed.register(PowerTransformer)
def _(transformer, x):
    columns = []
    for i, power in enumerate(transformer.lambdas_):
        column = x[:, i]
        if transformer.method == "box-cox":
            columns.append(np.log(column) if power == 0 else (column**power - 1.0) / power)
            continue
        above, below = np.maximum(column, 0.0) + 1.0, 1.0 - np.minimum(column, 0.0)
        upper = np.log(above) if power == 0 else (above**power - 1.0) / power
        rest = 2.0 - power
        lower = -np.log(below) if rest == 0 else (1.0 - below**rest) / rest
        columns.append(np.where(column < 0.0, lower, upper))
    z = stack(columns)
    scaler = sk.power_transformer_scaler(transformer)
    return z if scaler is None else transformed(scaler, z)


@log_det_of.register(PowerTransformer)
def _(transformer, x):
    powers = transformer.lambdas_ - 1
    if transformer.method == "box-cox":
        log_derivative = np.log(x) * powers
    else:
        log_derivative = np.sign(x) * np.log1p(np.abs(x)) * powers
    scaler = sk.power_transformer_scaler(transformer)
    return log_derivative.sum() - (0.0 if scaler is None else np.log(scaler.scale_).sum())


@transformed.register(FunctionTransformer)
def _(transformer, x):
    if transformer.func is None:
        return x
    if not has_counterpart(transformer.func) or transformer.kw_args:
        raise refused(transformer, f"its function is {transformer.func!r}, no ufunc of NumPy")
    return elementwise(transformer.func, x)


@transformed.register(FrozenEstimator)
def _(transformer, x):
    return transformed(transformer.estimator, x)


@log_det_of.register(FrozenEstimator)
def _(transformer, x):
    return log_det_of(transformer.estimator, x)


@transformed.register(Pipeline)
def _(pipeline, x):
    for _, step in pipeline.steps:
        x = transformed(step, x)
    return x


@log_det_of.register(Pipeline)
def _(pipeline, x):
    total = 0.0
    for _, step in pipeline.steps:
        total = log_det_of(step, x) + total
        x = transformed(step, x)
    return total


@transformed.register(ColumnTransformer)
def _(transformer, x):
    parts = [
        (output.start, transformed(part, x[:, columns]), weight)
        for part, columns, output, weight in sk.column_transformer_parts(transformer)
    ]
    return concatenate([z if w == 1 else z * w for _, z, w in sorted(parts, key=lambda p: p[0])])


@log_det_of.register(ColumnTransformer)
def _(transformer, x):
    total, used = 0.0, []
    for part, columns, _, weight in sk.column_transformer_parts(transformer):
        total = log_det_of(part, x[:, columns]) + (total + len(columns) * np.log(abs(weight)))
        used += columns
    if sorted(used) != list(range(x.shape[1])):
        raise refused(transformer, "it drops or repeats columns, so that it has no Jacobian")
    return total


@transformed.register(CoordinateTransformer)
def _(transformer, x):
    if isinstance(transformer, (EmpiricalCDFTransformer, FunctionCoordinates)):
        raise refused(transformer)
    return transformer._forward(_admitted(transformer, x))


@transformed.register(NormalCDFTransformer)
def _(transformer, x):
    return elementwise(special.ndtr, _admitted(transformer, x))


@log_det_of.register(CoordinateTransformer)
def _(transformer, x):
    if isinstance(transformer, (EmpiricalCDFTransformer, FunctionCoordinates)):
        raise refused(transformer)
    inside = _admitted(transformer, x)
    total = transformer._log_abs_det(inside)
    if transformer.outside == "clip":
        # The map is flat there.
        moved = np.abs(inside - x).sum()
        total = np.where(moved > 0.0, -np.inf, total)
    return total


def _admitted(transformer, x):
    """Return events moved into the domain; outside of it, the maths gives NaN or infinity."""
    return transformer._admit(x) if transformer.outside == "clip" else x


@transformed.register(ColumnCoordinates)
def _(transformer, x):
    columns = [x[:, [i]] for i in range(x.shape[1])]
    for _, part, positions in transformer.transformers_:
        z = transformed(part, x[:, positions])
        for k, position in enumerate(positions):
            columns[position] = z[:, [k]]
    return concatenate(columns)


@log_det_of.register(ColumnCoordinates)
def _(transformer, x):
    total = 0.0
    for _, part, positions in transformer.transformers_:
        total = log_det_of(part, x[:, positions]) + total
    return total


@transformed.register(InverseCoordinates)
def _(transformer, x):
    return _inverted(transformer.transformer_, x)


@log_det_of.register(InverseCoordinates)
def _(transformer, x):
    inner = transformer.transformer_
    return -1.0 * log_det_of(inner, _inverted(inner, x))


def _inverted(transformer, z):
    if isinstance(transformer, FrozenEstimator):
        return _inverted(transformer.estimator, z)
    simple = isinstance(transformer, CoordinateTransformer) and not isinstance(
        transformer, (ColumnCoordinates, EmpiricalCDFTransformer, FunctionCoordinates)
    )
    if not simple:
        raise refused(transformer, "its inverse is not known here")
    if hasattr(transformer, "matrix_"):
        return (z - transformer.shift_) @ np.linalg.inv(transformer.matrix_).T
    if isinstance(transformer, LogitTransformer):
        # SciPy's function does not always ask a value what to do, see `elementwise`.
        width = transformer.upper_ - transformer.lower_
        return transformer.lower_ + width * elementwise(special.expit, z)
    return transformer._backward(z)


@transformed.register(DijetCoordinates)
def _(transformer, x):
    return stack(list(transformer._observables(x)))


def finite(x: Value):
    """Return 0 for events whose coordinates are all finite, NaN for others."""
    return (x * 0.0).sum()
