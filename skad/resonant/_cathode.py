"""CATHODE: the sideband density, interpolated into the signal region and sampled."""

from numbers import Real

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skad.base import PresetMixin
from skad.coordinates import LogitTransformer
from skad.density import FlowDensity, FramedDensity
from skad.resonant._conditional import check_conditional, set_conditions
from skad.resonant._masses import MASS_SPECTRA, MassSpectrum
from skad.resonant._template import Template
from skad.utils import _sklearn as sk

__all__ = ["CATHODE"]


class CATHODE(PresetMixin, Template):
    """Template sampled from a density p(x|m) of the sidebands at masses of the signal region.

    A conditional density is learned on the sidebands, interpolates in m, and is sampled at
    masses of the signal region [1]_. Several times as many events as there are data keep the
    statistical noise of the template out of the classifier.

    Parameters
    ----------
    density : estimator, default=None
        Conditional density with ``condition_features``, which is set to the resonant feature;
        None is a `FlowDensity` behind the logit of the scaled features. A fitted density of the
        same columns in scikit-learn's `FrozenEstimator` is used as it is, such as the
        `background_density_` of an `ANODE`.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    mass_spectrum : {"kde", "observed", "fit"}, default="kde"
        Masses of the drawn events: a kernel estimate of the data of the region, the data
        themselves, or a fit of the sidebands.
    oversampling : float, default=4.0
        Template events per data event of the region, where `sample_background` is not told a
        number.
    random_state : None, int or RandomState, default=None
        Seed of the density.

    Attributes
    ----------
    density_ : estimator
        Fitted density p(x|m), in the coordinates of X.
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

    Notes
    -----
    Preset "cathode": the flow of the paper (15 MADE blocks of 128, 100 epochs, samples from the 10
    best) behind a logit.

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

    _presets = {
        "cathode": lambda: {
            "density": FramedDensity(LogitTransformer(), FlowDensity.from_preset("cathode"))
        }
    }

    _parameter_constraints: dict = {
        **Template._template_constraints,
        "density": [None, sk.HasMethods(["fit", "score_samples", "sample"])],
        "mass_spectrum": [sk.StrOptions(set(MASS_SPECTRA))],
        "oversampling": [sk.Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        density=None,
        *,
        region=None,
        resonance=0,
        mass_spectrum="kde",
        oversampling=4.0,
        random_state=None,
    ):
        self.density = density
        self.region = region
        self.resonance = resonance
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.random_state = random_state

    def _default_density(self):
        return FramedDensity(LogitTransformer(), FlowDensity())

    def _natural_size(self):
        return max(1, round(self.oversampling * self.n_region_events_))

    def _fit(self, events, rng):
        density = self._default_density() if self.density is None else clone(self.density)
        if isinstance(density, FrozenEstimator):
            check_conditional(
                density.estimator, self.resonance_index_, self.n_features_in_, name="density"
            )
        else:
            set_conditions(density, self.resonance_index_)
            sk.set_random_states(density, rng)
        rows = events.sideband
        # FramedDensity bridges weights, conditions and data frames for any density.
        self._framed = FramedDensity(None, density).fit(
            self._named(events.X[rows]), sample_weight=events.weights(rows)
        )
        self.density_ = self._framed.density_
        self._masses = MassSpectrum(self.mass_spectrum, events, self.region_)
        self.n_region_events_ = int((events.data & events.inside).sum())

    def _sample(self, n_samples, rng):
        if n_samples is None:
            n_samples = self._natural_size()
        m = self._masses.draw(n_samples, rng)
        return self._framed.sample(n_samples, rng, conditions=m), np.ones(n_samples)
