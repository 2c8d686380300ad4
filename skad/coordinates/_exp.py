"""Exponential of features."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._base import CoordinateTransformer
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

__all__ = ["ExpTransformer"]


class ExpTransformer(CoordinateTransformer):
    """Exponential of each feature, ``z = exp(sign * x)``.

    Parameters
    ----------
    sign : {1, -1}, default=1
        Whether the coordinate grows or falls with the feature.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    See Also
    --------
    LogTransformer : The logarithm.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import ExpTransformer
    >>> X = np.array([[0.0, 1.0], [2.0, 3.0]])
    >>> exp = ExpTransformer(sign=-1).fit(X)
    >>> exp.transform(X).round(3)
    array([[1.   , 0.368],
           [0.135, 0.05 ]])
    >>> exp.log_abs_det_jacobian(X)
    array([-1., -5.])
    """

    _parameter_constraints: dict = {"sign": [sk.Options(Integral, {1, -1})]}

    def __init__(self, *, sign: Literal[1, -1] = 1) -> None:
        self.sign = sign

    def _range(self):
        return 0.0, np.inf

    def _forward(self, X):
        with np.errstate(over="ignore"):
            return np.exp(self.sign * X)

    def _backward(self, Z):
        return self.sign * np.log(Z)

    def _log_derivative(self, X):
        return self.sign * X
