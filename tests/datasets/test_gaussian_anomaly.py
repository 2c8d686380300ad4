"""The Gaussian toy: exact densities and AUCs against large samples and integrals."""

import pickle

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.metrics import roc_auc_score

from skad.datasets import make_gaussian_anomaly

FRAMES = ("identity", "cdf", "tanh")
BORDERS = {"identity": (-9, 9), "cdf": (0, 1), "tanh": (-1, 1)}


@pytest.mark.parametrize("coordinates", FRAMES)
@pytest.mark.parametrize("n_features, shift", [(1, 1.0), (2, 1.0), (2, -0.5), (5, 0.7)])
def test_exact_auc_against_a_large_sample(coordinates, n_features, shift):
    n = 100_000
    toy = make_gaussian_anomaly(
        n, n, n_features=n_features, shift=shift, coordinates=coordinates, random_state=1
    )
    ratio = toy.log_likelihood_ratio(toy.data)
    # The standard error of an AUC from n + n events is at most sqrt(1 / (4 n)).
    tolerance = 4 * np.sqrt(1 / (4 * n))
    assert roc_auc_score(toy.target, ratio) == pytest.approx(
        toy.auc_likelihood_ratio, abs=tolerance
    )
    if coordinates == "cdf":
        assert np.allclose(toy.log_density_background(toy.data), 0, atol=1e-9)
        assert toy.auc_density == 0.5
    else:
        rarity = -toy.log_density_background(toy.data)
        assert roc_auc_score(toy.target, rarity) == pytest.approx(toy.auc_density, abs=tolerance)


def test_values_of_the_paper():
    published = {"identity": 0.697, "cdf": 0.500, "tanh": 0.175}
    for coordinates, auc in published.items():
        toy = make_gaussian_anomaly(10, 10, coordinates=coordinates)
        assert round(toy.auc_density, 3) == auc
        assert round(toy.auc_likelihood_ratio, 3) == 0.841


def test_inversion_agrees_with_the_closed_form():
    from skad.datasets._gaussian_anomaly import _auc_density, _auc_of_sum

    for n_features in (1, 2, 6):
        for shift in (0.3, 1.0, 2.5):
            inverted = _auc_of_sum(lambda x: 0.5 * x**2, shift, n_features)
            assert inverted == pytest.approx(_auc_density("identity", shift, n_features), abs=1e-5)
    # Two features: the signal's moment generating function at -1/2.
    assert _auc_density("identity", 1.0, 2) == pytest.approx(1 - 0.5 * np.exp(-0.5), abs=1e-12)


@pytest.mark.parametrize("coordinates", FRAMES)
@pytest.mark.parametrize("which", ["background", "signal"])
def test_densities_integrate_to_one(coordinates, which):
    toy = make_gaussian_anomaly(1, 1, n_features=1, shift=0.8, coordinates=coordinates)
    log_density = toy[f"log_density_{which}"]
    total, _ = integrate.quad(
        lambda value: np.exp(log_density(np.array([[value]]))[0]), *BORDERS[coordinates], limit=200
    )
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("coordinates", FRAMES)
def test_likelihood_ratio_is_the_difference_and_frame_independent(coordinates):
    plain = make_gaussian_anomaly(500, 500, random_state=0)
    toy = make_gaussian_anomaly(500, 500, coordinates=coordinates, random_state=0)
    ratio = toy.log_likelihood_ratio(toy.data)
    assert np.allclose(
        ratio, toy.log_density_signal(toy.data) - toy.log_density_background(toy.data)
    )
    assert np.allclose(ratio, plain.log_likelihood_ratio(plain.data), atol=1e-9)


def test_densities_in_x_are_scipys():
    toy = make_gaussian_anomaly(50, 50, shift=1.5, n_features=3, random_state=0)
    expected = stats.multivariate_normal(np.full(3, 1.5)).logpdf(toy.data)
    assert np.allclose(toy.log_density_signal(toy.data), expected)
    expected = stats.multivariate_normal(np.zeros(3)).logpdf(toy.data)
    assert np.allclose(toy.log_density_background(toy.data), expected)


def test_density_vanishes_outside_the_frame():
    for coordinates in ("cdf", "tanh"):
        toy = make_gaussian_anomaly(1, 1, coordinates=coordinates)
        outside = np.array([[0.5, 1.5], [-2.0, 0.5], [1.0, 0.5]])
        assert np.all(toy.log_density_background(outside) == -np.inf)
        assert np.all(toy.log_density_signal(outside) == -np.inf)


def test_same_seed_same_events():
    X, y = make_gaussian_anomaly(20, 5, random_state=7, return_X_y=True)
    X_again, _ = make_gaussian_anomaly(20, 5, random_state=7, return_X_y=True)
    assert np.array_equal(X, X_again)
    assert y.tolist() == [0] * 20 + [1] * 5


def test_pickles():
    toy = make_gaussian_anomaly(20, 5, coordinates="tanh", random_state=7)
    copy = pickle.loads(pickle.dumps(toy))
    assert np.array_equal(
        copy.log_density_background(toy.data), toy.log_density_background(toy.data)
    )


def test_bad_parameters():
    with pytest.raises(ValueError, match="coordinates"):
        make_gaussian_anomaly(coordinates="log")
    with pytest.raises(ValueError, match="shift"):
        make_gaussian_anomaly(shift=np.nan)
