"""A given reference as background template: the idealised detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.resonant._events import missing_simulation
from skad.resonant._template import Template, draw_rows

if TYPE_CHECKING:
    from skad.resonant._region import SignalRegion
    from skad.utils._types import Floats, Seed

__all__ = ["GivenReference"]


class GivenReference(Template):
    """Template of the idealised anomaly detector: reference events that are given.

    The events with y = 0 in the signal region, as they are: true background for the idealised
    detector (the best a weakly supervised method can do), or any simulation that is trusted.
    With truth labels as y (1 = signal, 0 = background) the same detector is the supervised
    classifier of the signal region.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    random_state : None, int or RandomState, default=None
        Not used by the fit; here for a common interface.

    Attributes
    ----------
    region_ : SignalRegion
        Resolved region.
    events_, sample_weight_ : ndarray
        Reference events and their weights, of mean 1.
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the sidebands of the data.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    References
    ----------
    A. Hallin et al., "Classifying Anomalies THrough Outer Density Estimation", arXiv:2109.00546,
    section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.resonant import GivenReference
    >>> X = np.column_stack([np.tile(np.linspace(2, 4, 3001), 2), np.arange(6002)])
    >>> y = np.repeat([1, 0], 3001)
    >>> events, weight = GivenReference(region=(2.8, 3.2)).fit(X, y).sample_background()
    >>> len(events), bool((events[:, 1] > 3000).all())
    (600, True)
    """

    _needs_simulation = True
    _needs_sidebands = False
    # What is given is right by definition.
    _learns_support = False

    _parameter_constraints: dict = {**Template._template_constraints}
    is_learned = False
    _draws = False

    def __init__(
        self,
        region: Floats | SignalRegion | None = None,
        *,
        resonance: int | str = 0,
        random_state: Seed = None,
    ) -> None:
        self.region = region
        self.resonance = resonance
        self.random_state = random_state

    def _fit(self, events, rng):
        self.events_, self.sample_weight_ = self._held_out(events, rng)

    def _existing_rows(self, events):
        return np.flatnonzero(~events.data & events.inside)

    def _held_out(self, events, rng):
        rows = ~events.data & events.inside
        if not rows.any():
            raise missing_simulation(self.region_, "GivenReference")
        weight = np.ones(rows.sum()) if events.weight is None else events.weight[rows]
        if not weight.any():
            raise ValueError("sample_weight is zero for every reference event (y = 0).")
        return events.X[rows], weight / weight.mean()

    def _sample(self, n_samples, rng):
        rows = draw_rows(len(self.events_), n_samples, rng)
        return self.events_[rows], self.sample_weight_[rows]
