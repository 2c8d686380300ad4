"""Checks of scores, labels and weights shared by the metrics."""

import numbers

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from skad.utils import _sklearn as sk

__all__ = [
    "check_fraction",
    "check_scores",
    "check_weight",
    "one_class_message",
    "signal_mask",
]


def check_scores(scores, *, name="scores"):
    """Return `scores` as a 1-d float64 array; refuse NaN and infinity.

    A cut on a NaN keeps or loses the event by accident of the sort, and infinite scores tie:
    neither is decided silently here.
    """
    scores = column_or_1d(scores).astype(np.float64, copy=False)
    if len(scores) == 0:
        raise ValueError(f"{name} is empty; at least one event is needed.")
    if not np.isfinite(scores).all():
        n_nan, n_inf = np.isnan(scores).sum(), np.isinf(scores).sum()
        raise ValueError(
            f"{name} must be finite; of {len(scores)} values {n_nan} are NaN and {n_inf} infinite. "
            "Remove these events, or replace their scores by the value that says what they are "
            "(for example the largest finite score for events outside the support of a density)."
        )
    return scores


def check_weight(sample_weight, scores, *, name="sample_weight"):
    """Return non-negative float64 weights, one for each score; ones for None."""
    if sample_weight is None:
        return np.ones(len(scores))
    check_consistent_length(sample_weight, scores)
    try:
        return sk.check_sample_weight(sample_weight, scores, dtype=np.float64)
    except ValueError as exc:
        raise ValueError(f"{name} is not valid: {exc}") from exc


def check_fraction(fraction, *, name="fraction"):
    """Return `fraction` in (0, 1] as float64 array, of any shape."""
    values = np.asarray(fraction, dtype=np.float64)
    if not ((values > 0) & (values <= 1)).all():
        raise ValueError(f"{name} must lie in (0, 1]; got {fraction!r}.")
    return values


def signal_mask(y, signal_label=None, *, name="y_true"):
    """Return which events are signal; refuse labels that could be read both ways.

    Without `signal_label`, y must be boolean or hold 0 and 1 (1 = signal). In {-1, +1} the +1
    is signal for some and scikit-learn's inlier for others, so `signal_label` is required. With
    `signal_label`, every other label is background.
    """
    if y is None:
        raise ValueError(
            f"{name} is None, but this metric needs truth labels; pass them as y, "
            "or as routed metadata `truth`."
        )
    y = column_or_1d(y)
    if y.dtype.kind == "b" and signal_label is None:
        return y
    # NaN is the only value unlike itself; None appears where objects are compared with None.
    missing = np.array([v is None or v != v for v in y]) if y.dtype == object else y != y
    if missing.any():
        raise ValueError(f"{name} holds {missing.sum()} missing labels of {len(y)}.")
    if signal_label is not None:
        return np.asarray(y == signal_label, dtype=bool)
    labels = set(y.tolist()) if y.dtype == object else set(np.unique(y).tolist())
    if labels <= {0, 1}:
        return y == 1
    if labels <= {-1, 1}:
        raise ValueError(
            f"{name} holds -1 and +1, which can be read both ways: scikit-learn's outlier "
            "detectors use +1 for inliers, physics and binary classifiers use +1 for signal. "
            "Say which one is signal: signal_label=-1 or signal_label=1."
        )
    shown = sorted(labels, key=str)[:5]
    raise ValueError(
        f"{name} must hold 0 (background) and 1 (signal); got {len(labels)} labels, among them "
        f"{shown}. Pass signal_label= to say which label is signal; all others are background."
    )


def one_class_message(signal, weight):
    """Return what is wrong when one class is absent, else None."""
    if not weight[signal].any():
        missing = "signal"
    elif not weight[~signal].any():
        missing = "background"
    else:
        return None
    return (
        f"all {len(signal)} events are of one class: no {missing} event (of positive weight) is "
        "among them"
    )


def check_positive(value, *, name):
    """Refuse what is not a positive finite real number."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not real or not 0 < value < np.inf:
        raise ValueError(f"{name} must be a positive number; got {value!r}.")
    return float(value)
