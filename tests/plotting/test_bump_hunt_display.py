"""The display of a bump hunt shows the numbers of the hunt."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skad.datasets import make_resonance
from skad.exceptions import LowStatisticsWarning
from skad.plotting import BumpHuntDisplay, BumpHuntSpectrum
from skad.resonant import SignalRegion
from skad.search import BumpHunt

pyplot = pytest.importorskip("matplotlib.pyplot")

# More signal would sculpt the sidebands of the windows beside it.
X = make_resonance(3000, 20, random_state=0).data
OPTIONS = {"n_folds": 2, "n_parameters": 3, "fit_alpha": 0.0, "random_state": 0}


def without_mass(X):
    return X[:, 1:]


# A forest that sees the mass sculpts it.
FOREST = make_pipeline(FunctionTransformer(without_mass), IsolationForest(n_estimators=10))


@pytest.fixture(scope="module")
def hunt():
    return BumpHunt(
        FOREST,
        SignalRegion.scan(3.0, 4.0, width=0.4, step=0.3),
        efficiencies=(1.0, 0.2),
        **OPTIONS,
    ).fit(X)


def test_shows_the_best_row(hunt):
    display = BumpHuntDisplay.from_estimator(hunt)
    row = hunt.results_.loc[hunt.best_]
    fit = hunt.fits_[hunt.best_]
    m, density = display.lines_[0].get_data()
    np.testing.assert_allclose(density, fit.density(m))
    heights = np.array([bar.get_height() for bar in display.bars_[0]])
    np.testing.assert_allclose(heights, fit.pulls)
    points = display.points_[0].lines[0].get_data()[1]
    np.testing.assert_allclose(
        points * np.diff(fit.edges)[fit.counts > 0], fit.counts[fit.counts > 0]
    )
    title = display.axes_[0].get_title()
    assert f"{row['n_observed']:.0f} observed" in title
    assert f"{row['background']:.1f}" in title
    assert f"{hunt.p_global_:.2g}" in display.axes_[2].get_title()


def test_scan_shows_every_local_p_value(hunt):
    display = BumpHuntDisplay.from_estimator(hunt)
    for efficiency, lines in display.scan_.items():
        rows = hunt.results_[hunt.results_["efficiency"] == efficiency]
        segments = np.array(lines.get_segments())
        np.testing.assert_allclose(segments[:, 0, 1], rows["p_local"])
        np.testing.assert_allclose(segments[:, :, 0], rows[["low", "high"]])


def test_row_axes_and_styles(hunt):
    _, axes = pyplot.subplots(3, 1)
    display = BumpHuntDisplay.from_estimator(
        hunt, row=0, axes=axes, feature_name="mjj [TeV]", fit_kwargs={"color": "red"}
    )
    assert display.axes_[0] is axes[0] and display.figure_ is axes[0].figure
    assert len(display.lines_) == 1
    assert display.lines_[0].get_color() == "red"
    assert axes[2].get_xlabel() == "mjj [TeV]"
    assert f"{hunt.results_['n_observed'][0]} observed" in axes[0].get_title()
    with pytest.raises(ValueError, match="axes must hold 3 axes"):
        display.plot(axes[:2])


def test_column_name_is_the_label():
    frame = pd.DataFrame(X, columns=["mjj", "x1", "x2"])
    hunt = BumpHunt(
        IsolationForest(n_estimators=3),
        [(3.3, 3.7)],
        efficiencies=(1.0,),
        resonance="mjj",
        **OPTIONS,
    ).fit(frame)
    display = BumpHuntDisplay.from_estimator(hunt)
    assert [ax.get_xlabel() for ax in display.axes_] == ["", "$m_{jj}$ [TeV]"]
    assert display.axes_[0].get_ylabel() == "events per TeV"
    hunt.feature_names_in_ = np.array(["m_ll", "x1", "x2"], dtype=object)
    assert BumpHuntDisplay.from_estimator(hunt).axes_[1].get_xlabel() == "m_ll [TeV]"
    hunt.feature_names_in_ = np.array(["mjj", "x1", "x2"], dtype=object)
    in_gev = hunt.set_params(sqrt_s=13000.0)
    assert BumpHuntDisplay.from_estimator(in_gev).axes_[1].get_xlabel() == "$m_{jj}$ [GeV]"
    unknown = hunt.set_params(spectrum="polynomial")
    assert BumpHuntDisplay.from_estimator(unknown).axes_[1].get_xlabel() == "$m_{jj}$"


def closeness(X):
    return 1 / np.abs(X[:, :1] - 3.5)


def test_row_without_a_fit():
    # What passes lies inside the window, so nothing is left to fit.
    inside = make_pipeline(FunctionTransformer(closeness), EllipticEnvelope())
    with pytest.warns(LowStatisticsWarning):
        hunt = BumpHunt(inside, [(3.3, 3.7)], efficiencies=(1.0, 0.001), **OPTIONS).fit(X)
    with pytest.raises(ValueError, match=r"row 1. Choose among \[0\]"):
        BumpHuntDisplay.from_estimator(hunt, row=1)
    # One window: nothing to scan.
    assert len(BumpHuntDisplay.from_estimator(hunt).axes_) == 2


def make_display(p_local=(0.3, 0.02, 0.5), *, trusted=(True, True, True), **options):
    """A spectrum that falls from a thousand events in a bin to far below one."""
    edges = np.concatenate([np.linspace(2.0, 4.0, 11), np.linspace(4.4, 8.0, 10)])
    low = np.array([2.2, 3.4, 6.0])
    m = np.linspace(2.0, 8.0, 100)
    density = 5e3 * np.exp(-6 * (m - 2))
    spectrum = {
        "edges": edges,
        "counts": np.concatenate([[900, 300, 80, 30, 9, 4, 1, 1], np.zeros(12)]),
        "scale": np.ones(20),
        "expected": 5e3 * np.exp(-6 * (edges[:-1] - 2)),
        "pulls": np.linspace(-2, 2, 20),
        "fitted": edges[:-1] < 3.4,
        "m": m,
        "density": density,
        "error": 0.1 * density,
        "region": (3.4, 3.8),
        "background": 1.0,
        "uncertainty": 0.5,
        "n_observed": 2,
    }
    spectrum |= {name: options.pop(name) for name in list(options) if name in spectrum}
    scan = {1.0: (low, low + 0.4, np.array(p_local), np.array(trusted))}
    display = BumpHuntDisplay(spectra=[BumpHuntSpectrum(**spectrum)], scan=scan, **options)
    return display.plot()


def test_mass_axis_ends_where_events_end():
    # The last event lies in the bin from 3.4 to 3.6, the window reaches to 3.8.
    assert make_display().axes_[0].get_xlim() == pytest.approx((2.0, 3.8))
    assert make_display(region=(2.4, 2.8)).axes_[1].get_xlim() == pytest.approx((2.0, 3.6))


def test_intervals_are_those_of_poisson_counts():
    display = make_display()
    (segments,) = (bars.get_segments() for bars in display.points_[0].lines[2] if is_vertical(bars))
    # One event in a bin 0.2 wide: 0.173 to 3.300 (tables of the Particle Data Group).
    np.testing.assert_allclose(segments[-1][:, 1] * 0.2, [0.173, 3.300], atol=1e-3)


def test_intervals_of_weighted_events_are_scaled():
    # One event of weight 2 is as uncertain as one of weight 1.
    display = make_display(scale=np.full(20, 2.0), counts=np.full(20, 2.0))
    (segments,) = (bars.get_segments() for bars in display.points_[0].lines[2] if is_vertical(bars))
    np.testing.assert_allclose(segments[0][:, 1] * 0.2, [2 * 0.173, 2 * 3.300], atol=2e-3)


def is_vertical(bars):
    start, stop = bars.get_segments()[0]
    return start[0] == stop[0]


def test_band_is_one_standard_deviation():
    display = make_display()
    high = display.bands_[0].get_paths()[0].get_extents().y1
    assert high == pytest.approx(1.1 * 5e3)


def test_untrusted_rows_are_pale_and_named():
    display = make_display(trusted=(True, False, True))
    colors = display.scan_[1.0].get_colors()
    assert colors[:, 3].tolist() == [1.0, 0.25, 1.0]
    names = [text.get_text() for text in display.axes_[2].get_legend().get_texts()]
    assert names == ["efficiency 1", "not trusted"]


def test_before_and_after_in_one_call(hunt):
    row = int(hunt.results_.index[hunt.results_["efficiency"] == 0.2][0])
    display = BumpHuntDisplay.from_estimator(hunt, row=row, before=True)
    titles = [ax.get_title() for ax in display.axes_[:4:2]]
    assert titles[0].startswith("all events:") and titles[1].startswith("efficiency 0.2:")
    assert display.spectra[0].region == display.spectra[1].region
    assert len(display.axes_) == 5


@pytest.mark.parametrize("suffix", ["pdf", "svg"])
def test_vector_files(suffix, tmp_path):
    path = tmp_path / f"hunt.{suffix}"
    make_display().figure_.savefig(path)
    assert path.stat().st_size > 5000


def test_spectrum_ends_below_one_event():
    display = make_display()
    assert display.lines_[0].get_ydata().min() < 1e-10
    # The widest bins measure 0.4.
    assert display.axes_[0].get_ylim()[0] == pytest.approx(0.3 / 0.4)
    flat = np.full(100, 4e4)
    many = make_display(counts=np.full(20, 1e4), density=flat, error=0.1 * flat)
    low, high = many.axes_[0].get_ylim()
    assert 1e4 < low < 1e4 / 0.4 and high > 1e4 / 0.2


@pytest.mark.parametrize(
    ("z", "levels"),
    [
        (1, [1]),
        (3.2, [1, 2, 3]),
        (9, [2, 4, 6, 8]),
        (13, [5, 10]),
        (26, [5, 10, 15, 20, 25]),
        (37, [10, 20, 30]),
    ],
)
def test_sigma_levels_thin_out(z, levels):
    ax = make_display(p_local=(0.3, norm.sf(z), 0.5)).axes_[2]
    assert [text.get_text() for text in ax.texts] == [f"{level}σ" for level in levels]
    np.testing.assert_allclose([text.xy[1] for text in ax.texts], norm.sf(levels))
    dotted = [line.get_ydata()[0] for line in ax.lines]
    np.testing.assert_allclose(dotted, norm.sf(levels))


@pytest.mark.parametrize("z", range(1, 38, 3))
def test_sigma_labels_do_not_touch(z):
    display = make_display(p_local=(0.3, norm.sf(z), 0.5))
    display.figure_.canvas.draw()
    boxes = [text.get_window_extent() for text in display.axes_[2].texts]
    assert boxes
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(boxes))
    pyplot.close(display.figure_)


def test_sigma_labels_follow_the_axes():
    display = make_display(p_local=(0.3, norm.sf(5), 0.5))
    ax = display.axes_[2]
    ax.set(xlim=(3.0, 4.0), ylim=(1e-5, 1.0))
    display.figure_.canvas.draw()
    frame = ax.get_window_extent()
    # Out of the limits a label is not drawn and has no extent, or it would stand below the panel.
    shown = [text for text in ax.texts if text.get_window_extent().width > 1]
    assert [text.get_text() for text in ax.texts] == ["1σ", "2σ", "3σ", "4σ", "5σ"]
    assert [text.get_text() for text in shown] == ["1σ", "2σ", "3σ", "4σ"]
    for text in shown:
        box = text.get_window_extent()
        assert frame.x1 < box.x0 < box.x1 < display.figure_.bbox.x1
        position = ax.transData.transform((3.5, text.xy[1]))[1]
        assert 0.5 * (box.y0 + box.y1) == pytest.approx(position, abs=2)


def test_legends_are_off_the_data():
    p_local = (0.4, 1e-8, 0.9)
    display = make_display(p_local=p_local, trusted=(True, False, True), p_global=0.2)
    display.figure_.canvas.draw()
    scan = display.axes_[2]
    assert scan.get_legend().get_window_extent().y0 >= scan.get_window_extent().y1
    assert scan.title.get_window_extent().y0 >= scan.get_legend().get_window_extent().y1
    spectrum = display.axes_[0]
    box = spectrum.get_legend().get_window_extent()
    points = np.column_stack(display.points_[0].lines[0].get_data())
    assert not any(box.contains(*point) for point in spectrum.transData.transform(points))


@pytest.mark.parametrize(
    ("feature_name", "label"),
    [
        ("m [TeV]", "events per TeV"),
        (r"$m_{jj}$ [GeV/$c^2$]", "events per GeV/$c^2$"),
        ("x[0] [GeV] ", "events per GeV"),
        ("mjj", "events per unit of mjj"),
        ("m[jj] / TeV", "events per unit of m[jj] / TeV"),
    ],
)
def test_unit_of_the_spectrum(feature_name, label):
    display = make_display(feature_name=feature_name)
    assert display.axes_[0].get_ylabel() == label
    assert display.axes_[-1].get_xlabel() == feature_name


def test_title_says_what_the_global_p_value_counts(hunt):
    title = BumpHuntDisplay.from_estimator(hunt).axes_[2].get_title()
    assert title == f"global p-value {hunt.p_global_:.2g} (all windows, all efficiencies)"
    one = make_display(p_global=0.25)
    assert one.axes_[2].get_title() == "global p-value 0.25 (all windows)"


def test_follows_the_style_of_matplotlib(hunt):
    """As a style of mplhep sets them: sizes of labels, ticks on all sides."""
    with pyplot.rc_context({"axes.labelsize": 21, "ytick.right": True}):
        spectrum = BumpHuntDisplay.from_estimator(hunt).figure_.axes[0]
    assert spectrum.yaxis.label.get_fontsize() == 21
    assert spectrum.yaxis.get_major_ticks()[0].tick2line.get_visible()
