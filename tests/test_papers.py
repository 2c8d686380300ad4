"""The detectors of the papers have the settings of the papers and train with them."""

from functools import partial

import numpy as np
import pytest
from scipy import stats
from scipy.stats import norm
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils import get_tags

from skad import papers
from skad.coordinates import LogitTransformer
from skad.datasets import make_resonance
from skad.detectors import DisCo, OutlierExposure
from skad.resonant import CATHODE, GivenReference, LaCATHODE, SignalRegion


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
    assert settings(detector, "scaling", "metric", "n_samples") == ("robust", "nll", 1)
    assert settings(detector, "decorrelation", "exposure") == (None, None)
    # 0.1 times the mean over 10 latent dimensions.
    assert detector.beta * detector.n_latent == pytest.approx(0.1)
    assert detector.kl_weight * detector.n_latent == pytest.approx(1.0)
    X = np.random.RandomState(0).normal(size=(200, 80))
    network = detector.set_params(max_epochs=1).fit(X).trained_.networks[0][0]
    weights = [tuple(p.shape) for p in network.parameters() if p.ndim == 2]
    encoder = [(256, 80), (128, 256), (64, 128), (20, 64)]
    assert weights == [*encoder, (64, 10), (128, 64), (256, 128), (80, 256)]


def test_vae_disco():
    detector = papers.vae_disco(-1, random_state=0)
    assert settings(detector, *ADAM) == (100, 100, 1e-3, {30: 0.1}, None, 0.0)
    assert settings(detector, "beta", "beta_annealing") == (0.01, None)
    assert detector.decorrelation.get_params() == {
        "column": -1, "metric": "loss", "strength": 100.0, "annealing": (10, 10, 2), "power": 2
    }  # fmt: skip
    assert papers.vae_disco("mass", strength=1000.0).decorrelation.strength == 1000.0


@pytest.mark.parametrize("metric, strength", [("mse", 500.0), ("kl", 0.2)])
def test_vae_outlier_exposure(metric, strength):
    detector = papers.vae_outlier_exposure(metric, random_state=0)
    assert detector.metric == metric
    assert settings(detector, *ADAM) == (100, 100, 1e-3, {30: 0.1, 60: 0.01}, None, 0.0)
    assert settings(detector, *STOPPING) == (True, 0.2, 10, 0.0, "best")
    # Rises start at epoch 10, take 5 epochs, and are reset twice.
    assert detector.exposure.get_params() == {
        "metric": metric, "strength": strength, "margin": 10.0, "annealing": (10, 5, 3)
    }  # fmt: skip


def test_jet_classifier():
    detector = papers.jet_classifier(random_state=0)
    network = detector.classifier
    assert settings(network, *ADAM) == (50, 100, 1e-3, "constant", None, 0.0)
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(400, 3)), np.arange(400) % 2
    X[y == 1] += 2
    detector = detector.set_params(classifier__max_epochs=10).fit(X, y)
    assert roc_auc_score(y, detector.anomaly_score(X)) > 0.95
    shapes = [tuple(p.shape) for p in detector.classifiers_[0].trained_.networks[0][0].parameters()]
    assert [shape for shape in shapes if len(shape) == 2] == [
        (256, 3), (128, 256), (64, 128), (6, 64), (1, 6)
    ]  # fmt: skip


def test_unknown_metric_of_outlier_exposure():
    with pytest.raises(ValueError, match="'metric' parameter of .* among .*Got 'nll'"):
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
        detector = clone(build(random_state=seed)).set_params(max_epochs=42, batch_size=200)
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


REGION = (3.3, 3.7)


def test_coordinate_frames():
    frames = papers.coordinate_frames()
    X = np.random.RandomState(0).normal(size=(500, 2))
    np.testing.assert_allclose(frames["Phi(x)"].fit_transform(X), norm.cdf(X))
    moved = frames["tanh(x+2)"].fit_transform(X)
    np.testing.assert_allclose(moved, stats.zscore(np.tanh(X + 2)))
    assert frames["x"] is None


def test_coordinate_flow():
    detector = papers.coordinate_flow(random_state=5)
    flow = detector.density
    assert not detector.log_score
    assert settings(flow, *ADAM) == (500, 10_000, 1e-3, "constant", None, 0.0)
    assert settings(flow, *STOPPING) == (True, 0.2, 10, 0.0, "best")
    assert settings(flow, "flow", "n_transforms", "hidden_layer_sizes", "random_state") == (
        "cnf", 2, (50, 20, 10), 5
    )  # fmt: skip


def test_coordinate_classifier():
    detector = papers.coordinate_classifier(random_state=5)
    network = detector.classifier
    assert detector.cv is None and detector.random_state == 5
    assert network.hidden_layer_sizes == (50, 50, 20, 20, 10, 10)
    assert settings(network, *ADAM) == (500, 50_000, 1e-3, "constant", None, 0.0)
    assert settings(network, *STOPPING[:3], "select") == (True, 0.2, 20, "best")


# The flow of ANODE and CATHODE; both papers train it with Adam at a constant rate.
MADE = ("maf", 15, (128, 128), {"batch_norm": True}, 256, 1e-4, 1e-6, "constant", None)


def made(flow):
    names = ("flow", "n_transforms", "hidden_layer_sizes", "flow_options", "batch_size")
    return settings(flow, *names, "learning_rate", "weight_decay", "schedule", "clip_norm")


def test_anode():
    detector = papers.anode(REGION, resonance=1, random_state=5)
    assert settings(detector, "region", "resonance", "fiducial", "random_state") == (
        REGION, 1, (0.05, 0.95), 5
    )  # fmt: skip
    assert isinstance(detector.coordinates, LogitTransformer)
    epochs = ("max_epochs", "select", "n_averaged")
    for density, n_averaged in ((detector.data_density, 1), (detector.background_density, 10)):
        assert made(density) == MADE
        assert settings(density, *epochs) == (50, "last", n_averaged)
    flow = detector.background_density.set_params(max_epochs=1, condition_features=[4])
    flow.fit(np.random.RandomState(0).normal(size=(300, 5)))
    # The number logged by the public code of CATHODE for the same blocks.
    assert sum(p.numel() for p in flow.trained_.networks[0][0].parameters()) == 274_800


@pytest.mark.parametrize("unit", [1.0, 1000.0])
def test_cwola_hunting(unit):
    """Sidebands of 200 GeV for 3.3 to 3.7 TeV, whatever the unit of m."""
    detector = papers.cwola_hunting((3.3 * unit, 3.7 * unit), resonance=1, random_state=5)
    (start, low), (high, stop) = detector.template.region.sidebands
    assert (start, low) == pytest.approx((3.1 * unit, 3.3 * unit))
    assert (high, stop) == pytest.approx((3.7 * unit, 3.9 * unit))
    assert (detector.template.resonance, detector.random_state) == (1, 5)
    network = detector.classifier
    assert settings(network, "hidden_layer_sizes", "dropout") == ((64,) * 4, 0.1)
    assert settings(network, *ADAM) == (300, 128, 1e-3, "constant", None, 0.0)
    assert settings(network, "select", "n_averaged") == ("last", 10)


def test_cwola_hunting_keeps_a_width():
    region = SignalRegion(3.3, 3.7, sideband_width=0.5)
    assert papers.cwola_hunting(region).template.region == region
    default = papers.cwola_hunting().template.region
    assert (default.low, default.high, default.quantile) == (0.4, 0.6, True)
    assert default.sideband_width == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(
    "build, template",
    [(papers.cathode, CATHODE), (papers.lacathode, LaCATHODE), (papers.idealised, GivenReference)],
)
def test_cathode(build, template):
    detector = build(REGION, resonance=1, random_state=5)
    assert type(detector.template) is template
    assert settings(detector.template, "region", "resonance") == (REGION, 1)
    network = detector.classifier
    assert settings(network, "hidden_layer_sizes", "class_weight") == ((64,) * 3, "balanced")
    assert settings(network, *ADAM) == (100, 128, 1e-3, "constant", None, 0.0)
    assert settings(network, "select", "n_averaged", "validation_fraction") == ("best", 10, 0.5)
    if template is not GivenReference:
        flow = detector.template.density
        assert made(flow) == MADE
        assert settings(flow, "max_epochs", "select", "n_averaged") == (100, "best", 10)
        # 380 000 of 880 000 sideband events; 400 000 samples for 121 000 events of the region.
        assert flow.validation_fraction == pytest.approx(380 / 880, abs=0.01)
        assert detector.template.oversampling == pytest.approx(400 / 121, abs=0.01)


def test_sigma():
    detector = papers.sigma(REGION, resonance=1, random_state=5)
    template, trees = detector.template, detector.classifier
    assert settings(template, "region", "resonance", "margin", "interpolation") == (
        REGION, 1, 0.25, "velocity"
    )  # fmt: skip
    flow = template.density
    assert settings(flow, "flow", "hidden_layer_sizes", "max_epochs", "batch_size") == (
        "flow_matching", (256,) * 4, 2000, 4096
    )  # fmt: skip
    assert flow.flow_options == {"residual": True, "n_frequencies": 9}
    assert settings(trees, "n_estimators", "n_forest_trees") == (50, 0)


def test_treebased():
    trees = papers.treebased(REGION).classifier
    assert settings(trees, "n_estimators", "n_forest_trees", "validation_fraction") == (10, 0, 0.5)
    assert settings(trees, "max_iter", "learning_rate", "max_leaf_nodes") == (100, 0.1, 31)
    assert settings(trees, "max_bins", "n_iter_no_change", "class_weight") == (127, 10, "balanced")
    # The defaults of scikit-learn.
    assert settings(trees, "min_samples_leaf", "l2_regularization") == (20, 0.0)


def test_salad():
    detector = papers.salad(REGION, resonance=1, random_state=5)
    assert settings(detector.template, "region", "resonance") == (REGION, 1)
    for network, class_weight in (
        (detector.template.classifier, None),
        (detector.classifier, "balanced"),
    ):
        assert settings(network, "hidden_layer_sizes", "dropout") == ((64,) * 4, 0.1)
        assert settings(network, *ADAM) == (5, 200, 1e-3, "constant", None, 0.0)
        assert network.class_weight == class_weight


# The best of five networks that learn from 80 % of the events, ten times.
INTERPLAY_NETWORK = (10, 5, (64, 32), 100, 128, 1e-3, True, 0.2, 5, "best")


def interplay_network(classifier):
    names = ("n_estimators", "n_candidates", "hidden_layer_sizes", "max_epochs", "batch_size")
    return settings(classifier, *names, "learning_rate", *STOPPING[:3], "select")


def test_curtains():
    detector = papers.curtains(REGION, random_state=5)
    template = detector.template
    assert (template.loss, template.coordinates) == ("likelihood", "passthrough")
    density, transport = template.density, template.transport
    assert settings(density, *ADAM) == (50, 128, 1e-4, "cosine", 5.0, 0.0)
    assert settings(transport, *ADAM) == (50, 256, 5e-4, "cosine", 5.0, 0.0)
    # A residual block has two layers; the input layer is one more.
    assert (density.flow, density.n_transforms, len(density.hidden_layer_sizes)) == ("nsf", 1, 16)
    assert (transport.n_transforms, transport.hidden_layer_sizes) == (2, (16,) * 9)
    assert density.flow_options["n_bins"] == transport.flow_options["n_bins"] == 10
    assert interplay_network(detector.classifier) == INTERPLAY_NETWORK
    first = papers.curtains(REGION, loss="optimal_transport")
    (start, _), (_, stop) = first.template.region.sidebands
    assert (start, stop) == pytest.approx((2.9, 4.1))
    transport, network = first.template.transport, first.classifier
    assert settings(transport, *ADAM) == (200, 100, 1e-4, "cosine", 5.0, 0.0)
    assert settings(transport, "n_transforms", "hidden_layer_sizes", "flow_options") == (
        4, (32, 32), {"n_bins": 4}
    )  # fmt: skip
    assert settings(network, *ADAM) == (20, 128, 1e-3, "cosine", None, 0.0)
    assert network.hidden_layer_sizes == (32, 32, 32)
    with pytest.raises(ValueError, match="loss must be 'likelihood' or 'optimal_transport'; got"):
        papers.curtains(REGION, loss="mse")


def test_feta():
    detector = papers.feta(REGION)
    template = detector.template
    assert template.coordinates.feature_range == (-3, 3)
    assert (template.oversampling, template.mass_spectrum) == (6.0, "simulation")
    density, transport = template.density, template.transport
    assert settings(density, *ADAM) == (100, 128, 1e-4, "cosine", 5.0, 1e-4)
    assert settings(transport, *ADAM) == (50, 256, 5e-4, "cosine", 5.0, 1e-4)
    assert density.flow_options == {"residual": True, "n_bins": 10, "dropout": 0.05}
    assert settings(transport, "flow", "n_transforms", "hidden_layer_sizes") == (
        "nsf_coupling", 8, (32, 32)
    )  # fmt: skip
    assert density.select == transport.select == "best"
    assert interplay_network(detector.classifier) == INTERPLAY_NETWORK


def test_interplay():
    methods = ("salad", "cathode", "curtains", "feta", "idealised")
    built = {method: papers.interplay(method, REGION, resonance=1) for method in methods}
    for detector in built.values():
        assert detector.cv is None
        assert interplay_network(detector.classifier) == INTERPLAY_NETWORK
        assert detector.template.resonance == 1
        region = detector.template.region
        if detector is built["curtains"]:
            (start, low), (high, stop) = region.sidebands
            assert (start, low, high, stop) == pytest.approx((2.7, 3.3, 3.7, 4.5))
        else:
            assert region == REGION
    network = built["salad"].template.classifier
    assert network.hidden_layer_sizes == (100, 100, 100) and network.class_weight is None
    assert settings(network, *ADAM) == (50, 256, 1e-3, "constant", None, 0.0)
    assert settings(network, *STOPPING[:3], "select") == (True, 0.2, 10, "best")
    # 1 866 816 moved events for 466 000 of the sidebands.
    assert settings(built["curtains"].template, "oversampling", "oversampled") == (4.0, "sidebands")
    for method, build in (
        ("cathode", papers.cathode),
        ("curtains", papers.curtains),
        ("feta", papers.feta),
    ):
        assert repr(built[method].template) == repr(build(REGION, resonance=1).template)
    samples = papers.interplay("samples", REGION)
    assert [repr(template) for _, template in samples.template.templates] == [
        repr(papers.interplay(method, REGION).template) for method in methods[:4]
    ]
    scores = papers.interplay("scores", REGION, random_state=5)
    assert scores.voting == "probability" and scores.random_state == 5
    assert [name for name, _ in scores.detectors] == list(methods[:4])
    with pytest.raises(ValueError, match="'method' parameter of interplay .* among .*Got 'anode'"):
        papers.interplay("anode")


def small(detector):
    """The detector in a training of one epoch, which is too short to be good."""
    short = {"max_epochs": 1, "n_averaged": 1, "n_estimators": 1, "n_jobs": None}
    params = detector.get_params()
    changed = {n: short[n.rpartition("__")[2]] for n in params if n.rpartition("__")[2] in short}
    return detector.set_params(**changed)


RESONANT = {
    "anode": papers.anode,
    "cwola_hunting": papers.cwola_hunting,
    "cathode": papers.cathode,
    "lacathode": papers.lacathode,
    "sigma": papers.sigma,
    "idealised": papers.idealised,
    "treebased": papers.treebased,
    "salad": papers.salad,
    "curtains": papers.curtains,
    "curtains (optimal transport)": partial(papers.curtains, loss="optimal_transport"),
    "feta": papers.feta,
    "interplay": partial(papers.interplay, "samples"),
}


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
@pytest.mark.parametrize("name", RESONANT)
def test_resonant_detectors_fit(name):
    """Fitted in the given region of the given column; scored everywhere."""
    data, simulation = (make_resonance(1500, 0, random_state=s).data[:, [1, 0, 2]] for s in (0, 1))
    X, y = np.concatenate([data, simulation]), np.repeat([1, 0], 1500)
    detector = small(RESONANT[name](REGION, resonance=1, random_state=0))
    if not get_tags(detector).target_tags.required:
        X, y = data, None
    detector.fit(X, y)
    assert (detector.region_.low, detector.region_.high) == REGION
    assert detector.region_.feature == 1
    scores = detector.anomaly_score(data)
    assert (scores > 0).all() and np.isfinite(scores).all()
    sample, _ = detector.sample_background(50, random_state=0)
    if name != "cwola_hunting":
        assert detector.region_.mask(sample).all()


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
def test_scores_of_the_interplay_are_averaged():
    data, simulation = (make_resonance(1500, 0, random_state=s).data for s in (0, 1))
    X, y = np.concatenate([data, simulation]), np.repeat([1, 0], 1500)
    detector = small(papers.interplay("scores", REGION, random_state=0)).fit(X, y)
    ratios = np.array([member.anomaly_score(data) for member in detector.detectors_])
    outputs = ratios / (1 + ratios)
    np.testing.assert_allclose(detector.anomaly_score(data), outputs.mean(axis=0), rtol=1e-6)


def test_every_function_is_fitted():
    elsewhere = {"coordinate_autoencoder", "vae", "vae_disco", "vae_outlier_exposure"}
    # Their examples or tests fit them.
    elsewhere |= {"coordinate_frames", "coordinate_flow", "coordinate_classifier"}
    elsewhere |= {"jet_classifier"}
    assert {name.partition(" ")[0] for name in RESONANT} | elsewhere == set(papers.__all__)
