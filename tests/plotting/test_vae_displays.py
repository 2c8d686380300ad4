"""Displays of mass dependence, jets and latent spaces: the numbers that are drawn."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import silhouette_score

from skad.coordinates import ConstituentCoordinates
from skad.datasets import load_jets
from skad.detectors import VAEDetector
from skad.metrics import mass_sculpting_jsd
from skad.plotting import (
    DecorrelationDisplay,
    JetSpectraDisplay,
    LatentDisplay,
    MassSculptingDisplay,
    ScoreMassDisplay,
)

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    mass, noise = rng.exponential(100, size=(2, 4000))
    return mass, noise, rng.uniform(0.5, 2, size=4000)


@pytest.fixture(scope="module")
def jets():
    return load_jets(kinds=["qcd"]).data[:1500]


class TestScoreMass:
    def test_quantiles_in_bins_of_equal_population(self, events):
        mass, noise, _ = events
        score = mass + noise
        display = ScoreMassDisplay.from_predictions(mass, {"a": score, "b": noise}, bins=8)
        order = np.argsort(mass).reshape(8, 500)
        np.testing.assert_allclose(display.mass[0], mass[order].mean(axis=1))
        np.testing.assert_allclose(display.score[0], np.median(score[order], axis=1))
        np.testing.assert_allclose(
            display.lower[0], np.percentile(score[order], 16, axis=1), rtol=0.02
        )
        np.testing.assert_array_equal(display.line_[1].get_ydata(), display.score[1])
        assert len(display.band_) == 2
        assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["a", "b"]

    def test_weights_of_zero_hide_events(self, events):
        mass, noise, _ = events
        weight = (mass < 100).astype(float)
        weighted = ScoreMassDisplay.from_predictions(mass, noise, bins=5, sample_weight=weight)
        cut = ScoreMassDisplay.from_predictions(mass[mass < 100], noise[mass < 100], bins=5)
        np.testing.assert_allclose(weighted.mass[0], cut.mass[0], rtol=0.01)
        np.testing.assert_allclose(weighted.score[0], cut.score[0], rtol=0.1)

    def test_from_estimator(self, events):
        mass, noise, _ = events
        X = np.column_stack([mass, noise])
        forest = IsolationForest(n_estimators=10, random_state=0).fit(X)
        one = ScoreMassDisplay.from_estimator(forest, X, mass)
        named = ScoreMassDisplay.from_estimator({"forest": forest}, X, mass)
        np.testing.assert_array_equal(one.score[0], named.score[0])
        assert one.score[0][-1] > one.score[0][5]


class TestMassSculpting:
    def test_spectra_and_divergences(self, events):
        mass, noise, weight = events
        score = mass + noise
        display = MassSculptingDisplay.from_predictions(
            mass, score, efficiencies=(1.0, 0.1), bins=[0, 50, 100, 1000], sample_weight=weight
        )
        before, _ = np.histogram(mass, display.edges, weights=weight, density=True)
        np.testing.assert_allclose(display.density[1.0], before)
        order = np.argsort(-score)
        kept = order[np.cumsum(weight[order]) <= 0.1 * weight.sum()]
        after, _ = np.histogram(mass[kept], display.edges, weights=weight[kept], density=True)
        np.testing.assert_allclose(display.density[0.1], after, rtol=0.03)
        assert display.jsd[1.0] == pytest.approx(0, abs=1e-12)
        expected = mass_sculpting_jsd(mass, score, fraction=0.1, sample_weight=weight)
        assert display.jsd[0.1] == expected > 0.1
        np.testing.assert_array_equal(display.line_[1].get_data().values, display.density[0.1])

    def test_from_estimator_equals_from_predictions(self, events):
        mass, noise, _ = events
        X = np.column_stack([mass, noise])
        forest = IsolationForest(n_estimators=10, random_state=0).fit(X)
        a = MassSculptingDisplay.from_estimator(forest, X, mass)
        b = MassSculptingDisplay.from_predictions(mass, -forest.score_samples(X))
        assert a.jsd == b.jsd


class TestDecorrelation:
    def test_points(self, events):
        mass, noise, _ = events
        y = np.repeat([0, 1], 2000)
        score = mass + noise + 100 * y
        display = DecorrelationDisplay.from_predictions(
            mass, score, y, background_efficiencies=[0.05, 0.3]
        )
        cut = np.quantile(score[:2000], [0.95, 0.7])
        expected = [(score[2000:] > c).mean() for c in cut]
        np.testing.assert_allclose(display.signal_efficiency[0], expected, atol=2e-3)
        jsd = mass_sculpting_jsd(mass[:2000], score[:2000], fraction=[0.05, 0.3], bins=20)
        np.testing.assert_allclose(display.inverse_jsd[0], 1 / jsd)
        np.testing.assert_array_equal(display.line_.get_ydata(), 1 / jsd)

    def test_from_estimator_equals_from_predictions(self, events):
        mass, noise, weight = events
        y = np.repeat([0, 1], 2000)
        X = np.column_stack([mass, noise + 300 * y])
        forest = IsolationForest(n_estimators=10, random_state=0).fit(X)
        options = {"background_efficiencies": [0.1, 0.4], "bins": 5, "sample_weight": weight}
        a = DecorrelationDisplay.from_estimator({"forest": forest}, X, mass, y, **options)
        b = DecorrelationDisplay.from_predictions(mass, -forest.score_samples(X), y, **options)
        np.testing.assert_array_equal(a.inverse_jsd[0], b.inverse_jsd[0])
        np.testing.assert_array_equal(a.line_.get_xdata(), b.signal_efficiency[0])
        assert a.name == "forest"

    def test_the_mass_of_the_signal_is_not_used(self, events):
        mass, noise, _ = events
        y = np.repeat([0, 1], 2000)
        moved = np.where(y == 1, 1.0, mass)
        a, b = (DecorrelationDisplay.from_predictions(m, noise, y) for m in (mass, moved))
        np.testing.assert_array_equal(a.inverse_jsd[0], b.inverse_jsd[0])

    def test_one_class_is_an_error(self, events):
        mass, noise, _ = events
        with pytest.raises(ValueError, match="y_true holds no signal"):
            DecorrelationDisplay.from_predictions(mass, noise, np.zeros(4000, dtype=int))


class TestJetSpectra:
    def test_spectra_of_the_summed_constituents(self, jets):
        display = JetSpectraDisplay.from_jets({"jets": jets}, bins=10)
        p = jets.reshape(-1, 20, 4).sum(axis=1)
        mass = np.sqrt(p[:, 0] ** 2 - (p[:, 1:] ** 2).sum(axis=1))
        edges = display.edges["mass"]
        expected = np.histogram(mass, edges)[0] / (1500 * np.diff(edges))
        np.testing.assert_allclose(display.density["mass"]["jets"], expected)
        pt = np.hypot(p[:, 1], p[:, 2])
        inside = (pt >= display.edges["pt"][0]) & (pt <= display.edges["pt"][-1])
        assert inside.mean() == pytest.approx(0.99, abs=0.002)
        assert len(display.line_) == 2

    def test_coordinates(self, jets):
        transformer = ConstituentCoordinates(relative=False).fit(jets)
        Z = transformer.transform(jets)
        expected = JetSpectraDisplay.from_jets({"jets": jets})
        for coordinates in ("log_pt_eta_phi", transformer):
            found = JetSpectraDisplay.from_jets({"jets": Z}, coordinates=coordinates)
            np.testing.assert_allclose(found.edges["mass"], expected.edges["mass"], rtol=1e-6)
        with pytest.raises(ValueError, match="coordinates must be 'p4', 'log_pt_eta_phi' or a"):
            JetSpectraDisplay.from_jets({"jets": Z}, coordinates="polar")

    def test_given_reconstructed_and_generated_jets(self, jets):
        mass = np.arange(1500.0)
        X = np.column_stack([mass, jets])
        detector = VAEDetector(
            hidden_layer_sizes=(64,), decorrelate=0, max_epochs=5, random_state=0
        ).fit(X)
        display = JetSpectraDisplay.from_estimator(detector, X, random_state=0)
        given = JetSpectraDisplay.from_jets({"jets": jets})
        np.testing.assert_array_equal(display.density["pt"]["jets"], given.density["pt"]["jets"])
        generated = JetSpectraDisplay.from_jets(
            {"jets": jets, "generated": detector.sample(1500, 0)}
        )
        np.testing.assert_array_equal(
            display.density["mass"]["generated"], generated.density["mass"]["generated"]
        )
        assert list(display.density["pt"]) == ["jets", "reconstructed", "generated"]


class TestLatent:
    def test_two_dimensions_are_drawn_as_they_are(self):
        X = np.random.default_rng(0).normal(size=(300, 4))
        y = np.where(X[:, 0] > 0, "W", "QCD")
        pca = PCA(2).fit(X)
        display = LatentDisplay.from_estimator(pca, X, y)
        np.testing.assert_array_equal(display.points, pca.transform(X))
        drawn = {p.get_label(): p.get_offsets() for p in display.points_}
        np.testing.assert_allclose(drawn["W"], pca.transform(X)[y == "W"])
        assert not display.embedded

    def test_more_are_embedded_and_groups_stay_together(self):
        rng = np.random.default_rng(0)
        y = np.arange(120) % 2
        X = rng.normal(size=(120, 5)) + 20 * y[:, None]
        display = LatentDisplay.from_estimator(PCA(3).fit(X), X, y, n_events=80, random_state=0)
        assert display.points.shape == (80, 2)
        assert silhouette_score(display.points, display.label) > 0.5
        assert display.ax_.get_xlabel() == "t-SNE 1"

    def test_one_dimension_is_an_error(self):
        X = np.random.default_rng(0).normal(size=(30, 2))
        with pytest.raises(ValueError, match="latent space has one dimension"):
            LatentDisplay.from_estimator(PCA(1).fit(X), X)
