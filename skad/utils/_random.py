"""Seeds from scikit-learn's `random_state`."""

import numpy as np
from sklearn.utils import check_random_state

__all__ = ["draw_seed", "draw_seeds"]


def draw_seeds(random_state, n):
    """Return `n` ints below 2**31 drawn from `random_state` (None, int or RandomState)."""
    rng = check_random_state(random_state)
    return [int(seed) for seed in rng.randint(np.iinfo(np.int32).max, size=n)]


def draw_seed(random_state):
    """Return one int below 2**31 drawn from `random_state` (None, int or RandomState)."""
    return draw_seeds(random_state, 1)[0]
