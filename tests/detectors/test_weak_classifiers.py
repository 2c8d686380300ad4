"""The classifiers behind weak supervision."""

import numpy as np
import pytest
import sklearn
from joblib import parallel_config
from scipy.special import expit
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.utils.fixes import parse_version

from skad.detectors import NetworkClassifier, TreeEnsembleClassifier
from skad.detectors._tree_ensemble import _bin_edges, _neighbours_together
from skad.utils._random import draw_seeds


def events(n, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, 2)) * [1, 100] + [0, 3500]
    y = (rng.uniform(size=n) < expit(2 * X[:, 0])).astype(int)
    return X, y


def test_network_learns_the_exact_log_odds():
    X, y = events(20_000)
    T, _ = events(5000, seed=1)
    classifier = NetworkClassifier(max_epochs=15, class_weight=None, random_state=0).fit(X, y)
    assert np.abs(classifier.decision_function(T) - 2 * T[:, 0]).mean() < 0.2


@pytest.mark.parametrize(
    "classifier",
    [
        NetworkClassifier(max_epochs=10, random_state=0),
        TreeEnsembleClassifier(2, n_forest_trees=20, random_state=0),
    ],
    ids=lambda c: type(c).__name__,
)
def test_balanced_classes_shift_the_log_odds_by_the_prior(classifier):
    X, y = events(10_000)
    keep = (y == 0) | (np.arange(len(y)) % 4 == 0)
    X, y = X[keep], y[keep]
    balanced = classifier.fit(X, y).decision_function(X)
    plain = classifier.set_params(class_weight=None).fit(X, y).decision_function(X)
    expected = np.log((y == 0).sum() / (y == 1).sum())
    assert np.median(balanced - plain) == pytest.approx(expected, abs=0.25)
    by_dict = classifier.set_params(class_weight={1: np.exp(expected)}).fit(X, y)
    assert np.median(by_dict.decision_function(X) - plain) == pytest.approx(expected, abs=0.25)


def test_average_over_networks_is_one_of_probabilities():
    X, y = events(2000)
    classifier = NetworkClassifier(max_epochs=3, n_estimators=3, n_averaged=2, random_state=0)
    classifier.fit(X, y)
    import torch

    batch = torch.from_numpy(X)
    p = [
        torch.sigmoid(network(batch).double()).numpy().ravel()
        for kept in classifier.trained_.networks
        for network in kept
    ]
    assert len(p) == 6
    np.testing.assert_allclose(classifier.predict_proba(X)[:, 1], np.mean(p, 0), atol=1e-6)


def test_the_best_of_several_candidates_is_kept():
    X, y = events(1500)
    options = {"max_epochs": 4, "select": "best", "validation_fraction": 0.3, "random_state": 0}
    every = NetworkClassifier(n_estimators=6, **options).fit(X, y)
    chosen = NetworkClassifier(n_estimators=2, n_candidates=3, **options).fit(X, y)
    lowest = [min(entry["valid_loss"] for entry in history) for history in every.history_]
    best = [int(np.argmin(lowest[:3])), 3 + int(np.argmin(lowest[3:]))]
    found = [min(entry["valid_loss"] for entry in history) for history in chosen.history_]
    assert found == [lowest[i] for i in best]
    for fitted, i in zip(chosen.trained_.networks, best, strict=True):
        for own, other in zip(
            fitted[0].parameters(), every.trained_.networks[i][0].parameters(), strict=True
        ):
            assert (own == other).all()
    folds = NetworkClassifier(n_candidates=2, **options).fit_folds(
        X, y, [np.arange(900), np.arange(500, 1500)]
    )
    assert [len(fold.trained_.networks) for fold in folds] == [1, 1]
    with pytest.raises(ValueError, match="n_candidates=2 chooses by the validation loss"):
        NetworkClassifier(n_candidates=2).fit(X, y)


def test_averaging_over_splits_is_steadier_than_one_split():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(1500, 3))
    y = rng.permutation(np.arange(1500) % 2)
    T = rng.normal(size=(1000, 3))

    def spread(n_estimators):
        return np.mean(
            np.std(
                [
                    TreeEnsembleClassifier(n_estimators, n_forest_trees=0, random_state=s)
                    .fit(X, y)
                    .decision_function(T)
                    for s in range(2)
                ],
                axis=0,
            )
        )

    assert spread(4) < 0.8 * spread(1)


def test_halves_are_fresh_stratified_and_weighted():
    X, y = events(3000)
    classifier = TreeEnsembleClassifier(3, n_forest_trees=0, random_state=0).fit(X, y)
    bins = classifier._codes(X)
    scores = [member.decision_function(bins) for member in classifier.estimators_]
    assert np.abs(scores[0] - scores[1]).max() > 0
    np.testing.assert_allclose(classifier.decision_function(X), np.mean(scores, 0))
    weight = np.where(X[:, 0] > 0, 0.0, 1.0)
    left = TreeEnsembleClassifier(3, n_forest_trees=20, random_state=0).fit(
        X, y, sample_weight=weight
    )
    # Events of weight zero must not be learned from: to the right nothing is known.
    right = X[:, 0] > 0.5
    assert roc_auc_score(y[right], left.decision_function(X[right])) < 0.65


def test_forest_and_boosted_trees_share_the_log_odds():
    X, y = events(3000)
    both = TreeEnsembleClassifier(2, n_forest_trees=20, random_state=0).fit(X, y)
    boosted = TreeEnsembleClassifier(2, n_forest_trees=0, random_state=0).fit(X, y)
    p = np.mean([tree.predict(X) for tree in both.forest_], axis=0)
    expected = 0.5 * (boosted.decision_function(X) + np.log(p / (1 - p)))
    np.testing.assert_allclose(both.decision_function(X), expected)


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="before 1.9, bootstrap samples of scikit-learn did not follow the weights",
)
def test_the_forest_is_that_of_scikit_learn():
    X, y = events(3000)
    weight = np.random.RandomState(1).uniform(0, 2, len(y)) * (X[:, 0] > -1)
    settings = {"min_samples_leaf": 40, "random_state": 0}
    classifier = TreeEnsembleClassifier(1, n_forest_trees=10, class_weight=None, **settings)
    classifier.fit(X, y, weight)
    order = _neighbours_together(classifier._codes(X))
    seed = draw_seeds(0, 1)[0]
    forest = ExtraTreesClassifier(
        10, min_samples_leaf=40, max_features=None, bootstrap=True, random_state=seed
    ).fit(X[order], y[order], sample_weight=weight[order] / weight[weight > 0].mean())
    p = np.mean([tree.predict(X) for tree in classifier.forest_], axis=0)
    np.testing.assert_allclose(p, forest.predict_proba(X)[:, 1], rtol=1e-12)


def test_bins_hold_equal_weights_and_few_values_their_own():
    rng = np.random.RandomState(0)
    x, weight = rng.normal(size=20_000), rng.uniform(0, 2, 20_000)
    edges = _bin_edges(x, weight, 20)
    sums = np.bincount(np.searchsorted(edges, x), weights=weight)
    np.testing.assert_allclose(sums / weight.sum(), 1 / 20, rtol=0.005)
    np.testing.assert_allclose(_bin_edges(np.array([3.0, 1.0, 1.0, 2.0]), None, 20), [1.5, 2.5])


def test_events_in_any_order_and_any_number_of_jobs_score_the_same():
    X, y = events(3000)
    classifier = TreeEnsembleClassifier(2, n_forest_trees=10, random_state=0).fit(X, y)
    scores = classifier.decision_function(X)
    np.testing.assert_array_equal(classifier.decision_function(X[::-1])[::-1], scores)
    np.testing.assert_array_equal(
        [classifier.decision_function(X[i : i + 1])[0] for i in range(5)], scores[:5]
    )
    with parallel_config(backend="threading"):
        classifier.set_params(n_jobs=2).fit(X, y)
        np.testing.assert_array_equal(classifier.decision_function(X), scores)


def test_neighbours_follow_each_other():
    rng = np.random.RandomState(0)
    codes = rng.randint(127, size=(4096, 2)).astype(float)
    order = _neighbours_together(codes)
    assert sorted(order) == list(range(4096))
    steps = np.abs(np.diff(codes[order], axis=0)).sum(axis=1)
    assert np.median(steps) < 4 < np.median(np.abs(np.diff(codes, axis=0)).sum(axis=1))
    # Of more features than the key has bits, the first ones decide.
    wide = rng.randint(127, size=(50, 40)).astype(float)
    np.testing.assert_array_equal(np.diff(wide[_neighbours_together(wide), 0] >= 64) >= 0, True)


def test_few_events_are_fitted_without_a_split():
    X, y = events(3)
    y[:] = [0, 1, 1]
    assert TreeEnsembleClassifier(2, n_forest_trees=20, random_state=0).fit(X, y).predict(
        X
    ).shape == (3,)


def test_three_classes_are_refused():
    X, _ = events(30)
    with pytest.raises(ValueError, match="Only binary classification"):
        NetworkClassifier().fit(X, np.arange(30) % 3)
