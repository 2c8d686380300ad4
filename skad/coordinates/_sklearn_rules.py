"""Jacobians of scikit-learn's invertible transformers."""

import warnings

import numpy as np
from scipy import special
from sklearn.decomposition import PCA
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils.validation import validate_data

from skad.coordinates._jacobian import inverse_rule, register_jacobian
from skad.coordinates._numeric import numerical_log_abs_det
from skad.exceptions import FiducialWarning, NoJacobianError
from skad.utils import _sklearn as sk
from skad.utils._columns import column_name

__all__: list[str] = []


def _validated(transformer, X):
    return validate_data(transformer, X, reset=False, dtype=np.float64)


@register_jacobian(StandardScaler)
@register_jacobian(RobustScaler)
@register_jacobian(MaxAbsScaler)
def _(transformer, X):
    _validated(transformer, X)
    return 0.0 if transformer.scale_ is None else -np.sum(np.log(transformer.scale_))


@register_jacobian(MinMaxScaler)
def _(transformer, X):
    if transformer.clip:
        raise NoJacobianError(
            "MinMaxScaler(clip=True) maps values outside its range to one number, so it is not "
            "one-to-one; use clip=False."
        )
    _validated(transformer, X)
    return np.sum(np.log(transformer.scale_))


@register_jacobian(PowerTransformer)
def _(transformer, X):
    X = _validated(transformer, X)
    powers = transformer.lambdas_.astype(np.float64) - 1
    if transformer.method == "box-cox":
        log_derivative = powers * np.log(X)
    else:
        log_derivative = powers * np.sign(X) * np.log1p(np.abs(X))
    return np.sum(log_derivative - np.log(sk.power_transformer_scale(transformer)), axis=1)


@register_jacobian(QuantileTransformer)
def _(transformer, X):
    """Slope of the piecewise linear distribution function, over the density of the output.

    At a knot the slope to its right holds, at the last knot that to its left. Outside the knots
    the map is constant.
    """
    X = _validated(transformer, X)
    names = getattr(transformer, "feature_names_in_", None)
    total = np.zeros(len(X))
    outside = np.zeros(len(X), dtype=bool)
    for column, x in enumerate(X.T):
        knots = np.asarray(transformer.quantiles_)[:, column]
        if knots[0] == knots[-1]:
            raise NoJacobianError(
                f"QuantileTransformer saw a single value in {column_name(column, names)}, so it is "
                "not one-to-one; remove the column."
            )
        # Among repeated knots the last one starts an interval of positive width; at the upper
        # end the interval that leads to the repeated value is the one to the left.
        last = np.searchsorted(knots, knots[-1], side="left") - 1
        k = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, last)
        width = knots[k + 1] - knots[k]
        level, step = transformer.references_[k], transformer.references_[k + 1]
        slope = (step - level) / width
        total += np.log(slope)
        if transformer.output_distribution == "normal":
            z = special.ndtri(np.clip(level + slope * (x - knots[k]), _LOWEST, 1 - _LOWEST))
            total += 0.5 * z * z + 0.5 * np.log(2 * np.pi)
        outside |= (x < knots[0]) | (x > knots[-1])
    if outside.any():
        total[outside] = -np.inf
        warnings.warn(
            f"{outside.sum()} of {len(X)} events, first row {np.argmax(outside)}, lie outside the "
            "range that QuantileTransformer learned; it maps them to its end, so their density is "
            "zero. EmpiricalCDFTransformer is strictly increasing everywhere.",
            FiducialWarning,
            stacklevel=2,
        )
    return total


# The level at which scikit-learn clips before it takes normal quantiles.
_LOWEST = 1e-7


@register_jacobian(PCA)
def _(transformer, X):
    X = _validated(transformer, X)
    n_components, n_features = transformer.components_.shape
    if n_components != n_features:
        raise NoJacobianError(
            f"PCA keeps {n_components} of {n_features} components, so it is not one-to-one; use "
            "n_components=None with more events than features."
        )
    log_det = np.linalg.slogdet(transformer.components_.astype(np.float64)).logabsdet
    if transformer.whiten:
        scale = np.sqrt(transformer.explained_variance_.astype(np.float64))
        if scale.min() <= np.finfo(transformer.explained_variance_.dtype).eps:
            raise NoJacobianError(
                "PCA(whiten=True) found a component without variance, so it is not one-to-one; "
                "remove features that depend linearly on others."
            )
        log_det -= np.sum(np.log(scale))
    return log_det


# log abs(derivative) of the elementwise functions that FunctionTransformer is given most.
_LOG_DERIVATIVES = {
    np.log: lambda x: -np.log(x),
    np.log2: lambda x: -np.log(x) - np.log(np.log(2)),
    np.log10: lambda x: -np.log(x) - np.log(np.log(10)),
    np.log1p: lambda x: -np.log1p(x),
    np.exp: lambda x: x,
    np.expm1: lambda x: x,
    np.sqrt: lambda x: -0.5 * np.log(x) - np.log(2),
    np.cbrt: lambda x: -2 / 3 * np.log(np.abs(x)) - np.log(3),
    np.sinh: lambda x: np.logaddexp(x, -x) - np.log(2),
    np.arcsinh: lambda x: -np.log(np.hypot(1, x)),
    np.tanh: lambda x: 2 * (np.log(2) - np.logaddexp(x, -x)),
    np.arctanh: lambda x: -np.log1p(-x) - np.log1p(x),
    np.negative: np.zeros_like,
    np.reciprocal: lambda x: -2 * np.log(np.abs(x)),
    special.logit: lambda x: -np.log(x) - np.log1p(-x),
    special.expit: lambda x: -np.logaddexp(0, x) - np.logaddexp(0, -x),
}


@register_jacobian(FunctionTransformer)
def _(transformer, X):
    _check_inverse(transformer)
    if transformer.func is None:
        return 0.0
    # A user's function need not be hashable.
    rule = next((rule for func, rule in _LOG_DERIVATIVES.items() if func is transformer.func), None)
    if rule is not None and not transformer.kw_args:
        return np.sum(rule(np.asarray(X, dtype=np.float64)), axis=1)
    return numerical_log_abs_det(transformer.transform, X, who="FunctionTransformer")


@inverse_rule.register(FunctionTransformer)
def _(transformer, Z, n_features):
    _check_inverse(transformer)
    return np.asarray(transformer.inverse_transform(Z))


def _check_inverse(transformer):
    # Without inverse_func scikit-learn's inverse_transform is the identity.
    if transformer.func is not None and transformer.inverse_func is None:
        raise NoJacobianError(
            "FunctionTransformer has no inverse_func, so it may not be one-to-one; pass "
            "inverse_func, or use skad.coordinates.FunctionCoordinates."
        )
