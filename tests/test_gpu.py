"""Every network estimator on a GPU: like on the CPU, and back on it after pickling."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import get_tags

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier, VAEDetector
from skad.exceptions import DivergenceWarning
from skad.io import load_model, save_model
from skad.nn._captured import CapturedStep
from skad.nn._engine import Trainer
from skad.nn._mlp import MLP
from skad.resonant import ANODE, CATHODE, CURTAINS, FETA, SALAD, LaCATHODE, ResidualANODE

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")

REGION = (3.3, 3.7)


@pytest.fixture(scope="module")
def events():
    return make_resonance(6000, 200, random_state=0, return_X_y=True)


def flow(kind="nsf", **options):
    return FlowDensity(
        kind, n_transforms=2, hidden_layer_sizes=(16,), max_epochs=3, random_state=0, **options
    )


NETWORKS = {
    "nsf": flow(),
    "nsf_coupling": flow("nsf_coupling"),
    "maf": flow("maf"),
    "cnf": FlowDensity("cnf", hidden_layer_sizes=(16,), max_epochs=2, random_state=0),
    "conditional": flow(condition_features=0, n_estimators=2),
    "autoencoder": AutoencoderDetector(max_epochs=5, random_state=0),
    "vae": VAEDetector(n_latent=2, max_epochs=3, n_samples=4, random_state=0),
    "classifier": NetworkClassifier((16,), n_estimators=2, max_epochs=3, random_state=0),
}


def on(device, estimator):
    """Clone of an estimator with all its networks on a device."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "device"]
    assert names
    return clone(estimator).set_params(**dict.fromkeys(names, device))


def scores(estimator, X):
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)[:, 1]
    return estimator.score_samples(X)


@pytest.mark.parametrize("name", NETWORKS)
def test_trains_as_on_the_cpu(events, name):
    X, y = events
    here, there = (on(device, NETWORKS[name]).fit(X, y) for device in ("cpu", "cuda"))
    one, other = scores(here, X), scores(there, X)
    # Same initial weights, same batches; sums are rounded in another order.
    assert np.median(np.abs(one - other)) < 0.03 * np.ptp(np.quantile(one, [0.05, 0.95]))
    assert np.corrcoef(one, other)[0, 1] > 0.99


RECORDED = {
    **NETWORKS,
    "one cycle, clipped": flow(schedule="one_cycle", clip_norm=1.0),
    "stack, clipped": flow(n_estimators=2, clip_norm=1.0),
    "batch norm": flow("maf", flow_options={"batch_norm": True}),
    "fixed steps": FlowDensity(
        "cnf",
        hidden_layer_sizes=(16,),
        flow_options={"solver": "rk4", "n_steps": 4},
        max_epochs=2,
        random_state=0,
    ),
    "matching": FlowDensity("flow_matching", hidden_layer_sizes=(16,), max_epochs=3),
    "dropout": NetworkClassifier((16,), dropout=0.2, n_estimators=3, max_epochs=3),
    "annealed": VAEDetector(n_latent=2, max_epochs=6, beta_annealing=(1, 2, 1)),
    "members leave": NetworkClassifier(
        (16,), n_estimators=3, early_stopping=True, n_iter_no_change=2, max_epochs=8
    ),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_steps_are_those_taken_one_by_one(events, name, monkeypatch):
    X, y = events
    estimator = on("cuda", RECORDED[name]).set_params(random_state=0)
    replayed = scores(clone(estimator).fit(X, y), X)
    np.testing.assert_array_equal(scores(clone(estimator).fit(X, y), X), replayed)
    monkeypatch.setattr(CapturedStep, "records", staticmethod(lambda members: False))
    one_by_one = scores(clone(estimator).fit(X, y), X)
    spread = np.ptp(np.quantile(one_by_one, [0.05, 0.95]))
    assert np.median(np.abs(one_by_one - replayed)) < 1e-3 * spread


@pytest.mark.parametrize("n_members", [1, 2])
def test_steps_without_a_number_are_left_out(n_members):
    rng = np.random.RandomState(0)
    x = rng.normal(size=(4000, 2)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.float32)

    def objective(network, batch):
        loss = (network(batch["x"])[..., 0] - batch["y"]).square()
        # One batch of every epoch.
        return torch.where((batch["x"] == x[7, 0]).any(), torch.nan, loss.mean())

    losses = []
    for device in ("cpu", "cuda"):
        trainer = Trainer(max_epochs=4, batch_size=100, device=device, clip_norm=1.0)
        with pytest.warns(DivergenceWarning):
            trained = trainer.fit(
                lambda k: MLP(2, (8,)),
                objective,
                {"x": torch.from_numpy(x), "y": torch.from_numpy(y)},
                seeds=range(n_members),
            )
        losses.append([[entry["train_loss"] for entry in h] for h in trained.histories])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-2)


@pytest.mark.parametrize("name", NETWORKS)
def test_pickle_of_a_gpu_model_scores_on_the_cpu(events, name):
    X, y = events
    fitted = on("cuda", NETWORKS[name]).fit(X, y)
    assert fitted.trained_.device.type == "cuda"
    loaded = pickle.loads(pickle.dumps(fitted))
    assert loaded.trained_.device.type == "cpu"
    assert fitted.trained_.device.type == "cuda"
    np.testing.assert_allclose(scores(loaded, X), scores(fitted, X), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_model_file_of_a_gpu_model_scores_on_the_cpu(events, name, tmp_path):
    X, y = events
    fitted = on("cuda", NETWORKS[name]).fit(X, y)
    save_model(fitted, tmp_path / "model.skad")
    loaded = load_model(tmp_path / "model.skad")
    assert loaded.trained_.device.type == "cpu"
    assert fitted.trained_.device.type == "cuda"
    # What a pickle, and so a copy on the CPU, gives.
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(scores(loaded, X), scores(copied, X))


@pytest.mark.parametrize("kind", ["nsf", "nsf_coupling", "maf"])
def test_flow_inverts_and_samples_on_the_gpu(events, kind):
    X, _ = events
    fitted = on("cuda", flow(kind)).fit(X)
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(X)), X, atol=1e-3)
    drawn = fitted.sample(20_000, random_state=0)
    np.testing.assert_array_equal(drawn, fitted.sample(20_000, random_state=0))
    assert abs(drawn.mean(axis=0) - X.mean(axis=0)).max() < 0.3


def test_caller_keeps_its_gpu_generator(events):
    X, y = events
    torch.cuda.manual_seed(5)
    before = torch.cuda.get_rng_state()
    on("cuda", NETWORKS["vae"]).fit(X, y)
    assert torch.equal(before, torch.cuda.get_rng_state())


def test_memory_of_the_gpu_is_given_back(events):
    X, y = events
    on("cuda", NETWORKS["nsf"]).fit(X, y)
    before = torch.cuda.memory_allocated()
    on("cuda", NETWORKS["nsf"]).fit(X, y)
    assert torch.cuda.memory_allocated() <= before + 2**20


@pytest.mark.parametrize(
    "detector",
    [
        ANODE(flow(), flow(), region=REGION, random_state=0),
        ResidualANODE(flow("maf"), flow(), region=REGION, n_folds=2, random_state=0),
    ],
    ids=["ANODE", "ResidualANODE"],
)
def test_density_ratio_detectors(events, detector):
    X, _ = events
    here, there = (on(device, detector).fit(X) for device in ("cpu", "cuda"))
    one, other = here.score_samples(X), there.score_samples(X)
    assert np.corrcoef(one, other)[0, 1] > 0.97
    loaded = pickle.loads(pickle.dumps(there))
    np.testing.assert_allclose(loaded.score_samples(X), other, rtol=1e-2, atol=1e-2)
    drawn, _ = there.sample_background(1000, random_state=0)
    assert there.region_.mask(drawn).all()


@pytest.mark.parametrize(
    "template",
    [
        CATHODE(flow(), region=REGION),
        LaCATHODE(flow(), region=REGION),
        CURTAINS(flow(), flow("nsf_coupling"), region=REGION),
        CURTAINS(flow(), flow("nsf_coupling"), region=REGION, loss="optimal_transport"),
        FETA(flow(), flow("nsf_coupling"), region=REGION),
        SALAD(NetworkClassifier((16,), max_epochs=3), region=REGION),
    ],
    ids=["CATHODE", "LaCATHODE", "CURTAINS", "CURTAINS transport", "FETA", "SALAD"],
)
def test_templates(events, template):
    X, _ = events
    rng = np.random.RandomState(1)
    simulation = X + rng.normal(scale=0.01, size=X.shape)
    both, y = np.concatenate([X, simulation]), np.repeat([1, 0], len(X))
    if not get_tags(template).target_tags.required:
        both, y = X, None
    means = []
    for device in ("cpu", "cuda"):
        fitted = on(device, template).set_params(random_state=0).fit(both, y)
        drawn, weight = fitted.sample_background(5000, random_state=0)
        means.append(np.average(drawn, axis=0, weights=weight))
    assert abs((means[1] - means[0]) / X.std(axis=0)).max() < 0.1


def test_benchmark_compares_both(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
    import gpu

    text = gpu.main(["--quick"])
    assert "fit, cuda, s" in text and text.count("VAE") == 2
