"""ColumnCoordinates and InverseCoordinates: parameters, names, places, errors."""

import numpy as np
import pandas as pd
import pytest
from jacobian_reference import assert_jacobian, reference_log_det
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skad.coordinates import (
    ColumnCoordinates,
    ExpTransformer,
    FunctionCoordinates,
    InverseCoordinates,
    LogitTransformer,
    LogTransformer,
    TanhTransformer,
    log_abs_det_jacobian,
)
from skad.exceptions import DomainError, MissingColumnError

NAMES = ["mjj", "mj1", "delta_mj", "tau21"]


def frame(n_events=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(np.exp(rng.normal(size=(n_events, 4))), columns=NAMES)


def coordinates(**params):
    return ColumnCoordinates(
        [("log", LogTransformer(), ["delta_mj", "mj1"]), ("pass", "passthrough", ["mjj"])],
        **params,
    )


def test_columns_keep_their_places():
    X = frame()
    transformer = coordinates(remainder=StandardScaler()).fit(X)
    Z = transformer.transform(X)
    np.testing.assert_array_equal(Z[:, 0], X["mjj"])
    np.testing.assert_allclose(Z[:, 1:3], np.log(X[["mj1", "delta_mj"]]))
    assert Z[:, 3].mean() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(transformer.inverse_transform(Z), X, rtol=1e-9)
    expected = -np.log(X[["mj1", "delta_mj"]]).sum(axis=1) - np.log(X["tau21"].std(ddof=0))
    np.testing.assert_allclose(transformer.log_abs_det_jacobian(X), expected)
    assert [name for name, *_ in transformer.transformers_] == ["log", "pass", "remainder"]


def test_positions_and_negative_positions():
    X = frame().to_numpy()
    transformer = ColumnCoordinates([("log", LogTransformer(), [-1, 0])]).fit(X)
    Z = transformer.transform(X)
    np.testing.assert_allclose(Z[:, [0, 3]], np.log(X[:, [0, 3]]))
    np.testing.assert_array_equal(Z[:, [1, 2]], X[:, [1, 2]])


def test_transformers_that_lack_an_inverse_of_their_own():
    """A ColumnTransformer inside is inverted through the rules."""
    X = frame()
    inner = ColumnTransformer([("log", LogTransformer(), ["tau21"])], remainder="passthrough")
    transformer = ColumnCoordinates([("inner", inner, ["mj1", "tau21"])]).fit(X)
    Z = transformer.transform(X)
    np.testing.assert_allclose(transformer.inverse_transform(Z), X, rtol=1e-9)
    expected, converged = reference_log_det(
        lambda points: transformer.transform(pd.DataFrame(points, columns=NAMES)),
        X.to_numpy()[:20],
        step=1e-3,
    )
    assert converged.sum() > 10
    assert_jacobian(transformer.log_abs_det_jacobian(X[:20])[converged], expected[converged])


def test_nested_parameters():
    transformer = coordinates()
    assert transformer.get_params()["log__unit"] == 1.0
    transformer.set_params(log__unit=2.0)
    copy = clone(transformer)
    assert copy.get_params()["log"].unit == 2.0
    assert copy.get_params()["log"] is not transformer.get_params()["log"]
    assert copy.transformers[0][2] == ["delta_mj", "mj1"]
    search = GridSearchCV(
        make_pipeline(coordinates(), KernelDensity()),
        {"columncoordinates__log__unit": [0.5, 1.0]},
        cv=2,
    ).fit(frame(60))
    assert search.best_score_ > -np.inf


def test_names_of_coordinates_come_from_the_transformers():
    X = frame()
    ratio = FunctionCoordinates(
        lambda x: np.column_stack([x[:, 0], x[:, 1] / x[:, 0]]),
        lambda z: np.column_stack([z[:, 0], z[:, 1] * z[:, 0]]),
        log_abs_det=lambda x: -np.log(x[:, 0]),
        feature_names_out=["mjj", "fraction"],
    )
    transformer = ColumnCoordinates([("ratio", ratio, ["mjj", "mj1"])])
    Z = transformer.set_output(transform="pandas").fit_transform(X)
    assert list(Z.columns) == ["mjj", "fraction", "delta_mj", "tau21"]
    np.testing.assert_allclose(transformer.inverse_transform(Z), X, rtol=1e-9)


def test_errors_name_the_column_of_the_whole():
    X = frame()
    X.loc[5, "delta_mj"] = -1.0
    with pytest.raises(DomainError, match=r"LogTransformer: column 'delta_mj' holds -1 in row 5"):
        coordinates().fit(X).transform(X)
    transformer = ColumnCoordinates([("log", LogTransformer(), [3, 2])])
    with pytest.raises(
        DomainError,
        match=r"transformer 'log' of ColumnCoordinates, whose columns are at positions \[3, 2\] of "
        r"X: LogTransformer: column 1 holds -1 in row 5",
    ):
        transformer.fit_transform(X.to_numpy())


@pytest.mark.parametrize(
    ("transformers", "error", "message"),
    [
        ([("log", LogTransformer(), ["mass"])], MissingColumnError, r"log='mass' is not a column"),
        (
            [("a", LogTransformer(), ["mj1"]), ("b", ExpTransformer(), ["mj1", "mjj"])],
            ValueError,
            r"share the columns at positions \[1\]",
        ),
        ([("log", LogTransformer())], ValueError, r"list of \(name, transformer, columns\)"),
        ([("log", "drop", ["mj1"])], TypeError, r"'log'.*To drop a column, remove it from X"),
        (
            [("a", LogTransformer(), ["mj1"]), ("a", LogTransformer(), ["mjj"])],
            ValueError,
            r"Names provided are not unique",
        ),
    ],
)
def test_wrong_transformers_are_explained(transformers, error, message):
    with pytest.raises(error, match=message):
        ColumnCoordinates(transformers).fit(frame())


def test_transformer_that_widens_is_refused():
    with pytest.raises(ValueError, match=r"'poly'.*must map its 2 columns to as many.*\(200, 5\)"):
        ColumnCoordinates(
            [("poly", PolynomialFeatures(include_bias=False), ["mj1", "mjj"])]
        ).fit_transform(frame())


# -- InverseCoordinates ----------------------------------------------------------------------


def test_inverse_of_a_fitted_pipeline_names_its_features():
    X = frame()
    forward = make_pipeline(coordinates(), StandardScaler()).fit(X)
    Z = forward.transform(X)
    backwards = InverseCoordinates(forward).set_output(transform="pandas").fit(Z)
    back = backwards.transform(Z)
    assert list(back.columns) == NAMES
    np.testing.assert_allclose(back, X, rtol=1e-9)
    np.testing.assert_allclose(backwards.inverse_transform(X.to_numpy()), Z, atol=1e-9)
    np.testing.assert_allclose(
        log_abs_det_jacobian(backwards, Z), -log_abs_det_jacobian(forward, X), atol=1e-9
    )


def test_inverse_of_something_that_must_be_fitted_first():
    X = frame().to_numpy()
    with pytest.raises(NotFittedError, match=r"LogitTransformer learns from events in its own"):
        InverseCoordinates(LogitTransformer()).fit(X)
    with pytest.raises(NotFittedError, match=r"StandardScaler learns from events"):
        InverseCoordinates(StandardScaler()).fit(X)
    logit = LogitTransformer().fit(X)
    kept = clone(InverseCoordinates(FrozenEstimator(logit)))
    Z = logit.transform(X)
    np.testing.assert_allclose(kept.fit(Z).transform(Z), X, rtol=1e-9)


def test_inverse_checks_the_number_of_features():
    tanh = TanhTransformer().fit(np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"X has 2 features, but TanhTransformer was fitted with 3"
    ):
        InverseCoordinates(tanh).fit(np.zeros((2, 2)))


def test_inverse_of_an_inverse():
    X = frame().to_numpy()
    log = LogTransformer().fit(X)
    twice = InverseCoordinates(InverseCoordinates(log).fit(log.transform(X))).fit(X)
    np.testing.assert_allclose(twice.transform(X), np.log(X), rtol=1e-12)
    np.testing.assert_allclose(twice.log_abs_det_jacobian(X), -np.log(X).sum(axis=1), atol=1e-12)
