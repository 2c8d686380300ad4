"""The few columns in which a mixed sample has a local excess over a reference."""

from __future__ import annotations

import itertools
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import rel_entr
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import ClassifierTags, check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.utils import _sklearn as sk
from skad.utils._documentation import LinkedMixin
from skad.utils._events import check_events
from skad.utils._labels import read_labels

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike

    from skad.utils._types import Seed

__all__ = ["ExcessSelector"]

# Bins of equal population of each column, and the widths of windows in bins.
_BINS, _WIDTHS = 12, (1, 2, 3, 4)
# Pairs that grow to triples, and larger subsets that grow further.
_PAIRS, _SUBSETS = 300, 30
# Of a window, to be compared with others; the exact significance is taken of the best ones.
_FEWEST_EVENTS, _EXACT = 10, 20
# How much the data must exceed what shuffled labels give, in standard deviations.
_MARGIN = 0.9


class ExcessSelector(LinkedMixin, SelectorMixin, BaseEstimator):
    """Keep the few columns that together show a local excess, where there are many columns.

    A classifier with weak labels finds a small signal in four good columns and loses it among ten
    columns of noise, in silence. A small signal is an excess in a small window of the right
    columns, which counting finds: pairs of columns are scanned, the best grow to triples and so
    on, each by the most significant excess of its windows. What the same search finds with
    shuffled labels says whether the excess is one.

    Parameters
    ----------
    max_features : int, default=4
        Largest number of columns of a window. Tables with no more columns are kept as they are.
    n_shuffles : int, default=2
        Searches with shuffled labels; the columns are chosen where the excess is larger than in
        all of them, by 0.9 standard deviations.
    random_state : int, RandomState or None, default=None
        Seed of the shuffles.

    Attributes
    ----------
    support_ : ndarray of bool, shape (n_features,)
        The columns that are kept: all, where no excess stands out.
    subset_ : tuple of int
        Columns with the most significant excess.
    significance_ : float
        Of this excess, in standard deviations, before the number of windows is counted.
    shuffled_significances_ : ndarray of float64, shape (n_shuffles,)
        The same of the searches with shuffled labels.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if it had any.

    Notes
    -----
    In a window with d mixed and r reference events the significance is the signed root of the
    likelihood ratio of a binomial with the fraction of mixed events in all. Windows are cubes of
    one to four bins, of twelve of equal population a column. The search looks at all pairs of
    columns, the best 300 of which grow to triples and the best 30 of those further. A signal that
    is spread over many columns and local in none of them is not found; then all columns are kept.
    Events count alike, whatever their weights.

    On real dijets with 395 signal events in 60 000 it finds the right four of 14 columns
    (``benchmarks/results/noise_columns.md``). Among 100 columns chance excesses are as large as
    this signal: there it cannot say which columns are right.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import CascadeClassifier, CWoLaDetector, ExcessSelector
    >>> rng = np.random.RandomState(0)
    >>> X, y = rng.normal(size=(20_000, 8)), np.repeat([1, 0], 10_000)
    >>> X[:150, [2, 5, 6]] = rng.normal(1.5, 0.2, size=(150, 3))
    >>> selector = ExcessSelector(max_features=3, random_state=0).fit(X, y)
    >>> selector.get_support(indices=True)
    array([2, 5, 6])

    In front of a weak classifier, so that cross-fitting selects in every fold anew:

    >>> from sklearn.pipeline import make_pipeline
    >>> detector = CWoLaDetector(make_pipeline(ExcessSelector(), CascadeClassifier()))
    """

    _parameter_constraints: dict = {
        "max_features": [sk.Interval(Integral, 2, 5, closed="both")],
        "n_shuffles": [sk.Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self, max_features: int = 4, *, n_shuffles: int = 2, random_state: Seed = None
    ) -> None:
        self.max_features = max_features
        self.n_shuffles = n_shuffles
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Search for the columns.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            1 = mixed, 0 = reference.

        Returns
        -------
        self : ExcessSelector
        """
        X, y = check_events(self, X, y, ensure_min_samples=2)
        owner, one, zero = type(self).__name__, "mixed events", "reference events"
        y = read_labels(y, len(X), owner=owner, one=one, zero=zero)
        n = X.shape[1]
        self.support_ = np.ones(n, dtype=bool)
        if n <= self.max_features:
            self.subset_, self.significance_ = tuple(range(n)), np.nan
            self.shuffled_significances_ = np.full(self.n_shuffles, np.nan)
            return self
        codes = [_bins(column) for column in X.T]
        rng = check_random_state(self.random_state)
        self.subset_, self.significance_ = _search(codes, y, self.max_features)
        shuffled = [rng.permutation(y) for _ in range(self.n_shuffles)]
        self.shuffled_significances_ = np.array(
            [_search(codes, labels, self.max_features)[1] for labels in shuffled]
        )
        if self.significance_ > self.shuffled_significances_.max() + _MARGIN:
            self.support_[:] = False
            self.support_[list(self.subset_)] = True
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Return the columns that are kept.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        X_selected : ndarray of shape (n_events, n_selected)
        """
        check_is_fitted(self)
        check_events(self, X, reset=False)
        return super().transform(X)

    def _get_support_mask(self):
        check_is_fitted(self)
        return self.support_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        # Not a classifier, but its y has two values.
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags


def _bins(column):
    edges = np.unique(np.quantile(column, np.arange(1, _BINS) / _BINS))
    return np.searchsorted(edges, column)


def _search(codes, y, max_features):
    """Return the best subset of columns and its significance."""
    # Mixed events first, so that the two counts are of slices.
    order = np.argsort(~y, kind="stable")
    codes, n_mixed = [code[order] for code in codes], int(y.sum())
    found = {
        pair: _excess(codes, pair, n_mixed) for pair in itertools.combinations(range(len(codes)), 2)
    }
    best = max(found.items(), key=lambda item: item[1])
    for size in range(3, max_features + 1):
        n_grown = _PAIRS if size == 3 else _SUBSETS
        grown = sorted(found, key=found.get, reverse=True)[:n_grown]
        found = {
            subset: _excess(codes, subset, n_mixed)
            for subset in {
                tuple(sorted((*smaller, column)))
                for smaller in grown
                for column in range(len(codes))
                if column not in smaller
            }
        }
        best = max(best, max(found.items(), key=lambda item: item[1]), key=lambda item: item[1])
    return best


def _excess(codes, subset, n_mixed):
    """Significance of the largest excess of mixed events in any window of these columns."""
    cell = codes[subset[0]]
    for column in subset[1:]:
        cell = cell * _BINS + codes[column]
    shape = (_BINS,) * len(subset)
    size = _BINS ** len(subset)
    counts = [
        np.bincount(part, minlength=size).reshape(shape).astype(np.float64)
        for part in (cell[:n_mixed], cell[n_mixed:])
    ]
    fraction = n_mixed / len(cell)
    best = 0.0
    for width in _WIDTHS:
        d, r = (_window_sums(part, width).ravel() for part in counts)
        total = d + r
        expected = fraction * total
        excess = (d - expected) / np.sqrt(expected * (1 - fraction) + 1)
        excess[total < _FEWEST_EVENTS] = 0
        top = np.argpartition(excess, -min(_EXACT, len(excess)))[-_EXACT:]
        top = top[excess[top] > 0]
        if len(top):
            ratio = rel_entr(d[top], expected[top]) + rel_entr(r[top], (1 - fraction) * total[top])
            best = max(best, float(np.sqrt(2 * ratio.max())))
    return best


def _window_sums(counts, width):
    """Sums over all cubes of `width` cells."""
    for axis in range(counts.ndim):
        total = np.cumsum(counts, axis=axis)
        upper = total.take(range(width - 1, _BINS), axis=axis)
        lower = total.take(range(_BINS - width), axis=axis)
        start = np.zeros_like(total.take([0], axis=axis))
        counts = upper - np.concatenate([start, lower], axis=axis)
    return counts
