"""Any background template turned into a detector of the signal region."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin
from skad.detectors import CascadeClassifier, CWoLaDetector
from skad.detectors._training_sample import TrainingSample
from skad.exceptions import LowStatisticsWarning
from skad.resonant._events import labels_out_of_fold, named
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child, shared_parameters, takes_weights
from skad.utils._events import check_events
from skad.utils._labels import read_labels

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator, Seed

__all__ = ["TemplateDetector"]

# Fewer events of the signal region teach a classifier nothing.
_FEW_EVENTS = 500


class TemplateDetector(DetectorMixin, BaseEstimator):
    """Weakly supervised detector: data of the signal region against a background template.

    A classifier learns to tell the data of the signal region from the events of the template. Its
    odds estimate p_data / p_background, the optimal score for any signal if the template is right.
    The resonant feature is not shown to the classifier.

    Parameters
    ----------
    template : estimator
        Unfitted template with ``fit(X, y)`` and ``sample_background(n_samples, random_state)``:
        `Sidebands` (CWoLa hunting), `GivenReference` (the idealised detector), `CATHODE`,
        `SIGMA`, `LaCATHODE`, `SALAD`, `CURTAINS`, `FETA`, `CombinedTemplate`. It holds `region` and
        `resonance`.
    classifier : estimator, default=None
        Any scikit-learn classifier with `predict_proba`. None is ``CascadeClassifier()``.
    cv : int, splitter or None, default=5
        Cross-fitting: training events are scored by a classifier that has not seen them, other
        events by the mean log odds of all. None fits one classifier on all events; take it inside
        `BumpHunt`, which has folds of its own.
    decorrelator : transformer, default=None
        Map of events that leaves m in its place, fitted to the data: the classifier compares what
        it makes of data and template, and with `QuantileDecorrelator` its cuts hardly sculpt the
        spectrum of m. One without a region of its own gets that of the template, with sidebands
        that reach as far as the data. None compares the features as they are.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training data (region and sidebands) to call outliers.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.
    n_jobs : int, default=None
        Folds fitted in parallel: those of `cv`, or where it is None of the default classifier.
    random_state : int, RandomState or None, default=None
        Seed of template, folds and classifiers.

    Attributes
    ----------
    template_ : estimator
        Fitted template.
    decorrelator_ : transformer or None
        Fitted map of the events.
    detector_ : CWoLaDetector
        Fitted classifiers.
    region_ : SignalRegion
        Resolved signal region.
    training_scores_ : ndarray of float64, shape (n_events,)
        Anomaly scores of the training data by the classifier of one fold that has not seen them;
        in sample with ``cv=None``. NaN for simulated events, and where no fold left one out. Select
        among the training events by these: ``anomaly_score(X)`` of events that the classifier was
        trained on finds signal where there is none.
    n_template_ : int
        Template events that the classifier was trained with.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Warns
    -----
    LowStatisticsWarning
        Fewer than 500 data events in the signal region. Whether they hold enough signal to be
        trusted is what `skad.inspection.breakdown_test` tests.

    Notes
    -----
    ``anomaly_score = h / (1 - h)`` corrected to equal weights of data and template, and
    ``score_samples = -log(anomaly_score)``. A template with ``transform(X)`` (LaCATHODE) chooses
    the coordinates of the classifier, as a `decorrelator` does.

    Functions of `skad.papers` return it with the template and the network of a paper:
    `cwola_hunting`, `cathode`, `lacathode`, `idealised`, `salad`, `curtains`, `feta`, `interplay`.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.datasets import make_resonance
    >>> from skad.metrics import max_significance_improvement
    >>> from skad.resonant import Sidebands, TemplateDetector
    >>> X, y = make_resonance(20_000, 400, random_state=0, return_X_y=True)
    >>> detector = TemplateDetector(
    ...     Sidebands(region=(3.3, 3.7)), LogisticRegression(), random_state=0
    ... ).fit(X)
    >>> inside = detector.region_.mask(X)
    >>> sic = max_significance_improvement(y[inside], detector.training_scores_[inside])
    >>> bool(sic > 3)
    True
    """

    _parameter_constraints: dict = {
        "template": [sk.HasMethods(["fit", "sample_background"])],
        "classifier": [None, sk.HasMethods(["fit"])],
        "cv": ["cv_object", None],
        "decorrelator": [None, sk.HasMethods(["fit", "transform"])],
        "n_jobs": [int, None],
        "random_state": ["random_state"],
        **ScoreMixin._threshold_constraints,
    }

    def __init__(
        self,
        template: Estimator,
        classifier: Estimator | None = None,
        *,
        cv: Any = 5,
        decorrelator: Estimator | None = None,
        contamination: float = 0.01,
        threshold: float | None = None,
        n_jobs: int | None = None,
        random_state: Seed = None,
    ) -> None:
        self.template = template
        self.classifier = classifier
        self.cv = cv
        self.decorrelator = decorrelator
        self.contamination = contamination
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.random_state = random_state

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the template, then the classifier of data against template.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events of signal region and sidebands, the resonant feature among the columns.
        y : array-like of shape (n_events,), default=None
            1 = data and 0 = simulation or reference, where the template needs it; ignored
            elsewhere (truth labels may be passed).
        sample_weight : array-like of shape (n_events,), default=None
            Weights of data and simulation.

        Returns
        -------
        self : TemplateDetector

        Raises
        ------
        RegionError
            The region is empty, outside the data or lacks what the template needs.
        """
        rng = check_random_state(self.random_state)
        self.template_ = fit_child(
            self.template, X, y, sample_weight=sample_weight, random_state=rng
        )
        self.region_ = self.template_.region_
        values = check_events(self, X, dtype=np.float64)
        data = self._data(values, y)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, values, dtype=np.float64)
        self.decorrelator_ = self._fit_decorrelator(values, data, weight, rng)
        rows = np.flatnonzero(data & self.region_.mask(values))
        if len(rows) < _FEW_EVENTS:
            warnings.warn(
                f"the signal region [{self.region_.low:g}, {self.region_.high:g}) holds "
                f"{len(rows)} data events; a classifier learns little from fewer than "
                f"{_FEW_EVENTS}. Widen the region.",
                LowStatisticsWarning,
                stacklevel=3,
            )
        trained = self._fit_classifier(values, rows, weight, rng)
        self._score_training(X, data, trained)
        scored = ~np.isnan(self.training_scores_)
        self._set_offset(self.training_scores_[scored], None if weight is None else weight[scored])
        return self

    def fit_shared(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> dict[Any, Any]:
        """Learn what all regions of the same events can share, see `Template.fit_shared`.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : array-like of shape (n_events,), default=None
        sample_weight : array-like of shape (n_events,), default=None

        Returns
        -------
        parameters : dict
            For `set_params`; empty where the template shares nothing.
        """
        shared = self.template.fit_shared(X, y, sample_weight)  # type: ignore[attr-defined]
        return {f"template__{name}": value for name, value in shared.items()}

    def fit_predict(
        self, X: ArrayLike, y: ArrayLike | None = None, **fit_params: Any
    ) -> NDArray[np.int64]:
        """Fit and label the training events by their scores out of fold: +1 normal, -1 outlier.

        With ``cv=None`` the classifier has seen them, as by ``fit(X).predict(X)``.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : array-like of shape (n_events,), default=None
        **fit_params
            Passed to `fit`.

        Returns
        -------
        labels : ndarray of int, shape (n_events,)
            Those of simulated events are of ``predict(X)``.
        """
        return labels_out_of_fold(self.fit(X, y, **fit_params), X)

    def _fit_decorrelator(self, values, data, weight, rng):
        if self.decorrelator is None:
            return None
        if hasattr(self.template_, "transform"):
            raise TypeError(
                f"decorrelator must be None with {type(self.template_).__name__}, which has "
                "coordinates of its own to compare in; take the one or the other."
            )
        own = self.decorrelator.get_params()
        settings = {}
        if "region" in own and own["region"] is None:
            settings["region"] = replace(self.region_, sideband_width=None)
        if "resonance" in own:
            settings["resonance"] = self.region_.feature
        decorrelator = fit_child(
            self.decorrelator,
            named(self, values[data]),
            sample_weight=None if weight is None else weight[data],
            random_state=rng,
            settings=settings,
        )
        n_columns = np.shape(decorrelator.transform(named(self, values[:1])))[1]
        if n_columns != values.shape[1]:
            raise ValueError(
                f"decorrelator must return m and all features, {values.shape[1]} columns; got "
                f"{n_columns}. A QuantileDecorrelator does so with keep_resonance=True."
            )
        return decorrelator

    def _fit_classifier(self, values, rows, weight, rng):
        sample, existing = self._sample(values, rows, weight, rng)
        self.n_template_ = len(sample.y) - len(rows)
        self.detector_ = CWoLaDetector(
            sample.classifier, cv=self.cv, n_jobs=self.n_jobs, random_state=rng
        ).fit(sample.X, sample.y, sample_weight=sample.sample_weight)
        return np.concatenate([rows, existing])

    def _score_training(self, X, data, trained):
        """Set the scores of the data, out of fold where the classifier has seen them.

        The others are scored by the classifier of one fold too: the mean of all is less spread, and
        a cut would pass other fractions of both.
        """
        self.training_scores_ = np.full(len(data), np.nan)
        others = data.copy()
        others[trained[trained >= 0]] = False
        if others.any():
            events = check_events(self, X, dtype=np.float64, reset=False)[others]
            scores = self.detector_.scores_of_one_fold(self._features(events))
            self.training_scores_[others] = scores
        seen = trained >= 0
        seen[seen] = data[trained[seen]]
        self.training_scores_[trained[seen]] = self.detector_.training_scores_[seen]

    def _sample(self, values, rows, weight, rng):
        """Return data of the region and template events, as the classifier sees them.

        And the rows of X that the template events are, -1 for those that are none.
        """
        background, template_weight = self.template_.sample_background(random_state=rng)
        existing = getattr(self.template_, "_rows", None)
        existing = np.full(len(background), -1) if existing is None else existing
        classifier = self.classifier
        if classifier is None:
            classifier = CascadeClassifier(n_jobs=self.n_jobs if self.cv is None else None)
        if not takes_weights(classifier) and np.ptp(template_weight) > 0:
            kept = _drawn_by_weight(template_weight, rng)
            background, existing = background[kept], existing[kept]
            template_weight = np.ones(len(background))
        data_weight = np.ones(len(rows)) if weight is None else weight[rows]
        both = np.concatenate([data_weight, template_weight])
        sample = TrainingSample(
            classifier,
            self.cv,
            np.concatenate([self._features(values[rows]), self._features(background)]),
            np.repeat([1, 0], [len(rows), len(background)]),
            None if (both == 1).all() else both,
        )
        return sample, existing

    def training_sample(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        random_state: Seed = None,
    ) -> Any:
        """Return what the classifier of the fitted detector trains on: data and fresh template.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events as for `fit`, of which the data of the signal region are taken.
        y : array-like of shape (n_events,), default=None
            1 = data and 0 = simulation where the template needs it.
        sample_weight : array-like of shape (n_events,), default=None
        random_state : int, RandomState or None, default=None
            Of the template events.

        Returns
        -------
        sample : TrainingSample

        Raises
        ------
        ValueError
            No data event lies in the signal region.
        """
        check_is_fitted(self)
        values = check_events(self, X, dtype=np.float64, reset=False)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, values, dtype=np.float64)
        rows = np.flatnonzero(self._data(values, y) & self.region_.mask(values))
        if not len(rows):
            raise ValueError(
                "X holds no data event in the signal region "
                f"[{self.region_.low:g}, {self.region_.high:g})."
            )
        return self._sample(values, rows, weight, check_random_state(random_state))[0]

    def _data(self, values, y):
        if not self._requires_y():
            return np.ones(len(values), dtype=bool)
        return read_labels(y, len(values), owner=type(self).__name__)

    def _features(self, values):
        """Return what the classifier sees: no m, in the coordinates that data are compared in."""
        if hasattr(self.template_, "transform"):
            values = np.asarray(self.template_.transform(named(self, values)))
        elif self.decorrelator_ is not None:
            values = np.asarray(self.decorrelator_.transform(named(self, values)))
        return np.delete(values, self.region_.feature, axis=1)

    def _normality(self, anomaly_score):
        return -np.log(anomaly_score)

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Estimated density ratio of data to background in the signal region, h/(1-h).

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events at any m, with the columns of `fit`.

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
            Positive, higher = more anomalous.
        """
        check_is_fitted(self)
        X = check_events(self, X, dtype=np.float64, reset=False)
        return self._bounded(self.detector_.anomaly_score(self._features(X)))

    def density_ratio(self, X: ArrayLike) -> NDArray[np.float64]:
        """R = p_data / p_background, the anomaly score; what `BumpHunt` asks for.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
        """
        return self.anomaly_score(X)

    def sample_background(
        self, n_samples: int | None = None, random_state: Seed = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw background events of the signal region from the template.

        Parameters
        ----------
        n_samples : int, default=None
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_columns)
        sample_weight : ndarray of float64, shape (n_samples,)
        """
        check_is_fitted(self)
        return self.template_.sample_background(n_samples, random_state)

    def held_out_background(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        n_samples: int | None = None,
        random_state: Seed = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return background of the signal region that the classifier has not seen.

        What the background of a cut is measured on, see `Template.held_out_background`.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events as for `fit`, but others.
        y : array-like of shape (n_events,), default=None
        sample_weight : array-like of shape (n_events,), default=None
        n_samples : int, default=None
            Of a template that draws.
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_background, n_columns)
        sample_weight : ndarray of float64, shape (n_background,)
        """
        check_is_fitted(self)
        return self.template_.held_out_background(X, y, sample_weight, n_samples, random_state)

    def refit_background(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        random_state: Seed = None,
    ) -> TemplateDetector:
        """Return a copy whose template is learned from other events, resampled ones for example.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : array-like of shape (n_events,), default=None
        sample_weight : array-like of shape (n_events,), default=None
        random_state : int, RandomState or None, default=None

        Returns
        -------
        detector : TemplateDetector
            With the classifier of this one.
        """
        check_is_fitted(self)
        other = copy(self)
        # What windows share was learned from the events as they were.
        own = dict.fromkeys(shared_parameters(self.template))
        other.template_ = fit_child(
            self.template,
            X,
            y,
            sample_weight=sample_weight,
            random_state=random_state,
            settings=own,
        )
        return other

    @property
    def interpolates(self):
        """Whether the template's events are those of the region's masses."""
        return self.template.interpolates

    @property
    def is_learned(self):
        """Whether the template's events, or their weights, come from a training."""
        return self.template.is_learned

    def _requires_y(self):
        return get_tags(self.template).target_tags.required


def _drawn_by_weight(weight, rng):
    """Return which events to keep, each with a probability in proportion to its weight."""
    return rng.uniform(size=len(weight)) * weight.max() < weight
