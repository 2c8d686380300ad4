"""Logarithm of positive features."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._base import CoordinateTransformer
from skad.coordinates._domain import per_column
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

__all__ = ["LogTransformer"]


class LogTransformer(CoordinateTransformer):
    """Natural logarithm of positive features, ``z = log(x / unit)``.

    The coordinate of the paper's realistic study, log m instead of m [1]_.

    Parameters
    ----------
    unit : float or array-like of shape (n_features,), default=1.0
        Positive unit in which each feature is measured, in the units of X, so that the
        logarithm is of a pure number.

    outside : {"raise", "nan"}, default="raise"
        What to do with a value that is not positive:

        - "raise": raise DomainError;
        - "nan": return NaN for the value, and for the Jacobian of its event;
          `inverse_transform` then passes NaN on.

    Attributes
    ----------
    unit_ : ndarray of shape (n_features,)
        Unit of each feature.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    See Also
    --------
    ExpTransformer : The exponential.
    skad.coordinates.AffineTransformer : A shift before the logarithm, where zeros occur.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly Detection under Coordinate Transformations",
       arXiv:2209.06225, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import LogTransformer
    >>> X = np.array([[50.0, 100.0], [100.0, 400.0]])  # masses in GeV
    >>> log = LogTransformer(unit=100.0).fit(X)
    >>> log.transform(X).round(3)
    array([[-0.693,  0.   ],
           [ 0.   ,  1.386]])
    >>> log.log_abs_det_jacobian(X).round(3)  # -log(50 * 100), -log(100 * 400)
    array([ -8.517, -10.597])
    """

    _parameter_constraints: dict = {
        "unit": [sk.Interval(Real, 0, None, closed="neither"), "array-like"],
        "outside": [sk.StrOptions({"raise", "nan"})],
    }

    _advice = (
        "Drop these events, shift the column with AffineTransformer before the logarithm, "
        "or pass outside='nan' to flag them."
    )

    def __init__(
        self, *, unit: float | ArrayLike = 1.0, outside: Literal["raise", "nan"] = "raise"
    ) -> None:
        self.unit = unit
        self.outside = outside

    def _learn(self, X):
        self.unit_ = per_column(self.unit, X.shape[1], parameter="unit")
        if not (self.unit_ > 0).all():
            raise ValueError(f"unit must be positive for every column; got {self.unit!r}.")

    def _domain(self):
        return 0.0, np.inf

    def _forward(self, X):
        return np.log(X / self.unit_)

    def _backward(self, Z):
        with np.errstate(over="ignore"):
            return self.unit_ * np.exp(Z)

    def _log_derivative(self, X):
        return -np.log(X)
