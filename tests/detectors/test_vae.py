"""VAEDetector: metrics by hand, the trade-off of beta, DisCo, outlier exposure, real jets."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import trapezoid
from scipy.stats import norm
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler
from sklearn.utils import get_tags

from skad import papers
from skad.coordinates import ConstituentCoordinates, JetFrame
from skad.datasets import load_jets
from skad.detectors import DisCo, OutlierExposure, VAEDetector
from skad.exceptions import MissingColumnError
from skad.io import score_file
from skad.metrics import distance_correlation, energy_movers_distance
from skad.utils import all_estimators

SMALL = {
    "hidden_layer_sizes": (32,), "n_latent": 2, "max_epochs": 30, "scaling": "standard",
    "random_state": 0,
}  # fmt: skip


def plane(n, seed=0):
    """Events on a plane in six dimensions, with some width."""
    rng = np.random.RandomState(seed)
    basis = np.random.RandomState(9).normal(size=(2, 6))
    return rng.normal(size=(n, 2)) @ basis + 0.1 * rng.normal(size=(n, 6)) + 5


@pytest.fixture(scope="module")
def detector():
    return VAEDetector(**SMALL, beta=0.01).fit(plane(2000))


def by_hand(detector, X):
    """Scaled features, posterior mean and deviation, decoder: with NumPy alone."""
    network = detector.trained_.networks[0][0]

    def layers(sequence, h):
        for layer in sequence:
            if isinstance(layer, torch.nn.Linear):
                h = h @ layer.weight.double().numpy().T + layer.bias.double().numpy()
            else:
                h = np.maximum(h, 0)
        return h

    z = (X - plane(2000).mean(axis=0)) / plane(2000).std(axis=0)
    code = layers(network.encoder, z)
    mean, deviation = code[:, :2], np.exp(0.5 * code[:, 2:])
    return z, mean, deviation, lambda latent: layers(network.decoder, latent)


def test_metrics_are_what_they_say(detector):
    X = plane(50, seed=1)
    z, mean, deviation, decode = by_hand(detector, X)
    mse = ((decode(mean) - z) ** 2).mean(axis=1)
    # E_q[log q - log p] by quadrature, one latent dimension after the other.
    t = np.linspace(-12, 12, 20_001)
    kl = np.zeros(50)
    for mu, sigma in zip(mean.T, deviation.T, strict=True):
        q = norm(mu[:, None], sigma[:, None])
        kl += trapezoid(q.pdf(t) * (q.logpdf(t) - norm.logpdf(t)), t, axis=1)
    expected = {"mse": mse, "kl": kl, "nll": mse + 0.3 * kl, "mss": (z**2).mean(axis=1)}
    changed = clone(detector).set_params(kl_weight=0.3, n_samples=0).fit(plane(2000))
    for metric, value in expected.items():
        np.testing.assert_allclose(
            changed.set_params(metric=metric).anomaly_score(X), value, rtol=1e-4, atol=1e-5
        )
    np.testing.assert_allclose(detector.transform(X), mean, rtol=1e-4, atol=1e-5)
    back = decode(mean) * plane(2000).std(axis=0) + plane(2000).mean(axis=0)
    np.testing.assert_allclose(detector.reconstruct(X), back, rtol=1e-4)
    np.testing.assert_allclose(detector.inverse_transform(mean), back, rtol=1e-4)


def test_scores_are_means_over_independent_draws_of_the_posterior(detector):
    X = plane(400, seed=2)
    z, mean, deviation, decode = by_hand(detector, X[:20])
    noise = np.random.RandomState(5).normal(size=(2000, 20, 2))
    errors = [((decode(mean + deviation * e) - z) ** 2).mean(1) for e in noise]
    changed = clone(detector).set_params(metric="mse").fit(plane(2000))
    one, many, mean_decoded = (
        changed.set_params(n_samples=n).anomaly_score(X) for n in (1, 1000, 0)
    )
    np.testing.assert_allclose(many[:20], np.mean(errors, axis=0), rtol=0.1)
    assert (many > mean_decoded).mean() > 0.9
    # One draw: around the mean of many, as wide as those by hand, and each event its own.
    spread = np.std(errors, axis=0).mean()
    difference = one - many
    assert abs(difference.mean()) < 4 * spread / 20
    assert difference.std() == pytest.approx(spread, rel=0.4)
    assert abs(np.corrcoef(difference[1:], difference[:-1])[0, 1]) < 0.2


@pytest.mark.parametrize("n_samples", [0, 1, 3])
def test_a_drawn_score_belongs_to_the_event(n_samples):
    X = plane(300, seed=2).astype(np.float32).astype(np.float64)
    detector = VAEDetector(**SMALL | {"max_epochs": 3}, metric="mse", n_samples=n_samples).fit(X)
    scores = detector.anomaly_score(X)
    order = np.random.RandomState(0).permutation(300)
    # Alone a product of matrices rounds differently.
    for rows in (order, slice(3, 4), np.repeat(5, 7)):
        np.testing.assert_allclose(detector.anomaly_score(X[rows]), scores[rows], rtol=1e-4)
    as_float32 = detector.anomaly_score(X.astype(np.float32))
    np.testing.assert_allclose(as_float32, scores, rtol=1e-4)
    again = VAEDetector(**detector.get_params()).fit(1000 * X)
    np.testing.assert_allclose(again.anomaly_score(1000 * X), scores, rtol=1e-3)
    again.set_params(random_state=1).fit(1000 * X)
    assert (abs(again.anomaly_score(1000 * X) / scores - 1) > 0.01).mean() > 0.5


def test_no_part_of_a_file_depends_on_its_batches(tmp_path):
    X = pd.DataFrame(plane(300, seed=3), columns=list("abcdef"))
    detector = VAEDetector(**SMALL | {"max_epochs": 3}, metric="mse").fit(X)
    X.to_parquet(tmp_path / "events.parquet")
    for batch_size in (7, 300):
        score_file(
            detector, tmp_path / "events.parquet", tmp_path / "scored.parquet",
            batch_size=batch_size, overwrite=True,
        )  # fmt: skip
        scored = pd.read_parquet(tmp_path / "scored.parquet").iloc[:, -1]
        np.testing.assert_allclose(scored, detector.anomaly_score(X), rtol=1e-4)


def test_each_metric_has_its_own_threshold():
    X = plane(500)
    detector = VAEDetector(**SMALL | {"max_epochs": 3}, contamination=0.2).fit(X)
    for metric in ("nll", "mse", "kl", "mss"):
        detector.set_params(metric=metric)
        assert (detector.predict(X) == -1).mean() == pytest.approx(0.2)
    detector.set_params(metric="emd")
    with pytest.raises(AttributeError, match="No threshold is known for metric='emd'"):
        _ = detector.offset_
    detector.metric = "likelihood"
    with pytest.raises(ValueError, match=r"metric must be one of \['nll', .*'likelihood'"):
        detector.anomaly_score(X)


def test_beta_trades_reconstruction_for_divergence():
    X = plane(1000)
    mse, kl = {}, {}
    for beta in (1e-3, 0.1, 5.0):
        detector = VAEDetector(**SMALL, beta=beta).fit(X)
        mse[beta] = detector.set_params(metric="mse").anomaly_score(X).mean()
        kl[beta] = detector.set_params(metric="kl").anomaly_score(X).mean()
    assert kl[1e-3] > kl[0.1] > kl[5.0]
    assert mse[1e-3] < mse[0.1] < mse[5.0]
    assert kl[5.0] < 0.05
    assert mse[5.0] == pytest.approx(1, abs=0.1)


def test_samples_from_the_prior_look_like_the_events():
    detector = VAEDetector(**SMALL, beta=0.05).fit(plane(2000))
    X, drawn = plane(2000), detector.sample(4000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.corrcoef(X.T), atol=0.4)
    np.testing.assert_array_equal(drawn, detector.sample(4000, random_state=0))
    with pytest.raises(ValueError, match="n_samples must be a positive integer"):
        detector.sample(0)


def test_a_member_of_an_ensemble_is_the_network_trained_alone():
    X, y = plane(600), np.arange(600) % 3 == 0
    mass = np.random.RandomState(0).exponential(size=600)
    options = SMALL | {"max_epochs": 3, "exposure": OutlierExposure("kl")}
    options |= {"decorrelation": DisCo(-1)}
    X = np.column_stack([X, mass])
    one = VAEDetector(**options).fit(X, y)
    two = VAEDetector(**options, n_estimators=2).fit(X, y)
    two.trained_ = two.trained_.groups(1)[0]
    np.testing.assert_allclose(two.anomaly_score(X), one.anomaly_score(X), rtol=1e-3)


def massive(n, seed=0):
    """Features whose spread grows with the mass in the last column."""
    rng = np.random.RandomState(seed)
    mass = rng.uniform(1, 3, size=n)
    return np.column_stack([rng.normal(size=(n, 6)) * mass[:, None], 100 * mass])


@pytest.mark.parametrize("metric", ["nll", "loss"])
def test_disco_decorrelates(metric):
    train, test = massive(2000), massive(2000, seed=1)
    correlation = {}
    for strength in (0.0, 100.0):
        disco = DisCo(-1, metric=metric, strength=strength)
        detector = VAEDetector(**SMALL, beta=1.0, decorrelation=disco).fit(train)
        correlation[strength] = distance_correlation(test[:, -1], detector.anomaly_score(test))
    assert correlation[0.0] > 0.4
    assert correlation[100.0] < 0.5 * correlation[0.0]


def test_a_network_is_decorrelated_as_it_was_trained():
    """With the small beta of jets the mean shows the mass that no drawn score shows."""
    train, test = massive(2000), massive(2000, seed=1)
    disco = DisCo(-1, metric="mse", strength=100.0, annealing=(2, 3, 2))
    options = SMALL | {"hidden_layer_sizes": (64,), "n_latent": 6, "max_epochs": 30}
    detector = VAEDetector(**options, beta=1e-3, metric="mse", decorrelation=disco).fit(train)
    correlation = {
        n: distance_correlation(test[:, -1], detector.set_params(n_samples=n).anomaly_score(test))
        for n in (0, 1)
    }
    assert correlation[1] < 0.2
    assert correlation[1] < 0.5 * correlation[0]


def test_the_decorrelated_column_is_not_seen_but_kept():
    X = massive(300)
    detector = VAEDetector(**SMALL | {"max_epochs": 2}, decorrelation=DisCo(6)).fit(X)
    other = X.copy()
    other[:, 6] = 7.0
    np.testing.assert_array_equal(detector.anomaly_score(other), detector.anomaly_score(X))
    np.testing.assert_array_equal(detector.reconstruct(other)[:, 6], 7.0)
    assert detector.sample(3, random_state=0).shape == (3, 6)
    assert detector.feature_indices_.tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="decorrelation must leave a column"):
        VAEDetector(decorrelation=DisCo(0)).fit(X[:, :1])
    with pytest.raises(MissingColumnError, match="decorrelation__column=7 is not a column of X"):
        VAEDetector(decorrelation=DisCo(7)).fit(X)


@pytest.mark.parametrize("metric", ["mse", "kl"])
def test_exposed_outliers_and_their_like_become_anomalous(metric):
    background = plane(1500)

    def outliers(n, seed):
        # Inside of the background's range, where an unexposed detector sees nothing.
        rng = np.random.RandomState(seed)
        return 5 + 0.15 * rng.normal(size=(n, 6))

    X = np.concatenate([background, outliers(500, 1)])
    y = np.repeat([0, 1], [1500, 500])
    test = np.concatenate([plane(500, seed=2), outliers(500, 3)])
    truth = np.repeat([0, 1], 500)
    options = SMALL | {"beta": 0.1, "metric": metric}
    plain = VAEDetector(**options).fit(background)
    strength = {"mse": 500.0, "kl": 1.0}[metric]
    exposure = OutlierExposure(metric, strength=strength, margin=2.0, annealing=(2, 3, 2))
    exposed = VAEDetector(**options, exposure=exposure).fit(X, y)
    auc = {
        name: roc_auc_score(truth, d.anomaly_score(test))
        for name, d in {"plain": plain, "exposed": exposed}.items()
    }
    assert auc["plain"] < 0.5
    assert auc["exposed"] > 0.8
    # Scale and threshold are those of the background.
    np.testing.assert_allclose(
        exposed.trained_.networks[0][0].scaling.mean.numpy(), background.mean(axis=0)
    )
    assert (exposed.predict(background) == -1).mean() == pytest.approx(0.01, abs=1e-3)


def test_labels_of_outlier_exposure():
    X, y = plane(200), np.arange(200) % 2
    detector = VAEDetector(**SMALL | {"max_epochs": 2}, exposure=OutlierExposure("mse"))
    assert get_tags(detector).target_tags.required
    assert not get_tags(VAEDetector()).target_tags.required
    with pytest.raises(ValueError, match="exposure requires y"):
        detector.fit(X)
    with pytest.raises(ValueError, match="y must be 1 for exposed outliers .* the labels -1, 1"):
        detector.fit(X, 2 * y - 1)
    with pytest.raises(ValueError, match="y must hold both 1 .exposed outliers. and 0"):
        detector.fit(X, 0 * y)
    with pytest.raises(ValueError, match="y_val with X_val"):
        detector.fit(X, y, X_val=X)
    detector.fit(X, y, X_val=X[:50], y_val=y[:50])
    assert "valid_loss" in detector.history_[0][0]
    by_numbers = detector.fit(X, y).anomaly_score(X)
    np.testing.assert_array_equal(detector.fit(X, y == 1).anomaly_score(X), by_numbers)


def test_parameter_objects_are_no_estimators_but_have_parameters():
    assert not {"DisCo", "OutlierExposure"} & set(dict(all_estimators()))
    detector = VAEDetector(
        **SMALL | {"max_epochs": 3}, decorrelation=DisCo(-1), exposure=OutlierExposure("kl")
    )
    copy = clone(detector).set_params(decorrelation__strength=5.0, exposure__margin=2.0)
    assert (copy.decorrelation.strength, copy.exposure.margin) == (5.0, 2.0)
    assert (detector.decorrelation.strength, detector.exposure.margin) == (100.0, 10.0)

    def independence(detector, X, y=None):
        return -distance_correlation(X[:, -1], detector.anomaly_score(X))

    search = GridSearchCV(
        VAEDetector(**SMALL, beta=1.0, decorrelation=DisCo(-1)),
        {"decorrelation__strength": [0.0, 100.0]},
        scoring=independence,
        cv=2,
    ).fit(massive(1000))
    assert search.best_params_ == {"decorrelation__strength": 100.0}


@pytest.mark.parametrize(
    "params, message",
    [
        ({"decorrelation": "mass"}, "'decorrelation' parameter of VAEDetector must be None or an"),
        ({"decorrelation": DisCo(0, strength=-1.0)}, r"'strength' parameter of DisCo .*\[0.0, inf"),
        ({"decorrelation": DisCo(0, power=3)}, "'power' parameter of DisCo must be .* Got 3"),
        ({"exposure": OutlierExposure("nll")}, "'metric' parameter of OutlierExposure must be a"),
        ({"exposure": OutlierExposure(margin=-1.0)}, "'margin' parameter of OutlierExposure must"),
    ],
)
def test_parameter_objects_are_checked_in_fit(params, message):
    with pytest.raises(ValueError, match=message):
        VAEDetector(**params).fit(plane(20), np.arange(20) % 2)


@pytest.mark.parametrize("annealing", [(1, 2), (0, 0, 1), (-1, 1, 1), (0.5, 1, 1)])
def test_annealing_is_checked(annealing):
    with pytest.raises(ValueError, match=r"beta_annealing must be \(start, period, n_cycles\)"):
        VAEDetector(beta_annealing=annealing).fit(plane(20))
    with pytest.raises(ValueError, match=r"annealing of OutlierExposure must be \(start, period"):
        VAEDetector(exposure=OutlierExposure(annealing=annealing)).fit(plane(20), np.arange(20) % 2)
    with pytest.raises(ValueError, match=r"annealing of DisCo must be \(start, period, n_cycles\)"):
        VAEDetector(decorrelation=DisCo(0, annealing=annealing)).fit(plane(20))


def assert_most_anomalous_and_ordered(detector, X, column, sign):
    """Events ever further out in one column; the squares of the last ones overflow."""
    far = np.array([1e19, 1e30, 3.4e38, 1e60, 1e150, 1e300, 1.7e308])
    if X.dtype == np.float32:
        far = far[:3]
    events = np.repeat(X[:1], len(far), axis=0)
    events[:, column] = sign * far
    with np.errstate(over="ignore"):
        scores = detector.anomaly_score(events)
        assert (detector.predict(events) == -1).all()
    assert np.isfinite(scores).all()
    assert scores[0] > detector.anomaly_score(X).max()
    assert (np.diff(scores[far < 1e154]) > 0).all()
    assert (scores[far > 1e154] == np.finfo(np.float64).max).all()


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_events_are_most_anomalous_in_every_metric(activation, dtype):
    X = plane(300).astype(dtype)
    # A bounded activation gives every event far out the same latent point.
    for batch_size in (64, 300):  # networks in single precision, and in double
        detector = VAEDetector(
            **SMALL | {"max_epochs": 3, "activation": activation, "batch_size": batch_size}
        ).fit(X)
        for metric in ("nll", "mse", "kl", "mss"):
            for n_samples in (0, 2):
                detector.set_params(metric=metric, n_samples=n_samples)
                for column, sign in ((0, 1), (3, -1)):
                    assert_most_anomalous_and_ordered(detector, X, column, sign)


def test_extreme_events_keep_finite_reconstructions(detector):
    X = np.full((3, 6), 5.0)
    X[:, 2] = [1e19, 3.4e38, 1e300]
    assert np.isfinite(detector.transform(X)).all()
    assert np.isfinite(detector.reconstruct(X)).all()


def test_warm_start_keeps_the_latent_space():
    X = plane(300)
    detector = VAEDetector(**SMALL | {"max_epochs": 2}, warm_start=True).fit(X)
    detector.set_params(n_latent=5).fit(X)
    assert detector.transform(X).shape == (300, 2)
    assert list(detector.get_feature_names_out()) == ["latent0", "latent1"]


def test_defaults_are_a_start_on_jets():
    kinds = {"qcd": 5000, "w_80": 1000, "top_174": 1000}
    sample = load_jets(kinds=list(kinds))
    X = {
        kind: JetFrame().fit_transform(sample.data[sample.kind == kind][:n])
        for kind, n in kinds.items()
    }
    detector = make_pipeline(RobustScaler(), VAEDetector(max_epochs=10, random_state=0))
    background = detector.fit(X["qcd"][:4000]).score_samples(X["qcd"][4000:])
    area = {
        kind: roc_auc_score(
            np.repeat([1, 0], 1000), np.concatenate([background, detector.score_samples(X[kind])])
        )
        for kind in ("w_80", "top_174")
    }
    assert area["w_80"] > 0.6
    assert area["top_174"] > 0.85


@pytest.fixture(scope="module")
def jets():
    sample = load_jets(kinds=["qcd", "top_174"])
    rows = np.r_[0:4000, 30_000:31_000]
    return JetFrame().fit_transform(sample.data[rows]), sample.target[rows]


def test_jets_of_tops_are_anomalous_in_every_metric(jets):
    pytest.importorskip("ot")
    X, y = jets
    detector = papers.vae(metric="emd", random_state=0).set_params(max_epochs=6, batch_size=200)
    detector.fit(X[:3000])
    assert (detector.predict(X[:3000]) == -1).mean() == pytest.approx(0.01)
    X, y = X[3500:4500], y[3500:4500]
    scores = {}
    for metric in ("nll", "mse", "kl", "emd", "mss"):
        scores[metric] = detector.set_params(metric=metric).anomaly_score(X)
        assert roc_auc_score(y, scores[metric]) > 0.6, metric
    mean_decoded = detector.set_params(metric="emd", n_samples=0).anomaly_score(X)
    np.testing.assert_allclose(
        mean_decoded, energy_movers_distance(X, detector.reconstruct(X)), rtol=1e-6
    )
    detector.set_params(n_samples=1)
    detector.set_params(metric="emd")
    for column in (0, 3):  # an energy, which the distance does not see, and a momentum
        assert_most_anomalous_and_ordered(detector, X[:200], column, 1)


def test_emd_in_other_coordinates(jets):
    pytest.importorskip("ot")
    X, _ = jets
    coordinates = ConstituentCoordinates(relative=False).fit(X)
    Z = coordinates.transform(X[:1000])
    detector = papers.vae(random_state=0).set_params(
        max_epochs=3, batch_size=200, constituents="log_pt_eta_phi", n_samples=0
    )
    detector.fit(Z)
    scores = detector.set_params(metric="emd").anomaly_score(Z[:100])
    reconstruction = detector.reconstruct(Z[:100])
    reconstruction[:, ::3] = np.maximum(reconstruction[:, ::3], 0)
    by_p4 = energy_movers_distance(
        coordinates.inverse_transform(Z[:100]), coordinates.inverse_transform(reconstruction)
    )
    np.testing.assert_allclose(scores, by_p4, rtol=1e-5)
