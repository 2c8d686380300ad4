"""The spread of an ensemble of templates is that of templates learned from other events."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skad.search import counting_limit, direct_background, ensemble_background


class Mean(BaseEstimator):
    """A normal density around the mean of its events, which may jump with the seed."""

    def __init__(self, jump=0.0, random_state=None):
        self.jump = jump
        self.random_state = random_state

    def fit(self, X, y=None):
        self.mean_ = X.mean() + self.jump * check_random_state(self.random_state).normal()
        self.labels_ = y
        return self

    def sample_background(self, n_samples, random_state=None):
        rng = check_random_state(random_state)
        return self.mean_ + rng.normal(size=(n_samples, 1)), np.ones(n_samples)


def score(X):
    return X[:, 0]


def test_spread_over_resamplings_is_the_statistics_of_the_training():
    X = np.random.default_rng(0).normal(size=(400, 1))
    estimate = ensemble_background(
        Mean(), X, score, [1.0], n_region=1000, n_seeds=1, n_bootstraps=60, n_samples=100_000,
        random_state=0,
    )  # fmt: skip
    # Derivative of the efficiency of a normal density by its mean, times the error of the mean.
    expected = 1000 * np.exp(-0.5 * (1 - X.mean()) ** 2) / np.sqrt(2 * np.pi) / 20
    assert estimate.syst[0] == pytest.approx(expected, rel=0.3)
    assert estimate.background[0] == pytest.approx(158.7, abs=25)


def test_mean_over_seeds_is_known_better_than_one():
    X = np.zeros((50, 1))
    options = {"n_region": 1000, "n_bootstraps": None, "random_state": 0}
    few, many = (
        ensemble_background(Mean(0.1), X, score, [0.0], n_seeds=n_seeds, **options)
        for n_seeds in (4, 100)
    )
    slope = 1000 * 0.1 / np.sqrt(2 * np.pi)
    assert many.syst[0] == pytest.approx(slope / 10, rel=0.25)
    assert few.syst[0] > 2 * many.syst[0]
    assert abs(many.background[0] - 500) < 4 * many.syst[0]
    one = ensemble_background(Mean(0.1), X, score, [0.0], n_seeds=1, **options)
    assert one.syst[0] == 0


def test_labels_and_data_frames_are_resampled_together():
    pd = pytest.importorskip("pandas")
    X = pd.DataFrame({"m": np.arange(30.0)})
    fitted = []

    class Recording(Mean):
        def fit(self, X, y=None):
            fitted.append((X["m"].to_numpy(), y))
            return super().fit(X.to_numpy(), y)

    y = np.arange(30) % 2
    ensemble_background(
        Recording(), X, score, [0.0], y=y, region_scores=np.arange(5.0), n_seeds=2, n_bootstraps=2,
        n_samples=100, random_state=1,
    )  # fmt: skip
    assert len(fitted) == 4
    for m, labels in fitted:
        np.testing.assert_array_equal(labels, m % 2)
    assert [len(m) for m, _ in fitted[:2]] == [30, 30]
    assert not np.array_equal(fitted[2][0], fitted[3][0])


def test_uncertainty_widens_the_limit_and_seeds_repeat():
    X = np.random.default_rng(0).normal(size=(100, 1))
    options = {"n_region": 1000, "n_samples": 5000, "random_state": 3}
    estimate, again = (ensemble_background(Mean(0.2), X, score, [1.0], **options) for _ in range(2))
    np.testing.assert_array_equal(estimate.background, again.background)
    np.testing.assert_array_equal(estimate.syst, again.syst)
    alone = direct_background(Mean().fit(X), score, [1.0], n_region=1000, random_state=0)
    limits = [
        counting_limit(150, each.background, 20.0, uncertainty=each.uncertainty).observed
        for each in (alone, estimate)
    ]
    assert limits[1] > 1.2 * limits[0]


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"template": 3}, TypeError, "an unfitted template"),
        ({"score": 3}, TypeError, "score must be a function"),
        ({"n_bootstraps": 1}, ValueError, "n_bootstraps"),
        ({"n_seeds": 0}, ValueError, "n_seeds"),
        ({"y": [1.0]}, ValueError, "one entry for each of X"),
        ({"n_region": None}, ValueError, "needs region_scores or n_region"),
    ],
)
def test_wrong_arguments_are_named(changes, error, message):
    arguments = {
        "template": Mean(), "X": np.zeros((10, 1)), "score": score, "thresholds": [0.0],
        "n_region": 10, "n_samples": 10,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        ensemble_background(**arguments | changes)
