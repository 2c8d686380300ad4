"""Intervals and significances of Poisson counts against sums of probabilities."""

import numpy as np
import pytest
from scipy import optimize, stats

from skad.search import local_significance, poisson_interval, poisson_significance


@pytest.mark.parametrize("level", [0.6827, 0.95])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 300])
def test_interval_ends_where_the_count_becomes_improbable(n, level):
    low, high = poisson_interval(n, level=level)
    tail = 0.5 * (1 - level)
    assert stats.poisson.cdf(n, high) == pytest.approx(tail)
    if n:
        assert stats.poisson.sf(n - 1, low) == pytest.approx(tail)
        root = optimize.brentq(lambda mu: stats.poisson.sf(n - 1, mu) - tail, 1e-9, n + 1)
        assert low == pytest.approx(root)
    else:
        assert low == 0


def test_significance_is_that_of_the_exact_p_value():
    n = np.array([2, 7, 0, 3, 110])
    b = np.array([0.056, 2.5, 4.0, 8.0, 100.0])
    excess = stats.norm.isf(stats.poisson.sf(n - 1, b))
    deficit = stats.norm.ppf(stats.poisson.cdf(n, b))
    expected = np.where(n > b, excess, deficit)
    np.testing.assert_allclose(poisson_significance(n, b), expected, rtol=1e-9)
    # What (n - b) / sqrt(b) makes of the first is 8.2.
    assert poisson_significance(2, 0.056) == pytest.approx(2.97, abs=0.01)


def test_no_deviation_has_significance_zero():
    np.testing.assert_array_equal(poisson_significance([0, 1, 5], [0.3, 1.2, 5.0]), 0.0)


def test_far_tails_stay_finite_and_grow():
    z = poisson_significance([1e4, 2e4, 4e4], 1e3)
    np.testing.assert_allclose(z, local_significance([1e4, 2e4, 4e4], 1e3), rtol=1e-6)
    z = poisson_significance([0, 0], [500.0, 1e5])
    assert np.isfinite(z).all() and z[1] < z[0] < -28


def test_bad_counts_are_refused():
    with pytest.raises(ValueError, match="counts must be finite and not negative"):
        poisson_interval([1, -1])
    with pytest.raises(ValueError, match="level must lie in"):
        poisson_interval(1, level=1.0)
    with pytest.raises(ValueError, match="expected finite and positive"):
        poisson_significance([1], [0.0])
