"""Classification in two stages: all events, then those that look most like the second class."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.detectors._cross_fit import (
    balanced,
    cross_fit,
    held_out_log_odds,
    log_odds,
    log_odds_of_all,
)
from skad.detectors._tilt import TiltClassifier, combined, smooth_terms
from skad.detectors._tree_ensemble import TreeEnsembleClassifier
from skad.detectors._two_classes import TwoClassMixin, encode_two_classes
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._events import check_events
from skad.utils._quantile import weighted_quantile

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Seed

__all__ = ["CascadeClassifier"]

# With fewer selected events of a class there is nothing to learn a second time.
_FEW_EVENTS = 50


def _trees(n_boosted, n_random):
    return TreeEnsembleClassifier(n_boosted, n_forest_trees=n_random, min_samples_leaf=40)


class CascadeClassifier(TwoClassMixin, BaseEstimator):
    """A classifier in two stages for a rare signal: of all events, then of the selected ones.

    Where one class holds a small signal, nearly all that a classifier sees is background, and it
    stops learning when the background is described. The first stage here selects the most
    signal-like part of both classes, a signal ten times as strong or more. The second stage learns
    from these alone. Both classes pass the same cut, so their ratio stays what it was.

    Parameters
    ----------
    classifier : estimator, default=None
        Classifier of the first stage, with `predict_proba`. None is
        ``TreeEnsembleClassifier(3, n_forest_trees=15, min_samples_leaf=40)``, whose trees the
        folds multiply, with a smooth classifier where it is better (see Notes).
    final_classifier : estimator, default=None
        Classifier of the second stage. None takes `classifier` again or, where that is None too,
        ``TreeEnsembleClassifier(20, n_forest_trees=100, min_samples_leaf=40)``.
    fraction : float in (0, 1), default=0.02
        Part of the first class (the reference) that the second stage sees, with all events of the
        second class beyond the same cut.
    cv : int or splitter, default=5
        Folds of the first stage. Events are selected by a classifier that has not seen them. A
        number of folds above that of the events of the smaller class is lowered to it; a class of a
        single event is not held out.
    n_estimators : int, default=1
        Cascades of other folds and seeds, whose log odds are averaged.
    n_jobs : int, default=None
        Folds fitted in parallel.
    random_state : int, RandomState or None, default=None
        Seed of folds and classifiers.

    Attributes
    ----------
    estimators_ : list of objects
        The fitted cascades, each with `classifiers`, those of the folds of its first stage;
        `threshold`, the log ratio of the first stage above which the second one speaks;
        `final_classifier`, the second stage, or None with fewer than 50 selected events of a class,
        where the first stage decides alone; `n_selected`, the training events of both classes that
        the second stage has seen; `smooth`, the smooth classifiers of the folds, none where trees
        are used alone, and `factors` of the log ratios of trees and smooth classifiers.
    classes_ : ndarray of shape (2,)
        Class labels.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.

    See Also
    --------
    CWoLaDetector : The detector that it is made for.

    Notes
    -----
    Beyond the cut the log odds are the mean of both stages, with the second one corrected for the
    parts of the classes that pass; the average over the folds of the first stage makes the
    transition smooth. Both classes count alike, whatever their sums of weights.

    Trees are at their best for narrow signals. Without `classifier`, each fold also fits a ratio
    ``c + log(1 + exp(q))``, with q a quadratic polynomial of the features brought to normal margins
    (linear beyond ten features or twenty million terms): a smooth signal on a background of any
    shape, a few numbers in all. It joins the first stage only if it lowers the log loss of the
    held-out events, and that of the two per cent that the trees rank highest, by more than two
    standard errors, with factors that minimise that loss; trees that then do not lower it as
    clearly are left out (``benchmarks/results/smooth_signal.md``).

    On simulated dijets against true background the second stage gains little where the signal is
    strong and much where it is weak (``benchmarks/results/cascade.md``).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.detectors import CascadeClassifier
    >>> rng = np.random.RandomState(0)
    >>> background, signal = rng.normal(size=(20_000, 2)), rng.normal(3, 0.3, size=(200, 2))
    >>> X, y = np.concatenate([background, signal]), np.repeat([0, 1], [10_000, 10_200])
    >>> cascade = CascadeClassifier(LogisticRegression(), random_state=0).fit(X, y)
    >>> low, high = cascade.decision_function([[0.0, 0.0], [3.0, 3.0]])
    >>> bool(low < 0.2 < high)
    True
    """

    _parameter_constraints: dict = {
        "classifier": [None, sk.HasMethods(["fit"])],
        "final_classifier": [None, sk.HasMethods(["fit"])],
        "fraction": [sk.Interval(Real, 0, 1, closed="neither")],
        "cv": ["cv_object"],
        "n_estimators": [sk.Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        classifier: Estimator | None = None,
        final_classifier: Estimator | None = None,
        *,
        fraction: float = 0.02,
        cv: Any = 5,
        n_estimators: int = 1,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.classifier = classifier
        self.final_classifier = final_classifier
        self.fraction = fraction
        self.cv = cv
        self.n_estimators = n_estimators
        self.n_jobs = n_jobs
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit both stages.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            Two classes; the second one in sorted order holds the signal.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights, for classifiers that take them.

        Returns
        -------
        self : CascadeClassifier
        """
        X, y = check_events(self, X, y, ensure_min_samples=2)
        self.classes_, y = encode_two_classes(y)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        first, final = self.classifier, self.final_classifier
        if final is None:
            final = _trees(20, 100) if first is None else first
        if first is None:
            first = _trees(3, 15)
        with_smooth = self.classifier is None
        rng = check_random_state(self.random_state)
        self.estimators_ = [
            _TwoStages(first, final, self.fraction, self.cv, self.n_jobs, copy, with_smooth).fit(
                X, y, sample_weight, rng
            )
            for copy in range(self.n_estimators)
        ]
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log odds of the second class, both classes counted alike.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_odds : ndarray of float64, shape (n_events,)
        """
        check_is_fitted(self)
        X = check_events(self, X, reset=False)
        return np.mean([cascade.log_ratio(X) for cascade in self.estimators_], axis=0)


@dataclass
class _TwoStages:
    """One cascade; y is encoded as 0 and 1."""

    first: BaseEstimator
    final: BaseEstimator
    fraction: float
    cv: object
    n_jobs: int | None
    copy: int
    with_smooth: bool

    def fit(self, X, y, sample_weight, rng):
        self.smooth = []
        log_ratio = self._fit_first(X, y, sample_weight, rng)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        known = ~np.isnan(log_ratio)
        reference = known & (y == 0)
        self.threshold = weighted_quantile(
            log_ratio[reference], 1 - self.fraction, weight[reference]
        )
        # False for events that no fold has left out.
        selected = log_ratio > self.threshold
        self.n_selected = np.bincount(y[selected & (weight > 0)], minlength=2)
        self.final_classifier = None
        if self.n_selected.min() >= _FEW_EVENTS:
            some = None if sample_weight is None else sample_weight[selected]
            some, log_prior = balanced(self.final, y[selected], some)
            self.final_classifier = fit_child(
                self.final,
                X[selected],
                y[selected],
                sample_weight=some,
                random_state=rng,
                copy=self.copy,
            )
            passed = [
                weight[selected & (y == k)].sum() / weight[known & (y == k)].sum() for k in (0, 1)
            ]
            self._final_offset = np.log(passed[1] / passed[0]) - log_prior
        return self

    def _fit_first(self, X, y, sample_weight, rng):
        """Fit the folds; return the log ratio of every event, NaN where no fold left it out."""
        weight, self._log_prior = balanced(self.first, y, sample_weight)
        cv = self.cv
        if isinstance(cv, int):
            cv = min(cv, np.bincount(y).min())
            if cv < 2:
                # A class of one event cannot be held out.
                self.classifiers = [
                    fit_child(
                        self.first, X, y, sample_weight=weight, random_state=rng, copy=self.copy
                    )
                ]
                return self._log_ratios(X)[0]
        self.classifiers, held_out = cross_fit(
            self.first,
            X,
            y,
            cv=cv,
            sample_weight=weight,
            random_state=rng,
            copy=self.copy,
            n_jobs=self.n_jobs,
        )
        log_ratio = held_out_log_odds(self.classifiers, held_out, X) - self._log_prior
        if self.with_smooth:
            log_ratio = self._add_smooth(X, y, weight, held_out, log_ratio)
        return log_ratio

    def _add_smooth(self, X, y, weight, held_out, log_ratio):
        """Fit smooth classifiers on the same folds; return the log ratio with them, if better."""
        used = ~np.isnan(log_ratio) & (weight > 0)
        if np.bincount(y[used], minlength=2).min() < _FEW_EVENTS:
            return log_ratio
        terms = smooth_terms(*X.shape)
        Z = terms.fit_transform(X)
        rows = np.arange(len(X))
        smooth, _ = cross_fit(
            TiltClassifier(X.shape[1]),
            Z,
            y,
            cv=[(np.setdiff1d(rows, held), held) for held in held_out],
            sample_weight=weight,
            random_state=0,
            n_jobs=self.n_jobs,
        )
        other = held_out_log_odds(smooth, held_out, Z)
        factors = combined(log_ratio[used], other[used], y[used], weight[used])
        if factors is None:
            return log_ratio
        self.smooth, self.smooth_terms, self.factors = smooth, terms, factors
        return factors[0] * log_ratio + factors[1] * other

    def _log_ratios(self, X):
        log_ratios = log_odds_of_all(self.classifiers, X, self.n_jobs) - self._log_prior
        if not self.smooth:
            return log_ratios
        smooth = log_odds_of_all(self.smooth, self.smooth_terms.transform(X))
        return self.factors[0] * log_ratios + self.factors[1] * smooth

    def log_ratio(self, X):
        first = self._log_ratios(X)
        selected = first > self.threshold
        rows = selected.any(axis=0)
        if self.final_classifier is None or not rows.any():
            return first.mean(axis=0)
        final = np.zeros(len(X))
        final[rows] = log_odds(self.final_classifier, X[rows]) + self._final_offset
        return np.where(selected, 0.5 * (first + final), first).mean(axis=0)
