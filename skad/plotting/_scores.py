"""Anomaly scores as displays take them: of estimators, by name, of trainings and of folds."""

from collections.abc import Mapping

import numpy as np
from sklearn.pipeline import Pipeline

from skad.metrics import anomaly_response
from skad.utils._children import rows_of

__all__ = ["as_list", "named_scores", "responses", "score_folds"]


def as_list(value):
    """Return a list of arrays; one array becomes a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def responses(estimators, X, *, name=None, signal_label=None):
    """Return the scores of one fitted estimator with its name, or of a dict of them."""
    if isinstance(estimators, Mapping):
        scores = {
            key: anomaly_response(estimator, X, signal_label=signal_label)
            for key, estimator in estimators.items()
        }
        return scores, name
    if name is None:
        last = estimators[-1] if isinstance(estimators, Pipeline) else estimators
        name = type(last).__name__
    return anomaly_response(estimators, X, signal_label=signal_label), name


def named_scores(scores, name, n_events):
    """Return one array of scores per training, their names, and if a method has several.

    Takes scores of shape (n_events,) or (n_seeds, n_events), or a dict of them.
    """
    if isinstance(scores, Mapping):
        if name is not None:
            raise ValueError("name must be None when a dict gives the names.")
    else:
        scores = {name: scores}
    trainings, names = [], []
    for key, values in scores.items():
        shape = np.shape(values)
        # A column of scores stands for one training, as everywhere in scikit-learn.
        if len(shape) == 2 and shape != (n_events, 1):
            if shape[0] == 0 or shape[1] != n_events:
                raise ValueError(
                    "scores of several trainings must have the shape (n_seeds, n_events), with "
                    f"{n_events} events; got {shape}."
                )
            values = np.asarray(values)
        else:
            values = [values]
        trainings += list(values)
        names += [key] * len(values)
    return trainings, names[0] if len(scores) == 1 else names, len(trainings) > len(scores)


def score_folds(cv_results, X, *others, signal_label=None):
    """Yield the scores of the test part of every fold, with its rows of `others`."""
    missing = {"estimator", "indices"} - set(cv_results)
    if missing:
        raise ValueError(
            f"cv_results lacks {sorted(missing)}; call cross_validate with return_estimator=True "
            "and return_indices=True."
        )
    train, test = cv_results["indices"]["train"][0], cv_results["indices"]["test"][0]
    largest = max(np.max(train), np.max(test))
    if largest >= len(X):
        raise ValueError(
            f"X has {len(X)} events, but cv_results refers to event {largest}; "
            "pass the X of cross_validate."
        )
    for estimator, index in zip(
        cv_results["estimator"], cv_results["indices"]["test"], strict=True
    ):
        scores = anomaly_response(estimator, rows_of(X, index), signal_label=signal_label)
        yield scores, *(None if v is None else rows_of(v, index) for v in others)
