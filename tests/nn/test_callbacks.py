"""skorch's callbacks in the training of every network estimator."""

import json
import pickle
import threading

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
    ProgressBar,
)

from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier, VAEDetector

SMALL = {"hidden_layer_sizes": (4,), "max_epochs": 3, "schedule": "constant", "random_state": 0}


class Calls(Callback):
    """Notes what it is called for in a list of this module, and marks the epoch."""

    def __init__(self, mark="mark"):
        self.mark = mark

    def on_train_begin(self, net, **kwargs):
        self.n_ = 0
        CALLS.append("train begins")

    def on_epoch_begin(self, net, **kwargs):
        CALLS.append("epoch begins")

    def on_epoch_end(self, net, **kwargs):
        self.n_ += 1
        CALLS.append(net.history[-1]["train_loss"])
        net.history.record(self.mark, self.n_)

    def on_train_end(self, net, **kwargs):
        CALLS.append("train ends")


CALLS = []


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


@pytest.fixture
def events():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 2))
    return X, (X[:, 0] + rng.normal(size=200) > 0).astype(int)


def losses(estimator, k=0):
    return [entry["train_loss"] for entry in estimator.history_[k]]


def scores(estimator, X):
    return (getattr(estimator, "score_samples", None) or estimator.decision_function)(X)


@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("kind", [FlowDensity, NetworkClassifier, AutoencoderDetector, VAEDetector])
def test_a_callback_of_the_user_is_called_once_an_epoch(kind, n_estimators, events):
    own = Calls(mark="n")
    estimator = kind(**SMALL, n_estimators=n_estimators, callbacks=[own, ("again", Calls())])
    estimator = clone(estimator).fit(*events)
    epoch = ["epoch begins", "epoch begins"]
    means = np.mean([losses(estimator, k) for k in range(n_estimators)], axis=0)
    expected = ["train begins"] * 2
    for mean in means:
        expected += [*epoch, pytest.approx(mean), pytest.approx(mean)]
    assert [*expected, "train ends", "train ends"] == CALLS
    # What it records is in the history of every network.
    assert [[e["n"], e["mark"]] for e in estimator.history_[-1]] == [[1, 1], [2, 2], [3, 3]]
    # The one of the constructor is as it was.
    assert vars(own) == {"mark": "n"}
    assert estimator.get_params()["callbacks"][0].mark == "n"
    loaded = pickle.loads(pickle.dumps(estimator))
    assert loaded.callbacks[1][0] == "again"
    plain = kind(**SMALL, n_estimators=n_estimators).fit(*events)
    X = events[0]
    assert (scores(estimator, X) == scores(plain, X)).all()
    assert (scores(loaded, X) == scores(plain, X)).all()


def test_networks_that_are_no_stack_are_trainings_of_their_own(events):
    estimator = FlowDensity(
        "cnf", **SMALL, n_transforms=1, n_estimators=2, callbacks=[Calls()], clip_norm=None
    ).fit(events[0])
    assert CALLS.count("train begins") == CALLS.count("train ends") == 2
    assert CALLS.count("epoch begins") == 6
    assert [entry["mark"] for entry in estimator.history_[1]] == [1, 2, 3]


def test_print_log(events):
    lines = []
    log = PrintLog(sink=lines.append)
    FlowDensity(**SMALL, select="best", callbacks=[log]).fit(events[0])
    assert lines[0].split() == ["epoch", "train_loss", "valid_loss"]
    assert [line.split()[0] for line in lines[2:]] == ["1", "2", "3"]


def test_print_log_prints_by_default(events, capsys):
    NetworkClassifier(**SMALL, callbacks=[PrintLog()]).fit(*events)
    assert "train_loss" in capsys.readouterr().out


def test_checkpoint(events, tmp_path):
    estimator = AutoencoderDetector(
        **SMALL,
        select="best",
        n_averaged=1,
        callbacks=[Checkpoint(dirname=str(tmp_path), f_criterion=None)],
    ).fit(events[0])
    saved = torch.load(tmp_path / "params.pt")
    valid = [entry["valid_loss"] for entry in estimator.history_[0]]
    best = np.flatnonzero([entry["event_cp"] for entry in estimator.history_[0]])[-1]
    assert best == np.argmin(valid)
    for name, value in estimator.trained_.networks[0][0].state_dict().items():
        assert torch.equal(saved[f"network.{name}"], value)
    history = json.loads((tmp_path / "history.json").read_text())
    assert [row["valid_loss"] for row in history] == valid[: best + 1]


@pytest.mark.parametrize("n_estimators", [1, 2])
def test_early_stopping_of_skorch_stops_all_networks(n_estimators, events):
    stop = EarlyStopping("train_loss", patience=2, threshold=1e9, sink=CALLS.append)
    estimator = NetworkClassifier(
        **SMALL | {"max_epochs": 50}, n_estimators=n_estimators, callbacks=[stop]
    ).fit(*events)
    assert [len(history) for history in estimator.history_] == [3] * n_estimators
    assert "has not improved in the last 2 epochs" in CALLS[0]
    shorter = NetworkClassifier(**SMALL, n_estimators=n_estimators).fit(*events)
    assert losses(estimator) == losses(shorter)
    X = events[0]
    assert (estimator.decision_function(X) == shorter.decision_function(X)).all()


def test_every_network_has_its_own_early_stopping(events):
    stop = EarlyStopping("train_loss", patience=1, threshold=1e9, sink=CALLS.append)
    estimator = FlowDensity("cnf", **SMALL, n_transforms=1, n_estimators=2, callbacks=[stop])
    assert [len(history) for history in estimator.fit(events[0]).history_] == [2, 2]


def test_early_stopping_of_the_engine_is_seen_to_the_end(events):
    estimator = NetworkClassifier(
        **SMALL | {"max_epochs": 50},
        early_stopping=True,
        n_iter_no_change=1,
        tol=10.0,
        callbacks=[Calls()],
    ).fit(*events)
    assert [entry["mark"] for entry in estimator.history_[0]] == [1, 2]
    assert CALLS[-1] == "train ends"


def test_learning_rate_scheduler(events):
    halving = LRScheduler("StepLR", step_size=1, gamma=0.5)
    estimator = FlowDensity(**SMALL, learning_rate=0.008, callbacks=[halving]).fit(events[0])
    assert [entry["lr"] for entry in estimator.history_[0]] == [0.008, 0.004, 0.002]
    constant = FlowDensity(**SMALL, learning_rate=0.008).fit(events[0])
    assert losses(estimator)[:2] == losses(constant)[:2]
    assert losses(estimator)[2] != losses(constant)[2]
    with pytest.raises(ValueError, match=r"LRScheduler .* schedule='cosine' both"):
        estimator.set_params(schedule="cosine").fit(events[0])


class PerBatch(Callback):
    def on_batch_end(self, net, **kwargs):
        CALLS.append("batch")


class Locked(Callback):
    """Holds what can be neither copied nor pickled, as a connection does."""

    def __init__(self, lock):
        self.lock = lock

    def on_epoch_end(self, net, **kwargs):
        with self.lock:
            CALLS.append("epoch")


def test_what_a_callback_holds_is_shared(events):
    FlowDensity(**SMALL, callbacks=[Locked(threading.Lock())]).fit(events[0])
    assert CALLS == ["epoch"] * 3


@pytest.mark.parametrize(
    ("callback", "error", "message"),
    [
        (PerBatch(), ValueError, r"PerBatch .* at every batch \(on_batch_end\)"),
        (EpochScoring("accuracy"), ValueError, "EpochScoring .* every batch"),
        (GradientNormClipping(1.0), ValueError, "GradientNormClipping .* clip_norm"),
        (ProgressBar(), ValueError, "ProgressBar .* every batch"),
        (LRScheduler("StepLR", step_size=1, step_every="batch"), ValueError, "every batch"),
        (PrintLog, TypeError, "must hold instances of skorch"),
        (print, TypeError, "must hold instances of skorch"),
    ],
)
def test_what_does_not_fit_is_refused(callback, error, message, events):
    with pytest.raises(error, match=message):
        FlowDensity(**SMALL, callbacks=[callback]).fit(events[0])


class Predicts(Callback):
    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        net.predict(dataset_train)


def test_predictions_are_not_to_be_had(events):
    with pytest.raises(NotImplementedError, match="may read net.history"):
        FlowDensity(**SMALL, callbacks=[Predicts()]).fit(events[0])
