"""CATHODE: the sideband density, interpolated into the signal region and sampled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.density import FlowDensity
from skad.resonant._conditional import ConditionalMixin
from skad.resonant._template import Template
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["CATHODE"]


class CATHODE(ConditionalMixin, Template):
    """Template sampled from a density p(x|m) of the sidebands at masses of the signal region.

    A conditional density is learned on the sidebands, interpolates in m, and is sampled at
    masses of the signal region [1]_. Several times as many events as there are data keep the
    statistical noise of the template out of the classifier.

    Parameters
    ----------
    density : estimator, default=None
        Conditional density with ``condition_features``, which is set to the resonant feature.
        None is ``FlowDensity()``. A fitted density of the same columns in scikit-learn's
        `FrozenEstimator` is used as it is, such as the `background_density_` of an `ANODE`.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which the density is learned. None is the logit of the
        features scaled to their range in the sidebands.
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
        Fitted density p(x|m), in the coordinates of X.
    coordinates_ : transformer or None
        Fitted map of the features.
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
    skad.papers.cathode : The flow and the classifier of the paper.

    References
    ----------
    .. [1] A. Hallin et al., "Classifying Anomalies THrough Outer Density Estimation (CATHODE)",
       Phys. Rev. D 106 (2022) 055006, arXiv:2109.00546.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import CATHODE
    >>> X, _ = make_resonance(5000, 0, random_state=0, return_X_y=True)
    >>> template = CATHODE(
    ...     FlowDensity(n_transforms=2, max_epochs=3), region=(3.3, 3.7), random_state=0
    ... ).fit(X)
    >>> events, weight = template.sample_background(1000, random_state=0)
    >>> bool(((events[:, 0] >= 3.3) & (events[:, 0] < 3.7)).all())
    True
    """

    _parameter_constraints: dict = {
        **Template._template_constraints,
        **ConditionalMixin._conditional_constraints,
        "density": [None, sk.HasMethods(["fit", "score_samples", "sample"])],
    }

    def __init__(
        self,
        density: Estimator | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        coordinates: Literal["passthrough"] | Estimator | None = None,
        mass_spectrum: Literal["kde", "observed", "fit"] = "kde",
        oversampling: float = 4.0,
        random_state: Seed = None,
    ) -> None:
        self.density = density
        self.region = region
        self.resonance = resonance
        self.coordinates = coordinates
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.random_state = random_state

    def _fit(self, events, rng):
        rows = events.sideband & events.weighing
        X = events.X[rows]
        self._fit_coordinates(X, rng)
        density = FlowDensity() if self.density is None else self.density
        self.density_ = self._fit_density(density, X, events.weights(rows), rng, name="density")
        self._keep_masses(events)

    def _sample(self, n_samples, rng):
        if n_samples is None:
            n_samples = self._n_background()
        m = self.masses_.draw(n_samples, rng)
        return self.density_.sample(n_samples, rng, conditions=m), np.ones(n_samples)
