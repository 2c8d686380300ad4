"""Spectrum fits: the likelihood, its minimum, its errors and the choice of the order."""

import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, stats

from skad.exceptions import DomainError, RegionError, SpectrumFitWarning
from skad.resonant import SignalRegion
from skad.search import dijet_function, fit_spectrum
from skad.utils import _log_linear

EDGES = np.linspace(2.0, 6.0, 41)  # TeV
REGION = (3.0, 3.6)
TRUTH = [50_000.0, 10.0, 5.0]


def expected(parameters=TRUTH, scale=1.0, edges=EDGES):
    return scale * np.array(
        [integrate.quad(dijet_function, a, b, args=(parameters,))[0] for a, b in pairwise(edges)]
    )


MEAN = expected(scale=0.02)


def draw(seed, mean=MEAN):
    return np.random.default_rng(seed).poisson(mean)


@pytest.mark.parametrize(
    "parameters", [(2.0, 3.0, 1.5), (2.0, 3.0, 1.5, 0.3), (2.0, 3.0, 1.5, 0.3, -0.1)]
)
def test_dijet_function(parameters):
    p1, p2, p3, p4, p5 = (*parameters, 0.0, 0.0)[:5]
    m, sqrt_s = 3.2, 13.0
    x = m / sqrt_s
    formula = p1 * (1 - x) ** p2 * x ** (-p3 - p4 * np.log(x) - p5 * np.log(x) ** 2)
    assert dijet_function(m, parameters, sqrt_s=sqrt_s) == pytest.approx(formula, rel=1e-12)


@pytest.mark.parametrize("function, order", [("dijet", 4), ("polynomial", 3)])
def test_expected_counts_are_integrals_of_the_density(function, order):
    fit = fit_spectrum(draw(0), EDGES, exclude=REGION, function=function, n_parameters=order)
    integrals = [integrate.quad(fit.density, a, b)[0] for a, b in pairwise(EDGES)]
    np.testing.assert_allclose(fit.expected(), integrals, rtol=1e-8)
    assert fit.yield_in(*REGION)[0] == pytest.approx(
        integrate.quad(fit.density, *REGION)[0], rel=1e-8
    )


@pytest.mark.parametrize(
    "function, order", [("dijet", 3), ("dijet", 5), ("polynomial", 1), ("polynomial", 4)]
)
def test_minuit_finds_the_same_minimum(function, order):
    pytest.importorskip("iminuit")
    options = {"exclude": REGION, "function": function, "n_parameters": order}
    newton = fit_spectrum(draw(1), EDGES, **options)
    minuit = fit_spectrum(draw(1), EDGES, minimizer="minuit", **options)
    assert newton.converged and minuit.converged
    assert newton.deviance <= minuit.deviance + 1e-6
    value, error = newton.yield_in(*REGION)
    assert minuit.yield_in(*REGION)[0] == pytest.approx(value, abs=0.01 * error)
    assert minuit.yield_in(*REGION)[1] == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize(
    "function, order", [("dijet", 3), ("dijet", 5), ("polynomial", 1), ("polynomial", 4)]
)
def test_covariance_is_the_inverse_of_finite_differences(function, order):
    """Second differences of the likelihood along the principal axes of the covariance."""
    fit = fit_spectrum(draw(1), EDGES, exclude=REGION, function=function, n_parameters=order)
    axes = np.linalg.cholesky(fit.covariance)

    def loss(steps):
        moved = replace(fit, log_parameters=fit.log_parameters + axes @ steps)
        mean = moved.expected()[fit.fitted]
        return -stats.poisson.logpmf(fit.counts[fit.fitted], mean).sum()

    step, eye = 0.05, np.eye(order)
    hessian = [
        [
            sum(p * q * loss(step * (p * a + q * b)) for p in (1, -1) for q in (1, -1))
            / (4 * step**2)
            for a in eye
        ]
        for b in eye
    ]
    np.testing.assert_allclose(hessian, eye, atol=0.01)


def test_agrees_with_a_written_out_likelihood():
    """An exponential has a closed integral: Poisson likelihood and Hessian with SciPy alone."""
    counts = draw(2)
    fit = fit_spectrum(counts, EDGES, exclude=REGION, function="polynomial", n_parameters=2)

    def integral(edges, parameters):
        total, slope = parameters
        return -np.exp(total) * np.diff(np.exp(-slope * (np.asarray(edges) - 2)))

    def loss(parameters):
        mean = integral(EDGES, parameters)
        return -stats.poisson.logpmf(counts, mean)[fit.fitted].sum()

    best = optimize.minimize(loss, [np.log(counts.sum()), 1.5], method="Nelder-Mead", tol=1e-10).x
    steps = 1e-3 * np.eye(2)
    hessian = [
        [
            (loss(best + a + b) - loss(best + a - b) - loss(best - a + b) + loss(best - a - b))
            / 4e-6
            for a in steps
        ]
        for b in steps
    ]
    gradient = [(integral(REGION, best + a) - integral(REGION, best - a))[0] / 2e-3 for a in steps]
    value, error = fit.yield_in(*REGION)
    assert value == pytest.approx(integral(REGION, best)[0], rel=1e-4)
    assert error == pytest.approx(np.sqrt(gradient @ np.linalg.solve(hessian, gradient)), rel=1e-3)
    saturated = -stats.poisson.logpmf(counts, counts)[fit.fitted].sum()
    assert fit.deviance == pytest.approx(2 * (loss(best) - saturated), rel=1e-6)


def test_masses_in_another_unit_than_the_collision_energy():
    with pytest.raises(DomainError, match="reach to 6, sqrt_s is 13000: .* same unit"):
        fit_spectrum(draw(0), EDGES, n_parameters=3, sqrt_s=13000.0)
    with pytest.raises(DomainError, match=r"sqrt_s=13; m spans .*6000.*13000.0 for GeV"):
        fit_spectrum(draw(0), 1000 * EDGES, n_parameters=3)


def test_region_is_blind():
    counts = draw(3)
    signal = counts.copy()
    signal[10:16] += 1000
    one = fit_spectrum(counts, EDGES, exclude=SignalRegion(*REGION))
    other = fit_spectrum(signal, EDGES, exclude=REGION)
    assert one.yield_in(*REGION) == other.yield_in(*REGION)
    assert not one.fitted[10:16].any() and one.fitted.sum() == 34
    assert np.all(other.pulls[10:16] > 5)


def test_yield_and_its_error_are_right_over_toys():
    truth = MEAN[10:16].sum()
    fits = [fit_spectrum(draw(seed), EDGES, exclude=REGION, n_parameters=3) for seed in range(300)]
    pulls = np.array(
        [(fit.yield_in(*REGION)[0] - truth) / fit.yield_in(*REGION)[1] for fit in fits]
    )
    assert abs(pulls.mean()) < 4 / np.sqrt(300)
    assert pulls.std() == pytest.approx(1, abs=0.13)
    assert stats.kstest([fit.p_value for fit in fits], "uniform").pvalue > 1e-3


def test_response_is_the_derivative_of_the_yield():
    counts = draw(4).astype(float)
    fit = fit_spectrum(counts, EDGES, exclude=REGION, n_parameters=3)
    response = fit.yield_response(*REGION)
    assert np.all(response[10:16] == 0)
    for k in (0, 5, 20, 30):
        up, down = counts.copy(), counts.copy()
        up[k] += 0.3
        down[k] -= 0.3
        change = (fit.refit(up).yield_in(*REGION)[0] - fit.refit(down).yield_in(*REGION)[0]) / 0.6
        # The response uses the covariance of the fit, exact where the residuals are small.
        assert response[k] == pytest.approx(change, rel=0.3, abs=0.01)


@pytest.mark.parametrize("test", ["f", "likelihood_ratio"])
def test_order_is_rarely_too_high_and_never_too_low(test):
    orders = [
        fit_spectrum(draw(seed), EDGES, exclude=REGION, order_test=test).n_parameters
        for seed in range(200)
    ]
    # The right order is left with a chance of alpha = 5 %.
    assert 0.0 < np.mean(np.array(orders) > 3) < 0.11
    curved = expected([50_000.0, 10.0, 5.0, 1.5], scale=3.0)
    orders = [
        fit_spectrum(draw(seed, curved), EDGES, exclude=REGION, order_test=test).n_parameters
        for seed in range(20)
    ]
    assert min(orders) >= 4


@pytest.mark.parametrize("test", ["f", "likelihood_ratio"])
@pytest.mark.parametrize("n_events", [100, 1000])
def test_order_is_rarely_too_high_where_bins_hold_hardly_an_event(test, n_events):
    """Their deviance is far below its degrees of freedom, which makes no drop clearer."""
    mean = expected() * n_events / expected().sum()
    rng = np.random.default_rng(0)
    orders = [
        fit_spectrum(rng.poisson(mean), EDGES, exclude=REGION, order_test=test).n_parameters
        for _ in range(300)
    ]
    assert np.mean(np.array(orders) > 3) < 0.09


def test_order_tests_are_reported():
    fit = fit_spectrum(draw(5), EDGES, exclude=REGION)
    (before, after, p_value), *_ = fit.order_tests
    assert (before, after) == (3, 4)
    richer = fit_spectrum(draw(5), EDGES, exclude=REGION, n_parameters=4)
    simple = fit_spectrum(draw(5), EDGES, exclude=REGION, n_parameters=3)
    spread = max(richer.deviance / richer.ndof, 1.0)
    ratio = (simple.deviance - richer.deviance) / spread
    assert p_value == pytest.approx(stats.f.sf(ratio, 1, richer.ndof))


def test_goodness_of_fit():
    good = fit_spectrum(draw(6), EDGES, exclude=REGION, n_parameters=3)
    assert good.goodness_of_fit(100, random_state=0) == pytest.approx(good.p_value, abs=0.15)
    wiggly = MEAN * (1 + 0.5 * np.sin(np.arange(40)))
    bad = fit_spectrum(draw(6, wiggly), EDGES, exclude=REGION, n_parameters=3)
    assert bad.p_value < 1e-6
    assert bad.goodness_of_fit(50, random_state=0) == pytest.approx(1 / 51)


def test_toys_follow_the_fit():
    fit = fit_spectrum(draw(7), EDGES, exclude=REGION)
    toys = fit.toys(2000, random_state=0)
    np.testing.assert_allclose(toys.mean(axis=0), fit.expected(), atol=0.15 * np.sqrt(MEAN.max()))
    assert np.array_equal(toys[:5], fit.toys(2000, random_state=0)[:5])


def test_few_events():
    counts = np.zeros(40)
    counts[[0, 1, 3, 5, 20]] = [5, 3, 1, 1, 1]
    value, error = fit_spectrum(counts, EDGES, exclude=REGION).yield_in(*REGION)
    assert 0 < value < 5 and 0 < error < 10
    with pytest.raises(RegionError, match=r"3 parameters .* 2 of them filled, with 7 events"):
        fit_spectrum(np.array([5, 2] + 38 * [0]), EDGES, exclude=REGION)


@pytest.mark.parametrize(
    "error, options, message",
    [
        (RegionError, {"exclude": (3050.0, 3600.0)}, "start and end on edges"),
        (DomainError, {"sqrt_s": 5.0}, "0 < m < sqrt_s=5"),
        (ValueError, {"n_parameters": 6}, "between 3 and 5; got 6"),
        (ValueError, {"n_parameters": (4, 3)}, "increasing"),
        (ValueError, {"function": "gauss"}, "function must be one of"),
        (ValueError, {"minimizer": "migrad"}, "minimizer must be one of"),
        (ValueError, {"order_test": "bic"}, "order_test must be one of"),
    ],
)
def test_errors(error, options, message):
    with pytest.raises(error, match=message):
        fit_spectrum(draw(0), EDGES, **{"exclude": REGION, **options})


def test_bad_histograms():
    with pytest.raises(ValueError, match=r"got \(40,\) and \(40,\)"):
        fit_spectrum(draw(0), EDGES[:-1])
    with pytest.raises(ValueError, match="not negative"):
        fit_spectrum(-MEAN, EDGES)


def test_missing_iminuit_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "iminuit", None)
    with pytest.raises(ImportError, match=r"skad\[hep\]"):
        fit_spectrum(draw(0), EDGES, exclude=REGION, minimizer="minuit")


def test_fit_that_does_not_converge_warns(monkeypatch):
    monkeypatch.setattr(_log_linear, "_MAX_STEPS", 0)
    with pytest.warns(SpectrumFitWarning, match=r"3 parameters .* did not converge"):
        fit_spectrum(draw(0), EDGES, exclude=REGION, n_parameters=3)


def test_edges_fit_the_region_and_the_data():
    m = np.random.default_rng(0).uniform(1.0, 7.0, 1000)
    edges = SignalRegion(3.0, 4.0).bin_edges(m, bins_per_region=5)
    assert 3.0 in edges and 4.0 in edges
    assert np.histogram(m, edges)[0].sum() == 1000
    np.testing.assert_allclose(np.diff(edges), 0.2, rtol=0.1)
    narrow = SignalRegion(3.0, 4.0, sideband_width=(0.5, 1.0)).bin_edges(m)
    assert (narrow[0], narrow[-1]) == (2.5, 5.0)
    assert len(SignalRegion(3.0, 3.001).bin_edges(m, max_bins=50)) == 105
    with pytest.raises(RegionError, match="leaves no sideband"):
        SignalRegion(0.0, 4.0).bin_edges(m)


def test_dijets_close(shared_data):
    """Half a million simulated dijets: the sidebands predict the events of the region."""
    columns = [f"{name}j{i}" for name in ("px", "py", "pz", "m") for i in (1, 2)]
    path = shared_data / "dijets" / "background.parquet"
    if not path.is_file():
        pytest.skip("no dijets on this machine")
    events = pd.read_parquet(path, columns=columns).astype(np.float64)
    momenta = [events[[f"{name}j1", f"{name}j2"]].to_numpy() for name in ("px", "py", "pz", "m")]
    energy = np.sqrt(sum(part**2 for part in momenta)).sum(axis=1)
    m = np.sqrt(energy**2 - sum(part.sum(axis=1) ** 2 for part in momenta[:3]))
    # Below 2.8 TeV the cut on the leading jet shapes the spectrum.
    m /= 1000
    region = SignalRegion(3.3, 3.7, sideband_width=(0.5, 3.0))
    edges = region.bin_edges(m)
    fit = fit_spectrum(np.histogram(m, edges)[0], edges, exclude=region)
    background, error = fit.yield_in(3.3, 3.7)
    observed = region.counts(m).signal
    assert fit.p_value > 0.01
    assert error / background < 0.01
    assert abs(observed - background) < 3 * np.hypot(error, np.sqrt(background))


@pytest.mark.filterwarnings("ignore::skad.exceptions.SpectrumFitWarning")
@pytest.mark.parametrize("minimizer", ["newton", "minuit"])
def test_few_filled_bins_give_a_finite_fit(minimizer):
    """After a hard cut all events may lie in a few bins; the function is zero in the others."""
    edges = np.linspace(2.3, 8, 101)
    rng = np.random.RandomState(0)
    for _ in range(20):
        counts = np.zeros(100)
        first = rng.randint(5, 24)
        counts[first : first + 5] = 1 + rng.poisson(rng.uniform(1, 60), size=5)
        fit = fit_spectrum(
            counts, edges, exclude=(edges[30], edges[35]), sqrt_s=13.0, minimizer=minimizer
        )
        assert np.isfinite(fit.covariance).all() and np.isfinite(fit.deviance)
        assert np.isfinite(fit.pulls).all()
        expected, error = fit.yield_in(edges[30], edges[35])
        assert np.isfinite(expected) and np.isfinite(error)


def test_weighted_counts_are_scaled_poisson():
    """The error of the yield is that of the weighted sums, by pseudo-experiments."""
    rng = np.random.default_rng(0)
    edges, region = np.linspace(0, 3, 31), (1.0, 1.5)
    yields = []
    for _ in range(150):
        m, weight = rng.exponential(size=4000), rng.choice([0.1, 4.0], size=4000)
        counts, variances = (
            np.histogram(m, edges, weights=power)[0] for power in (weight, weight**2)
        )
        fit = fit_spectrum(
            counts,
            edges,
            exclude=region,
            function="polynomial",
            n_parameters=2,
            variances=variances,
        )
        yields.append([*fit.yield_in(*region), fit.p_value])
    expected, error, p_value = np.array(yields).T
    truth = 4000 * 2.05 * (np.exp(-1.0) - np.exp(-1.5))
    assert expected.mean() == pytest.approx(truth, rel=0.01)
    assert expected.std() == pytest.approx(error.mean(), rel=0.2)
    assert 0.01 < np.mean(p_value < 0.05) < 0.12
    # One event of every bin, in units of its mean weight, moves the yield by the response.
    more = fit.refit(counts + 1e-3 * (np.arange(30) == 3))
    change = (more.yield_in(*region)[0] - fit.yield_in(*region)[0]) / 1e-3
    assert change == pytest.approx(fit.yield_response(*region)[3], rel=0.05)


def test_equal_weights_only_change_the_unit():
    edges = np.linspace(0, 3, 31)
    counts = np.histogram(np.random.default_rng(0).exponential(size=4000), edges)[0]
    options = {"exclude": (1.0, 1.5), "function": "polynomial", "n_parameters": 3}
    plain = fit_spectrum(counts, edges, **options)
    weighted = fit_spectrum(0.01 * counts, edges, variances=1e-4 * counts, **options)
    assert weighted.deviance == pytest.approx(plain.deviance, rel=1e-6)
    np.testing.assert_allclose(
        weighted.yield_in(1.0, 1.5), np.multiply(0.01, plain.yield_in(1.0, 1.5)), rtol=1e-6
    )
    with pytest.raises(ValueError, match="variances"):
        fit_spectrum(counts, edges, variances=np.zeros(30), **options)
