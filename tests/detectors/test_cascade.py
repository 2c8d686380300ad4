"""The cascade: unbiased selection, calibrated ratio, more signal than one stage finds."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from skad.datasets import make_gaussian_anomaly
from skad.detectors import CascadeClassifier, CWoLaDetector, TreeEnsembleClassifier
from skad.detectors._tilt import TiltClassifier, combined
from skad.metrics import significance_improvement_at

CENTRE, WIDTH = 1.5, 0.7
TREES = TreeEnsembleClassifier(3, n_forest_trees=15, min_samples_leaf=20)


def draw(n, n_signal, seed, n_features=5):
    """Reference and mixed events of a narrow signal in its tail, truth last."""
    rng = np.random.RandomState(seed)
    reference, mixed = rng.normal(size=(n, n_features)), rng.normal(size=(n, n_features))
    mixed[:n_signal] = rng.normal(CENTRE, WIDTH, size=(n_signal, n_features))
    truth = np.zeros(2 * n, dtype=int)
    truth[n : n + n_signal] = 1
    return np.concatenate([reference, mixed]), np.repeat([0, 1], n), truth


def log_signal_ratio(X):
    n = X.shape[1]
    signal = multivariate_normal(np.full(n, CENTRE), WIDTH**2 * np.eye(n)).logpdf(X)
    return signal - multivariate_normal(np.zeros(n)).logpdf(X)


def test_finds_more_than_one_stage():
    gains = []
    for seed in range(3):
        X, y, _ = draw(10_000, 50, seed)
        T, _, truth = draw(15_000, 1000, seed + 100)
        cascade = CascadeClassifier(TREES, random_state=seed).fit(X, y)
        stage = cascade.estimators_[0].classifiers
        first = np.mean([c.decision_function(T) for c in stage], axis=0)
        both = cascade.decision_function(T)
        sic = [significance_improvement_at(truth, s, fpr=3e-3) for s in (first, both)]
        gains.append(sic[1] / sic[0])
    assert np.mean(gains) > 1.05


def test_log_odds_are_those_of_the_mixture():
    """The correction for the parts that pass makes both stages estimate the same ratio."""
    X, y, _ = draw(40_000, 4000, seed=0, n_features=2)
    T, _, _ = draw(20_000, 2000, seed=1, n_features=2)
    fitted = CascadeClassifier(
        TreeEnsembleClassifier(5, n_forest_trees=0), fraction=0.1, cv=3, random_state=0
    ).fit(X, y)
    exact = np.log1p(0.1 * np.expm1(log_signal_ratio(T)))
    ratio = fitted.decision_function(T)
    strong = exact > 1
    assert strong.sum() > 500
    assert np.median(ratio[strong] - exact[strong]) == pytest.approx(0, abs=0.15)
    assert np.median(np.abs(ratio - exact)) < 0.1
    # The mean of the ratio over reference events is one.
    assert np.exp(ratio[:20_000]).mean() == pytest.approx(1, abs=0.05)


def test_both_classes_pass_alike_without_signal():
    """Selected in sample, more of the mixed events would pass."""
    parts = []
    for seed in range(3):
        X, y, _ = draw(8000, 0, seed)
        cascade = CascadeClassifier(TREES, fraction=0.05, random_state=seed)
        parts.append(cascade.fit(X, y).estimators_[0].n_selected / 8000)
    reference, mixed = np.mean(parts, axis=0)
    assert reference == pytest.approx(0.05, abs=1e-3)
    assert mixed == pytest.approx(reference, abs=4 * np.sqrt(2 * 0.05 / 24_000))


def test_classes_count_alike_with_and_without_weights():
    X, y, _ = draw(20_000, 800, seed=0)
    few = np.flatnonzero((y == 1) | (np.arange(len(y)) % 4 == 0))
    settings = {"fraction": 0.1, "cv": 3, "random_state": 0}
    # No weights in the fit of a discriminant analysis: its prior is taken out instead.
    plain = CascadeClassifier(LinearDiscriminantAnalysis(), **settings)
    all_events = plain.fit(X, y).decision_function(X)
    fewer = plain.fit(X[few], y[few]).decision_function(X)
    np.testing.assert_allclose(np.median(all_events), np.median(fewer), atol=0.05)
    weighted = CascadeClassifier(LogisticRegression(), **settings)
    weight = np.where(y == 1, 7.0, 1.0)
    np.testing.assert_allclose(
        weighted.fit(X, y, sample_weight=weight).decision_function(X),
        weighted.fit(X, y).decision_function(X),
        atol=0.02,
    )


def test_few_selected_events_leave_the_first_stage():
    X, y, _ = draw(1000, 20, seed=0)
    cascade = CascadeClassifier(LogisticRegression(), fraction=0.02, random_state=0)
    (fitted,) = cascade.fit(X, y).estimators_
    assert fitted.final_classifier is None and fitted.n_selected[0] == 20
    (fitted,) = cascade.set_params(fraction=0.2).fit(X, y).estimators_
    assert fitted.final_classifier is not None
    (fitted,) = cascade.fit(X[:1001], y[:1001]).estimators_
    assert len(fitted.classifiers) == 1


def test_folds_that_repeat_or_leave_events_out_are_no_matter():
    X, y, _ = draw(4000, 100, seed=0)
    folds = list(StratifiedKFold(4, shuffle=True, random_state=0).split(X, y))[:2]
    cascade = CascadeClassifier(LogisticRegression(), cv=folds, fraction=0.1, random_state=0)
    (fitted,) = cascade.fit(X, y).estimators_
    assert len(fitted.classifiers) == 2
    # Only the events that some fold has left out can be selected.
    assert fitted.n_selected[0] == pytest.approx(0.1 * 2000, abs=1)


def test_several_cascades_are_averaged():
    X, y, _ = draw(3000, 100, seed=0)
    cascade = CascadeClassifier(LogisticRegression(), fraction=0.1, n_estimators=3, random_state=0)
    cascade.fit(X, y)
    single = clone(cascade).set_params(n_estimators=1).fit(X, y)
    parts = [member.log_ratio(X) for member in cascade.estimators_]
    np.testing.assert_allclose(cascade.decision_function(X), np.mean(parts, axis=0))
    np.testing.assert_allclose(parts[0], single.decision_function(X))
    assert np.abs(parts[1] - parts[0]).max() > 1e-3


def test_inside_the_detector():
    X, y, truth = draw(10_000, 150, seed=0)
    cascade = CascadeClassifier(TREES, cv=2)
    detector = CWoLaDetector(cascade, cv=2, random_state=0).fit(X, y)
    sic = significance_improvement_at(truth[y == 1], detector.training_scores_[y == 1], fpr=0.01)
    assert sic > 5


def smooth_problem(coordinates):
    """Mixed events with a tenth of signal, reference, test events and their truth."""
    mixed = make_gaussian_anomaly(10_000, 1000, coordinates=coordinates, random_state=0)
    reference = make_gaussian_anomaly(10_000, 1, coordinates=coordinates, random_state=1)
    test = make_gaussian_anomaly(20_000, 20_000, coordinates=coordinates, random_state=2)
    X = np.concatenate([reference.data[:-1], mixed.data])
    return X, np.repeat([0, 1], [10_000, 11_000]), test


def test_a_smooth_signal_is_seen_as_the_likelihood_ratio_does_in_every_frame():
    areas = []
    for coordinates in ("identity", "cdf", "tanh"):
        X, y, test = smooth_problem(coordinates)
        cascade = CascadeClassifier(random_state=0).fit(X, y)
        areas.append(roc_auc_score(test.target, cascade.decision_function(test.data)))
    assert test.auc_likelihood_ratio == pytest.approx(0.841, abs=1e-3)
    np.testing.assert_allclose(areas, test.auc_likelihood_ratio, atol=0.015)
    assert np.ptp(areas) < 0.002
    trees = CascadeClassifier(TreeEnsembleClassifier(3, n_forest_trees=15), random_state=0)
    alone = trees.fit(X, y).decision_function(test.data)
    assert roc_auc_score(test.target, alone) < areas[-1] - 0.03


def test_a_narrow_signal_is_left_to_the_trees():
    """To the bit: a smooth classifier that is of no use leaves no trace, not in the seeds."""
    rng = np.random.RandomState(0)
    X, y, _ = draw(10_000, 0, seed=0, n_features=3)
    X[10_000:10_300] = 0.5 + 0.1 * rng.normal(size=(300, 3))
    default = CascadeClassifier(random_state=0).fit(X, y)
    first = TreeEnsembleClassifier(3, n_forest_trees=15, min_samples_leaf=40)
    final = TreeEnsembleClassifier(20, n_forest_trees=100, min_samples_leaf=40)
    trees = CascadeClassifier(first, final, random_state=0).fit(X, y)
    np.testing.assert_array_equal(default.decision_function(X), trees.decision_function(X))


def test_tilt_is_the_ratio_of_a_mixture():
    X, y, test = smooth_problem("identity")
    weight = np.where(y == 1, 10 / 11, 1.0)
    tilt = TiltClassifier(2).fit(X, y, sample_weight=weight)
    exact = np.log(10 / 11 + np.exp(test.log_likelihood_ratio(X)) / 11)
    assert np.sqrt(np.mean((tilt.decision_function(X) - exact) ** 2)) < 0.03


def test_what_joins_the_trees_must_be_clearly_better():
    rng = np.random.RandomState(0)
    ratio, other, noise = rng.normal(size=(3, 20_000))
    y = (rng.uniform(size=20_000) < 1 / (1 + np.exp(-ratio - other))).astype(int)
    weight = np.ones(20_000)
    assert combined(ratio, noise, y, weight) is None
    np.testing.assert_allclose(combined(ratio, other, y, weight), 1, atol=0.05)
    # Trees that add nothing are left out.
    dropped = combined(noise, ratio + other, y, weight)
    assert dropped[0] == 0 and dropped[1] == pytest.approx(1, abs=0.05)
