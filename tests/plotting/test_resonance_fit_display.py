"""ResonanceFitDisplay draws events, fit and their difference."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from matplotlib import pyplot

from skad.datasets import make_resonance
from skad.plotting import ResonanceFitDisplay
from skad.search import fit_resonance


@pytest.fixture(scope="module")
def fit():
    m = make_resonance(10_000, 400, random_state=0).data[:, 0]
    return fit_resonance(m, (3.3, 3.7), n_parameters=3)


def test_panels_show_the_fit_and_what_is_left(fit):
    display = ResonanceFitDisplay.from_fit(fit, feature_name="$m$ [TeV]")
    background, whole, peak = (line.get_ydata() for line in display.lines_)
    np.testing.assert_allclose(whole, background + peak)
    m = display.lines_[2].get_xdata()
    assert m[np.argmax(peak)] == pytest.approx(fit.mass, abs=2 * np.diff(m)[0])
    assert np.trapezoid(peak, m) == pytest.approx(fit.n_signal, rel=1e-3)
    assert m[[0, -1]] == pytest.approx([fit.mass - 6 * fit.width, fit.mass + 6 * fit.width])
    (points, above), (_, below) = (container.lines[0].get_data() for container in display.points_)
    edges = fit.spectrum.edges
    bins = np.searchsorted(edges, points) - 1
    widths = np.diff(edges)[bins]
    np.testing.assert_allclose(above * widths, fit.spectrum.counts[bins])
    np.testing.assert_allclose((above - below) * widths, fit.spectrum.expected()[bins])
    assert display.axes_[0].get_ylabel() == "events per TeV"
    pyplot.close("all")


def test_all_masses_and_own_axes(fit):
    _, axes = pyplot.subplots(2)
    display = ResonanceFitDisplay.from_fit(fit, around=np.inf, axes=axes)
    x = display.lines_[0].get_xdata()
    assert x[[0, -1]] == pytest.approx(fit.spectrum.edges[[0, -1]])
    with pytest.raises(ValueError, match="2 axes"):
        ResonanceFitDisplay.from_fit(fit, axes=axes[:1])
    pyplot.close("all")
