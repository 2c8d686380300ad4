"""The range of masses in which a smooth function can describe a spectrum."""

from dataclasses import replace
from numbers import Real

import numpy as np

from skad.exceptions import RegionError
from skad.search._functions import FUNCTIONS, check_function
from skad.search._spectrum import fit_spectrum
from skad.search._weights import weighted_histogram

__all__ = ["check_fit_range", "restrict_sidebands"]

# A start of the range is taken when the fit from there describes the sidebands this well,
_GOOD = 0.05
# and when its number of events in the region differs from that of no later start by more than this
# many standard deviations of the difference.
_AGREED = 1.5
# Later starts use a part of the bins: what less than this part of the variance says is rounding.
_SMALLEST_DIFFERENCE = 1e-6
# Bins that a low sideband needs for a fit to say anything about the masses above it.
_FEWEST_BINS = 4


def check_fit_range(fit_range):
    """Refuse what is no range of a fit."""
    if fit_range is None or (isinstance(fit_range, str) and fit_range == "auto"):
        return
    if isinstance(fit_range, Real) and not isinstance(fit_range, bool):
        if np.isfinite(fit_range) and fit_range > 0:
            return
    elif not isinstance(fit_range, str) and np.shape(fit_range) == (2,):
        low, high = fit_range
        if low < high:
            return
    raise ValueError(
        "fit_range must be 'auto', None (all data), a pair low < high in the unit of m, or a "
        f"positive number of region widths to fit on either side; got {fit_range!r}."
    )


def restrict_sidebands(region, m, fit_range="auto", *, bins_per_region=4, weight=None, **options):
    """Narrow the sidebands of a resolved region to where a function can describe the spectrum.

    Parameters
    ----------
    region : SignalRegion
    m : ndarray of float64
        All masses, before any cut: the choice must not depend on the selection.
    fit_range : "auto", None, (float, float) or float, default="auto"
        As in `sideband_background`.
    bins_per_region : int, default=4
    weight : ndarray of float64, default=None
        Weights of the events.
    **options
        Of `fit_spectrum`.

    Returns
    -------
    region : SignalRegion
        With the sidebands of the range; itself where the range holds all of them.
    """
    check_fit_range(fit_range)
    if fit_range is None:
        return region
    if isinstance(fit_range, Real):
        reach = fit_range * region.width
        return _with_range(region, m, region.low - reach, region.high + reach)
    if not isinstance(fit_range, str):
        return _with_range(region, m, *fit_range)
    return _without_turn_on(region, m, bins_per_region, weight, options)


def _with_range(region, m, start, stop):
    """Narrow the sidebands, but leave those alone that the range does not cut."""
    (low, _), (_, high) = region.sidebands
    below = region.low - (low if start <= max(low, m.min()) else start)
    above = (high if stop >= min(high, m.max()) else stop) - region.high
    if not (below > 0 and above > 0):
        raise RegionError(
            f"fit_range [{start:g}, {stop:g}] leaves no sideband on one side of the signal region "
            f"[{region.low:g}, {region.high:g}); widen it, or move the region inwards."
        )
    if (below, above) == (region.low - low, high - region.high):
        return region
    return replace(region, sideband_width=(below, above))


def _without_turn_on(region, m, bins_per_region, weight, options):
    """Start the range at the lowest bin from which the function describes the sidebands.

    A turn-on too weak to spoil the fit can still move what it says about the region by several
    standard deviations. So the number of events in the region must not depend on the start either:
    a fit to fewer bins has the larger variance, and where the function is right the difference of
    the two has the difference of their variances (J. Hausman, Econometrica 46 (1978) 1251).
    """
    edges = region.bin_edges(m, bins_per_region=bins_per_region)
    counts, variances = weighted_histogram(m, edges, weight)
    n_low = int(np.searchsorted(edges, region.low - 1e-9 * region.width))
    first = 0
    function = options.get("function", "dijet")
    check_function(function)
    if FUNCTIONS[function].falling:
        # Below its highest bin the spectrum rises, and these functions only fall.
        first = int(np.argmax(counts))
    last = max(n_low - _FEWEST_BINS, 0)
    first = min(first, last)

    def fit_from(start, **order):
        return fit_spectrum(
            counts[start:],
            edges[start:],
            exclude=region,
            variances=None if variances is None else variances[start:],
            **{**options, **order},
        )

    best, best_p = first, -1.0
    for start in range(first, last + 1):
        try:
            p_value = fit_from(start).p_value
        except RegionError:
            break
        if not p_value <= best_p:
            best, best_p = start, p_value
        if not p_value < _GOOD:
            best = _where_yields_agree(fit_from, region, range(start, last + 1), options)
            break
    return _with_range(region, m, edges[best], edges[-1])


def _where_yields_agree(fit_from, region, starts, options):
    """Return the lowest start whose yield in the region agrees with that of every later one."""
    # One number of parameters for all, or the differences are those of the functions.
    orders = options.get("n_parameters")
    if orders is None:
        orders = FUNCTIONS[options.get("function", "dijet")].orders
    yields = []
    for start in starts:
        try:
            fit = fit_from(start, n_parameters=int(np.max(orders)))
        except RegionError:
            break
        yields.append(fit.yield_in(region.low, region.high))
    for i, (expected, error) in enumerate(yields):
        later = np.array(yields[i + 1 :]).reshape(-1, 2)
        variance = np.maximum(later[:, 1] ** 2 - error**2, _SMALLEST_DIFFERENCE * error**2)
        if np.all(np.abs(later[:, 0] - expected) < _AGREED * np.sqrt(variance)):
            return starts[i]
    return starts[0]
