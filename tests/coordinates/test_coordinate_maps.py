"""Every coordinate transform: value, Jacobian, round trip, density, precision, errors."""

import numpy as np
import pandas as pd
import pytest
import torch
from jacobian_reference import assert_jacobian, reference_log_det
from scipy import stats
from scipy.integrate import trapezoid

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
    RatioTransformer,
    ShearTransformer,
    TanhTransformer,
    change_of_variables,
    inverse_transform,
    log_abs_det_jacobian,
)
from skad.exceptions import DomainError, FiducialWarning
from skad.utils import all_estimators

ROTATION = np.array([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.3, 0.0, -2.0]])


def normal(n_events=300, seed=0):
    return np.random.default_rng(seed).normal(size=(n_events, 3))


def shear(x):
    return torch.stack([x[:, 0], x[:, 1] + x[:, 0] ** 2, torch.exp(x[:, 2]) + x[:, 0]], 1)


def unshear(z):
    return torch.stack([z[:, 0], z[:, 1] - z[:, 0] ** 2, torch.log(z[:, 2] - z[:, 0])], 1)


def gaussian_cdf(x):
    return torch.special.ndtr(x)


# name: (transformer, the map in torch as the docstring states it, training events)
MAPS = {
    "log": (
        LogTransformer(unit=[1.0, 20.0, 0.3]),
        lambda x: torch.log(x / torch.tensor([1.0, 20.0, 0.3], dtype=torch.float64)),
        np.exp(normal()),
    ),
    "exp": (ExpTransformer(), torch.exp, normal()),
    "falling exp": (ExpTransformer(sign=-1), lambda x: torch.exp(-x), normal()),
    "logit": (
        LogitTransformer(lower=[-10.0, 0.0, -7.0], upper=20.0),
        lambda x: torch.logit(
            (x - torch.tensor([-10.0, 0.0, -7.0])) / torch.tensor([30.0, 20.0, 27.0])
        ),
        normal() + np.array([0.0, 6.0, 0.0]),
    ),
    "normal cdf": (NormalCDFTransformer(), gaussian_cdf, normal()),
    "tanh": (TanhTransformer(shift=2.0), lambda x: torch.tanh(x + 2), normal()),
    "affine": (
        AffineTransformer(scale=[2.0, -3.0, 0.1], shift=[5.0, 0.0, 1.0]),
        lambda x: (
            x * torch.tensor([2.0, -3.0, 0.1], dtype=torch.float64) + torch.tensor([5.0, 0.0, 1.0])
        ),
        normal(),
    ),
    "matrix": (
        AffineTransformer(scale=2.0, shift=1.0, matrix=ROTATION),
        lambda x: (2 * x) @ torch.tensor(ROTATION).T + 1,
        normal(),
    ),
    "ratio": (
        RatioTransformer(numerator=0, denominator=2, regulariser=0.5),
        lambda x: torch.stack([x[:, 0] / (x[:, 2] + 0.5), x[:, 1], x[:, 2]], 1),
        np.abs(normal()),
    ),
    "shear": (
        ShearTransformer(columns=[2], along=1, factor=-0.3),
        lambda x: torch.stack([x[:, 0], x[:, 1], x[:, 2] - 0.3 * x[:, 1]], 1),
        normal(),
    ),
    "function": (FunctionCoordinates(shear, unshear), shear, normal()),
    "inverse": (
        InverseCoordinates(TanhTransformer(shift=0.5)),
        lambda z: torch.atanh(z) - 0.5,
        np.tanh(normal()),
    ),
    "columns": (
        ColumnCoordinates(
            [
                ("log", LogTransformer(), [2]),
                ("mix", AffineTransformer(matrix=[[1, 2], [3, 4]]), [1, 0]),
            ]
        ),
        lambda x: torch.stack(
            [3 * x[:, 1] + 4 * x[:, 0], x[:, 1] + 2 * x[:, 0], torch.log(x[:, 2])], 1
        ),
        np.exp(normal()),
    ),
}
ALL = pytest.mark.parametrize("name", MAPS)
# Learned from events; it has a file of its own.
ELSEWHERE = {"EmpiricalCDFTransformer"}


def test_every_map_has_a_row():
    public = {
        name
        for name, cls in all_estimators()
        if cls.__module__.startswith("skad.coordinates.") and hasattr(cls, "log_abs_det_jacobian")
    }
    tested = {type(transformer).__name__ for transformer, _, _ in MAPS.values()} | ELSEWHERE
    assert public <= tested, "docs/contributing.md, 'A coordinate', says what a row of MAPS holds"


def fitted(name):
    transformer, torch_map, X = MAPS[name]
    return transformer.fit(X), torch_map, X


@ALL
def test_values_agree_with_the_formula(name):
    transformer, torch_map, X = fitted(name)
    np.testing.assert_allclose(
        transformer.transform(X), torch_map(torch.tensor(X)).numpy(), rtol=1e-12, atol=1e-12
    )


@ALL
def test_jacobian_agrees_with_autograd(name):
    transformer, torch_map, X = fitted(name)
    expected = [
        torch.linalg.slogdet(
            torch.autograd.functional.jacobian(lambda x: torch_map(x[None])[0], torch.tensor(row))
        ).logabsdet.item()
        for row in X[:50]
    ]
    actual = transformer.log_abs_det_jacobian(X[:50])
    assert actual.shape == (50,) and actual.dtype == np.float64
    assert_jacobian(actual, expected, rtol=1e-9)
    np.testing.assert_array_equal(log_abs_det_jacobian(transformer, X[:50]), actual)


@ALL
def test_jacobian_agrees_with_differences(name):
    transformer, _, X = fitted(name)
    X = X[:50]
    expected, converged = reference_log_det(transformer.transform, X, step=1e-3)
    assert converged.sum() > 40
    assert_jacobian(transformer.log_abs_det_jacobian(X)[converged], expected[converged])


@ALL
def test_round_trip(name):
    transformer, _, X = fitted(name)
    Z = transformer.transform(X)
    np.testing.assert_allclose(transformer.inverse_transform(Z), X, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(inverse_transform(transformer, Z), X, rtol=1e-9, atol=1e-9)


@ALL
def test_inverse_coordinates_undo(name):
    transformer, _, X = fitted(name)
    Z = transformer.transform(X)
    backwards = InverseCoordinates(transformer).fit(Z)
    np.testing.assert_allclose(backwards.transform(Z), X, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(backwards.inverse_transform(X), Z, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        backwards.log_abs_det_jacobian(Z), -transformer.log_abs_det_jacobian(X), atol=1e-6
    )


@ALL
def test_frames_keep_names_and_index(name):
    transformer, _, X = MAPS[name]
    names, index = ["a", "b", "c"], np.arange(len(X)) * 2
    frame = pd.DataFrame(X, columns=names, index=index)
    expected = transformer.fit(X).transform(X)
    transformer.set_output(transform="pandas")
    try:
        Z = transformer.fit(frame).transform(frame)
        assert list(Z.columns) == names and list(Z.index) == list(index)
        np.testing.assert_array_equal(Z.to_numpy(), expected)
        np.testing.assert_allclose(transformer.inverse_transform(Z), X, rtol=1e-9, atol=1e-9)
        # Coordinates that a density sampled have no names.
        np.testing.assert_array_equal(
            transformer.inverse_transform(Z.to_numpy()), transformer.inverse_transform(Z)
        )
        with pytest.raises(ValueError, match=r"expects the columns \['a', 'b', 'c'\]"):
            transformer.inverse_transform(Z[["b", "a", "c"]])
        np.testing.assert_array_equal(
            transformer.log_abs_det_jacobian(frame), transformer.fit(X).log_abs_det_jacobian(X)
        )
    finally:
        transformer.set_output(transform="default").fit(X)


@ALL
def test_single_precision_in_and_out(name):
    transformer, _, X = fitted(name)
    single = X.astype(np.float32)
    Z = transformer.transform(single)
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z, transformer.transform(X), rtol=1e-4, atol=1e-4)
    assert transformer.inverse_transform(Z).dtype == np.float32
    jacobian = transformer.log_abs_det_jacobian(single)
    assert jacobian.dtype == np.float64
    # Float64 arithmetic on the float32 numbers, not float32 arithmetic.
    np.testing.assert_array_equal(
        jacobian, transformer.log_abs_det_jacobian(single.astype(np.float64))
    )


@ALL
@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_nan_and_infinity_are_located(name, bad, word):
    transformer, _, X = MAPS[name]
    frame = pd.DataFrame(X.copy(), columns=["mjj", "mj1", "tau"])
    transformer.fit(frame)
    frame.iloc[7, 1] = bad
    for method in (transformer.transform, transformer.fit, transformer.log_abs_det_jacobian):
        with pytest.raises(DomainError, match=rf"{word}: column 'mj1', row 7.*drop or impute"):
            method(frame)
    transformer.fit(X)
    Z = transformer.transform(X)
    Z[7, 1] = bad
    with pytest.raises(DomainError, match=rf"{word}: column 1, row 7"):
        transformer.inverse_transform(Z)


@ALL
def test_events_are_mapped_one_by_one(name):
    transformer, _, X = fitted(name)
    together = transformer.log_abs_det_jacobian(X[:5])
    alone = [transformer.log_abs_det_jacobian(X[i : i + 1])[0] for i in range(5)]
    np.testing.assert_allclose(together, alone, rtol=1e-14)


CLOSED_FORMS = {
    "log-normal": (ExpTransformer(), stats.norm(), stats.lognorm(s=1), (-3, 3)),
    "log of exponential": (LogTransformer(), stats.expon(), stats.gumbel_l(), (0.01, 6)),
    "uniform": (NormalCDFTransformer(), stats.norm(), stats.uniform(), (-4, 4)),
    "logistic": (
        LogitTransformer(lower=0.0, upper=1.0),
        stats.uniform(),
        stats.logistic(),
        (0.001, 0.999),
    ),
    "normal": (AffineTransformer(scale=-2.0, shift=3.0), stats.norm(), stats.norm(3, 2), (-4, 4)),
    "uniform from logistic": (
        InverseCoordinates(LogitTransformer(lower=0.0, upper=1.0).fit(np.array([[0.5]]))),
        stats.logistic(),
        stats.uniform(),
        (-5, 5),
    ),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_change_of_variables_gives_the_known_density(name):
    transformer, before, after, ends = CLOSED_FORMS[name]
    X = np.linspace(*ends, 101)[:, None]
    transformer.fit(X)
    Z = transformer.transform(X)
    for log_density in (before.logpdf(X[:, 0]), lambda X: before.logpdf(X[:, 0])):
        np.testing.assert_allclose(
            change_of_variables(log_density, transformer, X),
            after.logpdf(Z[:, 0]),
            rtol=1e-12,
            atol=1e-12,
        )


@pytest.mark.parametrize(
    "transformer",
    [
        TanhTransformer(shift=2.0),
        NormalCDFTransformer(),
        ExpTransformer(sign=-1),
        LogitTransformer(lower=-9.0, upper=11.0),
        AffineTransformer(scale=-0.5),
        InverseCoordinates(AffineTransformer(scale=4.0)),
        FunctionCoordinates(torch.sinh, torch.asinh),
    ],
    ids=lambda transformer: type(transformer).__name__,
)
def test_transformed_density_has_volume_one(transformer):
    # Points that are dense wherever the transformed density is high.
    X = np.linspace(-7, 7, 40_001)[:, None]
    Z = transformer.fit_transform(X)[:, 0]
    density = np.exp(change_of_variables(stats.norm.logpdf(X[:, 0]), transformer, X))
    assert abs(trapezoid(density, Z)) == pytest.approx(1, abs=1e-6)


def test_two_dimensional_volume_is_one():
    matrix = AffineTransformer(matrix=[[2.0, 1.0], [0.5, -1.0]]).fit(np.zeros((1, 2)))
    grid = np.linspace(-12, 12, 301)
    Z = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    X = matrix.inverse_transform(Z)
    log_p = change_of_variables(stats.norm.logpdf(X).sum(axis=1), matrix, X)
    assert np.exp(log_p).sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, abs=1e-6)


# -- Domains ---------------------------------------------------------------------------------


def test_logarithm_names_the_event_outside():
    X = pd.DataFrame({"mjj": [3.4, 3.5, 3.6], "mj1": [0.1, -0.25, 0.0]})
    log = LogTransformer().fit(X)
    with pytest.raises(
        DomainError,
        match=r"LogTransformer: column 'mj1' holds -0.25 in row 1, outside the domain \(0, inf\); "
        r"2 of 3 rows are outside\. Drop these events, shift",
    ):
        log.transform(X)
    with pytest.raises(DomainError, match=r"row 1"):
        log.log_abs_det_jacobian(X)
    with pytest.raises(ValueError, match=r"column 1 holds 0 in row 0"):
        LogTransformer().fit_transform(np.array([[1.0, 0.0]]))


def test_logarithm_can_flag_events_outside():
    X = np.array([[1.0, 2.0], [-1.0, 2.0], [3.0, 0.0]])
    log = LogTransformer(outside="nan").fit(X)
    np.testing.assert_array_equal(
        np.isnan(log.transform(X)), [[False, False], [True, False], [False, True]]
    )
    np.testing.assert_array_equal(np.isnan(log.log_abs_det_jacobian(X)), [False, True, True])


@pytest.mark.parametrize(
    ("transformer", "bad", "domain"),
    [
        (TanhTransformer(), 1.0, r"\(-1, 1\)"),
        (NormalCDFTransformer(), 0.0, r"\(0, 1\)"),
        (ExpTransformer(), -1.0, r"\(0, inf\)"),
        (EmpiricalCDFTransformer(), 1.5, r"\(0, 1\)"),
    ],
)
def test_inverse_names_the_value_outside_the_range(transformer, bad, domain):
    transformer.fit(normal())
    Z = transformer.transform(normal())
    Z[4, 2] = bad
    with pytest.raises(
        DomainError,
        match=rf"inverse_transform: column 2 holds {bad:g} in row 4, outside the domain {domain}",
    ):
        transformer.inverse_transform(Z)


def test_overflow_is_an_error():
    X = np.array([[1.0, 2.0], [3.0, 800.0]])
    exp = ExpTransformer().fit(X)
    with pytest.raises(DomainError, match=r"gives inf in float64 for column 1 in row 1.*800"):
        exp.transform(X)
    X[1, 1] = 100.0
    assert np.isfinite(exp.transform(X)).all()
    with pytest.raises(DomainError, match=r"gives inf in float32.*use float64"):
        exp.transform(X.astype(np.float32))
    with pytest.raises(DomainError, match=r"LogTransformer.inverse_transform gives inf"):
        LogTransformer().fit(X).inverse_transform(X * 10)


@pytest.mark.parametrize(
    ("transformer", "far"), [(NormalCDFTransformer(), 9.0), (TanhTransformer(), 20.0)]
)
def test_saturation_stays_inside_and_warns(transformer, far):
    X = np.array([[0.0, 1.0], [2.0, far]])
    transformer.fit(X)
    with pytest.warns(FiducialWarning, match=rf"1 values, first column 1 = {far:g} in row 1"):
        Z = transformer.transform(X)
    assert Z[1, 1] == np.nextafter(1.0, 0.0)
    assert np.isfinite(transformer.inverse_transform(Z)).all()
    # The Jacobian does not saturate.
    slope = stats.norm.logpdf(far) if far == 9.0 else 2 * (np.log(2) - far)
    other = transformer.log_abs_det_jacobian([[2.0, 0.0], [0.0, 0.0]])
    expected = other[0] - other[1] / 2 + slope
    np.testing.assert_allclose(transformer.log_abs_det_jacobian(X)[1], expected, rtol=1e-12)


def test_single_precision_result_stays_inside_the_bounds():
    X = np.linspace(0.1, 0.3, 50, dtype=np.float32)[:, None]
    logit = LogitTransformer(lower=0.1 - 1e-12, upper=0.3 + 1e-7).fit(X)
    back = logit.inverse_transform(np.array([[-60.0], [60.0]], dtype=np.float32))
    assert ((back > logit.lower_) & (back < logit.upper_)).all()
    assert np.isfinite(logit.transform(back)).all()


def test_normal_cdf_keeps_its_lower_tail():
    X = np.linspace(-37.0, 5.0, 400)[:, None]
    phi = NormalCDFTransformer().fit(X)
    np.testing.assert_allclose(phi.inverse_transform(phi.transform(X)), X, rtol=1e-9)
    tail = np.geomspace(1e-300, 0.5, 300)[:, None]
    quantile = InverseCoordinates(NormalCDFTransformer()).fit(tail)
    np.testing.assert_allclose(
        quantile.inverse_transform(quantile.transform(tail)), tail, rtol=1e-9
    )


def test_parameters_per_column_are_checked():
    X = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"unit must be a number or hold one number for each of"):
        LogTransformer(unit=[1.0, 2.0]).fit(X)
    with pytest.raises(ValueError, match=r"unit must be positive"):
        LogTransformer(unit=[1.0, -2.0, 1.0]).fit(X)
    with pytest.raises(ValueError, match=r"scale must be finite and not zero"):
        AffineTransformer(scale=[1.0, 0.0, 1.0]).fit(X)
    with pytest.raises(ValueError, match=r"matrix must have shape \(3, 3\).*got \(2, 2\)"):
        AffineTransformer(matrix=np.eye(2)).fit(X)
    with pytest.raises(ValueError, match=r"matrix must be invertible"):
        AffineTransformer(matrix=np.ones((3, 3))).fit(X)
    with pytest.raises(ValueError, match=r"'sign' parameter of ExpTransformer"):
        ExpTransformer(sign=2).fit(X)


def test_inverse_needs_as_many_features():
    tanh = TanhTransformer().fit(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"X has 2 features, but TanhTransformer is expecting 3"):
        tanh.inverse_transform(np.zeros((2, 2)))
