"""The detector and density contracts: what a score means and which way it points.

This is the only file in which the sign of an anomaly score flips; a test looks for others.
"""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import DensityMixin as _DensityMixin
from sklearn.base import OutlierMixin, is_outlier_detector
from sklearn.utils.validation import check_is_fitted

from skad.utils import _sklearn as sk
from skad.utils._documentation import LinkedMixin
from skad.utils._quantile import quantile_of_blocks, weighted_quantile

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["DensityMixin", "DetectorMixin", "ScoreMixin", "anomaly_score_of"]


# Of scores: finite, and above all others.
_LARGEST = float(np.finfo(np.float64).max)
# Of a score in double precision, relative, by the company of its event in a batch.
_ROUNDING = 1e-12


class ScoreMixin(LinkedMixin):
    """Score methods of every detector, whether or not its `fit` needs y.

    A subclass implements ``anomaly_score(X)`` (float64, shape (n,), higher = more anomalous, in
    the units of its paper), returns its scores through `_bounded`, and calls
    ``self._set_offset(scores, sample_weight)`` at the end of `fit` with the anomaly scores of the
    training events. It takes the parameters
    `contamination` and `threshold`, whose constraints are `_threshold_constraints`; one that knows
    how later normal events score takes `false_alarm_rate` for `contamination`, and sets `offset_`
    itself.

    ``score_samples = -anomaly_score``. A subclass may override `_normality` by another
    decreasing map of the anomaly score and must document it.
    """

    _threshold_constraints = {
        "contamination": [sk.Interval(Real, 0, 0.5, closed="right")],
        "threshold": [None, sk.Interval(Real, None, None, closed="neither")],
    }

    def _normality(self, anomaly_score):
        return -anomaly_score

    def _bounded(self, anomaly_scores):
        """Return scores of later events: NaN and infinity are the largest number.

        Only an event so far out that its score overflows gives them, and such an event is most
        anomalous; the number is finite, so that ROC curves and means take it.
        """
        scores = np.asarray(anomaly_scores, dtype=np.float64)
        return np.nan_to_num(scores, nan=_LARGEST, posinf=_LARGEST, neginf=-_LARGEST)

    def _set_offset(self, anomaly_scores, sample_weight=None):
        """Set `offset_` from `threshold`, or from the rarest fraction `contamination`."""
        self.offset_ = self._offset(anomaly_scores, sample_weight)

    def _offset(self, anomaly_scores, sample_weight=None):
        self._refuse_nan(np.count_nonzero(np.isnan(anomaly_scores)), len(anomaly_scores))
        if self.threshold is not None:
            return float(self._normality(np.float64(self.threshold)))
        normality = self._normality(np.asarray(anomaly_scores, dtype=np.float64))
        return self._just_below(weighted_quantile(normality, self.contamination, sample_weight))

    def _refuse_nan(self, n_bad, n):
        if n_bad:
            raise ValueError(
                f"{type(self).__name__} scores {n_bad} of {n} training events as NaN. An estimator "
                "inside does, or the features need another scale."
            )

    def _offset_of_blocks(self, anomaly_scores, n):
        """Return the offset as `_offset` does, from blocks of the scores of `n` events.

        ``anomaly_scores()`` returns an iterator over them at every call.
        """
        if self.threshold is not None:
            return float(self._normality(np.float64(self.threshold)))
        return self._just_below(
            quantile_of_blocks(
                lambda: (self._normality(scores) for scores in anomaly_scores()),
                self.contamination,
                n,
            )
        )

    @staticmethod
    def _just_below(offset):
        # The event at the threshold is normal however another batch rounds its score.
        return max(offset - _ROUNDING * abs(offset), -_LARGEST)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Normality of each event: ``-anomaly_score(X)``, higher = more normal.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
        """
        return np.asarray(self._normality(self.anomaly_score(X)), dtype=np.float64)  # type: ignore[attr-defined]

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Normality relative to the threshold: ``score_samples(X) - offset_``.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        decision : ndarray of float64, shape (n_events,)
            Negative for outliers.
        """
        check_is_fitted(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Label each event: +1 normal, -1 outlier (``decision_function < 0``).

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        labels : ndarray of int, shape (n_events,)
        """
        return np.where(self.decision_function(X) < 0, -1, 1)


class DetectorMixin(ScoreMixin, OutlierMixin):
    """A detector whose `fit` needs no y: `ScoreMixin` with scikit-learn's `OutlierMixin`.

    One that holds other estimators may need y because one of them does; it says so in
    `_requires_y`.
    """

    def _requires_y(self):
        return False

    def fit_predict(
        self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any
    ) -> NDArray[np.int64]:
        """Fit and label the training events: +1 normal, -1 outlier.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Passed to `fit`.
        **fit_params
            Passed to `fit`.

        Returns
        -------
        labels : ndarray of int, shape (n_events,)
        """
        return self.fit(X, y, **fit_params).predict(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self._requires_y():
            tags.target_tags.required = True
            # scikit-learn fits outlier detectors without y.
            tags.estimator_type = None
        return tags


class DensityMixin(LinkedMixin, _DensityMixin):
    """A density: ``score_samples(X)`` is log p(x) in nats in the coordinates of X.

    A subclass implements `score_samples` and, where it can,
    ``sample(n_samples=1, random_state=None)`` returning an array of shape
    (n_samples, n_features). A conditional density models p(x|m) with m in the columns
    `condition_features` of X.
    """

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log density of the events, in nats.

        The mean, as `GaussianMixture` does and unlike `KernelDensity`, which sums: so folds of
        unequal size compare.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored
        sample_weight : array-like of shape (n_events,), default=None

        Returns
        -------
        score : float
        """
        log_density = self.score_samples(X)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, log_density)
        return float(np.average(log_density, weights=sample_weight))


def anomaly_score_of(
    estimator: Estimator, X: ArrayLike, *, own_units: bool = True
) -> NDArray[np.float64]:
    """Anomaly score of each event from any fitted detector or density, higher = more anomalous.

    Parameters
    ----------
    estimator : fitted estimator
        With ``anomaly_score``, ``score_samples``, or as an outlier detector of scikit-learn with
        ``decision_function``; the first of these that it has is read.
    X : array-like of shape (n_events, n_features)
    own_units : bool, default=True
        Read ``anomaly_score`` where there is one. False reads ``-score_samples`` of detectors of
        skad too, such as the logarithm of a ratio, whose means make sense.

    Returns
    -------
    scores : ndarray of float64, shape (n_events,)

    Raises
    ------
    TypeError
        An estimator with none of them, such as a detector of PyOD, whose `decision_function`
        points the other way.
    """
    if own_units and hasattr(estimator, "anomaly_score"):
        return np.asarray(estimator.anomaly_score(X), dtype=np.float64)
    if hasattr(estimator, "score_samples"):
        return -np.asarray(estimator.score_samples(X), dtype=np.float64)
    if is_outlier_detector(estimator) and hasattr(estimator, "decision_function"):
        return -np.asarray(estimator.decision_function(X), dtype=np.float64)
    raise TypeError(
        f"{type(estimator).__name__} has no score of known direction. Needed is one of "
        "anomaly_score (skad), score_samples, decision_function of an OutlierMixin, or a "
        "classifier. LocalOutlierFactor needs novelty=True; detectors of PyOD enter through "
        "skad.detectors.PyODDetector."
    )
