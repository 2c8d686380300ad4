"""PyOD's detectors behind skad's conventions."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from skad.detectors import PyODDetector

ecod = pytest.importorskip("pyod.models.ecod")


def test_sign_and_labels_are_flipped():
    rng = np.random.RandomState(0)
    X = np.r_[rng.normal(size=(980, 2)), rng.normal(size=(20, 2)) + 8]
    detector = PyODDetector(ecod.ECOD(), contamination=0.02).fit(X)
    theirs = ecod.ECOD(contamination=0.02).fit(X)
    np.testing.assert_allclose(detector.anomaly_score(X), theirs.decision_function(X))
    np.testing.assert_allclose(detector.score_samples(X), -theirs.decision_function(X))
    assert roc_auc_score(np.arange(1000) >= 980, detector.anomaly_score(X)) > 0.95
    np.testing.assert_array_equal(detector.predict(X) == -1, theirs.predict(X) == 1)
