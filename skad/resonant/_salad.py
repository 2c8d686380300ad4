"""SALAD: simulation of the signal region, reweighted to the data by what the sidebands teach."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from skad.detectors import CWoLaDetector, NetworkClassifier
from skad.exceptions import LowStatisticsWarning
from skad.resonant._events import missing_simulation
from skad.resonant._simulation import training_rows
from skad.resonant._template import Template, draw_rows
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["SALAD"]

# Weights above this many times the mean are called extreme.
_EXTREME = 10.0

# Chosen on windows beside the signal region of the simulated dijets, see the guide to templates.
_NETWORK = {
    "activation": "silu",
    "n_estimators": 3,
    "max_epochs": 8,
    "learning_rate": 5e-3,
    "schedule": "one_cycle",
}


class SALAD(Template):
    """Template of simulated events, reweighted to look like data.

    A classifier f(x, m) learns to tell data from simulation in the sidebands. Its odds f/(1-f)
    estimate p_data/p_simulation, and weight the simulated events of the signal region, into which
    the classifier interpolates in m [1]_.

    Parameters
    ----------
    classifier : estimator, default=None
        Any scikit-learn classifier with `predict_proba`; it sees all columns of X, m included,
        unscaled. None is the mean of three networks,
        ``NetworkClassifier(n_estimators=3, activation="silu", max_epochs=8, learning_rate=5e-3,
        schedule="one_cycle")``.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    sidebands_only : bool, default=True
        False learns from the events of the region too: without interpolation and without need of
        sidebands, but a signal then hides itself. For closure studies.
    max_weight : float or None, default=None
        Largest weight, in units of the mean weight; larger ones are set to it. None leaves all
        weights as they are.
    random_state : None, int or RandomState, default=None
        Seed of the classifier.

    Attributes
    ----------
    region_ : SignalRegion
        Resolved region.
    detector_ : CWoLaDetector
        Fitted classifier; its `anomaly_score` is p_data/p_simulation in the sidebands.
    events_, sample_weight_ : ndarray
        Simulated events of the region and their weights, of mean 1.
    n_effective_ : float
        Effective number of template events, (sum w)^2 / sum w^2.
    largest_weight_ : float
        Largest weight in units of the mean, before `max_weight`.
    n_extreme_ : int
        Events with more than 10 times the mean weight, before `max_weight`.
    n_background_ : float
        Background expected in the region, from the weights and the sizes of the sidebands.
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the sidebands of the data.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Warns
    -----
    LowStatisticsWarning
        Extreme weights that carry more than a hundredth of the template or exceed 100 times the
        mean, so that single simulated events matter.

    Raises
    ------
    RegionError
        No simulation in the region or in a sideband.

    Notes
    -----
    In `fit`, y is 1 for data and 0 for simulation. Weights of simulated events are multiplied
    in. `skad.papers.salad` holds the network of [1]_, `skad.papers.interplay` that of [2]_.

    References
    ----------
    .. [1] A. Andreassen, B. Nachman, D. Shih, "Simulation Assisted Likelihood-free Anomaly
       Detection", Phys. Rev. D 101 (2020) 095004, arXiv:2001.05001.
    .. [2] T. Golling et al., arXiv:2307.11157.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import NetworkClassifier
    >>> from skad.resonant import SALAD
    >>> rng = np.random.default_rng(0)
    >>> m = rng.uniform(2, 5, size=8000)
    >>> y = np.repeat([1, 0], 4000)
    >>> x = rng.normal(np.where(y == 1, 0.5, 0.0), np.where(y == 1, 1.3, 1.0))
    >>> classifier = NetworkClassifier((16,), max_epochs=10, batch_size=128)
    >>> template = SALAD(classifier, region=(3, 4), random_state=0)
    >>> events, weight = template.fit(np.column_stack([m, x]), y).sample_background()
    >>> bool(abs(np.average(events[:, 1], weights=weight) - 0.5) < 0.1)
    True
    """

    _needs_simulation = True
    _draws = False

    _parameter_constraints: dict = {
        **Template._template_constraints,
        "classifier": [None, sk.HasMethods(["fit"])],
        "sidebands_only": ["boolean"],
        "max_weight": [None, sk.Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        classifier: Estimator | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        sidebands_only: bool = True,
        max_weight: float | None = None,
        random_state: Seed = None,
    ) -> None:
        self.classifier = classifier
        self.region = region
        self.resonance = resonance
        self.sidebands_only = sidebands_only
        self.max_weight = max_weight
        self.random_state = random_state

    @property
    def _needs_sidebands(self):
        return self.sidebands_only

    def _fit(self, events, rng):
        rows = training_rows(events, self.region_, "SALAD", sidebands_only=self.sidebands_only)
        classifier = self.classifier
        if classifier is None:
            classifier = NetworkClassifier(**_NETWORK)
        n_data, n_simulation = (
            events.weights_or_ones(kind).sum() for kind in (rows & events.data, rows & ~events.data)
        )
        self.detector_ = CWoLaDetector(classifier, cv=None, random_state=rng).fit(
            events.X[rows], events.data[rows].astype(int), sample_weight=events.weights(rows)
        )
        self.events_, weight = self._reweighted(events)
        self._set_weights(weight)
        self.n_background_ = float(weight.sum() * n_data / n_simulation)

    def _existing_rows(self, events):
        return np.flatnonzero(~events.data & events.inside)

    def _held_out(self, events, rng):
        X, weight = self._reweighted(events)
        weight = weight / weight.mean()
        return X, weight if self.max_weight is None else np.minimum(weight, self.max_weight)

    def _reweighted(self, events):
        rows = ~events.data & events.inside
        if not rows.any():
            raise missing_simulation(self.region_, "SALAD")
        ratio = self.detector_.anomaly_score(events.X[rows])
        own = events.weights_or_ones(rows)
        return events.X[rows], own * ratio

    def _set_weights(self, weight):
        weight = weight / weight.mean()
        self.largest_weight_ = float(weight.max())
        extreme = weight > _EXTREME
        self.n_extreme_ = int(extreme.sum())
        share = weight[extreme].sum() / len(weight)
        if self.max_weight is not None:
            weight = np.minimum(weight, self.max_weight)
            weight /= weight.mean()
        self.sample_weight_ = weight
        self.n_effective_ = float(weight.sum() ** 2 / (weight**2).sum())
        if self.max_weight is None and (share > 0.01 or self.largest_weight_ > 100):
            warnings.warn(
                f"{self.n_extreme_} of {len(weight)} simulated events have more than "
                f"{_EXTREME:g} times the mean weight, the largest {self.largest_weight_:.3g}; "
                f"they carry {share:.1%} of the template, which is worth {self.n_effective_:.0f} "
                "events. The simulation lacks what the data hold there: simulate more, average "
                "more classifiers, or set max_weight.",
                LowStatisticsWarning,
                stacklevel=5,
            )

    def _sample(self, n_samples, rng):
        rows = draw_rows(len(self.events_), n_samples, rng)
        return self.events_[rows], self.sample_weight_[rows]
