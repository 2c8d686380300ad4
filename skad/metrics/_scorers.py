"""Scorers for `GridSearchCV` and `cross_validate`, by name."""

import copy
import functools
import inspect
import itertools
import re
import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRequest, get_routing_for_object

from skad.exceptions import LowStatisticsWarning
from skad.metrics._argos import argos_score
from skad.metrics._checks import check_weight, one_class_message, signal_mask
from skad.metrics._overlap import selection_overlap
from skad.metrics._responses import anomaly_response
from skad.metrics._sic import max_significance_improvement, significance_improvement_at
from skad.utils import _sklearn as sk
from skad.utils._random import draw_seeds

__all__ = ["anomaly_scorers", "get_anomaly_scorer"]


def get_anomaly_scorer(name, *, signal_label=None, **options):
    """Return a scorer of anomaly detection for scikit-learn's model selection.

    The scorer is called ``scorer(estimator, X, y)`` with any detector, density or classifier, or
    a Pipeline of one; `anomaly_response` says how its score is read. Greater is better.

    Parameters
    ----------
    name : str
        With truth labels, which are y or the routed metadata `truth`:

        - ``"max_sic"``: `max_significance_improvement`; options `min_background_events`,
          `max_relative_error`;
        - ``"sic_at_fpr_1e-2"``, ``"sic_at_tpr_0.3"``, ``"sic_at_rejection_1e3"``, with any number:
          `significance_improvement_at`; option `min_background_events`;
        - ``"roc_auc_anomaly"``: area under the ROC curve.

        Without truth labels:

        - ``"overlap"``: `selection_overlap` with the fitted detector `reference`, or, without
          one, the mean over pairs of `n_refits` (2) refits of the estimator to the scored
          events with other seeds; options `fraction`, `random_state`;
        - ``"argos"``: `argos_score` against the template `background`: an array or DataFrame of
          events like X, with `background_weight`; or "reference", the events with y = 0 when the
          detector is weakly supervised with y = 1 for data; options as of `argos_score`;
        - ``"log_likelihood"``: mean log density in nats, of a density or of a detector with a
          fitted `density_`, in the coordinates of X.
    signal_label : int, str or None, default=None
        The label of signal in y or `truth`; required where they hold -1 and +1.
    **options
        Parameters of the metric, as listed.

    Returns
    -------
    scorer : callable
        Can be pickled and cloned, and used with ``n_jobs``. With metadata routing switched on, it
        takes `truth` without being asked and `sample_weight` after
        ``scorer.set_score_request(sample_weight=True)``.

    Notes
    -----
    A test fold of one class scores NaN with a `LowStatisticsWarning`: scikit-learn stratifies
    folds for classifiers only, so pass ``cv=StratifiedKFold(shuffle=True)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.model_selection import StratifiedKFold, cross_val_score
    >>> from skad.metrics import get_anomaly_scorer
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(950, 2)), rng.normal(3, 1, size=(50, 2))])
    >>> y = np.repeat([0, 1], [950, 50])
    >>> scores = cross_val_score(
    ...     IsolationForest(random_state=0), X, y,
    ...     scoring=get_anomaly_scorer("roc_auc_anomaly"),
    ...     cv=StratifiedKFold(shuffle=True, random_state=0),
    ... )
    >>> bool(scores.mean() > 0.9)
    True
    """
    return AnomalyScorer(name, signal_label=signal_label, **options)


def anomaly_scorers(scorers, *, signal_label=None):
    """Return one scorer that gives several scores from one pass over the events.

    Parameters
    ----------
    scorers : list of str, or dict of str to dict
        Names of `get_anomaly_scorer`, or names with the options of each.
    signal_label : int, str or None, default=None
        The label of signal, for all of them.

    Returns
    -------
    scorer : callable
        Returns a dict of name to score. `GridSearchCV` then needs ``refit=`` one of the names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.metrics import anomaly_scorers
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(990, 1)), rng.normal(6, 1, size=(10, 1))])
    >>> scorer = anomaly_scorers(["roc_auc_anomaly", "log_likelihood"])
    >>> values = scorer(GaussianMixture().fit(X), X, np.repeat([0, 1], [990, 10]))
    >>> {name: round(value, 2) for name, value in values.items()}
    {'roc_auc_anomaly': 1.0, 'log_likelihood': -1.6}
    """
    if isinstance(scorers, str):
        scorers = [scorers]
    options = dict(scorers) if isinstance(scorers, Mapping) else {name: {} for name in scorers}
    if not options:
        raise ValueError("scorers is empty; give at least one name.")
    return AnomalyScorers(options, signal_label=signal_label)


class _RoutedScorer:
    """A callable with the metadata requests of scikit-learn's scorers."""

    def __init__(self):
        request = MetadataRequest(owner=type(self).__name__)
        # `truth` has no other meaning than to be scored with, so it needs no request.
        request.score.add_request(param="truth", alias=True)
        request.score.add_request(param="sample_weight", alias=None)
        self._metadata_request = request

    def set_score_request(self, **requests):
        """Say which metadata the scorer takes, by what name; see scikit-learn's scorers.

        Parameters
        ----------
        **requests : bool, str or None
            For `truth` and `sample_weight`.

        Returns
        -------
        self : scorer
        """
        if not sk.routing_enabled():
            raise RuntimeError(
                "set_score_request works with metadata routing only; switch it on with "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        unknown = set(requests) - {"truth", "sample_weight"}
        if unknown:
            raise TypeError(
                f"set_score_request got {sorted(unknown)}; the scorer takes truth and "
                "sample_weight."
            )
        for param, alias in requests.items():
            self._metadata_request.score.add_request(param=param, alias=alias)
        return self

    def get_metadata_routing(self):
        """Return the metadata requests of the scorer."""
        return get_routing_for_object(self._metadata_request)

    def _accept_sample_weight(self):
        # GridSearchCV asks this when metadata routing is off.
        return True

    def __sklearn_clone__(self):
        # A fitted reference detector is part of the scorer, so it must survive cloning.
        return copy.deepcopy(self)


class AnomalyScorer(_RoutedScorer):
    """Scorer returned by `get_anomaly_scorer`."""

    def __init__(self, name, *, signal_label=None, **options):
        super().__init__()
        self.name = name
        self.signal_label = signal_label
        self.options = options
        self._check_options()

    def _check_options(self):
        metric, fixed = _find_metric(self.name)
        parameters = inspect.signature(metric).parameters
        allowed = [name for name in parameters if name not in {"scored", *fixed}]
        unknown = sorted(set(self.options) - set(allowed))
        if unknown:
            raise TypeError(
                f"The scorer {self.name!r} has no option {unknown}; it takes {allowed or 'none'}."
            )
        for name in allowed:
            if parameters[name].default is inspect.Parameter.empty and name not in self.options:
                raise TypeError(f"The scorer {self.name!r} needs the option {name!r}.")

    def __call__(self, estimator, X, y=None, *, truth=None, sample_weight=None):
        """Return the score of a fitted estimator.

        Parameters
        ----------
        estimator : fitted estimator
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            Truth labels, unless `truth` is given.
        truth : array-like of shape (n_events,), default=None
            Truth labels, where y means something else.
        sample_weight : array-like of shape (n_events,), default=None

        Returns
        -------
        score : float
        """
        return self._score(_Scored(estimator, X, y, truth, sample_weight, self.signal_label))

    def _score(self, scored):
        metric, fixed = _find_metric(self.name)
        return float(metric(scored, **fixed, **self.options))

    def __repr__(self):
        options = {"signal_label": self.signal_label, **self.options}
        shown = [
            f", {key}={value!r}" if np.ndim(value) == 0 else f", {key}=<{type(value).__name__}>"
            for key, value in options.items()
            if value is not None
        ]
        return f"get_anomaly_scorer({self.name!r}{''.join(shown)})"


class AnomalyScorers(_RoutedScorer):
    """Scorer returned by `anomaly_scorers`."""

    def __init__(self, options, *, signal_label=None):
        super().__init__()
        self.scorers = {
            name: AnomalyScorer(name, signal_label=signal_label, **(kwargs or {}))
            for name, kwargs in options.items()
        }
        self.signal_label = signal_label

    def __call__(self, estimator, X, y=None, *, truth=None, sample_weight=None):
        """Return a dict of name to score; the parameters are those of one scorer."""
        scored = _Scored(estimator, X, y, truth, sample_weight, self.signal_label)
        return {name: scorer._score(scored) for name, scorer in self.scorers.items()}

    def __repr__(self):
        return f"anomaly_scorers({list(self.scorers)})"


class _Scored:
    """An estimator with the events to score; the anomaly score is computed once."""

    def __init__(self, estimator, X, y, truth, sample_weight, signal_label):
        self.estimator = estimator
        self.X = X
        self.y = y
        self.truth = y if truth is None else truth
        self.signal_label = signal_label
        self.weight = sample_weight

    @functools.cached_property
    def scores(self):
        return self.response(self.X)

    def response(self, X, estimator=None):
        estimator = self.estimator if estimator is None else estimator
        return anomaly_response(estimator, X, signal_label=self.signal_label)


def _max_sic(scored, *, min_background_events=25, max_relative_error=None):
    return _truth_score(
        max_significance_improvement,
        scored,
        min_background_events=min_background_events,
        max_relative_error=max_relative_error,
    )


def _sic_at(scored, *, tpr, fpr, rejection, min_background_events=25):
    return _truth_score(
        significance_improvement_at,
        scored,
        tpr=tpr,
        fpr=fpr,
        rejection=rejection,
        min_background_events=min_background_events,
    )


def _roc_auc_anomaly(scored):
    return _truth_score(roc_auc_score, scored)


def _truth_score(metric, scored, **options):
    signal = signal_mask(scored.truth, scored.signal_label, name="y (or truth)")
    problem = one_class_message(signal, check_weight(scored.weight, signal))
    if problem is not None:
        warnings.warn(
            f"The score is NaN: {problem}. In cross-validation, pass "
            "cv=StratifiedKFold(shuffle=True): scikit-learn stratifies folds for classifiers "
            "only, and sorted data then gives folds of one class.",
            LowStatisticsWarning,
            stacklevel=2,
        )
        return np.nan
    return metric(signal, scored.scores, sample_weight=scored.weight, **options)


def _overlap(scored, *, reference=None, fraction=0.01, n_refits=2, random_state=None):
    if reference is not None:
        return selection_overlap(
            scored.scores,
            scored.response(scored.X, reference),
            fraction=fraction,
            sample_weight=scored.weight,
        )
    if n_refits < 2:
        raise ValueError(f"n_refits must be at least 2 to compare refits; got {n_refits}.")
    refits = [_refit(scored, seed) for seed in draw_seeds(random_state, n_refits)]
    scores = [scored.response(scored.X, refit) for refit in refits]
    pairs = itertools.combinations(scores, 2)
    return np.mean(
        [selection_overlap(*p, fraction=fraction, sample_weight=scored.weight) for p in pairs]
    )


def _refit(scored, seed):
    estimator = clone(scored.estimator)
    names = [
        name
        for name in estimator.get_params(deep=True)
        if name == "random_state" or name.endswith("__random_state")
    ]
    if not names:
        raise ValueError(
            f"{type(estimator).__name__} has no random_state, so its refits are identical; "
            "pass reference= a fitted detector to measure the overlap with."
        )
    estimator.set_params(**dict(zip(names, draw_seeds(seed, len(names)), strict=True)))
    return estimator.fit(scored.X, scored.y)


def _argos(
    scored,
    *,
    background,
    background_weight=None,
    background_efficiency=None,
    min_background_events=25,
    max_relative_error=None,
):
    options = {
        "background_efficiency": background_efficiency,
        "min_background_events": min_background_events,
        "max_relative_error": max_relative_error,
    }
    if not isinstance(background, str):
        return argos_score(
            scored.scores,
            scored.response(background),
            sample_weight=scored.weight,
            background_weight=background_weight,
            **options,
        )
    if background != "reference":
        raise ValueError(
            f"background must be events or 'reference' (the events with y = 0); got {background!r}."
        )
    if background_weight is not None:
        raise ValueError(
            "background_weight belongs to background events given as an array; "
            "with background='reference' pass sample_weight."
        )
    is_data = signal_mask(scored.y, name="y")
    weight = check_weight(scored.weight, is_data)
    if one_class_message(is_data, weight) is not None:
        warnings.warn(
            "The score is NaN: y holds only data or only reference events. In cross-validation, "
            "pass cv=StratifiedKFold(shuffle=True).",
            LowStatisticsWarning,
            stacklevel=2,
        )
        return np.nan
    return argos_score(
        scored.scores[is_data],
        scored.scores[~is_data],
        sample_weight=weight[is_data],
        background_weight=weight[~is_data],
        **options,
    )


def _log_likelihood(scored):
    estimator = scored.estimator
    if isinstance(estimator, Pipeline):
        if any(step not in (None, "passthrough") for _, step in estimator.steps[:-1]):
            raise ValueError(
                "The log density of a Pipeline is in the coordinates of its last step, so "
                "pipelines with different transformers cannot be compared by it; "
                "use skad.density.FramedDensity(coordinates, density)."
            )
        estimator = estimator[-1]
    estimator = getattr(estimator, "density_", estimator) if _is_detector(estimator) else estimator
    if _is_detector(estimator) or not hasattr(estimator, "score_samples"):
        raise TypeError(
            f"log_likelihood needs a density, or a detector with a fitted density_; got "
            f"{type(estimator).__name__}."
        )
    weight = check_weight(scored.weight, scored.X)
    return np.average(estimator.score_samples(scored.X), weights=weight)


def _is_detector(estimator):
    return hasattr(estimator, "anomaly_score") or hasattr(estimator, "decision_function")


_METRICS = {
    "max_sic": _max_sic,
    "roc_auc_anomaly": _roc_auc_anomaly,
    "overlap": _overlap,
    "argos": _argos,
    "log_likelihood": _log_likelihood,
}


def _find_metric(name):
    """Return the metric of a name and the parameters that the name itself fixes."""
    if isinstance(name, str):
        if name in _METRICS:
            return _METRICS[name], {}
        match = re.fullmatch(r"sic_at_(tpr|fpr|rejection)_([0-9.]+(?:e[+-]?[0-9]+)?)", name)
        if match:
            given = dict.fromkeys(("tpr", "fpr", "rejection"))
            try:
                given[match[1]] = float(match[2])
            except ValueError:
                match = None
        if match:
            return _sic_at, given
    raise ValueError(
        f"name must be one of {sorted(_METRICS)} or sic_at_<tpr|fpr|rejection>_<number>, "
        f"such as 'sic_at_fpr_1e-2'; got {name!r}."
    )
