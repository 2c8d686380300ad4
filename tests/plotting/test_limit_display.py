"""LimitDisplay draws the numbers of limits where they belong."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot

from skad.plotting import LimitDisplay
from skad.search import counting_limit, limit_table


@pytest.fixture(autouse=True)
def closed():
    yield
    pyplot.close("all")


def band(collection):
    (path,) = collection.get_paths()
    return path.vertices


def test_cls_against_strength_crosses_at_the_limit():
    limit = counting_limit(12, 10.0, 5.0, uncertainty=2.0)
    display = LimitDisplay.from_limit(limit, observed_kwargs={"color": "red"})
    x, y = display.observed_.get_data()
    assert np.exp(np.interp(limit.observed, x, np.log(y))) == pytest.approx(0.05, rel=0.02)
    assert display.observed_.get_color() == "red"
    assert display.line_.get_ydata() == pytest.approx([0.05, 0.05])
    outer, inner = display.bands_
    assert band(outer)[:, 1].max() == limit.scan_expected[:, 4].max()
    assert band(inner)[:, 1].min() == limit.scan_expected[:, 1].min()


def test_limits_against_mass_are_drawn_in_order():
    limits = [counting_limit(n, 10.0, 5.0, uncertainty=2.0) for n in (15, 8)]
    table = limit_table(limits, [3.0, 2.0], name="m [TeV]")
    display = LimitDisplay.from_table(table, ylabel="strength")
    assert display.ax_.get_xlabel() == "m [TeV]" and display.ax_.get_ylabel() == "strength"
    np.testing.assert_array_equal(display.observed_.get_xdata(), [2.0, 3.0])
    expected = [limits[1].observed, limits[0].observed]
    np.testing.assert_array_equal(display.observed_.get_ydata(), expected)
    middle = [limits[1].expected[2], limits[0].expected[2]]
    np.testing.assert_array_equal(display.expected_.get_ydata(), middle)
    assert display.line_ is None and display.ax_.get_yscale() == "log"
