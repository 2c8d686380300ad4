"""Coordinates given by functions, with a Jacobian from torch where none is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates._base import CoordinateTransformer
from skad.exceptions import NoJacobianError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = ["FunctionCoordinates"]

_CHUNK = 65536
_CHECKED = 100


class FunctionCoordinates(CoordinateTransformer):
    """Coordinates given by a function of the events and its inverse.

    Parameters
    ----------
    func : callable
        Takes events of shape (n_events, n_features), float64, and returns as many coordinates,
        each row by itself. With ``log_abs_det=None`` it gets and returns torch tensors and uses
        operations that torch differentiates (no ``if`` on values; `torch.where` instead); else
        NumPy arrays.

    inverse_func : callable
        The inverse of `func`, on the same kind of arrays.

    log_abs_det : callable or None, default=None
        Function of the events (NumPy) that returns log abs(det dz/dx) in nats, shape
        (n_events,). None differentiates `func` with torch (`vmap` of `jacrev`), exact to rounding.

    feature_names_out : None or sequence of str, default=None
        Names of the coordinates; None keeps the names of the features.

    check_inverse : bool, default=True
        Whether `fit` checks on up to 100 events that `inverse_func` undoes `func` to a
        relative 1e-6.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    See Also
    --------
    sklearn.preprocessing.FunctionTransformer : Also known to `log_abs_det_jacobian`.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skad.coordinates import FunctionCoordinates
    >>> def polar(x):
    ...     return torch.stack([torch.hypot(x[:, 0], x[:, 1]), torch.atan2(x[:, 1], x[:, 0])], 1)
    >>> def cartesian(z):
    ...     return torch.stack([z[:, 0] * torch.cos(z[:, 1]), z[:, 0] * torch.sin(z[:, 1])], 1)
    >>> X = np.array([[3.0, 4.0], [0.0, 2.0]])
    >>> frame = FunctionCoordinates(polar, cartesian, feature_names_out=["r", "phi"]).fit(X)
    >>> frame.transform(X).round(3)
    array([[5.   , 0.927],
           [2.   , 1.571]])
    >>> np.exp(frame.log_abs_det_jacobian(X)).round(3)  # 1 / r
    array([0.2, 0.5])
    """

    _parameter_constraints: dict = {
        "func": [callable],
        "inverse_func": [callable],
        "log_abs_det": [None, callable],
        "feature_names_out": [None, "array-like"],
        "check_inverse": ["boolean"],
    }

    def __init__(
        self,
        func: Callable[..., Any],
        inverse_func: Callable[..., Any],
        *,
        log_abs_det: Callable[..., Any] | None = None,
        feature_names_out: Sequence[str] | None = None,
        check_inverse: bool = True,
    ) -> None:
        self.func = func
        self.inverse_func = inverse_func
        self.log_abs_det = log_abs_det
        self.feature_names_out = feature_names_out
        self.check_inverse = check_inverse

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the coordinates.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features, as for scikit-learn's one-to-one transformers.

        Returns
        -------
        names : ndarray of str, shape (n_features,)
        """
        names = super().get_feature_names_out(input_features)
        if self.feature_names_out is None:
            return names
        return np.asarray(self.feature_names_out, dtype=object)

    def _learn(self, X):
        n_features = X.shape[1]
        if self.feature_names_out is not None and len(self.feature_names_out) != n_features:
            raise ValueError(
                f"feature_names_out must hold {n_features} names, one for each column of X; got "
                f"{len(self.feature_names_out)}."
            )
        if not self.check_inverse:
            return
        X = X[:_CHECKED]
        back = self._call("inverse_func", self._call("func", X))
        # Relative to the size of the column, so that a zero may come back as 1e-17.
        error = np.abs(back - X) / np.maximum(np.abs(X).max(axis=0), np.finfo(np.float64).tiny)
        if not (error < 1e-6).all():
            row, column = np.unravel_index(np.argmax(~(error < 1e-6)), error.shape)
            raise ValueError(
                f"inverse_func does not undo func: column {column} of row {row} is "
                f"{X[row, column]:.10g} and comes back as {back[row, column]:.10g}. Correct one "
                "of them, or pass check_inverse=False where the precision is known to be low."
            )

    def _call(self, name, X):
        """Return the result of a function of the user as an array of the shape of X."""
        function = getattr(self, name)
        if self.log_abs_det is None:
            import torch

            with torch.no_grad():
                # A copy, because a function may write into its argument.
                result = function(torch.tensor(X))
            if not isinstance(result, torch.Tensor):
                raise TypeError(
                    f"{name} must return a torch tensor where log_abs_det is None; it returned "
                    f"{type(result).__name__}. Use torch functions, or pass log_abs_det."
                )
            result = result.cpu().numpy()
        else:
            with np.errstate(all="ignore"):
                result = np.asarray(function(X.copy()))
        if result.shape != X.shape:
            raise ValueError(
                f"{name} must return as many rows and columns as it is given; it returned shape "
                f"{result.shape} for {X.shape}."
            )
        return result.astype(np.float64, copy=False)

    def _forward(self, X):
        return self._call("func", X)

    def _backward(self, Z):
        return self._call("inverse_func", Z)

    def _log_abs_det(self, X):
        if self.log_abs_det is None:
            return _autograd_log_abs_det(self.func, X)
        result = np.asarray(self.log_abs_det(X.copy()), dtype=np.float64)
        if result.shape != (len(X),):
            raise ValueError(
                f"log_abs_det must return shape ({len(X)},), one number for each event; it "
                f"returned shape {result.shape}."
            )
        return result


def _autograd_log_abs_det(func, X):
    """Return log abs(det df/dx) of a row-wise torch function at each row."""
    import torch

    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: func(row[None])[0]))
    result = np.empty(len(X))
    try:
        for start in range(0, len(X), _CHUNK):
            rows = torch.tensor(X[start : start + _CHUNK])
            result[start : start + _CHUNK] = torch.linalg.slogdet(jacobian(rows)).logabsdet.numpy()
    except (RuntimeError, TypeError, ValueError) as exc:
        raise NoJacobianError(
            f"torch could not differentiate func of FunctionCoordinates ({exc}). Use torch "
            "operations only, no branches on values and no writing into x; or pass log_abs_det."
        ) from exc
    return result
