"""A smooth signal on a background of any shape: a density ratio of few numbers."""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from skad.detectors._two_classes import TwoClassMixin

__all__ = ["TiltClassifier", "combined", "smooth_terms"]

# Penalties on the coefficients of terms of unit variance: products have to earn their place.
_PENALTY, _PENALTY_OF_PRODUCTS = 0.1, 10.0
# The number of products grows with the square of that of the columns.
_MOST_COLUMNS_WITH_PRODUCTS = 10
_MOST_NUMBERS = 20_000_000
_MOST_QUANTILES, _MOST_RANKED = 1000, 100_000
_MOST_STEPS = 100
# A weak signal at the start, tilted along the best plane.
_FIRST_SIGNAL, _FIRST_TILT = -2.0, 0.7
# Standard errors by which the loss must fall.
_SURE = 2.0
# Part of the reference beyond which the trees see a narrow signal, if there is one.
_TOP = 0.02


def smooth_terms(n_events, n_features):
    """Return a transformer to Gaussian margins, their squares and products, of unit variance."""
    n_terms = n_features * (n_features + 3) // 2
    few = n_features <= _MOST_COLUMNS_WITH_PRODUCTS and n_events * n_terms <= _MOST_NUMBERS
    degree = 2 if few else 1
    margins = QuantileTransformer(
        n_quantiles=min(_MOST_QUANTILES, n_events),
        output_distribution="normal",
        subsample=_MOST_RANKED,
        random_state=0,
    )
    return make_pipeline(margins, PolynomialFeatures(degree, include_bias=False), StandardScaler())


class TiltClassifier(TwoClassMixin, BaseEstimator):
    """Log odds ``c + log(1 + exp(q(z)))``, with q linear in the columns z.

    A mixed sample of background b and signal s has the ratio 1 - w + w s/b to the background. With
    s/b the exponential of a polynomial of Gaussian margins, it is this. A logistic regression
    would give the events least like the signal a slope of their own.

    Parameters
    ----------
    n_linear : int
        The first columns, which are hardly penalised.
    """

    def __init__(self, n_linear):
        self.n_linear = n_linear

    def fit(self, Z, y, sample_weight=None):
        """Minimise the log loss; y is encoded as 0 and 1."""
        self.classes_ = np.array([0, 1])
        weight = np.ones(len(Z)) if sample_weight is None else sample_weight
        penalty = np.full(Z.shape[1], _PENALTY_OF_PRODUCTS)
        penalty[: self.n_linear] = _PENALTY
        sign = np.where(y == 1, 1.0, -1.0)

        def loss(numbers):
            q = numbers[1] + Z @ numbers[2:]
            margin = sign * (numbers[0] + np.logaddexp(0, q))
            slope = -sign * expit(-margin) * weight
            by_q = slope * expit(q)
            total = (np.logaddexp(0, -margin) * weight).sum()
            total += 0.5 * (penalty * numbers[2:] ** 2).sum()
            by_numbers = [slope.sum()], [by_q.sum()], by_q @ Z + penalty * numbers[2:]
            return total / len(Z), np.concatenate(by_numbers) / len(Z)

        linear = Z[:, : self.n_linear]
        towards = (weight * (y == 1)) @ linear / weight[y == 1].sum()
        towards -= (weight * (y == 0)) @ linear / weight[y == 0].sum()
        start = np.zeros(2 + Z.shape[1])
        start[1] = _FIRST_SIGNAL
        length = np.linalg.norm(towards)
        if length > 0:
            start[2 : 2 + self.n_linear] = _FIRST_TILT * towards / length
        self.numbers_ = minimize(
            loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _MOST_STEPS}
        ).x
        return self

    def decision_function(self, Z):
        """Log odds of the second class."""
        check_is_fitted(self)
        return self.numbers_[0] + np.logaddexp(0, self.numbers_[1] + Z @ self.numbers_[2:])


def combined(trees, smooth, y, weight):
    """Return the factors of two held-out log ratios in a common one, or None for trees alone.

    The smooth one must lower the log loss of the trees, brought to their best scale, by more than
    two standard errors: weak labels are nearly random, and so are small differences. Then the trees
    must lower that of the smooth one as clearly, else they are left out for their noise. What
    remains must be as clearly better among the events that the trees take for signal: a smooth
    mismatch of the samples is worth more than a narrow signal, which is there alone.
    """
    sign = np.where(y == 1, 1.0, -1.0)

    def loss_of_events(columns, factors):
        return np.logaddexp(0, -sign * (columns @ factors)) * weight

    def best(columns):
        def loss(factors):
            slope = -sign * expit(-sign * (columns @ factors)) * weight
            return loss_of_events(columns, factors).mean(), slope @ columns / len(columns)

        n = columns.shape[1]
        found = minimize(
            loss, np.full(n, 1 / n), jac=True, method="L-BFGS-B", bounds=[(0, None)] * n
        ).x
        return found, loss_of_events(columns, found)

    def clearly(gain):
        return gain.sum() > _SURE * np.sqrt(len(gain)) * gain.std()

    of_trees = best(trees[:, None])[1]
    factors, of_both = best(np.column_stack([trees, smooth]))
    if not clearly(of_trees - of_both):
        return None
    alone, of_smooth = best(smooth[:, None])
    if not clearly(of_smooth - of_both):
        factors, of_both = np.array([0.0, alone[0]]), of_smooth
    top = trees > np.quantile(trees[y == 0], 1 - _TOP)
    return factors if clearly((of_trees - of_both)[top]) else None
