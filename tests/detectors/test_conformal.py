"""Conformal p-values: exact ranks, guarantees over many samples, shifts, and what they wrap."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skad.detectors import ConformalDetector, CWoLaDetector, PyODDetector
from skad.exceptions import LowStatisticsWarning
from skad.metrics import anomaly_response, get_anomaly_scorer


class Value(OutlierMixin, BaseEstimator):
    """The anomaly score is the first column, less the mean that was learned where asked."""

    def __init__(self, centre=False):
        self.centre = centre

    def fit(self, X, y=None):
        self.mean_ = np.asarray(X)[:, 0].mean() if self.centre else 0.0
        return self

    def score_samples(self, X):
        return self.mean_ - np.asarray(X)[:, 0]


def test_p_values_are_ranks_among_the_calibration_events():
    X = np.arange(9.0)[:, None]
    detector = ConformalDetector(FrozenEstimator(Value().fit(X)), false_alarm_rate=0.2).fit(X)
    later = np.array([[-1.0], [0.0], [4.0], [4.5], [8.0], [9.0], [1e9]])
    expected = np.array([10, 10, 6, 5, 2, 1, 1]) / 10
    np.testing.assert_array_equal(detector.p_values(later), expected)
    np.testing.assert_allclose(detector.score_samples(later), expected, rtol=1e-6)
    np.testing.assert_allclose(detector.anomaly_score(later), -np.log(expected), atol=2e-7)
    np.testing.assert_array_equal(detector.predict(later) == -1, expected <= 0.2)
    # Events of one p-value stay in order.
    assert (np.diff(detector.anomaly_score(later)) > 0).all()


def test_folds_compare_an_event_with_what_each_detector_has_not_seen():
    rng = np.random.default_rng(0)
    X, later = rng.normal(size=(50, 1)), rng.normal(size=(20, 1))
    cv = KFold(5)
    detector = ConformalDetector(Value(centre=True), cv=cv, false_alarm_rate=0.1).fit(X)
    count = np.ones(20)
    for train, test in cv.split(X):
        mean = X[train].mean()
        count += ((X[test, 0] - mean)[:, None] >= later[:, 0] - mean).sum(axis=0)
    np.testing.assert_allclose(detector.p_values(later), count / 51, rtol=1e-12)
    np.testing.assert_array_equal(
        np.sort(np.concatenate(detector.calibration_scores_)),
        np.sort([X[i, 0] - X[t].mean() for t, test in cv.split(X) for i in test]),
    )


@pytest.mark.parametrize("cv", [0.5, 4])
def test_false_alarms_and_false_discoveries_are_as_stated(cv):
    rng = np.random.default_rng(1)
    mixture = GaussianMixture(random_state=0)
    alarms, wrong, found = [], [], []
    for seed in range(60):
        X = rng.standard_t(4, size=(120, 2))
        later = rng.standard_t(4, size=(100, 2))
        both = np.concatenate([later, rng.normal(12, 1, size=(20, 2))])
        fit = ConformalDetector(mixture, cv=cv, false_alarm_rate=0.1, random_state=seed).fit(X)
        alarms.append(np.mean(fit.predict(later) == -1))
        chosen = fit.select(both, fdr=0.2)
        wrong.append(chosen[:100].sum() / max(chosen.sum(), 1))
        found.append(chosen[100:].mean())
        np.testing.assert_array_equal(
            chosen, stats.false_discovery_control(fit.p_values(both)) <= 0.2
        )
    for values, nominal in ((alarms, 0.1), (wrong, 0.2)):
        assert np.mean(values) < nominal + 2 * stats.sem(values)
    # Not by calling nothing.
    assert np.mean(alarms) > 0.05 and np.mean(found) > 0.6


def test_split_p_values_are_uniform():
    rng = np.random.default_rng(2)
    p = [
        ConformalDetector(Value(), false_alarm_rate=0.1, random_state=seed)
        .fit(rng.normal(size=(38, 1)))
        .p_values(rng.normal(size=(1, 1)))[0]
        for seed in range(600)
    ]
    # 19 calibration events: twenty values, all as likely.
    counts = np.bincount(np.round(np.multiply(p, 20)).astype(int), minlength=21)[1:]
    assert counts.sum() == 600
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("shift", ["function", "classifier"])
def test_weights_of_a_shift_restore_the_rate(shift):
    # The score follows x, and so does the shift from the sidebands (0, 1) to the region (1, 1).
    rng = np.random.default_rng(3)
    alarms, plain = [], []
    for seed in range(20):
        sidebands, region = rng.normal(size=(1500, 1)), rng.normal(1, 1, size=(1500, 1))
        if shift == "function":
            weigh, X, y = (lambda X: np.exp(X[:, 0] - 0.5)), sidebands, None
        else:
            weigh = LogisticRegression()
            X, y = np.concatenate([sidebands, region]), np.repeat([0, 1], 1500)
        later = rng.normal(1, 1, size=(1500, 1))
        options = {"false_alarm_rate": 0.1, "random_state": seed}
        fit = ConformalDetector(Value(), shift=weigh, **options).fit(X, y)
        alarms.append(np.mean(fit.predict(later) == -1))
        plain.append(
            np.mean(ConformalDetector(Value(), **options).fit(sidebands).predict(later) == -1)
        )
    # A Gaussian beyond 1.28 holds 0.1, one with mean 1 beyond it 0.39.
    assert np.mean(plain) == pytest.approx(0.39, abs=0.02)
    assert np.mean(alarms) == pytest.approx(0.1, abs=0.02)


def test_known_weights_give_the_weighted_rank():
    X, later = np.array([[1.0], [2.0], [4.0]]), np.array([[0.5], [2.0], [5.0]])
    fit = ConformalDetector(
        FrozenEstimator(Value().fit(X)), shift=lambda X: X[:, 0], false_alarm_rate=0.5
    )
    with pytest.warns(LowStatisticsWarning, match="3 calibration events count as 2.3"):
        fit.fit(X)
    # Equation 8 of arXiv:1904.06019 by hand.
    np.testing.assert_allclose(fit.p_values(later), [7.5 / 7.5, 8 / 9, 5 / 12])


def test_shift_refuses_what_are_no_weights():
    X = np.arange(40.0)[:, None]
    for weigh, words in (
        (lambda X: -X[:, 0], "what shift returns must not be below 0"),
        (lambda X: np.ones(3), "one weight for each of 20 events; got 3"),
        (lambda X: np.zeros(len(X)), "weight 0"),
    ):
        with pytest.raises(ValueError, match=words):
            ConformalDetector(Value(), shift=weigh).fit(X)
    with pytest.raises(ValueError, match="y"):
        ConformalDetector(Value(), shift=LogisticRegression()).fit(X)


def test_a_rate_that_no_event_can_reach_is_said():
    X = np.random.default_rng(0).normal(size=(100, 1))
    with pytest.warns(LowStatisticsWarning, match="50 calibration events give no p-value below"):
        few = ConformalDetector(Value(), random_state=0).fit(X)
    assert (few.predict([[1e6]]) == 1).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ConformalDetector(Value(), cv=5, random_state=0).fit(X)


def test_overlapping_test_sets_are_refused():
    with pytest.raises(ValueError, match="cv must let no event calibrate twice"):
        ConformalDetector(Value(), cv=ShuffleSplit(5, random_state=0)).fit(np.zeros((50, 1)))


def test_reference_events_calibrate_a_detector_that_needs_y():
    rng = np.random.default_rng(4)
    reference, data = rng.normal(size=(1000, 1)), rng.normal(size=(900, 1))
    X = np.concatenate([reference, data, rng.normal(3, 0.3, size=(100, 1))])
    y = np.repeat([0, 1], 1000)
    weak = CWoLaDetector(LogisticRegression(), cv=None)
    fit = ConformalDetector(weak, cv=4, false_alarm_rate=0.05, random_state=0).fit(X, y)
    assert sum(map(len, fit.calibration_scores_)) == 1000
    assert np.mean(fit.predict(rng.normal(size=(4000, 1))) == -1) == pytest.approx(0.05, abs=0.02)
    assert (fit.predict([[3.0]]) == -1).all()


def test_pipelines_searches_and_detectors_of_others():
    pyod = pytest.importorskip("pyod.models.ecod")
    rng = np.random.default_rng(5)
    X, later = rng.normal(size=(400, 3)), rng.normal(size=(200, 3))
    both, y = np.concatenate([later, rng.normal(5, 1, size=(20, 3))]), np.repeat([0, 1], [200, 20])
    for detector in (
        IsolationForest(n_estimators=20),
        LocalOutlierFactor(novelty=True),
        PyODDetector(pyod.ECOD()),
        make_pipeline(StandardScaler(), GaussianMixture()),
    ):
        conformal = ConformalDetector(detector, cv=5, false_alarm_rate=0.05, random_state=0)
        pipeline = make_pipeline(StandardScaler(), conformal).fit(X)
        p = pipeline[-1].p_values(pipeline[0].transform(both))
        np.testing.assert_allclose(pipeline.score_samples(both), p, rtol=1e-6)
        np.testing.assert_array_equal(pipeline.predict(both) == -1, p <= 0.05)
        scorer = get_anomaly_scorer("roc_auc_anomaly")
        assert scorer(pipeline, both, y) > 0.98
    search = GridSearchCV(
        ConformalDetector(IsolationForest(n_estimators=20), random_state=0),
        {"detector__max_samples": [2, 64]},
        scoring=scorer,
        cv=[(np.arange(200), np.arange(200, 220))] * 2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowStatisticsWarning)
        search.fit(np.concatenate([X[:200], X[200:210], X[200:210] + 4]), [0] * 210 + [1] * 10)
    assert search.best_params_ == {"detector__max_samples": 64}


def test_ties_do_not_cost_what_the_detector_ranks():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(100, 2))
    far = rng.normal(8, 3, size=(50, 2))
    fit = ConformalDetector(GaussianMixture(), cv=0.5, false_alarm_rate=0.1, random_state=0).fit(X)
    alone = anomaly_response(fit.detectors_[0], far)
    np.testing.assert_array_equal(np.argsort(fit.anomaly_score(far)), np.argsort(alone))


def test_columns_that_only_the_pipeline_reads():
    rng = np.random.default_rng(7)
    table = pd.DataFrame({"colour": rng.choice(["red", "blue"], 300), "size": rng.normal(size=300)})
    table.loc[::10, "size"] = np.nan
    steps = make_column_transformer(
        (OneHotEncoder(), ["colour"]), (SimpleImputer(add_indicator=True), ["size"])
    )
    fit = ConformalDetector(
        make_pipeline(steps, IsolationForest(n_estimators=20)), cv=5, random_state=0
    ).fit(table)
    np.testing.assert_array_equal(fit.feature_names_in_, ["colour", "size"])
    odd = pd.DataFrame({"colour": ["red", "red"], "size": [0.0, 40.0]})
    normal, far = fit.p_values(odd)
    assert far < 0.02 < normal
    with pytest.raises(ValueError, match="feature names"):
        fit.p_values(odd[["size", "colour"]])
