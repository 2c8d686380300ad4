"""The detectors of the papers have the settings of the papers and train with them."""

import numpy as np
import pytest
from sklearn.base import clone

from skad import papers
from skad.detectors import DisCo, OutlierExposure


def settings(detector, *names):
    """Values of some parameters, nested ones too."""
    params = detector.get_params()
    return tuple(params[name] for name in names)


ADAM = ("max_epochs", "batch_size", "learning_rate", "schedule", "clip_norm", "weight_decay")
STOPPING = ("early_stopping", "validation_fraction", "n_iter_no_change", "tol", "select")


def test_coordinate_autoencoder():
    detector = papers.coordinate_autoencoder(random_state=0)
    assert settings(detector, *ADAM) == (500, 10_000, 1e-3, "constant", None, 0.0)
    assert settings(detector, *STOPPING) == (True, 0.2, 10, 0.0, "best")
    assert settings(detector, "activation", "scaling", "n_estimators") == ("relu", None, 1)
    X = np.random.RandomState(0).normal(size=(100, 2))
    network = detector.set_params(max_epochs=2).fit(X).trained_.networks[0][0]
    # 2 -> 50 -> 20 -> 10 -> 1 -> 10 -> 20 -> 50 -> 2; layers of the encoder have no bias.
    encoder = [(50, 2), (20, 50), (10, 20), (1, 10)]
    decoder = [(10, 1), (10,), (20, 10), (20,), (50, 20), (50,), (2, 50), (2,)]
    assert [tuple(p.shape) for p in network.parameters()] == encoder + decoder


def test_vae():
    detector = papers.vae(random_state=0)
    assert settings(detector, *ADAM) == (50, 100, 1e-3, "constant", None, 0.0)
    assert settings(detector, "scaling", "metric", "n_samples") == ("robust", "nll", None)
    assert settings(detector, "decorrelation", "exposure") == (None, None)
    # 0.1 times the mean over 10 latent dimensions.
    assert detector.beta * detector.n_latent == pytest.approx(0.1)
    X = np.random.RandomState(0).normal(size=(200, 80))
    network = detector.set_params(max_epochs=1).fit(X).trained_.networks[0][0]
    weights = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
    encoder = [(256, 80), (128, 256), (64, 128), (20, 64)]
    assert weights == [*encoder, (64, 10), (128, 64), (256, 128), (80, 256)]


def test_vae_disco():
    detector = papers.vae_disco(-1, random_state=0)
    assert settings(detector, *ADAM) == (100, 100, 1e-3, "constant", None, 0.0)
    assert detector.decorrelation.get_params() == {
        "column": -1, "metric": "loss", "strength": 100.0, "power": 2
    }  # fmt: skip
    assert papers.vae_disco("mass", strength=1000.0).decorrelation.strength == 1000.0


@pytest.mark.parametrize("metric, strength", [("mse", 500.0), ("kl", 2.0)])
def test_vae_outlier_exposure(metric, strength):
    detector = papers.vae_outlier_exposure(metric, random_state=0)
    assert detector.metric == metric
    assert settings(detector, *ADAM) == (100, 100, 1e-3, "constant", None, 0.0)
    assert settings(detector, *STOPPING) == (True, 0.2, 10, 0.0, "best")
    # Rises start at epoch 10, take 5 epochs, and are reset twice.
    assert detector.exposure.get_params() == {
        "metric": metric, "strength": strength, "margin": 1.0, "annealing": (10, 5, 3)
    }  # fmt: skip


def test_unknown_metric_of_outlier_exposure():
    with pytest.raises(ValueError, match="metric must be 'mse' or 'kl'; got 'nll'"):
        papers.vae_outlier_exposure("nll")


@pytest.mark.parametrize(
    "build",
    [
        papers.coordinate_autoencoder,
        papers.vae,
        lambda **options: papers.vae_disco(-1, **options),
        papers.vae_outlier_exposure,
    ],
)
def test_random_state_decides_the_scores(build):
    X = np.random.RandomState(0).normal(size=(200, 3))
    y = np.arange(200) % 2

    def scores(seed):
        detector = clone(build(random_state=seed)).set_params(max_epochs=30, batch_size=100)
        return detector.fit(X, y).anomaly_score(X)

    np.testing.assert_array_equal(scores(3), scores(3))
    assert not np.array_equal(scores(3), scores(4))


def test_each_call_builds_objects_of_its_own():
    first, second = papers.vae_disco(0), papers.vae_disco(0)
    assert isinstance(first.decorrelation, DisCo)
    assert first.decorrelation is not second.decorrelation
    first, second = papers.vae_outlier_exposure(), papers.vae_outlier_exposure()
    assert isinstance(first.exposure, OutlierExposure)
    assert first.exposure is not second.exposure
