"""FETA: simulation moved to where the data are, by what the sidebands teach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.density import FlowDensity
from skad.nn._flow_network import negative_log_likelihood
from skad.nn._transport import FlowOnFlow
from skad.resonant._events import missing_simulation
from skad.resonant._masses import MASS_SPECTRA
from skad.resonant._simulation import training_rows
from skad.resonant._transport import TransportTemplate
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["FETA"]


class FETA(TransportTemplate):
    """Template of simulated events, moved by a flow to where the data are.

    A flow learns the density p_sim(x|m) of the simulation. A second one, the transport, has that
    density as its base and learns the data of the sidebands; near the identity where simulation
    is good, it is interpolated into the signal region in m [1]_.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density of the simulation. None is ``FlowDensity(max_epochs=6)``.
    transport : FlowDensity, default=None
        Unfitted; its flow and training settings are those of the transport. None is
        ``FlowDensity("nsf_coupling", hidden_layer_sizes=(32, 32), max_epochs=5)``.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which both flows work. None is the logit of the features
        scaled to the range of data and simulation, which moves other events beyond it to its edge.
    source : {"density", "simulation"}, default="density"
        What is transported: events drawn from p_sim(x|m), as in the paper, or the simulated
        events themselves, those with m nearest to the masses asked for.
    mass_spectrum : {"kde", "observed", "fit", "simulation"}, default="kde"
        Masses of the template: a kernel estimate of the data of the region, the data themselves,
        a fit of the sidebands, or the simulated events of the region, as in [1]_.
    oversampling : float, default=4.0
        Template events per data event of the region, where `sample_background` is not told a
        number.
    sidebands_only : bool, default=True
        False learns from the data of the region too: without interpolation and without need of
        sidebands, but a signal then hides itself. For closure studies.
    random_state : None, int or RandomState, default=None
        Seed of coordinates and flows.

    Attributes
    ----------
    density_ : FramedDensity
        Fitted density p(x|m) of the simulation, in the coordinates of X.
    coordinates_ : transformer or None
        Fitted map of the features.
    masses_ : object
        Spectrum of m that `sample_background` draws from.
    trained_ : TrainedMembers
        Networks of the transport.
    history_ : list of list of dict
        For every transport one entry an epoch.
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

    Raises
    ------
    RegionError
        No simulation in the region or in a sideband.

    Notes
    -----
    In `fit`, y is 1 for data and 0 for simulation. `skad.papers.feta` holds the flows of the paper.

    References
    ----------
    .. [1] T. Golling, S. Klein, R. Mastandrea, B. Nachman, "Flow-enhanced transportation for
       anomaly detection", Phys. Rev. D 107 (2023) 096025, arXiv:2212.11285.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import FETA
    >>> rng = np.random.default_rng(0)
    >>> m = rng.uniform(2, 5, size=8000)
    >>> y = np.repeat([1, 0], 4000)
    >>> x = rng.normal(np.where(y == 1, 0.5, 0.0))  # data lie higher than simulation
    >>> flow = FlowDensity(n_transforms=1, hidden_layer_sizes=(16,), max_epochs=8)
    >>> template = FETA(flow, flow, region=(3, 4), random_state=0)
    >>> events, _ = template.fit(np.column_stack([m, x]), y).sample_background(random_state=0)
    >>> bool(abs(events[:, 1].mean() - 0.5) < 0.1)
    True
    """

    _needs_simulation = True

    _parameter_constraints: dict = {
        **TransportTemplate._transport_constraints,
        "source": [sk.StrOptions({"density", "simulation"})],
        "sidebands_only": ["boolean"],
        "mass_spectrum": [sk.StrOptions({*MASS_SPECTRA, "simulation"})],
    }

    def __init__(
        self,
        density: FlowDensity | None = None,
        transport: FlowDensity | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        coordinates: Literal["passthrough"] | Estimator | None = None,
        source: Literal["density", "simulation"] = "density",
        mass_spectrum: Literal["kde", "observed", "fit", "simulation"] = "kde",
        oversampling: float = 4.0,
        sidebands_only: bool = True,
        random_state: Seed = None,
    ) -> None:
        self.density = density
        self.transport = transport
        self.region = region
        self.resonance = resonance
        self.coordinates = coordinates
        self.source = source
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.sidebands_only = sidebands_only
        self.random_state = random_state

    @property
    def _needs_sidebands(self):
        return self.sidebands_only

    def _fit(self, events, rng):
        rows = training_rows(events, self.region_, "FETA", sidebands_only=self.sidebands_only)
        data = events.data & rows & events.weighing
        simulated = ~events.data & (events.sideband | events.inside) & events.weighing
        self._fit_coordinates(events.X[data | simulated], rng)
        density = FlowDensity(max_epochs=6) if self.density is None else self.density
        base = self._fit_base(density, events.X[simulated], events.weights(simulated), rng)
        n_features = len(self.feature_indices_)
        self._fit_transport(
            lambda recipe: FlowOnFlow(recipe.flow(n_features, 1), base),
            negative_log_likelihood,
            {"x": self._to_z(events.X[data]), "m": events.m[data][:, None]},
            events.weights(data),
            rng,
        )
        self._keep_masses(events)
        if self.source == "simulation":
            inside = np.flatnonzero(simulated & events.inside)
            inside = inside[np.argsort(events.m[inside], kind="stable")]
            self._z, self._m = self._to_z(events.X[inside]), events.m[inside]

    def _sample(self, n_samples, rng):
        if n_samples is None:
            n_samples = self._n_background()
        m = self.masses_.draw(n_samples, rng)
        if self.source == "density":
            drawn = self.density_.density_.sample(n_samples, rng, conditions=m)
            z = drawn[:, self.feature_indices_]
        else:
            above = np.searchsorted(self._m, m).clip(1, len(self._m) - 1)
            rows = above - (m - self._m[above - 1] < self._m[above] - m)
            z, m = self._z[rows], self._m[rows]
        return self._pushed(z, m, rng), np.ones(n_samples)

    @property
    def _draws(self):
        return self.source == "density"

    def _held_out(self, events, rng):
        rows = ~events.data & events.inside
        if not rows.any():
            raise missing_simulation(self.region_, "FETA")
        weight = events.weights_or_ones(rows)
        return self._pushed(self._to_z(events.X[rows]), events.m[rows], rng), weight

    def _pushed(self, z, m, rng):
        """Return simulated events, moved to where the data are."""
        z = self._transported(
            lambda network, batch: network.push(batch["z"], batch["m"]),
            {"z": z, "m": m[:, None]},
            rng,
        )
        return self._to_events(z, m)
