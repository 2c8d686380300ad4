"""The display of a bump hunt shows the numbers of the hunt."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from skad.datasets import make_resonance
from skad.exceptions import LowStatisticsWarning
from skad.plotting import BumpHuntDisplay
from skad.resonant import BumpHunt, SignalRegion

pyplot = pytest.importorskip("matplotlib.pyplot")

X = make_resonance(3000, 100, random_state=0).data
OPTIONS = {"n_folds": 2, "sqrt_s": 13.0, "n_parameters": 3, "random_state": 0}


@pytest.fixture(scope="module")
def hunt():
    return BumpHunt(
        IsolationForest(n_estimators=10),
        SignalRegion.scan(3.0, 4.0, width=0.4, step=0.3),
        efficiencies=(1.0, 0.2),
        **OPTIONS,
    ).fit(X)


def test_shows_the_best_row(hunt):
    display = BumpHuntDisplay.from_estimator(hunt)
    row = hunt.results_.loc[hunt.best_]
    fit = hunt.fits_[hunt.best_]
    m, density = display.line_.get_data()
    np.testing.assert_allclose(density, fit.density(m))
    heights = np.array([bar.get_height() for bar in display.bars_])
    np.testing.assert_allclose(heights, fit.pulls)
    points = display.points_.lines[0].get_data()[1]
    np.testing.assert_allclose(
        points * np.diff(fit.edges)[fit.counts > 0], fit.counts[fit.counts > 0]
    )
    title = display.axes_[0].get_title()
    assert f"efficiency {row['efficiency']:g}: {row['n_observed']:.0f} observed" in title
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
    assert display.line_.get_color() == "red"
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
    assert BumpHuntDisplay.from_estimator(hunt).axes_[2].get_xlabel() == "mjj"


def test_row_without_a_fit():
    with pytest.warns(LowStatisticsWarning):
        hunt = BumpHunt(
            IsolationForest(n_estimators=3), [(3.3, 3.7)], efficiencies=(1.0, 0.0005), **OPTIONS
        ).fit(X)
    with pytest.raises(ValueError, match=r"row 1. Choose among \[0\]"):
        BumpHuntDisplay.from_estimator(hunt, row=1)
    display = BumpHuntDisplay.from_estimator(hunt)
    assert display.axes_[2].get_ylim()[0] > 0
