"""Templates that move events by a flow trained on a density learned before."""

import copy

import numpy as np
from sklearn.base import clone

from skad.base import PresetMixin
from skad.coordinates import LogitTransformer, inverse_transform
from skad.density import FlowDensity, FramedDensity
from skad.nn import TrainedMembers
from skad.resonant._template import Template
from skad.utils import _sklearn as sk

__all__ = ["TransportTemplate"]


class TransportTemplate(PresetMixin, Template):
    """Base of templates with a base density and a transport.

    Both are unfitted `FlowDensity`; the base may be framed by coordinates. Features are handled
    as z, in those coordinates, with m beside them.
    """

    _transport_constraints = {
        **Template._template_constraints,
        "density": [None, FlowDensity, FramedDensity],
        "transport": [None, FlowDensity],
    }

    def _fit_coordinates(self, density, X):
        """Fit the coordinates of the features on X; return the flow that works in them."""
        coordinates = LogitTransformer()
        if isinstance(density, FramedDensity):
            coordinates, density = density.coordinates, density.density
            density = FlowDensity() if density is None else density
            if not isinstance(density, FlowDensity):
                raise TypeError(
                    f"density must frame a FlowDensity; got {type(density).__name__} inside."
                )
        elif density is not None:
            coordinates = None
        self.coordinates_ = None
        if coordinates is not None:
            self.coordinates_ = clone(coordinates).fit(self._features_of(X), None)
        return None if density is None else clone(density)

    def _features_of(self, X):
        """Return the features of X, named if X had names in `fit`."""
        features = X[:, self.feature_indices_]
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            return features
        import pandas as pd

        return pd.DataFrame(features, columns=names[self.feature_indices_])

    def _to_z(self, X):
        features = self._features_of(X)
        if self.coordinates_ is not None:
            features = self.coordinates_.transform(features)
        return np.asarray(features, dtype=np.float64)

    def _to_events(self, z, m):
        X = np.empty((len(z), self.n_features_in_))
        if self.coordinates_ is not None:
            z = np.asarray(inverse_transform(self.coordinates_, z))
        X[:, self.feature_indices_] = z
        X[:, self.resonance_index_] = m
        return X

    def _fit_base(self, density, z, m, weight, rng):
        """Fit p(z|m) and return its network, the first where the density averages several."""
        sk.set_random_states(density, rng)
        density.set_params(condition_features=z.shape[1])
        self.density_ = density.fit(np.column_stack([z, m]), sample_weight=weight)
        # A copy: training may change its precision.
        return copy.deepcopy(density.trained_.networks[0][-1])

    def _fit_transport(self, recipe, build, objective, arrays, weight, rng, **options):
        """Train the transport by the recipe of a FlowDensity."""
        self.trained_ = recipe.train(
            lambda k: build(), objective, arrays, random_state=rng, weights=weight, **options
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
