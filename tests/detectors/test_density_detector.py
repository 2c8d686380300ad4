"""Rarity in a chosen frame."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skad.coordinates import LogTransformer, NormalCDFTransformer, TanhTransformer
from skad.datasets import make_gaussian_anomaly
from skad.density import FlowDensity, FramedDensity
from skad.detectors import DensityDetector
from skad.exceptions import ConstantColumnError, DiscreteColumnWarning


@pytest.fixture(scope="module")
def gaussians():
    X, y = make_gaussian_anomaly(20_000, 20_000, random_state=0, return_X_y=True)
    return X[y == 0], X, y


@pytest.mark.parametrize(
    ("frame", "exact_auc"),
    [(None, 0.697), (NormalCDFTransformer(), 0.500), (TanhTransformer(shift=2.0), 0.175)],
)
def test_auc_of_the_exact_density_in_every_frame(gaussians, frame, exact_auc):
    background, X, y = gaussians
    detector = DensityDetector(GaussianMixture(), frame=frame).fit(background)
    # In the flat frame the exact density says nothing, and a fitted one says its own noise.
    tolerance = 0.1 if exact_auc == 0.5 else 0.01
    assert roc_auc_score(y, detector.anomaly_score(X)) == pytest.approx(exact_auc, abs=tolerance)


def test_a_frame_can_be_chosen_after_the_fit(gaussians):
    background, X, _ = gaussians
    frame = TanhTransformer(shift=2.0).fit(background)
    after = DensityDetector(GaussianMixture(random_state=0)).fit(background)
    before = DensityDetector(GaussianMixture(random_state=0), frame=frame).fit(background)
    np.testing.assert_allclose(after.anomaly_score(X, frame=frame), before.anomaly_score(X))


def test_scores_are_minus_log_p_or_minus_p(gaussians):
    background, X, _ = gaussians
    logs = DensityDetector(GaussianMixture(random_state=0)).fit(background)
    linear = DensityDetector(GaussianMixture(random_state=0), log_score=False).fit(background)
    np.testing.assert_allclose(logs.anomaly_score(X), -norm.logpdf(X).sum(1), atol=0.3)
    np.testing.assert_allclose(linear.anomaly_score(X), -np.exp(-logs.anomaly_score(X)))
    assert (linear.predict(X) == logs.predict(X)).all()


def test_contamination_is_the_rarest_fraction_and_threshold_is_absolute(gaussians):
    background = gaussians[0]
    detector = DensityDetector(GaussianMixture(), contamination=0.05).fit(background)
    assert (detector.predict(background) == -1).mean() == pytest.approx(0.05, abs=1e-3)
    absolute = DensityDetector(GaussianMixture(), threshold=5.0).fit(background)
    np.testing.assert_array_equal(
        absolute.predict(background) == -1, absolute.anomaly_score(background) > 5.0
    )


def test_weighted_contamination(gaussians):
    X = gaussians[0][:2000]
    weight = np.where(X[:, 0] > 0, 3.0, 1.0)
    detector = DensityDetector(KernelDensity(), contamination=0.1).fit(X, sample_weight=weight)
    rare = detector.predict(X) == -1
    assert weight[rare].sum() / weight.sum() == pytest.approx(0.1, abs=0.005)


def test_conditional_density_in_a_frame():
    rng = np.random.RandomState(0)
    m = rng.uniform(1, 2, size=4000)
    X = pd.DataFrame({"m": m, "x": np.exp(m + 0.3 * rng.normal(size=m.size))})
    flow = FlowDensity(condition_features="m", max_epochs=4, n_transforms=2, random_state=0)
    detector = DensityDetector(FramedDensity(LogTransformer(), flow), frame=LogTransformer())
    detector.fit(X)
    in_x = DensityDetector(FramedDensity(LogTransformer(), flow)).fit(X)
    np.testing.assert_allclose(
        in_x.anomaly_score(X) - detector.anomaly_score(X), np.log(X["x"]), atol=1e-6
    )


@pytest.mark.parametrize("n_events", [20, 600, 20_000])
def test_default_of_a_table_is_blurred_and_has_steps_enough(n_events):
    flow = DensityDetector.default_density(n_events)
    assert flow.flow == "maf" and flow.noise == 0.3
    steps = -(-n_events // flow.batch_size)
    assert 300 <= flow.max_epochs * steps < 300 + steps


def test_default_of_many_events_is_that_of_flows():
    assert DensityDetector.default_density(20_001).get_params() == FlowDensity().get_params()


def test_default_is_fitted_to_what_it_is_asked_for(monkeypatch):
    monkeypatch.setattr("skad.detectors._density._STEPS", 3)
    X = np.random.RandomState(0).normal(size=(100, 2))
    detector = DensityDetector().fit(X)
    assert detector.density_.get_params() | {"random_state": None} == (
        DensityDetector.default_density(100).get_params() | {"random_state": None}
    )


@pytest.fixture
def with_constants():
    """Events of three columns, the first of which conditions the third, and two constants."""
    rng = np.random.RandomState(0)
    m, x, y = rng.normal(size=(3, 400))
    one = np.ones(400)
    return pd.DataFrame({"dead": 0.1 * one, "x": x, "stuck": -5 * one, "m": m, "y": m + y})


@pytest.mark.parametrize("condition", [None, "m", 3, -2])
def test_constant_columns_are_left_out_of_a_flow(with_constants, condition):
    X = with_constants
    flow = FlowDensity(max_epochs=2, condition_features=condition, random_state=0)
    with pytest.warns(DiscreteColumnWarning, match="left out: column 'dead', column 'stuck'"):
        detector = DensityDetector(flow).fit(X)
    assert detector.constant_indices_.tolist() == [0, 2]
    named, seed = condition and "m", detector.density_.random_state
    kept = FlowDensity(max_epochs=2, condition_features=named, random_state=seed)
    kept.fit(X[["x", "m", "y"]])
    expected = -kept.score_samples(X[["x", "m", "y"]])
    np.testing.assert_allclose(detector.anomaly_score(X), expected)
    # Constants in single precision are the same ones.
    np.testing.assert_allclose(detector.anomaly_score(X.astype("float32")), expected, rtol=1e-3)
    odd = X.assign(stuck=np.where(np.arange(400) < 2, -5.1, -5.0))
    scores = detector.anomaly_score(odd)
    assert (scores[:2] == np.finfo(float).max).all()
    np.testing.assert_allclose(scores[2:], expected[2:])
    assert (detector.predict(odd)[:2] == -1).all()


def test_constant_columns_in_coordinates_frames_and_weights(with_constants):
    X = with_constants.drop(columns="m").to_numpy()
    weight = np.ones(400)
    # Constant among the events that count.
    X[:3, 0], weight[:3] = 7.0, 0.0
    density = FramedDensity(TanhTransformer(), FlowDensity(max_epochs=2, random_state=0))
    frame = NormalCDFTransformer()
    with pytest.warns(DiscreteColumnWarning, match="column 0, column 2"):
        detector = DensityDetector(density, frame=frame, log_score=False).fit(
            X, sample_weight=weight
        )
    # The largest of -p.
    np.testing.assert_array_equal(detector.anomaly_score(X)[:3], 0.0)
    plain = detector.density_.score_samples(X[:, [1, 3]])
    expected = -np.exp(plain - norm.logpdf(X).sum(axis=1))
    np.testing.assert_allclose(detector.anomaly_score(X)[3:], expected[3:])
    with pytest.raises(ConstantColumnError, match="column 0 of X is constant"):
        DensityDetector().fit(np.ones((50, 2)))
