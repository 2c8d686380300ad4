"""Densities p(x|m) of a resonant estimator, learned in its coordinates."""

from dataclasses import replace
from numbers import Real

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skad.coordinates import LogitTransformer
from skad.density import FramedDensity
from skad.resonant._masses import MASS_SPECTRA, MassSpectrum
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child

__all__ = ["ConditionalMixin"]


class ConditionalMixin:
    """Parameters `coordinates`, `mass_spectrum` and `oversampling` of a `ResonantMixin`.

    A subclass takes them as parameters, with the constraints `_conditional_constraints`, and the
    densities that it learns without coordinates of their own. Densities that come fitted are
    densities of X.
    """

    _conditional_constraints = {
        "coordinates": [None, sk.StrOptions({"passthrough"}), sk.HasMethods(["fit", "transform"])],
        "mass_spectrum": [sk.StrOptions(set(MASS_SPECTRA))],
        "oversampling": [sk.Interval(Real, 0, None, closed="neither")],
    }
    # What the default logit makes of events beyond its range.
    _beyond_range = "nan"

    def _fit_coordinates(self, X, rng):
        """Set `coordinates_`, fitted to the features of X; None is the identity.

        Raises
        ------
        TypeError
            A density that has coordinates of its own.
        """
        for name, density in self.get_params(deep=False).items():
            if hasattr(density, "score_samples"):
                _check_unframed(density, name)
        self.coordinates_ = None
        if not isinstance(self.coordinates, str):
            coordinates = self.coordinates
            if coordinates is None:
                coordinates = LogitTransformer(outside=self._beyond_range)
            self.coordinates_ = fit_child(coordinates, self._features(X), random_state=rng)

    def _features(self, X):
        """Return the features of events, named if X had names in `fit`."""
        X = self._named(X)
        if hasattr(X, "iloc"):
            return X.iloc[:, self.feature_indices_]
        return X[:, self.feature_indices_]

    def _to_coordinates(self, X):
        """Return the features of events in the coordinates; NaN outside their domain."""
        features = self._features(X)
        if self.coordinates_ is not None:
            features = self.coordinates_.transform(features)
        return np.asarray(features, dtype=np.float64)

    def _fit_density(self, density, X, sample_weight, rng, *, name):
        """Return p(x|m) of events X: fitted in the coordinates, or the one that came fitted."""
        if isinstance(density, FrozenEstimator):
            return _check_conditional(
                density.estimator, self.resonance_index_, self.n_features_in_, name
            )
        conditional = _set_conditions(clone(density), self.resonance_index_, name)
        return fit_child(
            self._framed(conditional),
            self._named(X),
            sample_weight=sample_weight,
            random_state=rng,
        )

    def _framed(self, density):
        """Return the unfitted density of X that a density in the coordinates makes."""
        coordinates = None if self.coordinates_ is None else FrozenEstimator(self.coordinates_)
        return FramedDensity(coordinates, density)

    def _events_for(self, density, X):
        """Return events with the names that a density knows them by."""
        return self._named(X) if hasattr(density, "feature_names_in_") else X

    def _keep_masses(self, events, described=True):
        """Set what sampling needs of the data of the region, where the densities describe them."""
        self.n_region_events_ = int((events.data & events.inside & events.weighing).sum())
        described = replace(events, inside=events.inside & described)
        self.masses_ = MassSpectrum(self.mass_spectrum, described, self.region_)

    def _n_background(self):
        """Return how many background events are drawn where no number is asked for."""
        return max(1, round(self.oversampling * self.n_region_events_))


def _check_unframed(density, name):
    """Refuse an unfitted `FramedDensity`, whose frame would come on top of `coordinates`."""
    if isinstance(density, FrozenEstimator):
        return
    parts = clone(density).get_params().values()
    if any(isinstance(part, FramedDensity) for part in (density, *parts)):
        raise TypeError(
            f"{name} must be a density without coordinates of its own; got a FramedDensity. Give "
            f"its coordinates as coordinates= and its density as {name}=."
        )


def _check_conditional(density, position, n_columns, name):
    """Return a fitted density of the same columns, conditional on the resonant feature alone."""
    check_is_fitted(density)
    columns = getattr(density, "n_features_in_", n_columns)
    conditions = np.asarray(getattr(density, "condition_indices_", position))
    if columns != n_columns or list(conditions.ravel()) != [position]:
        raise ValueError(
            f"a fitted {name} must be conditional on the resonant feature alone (column "
            f"{position} of {n_columns}); this one was fitted to {columns} columns with "
            f"conditions {conditions.ravel().tolist()}."
        )
    return density


def _set_conditions(density, position, name):
    """Set every parameter `condition_features` of a density, also of nested ones."""
    names = [
        parameter
        for parameter in density.get_params(deep=True)
        if parameter.rpartition("__")[2] == "condition_features"
    ]
    if not names:
        raise TypeError(
            f"{name} must be conditional on m (have condition_features, as FlowDensity has); "
            f"{type(density).__name__} is not."
        )
    return density.set_params(**dict.fromkeys(names, position))
