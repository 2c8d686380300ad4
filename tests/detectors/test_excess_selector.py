"""The search for columns with a local excess, against counting by hand."""

import itertools
from functools import partial

import numpy as np
import pytest
from scipy import stats

from skad.detectors import (
    CascadeClassifier,
    CWoLaDetector,
    ExcessSelector,
    TreeEnsembleClassifier,
    _cwola,
)
from skad.detectors._excess_selector import _bins, _excess, _window_sums
from skad.exceptions import DrownedFeaturesWarning
from skad.metrics import max_significance_improvement


def planted(n_signal, n_columns=10, n_events=10_000, seed=0):
    """Noise in all columns, and a signal in a small window of the columns 1, 4 and 7."""
    rng = np.random.RandomState(seed)
    X, y = rng.normal(size=(2 * n_events, n_columns)), np.repeat([1, 0], n_events)
    X[:n_signal, [1, 4, 7]] = rng.normal(1.5, 0.2, size=(n_signal, 3))
    return X, y


@pytest.mark.parametrize("seed", range(3))
def test_the_right_columns_of_a_small_signal(seed):
    X, y = planted(150, seed=seed)
    selector = ExcessSelector(3, random_state=0).fit(X, y)
    assert selector.subset_ == (1, 4, 7)
    np.testing.assert_array_equal(selector.transform(X), X[:, [1, 4, 7]])


@pytest.mark.parametrize("seed", range(3))
def test_all_columns_are_kept_where_there_is_no_excess(seed):
    X, y = planted(0, n_events=2000, seed=seed)
    assert ExcessSelector(3, random_state=0).fit(X, y).support_.all()


def test_few_columns_are_not_searched():
    X, y = planted(150, n_columns=8)
    selector = ExcessSelector(4).fit(X[:, :4], y)
    assert selector.support_.all() and np.isnan(selector.significance_)


def test_no_unit_and_no_shape_of_a_column_matters():
    X, y = planted(150, n_events=3000)
    distorted = np.exp(X) * np.logspace(-5, 5, X.shape[1])
    first, second = (
        ExcessSelector(3, random_state=0).fit(events, y).significance_ for events in (X, distorted)
    )
    assert first == pytest.approx(second)


def test_significance_is_that_of_the_binomial():
    """Of one window of a known content, where the normal approximation is good."""
    rng = np.random.RandomState(0)
    X, y = rng.uniform(size=(24_000, 2)), np.repeat([1, 0], 12_000)
    X[:300] = rng.uniform(0.02, 0.08, size=(300, 2))
    codes = [_bins(column) for column in X.T]
    first = (codes[0] == 0) & (codes[1] == 0)
    d, total = (first & (y == 1)).sum(), first.sum()
    expected = stats.norm.isf(stats.binomtest(d, total, 0.5, "greater").pvalue)
    assert _excess(codes, (0, 1), 12_000) == pytest.approx(expected, rel=0.03)


def test_window_sums_are_sums_over_windows():
    counts = np.random.RandomState(0).randint(10, size=(12, 12, 12)).astype(float)
    sums = _window_sums(counts, 3)
    assert sums.shape == (10, 10, 10)
    for i, j, k in itertools.product((0, 4, 9), repeat=3):
        assert sums[i, j, k] == counts[i : i + 3, j : j + 3, k : k + 3].sum()


def test_default_of_a_weak_detector_selects_among_many_columns(monkeypatch):
    """With small trees in place of the default's, which take a minute."""
    trees = partial(TreeEnsembleClassifier, 3, n_forest_trees=10, min_samples_leaf=40)
    small = partial(CascadeClassifier, trees(), trees(), cv=2)
    monkeypatch.setattr(_cwola, "CascadeClassifier", small)
    X, y = planted(150)
    tested, truth = planted(10_000, seed=1)
    with pytest.warns(DrownedFeaturesWarning, match="7 of 10 columns .* column 1, column 4, "):
        detector = CWoLaDetector(random_state=0).fit(X, y)
    all_columns = CWoLaDetector(small(), random_state=0).fit(X, y)
    selected, drowned = (
        max_significance_improvement(truth, d.anomaly_score(tested))
        for d in (detector, all_columns)
    )
    assert selected > 15 and selected > 1.2 * drowned
