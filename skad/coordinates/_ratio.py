"""A column over another one."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np

from skad.coordinates._base import CoordinateTransformer, feature_names
from skad.exceptions import DomainError
from skad.utils import _sklearn as sk
from skad.utils._columns import column_name, resolve_column

__all__ = ["RatioTransformer"]


class RatioTransformer(CoordinateTransformer):
    """One column over another, ``z_i = x_i / (x_j + regulariser)``; the others stay.

    (tau1, tau2) and (tau1, tau2 / tau1) are the two frames of N-subjettiness in [1]_.

    Parameters
    ----------
    numerator : int or str, default=1
        Column that is replaced by the ratio.
    denominator : int or str, default=0
        Column to divide by, which stays.
    regulariser : float, default=0.0
        Added to the denominator, in its unit: 1e-3 in the public code of [1]_, 1e-5 in those of
        ANODE and CATHODE.

    Attributes
    ----------
    numerator_index_, denominator_index_ : int
        Positions of the columns.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly Detection under Coordinate Transformations",
       arXiv:2209.06225, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import RatioTransformer
    >>> X = np.array([[0.4, 0.1], [0.2, 0.1]])  # tau1, tau2
    >>> ratio = RatioTransformer().fit(X)
    >>> ratio.transform(X)
    array([[0.4 , 0.25],
           [0.2 , 0.5 ]])
    >>> np.exp(ratio.log_abs_det_jacobian(X))  # 1 / tau1
    array([2.5, 5. ])
    """

    _parameter_constraints: dict = {
        "numerator": [Integral, str],
        "denominator": [Integral, str],
        "regulariser": [sk.Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self, *, numerator: int | str = 1, denominator: int | str = 0, regulariser: float = 0.0
    ) -> None:
        self.numerator = numerator
        self.denominator = denominator
        self.regulariser = regulariser

    def _learn(self, X):
        n_features, names = X.shape[1], feature_names(self)
        if n_features < 2:
            raise ValueError(
                f"RatioTransformer needs two columns; X has n_features = {n_features}."
            )
        self.numerator_index_, self.denominator_index_ = (
            resolve_column(column, names, n_features, parameter=parameter)
            for column, parameter in (
                (self.numerator, "numerator"),
                (self.denominator, "denominator"),
            )
        )
        if self.numerator_index_ == self.denominator_index_:
            raise ValueError(
                f"numerator and denominator must be two columns; both are {self.numerator!r}."
            )
        self._below(X)

    def _below(self, X):
        below = X[:, self.denominator_index_] + self.regulariser
        zero = np.flatnonzero(below == 0)
        if len(zero):
            name = column_name(self.denominator_index_, feature_names(self))
            raise DomainError(
                f"RatioTransformer divides by {name} + {self.regulariser:g}, which is zero in "
                f"{len(zero)} of {len(X)} rows, first in row {zero[0]}. Drop these events or give "
                "a regulariser."
            )
        return below

    def _forward(self, X):
        Z = X.copy()
        Z[:, self.numerator_index_] /= self._below(X)
        return Z

    def _backward(self, Z):
        X = Z.copy()
        X[:, self.numerator_index_] *= self._below(Z)
        return X

    def _log_abs_det(self, X):
        return -np.log(np.abs(self._below(X)))
