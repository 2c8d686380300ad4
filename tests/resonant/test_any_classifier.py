"""Any classifier of scikit-learn works with every template and detector, or the error says why."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.detectors import CascadeClassifier, CWoLaDetector
from skad.resonant import (
    CATHODE,
    SALAD,
    CombinedTemplate,
    GivenReference,
    Sidebands,
    TemplateDetector,
)
from skad.utils._children import requires_y

REGION = (3.3, 3.7)
QUADRATIC = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression())
CLASSIFIERS = {
    "pipeline": QUADRATIC,
    "search": GridSearchCV(QUADRATIC, {"logisticregression__C": [0.1, 1.0]}, cv=2),
    "stacking": StackingClassifier([("bayes", GaussianNB())], LogisticRegression(), cv=2),
    "voting": VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft"),
    "neighbours": KNeighborsClassifier(100),
    "neighbours behind a scaler": make_pipeline(StandardScaler(), KNeighborsClassifier(100)),
    "qda": QuadraticDiscriminantAnalysis(),
}
FLOW = FlowDensity("maf", n_transforms=1, hidden_layer_sizes=(16,), max_epochs=6)
TEMPLATES = {
    "Sidebands": Sidebands(REGION),
    "GivenReference": GivenReference(REGION),
    "SALAD": SALAD(LogisticRegression(), region=REGION),
    "CATHODE": CATHODE(FLOW, region=REGION),
    "CombinedTemplate": CombinedTemplate(
        [("sidebands", Sidebands(REGION)), ("cathode", CATHODE(FLOW, region=REGION))]
    ),
}


@pytest.fixture(scope="module")
def events():
    X, truth = make_resonance(6000, 300, n_features=2, random_state=0, return_X_y=True)
    simulation, _ = make_resonance(6000, 0, n_features=2, random_state=1, return_X_y=True)
    y = np.repeat([1, 0], [len(X), len(simulation)])
    return np.concatenate([X, simulation]), y, X, truth


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
@pytest.mark.parametrize("classifier", CLASSIFIERS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template(events, template, classifier):
    both, y, X, truth = events
    detector = TemplateDetector(TEMPLATES[template], CLASSIFIERS[classifier], cv=2, random_state=0)
    detector.fit(*((both, y) if requires_y(TEMPLATES[template]) else (X,)))
    inside = detector.region_.mask(X)
    assert roc_auc_score(truth[inside], detector.anomaly_score(X[inside])) > 0.8


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_weights_matter_or_are_refused(events, classifier):
    """Equal weights are none; unequal ones reach the step that takes them, or it is named."""
    both, y, _, _ = events
    detector = CWoLaDetector(CLASSIFIERS[classifier], random_state=0)
    plain = detector.fit(both[::4], y[::4]).anomaly_score(both[:50])
    equal = detector.fit(both[::4], y[::4], sample_weight=np.full(3075, 1e-6))
    np.testing.assert_array_equal(equal.anomaly_score(both[:50]), plain)
    weight = np.where(both[::4, 1] > 0, 3.0, 1.0)
    if classifier in ("neighbours", "neighbours behind a scaler", "qda"):
        name = type(CLASSIFIERS[classifier]).__name__
        step = "KNeighborsClassifier" if name == "Pipeline" else name
        with pytest.raises(TypeError, match=rf"fit of .*{step} takes none; give one that does"):
            detector.fit(both[::4], y[::4], sample_weight=weight)
    else:
        weighted = detector.fit(both[::4], y[::4], sample_weight=weight)
        assert not np.allclose(weighted.anomaly_score(both[:50]), plain)


def test_weights_name_the_member_that_takes_none():
    X, y = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2
    stacking = StackingClassifier([("near", KNeighborsClassifier()), ("bayes", GaussianNB())])
    with pytest.raises(TypeError, match="fit of member 'near', KNeighborsClassifier takes none"):
        CWoLaDetector(stacking).fit(X, y, sample_weight=1.0 + X[:, 0] ** 2)


def test_both_stages_of_a_cascade(events):
    both, y, X, truth = events
    cascade = CascadeClassifier(QUADRATIC, KNeighborsClassifier(50), cv=2, random_state=0)
    detector = CWoLaDetector(cascade, random_state=0).fit(both, y)
    assert roc_auc_score(truth, detector.anomaly_score(X)) > 0.8


def test_a_classifier_without_probabilities_is_refused():
    X, y = np.random.default_rng(0).normal(size=(100, 2)), np.arange(100) % 2
    with pytest.raises(TypeError, match="must have predict_proba; RidgeClassifier has none"):
        CWoLaDetector(RidgeClassifier()).fit(X, y)
