"""Resampling and weights that make one mass spectrum follow another."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from skad.detectors import mass_matching_weight, match_mass
from skad.exceptions import LowStatisticsWarning
from skad.metrics import mass_sculpting_jsd


@pytest.fixture
def masses():
    rng = np.random.RandomState(0)
    return rng.uniform(0, 300, size=30_000), 50 + rng.exponential(40, size=30_000)


def test_drawn_events_follow_the_reference(masses):
    mass, reference = masses
    reference = reference[reference < 290]
    drawn = match_mass(mass, reference, bins=100, n_samples=5000, random_state=0)
    assert drawn.shape == (5000,)
    assert ks_2samp(mass[drawn], reference).statistic < 0.03
    assert ks_2samp(mass, reference).statistic > 0.3
    np.testing.assert_array_equal(
        drawn, match_mass(mass, reference, bins=100, n_samples=5000, random_state=0)
    )


def test_weights_are_the_ratio_of_the_histograms():
    weight = mass_matching_weight([0.5, 0.6, 1.5, 5.0], [0.1, 1.1, 1.2, 2.0], bins=[0, 1, 2])
    # One reference event for two, three (the last edge included) for one, none for 5.
    np.testing.assert_allclose(weight, np.array([0.5, 0.5, 3.0, 0.0]))
    assert weight.mean() == 1
    weighted = mass_matching_weight(
        [0.5, 1.5], [0.1, 1.1], bins=[0, 1, 2], sample_weight=[3.0, 1.0]
    )
    np.testing.assert_allclose(weighted, [1.5, 0.5])


def test_bins_hold_equal_weight_of_the_reference(masses):
    mass, reference = masses
    weight = np.where(reference < 90, 1.0, 0.0)
    # The part without weight makes no bins.
    np.testing.assert_allclose(
        mass_matching_weight(mass, reference, bins=20, sample_weight=weight)[mass < 85],
        mass_matching_weight(mass, reference[reference < 90], bins=20)[mass < 85],
    )


def test_a_mass_matched_sample_is_not_told_apart_by_mass(masses):
    mass, reference = masses
    reference = reference[reference < 290]
    drawn = match_mass(mass, reference, n_samples=len(reference), random_state=1)
    both = np.concatenate([reference, mass[drawn]])
    label = np.repeat([0.0, 1.0], len(reference))
    assert mass_sculpting_jsd(both, label, fraction=0.5, bins=20) < 1e-3


def test_warnings_say_what_cannot_be_matched(masses):
    mass, reference = masses
    with pytest.warns(LowStatisticsWarning, match="of the reference lies in bins of mass without"):
        mass_matching_weight(mass[mass > 100], reference)
    narrow = np.random.RandomState(1).normal(100, 0.05, size=1000)
    with pytest.warns(LowStatisticsWarning, match="effective number of .* events only"):
        match_mass(mass, narrow, bins=2, random_state=0)


def test_errors(masses):
    mass, reference = masses
    with pytest.raises(ValueError, match="bins must be an integer of at least 2"):
        match_mass(mass, reference, bins=1)
    with pytest.raises(ValueError, match="at least two increasing edges"):
        match_mass(mass, np.ones(10))
    with pytest.raises(ValueError, match="mass must hold finite numbers"):
        match_mass([np.nan], reference)
    with pytest.raises(ValueError, match="No event lies between 0 and 1"):
        match_mass(mass + 2, np.linspace(0, 1, 100))
