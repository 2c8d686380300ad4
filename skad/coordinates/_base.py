"""The contract of a coordinate transform and everything its maths does not need to repeat."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skad.coordinates._domain import check_finite, inside, raise_outside, round_into
from skad.exceptions import DomainError, FiducialWarning
from skad.utils import _sklearn as sk
from skad.utils._columns import column_name
from skad.utils._documentation import LinkedMixin

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

__all__ = ["CoordinateTransformer", "feature_names"]

_FLOATS = (np.float64, np.float32)


def feature_names(transformer):
    """Return the column names seen in fit, or None."""
    return getattr(transformer, "feature_names_in_", None)


class CoordinateTransformer(
    LinkedMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator, ABC
):
    """A smooth one-to-one map of n features to n coordinates, with its Jacobian.

    A subclass writes its maths on finite float64 arrays of shape (n_events, n_features) and
    leaves validation, precision, domains and error messages to this class:

    - ``_learn(X)``, where something is learned from the events;
    - ``_forward(X)`` and ``_backward(Z)``;
    - ``_log_derivative(X)``, shape (n_events, n_features), for a map of each column by itself,
      or else ``_log_abs_det(X)``, shape (n_events,);
    - ``_domain()`` and ``_range()``, the open intervals (lower, upper), numbers or one per
      column, in which the map and its inverse are defined; by default all real numbers.

    Results are computed in float64 and returned in the precision of X; a result that rounds to
    an end of its open interval is moved to the nearest number inside it, and `transform` warns
    because such events can no longer be told apart.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import CoordinateTransformer
    >>> class InverseMass(CoordinateTransformer):
    ...     '''The coordinate 1 / m of positive masses.'''
    ...     def _domain(self):
    ...         return 0.0, np.inf
    ...     def _range(self):
    ...         return 0.0, np.inf
    ...     def _forward(self, X):
    ...         return 1 / X
    ...     def _backward(self, Z):
    ...         return 1 / Z
    ...     def _log_derivative(self, X):
    ...         return -2 * np.log(X)
    >>> X = np.array([[2.0], [4.0]])
    >>> frame = InverseMass().fit(X)
    >>> frame.transform(X).ravel()
    array([0.5 , 0.25])
    >>> np.exp(frame.log_abs_det_jacobian(X))
    array([0.25  , 0.0625])
    """

    _parameter_constraints: dict = {}

    # What to do with a value outside the domain, and what to advise the user to do.
    outside = "raise"
    _advice = "Drop or correct these events first."

    # Whether fit learns from the values of X rather than only the number of columns.
    _learns = False

    # Some hold other estimators, which a user built.
    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Record the columns of X and learn what the map needs.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored

        Returns
        -------
        self : object
        """
        X = self._validated(X, reset=True)
        self._learn(X.astype(np.float64, copy=False))
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Map events to the new coordinates.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        Z : ndarray of shape (n_events, n_features), in the precision of X

        Raises
        ------
        DomainError
            A value is NaN, infinite or outside the domain of the map.
        """
        check_is_fitted(self)
        X = self._validated(X)
        values = self._admit(X.astype(np.float64, copy=False))
        Z = self._rounded(self._forward(values), values, X.dtype, "transform")
        moved = round_into(Z, *self._range())
        if moved is not None:
            row, column = np.unravel_index(np.argmax(moved), moved.shape)
            warnings.warn(
                f"{type(self).__name__}: {moved.sum()} values, first "
                f"{column_name(column, feature_names(self))} = {X[row, column]:.6g} in row {row}, "
                f"round to the end of the range in {X.dtype}; such events cannot be told apart or "
                "mapped back. Scale the column before, or use float64.",
                FiducialWarning,
                stacklevel=2,
            )
        return Z

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """Map coordinates back to the original features.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events in the new coordinates.

        Returns
        -------
        X_original : ndarray of shape (n_events, n_features), in the precision of X

        Raises
        ------
        DomainError
            A value is NaN, infinite or outside the range of the map.
        """
        check_is_fitted(self)
        Z = self._validated_output(X)
        values = Z.astype(np.float64, copy=False)
        good = inside(values, *self._range())
        if good is not None:
            raise_outside(  # type: ignore[misc]
                values,
                good,
                *self._range(),
                feature_names(self),
                who=f"{type(self).__name__}.inverse_transform",
                advice="X must hold coordinates as transform returns them.",
            )
        result = self._rounded(self._backward(values), values, Z.dtype, "inverse_transform")
        round_into(result, *self._domain())
        return result

    def log_abs_det_jacobian(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the volume factor of the map, log abs(det dz/dx), at each event.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events in the original coordinates.

        Returns
        -------
        log_abs_det : ndarray of float64, shape (n_events,)
            In nats. A density transforms as log p_z(z) = log p_x(x) - log_abs_det.
        """
        check_is_fitted(self)
        X = self._validated(X).astype(np.float64, copy=False)
        return self._log_abs_det(self._admit(X))

    def _learn(self, X):
        """Learn from events what the map needs; nothing by default."""

    @abstractmethod
    def _forward(self, X):
        """Return the coordinates of events."""

    @abstractmethod
    def _backward(self, Z):
        """Return the events with coordinates Z."""

    def _log_abs_det(self, X):
        return np.sum(self._log_derivative(X), axis=1)

    def _domain(self):
        return -np.inf, np.inf

    def _range(self):
        return -np.inf, np.inf

    def _validated(self, X, reset=False):
        X = validate_data(self, X, reset=reset, dtype=_FLOATS, ensure_all_finite=False)
        check_finite(X, feature_names(self), who=type(self).__name__)
        return X

    def _validated_output(self, Z):
        # Only a frame with the names that transform gives can be checked against them.
        if hasattr(Z, "columns") and hasattr(self, "feature_names_in_"):
            expected = list(self.get_feature_names_out())
            if list(Z.columns) != expected:
                raise ValueError(
                    f"{type(self).__name__}.inverse_transform expects the columns {expected}; "
                    f"got {list(Z.columns)}. Select and order them so."
                )
        Z = check_array(Z, dtype=_FLOATS, ensure_all_finite=False, estimator=self)
        if Z.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {Z.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input."
            )
        check_finite(
            Z,
            feature_names(self),
            who=f"{type(self).__name__}.inverse_transform",
            allow_nan=self.outside == "nan",  # values that transform flagged
        )
        return Z

    def _admit(self, X):
        """Return the events with values outside the domain treated as `outside` says."""
        good = inside(X, *self._domain())
        if good is None:
            return X
        if self.outside == "nan":
            return np.where(good, X, np.nan)
        raise_outside(
            X,
            good,
            *self._domain(),
            feature_names(self),
            who=type(self).__name__,
            advice=self._advice,
        )

    def _rounded(self, result, values, dtype, method):
        """Return the result in the caller's precision after a check that it is finite."""
        with np.errstate(over="ignore"):
            result = np.asarray(result).astype(dtype, copy=result is values)
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(np.sum(result)):
                return result
        bad = ~np.isfinite(result) & ~np.isnan(values)
        if bad.any():
            row, column = np.unravel_index(np.argmax(bad), bad.shape)
            raise DomainError(
                f"{type(self).__name__}.{method} gives {result[row, column]} in {dtype} for "
                f"{column_name(column, feature_names(self))} in row {row}, whose value there is "
                f"{values[row, column]:.10g}; {bad.any(axis=1).sum()} of {len(bad)} rows are so. "
                "Scale or cut these values first, or use float64."
            )
        return result

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
