"""QuantileMorphing against backgrounds whose dependence on m is known."""

import numpy as np
import pytest
from scipy import stats

from skad.exceptions import RegionError
from skad.resonant import QuantileMorphing, SignalRegion

REGION = SignalRegion(3.0, 3.5)


def background(n=60_000, seed=0):
    """A shifted and scaled exponential beside a normal feature, correlated by an amount of m."""
    rng = np.random.default_rng(seed)
    m = 2 + rng.exponential(size=n)
    rho = 0.3 * (m - 3)
    first, other = rng.normal(size=(2, n))
    second = rho * first + np.sqrt(np.clip(1 - rho**2, 0, None)) * other
    x = 0.5 * m + 0.2 * m * stats.expon.ppf(stats.norm.cdf(first))
    return np.column_stack([m, x, second])


@pytest.fixture(scope="module")
def template():
    return QuantileMorphing(region=REGION).fit(background())


def test_follows_shift_scale_and_correlation(template):
    events, weight = template.sample_background(30_000, random_state=0)
    m, x, second = events.T
    assert REGION.mask(m).all() and (weight == 1).all()
    uniform = stats.expon.cdf((x - 0.5 * m) / (0.2 * m))
    # 1.63 is the 1 % critical value of the Kolmogorov distribution; the quantiles have errors too.
    limit = 1.63 * np.sqrt(1 / len(m) + 1 / len(template._m))
    assert stats.kstest(uniform, "uniform").statistic < limit
    assert stats.kstest(second, "norm").statistic < limit
    scores = stats.norm.ppf(np.clip(uniform, 1e-9, 1 - 1e-9))
    for low, high in ((3.0, 3.25), (3.25, 3.5)):
        rows = (m >= low) & (m < high)
        expected = 0.3 * (m[rows].mean() - 3)
        assert np.corrcoef(scores[rows], second[rows])[0, 1] == pytest.approx(expected, abs=0.04)


def test_sidebands_alone_would_not():
    X = background()
    near = REGION.with_sidebands(0.5).sideband_mask(X)
    inside = REGION.mask(X)
    moved, _ = QuantileMorphing(region=REGION).fit(X).sample_background(random_state=0)
    truth = X[inside, 1]
    assert stats.ks_2samp(moved[:, 1], truth).pvalue > 0.01
    assert stats.ks_2samp(X[near, 1], truth).pvalue < 1e-6


def test_the_way_there_and_back_is_the_identity(template):
    features, m = template._features_[:500], template._m[:500]
    scores = template._map.scores(features, m)
    np.testing.assert_allclose(template._map.features(scores, m), features, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(
        template._moved(features, m, m)[:, template.feature_indices_], features, atol=1e-6
    )
    far = np.array([[1e4, -1e4]])
    moved = template._moved(far, np.array([2.8]), np.array([3.2]))
    # The tail of one feature leaves the other alone, beyond what moves at its own end.
    assert moved[0, 1] == pytest.approx(1e4 * 3.2 / 2.8, rel=0.05)
    assert moved[0, 2] == pytest.approx(-1e4, rel=0.05)


def test_the_region_is_not_read(template):
    X = background()
    X[REGION.mask(X), 1:] = 1e3
    other, _ = QuantileMorphing(region=REGION).fit(X).sample_background(500, random_state=0)
    own, _ = template.sample_background(500, random_state=0)
    np.testing.assert_array_equal(other, own)


def test_weights_are_events():
    X = background(6000)
    weight = np.random.RandomState(0).randint(0, 3, size=len(X))
    fits = [
        QuantileMorphing(region=REGION, n_bins=1).fit(X, sample_weight=weight.astype(float)),
        QuantileMorphing(region=REGION, n_bins=1).fit(np.repeat(X, weight, axis=0)),
    ]
    central = [fit.quantiles_[:, 0, 10:51] for fit in fits]
    np.testing.assert_allclose(*central, atol=0.02)
    events, own = fits[0].sample_background(random_state=0)
    repeated, _ = fits[1].sample_background(random_state=0)
    assert np.average(events[:, 1], weights=own) == pytest.approx(repeated[:, 1].mean(), abs=0.02)


def test_held_out_events_are_moved(template):
    others = background(20_000, seed=5)
    held_out, weight = template.held_out_background(others, random_state=0)
    near = REGION.with_sidebands(0.5).sideband_mask(others)
    assert len(held_out) == near.sum() == len(weight)
    truth = others[REGION.mask(others), 1]
    assert stats.ks_2samp(held_out[:, 1], truth).pvalue > 1e-3


def test_without_events_in_reach():
    X = background(5000)
    X = X[(X[:, 0] < 2.5) | (X[:, 0] >= 3.0)]
    with pytest.raises(RegionError, match="no event lies within reach=0.5 widths below"):
        QuantileMorphing(region=REGION, reach=0.5).fit(X)
    with pytest.raises(RegionError, match="degree=3 needs more than 2 bins"):
        QuantileMorphing(region=REGION, degree=3).fit(background(2000))
