"""Samples of any density, with scikit-learn's two spellings of `sample` bridged."""

import copy

import numpy as np

from skad.utils._random import draw_seed

__all__ = ["draw_events"]


def draw_events(density, n_samples, random_state, conditions=None, between=None):
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
        interpolated = {} if between is None else {"between": between}
        return density.sample(n_samples, random_state, conditions=conditions, **interpolated)
    if conditions is not None or between is not None:
        raise TypeError(f"{type(density).__name__} has no condition_features to sample at.")
    try:
        return np.asarray(density.sample(n_samples, random_state=random_state))
    except TypeError:
        # GaussianMixture samples from its own random_state and returns labels too.
        seeded = copy.copy(density)
        seeded.random_state = draw_seed(random_state)
        events, _ = seeded.sample(n_samples)
        return np.random.RandomState(seeded.random_state).permutation(events)
