"""Pipelines for the columns of real tables find what is odd in each kind of column."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler, TargetEncoder

from skad.detectors import ConformalDetector, CWoLaDetector
from skad.inspection import explain
from skad.metrics import anomaly_response, get_anomaly_scorer
from skad.report import compare_detectors


def hours(dates):
    angle = 2 * np.pi * dates.iloc[:, 0].dt.hour / 24
    return np.column_stack([np.sin(angle), np.cos(angle)])


ENCODER = make_column_transformer(
    (OneHotEncoder(handle_unknown="ignore"), ["shop"]),
    (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["age"]),
    (FunctionTransformer(hours), ["time"]),
)
DETECTOR = make_pipeline(ENCODER, GaussianMixture(4, reg_covar=1e-2, random_state=0))


@pytest.fixture(scope="module")
def payments():
    rng = np.random.default_rng(0)
    n = 1500
    return pd.DataFrame(
        {
            "shop": rng.choice(["food", "books", "shoes"], n, p=[0.6, 0.2, 0.2]),
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(45, 8, n)),
            "time": pd.Timestamp("2026-01-05")
            + pd.to_timedelta(rng.normal(14, 2, n) % 24, "h").round("min"),
        }
    )


@pytest.mark.parametrize(
    ("column", "odd"),
    [("age", 120.0), ("time", pd.Timestamp("2026-01-07 02:00")), ("shop", "jewels")],
)
def test_what_is_odd_in_a_column_is_found_and_named(payments, column, odd):
    train, test = payments.iloc[:1200], payments.iloc[1200:]
    conformal = ConformalDetector(DETECTOR, cv=3, false_alarm_rate=0.05, random_state=0).fit(train)
    alarms = (conformal.predict(test) == -1).mean()
    assert alarms < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    planted = test.iloc[:40].assign(**{column: odd})
    assert (conformal.predict(planted) == -1).mean() > 0.95
    table = explain(DETECTOR.fit(train), planted, background=train)
    assert list(table.columns) == list(payments.columns)
    assert (table.idxmax(axis=1) == column).mean() >= 0.95


def test_a_comparison_takes_such_tables(payments):
    y = np.zeros(len(payments), dtype=int)
    y[::30] = 1
    mixed = payments.assign(age=payments["age"].where(y == 0, 110.0))
    forest = make_pipeline(ENCODER, IsolationForest(random_state=0))
    report = compare_detectors({"mixture": DETECTOR, "forest": forest}, mixed, y, random_state=0)
    assert (report.table["auc"] > 0.9).all()
    scorer = get_anomaly_scorer("average_precision_anomaly")
    assert scorer(DETECTOR.fit(payments), mixed, y) > 0.8


def test_target_encoding_learns_from_labels_of_data_and_reference():
    rng = np.random.default_rng(1)
    code = rng.integers(200, size=6000).astype(str)
    y = np.repeat([0, 1], 3000)
    code[3000:3150] = "7"
    X = pd.DataFrame({"code": code, "amount": rng.normal(size=6000)})
    encoder = make_column_transformer(
        (TargetEncoder(random_state=0), ["code"]), remainder="passthrough"
    )
    trees = HistGradientBoostingClassifier(max_iter=30)
    weak = make_pipeline(encoder, CWoLaDetector(trees, cv=2, random_state=0)).fit(X, y)
    scores = anomaly_response(weak, X)
    # 165 of the data and 15 of the reference have this code: a ratio of 11.
    seven = np.median(scores[code == "7"])
    assert seven == pytest.approx(11, rel=0.5)
    assert np.median(scores[code != "7"]) == pytest.approx(0.95, abs=0.15)
