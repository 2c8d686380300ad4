"""Which columns make an event anomalous: contributions to the score of any detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.utils import check_random_state

from skad.coordinates import CoordinateTransformer
from skad.density import FlowDensity, FramedDensity
from skad.detectors import AutoencoderDetector, DensityDetector, VAEDetector
from skad.detectors._reconstruction import ReconstructionDetector
from skad.inspection._conditional_draws import ConditionalDraws
from skad.metrics import anomaly_response
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, EVENTS, Having, checked
from skad.utils._children import rows_of
from skad.utils._optional import import_optional

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["explain"]

METHODS = ("auto", "conditionals", "occlusion", "reconstruction", "shap")
# They map each column by itself.
_ONE_TO_ONE = (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
# Events that stand for all others in the search for neighbours.
_MOST = 2000


@checked(
    detector=Having("a fitted detector, density, classifier or pipeline", ("fit",)),
    X=EVENTS,
    background=EVENTS,
    method=[sk.StrOptions(set(METHODS))],
    n_draws=COUNT,
    random_state=["random_state"],
)
def explain(
    detector: Estimator,
    X: ArrayLike | DataFrame,
    *,
    background: ArrayLike | DataFrame | None = None,
    method: Literal["auto", "occlusion", "reconstruction", "conditionals", "shap"] = "auto",
    n_draws: int = 20,
    random_state: Seed = None,
) -> DataFrame:
    """Contribution of every column to the anomaly score of every event.

    Parameters
    ----------
    detector : fitted estimator
        A detector, density, classifier or pipeline, of skad, scikit-learn or, through
        `PyODDetector`, PyOD: all that `anomaly_response` reads.
    X : array-like or DataFrame of shape (n_events, n_features)
        Events to explain, in the columns that `detector` takes: those before a pipeline's steps and
        before any coordinates.
    background : array-like or DataFrame of shape (n_background, n_features), default=None
        Events that say what is normal, such as those of the fit, for occlusion; None takes `X`,
        which then must hold more than `n_draws` events.
    method : {"auto", "occlusion", "reconstruction", "conditionals", "shap"}, default="auto"
        - "occlusion": how far the score falls when the value in a column is replaced by values of
          background events that are alike in all other columns; the median over `n_draws` of
          them. For every estimator, and columns of every kind; the sum says nothing.
        - "conditionals": ``-log p(x_i | x_1 ... x_(i-1))`` in nats, of a `FlowDensity` whose flow
          keeps the order of the features (see its `conditional_log_densities`), or of
          `DensityDetector` and `FramedDensity` around it; they add up to the score -log p.
        - "reconstruction": squared errors of `AutoencoderDetector` and `VAEDetector`, divided by
          the number of columns, so that they add up to the score, that of the metric "mse". A
          network that takes an odd value for a sign of something else puts errors into other
          columns.
        - "shap": Shapley values of an isolation forest, or of a classifier of trees, by the
          package shap (``pip install 'skad[explain]'``), in units of the average path or of the
          log odds; they add up to how much those differ from their mean, not to the score.
        - "auto": "conditionals" where there are such, else "occlusion".
    n_draws : int, default=20
        Values that replace the one of an event, from as many neighbours.
    random_state : int, RandomState or None, default=None
        Chooses 2000 background events where there are more.

    Returns
    -------
    contributions : pandas.DataFrame of shape (n_events, n_features)
        In the units of the anomaly score, positive where a column makes an event more anomalous;
        rows and columns are those of `X`, "x0", "x1", ... without names. ``attrs`` holds
        `method`, and in `adds_up` whether the sum of a row is the anomaly score.

    Raises
    ------
    TypeError
        A method that the detector has not.
    ValueError
        Too few background events, or other columns than those of `X`.

    Notes
    -----
    Behind a pipeline, terms of the last step are those of the columns of X only if every step maps
    each column by itself, as scalers and the coordinates of skad with one column at a time do;
    occlusion needs nothing of the kind.

    References
    ----------
    .. [1] I. Covert, S. Lundberg, S.-I. Lee, "Explaining by removing", JMLR 22 (2021) 209,
       arXiv:2011.14878: occlusion by conditional values.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.inspection import explain
    >>> X = load_wine(as_frame=True).data
    >>> odd = X.iloc[[3]].assign(ash=6.0)
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> explain(forest, odd, background=X).iloc[0].idxmax()
    'ash'
    """
    if not hasattr(X, "iloc"):
        X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X must have shape (n_events, n_features); got shape {X.shape}.")
    if method == "auto":
        method = "conditionals" if _conditionals_of(detector) is not None else "occlusion"
    if method == "occlusion":
        values, adds_up = _occlusion(detector, X, background, n_draws, random_state), False
    else:
        values, adds_up = _OF_DETECTORS[method](detector, X)
    names = X.columns if hasattr(X, "iloc") else [f"x{i}" for i in range(X.shape[1])]
    table = pd.DataFrame(values, columns=names, index=getattr(X, "index", None))
    table.attrs |= {"method": method, "adds_up": adds_up}
    return table


def _occlusion(detector, X, background, n_draws, random_state):
    if background is None:
        background = X
    if not hasattr(background, "iloc"):
        background = np.asarray(background)
    alike = hasattr(X, "iloc") == hasattr(background, "iloc")
    if not alike or background.ndim != 2 or background.shape[1] != X.shape[1]:
        raise ValueError(
            "background must be of the kind of X, with the same columns; got a "
            f"{type(background).__name__} of shape {background.shape} and a {type(X).__name__} of "
            f"shape {X.shape}."
        )
    if hasattr(X, "iloc") and list(background.columns) != list(X.columns):
        raise ValueError(
            f"background must have the columns of X, {list(X.columns)}; got "
            f"{list(background.columns)}."
        )
    if len(background) <= n_draws:
        raise ValueError(
            f"background must hold more events than n_draws={n_draws}; got {len(background)}. Give "
            "events of the fit as background=, or a smaller n_draws."
        )
    if len(background) > _MOST:
        rng = check_random_state(random_state)
        background = rows_of(background, rng.choice(len(background), _MOST, replace=False))
    score = anomaly_response(detector, X)
    # What the detector refuses among the background must not depend on the draws.
    anomaly_response(detector, background)
    draws = ConditionalDraws(background, n_draws)
    n_calls = 1 if _scores_alone(detector, X, score) else n_draws
    values = np.empty(X.shape)
    for column in range(X.shape[1]):
        # Draw after draw for all events, in as many calls as the detector allows.
        replaced = draws.replaced(X, column)
        parts = np.split(np.arange(n_draws * len(X)), n_calls)
        scores = [anomaly_response(detector, rows_of(replaced, part)) for part in parts]
        # A median, as scores far out differ by orders of magnitude.
        values[:, column] = score - np.median(
            np.concatenate(scores).reshape(n_draws, len(X)), axis=0
        )
    return values


def _scores_alone(detector, X, score):
    """Return whether events have the same score in other company.

    Some detectors of PyOD rank them among all that they are given: replaced events must then be
    scored in company like that of X.
    """
    other = anomaly_response(detector, rows_of(X, np.repeat(np.arange(len(X)), 3)))[::3]
    return np.allclose(other, score, rtol=1e-6)


def _last_step(detector, X=None):
    """Return the last step and the events that reach it, or None if columns are mixed."""
    if not isinstance(detector, Pipeline):
        return detector, X
    steps = [step for _, step in detector.steps[:-1] if step not in (None, "passthrough")]
    if not all(map(_maps_each_column, steps)):
        return None, None
    if X is None or len(detector) == 1:
        return detector[-1], X
    return detector[-1], detector[:-1].transform(X)


def _maps_each_column(step):
    if isinstance(step, CoordinateTransformer):
        return type(step)._log_abs_det is CoordinateTransformer._log_abs_det
    return isinstance(step, _ONE_TO_ONE)


def _conditionals_of(detector):
    """Return a function of X with the terms of -log p, or None where there are none."""
    last, _ = _last_step(detector)
    if isinstance(last, DensityDetector):
        if not last.log_score or last.frame_ is not None or len(last.constant_indices_):
            return None
        last = last._framed
    frames = []
    while isinstance(last, FramedDensity):
        frames += [] if last.coordinates_ is None else [last.coordinates_]
        last = last.density_
    if not isinstance(last, FlowDensity) or not last._keeps_order():
        return None
    if frames and len(last.condition_indices_):
        return None
    # Each must give the Jacobian of every column.
    if not all(isinstance(f, CoordinateTransformer) and _maps_each_column(f) for f in frames):
        return None

    def terms(X):
        derivative = 0.0
        for frame in frames:
            derivative = derivative + frame._log_derivative(np.asarray(X, dtype=np.float64))
            X = frame.transform(X)
        values = np.zeros(np.shape(X))
        values[:, last.feature_indices_] = -last.conditional_log_densities(X)
        return values - derivative

    return terms


def _conditionals(detector, X):
    terms = _conditionals_of(detector)
    if terms is None:
        raise TypeError(
            "method='conditionals' needs a FlowDensity whose flow keeps the order of the features "
            "(flow_options={'permutation': 'none'}), in the columns of X or in coordinates of "
            f"each column by itself; got {detector!r:.200}. Use method='occlusion'."
        )
    return terms(_last_step(detector, X)[1]), True


def _reconstruction(detector, X):
    last, events = _last_step(detector, X)
    if not isinstance(last, ReconstructionDetector):
        raise TypeError(
            "method='reconstruction' needs an AutoencoderDetector or VAEDetector, alone or behind "
            f"steps that map each column by itself; got {detector!r:.200}. Use method='occlusion'."
        )
    adds_up = isinstance(last, AutoencoderDetector) or (
        isinstance(last, VAEDetector) and last.metric == "mse"
    )
    return last.reconstruction_errors(events) / len(last.feature_indices_), adds_up


def _shap(detector, X):
    shap = import_optional("shap", extra="explain", purpose="explain(method='shap')")
    last, events = _last_step(detector, X)
    try:
        explainer = None if last is None else shap.TreeExplainer(last)
    except Exception:
        # Its own exception is of a class that is not public.
        explainer = None
    if explainer is None:
        raise TypeError(
            "method='shap' needs an isolation forest or a classifier of trees that shap knows, "
            "alone or behind steps that map each column by itself; got "
            f"{detector!r:.200}. Use method='occlusion'."
        )
    values = np.asarray(explainer.shap_values(events), dtype=np.float64)
    if values.ndim == 3:
        values = values[..., 1]
    # Paths in an isolation forest are long for normal events.
    is_normality = hasattr(last, "score_samples")
    return (-values if is_normality else values), False


_OF_DETECTORS = {
    "conditionals": _conditionals,
    "reconstruction": _reconstruction,
    "shap": _shap,
}
