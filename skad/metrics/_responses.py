"""The anomaly score of any estimator, pipelines and classifiers included.

=====================================  =====================================================
estimator                              anomaly score, higher = more anomalous
=====================================  =====================================================
detector of skad (``anomaly_score``)   its own
density, or anything else with         ``-score_samples`` (scikit-learn: higher = more normal)
``score_samples``
other outlier detector                 ``-decision_function``
classifier                             log-odds or probability of the signal label
pipeline                               of its last step, behind its transformers
=====================================  =====================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skad.base import anomaly_score_of
from skad.metrics._checks import check_scores

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["anomaly_response"]


def anomaly_response(
    estimator: Estimator, X: ArrayLike, *, signal_label: int | str | None = None
) -> NDArray[np.float64]:
    """Anomaly score of each event from any fitted detector, density or classifier.

    Parameters
    ----------
    estimator : fitted estimator
        A detector of skad or scikit-learn, a density (read as -log p), a classifier, or a
        Pipeline that ends in one of them.
    X : array-like of shape (n_events, n_features)
        Events.
    signal_label : int, str or None, default=None
        For a classifier, the class that counts as anomalous. By default class 1 of {0, 1}.
        A label that is not among the classes of a {0, 1} classifier (truth labels of another
        kind) is not used.

    Returns
    -------
    scores : ndarray of float64, shape (n_events,)
        Higher = more anomalous.

    Raises
    ------
    TypeError
        An estimator whose score has no known direction, such as PyOD's detectors, whose
        `decision_function` points the other way than scikit-learn's.
    ValueError
        Scores that are NaN or infinite, or a classifier whose signal class is ambiguous.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.metrics import anomaly_response
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> near, far = anomaly_response(IsolationForest(random_state=0).fit(X), [[0, 0], [5, 5]])
    >>> bool(far > near)
    True
    """
    if not hasattr(estimator, "fit"):
        raise TypeError(f"estimator must be a fitted estimator; got {estimator!r}.")
    scores = _response(estimator, X, signal_label)
    return check_scores(scores, name=f"the anomaly score of {type(estimator).__name__}")


def _response(estimator, X, signal_label):
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        # Through the steps rather than Pipeline.score_samples, to keep the units of anomaly_score.
        check_is_fitted(estimator)
        return _response(estimator[-1], estimator[:-1].transform(X), signal_label)
    if isinstance(estimator, Pipeline):
        return _response(estimator[-1], X, signal_label)
    if is_classifier(estimator) and not _is_scored(estimator):
        return _signal_response(estimator, X, signal_label)
    return anomaly_score_of(estimator, X)


def _is_scored(estimator):
    return hasattr(estimator, "anomaly_score") or hasattr(estimator, "score_samples")


def _signal_response(classifier, X, signal_label):
    check_is_fitted(classifier)
    classes = list(classifier.classes_)
    label = signal_label
    if label not in classes:
        if set(classes) != {0, 1}:
            raise ValueError(
                f"{type(classifier).__name__} has the classes {classes}; pass signal_label= to "
                f"say which of them is signal (got {signal_label!r})."
            )
        label = 1
    position = classes.index(label)
    # Log-odds keep apart events whose probabilities round to one.
    if len(classes) == 2 and hasattr(classifier, "decision_function"):
        decision = np.asarray(classifier.decision_function(X), dtype=np.float64)
        return decision if position == 1 else -decision
    if hasattr(classifier, "predict_proba"):
        return np.asarray(classifier.predict_proba(X), dtype=np.float64)[:, position]
    raise TypeError(
        f"{type(classifier).__name__} has neither predict_proba nor, for two classes, "
        "decision_function."
    )
