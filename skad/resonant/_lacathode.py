"""LaCATHODE: CATHODE compared in the latent space of its flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skad.resonant._cathode import CATHODE
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = ["LaCATHODE"]


class LaCATHODE(TransformerMixin, CATHODE):
    """CATHODE whose classifier works in the latent space of the flow.

    The flow of the sidebands maps events of any m to a space where background is N(0, 1)
    whatever m is [1]_. A classifier of data against normal noise there hardly sculpts the
    spectrum of m, also where features depend on it.

    Parameters
    ----------
    density : estimator, default=None
        Conditional flow with ``transform`` and ``inverse_transform``. None is ``FlowDensity()``.
        A fitted one of the same columns in scikit-learn's `FrozenEstimator` is used as it is.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which the flow is learned. None is the logit of the
        features scaled to their range in the sidebands, which moves events beyond it to its edge.
    mass_spectrum : {"kde", "observed", "fit"}, default="kde"
        Masses of the drawn events; the classifier does not see them.
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
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the sidebands.
    region_ : SignalRegion
        Resolved region.
    n_region_events_ : int
        Data events in the region.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Warns
    -----
    FiducialWarning
        Events of `transform` outside `support_`: the default coordinates move them to its edge.

    Notes
    -----
    Of several flows the first one defines the latent space.

    References
    ----------
    .. [1] A. Hallin et al., "Resonant anomaly detection without background sculpting",
       Phys. Rev. D 107 (2023) 114012, arXiv:2210.14924.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import LaCATHODE
    >>> X, _ = make_resonance(5000, 0, random_state=0, return_X_y=True)
    >>> flow = FlowDensity(n_transforms=2, max_epochs=3)
    >>> template = LaCATHODE(flow, region=(3.3, 3.7), random_state=0).fit(X)
    >>> latent = template.transform(template.sample_background(4000, random_state=0)[0])
    >>> bool(abs(latent[:, 1:].std() - 1) < 0.05)
    True
    """

    # Every event needs a latent value.
    _beyond_range = "clip"

    def _fit(self, events, rng):
        if self.density is not None and not hasattr(self.density, "inverse_transform"):
            raise TypeError(
                f"density must be a flow, with transform and inverse_transform; "
                f"{type(self.density).__name__} has no latent space. Take FlowDensity."
            )
        super()._fit(events, rng)

    def _sample(self, n_samples, rng):
        if n_samples is None:
            n_samples = self._n_background()
        latent = np.empty((n_samples, self.n_features_in_))
        latent[:, self.resonance_index_] = self.masses_.draw(n_samples, rng)
        latent[:, self.feature_indices_] = rng.normal(size=(n_samples, len(self.feature_indices_)))
        latent = self._events_for(self.density_, latent)
        return self.density_.inverse_transform(latent), np.ones(n_samples)

    def transform(self, X: ArrayLike) -> Any:
        """Map events to the latent space; m stays as it is.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)

        Returns
        -------
        Z : ndarray of float64, shape (n_events, n_columns)
            Background features follow N(0, 1) independently at any m, as far as the flow has
            learned.
        """
        X = self._as_fitted(X)
        self._warn_outside(X, "their latent values mean little")
        return self.density_.transform(self._events_for(self.density_, X))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the columns of `transform`: latent ones, and that of m.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X.

        Returns
        -------
        names : ndarray of str objects, shape (n_columns,)
        """
        check_is_fitted(self)
        names = sk.check_feature_names_in(self, input_features).copy()
        for i, position in enumerate(self.feature_indices_):
            names[position] = f"latent{i}"
        return names
