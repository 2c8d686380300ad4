"""Displays of mass dependence: the numbers that are drawn are those of the metrics."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from skad.metrics import decorrelation_curve, mass_spectra, score_profile
from skad.plotting import DecorrelationDisplay, MassSculptingDisplay, ScoreMassDisplay

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    mass, noise = rng.exponential(100, size=(2, 4000))
    return mass, noise, rng.uniform(0.5, 2, size=4000)


@pytest.fixture(scope="module")
def forest(events):
    mass, noise, _ = events
    X = np.column_stack([mass, noise])
    return IsolationForest(n_estimators=10, random_state=0).fit(X), X


def edges_of(band):
    """Lower and upper edge of a fill_between."""
    vertices = band.get_paths()[0].vertices
    n = (len(vertices) - 3) // 2
    return vertices[1 : n + 1, 1], vertices[-2 : -n - 2 : -1, 1]


class TestScoreMass:
    def test_profiles_by_name(self, events):
        mass, noise, weight = events
        scores = {"a": mass + noise, "b": noise}
        display = ScoreMassDisplay.from_predictions(mass, scores, bins=8, sample_weight=weight)
        for line, band, score in zip(display.line_, display.band_, scores.values(), strict=True):
            profile = score_profile(mass, score, bins=8, sample_weight=weight)
            np.testing.assert_array_equal(line.get_data(), (profile.mass, profile.median))
            # matplotlib closes the outline on its first and last points.
            for edge, expected in zip(edges_of(band), profile[2:], strict=True):
                np.testing.assert_allclose(edge[1:-1], expected[1:-1])
        assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["a", "b"]
        assert display.chance_level_ is None

    def test_trainings_as_a_band(self, events):
        mass, noise, _ = events
        trainings = noise + np.random.default_rng(1).normal(0, 20, size=(5, 4000))
        display = ScoreMassDisplay.from_predictions(mass, {"a": trainings, "b": noise}, bins=6)
        medians = [score_profile(mass, row, bins=6).median for row in trainings]
        np.testing.assert_allclose(display.line_[0].get_ydata(), np.median(medians, axis=0))
        lower, upper = edges_of(display.band_)
        np.testing.assert_allclose(lower[1:-1], np.quantile(medians, 0.16, axis=0)[1:-1])
        np.testing.assert_allclose(upper[1:-1], np.quantile(medians, 0.84, axis=0)[1:-1])

    def test_from_estimator(self, events, forest):
        model, X = forest
        one = ScoreMassDisplay.from_estimator(model, X, events[0])
        named = ScoreMassDisplay.from_estimator({"forest": model}, X, events[0])
        np.testing.assert_array_equal(one.median[0], named.median[0])
        assert (one.name, named.name) == ("IsolationForest", "forest")


class TestMassSculpting:
    def test_spectra(self, events):
        mass, noise, weight = events
        options = {"fractions": (1.0, 0.1), "bins": 10, "sample_weight": weight}
        display = MassSculptingDisplay.from_predictions(mass, mass + noise, **options)
        spectra = mass_spectra(mass, mass + noise, **options)
        for line, density in zip(display.line_, spectra.density, strict=True):
            np.testing.assert_array_equal(line.get_data().values, density)
            np.testing.assert_array_equal(line.get_data().edges, spectra.edges)
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert labels == ["all", f"10 % (JSD = {spectra.jsd[1]:.3f})"]

    def test_from_estimator_equals_from_predictions(self, events, forest):
        model, X = forest
        a = MassSculptingDisplay.from_estimator(model, X, events[0])
        b = MassSculptingDisplay.from_predictions(events[0], -model.score_samples(X))
        np.testing.assert_array_equal(a.jsd, b.jsd)


class TestDecorrelation:
    @pytest.mark.parametrize("kind", [None, "inverse_jsd", "jsd"])
    def test_curve(self, events, kind):
        mass, noise, weight = events
        y = np.repeat([0, 1], 2000)
        options = {"background_efficiencies": [0.05, 0.3], "bins": 5, "sample_weight": weight}
        score = mass + noise + 100 * y
        display = DecorrelationDisplay.from_predictions(y, score, mass, kind=kind, **options)
        curve = decorrelation_curve(y, score, mass, **options)
        x, drawn = display.line_.get_data()
        np.testing.assert_array_equal(x, curve.signal_efficiency)
        np.testing.assert_array_equal(drawn, curve.jsd if kind == "jsd" else 1 / curve.jsd)

    def test_from_estimator_equals_from_predictions(self, events, forest):
        model, X = forest
        y = np.repeat([0, 1], 2000)
        a = DecorrelationDisplay.from_estimator({"forest": model}, X, y, events[0])
        b = DecorrelationDisplay.from_predictions(y, -model.score_samples(X), events[0])
        np.testing.assert_array_equal(a.line_.get_xydata(), b.line_.get_xydata())
        assert a.name == "forest"
