"""Quantiles of weighted events."""

import numpy as np

__all__ = ["weighted_quantile"]


def weighted_quantile(values, q, sample_weight=None):
    """Quantile that is the same for a weight of 2 and for an event given twice.

    The mean of the two neighbours where the weights split exactly at `q`, so that of 300
    distinct scores exactly 30 lie below the quantile 0.1.
    """
    if sample_weight is None:
        sample_weight = np.ones(len(values))
    order = np.argsort(values)
    cumulative = np.cumsum(np.asarray(sample_weight, dtype=np.float64)[order])
    target = q * cumulative[-1]
    rounding = 1e-12 * cumulative[-1]
    last = len(values) - 1
    lower = np.searchsorted(cumulative, target - rounding, side="left")
    upper = min(np.searchsorted(cumulative, target + rounding, side="right"), last)
    return float(0.5 * (values[order[lower]] + values[order[upper]]))
