"""Flows as densities: truth, conditions, weights, averages, samples, latent space."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.preprocessing import StandardScaler

from skad.density import FlowDensity, FramedDensity
from skad.exceptions import MissingColumnError
from skad.nn import FLOW_KINDS
from skad.nn._flow_network import negative_log_likelihood
from skad.resonant import ResidualANODE, SignalRegion

MEAN = np.array([3500.0, 0.2])
COVARIANCE = np.array([[100.0**2, 0.6 * 100 * 0.05], [0.6 * 100 * 0.05, 0.05**2]])


def gaussian(n, seed=0):
    return np.random.RandomState(seed).multivariate_normal(MEAN, COVARIANCE, size=n)


@pytest.fixture(scope="module")
def fitted():
    return FlowDensity(max_epochs=10, n_transforms=2, hidden_layer_sizes=(16,), random_state=0).fit(
        gaussian(10_000)
    )


def test_gaussian_in_its_own_units(fitted):
    X = gaussian(20_000, seed=1)
    exact = multivariate_normal(MEAN, COVARIANCE).logpdf(X)
    assert abs(fitted.score(X) - exact.mean()) < 0.02
    assert np.median(np.abs(fitted.score_samples(X) - exact)) < 0.05


def test_density_integrates_to_one(fitted):
    first = np.linspace(MEAN[0] - 700, MEAN[0] + 700, 301)
    second = np.linspace(MEAN[1] - 0.35, MEAN[1] + 0.35, 301)
    grid = np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(-1, 2)
    cell = (first[1] - first[0]) * (second[1] - second[0])
    assert np.exp(fitted.score_samples(grid)).sum() * cell == pytest.approx(1, abs=0.01)


def test_samples_follow_the_density(fitted):
    drawn = fitted.sample(20_000, random_state=3)
    pulls = (drawn.mean(0) - MEAN) / np.sqrt(np.diag(COVARIANCE))
    np.testing.assert_allclose(pulls, 0, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), COVARIANCE, rtol=0.1)
    assert (drawn == fitted.sample(20_000, random_state=3)).all()
    assert (drawn != fitted.sample(20_000, random_state=4)).any()


def test_latent_space_and_its_jacobian(fitted):
    X = gaussian(500, seed=2)
    Z = fitted.transform(X)
    np.testing.assert_allclose(fitted.inverse_transform(Z), X, rtol=1e-4)
    np.testing.assert_allclose(
        fitted.score_samples(X),
        norm.logpdf(Z).sum(1) + fitted.log_abs_det_jacobian(X),
        atol=1e-5,
    )
    assert np.abs(np.cov(fitted.transform(gaussian(20_000, seed=3)).T) - np.eye(2)).max() < 0.05


def test_points_far_out_keep_a_finite_ordered_density(fitted):
    far = MEAN + np.outer([1e1, 1e2, 1e4, 1e8, 1e15], np.sqrt(np.diag(COVARIANCE)))
    log_density = fitted.score_samples(far)
    assert np.isfinite(log_density).all()
    assert (np.diff(log_density) < 0).all()


def conditional_events(m, rng):
    return np.column_stack([np.sin(m) + (0.3 + 0.1 * m) * rng.normal(size=len(m)), m])


def test_conditional_density_between_the_trained_conditions():
    rng = np.random.RandomState(0)
    m = rng.uniform(-2, 2, size=20_000)
    m = m[np.abs(m - 0.2) > 0.2]
    X = pd.DataFrame(conditional_events(m, rng), columns=["x", "m"])
    density = FlowDensity(
        condition_features="m",
        max_epochs=12,
        n_transforms=2,
        hidden_layer_sizes=(32, 32),
        learning_rate=1e-2,
        random_state=0,
    ).fit(X)
    between = rng.uniform(0, 0.4, size=5000)
    T = pd.DataFrame(conditional_events(between, rng), columns=["x", "m"])
    exact = norm.logpdf(T["x"], np.sin(T["m"]), 0.3 + 0.1 * T["m"])
    assert abs(density.score(T) - exact.mean()) < 0.02
    grid = np.linspace(-4, 4, 2001)
    for condition in (-1.5, 0.2, 1.5):
        line = pd.DataFrame({"x": grid, "m": condition})
        total = np.exp(density.score_samples(line)).sum() * (grid[1] - grid[0])
        assert total == pytest.approx(1, abs=0.01)
    drawn = density.sample(4000, random_state=0, conditions=np.full(4000, 0.2))
    assert (drawn[:, 1] == 0.2).all()
    assert drawn[:, 0].mean() == pytest.approx(np.sin(0.2), abs=0.05)
    assert drawn[:, 0].std() == pytest.approx(0.32, rel=0.1)
    free = density.sample(4000, random_state=0)
    assert set(free[:, 1]) <= set(m)
    assert list(density.get_feature_names_out()) == ["latent0", "m"]
    Z = density.transform(T)
    assert (Z[:, 1] == T["m"]).all()


def test_column_order_of_conditions_does_not_matter():
    rng = np.random.RandomState(0)
    X = conditional_events(rng.uniform(-2, 2, size=2000), rng)
    settings = {"max_epochs": 3, "n_transforms": 2, "hidden_layer_sizes": (8,), "random_state": 0}
    a = FlowDensity(condition_features=[1], **settings).fit(X)
    b = FlowDensity(condition_features=[0], **settings).fit(X[:, ::-1])
    assert (a.score_samples(X) == b.score_samples(X[:, ::-1])).all()


def test_mean_density_over_flows_and_epochs():
    X = gaussian(1500)
    settings = {"max_epochs": 4, "n_transforms": 2, "hidden_layer_sizes": (8,)}
    density = FlowDensity(n_estimators=2, n_averaged=2, random_state=0, **settings).fit(X)
    parts = []
    for kept, history in zip(density.trained_.networks, density.history_, strict=True):
        assert len(kept) == 2 and len(history) == 4
        for network in kept:
            single = pickle.loads(pickle.dumps(density))
            single.trained_.networks = [[network]]
            parts.append(np.exp(single.score_samples(X)))
    assert len({p.tobytes() for p in parts}) == 4
    np.testing.assert_allclose(density.score_samples(X), np.log(np.mean(parts, 0)), atol=1e-6)


def test_weights_act_like_repetitions():
    X = gaussian(300)
    weight = np.random.RandomState(0).randint(0, 3, size=300)
    settings = {"max_epochs": 20, "batch_size": 1000, "n_transforms": 2, "random_state": 0}
    a = FlowDensity(**settings).fit(X, sample_weight=weight)
    b = FlowDensity(**settings).fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(a.score_samples(X), b.score_samples(X), rtol=1e-7)


def test_given_validation_events_are_used():
    X = gaussian(2000)
    settings = {"max_epochs": 3, "n_transforms": 2, "select": "best", "random_state": 0}
    density = FlowDensity(**settings).fit(X, X_val=gaussian(500, seed=9))
    best = min(entry["valid_loss"] for entry in density.history_[0])
    assert -density.score(gaussian(500, seed=9)) == pytest.approx(best, abs=1e-4)


def test_warm_start_continues():
    X = gaussian(2000)
    density = FlowDensity(max_epochs=2, warm_start=True, schedule="constant", random_state=0)
    first = density.fit(X).score(X)
    for _ in range(3):
        density.fit(X)
    assert density.score(X) > first + 0.01


def test_flows_trained_by_the_recipe_make_the_same_density():
    X = pd.DataFrame(conditional_events(np.linspace(-2, 2, 500), np.random.RandomState(0)))
    X.columns = ["x", "m"]
    settings = {"max_epochs": 2, "n_transforms": 2, "n_estimators": 2, "condition_features": "m"}
    fitted = FlowDensity(**settings, random_state=0).fit(X)
    density = FlowDensity(**settings)
    recipe = density.recipe()
    x, m = X[["x"]].to_numpy(copy=True), X[["m"]].to_numpy(copy=True)
    scaling = recipe.scaling(x, m, names=["x"])
    trained = recipe.train(
        lambda k: recipe.network(*scaling),
        negative_log_likelihood,
        {"x": x, "m": m},
        random_state=0,
    )
    density.adopt(trained, X)
    assert (density.score_samples(X) == fitted.score_samples(X)).all()
    assert (density.sample(50, random_state=0) == fitted.sample(50, random_state=0)).all()
    assert list(density.get_feature_names_out()) == ["latent0", "m"]
    assert density.history_[1][-1]["train_loss"] == fitted.history_[1][-1]["train_loss"]


def test_a_recipe_of_wrong_parameters_is_refused():
    with pytest.raises(ValueError, match="'flow' parameter of FlowDensity must be"):
        FlowDensity("planar").recipe()


@pytest.mark.parametrize("make", [FlowDensity, FramedDensity])
@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_features_whose_squares_are_no_numbers_are_named(make, scale):
    X = gaussian(50) * [1.0, scale]
    with pytest.raises(ValueError, match="column 1 of X reaches"):
        make().fit(X)


def test_truth_labels_are_not_read():
    X = gaussian(500)
    settings = {"max_epochs": 2, "n_transforms": 2, "random_state": 0}
    y = np.arange(500) % 2
    a = FlowDensity(**settings).fit(X, y)
    b = FlowDensity(**settings).fit(X, y[::-1])
    assert (a.score_samples(X) == b.score_samples(X)).all()


def test_scaling_the_features_only_adds_the_log_scale():
    X = gaussian(3000)
    scaler = StandardScaler().fit(X)
    settings = {"max_epochs": 3, "n_transforms": 2, "random_state": 0}
    a = FlowDensity(**settings).fit(X).score_samples(X)
    b = FlowDensity(**settings).fit(scaler.transform(X)).score_samples(scaler.transform(X))
    np.testing.assert_allclose(a, b - np.log(scaler.scale_).sum(), atol=1e-3)


@pytest.mark.parametrize("flow", FLOW_KINDS)
def test_every_kind_learns_a_bent_density(flow):
    rng = np.random.RandomState(0)

    def bent(n):
        first = rng.normal(size=n)
        return np.column_stack([first, 0.5 * first**2 + 0.5 * rng.normal(size=n)])

    X, T = bent(4000), bent(4000)
    exact = norm.logpdf(T[:, 0]) + norm.logpdf(T[:, 1], 0.5 * T[:, 0] ** 2, 0.5)
    naive = multivariate_normal(X.mean(0), np.cov(X.T)).logpdf(T).mean()
    options = {"hidden_layer_sizes": (16, 16), "max_epochs": 12, "n_transforms": 3}
    if flow == "cnf":
        options = {"hidden_layer_sizes": (16, 16), "max_epochs": 6, "n_transforms": 1}
    if flow == "flow_matching":
        options = {"hidden_layer_sizes": (32, 32), "max_epochs": 40}
    density = FlowDensity(flow, learning_rate=1e-2, batch_size=256, random_state=0, **options)
    score = density.fit(X).score(T)
    assert exact.mean() - 0.12 < score < exact.mean() + 0.03
    assert score > naive + 0.15


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"condition_features": "mjj"}, MissingColumnError, "no column names"),
        ({"condition_features": [7]}, MissingColumnError, "condition_features=7 is not a column"),
        ({"condition_features": [0, 1]}, ValueError, "at least one column to model"),
        ({"condition_features": [1, 1]}, ValueError, "names a column twice"),
        ({"device": "banana"}, ValueError, "device='banana'"),
    ],
)
def test_bad_parameters_are_named(params, error, message):
    with pytest.raises(error, match=message):
        FlowDensity(max_epochs=1, **params).fit(gaussian(50))


def test_constant_feature_is_named():
    X = pd.DataFrame(gaussian(50), columns=["mjj", "tau21"]).assign(tau21=0.5)
    with pytest.raises(ValueError, match="column 'tau21' of X is constant"):
        FlowDensity(max_epochs=1).fit(X)
    conditional = FlowDensity(max_epochs=1, condition_features="tau21").fit(X)
    assert np.isfinite(conditional.score(X))


def test_bad_conditions_are_named(fitted):
    with pytest.raises(ValueError, match="no condition_features"):
        fitted.sample(3, conditions=np.zeros(3))
    X = np.column_stack([gaussian(50), np.zeros(50)])
    density = FlowDensity(max_epochs=1, condition_features=[2]).fit(X)
    with pytest.raises(ValueError, match=r"\(n_samples, n_conditions\) = \(3, 1\); got \(4,\)"):
        density.sample(3, conditions=np.zeros(4))
    with pytest.raises(ValueError, match="must be finite"):
        density.sample(3, conditions=[0, np.nan, 1])
    with pytest.raises(ValueError, match="n_samples must be a positive integer"):
        density.sample(0)


def test_noise_blurs_the_density_by_its_width():
    """Values that repeat then have a density: here two of them, 1 apart, blurred by 0.2."""
    rng = np.random.RandomState(0)
    x, lumps = rng.normal(10, 2, 20_000), rng.choice([-0.5, 0.5], 20_000)
    flow = FlowDensity(noise=0.4, max_epochs=10, random_state=0).fit(np.column_stack([x, lumps]))
    tested = np.column_stack([rng.normal(10, 2, 300), rng.uniform(-0.8, 0.8, 300)])
    in_x = norm(10, np.hypot(2, 0.4 * x.std())).logpdf(tested[:, 0])
    centres = np.array([[-0.5], [0.5]])
    in_lumps = np.log(norm(centres, 0.4 * lumps.std()).pdf(tested[:, 1]).mean(axis=0))
    assert np.abs(flow.score_samples(tested) - in_x - in_lumps).mean() < 0.1


def test_noise_is_refused_where_no_likelihood_is_trained():
    X = gaussian(300)
    with pytest.raises(ValueError, match="noise is for flows of maximum likelihood"):
        FlowDensity("flow_matching", noise=0.1, max_epochs=1).fit(X)
    own = ResidualANODE(FlowDensity(noise=0.1), region=SignalRegion(3450.0, 3550.0))
    with pytest.raises(ValueError, match="noise=0.1 is for flows that are fitted as densities"):
        own.fit(gaussian(3000))
