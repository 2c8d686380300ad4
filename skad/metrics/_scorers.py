"""Scorers for `GridSearchCV` and `cross_validate`, by the names of `_registry.py`."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.metadata_routing import MetadataRequest, get_routing_for_object

from skad.exceptions import LowStatisticsWarning
from skad.metrics._checks import check_weight, one_class_message, read_truth
from skad.metrics._registry import SCORERS, find_scorer
from skad.metrics._responses import anomaly_response
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pandas import DataFrame

__all__ = ["anomaly_scorer_table", "anomaly_scorers", "get_anomaly_scorer"]


def get_anomaly_scorer(
    name: str,
    *,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
    **options: Any,
) -> Callable[..., Any]:
    """Return a scorer of anomaly detection for scikit-learn's model selection.

    The scorer is called ``scorer(estimator, X, y)`` with any detector, density or classifier, or
    a Pipeline of one; `anomaly_response` says how its score is read. Greater is better.

    Parameters
    ----------
    name : str
        A row of `anomaly_scorer_table`: such as "max_sic", "roc_auc_anomaly",
        "average_precision_anomaly", "precision_at_n" and, with any number, "precision_at_100",
        "sic_at_fpr_1e-2" and "tpr_at_fpr_1e-3" by truth labels, which are y or the routed metadata
        `truth`; "argos", "overlap", "neg_mass_volume" and "log_likelihood" without.
    signal_label : int, str or None, default=None
        The label of signal in y or `truth`; required where they hold -1 and +1.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.
    **options
        Parameters of the metric that the table lists.

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

    Against events of a background template instead of truth labels:

    >>> scorer = get_anomaly_scorer("argos", background=rng.normal(size=(2000, 2)))
    >>> bool(scorer(IsolationForest(random_state=0).fit(X), X) > 0.1)
    True
    """
    return AnomalyScorer(
        name, signal_label=signal_label, background_label=background_label, **options
    )


def anomaly_scorer_table() -> DataFrame:
    """List the scorers of `get_anomaly_scorer`.

    Returns
    -------
    table : pandas.DataFrame
        One row per name, a part in angle brackets standing for any of its options or any number,
        with the columns ``needs_truth``, ``options`` and ``summary``.

    Examples
    --------
    >>> from skad.metrics import anomaly_scorer_table
    >>> table = anomaly_scorer_table()
    >>> table.loc["max_sic", "options"]
    'min_background_events, max_relative_error'
    >>> sorted(table.index[~table["needs_truth"]])
    ['argos', 'log_likelihood', 'neg_mass_volume', 'overlap']
    """
    import pandas as pd

    rows = [
        (
            entry.needs_truth,
            ", ".join(f"{o} (required)" if o in entry.required else o for o in entry.options),
            entry.summary,
        )
        for entry in SCORERS.values()
    ]
    index = pd.Index(SCORERS, name="name")
    return pd.DataFrame(rows, index=index, columns=["needs_truth", "options", "summary"])


def anomaly_scorers(
    scorers: Sequence[str] | Mapping[str, dict[Any, Any]],
    *,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> Callable[..., Any]:
    """Return one scorer that gives several scores from one pass over the events.

    Parameters
    ----------
    scorers : list of str, or dict of str to dict
        Names of `get_anomaly_scorer`, or names with the options of each.
    signal_label : int, str or None, default=None
        The label of signal, for all of them.
    background_label : int, str or None, default=None
        The label of background, for all of them.

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
    if not isinstance(scorers, (Mapping, list, tuple, set)):
        raise TypeError(f"scorers must be names, or a dict of names to options; got {scorers!r}.")
    options = dict(scorers) if isinstance(scorers, Mapping) else {name: {} for name in scorers}
    if not options:
        raise ValueError("scorers is empty; give at least one name.")
    return AnomalyScorers(options, signal_label=signal_label, background_label=background_label)


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

    def __init__(self, name, *, signal_label=None, background_label=None, **options):
        super().__init__()
        self.name = name
        self.signal_label = signal_label
        self.background_label = background_label
        self.options = options
        self._check_options()

    def _check_options(self):
        entry, _ = find_scorer(self.name)
        unknown = sorted(set(self.options) - set(entry.options))
        if unknown:
            raise TypeError(
                f"The scorer {self.name!r} has no option {unknown}; it takes "
                f"{list(entry.options) or 'none'}."
            )
        for name in entry.required:
            if name not in self.options:
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
        labels = (self.signal_label, self.background_label)
        return self._score(Scored(estimator, X, y, truth, sample_weight, *labels))

    def _score(self, scored):
        entry, fixed = find_scorer(self.name)
        options = fixed | self.options
        if entry.needs_truth:
            return float(_truth_score(entry.function, scored, **options))
        return float(entry.function(scored, **options))

    def __repr__(self):
        labels = {"signal_label": self.signal_label, "background_label": self.background_label}
        options = {**labels, **self.options}
        shown = [
            f", {key}={value!r}" if np.ndim(value) == 0 else f", {key}=<{type(value).__name__}>"
            for key, value in options.items()
            if value is not None
        ]
        return f"get_anomaly_scorer({self.name!r}{''.join(shown)})"


class AnomalyScorers(_RoutedScorer):
    """Scorer returned by `anomaly_scorers`."""

    def __init__(self, options, *, signal_label=None, background_label=None):
        super().__init__()
        for name, kwargs in options.items():
            if not isinstance(kwargs, (Mapping, type(None))):
                raise TypeError(
                    "scorers must be a list of names, or a dict of names to the options of each, "
                    f"dicts or None; got {kwargs!r} for {name!r}."
                )
        self.scorers = {
            name: AnomalyScorer(
                name, signal_label=signal_label, background_label=background_label, **(kwargs or {})
            )
            for name, kwargs in options.items()
        }
        self.signal_label = signal_label
        self.background_label = background_label

    def __call__(self, estimator, X, y=None, *, truth=None, sample_weight=None):
        """Return a dict of name to score; the parameters are those of one scorer."""
        labels = (self.signal_label, self.background_label)
        scored = Scored(estimator, X, y, truth, sample_weight, *labels)
        return {name: scorer._score(scored) for name, scorer in self.scorers.items()}

    def __repr__(self):
        return f"anomaly_scorers({list(self.scorers)})"


class Scored:
    """An estimator with the events to score; the anomaly score is computed once."""

    def __init__(self, estimator, X, y, truth, sample_weight, signal_label, background_label):
        self.estimator = estimator
        self.X = X
        self.y = y
        self.truth = y if truth is None else truth
        self.signal_label = signal_label
        self.background_label = background_label
        self.weight = sample_weight

    @functools.cached_property
    def scores(self):
        return self.response(self.X)

    def response(self, X, estimator=None):
        estimator = self.estimator if estimator is None else estimator
        return anomaly_response(estimator, X, signal_label=self.signal_label)


def _truth_score(metric, scored, **options):
    signal, scores, weight = read_truth(
        scored.truth,
        scored.scores,
        scored.weight,
        signal_label=scored.signal_label,
        background_label=scored.background_label,
        name="y (or truth)",
    )
    problem = one_class_message(signal, check_weight(weight, signal))
    if problem is not None:
        warnings.warn(
            f"The score is NaN: {problem}. In cross-validation, pass "
            "cv=StratifiedKFold(shuffle=True): scikit-learn stratifies folds for classifiers "
            "only, and sorted data then gives folds of one class.",
            LowStatisticsWarning,
            stacklevel=2,
        )
        return np.nan
    return metric(signal, scores, sample_weight=weight, **options)
