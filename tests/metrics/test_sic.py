"""SIC against scikit-learn's ROC curve, closed forms and toys."""

import time

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from skad.exceptions import LowStatisticsWarning
from skad.metrics import (
    background_rejection,
    max_significance_improvement,
    significance_improvement_at,
    significance_improvement_curve,
)


@pytest.fixture
def events():
    rng = np.random.default_rng(1)
    y = (rng.random(4000) < 0.1).astype(int)
    # Rounding makes many ties.
    return y, np.round(rng.normal(1.5 * y), 1), rng.exponential(size=4000)


@pytest.mark.parametrize("weighted", [False, True])
def test_curve_is_sklearns_roc_curve(events, weighted):
    y, scores, weight = events
    weight = weight if weighted else None
    curve = significance_improvement_curve(y, scores, sample_weight=weight)
    fpr, tpr, threshold = roc_curve(y, scores, sample_weight=weight, drop_intermediate=False)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold)
    passing = fpr > 0
    np.testing.assert_allclose(curve.sic[passing], tpr[passing] / np.sqrt(fpr[passing]))
    assert np.isnan(curve.sic[~passing]).all()
    auc = trapezoid(curve.tpr, curve.fpr)
    assert auc == pytest.approx(roc_auc_score(y, scores, sample_weight=weight), abs=1e-12)


def test_weight_two_counts_as_two_events_but_not_in_the_error(events):
    y, scores, _ = events
    doubled = significance_improvement_curve(y, scores, sample_weight=np.full(len(y), 2.0))
    plain = significance_improvement_curve(y, scores)
    np.testing.assert_allclose(doubled.sic, plain.sic)
    np.testing.assert_allclose(doubled.sic_error, plain.sic_error)
    np.testing.assert_allclose(doubled.background_events, plain.background_events)


def test_zero_weight_removes_the_event(events):
    y, scores, _ = events
    keep = np.arange(len(y)) % 3 > 0
    kept = significance_improvement_at(y[keep], scores[keep], fpr=[0.05, 0.3])
    masked = significance_improvement_at(y, scores, sample_weight=keep, fpr=[0.05, 0.3])
    np.testing.assert_allclose(masked, kept)


def test_order_of_events_does_not_matter(events):
    y, scores, weight = events
    shuffle = np.random.default_rng(0).permutation(len(y))
    a = max_significance_improvement(y, scores, sample_weight=weight)
    b = max_significance_improvement(y[shuffle], scores[shuffle], sample_weight=weight[shuffle])
    assert a == pytest.approx(b, rel=1e-12)


def test_gaussian_closed_form():
    """For unit Gaussians 2 apart, SIC at background efficiency e is Phi(2 - z) / sqrt(e)."""
    n = 200_000
    quantiles = norm.ppf((np.arange(n) + 0.5) / n)
    y = np.repeat([0, 1], n)
    scores = np.concatenate([quantiles, quantiles + 2])
    for fpr in (0.3, 1e-2, 1e-3):
        exact = norm.cdf(2 - norm.isf(fpr)) / np.sqrt(fpr)
        assert significance_improvement_at(y, scores, fpr=fpr) == pytest.approx(exact, rel=5e-3)
        rejection = significance_improvement_at(y, scores, rejection=1 / fpr)
        assert rejection == pytest.approx(exact, rel=5e-3)
    exact = 1 / norm.sf(2 + norm.isf(0.3))
    assert background_rejection(y, scores, tpr=0.3) == pytest.approx(exact, rel=5e-3)
    tpr = significance_improvement_at(y, scores, tpr=0.3)
    assert tpr == pytest.approx(0.3 * np.sqrt(exact), rel=5e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_error_is_the_spread_of_toys(weighted):
    rng = np.random.default_rng(3)
    toys = []
    for _ in range(400):
        y = np.repeat([0, 1], [3000, 300])
        scores = rng.normal(y)
        weight = rng.exponential(size=len(y)) if weighted else None
        point = significance_improvement_at(
            y, scores, fpr=0.05, sample_weight=weight, return_point=True
        )
        # At fixed threshold, where the error is defined.
        curve = significance_improvement_curve(y, scores, sample_weight=weight)
        cut = np.searchsorted(-curve.threshold, -1.645, side="right") - 1
        toys.append((curve.sic[cut], curve.sic_error[cut]))
        assert point.fpr == pytest.approx(0.05)
    values, errors = np.array(toys).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.1)


def test_constant_score_has_no_power():
    point = max_significance_improvement([0] * 50 + [1] * 9, np.zeros(59), return_point=True)
    assert point == pytest.approx((1.0, 0.0, 1.0, 1.0, 0.0, 50.0))
    # Half of tied events pass: sqrt(1/2).
    sic = significance_improvement_at([0] * 50 + [1] * 9, np.zeros(59), fpr=0.5)
    assert sic == pytest.approx(np.sqrt(0.5))


def test_random_and_reversed_scores():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [50_000, 5_000])
    scores = rng.normal(size=len(y))
    assert significance_improvement_at(y, scores, fpr=0.25) == pytest.approx(0.5, abs=0.04)
    assert max_significance_improvement(y, -y + 0.1 * scores) == pytest.approx(1.0)


def test_background_cut_is_inclusive_and_equals_the_relative_error():
    y = np.repeat([1, 0], [10, 100])
    scores = -np.arange(110.0)
    point = max_significance_improvement(y, scores, return_point=True)
    assert point.background_events == 25
    assert point.sic == pytest.approx(1 / np.sqrt(0.25))
    assert max_significance_improvement(y, scores, max_relative_error=0.2) == point.sic
    loose = max_significance_improvement(y, scores, max_relative_error=0.4, return_point=True)
    assert loose.background_events == 7


def test_perfect_separation_is_limited_by_the_background_cut():
    y = np.repeat([0, 1], [1000, 10])
    assert max_significance_improvement(y, y + np.linspace(0, 0.5, 1010)) == pytest.approx(
        1 / np.sqrt(25 / 1000)
    )


def test_weighted_background_cut_counts_effective_events():
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], [2000, 200])
    scores, weight = rng.normal(2 * y), rng.pareto(3, size=2200) + 0.1
    point = max_significance_improvement(y, scores, sample_weight=weight, return_point=True)
    passing = weight[(y == 0) & (scores >= point.threshold)]
    assert point.background_events == pytest.approx(passing.sum() ** 2 / (passing**2).sum())
    assert point.background_events >= 25


def test_too_little_background_is_nan_with_a_warning():
    y, scores = np.repeat([0, 1], [10, 10]), np.arange(20.0)
    with pytest.warns(LowStatisticsWarning, match=r"No cut leaves 25 background events.*10\.0"):
        assert np.isnan(max_significance_improvement(y, scores))
    with pytest.warns(LowStatisticsWarning, match="Only 0.0 background events pass"):
        assert np.isnan(significance_improvement_at(y, scores, tpr=0.5))
    with pytest.warns(LowStatisticsWarning, match="Only 0.0"):
        assert background_rejection(y, scores, tpr=0.5) == np.inf
    with pytest.warns(LowStatisticsWarning, match="fewer than 25"):
        assert significance_improvement_at(y, scores, fpr=1.0) == 1.0


def test_shapes_follow_the_request(events):
    y, scores, _ = events
    assert isinstance(significance_improvement_at(y, scores, fpr=0.1), float)
    grid = significance_improvement_at(y, scores, tpr=[[0.2, 0.4]])
    assert grid.shape == (1, 2)
    assert grid[0, 1] == significance_improvement_at(y, scores, tpr=0.4)
    assert background_rejection(y, scores, tpr=[0.3, 0.5]).shape == (2,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of tpr, fpr and rejection; got none"),
        ({"tpr": 0.1, "fpr": 0.1}, r"got \['fpr', 'tpr'\]"),
        ({"tpr": 0}, r"tpr must lie in \(0, 1\]"),
        ({"fpr": 1.2}, r"fpr must lie in \(0, 1\]"),
        ({"rejection": 0.5}, "rejection must be finite and at least 1"),
    ],
)
def test_bad_working_points(arguments, message):
    with pytest.raises(ValueError, match=message):
        significance_improvement_at([0, 1], [0.0, 1.0], **arguments)


@pytest.mark.parametrize(
    ("y", "scores", "kwargs", "message"),
    [
        ([0, 1, 1], [0, np.nan, 1], {}, "of 3 values 1 are NaN and 0 infinite"),
        ([0, 1, 1], [0, np.inf, 1], {}, "0 are NaN and 1 infinite"),
        ([0, 0, 0], [0, 1, 2], {}, "no signal event"),
        ([1, 1, 1], [0, 1, 2], {}, "no background event"),
        ([0, 1, 1], [0, 1, 2], {"sample_weight": [0, 1, 1]}, "no background event"),
        ([0, 1, 1], [0, 1, 2], {"sample_weight": [1, -1, 1]}, "sample_weight is not valid"),
        ([0, 1], [0, 1, 2], {}, "inconsistent numbers"),
        ([-1, 1, 1], [0, 1, 2], {}, "read both ways.*signal_label=-1"),
        ([0, 1, 2], [0, 1, 2], {}, "3 labels"),
        ([0, np.nan, 1], [0, 1, 2], {}, "1 missing labels"),
        (["b", None, "s"], [0, 1, 2], {"signal_label": "s"}, "1 missing labels"),
        (None, [0, 1, 2], {}, "is None"),
        ([0.5, 0.1, 1], [0, 1, 2], {}, "must hold 0"),
        ([], [], {}, "empty"),
        ([0, 1, 1], [[0, 1], [1, 2], [2, 3]], {}, "1d array"),
    ],
)
def test_bad_input_is_refused(y, scores, kwargs, message):
    with pytest.raises(ValueError, match=message):
        significance_improvement_curve(y, scores, **kwargs)


@pytest.mark.parametrize(
    ("labels", "signal_label"),
    [
        ([False, True], None),
        ([0.0, 1.0], None),
        ([-1, 1], 1),
        ([1, -1], -1),
        ([True, False], False),
        (["qcd", "top"], "top"),
        ([7, 3], 3),
    ],
)
def test_labels_of_every_kind(events, labels, signal_label):
    y, scores, _ = events
    other = np.asarray(labels)[y]
    value = max_significance_improvement(other, scores, signal_label=signal_label)
    assert value == max_significance_improvement(y, scores)


def test_pandas_input(events):
    pd = pytest.importorskip("pandas")
    y, scores, weight = events
    index = np.arange(len(y))[::-1]
    value = max_significance_improvement(
        pd.Series(y, index=index),
        pd.Series(scores),
        sample_weight=pd.Series(weight, index=index),
    )
    assert value == max_significance_improvement(y, scores, sample_weight=weight)


@pytest.mark.parametrize(
    ("limit", "value"), [("min_background_events", 0), ("max_relative_error", -1)]
)
def test_bad_limits(limit, value):
    with pytest.raises(ValueError, match=f"{limit} must be a positive number"):
        max_significance_improvement([0, 1], [0, 1], **{limit: value})


def test_a_million_events_take_less_than_a_second():
    rng = np.random.default_rng(0)
    y = (rng.random(1_000_000) < 0.01).astype(int)
    scores, weight = rng.normal(y), rng.random(1_000_000)
    start = time.process_time()
    max_significance_improvement(y, scores, sample_weight=weight)
    assert time.process_time() - start < 1.0
