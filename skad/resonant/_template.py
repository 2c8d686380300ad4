"""The contract of background templates of the signal region."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.exceptions import FiducialWarning, LowStatisticsWarning
from skad.resonant._events import ResonantMixin, check_n_samples
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["Template", "draw_rows"]

# Fewer are hardly ever meant: regions and masses of different units leave a few events.
_FEW_EVENTS = 500


class Template(ResonantMixin, BaseEstimator, ABC):
    """Base of the background templates.

    A subclass fits on events of region and sidebands, in ``_fit(events, rng)`` with the checked
    `ResonantEvents`, and implements ``_sample(n_samples, rng)``, which returns background events
    of the signal region and their weights; ``n_samples=None`` means as many as the method gives
    by itself. It may have ``transform(X)``, coordinates in which data and template are to be
    compared (LaCATHODE).

    Examples
    --------
    A template of your own, the lower sideband alone:

    >>> import numpy as np
    >>> from skad.resonant import Template
    >>> class LowerSideband(Template):
    ...     _parameter_constraints = Template._template_constraints
    ...
    ...     def __init__(self, region=None, resonance=0, random_state=None):
    ...         self.region = region
    ...         self.resonance = resonance
    ...         self.random_state = random_state
    ...
    ...     def _fit(self, events, rng):
    ...         self.events_ = events.X[self.region_.sideband_mask(events.m, "low")]
    ...
    ...     def _sample(self, n_samples, rng):
    ...         rows = rng.randint(len(self.events_), size=n_samples or len(self.events_))
    ...         return self.events_[rows], np.ones(len(rows))
    >>> X = np.column_stack([np.linspace(2, 5, 3000), np.ones(3000)])
    >>> events, _ = LowerSideband(region=(3, 4)).fit(X).sample_background(10, random_state=0)
    >>> bool((events[:, 0] < 3).all())
    True
    """

    _learns_support = True

    @abstractmethod
    def _fit(self, events, rng):
        """Learn the background of the events."""

    @abstractmethod
    def _sample(self, n_samples, rng):
        """Return background events and their weights."""

    _template_constraints = {
        **ResonantMixin._region_constraints,
        "random_state": ["random_state"],
    }

    # Whether the events are those of the region's masses, not of masses beside them.
    interpolates = True
    # Whether they, or their weights, come from a training whose errors nobody knows.
    is_learned = True

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn the background.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events of signal region and sidebands, the resonant feature among the columns.
        y : array-like of shape (n_events,), default=None
            1 = data and 0 = simulation, where the template needs simulation; ignored elsewhere
            (truth labels may be passed).
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights.

        Returns
        -------
        self : object

        Warns
        -----
        LowStatisticsWarning
            Fewer than 500 events make the template: data of the sidebands, or simulated events of
            the region.
        """
        events = self._read_events(X, y, sample_weight)
        self._warn_few(events)
        rows = events.data & events.sideband & events.weighing
        if not rows.any():
            rows = events.data & events.inside & events.weighing
        features = events.X[rows][:, self.feature_indices_]
        self.support_ = np.stack([features.min(axis=0), features.max(axis=0)])
        self._n_support = len(features)
        self._fit(events, check_random_state(self.random_state))
        self._rows = self._existing_rows(events)
        return self

    def _warn_few(self, events):
        region = f"the signal region [{self.region_.low:g}, {self.region_.high:g})"
        sources = {}
        if self._needs_sidebands:
            sources[f"data events of the sidebands of {region}"] = events.data & events.sideband
        if self._needs_simulation:
            sources[f"simulated events of {region}"] = ~events.data & events.inside
        for source, rows in sources.items():
            n = np.count_nonzero(rows & events.weighing)
            if 0 < n < _FEW_EVENTS:
                warnings.warn(
                    f"{type(self).__name__} is made from {n} {source}, fewer than {_FEW_EVENTS}. "
                    "Check that m, the region and its sideband_width have one unit, or widen them.",
                    LowStatisticsWarning,
                    stacklevel=4,
                )

    def sample_background(
        self, n_samples: int | None = None, random_state: Seed = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw background events of the signal region.

        Parameters
        ----------
        n_samples : int, default=None
            Number of events; None takes as many as the template gives by itself.
        random_state : int, RandomState or None, default=None
            Source of randomness.

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_columns)
            Events with the columns of the X of `fit`.
        sample_weight : ndarray of float64, shape (n_samples,)
            Weights with a mean of about 1.

        Warns
        -----
        FiducialWarning
            More events than by chance lie outside `support_`, the range of the features in the
            sidebands of the data. They are kept; `fiducial_mask` finds them.
        """
        check_is_fitted(self)
        if n_samples is not None:
            check_n_samples(n_samples)
        X, weight = self._sample(n_samples, check_random_state(random_state))
        X = np.asarray(X, dtype=np.float64)
        if self._learns_support:
            self._warn_outside(X, "the template learned nothing there", weight)
        return X, np.asarray(weight, dtype=np.float64)

    def fit_shared(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> dict[Any, Any]:
        """Learn what all regions of the same events can share.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events of the whole spectrum.
        y : array-like of shape (n_events,), default=None
            1 = data, 0 = simulation, where `fit` needs it.
        sample_weight : array-like of shape (n_events,), default=None

        Returns
        -------
        parameters : dict
            Values of parameters named `shared` for `set_params`; empty where regions have nothing
            in common.
        """
        return {}

    def held_out_background(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        n_samples: int | None = None,
        random_state: Seed = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return background of the signal region that no classifier of the template has seen.

        A template that draws from what it learned draws fresh events; one that is made of existing
        events makes them of those of `X`, which took no part in its fit.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events as for `fit`, but others.
        y : array-like of shape (n_events,), default=None
            1 = data, 0 = simulation or reference, where `fit` needs it.
        sample_weight : array-like of shape (n_events,), default=None
        n_samples : int, default=None
            Of a template that draws; the others give all that X holds.
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_background, n_columns)
        sample_weight : ndarray of float64, shape (n_background,)
        """
        check_is_fitted(self)
        rng = check_random_state(random_state)
        if self._draws:
            return self.sample_background(n_samples, rng)
        X, weight = self._held_out(self._read_others(X, y, sample_weight), rng)
        return np.asarray(X, dtype=np.float64), np.asarray(weight, dtype=np.float64)

    # Whether events are drawn from what was learned, rather than existing ones used.
    _draws = True

    def _existing_rows(self, events):
        """Return the positions in X of `fit` of all template events, -1 for drawn ones.

        None where none of them is an event of X as it is.
        """
        return None

    def _held_out(self, events, rng):
        """Return background events and weights made of events that are not those of the fit."""
        raise NotImplementedError

    def _warn_outside(self, X, consequence, weight=None):
        outside = ~self._is_described(X)
        share = np.average(outside, weights=weight)
        # Beyond the two extremes of n events lies one in (n + 1) / 2 by chance.
        chance = 2 * len(self.feature_indices_) / (self._n_support + 1)
        if share > max(3 * chance, 1e-3):
            warnings.warn(
                f"{np.count_nonzero(outside)} of {len(X)} events lie outside the range of the "
                f"features in the sidebands of the data; {consequence}.",
                FiducialWarning,
                stacklevel=3,
            )


def draw_rows(n_available, n_samples, rng):
    """Return row numbers: all for None, without replacement while they last."""
    if n_samples is None:
        return np.arange(n_available)
    return rng.choice(n_available, n_samples, replace=n_samples > n_available)
