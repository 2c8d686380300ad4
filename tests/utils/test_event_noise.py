"""Noise that belongs to an event: normal, independent between events, blind to the company."""

import numpy as np
from scipy import stats

from skad.utils._event_noise import normals_of_events


def test_normal_and_independent_of_events_and_of_each_other():
    values = np.random.RandomState(0).normal(size=(20_000, 3))
    noise = normals_of_events(values, 4, seed=1)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    correlation = np.corrcoef(np.column_stack([noise, values]).T)
    off_diagonal = correlation[~np.eye(7, dtype=bool)]
    assert abs(off_diagonal).max() < 5 / np.sqrt(20_000)
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 5 / np.sqrt(20_000)
    other_seed = normals_of_events(values, 4, seed=2)
    assert abs(np.corrcoef(noise[:, 0], other_seed[:, 0])[0, 1]) < 5 / np.sqrt(20_000)


def test_neighbours_on_a_grid_are_independent():
    """Integer features differ in few bits; so do events that differ in one column."""
    values = np.stack(np.meshgrid(np.arange(100.0), np.arange(100.0)), axis=-1).reshape(-1, 2)
    noise = normals_of_events(values, 1, seed=0).reshape(100, 100)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    for a, b in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.05


def test_a_function_of_the_event_up_to_rounding():
    values = np.random.RandomState(0).normal(size=(1000, 3))
    noise = normals_of_events(values, 2, seed=5)
    rows = np.random.RandomState(1).permutation(1000)[:10]
    np.testing.assert_array_equal(normals_of_events(values[rows], 2, seed=5), noise[rows])
    np.testing.assert_array_equal(normals_of_events(values, 5, seed=5)[:, :2], noise)
    rounded = normals_of_events(values * (1 + 1e-14), 2, seed=5)
    np.testing.assert_array_equal(rounded, noise)
    # Each column counts, and which one it is.
    for changed in (values[:, ::-1], values + np.array([0.0, 0.0, 0.01]), -values):
        assert not np.isclose(normals_of_events(changed, 2, seed=5), noise).any(axis=1).any()


def test_zero_has_no_sign_and_extremes_have_noise():
    noise = normals_of_events(np.array([[0.0], [-0.0], [1e300], [-1e300]]), 3, seed=0)
    np.testing.assert_array_equal(noise[0], noise[1])
    assert np.isfinite(noise).all()
    assert not np.isclose(noise[2], noise[3]).any()
