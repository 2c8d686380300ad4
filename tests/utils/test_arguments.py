"""Checks of the arguments of functions."""

from numbers import Integral

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skad.coordinates import inverse_transform
from skad.exceptions import NoJacobianError, SlowWarning
from skad.metrics import distance_correlation
from skad.search import fit_spectrum, global_p_value, scan_histogram, sideband_sculpting_test
from skad.utils import _sklearn as sk
from skad.utils._arguments import Numbers, checked


@checked(
    x=Numbers((1, 2), lowest=0.0, highest=100.0),
    weight=Numbers(like="x"),
    n=[sk.Interval(Integral, 1, None, closed="left")],
)
def total(x, weight=None, *, n=1):
    """Return n times the weighted sum."""
    assert x.dtype == np.float64
    return n * float(x.sum() if weight is None else weight @ x)


@pytest.mark.parametrize(
    "x",
    [
        [1, 2.5],
        (1, 2.5),
        np.array([1, 2.5], dtype=np.float32),
        pd.Series([1, 2.5], dtype="Float64"),
    ],
)
def test_whatever_holds_numbers_arrives_as_float64(x):
    assert total(x) == 3.5
    assert total(x, [2, 0], n=3) == 6.0
    assert total(x, weight=None) == 3.5
    assert total.__name__ == "total"
    assert total.__doc__.startswith("Return n times")


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"x": None}, TypeError, "x must be numbers; got None"),
        ({"x": "abc"}, TypeError, "x must be numbers; got an object of type str"),
        ({"x": {"a": 1}}, TypeError, "type dict"),
        ({"x": sparse.eye(2)}, TypeError, "x must be numbers"),
        ({"x": ["a", "b"]}, TypeError, "x must be real numbers, .* dtype is <U1.* Convert it"),
        ({"x": [1, {}]}, TypeError, "x must be real numbers, got an object of type list"),
        ({"x": [1j]}, TypeError, "x must be real numbers"),
        ({"x": [[1], [2, 3]]}, TypeError, "x must be real numbers"),
        ({"x": 1.0}, ValueError, r"x must have 1 or 2 dimensions; got shape \(\)"),
        ({"x": [1, np.nan, np.inf]}, ValueError, "of 3 values 1 are NaN and 1 infinite. Leave"),
        ({"x": [1, -2]}, ValueError, "x must not be below 0; the smallest of 2 values is -2"),
        ({"x": [1, 200]}, ValueError, "x must not be above 100; the largest of 2 values is 200"),
        ({"x": [1, 2], "weight": [1]}, ValueError, "weight must hold one entry for each of x; go"),
        ({"x": [1], "n": 2.9}, ValueError, "'n' parameter of total must be an int .* Got 2.9"),
        ({"x": [1], "n": 0}, ValueError, "'n' parameter of total must be an int"),
        ({"y": [1]}, TypeError, "unexpected keyword argument 'y'|missing a required"),
    ],
)
def test_an_error_names_parameter_allowed_and_got(arguments, error, message):
    with pytest.raises(error, match=message):
        total(**arguments)


def test_a_bump_beside_a_bad_bin_is_no_bump_of_probability_one():
    background = np.full(20, 100.0)
    counts = background.copy()
    counts[12] = 200
    options = {"n_toys": 200, "random_state": 0, "max_width": 3}
    assert scan_histogram(counts, background, **options).p_global == 1 / 201
    for value in (np.nan, np.inf, -1.0):
        bad = counts.copy()
        bad[5] = value
        with pytest.raises(ValueError, match="counts must be finite and not negative; 1 bins are"):
            scan_histogram(bad, background, **options)
        with pytest.raises(ValueError, match="background must be positive and finite"):
            scan_histogram(counts, np.where(np.arange(20) == 5, value, background), **options)
    with pytest.raises(ValueError, match="'max_width' parameter .* Got 2.9"):
        scan_histogram(counts, background, max_width=2.9)


def test_other_numbers_that_were_rounded_or_dropped():
    with pytest.raises(ValueError, match="n_parameters must be whole numbers; got 2.9"):
        fit_spectrum(np.ones(9), np.arange(10.0) + 1, function="polynomial", n_parameters=2.9)
    with pytest.raises(ValueError, match=r"correlation must be a symmetric matrix of shape \(2, 2"):
        global_p_value([0.1, 0.2], correlation=np.eye(3))
    with pytest.raises(ValueError, match="of 4 values 1 are NaN and 0 infinite"):
        global_p_value([0.1, 0.2], correlation=[[1, np.nan], [0, 1]])
    with pytest.raises(NoJacobianError, match="must be 'passthrough'; got 'abc'"):
        inverse_transform("abc", np.ones((2, 2)))
    from skad.resonant import SignalRegion

    with pytest.raises(ValueError, match="passed must say True or False for each of the 3 events"):
        sideband_sculpting_test([1.0, 2, 3], [1, 0], SignalRegion(1.5, 2.5))


def test_a_quadratic_time_is_announced(monkeypatch):
    from skad.metrics import _distance_correlation as module

    monkeypatch.setattr(module, "_MANY", 50)
    X = np.random.RandomState(0).normal(size=(60, 2))
    with pytest.warns(SlowWarning, match="the square of the 60 events; take a random part"):
        distance_correlation(X, X[:, 0])
