"""A transformer read backwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skad.coordinates._base import CoordinateTransformer
from skad.coordinates._jacobian import inverse_transform, log_abs_det_jacobian, named
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["InverseCoordinates"]


class InverseCoordinates(CoordinateTransformer):
    """A fitted transformer read backwards: its coordinates become the original ones.

    Parameters
    ----------
    transformer : transformer
        Fitted transformer known to `log_abs_det_jacobian`, or one of `skad.coordinates` that
        learns nothing from the values of X (such as TanhTransformer), which `fit` then fits. A
        fitted transformer is used as it is; wrap it in scikit-learn's FrozenEstimator where the
        whole is cloned, as in a grid search.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the coordinates seen in fit, where X has names.

    Notes
    -----
    The Jacobian is minus that of the transformer at the event it came from.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import InverseCoordinates, NormalCDFTransformer
    >>> quantile = InverseCoordinates(NormalCDFTransformer())
    >>> quantile.fit_transform(np.array([[0.5], [0.975]])).ravel().round(2)
    array([0.  , 1.96])
    """

    _parameter_constraints: dict = {"transformer": [sk.HasMethods(["fit", "transform"])]}

    _learns = True

    def __init__(self, transformer: Estimator) -> None:
        self.transformer = transformer

    def _learn(self, X):
        try:
            check_is_fitted(self.transformer)
            self.transformer_ = self.transformer
        except NotFittedError as exc:
            if getattr(self.transformer, "_learns", True):
                raise NotFittedError(
                    f"{type(self.transformer).__name__} learns from events in its own "
                    "coordinates; fit it on them before it is read backwards by "
                    "InverseCoordinates, in a FrozenEstimator where the whole is cloned."
                ) from exc
            self.transformer_ = fit_child(self.transformer, X)
        n_features = getattr(self.transformer_, "n_features_in_", X.shape[1])
        if n_features != X.shape[1]:
            raise ValueError(
                f"X has {X.shape[1]} features, but {type(self.transformer_).__name__} was fitted "
                f"with {n_features}."
            )

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names that the transformer was fitted with, else those of X.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the features, as for scikit-learn's one-to-one transformers.

        Returns
        -------
        names : ndarray of str, shape (n_features,)
        """
        names = super().get_feature_names_out(input_features)
        return np.asarray(getattr(self.transformer_, "feature_names_in_", names), dtype=object)

    def _forward(self, X):
        return inverse_transform(self.transformer_, X)

    def _backward(self, Z):
        return np.asarray(self.transformer_.transform(named(Z, self.transformer_)))

    def _log_abs_det(self, X):
        original = named(inverse_transform(self.transformer_, X), self.transformer_)
        return -log_abs_det_jacobian(self.transformer_, original)
