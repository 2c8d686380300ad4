"""A detector, density, template and transformer, small and right, to test the checks on."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skad.base import DensityMixin, DetectorMixin, ScoreMixin
from skad.resonant import Template
from skad.utils import _sklearn as sk
from skad.utils._events import check_events


class GoodDetector(DetectorMixin, BaseEstimator):
    """Distance from the weighted mean in units of the standard deviation."""

    _parameter_constraints = {
        **ScoreMixin._threshold_constraints,
        "random_state": ["random_state"],
    }

    def __init__(self, *, contamination=0.1, threshold=None, random_state=None):
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        X = check_events(self, X, dtype=np.float64, ensure_min_samples=2)
        weight = sk.check_sample_weight(sample_weight, X)
        self.mean_ = np.average(X, weights=weight, axis=0)
        self.scale_ = np.sqrt(np.average((X - self.mean_) ** 2, weights=weight, axis=0))
        self.scale_[self.scale_ < 1e-12] = 1.0
        self._set_offset(self._distance(X), weight)
        return self

    def _distance(self, X):
        return (((X - self.mean_) / self.scale_) ** 2).sum(axis=1)

    def anomaly_score(self, X):
        check_is_fitted(self)
        X = check_events(self, X, dtype=np.float64, reset=False)
        with np.errstate(over="ignore"):
            return self._bounded(self._distance(X))


class GoodDensity(DensityMixin, BaseEstimator):
    """Independent normal distributions."""

    _parameter_constraints = {"random_state": ["random_state"]}

    def __init__(self, *, random_state=None):
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        weight = sk.check_sample_weight(sample_weight, X)
        self.mean_ = np.average(X, weights=weight, axis=0)
        self.scale_ = np.sqrt(np.average((X - self.mean_) ** 2, weights=weight, axis=0))
        self.scale_ = np.maximum(self.scale_, 1e-6)
        return self

    def score_samples(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        z = (X - self.mean_) / self.scale_
        return (-0.5 * z**2 - np.log(self.scale_) - 0.5 * np.log(2 * np.pi)).sum(axis=1)

    def sample(self, n_samples=1, random_state=None):
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1; got {n_samples}.")
        rng = check_random_state(random_state)
        return rng.normal(self.mean_, self.scale_, size=(n_samples, len(self.mean_)))


class GoodTemplate(Template):
    """The lower sideband."""

    _parameter_constraints = Template._template_constraints

    def __init__(self, *, region=None, resonance=0, random_state=None):
        self.region = region
        self.resonance = resonance
        self.random_state = random_state

    def _fit(self, events, rng):
        self.events_ = events.X[self.region_.sideband_mask(events.m, "low")]

    def _sample(self, n_samples, rng):
        rows = rng.randint(len(self.events_), size=n_samples or len(self.events_))
        return self.events_[rows], np.ones(len(rows))


class GoodTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """The logarithm, after a stretch of every column by a parameter."""

    _parameter_constraints = {"stretch": [sk.Interval(sk.RealNotInt, 0, None, closed="neither")]}

    def __init__(self, *, stretch=2.0):
        self.stretch = stretch

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        self._positive(X, reset=True)
        return self

    def _positive(self, X, *, reset):
        X = validate_data(self, X, dtype=np.float64, reset=reset)
        if (X < 0).any():
            raise ValueError("Negative values in data passed to GoodTransformer.")
        return X

    def transform(self, X):
        check_is_fitted(self)
        return np.log1p(self.stretch * self._positive(X, reset=False))

    def inverse_transform(self, X):
        return np.expm1(X) / self.stretch

    def log_abs_det_jacobian(self, X):
        check_is_fitted(self)
        X = self._positive(X, reset=False)
        return (np.log(self.stretch) - np.log1p(self.stretch * X)).sum(axis=1)
