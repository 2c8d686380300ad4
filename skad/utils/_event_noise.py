"""Random numbers that belong to an event: the same for its values, whatever stands around it."""

import numpy as np
from scipy.special import ndtri

__all__ = ["normals_of_events"]

# Values that agree to this part of their unit belong to one event: rounding, a change of units or
# of precision give no other draw.
_GRID = 1 / 1024
_LARGEST = 2.0**62
# SplitMix64 (Steele, Lea, Flood 2014).
_STEP, _FIRST, _SECOND = (
    np.uint64(constant) for constant in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def normals_of_events(values, n, *, seed):
    """Return `n` draws of the standard normal for every event.

    Parameters
    ----------
    values : ndarray of shape (n_events, n_features)
        Scaled to spreads of about one; finite.
    n : int
    seed : int

    Returns
    -------
    noise : ndarray of float64, shape (n_events, n)
        A function of the seed and of the values of the event alone. Events whose values differ
        by more than about a thousandth anywhere have independent draws.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.utils._event_noise import normals_of_events
    >>> values = np.random.RandomState(0).normal(size=(1000, 3))
    >>> noise = normals_of_events(values, 2, seed=0)
    >>> bool((normals_of_events(values[5:7], 2, seed=0) == noise[5:7]).all())
    True
    """
    cells = np.clip(np.rint(values / _GRID), -_LARGEST, _LARGEST).astype(np.int64).view(np.uint64)
    key = np.full(len(values), np.uint64(seed))
    for column in np.ascontiguousarray(cells.T):
        key = _mixed(key + _STEP ^ column)
    counters = np.arange(1, n + 1, dtype=np.uint64) * _STEP
    bits = _mixed(key[:, None] + counters) >> np.uint64(11)
    return ndtri((bits + 0.5) / 2.0**53)


def _mixed(bits):
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))
