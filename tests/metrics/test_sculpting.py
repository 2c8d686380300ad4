"""Mass sculpting against SciPy's divergence and the chi-squared distribution."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, kstest

from skad.exceptions import LowStatisticsWarning
from skad.metrics import mass_sculpting_chi2, mass_sculpting_jsd


@pytest.fixture
def events():
    rng = np.random.default_rng(0)
    mass = rng.exponential(size=20_000)
    return mass, rng.normal(size=20_000) + mass, rng.exponential(size=20_000)


def test_jsd_is_scipys(events):
    mass, scores, _ = events
    edges = np.linspace(0, mass.max(), 21)
    selected = scores >= np.sort(scores)[-1000]
    before, after = np.histogram(mass, edges)[0], np.histogram(mass[selected], edges)[0]
    expected = jensenshannon(before, after) ** 2
    assert mass_sculpting_jsd(mass, scores, fraction=0.05, bins=edges) == pytest.approx(expected)


def test_jsd_limits():
    mass = np.arange(10_000.0)
    # The upper half is kept: KL to the mixture of 3/4 and 1/4.
    expected = 0.5 * (np.log(4 / 3) + 0.5 * np.log(2 / 3) + 0.5 * np.log(2))
    assert mass_sculpting_jsd(mass, mass, fraction=0.5) == pytest.approx(expected, rel=1e-3)
    assert mass_sculpting_jsd(mass, mass, fraction=1.0) == pytest.approx(0.0, abs=1e-15)
    assert mass_sculpting_jsd(mass, np.zeros(10_000), fraction=0.1) == pytest.approx(0.0, abs=1e-12)


def test_jsd_does_not_depend_on_the_unit_of_mass(events):
    mass, scores, weight = events
    a = mass_sculpting_jsd(mass, scores, sample_weight=weight)
    assert mass_sculpting_jsd(np.log(mass), scores, sample_weight=weight) == pytest.approx(a)


def test_jsd_bias_is_as_documented():
    rng = np.random.default_rng(0)
    values = [mass_sculpting_jsd(*rng.normal(size=(2, 20_000)), fraction=0.1) for _ in range(30)]
    assert np.mean(values) == pytest.approx(49 / (8 * 2000), rel=0.15)


def test_chi2_is_that_of_the_contingency_table(events):
    mass, scores, _ = events
    edges = np.quantile(mass, np.linspace(0, 1, 21))
    selected = scores >= np.sort(scores)[-2000]
    table = [np.histogram(mass[part], edges)[0] for part in (selected, ~selected)]
    expected = chi2_contingency(table, correction=False)
    value, p_value = mass_sculpting_chi2(mass, scores, fraction=0.1, bins=edges, return_pvalue=True)
    assert value == pytest.approx(expected.statistic / expected.dof)
    assert p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("weights", [None, "random", "falling with the mass"])
def test_without_sculpting_p_values_are_uniform(weights):
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(300):
        mass, scores = rng.normal(size=(2, 5000))
        weight = None if weights is None else rng.gamma(4, size=5000)
        if weights == "falling with the mass":
            weight = np.exp(-mass)
        p_values.append(
            mass_sculpting_chi2(
                mass, scores, fraction=0.2, bins=10, sample_weight=weight, return_pvalue=True
            )[1]
        )
    assert kstest(p_values, "uniform").pvalue > 0.01


def test_sculpting_is_seen(events):
    mass, scores, weight = events
    assert mass_sculpting_chi2(mass, scores, fraction=0.05, bins=50) > 20
    values = mass_sculpting_chi2(mass, scores, fraction=[0.05, 0.2], bins=50, sample_weight=weight)
    assert values.shape == (2,) and (values > 10).all()


def test_too_many_bins_warn(events):
    mass, scores, _ = events
    with pytest.warns(LowStatisticsWarning, match="Use fewer bins or a looser cut"):
        mass_sculpting_chi2(mass, scores, fraction=0.01, bins=1000)


@pytest.mark.parametrize("metric", [mass_sculpting_chi2, mass_sculpting_jsd])
@pytest.mark.parametrize(
    ("bins", "message"),
    [
        (1, "at least 2"),
        (2.5, "at least 2"),
        ([0, 1], "three increasing"),
        ([0, 2, 1], "three increasing"),
        ([0, 0.5, 1], r"outside the bin edges \[0, 1\]"),
    ],
)
def test_bad_bins(events, metric, bins, message):
    mass, scores, _ = events
    with pytest.raises(ValueError, match=message):
        metric(mass, scores, bins=bins)


def test_bad_mass(events):
    mass, scores, _ = events
    with pytest.raises(ValueError, match="mass must be finite"):
        mass_sculpting_jsd(np.where(mass > 1, np.nan, mass), scores)
    with pytest.raises(ValueError, match="too few distinct values"):
        mass_sculpting_jsd(np.ones(20_000), scores)
    with pytest.raises(ValueError, match="fraction must be below 1"):
        mass_sculpting_chi2(mass, scores, fraction=1.0)
