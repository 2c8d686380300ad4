"""The recommended start on a table: a few complementary detectors, combined by rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from skad.density import FramedDensity
from skad.detectors._density import DensityDetector
from skad.detectors._neighbors import NeighborsDetector
from skad.detectors._voting import VotingDetector

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from numpy.typing import ArrayLike

    from skad.utils._types import Estimator, Seed

__all__ = ["TabularDetector"]

# Of the mixture: many components for a shape of any kind, blurred by a third of a standard
# deviation so that none settles on a few events; fewer where each has many numbers to learn.
_MOST_COMPONENTS, _EVENTS_A_COMPONENT, _MOST_COVARIANCES, _BLUR = 20, 30, 100_000, 0.1
# Neighbours are searched among so many events; all against all takes the square of their number.
_MOST_NEIGHBORS = 20_000


class TabularDetector(VotingDetector):
    """The recommended start on a table of any kind: five detectors that err differently.

    No detector is best on every table. Close neighbours and a mixture of Gaussians follow clean
    training events closely; an isolation forest and the distance to a few random events see the
    coarse shape alone and so stand anomalies among the training events. Distances are in units of
    the quartiles, which anomalies hardly move. Their root mean square, on the scale of log ranks,
    is good with clean and with contaminated training events.

    Parameters
    ----------
    detectors : list of (str, estimator), default=None
        Detectors to combine in place of those that `default_detectors` names.
    voting : {"mean", "probability", "rank", "tail", "max"}, default="tail"
        How to combine them, see `VotingDetector`.
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

    See Also
    --------
    VotingDetector : The same of any detectors.

    Notes
    -----
    Columns are numbers in any unit. The detectors and their settings were chosen on ten public
    tables and are compared with others on ten more in ``benchmarks/results/tables.md``.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skad.detectors import TabularDetector
    >>> X, kind = load_wine(return_X_y=True)
    >>> detector = TabularDetector(random_state=0).fit(X[kind == 0])
    >>> detector.predict(X[kind == 2][:3])
    array([-1, -1, -1])
    >>> detector.names_
    ['nearest', 'neighbors', 'sparse', 'forest', 'mixture']

    One of them replaced:

    >>> from skad.detectors import AutoencoderDetector
    >>> members = dict(TabularDetector.default_detectors(*X.shape))
    >>> members["mixture"] = AutoencoderDetector(max_epochs=20)
    >>> own = TabularDetector(list(members.items()), random_state=0).fit(X)
    >>> own.member_scores(X).shape
    (178, 5)
    """

    def __init__(
        self,
        detectors: Sequence[tuple[str, Estimator]] | None = None,
        *,
        voting: Literal["mean", "probability", "rank", "tail", "max"] = "tail",
        weights: ArrayLike | None = None,
        contamination: float = 0.01,
        threshold: float | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        super().__init__(
            detectors,
            voting=voting,
            weights=weights,
            contamination=contamination,
            threshold=threshold,
            n_jobs=n_jobs,
            random_state=random_state,
        )

    _parameter_constraints: dict = {
        **VotingDetector._parameter_constraints,
        "detectors": [None, list, tuple],
    }

    @staticmethod
    def default_detectors(n_events: int, n_features: int) -> Any:
        """Return the detectors that `fit` combines when none are given.

        Parameters
        ----------
        n_events, n_features : int
            Size of the table, which sets the components of the mixture; beyond 20 000 events
            neighbours are searched among a random 20 000.

        Returns
        -------
        detectors : list of (str, estimator)
            Unfitted: "nearest", the distance to the nearest event; "neighbors", the mean distance
            to the three nearest ones; "sparse", the distance to the nearest of 16 random events,
            mean of 50 draws; "forest", an isolation forest; "mixture", a blurred mixture of
            Gaussians.
        """
        n_components = min(
            _MOST_COMPONENTS, n_events // _EVENTS_A_COMPONENT, _MOST_COVARIANCES // n_features**2
        )
        n_components = max(n_components, 1)
        among = {}
        if n_events > _MOST_NEIGHBORS:
            among = {"max_samples": _MOST_NEIGHBORS, "n_estimators": 1}
        mixture = GaussianMixture(n_components, reg_covar=_BLUR)
        return [
            ("nearest", NeighborsDetector(1, scaling="robust", **among)),
            ("neighbors", NeighborsDetector(3, scaling="robust", **among)),
            ("sparse", NeighborsDetector(1, scaling="robust", max_samples=16)),
            ("forest", IsolationForest()),
            ("mixture", DensityDetector(FramedDensity(StandardScaler(), mixture))),
        ]

    def _given_detectors(self, n_events, n_features):
        if self.detectors is None:
            return self.default_detectors(n_events, n_features)
        return self.detectors
