"""Overlap of selections against brute force and chance."""

import numpy as np
import pytest

from skad.metrics import most_anomalous, overlap_curve, selection_overlap, shared_fraction


@pytest.mark.parametrize("fraction", [0.003, 0.01, 0.1, 1.0])
def test_shared_fraction_is_the_intersection_of_top_sets(fraction):
    rng = np.random.default_rng(0)
    a = rng.normal(size=997)
    b, c = a + rng.normal(size=(2, 997))
    k = int(np.ceil(fraction * 997))
    top = [set(np.argsort(-s)[:k]) for s in (a, b, c)]
    assert shared_fraction(a, b, fraction=fraction) == pytest.approx(len(top[0] & top[1]) / k)
    expected = len(top[0] & top[1] & top[2]) / k
    assert shared_fraction(a, b, c, fraction=fraction) == pytest.approx(expected)


@pytest.mark.parametrize("n_scores", [2, 3, 4])
def test_independent_scores_overlap_by_chance_only(n_scores):
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(n_scores, 300_000))
    p = 0.2
    assert shared_fraction(*scores, fraction=p) == pytest.approx(p ** (n_scores - 1), abs=4e-3)
    assert selection_overlap(*scores, fraction=p) == pytest.approx(0.0, abs=4e-3)


def test_a_monotonic_map_changes_nothing_and_a_reversed_one_everything():
    mass = np.random.default_rng(2).lognormal(size=5000)
    assert shared_fraction(mass, np.log(mass)) == 1
    assert selection_overlap(mass, mass, mass) == pytest.approx(1 - 1e-4)
    assert selection_overlap(mass, -mass, fraction=0.1) == pytest.approx(-0.1)
    assert selection_overlap(mass, -mass, fraction=1.0) == pytest.approx(0.0)


def test_constant_scores_select_at_random():
    """Ties are broken by independent random choices, so the overlap is the chance exactly."""
    constant = np.zeros(1000)
    assert shared_fraction(constant, constant, fraction=0.1) == pytest.approx(0.1)
    assert selection_overlap(constant, np.arange(1000.0), fraction=0.1) == pytest.approx(0.0)


def test_integer_weights_repeat_events():
    rng = np.random.default_rng(3)
    a = rng.permutation(500).astype(float)
    b = a + rng.normal(scale=200, size=500)
    weight = rng.integers(0, 4, size=500)
    repeated = [np.repeat(s, weight) for s in (a, b)]
    weighted = shared_fraction(a, b, fraction=0.2, sample_weight=weight)
    # The repeated copies tie, so the two differ by the treatment of the event at the cut.
    assert weighted == pytest.approx(shared_fraction(*repeated, fraction=0.2), abs=6 / weight.sum())


def test_most_anomalous_events():
    scores = np.array([3.0, 1.0, 2.0, 2.0, 0.0])
    assert most_anomalous(scores, fraction=0.2).tolist() == [True, False, False, False, False]
    # The events that tie at the cut are all in.
    assert most_anomalous(scores, fraction=0.4).tolist() == [True, False, True, True, False]
    weight = [0, 1, 0, 0, 3]
    assert most_anomalous(scores, fraction=0.25, sample_weight=weight)[1]
    assert most_anomalous(scores, fraction=1.0).all()


def test_many_fractions_at_once():
    a, b = np.random.default_rng(4).normal(size=(2, 1000))
    fractions = np.array([[0.01, 0.1], [0.5, 1.0]])
    curve = selection_overlap(a, a + b, fraction=fractions)
    assert curve.shape == (2, 2)
    assert curve[0, 1] == selection_overlap(a, a + b, fraction=0.1)
    assert isinstance(selection_overlap(a, b), float)


@pytest.mark.parametrize(
    ("scores", "kwargs", "message"),
    [
        (([1.0, 2.0],), {}, "At least two score arrays"),
        (([1.0, 2.0], [1.0]), {}, "inconsistent numbers"),
        (([1.0, 2.0], [np.nan, 1.0]), {}, r"scores\[1\] must be finite"),
        (([1.0, 2.0], [2.0, 1.0]), {"fraction": 0.0}, r"fraction must lie in \(0, 1\]"),
        (([1.0, 2.0], [2.0, 1.0]), {"fraction": [0.1, 2]}, r"fraction must lie in \(0, 1\]"),
        (([1.0, 2.0], [2.0, 1.0]), {"sample_weight": [0, 0]}, "at least one non-zero"),
    ],
)
def test_bad_input(scores, kwargs, message):
    with pytest.raises(ValueError, match=message):
        shared_fraction(*scores, **kwargs)


@pytest.mark.parametrize("weighted", [False, True])
def test_curve_is_the_shared_fraction_with_the_spread_of_toys(weighted):
    rng = np.random.default_rng(0)
    shared, errors = [], []
    for _ in range(200):
        a, b = rng.normal(size=(2, 2000))
        weight = rng.gamma(2, size=2000) if weighted else None
        curve = overlap_curve(a, a + b, fractions=[0.1, 1.0], sample_weight=weight)
        shared.append(curve.shared[0])
        errors.append(curve.shared_error[0])
    expected = shared_fraction(a, a + b, fraction=[0.1, 1.0], sample_weight=weight)
    np.testing.assert_array_equal(curve.shared, expected)
    excess = selection_overlap(a, a + b, fraction=[0.1, 1.0], sample_weight=weight)
    np.testing.assert_array_equal(curve.shared - curve.chance, excess)
    # Where both cut at the same number of events, the binomial error is a little too large.
    assert 0.8 < np.std(shared) / np.mean(errors) < 1.05
    assert curve.shared_error[1] == pytest.approx(0, abs=1e-6)


def test_default_fractions_of_the_curve():
    a = np.arange(2000.0)
    fraction = overlap_curve(a, a).fraction
    np.testing.assert_allclose(fraction, np.geomspace(10 / 2000, 1, 30))


def test_ties_that_fill_the_fraction_are_selected_for_certain():
    scores = np.repeat([3.0, 2.0, 1.0], 10)
    assert shared_fraction(scores, scores, fraction=1 / 3) == 1
    assert shared_fraction(scores, scores, fraction=0.2) == pytest.approx(0.6)
