"""Distance to the nearest neighbours as an anomaly score."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin
from skad.utils import _sklearn as sk
from skad.utils._events import check_events
from skad.utils._scaling import center_and_scale

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["NeighborsDetector"]

# In units of the scale; the square of a larger number overflows.
_FARTHEST = 1e150
# Numbers of the differences that are held at a time.
_MOST_NUMBERS = 10_000_000


class NeighborsDetector(DetectorMixin, BaseEstimator):
    """Score events by the distance to their nearest neighbours among the training events.

    The baseline of every study of anomalies in tables, and hard to beat there [1]_. Distances are
    Euclidean, in units of the spread of every column. With `max_samples` it is the mean over
    random subsets of the training events [3]_: anomalies that lie close to each other, which hide
    one another among all events, are then far from their neighbours.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number k of neighbours; at most all training events but one. Few follow the shape of clean
        training events closest; many (50) are safer where anomalies are among the training events
        and lie close to each other.
    distance : {"mean", "largest"}, default="mean"
        The score: the mean of the k distances, or the distance to the k-th neighbour [2]_.
    scaling : {"standard", "robust"} or None, default="standard"
        Unit of every column: its standard deviation, the width between its quartiles (the standard
        deviation where that is zero), or X as it is. Anomalies among the training events hardly
        move quartiles; of columns that are mostly one value they are no measure.
    max_samples : int, default=None
        Training events of each random subset; None searches all.
    n_estimators : int, default=50
        Number of subsets, if there are any.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training events to call outliers.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.
    n_jobs : int, default=None
        Threads of the search.
    random_state : int, RandomState or None, default=None
        Seed of the subsets.

    Attributes
    ----------
    center_, scale_ : ndarray of float64, shape (n_features,)
        Neighbours are searched in ``(X - center_) / scale_``. The scale of a constant column is 1.
    neighbors_ : list of NearestNeighbors
        Index of the scaled training events, or of each subset.
    n_neighbors_ : int
        Number of neighbours that a score is made of.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.

    Notes
    -----
    No event is its own neighbour: one training event with exactly the values of the event that is
    scored does not count. So the scores of training events are out of sample, in `fit_predict` and
    everywhere else, and every further copy counts as a neighbour at distance zero.

    References
    ----------
    .. [1] S. Han et al., "ADBench: Anomaly Detection Benchmark", arXiv:2206.09426
    .. [2] S. Ramaswamy, R. Rastogi, K. Shim, "Efficient algorithms for mining outliers from large
       data sets", SIGMOD 2000.
    .. [3] G. Pang, K. M. Ting, D. Albrecht, "LeSiNN: Detecting anomalies by identifying least
       similar nearest neighbours", ICDM workshops 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import NeighborsDetector
    >>> X = np.random.RandomState(0).normal(size=(500, 2))
    >>> NeighborsDetector().fit(X).predict([[0.0, 0.0], [9.0, 9.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "n_neighbors": [sk.Interval(Integral, 1, None, closed="left")],
        "distance": [sk.StrOptions({"mean", "largest"})],
        "scaling": [None, sk.StrOptions({"standard", "robust"})],
        "max_samples": [None, sk.Interval(Integral, 2, None, closed="left")],
        "n_estimators": [sk.Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        **ScoreMixin._threshold_constraints,
    }

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        distance: Literal["mean", "largest"] = "mean",
        scaling: Literal["standard", "robust"] | None = "standard",
        max_samples: int | None = None,
        n_estimators: int = 50,
        contamination: float = 0.01,
        threshold: float | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.distance = distance
        self.scaling = scaling
        self.max_samples = max_samples
        self.n_estimators = n_estimators
        self.contamination = contamination
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Index the events.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored
            Truth labels may be passed; they are not read.

        Returns
        -------
        self : NeighborsDetector
        """
        X = check_events(self, X, ensure_min_samples=2)
        self.center_, scale = center_and_scale(X, self.scaling)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        z, subsets = self._scaled(X), [slice(None)]
        n_searched = len(z)
        if self.max_samples is not None and self.max_samples < len(z):
            rng, n_searched = check_random_state(self.random_state), self.max_samples
            subsets = [rng.permutation(len(z))[:n_searched] for _ in range(self.n_estimators)]
        self.n_neighbors_ = min(self.n_neighbors, n_searched - 1)
        self._events = [z[rows] for rows in subsets]
        self.neighbors_ = [
            NearestNeighbors(n_neighbors=self.n_neighbors_ + 1, n_jobs=self.n_jobs).fit(events)
            for events in self._events
        ]
        self._set_offset(self._scores(X))
        return self

    def _scaled(self, X):
        with np.errstate(over="ignore"):
            z = (X.astype(np.float64) - self.center_) / self.scale_
        return np.clip(z, -_FARTHEST, _FARTHEST)

    def _scores(self, X):
        z, total = self._scaled(X), np.zeros(len(X))
        step = max(_MOST_NUMBERS // ((self.n_neighbors_ + 1) * z.shape[1]), 1)
        for index, events in zip(self.neighbors_, self._events, strict=True):
            for rows in gen_batches(len(z), step):
                nearest = index.kneighbors(z[rows], return_distance=False)
                total[rows] += self._distances(z[rows], events[nearest])
        return total / len(self.neighbors_)

    def _distances(self, z, nearest):
        # The search of wide tables rounds, so that equal events are not at distance zero.
        distances = np.sqrt(((z[:, None] - nearest) ** 2).sum(axis=2))
        distances.sort(axis=1)
        others = np.where(distances[:, :1] == 0, distances[:, 1:], distances[:, :-1])
        return others.mean(axis=1) if self.distance == "mean" else others[:, -1]

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Distance of each event to its nearest neighbours.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
            Higher = more anomalous, in units of the scale of the columns.
        """
        check_is_fitted(self)
        return self._bounded(self._scores(check_events(self, X, reset=False)))
