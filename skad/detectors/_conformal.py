"""Conformal p-values of any detector: false alarms and false discoveries at a stated rate."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, check_cv
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from skad.base import DetectorMixin, ScoreMixin, anomaly_score_of
from skad.detectors._cross_fit import log_odds
from skad.exceptions import LowStatisticsWarning
from skad.utils import _sklearn as sk
from skad.utils._arguments import Numbers
from skad.utils._children import fit_child, requires_y, rows_of
from skad.utils._labels import read_labels
from skad.utils._random import draw_seeds
from skad.utils._statistics import effective_size
from skad.utils._tasks import outer_stacklevel, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Seed

__all__ = ["ConformalDetector"]

# Of -log p: orders the events of one p-value, and is far below any step between two.
_TIE = 1e-7
# Of a p-value, relative: one that equals the rate is a false alarm of that rate.
_ROUNDING = 1e-12
# Weighted calibration events that count as fewer say little.
_FEWEST = 25


class ConformalDetector(DetectorMixin, BaseEstimator):
    """Any detector with p-values: how often a normal event scores as high.

    A detector is fitted to a part of the events, and its scores of the others, the calibration
    events, say how normal events score. The p-value of a later event is

        p = (1 + number of calibration events that score at least as high) / (1 + their number),

    and of later normal events at most the fraction a has p <= a, whatever the detector and the
    distribution, if they and the events of `fit` are exchangeable (drawn alike and independently)
    [1]_ [2]_.

    Parameters
    ----------
    detector : estimator
        A detector or density of skad or scikit-learn, a pipeline that ends in one, or
        `PyODDetector`. One in a `FrozenEstimator` is fitted already, to other events: all events
        of `fit` then calibrate it, unless `shift` has to learn from a part of them.
    cv : float, int or splitter, default=0.5
        - float in (0, 1): split conformal, this fraction of the events calibrates and the rest is
          learned from. The guarantee is exact;
        - int: cross-conformal [3]_, with as many folds, every event calibrates the detector that
          has not seen it. More powerful with few events; the fraction of false alarms is at most
          about 2 a in the worst case, and close to a in practice;
        - a splitter of scikit-learn whose test sets do not overlap.
    shift : callable, classifier or None, default=None
        For normal events that are distributed otherwise than those of `fit`, such as in a signal
        region after a fit in sidebands: weights of the calibration events [4]_, the ratio of the
        density of later to that of calibration events. A function of X gives it up to a factor;
        a classifier learns it from y, see `fit`. It must not see columns in which both kinds of
        event do not overlap (the resonant feature): put a pipeline that leaves them out.
    false_alarm_rate : float in (0, 1), default=0.01
        `predict` calls events with a p-value up to this outliers: at most this fraction of the
        normal ones. There is no fraction of anomalies to guess.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score -log p, in place of `false_alarm_rate`.
    n_jobs : int, default=None
        Folds fitted in parallel.
    random_state : int, RandomState or None, default=None
        Of the splits, and seed of detectors that have none of their own.
    verbose : int, default=0
        Show the progress of folds when positive.

    Attributes
    ----------
    detectors_ : list of estimators
        Fitted detectors, one for each fold.
    calibration_scores_ : list of ndarray
        Scores, ``-score_samples``, of the calibration events of each detector, increasing.
    calibration_weights_ : list of ndarray
        Their weights; ones without `shift`.
    shift_ : list of (estimator, float), or None
        Fitted classifiers of `shift` with the log of the ratio of the two kinds of event in what
        they learned from, one for each fold.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    ``anomaly_score = -log p`` in nats, and ``score_samples`` is p itself, also at the end of a
    pipeline. Events of equal p-value, such as all that lie beyond the calibration events, are kept
    in the order of the detectors by a part in ten million; `p_values` is exact.

    The guarantee is for later events, not for those of `fit`, and on average over samples of
    calibration events: with n of them, the fraction of false alarms in one application spreads by
    about ``sqrt(a (1 - a) / n)``. No p-value is below ``1 / (n + 1)``. Anomalies among the events
    of `fit` make p-values larger, so that less is found and not more false alarms are made.

    If the detector requires y (1 = data, 0 = reference), events of the reference calibrate.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005).
    .. [2] S. Bates, E. Candes, L. Lei, Y. Romano, M. Sesia, "Testing for outliers with conformal
       p-values", Ann. Statist. 51 (2023) 149, arXiv:2104.08279.
    .. [3] V. Vovk, "Cross-conformal predictors", Ann. Math. Artif. Intell. 74 (2015) 9,
       arXiv:1208.0806; R. Barber et al., Ann. Statist. 49 (2021) 486, arXiv:1905.02928.
    .. [4] R. Tibshirani, R. Barber, E. Candes, A. Ramdas, "Conformal prediction under covariate
       shift", NeurIPS 2019, arXiv:1904.06019, equation 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.detectors import ConformalDetector
    >>> rng = np.random.RandomState(0)
    >>> normal, later = rng.normal(size=(2000, 2)), rng.normal(size=(1000, 2))
    >>> detector = ConformalDetector(IsolationForest(), false_alarm_rate=0.05, random_state=0)
    >>> detector.fit(normal).predict([[0.0, 0.0], [6.0, 6.0]])
    array([ 1, -1])
    >>> float((detector.predict(later) == -1).mean().round(2))
    0.05

    Of the events that `select` gives, one in ten at most is a false discovery on average:

    >>> both = np.concatenate([later, rng.normal(4.5, 0.3, size=(50, 2))])
    >>> chosen = detector.select(both, fdr=0.1)
    >>> int(chosen[1000:].sum()), bool(chosen[:1000].sum() < 10)
    (50, True)
    """

    _parameter_constraints: dict = {
        "detector": [sk.HasMethods(["fit"])],
        "cv": [
            sk.Interval(sk.RealNotInt, 0, 1, closed="neither"),
            sk.Interval(Integral, 2, None, closed="left"),
            sk.HasMethods(["split", "get_n_splits"]),
        ],
        "shift": [None, callable, sk.HasMethods(["fit", "predict_proba"])],
        "false_alarm_rate": [sk.Interval(Real, 0, 1, closed="neither")],
        "threshold": ScoreMixin._threshold_constraints["threshold"],
        "n_jobs": [int, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        detector: Estimator,
        *,
        cv: Any = 0.5,
        shift: Callable[..., Any] | Estimator | None = None,
        false_alarm_rate: float = 0.01,
        threshold: float | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.detector = detector
        self.cv = cv
        self.shift = shift
        self.false_alarm_rate = false_alarm_rate
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Fit the detector to parts of the events, and calibrate it on the others.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events, in any form that the detector takes.
        y : array-like of shape (n_events,), default=None
            Read only if the detector requires y or `shift` is a classifier: 0 for normal events
            (of the reference, of the sidebands), 1 for those whose p-values matter (data, signal
            region). A classifier learns the weights from both; a detector that requires no y is
            fitted to those with 0.

        Returns
        -------
        self : ConformalDetector
        """
        X = self._events(X, reset=True)
        if self._requires_y():
            is_normal = ~read_labels(
                y, len(X), owner=type(self).__name__, one="data", zero="normal events"
            )
            labels = 1 - is_normal.astype(int)
        else:
            is_normal, labels = np.ones(len(X), dtype=bool), None
        rng = check_random_state(self.random_state)
        splits = self._splits(X, labels, rng)
        fitted = run_tasks(
            [
                (self._fit_fold, (X, labels, train, test[is_normal[test]], seed))
                for (train, test), seed in zip(splits, draw_seeds(rng, len(splits)), strict=True)
            ],
            name=f"{len(splits)} folds",
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        self.detectors_, shifts, self.calibration_scores_, self.calibration_weights_ = map(
            list, zip(*fitted, strict=True)
        )
        self.shift_ = shifts if self._learns_shift() else None
        self._check_calibration()
        if self.threshold is None:
            self.offset_ = float(self.false_alarm_rate * (1 + _ROUNDING))
        else:
            self.offset_ = float(self._normality(np.float64(self.threshold)))
        return self

    def _events(self, X, *, reset):
        """Check what is the same for all detectors; the rest is theirs to check."""
        if hasattr(X, "iloc"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        return validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)

    def _learns_shift(self):
        return self.shift is not None and not callable(self.shift)

    def _requires_y(self):
        return requires_y(self.detector) or self._learns_shift()

    def _splits(self, X, labels, rng):
        n_events = len(X)
        if isinstance(self.detector, FrozenEstimator) and not self._learns_shift():
            return [(np.arange(0), np.arange(n_events))]
        if n_events < 2:
            raise ValueError(
                "ConformalDetector needs at least 2 events, to learn from and to calibrate with; "
                f"got n_samples={n_events}."
            )
        cv = self.cv
        if isinstance(cv, Integral):
            kind = KFold if labels is None else StratifiedKFold
            cv = kind(cv, shuffle=True, random_state=draw_seeds(rng, 1)[0])
        elif isinstance(cv, Real):
            n_test = min(max(round(cv * n_events), 1), n_events - 1)
            cv = ShuffleSplit(1, test_size=n_test, random_state=draw_seeds(rng, 1)[0])
        splits = list(check_cv(cv).split(np.zeros(n_events), labels))
        times = np.bincount(np.concatenate([test for _, test in splits]), minlength=n_events)
        if times.max() > 1:
            raise ValueError(
                f"cv must let no event calibrate twice; {np.count_nonzero(times > 1)} of "
                f"{n_events} events are in several test sets. Give a number of folds or KFold."
            )
        return splits

    def _fit_fold(self, X, labels, train, test, seed):
        """Return detector, classifier of the shift, and calibration scores with their weights."""
        if not len(test):
            raise ValueError(
                "cv leaves a fold without normal events (y = 0) to calibrate with; give fewer "
                "folds, or more events."
            )
        seeds = draw_seeds(seed, 2)
        if requires_y(self.detector):
            rows, y = train, labels[train]
        else:
            rows, y = (train if labels is None else train[labels[train] == 0]), None
        detector = fit_child(self.detector, rows_of(X, rows), y, random_state=seeds[0])
        scores = anomaly_score_of(detector, rows_of(X, test), own_units=False)
        n_bad = np.count_nonzero(np.isnan(scores))
        if n_bad:
            raise ValueError(
                f"{type(detector).__name__} scores {n_bad} of {len(scores)} calibration events as "
                "NaN. An estimator inside does, or the features need another scale."
            )
        shift = None
        if self._learns_shift():
            # All of the later kind, as none of them calibrates.
            rows = np.union1d(train, np.flatnonzero(labels))
            shift = fit_child(self.shift, rows_of(X, rows), labels[rows], random_state=seeds[1])
            shift = (shift, float(np.log(np.mean(labels[rows] == 1) / np.mean(labels[rows] == 0))))
        order = np.argsort(scores)
        weights = self._weights(shift, rows_of(X, test))[order]
        return detector, shift, scores[order], weights

    def _weights(self, shift, X):
        """Return the density of later over that of calibration events, up to a factor."""
        if self.shift is None:
            return np.ones(len(X))
        if shift is None:
            weights = Numbers(lowest=0.0).read(self.shift(X), "what shift returns")
            if len(weights) != len(X):
                raise ValueError(
                    f"shift must return one weight for each of {len(X)} events; got {len(weights)}."
                )
            return weights
        classifier, log_prior = shift
        return np.exp(log_odds(classifier, X) - log_prior)

    def _check_calibration(self):
        weights = np.concatenate(self.calibration_weights_)
        if not weights.any():
            raise ValueError(
                "shift gives all calibration events the weight 0: none of them lies where later "
                "events do."
            )
        n_effective = float(effective_size(weights.sum(), (weights**2).sum()))
        if self.shift is not None and n_effective < _FEWEST:
            warnings.warn(
                f"The {len(weights)} calibration events count as {n_effective:.1f} after the "
                "weights of shift; p-values say little. Leave out of shift the columns in which "
                "the two kinds of event do not overlap, or use a smoother one.",
                LowStatisticsWarning,
                stacklevel=outer_stacklevel(),
            )
        if self.threshold is None and self.false_alarm_rate * (n_effective + 1) < 1:
            warnings.warn(
                f"{n_effective:.0f} calibration events give no p-value below "
                f"{1 / (n_effective + 1):.2g}, so that predict calls no event an outlier at "
                f"false_alarm_rate={self.false_alarm_rate:g}. Give a larger rate, more events, or "
                "cv=5, with which all of them calibrate.",
                LowStatisticsWarning,
                stacklevel=outer_stacklevel(),
            )

    def p_values(self, X: ArrayLike) -> NDArray[np.float64]:
        """Conformal p-value of each event.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        p_values : ndarray of float64, shape (n_events,)
            In (0, 1], small for anomalous events; 0 only where `shift` gives an event no weight and
            no calibration event scores as high.
        """
        return self._p_values_and_scores(X)[0]

    def _p_values_and_scores(self, X):
        check_is_fitted(self)
        X = self._events(X, reset=False)
        above, own, total, scores = (np.zeros(len(X)) for _ in range(4))
        for k, (detector, reference, weights) in enumerate(
            zip(self.detectors_, self.calibration_scores_, self.calibration_weights_, strict=True)
        ):
            found = self._bounded(anomaly_score_of(detector, X, own_units=False))
            at_least = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
            above += at_least[np.searchsorted(self._bounded(reference), found, side="left")]
            total += at_least[0]
            own += self._weights(self.shift_[k] if self.shift_ else None, X)
            scores += found / len(self.detectors_)
        own /= len(self.detectors_)
        return (above + own) / (total + own), scores

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Surprise of each event, ``-log p`` of its conformal p-value.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
            In nats, higher = more anomalous; events of equal p-value in the order of the detectors.
        """
        p_values, scores = self._p_values_and_scores(X)
        reference = self._bounded(np.concatenate(self.calibration_scores_))
        low, middle, high = np.quantile(reference, [0.25, 0.5, 0.75])
        with np.errstate(over="ignore"):
            distance = np.arcsinh(self._bounded((scores - middle) / ((high - low) or 1.0)))
        order = 0.5 + 0.5 * distance / (1 + np.abs(distance))
        with np.errstate(divide="ignore"):
            return self._bounded(_TIE * order - np.log(p_values))

    def _normality(self, anomaly_score):
        return np.exp(-anomaly_score)

    def select(
        self, X: ArrayLike, fdr: float = 0.1, *, method: Literal["bh", "by"] = "bh"
    ) -> NDArray[np.bool_]:
        """Choose events so that false discoveries are at most a stated part of them, on average.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            All events of the test: the choice depends on how many there are.
        fdr : float in (0, 1), default=0.1
            False discovery rate: mean of the fraction of normal events among the chosen ones,
            which is 0 where none is chosen.
        method : {"bh", "by"}, default="bh"
            Procedure of Benjamini and Hochberg, valid for split conformal p-values (reference 2 of
            the class), or that of Benjamini and Yekutieli, valid for any and of less power; as in
            `scipy.stats.false_discovery_control`. With `shift` or several folds, the guarantee of
            the first is not proven.

        Returns
        -------
        chosen : ndarray of bool, shape (n_events,)

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.neighbors import LocalOutlierFactor
        >>> from skad.detectors import ConformalDetector
        >>> rng = np.random.RandomState(0)
        >>> detector = ConformalDetector(LocalOutlierFactor(novelty=True), random_state=0)
        >>> detector = detector.fit(rng.normal(size=(1000, 2)))
        >>> detector.select([[0.1, 0.2], [-0.3, 0.4], [7.0, 7.0]])
        array([False, False,  True])
        """
        sk.validate_parameter_constraints(
            {
                "fdr": [sk.Interval(Real, 0, 1, closed="neither")],
                "method": [sk.StrOptions({"bh", "by"})],
            },
            {"fdr": fdr, "method": method},
            caller_name="ConformalDetector.select",
        )
        p_values = self.p_values(X)
        if not len(p_values):
            return np.zeros(0, dtype=bool)
        return false_discovery_control(p_values, method=method) <= fdr * (1 + _ROUNDING)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.detector).input_tags
        tags.input_tags.allow_nan = inner.allow_nan
        tags.input_tags.string = inner.string
        tags.input_tags.categorical = inner.categorical
        return tags
