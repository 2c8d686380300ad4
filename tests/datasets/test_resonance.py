"""The resonance toy: densities against SciPy and histograms, ratios against weighted samples."""

import pickle

import numpy as np
import pytest
from scipy import integrate, stats

from skad.datasets import make_resonance

PARAMS = {"mass": 3.4, "width": 0.2, "mass_range": (2.8, 4.1), "falloff": 0.5, "separation": 1.2}


@pytest.fixture(scope="module")
def toy():
    return make_resonance(100_000, 100_000, dependence=0.8, random_state=0, **PARAMS)


def test_mass_spectra(toy):
    m = toy.data[:, 0]
    assert m.min() >= 2.8 and m.max() <= 4.1
    falling = stats.truncexpon(b=1.3 / 0.5, loc=2.8, scale=0.5)
    peak = stats.truncnorm(-3.0, 3.5, loc=3.4, scale=0.2)
    grid = np.linspace(2.81, 4.09, 50)
    assert np.allclose(toy.log_mass_density_background(grid), falling.logpdf(grid))
    assert np.allclose(toy.log_mass_density_signal(grid), peak.logpdf(grid))
    assert stats.kstest(m[toy.target == 0], falling.cdf).pvalue > 1e-3
    assert stats.kstest(m[toy.target == 1], peak.cdf).pvalue > 1e-3
    for name in ("log_mass_density_background", "log_mass_density_signal"):
        assert np.all(toy[name]([2.7, 4.2]) == -np.inf)


def test_features_follow_the_conditional_densities(toy):
    m, x = toy.data[:, 0], toy.data[:, 1:]
    for label, offset, spread, name in [
        (0, 0.0, 1.0, "log_density_background"),
        (1, 1.2, 0.5, "log_density_signal"),
    ]:
        chosen = toy.target == label
        mean = 0.8 * (m - 3.4) + offset
        standardised = ((x - mean[:, None]) / spread)[chosen]
        assert stats.kstest(standardised.ravel(), stats.norm.cdf).pvalue > 1e-3
        expected = stats.norm.logpdf(x, loc=mean[:, None], scale=spread).sum(axis=1)
        assert np.allclose(toy[name](toy.data), expected)


def test_likelihood_ratio_turns_background_into_signal(toy):
    """E_b[L(x|m) f(x)] = E_s[f(x)] at equal m: weights shift the mean to the signal's."""
    rng = np.random.RandomState(0)
    m = np.full(200_000, 3.6)
    X = np.column_stack([m, 0.8 * 0.2 + rng.standard_normal((len(m), 2))])
    weight = np.exp(toy.log_likelihood_ratio(X))
    assert weight.mean() == pytest.approx(1, abs=0.03)
    assert np.average(X[:, 1], weights=weight) == pytest.approx(0.8 * 0.2 + 1.2, abs=0.03)


def test_data_ratio_is_the_mixture(toy):
    X = toy.data[:1000]
    m = X[:, 0]
    signal = np.exp(toy.log_mass_density_signal(m))
    background = np.exp(toy.log_mass_density_background(m))
    fraction = signal / (signal + background)  # as many signal as background events
    expected = np.log(1 - fraction + fraction * np.exp(toy.log_likelihood_ratio(X)))
    assert np.allclose(toy.log_data_ratio(X), expected)


def test_data_ratio_integrates_to_one():
    toy = make_resonance(1000, 30, n_features=1, **PARAMS)

    def integrand(x):
        X = np.array([[3.45, x]])
        return np.exp(toy.log_data_ratio(X) + toy.log_density_background(X))[0]

    assert integrate.quad(integrand, -10, 10)[0] == pytest.approx(1, abs=1e-8)


def test_without_signal_the_data_are_background():
    toy = make_resonance(100, 0, random_state=0)
    assert toy.target.sum() == 0
    assert np.array_equal(toy.log_data_ratio(toy.data), np.zeros(100))


def test_dependence():
    X, _ = make_resonance(50_000, 0, dependence=0.0, random_state=0, return_X_y=True)
    assert abs(stats.pearsonr(X[:, 0], X[:, 1]).statistic) < 0.02
    X, _ = make_resonance(50_000, 0, dependence=1.0, random_state=0, return_X_y=True)
    slope = stats.linregress(X[:, 0], X[:, 1]).slope
    assert slope == pytest.approx(1.0, abs=0.05)


def test_reproducible_frames_and_pickle():
    bunch = make_resonance(50, 5, n_features=3, random_state=1, as_frame=True)
    X, y = make_resonance(50, 5, n_features=3, random_state=1, return_X_y=True)
    assert list(bunch.data.columns) == ["m", "x1", "x2", "x3"]
    assert np.array_equal(bunch.data.to_numpy(), X)
    assert np.array_equal(bunch.target.to_numpy(), y)
    assert y.sum() == 5 and y[-5:].sum() < 5
    copy = pickle.loads(pickle.dumps(bunch))
    assert np.array_equal(copy.log_data_ratio(X), bunch.log_data_ratio(bunch.data))


@pytest.mark.parametrize(
    "params", [{"mass_range": (4.0, 3.0)}, {"mass": 9.0}, {"mass_range": (1, 2, 3)}]
)
def test_bad_mass_range(params):
    with pytest.raises(ValueError, match="mass_range must be two increasing"):
        make_resonance(**params)
