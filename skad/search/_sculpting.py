"""Does a cut change the shape of the resonant spectrum in the sidebands?"""

from dataclasses import dataclass

import numpy as np

from skad.utils._statistics import bin_of, efficiency_chi2, equal_population_edges

__all__ = ["SculptingTest", "sideband_sculpting_test"]

# Below this many expected passing events the chi-square distribution is not reached.
_MIN_EXPECTED = 5


@dataclass(frozen=True)
class SculptingTest:
    """Result of `sideband_sculpting_test`.

    Attributes
    ----------
    edges : ndarray, shape (n_bins, 2)
        Edges of every bin in m; the lower one is inside.
    efficiency, uncertainty : ndarray, shape (n_bins,)
        Fraction of the events that pass, with its binomial standard deviation.
    chi2 : float
        Of the efficiencies against one common efficiency.
    ndof : int
        Bins less one.
    p_value : float
        Chance of a larger `chi2` without sculpting; NaN when too few events pass for two bins.
    spread : float
        Relative standard deviation of the true efficiency between bins, noise subtracted: how
        large the effect is, where `p_value` says how certain.
    """

    edges: np.ndarray
    efficiency: np.ndarray
    uncertainty: np.ndarray
    chi2: float
    ndof: int
    p_value: float
    spread: float


def sideband_sculpting_test(m, passed, region, *, n_bins=10):
    """Test whether the efficiency of a cut depends on m in the sidebands.

    Bins of equal population, separate for the two sidebands; in each the passing events are
    compared with the common efficiency (chi-square of the contingency table, the one of
    `skad.metrics.mass_sculpting_chi2`). The signal region is not looked at.

    Parameters
    ----------
    m : array-like of shape (n_events,)
        Resonant feature.
    passed : array-like of bool, shape (n_events,)
        Events that pass the cut.
    region : SignalRegion
        Resolved region.
    n_bins : int, default=10
        Most bins altogether; fewer where fewer than 5 passing events would be expected in one.

    Returns
    -------
    test : SculptingTest

    Examples
    --------
    >>> import numpy as np
    >>> from skad.resonant import SignalRegion
    >>> from skad.search import sideband_sculpting_test
    >>> rng = np.random.default_rng(0)
    >>> m, noise = rng.uniform(size=(2, 50_000))
    >>> region = SignalRegion(0.4, 0.6)
    >>> sideband_sculpting_test(m, noise > 0.9, region).p_value > 0.01
    True
    >>> sideband_sculpting_test(m, noise + 0.2 * m > 0.9, region).p_value < 1e-6
    True
    """
    m = region.values(m)
    passed = np.asarray(passed, dtype=bool)
    sides = [region.sideband_mask(m, side) for side in ("low", "high")]
    n_events = np.array([side.sum() for side in sides])
    n_passed = int(sum(passed[side].sum() for side in sides))
    n_bins = min(n_bins, n_passed // _MIN_EXPECTED)
    if n_bins < 2 or n_passed == n_events.sum():
        empty = np.empty(0)
        return SculptingTest(np.empty((0, 2)), empty, empty, np.nan, 0, np.nan, np.nan)
    bins, counts, passes = [], [], []
    for side, size in zip(sides, n_events, strict=True):
        if not size:
            continue
        edges = equal_population_edges(m[side], max(1, round(n_bins * size / n_events.sum())))
        position = bin_of(m[side], edges)
        bins.append(np.column_stack([edges[:-1], edges[1:]]))
        counts.append(np.bincount(position, minlength=len(edges) - 1))
        passes.append(np.bincount(position, weights=passed[side], minlength=len(edges) - 1))
    counts, passes = np.concatenate(counts).astype(np.float64), np.concatenate(passes)
    test = efficiency_chi2(counts, counts, passes)
    efficiency = passes / counts
    variance = test.efficiency * (1 - test.efficiency) / counts
    share = test.ndof / (test.ndof + 1)
    excess = np.average((efficiency - test.efficiency) ** 2 - variance * share, weights=counts)
    return SculptingTest(
        edges=np.concatenate(bins),
        efficiency=efficiency,
        uncertainty=np.sqrt(variance),
        chi2=test.chi2,
        ndof=test.ndof,
        p_value=test.p_value,
        spread=float(np.sqrt(max(excess, 0.0)) / test.efficiency),
    )
