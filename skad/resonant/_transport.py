"""Templates that move events by a flow trained on a density learned before."""

import copy

import numpy as np

from skad.coordinates import inverse_transform
from skad.density import FlowDensity, FramedDensity
from skad.nn._trained import TrainedMembers
from skad.resonant._conditional import ConditionalMixin
from skad.resonant._template import Template
from skad.utils import _sklearn as sk
from skad.utils._children import unit_weights
from skad.utils._interrupts import among_others

__all__ = ["TransportTemplate"]


class TransportTemplate(ConditionalMixin, Template):
    """Base of templates with a base density and a transport.

    Both are unfitted `FlowDensity`. Features are handled as z, in `coordinates_`, with m beside
    them.
    """

    _transport_constraints = {
        **Template._template_constraints,  # type: ignore[dict-item]
        **ConditionalMixin._conditional_constraints,
        # A frame is refused by name in fit.
        "density": [None, FlowDensity, sk.Hidden(FramedDensity)],
        "transport": [None, FlowDensity, sk.Hidden(FramedDensity)],
    }

    # Other events than those of the fit are moved too.
    _beyond_range = "clip"

    def _to_z(self, X):
        z = self._to_coordinates(X)
        outside = np.isnan(z).any(axis=1)
        if outside.any():
            raise ValueError(
                f"{outside.sum()} of {len(z)} events lie outside the domain of coordinates="
                f"{self.coordinates!r}, which maps them to NaN; drop these events or widen the "
                "domain."
            )
        return z

    def _to_events(self, z, m):
        X = np.empty((len(z), self.n_features_in_))
        if self.coordinates_ is not None:
            z = np.asarray(inverse_transform(self.coordinates_, z))
        X[:, self.feature_indices_] = z
        X[:, self.resonance_index_] = m
        return X

    def _fit_base(self, density, X, weight, rng):
        """Fit p(x|m) and return its network in z, the first where the density averages several."""
        self.density_ = self._fit_density(density, X, weight, rng, name="density")
        # A copy: training may change its precision.
        return copy.deepcopy(self.density_.density_.trained_.networks[0][-1])

    def _fit_transport(self, build, objective, arrays, weight, rng, **options):
        """Train the networks that ``build(recipe)`` makes of the settings of the transport."""
        transport = self.transport
        if transport is None:
            transport = FlowDensity("nsf_coupling", hidden_layer_sizes=(32, 32), max_epochs=5)
        recipe = transport.recipe()
        with among_others():
            self.trained_ = recipe.train(
                lambda k: build(recipe),
                objective,
                arrays,
                random_state=rng if transport.random_state is None else transport.random_state,
                weights=unit_weights(weight),
                **options,
            )
        self.history_ = self.trained_.histories

    def _transported(self, function, arrays, rng):
        """Evaluate ``function(network, batch)``, each of the kept networks on its share of rows."""
        n = len(next(iter(arrays.values())))
        out = np.empty((n, len(self.feature_indices_)))
        for network, rows in self.trained_.shares(n, rng):
            one = TrainedMembers([[network]], [[]], self.trained_.device)
            out[rows] = one.evaluate(
                function,
                {name: array[rows] for name, array in arrays.items()},
                reduce=lambda stacked: stacked[0],
            )
        return out
