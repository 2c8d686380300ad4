"""Several detectors combined by their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin, anomaly_score_of
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child, requires_y, rows_of
from skad.utils._events import check_events
from skad.utils._labels import read_labels
from skad.utils._quantile import weighted_quantile
from skad.utils._random import draw_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Seed

__all__ = ["VotingDetector"]

# Part of the training events, the most anomalous ones, beyond which fractions are extrapolated.
_TAIL = 0.1
_SIDES = "left", "right"
# The square of a larger number may overflow, of an event that has no density for example.
_LARGEST_ROOT = 1e150
# Of sums of weights, relative.
_ROUNDING = 1e-12


class VotingDetector(DetectorMixin, sk.BaseComposition):
    """Combination of detectors on the level of scores.

    Where several templates or seeds err independently, the mean of their scores is more stable
    than each, and close to the best of them [1]_.

    Parameters
    ----------
    detectors : list of (str, estimator)
        Detectors with `score_samples`, of skad or scikit-learn.
    voting : {"mean", "probability", "rank", "tail", "max"}, default="mean"
        - "mean": mean of ``-score_samples``; for detectors with the same unit (of weakly
          supervised detectors it is the log of the density ratio, so this is the geometric mean
          of the ratios);
        - "probability": mean of ``1 / (1 + exp(score_samples))``, the output h of a classifier
          for detectors whose score is the log of h / (1 - h), as in [1]_;
        - "rank": mean of the fraction of training events that are less anomalous, for any units;
        - "tail": root mean square of ``-log`` of the fraction of training events that are as
          anomalous, for any units too; beyond the most anomalous tenth of the training events that
          fraction falls exponentially, so that events far outside of them keep their order, and a
          detector that is sure counts more than those that are not;
        - "max": largest of the fractions of "rank", so that one detector is enough.
    weights : None or array-like of shape (n_detectors,), default=None
        Weights of the mean, for all but "max".
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training events to call outliers.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.
    n_jobs : int, default=None
        Detectors fitted in parallel.
    random_state : int, RandomState or None, default=None
        Seed of detectors that have none of their own.

    Attributes
    ----------
    detectors_ : list of estimators
        Fitted detectors.
    names_ : list of str
        Their names.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    If one detector requires y (1 = data, 0 = simulation), the others are fitted to the data alone.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly detection
       methods", Eur. Phys. J. C 84 (2024) 241, arXiv:2307.11157, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.covariance import EllipticEnvelope
    >>> from skad.detectors import VotingDetector
    >>> X = np.random.RandomState(0).normal(size=(500, 2))
    >>> voting = VotingDetector(
    ...     [("forest", IsolationForest()), ("ellipse", EllipticEnvelope())],
    ...     voting="rank",
    ...     random_state=0,
    ... ).fit(X)
    >>> voting.predict([[0.0, 0.0], [6.0, 6.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "detectors": [list, tuple],
        "voting": [sk.StrOptions({"mean", "probability", "rank", "tail", "max"})],
        "weights": [None, "array-like"],
        "n_jobs": [int, None],
        "random_state": ["random_state"],
        **ScoreMixin._threshold_constraints,
    }

    def __init__(
        self,
        detectors: Sequence[tuple[str, Estimator]],
        *,
        voting: Literal["mean", "probability", "rank", "tail", "max"] = "mean",
        weights: ArrayLike | None = None,
        contamination: float = 0.01,
        threshold: float | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.detectors = detectors
        self.voting = voting
        self.weights = weights
        self.contamination = contamination
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[Any, Any]:
        """Get the parameters, those of the detectors as ``<name>__<parameter>``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include those of the detectors.

        Returns
        -------
        params : dict
        """
        return self._get_params("detectors", deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, also of the detectors by ``<name>__<parameter>``.

        Parameters
        ----------
        **params : dict
            New values by name.

        Returns
        -------
        self : VotingDetector
        """
        self._set_params("detectors", **params)
        return self

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit every detector.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Passed to the detectors that require it.
        sample_weight : array-like of shape (n_events,), default=None
            Weights, for detectors that all take them.

        Returns
        -------
        self : VotingDetector
        """
        values = check_events(self, X)
        detectors = self._given_detectors(*values.shape)
        self._check_detectors(detectors)
        data = np.ones(len(values), dtype=bool)
        if self._requires_y():
            data = read_labels(y, len(values), owner=type(self).__name__)
            y = data.astype(int)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, values, dtype=np.float64)
        X = X if hasattr(X, "iloc") else values
        seeds = draw_seeds(check_random_state(self.random_state), len(detectors))
        self.detectors_ = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_member)(detector, X, y, data, sample_weight, seed)
            for (_, detector), seed in zip(detectors, seeds, strict=True)
        )
        self.names_ = [name for name, _ in detectors]
        members = self._member_scores(rows_of(X, data))
        weight = None if sample_weight is None else sample_weight[data]
        self._references = [_Reference.of(scores, weight) for scores in members]
        self._set_offset(self._combine(members), weight)
        return self

    def _given_detectors(self, n_events, n_features):
        return self.detectors

    def _check_detectors(self, detectors):
        if not detectors:
            raise ValueError("detectors must hold at least one (name, detector); it is empty.")
        self._validate_names([name for name, _ in detectors])
        for name, detector in detectors:
            if not hasattr(detector, "score_samples"):
                raise TypeError(
                    f"detector {name!r} must have score_samples; {type(detector).__name__} has "
                    "not. LocalOutlierFactor needs novelty=True."
                )
        if self.weights is not None and np.shape(self.weights) != (len(detectors),):
            raise ValueError(
                f"weights must hold one weight for each of the {len(detectors)} detectors; "
                f"got {self.weights!r}."
            )

    def _combine(self, members):
        if self.voting == "mean":
            return np.average(members, axis=0, weights=self.weights)
        if self.voting == "probability":
            return np.average(expit(members), axis=0, weights=self.weights)
        read = _Reference.log_rarity if self.voting == "tail" else _Reference.rank
        ranks = [
            read(reference, scores)
            for reference, scores in zip(self._references, members, strict=True)
        ]
        if self.voting == "max":
            return np.max(ranks, axis=0)
        if self.voting == "tail":
            squares = np.square(np.minimum(ranks, _LARGEST_ROOT))
            return np.sqrt(np.average(squares, axis=0, weights=self.weights))
        return np.average(ranks, axis=0, weights=self.weights)

    def member_scores(self, X: ArrayLike) -> NDArray[np.float64]:
        """Anomaly of each event for each detector, ``-score_samples`` of each.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        scores : ndarray of float64, shape (n_events, n_detectors)
        """
        check_is_fitted(self)
        values = check_events(self, X, reset=False)
        X = X if hasattr(X, "iloc") else values
        return np.column_stack(self._member_scores(X))

    def _member_scores(self, X):
        return [anomaly_score_of(d, X, own_units=False) for d in self.detectors_]

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Combined score of each event, higher = more anomalous.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
            In the unit of the detectors for "mean", not negative for "tail", else in [0, 1].
        """
        return self._bounded(self._combine(list(self.member_scores(X).T)))

    def _requires_y(self):
        return any(requires_y(detector) for _, detector in self.detectors or ())


def _fit_member(detector, X, y, data, sample_weight, seed):
    if requires_y(detector):
        return fit_child(detector, X, y, sample_weight=sample_weight, random_state=seed)
    own = None if sample_weight is None else sample_weight[data]
    return fit_child(detector, rows_of(X, data), sample_weight=own, random_state=seed)


@dataclass
class _Reference:
    """The training events in the order of one detector."""

    scores: np.ndarray
    # Fraction of the weight below each of them, and at last 1.
    below: np.ndarray
    tail_start: float
    tail_fraction: float
    # In which the fraction of a tail falls by e.
    tail_length: float

    @classmethod
    def of(cls, scores, sample_weight=None):
        weight = np.ones(len(scores)) if sample_weight is None else sample_weight
        order = np.argsort(scores)
        order = order[weight[order] > 0]
        scores, weight = scores[order], weight[order]
        below = np.concatenate([[0.0], np.cumsum(weight)])
        below /= below[-1]
        first = np.searchsorted(below[1:], 1 - _TAIL - _ROUNDING)
        start = scores[min(first, len(scores) - 1)]
        beyond = scores > start
        if beyond.any():
            # A few far outliers among the training events do not move the median.
            excess = weighted_quantile(scores[beyond], 0.5, weight[beyond]) - start
            length, fraction = excess / np.log(2), 1 - below[:-1][beyond][0]
        else:
            length = start - scores[0]
            fraction = 0.5 * (1 - below[np.searchsorted(scores, start)])
        return cls(scores, below, float(start), float(fraction), float(length))

    def rank(self, scores):
        """Fraction of the training events that are less anomalous."""
        return self.below[np.searchsorted(self.scores, scores)]

    def log_rarity(self, scores):
        """``-log`` of the fraction that is as anomalous, exponential in the tail."""
        sides = [self.below[np.searchsorted(self.scores, scores, side=s)] for s in _SIDES]
        in_tail = scores > self.tail_start
        # In the middle of its equals.
        rarity = -np.log1p(-np.where(in_tail, 0.0, np.mean(sides, axis=0)))
        if self.tail_length <= 0:
            return np.where(in_tail, -np.log(0.5 * self.tail_fraction), rarity)
        with np.errstate(over="ignore"):
            excess = (scores - self.tail_start) / self.tail_length
        return np.where(in_tail, excess - np.log(self.tail_fraction), rarity)
