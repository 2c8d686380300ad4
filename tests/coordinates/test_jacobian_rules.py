"""log_abs_det_jacobian and inverse_transform of scikit-learn's transformers, nested anyhow."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jacobian_reference import assert_jacobian, reference_log_det
from scipy import special, stats
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skad.coordinates import (
    AffineTransformer,
    ColumnCoordinates,
    EmpiricalCDFTransformer,
    ExpTransformer,
    FunctionCoordinates,
    InverseCoordinates,
    LogitTransformer,
    LogTransformer,
    NormalCDFTransformer,
    TanhTransformer,
    change_of_variables,
    inverse_transform,
    log_abs_det_jacobian,
    register_jacobian,
)
from skad.exceptions import FiducialWarning, NoJacobianError

N_FEATURES = 3


def correlated(n_events=400, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_events, N_FEATURES))
    return X @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -0.7], [0.2, 0.0, 1.0]]) + [0.5, 0.0, -1.0]


X = correlated()
POSITIVE = np.exp(0.5 * X)
# Events well inside the training range, so that differences stay in every domain.
CENTRAL = np.flatnonzero((np.abs(X - X.mean(axis=0)) < 1.2 * X.std(axis=0)).all(axis=1))[:12]


def check(transformer, X, *, min_converged=6):
    transformer.fit(X)
    points = X[CENTRAL]
    expected, converged = reference_log_det(
        lambda points: np.asarray(transformer.transform(points)), points, step=4e-3
    )
    # Differences that straddle a knot of a piecewise function do not converge.
    assert converged.sum() >= min_converged
    actual = log_abs_det_jacobian(transformer, points)
    assert actual.dtype == np.float64 and actual.shape == (len(points),)
    assert_jacobian(actual[converged], expected[converged])
    back = inverse_transform(transformer, transformer.transform(points))
    np.testing.assert_allclose(back, points, rtol=1e-9, atol=1e-9)


def soft_cube(x):
    return x + x**3 / 3


def inverse_soft_cube(z):
    # The real root of x^3 + 3 x - 3 z = 0.
    root = np.cbrt(1.5 * z + np.sqrt(2.25 * z**2 + 1))
    return root - 1 / root


def shear(x):
    return np.column_stack([x[:, 0], x[:, 1] * np.exp(x[:, 0]), x[:, 2] - x[:, 1]])


def unshear(z):
    y = z[:, 1] * np.exp(-z[:, 0])
    return np.column_stack([z[:, 0], y, z[:, 2] + y])


SCIKIT_LEARN = {
    "standard": StandardScaler(),
    "standard, mean only": StandardScaler(with_std=False),
    "min-max": MinMaxScaler(feature_range=(-2, 5)),
    "robust": RobustScaler(unit_variance=True),
    "robust, no scale": RobustScaler(with_scaling=False),
    "max-abs": MaxAbsScaler(),
    "yeo-johnson": PowerTransformer(),
    "yeo-johnson, not standardised": PowerTransformer(standardize=False),
    "box-cox": PowerTransformer(method="box-cox"),
    "box-cox, not standardised": PowerTransformer(method="box-cox", standardize=False),
    "quantile, uniform": QuantileTransformer(n_quantiles=10),
    "quantile, normal": QuantileTransformer(n_quantiles=10, output_distribution="normal"),
    "pca": PCA(),
    "whitening": PCA(whiten=True),
    "identity function": FunctionTransformer(),
    "function": FunctionTransformer(soft_cube, inverse_func=inverse_soft_cube),
    "function of all columns": FunctionTransformer(shear, inverse_func=unshear),
    "selector of all columns": VarianceThreshold(),
}


@pytest.mark.parametrize("name", SCIKIT_LEARN)
def test_scikit_learn_transformer(name):
    check(SCIKIT_LEARN[name], POSITIVE if "box-cox" in name else X)


@pytest.mark.parametrize(
    ("func", "inverse", "low", "high"),
    [
        (np.log, np.exp, 0.1, 5),
        (np.log2, np.exp2, 0.1, 5),
        (np.log10, special.exp10, 0.1, 5),
        (np.log1p, np.expm1, -0.5, 5),
        (np.exp, np.log, -3, 3),
        (np.expm1, np.log1p, -3, 3),
        (np.sqrt, np.square, 0.1, 5),
        (np.cbrt, lambda x: x**3, -5, -0.5),
        (np.sinh, np.arcsinh, -3, 3),
        (np.arcsinh, np.sinh, -3, 3),
        (np.tanh, np.arctanh, -2, 2),
        (np.arctanh, np.tanh, -0.9, 0.9),
        (np.negative, np.negative, -3, 3),
        (np.reciprocal, np.reciprocal, -3, -0.5),
        (special.logit, special.expit, 0.1, 0.9),
        (special.expit, special.logit, -3, 3),
    ],
)
def test_function_transformer_of_a_common_function(func, inverse, low, high):
    points = np.random.default_rng(1).uniform(low, high, size=(400, N_FEATURES))
    transformer = FunctionTransformer(func, inverse_func=inverse).fit(points)
    expected, converged = reference_log_det(func, points, step=1e-3)
    assert converged.sum() > 300
    assert_jacobian(log_abs_det_jacobian(transformer, points)[converged], expected[converged])


def test_function_transformer_in_any_unit():
    """The numerical Jacobian finds its step from 1e-12 to 1e12, next to zero and on frames."""
    func = FunctionTransformer(lambda X: np.log(X + 1e-9), inverse_func=lambda Z: np.exp(Z) - 1e-9)
    points = np.array([[1e-12, 1e12], [0.0, 1e-5], [1e-9, 3.0]])
    frame = pd.DataFrame(points, columns=["a", "b"], index=[5, 6, 7])
    expected = -np.log(points + 1e-9).sum(axis=1)
    assert_jacobian(log_abs_det_jacobian(func.fit(points), points), expected)
    assert_jacobian(log_abs_det_jacobian(func.fit(frame), frame), expected)


@pytest.mark.parametrize(
    ("func", "message"),
    [
        (np.floor, r"could not be differentiated numerically at row 0, column 0"),
        (lambda X: X[:, :1], r"returns shape \(\d+, 1\) for X of shape \(\d+, 3\)"),
        (
            lambda X: np.where(X < 0, np.nan, np.nan),
            r"too close to the end of its domain.*register_jacobian",
        ),
    ],
)
def test_function_transformer_that_is_not_smooth(func, message):
    transformer = FunctionTransformer(func, inverse_func=func, check_inverse=False).fit(X)
    with pytest.raises(NoJacobianError, match=message):
        log_abs_det_jacobian(transformer, X)


# -- Quantiles -------------------------------------------------------------------------------


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_quantile_density_is_exact_between_knots(distribution):
    """With a uniform or normal density in its frame the events have the histogram's density."""
    transformer = QuantileTransformer(n_quantiles=21, output_distribution=distribution).fit(X)
    knots, levels = transformer.quantiles_, transformer.references_
    middle = (knots[1:] + knots[:-1]) / 2
    expected = np.log(np.diff(levels)[:, None] / np.diff(knots, axis=0)).sum(axis=1)
    base = stats.norm if distribution == "normal" else stats.uniform
    # A knot belongs to the interval on its right.
    for points in (middle, knots[:-1]):
        log_p = base.logpdf(transformer.transform(points)).sum(axis=1)
        actual = log_p + log_abs_det_jacobian(transformer, points)
        np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_quantile_outside_its_range_has_no_density(distribution):
    transformer = QuantileTransformer(n_quantiles=21, output_distribution=distribution).fit(X)
    points = np.vstack([X[CENTRAL[0]], X.max(axis=0) + 0.1, X.min(axis=0) - 0.1])
    with pytest.warns(FiducialWarning, match=r"2 of 3 events, first row 1, lie outside the range"):
        result = log_abs_det_jacobian(transformer, points)
    assert np.isfinite(result[0]) and np.isneginf(result[1:]).all()
    # The extreme training events belong to the range.
    ends = np.vstack([X.max(axis=0), X.min(axis=0)])
    assert np.isfinite(log_abs_det_jacobian(transformer, ends)).all()


def test_quantile_with_repeated_values():
    values = np.repeat([0.0, 1.0, 2.0, 5.0], [30, 20, 40, 10])[:, None]
    transformer = QuantileTransformer(n_quantiles=50).fit(values)
    points = np.array([[0.5], [1.7], [3.0], [5.0]])
    expected, converged = reference_log_det(transformer.transform, points[:3], step=1e-3)
    assert converged.all()
    actual = log_abs_det_jacobian(transformer, points)
    assert_jacobian(actual[:3], expected)
    assert np.isfinite(actual[3])
    constant = QuantileTransformer(n_quantiles=5).fit(np.ones((5, 2)))
    with pytest.raises(NoJacobianError, match=r"a single value in column 0"):
        log_abs_det_jacobian(constant, np.ones((5, 2)))


# -- Nesting ---------------------------------------------------------------------------------

LEAVES = [
    lambda d: StandardScaler(),
    lambda d: RobustScaler(),
    lambda d: MaxAbsScaler(),
    lambda d: MinMaxScaler((0.2, 3.0)),
    lambda d: PowerTransformer(),
    lambda d: PowerTransformer(standardize=False),
    lambda d: PCA(),
    lambda d: PCA(whiten=True),
    lambda d: QuantileTransformer(n_quantiles=5),
    lambda d: QuantileTransformer(n_quantiles=5, output_distribution="normal"),
    lambda d: FunctionTransformer(np.arcsinh, inverse_func=np.sinh),
    lambda d: FunctionTransformer(soft_cube, inverse_func=inverse_soft_cube),
    lambda d: LogitTransformer(margin=0.1),
    lambda d: EmpiricalCDFTransformer(n_quantiles=4),
    lambda d: AffineTransformer(scale=-2.0, shift=0.5),
    lambda d: AffineTransformer(matrix=np.eye(d) + np.tri(d)),
    lambda d: FunctionCoordinates(torch.asinh, torch.sinh),
    lambda d: make_pipeline(StandardScaler(), TanhTransformer(shift=0.5)),
    lambda d: make_pipeline(StandardScaler(), NormalCDFTransformer()),
    lambda d: make_pipeline(MaxAbsScaler(), ExpTransformer(sign=-1)),
    lambda d: make_pipeline(MinMaxScaler((0.2, 3.0)), LogTransformer(unit=0.1)),
    lambda d: make_pipeline(MinMaxScaler((0.2, 3.0)), PowerTransformer(method="box-cox")),
    lambda d: make_pipeline(MinMaxScaler((0.1, 0.9)), InverseCoordinates(NormalCDFTransformer())),
    lambda d: "passthrough",
]


@st.composite
def transformers(draw, n_features=N_FEATURES, depth=2):
    """A random transformer of `n_features` columns that accepts any real events."""
    kinds = ["leaf"]
    if depth:
        kinds += ["pipeline", "after selection", "columns", "compose", "union"]
    kind = draw(st.sampled_from(kinds))
    if kind == "leaf":
        return draw(st.sampled_from(LEAVES))(n_features)
    if kind == "pipeline":
        steps = draw(st.lists(transformers(n_features, depth - 1), min_size=1, max_size=3))
        return Pipeline([(f"step{i}", step) for i, step in enumerate(steps)])
    if kind == "after selection":
        inner = draw(transformers(n_features, depth - 1))
        return Pipeline([("select", VarianceThreshold()), ("inner", inner)])
    # A partition of the columns, each part in any order.
    order = draw(st.permutations(range(n_features)))
    cut = draw(st.integers(1, n_features)) if n_features > 1 else 1
    parts = [list(order[:cut]), list(order[cut:])]
    parts = [
        (f"part{i}", draw(transformers(len(columns), depth - 1)), columns)
        for i, columns in enumerate(parts)
        if columns
    ]
    if kind == "columns":
        return ColumnCoordinates(parts[:1])
    weights = {parts[0][0]: draw(st.sampled_from([-2.0, 0.5]))} if draw(st.booleans()) else None
    if kind == "compose":
        return ColumnTransformer(parts[:1], remainder="passthrough", transformer_weights=weights)
    return FeatureUnion(
        [(part[0], ColumnTransformer([part])) for part in parts], transformer_weights=weights
    )


@settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(transformers(depth=3))
def test_random_nested_transformers(transformer):
    # fit is a no-op for the word "passthrough", which has no method.
    check(Pipeline([("frame", transformer)]), X, min_converged=4)


def test_frames_are_read_by_name():
    frame = pd.DataFrame(POSITIVE, columns=["a", "b", "c"])
    transformer = make_column_transformer(
        (LogTransformer(), ["c"]),
        (make_pipeline(StandardScaler(), None, PCA()), ["b", "a"]),
        ("drop", []),
    ).fit(frame)
    expected, _ = reference_log_det(
        lambda points: transformer.transform(pd.DataFrame(points, columns=list("abc"))),
        POSITIVE[CENTRAL],
        step=1e-3,
    )
    points = frame.iloc[CENTRAL]
    for order in (["a", "b", "c"], ["c", "a", "b"]):
        assert_jacobian(log_abs_det_jacobian(transformer, points[order]), expected)
    np.testing.assert_allclose(
        inverse_transform(transformer, transformer.transform(points)), points, rtol=1e-12
    )


def test_frozen_and_words():
    scaler = StandardScaler().fit(X)
    expected = log_abs_det_jacobian(scaler, X)
    np.testing.assert_array_equal(log_abs_det_jacobian(FrozenEstimator(scaler), X), expected)
    np.testing.assert_allclose(inverse_transform(FrozenEstimator(scaler), scaler.transform(X)), X)
    for word in (None, "passthrough", Pipeline([("none", None)])):
        np.testing.assert_array_equal(log_abs_det_jacobian(word, X), np.zeros(len(X)))
        np.testing.assert_array_equal(inverse_transform(word, X), X)
    with pytest.raises(NoJacobianError, match=r"must be 'passthrough'; got 'drop'"):
        log_abs_det_jacobian("drop", X)


@pytest.mark.parametrize(
    ("transformer", "message"),
    [
        (
            Normalizer(),
            r"No rule .*@skad\.coordinates\.register_jacobian\(Normalizer\)",
        ),
        (make_pipeline(StandardScaler(), Normalizer()), r"Jacobian of Normalizer"),
        (PCA(n_components=2), r"PCA keeps 2 of 3 components"),
        (MinMaxScaler(clip=True), r"MinMaxScaler\(clip=True\).*use clip=False"),
        (FunctionTransformer(np.log1p), r"FunctionTransformer has no inverse_func"),
        (ColumnTransformer([("a", StandardScaler(), [0, 2])]), r"drops column 1, so it is not"),
        (
            ColumnTransformer([("a", StandardScaler(), [0, 1]), ("b", MaxAbsScaler(), [1, 2])]),
            r"ColumnTransformer uses column 1 more than once",
        ),
        (
            FeatureUnion([("a", StandardScaler()), ("b", MaxAbsScaler())]),
            r"FeatureUnion uses column 0, column 1, column 2 more than once",
        ),
        (
            make_pipeline(PCA(), ColumnTransformer([("a", StandardScaler(), [0])])),
            r"ColumnTransformer drops columns after PCA",
        ),
        (
            ColumnTransformer([("a", StandardScaler(), [0, 1, 2])], transformer_weights={"a": 0.0}),
            r"zero in transformer_weights",
        ),
    ],
)
def test_what_is_not_one_to_one_is_refused(transformer, message):
    transformer.fit(POSITIVE)
    with pytest.raises(NoJacobianError, match=message):
        log_abs_det_jacobian(transformer, POSITIVE)


def test_whitening_of_dependent_features_is_refused():
    dependent = np.column_stack([X[:, 0], X[:, 1], np.zeros(len(X))])
    with pytest.raises(NoJacobianError, match=r"component without variance"):
        log_abs_det_jacobian(PCA(whiten=True).fit(dependent), dependent)


def test_dropped_columns_are_named():
    frame = pd.DataFrame(X, columns=["mjj", "mj1", "label"])
    transformer = ColumnTransformer([("scale", StandardScaler(), ["mjj", "mj1"])]).fit(frame)
    with pytest.raises(NoJacobianError, match=r"drops column 'label'.*remainder='passthrough'"):
        log_abs_det_jacobian(transformer, frame)
    with pytest.raises(NoJacobianError, match=r"drops column 'label'"):
        inverse_transform(transformer, X)


def test_unfitted_transformer_is_refused():
    with pytest.raises(ValueError, match=r"not fitted"):
        log_abs_det_jacobian(StandardScaler(), X)


def test_other_columns_than_in_fit_are_refused():
    with pytest.raises(ValueError, match=r"X has 2 features, but PowerTransformer is expecting 3"):
        log_abs_det_jacobian(PowerTransformer().fit(X), X[:, :2])
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"(?s)feature names.*same order"):
        log_abs_det_jacobian(StandardScaler().fit(frame), frame[["b", "a", "c"]])


def test_events_need_two_dimensions():
    scaler = StandardScaler().fit(X)
    for function in (log_abs_det_jacobian, inverse_transform):
        with pytest.raises(ValueError, match=r"got shape \(400,\).*reshape\(-1, 1\)"):
            function(scaler, X[:, 0])
    np.testing.assert_array_equal(
        log_abs_det_jacobian(scaler, X.tolist()), log_abs_det_jacobian(scaler, X)
    )


def test_precision_is_double_for_single_precision_events():
    transformer = make_pipeline(LogTransformer(), StandardScaler()).fit(POSITIVE)
    single = POSITIVE.astype(np.float32)
    np.testing.assert_array_equal(
        log_abs_det_jacobian(transformer, single),
        log_abs_det_jacobian(transformer, single.astype(np.float64)),
    )


# -- Registration ----------------------------------------------------------------------------


class Doubler(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return 2 * X

    def inverse_transform(self, X):
        return X / 2


def test_a_registered_rule_works_everywhere():
    class Registered(Doubler):
        pass

    class Child(Registered):
        pass

    with pytest.raises(NoJacobianError, match=r"register_jacobian\(Registered\)"):
        log_abs_det_jacobian(Registered().fit(X), X)

    @register_jacobian(Registered)
    def rule(transformer, X):
        return X.shape[1] * np.log(2)

    assert rule(None, X) == N_FEATURES * np.log(2)
    check(make_pipeline(Registered(), ColumnTransformer([("all", Child(), [2, 0, 1])])), X)


def test_a_method_is_enough():
    class WithMethod(Doubler):
        def log_abs_det_jacobian(self, X):
            return np.full(len(X), X.shape[1] * np.log(2))

    check(make_pipeline(WithMethod(), StandardScaler()), X)


def test_wrong_rules_are_caught():
    class Wrong(Doubler):
        pass

    @register_jacobian(Wrong)
    def rule(transformer, X):
        return np.zeros_like(X)

    with pytest.raises(ValueError, match=r"Jacobian of Wrong must have shape \(400,\).*\(400, 3\)"):
        log_abs_det_jacobian(Wrong().fit(X), X)
    with pytest.raises(TypeError, match=r"takes the class of a transformer"):
        register_jacobian(Wrong())


def test_transformer_without_inverse_says_so():
    class OneWay(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.n_features_in_ = X.shape[1]
            return self

    with pytest.raises(NoJacobianError, match=r"OneWay has no method inverse_transform"):
        inverse_transform(OneWay().fit(X), X)


# -- Densities -------------------------------------------------------------------------------


def test_density_of_a_pipeline_against_the_closed_form():
    """A correlated log-normal through log, whitening and a permutation is a standard normal."""
    covariance = np.cov(np.log(POSITIVE).T)
    frame = make_pipeline(
        LogTransformer(),
        PCA(whiten=True),
        ColumnTransformer([("turn", "passthrough", [2, 0, 1])]),
    ).fit(POSITIVE)
    mean = np.log(POSITIVE).mean(axis=0)
    log_p = stats.multivariate_normal(mean, covariance).logpdf(np.log(POSITIVE)) - np.log(
        POSITIVE
    ).sum(axis=1)
    Z = frame.transform(POSITIVE)
    expected = stats.norm.logpdf(Z).sum(axis=1)
    np.testing.assert_allclose(change_of_variables(log_p, frame, POSITIVE), expected, atol=1e-9)


def test_change_of_variables_checks_the_shape():
    with pytest.raises(ValueError, match=r"log_density must have shape \(400,\).*got \(400, 3\)"):
        change_of_variables(X, StandardScaler().fit(X), X)
