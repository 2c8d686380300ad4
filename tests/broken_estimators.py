"""For every check of skad's own an estimator broken in one place, which the check must refuse."""

import itertools
import threading

import estimator_checks as checks
import numpy as np
import torch
from simple_estimators import GoodDensity, GoodDetector, GoodTemplate, GoodTransformer
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from skad.base import DensityMixin, DetectorMixin, ScoreMixin
from skad.utils import _sklearn as sk


class Undeclared(DetectorMixin, BaseEstimator):
    __init__ = GoodDetector.__init__
    fit = GoodDetector.fit
    _distance = GoodDetector._distance
    anomaly_score = GoodDetector.anomaly_score


class HalfDeclared(GoodDetector):
    _parameter_constraints = {"contamination": [float], "seed": [int]}


class UnvalidatedFit(DetectorMixin, BaseEstimator):
    _parameter_constraints = GoodDetector._parameter_constraints
    __init__ = GoodDetector.__init__
    fit = GoodDetector.fit.__wrapped__
    _distance = GoodDetector._distance
    anomaly_score = GoodDetector.anomaly_score


class WithoutContract(DetectorMixin, BaseEstimator):
    _parameter_constraints: dict = {}
    fit = GoodDetector.fit


class WithoutDensity(DensityMixin, BaseEstimator):
    _parameter_constraints: dict = {}
    fit = GoodDensity.fit


class RefusingAll(GoodDetector):
    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        raise ValueError("masses must be in TeV")


class WithoutRow(GoodDetector):
    def __init__(self, detector, *, contamination=0.1, threshold=None, random_state=None):
        self.detector = detector
        super().__init__(
            contamination=contamination, threshold=threshold, random_state=random_state
        )


# What `check_complete` must say of each.
INCOMPLETE = [
    (Undeclared, "Undeclared lacks _parameter_constraints"),
    (HalfDeclared, "HalfDeclared lacks a constraint of 'random_state'"),
    (HalfDeclared, "the parameters \\['seed'\\] that _parameter_constraints names"),
    (UnvalidatedFit, "UnvalidatedFit lacks @sk.fit_context on fit"),
    (WithoutContract, "the parameter 'contamination' of ScoreMixin; the parameter 'threshold'"),
    (WithoutContract, r"anomaly_score\(X\)"),
    (WithoutDensity, r"WithoutDensity lacks score_samples\(X\)"),
    (RefusingAll, r"masses must be in TeV\); its row in tests/fast_estimators.py"),
]


class RoundingWhenPickled(GoodDetector):
    def __getstate__(self):
        state = super().__getstate__().copy()
        if "mean_" in state:
            state["mean_"] = np.round(state["mean_"], 2)
        return state


class GlobalNoise(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.mean_ = self.mean_ + 0.01 * np.random.normal()
        return self


class SeedingTorch(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        torch.manual_seed(0)
        return super().fit(X, y, sample_weight)


class RememberingFits(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        n_fits = getattr(self, "n_fits_", 0)
        super().fit(X, y, sample_weight)
        self.n_fits_ = n_fits + 1
        self.mean_ = self.mean_ / self.n_fits_
        return self


class WritingIntoX(GoodDetector):
    def anomaly_score(self, X):
        if isinstance(X, np.ndarray):
            X -= self.mean_
            return self._distance(X + self.mean_)
        return super().anomaly_score(X)


class CountingCalls(GoodDetector):
    calls = itertools.count()

    def anomaly_score(self, X):
        return super().anomaly_score(X) + next(self.calls)


class DeafToContamination(GoodDetector):
    def _set_offset(self, scores, sample_weight=None):
        self.offset_ = float(np.quantile(-scores, 0.1))


class OtherInThreads(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.mean_ = self.mean_ + (threading.current_thread() is not threading.main_thread())
        return self


class DeafToWeights(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        return super().fit(X, y)


class SortingColumns(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        if hasattr(X, "columns"):
            X = X[sorted(X.columns, reverse=True)]
        return super().fit(X, y, sample_weight)


class BlindToNames(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        return super().fit(np.asarray(X), y, sample_weight)


class SinglePrecision(GoodDetector):
    def anomaly_score(self, X):
        return super().anomaly_score(X).astype(np.float32)


class CentringEachBatch(GoodDetector):
    def _distance(self, X):
        return super()._distance(X - X.mean(axis=0) + self.mean_)


class DividingByZero(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.range_ = np.ptp(np.asarray(X, dtype=np.float64), axis=0)
        return self

    def anomaly_score(self, X):
        scores = super().anomaly_score(X)
        with np.errstate(all="ignore"):
            return scores + (0 * (np.asarray(X) - self.mean_) / self.range_).sum(axis=1)


class FailingWithoutReason(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        values = np.asarray(X)
        if np.linalg.matrix_rank(values) < values.shape[1]:
            raise ValueError("failed")
        return super().fit(X, y, sample_weight)


class SwallowingNaN(GoodDetector):
    def anomaly_score(self, X):
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite=False)
        return self._distance(np.nan_to_num(X))


class InventingEvents(GoodDetector):
    def anomaly_score(self, X):
        return np.zeros(1) if len(X) == 0 else super().anomaly_score(X)


class ReadingTruth(GoodDetector):
    def fit(self, X, y=None, sample_weight=None):
        if y is not None and sample_weight is None:
            sample_weight = np.where(np.asarray(y) == 1, 0.5, 1.0)
        return super().fit(X, y, sample_weight)


class WrongSign(GoodDetector):
    def score_samples(self, X):
        return self.anomaly_score(X)


class DeafToThreshold(GoodDetector):
    def _set_offset(self, scores, sample_weight=None):
        self.offset_ = float(np.quantile(-scores, self.contamination))


class UntaggedSupervision(ScoreMixin, BaseEstimator):
    __init__ = GoodDetector.__init__
    fit = GoodDetector.fit
    _distance = GoodDetector._distance
    anomaly_score = GoodDetector.anomaly_score


class SummedScore(GoodDensity):
    def score(self, X, y=None, sample_weight=None):
        return float(self.score_samples(X).sum())


class SameSample(GoodDensity):
    def sample(self, n_samples=1, random_state=None):
        return super().sample(n_samples, random_state=0)


class FirstEvents(GoodTemplate):
    def _sample(self, n_samples, rng):
        events = self.events_[:n_samples]
        return events, np.ones(len(events))


class RepeatedNames(GoodTransformer):
    def get_feature_names_out(self, input_features=None):
        return np.array(["log"] * self.n_features_in_, dtype=object)


class InexactInverse(GoodTransformer):
    def inverse_transform(self, X):
        return np.expm1(X)


class JacobianSign(GoodTransformer):
    def log_abs_det_jacobian(self, X):
        return -super().log_abs_det_jacobian(X)


BROKEN = [
    (checks.check_complete, Undeclared),
    (checks.check_copies, RoundingWhenPickled),
    (checks.check_same_seed, GlobalNoise),
    (checks.check_globals_untouched, SeedingTorch),
    (checks.check_refit_forgets, RememberingFits),
    (checks.check_input_unchanged, WritingIntoX),
    (checks.check_pipeline, CountingCalls),
    (checks.check_grid_search, DeafToContamination),
    (checks.check_parallel, OtherInThreads),
    (checks.check_routing, DeafToWeights),
    (checks.check_dataframe, SortingColumns),
    (checks.check_column_order, BlindToNames),
    (checks.check_dtypes, SinglePrecision),
    (checks.check_one_event, CentringEachBatch),
    (checks.check_constant_column, DividingByZero),
    (checks.check_duplicates, FailingWithoutReason),
    (checks.check_bad_values, SwallowingNaN),
    (checks.check_empty, InventingEvents),
    (checks.check_truth_unread, ReadingTruth),
    (checks.check_detector_scores, WrongSign),
    (checks.check_detector_threshold, DeafToThreshold),
    (checks.check_detector_kind, UntaggedSupervision),
    (checks.check_density_score, SummedScore),
    (checks.check_density_sample, SameSample),
    (checks.check_template, FirstEvents),
    (checks.check_feature_names, RepeatedNames),
    (checks.check_round_trip, InexactInverse),
    (checks.check_jacobian, JacobianSign),
]
