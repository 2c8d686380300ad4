"""AutoencoderDetector: against principal components, in its scale, on real events."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from skad.detectors import AutoencoderDetector
from skad.metrics import shared_fraction


def curve(n, seed=0):
    """Events around a parabola, in units far from one."""
    rng = np.random.RandomState(seed)
    t = rng.uniform(-1, 1, size=n)
    X = np.column_stack([t, t**2]) + 0.02 * rng.normal(size=(n, 2))
    return 1e3 * X + 5e4


@pytest.fixture(scope="module")
def detector():
    return AutoencoderDetector(max_epochs=60, n_estimators=2, random_state=0).fit(curve(2000))


def test_linear_autoencoder_finds_the_principal_components():
    rng = np.random.RandomState(1)
    X = rng.normal(size=(500, 2)) @ rng.normal(size=(2, 4)) + 0.2 * rng.normal(size=(500, 4))
    linear = AutoencoderDetector(
        hidden_layer_sizes=(),
        n_latent=2,
        scaling=None,
        batch_size=500,
        max_epochs=600,
        learning_rate=0.1,
        random_state=0,
    ).fit(X)
    pca = PCA(2).fit(X)
    expected = pca.inverse_transform(pca.transform(X))
    np.testing.assert_allclose(linear.reconstruct(X), expected, atol=1e-3)
    residual = ((X - expected) ** 2).mean(axis=1)
    np.testing.assert_allclose(linear.anomaly_score(X), residual, atol=1e-3)


def test_score_is_the_mean_squared_error_in_units_of_the_variances(detector):
    X = curve(2000)
    for member in detector.trained_.groups(1):
        alone = clone(detector).set_params(n_estimators=1).fit(X[:100])
        alone.trained_ = member
        error = (alone.reconstruct(X) - X) / X.std(axis=0)
        np.testing.assert_allclose(alone.anomaly_score(X), (error**2).mean(axis=1), rtol=1e-6)
    members = [
        alone.anomaly_score(X)
        for group in detector.trained_.groups(1)
        if setattr(alone, "trained_", group) is None
    ]
    assert not np.allclose(*members)
    np.testing.assert_allclose(detector.anomaly_score(X), np.mean(members, axis=0), rtol=1e-9)


def test_events_off_the_curve_are_anomalous(detector):
    X = curve(2000, seed=1)
    off = X + np.array([0.0, 400.0])
    labels = np.repeat([0, 1], 2000)
    scores = detector.anomaly_score(np.concatenate([X, off]))
    assert roc_auc_score(labels, scores) > 0.95
    assert np.mean(detector.predict(X) == -1) == pytest.approx(0.01, abs=0.008)


def test_latent_space_of_the_first_network(detector):
    X = curve(50, seed=2)
    Z = detector.transform(X)
    assert Z.shape == (50, 1)
    first = clone(detector).set_params(n_estimators=1).fit(X)
    first.trained_ = detector.trained_.groups(1)[0]
    np.testing.assert_allclose(first.reconstruct(X), detector.inverse_transform(Z), rtol=1e-12)
    with pytest.raises(ValueError, match=r"n_latent=1 columns; got 2"):
        detector.inverse_transform(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_events_have_finite_ordered_scores(detector, dtype):
    far = np.array([1e6, 1e12, 1e19, 1e30, 3.4e38, 1e60, 1e150, 1e300, 1.7e308])
    far = far[:5] if dtype == np.float32 else far
    events = (5e4 + far[:, None] * np.array([[1.0, -1.0]])).astype(dtype)
    with np.errstate(over="ignore"):
        scores = detector.anomaly_score(events)
        assert (detector.predict(events) == -1).all()
    assert np.isfinite(scores).all()
    assert scores[0] > detector.anomaly_score(curve(2000)).max()
    assert (np.diff(scores[far < 1e154]) > 0).all()
    assert (scores[far > 1e154] == np.finfo(np.float64).max).all()
    # The mean of the squares: nothing of such an event is reconstructed.
    deviation = curve(2000).std(axis=0)
    np.testing.assert_allclose(scores[4], ((3.4e38 / deviation) ** 2).mean(), rtol=1e-4)


def test_weights_of_zero_hide_events():
    X = curve(1000)
    polluted = np.concatenate([X, curve(1000, seed=3) * [1.0, -1.0] + [[0.0, 1e5]]])
    labels = np.repeat([0, 1], 1000)
    detector = AutoencoderDetector(max_epochs=40, random_state=0)
    plain = detector.fit(polluted).anomaly_score(polluted)
    hidden = detector.fit(polluted, sample_weight=1.0 - labels).anomaly_score(polluted)
    assert roc_auc_score(labels, hidden) > 0.8
    assert roc_auc_score(labels, plain) < 0.7
    flagged = detector.predict(polluted[:1000]) == -1
    assert flagged.mean() == pytest.approx(0.01, abs=1e-3)


def test_robust_scale_ignores_tails_and_survives_padding():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(400, 3))
    X[:4, 0] = 1e6
    X[:350, 2] = 0.0
    scaling = (
        AutoencoderDetector(scaling="robust", max_epochs=1, random_state=0)
        .fit(X)
        .trained_.networks[0][0]
        .scaling
    )
    assert scaling.scale[0] == pytest.approx(1.35, rel=0.2)
    assert scaling.mean[0] == pytest.approx(0, abs=0.2)
    assert scaling.scale[2] == pytest.approx(X[:, 2].std())


def test_validation_events_are_used_and_not_learned():
    X = curve(600)
    detector = AutoencoderDetector(max_epochs=5, early_stopping=True, select="best", random_state=0)
    same = detector.fit(X, X_val=X).history_[0]
    other = detector.fit(X, X_val=X + 1e3).history_[0]
    assert [e["train_loss"] for e in same] == [e["train_loss"] for e in other]
    assert min(e["valid_loss"] for e in other) > 2 * max(e["valid_loss"] for e in same)


def test_warm_start_goes_on_in_the_old_scale():
    X = curve(1000)
    detector = AutoencoderDetector(
        max_epochs=5, schedule="constant", warm_start=True, random_state=0
    ).fit(X)
    first = detector.history_[0]
    scale = detector.trained_.networks[0][0].scaling.scale.clone()
    detector.fit(2 * X[:700])
    assert (detector.trained_.networks[0][0].scaling.scale == scale).all()
    detector.fit(X)
    assert detector.history_[0][0]["train_loss"] < first[0]["train_loss"]


def test_logarithms_change_which_real_jets_are_rare(shared_data):
    import pandas as pd

    events = pd.read_parquet(shared_data / "lhco_sr" / "data_train.parquet")
    masses = events[[c for c in events if "mj" in c.lower()][:2]].to_numpy(dtype=np.float64)
    masses = masses[(masses > 0).all(axis=1)]
    detector = AutoencoderDetector(max_epochs=2, random_state=0)
    scores = [detector.fit(frame).anomaly_score(frame) for frame in (masses, np.log(masses))]
    assert shared_fraction(*scores, fraction=0.01) < 0.5
