"""Estimators that keep the rules of `rule_checks`, and for every rule one that breaks it."""

import numpy as np
import rule_checks as rules
from simple_estimators import GoodDetector
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import validate_data

from skad.base import ScoreMixin
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._events import check_events
from skad.utils._labels import read_labels


class GoodWeakDetector(ScoreMixin, BaseEstimator):
    """A classifier of data against reference."""

    _parameter_constraints = {
        **ScoreMixin._threshold_constraints,
        "classifier": [ClassifierMixin],
        "random_state": ["random_state"],
    }

    def __init__(self, classifier, *, contamination=0.1, threshold=None, random_state=None):
        self.classifier = classifier
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None):
        X = check_events(self, X, ensure_min_samples=2)
        y = self._labels(y)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X)
        self.classifier_ = self._fitted(X, y, sample_weight)
        self._set_offset(self._scores(X), sample_weight)
        return self

    def _labels(self, y):
        return read_labels(y).astype(int)

    def _fitted(self, X, y, weight):
        return fit_child(
            self.classifier, X, y, sample_weight=weight, random_state=self.random_state
        )

    def _scores(self, X):
        return self.classifier_.predict_proba(X)[:, 1]

    def anomaly_score(self, X):
        return self._bounded(self._scores(check_events(self, X, reset=False)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


class SeedingChildren(GoodWeakDetector):
    def _fitted(self, X, y, weight):
        child = clone(self.classifier).set_params(random_state=self.random_state)
        return child.fit(X, y, sample_weight=weight)


class ReadingLabelsByTheAlphabet(GoodWeakDetector):
    def _labels(self, y):
        return np.unique(y, return_inverse=True)[1]


class CountingWeights(GoodWeakDetector):
    def _fitted(self, X, y, weight):
        few = weight is not None and weight.sum() < 1
        child = self.classifier if not few else DecisionTreeClassifier(max_depth=1, random_state=0)
        return clone(child).fit(X, y, sample_weight=weight)


class OverflowingToNormal(GoodDetector):
    def anomaly_score(self, X):
        X = validate_data(self, X, dtype=np.float64, reset=False)
        with np.errstate(all="ignore"):
            z = ((X - self.mean_) / self.scale_).astype(np.float32)
            return (z * z - 0 * z).sum(axis=1).astype(np.float64)


class BlindToScale(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.mean_, self.scale_ = X.mean(axis=0), np.ones(X.shape[1])
        with np.errstate(all="ignore"):
            self._set_offset(self._distance(X), sample_weight)
        return self


GOOD_WEAK = GoodWeakDetector(DecisionTreeClassifier(max_depth=3, max_features=1, random_state=0))
BREAKING = [
    (rules.check_children_keep_seeds, lambda: SeedingChildren(GOOD_WEAK.classifier)),
    (rules.check_labels, lambda: ReadingLabelsByTheAlphabet(GOOD_WEAK.classifier)),
    (rules.check_weight_unit, lambda: CountingWeights(GOOD_WEAK.classifier)),
    (rules.check_extreme_events, OverflowingToNormal),
    (rules.check_scale, BlindToScale),
]
