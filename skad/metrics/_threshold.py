"""The anomaly score at which a detector decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.metrics._responses import anomaly_response
from skad.utils._children import rows_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from skad.utils._types import Estimator

__all__ = ["anomaly_threshold"]

# Of the events that tell in which units the detector decides.
_N_EVENTS = 10


def anomaly_threshold(estimator: Estimator, X: ArrayLike) -> float | None:
    """Anomaly score above which `predict` of a fitted detector calls events outliers.

    Parameters
    ----------
    estimator : fitted estimator
        All that `anomaly_response` reads.
    X : array-like of shape (n_events, n_features)
        Events; a few of them are scored.

    Returns
    -------
    threshold : float or None
        In the units of `anomaly_response`; None where the estimator has no `offset_`, or one in
        other units than the anomaly score.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.metrics import anomaly_response, anomaly_threshold
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> forest = IsolationForest(contamination=0.1, random_state=0).fit(X)
    >>> int((anomaly_response(forest, X) > anomaly_threshold(forest, X)).sum())
    50
    """
    if not hasattr(estimator, "offset_") or not hasattr(estimator, "score_samples"):
        return None
    if not hasattr(X, "iloc"):
        X = np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"X must have shape (n_events, n_features); got shape {X.shape}.")
    X = rows_of(X, slice(_N_EVENTS))
    scores = anomaly_response(estimator, X)
    # Only where score_samples is the negative score is the offset in its units.
    if np.allclose(estimator.score_samples(X), -scores):
        return -np.asarray(estimator.offset_).item()
    return None
