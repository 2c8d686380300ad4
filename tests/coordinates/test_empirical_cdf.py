"""EmpiricalCDFTransformer: a smooth distribution function with a true density."""

import numpy as np
import pytest
from jacobian_reference import assert_jacobian, reference_log_det
from scipy import stats
from scipy.integrate import trapezoid

from skad.coordinates import (
    EmpiricalCDFTransformer,
    InverseCoordinates,
    NormalCDFTransformer,
    change_of_variables,
)
from skad.exceptions import FiducialWarning

DENSITIES = {
    "normal": stats.norm(200.0, 50.0),
    "falling": stats.expon(scale=0.1),
    "two peaks": None,
    "heavy tails": stats.t(2),
}


def draw(name, n_events, seed=0):
    rng = np.random.default_rng(seed)
    if DENSITIES[name] is None:
        narrow = rng.random(n_events) < 0.3
        values = np.where(narrow, rng.normal(-3, 0.3, n_events), rng.normal(size=n_events))
    else:
        values = DENSITIES[name].rvs(n_events, random_state=rng)
    return values[:, None]


@pytest.fixture(params=DENSITIES)
def case(request):
    X = draw(request.param, 20_000)
    return request.param, X, EmpiricalCDFTransformer().fit(X)


def wide(X, n_points=400_001, reach=1.0):
    """A grid that reaches far beyond the events."""
    width = np.ptp(X)
    return np.linspace(X.min() - reach * width, X.max() + reach * width, n_points)[:, None]


def test_strictly_increasing_over_the_training_range_and_beyond(case):
    _, X, cdf = case
    grid = np.unique(np.concatenate([X[:, 0], wide(X, 2001, reach=0.05)[:, 0]]))[:, None]
    Z = cdf.transform(grid)
    assert (np.diff(Z[:, 0]) > 0).all()
    assert ((Z > 0) & (Z < 1)).all()


def test_density_integrates_to_one(case):
    _, X, cdf = case
    # Fine where the events are, wide where the tails are.
    centre, spread = np.median(X), np.ptp(np.quantile(X, [0.005, 0.995]))
    grid = centre + spread * np.sinh(np.linspace(-7, 7, 200_001))
    density = np.exp(cdf.log_abs_det_jacobian(grid[:, None]))
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-5)


def test_density_is_the_slope(case):
    _, X, cdf = case
    points = X[:300]
    scale = np.ptp(np.quantile(X, [0.16, 0.84]))
    expected, converged = reference_log_det(cdf.transform, points, step=2e-3 * scale)
    # Differences across one of the 50 knots do not converge.
    assert converged.sum() > 150
    assert_jacobian(cdf.log_abs_det_jacobian(points)[converged], expected[converged])


def test_density_is_continuous_at_the_knots_and_tails(case):
    _, _, cdf = case
    knots = cdf.splines_[0].x
    tiny = 1e-9 * np.ptp(knots)
    left, right = (cdf.log_abs_det_jacobian((knots + side * tiny)[:, None]) for side in (-1, 1))
    np.testing.assert_allclose(left, right, atol=1e-5)
    left, right = (cdf.transform((knots + side * tiny)[:, None]) for side in (-1, 1))
    np.testing.assert_allclose(left, right, atol=1e-5)


def test_round_trip(case):
    _, X, cdf = case
    Z = cdf.transform(X)
    # Numbers near 1 have too few digits for events far in the upper tail.
    good = Z[:, 0] < 1 - 1e-5
    assert good.mean() > 0.99
    np.testing.assert_allclose(
        cdf.inverse_transform(Z)[good], X[good], rtol=1e-9, atol=1e-9 * np.ptp(X)
    )
    Z = np.concatenate([np.geomspace(1e-200, 0.5, 500), 1 - np.geomspace(1e-9, 0.5, 500)])[:, None]
    np.testing.assert_allclose(cdf.transform(cdf.inverse_transform(Z)), Z, rtol=1e-9)


@pytest.mark.parametrize("name", ["normal", "falling", "heavy tails"])
def test_the_truth_is_learned(name):
    X, fresh = draw(name, 50_000), draw(name, 20_000, seed=1)
    cdf = EmpiricalCDFTransformer().fit(X)
    truth = DENSITIES[name]
    # The distribution function within the statistical error, the density within 0.01 nats.
    distance = np.abs(cdf.transform(fresh) - truth.cdf(fresh)).max()
    assert distance < 1.95 / np.sqrt(50_000)
    loss = np.mean(truth.logpdf(fresh[:, 0]) - cdf.log_abs_det_jacobian(fresh))
    assert 0 <= loss < 0.01


def test_gaussianised_events_are_gaussian():
    X = np.hstack([draw(name, 20_000) for name in ("falling", "two peaks")])
    fresh = np.hstack([draw(name, 20_000, seed=1) for name in ("falling", "two peaks")])
    cdf = EmpiricalCDFTransformer().fit(X)
    quantile = InverseCoordinates(NormalCDFTransformer()).fit(X)
    Z = quantile.transform(cdf.transform(fresh))
    for column in Z.T:
        assert stats.kstest(column, "norm").statistic < 0.02
    # In the uniform frame the learned density itself is flat.
    flat = change_of_variables(cdf.log_abs_det_jacobian, cdf, fresh)
    np.testing.assert_allclose(flat, 0.0, atol=1e-12)


def test_spikes_constants_and_few_events():
    rng = np.random.default_rng(0)
    spiked = np.where(rng.random(5000) < 0.2, 0.0, rng.exponential(size=5000))
    X = np.column_stack([spiked, np.full(5000, 3.0), rng.integers(0, 4, 5000)])
    for rows in (5000, 3, 1):
        cdf = EmpiricalCDFTransformer().fit(X[:rows])
        Z = cdf.transform(X[:rows])
        assert ((Z > 0) & (Z < 1)).all()
        np.testing.assert_allclose(cdf.inverse_transform(Z), X[:rows], atol=1e-9)
        assert np.isfinite(cdf.log_abs_det_jacobian(X[:rows])).all()
    assert (cdf.transform(X[:1]) == 0.5).all()


def test_the_upper_tail_ends_in_a_warning():
    cdf = EmpiricalCDFTransformer().fit(draw("falling", 1000))
    with pytest.warns(FiducialWarning, match=r"round to the end of the range in float64"):
        Z = cdf.transform(np.array([[0.1], [1e3]]))
    assert Z[1, 0] < 1
    assert np.isfinite(cdf.log_abs_det_jacobian(np.array([[1e3]])))[0]
