"""FunctionCoordinates: Jacobians from torch, functions in NumPy, and what is wrong with them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from jacobian_reference import assert_jacobian

from skad.coordinates import FunctionCoordinates
from skad.exceptions import DomainError, NoJacobianError


def polar(x):
    return torch.stack([torch.hypot(x[:, 0], x[:, 1]), torch.atan2(x[:, 1], x[:, 0])], 1)


def cartesian(z):
    return torch.stack([z[:, 0] * torch.cos(z[:, 1]), z[:, 0] * torch.sin(z[:, 1])], 1)


def numpy_polar(x):
    return np.column_stack([np.hypot(x[:, 0], x[:, 1]), np.arctan2(x[:, 1], x[:, 0])])


def numpy_cartesian(z):
    return np.column_stack([z[:, 0] * np.cos(z[:, 1]), z[:, 0] * np.sin(z[:, 1])])


def log_inverse_radius(x):
    return -np.log(np.hypot(x[:, 0], x[:, 1]))


X = np.random.default_rng(0).normal(size=(500, 2))


def test_polar_coordinates_by_autograd_and_by_hand():
    automatic = FunctionCoordinates(polar, cartesian).fit(X)
    by_hand = FunctionCoordinates(numpy_polar, numpy_cartesian, log_abs_det=log_inverse_radius).fit(
        X
    )
    np.testing.assert_allclose(automatic.transform(X), by_hand.transform(X), rtol=1e-14)
    assert_jacobian(automatic.log_abs_det_jacobian(X), log_inverse_radius(X), rtol=1e-12)
    np.testing.assert_array_equal(by_hand.log_abs_det_jacobian(X), log_inverse_radius(X))
    for transformer in (automatic, by_hand):
        np.testing.assert_allclose(
            transformer.inverse_transform(transformer.transform(X)), X, rtol=1e-9, atol=1e-12
        )


def test_more_events_than_a_chunk():
    many = np.tile(X, (140, 1))
    transformer = FunctionCoordinates(torch.sinh, torch.asinh).fit(many)
    expected = np.log(np.cosh(many)).sum(axis=1)
    assert_jacobian(transformer.log_abs_det_jacobian(many), expected, rtol=1e-12)


def test_names_of_the_coordinates():
    transformer = FunctionCoordinates(polar, cartesian, feature_names_out=["r", "phi"]).fit(X)
    transformer.set_output(transform="pandas")
    assert list(transformer.transform(X).columns) == ["r", "phi"]
    with pytest.raises(ValueError, match=r"must hold 2 names, one for each column of X; got 1"):
        FunctionCoordinates(polar, cartesian, feature_names_out=["r"]).fit(X)


def test_wrong_inverse_is_caught_in_fit():
    with pytest.raises(ValueError, match=r"inverse_func does not undo func: column \d of row \d+"):
        FunctionCoordinates(torch.sinh, torch.sinh).fit(X)
    FunctionCoordinates(torch.sinh, torch.sinh, check_inverse=False).fit(X)


def test_the_function_may_write_into_its_argument():
    def doubled(x):
        x *= 2
        return x

    def halved(x):
        x /= 2
        return x

    before = X.copy()
    transformer = FunctionCoordinates(
        doubled, halved, log_abs_det=lambda x: np.full(len(x), 2 * np.log(2))
    ).fit(X)
    np.testing.assert_array_equal(transformer.transform(X), 2 * before)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("func", "error", "message"),
    [
        (lambda x: x.numpy() * 2, TypeError, r"func must return a torch tensor.*ndarray"),
        (lambda x: x[:, :1], ValueError, r"func must return as many rows.*\(500, 1\)"),
        (lambda x: torch.log(x), DomainError, r"gives nan in float64 for column \d in row \d+"),
    ],
)
def test_wrong_functions_are_explained(func, error, message):
    with pytest.raises(error, match=message):
        FunctionCoordinates(func, torch.exp, check_inverse=False).fit(X).transform(X)


def test_function_that_torch_cannot_differentiate():
    def branching(x):
        return x * 2 if x.sum() > 0 else x * 3

    transformer = FunctionCoordinates(branching, torch.asinh, check_inverse=False).fit(X)
    with pytest.raises(NoJacobianError, match=r"torch could not differentiate.*pass log_abs_det"):
        transformer.log_abs_det_jacobian(X)


def test_log_abs_det_must_have_one_number_per_event():
    transformer = FunctionCoordinates(np.sinh, np.arcsinh, log_abs_det=lambda x: np.log(np.cosh(x)))
    with pytest.raises(ValueError, match=r"must return shape \(500,\).*\(500, 2\)"):
        transformer.fit(X).log_abs_det_jacobian(X)


def test_pickle():
    transformer = FunctionCoordinates(polar, cartesian).fit(X)
    again = pickle.loads(pickle.dumps(transformer))
    np.testing.assert_array_equal(again.transform(X), transformer.transform(X))


def test_numpy_functions_need_no_torch():
    code = (
        "import sys, numpy as np; from skad.coordinates import FunctionCoordinates;"
        "t = FunctionCoordinates(np.negative, np.negative, log_abs_det=lambda x: 0 * x[:, 0]);"
        "t.fit([[1.0]]).log_abs_det_jacobian([[1.0]]); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
