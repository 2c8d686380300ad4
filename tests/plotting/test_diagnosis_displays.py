"""Displays of the diagnosis of templates: the numbers that are drawn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from skad.inspection import (
    BreakdownTest,
    closure_auc,
    log_posterior_test,
    overlap_study,
    score_correlation,
    template_closure,
)
from skad.plotting import (
    BreakdownDisplay,
    ClosureAUCDisplay,
    ClosureDisplay,
    LogPosteriorDisplay,
    OverlapStudyDisplay,
    ScoreCorrelationDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def samples():
    """Truth, and templates with three seeds each."""
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.normal(size=(1200, 2)), columns=["x", "y"])
    good, bad = rng.normal(size=(2, 3, 900, 2))
    return truth, {"good": list(good), "bad": list(bad + 0.3)}


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(1)
    common = rng.normal(size=2000)
    scores = {name: common + rng.normal(size=(3, 2000)) for name in ("a", "b", "c")}
    return np.arange(2000) % 2, scores


def band_edges(band):
    """Lowest and highest y of a filled band at every x."""
    vertices = pd.DataFrame(band.get_paths()[0].vertices, columns=["x", "y"])
    return vertices.groupby("x")["y"].agg(["min", "max"])


class TestClosure:
    def test_medians_ranges_and_expectation(self, samples):
        truth, templates = samples
        closure = template_closure(templates, truth)
        display = ClosureDisplay.from_study(closure)
        for name, container in display.line_.items():
            groups = closure[closure["template"] == name].groupby("feature")["statistic"]
            line, _, bars = container.lines
            np.testing.assert_allclose(line.get_ydata(), groups.median()[["x", "y"]])
            ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
            expected = [groups.quantile(q)[["x", "y"]] for q in (0.16, 0.84)]
            np.testing.assert_allclose(ends.T, expected)
            levels = [segment[0, 1] for segment in display.expected_line_[name].get_segments()]
            np.testing.assert_allclose(levels, closure["expected"].iloc[0])
        ticks = [tick.get_text() for tick in display.ax_.get_xticklabels()]
        assert ticks == ["x", "y"]
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert sorted(labels) == ["bad", "expected from statistics", "good"]

    def test_areas_over_the_null_band(self, samples):
        truth, templates = samples
        closure = closure_auc(
            templates, truth, classifier=LogisticRegression(), n_null=6, random_state=0
        )
        figure, ax = plt.subplots()
        display = ClosureAUCDisplay.from_study(closure, ax=ax, scatter_kwargs={"marker": "x"})
        assert display.figure_ is figure
        for i, name in enumerate(templates):
            rows = closure.auc[closure.auc["template"] == name]
            points = display.scatter_[name].get_offsets()
            np.testing.assert_allclose(points, np.c_[np.full(3, i), rows["roc_auc"]])
            mean, std = rows["null_mean"].iloc[0], rows["null_std"].iloc[0]
            for band, n in ((display.band_, 1), (display.wide_band_, 2)):
                edges = band_edges(band[name])
                np.testing.assert_allclose(edges.index, [i - 0.5, i + 0.5])
                np.testing.assert_allclose(edges["min"], mean - n * std)
                np.testing.assert_allclose(edges["max"], mean + n * std)


def test_log_posterior_matrix(samples):
    truth, templates = samples
    posterior = log_posterior_test(
        templates, truth, classifier=LogisticRegression(), n_seeds=3, random_state=0
    )
    display = LogPosteriorDisplay.from_study(posterior)
    medians = posterior.groupby(["sample", "template"])[["log_posterior", "excess"]].median()
    drawn = display.image_.get_array()
    for i, sample in enumerate(["good", "bad", "truth"]):
        for j, template in enumerate(["good", "bad"]):
            row = medians.loc[(sample, template)]
            assert drawn[i, j] == pytest.approx(row["excess"])
            assert display.text_[i, j].get_text() == f"{row['log_posterior']:.4f}"
            assert display.text_[i, j].get_position() == (j, i)
    low, high = display.image_.get_clim()
    assert -low == high == np.abs(drawn).max()
    assert display.ax_.get_title() == "Chance: -0.693"


def test_correlation_matrices(scores):
    correlation = score_correlation(*scores)
    display = ScoreCorrelationDisplay.from_study(correlation)
    assert [axes.get_title() for axes in display.ax_] == ["background", "signal"]
    for kind, image in display.image_.items():
        table = correlation[correlation["events"] == kind]
        drawn = image.get_array()
        between = table.query("method_a == 'a' and method_b == 'c'")["correlation"]
        assert len(between) == 9
        assert drawn[0, 2] == drawn[2, 0] == between.median()
        seeds = table.query("method_a == 'b' and method_b == 'b'")["correlation"]
        assert drawn[1, 1] == seeds.median()
    one_seed = {name: values[0] for name, values in scores[1].items()}
    display = ScoreCorrelationDisplay.from_study(score_correlation(None, one_seed))
    assert np.ma.getmaskarray(display.image_["all"].get_array()).diagonal().all()
    assert len(display.ax_[0].texts) == 6


class TestOverlap:
    def test_against_the_fraction(self, scores):
        study = overlap_study(*scores, fractions=[0.01, 0.1, 1.0])
        display = OverlapStudyDisplay.from_study(study)
        assert len(display.line_) == 2 * 4
        for (events, methods), line in display.line_.items():
            rows = study[(study["events"] == events) & (study["methods"] == methods)]
            groups = rows.groupby("fraction")["excess"]
            np.testing.assert_array_equal(line.get_xdata(), [0.01, 0.1, 1.0])
            np.testing.assert_allclose(line.get_ydata(), groups.median())
            edges = band_edges(display.band_[events, methods])
            np.testing.assert_allclose(edges["min"], groups.quantile(0.16))
            np.testing.assert_allclose(edges["max"], groups.quantile(0.84))
        assert [axes.get_title() for axes in display.ax_] == ["background", "signal"]
        assert display.ax_[0].get_xscale() == "log"

    def test_against_the_injected_signal(self, scores):
        y, methods = scores
        one = {name: values[0] for name, values in methods.items()}
        study = overlap_study(y, {0: one, 100: {"a": one["a"], "b": one["a"], "c": one["c"]}})
        display = OverlapStudyDisplay.from_study(study, against="injected", fraction=0.1)
        fraction = study["fraction"].iloc[np.argmin(np.abs(study["fraction"][:20] - 0.1))]
        rows = study.query("events == 'signal' and methods == 'a, b' and fraction == @fraction")
        line = display.line_["signal", "a, b"]
        np.testing.assert_array_equal(line.get_xdata(), [0, 100])
        np.testing.assert_allclose(line.get_ydata(), rows["excess"])
        assert line.get_ydata()[1] == pytest.approx(1 - fraction, abs=0.01)
        edges = band_edges(display.band_["signal", "a, b"])
        np.testing.assert_allclose(edges["max"] - edges["min"], 2 * rows["standard_error"])
        chosen = OverlapStudyDisplay.from_study(study, injected=0, kind="shared")
        rows = study.query("events == 'signal' and methods == 'a, b' and injected == 0")
        np.testing.assert_allclose(chosen.line_["signal", "a, b"].get_ydata(), rows["shared"])
        assert chosen.ax_[0].get_title() == "background, 0 injected"

    def test_bad_input(self, scores):
        study = overlap_study(*scores, fractions=[0.1])
        with pytest.raises(ValueError, match="dict of dicts"):
            OverlapStudyDisplay.from_study(study, against="injected")
        with pytest.raises(ValueError, match="against must be one of"):
            OverlapStudyDisplay.from_study(study, against="seed")
        with pytest.raises(ValueError, match=r"injected=3 is not in the study; it has \[5\]"):
            OverlapStudyDisplay.from_study(study.assign(injected=5), injected=3)


def test_breakdown_histogram():
    null = np.array([0.0, 0.01, 0.01, 0.1])
    test = BreakdownTest(0.3, null, 0.2, False, 0.05, 0.01, "seeds", 100, 200)
    display = BreakdownDisplay.from_test(test, bins=2)
    counts, edges, _ = display.histogram_.get_data()
    np.testing.assert_array_equal(counts, [3, 1])
    np.testing.assert_allclose(edges, [0, 0.05, 0.1])
    np.testing.assert_array_equal(display.line_.get_xdata(), [0.3, 0.3])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["4 permutations", "data (p = 0.2)"]
