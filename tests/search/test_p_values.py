"""Local and global p-values against independent minimisation, toys and pyBumpHunter."""

import numpy as np
import pytest
from scipy import optimize, stats

from skad.search import global_p_value, local_p_value, p_to_z, scan_histogram, z_to_p


def profile(n, b0, sigma, constraint):
    """Signed root of q0 by numerical minimisation of the written-out likelihoods."""

    def minus_two_log(signal, b):
        value = -2 * stats.poisson.logpmf(n, signal + b)
        if constraint == "gaussian":
            return value - 2 * stats.norm.logpdf(b0, b, sigma)
        off, tau = b0**2 / sigma**2, b0 / sigma**2
        return value - 2 * (off * np.log(tau * b) - tau * b)

    null = optimize.minimize_scalar(
        lambda b: minus_two_log(0, b),
        bounds=(1e-9, 3 * (n + b0)),
        method="bounded",
        options={"xatol": 1e-10},
    ).fun
    best = minus_two_log(n - b0, b0)
    return np.sign(n - b0) * np.sqrt(max(null - best, 0))


@pytest.mark.parametrize("constraint", ["gamma", "gaussian"])
@pytest.mark.parametrize(
    "n, b0, sigma",
    [(150, 100.0, 10.0), (80, 100.0, 10.0), (12, 3.0, 1.0), (5, 2.0, 0.1), (30, 10.0, 6.0)],
)
def test_asymptotic_is_the_profile_likelihood_ratio(n, b0, sigma, constraint):
    z = p_to_z(local_p_value(n, b0, sigma, constraint=constraint))
    assert z == pytest.approx(profile(n, b0, sigma, constraint), abs=1e-4)


def test_gamma_is_the_formula_of_li_and_ma():
    on, off, alpha = 60, 200, 0.2
    li_ma = np.sqrt(
        2
        * (
            on * np.log((1 + alpha) / alpha * on / (on + off))
            + off * np.log((1 + alpha) * off / (on + off))
        )
    )
    z = p_to_z(local_p_value(on, alpha * off, alpha * np.sqrt(off)))
    assert z == pytest.approx(li_ma, rel=1e-10)


@pytest.mark.parametrize("constraint", ["gamma", "gaussian"])
def test_no_uncertainty_is_the_limit(constraint):
    z = p_to_z(local_p_value(150, 100.0, [0.0, 1e-7, 1e-3], constraint=constraint))
    np.testing.assert_allclose(z, np.sqrt(2 * (150 * np.log(1.5) - 50)), rtol=1e-5)


def test_sign_and_limits():
    np.testing.assert_allclose(local_p_value(100, 100.0, 10.0), 0.5)
    assert local_p_value(80, 100.0, 10.0) > 0.5
    assert local_p_value(0, 0.0) == 0.5
    assert local_p_value(1, 0.0) == 0
    assert 0.9 < local_p_value(0, 2.0, 0.5) < 1
    many = p_to_z(local_p_value(np.arange(50, 200), 100.0, 10.0))
    assert np.all(np.diff(many) > 0)


@pytest.mark.parametrize("constraint", ["gamma", "gaussian"])
def test_p_values_are_uniform_without_signal(constraint):
    rng = np.random.default_rng(0)
    n = rng.poisson(100, 4000)
    if constraint == "gamma":
        b = rng.poisson(400, 4000) / 4
        sigma = np.sqrt(b / 4)
    else:
        b, sigma = rng.normal(100, 5, 4000), 5.0
    p = local_p_value(n, b, sigma, constraint=constraint)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert np.mean(p < 0.0228) == pytest.approx(0.0228, abs=0.008)


@pytest.mark.parametrize("constraint", ["gamma", "gaussian"])
def test_toys_agree_where_asymptotics_hold(constraint):
    options = {"constraint": constraint, "n_toys": 40_000, "random_state": 0}
    for n in (100, 115, 130):
        toys = local_p_value(n, 100.0, 8.0, method="toys", **options)
        asymptotic = local_p_value(n, 100.0, 8.0, constraint=constraint)
        assert toys == pytest.approx(asymptotic, rel=0.12, abs=0.01)


def test_toys_of_a_known_background_are_the_poisson_tail():
    toys = local_p_value([5, 3], 1.5, method="toys", n_toys=100_000, random_state=0)
    exact = stats.poisson.sf([4, 2], 1.5)
    np.testing.assert_allclose(toys, exact, atol=4 * np.sqrt(exact.max() / 100_000))


def test_toys_are_reproducible_and_leave_the_global_generator():
    before = np.random.get_state()[1].copy()
    options = {"method": "toys", "n_toys": 500}
    first = local_p_value(12, 10.0, 1.0, random_state=3, **options)
    assert first == local_p_value(12, 10.0, 1.0, random_state=3, **options)
    assert np.array_equal(before, np.random.get_state()[1])


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((-1, 1.0), {}, "n_observed must be finite and not negative"),
        ((1, np.nan), {}, "background must be"),
        ((1, 1.0, -1.0), {}, "uncertainty must be"),
        ((1, 0.0, 1.0), {}, "no gamma constraint"),
        ((1, 1.0), {"method": "exact"}, "method must be one of"),
        ((1, 1.0), {"constraint": "flat"}, "constraint must be one of"),
    ],
)
def test_errors_of_local_p_value(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        local_p_value(*arguments, **options)


def test_significance_and_p_value_are_inverse():
    z = np.array([-3.0, 0.0, 1.0, 5.0, 8.0])
    np.testing.assert_allclose(p_to_z(z_to_p(z)), z, atol=1e-9)
    assert z_to_p(5.0) == pytest.approx(2.8665157e-07)


def test_global_p_value_of_independent_and_identical_tests():
    p_local = [0.01, 0.3, 0.6, 0.9]
    independent = global_p_value(p_local, random_state=0)
    assert independent == pytest.approx(1 - 0.99**4, abs=0.001)
    identical = global_p_value(p_local, correlation=np.ones((4, 4)), random_state=0)
    assert identical == pytest.approx(0.01, abs=0.001)
    for bad in ([0.01, np.nan], [np.nan], [1.5, 0.2], [-1.0], [np.inf], []):
        with pytest.raises(ValueError, match=r"local p-values in \[0, 1\], at least one"):
            global_p_value(bad)
    assert global_p_value([0.2], random_state=0) == pytest.approx(0.2, abs=0.004)


def test_global_p_value_far_in_the_tail_is_bonferroni():
    assert global_p_value([1e-9, 0.5], n_toys=1000, random_state=0) == pytest.approx(2e-9)


def test_global_p_value_with_shared_events():
    """Overlapping counts: correlation from the shared events against thrown counts."""
    rng = np.random.default_rng(0)
    parts = rng.poisson(400, size=(20_000, 6))
    counts = parts[:, :-1] + parts[:, 1:]
    largest = ((counts - 800) / np.sqrt(800)).max(axis=1)
    correlation = np.eye(5) + 0.5 * (np.eye(5, k=1) + np.eye(5, k=-1))
    for z in (1.0, 2.0):
        expected = np.mean(largest >= z)
        p_local = np.full(5, z_to_p(z))
        ours = global_p_value(p_local, correlation=correlation, random_state=0)
        assert ours == pytest.approx(expected, rel=0.08)
        assert ours < 5 * z_to_p(z)


def histogram(seed=0, bump=40):
    rng = np.random.default_rng(seed)
    background = 400 * np.exp(-np.arange(20) / 6)
    counts = rng.poisson(background).astype(float)
    counts[8:10] += bump
    return counts, background


def test_scan_histogram_local_p_values():
    counts, background = histogram()
    scan = scan_histogram(counts, background, max_width=3, n_toys=50, random_state=0)
    assert len(scan.p_local) == 20 + 19 + 18
    for start, stop, p in zip(scan.start, scan.stop, scan.p_local, strict=True):
        n, b = counts[start:stop].sum(), background[start:stop].sum()
        assert p == pytest.approx(stats.poisson.sf(n - 1, b) if n > b else 1.0, rel=1e-9)
    assert (scan.start[scan.best], scan.stop[scan.best]) == (8, 10)


def test_scan_histogram_global_p_value_is_uniform():
    _, background = histogram()
    p_global = [
        scan_histogram(
            np.random.default_rng(seed).poisson(background),
            background,
            n_toys=200,
            random_state=seed,
        ).p_global
        for seed in range(60)
    ]
    assert stats.kstest(p_global, "uniform").pvalue > 0.01


def test_scan_histogram_agrees_with_pybumphunter(capsys):
    bumphunter = pytest.importorskip("pyBumpHunter")
    state = np.random.get_state()
    for bump in (0, 40):
        counts, background = histogram(bump=bump)
        hunter = bumphunter.BumpHunter1D(
            width_min=1,
            width_max=5,
            width_step=1,
            scan_step=1,
            npe=2000,
            nworker=1,
            seed=1,
            bins=np.arange(21.0),
        )
        hunter.bump_scan(counts, background, is_hist=True)
        scan = scan_histogram(counts, background, max_width=5, n_toys=2000, random_state=1)
        np.testing.assert_allclose(scan.p_local, np.concatenate(hunter.res_ar), rtol=1e-9)
        assert scan.start[scan.best] == hunter.min_loc_ar[0]
        assert scan.stop[scan.best] - scan.start[scan.best] == hunter.min_width_ar[0]
        error = np.sqrt(2 * scan.p_global * (1 - scan.p_global) / 2000)
        assert scan.p_global == pytest.approx(hunter.global_Pval, abs=4 * error + 1e-3)
        assert stats.ks_2samp(scan.toy_minima, hunter.min_Pval_ar[1:]).pvalue > 1e-3
    np.random.set_state(state)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (([1, 2], [1.0]), {}, "equal length"),
        (([1, 2], [1.0, 0.0]), {}, "positive and finite"),
        (([1, 2], [1.0, 1.0]), {"max_width": 3}, "min_width <= max_width <= 2"),
    ],
)
def test_errors_of_scan_histogram(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        scan_histogram(*arguments, **options)
