"""CURTAINS: sideband events moved to masses of the signal region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from skad.density import FlowDensity
from skad.nn._flow_network import FlowNetwork
from skad.nn._mlp import Standardize
from skad.nn._sinkhorn import sinkhorn_divergence
from skad.nn._transport import MassTransport
from skad.resonant._template import draw_rows
from skad.resonant._transport import TransportTemplate
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["CURTAINS"]


class CURTAINS(TransportTemplate):
    """Template of sideband events, moved in m by an invertible map.

    A flow T(x; m, m') learns to turn an event at one value of m into one at any other, upwards
    and, by its inverse, downwards. It is trained within and between the sidebands, and then moves
    their events to masses of the signal region [1]_ [2]_.

    Parameters
    ----------
    density : FlowDensity, default=None
        Unfitted density p(x|m) of the sidebands, on which T is trained. None is
        ``FlowDensity(max_epochs=8)``. Not used with ``loss="optimal_transport"``.
    transport : FlowDensity, default=None
        Unfitted; its flow and training settings are those of T. None is
        ``FlowDensity("nsf_coupling", hidden_layer_sizes=(32, 32), max_epochs=5)``.
    region : None, (low, high) or SignalRegion, default=None
        Signal region; its `sideband_width` limits the events that are moved. None means the
        central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which both flows work. None is the logit of the features
        scaled to their range in the sidebands, which moves other events beyond it to its edge.
    loss : {"likelihood", "optimal_transport"}, default="likelihood"
        - "likelihood": events moved to other masses are to be likely under `density` there
          (flows for flows [2]_);
        - "optimal_transport": each batch moved to permuted masses is to lie where the batch was,
          by the Sinkhorn divergence in features and m (the first version [1]_). Takes long.
    mass_spectrum : {"kde", "observed", "fit"}, default="fit"
        Masses of the template: a kernel estimate of the data of the region, the data themselves,
        or a fit of the sidebands.
    oversampling : float, default=4.0
        Template events per event of `oversampled`, where `sample_background` is not told a number.
    oversampled : {"region", "sidebands"}, default="region"
        What `oversampling` counts: the data of the region, or the sideband events that are moved,
        as in [2]_.
    random_state : None, int or RandomState, default=None
        Seed of coordinates and flows.

    Attributes
    ----------
    density_ : FramedDensity or None
        Fitted density p(x|m) of the sidebands, in the coordinates of X; None for optimal transport.
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

    Notes
    -----
    Where more template events are asked for than the sidebands hold, each is moved to several
    masses. `skad.papers.curtains` holds the flows of both papers.

    References
    ----------
    .. [1] J. A. Raine, S. Klein, D. Sengupta, T. Golling, "CURTAINs for your sliding window",
       Front. Big Data 6 (2023) 899345, arXiv:2203.09470.
    .. [2] D. Sengupta, S. Klein, J. A. Raine, T. Golling, "CURTAINs Flows For Flows",
       arXiv:2305.04646.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import CURTAINS
    >>> rng = np.random.default_rng(0)
    >>> m = 2 + rng.exponential(size=8000)
    >>> x = rng.normal(0.5 * m)
    >>> flow = FlowDensity(n_transforms=1, hidden_layer_sizes=(16,), max_epochs=8)
    >>> template = CURTAINS(flow, flow, region=(3, 4), random_state=0)
    >>> events, _ = template.fit(np.column_stack([m, x])).sample_background(random_state=0)
    >>> bool(abs(np.mean(events[:, 1] - 0.5 * events[:, 0])) < 0.1)
    True
    """

    _parameter_constraints: dict = {
        **TransportTemplate._transport_constraints,
        "loss": [sk.StrOptions({"likelihood", "optimal_transport"})],
        "oversampled": [sk.StrOptions({"region", "sidebands"})],
    }

    _draws = False

    def __init__(
        self,
        density: FlowDensity | None = None,
        transport: FlowDensity | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        coordinates: Literal["passthrough"] | Estimator | None = None,
        loss: Literal["likelihood", "optimal_transport"] = "likelihood",
        mass_spectrum: Literal["kde", "observed", "fit"] = "fit",
        oversampling: float = 4.0,
        oversampled: Literal["region", "sidebands"] = "region",
        random_state: Seed = None,
    ) -> None:
        self.density = density
        self.transport = transport
        self.region = region
        self.resonance = resonance
        self.coordinates = coordinates
        self.loss = loss
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.oversampled = oversampled
        self.random_state = random_state

    def _fit(self, events, rng):
        rows = events.data & events.sideband & events.weighing
        self._fit_coordinates(events.X[rows], rng)
        z, m, weight = self._to_z(events.X[rows]), events.m[rows], events.weights(rows)
        if self.loss == "likelihood":
            density = FlowDensity(max_epochs=8) if self.density is None else self.density
            base = self._fit_base(density, events.X[rows], weight, rng)
            objective = _negative_log_likelihood
        else:
            self.density_ = None
            scalers = (Standardize.of(v, weight) for v in (z, m[:, None]))
            base = FlowNetwork(None, *scalers)
            objective = _transport_cost
        n_features = len(self.feature_indices_)
        self._fit_transport(
            lambda recipe: MassTransport(recipe.flow(n_features, 2), base),
            objective,
            {"x": z, "m": m[:, None]},
            weight,
            rng,
            n_noise=1,
        )
        self._keep_masses(events)
        self._z, self._m = z, m
        self._p = None if weight is None else weight / weight.sum()

    def _sample(self, n_samples, rng):
        if n_samples is None:
            n_samples = self._n_background()
        target = self.masses_.draw(n_samples, rng)
        if self._p is None:
            rows = draw_rows(len(self._z), n_samples, rng)
        else:
            rows = rng.choice(len(self._z), n_samples, p=self._p)
        return self._moved(self._z[rows], self._m[rows], target, rng), np.ones(n_samples)

    def _n_background(self):
        if self.oversampled == "region":
            return super()._n_background()
        return max(1, round(self.oversampling * len(self._z)))

    def _held_out(self, events, rng):
        rows = events.data & events.sideband
        z, m = self._to_z(events.X[rows]), events.m[rows]
        weight = events.weights_or_ones(rows)
        return self._moved(z, m, self.masses_.draw(len(m), rng), rng), weight

    def _moved(self, z, source, target, rng):
        """Return events of the sidebands, moved to other masses."""
        z = self._transported(
            lambda network, batch: network.move(batch["z"], batch["source"], batch["target"]),
            {"z": z, "source": source[:, None], "target": target[:, None]},
            rng,
        )
        return self._to_events(z, target)


def _order(batch):
    """Return another order of the batch, new in every epoch, for the masses to move to."""
    return torch.argsort(batch["noise"][:, 0])


def _negative_log_likelihood(network, batch):
    return -network(batch["x"], batch["m"], batch["m"][_order(batch)])


def _transport_cost(network, batch):
    x, m, order = batch["x"], batch["m"], _order(batch)
    weight = batch.get("weight")
    return sinkhorn_divergence(
        network.points(x, m, m[order]),
        network.points(x, m),
        x_weight=None if weight is None else weight * weight[order],
        y_weight=weight,
    )
