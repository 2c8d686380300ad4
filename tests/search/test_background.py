"""Background estimates against events whose densities are known exactly."""

import numpy as np
import pandas as pd
import pytest
from fast_detectors import MixtureRatio
from scipy import stats

from skad.datasets import make_resonance
from skad.exceptions import SculptingWarning
from skad.metrics import mass_sculpting_chi2
from skad.resonant import SignalRegion
from skad.search import (
    BumpHunt,
    combine_seeds,
    dijet_function,
    direct_background,
    importance_background,
    sideband_background,
    sideband_sculpting_test,
    spurious_signal,
)

REGION = SignalRegion(3.3, 3.7)
OPTIONS = {"n_parameters": 3}


class ExactBackground:
    """p_background(x | m) of make_resonance, N(dependence (m - 3.5), 1) in two features."""

    def __init__(self, dependence=0.0):
        self.dependence = dependence

    def sample(self, n_samples, random_state=None, conditions=None):
        x = random_state.normal(size=(n_samples, 2)) + self.dependence * (conditions - 3.5)
        return np.column_stack([conditions, x])


def total(X):
    return X[:, 1] + X[:, 2]


def test_direct_is_the_integral():
    data = make_resonance(20_000, 0, random_state=0).data
    inside = data[REGION.mask(data)]
    thresholds = np.array([-1.0, 1.0, 3.0])
    estimate = direct_background(
        ExactBackground(),
        total,
        thresholds,
        region_scores=total(inside),
        conditions=inside[:, :1],
        n_samples=50_000,
        random_state=0,
    )
    truth = stats.norm.sf(thresholds / np.sqrt(2))
    assert estimate.method == "direct"
    assert np.all(np.abs(estimate.efficiency - truth) < 4 * estimate.efficiency_stat)
    np.testing.assert_allclose(
        estimate.efficiency_stat, np.sqrt(truth * (1 - truth) / 50_000), rtol=0.05
    )
    np.testing.assert_allclose(estimate.background, len(inside) * estimate.efficiency)
    assert estimate.n_observed.tolist() == [(total(inside) > t).sum() for t in thresholds]
    assert np.all(np.abs(estimate.significance()) < 3)


def test_direct_uses_the_masses_of_the_region():
    """Features that move with m: only the right masses give the right efficiency."""
    data = make_resonance(50_000, 0, dependence=2.0, random_state=0).data
    inside = data[REGION.mask(data)]
    estimate = direct_background(
        ExactBackground(2.0),
        total,
        [1.0],
        region_scores=total(inside),
        conditions=inside[:, :1],
        random_state=0,
    )
    assert abs(estimate.significance()[0]) < 3


def test_direct_from_a_weighted_template():
    class Template:
        def sample_background(self, n_samples, random_state=None):
            x = random_state.uniform(size=(n_samples, 1))
            return x, 2 * x[:, 0]

    estimate = direct_background(
        Template(), np.ravel, [0.5], n_region=(1000.0, 50.0), n_samples=20_000, random_state=0
    )
    # The density 2x has three quarters of its mass above 1/2.
    assert estimate.efficiency[0] == pytest.approx(0.75, abs=0.02)
    expected = np.hypot(50 * estimate.efficiency[0], 1000 * estimate.efficiency_stat[0])
    assert estimate.stat[0] == pytest.approx(expected)
    assert np.isnan(estimate.n_observed[0])


def test_direct_statistical_error_covers_the_spread():
    class Template:
        def sample_background(self, n_samples, random_state=None):
            x = random_state.uniform(size=(n_samples, 1))
            return x, np.exp(x[:, 0])

    estimates = [
        direct_background(
            Template(), np.ravel, [0.9], n_region=1.0, n_samples=500, random_state=seed
        )
        for seed in range(400)
    ]
    efficiency = np.array([estimate.efficiency[0] for estimate in estimates])
    assert efficiency.std() == pytest.approx(estimates[0].efficiency_stat[0], rel=0.2)
    assert efficiency.mean() == pytest.approx((np.e - np.exp(0.9)) / (np.e - 1), rel=0.02)


def test_direct_errors():
    with pytest.raises(TypeError, match="object has neither"):
        direct_background(object(), np.ravel, [0.0], n_region=1)
    with pytest.raises(ValueError, match="region_scores or n_region"):
        direct_background(ExactBackground(), total, [0.0], conditions=[[3.5]])


def importance_toys(thresholds, conditional):
    """Estimates with the exact ratio, and the background that passes, under a strong signal."""
    # The ratio is of the expected, not the thrown, numbers of events.
    exact = make_resonance(10_000, 300, random_state=0)
    estimates, truth, inflated = [], [], []
    for seed in range(120):
        rng = np.random.RandomState(seed)
        toy = make_resonance(rng.poisson(10_000), rng.poisson(300), random_state=seed)
        inside = toy.data[REGION.mask(toy.data)]
        log_signal_to_background = (
            np.log(300 / 10_000)
            + exact.log_mass_density_signal(inside[:, 0])
            - exact.log_mass_density_background(inside[:, 0])
        )
        excess = 1 + np.exp(log_signal_to_background)
        ratio = np.exp(exact.log_data_ratio(inside)) * (1 if conditional else excess)
        estimates.append(importance_background(ratio, thresholds))
        background = toy.target[REGION.mask(toy.data)] == 0
        passed = (ratio[:, None] > thresholds) & background[:, None]
        truth.append(passed.sum(axis=0))
        inflated.append(excess @ passed)
    return estimates, np.mean(truth, axis=0), np.mean(inflated, axis=0)


@pytest.mark.parametrize("conditional", [False, True])
def test_importance_with_the_exact_ratio(conditional):
    estimates, truth, inflated = importance_toys(np.array([0.9, 1.5, 5.0]), conditional)
    background = np.array([estimate.background for estimate in estimates])
    stat = np.mean([estimate.stat for estimate in estimates], axis=0)
    # The ratio of p(x | m) weighs the background as all events near its m.
    expected = inflated if conditional else truth
    error = background.std(axis=0) * np.sqrt(2 / 120)
    assert np.all(np.abs(background.mean(axis=0) - expected) < 4 * error)
    np.testing.assert_allclose(background.std(axis=0), stat, rtol=0.2)
    observed = np.mean([estimate.n_observed for estimate in estimates], axis=0)
    # Above R = 5 most events are signal, and the weights know it.
    assert observed[2] > 4 * background.mean(axis=0)[2]


def test_importance_by_another_score():
    estimate = importance_background([1.0, 2.0, 4.0], [0.5], scores=[0.0, 1.0, 1.0])
    assert estimate.background[0] == 0.75
    assert estimate.stat[0] == pytest.approx(np.sqrt(1 / 4 + 1 / 16))
    assert estimate.efficiency[0] == 0.25


def histogram_ratios(rng, n_events, n_bins=400):
    """Ratios of two histograms, all events and each half, for fresh events, and what they are."""
    shape = 1 + 0.5 * np.sin(np.linspace(0, 6 * np.pi, n_bins)) ** 8  # true ratio of data to flat
    probability = shape / shape.sum()
    fitted = rng.choice(n_bins, n_events, p=probability)
    second = rng.permutation(n_events) % 2 == 0
    ratios = [
        (np.bincount(part, minlength=n_bins) + 0.5) * n_bins / (len(part) + n_bins / 2)
        for part in (fitted, fitted[second], fitted[~second])
    ]
    fresh = rng.choice(n_bins, n_events, p=probability)
    return ratios, fresh


@pytest.mark.parametrize("efficiency", [0.3, 0.1, 0.03])
def test_halves_correct_the_importance_weights(efficiency):
    rng = np.random.RandomState(0)
    naive, corrected, covered = [], [], []
    for _ in range(40):
        (ratio, *halves), fresh = histogram_ratios(rng, 20_000)
        threshold = np.quantile(ratio, 1 - efficiency)
        # The background is flat over the bins.
        truth = np.mean(ratio > threshold) * len(fresh)
        plain = importance_background(ratio[fresh], [threshold])
        better = importance_background(
            ratio[fresh], [threshold], halves=[half[fresh] for half in halves]
        )
        naive.append(plain.background[0] / truth)
        corrected.append(better.background[0] / truth)
        covered.append(abs(better.background[0] - truth) < better.uncertainty[0])
    assert np.mean(naive) < 0.94
    assert np.mean(corrected) == pytest.approx(1, abs=0.05)
    assert np.mean(covered) > 0.9
    assert plain.syst[0] == 0


def test_halves_leave_an_exact_ratio_alone():
    ratio = np.random.RandomState(0).uniform(0.5, 3, size=5000)
    plain = importance_background(ratio, [1.0, 2.0, 9.0])
    same = importance_background(ratio, [1.0, 2.0, 9.0], halves=[ratio, ratio])
    np.testing.assert_allclose(same.background, plain.background)
    np.testing.assert_allclose(same.syst, 0, atol=1e-9)
    # One event in a hole of one of the densities is no matter.
    hole = ratio.copy()
    hole[np.argmax(ratio)] = 1e-9
    other = importance_background(ratio, [1.0], halves=[ratio, hole])
    assert other.background[0] == pytest.approx(plain.background[0], rel=0.01)
    with pytest.raises(ValueError, match="two arrays of 5000 ratios"):
        importance_background(ratio, [1.0], halves=[ratio])
    with pytest.raises(ValueError, match="positive and finite"):
        importance_background(ratio, [1.0], halves=[ratio, 0 * ratio])


def test_importance_needs_positive_ratios():
    with pytest.raises(ValueError, match="1 events pass a cut with a density ratio"):
        importance_background([0.0, 2.0], [-1.0])
    assert importance_background([0.0, 2.0], [1.0]).background[0] == 0.5


# One fit and one test of sculpting in a hundred have a p-value below 1 %.
@pytest.mark.filterwarnings("ignore::skad.exceptions.SpectrumFitWarning")
@pytest.mark.filterwarnings("ignore::skad.exceptions.SculptingWarning")
def test_sideband_fit_after_a_cut():
    pulls = []
    for seed in range(40):
        data = make_resonance(20_000, 0, random_state=seed).data
        scores = data[:, 1]
        estimate = sideband_background(data[:, 0], scores, [-9.0, 1.0, 2.0], REGION, **OPTIONS)
        truth = 20_000 * stats.norm.sf([-9.0, 1.0, 2.0])
        m = np.array([3.3, 3.7, 2.5, 5.0])
        low, high, start, stop = np.exp(-m / 0.7)
        pulls.append((estimate.background - truth * (low - high) / (start - stop)) / estimate.stat)
    pulls = np.array(pulls)
    assert np.all(np.abs(pulls.mean(axis=0)) < 4 / np.sqrt(40))
    np.testing.assert_allclose(pulls.std(axis=0), 1, atol=0.4)
    efficiency = stats.norm.sf([-9.0, 1.0, 2.0])
    np.testing.assert_allclose(estimate.efficiency, efficiency, rtol=0.2)
    assert estimate.efficiency_stat[0] == pytest.approx(0, abs=1e-6)
    assert np.all(estimate.efficiency_stat[1:] > 0)
    assert [fit.n_parameters for fit in estimate.fits] == [3, 3, 3]


def test_sideband_sees_a_signal_and_not_its_own_region():
    toy = make_resonance(20_000, 100, random_state=1)
    scores = toy.log_likelihood_ratio(toy.data)
    estimate = sideband_background(
        toy.data[:, 0], scores, np.quantile(scores, [0.9, 0.99]), REGION, **OPTIONS
    )
    assert estimate.significance()[1] > estimate.significance()[0] > 1
    assert estimate.significance()[1] > 4
    table = estimate.to_frame()
    assert table["n_observed"].tolist() == estimate.n_observed.tolist()
    assert set(table["method"]) == {"sideband"}


def test_sideband_warns_when_the_cut_sculpts():
    data = make_resonance(20_000, 0, dependence=1.0, random_state=0).data
    with pytest.warns(SculptingWarning, match=r"the cut at 1 sculpts .*QuantileDecorrelator"):
        sideband_background(data[:, 0], data[:, 1], [1.0], REGION, **OPTIONS)


def test_systematic_is_the_error_of_the_mean_over_seeds():
    rng = np.random.default_rng(0)
    estimates = [importance_background(rng.uniform(1, 2, 1000), [1.5]) for _ in range(5)]
    combined = combine_seeds(estimates)
    each = np.array([estimate.background[0] for estimate in estimates])
    assert combined.background[0] == pytest.approx(each.mean())
    assert combined.syst[0] == pytest.approx(each.std(ddof=1) / 5**0.5)
    assert combined.uncertainty[0] == pytest.approx(np.hypot(combined.stat[0], combined.syst[0]))
    with pytest.raises(ValueError, match="at least 2 estimates; got 1"):
        combine_seeds(estimates[:1])
    with pytest.raises(ValueError, match="same number of cuts"):
        combine_seeds([estimates[0], importance_background([1.0], [0.5, 0.7])])


def test_p_value_without_background_is_not_a_number():
    estimate = importance_background([1.0, 2.0], [1.5, 3.0])
    assert np.isnan(estimate.p_value()).tolist() == [False, True]


@pytest.mark.parametrize("weighted", [False, True])
def test_sculpting_test_without_sculpting(weighted):
    """Its two tests look at the same events, so that their correction is a little too large."""
    rng = np.random.default_rng(0)
    p_values, region = [], SignalRegion(0.4, 0.6)
    for _ in range(400):
        m, noise = rng.uniform(size=(2, 2000))
        weight = rng.exponential(size=2000) if weighted else None
        p_values.append(sideband_sculpting_test(m, noise > 0.8, region, sample_weight=weight))
    p_values = np.array([test.p_value for test in p_values])
    assert 0.02 < np.mean(p_values < 0.05) < 0.08
    assert stats.kstest(p_values, "uniform").statistic < 0.12


def test_sculpting_test_sees_a_trend_that_hides_in_bins():
    rng = np.random.default_rng(1)
    tests = []
    for _ in range(50):
        m, noise = rng.uniform(size=(2, 4000))
        passed = noise < 0.1 * (1 + 0.7 * (m - 0.5))
        tests.append(sideband_sculpting_test(m, passed, SignalRegion(0.4, 0.6)))
    seen = np.mean([test.p_value < 0.05 for test in tests])
    by_bins = np.mean([stats.chi2.sf(test.chi2, test.ndof) < 0.05 for test in tests])
    assert seen > by_bins + 0.1


def test_sculpting_test_measures_the_effect():
    rng = np.random.default_rng(0)
    m, noise = rng.uniform(size=(2, 400_000))
    efficiency = 0.1 * (1 + 0.4 * (m - 0.5))
    test = sideband_sculpting_test(m, noise < efficiency, SignalRegion(0.4, 0.6), n_bins=20)
    outside = np.abs(m - 0.5) > 0.1
    expected = efficiency[outside].std() / efficiency[outside].mean()
    assert test.spread == pytest.approx(expected, rel=0.1)
    assert test.p_value < 1e-6 and test.ndof == 19
    assert np.corrcoef(test.efficiency, test.edges.mean(axis=1))[0, 1] > 0.9


def test_sculpting_test_has_the_chi2_of_the_metrics():
    rng = np.random.default_rng(0)
    m = rng.uniform(size=20_000)
    score, region = rng.uniform(size=20_000) + 0.1 * m, SignalRegion(0.4, 0.6)
    side = region.sideband_mask(m)
    passed = score > np.quantile(score[side], 0.9)
    test = sideband_sculpting_test(m, passed, region, n_bins=10)
    edges = np.append(test.edges[:, 0], test.edges[-1, 1])
    chi2, p_value = mass_sculpting_chi2(
        m[side], score[side], fraction=passed[side].mean(), bins=edges, return_pvalue=True
    )
    assert test.chi2 / test.ndof == pytest.approx(chi2)
    assert test.p_value == pytest.approx(p_value)


def test_sculpting_test_puts_equal_masses_in_one_bin():
    rng = np.random.default_rng(0)
    # Masses as a detector rounds them.
    m, passed = rng.uniform(size=5000).round(2), rng.uniform(size=5000) < 0.3
    order = rng.permutation(5000)
    region = SignalRegion(0.4, 0.6)
    a = sideband_sculpting_test(m, passed, region)
    b = sideband_sculpting_test(m[order], passed[order], region)
    np.testing.assert_array_equal(a.efficiency, b.efficiency)


def test_sculpting_test_does_not_look_at_the_region():
    rng = np.random.default_rng(0)
    m, noise = rng.uniform(size=(2, 10_000))
    region = SignalRegion(0.4, 0.6)
    passed = noise > 0.9
    test = sideband_sculpting_test(m, passed, region)
    again = sideband_sculpting_test(m, passed | region.mask(m), region)
    assert test.chi2 == again.chi2


def test_sculpting_test_with_few_events_says_nothing():
    m = np.linspace(0, 1, 100)
    passed = np.zeros(100, dtype=bool)
    passed[:6] = True
    assert np.isnan(sideband_sculpting_test(m, passed, SignalRegion(0.4, 0.6)).p_value)


def test_spurious_signal_is_what_a_function_invents():
    """A straight line in ln f misses a curved spectrum by the difference of the two."""
    rng = np.random.default_rng(0)
    m = np.abs(rng.normal(size=400_000))
    windows = [(0.8, 1.0), (1.4, 1.6)]
    options = {"function": "polynomial", "fit_range": (0.3, 2.5)}
    wrong = spurious_signal(m, windows, n_parameters=2, **options)
    right = spurious_signal(m, windows, n_parameters=3, **options)
    assert (wrong["spurious"].abs() > 10 * wrong["error"]).all()
    assert (right["spurious"].abs() < 4 * right["error"]).all()
    truth = 400_000 * 2 * np.diff(stats.norm.cdf(windows), axis=1)[:, 0]
    np.testing.assert_allclose(wrong["n_events"], truth, rtol=0.02)
    np.testing.assert_allclose(wrong["relative"], wrong["spurious"] / wrong["fitted"])


def test_spurious_signal_enters_the_error():
    X, _ = make_resonance(6000, 0, random_state=0, return_X_y=True)
    hunt = BumpHunt(
        MixtureRatio(), [REGION], efficiencies=(1.0,), n_parameters=3, n_global_toys=1000
    )
    plain = hunt.fit(X).results_
    table = pd.DataFrame({"low": [3.0, 3.3], "high": [3.4, 3.7], "relative": [0.5, -0.1]})
    for given in (0.1, table):
        row = hunt.set_params(spurious_signal=given).fit(X).results_
        assert row["syst"][0] == pytest.approx(0.1 * plain["background"][0])
        assert abs(row["z_local"][0]) < abs(plain["z_local"][0])
    with pytest.raises(ValueError, match=r"0 rows for the window \[3.3, 3.7\)"):
        hunt.set_params(spurious_signal=table[:1]).fit(X)


def test_a_turn_on_that_the_fit_forgives_does_not_move_the_region():
    # The function meets p >= 5 % from masses where the turn-on still moves the region by more than
    # a standard deviation: z was 1.4 wide from there.
    centers = np.arange(2.205, 8.0, 0.01)
    turn_on = 0.5 * (1 + np.tanh((centers - 2.4) / 0.25))
    expected = dijet_function(centers, [1.0, 14.0, 5.5]) * turn_on
    expected *= 100_000 / expected.sum()
    z, start = [], []
    for seed in range(40):
        m = np.repeat(centers, np.random.RandomState(seed).poisson(expected))
        estimate = sideband_background(m, np.ones(len(m)), [0.0], SignalRegion(3.3, 3.7))
        z.append(estimate.significance()[0])
        start.append(estimate.fits[0].edges[0])
    assert np.sqrt(np.mean(np.square(z))) < 1.25
    assert np.abs(z).max() < 3
    assert max(start) < 3.0
