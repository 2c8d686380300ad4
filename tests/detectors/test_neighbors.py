"""Distances to neighbours against a plain search of all pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from skad.detectors import NeighborsDetector


@pytest.fixture(scope="module")
def events():
    rng = np.random.RandomState(0)
    return rng.normal(size=(300, 3)) * [1.0, 100.0, 1e-3], rng.normal(size=(50, 3)) * [2, 200, 2e-3]


def all_pairs(train, test):
    mean, std = train.mean(axis=0), train.std(axis=0)
    return np.sort(cdist((test - mean) / std, (train - mean) / std), axis=1)


@pytest.mark.parametrize(("distance", "of"), [("mean", np.mean), ("largest", np.max)])
def test_new_events_against_all_pairs(events, distance, of):
    train, test = events
    detector = NeighborsDetector(4, distance=distance).fit(train)
    expected = of(all_pairs(train, test)[:, :4], axis=1)
    np.testing.assert_allclose(detector.anomaly_score(test), expected, rtol=1e-12)


def test_training_events_do_not_find_themselves(events):
    """As scikit-learn searches for the neighbours of its own training events."""
    train, _ = events
    own = NearestNeighbors(n_neighbors=5).fit((train - train.mean(0)) / train.std(0))
    expected = own.kneighbors()[0].mean(axis=1)
    detector = NeighborsDetector(contamination=0.1).fit(train)
    np.testing.assert_allclose(detector.anomaly_score(train), expected, rtol=1e-12)
    labels = detector.fit_predict(train)
    np.testing.assert_array_equal(labels == -1, expected > np.sort(expected)[-31])


@pytest.mark.parametrize("n_columns", [2, 40])
def test_copies_are_neighbours_of_each_other(n_columns):
    """Wide tables are searched by products of matrices, which round the distance of equals."""
    rng = np.random.RandomState(1)
    once = 1000 + rng.normal(size=(100, n_columns))
    train = np.concatenate([once, once[:10], once[:10], once[:10]])
    scores = NeighborsDetector(3, scaling=None).fit(train).anomaly_score(train)
    assert (scores[:10] == 0).all() and (scores[100:] == 0).all()
    assert (scores[10:100] > 0.01).all()


def test_robust_scale_ignores_an_outlier_in_a_column():
    rng = np.random.RandomState(2)
    train = rng.normal(size=(500, 2))
    train[0, 0] = 1e6
    ordinary, off = [[0.0, 0.0]], [[6.0, 0.0]]
    robust = NeighborsDetector(scaling="robust").fit(train)
    standard = NeighborsDetector().fit(train)
    assert robust.anomaly_score(off) > 20 * robust.anomaly_score(ordinary)
    assert standard.anomaly_score(off) < 2 * standard.anomaly_score(ordinary)


def test_subsets_are_the_mean_of_searches_of_their_own(events):
    train, test = events
    detector = NeighborsDetector(1, max_samples=20, n_estimators=7, random_state=3).fit(train)
    assert [index.n_samples_fit_ for index in detector.neighbors_] == [20] * 7
    scaled = (test - detector.center_) / detector.scale_
    nearest = [index.kneighbors(scaled, 1)[0][:, 0] for index in detector.neighbors_]
    np.testing.assert_allclose(detector.anomaly_score(test), np.mean(nearest, axis=0), rtol=1e-12)


def test_subsets_see_anomalies_that_hide_each_other():
    rng = np.random.RandomState(4)
    normal, anomalies = rng.normal(size=(950, 2)), rng.normal(4, 0.05, size=(50, 2))
    both, truth = np.concatenate([normal, anomalies]), np.repeat([0, 1], [950, 50])
    every, subsets = (
        roc_auc_score(truth, detector.fit(both).anomaly_score(both))
        for detector in (NeighborsDetector(), NeighborsDetector(1, max_samples=16, random_state=0))
    )
    assert every < 0.2 and subsets > 0.9


def test_fewer_events_than_neighbours():
    train = [[0.0], [1.0], [3.0]]
    detector = NeighborsDetector(10, scaling=None).fit(train)
    assert detector.n_neighbors_ == 2
    np.testing.assert_allclose(detector.anomaly_score(train), [2.0, 1.5, 2.5])


def test_constant_columns_add_nothing_and_far_events_are_ordered():
    rng = np.random.RandomState(5)
    train = np.column_stack([rng.normal(size=200), np.full(200, 7.0)])
    with_constant = NeighborsDetector().fit(train)
    without = NeighborsDetector().fit(train[:, :1])
    np.testing.assert_allclose(
        with_constant.anomaly_score(train), without.anomaly_score(train[:, :1])
    )
    near, far, farthest = without.anomaly_score([[5.0], [1e100], [1e300]])
    assert near < far < farthest < np.inf
