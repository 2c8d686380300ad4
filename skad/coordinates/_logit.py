"""Logit between learned or given bounds."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted

from skad.coordinates._base import CoordinateTransformer
from skad.coordinates._domain import per_column
from skad.exceptions import FiducialWarning
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["LogitTransformer"]


class LogitTransformer(CoordinateTransformer):
    """Logit of features scaled to the unit interval, ``z = log(u / (1 - u))``.

    ``u = (x - lower) / (upper - lower)``, so that a density on a bounded range becomes one on
    all real numbers, as in ANODE [1]_.

    Parameters
    ----------
    lower, upper : None, float or array-like of shape (n_features,), default=None
        Bounds of each feature in the units of X. None, also as an entry of the array, learns
        the bound from the training events.

    margin : float, default=1e-3
        A learned bound lies `margin` times the range of the training events outside them; a
        given bound is used as it is. With 0 the extreme training events lie on the bounds and
        so outside the domain.

    outside : {"raise", "nan", "clip"}, default="raise"
        What to do with a value on or outside a bound:

        - "raise": raise DomainError;
        - "nan": return NaN for the value, and for the Jacobian of its event;
          `inverse_transform` then passes NaN on;
        - "clip": move values that are closer to a bound than
          ``margin / (1 + 2 * margin) * (upper - lower)`` to that distance (for learned bounds:
          to the extreme training value). The map is flat there, the log Jacobian of such an
          event is -inf and comes with FiducialWarning.

    Attributes
    ----------
    lower_, upper_ : ndarray of shape (n_features,)
        Bounds used, in the units of X. A column that is constant in training gets bounds half
        a unit to either side.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    Notes
    -----
    log abs(dz/dx) = log(upper - lower) - log(x - lower) - log(upper - x).

    References
    ----------
    .. [1] B. Nachman and D. Shih, "Anomaly Detection with Density Estimation",
       arXiv:2001.04990, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import LogitTransformer
    >>> X = np.array([[0.1], [0.5], [0.99]])
    >>> logit = LogitTransformer(lower=0.0, upper=1.0).fit(X)
    >>> logit.transform(X).ravel().round(3)
    array([-2.197,  0.   ,  4.595])
    >>> logit.log_abs_det_jacobian(X).round(3)
    array([2.408, 1.386, 4.615])
    >>> logit.fiducial_mask(X)
    array([ True,  True, False])
    """

    _parameter_constraints: dict = {
        "lower": [None, Real, "array-like"],
        "upper": [None, Real, "array-like"],
        "margin": [sk.Interval(Real, 0, None, closed="left")],
        "outside": [sk.StrOptions({"raise", "nan", "clip"})],
    }

    _advice = "Widen lower, upper or margin, drop these events, or pass outside='nan' to flag them."

    _learns = True

    def __init__(
        self,
        *,
        lower: float | ArrayLike | None = None,
        upper: float | ArrayLike | None = None,
        margin: float = 1e-3,
        outside: Literal["raise", "nan", "clip"] = "raise",
    ) -> None:
        self.lower = lower
        self.upper = upper
        self.margin = margin
        self.outside = outside

    def _learn(self, X):
        if self.outside == "clip" and self.margin == 0:
            raise ValueError(
                "outside='clip' needs margin > 0, or the clipped values would be infinite; "
                f"got margin={self.margin!r}."
            )
        n_features = X.shape[1]
        lower = per_column(self.lower, n_features, parameter="lower", none=np.nan)
        upper = per_column(self.upper, n_features, parameter="upper", none=np.nan)
        smallest, largest = X.min(axis=0), X.max(axis=0)
        learned_lower, learned_upper = np.isnan(lower), np.isnan(upper)
        lower = np.where(learned_lower, smallest, lower)
        upper = np.where(learned_upper, largest, upper)
        constant = (smallest == largest) & learned_lower & learned_upper
        width = upper - lower
        lower = lower - np.where(learned_lower, np.where(constant, 0.5, self.margin * width), 0.0)
        upper = upper + np.where(learned_upper, np.where(constant, 0.5, self.margin * width), 0.0)
        if not (lower < upper).all():
            column = int(np.argmin(lower < upper))
            raise ValueError(
                f"lower must be below upper in every column; column {column} has "
                f"lower={lower[column]:.6g} and upper={upper[column]:.6g} (a bound that is None "
                "is learned from the events)."
            )
        self.lower_, self.upper_ = lower, upper

    def fiducial_mask(
        self, X: ArrayLike, *, low: float = 0.05, high: float = 0.95
    ) -> NDArray[np.bool_]:
        """Select events well inside the bounds, ``low < u < high`` in every feature.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Values outside the bounds are allowed and give False.

        low, high : float, default=0.05 and 0.95
            Limits on the scaled features u, those of ANODE.

        Returns
        -------
        mask : ndarray of bool, shape (n_events,)
        """
        check_is_fitted(self)
        if not 0 <= low < high <= 1:
            raise ValueError(
                f"low and high must obey 0 <= low < high <= 1; got low={low!r}, high={high!r}."
            )
        scaled = (self._validated(X) - self.lower_) / (self.upper_ - self.lower_)
        return ((scaled > low) & (scaled < high)).all(axis=1)

    def log_abs_det_jacobian(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of the volume factor of the map, log abs(det dz/dx), at each event.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events in the original coordinates.

        Returns
        -------
        log_abs_det : ndarray of float64, shape (n_events,)
            In nats; -inf for clipped events, NaN for events flagged by ``outside="nan"``.
        """
        result = super().log_abs_det_jacobian(X)
        if self.outside == "clip":
            X = self._validated(X)
            lowest, highest = self._clip_range()
            clipped = ((lowest > X) | (highest < X)).any(axis=1)
            if clipped.any():
                result[clipped] = -np.inf
                warnings.warn(
                    f"LogitTransformer clips {clipped.sum()} of {len(X)} events, first row "
                    f"{np.argmax(clipped)}; the map is flat there, so their density in X is "
                    "zero. Widen lower, upper or margin to keep them.",
                    FiducialWarning,
                    stacklevel=2,
                )
        return result

    def _clip_range(self):
        distance = self.margin / (1 + 2 * self.margin) * (self.upper_ - self.lower_)
        return self.lower_ + distance, self.upper_ - distance

    def _admit(self, X):
        if self.outside == "clip":
            return np.clip(X, *self._clip_range())
        return super()._admit(X)

    def _domain(self):
        return self.lower_, self.upper_

    def _forward(self, X):
        # Two logarithms keep the digits near both bounds, where 1 - u would lose them.
        return np.log(X - self.lower_) - np.log(self.upper_ - X)

    def _backward(self, Z):
        width = self.upper_ - self.lower_
        return np.where(Z < 0, self.lower_ + width * expit(Z), self.upper_ - width * expit(-Z))

    def _log_derivative(self, X):
        return np.log(self.upper_ - self.lower_) - np.log(X - self.lower_) - np.log(self.upper_ - X)
