"""Bins of equal population, and the chi-square of an efficiency against toys and SciPy."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency, kstest

from skad.utils._statistics import (
    bin_of,
    effective_size,
    efficiency_chi2,
    equal_population_edges,
    mean_and_std,
)


def counts_in_bins(values, edges, weight=None):
    return np.bincount(bin_of(values, edges), weights=weight, minlength=len(edges) - 1)


@pytest.mark.parametrize("n_events", [100, 103])
def test_bins_hold_equal_numbers(n_events):
    values = np.random.default_rng(0).normal(size=n_events)
    edges = equal_population_edges(values, 10)
    counts = counts_in_bins(values, edges)
    assert len(counts) == 10 and counts.sum() == n_events
    assert counts.max() - counts.min() <= n_events % 10
    # Only the order of the values counts.
    np.testing.assert_array_equal(equal_population_edges(np.exp(values), 10), np.exp(edges))


def test_bins_hold_equal_weights():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(size=5000), rng.integers(0, 3, size=5000)
    edges = equal_population_edges(values, 7, weight)
    weights = counts_in_bins(values, edges, weight)
    np.testing.assert_allclose(weights, weight.sum() / 7, atol=2)
    # A weight of 2 is an event given twice.
    np.testing.assert_array_equal(
        edges[1:-1], equal_population_edges(np.repeat(values, weight), 7)[1:-1]
    )


def test_equal_values_share_a_bin():
    edges = equal_population_edges(np.array([1.0, 1.0, 1.0, 1.0, 2.0, 3.0]), 3)
    np.testing.assert_array_equal(edges, [1, 2, 3])
    np.testing.assert_array_equal(equal_population_edges(np.ones(4), 3), [1, 1])
    np.testing.assert_array_equal(bin_of(np.ones(2), np.array([1.0, 1.0])), [0, 0])


def test_bins_outside_and_on_the_edges():
    edges = np.array([0.0, 1.0, 2.0])
    np.testing.assert_array_equal(bin_of(np.array([-1, 0, 1, 2, 2.5]), edges), [-1, 0, 1, 1, 2])


def test_chi2_is_that_of_the_contingency_table():
    total, passed = np.array([100.0, 200.0, 50.0]), np.array([20.0, 50.0, 4.0])
    expected = chi2_contingency([passed, total - passed], correction=False)
    for unit in (1.0, 1e-6):
        test = efficiency_chi2(total * unit, total * unit**2, passed * unit)
        assert test.chi2 == pytest.approx(expected.statistic)
        assert test.p_value == pytest.approx(expected.pvalue)
        assert test.ndof == expected.dof == 2
        assert test.efficiency == pytest.approx(74 / 350)


WEIGHTS = {
    "none": lambda m, rng: np.ones(len(m)),
    "random": lambda m, rng: rng.gamma(4, size=len(m)),
    "falling by 400 in m": lambda m, rng: np.exp(-6 * m),
    "two samples": lambda m, rng: np.where(m < 0.5, 1.0, 10.0),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_chi2_is_distributed_with_its_degrees_of_freedom(kind):
    rng = np.random.default_rng(0)
    tests = []
    for _ in range(400):
        m = rng.uniform(size=5000)
        weight, passed = WEIGHTS[kind](m, rng), rng.uniform(size=5000) < 0.2
        edges = np.linspace(0, 1, 11)
        sums = [counts_in_bins(m, edges, w) for w in (weight, weight**2, weight * passed)]
        tests.append(efficiency_chi2(*sums))
    assert kstest([t.p_value for t in tests], "uniform").pvalue > 0.01
    # The mean of 400 values of a chi-square with 9 degrees of freedom.
    assert np.mean([t.chi2 for t in tests]) == pytest.approx(9, abs=4 * np.sqrt(18 / 400))


def test_nothing_to_test_is_nan():
    ones = np.ones(1)
    assert np.isnan(efficiency_chi2(ones, ones, 0.5 * ones).p_value)
    two = np.array([3.0, 4.0])
    assert np.isnan(efficiency_chi2(two, two, two).chi2)
    assert (
        efficiency_chi2(np.array([3.0, 0, 4]), np.array([3.0, 0, 4]), np.array([1.0, 0, 2])).ndof
        == 1
    )


def test_effective_size():
    assert effective_size(6.0, 6.0) == 6
    assert effective_size(np.array([4.0, 0.0]), np.array([10.0, 0.0])).tolist() == [1.6, 0.0]


def test_moments_of_weights_are_those_of_repeated_events():
    rng = np.random.default_rng(0)
    values, weight = rng.normal(3, 2, size=(50, 2)).astype(np.float32), rng.integers(1, 4, size=50)
    mean, std = mean_and_std(values, weight)
    repeated = np.repeat(values, weight, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(std, repeated.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(mean_and_std(repeated), [mean, std], rtol=1e-6)
