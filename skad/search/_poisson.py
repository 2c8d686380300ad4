"""Poisson counts as figures show them: intervals, and distances from what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import gammainc, gammaincc, gammaincinv

from skad.search._p_values import local_significance
from skad.utils._arguments import MOST, PROBABILITY, Numbers, checked

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["poisson_interval", "poisson_significance"]

# A p-value below has no inverse worth its name in float64.
_SMALLEST = 1e-290


@checked(counts=Numbers(None, finite=False, highest=MOST), level=PROBABILITY)
def poisson_interval(
    counts: ArrayLike, *, level: float = 0.6826894921370859
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central confidence interval of the mean of a Poisson count (Garwood).

    Parameters
    ----------
    counts : array-like of float
        Observed events, not negative.
    level : float, default=0.6826894921370859
        Confidence level; the default is that of one standard deviation.

    Returns
    -------
    low, high : ndarray of float64
        Each end is missed with probability ``(1 - level) / 2`` at most; `low` of 0 events is 0.

    Raises
    ------
    ValueError
        A count that is negative or not finite, or a level outside (0, 1).

    References
    ----------
    F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936) 437.

    Examples
    --------
    >>> from skad.search import poisson_interval
    >>> low, high = poisson_interval([0, 2, 100])
    >>> low.round(2), high.round(2)
    (array([ 0.  ,  0.71, 90.02]), array([  1.84,   4.64, 111.03]))
    """
    if not np.all(counts >= 0) or not np.all(np.isfinite(counts)):
        raise ValueError(f"counts must be finite and not negative; got {counts}.")
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1); got {level!r}.")
    tail = 0.5 * (1 - level)
    low = np.where(counts > 0, gammaincinv(np.maximum(counts, 1e-300), tail), 0.0)
    return low, gammaincinv(counts + 1, 1 - tail)


@checked(
    counts=Numbers(None, finite=False, highest=MOST),
    expected=Numbers(None, finite=False, highest=MOST),
)
def poisson_significance(counts: ArrayLike, expected: ArrayLike) -> NDArray[np.float64]:
    """Signed significance of counts around known expectations, from exact Poisson p-values.

    The chance of at least as many events for an excess, of at most as many for a deficit. In the
    tails of a spectrum ``(n - b) / sqrt(b)`` makes 8 standard deviations out of two events where
    0.056 are expected, which are 3.

    Parameters
    ----------
    counts : array-like of float
        Observed events.
    expected : array-like of float
        Expected events, positive.

    Returns
    -------
    significance : ndarray of float64
        In standard deviations, negative for a deficit; 0 where the p-value exceeds one half, which
        is no deviation.

    Raises
    ------
    ValueError
        A count that is negative, an expectation that is not positive, or one that is not finite.

    References
    ----------
    G. Choudalakis, D. Casadei, "Plotting the differences between data and expectation", Eur. Phys.
    J. Plus 127 (2012) 25, arXiv:1111.2062.

    Examples
    --------
    >>> from skad.search import poisson_significance
    >>> poisson_significance([2, 0, 110], [0.056, 0.056, 100.0]).round(2)
    array([2.97, 0.  , 0.95])
    """
    try:
        counts, expected = np.broadcast_arrays(counts, expected)
    except ValueError as exc:
        raise ValueError(
            f"counts and expected must have shapes that fit each other; got {counts.shape} and "
            f"{expected.shape}."
        ) from exc
    finite = np.isfinite(counts) & np.isfinite(expected)
    if not np.all(finite & (counts >= 0) & (expected > 0)):
        raise ValueError(
            "counts must be finite and not negative, expected finite and positive; got "
            f"{counts} and {expected}."
        )
    excess = counts > expected
    p_value = np.where(
        excess, gammainc(np.maximum(counts, 1e-300), expected), gammaincc(counts + 1, expected)
    )
    z = stats.norm.isf(np.clip(p_value, _SMALLEST, 0.5))
    far = p_value < _SMALLEST
    z = np.where(far, np.abs(local_significance(counts, expected)), z)
    return np.where(excess, z, -z) + 0.0
