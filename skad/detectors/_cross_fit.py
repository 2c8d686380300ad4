"""Classifiers fitted on folds, each to score the events it has not seen."""

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import has_fit_parameter

from skad.detectors._two_classes import class_balanced_weight
from skad.utils import _sklearn as sk

__all__ = ["balanced", "cross_fit", "fit_classifier", "held_out_log_odds", "log_odds"]

# Probabilities of 0 and 1 from a classifier without a decision function.
_SMALLEST = np.finfo(np.float64).eps


def log_odds(classifier, X):
    """Return the log odds of the second class, in float64.

    Taken from `decision_function` of skad's own classifiers, whose values are log odds, and from
    `predict_proba` of any other; probabilities of 0 and 1 count as 2e-16 from there.
    """
    if type(classifier).__module__.startswith("skad."):
        return classifier.decision_function(X)
    p = np.clip(classifier.predict_proba(X)[:, 1].astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.log(p) - np.log1p(-p)


def balanced(classifier, y, sample_weight):
    """Return weights that balance the classes, and the log odds that remain to be subtracted.

    Balanced weights make h/(1-h) the ratio of normalised densities; a classifier that takes none
    learns it times the ratio of the sizes.
    """
    if sample_weight is not None or has_fit_parameter(classifier, "sample_weight"):
        return class_balanced_weight(y, sample_weight), 0.0
    return None, float(np.log(np.mean(y == 1)) - np.log(np.mean(y == 0)))


def fit_classifier(classifier, X, y, sample_weight, random_state):
    """Fit a clone with weights where it takes them.

    Raises
    ------
    TypeError
        Weights for a classifier whose `fit` has no `sample_weight`.
    """
    fitted = clone(classifier)
    sk.set_random_states(fitted, random_state)
    if sample_weight is None:
        return fitted.fit(X, y)
    if not has_fit_parameter(fitted, "sample_weight"):
        raise TypeError(
            f"sample_weight was given, but {type(fitted).__name__}.fit does not take it; pass "
            "None or another classifier."
        )
    return fitted.fit(X, y, sample_weight=sample_weight)


def cross_fit(classifier, X, y, *, cv, sample_weight=None, random_state=None, n_jobs=None):
    """Fit a classifier on every fold.

    Parameters
    ----------
    classifier : estimator
        Cloned for each fold; one with a method `fit_folds` gets all folds at once.
    X : array of shape (n_events, n_features)
    y : array of 0 and 1, shape (n_events,)
    cv : int or splitter
        An int shuffles and stratifies.
    sample_weight : array of shape (n_events,), default=None
    random_state : RandomState
    n_jobs : int, default=None

    Returns
    -------
    classifiers : list of fitted estimators
    held_out : list of int arrays
        Events each of them has not seen.
    """
    if isinstance(cv, int):
        from sklearn.model_selection import StratifiedKFold

        cv = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    splits = list(check_cv(cv, y, classifier=True).split(X, y))
    if hasattr(classifier, "fit_folds"):
        first = clone(classifier)
        sk.set_random_states(first, random_state)
        fitted = first.fit_folds(X, y, [train for train, _ in splits], sample_weight)
    else:
        seeds = [np.random.RandomState(random_state.randint(2**31 - 1)) for _ in splits]
        fitted = Parallel(n_jobs=n_jobs)(
            delayed(fit_classifier)(
                classifier,
                X[train],
                y[train],
                None if sample_weight is None else sample_weight[train],
                seed,
            )
            for (train, _), seed in zip(splits, seeds, strict=True)
        )
    return fitted, [test for _, test in splits]


def held_out_log_odds(classifiers, held_out, X):
    """Mean log odds of every event over the classifiers that have not seen it; NaN without any."""
    total, times = np.zeros(len(X)), np.zeros(len(X))
    for fitted, rows in zip(classifiers, held_out, strict=True):
        total[rows] += log_odds(fitted, X[rows])
        times[rows] += 1
    return np.divide(total, times, out=np.full(len(X), np.nan), where=times > 0)
