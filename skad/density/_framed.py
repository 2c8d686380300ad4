"""A density fitted in one coordinate frame and read in any other."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skad.base import DensityMixin
from skad.coordinates import InverseCoordinates, inverse_transform, log_abs_det_jacobian
from skad.density._draw import draw_events
from skad.density._flow import FlowDensity
from skad.exceptions import FiducialWarning
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._columns import resolve_columns
from skad.utils._events import check_events

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["FramedDensity"]


def _density_has(method):
    def check(framed):
        return hasattr(framed.density_ if hasattr(framed, "density_") else framed.density, method)

    return check


class FramedDensity(DensityMixin, BaseEstimator):
    """Density of X learned in other coordinates.

    The density is fitted to ``coordinates.transform(X)`` and its Jacobian is put back, so
    `score_samples` is the density in the coordinates of X,
    ``log p_X(x) = log p_fit(f(x)) + log|det df/dx|``. (A `Pipeline` of a scaler and a density
    leaves this factor out.) `in_frame` reads the same density in any other coordinates without
    a refit.

    Parameters
    ----------
    coordinates : transformer, Pipeline or None, default=None
        Invertible map of the features, any that `skad.coordinates.log_abs_det_jacobian` knows.
        Conditions of the density are left out of it. None is the identity.
    density : estimator, default=None
        Density with ``fit(X)``, ``score_samples(X)`` and ``sample``: of skad, or scikit-learn's
        `KernelDensity` or `GaussianMixture`. None is ``FlowDensity()``. Its
        `condition_features`, if any, are columns of X.

    Attributes
    ----------
    coordinates_ : transformer
        Fitted map.
    density_ : estimator
        Fitted density.
    feature_indices_ : ndarray of int
        Positions of the modelled features in X.
    condition_indices_ : ndarray of int
        Positions of the conditions in X.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if it had any.

    See Also
    --------
    skad.coordinates.change_of_variables : The arithmetic of frames on log densities.

    Notes
    -----
    The frame dependence of densities, and so of anomalies defined by them, is the subject of
    Kasieczka et al., arXiv:2209.06225 (equation 1 there is the factor above).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KernelDensity
    >>> from skad.coordinates import LogTransformer
    >>> from skad.density import FramedDensity
    >>> X = np.exp(np.random.RandomState(0).normal(size=(5000, 1)))
    >>> density = FramedDensity(LogTransformer(), KernelDensity(bandwidth=0.2)).fit(X)
    >>> x = np.array([[1.0], [2.0]])
    >>> exact = -0.5 * np.log(x[:, 0]) ** 2 - np.log(x[:, 0]) - 0.5 * np.log(2 * np.pi)
    >>> bool(np.allclose(density.score_samples(x), exact, atol=0.1))
    True
    """

    _parameter_constraints: dict = {
        "coordinates": [None, sk.HasMethods(["fit", "transform"])],
        "density": [None, sk.HasMethods(["fit", "score_samples"])],
    }

    def __init__(
        self, coordinates: Estimator | None = None, density: Estimator | None = None
    ) -> None:
        self.coordinates = coordinates
        self.density = density

    @property
    def condition_features(self):
        """Conditions of the density, as it names them."""
        return getattr(self.density, "condition_features", None)

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the coordinates, then the density in them.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored
            Truth labels may be passed; they are not read.
        sample_weight : array-like of shape (n_events,), default=None
            Passed to the density.

        Returns
        -------
        self : FramedDensity

        Raises
        ------
        ValueError
            Events that the coordinates map to NaN.
        """
        X = self._validated(X, reset=True)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        names = self._names = getattr(self, "feature_names_in_", None)
        self.condition_indices_ = resolve_columns(
            self.condition_features, names, self.n_features_in_, parameter="condition_features"
        )
        self.feature_indices_ = np.setdiff1d(
            np.arange(self.n_features_in_), self.condition_indices_
        )
        self.coordinates_ = None
        if self.coordinates is not None:
            self.coordinates_ = fit_child(self.coordinates, self.features(X))
        self._example = X[:2]
        density = FlowDensity() if self.density is None else self.density
        events = self._to_fit_frame(X)
        outside = self._outside(events)
        if outside.any():
            raise ValueError(
                f"{outside.sum()} of {len(outside)} events lie outside the domain of coordinates="
                f"{self.coordinates!r}, which maps them to NaN; drop these events or widen the "
                "domain."
            )
        self.density_ = fit_child(density, events, sample_weight=sample_weight, is_all=True)
        return self

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log density of each event in the coordinates of X.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_density : ndarray of float64, shape (n_events,)
            In nats; -inf, a density of zero, for events that the coordinates map to NaN because
            they lie outside their domain.

        Warns
        -----
        FiducialWarning
            Events lie outside the domain of the coordinates.
        """
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        events = self._to_fit_frame(X)
        outside = self._outside(events)
        if outside.any():
            warnings.warn(
                f"{outside.sum()} of {len(outside)} events lie outside the domain of the "
                "coordinates; their density is zero, its logarithm -inf.",
                FiducialWarning,
                stacklevel=2,
            )
            log_density = np.full(len(outside), -np.inf)
            if not outside.all():
                log_density[~outside] = self.score_samples(X[~outside])
            return log_density
        log_density = np.asarray(self.density_.score_samples(events), dtype=np.float64)
        if self.coordinates_ is None:
            return log_density
        return log_density + log_abs_det_jacobian(self.coordinates_, self.features(X))

    def sample(
        self,
        n_samples: int = 1,
        random_state: Seed = None,
        *,
        conditions: ArrayLike | None = None,
        between: Floats | None = None,
    ) -> NDArray[np.float64]:
        """Draw events in the coordinates of X.

        Parameters
        ----------
        n_samples : int, default=1
            Number of events.
        random_state : int, RandomState or None, default=None
            Source of randomness.
        conditions : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Conditions to sample at; by default the density draws them.
        between : (float, float), default=None
            As of `FlowDensity.sample`.

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_features)
        """
        check_is_fitted(self)
        events = draw_events(self.density_, n_samples, random_state, conditions, between)
        return self._from_fit_frame(np.array(events, dtype=np.float64))

    def in_frame(self, frame: Estimator) -> FramedDensity:
        """Return the same density as one of the events in another frame, without a refit.

        Parameters
        ----------
        frame : fitted transformer or Pipeline
            Invertible map of the modelled features from the coordinates of X.

        Returns
        -------
        density : FramedDensity
            A fitted density whose X is ``frame.transform(X)``: it scores and samples there.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.mixture import GaussianMixture
        >>> from skad.coordinates import LogTransformer
        >>> from skad.density import FramedDensity
        >>> X = np.exp(np.random.RandomState(0).normal(size=(500, 1)))
        >>> frame = LogTransformer().fit(X)
        >>> density = FramedDensity(frame, GaussianMixture()).fit(X)
        >>> in_log = density.in_frame(frame)
        >>> bool(np.allclose(in_log.score_samples(np.log(X)),
        ...                  density.score_samples(X) + np.log(X[:, 0])))
        True
        """
        check_is_fitted(self)
        framed = FramedDensity(InverseCoordinates(frame), self.density)
        example = frame.transform(self.features(self._example))  # type: ignore[attr-defined]
        framed.coordinates_ = framed.coordinates.fit(example)
        framed.density_ = self
        framed.n_features_in_ = self.n_features_in_
        framed.feature_indices_ = self.feature_indices_
        framed.condition_indices_ = self.condition_indices_
        framed._names = getattr(self, "feature_names_in_", None)
        framed._example = framed._with_features(self._example, example, None)
        return framed

    @available_if(_density_has("transform"))
    def transform(self, X: ArrayLike) -> Any:
        """Map events to the latent space of the density; conditions stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        Z : ndarray of float64, shape (n_events, n_features)

        Raises
        ------
        ValueError
            Events that the coordinates map to NaN.
        """
        check_is_fitted(self)
        events = self._to_fit_frame(self._validated(X, reset=False))
        outside = self._outside(events)
        if outside.any():
            raise ValueError(
                f"{outside.sum()} of {len(outside)} events lie outside the domain of the "
                "coordinates, which map them to NaN; they have no latent values. Widen the domain, "
                "or clip the events to it, as LogitTransformer(outside='clip') does."
            )
        return np.asarray(self.density_.transform(events))

    @available_if(_density_has("inverse_transform"))
    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Map latent points back to events; conditions stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Latent points as `transform` gives them.

        Returns
        -------
        X_original : ndarray of float64, shape (n_events, n_features)
        """
        check_is_fitted(self)
        latent = self._with_features(X, self.features(np.asarray(X)), self._names)
        return self._from_fit_frame(np.array(self.density_.inverse_transform(latent), np.float64))

    def _validated(self, X, *, reset):
        """Check X and return it, as a DataFrame if it is one."""
        array = check_events(self, X, reset=reset, ensure_min_samples=1 + reset)
        return X if hasattr(X, "iloc") else array

    def features(self, X: ArrayLike) -> Any:
        """Select the modelled columns, those that are not conditions.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        features : array-like of shape (n_events, n_modelled_features)
            A DataFrame if X is one.
        """
        if not len(self.condition_indices_):
            return X
        if hasattr(X, "iloc"):
            return X.iloc[:, self.feature_indices_]
        return np.asarray(X)[:, self.feature_indices_]

    def _outside(self, events):
        """Return which events of the fit's frame the coordinates could not map."""
        return np.isnan(np.asarray(events, dtype=np.float64)[:, self.feature_indices_]).any(axis=1)

    def _to_fit_frame(self, X):
        features = self.features(X)
        if self.coordinates_ is not None:
            features = self.coordinates_.transform(features)
        return self._with_features(X, features, self._names)

    def _from_fit_frame(self, events):
        if self.coordinates_ is not None:
            features = inverse_transform(self.coordinates_, events[:, self.feature_indices_])
            events[:, self.feature_indices_] = np.asarray(features)
        return events

    def _with_features(self, X, features, names):
        """Return X with other values of its features, named if X had names in `fit`."""
        events = np.array(X, dtype=np.float64)
        events[:, self.feature_indices_] = np.asarray(features)
        if names is None:
            return events
        import pandas as pd

        return pd.DataFrame(events, columns=names)
