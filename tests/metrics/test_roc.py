"""ROC curves with errors, against scikit-learn and toys."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from skad.metrics import anomaly_roc_curve, significance_improvement_curve


@pytest.fixture
def events():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [900, 100])
    return y, rng.normal(1.5 * y), rng.random(1000)


def test_curve_is_sklearns(events):
    y, scores, weight = events
    curve = anomaly_roc_curve(y, scores, sample_weight=weight)
    fpr, tpr, threshold = roc_curve(y, scores, sample_weight=weight, drop_intermediate=False)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold)
    assert curve.roc_auc == pytest.approx(roc_auc_score(y, scores, sample_weight=weight))


def test_cuts_are_those_of_the_significance_improvement(events):
    y, scores, weight = events
    curve = anomaly_roc_curve(y, scores, sample_weight=weight)
    sic = significance_improvement_curve(y, scores, sample_weight=weight)
    for name in ("tpr", "fpr", "threshold", "background_events"):
        np.testing.assert_array_equal(getattr(curve, name), getattr(sic, name))


def test_errors_are_binomial(events):
    y, scores, _ = events
    curve = anomaly_roc_curve(y, scores)
    np.testing.assert_allclose(curve.tpr_error, np.sqrt(curve.tpr * (1 - curve.tpr) / 100))
    np.testing.assert_allclose(curve.fpr_error, np.sqrt(curve.fpr * (1 - curve.fpr) / 900))


def test_weighted_errors_are_the_spread_of_toys():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        y, scores = np.repeat([0, 1], 500), rng.normal(size=1000)
        curve = anomaly_roc_curve(y, scores, sample_weight=rng.gamma(2, size=1000))
        cut = np.searchsorted(-curve.threshold, 0.0)
        found.append((curve.tpr[cut], curve.tpr_error[cut]))
    efficiency, error = np.array(found).T
    assert efficiency.std() == pytest.approx(error.mean(), rel=0.15)
