"""Anomaly scores as displays take them: of estimators, by name, of trainings and of folds."""

from collections.abc import Mapping

import numpy as np
from sklearn.pipeline import Pipeline

from skad.metrics import anomaly_response
from skad.utils._arguments import EVENTS
from skad.utils._children import rows_of

__all__ = [
    "as_list",
    "each_signal",
    "fold_estimators",
    "joined",
    "named_scores",
    "one_label",
    "responses",
    "score_folds",
    "study_rows",
]


def as_list(value):
    """Return a list of arrays; one array becomes a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def one_label(signal_label):
    """Return the label that names the anomalous class of a classifier, if it is one."""
    return None if isinstance(signal_label, (list, tuple, set, np.ndarray)) else signal_label


def each_signal(y_true, signal_label, background_label):
    """Return ``(name, label)`` of every signal to draw; the name of a single one is None."""
    if one_label(signal_label) is not signal_label:
        labels = list(signal_label)
        if not labels:
            raise ValueError("signal_label is an empty list; name at least one label.")
    elif signal_label is None and background_label is not None:
        labels = [v for v in dict.fromkeys(np.asarray(y_true).tolist()) if v != background_label]
    else:
        return [(None, signal_label)]
    return [(None if len(labels) == 1 else str(label), label) for label in labels]


def joined(*names):
    """Return the names that there are, joined, or None."""
    names = [str(name) for name in names if name is not None]
    return ", ".join(names) or None


def study_rows(study):
    """Return ``(name, scores, truth, weight)`` of the rows of a study that kept its scores.

    The name joins the columns that tell its trainings apart, the seeds left out.
    """
    keys = [c for c in ("detector", "frame", "injected") if c in study.columns]
    keys = [c for c in keys if study[c].nunique() > 1] or keys[:1]
    for _, row in study.iterrows():
        name = joined(*(f"S = {row[c]}" if c == "injected" else row[c] for c in keys))
        yield name, row["scores"], row["truth"], row.get("sample_weight")


def responses(estimators, X, *, name=None, signal_label=None):
    """Return the scores of one fitted estimator with its name, or of a dict of them."""
    signal_label = one_label(signal_label)
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
        EVENTS.read(values, "scores" if key is None else f"scores[{key!r}]")
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


def fold_estimators(cv_results):
    """Return the fitted estimators of a cross-validation."""
    estimators = cv_results["estimator"]
    if not isinstance(estimators, (list, tuple)):
        raise TypeError(
            "cv_results['estimator'] must be the list of fitted estimators that cross_validate "
            f"returns with return_estimator=True; got an object of type "
            f"{type(estimators).__name__}."
        )
    if not len(estimators):
        raise ValueError("cv_results['estimator'] must hold at least one estimator; it is empty.")
    return estimators


def score_folds(cv_results, X, *others, signal_label=None):
    """Yield the scores of the test part of every fold, with its rows of `others`."""
    train, test = cv_results["indices"]["train"][0], cv_results["indices"]["test"][0]
    estimators = fold_estimators(cv_results)
    n_folds = len(cv_results["indices"]["test"])
    if len(estimators) != n_folds:
        raise ValueError(
            f"cv_results['estimator'] must hold one estimator for each of the {n_folds} folds in "
            f"cv_results['indices']; it holds {len(estimators)}."
        )
    largest = max(np.max(train), np.max(test))
    if largest >= len(X):
        raise ValueError(
            f"X has {len(X)} events, but cv_results refers to event {largest}; "
            "pass the X of cross_validate."
        )
    for estimator, index in zip(estimators, cv_results["indices"]["test"], strict=True):
        scores = anomaly_response(
            estimator, rows_of(X, index), signal_label=one_label(signal_label)
        )
        yield scores, *(None if v is None else rows_of(v, index) for v in others)
