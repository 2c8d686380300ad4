"""Scales, shifts and rotations of features."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._base import CoordinateTransformer
from skad.coordinates._domain import per_column

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["AffineTransformer"]


class AffineTransformer(CoordinateTransformer):
    """Given linear map and shift, ``z = matrix @ (scale * x) + shift``.

    Parameters
    ----------
    scale : float or array-like of shape (n_features,), default=1.0
        Factor of each feature, not zero; negative factors turn it around.

    shift : float or array-like of shape (n_features,), default=0.0
        Added to each coordinate, in the units of the result.

    matrix : None or array-like of shape (n_features, n_features), default=None
        Invertible matrix whose rows give the new coordinates; None means the identity.

    Attributes
    ----------
    matrix_ : ndarray of shape (n_features, n_features)
        Matrix and scale in one.

    shift_ : ndarray of shape (n_features,)
        Shift of each coordinate.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : A learned scale and shift.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import AffineTransformer
    >>> X = np.array([[100.0, 500.0], [80.0, 90.0]])  # masses in GeV
    >>> affine = AffineTransformer(scale=1e-3, matrix=[[1, 0], [-1, 1]]).fit(X)
    >>> affine.transform(X)  # lighter mass and mass difference in TeV
    array([[0.1 , 0.4 ],
           [0.08, 0.01]])
    >>> affine.log_abs_det_jacobian(X).round(3)
    array([-13.816, -13.816])
    """

    _parameter_constraints: dict = {
        "scale": [Real, "array-like"],
        "shift": [Real, "array-like"],
        "matrix": [None, "array-like"],
    }

    def __init__(
        self,
        *,
        scale: float | ArrayLike = 1.0,
        shift: float | ArrayLike = 0.0,
        matrix: ArrayLike | None = None,
    ) -> None:
        self.scale = scale
        self.shift = shift
        self.matrix = matrix

    def _learn(self, X):
        n_features = X.shape[1]
        scale = per_column(self.scale, n_features, parameter="scale")
        if not np.all(np.isfinite(scale) & (scale != 0)):
            raise ValueError(f"scale must be finite and not zero; got {self.scale!r}.")
        self.shift_ = per_column(self.shift, n_features, parameter="shift")
        matrix = np.eye(n_features)
        if self.matrix is not None:
            matrix = np.asarray(self.matrix, dtype=np.float64)
        if matrix.shape != (n_features, n_features):
            raise ValueError(
                f"matrix must have shape ({n_features}, {n_features}), one row and column for "
                f"each column of X; got {matrix.shape}."
            )
        if not np.linalg.cond(matrix) < 1 / np.finfo(np.float64).eps:
            raise ValueError("matrix must be invertible; its rows are linearly dependent.")
        self.matrix_ = matrix * scale

    def _forward(self, X):
        return X @ self.matrix_.T + self.shift_

    def _backward(self, Z):
        return np.linalg.solve(self.matrix_, (Z - self.shift_).T).T

    def _log_abs_det(self, X):
        return np.full(len(X), np.linalg.slogdet(self.matrix_).logabsdet)
