"""Sums over weighted events as scaled Poisson counts."""

import numpy as np

__all__ = ["effective_events", "mean_weight", "weighted_histogram", "weighted_scale"]


def effective_events(weight):
    """Number of equal weights that are known as well as the sum of these."""
    total = weight.sum()
    return float(total**2 / (weight @ weight)) if total > 0 else 0.0


def mean_weight(weight):
    """Variance over mean of the sum of the weights of a Poisson number of events."""
    total = weight.sum()
    return float(weight @ weight / total) if total > 0 else 1.0


def weighted_histogram(m, edges, weight=None):
    """Return sums of weights and of squared weights in bins; None for the latter without weights.

    Bins too small for a float hold nothing.
    """
    if weight is None:
        return np.histogram(m, edges)[0], None
    return tuple(np.histogram(m, edges, weights=power)[0] for power in (weight, weight**2))


def weighted_scale(weight, counts, rows):
    """Variance over mean of a sum by `counts`, beside that by the weights of the events."""
    weight, counts = weight[rows], counts[rows]
    mean = weight @ counts
    return float(weight @ counts**2 / mean) if mean > 0 else 1.0
