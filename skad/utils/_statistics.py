"""Weighted moments, bins of equal population, and the chi-square of an efficiency."""

from typing import NamedTuple

import numpy as np
from scipy import stats

from skad.utils import _blocks

__all__ = [
    "EfficiencyTest",
    "Moments",
    "bin_of",
    "effective_size",
    "efficiency_chi2",
    "equal_population_edges",
    "mean_and_std",
]


def mean_and_std(values, sample_weight=None):
    """Return the weighted mean and standard deviation of every column, in float64.

    Parameters
    ----------
    values : array-like of shape (n_events, n_columns)
    sample_weight : array-like of shape (n_events,), default=None

    Returns
    -------
    mean, std : ndarray of float64, shape (n_columns,)
    """
    values = np.asarray(values)
    if sample_weight is None and len(values) > _blocks.BLOCK:
        moments = Moments()
        for rows in _blocks.block_slices(len(values)):
            moments.add(values[rows])
        return moments.mean_and_std()
    if sample_weight is None:
        mean = values.mean(axis=0, dtype=np.float64)
        return mean, np.sqrt(((values - mean) ** 2).mean(axis=0))
    mean = np.average(values, axis=0, weights=sample_weight).astype(np.float64)
    return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=sample_weight))


class Moments:
    """Mean and standard deviation of columns, block by block, in float64.

    Blocks are joined by the rule of Chan, Golub and LeVeque (1979), which loses no digits where the
    mean is far from zero. Blocks of `skad.utils._blocks` give the bits of `mean_and_std`.
    """

    def __init__(self):
        self.n = 0

    def add(self, values):
        """Add a block of shape (n_events, n_columns)."""
        # One order in memory: that of a sum decides on its last bits.
        values = np.ascontiguousarray(values)
        n, mean = len(values), values.mean(axis=0, dtype=np.float64)
        squares = ((values - mean) ** 2).sum(axis=0)
        if self.n:
            total, shift = self.n + n, mean - self._mean
            mean = self._mean + shift * (n / total)
            squares = self._squares + squares + shift**2 * (self.n * n / total)
        self.n, self._mean, self._squares = self.n + n, mean, squares

    def mean_and_std(self):
        """Return mean and standard deviation of every column."""
        return self._mean, np.sqrt(self._squares / self.n)


def effective_size(weight_sum, square_sum):
    """Number of unweighted events of the same relative error: (sum w)^2 / sum w^2."""
    with np.errstate(invalid="ignore"):
        return np.where(square_sum > 0, weight_sum**2 / square_sum, 0.0)


def equal_population_edges(values, n_bins, sample_weight=None):
    """Return the edges of bins that hold equal weight, as far as values differ.

    Every inner edge is a value and opens the upper bin, so that events of one value share a bin
    and the bins are the same in any monotonic coordinate.

    Parameters
    ----------
    values : ndarray of shape (n_events,)
    n_bins : int
        Most bins; fewer where values coincide.
    sample_weight : ndarray of shape (n_events,), default=None

    Returns
    -------
    edges : ndarray of shape (n_edges,)
        Increasing, from the smallest to the largest value; twice the same where all are equal.
    """
    weight = np.ones(len(values)) if sample_weight is None else sample_weight
    order = np.argsort(values)
    cumulative = np.cumsum(weight[order])
    # Rounding must not decide on which side of an edge an event of a full bin lies.
    target = (np.arange(1, n_bins) / n_bins + 1e-12) * cumulative[-1]
    inner = np.searchsorted(cumulative, target, side="right")
    low, high = values[order[0]], values[order[-1]]
    inner = np.unique(values[order[np.minimum(inner, len(values) - 1)]])
    return np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]])


def bin_of(values, edges):
    """Return the bin of each value: -1 below, ``len(edges) - 1`` above, the last edge inside."""
    position = np.searchsorted(edges, values, side="right") - 1
    return np.where(values == edges[-1], len(edges) - 2, position)


class EfficiencyTest(NamedTuple):
    """Result of `efficiency_chi2`.

    Attributes
    ----------
    chi2 : float
    ndof : int
        Bins that hold events, less one.
    p_value : float
        Chance of a larger `chi2` where the efficiency is the same in all bins.
    efficiency : float
        That common efficiency.
    """

    chi2: float
    ndof: int
    p_value: float
    efficiency: float


def efficiency_chi2(total, total_square, passed, variance=None):
    """Chi-square of the weight that passes a cut in bins, against one common efficiency.

    .. math:: \\chi^2 = \\sum_b \\frac{(k_b - \\epsilon n_b)^2}{\\epsilon (1 - \\epsilon) s_b},
              \\qquad \\epsilon = \\frac{\\sum_b k_b n_b / s_b}{\\sum_b n_b^2 / s_b}

    with the weight `n` before the cut, `k` after it and the sum of squared weights `s`. The
    selected events are part of those before, so the variance is binomial. This efficiency
    minimises the sum of squares, which costs exactly one degree of freedom; the plain ratio of
    the sums, the same for equal weights, makes chi2 too large where weights differ between bins.

    Parameters
    ----------
    total, total_square, passed : ndarray of float64, shape (n_bins,)
        Sums of weights and of squared weights before the cut, and of weights after it.
    variance : float, default=None
        Of what one event counts, in place of the binomial one of a cut.

    Returns
    -------
    test : EfficiencyTest
        NaN where fewer than two bins hold events, or all or none pass.
    """
    filled = total > 0
    n, s, k = total[filled], total_square[filled], passed[filled]
    ndof = len(n) - 1
    efficiency = float((k * n / s).sum() / (n * n / s).sum())
    if variance is None:
        variance = efficiency * (1 - efficiency)
    if ndof < 1 or not variance > 0:
        return EfficiencyTest(np.nan, ndof, np.nan, efficiency)
    chi2 = float(((k - efficiency * n) ** 2 / (variance * s)).sum())
    return EfficiencyTest(chi2, ndof, float(stats.chi2.sf(chi2, ndof)), efficiency)
