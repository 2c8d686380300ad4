"""Mass-volume curves against the closed form of a Gaussian, and what the scorer makes of them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.covariance import EllipticEnvelope
from sklearn.mixture import GaussianMixture

from skad.exceptions import LowStatisticsWarning
from skad.metrics import get_anomaly_scorer, mass_volume_curve


def test_volume_of_a_gaussian_in_closed_form():
    rng = np.random.default_rng(0)
    X, uniform = rng.normal(size=(40_000, 2)), rng.uniform(-6, 6, size=(40_000, 2))
    curve = mass_volume_curve((X**2).sum(1), (uniform**2).sum(1), masses=[0.5, 0.9, 0.99])
    # The mass m lies within a circle of radius^2 = -2 log(1 - m).
    expected = np.pi * -2 * np.log(1 - curve.mass) / 144
    pulls = (curve.volume - expected) / np.hypot(curve.volume_error, 0.02 * expected)
    assert np.abs(pulls).max() < 3
    # No other score has a smaller one.
    other = mass_volume_curve(np.abs(X).sum(1), np.abs(uniform).sum(1), masses=curve.mass)
    assert (other.volume > curve.volume).all()
    assert curve.area == pytest.approx(curve.volume.mean())


def test_weights_count_as_repeated_events():
    rng = np.random.default_rng(1)
    scores, uniform = rng.normal(size=300), rng.normal(1, 2, size=5000)
    weight = rng.integers(1, 4, 300)
    first = mass_volume_curve(scores, uniform, sample_weight=weight)
    second = mass_volume_curve(np.repeat(scores, weight), uniform)
    np.testing.assert_allclose(first.volume, second.volume)


def test_what_is_not_measured_is_said():
    with pytest.warns(LowStatisticsWarning, match="Only 0 of 100 uniform points"):
        mass_volume_curve(np.arange(100.0), np.full(100, 1e6))


@pytest.mark.parametrize("n_columns", [2, 12])
def test_scorer_prefers_the_model_of_the_events(n_columns):
    rng = np.random.default_rng(2)
    centres = rng.choice([-4.0, 4.0], size=(600, 1))
    X = pd.DataFrame(centres + rng.normal(size=(600, n_columns)))
    scorer = get_anomaly_scorer("neg_mass_volume", random_state=0, n_subsets=3)
    two = GaussianMixture(2, random_state=0)
    one = EllipticEnvelope(random_state=0)
    values = [scorer(model.fit(X), X) for model in (two, one)]
    assert -1 < values[1] < 0.8 * values[0] < 0
    with pytest.raises(ValueError, match="needs numeric columns"):
        scorer(two, X.astype(str))


def test_masses_of_a_normal_score_are_its_quantiles():
    scores = np.random.default_rng(3).normal(size=100_000)
    curve = mass_volume_curve(scores, np.linspace(-5, 5, 100_001), masses=[0.9, 0.975])
    np.testing.assert_allclose(curve.volume * 10 - 5, stats.norm.ppf(curve.mass), atol=0.03)
