"""Does a cut change the shape of the resonant spectrum in the sidebands?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from skad.resonant._region import SignalRegion
from skad.search._weights import effective_events
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, Numbers, checked
from skad.utils._readable import readable
from skad.utils._statistics import bin_of, efficiency_chi2, equal_population_edges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Beside", "SculptingTest", "sideband_sculpting_test", "smallest_of"]

# Below this many expected passing events the chi-square distribution is not reached.
_MIN_EXPECTED = 5


@readable
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
    trend_chi2 : float
        Of a straight line and a parabola in the rank of m, two degrees of freedom: more sensitive
        to the smooth changes that features cause which move with m.
    p_value : float
        Chance of as clear a sign without sculpting: of the p-values of `chi2` and `trend_chi2` the
        smaller one, corrected for two tests; NaN when too few events pass for two bins.
    spread : float
        Relative standard deviation of the true efficiency between bins, noise subtracted: how
        large the effect is, where `p_value` says how certain.
    """

    edges: np.ndarray
    efficiency: np.ndarray
    uncertainty: np.ndarray
    chi2: float
    ndof: int
    trend_chi2: float
    p_value: float
    spread: float


@checked(passed=Numbers(), region=[SignalRegion], n_bins=COUNT)
def sideband_sculpting_test(
    m: ArrayLike,
    passed: ArrayLike,
    region: SignalRegion,
    *,
    n_bins: int = 10,
    sample_weight: ArrayLike | None = None,
) -> SculptingTest:
    """Test whether the efficiency of a cut depends on m in the sidebands.

    Bins of equal population, separate for the two sidebands; in each the passing events are
    compared with the common efficiency (chi-square of the contingency table, the one of
    `skad.metrics.mass_sculpting_chi2`). Beside it a smooth trend is looked for. The signal region
    is not looked at.

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
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

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
    if len(passed) != len(m) or not np.isin(passed, (0, 1)).all():
        raise ValueError(
            f"passed must say True or False for each of the {len(m)} events; got {len(passed)} "
            "values. Give scores > threshold."
        )
    return Beside(m, region, sample_weight).test(np.asarray(passed), n_bins)


class Beside:
    """The events of both sidebands, sorted and binned once for the tests of many cuts.

    Parameters
    ----------
    m : ndarray of shape (n_events,)
    region : SignalRegion
        Resolved region.
    sample_weight : array-like of shape (n_events,), default=None
    """

    def __init__(self, m, region, sample_weight=None):
        weight = sk.check_sample_weight(sample_weight, m, dtype=np.float64)
        sides = [region.sideband_mask(m, side) & (weight > 0) for side in ("low", "high")]
        self._m = m
        self._weight = weight
        self._sides = [np.flatnonzero(side) for side in sides if side.any()]
        self._rows = np.flatnonzero(sides[0] | sides[1])
        self._binned = {}

    def test(self, counts, n_bins=10):
        """Make `sideband_sculpting_test` with what each event counts, 0 or more.

        The mean count of an event is tested, with the variance that the counts have.
        """
        beside, weight = counts[self._rows], self._weight[self._rows]
        n_bins = min(n_bins, int(effective_events(beside) + 0.5) // _MIN_EXPECTED)
        if n_bins < 2 or not np.ptp(beside):
            empty = np.empty(0)
            return SculptingTest(np.empty((0, 2)), empty, empty, np.nan, 0, np.nan, np.nan, np.nan)
        if n_bins not in self._binned:
            self._binned[n_bins] = self._bins(n_bins)
        edges, positions, total, square = self._binned[n_bins]
        passes = np.concatenate(
            [
                np.bincount(position, weights=self._weight[side] * counts[side], minlength=size)
                for side, (position, size) in zip(self._sides, positions, strict=True)
            ]
        )
        # Of counts of 0 or 1 this is the binomial e (1 - e).
        mean = np.average(beside, weights=weight)
        each = float(np.average((beside - mean) ** 2, weights=weight))
        test = efficiency_chi2(total, square, passes, each)
        efficiency = passes / total
        variance = each * square / total**2
        share = test.ndof / (test.ndof + 1)
        excess = np.average((efficiency - test.efficiency) ** 2 - variance * share, weights=total)
        trend_chi2 = self._trend_chi2(beside, weight)
        smallest = min(test.p_value, stats.chi2.sf(trend_chi2, 2))
        return SculptingTest(
            edges=edges,
            efficiency=efficiency,
            uncertainty=np.sqrt(variance),
            chi2=test.chi2,
            ndof=test.ndof,
            trend_chi2=trend_chi2,
            p_value=smallest_of(smallest, 2),
            spread=float(np.sqrt(max(excess, 0.0)) / test.efficiency),
        )

    def _bins(self, n_bins):
        """Return the edges, the bin of every event by side, and both sums of weights in them."""
        edges, positions, sums = [], [], []
        for side in self._sides:
            m, weight = self._m[side], self._weight[side]
            n_own = round(n_bins * len(side) / len(self._rows))
            own = equal_population_edges(m, max(1, n_own))
            position, size = bin_of(m, own), len(own) - 1
            edges.append(np.column_stack([own[:-1], own[1:]]))
            positions.append((position, size))
            sums.append([np.bincount(position, w, minlength=size) for w in (weight, weight**2)])
        return np.concatenate(edges), positions, *np.concatenate(sums, axis=1)

    @cached_property
    def _shapes(self):
        """A line and a parabola in the rank of m, both of mean 0."""
        rank = 2 * (stats.rankdata(self._m[self._rows]) - 0.5) / len(self._rows) - 1
        shapes = np.column_stack([rank, rank**2])
        return shapes - np.average(shapes, axis=0, weights=self._weight[self._rows])

    def _trend_chi2(self, counts, weight):
        """Score test of a line and a parabola in the rank of m against a constant mean."""
        mean = np.average(counts, weights=weight)
        score = (weight * (counts - mean)) @ self._shapes
        variance = np.average((counts - mean) ** 2, weights=weight)
        covariance = variance * (self._shapes.T * weight**2) @ self._shapes
        return float(score @ np.linalg.pinv(covariance) @ score)


def smallest_of(p_value, n_tests):
    """Chance of a p-value as small in one of several independent tests (Sidak)."""
    return float(-np.expm1(n_tests * np.log1p(-min(p_value, 1 - 1e-16))))
