"""Fits of a peak: against iminuit, quadrature, and what toys were made with."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from skad.datasets import make_resonance
from skad.exceptions import RegionError, SpectrumFitWarning
from skad.resonant import SignalRegion
from skad.search import fit_resonance, fit_spectrum
from skad.search._peaks import check_tails, peak_cumulative, peak_density

TAILS = np.array([1.2, 3.0, 1.8, 6.0])


def spectrum(n_signal, seed, *, shape="gaussian", n_background=8000):
    """Masses of background and of a peak at 3.5 TeV, 0.05 TeV wide."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_signal)
    if shape == "crystal_ball":
        grid = np.linspace(-40, 40, 80_001)
        cumulative = peak_cumulative(grid, shape, TAILS)
        z = np.interp(rng.uniform(cumulative[0], cumulative[-1], n_signal), cumulative, grid)
    background = make_resonance(n_background, 0, random_state=seed).data[:, 0]
    return np.concatenate([background, 3.5 + 0.05 * z])


def test_crystal_ball_is_a_smooth_normalised_density():
    z = np.array([-9.0, -1.2, -0.3, 0.0, 1.8, 2.5, 20.0])
    for end, value in zip(z, peak_cumulative(z, "crystal_ball", TAILS), strict=True):
        parts = [-np.inf, *[p for p in (-1.2, 1.8) if p < end], end]
        whole = sum(
            integrate.quad(lambda t: float(peak_density(t, "crystal_ball", TAILS)), a, b)[0]
            for a, b in pairwise(parts)
        )
        assert value == pytest.approx(whole, abs=1e-7)
    assert peak_cumulative(1e9, "crystal_ball", TAILS) == pytest.approx(1.0)
    one_sided = np.array([1.2, 3.0, 30.0, 6.0])
    expected = stats.crystalball.pdf(z, 1.2, 3.0)
    np.testing.assert_allclose(peak_density(z, "crystal_ball", one_sided), expected, rtol=1e-9)
    for at in (-1.2, 1.8):
        below, above = peak_density(at + np.array([-1e-7, 1e-7]), "crystal_ball", TAILS)
        assert below == pytest.approx(above, rel=1e-5)


@pytest.mark.parametrize("shape", ["gaussian", "crystal_ball"])
@pytest.mark.parametrize("fixed", [{}, {"width": 0.05}, {"mass": 3.5, "width": 0.05}])
def test_both_minimizers_find_the_same(shape, fixed):
    pytest.importorskip("iminuit")
    m = spectrum(200, 1, shape=shape)
    one, other = (
        fit_resonance(m, (3.3, 3.7), shape=shape, tails=TAILS, minimizer=minimizer, **fixed)
        for minimizer in ("scipy", "minuit")
    )
    assert one.deviance == pytest.approx(other.deviance, abs=1e-3)
    found = np.array([[f.n_signal, f.mass, f.width] for f in (one, other)])
    free = one.errors > 0
    assert free.tolist() == [True, "mass" not in fixed, "width" not in fixed]
    assert np.all(np.abs(found[0] - found[1])[free] < 0.02 * one.errors[free])
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=0.02, atol=1e-12)
    assert np.all(found[:, ~free] == found[0, ~free])


@pytest.mark.parametrize("shape", ["gaussian", "crystal_ball"])
def test_pulls_of_yield_mass_and_width(shape):
    pulls = []
    for seed in range(40):
        n_signal = np.random.RandomState(seed).poisson(250)
        m = spectrum(n_signal, seed, shape=shape)
        fit = fit_resonance(
            m, (3.3, 3.7), shape=shape, tails=TAILS, n_parameters=3, bins_per_region=12
        )
        assert fit.converged
        pulls.append(
            ([fit.n_signal, fit.mass, fit.width] - np.array([250, 3.5, 0.05])) / fit.errors
        )
    pulls = np.array(pulls)
    # Three standard deviations of mean and width of 40 pulls.
    assert np.all(np.abs(pulls.mean(axis=0)) < 0.48)
    assert np.all(np.abs(pulls.std(axis=0) - 1) < 0.36)


def test_yield_without_signal_is_zero_within_its_error():
    pulls = [
        (lambda fit: fit.n_signal / fit.errors[0])(
            fit_resonance(
                spectrum(0, seed), (3.3, 3.7), mass=3.5, width=0.05, n_parameters=3,
                bins_per_region=12,
            )
        )
        for seed in range(30)
    ]  # fmt: skip
    assert abs(np.mean(pulls)) < 0.55 and min(pulls) < 0
    assert 0.6 < np.std(pulls) < 1.4


def test_fit_describes_data_and_takes_the_background_of_the_sidebands():
    m = spectrum(300, 3)
    fit = fit_resonance(m, SignalRegion(3.3, 3.7), n_parameters=3)
    assert fit.p_value > 0.01
    assert fit.expected().sum() == pytest.approx(fit.spectrum.counts.sum(), rel=1e-5)
    edges = np.linspace(3.3, 3.7, 11)
    near, _ = integrate.quad(fit.signal_density, 3.3, 3.7)
    assert fit.expected_signal(edges).sum() == pytest.approx(near, rel=1e-6)
    assert near == pytest.approx(fit.n_signal, rel=0.01)
    np.testing.assert_allclose(
        fit.expected(edges), fit.expected_signal(edges) + fit.spectrum.expected(edges)
    )
    sidebands = fit_spectrum(
        fit.spectrum.counts, fit.spectrum.edges, exclude=(3.3, 3.7), n_parameters=3
    )
    expected, error = sidebands.yield_in(3.3, 3.7)
    # The joint fit knows more than the sidebands, and agrees with them.
    joint, joint_error = fit.spectrum.yield_in(3.3, 3.7)
    assert abs(joint - expected) < 2 * error and joint_error < error


def test_weights_have_no_unit_and_widen_errors():
    m = spectrum(300, 4)
    rng = np.random.default_rng(0)
    plain = fit_resonance(m, (3.3, 3.7), n_parameters=3, width=0.05)
    same = fit_resonance(
        m, (3.3, 3.7), n_parameters=3, width=0.05, sample_weight=np.full(len(m), 2.0)
    )
    assert same.n_signal == pytest.approx(2 * plain.n_signal, rel=1e-4)
    assert same.mass == pytest.approx(plain.mass, abs=1e-5)
    assert same.errors[0] == pytest.approx(2 * plain.errors[0], rel=1e-3)
    spread = fit_resonance(
        m, (3.3, 3.7), n_parameters=3, width=0.05, sample_weight=rng.exponential(size=len(m))
    )
    assert spread.errors[1] > 1.15 * plain.errors[1]


def test_signal_weights_unfold_a_feature():
    rng = np.random.default_rng(5)
    m = spectrum(400, 5)
    feature = np.concatenate([rng.normal(0, 1, 8000), rng.normal(2, 0.5, 400)])
    fit = fit_resonance(m, (3.3, 3.7), n_parameters=3)
    weight = fit.signal_weights(m)
    inside = (m >= fit.spectrum.edges[0]) & (m < fit.spectrum.edges[-1])
    assert np.all(weight[~inside] == 0)
    assert weight.sum() == pytest.approx(fit.expected_signal().sum(), rel=0.03)
    mean = weight @ feature / weight.sum()
    error = np.sqrt(weight**2 @ (feature - mean) ** 2) / weight.sum()
    assert abs(mean - 2) < 3 * error and error < 0.3
    with pytest.raises(ValueError, match="must be finite"):
        fit.signal_weights([np.nan])


def test_what_cannot_be_fitted_is_said():
    m = spectrum(0, 6)
    with pytest.warns(SpectrumFitWarning, match="at its limit|did not converge"):
        for seed in range(3):
            fit_resonance(spectrum(0, seed, n_background=1500), (3.45, 3.5), n_parameters=3)
    with pytest.raises(ValueError, match="mass must lie in the region"):
        fit_resonance(m, (3.3, 3.7), mass=4.0)
    with pytest.raises(ValueError, match="alpha > 0 and n > 1"):
        fit_resonance(m, (3.3, 3.7), shape="crystal_ball", tails=(1.0, 1.0, 1.0, 5.0))
    with pytest.raises(ValueError, match="shape"):
        fit_resonance(m, (3.3, 3.7), shape="voigt")
    with pytest.raises(RegionError):
        fit_resonance(m[(m < 3.3) | (m > 3.7)], (3.3, 3.7))
    negative = replace(fit_resonance(m, (3.3, 3.7), mass=3.4, width=0.05), n_signal=-1.0)
    with pytest.raises(ValueError, match="no signal to describe"):
        negative.signal_weights(m)
    assert check_tails([1, 2, 3, 4]).tolist() == [1, 2, 3, 4]
