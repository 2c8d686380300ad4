"""Classifiers of two classes: their labels, weights and predictions from log odds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skad.utils._children import unit_weights
from skad.utils._documentation import LinkedMixin

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = ["TwoClassMixin", "class_balanced_weight", "class_factors", "encode_two_classes"]


def encode_two_classes(y):
    """Return the two classes of y and y as 0 and 1.

    Raises
    ------
    ValueError
        y holds one class or more than two.
    """
    check_classification_targets(y)
    classes, encoded = np.unique(y, return_inverse=True)
    if len(classes) > 2:
        raise ValueError(
            "Only binary classification is supported. The type of the target is "
            f"{type_of_target(y)}."
        )
    if len(classes) < 2:
        raise ValueError(
            f"y must hold two classes; got one class only, {classes[0]!r}. Give events of both."
        )
    return classes, encoded


def class_balanced_weight(y, sample_weight=None, factors="balanced", classes=(0, 1)):
    """Multiply weights by one factor per class of y (encoded as 0 and 1).

    Parameters
    ----------
    factors : "balanced", dict or None
        "balanced" gives both classes the same sum, a dict maps classes to factors.
    classes : sequence of two labels
        Keys of the dict.

    Raises
    ------
    ValueError
        A class whose weights are all zero, where the classes are to be balanced.
    """
    weight = np.ones(len(y)) if sample_weight is None else unit_weights(sample_weight)
    if factors is None:
        return weight
    sums = np.bincount(y, weights=weight, minlength=2)
    weight = weight * class_factors(sums, factors, classes)[y]
    return unit_weights(weight) if isinstance(factors, dict) else weight


def class_factors(sums, factors="balanced", classes=(0, 1)):
    """Return the factors of two classes whose weights have these sums.

    Parameters and errors are those of `class_balanced_weight`.
    """
    if factors is None:
        return np.ones(2)
    if isinstance(factors, dict):
        return np.array([factors.get(label, 1.0) for label in classes])
    if not (sums > 0).all():
        raise ValueError(
            "sample_weight is zero for every event of one class; both need positive weights."
        )
    return sums.sum() / (2 * sums)


class TwoClassMixin(LinkedMixin, ClassifierMixin):
    """Predictions of a classifier whose `decision_function` is the log odds of the second class."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Probability of both classes.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        probability : ndarray of float64, shape (n_events, 2)
        """
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """More probable class of each event.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        labels : ndarray of shape (n_events,)
        """
        second = self.decision_function(X) > 0
        return self.classes_[second.astype(int)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
