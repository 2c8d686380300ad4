"""What every resonant estimator reads off its training events: region, data, simulation, m."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import ClassifierTags
from sklearn.utils.validation import check_is_fitted

from skad.exceptions import RegionError
from skad.resonant._region import SignalRegion, check_region
from skad.utils import _sklearn as sk
from skad.utils._documentation import LinkedMixin
from skad.utils._events import check_events
from skad.utils._labels import read_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ResonantEvents",
    "ResonantMixin",
    "check_n_samples",
    "labels_out_of_fold",
    "missing_simulation",
    "named",
]


@dataclass(frozen=True)
class ResonantEvents:
    """Checked training events of a resonant estimator.

    Arrays have one entry per event of X.

    Attributes
    ----------
    X : ndarray of float64, shape (n_events, n_columns)
        The resonant feature among the columns.
    m : ndarray of float64
        The resonant feature.
    weight : ndarray of float64 or None
        Weights of the events.
    data : ndarray of bool
        Observed events; the others are simulated.
    inside : ndarray of bool
        Events in the signal region, ``low <= m < high``.
    sideband : ndarray of bool
        Events in one of the sidebands.
    """

    X: np.ndarray
    m: np.ndarray
    weight: np.ndarray | None
    data: np.ndarray
    inside: np.ndarray
    sideband: np.ndarray

    @property
    def weighing(self):
        """Events of positive weight; the others are as good as absent."""
        return np.ones(len(self.m), dtype=bool) if self.weight is None else self.weight > 0

    def weights(self, rows):
        """Return the weights of the selected events, None for events without weights."""
        return None if self.weight is None else self.weight[rows]

    def weights_or_ones(self, rows):
        """Return the weights of the selected events, one each for events without weights."""
        return np.ones(len(self.m))[rows] if self.weight is None else self.weight[rows]


class ResonantMixin(LinkedMixin):
    """Parameters `region` and `resonance` of an estimator, and the checks of its events.

    A subclass takes both as parameters, with the constraints `_region_constraints`. It sets
    `_needs_simulation` where `fit` needs y, 1 = data and 0 = simulation (or a reference);
    elsewhere y is ignored. It sets `support_`, or implements ``_is_described(values)``, for
    `fiducial_mask`.
    """

    _region_constraints = {
        "region": [None, tuple, list, SignalRegion],
        "resonance": [Integral, str],
    }
    _needs_simulation = False
    _needs_sidebands = True

    def _read_events(self, X, y=None, sample_weight=None):
        """Check the events, set `region_`, `resonance_index_` and `feature_indices_`."""
        X = check_events(self, X, dtype=np.float64, ensure_min_features=2, ensure_min_samples=2)
        data = np.ones(len(X), dtype=bool)
        if self._needs_simulation:
            data = read_labels(y, len(X), owner=type(self).__name__)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        self.region_, _ = check_region(
            self.region,
            X[data],
            resonance=self.resonance,
            feature_names=getattr(self, "feature_names_in_", None),
            sidebands=self._needs_sidebands,
            sample_weight=None if weight is None else weight[data],
        )
        self.resonance_index_ = self.region_.feature
        self.feature_indices_ = np.delete(np.arange(X.shape[1]), self.resonance_index_)
        m = self.region_.values(X)
        events = ResonantEvents(
            X, m, weight, data, self.region_.mask(m), self.region_.sideband_mask(m)
        )
        if weight is not None and not weight[data & events.inside].any():
            raise ValueError(
                "sample_weight is zero for every data event of the signal region "
                f"[{self.region_.low:g}, {self.region_.high:g}); it must hold positive weights."
            )
        return events

    def _read_others(self, X, y=None, sample_weight=None):
        """Check events other than those of `fit`, in the region of `fit`."""
        X = self._as_fitted(X)
        data = np.ones(len(X), dtype=bool)
        if self._needs_simulation:
            data = read_labels(y, len(X), owner=type(self).__name__)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        m = self.region_.values(X)
        return ResonantEvents(
            X, m, weight, data, self.region_.mask(m), self.region_.sideband_mask(m)
        )

    def _as_fitted(self, X):
        """Check events against those of `fit` and return them as an array of float64."""
        check_is_fitted(self)
        return check_events(self, X, dtype=np.float64, reset=False)

    def _named(self, X):
        return named(self, X)

    def fiducial_mask(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Select the events that were learned from events like them.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)

        Returns
        -------
        mask : ndarray of bool, shape (n_events,)
            False where a feature lies outside its range in the training events: of a template,
            `support_`; of a detector by a density ratio, `fiducial` and the domain of
            `coordinates`.
        """
        return self._is_described(self._as_fitted(X))

    def _is_described(self, X):
        features = X[:, self.feature_indices_]
        return ((features >= self.support_[0]) & (features <= self.support_[1])).all(axis=1)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self._needs_simulation:
            tags.target_tags.required = True
            # Not a classifier, but its y has two values.
            tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags


def named(estimator, X):
    """Return events as a DataFrame with the columns of `fit`, if X had names there."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return X
    import pandas as pd

    return pd.DataFrame(X, columns=names)


def labels_out_of_fold(detector, X):
    """Return +1 or -1 for the training events X, by the scores of folds that left them out."""
    labels = detector.predict(X)
    scored = ~np.isnan(detector.training_scores_)
    normality = detector._normality(detector.training_scores_[scored])
    labels[scored] = np.where(normality < detector.offset_, -1, 1)
    return labels


def check_n_samples(n_samples):
    """Refuse a number of events that is no positive integer."""
    if not isinstance(n_samples, Integral) or n_samples < 1:
        raise ValueError(f"n_samples must be a positive integer; got {n_samples!r}.")


def missing_simulation(region, name):
    """Return the error of a signal region without simulated events."""
    return RegionError(
        f"{name} needs simulated events (y = 0) in the signal region "
        f"[{region.low:g}, {region.high:g}); there are none. Simulate there, or take a data-driven "
        "template."
    )
