"""What any density must offer, with scikit-learn's two spellings of it bridged."""

import copy

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import has_fit_parameter

from skad.utils._random import draw_seed

__all__ = ["draw_events", "fit_density", "fit_or_frozen"]


def fit_or_frozen(estimator, X):
    """Fit to X, unless it is a `FrozenEstimator`, whose `fit` wants a y for nothing."""
    return estimator if isinstance(estimator, FrozenEstimator) else estimator.fit(X)


def fit_density(density, X, sample_weight=None):
    """Fit a density with weights where it takes them.

    Raises
    ------
    TypeError
        Weights for a density whose `fit` has no `sample_weight`.
    """
    if sample_weight is None or isinstance(density, FrozenEstimator):
        return fit_or_frozen(density, X)
    if not has_fit_parameter(density, "sample_weight"):
        raise TypeError(
            f"sample_weight was given, but {type(density).__name__}.fit does not take it; "
            "pass None or a density that does, such as FlowDensity or KernelDensity."
        )
    return density.fit(X, sample_weight=sample_weight)


def draw_events(density, n_samples, random_state, conditions=None):
    """Draw an array of events from a density, also from a `GaussianMixture`.

    Raises
    ------
    ValueError
        Fewer than one event asked for, of which `KernelDensity` makes an empty array.
    TypeError
        Conditions for a density that has none.
    """
    if n_samples < 1:
        raise ValueError(f"n_samples must be at least 1; got {n_samples}.")
    if getattr(density, "condition_features", None) is not None:
        return density.sample(n_samples, random_state, conditions=conditions)
    if conditions is not None:
        raise TypeError(f"{type(density).__name__} has no condition_features to sample at.")
    try:
        return np.asarray(density.sample(n_samples, random_state=random_state))
    except TypeError:
        # GaussianMixture samples from its own random_state and returns labels too.
        seeded = copy.copy(density)
        seeded.random_state = draw_seed(random_state)
        events, _ = seeded.sample(n_samples)
        return np.random.RandomState(seeded.random_state).permutation(events)
