"""Local and global p-values of an excess of events, and the scan of a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.special import gammainc, xlogy
from sklearn.utils import check_random_state, gen_even_slices

from skad.utils._arguments import COUNT, MOST, Numbers, checked
from skad.utils._readable import readable

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike

    from skad.utils._types import Seed

__all__ = [
    "HistogramScan",
    "global_p_value",
    "local_p_value",
    "local_significance",
    "p_to_z",
    "scan_histogram",
    "z_to_p",
]

_TOYS_PER_BATCH = 100_000
# The p-values next to 0 and 1 in float64, 38 and -8.2 standard deviations.
_LOWEST, _HIGHEST = np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)


@checked(p_value=Numbers(None, finite=False))
def p_to_z(p_value: ArrayLike) -> Any:
    """One-sided significance of a p-value, ``Z = Phi^-1(1 - p)``.

    Parameters
    ----------
    p_value : array-like of float

    Returns
    -------
    significance : ndarray of float64, or float for scalars
        In standard deviations; negative for p > 1/2. Finite: 0 and 1 are taken for the numbers
        next to them, so that no deficit lies below -8.2; `local_significance` has no such end.

    Raises
    ------
    ValueError
        A p-value below 0 or above 1. NaN stays NaN.

    Examples
    --------
    >>> from skad.search import p_to_z
    >>> round(float(p_to_z(0.5)), 3), round(float(p_to_z(2.866515718791933e-07)), 3)
    (0.0, 5.0)
    """
    if np.any((p_value < 0) | (p_value > 1)):
        raise ValueError(f"p_value must lie in [0, 1]; got {p_value}.")
    return stats.norm.isf(np.clip(p_value, _LOWEST, _HIGHEST))


@checked(significance=Numbers(None, finite=False))
def z_to_p(significance: ArrayLike) -> Any:
    """p-value of a one-sided significance, ``p = 1 - Phi(Z)``.

    Parameters
    ----------
    significance : array-like of float
        In standard deviations.

    Returns
    -------
    p_value : ndarray of float64, or float for scalars

    Examples
    --------
    >>> from skad.search import z_to_p
    >>> z_to_p([0.0, 2.0]).round(4)
    array([0.5   , 0.0228])
    """
    return stats.norm.sf(significance)


@checked(
    n_observed=Numbers(None, finite=False),
    background=Numbers(None, finite=False),
    uncertainty=Numbers(None, finite=False),
)
def local_significance(
    n_observed: ArrayLike,
    background: ArrayLike,
    uncertainty: ArrayLike = 0.0,
    *,
    constraint: Literal["gamma", "gaussian"] = "gamma",
) -> Any:
    """Signed significance of an excess or a deficit over a background that is itself uncertain.

    The signed root ``r = sign(n - b0) sqrt(q0)`` of the profile-likelihood ratio that
    `local_p_value` describes: finite, normal without signal, negative for a deficit.

    Parameters
    ----------
    n_observed : array-like of float
        Observed events.
    background : array-like of float
        Expected background b0 >= 0.
    uncertainty : array-like of float, default=0.0
        Standard deviation sigma of b0.
    constraint : {"gamma", "gaussian"}, default="gamma"
        How b0 fluctuates.

    Returns
    -------
    significance : ndarray of float64, or float for scalars
        In standard deviations.

    Examples
    --------
    >>> from skad.search import local_significance
    >>> local_significance([150, 50, 900], [100.0, 100.0, 2000.0], [0.0, 0.0, 40.0]).round(2)
    array([  4.65,  -5.54, -21.65])
    """
    n, b, sigma = _counts(n_observed, background, uncertainty, constraint)
    return _STATISTICS[constraint](n, b, *_scale(b, sigma, constraint))[0][()]


@checked(
    n_observed=Numbers(None, finite=False),
    background=Numbers(None, finite=False),
    uncertainty=Numbers(None, finite=False),
    n_toys=COUNT,
    random_state=["random_state"],
)
def local_p_value(
    n_observed: ArrayLike,
    background: ArrayLike,
    uncertainty: ArrayLike = 0.0,
    *,
    method: Literal["asymptotic", "toys"] = "asymptotic",
    constraint: Literal["gamma", "gaussian"] = "gamma",
    n_toys: int = 10_000,
    random_state: Seed = None,
) -> Any:
    """p-value of an excess over a background that is itself uncertain.

    The likelihood is ``Poisson(n | s + b) C(b0 | b, sigma)``, and the statistic the signed root
    ``r = sign(n - b0) sqrt(q0)`` of the profile-likelihood ratio
    ``q0 = 2 [ln L(s^, b^) - ln L(0, b^^)]``. With b^^ the best background without signal:

    - "gamma": C is a Poisson count ``m = b0^2 / sigma^2`` of mean ``tau b``, tau = b0 / sigma^2,
      as if the background came from an off-source region tau times larger.
      ``b^^ = (n + m) / (1 + tau)``,
      ``q0 = 2 [n ln(n / b^^) + m ln(m / (tau b^^))]``.
    - "gaussian": C is a normal of width sigma.
      ``b^^ = (b0 - sigma^2 + sqrt((b0 - sigma^2)^2 + 4 n sigma^2)) / 2``,
      ``q0 = 2 [b^^ - n + n ln(n / b^^)] + (b0 - b^^)^2 / sigma^2``.

    Both tend to ``q0 = 2 [n ln(n / b0) - n + b0]`` for sigma = 0. A deficit gives p > 1/2, so
    that p is uniform without signal.

    Parameters
    ----------
    n_observed : array-like of float
        Observed events.
    background : array-like of float
        Expected background b0 >= 0.
    uncertainty : array-like of float, default=0.0
        Standard deviation sigma of b0.
    method : {"asymptotic", "toys"}, default="asymptotic"
        - "asymptotic": ``p = 1 - Phi(r)``;
        - "toys": fraction of pseudo-experiments with background b^^ and no signal, observed
          count and b0 both thrown, whose r is at least as large. Never below
          ``1 / (n_toys + 1)``.
    constraint : {"gamma", "gaussian"}, default="gamma"
        How b0 fluctuates. For backgrounds from counted or weighted events, "gamma" stays
        right where sigma is a sizeable part of b0.
    n_toys : int, default=10000
    random_state : None, int or RandomState, default=None
        Of the toys.

    Returns
    -------
    p_value : ndarray of float64, or float for scalars

    References
    ----------
    G. Cowan, K. Cranmer, E. Gross, O. Vitells, "Asymptotic formulae for likelihood-based tests
    of new physics", Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727, sections 3.3 and 5.1.
    T.-P. Li, Y.-Q. Ma, "Analysis methods for results in gamma-ray astronomy", Astrophys. J. 272
    (1983) 317, eq. 17 (the "gamma" statistic).

    Examples
    --------
    >>> from skad.search import local_p_value, p_to_z
    >>> p_to_z(local_p_value([150, 150], [100.0, 100.0], [0.0, 10.0])).round(2)
    array([4.65, 3.17])
    """
    if not isinstance(method, str) or method not in ("asymptotic", "toys"):
        raise ValueError(f"method must be one of ('asymptotic', 'toys'); got {method!r}.")
    if method == "asymptotic":
        return z_to_p(
            local_significance(n_observed, background, uncertainty, constraint=constraint)
        )
    n, b, sigma = _counts(n_observed, background, uncertainty, constraint)
    if max(n.max(initial=0), b.max(initial=0), sigma.max(initial=0)) > MOST:
        raise ValueError(
            f"method='toys' draws counts up to {MOST:g}; take method='asymptotic' for more."
        )
    rng = check_random_state(random_state)
    p_value = np.empty(n.shape)
    for index in np.ndindex(n.shape):
        p_value[index] = _toy_p_value(n[index], b[index], sigma[index], constraint, n_toys, rng)
    return p_value[()]


def _counts(n_observed, background, uncertainty, constraint):
    """Return the checked numbers as arrays of one shape."""
    if constraint not in _STATISTICS:
        raise ValueError(f"constraint must be one of {tuple(_STATISTICS)}; got {constraint!r}.")
    values = [np.asarray(value) for value in (n_observed, background, uncertainty)]
    try:
        n, b, sigma = np.broadcast_arrays(*values)
    except ValueError as exc:
        raise ValueError(
            "n_observed, background and uncertainty must have shapes that fit each other; got "
            f"{[value.shape for value in values]}."
        ) from exc
    for name, value in [("n_observed", n), ("background", b), ("uncertainty", sigma)]:
        if not np.all(value >= 0) or not np.all(np.isfinite(value)):
            raise ValueError(f"{name} must be finite and not negative; got {value}.")
    if np.any((b == 0) & (sigma > 0) & (constraint == "gamma")):
        raise ValueError(
            "a background of 0 with an uncertainty has no gamma constraint; give its upper "
            "limit as background, or constraint='gaussian'."
        )
    return n, b, sigma


def _scale(b, sigma, constraint):
    """Return what stays fixed when b0 fluctuates: tau (inf for no uncertainty), or sigma."""
    if constraint == "gaussian":
        return (sigma,)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (np.where(sigma > 0, b / sigma**2, np.inf),)


def _gamma_root(n, b, tau):
    """Signed root of q0 with b0 counted in an off region `tau` times larger, and b^^."""
    with np.errstate(divide="ignore", invalid="ignore"):
        certain = np.isinf(tau) | (tau * b > 1e15)
        best = np.where(certain, b, (n + tau * b) / (1 + tau))
        observed = xlogy(n, n / best)
        off = np.where(certain, b - n, xlogy(tau * b, b / best))
    return _signed_root(n, b, 2 * (observed + off)), best


def _gaussian_root(n, b, sigma):
    """Signed root of q0 with b0 normal of width `sigma`, and b^^."""
    shift = b - sigma**2
    root = np.sqrt(shift**2 + 4 * n * sigma**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The second form does not cancel where the uncertainty dominates.
        best = np.where(shift >= 0, 0.5 * (shift + root), 2 * n * sigma**2 / (root - shift))
        best = np.where(sigma > 0, best, b)
        penalty = np.where(sigma > 0, ((b - best) / np.where(sigma > 0, sigma, 1)) ** 2, 0.0)
        q0 = 2 * (best - n + xlogy(n, n / best)) + penalty
    return _signed_root(n, b, q0), best


def _signed_root(n, b, q0):
    # Nothing seen where nothing is expected is no deviation.
    q0 = np.where((n == 0) & (b == 0), 0.0, q0)
    return np.sign(n - b) * np.sqrt(np.maximum(q0, 0.0))


_STATISTICS = {"gamma": _gamma_root, "gaussian": _gaussian_root}


def _toy_p_value(n, b, sigma, constraint, n_toys, rng):
    statistic, scale = _STATISTICS[constraint], _scale(b, sigma, constraint)
    observed, best = statistic(n, b, *scale)
    extreme, left = 0, n_toys
    while left:
        size = min(left, _TOYS_PER_BATCH)
        if sigma == 0:
            background = np.full(size, float(b))
        elif constraint == "gamma":
            background = rng.poisson(scale[0] * best, size) / scale[0]
        else:
            background = np.maximum(rng.normal(best, sigma, size), 0.0)
        toys = statistic(rng.poisson(best, size), background, *scale)[0]
        extreme += np.count_nonzero(toys >= observed - 1e-9)
        left -= size
    return (1 + extreme) / (1 + n_toys)


@checked(
    p_local=Numbers((0, 1), finite=False),
    correlation=Numbers(2),
    n_toys=COUNT,
    random_state=["random_state"],
)
def global_p_value(
    p_local: ArrayLike,
    *,
    correlation: ArrayLike | None = None,
    n_toys: int = 100_000,
    random_state: Seed = None,
) -> float:
    """Chance of a local p-value as small anywhere in a scan (look-elsewhere effect).

    Pseudo-experiments of the whole scan: normal significances with the given correlation, since
    overlapping windows and nested cuts share events. Their smallest p-values are compared with
    the smallest observed one.

    Parameters
    ----------
    p_local : array-like of shape (n_tests,)
        Local p-values of the scan, uniform without signal; leave out tests that failed.
    correlation : array-like of shape (n_tests, n_tests), default=None
        Correlation of the significances without signal; None means independent tests.
    n_toys : int, default=100000
    random_state : None, int or RandomState, default=None

    Returns
    -------
    p_value : float
        ``(1 + toys as extreme) / (1 + n_toys)``, or the bound of Bonferroni
        ``n_tests min(p_local)`` where that is smaller (it is exact far in the tail, where toys
        run out).

    Raises
    ------
    ValueError
        No p-value, or one that is NaN or outside [0, 1].

    References
    ----------
    E. Gross, O. Vitells, "Trial factors for the look elsewhere effect in high energy physics",
    Eur. Phys. J. C 70 (2010) 525, arXiv:1005.1891 (the effect; here by pseudo-experiments).

    Examples
    --------
    >>> from skad.search import global_p_value
    >>> round(global_p_value([0.01, 0.5, 0.7], random_state=0), 2)
    0.03
    """
    p_local = np.atleast_1d(p_local)
    if not len(p_local) or not np.all((p_local >= 0) & (p_local <= 1)):
        raise ValueError(
            "p_local must hold local p-values in [0, 1], at least one; leave out tests that "
            f"failed. Got {p_local}."
        )
    smallest, n_tests = p_local.min(), len(p_local)
    rng = check_random_state(random_state)
    if correlation is None:
        root = np.eye(n_tests)
    else:
        if correlation.shape != (n_tests, n_tests) or not np.allclose(correlation, correlation.T):
            raise ValueError(
                f"correlation must be a symmetric matrix of shape {(n_tests, n_tests)}, one row "
                f"for each of p_local; got shape {correlation.shape}."
            )
        # Identical tests make the matrix singular: no Cholesky.
        values, vectors = np.linalg.eigh(correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    threshold = p_to_z(smallest)
    extreme, left = 0, n_toys
    while left:
        size = min(left, max(1, _TOYS_PER_BATCH // n_tests))
        largest = (rng.normal(size=(size, root.shape[1])) @ root.T).max(axis=1)
        extreme += np.count_nonzero(largest >= threshold)
        left -= size
    return float(min((1 + extreme) / (1 + n_toys), n_tests * smallest, 1.0))


@readable
@dataclass(frozen=True)
class HistogramScan:
    """Result of `scan_histogram`.

    Attributes
    ----------
    start, stop : ndarray of int, shape (n_windows,)
        Bins ``start <= i < stop`` of every window.
    n_observed, background : ndarray of float64, shape (n_windows,)
        Observed and expected events.
    p_local : ndarray of float64, shape (n_windows,)
        Poisson chance of at least as many events; 1 without an excess.
    best : int
        Window of the smallest local p-value.
    p_global : float
    toy_minima : ndarray of float64, shape (n_toys,)
        Smallest local p-value of every pseudo-experiment.
    """

    start: np.ndarray
    stop: np.ndarray
    n_observed: np.ndarray
    background: np.ndarray
    p_local: np.ndarray
    best: int
    p_global: float
    toy_minima: np.ndarray


@checked(
    counts=Numbers(finite=False, highest=MOST),
    background=Numbers(finite=False, highest=MOST),
    min_width=COUNT,
    max_width=[None, *COUNT],
    n_toys=COUNT,
    random_state=["random_state"],
)
def scan_histogram(
    counts: ArrayLike,
    background: ArrayLike,
    *,
    min_width: int = 1,
    max_width: int | None = None,
    n_toys: int = 10_000,
    random_state: Seed = None,
) -> HistogramScan:
    """Look for the most significant excess in windows of adjacent bins (BumpHunter).

    The background is taken as known. Windows of `min_width` to `max_width` bins stand at every
    position; the global p-value comes from Poisson pseudo-experiments of the histogram that
    pass through the same scan.

    Parameters
    ----------
    counts : array-like of shape (n_bins,)
        Observed events.
    background : array-like of shape (n_bins,)
        Expected events, positive.
    min_width : int, default=1
        Narrowest window, in bins.
    max_width : int, default=None
        Widest window, in bins; None means half of the histogram.
    n_toys : int, default=10000
    random_state : None, int or RandomState, default=None

    Returns
    -------
    scan : HistogramScan

    References
    ----------
    G. Choudalakis, "On hypothesis testing, trials factor, hypertests and the BumpHunter",
    arXiv:1101.0390.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.search import scan_histogram
    >>> background = np.linspace(100.0, 10.0, 10)
    >>> counts = background.copy()
    >>> counts[4:6] += 40
    >>> scan = scan_histogram(counts, background, n_toys=100, random_state=0)
    >>> int(scan.start[scan.best]), int(scan.stop[scan.best])
    (4, 6)
    """
    if counts.shape != background.shape:
        raise ValueError(
            "counts and background must be one-dimensional and of equal length; got shapes "
            f"{counts.shape} and {background.shape}."
        )
    if not np.all(background > 0) or not np.all(np.isfinite(background)):
        raise ValueError("background must be positive and finite in every bin.")
    bad = np.flatnonzero(~((counts >= 0) & np.isfinite(counts)))
    if len(bad):
        raise ValueError(
            f"counts must be finite and not negative; {len(bad)} bins are not, first bin {bad[0]} "
            f"with {counts[bad[0]]}. A bin that was not measured is left out of both histograms."
        )
    n_bins = len(counts)
    max_width = max(n_bins // 2, min_width) if max_width is None else max_width
    if not 1 <= min_width <= max_width <= n_bins:
        raise ValueError(
            f"widths must satisfy 1 <= min_width <= max_width <= {n_bins} bins; got {min_width} "
            f"and {max_width}."
        )
    widths = np.arange(min_width, max_width + 1)
    start = np.concatenate([np.arange(n_bins - width + 1) for width in widths])
    stop = start + np.repeat(widths, n_bins - widths + 1)
    expected = _window_sums(background, start, stop)
    observed = _window_sums(counts, start, stop)
    p_local = _excess_p_value(observed, expected)
    rng = check_random_state(random_state)
    minima = []
    for batch in gen_even_slices(n_toys, max(1, n_toys * len(start) // 1_000_000)):
        toys = rng.poisson(background, size=(batch.stop - batch.start, n_bins))
        toys = _window_sums(toys, start, stop)
        minima.append(_excess_p_value(toys, expected).min(axis=1))
    minima = np.concatenate(minima)
    best = int(p_local.argmin())
    extreme = np.count_nonzero(minima <= p_local[best] * (1 + 1e-9))
    return HistogramScan(
        start=start,
        stop=stop,
        n_observed=observed,
        background=expected,
        p_local=p_local,
        best=best,
        p_global=(1 + extreme) / (1 + n_toys),
        toy_minima=minima,
    )


def _window_sums(values, start, stop):
    cumulative = np.cumsum(np.insert(values.astype(np.float64), 0, 0.0, axis=-1), axis=-1)
    return cumulative[..., stop] - cumulative[..., start]


def _excess_p_value(n, b):
    # P(N >= n | b) is the regularised lower incomplete gamma function.
    return np.where(n > b, gammainc(np.maximum(n, 1e-300), b), 1.0)
