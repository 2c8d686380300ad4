"""Score, frame and study displays: the numbers that are drawn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedKFold, cross_validate

from skad.coordinates import LogTransformer
from skad.density import FramedDensity
from skad.detectors import DensityDetector
from skad.inspection import coordinate_study, frame_overlap
from skad.metrics import anomaly_threshold, score_histograms
from skad.plotting import CoordinateStudyDisplay, FrameDisplay, ScoreDisplay

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(900, 2)), rng.normal(2.5, 0.7, size=(100, 2))])
    return X, np.repeat([0, 1], [900, 100])


@pytest.fixture(scope="module")
def masses():
    return np.random.default_rng(0).lognormal(sigma=0.5, size=(3000, 2))


@pytest.fixture(scope="module")
def density(masses):
    return FramedDensity(LogTransformer(), GaussianMixture()).fit(masses)


@pytest.fixture(scope="module")
def study(events):
    return coordinate_study(
        {"mixture": GaussianMixture(), "forest": IsolationForest(n_estimators=5)},
        {"x": None, "again": "passthrough"},
        *events,
        n_seeds=3,
        random_state=0,
    )


FRAMES = {"m": None, "log m": LogTransformer()}


class TestScore:
    def test_histograms_with_errors(self, events):
        _, y = events
        rng = np.random.default_rng(1)
        scores, weight = rng.normal(size=1000), rng.random(1000)
        display = ScoreDisplay.from_predictions(y, scores, sample_weight=weight, name="a")
        histograms = score_histograms(y, scores, sample_weight=weight)
        for name, patch, band in zip(
            ["background", "signal"], display.line_, display.band_, strict=True
        ):
            np.testing.assert_array_equal(patch.get_data().values, histograms.density[name])
            np.testing.assert_array_equal(patch.get_data().edges, histograms.edges)
            top = histograms.density[name] + histograms.density_error[name]
            assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(top.max())
        assert len({tuple(patch.get_edgecolor()) for patch in display.line_}) == 2
        texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert texts == ["a, background", "a, signal"]

    def test_scales(self):
        scores = np.random.default_rng(0).pareto(1, size=200) + 1e-3
        assert ScoreDisplay.from_predictions(None, scores, scale="log").ax_.get_xscale() == "log"
        assert ScoreDisplay.from_predictions(None, scores).ax_.get_xscale() == "linear"

    def test_threshold_of_a_detector(self, events):
        X, y = events
        detector = DensityDetector(GaussianMixture(), contamination=0.1).fit(X)
        display = ScoreDisplay.from_estimator(detector, X, y)
        assert display.threshold_line_.get_xdata()[0] == anomaly_threshold(detector, X)
        hidden = ScoreDisplay.from_estimator(detector, X, show_threshold=False)
        assert hidden.threshold_line_ is None

    def test_folds_are_pooled(self, events):
        X, y = events
        results = cross_validate(
            GaussianMixture(),
            X,
            y,
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
            return_estimator=True,
            return_indices=True,
        )
        edges = np.linspace(0, 40, 30)
        display = ScoreDisplay.from_cv_results(results, X, y, bins=edges)
        scores = np.empty(len(X))
        for model, test in zip(results["estimator"], results["indices"]["test"], strict=True):
            scores[test] = -model.score_samples(X[test])
        expected, _ = np.histogram(scores[y == 0], edges, density=True)
        np.testing.assert_allclose(display.density["background"], expected)

    def test_bad_styles(self):
        with pytest.raises(ValueError, match="list of 1, one per histogram"):
            ScoreDisplay.from_predictions(None, np.arange(50), curve_kwargs=[{}, {}])


class TestFrame:
    def test_the_rarest_of_each_frame_are_marked_in_both(self, masses, density):
        display = FrameDisplay.from_overlap(frame_overlap(density, FRAMES, masses), bins=30)
        log_p = density.score_samples(masses)
        rarest = {
            "m": np.argsort(log_p)[:30],
            "log m": np.argsort(log_p + np.log(masses).sum(axis=1))[:30],
        }
        shown = {"m": masses, "log m": np.log(masses)}
        for (panel, frame), marks in display.scatter_.items():
            expected = shown[panel][np.sort(rarest[frame])]
            np.testing.assert_allclose(marks.get_offsets(), expected)
        assert set(display.scatter_) == {(p, f) for p in shown for f in shown}
        assert [axes.get_title() for axes in display.ax_] == ["m", "log m"]
        assert [image.get_array().sum() for image in display.image_] == [3000, 3000]
        texts = [text.get_text() for text in display.ax_[0].get_legend().get_texts()]
        assert texts == ["rarest 1 % in m", "rarest 1 % in log m"]

    def test_detectors_in_each_frame(self, masses, density):
        overlap = frame_overlap(density, FRAMES, masses, fraction=0.02)
        display = FrameDisplay.from_overlap(overlap)
        scores = {name: -log_density for name, log_density in overlap.log_density.items()}
        other = FrameDisplay.from_predictions(overlap.coordinates, scores, fraction=0.02)
        for key, marks in display.scatter_.items():
            np.testing.assert_array_equal(other.scatter_[key].get_offsets(), marks.get_offsets())

    def test_named_features_on_given_axes(self, masses, density):
        X = pd.DataFrame(masses, columns=["m1", "m2"])
        density = FramedDensity(LogTransformer(), GaussianMixture()).fit(X)
        figure, axes = plt.subplots(1, 2)
        display = FrameDisplay.from_overlap(
            frame_overlap(density, FRAMES, X),
            features=["m2", "m1"],
            ax=axes,
            marker_kwargs={"m": {"marker": "s", "s": 50, "fc": "red"}},
        )
        assert display.figure_ is figure
        assert axes[1].get_xlabel() == "m2"
        chosen = display.selected["m"]
        marks = display.scatter_["m", "m"]
        np.testing.assert_allclose(marks.get_offsets(), masses[chosen][:, ::-1])
        assert marks.get_sizes() == [50]

    def test_bad_input(self, masses, density):
        overlap = frame_overlap(density, FRAMES, masses)
        with pytest.raises(ValueError, match=r"axes must hold 2 axes.*got 1"):
            FrameDisplay.from_overlap(overlap, ax=plt.subplots()[1])
        with pytest.raises(ValueError, match="features must name two columns"):
            FrameDisplay.from_overlap(overlap, features=[0])
        with pytest.raises(TypeError, match="must be dicts"):
            FrameDisplay.from_predictions(masses, masses[:, 0])


class TestStudy:
    def test_medians_bands_and_seeds(self, study):
        display = CoordinateStudyDisplay.from_study(study, reference_lines={"max_sic": 2.0})
        assert [axes.get_ylabel() for axes in display.ax_] == ["AUC", "max SIC", "Shared with x"]
        for (metric, detector), container in display.line_.items():
            groups = study[study["detector"] == detector].groupby("frame", sort=False)[metric]
            low, middle, high = (groups.quantile(q).to_numpy() for q in (0.16, 0.5, 0.84))
            line, _, bars = container.lines
            np.testing.assert_allclose(line.get_ydata(), middle)
            ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
            np.testing.assert_allclose(ends, np.c_[low, high])
            drawn = display.scatter_[metric, detector].get_offsets()[:, 1]
            np.testing.assert_allclose(drawn, np.concatenate([g for _, g in groups]))
        assert 2.0 in display.ax_[1].lines[-1].get_ydata()
        ticks = [tick.get_text() for tick in display.ax_[0].get_xticklabels()]
        assert ticks == ["x", "again"]

    def test_chosen_metrics(self, study):
        display = CoordinateStudyDisplay(study).plot(metrics=["fit_seconds"])
        assert len(display.ax_) == 1
        with pytest.raises(ValueError, match=r"metrics=\['auc'\] are not columns"):
            CoordinateStudyDisplay(study).plot(metrics=["auc"])
