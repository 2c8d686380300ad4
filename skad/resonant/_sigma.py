"""SIGMA: one density of the whole spectrum, interpolated into any signal region."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from skad.density import FlowDensity
from skad.resonant._conditional import ConditionalMixin
from skad.resonant._template import Template
from skad.utils import _sklearn as sk
from skad.utils._columns import resolve_columns
from skad.utils._events import check_events
from skad.utils._random import draw_seed

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["SIGMA"]


class SIGMA(ConditionalMixin, Template):
    """Template from one density p(x|m) of all masses, interpolated across the signal region.

    The density learns the whole spectrum, the events of the region among them. The template is not
    what it learned there: a latent point is mapped to an event at two edges in the sidebands, and
    in between the events are interpolated in m. So one training serves every region [1]_:
    `fit_shared` does it, and `BumpHunt` calls it once per fold, however many windows there are.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted; its ``condition_features`` is set to the resonant feature. None is
        ``FlowDensity(max_epochs=15, flow_options={"n_frequencies": 4})``: frequencies of m let it
        learn a signal where it is, and nowhere else. Without them it spreads over the masses, and
        into the template.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    interpolation : {"events", "velocity"}, default="events"
        - "events": the events, in the coordinates of X, that the density makes of one latent point
          at both edges. Right for features that shift with m;
        - "velocity": that of a continuous flow, as in the paper: ``density`` is then
          ``FlowDensity("flow_matching")`` or "cnf". Steep edges of features that shift with m are
          washed out.
    shared : estimator, default=None
        In a `FrozenEstimator` the density that `fit_shared` learned, in place of a training of
        one's own. `BumpHunt` sets it. It must not have seen events that are to be counted.
    margin : float, default=0.25
        Distance of the edges from the region, in its widths; they stay within the data.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which the density is learned. None is the logit of the
        features scaled to their range in the data.
    mass_spectrum : {"kde", "observed", "fit"}, default="kde"
        Masses of the drawn events: a kernel estimate of the data of the region, the data
        themselves, or a fit of the sidebands.
    oversampling : float, default=4.0
        Template events per data event of the region, where `sample_background` is not told a
        number.
    random_state : None, int or RandomState, default=None
        Seed of coordinates and density.

    Attributes
    ----------
    density_ : estimator
        Fitted density p(x|m) of all masses, in the coordinates of X.
    coordinates_ : transformer or None
        Fitted map of the features.
    edges_ : (float, float)
        Masses between which the density is interpolated.
    masses_ : object
        Spectrum of m that `sample_background` draws from.
    region_ : SignalRegion
        Resolved region.
    n_region_events_ : int
        Data events in the region.
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the sidebands of the data.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    CATHODE : Learns from the sidebands of one region alone.
    skad.papers.sigma : The network and the training of the paper.

    References
    ----------
    .. [1] R. Das, D. Shih, "SIGMA: Single Interpolated Generative Model for Anomalies",
       arXiv:2410.20537.

    Examples
    --------
    Two regions, one training:

    >>> import numpy as np
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import SIGMA
    >>> rng = np.random.default_rng(0)
    >>> m = 2 + rng.exponential(size=8000)
    >>> X = np.column_stack([m, rng.normal(0.5 * m)])
    >>> template = SIGMA(FlowDensity("maf", max_epochs=10), random_state=0)
    >>> shared = template.fit_shared(X)
    >>> for region in [(2.5, 3.0), (3.0, 4.0)]:
    ...     template = template.set_params(region=region, **shared).fit(X)
    ...     events, _ = template.sample_background(5000, random_state=0)
    ...     print(bool(abs(np.mean(events[:, 1] - 0.5 * events[:, 0])) < 0.1))
    True
    True
    """

    _parameter_constraints: dict = {
        **Template._template_constraints,
        **ConditionalMixin._conditional_constraints,
        "density": [None, FlowDensity],
        "interpolation": [sk.StrOptions({"events", "velocity"})],
        "shared": [None, FrozenEstimator],
        "margin": [sk.Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        density: FlowDensity | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        interpolation: Literal["events", "velocity"] = "events",
        shared: Estimator | None = None,
        margin: float = 0.25,
        coordinates: Literal["passthrough"] | Estimator | None = None,
        mass_spectrum: Literal["kde", "observed", "fit"] = "kde",
        oversampling: float = 4.0,
        random_state: Seed = None,
    ) -> None:
        self.density = density
        self.region = region
        self.resonance = resonance
        self.interpolation = interpolation
        self.shared = shared
        self.margin = margin
        self.coordinates = coordinates
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.random_state = random_state

    def fit_shared(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> dict[Any, Any]:
        """Learn the density of all masses, which any region can be interpolated from.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events of the whole spectrum.
        y : ignored
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights.

        Returns
        -------
        parameters : dict
            ``{"shared": density}``, for `set_params` with any `region`.
        """
        learner = clone(self)
        X = check_events(learner, X, dtype=np.float64, ensure_min_features=2, ensure_min_samples=2)
        names = getattr(learner, "feature_names_in_", None)
        n_columns = X.shape[1]
        (position,) = resolve_columns(self.resonance, names, n_columns, parameter="resonance")
        learner.resonance_index_ = int(position)
        learner.feature_indices_ = np.delete(np.arange(n_columns), position)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
            X, sample_weight = X[sample_weight > 0], sample_weight[sample_weight > 0]
        rng = check_random_state(learner.random_state)
        return {"shared": FrozenEstimator(learner._fit_all_masses(X, sample_weight, rng))}

    def _fit_all_masses(self, X, weight, rng):
        density = self.density
        if density is None:
            density = FlowDensity(max_epochs=15, flow_options={"n_frequencies": 4})
        self._fit_coordinates(X, rng)
        return self._fit_density(density, X, weight, rng, name="density")

    def _fit(self, events, rng):
        if self.shared is None:
            rows = (events.inside | events.sideband) & events.weighing
            self.density_ = self._fit_all_masses(events.X[rows], events.weights(rows), rng)
        else:
            self.density_ = self._fit_density(self.shared, events.X, None, rng, name="shared")
        self.coordinates_ = getattr(self.density_, "coordinates_", None)
        self.edges_ = self._edges(events)
        self._keep_masses(events)

    def _edges(self, events):
        distance = self.margin * self.region_.width
        beside = events.m[events.sideband & events.weighing]
        low = max(self.region_.low - distance, beside.min())
        high = min(self.region_.high + distance, beside.max())
        return float(low), float(high)

    def _sample(self, n_samples, rng):
        if n_samples is None:
            n_samples = self._n_background()
        m = self.masses_.draw(n_samples, rng)
        low, high = self.edges_
        seed = draw_seed(rng)
        if self.interpolation == "velocity":
            X = self.density_.sample(n_samples, seed, conditions=m, between=(low, high))
            return X, np.ones(n_samples)
        at_low, at_high = (
            self.density_.sample(n_samples, seed, conditions=np.full(n_samples, edge))
            for edge in (low, high)
        )
        share = ((high - m) / (high - low))[:, None]
        X = share * at_low + (1 - share) * at_high
        X[:, self.resonance_index_] = m
        return X, np.ones(n_samples)
