"""Scores against the mass: profiles, spectra after cuts, decorrelation against sensitivity."""

import numpy as np
import pytest

from skad.metrics import (
    decorrelation_curve,
    mass_sculpting_jsd,
    mass_spectra,
    score_profile,
    significance_improvement_at,
)


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    mass, noise = rng.exponential(100, size=(2, 4000))
    return mass, noise, rng.uniform(0.5, 2, size=4000)


class TestScoreProfile:
    def test_quantiles_in_bins_of_equal_population(self, events):
        mass, noise, _ = events
        score = mass + noise
        profile = score_profile(mass, score, bins=8)
        order = np.argsort(mass).reshape(8, 500)
        np.testing.assert_allclose(profile.mass, mass[order].mean(axis=1))
        np.testing.assert_allclose(profile.median, np.median(score[order], axis=1))
        for q, found in ((16, profile.lower), (84, profile.upper)):
            np.testing.assert_allclose(found, np.percentile(score[order], q, axis=1), rtol=0.02)

    def test_given_edges_and_empty_bins(self):
        profile = score_profile([0.5, 0.7, 2.5], [1, 3, 7], bins=[0, 1, 2, 3])
        np.testing.assert_allclose(profile.mass, [0.6, 2.5])
        np.testing.assert_allclose(profile.median, [2, 7])

    def test_weights_stand_for_repeated_events(self, events):
        mass, noise, _ = events
        weight = np.random.default_rng(1).integers(0, 4, size=4000)
        weighted = score_profile(mass, noise, bins=5, sample_weight=weight)
        repeated = score_profile(np.repeat(mass, weight), np.repeat(noise, weight), bins=5)
        for a, b in zip(weighted, repeated, strict=True):
            np.testing.assert_allclose(a, b)


class TestMassSpectra:
    def test_spectra_and_divergences(self, events):
        mass, noise, weight = events
        score = mass + noise
        spectra = mass_spectra(
            mass, score, fractions=[1.0, 0.1], bins=[0, 50, 100, 1000], sample_weight=weight
        )
        before, _ = np.histogram(mass, spectra.edges, weights=weight, density=True)
        np.testing.assert_allclose(spectra.density[0], before)
        order = np.argsort(-score)
        kept = order[np.cumsum(weight[order]) <= 0.1 * weight.sum()]
        after, _ = np.histogram(mass[kept], spectra.edges, weights=weight[kept], density=True)
        np.testing.assert_allclose(spectra.density[1], after, rtol=0.03)
        expected = mass_sculpting_jsd(mass, score, fraction=0.1, sample_weight=weight)
        assert spectra.jsd[1] == expected > 0.1
        assert spectra.jsd[0] == pytest.approx(0, abs=1e-12)

    def test_a_constant_score_keeps_the_spectrum(self, events):
        mass, *_ = events
        spectra = mass_spectra(mass, np.zeros(4000), fractions=[0.1, 1.0])
        np.testing.assert_allclose(spectra.density[0], spectra.density[1])


class TestDecorrelation:
    def test_points(self, events):
        mass, noise, weight = events
        y = np.repeat([0, 1], 2000)
        score = mass + noise + 100 * y
        curve = decorrelation_curve(
            y, score, mass, background_efficiencies=[0.05, 0.3], sample_weight=weight
        )
        expected = significance_improvement_at(
            y, score, fpr=[0.05, 0.3], sample_weight=weight, return_point=True
        )
        np.testing.assert_array_equal(curve.background_efficiency, [0.05, 0.3])
        np.testing.assert_allclose(curve.signal_efficiency, expected.tpr)
        jsd = mass_sculpting_jsd(
            mass[:2000],
            score[:2000],
            fraction=[0.05, 0.3],
            bins=20,
            sample_weight=weight[:2000],
        )
        np.testing.assert_array_equal(curve.jsd, jsd)

    def test_cuts_are_quantiles_of_the_background(self, events):
        mass, noise, _ = events
        y = np.repeat([0, 1], 2000)
        score = noise + 100 * y
        curve = decorrelation_curve(y, score, mass)
        cuts = np.quantile(score[:2000], 1 - np.geomspace(0.01, 0.5, 15))
        expected = [(score[2000:] > cut).mean() for cut in cuts]
        np.testing.assert_allclose(curve.signal_efficiency, expected, atol=2e-3)

    def test_the_mass_of_the_signal_is_not_used(self, events):
        mass, noise, _ = events
        y = np.repeat([0, 1], 2000)
        moved = np.where(y == 1, 1.0, mass)
        a, b = (decorrelation_curve(y, noise, m) for m in (mass, moved))
        np.testing.assert_array_equal(a.jsd, b.jsd)

    def test_one_class_is_an_error(self, events):
        mass, noise, _ = events
        with pytest.raises(ValueError, match="no signal event"):
            decorrelation_curve(np.zeros(4000, dtype=int), noise, mass)
