"""The recommended start on tables: its members, and that it is good where they differ."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from skad.detectors import NeighborsDetector, TabularDetector, VotingDetector


def test_default_is_a_vote_of_its_visible_members():
    X = np.random.RandomState(0).normal(size=(300, 4))
    members = TabularDetector.default_detectors(*X.shape)
    names = ["nearest", "neighbors", "sparse", "forest", "mixture"]
    assert [name for name, _ in members] == names
    default = TabularDetector(random_state=1).fit(X)
    by_hand = VotingDetector(members, voting="tail", random_state=1).fit(X)
    np.testing.assert_array_equal(default.anomaly_score(X), by_hand.anomaly_score(X))
    assert default.names_ == names
    assert isinstance(default.detectors_[3], IsolationForest)


def test_members_are_replaced():
    X = np.random.RandomState(0).normal(size=(200, 2))
    own = TabularDetector([("close", NeighborsDetector(2)), ("forest", IsolationForest())])
    own.set_params(forest__n_estimators=7, random_state=0).fit(X)
    assert len(own.detectors_[1].estimators_) == 7
    assert own.member_scores(X).shape == (200, 2)


@pytest.mark.parametrize(
    ("shape", "n_components"),
    [((10, 2), 1), ((90, 3), 3), ((5000, 10), 20), ((5000, 100), 10), ((5000, 1500), 1)],
)
def test_the_mixture_grows_with_the_table(shape, n_components):
    mixture = dict(TabularDetector.default_detectors(*shape))["mixture"].density.density
    assert isinstance(mixture, GaussianMixture) and mixture.n_components == n_components


def test_many_events_are_searched_in_part():
    members = dict(TabularDetector.default_detectors(30_000, 2))
    for name in ("nearest", "neighbors"):
        close = members[name]
        assert close.max_samples == 20_000 and close.n_estimators == 1


@pytest.mark.parametrize("clean", [True, False])
def test_among_the_best_with_and_without_anomalies_in_training(clean):
    """A public table: malignant (rare here) against benign."""
    X, y = load_breast_cancer(return_X_y=True)
    rare = (y == 0) & (np.cumsum(y == 0) % 5 == 0)
    X, truth = X[(y == 1) | rare], rare[(y == 1) | rare].astype(int)
    train = X[: len(X) // 2][truth[: len(X) // 2] == 0] if clean else X
    test, truth = (X[len(X) // 2 :], truth[len(X) // 2 :]) if clean else (X, truth)
    aucs = {
        type(detector).__name__: roc_auc_score(truth, -detector.fit(train).score_samples(test))
        for detector in (TabularDetector(random_state=0), NeighborsDetector())
    }
    assert aucs["TabularDetector"] > (0.93 if clean else 0.84)


def test_tables_that_stop_others():
    """Constant, binary, heavy-tailed and copied columns, and few rows."""
    rng = np.random.RandomState(3)
    X = np.column_stack(
        [
            np.full(40, 3.0),
            rng.randint(2, size=40),
            rng.standard_cauchy(40) * 1e6,
            *[rng.normal(size=40)] * 2,
        ]
    )
    scores = TabularDetector(random_state=0).fit(X).anomaly_score(X)
    assert np.isfinite(scores).all()
    assert scores.argmax() == np.abs(X[:, 2]).argmax()
