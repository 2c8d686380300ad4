"""Tables of trees give what scikit-learn's walk through every tree gives, to the bit."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from skad.detectors import CascadeClassifier, TreeEnsembleClassifier, _tree_ensemble
from skad.detectors._tree_tables import Columns, TreeTables
from skad.utils._sklearn import tree_nodes


def by_tables(trees, X):
    tables = TreeTables([tree_nodes(tree) for tree in trees], X.shape[1])
    found = np.empty((len(trees), len(X)))
    for rows, values in tables.walk(Columns(X)):
        for tree, value in enumerate(values):
            found[tree, rows] = value
    return found


@pytest.mark.parametrize(
    "trees",
    [
        [DecisionTreeRegressor(max_leaf_nodes=n, random_state=n) for n in (2, 20, 31)],
        [ExtraTreeRegressor(min_samples_leaf=n, random_state=n) for n in (2500, 40, 1, 1)],
        # A chain: hundreds of groups below each other.
        [DecisionTreeRegressor(criterion="absolute_error", min_samples_leaf=2)],
    ],
    ids=["one group", "groups of groups", "a chain"],
)
def test_values_are_those_of_the_trees(trees):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(4000, 3)).astype(np.float32)
    X[:, 2] = X[:, 2].round(1)
    y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]
    if trees[0].criterion == "absolute_error":
        X, y = X[:1500], np.exp2(-np.argsort(np.argsort(X[:1500, 0])) / 3.0)
    for tree in trees:
        tree.fit(X, y)
    new = np.concatenate([X, rng.normal(0, 3, size=(40_000, 3)).astype(np.float32)])
    expected = np.array([tree.predict(new) for tree in trees])
    np.testing.assert_array_equal(by_tables(trees, new), expected)


def events(n_events=6000, n_features=3):
    rng = np.random.RandomState(1)
    X = rng.normal(size=(n_events, n_features)) * [1, 1e-9, 1e12][:n_features]
    X[:, 0] = X[:, 0].round(2)
    return X, (rng.normal(size=n_events) + X[:, 0] > 0).astype(int)


@pytest.mark.parametrize(
    "classifier",
    [
        TreeEnsembleClassifier(3, n_forest_trees=8, min_samples_leaf=2, random_state=0),
        TreeEnsembleClassifier(3, n_forest_trees=0, max_leaf_nodes=80, random_state=0),
        CascadeClassifier(random_state=0, fraction=0.2),
    ],
    ids=["both", "many leaves", "cascade"],
)
def test_scores_are_the_same_with_tables_and_without(classifier, monkeypatch):
    X, y = events()
    classifier.fit(X, y)
    far = np.concatenate([np.tile(X, (2, 1)), 1e280 * X[:100], np.zeros((5, 3))])
    made = []
    monkeypatch.setattr(_tree_ensemble, "TreeTables", lambda *a: made.append(a) or TreeTables(*a))
    monkeypatch.setattr(_tree_ensemble, "_EVENTS_PER_NODE", 0)
    monkeypatch.setattr(_tree_ensemble, "_CHUNK", 5000)
    tables = classifier.decision_function(far)
    assert made
    monkeypatch.setattr(_tree_ensemble, "_EVENTS_PER_NODE", np.inf)
    made.clear()
    np.testing.assert_array_equal(classifier.decision_function(far), tables)
    assert not made
