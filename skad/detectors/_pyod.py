"""Detectors of the PyOD package behind skad's score conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._events import check_events

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["PyODDetector"]


class PyODDetector(DetectorMixin, BaseEstimator):
    """A detector of the PyOD package with scikit-learn's sign and labels.

    PyOD's scores grow with abnormality and its labels are 0 and 1; here `score_samples` grows
    with normality and `predict` gives +1 and -1, so both worlds compare.

    Parameters
    ----------
    estimator : PyOD detector
        Any with ``fit(X)`` and ``decision_function(X)``, for example
        ``pyod.models.ecod.ECOD()``.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training events to call outliers; that of the PyOD detector is not used.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.

    Attributes
    ----------
    estimator_ : PyOD detector
        Fitted clone.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.

    Examples
    --------
    >>> import numpy as np
    >>> from pyod.models.ecod import ECOD
    >>> from skad.detectors import PyODDetector
    >>> X = np.random.RandomState(0).normal(size=(500, 2))
    >>> PyODDetector(ECOD()).fit(X).predict([[0.0, 0.0], [9.0, 9.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "estimator": [sk.HasMethods(["fit", "decision_function"])],
        **ScoreMixin._threshold_constraints,
    }

    def __init__(
        self, estimator: Estimator, *, contamination: float = 0.01, threshold: float | None = None
    ) -> None:
        self.estimator = estimator
        self.contamination = contamination
        self.threshold = threshold

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Fit a clone of the PyOD detector.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored
            Truth labels may be passed; they are not read.

        Returns
        -------
        self : PyODDetector
        """
        X = check_events(self, X, dtype=np.float64, ensure_min_samples=2)
        self.estimator_ = fit_child(self.estimator, X)
        self._set_offset(self._raw_scores(X))
        return self

    def _raw_scores(self, X):
        scores = np.asarray(self.estimator_.decision_function(X), dtype=np.float64)
        bad = np.count_nonzero(~np.isfinite(scores))
        if bad:
            raise ValueError(
                f"{type(self.estimator_).__name__} of PyOD gives {bad} of {len(scores)} events a "
                "score that is not finite. Constant columns and columns or events given twice "
                "are the usual cause; drop them, or use another detector."
            )
        return scores

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """PyOD's raw outlier score.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
            Higher = more anomalous, in the units of the PyOD detector.
        """
        check_is_fitted(self)
        X = check_events(self, X, dtype=np.float64, reset=False)
        return self._bounded(self._raw_scores(X))
