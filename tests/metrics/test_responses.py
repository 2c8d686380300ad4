"""The direction of every kind of score."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDOneClassSVM
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skad.base import DetectorMixin
from skad.metrics import anomaly_response


class Radius(DetectorMixin, BaseEstimator):
    """A detector by the contract of skad, in units of the distance from the mean."""

    contamination, threshold = 0.1, None

    def fit(self, X, y=None):
        self.mean_ = np.mean(X, axis=0)
        self._set_offset(self.anomaly_score(X))
        return self

    def anomaly_score(self, X):
        return np.linalg.norm(X - self.mean_, axis=1)


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(300, 2)), rng.normal(4, 0.5, size=(20, 2))])
    return X, np.repeat([0, 1], [300, 20])


UNSUPERVISED = [
    Radius(),
    IsolationForest(random_state=0),
    LocalOutlierFactor(novelty=True, n_neighbors=100),
    OneClassSVM(),
    EllipticEnvelope(random_state=0),
    SGDOneClassSVM(random_state=0),
    GaussianMixture(),
    KernelDensity(),
]


@pytest.mark.parametrize("estimator", UNSUPERVISED, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_unsupervised_scores_point_to_the_anomaly(events, estimator, in_pipeline):
    X, y = events
    # One-class linear models separate from the origin, so the inliers must be away from it.
    X = np.array([6.0, 6.0]) - X
    if in_pipeline:
        estimator = make_pipeline(StandardScaler(with_mean=False), estimator)
    scores = anomaly_response(estimator.fit(X[y == 0]), X)
    assert scores.dtype == np.float64
    assert roc_auc_score(y, scores) > 0.95


def test_units_survive_a_pipeline(events):
    X, _ = events
    pipeline = make_pipeline(StandardScaler(), Radius()).fit(X)
    expected = np.linalg.norm(StandardScaler().fit_transform(X), axis=1)
    np.testing.assert_allclose(anomaly_response(pipeline, X), expected)
    nested = make_pipeline(pipeline).fit(X)
    np.testing.assert_allclose(anomaly_response(nested, X), expected)


CLASSIFIERS = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=10, random_state=0),
    KNeighborsClassifier(),
]


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    ("labels", "signal_label"),
    [([0, 1], None), ([-1, 1], 1), ([1, -1], -1), (["qcd", "top"], "top"), (["z", "a"], "a")],
)
def test_classifiers_point_to_the_signal_label(events, classifier, labels, signal_label):
    X, y = events
    classifier.fit(X, np.asarray(labels)[y])
    assert roc_auc_score(y, anomaly_response(classifier, X, signal_label=signal_label)) > 0.95


def test_several_classes(events):
    X, y = events
    y = np.where(X[:, 0] < 0, "left", np.where(y == 1, "signal", "right"))
    scores = anomaly_response(LogisticRegression().fit(X, y), X, signal_label="signal")
    assert roc_auc_score(y == "signal", scores) > 0.95


def test_log_odds_do_not_saturate():
    X = np.linspace(-1, 1, 2001)[:, None]
    classifier = LogisticRegression(C=1e9).fit(X, X[:, 0] > 0)
    classifier.coef_ = np.array([[1e4]])
    assert len(np.unique(classifier.predict_proba(X)[:, 1])) < 2001
    assert len(np.unique(anomaly_response(classifier, X))) == 2001


@pytest.mark.parametrize("labels", [[-1, 1], ["qcd", "top"]])
def test_ambiguous_classes_are_refused(events, labels):
    X, y = events
    classifier = LogisticRegression().fit(X, np.asarray(labels)[y])
    with pytest.raises(ValueError, match="pass signal_label="):
        anomaly_response(classifier, X)


def test_a_truth_label_unknown_to_a_weak_classifier_is_not_used(events):
    X, y = events
    classifier = LogisticRegression().fit(X, y)
    expected = anomaly_response(classifier, X)
    np.testing.assert_array_equal(anomaly_response(classifier, X, signal_label="top"), expected)


class PyODLike(BaseEstimator):
    """Has a decision_function that is higher for outliers, without an OutlierMixin."""

    def fit(self, X, y=None):
        return self

    def decision_function(self, X):
        return np.linalg.norm(X, axis=1)


@pytest.mark.parametrize("estimator", [PyODLike(), LinearRegression(), LocalOutlierFactor()])
def test_unknown_directions_are_refused(events, estimator):
    with pytest.raises(TypeError, match="no score of known direction"):
        anomaly_response(estimator.fit(*events), events[0])


def test_a_name_is_no_estimator():
    with pytest.raises(TypeError, match="must be a fitted estimator; got 'IsolationForest'"):
        anomaly_response("IsolationForest", [[0.0]])


def test_infinite_scores_are_refused(events):
    density = KernelDensity(kernel="tophat").fit(events[0])
    with pytest.raises(ValueError, match=r"of KernelDensity must be finite.*1 infin"):
        anomaly_response(density, [[0.0, 0.0], [50.0, 50.0]])
