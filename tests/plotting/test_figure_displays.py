"""Displays of the figures of the papers draw the numbers of the studies."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.mixture import GaussianMixture

from skad.coordinates import NormalCDFTransformer
from skad.datasets import make_gaussian_anomaly
from skad.density import FlowDensity
from skad.inspection import (
    feature_histograms,
    frame_overlap,
    jet_images,
    yield_closure,
)
from skad.plotting import (
    DensityRatioDisplay,
    ExplanationDisplay,
    FeatureDisplay,
    FrameHistogramDisplay,
    InjectionDisplay,
    JetImageDisplay,
    ScoreScatterDisplay,
    YieldClosureDisplay,
)
from skad.resonant import ANODE
from skad.search import importance_background

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_features_with_ratio():
    rng = np.random.default_rng(0)
    samples = {"data": rng.normal(size=(500, 2)), "template": rng.normal(size=(500, 2))}
    histograms = feature_histograms(samples, reference="data", bins=8)
    display = FeatureDisplay.from_histograms(histograms)
    for feature in ("column 0", "column 1"):
        drawn = display.line_[feature, "template"].get_data()
        np.testing.assert_array_equal(drawn.values, histograms.density[feature]["template"])
        line = display.ratio_line_[feature, "template"].lines[0]
        np.testing.assert_array_equal(line.get_ydata(), histograms.ratio[feature]["template"])
        assert (feature, "data") not in display.ratio_line_
    assert display.ratio_ax_[1].get_xlabel() == "column 1"
    alone = FeatureDisplay.from_histograms(feature_histograms(samples), log=True)
    assert alone.ratio_ax_ is None and alone.ax_[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="axes must have the shape"):
        display.plot(plt.subplots(1, 2)[1])


def test_yield_closure():
    ratio = np.random.default_rng(0).lognormal(sigma=0.3, size=2000)
    cuts = np.quantile(ratio, [0.3, 0.9])
    closure = yield_closure(np.zeros(2000), ratio, importance_background(ratio, cuts))
    display = YieldClosureDisplay.from_study(closure)
    x, y = display.line_["importance"].lines[0].get_data()
    np.testing.assert_allclose(x, [0.7, 0.1], atol=1e-3)
    expected = [(1 / ratio[ratio > c]).sum() / (ratio > c).sum() for c in cuts]
    np.testing.assert_allclose(y, expected)
    by_cut = YieldClosureDisplay.from_study(closure, x="threshold")
    np.testing.assert_array_equal(by_cut.line_["importance"].lines[0].get_xdata(), cuts)
    with pytest.raises(ValueError, match="x must be"):
        display.plot(x="mass")


def test_injection_medians_and_bands():
    rng = np.random.default_rng(0)
    study = pd.DataFrame(
        {
            "detector": np.repeat(["a", "b"], 20),
            "injected": np.tile(np.repeat([500, 0], 10), 2),
            "seed": np.tile(np.arange(10), 4),
            "max_sic": rng.random(40),
            "roc_auc": rng.random(40),
        }
    )
    display = InjectionDisplay.from_study(study, metric="roc_auc")
    assert display.name == ["a", "b"] and display.ax_.get_ylabel() == "AUC"
    for name, line in zip("ab", display.line_, strict=True):
        x, y = line.get_data()
        rows = study[study["detector"] == name].groupby("injected")["roc_auc"]
        np.testing.assert_array_equal(x, [0, 500])
        np.testing.assert_allclose(y, rows.median())
    np.testing.assert_allclose(
        display.lower[0], study[:20].groupby("injected")["roc_auc"].quantile(0.16)
    )
    with pytest.raises(ValueError, match="not a column"):
        InjectionDisplay.from_study(study, metric="sic")


def test_score_scatter_and_its_correlation():
    rng = np.random.default_rng(0)
    n = 20_000
    common = rng.normal(size=n)
    y = np.arange(n) % 2
    a = common + 5
    b = np.where(y == 0, 0.6 * common + 0.8 * rng.normal(size=n), rng.normal(size=n))
    display = ScoreScatterDisplay.from_predictions(y, {"a": a, "b": b}, n_events=300)
    assert display.correlation["background"] == pytest.approx(0.6, abs=0.03)
    assert display.correlation["signal"] == pytest.approx(0, abs=0.03)
    drawn = display.points_["background"].get_offsets()
    assert drawn.shape == (300, 2)
    standard = (a - a.mean()) / a.std()
    assert np.isin(drawn[:, 0], standard[y == 0]).all()
    assert display.points_["background"].get_label() == (
        f"background (r = {display.correlation['background']:.2f})"
    )
    with pytest.raises(ValueError, match="exactly two"):
        ScoreScatterDisplay.from_predictions(y, {"a": a})
    with pytest.raises(ValueError, match="is the same for all"):
        ScoreScatterDisplay.from_predictions(y, {"a": a, "b": np.ones(n)})


def test_ratio_against_the_background_density():
    rng = np.random.default_rng(0)
    X = np.c_[rng.uniform(0, 1, size=9000), rng.normal(size=9000)]
    flow = FlowDensity(
        "maf", n_transforms=1, hidden_layer_sizes=(8,), max_epochs=3, batch_size=1000
    )
    anode = ANODE(flow, flow, region=(0.4, 0.6), coordinates=None, random_state=0).fit(X)
    inside = X[(X[:, 0] >= 0.4) & (X[:, 0] < 0.6)]
    # In the units of X: close to the normal density that the events have.
    log_density = anode.log_background_density(inside)
    middle = np.abs(inside[:, 1]) < 2
    exact = norm.logpdf(inside[:, 1])
    np.testing.assert_allclose(log_density[middle], exact[middle], atol=0.35)
    display = DensityRatioDisplay.from_estimator(anode, inside, inside[:, 1] > 2)
    x, ratio = display.points["signal"]
    np.testing.assert_array_equal(x, log_density[inside[:, 1] > 2])
    np.testing.assert_array_equal(ratio, anode.density_ratio(inside[inside[:, 1] > 2]))
    every = anode.density_ratio(inside[inside[:, 1] <= 2])
    expected = (np.quantile(every, 0.84) - np.quantile(every, 0.16)) / 2
    assert display.width["background"] == pytest.approx(expected)


def test_jet_images():
    p4 = np.array([[5.0, 4.0, 0.1, 0.0, 2.0, 1.0, 0.2, 0.3]])
    images = jet_images({"one": p4, "other": 2 * p4}, bins=10)
    display = JetImageDisplay.from_images(images)
    for name, mesh in display.image_.items():
        drawn = mesh.get_array().filled(0).reshape(10, 10)
        np.testing.assert_array_equal(drawn, images.image[name].T)


class TestFrames:
    def test_rarest_events_in_one_dimension(self):
        X = np.random.default_rng(0).normal(size=(20_000, 1))
        density = GaussianMixture().fit(X)
        frames = {"x": None, "Phi(x)": NormalCDFTransformer()}
        overlap = frame_overlap(density, frames, X, fraction=0.05)
        display = FrameHistogramDisplay.from_overlap(overlap, bins=40)
        width = {frame: np.diff(edges)[0] for frame, edges in display.edges.items()}
        for panel in frames:
            for frame in frames:
                part = display.patch_[panel, frame].get_data().values
                assert part.sum() * width[panel] == pytest.approx(0.05, abs=1e-3)
        # The tails of x, beyond 1.96, are the ends of Phi(x).
        edges, part = display.edges["Phi(x)"], display.rarest["Phi(x)"]["x"]
        ends = (edges[1:] <= 0.051) | (edges[:-1] >= 0.949)
        assert part[~ends].sum() == 0
        edges, part = display.edges["x"], display.rarest["x"]["x"]
        assert part[(edges[:-1] > -1.8) & (edges[1:] < 1.8)].sum() == 0

    def test_classes_in_each_frame(self):
        X, y = make_gaussian_anomaly(20_000, 20_000, random_state=0, return_X_y=True)
        display = FrameHistogramDisplay.from_frames(
            {"x": None, "Phi(x)": NormalCDFTransformer()}, X, y, bins=20
        )
        # Background is uniform in its own distribution function.
        np.testing.assert_allclose(display.density["Phi(x)"]["background"], 1, atol=0.12)
        edges = display.edges["x"]
        exact = np.diff(norm.cdf(edges, loc=1)) / np.diff(edges)
        np.testing.assert_allclose(display.density["x"]["signal"], exact, atol=0.02)
        drawn = display.line_["x", "signal"].get_data().values
        np.testing.assert_array_equal(drawn, display.density["x"]["signal"])


def test_explanations_as_bars_and_as_a_map():
    table = pd.DataFrame(
        [[0.1, 3.0, -0.5], [0.2, -1.0, 0.1]], columns=["mass", "tau", "charge"], index=[7, 9]
    )
    display = ExplanationDisplay.from_explanation(table, event=0)
    assert [bar.get_width() for bar in display.bars_] == [-0.5, 0.1, 3.0]
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == ["charge", "mass", "tau"]
    display = ExplanationDisplay.from_explanation(table, n_columns=2)
    # The columns of the largest contributions, in their order.
    np.testing.assert_array_equal(display.image_.get_array(), table[["tau", "charge"]])
    assert display.image_.get_clim() == (-3.0, 3.0)
    with pytest.raises(IndexError, match="event must be a position among the 2 rows"):
        ExplanationDisplay.from_explanation(table, event=2)
