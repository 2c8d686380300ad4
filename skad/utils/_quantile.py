"""Quantiles of weighted events."""

import numpy as np

__all__ = ["quantile_of_blocks", "weighted_quantile"]

# Bits of a number that one pass over the blocks settles.
_BITS = 16
_SIGN = np.uint64(1 << 63)


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


def quantile_of_blocks(blocks, q, n):
    """Return `weighted_quantile` of numbers without weights that come in blocks.

    Every pass counts the numbers by their next bits, in memory for one block.

    Parameters
    ----------
    blocks : callable
        Returns an iterator over arrays of float64, the same ones at every call.
    q : float
    n : int
        How many numbers there are.
    """
    target, rounding = q * n, 1e-12 * n
    lower = max(int(np.ceil(target - rounding)) - 1, 0)
    upper = min(int(np.floor(target + rounding)), n - 1)
    low = _number_of_rank(blocks, lower)
    high = low if upper == lower else _number_of_rank(blocks, upper)
    return float(0.5 * (low + high))


def _number_of_rank(blocks, rank):
    known, found = 0, np.uint64(0)
    while known < 64:
        shift = np.uint64(64 - known - _BITS)
        counts = np.zeros(1 << _BITS, dtype=np.int64)
        for block in blocks():
            keys = _keys(block)
            if known:
                keys = keys[keys >> np.uint64(64 - known) == found]
            of_bits = (keys >> shift) & np.uint64((1 << _BITS) - 1)
            counts += np.bincount(of_bits.astype(np.int64), minlength=len(counts))
        below = np.cumsum(counts)
        bits = int(np.searchsorted(below, rank, side="right"))
        rank -= int(below[bits] - counts[bits])
        found = (found << np.uint64(_BITS)) | np.uint64(bits)
        known += _BITS
    bits = found ^ _SIGN if found & _SIGN else ~found
    return np.array([bits], dtype=np.uint64).view(np.float64)[0]


def _keys(numbers):
    """Return integers in the order of the numbers."""
    bits = np.ascontiguousarray(numbers, dtype=np.float64).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)
