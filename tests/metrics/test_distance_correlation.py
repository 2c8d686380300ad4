"""Distance correlation against the dcor package and the definition."""

import tracemalloc

import dcor_oracle as dcor
import numpy as np
import pytest
import sklearn
from scipy.spatial.distance import cdist

from skad.metrics import distance_correlation


def by_definition(x, y, weight=None):
    """Doubly centred matrices, as in the equation."""
    x, y = (np.asarray(v, dtype=float).reshape(len(v), -1) for v in (x, y))
    weight = np.ones(len(x)) if weight is None else weight
    w = weight / weight.sum()

    def centred(v):
        d = cdist(v, v)
        row = d @ w
        return d - row[:, None] - row[None] + w @ row

    a, b = centred(x), centred(y)
    covariances = [w @ (p * q) @ w for p, q in ((a, b), (a, a), (b, b))]
    return np.sqrt(covariances[0] / np.sqrt(covariances[1] * covariances[2]))


def samples(kind, n=700):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n)
    return {
        "independent": (x, rng.normal(size=n)),
        "quadratic": (x, x**2 + 0.1 * rng.normal(size=n)),
        "ties": (np.round(x), np.round(2 * x + rng.normal(size=n))),
        "discrete": (np.round(x), (x > 0).astype(float)),
        "offset": (1e6 + x, 1e-6 * (x + rng.normal(size=n)) - 3e3),
        "heavy tail": (rng.standard_cauchy(n), rng.standard_cauchy(n) + x),
    }[kind]


KINDS = ["independent", "quadratic", "ties", "discrete", "offset", "heavy tail"]


# dcor compiles for half a minute where it is imported first: once, in one test process.
COMPILED = pytest.mark.xdist_group("dcor")


@COMPILED
@pytest.mark.parametrize("kind", KINDS)
def test_equal_to_dcor(kind):
    x, y = samples(kind)
    # dcor's fast method takes a minute to compile, and loses all digits to the offset.
    expected = dcor.distance_correlation(x, y, method="naive")
    assert distance_correlation(x, y) == pytest.approx(expected, abs=1e-10)
    squared = dcor.distance_correlation_sqr(x, y, method="naive")
    assert distance_correlation(x, y, power=2) == pytest.approx(squared, abs=1e-10)


@COMPILED
def test_equal_to_dcor_in_several_dimensions():
    x, y = np.random.default_rng(1).normal(size=(2, 300, 3))
    y[:, 0] += x[:, 1] ** 2
    expected = dcor.distance_correlation(x, y, method="naive")
    assert distance_correlation(x, y) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_follow_the_definition(kind):
    x, y = samples(kind)
    weight = np.random.default_rng(2).exponential(size=len(x))
    weight[::7] = 0
    value = distance_correlation(x, y, sample_weight=weight)
    assert value == pytest.approx(by_definition(x, y, weight), abs=1e-9)


def test_integer_weights_repeat_events():
    x, y = samples("quadratic", 200)
    weight = np.random.default_rng(3).integers(0, 4, size=200)
    repeated = distance_correlation(np.repeat(x, weight), np.repeat(y, weight))
    assert distance_correlation(x, y, sample_weight=weight) == pytest.approx(repeated, abs=1e-10)


@pytest.mark.parametrize("working_memory", [1e-3, 1])
def test_blocks_of_rows_change_nothing(working_memory):
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(150, 2)), rng.normal(size=150)
    weight = rng.random(150)
    with sklearn.config_context(working_memory=working_memory):
        value = distance_correlation(x, y, sample_weight=weight)
    assert value == pytest.approx(by_definition(x, y, weight), abs=1e-12)


def test_memory_of_vectors_is_bounded():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(3000, 2)), rng.normal(size=(3000, 1))
    y += x[:, 1:] ** 2
    tracemalloc.start()
    try:
        value = distance_correlation(x, y)
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    finally:
        tracemalloc.stop()
    assert value == pytest.approx(by_definition(x, y), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9])
def test_few_events(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n))
    expected = 0.0 if n == 1 else by_definition(x, y)
    assert distance_correlation(x, y) == pytest.approx(expected, abs=1e-12)


def test_invariances():
    x, y = samples("quadratic")
    value = distance_correlation(x, y)
    assert distance_correlation(y, x) == pytest.approx(value, abs=1e-12)
    assert distance_correlation(-5 * x + 3, y / 7) == pytest.approx(value, abs=1e-12)
    assert distance_correlation(x, 2 - x) == pytest.approx(1.0)


def test_constant_is_independent_of_everything():
    x = np.random.default_rng(0).normal(size=50)
    assert distance_correlation(x, np.full(50, 0.1)) == 0
    assert distance_correlation(np.c_[x, x], np.full((50, 2), 0.1)) == 0


def test_a_hundred_thousand_events_need_no_square_matrix():
    x, y = np.random.default_rng(0).normal(size=(2, 100_000))
    assert distance_correlation(x, y) < 0.02
    assert distance_correlation(x, x * y) > 0.1


@pytest.mark.parametrize(
    ("x", "y", "kwargs", "message"),
    [
        ([1.0, 2.0], [1.0], {}, "inconsistent numbers"),
        ([1.0, np.nan], [1.0, 2.0], {}, "x contains NaN"),
        ([1.0, 2.0], [1.0, 2.0], {"power": 3}, "power must be 1"),
        ([1.0, 2.0], [1.0, 2.0], {"sample_weight": [1, -1]}, "sample_weight is not valid"),
    ],
)
def test_bad_input(x, y, kwargs, message):
    with pytest.raises(ValueError, match=message):
        distance_correlation(x, y, **kwargs)
