"""Classifiers fitted on folds, each to score the events it has not seen."""

import numpy as np
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils.parallel import Parallel, delayed

from skad.detectors._tree_ensemble import TreeEnsembleClassifier, log_odds_of_ensembles
from skad.detectors._two_classes import class_balanced_weight
from skad.utils._children import fit_child, seeded_child, takes_weights, unit_weights
from skad.utils._interrupts import among_others
from skad.utils._random import draw_seeds

__all__ = ["balanced", "cross_fit", "held_out_log_odds", "log_odds", "log_odds_of_all"]

# Probabilities of 0 and 1 from a classifier without a decision function.
_SMALLEST = np.finfo(np.float64).eps


def probabilities_of(classifier, X):
    """Return the probabilities of all classes by a fitted classifier, or refuse it by name."""
    if not hasattr(classifier, "predict_proba"):
        # Asked of the fitted one: a committee learns only then whether it has probabilities.
        raise TypeError(
            f"classifier must have predict_proba; {type(classifier).__name__} has none. Wrap it in "
            "CalibratedClassifierCV, or give SVC probability=True."
        )
    return classifier.predict_proba(X)


def log_odds(classifier, X):
    """Return the log odds of the second class, in float64.

    Taken from `decision_function` of skad's own classifiers, whose values are log odds, and from
    `predict_proba` of any other; probabilities of 0 and 1 count as 2e-16 from there.
    """
    if type(classifier).__module__.startswith("skad."):
        return classifier.decision_function(X)
    probabilities = probabilities_of(classifier, X)
    if probabilities.shape[1] < 2:
        raise ValueError(
            f"{type(classifier).__name__} has seen events of one class only, in a fold or in all; "
            "give more events of the other class, or fewer folds (cv)."
        )
    p = np.clip(probabilities[:, 1].astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.log(p) - np.log1p(-p)


def log_odds_of_all(classifiers, X, n_jobs=None):
    """Return the log odds by every classifier, one row each; trees share their work."""
    if all(isinstance(classifier, TreeEnsembleClassifier) for classifier in classifiers):
        return log_odds_of_ensembles(classifiers, X, n_jobs)
    return np.array([log_odds(classifier, X) for classifier in classifiers])


def balanced(classifier, y, sample_weight):
    """Return weights that balance the classes, and the log odds that remain to be subtracted.

    Balanced weights make h/(1-h) the ratio of normalised densities; a classifier that takes none
    learns it times the ratio of the sizes, which is all that is missing where the weights of each
    class are equal.
    """
    weight = np.ones(len(y)) if sample_weight is None else unit_weights(sample_weight)
    used = weight > 0
    equal = all(np.ptp(weight[used & (y == k)], axis=0) == 0 for k in np.unique(y[used]))
    if takes_weights(classifier) or not equal:
        return class_balanced_weight(y, weight), 0.0
    log_prior = float(np.log(np.mean(y[used] == 1)) - np.log(np.mean(y[used] == 0)))
    return (None if used.all() else used.astype(np.float64)), log_prior


def cross_fit(classifier, X, y, *, cv, sample_weight=None, random_state=None, copy=0, n_jobs=None):
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
    copy : int, default=0
        As in `seeded_child`.
    n_jobs : int, default=None

    Returns
    -------
    classifiers : list of fitted estimators
    held_out : list of int arrays
        Events each of them has not seen.
    """
    if isinstance(cv, int):
        cv = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    splits = list(check_cv(cv, y, classifier=True).split(X, y))
    if hasattr(classifier, "fit_folds"):
        first = seeded_child(classifier, random_state, copy=copy)
        folds = [train for train, _ in splits]
        with among_others():
            fitted = first.fit_folds(X, y, folds, unit_weights(sample_weight))
    else:
        seeds = draw_seeds(random_state, len(splits))
        fitted = Parallel(n_jobs=n_jobs)(
            delayed(fit_child)(
                classifier,
                X[train],
                y[train],
                sample_weight=None if sample_weight is None else sample_weight[train],
                random_state=seed,
                copy=copy,
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
