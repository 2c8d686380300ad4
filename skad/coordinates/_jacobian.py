"""Jacobians and inverses of fitted transformers, looked up by class and nested anyhow."""

from __future__ import annotations

from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skad.exceptions import NoJacobianError
from skad.utils._arguments import Numbers
from skad.utils._columns import column_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = [
    "change_of_variables",
    "columns_read",
    "inverse_rule",
    "inverse_transform",
    "log_abs_det_jacobian",
    "log_det_rule",
    "named",
    "register_jacobian",
]


def log_abs_det_jacobian(
    transformer: Literal["passthrough"] | Estimator | None, X: ArrayLike
) -> NDArray[np.float64]:
    """Logarithm of the volume factor of a fitted transformer, log abs(det dz/dx), at each event.

    It covers every transformer of `skad.coordinates`; scikit-learn's StandardScaler,
    MinMaxScaler, RobustScaler, MaxAbsScaler, PowerTransformer, QuantileTransformer, PCA with all
    components, and FunctionTransformer with an inverse; and any nesting of them in Pipeline,
    ColumnTransformer, FeatureUnion of disjoint columns, FrozenEstimator, "passthrough" and None.

    Parameters
    ----------
    transformer : estimator, "passthrough" or None
        Fitted transformer that maps n features one-to-one to n coordinates.

    X : array-like of shape (n_events, n_features)
        Events in the original coordinates.

    Returns
    -------
    log_abs_det : ndarray of float64, shape (n_events,)
        In nats. -inf, with FiducialWarning, where a QuantileTransformer or a clipping transformer
        maps a whole interval to one number.

    Raises
    ------
    NoJacobianError
        A transformer has no rule, is not one-to-one, or drops columns.

    See Also
    --------
    register_jacobian : Add a rule for a class.
    change_of_variables : Move a density from one frame to another.

    Notes
    -----
    Computed in float64 whatever the precision of X. The Jacobian of a FunctionTransformer is
    exact for the common NumPy functions and numerical, to about 1e-9, for others.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skad.coordinates import LogTransformer, log_abs_det_jacobian
    >>> X = np.array([[1.0], [np.e], [np.e**2]])
    >>> frame = make_pipeline(LogTransformer(), StandardScaler()).fit(X)
    >>> log_abs_det_jacobian(frame, X).round(4)
    array([ 0.2027, -0.7973, -1.7973])
    """
    X = _float64(_two_dimensional(X))
    _check(transformer, X.shape[1])
    result = np.asarray(log_det_rule(transformer, X), dtype=np.float64)
    if result.shape not in {(), (X.shape[0],)}:
        raise ValueError(
            f"The Jacobian of {_name(transformer)} must have shape ({X.shape[0]},), one number for "
            f"each event; its rule returned shape {result.shape}."
        )
    return np.broadcast_to(result, X.shape[0]).copy()


def inverse_transform(
    transformer: Literal["passthrough"] | Estimator | None, X: ArrayLike
) -> NDArray[Any]:
    """Map coordinates back through any transformer that `log_abs_det_jacobian` covers.

    Unlike scikit-learn's own methods it also inverts ColumnTransformer and FeatureUnion.

    Parameters
    ----------
    transformer : estimator, "passthrough" or None
        Fitted transformer that maps n features one-to-one to n coordinates.

    X : array-like of shape (n_events, n_features)
        Events in the new coordinates, as the transformer returns them.

    Returns
    -------
    X_original : ndarray of shape (n_events, n_features)
        Events in the original coordinates. NaN where scikit-learn's inverse gives NaN, as
        PowerTransformer does outside its range.

    Raises
    ------
    NoJacobianError
        A transformer has no inverse, is not one-to-one, or drops columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import make_column_transformer
    >>> from skad.coordinates import ExpTransformer, LogTransformer, inverse_transform
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> frame = make_column_transformer((LogTransformer(), [1]), (ExpTransformer(), [0]))
    >>> inverse_transform(frame, frame.fit_transform(X))
    array([[1., 2.],
           [3., 4.]])
    """
    X = _two_dimensional(X)
    _check(transformer, X.shape[1])
    return invert(transformer, X)


def change_of_variables(
    log_density: ArrayLike | Callable[..., Any],
    transformer: Literal["passthrough"] | Estimator | None,
    X: ArrayLike,
) -> NDArray[np.float64]:
    """Read a density given in the coordinates of X in the transformed frame.

    ``log p_z(z) = log p_x(x) - log abs(det dz/dx)`` at z = transformer.transform(x).

    Parameters
    ----------
    log_density : array-like of shape (n_events,), or callable
        log p_x at each event in nats, or a function of X that returns it, such as the method
        `score_samples` of a density.

    transformer : estimator, "passthrough" or None
        Fitted transformer known to `log_abs_det_jacobian`.

    X : array-like of shape (n_events, n_features)
        Events in the original coordinates.

    Returns
    -------
    log_density_transformed : ndarray of float64, shape (n_events,)
        In nats.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy import stats
    >>> from skad.coordinates import ExpTransformer, change_of_variables
    >>> X = np.array([[-1.0], [0.0], [2.0]])
    >>> exp = ExpTransformer().fit(X)
    >>> log_p = change_of_variables(stats.norm.logpdf(X[:, 0]), exp, X)
    >>> np.allclose(log_p, stats.lognorm.logpdf(np.exp(X[:, 0]), s=1))
    True
    """
    log_abs_det = log_abs_det_jacobian(transformer, X)
    if callable(log_density):
        log_density = log_density(X)
    log_density = Numbers(None, finite=False).read(log_density, "log_density")
    if log_density.shape != log_abs_det.shape:
        raise ValueError(
            f"log_density must have shape {log_abs_det.shape}, one number for each event of X; "
            f"got {log_density.shape}."
        )
    return log_density - log_abs_det  # type: ignore[return-value]


def register_jacobian(cls) -> Callable[..., Any]:
    """Register the Jacobian of a class of transformers; a decorator.

    The decorated function takes a fitted transformer and X in the original coordinates (float64
    array or frame) and returns log abs(det dz/dx) in nats: shape (n_events,), or one number
    where it is the same for all events. Subclasses of `cls` share the rule. A class with a method
    ``log_abs_det_jacobian(X)`` of that meaning needs no rule. The inverse is the transformer's
    own method `inverse_transform`.

    Parameters
    ----------
    cls : type
        Class of transformers.

    Returns
    -------
    decorator : callable

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator, TransformerMixin
    >>> from skad.coordinates import log_abs_det_jacobian, register_jacobian
    >>> class Cube(TransformerMixin, BaseEstimator):
    ...     def fit(self, X, y=None):
    ...         self.n_features_in_ = X.shape[1]
    ...         return self
    ...     def transform(self, X):
    ...         return X**3
    ...     def inverse_transform(self, X):
    ...         return np.cbrt(X)
    >>> @register_jacobian(Cube)
    ... def cube_jacobian(transformer, X):
    ...     return np.sum(np.log(3 * X**2), axis=1)
    >>> X = np.array([[1.0, 2.0]])
    >>> log_abs_det_jacobian(Cube().fit(X), X).round(3)  # log(3 * 12)
    array([3.584])
    """
    if not isinstance(cls, type):
        raise TypeError(f"register_jacobian takes the class of a transformer; got {cls!r}.")
    return log_det_rule.register(cls)


@singledispatch
def log_det_rule(transformer, X):
    """Return log abs(det dz/dx) of a transformer, shape (n_events,) or a number."""
    if hasattr(transformer, "log_abs_det_jacobian"):
        return transformer.log_abs_det_jacobian(X)
    raise NoJacobianError(
        f"No rule is known for the Jacobian of {_name(transformer)}. If it is one-to-one, register "
        "one with @skad.coordinates.register_jacobian"
        f"({_name(transformer)}) above a function (transformer, X) -> log abs(det dz/dx) of shape "
        "(n_events,), or give the class a method log_abs_det_jacobian(X)."
    )


@singledispatch
def inverse_rule(transformer, Z, n_features):
    """Return the columns that the transformer reads, in the order of `columns_read`."""
    if not hasattr(transformer, "inverse_transform"):
        raise NoJacobianError(
            f"{_name(transformer)} has no method inverse_transform, so coordinates cannot be "
            "mapped back through it."
        )
    return np.asarray(transformer.inverse_transform(Z))


@singledispatch
def columns_read(transformer, n_features):
    """Return the positions of the columns on which the coordinates depend, one for each."""
    return np.arange(n_features)


def invert(transformer, Z):
    """Return the original events in the order of their columns; the map must be square."""
    n_features = Z.shape[1]
    read = columns_read(transformer, n_features)
    values = inverse_rule(transformer, Z, n_features)
    if np.array_equal(read, np.arange(n_features)):
        return values
    original = np.empty_like(values)
    original[:, read] = values
    return original


def named(X, transformer):
    """Return an array as a frame where `transformer` was fitted with column names."""
    names = getattr(transformer, "feature_names_in_", None)
    if names is None:
        return X
    import pandas as pd

    return pd.DataFrame(X, columns=names, copy=False)


def _check(transformer, n_features):
    """Raise unless the transformer is fitted and reads every column once."""
    if hasattr(transformer, "fit"):
        check_is_fitted(transformer)
    read = columns_read(transformer, n_features)
    if len(read) != n_features:
        names = getattr(transformer, "feature_names_in_", None)
        missing = sorted(set(range(n_features)) - set(read.tolist()))
        listed = ", ".join(column_name(position, names) for position in missing)
        raise NoJacobianError(
            f"{_name(transformer)} drops {listed}, so it is not one-to-one. Pass these columns "
            "through (remainder='passthrough'), or remove them from X first."
        )


def _two_dimensional(X):
    """Return events as something with a shape, or raise ValueError."""
    if not hasattr(X, "shape") or isinstance(X, np.ndarray):
        X = Numbers(None, finite=False).read(X, "X")
    if len(X.shape) != 2:
        raise ValueError(
            f"X must have shape (n_events, n_features); got shape {tuple(X.shape)}. Reshape a "
            "single feature with X.reshape(-1, 1) and a single event with X.reshape(1, -1)."
        )
    return X


def _float64(X):
    if isinstance(X, np.ndarray):
        return X.astype(np.float64, copy=False)
    # Other frames than those of pandas are converted where scikit-learn validates them.
    return X.astype(np.float64) if hasattr(X, "astype") else X


def _name(transformer):
    return type(transformer).__name__
