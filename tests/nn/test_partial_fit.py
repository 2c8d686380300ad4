"""Streams: nearly the loss of a fit, the bits of an uninterrupted one, the contract of classes."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, DisCo, NetworkClassifier, VAEDetector
from skad.exceptions import DivergenceError
from skad.io import load_model, save_model

SMALL = {"hidden_layer_sizes": (8,), "random_state": 0}
ESTIMATORS = {
    "flows": FlowDensity("maf", n_transforms=1, n_estimators=2, n_averaged=2, **SMALL),
    "own flow, one by one": FlowDensity("cnf", n_transforms=1, n_estimators=2, **SMALL),
    "flow matching": FlowDensity("flow_matching", n_transforms=1, **SMALL),
    "autoencoder": AutoencoderDetector(n_estimators=2, **SMALL),
    "VAE": VAEDetector(n_latent=2, decorrelation=DisCo(0), **SMALL),
    "classifier": NetworkClassifier(dropout=0.1, n_estimators=2, **SMALL),
}


def chunk(i, n=300):
    """Events of a Gaussian with a correlation of 0.8, and labels of its longer axis."""
    rng = np.random.RandomState(i)
    X = rng.normal(size=(n, 2)) @ np.linalg.cholesky([[1, 0.8], [0.8, 1]]).T + [3, 0]
    return X.astype(np.float32), (X.sum(axis=1) + rng.normal(size=n) > 3).astype(int)


def stream(estimator, calls, n=300):
    for i in calls:
        X, y = chunk(i, n)
        options = {"classes": [0, 1]} if isinstance(estimator, NetworkClassifier) else {}
        estimator.partial_fit(X, y, **options)
    return estimator


def numbers(fitted):
    return [
        value.clone()
        for kept in fitted.trained_.networks
        for network in kept
        for value in network.state_dict().values()
    ]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(numbers(a), numbers(b), strict=True))


def by_file(fitted, folder):
    save_model(fitted, folder / "model.skad")
    return load_model(folder / "model.skad")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_interrupted_stream_goes_on_with_the_same_bits(name, tmp_path):
    whole = stream(clone(ESTIMATORS[name]), range(3))
    again = stream(clone(ESTIMATORS[name]), range(3))
    assert same(whole, again)
    half = stream(clone(ESTIMATORS[name]), range(2))
    for carried in (
        copy.deepcopy(half),
        pickle.loads(pickle.dumps(half)),
        by_file(half, tmp_path),
    ):
        assert same(stream(carried, [2]), whole)
    assert whole.n_iter_ == 3
    assert [entry["epoch"] for entry in whole.history_[0]] == [1, 2, 3]
    if name == "flows":
        assert len(whole.trained_.networks[0]) == 2
        assert not same(stream(half, [3]), whole)
    fitted = clone(ESTIMATORS[name]).set_params(max_epochs=2).fit(*chunk(0))
    refitted = stream(clone(ESTIMATORS[name]), [1]).set_params(max_epochs=2).fit(*chunk(0))
    assert same(fitted, refitted)


def test_a_stream_reaches_the_loss_of_a_fit():
    test, _ = chunk(999, 20_000)
    exact = -0.5 * np.log(0.36) - np.log(2 * np.pi) - 1
    density = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(16,), random_state=0)
    streamed = stream(clone(density), range(60), 2000)
    whole = (
        clone(density)
        .set_params(max_epochs=2)
        .fit(np.concatenate([chunk(i, 2000)[0] for i in range(60)]))
    )
    assert streamed.score(test) == pytest.approx(exact, abs=0.02)
    assert streamed.score(test) > whole.score(test) - 0.01


def test_a_stream_of_reconstructions():
    test, _ = chunk(999, 20_000)
    detector = AutoencoderDetector(hidden_layer_sizes=(16,), n_latent=1, random_state=0)
    streamed = stream(clone(detector), range(60), 1000)
    # The smaller of the eigenvalues 1.8 and 0.2, of two features.
    assert streamed.anomaly_score(test).mean() == pytest.approx(0.1, rel=0.15)
    of_last_call = streamed.predict(chunk(59, 1000)[0])
    assert (of_last_call == -1).sum() == 10


def test_a_stream_of_classes():
    test, truth = chunk(999, 20_000)
    classifier = NetworkClassifier((16,), learning_rate=0.02, random_state=0)
    even, uneven, in_turn = (clone(classifier) for _ in range(3))
    for i in range(40):
        X, y = chunk(i, 1000)
        kept = (y == 0) | (np.arange(1000) % 4 == 0)
        even.partial_fit(X, y, classes=[0, 1])
        uneven.partial_fit(X[kept], y[kept], classes=[0, 1])
        for label in (0, 1):
            in_turn.partial_fit(X[y == label], y[y == label], classes=[0, 1])
    # The sum of both features is the best score.
    best = roc_auc_score(truth, test.sum(axis=1))
    for fitted, margin in ((even, 0.005), (uneven, 0.005), (in_turn, 0.02)):
        area = roc_auc_score(truth, fitted.decision_function(test))
        assert area == pytest.approx(best, abs=margin)
    # Balanced although one class is four times rarer: as many false ones of both.
    rates = [np.mean(uneven.predict(test[truth == label]) != label) for label in (0, 1)]
    assert max(rates) < 1.3 * min(rates)


def test_contract_of_a_classifier():
    X, y = chunk(0)
    classifier = NetworkClassifier(**SMALL)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        clone(classifier).partial_fit(X, y)
    with pytest.raises(ValueError, match="binary"):
        clone(classifier).partial_fit(X, y, classes=[0, 1, 2])
    classifier.partial_fit(X, y, classes=[0, 1])
    classifier.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"first call, \[0, 1\]; got \[7\] too"):
        classifier.partial_fit(X, np.where(y == 1, 7, 0))
    with pytest.raises(ValueError, match="classes"):
        classifier.partial_fit(X, y, classes=[0, 7])
    with pytest.raises(ValueError, match="3 features"):
        classifier.partial_fit(np.column_stack([X, y]), y)
    for options in ({"early_stopping": True}, {"select": "best"}):
        with pytest.raises(ValueError, match=f"partial_fit takes {next(iter(options))}="):
            NetworkClassifier(**options).partial_fit(X, y, classes=[0, 1])


def test_the_unit_of_weights_and_the_scale_of_the_first_call_stay():
    X, _ = chunk(0)
    density = FlowDensity("maf", n_transforms=1, **SMALL)
    one, thousand = clone(density), clone(density)
    weight = np.random.RandomState(0).uniform(size=len(X))
    for _ in range(3):
        one.partial_fit(X, sample_weight=weight)
        thousand.partial_fit(X, sample_weight=1024 * weight)
    assert same(one, thousand)
    before = one.trained_.networks[0][-1].features.mean.clone()
    one.partial_fit(X + 5)
    assert torch.equal(one.trained_.networks[0][-1].features.mean, before)
    classifier = NetworkClassifier(class_weight={0: 0.0, 1: 1.0}, **SMALL)
    with pytest.raises(ValueError, match="zero for every event so far"):
        classifier.partial_fit(X, np.zeros(len(X)), classes=[0, 1])


def test_a_call_that_diverges_leaves_the_networks():
    density = stream(FlowDensity("maf", n_transforms=1, **SMALL), range(2))
    before = copy.deepcopy(density)
    with pytest.raises(DivergenceError):
        density.partial_fit(np.full((300, 2), 1e38))
    assert same(density, before)
    assert density.trained_.progress.n_calls == 2


def test_a_stream_continues_a_fit():
    test, _ = chunk(999, 5000)
    density = FlowDensity("maf", n_transforms=1, max_epochs=3, **SMALL)
    density.fit(chunk(0, 5000)[0])
    before = density.score(test)
    stream(density, range(1, 40), 2000)
    assert density.score(test) > before
    assert density.n_iter_ == 3 + 39
