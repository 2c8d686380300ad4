"""Classification without labels: a mixed sample against a reference."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import ClassifierTags, check_random_state
from sklearn.utils.validation import check_array, check_is_fitted

from skad.base import ScoreMixin
from skad.detectors._cascade import CascadeClassifier
from skad.detectors._cross_fit import (
    balanced,
    cross_fit,
    held_out_log_odds,
    log_odds,
    log_odds_of_all,
)
from skad.detectors._excess_selector import ExcessSelector
from skad.detectors._training_sample import TrainingSample
from skad.exceptions import DrownedFeaturesWarning
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._columns import column_name
from skad.utils._events import check_events
from skad.utils._labels import read_labels

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Seed

__all__ = ["CWoLaDetector"]

# With as many the default classifier needs no selection.
_FEW_FEATURES = 8


class CWoLaDetector(ScoreMixin, BaseEstimator):
    """Weakly supervised detector: a classifier of a mixed sample against a reference.

    Where the reference is background only, the likelihood ratio of mixed to reference events
    orders events as the one of signal to background does [1]_, and it does so in every frame.

    Parameters
    ----------
    classifier : estimator, default=None
        Any scikit-learn classifier with `predict_proba`; None is
        ``CascadeClassifier(n_estimators=3)``, behind an `ExcessSelector` where X has more than 8
        columns: columns of noise drown a small signal.
    cv : int, splitter or None, default=None
        Cross-fitting: training events are scored by a classifier that has not seen them, new
        events by the mean of all. None fits one classifier on all events, the best for new
        events; pass 5 to select among the training events themselves.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the mixed training events to call outliers: those of largest ratio.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.
    n_jobs : int, default=None
        Folds fitted in parallel: those of `cv`, or where it is None of the default classifier.
    random_state : int, RandomState or None, default=None
        Seed of folds and classifiers.

    Attributes
    ----------
    classifiers_ : list of estimators
        Fitted classifiers, one per fold.
    training_scores_ : ndarray of float64, shape (n_events,)
        Anomaly scores of the training events, out of fold with `cv`.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.

    Notes
    -----
    With classifier output h the anomaly score is ``h/(1-h)``, corrected to equal sums of weights
    of both samples: an estimate of p_mixed/p_reference. It is computed in log space, and
    ``score_samples = -log(anomaly_score)``.

    References
    ----------
    .. [1] Metodiev, Nachman, Thaler, arXiv:1708.02949
    .. [2] Kasieczka et al., arXiv:2209.06225

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.detectors import CWoLaDetector
    >>> rng = np.random.RandomState(0)
    >>> reference = rng.normal(size=(2000, 1))
    >>> mixed = np.concatenate([rng.normal(size=(1800, 1)), rng.normal(3, 0.5, size=(200, 1))])
    >>> X = np.concatenate([mixed, reference])
    >>> y = np.repeat([1, 0], 2000)
    >>> detector = CWoLaDetector(LogisticRegression(), contamination=0.05).fit(X, y)
    >>> detector.predict([[3.0], [0.0]])
    array([-1,  1])
    """

    _parameter_constraints: dict = {
        "classifier": [None, sk.HasMethods(["fit"])],
        "cv": ["cv_object", None],
        "n_jobs": [int, None],
        "random_state": ["random_state"],
        **ScoreMixin._threshold_constraints,
    }

    def __init__(
        self,
        classifier: Estimator | None = None,
        *,
        cv: Any = None,
        contamination: float = 0.01,
        threshold: float | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.classifier = classifier
        self.cv = cv
        self.contamination = contamination
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier of mixed against reference events.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            1 = mixed, 0 = reference (of two other labels the larger one is the mixed sample).
        sample_weight : array-like of shape (n_events,), default=None
            Weights of mixed and reference events, for a classifier that takes them.

        Returns
        -------
        self : CWoLaDetector

        Raises
        ------
        ValueError
            y is -1 and +1, which can be read both ways, or does not hold two classes.

        Warns
        -----
        DrownedFeaturesWarning
            The default classifier leaves columns out.
        """
        X, y = check_events(self, X, y, ensure_min_samples=2)
        y = self._read_labels(y, len(X))
        classifier = self._given_or_default_classifier(X.shape[1])
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        weight, self._log_prior = balanced(classifier, y, sample_weight)
        rng = check_random_state(self.random_state)
        if self.cv is None:
            self.classifiers_ = [
                fit_child(classifier, X, y, sample_weight=weight, random_state=rng)
            ]
            log_ratio = self._log_ratio(X)
        else:
            self.classifiers_, held_out = cross_fit(
                classifier,
                X,
                y,
                cv=self.cv,
                sample_weight=weight,
                random_state=rng,
                n_jobs=self.n_jobs,
            )
            log_ratio = held_out_log_odds(self.classifiers_, held_out, X) - self._log_prior
        if self.classifier is None:
            self._warn_of_drowned_features()
        self.training_scores_ = np.exp(log_ratio)
        mixed = (y == 1) & ~np.isnan(log_ratio)
        self._set_offset(
            self.training_scores_[mixed], None if sample_weight is None else sample_weight[mixed]
        )
        return self

    def _warn_of_drowned_features(self):
        """Say which columns the default classifier has left out."""
        selectors = [c[0] for c in self.classifiers_ if isinstance(c, Pipeline)]
        used = np.any([selector.support_ for selector in selectors], axis=0)
        if not selectors or used.all():
            return
        names = getattr(self, "feature_names_in_", None)
        kept = ", ".join(column_name(i, names) for i in np.flatnonzero(used))
        warnings.warn(
            f"{np.count_nonzero(~used)} of {len(used)} columns are left out, which would drown the "
            f"others: a local excess stands out in {kept}. Give these columns alone, or "
            "classifier=CascadeClassifier(n_estimators=3) to use all.",
            DrownedFeaturesWarning,
            stacklevel=3,
        )

    def training_sample(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        random_state: Any = None,
    ) -> Any:
        """Return what `fit` would train the classifier on; the detector need not be fitted.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            1 = mixed, 0 = reference.
        sample_weight : array-like of shape (n_events,), default=None
        random_state : ignored
            `TemplateDetector`, which draws a template, needs it.

        Returns
        -------
        sample : TrainingSample
        """
        X = check_array(X, dtype=np.float64)
        y = self._read_labels(y, len(X))
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        return TrainingSample(
            self._given_or_default_classifier(X.shape[1]), self.cv, X, y, sample_weight
        )

    def _read_labels(self, y, n_events):
        owner, one, zero = type(self).__name__, "mixed events", "reference events"
        return read_labels(y, n_events, owner=owner, one=one, zero=zero).astype(int)

    def _given_or_default_classifier(self, n_features):
        if self.classifier is not None:
            return self.classifier
        cascade = CascadeClassifier(n_estimators=3, n_jobs=self.n_jobs if self.cv is None else None)
        if n_features <= _FEW_FEATURES:
            return cascade
        return make_pipeline(ExcessSelector(), cascade)

    def _log_ratio(self, X):
        return log_odds_of_all(self.classifiers_, X, self.n_jobs).mean(axis=0) - self._log_prior

    def scores_of_one_fold(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score each event by one of the classifiers, in turn, as out-of-fold scores are.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events that no classifier was trained on.

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
        """
        check_is_fitted(self)
        X = check_events(self, X, reset=False)
        log_ratio, fold = np.empty(len(X)), np.arange(len(X)) % len(self.classifiers_)
        for k, classifier in enumerate(self.classifiers_):
            rows = np.flatnonzero(fold == k)
            if len(rows):
                log_ratio[rows] = log_odds(classifier, X[rows]) - self._log_prior
        return self._bounded(np.exp(log_ratio))

    def _normality(self, anomaly_score):
        return -np.log(anomaly_score)

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimated density ratio of mixed to reference events, h/(1-h).

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
            Positive, higher = more anomalous, 1 where both samples are equally dense.
        """
        check_is_fitted(self)
        X = check_events(self, X, reset=False)
        return self._bounded(np.exp(self._log_ratio(X)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        # Not a classifier, but its y has two values.
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags
