"""One density in many frames: Jacobians, samples, conditions, scikit-learn's densities."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import lognorm, norm
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.coordinates import LogitTransformer, LogTransformer, NormalCDFTransformer
from skad.density import FlowDensity, FramedDensity
from skad.exceptions import FiducialWarning


def lognormal(n, seed=0):
    return np.exp(np.random.RandomState(seed).normal(size=(n, 2)) * [0.3, 0.5] + [1, 2])


def exact_log_density(X):
    return lognorm(0.3, scale=np.e).logpdf(X[:, 0]) + lognorm(0.5, scale=np.e**2).logpdf(X[:, 1])


def test_jacobian_is_put_back():
    X = lognormal(20_000)
    density = FramedDensity(
        make_pipeline(LogTransformer(), StandardScaler()), GaussianMixture()
    ).fit(X)
    exact = exact_log_density(X)
    assert abs(density.score(X) - exact.mean()) < 0.01
    np.testing.assert_allclose(density.score_samples(X)[:500], exact[:500], atol=0.3)
    first = np.linspace(0.5, 12, 400)
    second = np.linspace(0.2, 60, 800)
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(-1, 2)
    cell = (first[1] - first[0]) * (second[1] - second[0])
    assert np.exp(density.score_samples(grid)).sum() * cell == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("inner", [GaussianMixture(), KernelDensity(bandwidth=0.2)])
def test_scikit_learns_densities_sample_in_the_frame_of_x(inner):
    density = FramedDensity(LogTransformer(), inner).fit(lognormal(5000))
    drawn = density.sample(20_000, random_state=1)
    np.testing.assert_allclose(np.log(drawn).mean(0), [1, 2], atol=0.05)
    assert (drawn == density.sample(20_000, random_state=1)).all()
    assert (drawn != density.sample(20_000, random_state=2)).any()


def test_reading_in_another_frame_needs_no_refit():
    X = lognormal(3000)
    density = FramedDensity(LogTransformer(), GaussianMixture(random_state=0)).fit(X)
    log_frame = LogTransformer().fit(X)
    in_log = density.in_frame(log_frame)
    direct = GaussianMixture(random_state=0).fit(np.log(X))
    np.testing.assert_allclose(in_log.score_samples(np.log(X)), direct.score_samples(np.log(X)))
    np.testing.assert_allclose(np.log(X).mean(0), in_log.sample(20_000, 0).mean(0), atol=0.03)
    flat = NormalCDFTransformer().fit(np.log(X))
    twice = in_log.in_frame(flat)
    U = flat.transform(np.log(X))
    np.testing.assert_allclose(
        twice.score_samples(U),
        in_log.score_samples(np.log(X)) - norm.logpdf(np.log(X)).sum(1),
        atol=1e-6,
    )


def test_conditions_stay_out_of_the_frame():
    rng = np.random.RandomState(0)
    m = rng.uniform(1, 3, size=20_000)
    X = pd.DataFrame({"m": m, "x": np.exp(m + 0.5 * rng.normal(size=m.size))})
    inner = FlowDensity(
        condition_features="m",
        max_epochs=8,
        n_transforms=2,
        hidden_layer_sizes=(16,),
        learning_rate=1e-2,
        random_state=0,
    )
    density = FramedDensity(LogTransformer(), inner).fit(X)
    exact = norm.logpdf(np.log(X["x"]), X["m"], 0.5) - np.log(X["x"])
    assert abs(density.score(X) - exact.mean()) < 0.02
    assert density.condition_features == "m"
    drawn = density.sample(3000, random_state=0, conditions=np.full(3000, 2.0))
    assert (drawn[:, 0] == 2.0).all()
    assert np.log(drawn[:, 1]).mean() == pytest.approx(2, abs=0.05)
    frame = LogTransformer().fit(X[["x"]])
    in_log = density.in_frame(frame)
    Y = np.column_stack([X["m"], np.log(X["x"])])
    np.testing.assert_allclose(
        in_log.score_samples(Y), density.score_samples(X) + np.log(X["x"]), atol=1e-6
    )


def test_weights_reach_the_density_or_fail():
    X = lognormal(300)
    weight = np.arange(1, 301.0)
    weighted = FramedDensity(LogTransformer(), KernelDensity()).fit(X, sample_weight=weight)
    by_hand = KernelDensity().fit(np.log(X), sample_weight=weight)
    np.testing.assert_allclose(
        weighted.score_samples(X), by_hand.score_samples(np.log(X)) - np.log(X).sum(1)
    )
    with pytest.raises(TypeError, match="fit of GaussianMixture takes none"):
        FramedDensity(None, GaussianMixture()).fit(X, sample_weight=weight)


def test_fitted_in_logit_the_density_lives_between_the_bounds():
    X = np.random.RandomState(0).beta(2, 3, size=(20_000, 1))
    density = FramedDensity(LogitTransformer(lower=0.0, upper=1.0), GaussianMixture(2)).fit(X)
    grid = np.linspace(0.0005, 0.9995, 1000)[:, None]
    p = np.exp(density.score_samples(grid))
    assert p.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(p, 12 * grid[:, 0] * (1 - grid[:, 0]) ** 2, atol=0.25)


def test_conditions_for_a_density_without_any():
    density = FramedDensity(None, KernelDensity()).fit(lognormal(50))
    with pytest.raises(TypeError, match="KernelDensity has no condition_features"):
        density.sample(2, conditions=[1.0, 2.0])


@pytest.mark.parametrize("frame", [np.asarray, pd.DataFrame])
def test_events_outside_the_domain_have_no_density(frame):
    rng = np.random.RandomState(0)
    X = rng.uniform(size=(500, 2))
    coordinates = LogitTransformer(lower=0, upper=1, outside="nan")
    density = FramedDensity(coordinates, GaussianMixture(random_state=0)).fit(frame(X))
    mixed = frame(np.concatenate([[[0.5, 1.5]], X[:3], [[-1.0, 0.5]]]))
    with pytest.warns(FiducialWarning, match="2 of 5 events"):
        log_density = density.score_samples(mixed)
    np.testing.assert_array_equal(np.isneginf(log_density), [True, False, False, False, True])
    np.testing.assert_allclose(log_density[1:4], density.score_samples(frame(X[:3])))
    with pytest.warns(FiducialWarning):
        assert np.isneginf(density.score_samples(frame(X[:2] + 2))).all()
    with pytest.raises(ValueError, match="2 of 5 events.*NaN; drop"):
        FramedDensity(coordinates, GaussianMixture()).fit(mixed)


def test_events_outside_the_domain_have_no_latent_values():
    flow = FlowDensity(n_transforms=1, hidden_layer_sizes=(8,), max_epochs=1, random_state=0)
    X = np.random.RandomState(0).uniform(size=(200, 2))
    density = FramedDensity(LogitTransformer(outside="nan"), flow).fit(X)
    with pytest.raises(ValueError, match="1 of 2 events lie outside the domain.*no latent values"):
        density.transform([[0.5, 0.5], [0.5, 7.0]])
