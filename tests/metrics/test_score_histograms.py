"""Histograms of scores, and the score at which a detector decides."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.svm import OneClassSVM

from skad.detectors import DensityDetector
from skad.metrics import anomaly_response, anomaly_threshold, score_histograms


def test_heights_are_densities_with_errors():
    rng = np.random.default_rng(1)
    scores, weight, y = rng.normal(size=1000), rng.random(1000), np.repeat([0, 1], [900, 100])
    edges = np.linspace(-5, 5, 21)
    histograms = score_histograms(y, scores, sample_weight=weight, bins=edges)
    np.testing.assert_array_equal(histograms.edges, edges)
    for label, name in enumerate(["background", "signal"]):
        part = y == label
        expected, _ = np.histogram(scores[part], edges, weights=weight[part], density=True)
        np.testing.assert_allclose(histograms.density[name], expected)
        squares, _ = np.histogram(scores[part], edges, weights=weight[part] ** 2)
        error = np.sqrt(squares) / (weight[part].sum() * 0.5)
        np.testing.assert_allclose(histograms.density_error[name], error)


def test_every_event_counts():
    scores = np.random.default_rng(0).pareto(1, size=2000) + 1e-3
    histograms = score_histograms(None, scores, scale="log", bins=40)
    assert list(histograms.density) == ["events"]
    total = (histograms.density["events"] * np.diff(histograms.edges)).sum()
    assert total == pytest.approx(1)
    np.testing.assert_allclose(np.diff(np.log(histograms.edges)), np.ptp(np.log(scores)) / 40)
    assert list(score_histograms(np.zeros(2000), scores).density) == ["background"]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"scale": "log"}, "needs positive scores"),
        ({"scale": "cube"}, "scale must be 'linear' or 'log'"),
        ({"bins": [0, 1]}, "lie outside the bin edges"),
        ({"bins": [1, 0]}, "increasing"),
    ],
)
def test_bad_input(kwargs, message):
    with pytest.raises(ValueError, match=message):
        score_histograms(None, np.linspace(-1, 2, 50), **kwargs)


@pytest.mark.parametrize(
    "detector",
    [
        DensityDetector(GaussianMixture(), contamination=0.1),
        DensityDetector(GaussianMixture(), threshold=4.0),
        IsolationForest(n_estimators=10, contamination=0.1, random_state=0),
        OneClassSVM(nu=0.1),
    ],
)
def test_threshold_is_where_the_decision_changes(detector):
    X = np.random.default_rng(0).normal(size=(300, 2))
    detector.fit(X)
    outliers = anomaly_response(detector, X) > anomaly_threshold(detector, X)
    np.testing.assert_array_equal(outliers, detector.predict(X) == -1)


def test_no_threshold():
    X = np.random.default_rng(0).normal(size=(50, 2))
    assert anomaly_threshold(GaussianMixture().fit(X), X) is None
