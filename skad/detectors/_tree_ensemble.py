"""The default weak classifier: boosted trees over fresh random halves, and random trees."""

from __future__ import annotations

from itertools import islice
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from joblib import effective_n_jobs
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.tree import ExtraTreeRegressor
from sklearn.utils import gen_even_slices
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from skad.detectors._tree_tables import Columns, TreeTables
from skad.detectors._two_classes import (
    TwoClassMixin,
    class_balanced_weight,
    encode_two_classes,
)
from skad.utils import _sklearn as sk
from skad.utils._events import check_events
from skad.utils._random import draw_seeds

if TYPE_CHECKING:
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["TreeEnsembleClassifier", "log_odds_of_ensembles"]

# A forest of pure leaves is surer than its number of events allows.
_SMALLEST = 1e-4
# Powers of two at which trees need no help.
_ORDINARY = 16
# In units of the training events; a number in float32.
_FAR = 1e30
# Bits of a key that sorts quickly, and of the bin of a feature.
_Z_ORDER_BITS, _CODE_BITS = 16, 8
# Tables pay from so many events on; every feature costs a look into one.
_EVENTS_PER_NODE, _MANY_FEATURES = 15, 8
# Random trees in one set of tables, and events sorted together.
_TOGETHER = 32
_CHUNK = 65_536


class TreeEnsembleClassifier(TwoClassMixin, BaseEstimator):
    """Trees for weak labels: boosted over fresh random halves of the events, and random ones.

    Every boosted member is a `HistGradientBoostingClassifier` grown on one random, stratified
    part of the events and stopped by its loss on the rest. On weak labels, which a classifier
    can hardly tell apart, single members stop almost at random; their average does not. A forest
    of extremely randomised trees errs elsewhere, and the mean of both is better than either.

    Parameters
    ----------
    n_estimators : int, default=50
        Number of boosted members; 10 are enough where cross-fitting multiplies them.
    n_forest_trees : int, default=300
        Number of trees of the forest; 0 for none.
    validation_fraction : float, default=0.5
        Part of the events that stops a member.
    max_iter : int, default=100
        Largest number of trees of a member.
    learning_rate : float, default=0.1
        Shrinkage of each tree.
    max_leaf_nodes : int, default=31
        Largest number of leaves of a tree.
    min_samples_leaf : int, default=100
        Smallest number of events of a leaf, of boosted and random trees; lower it for samples of
        a few hundred events.
    l2_regularization : float, default=10.0
        Penalty on the values of leaves.
    max_bins : int, default=127
        Number of bins of each feature.
    n_iter_no_change : int, default=10
        Trees without gain before a member stops.
    class_weight : "balanced", dict or None, default="balanced"
        "balanced" gives both classes the same sum of weights; a dict maps class labels to
        factors.
    n_jobs : int, default=None
        Members fitted in parallel.
    random_state : int, RandomState or None, default=None
        Seed of the splits.

    Attributes
    ----------
    estimators_ : list of HistGradientBoostingClassifier
        Fitted members, of the bins of the features.
    classes_ : ndarray of shape (2,)
        Class labels.
    forest_ : list of ExtraTreeRegressor
        Fitted random trees, whose values are probabilities.
    n_iter_ : int
        Largest number of trees of a member.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.

    Notes
    -----
    Averages are of log odds, half of the weight each for boosted trees and forest. The defaults
    were chosen on simulated dijets (``benchmarks/results/tree_ensembles.md``);
    `skad.papers.treebased` holds the trees of [1]_.

    References
    ----------
    .. [1] Finke et al., Tree-based algorithms for weakly supervised anomaly detection,
       arXiv:2309.13111

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import TreeEnsembleClassifier
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(2000, 2))
    >>> y = (X[:, 0] + rng.normal(size=2000) > 0).astype(int)
    >>> classifier = TreeEnsembleClassifier(5, n_forest_trees=50, random_state=0).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.7)
    True
    """

    _parameter_constraints: dict = {
        "n_estimators": [sk.Interval(Integral, 1, None, closed="left")],
        "n_forest_trees": [sk.Interval(Integral, 0, None, closed="left")],
        "validation_fraction": [sk.Interval(Real, 0, 1, closed="neither")],
        "max_iter": [sk.Interval(Integral, 1, None, closed="left")],
        "learning_rate": [sk.Interval(Real, 0, None, closed="neither")],
        "max_leaf_nodes": [sk.Interval(Integral, 2, None, closed="left")],
        "min_samples_leaf": [sk.Interval(Integral, 1, None, closed="left")],
        "l2_regularization": [sk.Interval(Real, 0, None, closed="left")],
        "max_bins": [sk.Interval(Integral, 2, 255, closed="both")],
        "n_iter_no_change": [sk.Interval(Integral, 1, None, closed="left")],
        "class_weight": [sk.StrOptions({"balanced"}), dict, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_estimators: int = 50,
        *,
        n_forest_trees: int = 300,
        validation_fraction: float = 0.5,
        max_iter: int = 100,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 100,
        l2_regularization: float = 10.0,
        max_bins: int = 127,
        n_iter_no_change: int = 10,
        class_weight: Literal["balanced"] | dict[Any, Any] | None = "balanced",
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.n_forest_trees = n_forest_trees
        self.validation_fraction = validation_fraction
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.n_iter_no_change = n_iter_no_change
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the members.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            Two classes.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights.

        Returns
        -------
        self : TreeEnsembleClassifier
        """
        X, y = check_events(self, X, y, ensure_min_samples=2)
        self.classes_, y = encode_two_classes(y)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        weight = class_balanced_weight(y, sample_weight, self.class_weight, self.classes_)
        exponents = np.frexp(np.abs(X).max(axis=0))[1]
        self._exponents = np.where(np.abs(exponents) > _ORDINARY, exponents, 0)
        X = self._scaled(X)
        self._edges = [
            _bin_edges(column[weight > 0], weight[weight > 0], self.max_bins) for column in X.T
        ]
        codes = self._codes(X)
        order = _neighbours_together(codes)
        X, codes, y, weight = X[order], codes[order], y[order], weight[order]
        seeds = draw_seeds(self.random_state, self.n_estimators)
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(
            delayed(self._fit_member)(codes, y, weight, seed) for seed in seeds
        )
        self.forest_ = self._fit_forest(X, y, weight, seeds[0])
        self.n_iter_ = max(member.n_iter_ for member in self.estimators_)
        return self

    def _scaled(self, X):
        """Bring columns far from unit scale to it by a power of two, which changes no digit.

        Trees take values that differ by less than 1e-7 for equal, and the forest rounds to float32.
        Beyond the training events every value is the same to a tree.
        """
        with np.errstate(over="ignore"):
            return np.clip(np.ldexp(X, -self._exponents), -_FAR, _FAR)

    def _codes(self, X):
        """Return the bin of every value, as floats: the boosted members have nothing to bin."""
        columns = [np.searchsorted(e, x) for e, x in zip(self._edges, X.T, strict=True)]
        return np.array(columns, dtype=np.float64).T

    def _fit_forest(self, X, y, weight, seed):
        """Grow the trees of the forest, each on a bootstrap sample drawn by weight.

        A tree of squared errors splits as one of Gini impurities, without the overhead of classes.
        """
        X, y = X.astype(np.float32, order="C"), y.astype(np.float64)
        chances = np.cumsum(weight / weight.sum())
        chances /= chances[-1]

        def grow(seed):
            drawn = np.random.RandomState(seed).uniform(size=len(y))
            drawn.sort()
            times = np.bincount(np.searchsorted(chances, drawn, side="right"), minlength=len(y))
            seen = times > 0
            tree = ExtraTreeRegressor(min_samples_leaf=self.min_samples_leaf, random_state=seed)
            return tree.fit(X[seen], y[seen], times[seen].astype(np.float64), check_input=False)

        seeds = draw_seeds(seed, self.n_forest_trees)
        return Parallel(n_jobs=self.n_jobs, prefer="threads")(delayed(grow)(s) for s in seeds)

    def _fit_member(self, X, y, weight, seed):
        rng = np.random.RandomState(seed)
        held_out = np.zeros(len(y), dtype=bool)
        for label in (0, 1):
            of_label = rng.permutation(np.flatnonzero((y == label) & (weight > 0)))
            held_out[of_label[: round(self.validation_fraction * len(of_label))]] = True
        member = HistGradientBoostingClassifier(
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            max_bins=self.max_bins,
            n_iter_no_change=self.n_iter_no_change,
            tol=1e-7,
            random_state=seed,
        )
        both = [len(np.unique(y[part & (weight > 0)])) == 2 for part in (held_out, ~held_out)]
        if not all(both):
            # Too few events to hold any out.
            return member.set_params(early_stopping=False).fit(X, y, sample_weight=weight)
        return member.set_params(early_stopping=True).fit(
            X[~held_out],
            y[~held_out],
            sample_weight=weight[~held_out],
            X_val=X[held_out],
            y_val=y[held_out],
            sample_weight_val=weight[held_out],
        )

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log odds of the second class, averaged over boosted members and forest.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_odds : ndarray of float64, shape (n_events,)
        """
        check_is_fitted(self)
        X = check_events(self, X, reset=False)
        return log_odds_of_ensembles([self], X, self.n_jobs)[0]

    def _averaged(self, boosted, forest):
        """Return the log odds from the sums of both kinds of trees."""
        boosted = boosted / len(self.estimators_)
        if not self.forest_:
            return boosted
        p = np.clip(forest / len(self.forest_), _SMALLEST, 1 - _SMALLEST)
        return 0.5 * (boosted + logit(p))


def log_odds_of_ensembles(ensembles, X, n_jobs=None):
    """Return the log odds of checked events by every ensemble.

    Parameters
    ----------
    ensembles : list of fitted TreeEnsembleClassifier
        Of the same features.
    X : ndarray of shape (n_events, n_features)
    n_jobs : int, default=None
        Threads.

    Returns
    -------
    log_odds : ndarray of float64, shape (n_ensembles, n_events)
        The same to the bit by tables and without.
    """
    tables = [_Tables(each, len(X)) for each in ensembles]
    n_parts = max(effective_n_jobs(n_jobs), -(-len(X) // _CHUNK))
    parts = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_log_odds)(tables, X[rows])
        for rows in gen_even_slices(len(X), min(n_parts, len(X)))
    )
    return np.concatenate(parts, axis=1)


def _log_odds(tables, X):
    columns = Columns(X) if any(each.boosted or each.forest for each in tables) else None
    return np.array([each.log_odds(X, columns) for each in tables])


class _Tables:
    """The trees of a fitted ensemble, as tables where these pay."""

    def __init__(self, ensemble, n_events):
        self.ensemble = ensemble
        self.boosted = self.forest = None
        n_features = ensemble.n_features_in_
        if n_features > _MANY_FEATURES:
            return
        self.members = [sk.boosted_trees(member) for member in ensemble.estimators_]
        trees = [self._of_events(tree) for _, trees in self.members for tree in trees]
        if _pays(trees, n_events):
            self.boosted = TreeTables(trees, n_features)
        trees = [sk.tree_nodes(tree) for tree in ensemble.forest_]
        if trees and _pays(trees, n_events):
            # Of some trees at a time: the tables grow with the thresholds of all.
            self.forest = [
                TreeTables(trees[start : start + _TOGETHER], n_features)
                for start in range(0, len(trees), _TOGETHER)
            ]

    def _of_events(self, tree):
        """Return a tree of bins as one of the features."""
        left, right, feature, threshold, value = tree
        edges = np.zeros(len(left))
        for f in np.unique(feature[left >= 0]):
            nodes = (left >= 0) & (feature == f)
            edges[nodes] = self.ensemble._edges[f][threshold[nodes].astype(np.intp)]
        return left, right, feature, edges, value

    def log_odds(self, X, columns):
        forest = order = None
        if self.boosted is None or (self.forest is None and self.ensemble.forest_):
            X = self.ensemble._scaled(X)
            codes = self.ensemble._codes(X)
            order = _neighbours_together(codes)
            back = np.argsort(order)
        if columns is not None:
            values = self.ensemble._scaled(columns.values.T).T
        if self.boosted is None:
            codes = codes[order]
            boosted = sum(member.decision_function(codes) for member in self.ensemble.estimators_)
            boosted = boosted[back]
        else:
            boosted = np.zeros(len(X))
            for rows, of_trees in self.boosted.walk(columns, values):
                for baseline, trees in self.members:
                    # In the order of scikit-learn, to the bit.
                    raw = np.full(rows.stop - rows.start, baseline)
                    for of_tree in islice(of_trees, len(trees)):
                        raw += of_tree
                    boosted[rows] += raw
        if self.forest is not None:
            forest = np.zeros(len(X))
            values = values.astype(np.float32)
            for some in self.forest:
                for rows, of_trees in some.walk(columns, values):
                    for of_tree in of_trees:
                        forest[rows] += of_tree
        elif self.ensemble.forest_:
            X = X[order].astype(np.float32, order="C")
            trees = self.ensemble.forest_
            forest = sum(tree.predict(X, check_input=False) for tree in trees)[back]
        return self.ensemble._averaged(boosted, forest)


def _pays(trees, n_events):
    """Return whether events are enough to make tables for, which takes a time for each leaf."""
    n_nodes = sum(len(tree[0]) for tree in trees)
    return n_events * len(trees) > _EVENTS_PER_NODE * n_nodes


def _bin_edges(values, weight, max_bins):
    """Return the upper edges of all bins but the last: quantiles, or between the few values."""
    distinct = np.unique(values).astype(np.float64)
    if len(distinct) <= max_bins:
        return 0.5 * (distinct[1:] + distinct[:-1])
    levels = np.arange(1, max_bins) / max_bins
    return np.unique(np.quantile(values, levels, weights=weight, method="inverted_cdf"))


def _neighbours_together(codes):
    """Return an order of the events in which neighbours in all features follow each other.

    Trees send them the same way, which a processor then guesses right. The Z-order curve.
    """
    bits = max(_Z_ORDER_BITS // codes.shape[1], 1)
    full = (2**_CODE_BITS - 1) / max(codes.max(), 1)
    coarse = (codes[:, :_Z_ORDER_BITS] * full).astype(np.uint16)
    key = np.zeros(len(codes), dtype=np.uint16)
    for bit in range(_CODE_BITS - 1, _CODE_BITS - 1 - min(bits, _CODE_BITS), -1):
        for column in coarse.T:
            key = (key << 1) | (column >> bit & 1)
    return np.argsort(key, kind="stable")
