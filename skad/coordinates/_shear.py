"""Columns shifted in proportion to another one."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._base import CoordinateTransformer, feature_names
from skad.utils import _sklearn as sk
from skad.utils._columns import resolve_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ShearTransformer"]


class ShearTransformer(CoordinateTransformer):
    """Shift columns in proportion to another one, ``z_j = x_j + factor * x_along``.

    Makes features depend on the resonant one: the shifted data of ANODE [1]_ add 0.1 mjj to both
    jet masses, which breaks methods that take features and mass for independent. Volumes stay,
    so the Jacobian is 1.

    Parameters
    ----------
    columns : sequence of int or str, default=None
        Columns to shift; None means all but `along`. [1]_ shifts the masses of both jets, which
        moves the lighter one, `mj1`, and leaves their difference.
    along : int or str, default=0
        The column to add.
    factor : float, default=0.1
        What to multiply it with; for columns in one unit a pure number.

    Attributes
    ----------
    column_indices_ : ndarray of int
        Positions of the shifted columns.

    along_index_ : int
        Position of the column that is added.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    References
    ----------
    .. [1] B. Nachman and D. Shih, "Anomaly Detection with Density Estimation",
       arXiv:2001.04990, equation 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import ShearTransformer
    >>> X = np.array([[3.5, 0.1, 0.4], [3.0, 0.2, 0.1]])  # mjj, mj1, delta_mj in TeV
    >>> ShearTransformer(columns=[1]).fit_transform(X)
    array([[3.5 , 0.45, 0.4 ],
           [3.  , 0.5 , 0.1 ]])
    """

    _parameter_constraints: dict = {
        "columns": [None, "array-like"],
        "along": [Integral, str],
        "factor": [sk.Interval(Real, None, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        columns: Sequence[int | str] | None = None,
        along: int | str = 0,
        factor: float = 0.1,
    ) -> None:
        self.columns = columns
        self.along = along
        self.factor = factor

    def _learn(self, X):
        n_features, names = X.shape[1], feature_names(self)
        along = resolve_columns(self.along, names, n_features, parameter="along")
        self.along_index_ = int(along[0])
        if self.columns is None:
            self.column_indices_ = np.setdiff1d(np.arange(n_features), along)
            return
        chosen = resolve_columns(list(self.columns), names, n_features, parameter="columns")
        self.column_indices_ = np.asarray(chosen, dtype=np.intp)
        if self.along_index_ in self.column_indices_:
            raise ValueError(
                f"columns={self.columns!r} must not hold along={self.along!r}, which stays."
            )

    def _moved(self, X, sign):
        Z = X.copy()
        Z[:, self.column_indices_] += sign * self.factor * X[:, [self.along_index_]]
        return Z

    def _forward(self, X):
        return self._moved(X, 1)

    def _backward(self, Z):
        return self._moved(Z, -1)

    def _log_abs_det(self, X):
        return np.zeros(len(X))
