"""How an estimator fits the estimators that it holds: clone, seed, weigh, fit.

The rules, the same everywhere:

- A child is cloned. One in a `FrozenEstimator` is fitted already and stays as it is.
- Every `random_state` of a child, nested ones included, that is None is drawn from that of its
  parent; one that the user gave stays.
- Where several copies of one child learn from the same events, copy k of a child with the seed s
  gets the seed s + k. Folds learn from different events: they are no copies.
- Weights are brought to a mean of 1, so that their unit never matters. Equal weights are not
  passed; events without weight are then left out. Weights that matter reach the step of a pipeline
  or search that takes them, or it is an error that names the step that takes none.
"""

from contextlib import nullcontext
from numbers import Integral

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skad.utils._arguments import Numbers
from skad.utils._interrupts import among_others
from skad.utils._random import draw_seeds

__all__ = [
    "fit_child",
    "last_step",
    "requires_y",
    "rows_of",
    "seeded_child",
    "shared_parameters",
    "takes_weights",
    "unit_weights",
]

_SEARCHES = (GridSearchCV, RandomizedSearchCV)
_COMMITTEES = (StackingClassifier, VotingClassifier)
# Weights whose mean is 1 to rounding are left to the bit.
_ROUNDING = 1e-9


def unit_weights(sample_weight):
    """Return weights of mean 1 over the events that have any, so that their unit is gone.

    Parameters
    ----------
    sample_weight : array-like of shape (n_events,) or None
        Finite, not negative, not all zero.

    Returns
    -------
    weights : ndarray of float64, shape (n_events,), or None
        None for None. Equal weights become exactly 1, zeros stay zero.
    """
    if sample_weight is None:
        return None
    weights = Numbers(None, finite=False).read(sample_weight, "sample_weight")
    positive = weights[weights > 0]
    if not len(positive):
        # An error of the child, which knows what its weights are of.
        return weights
    largest = positive.max()
    if positive.min() == largest:
        return (weights > 0).astype(np.float64)
    if abs(positive.mean() - 1) < _ROUNDING:
        return weights
    return weights / largest / (positive / largest).mean()


def requires_y(estimator):
    """Return whether `fit` needs y; the tags of a pipeline or search do not say so."""
    return get_tags(last_step(estimator)).target_tags.required


def last_step(estimator):
    """Return the estimator that answers for a pipeline or a search; any other as it is."""
    if isinstance(estimator, Pipeline):
        return last_step(estimator.steps[-1][1])
    if isinstance(estimator, _SEARCHES):
        return last_step(estimator.estimator)
    return estimator


def shared_parameters(estimator):
    """Return the names of parameters `shared`, what all windows have in common, nested ones too."""
    names = estimator.get_params(deep=True)
    return [name for name in names if name.rpartition("__")[2] == "shared"]


def takes_weights(estimator):
    """Return whether weights of events can reach `fit`, through pipelines and searches too."""
    return _weight_keyword(estimator)[0] is not None


def _weight_keyword(estimator, where=""):
    """Return the keyword of `fit` for weights, or None and the step that takes none."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        keyword, refusing = _weight_keyword(last, f"{where}step {name!r}, ")
        return (None, refusing) if keyword is None else (f"{name}__{keyword}", None)
    if isinstance(estimator, _SEARCHES):
        return _weight_keyword(estimator.estimator, where)
    if isinstance(estimator, _COMMITTEES):
        members = list(estimator.estimators)
        if getattr(estimator, "final_estimator", None) is not None:
            members.append(("final_estimator", estimator.final_estimator))
        for name, member in members:
            # A committee hands weights to every member under this one name.
            if member != "drop" and _weight_keyword(member)[0] != "sample_weight":
                return None, f"{where}member {name!r}, {type(member).__name__}"
        return "sample_weight", None
    if not has_fit_parameter(estimator, "sample_weight"):
        return None, where + type(estimator).__name__
    return "sample_weight", None


def seeded_child(estimator, random_state=None, *, copy=0):
    """Return a clone whose missing seeds are drawn.

    Parameters
    ----------
    estimator : estimator
    random_state : None, int or RandomState, default=None
        Source of the seeds that the user did not give; None leaves them None, for a parent
        without a random state of its own.
    copy : int, default=0
        Number of this copy among those that learn from the same events; it is added to the
        seeds that the user gave.

    Returns
    -------
    child : estimator
    """
    child = clone(estimator)
    seeds = {
        name: value
        for name, value in sorted(child.get_params(deep=True).items())
        if name.rpartition("__")[2] == "random_state"
    }
    chosen = {}
    if random_state is not None:
        missing = [name for name, value in seeds.items() if value is None]
        chosen = dict(zip(missing, draw_seeds(random_state, len(missing)), strict=True))
    if copy:
        for name, value in seeds.items():
            if isinstance(value, Integral):
                chosen[name] = int(value) + copy
            elif value is not None:
                chosen[name] = draw_seeds(value, copy)[-1]
    return child.set_params(**chosen)


def fit_child(
    estimator,
    X,
    y=None,
    *,
    sample_weight=None,
    random_state=None,
    copy=0,
    settings=None,
    is_all=False,
):
    """Clone, seed and fit an estimator that another one holds, by the rules of this module.

    Parameters
    ----------
    estimator : estimator
        One in a `FrozenEstimator` is checked to be fitted and returned.
    X : array-like or DataFrame of shape (n_events, n_features)
    y : array-like of shape (n_events,), default=None
    sample_weight : array-like of shape (n_events,), default=None
        In any unit.
    random_state : None, int or RandomState, default=None
        Source of the seeds that the user did not give; None leaves them None, for a parent
        without a random state of its own.
    copy : int, default=0
        As in `seeded_child`.
    settings : dict, default=None
        Parameters to set before the fit.
    is_all : bool, default=False
        Whether the child is all that its parent learns, so that an interrupted fit may be kept.

    Returns
    -------
    child : fitted estimator

    Raises
    ------
    TypeError
        Weights that are not all equal, and a step that takes none.
    """
    if isinstance(estimator, FrozenEstimator):
        check_is_fitted(estimator)
        return estimator
    child = seeded_child(estimator, random_state, copy=copy).set_params(**(settings or {}))
    with nullcontext() if is_all else among_others():
        return _fit(child, X, y, unit_weights(sample_weight))


def _fit(child, X, y, weights):
    if weights is None or (weights == 1).all():
        return child.fit(X, y)
    keyword, refusing = _weight_keyword(child)
    if keyword is None:
        used = weights > 0
        if not (weights[used] == 1).all():
            raise TypeError(
                f"sample_weight is not the same for all events, but fit of {refusing} takes none; "
                "give one that does in its place, equal weights, or events drawn by their weights."
            )
        return child.fit(rows_of(X, used), None if y is None else rows_of(y, used))
    # A pipeline takes weights by the names of its steps only where routing is off.
    with config_context(enable_metadata_routing=False):
        return child.fit(X, y, **{keyword: weights})


def rows_of(X, rows):
    """Return rows of an array or DataFrame, by a mask or by positions."""
    return X.iloc[rows] if hasattr(X, "iloc") else np.asarray(X)[rows]
