"""Checks of scores, labels and weights shared by the metrics."""

import numbers
from collections.abc import Hashable, Mapping

import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d

from skad.utils import _sklearn as sk
from skad.utils._arguments import Numbers

__all__ = [
    "check_bins",
    "check_fraction",
    "check_scores",
    "check_weight",
    "event_classes",
    "one_class_message",
    "read_truth",
    "signal_mask",
]


def check_scores(scores, *, name="scores"):
    """Return `scores` as a 1-d float64 array; refuse NaN and infinity.

    A cut on a NaN keeps or loses the event by accident of the sort, and infinite scores tie:
    neither is decided silently here.
    """
    scores = column_or_1d(Numbers(None, finite=False).read(scores, name))
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
    sample_weight = Numbers(None, finite=False).read(sample_weight, name)
    try:
        weight = sk.check_sample_weight(sample_weight, scores, dtype=np.float64)
    except ValueError as exc:
        raise ValueError(f"{name} is not valid: {exc}") from exc
    if len(weight) and not 1e-150 < weight.max() < 1e150 / len(weight):
        # Squares and sums of such numbers are no numbers, and their unit never matters.
        weight = weight / weight.max()
    return weight


def check_bins(bins, *, name="bins"):
    """Return a positive number of bins, or increasing edges as a float64 array."""
    if np.ndim(bins) == 0:
        if not isinstance(bins, numbers.Integral) or isinstance(bins, bool) or bins < 1:
            raise ValueError(f"{name} must be a positive whole number or edges; got {bins!r}.")
        return int(bins)
    edges = Numbers().read(bins, name)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"{name}, as edges, must be at least two increasing numbers.")
    return edges


def check_fraction(fraction, *, name="fraction"):
    """Return `fraction` in (0, 1] as float64 array, of any shape."""
    values = Numbers(None, finite=False).read(fraction, name)
    if not ((values > 0) & (values <= 1)).all():
        raise ValueError(f"{name} must lie in (0, 1]; got {fraction!r}.")
    return values


def signal_mask(y, signal_label=None, *, name="y_true"):
    """Return which events are signal; refuse labels that could be read both ways.

    Without `signal_label`, y must be boolean or hold 0 and 1 (1 = signal). In {-1, +1} the +1
    is signal for some and scikit-learn's inlier for others, so `signal_label` is required.
    """
    classes = event_classes(y, signal_label, name=name)
    return next(mask for kind, mask in classes.items() if kind != "background")


def read_truth(y_true, *arrays, signal_label=None, background_label=None, name="y_true"):
    """Return which events are signal, then `arrays`, without the events of neither label.

    The arrays have the events on their last axis, or are None.
    """
    classes = event_classes(y_true, signal_label, background_label, name=name)
    check_consistent_length(
        classes["background"],
        *(None if a is None else np.moveaxis(np.asarray(a), -1, 0) for a in arrays),
    )
    (signal,) = (mask for kind, mask in classes.items() if kind != "background")
    used = signal | classes["background"]
    if used.all():
        return signal, *arrays
    return signal[used], *(None if a is None else np.asarray(a)[..., used] for a in arrays)


def event_classes(y_true, signal_label=None, background_label=None, *, name="y_true"):
    """Return a dict of masks: "background", then "signal", or every label of a list of signals.

    Labels that are neither are refused without `background_label`, and in no mask with it.
    """
    y = _labels(y_true, name)
    many = isinstance(signal_label, (list, tuple, set, np.ndarray))
    if signal_label is None and background_label is None:
        return _unnamed_classes(y, name)
    background = None if background_label is None else np.asarray(y == background_label, bool)
    if signal_label is None:
        others = _distinct(y[~background])
        if len(others) > 1:
            raise ValueError(
                f"{name} holds {len(others)} labels besides background_label="
                f"{background_label!r}: {others[:5]}. Say which one is signal: signal_label=."
            )
        return {"background": background, "signal": ~background}
    labels = list(signal_label) if many else [signal_label]
    masks = [np.asarray(y == label, dtype=bool) for label in labels]
    rest = ~np.any(masks, axis=0) if masks else np.ones(len(y), dtype=bool)
    if background is None:
        others = _distinct(y[rest])
        if len(others) > 1:
            raise ValueError(
                f"{name} holds {len(others)} labels besides signal_label={signal_label!r}: "
                f"{others[:5]}. Say which one is background with background_label=; events of "
                "the others are then left out. To take all of them as background, pass the truth "
                "as booleans."
            )
        background = rest
    names = [str(label) for label in labels] if many else ["signal"]
    return {"background": background, **dict(zip(names, masks, strict=True))}


def _labels(y, name):
    if y is None:
        raise ValueError(
            f"{name} is None, but this metric needs truth labels; pass them as y, "
            "or as routed metadata `truth`."
        )
    if isinstance(y, Mapping):
        raise TypeError(
            f"{name} must hold the truth of every event; got a dict. The truth comes first, then "
            "the scores."
        )
    y = column_or_1d(y)
    if y.dtype == object and not all(isinstance(v, Hashable) for v in y):
        raise TypeError(f"{name} must hold labels, such as 0 and 1; got objects that are none.")
    if y.dtype.kind == "b":
        return y
    # NaN is the only value unlike itself; None appears where objects are compared with None.
    missing = np.array([v is None or v != v for v in y]) if y.dtype == object else y != y
    if missing.any():
        raise ValueError(f"{name} holds {missing.sum()} missing labels of {len(y)}.")
    return y


def _distinct(y):
    return sorted(set(y.tolist() if y.dtype == object else np.unique(y).tolist()), key=str)


def _unnamed_classes(y, name):
    if y.dtype.kind == "b":
        return {"background": ~y, "signal": y}
    labels = set(_distinct(y))
    if labels <= {0, 1}:
        return {"background": y == 0, "signal": y == 1}
    if labels <= {-1, 1}:
        raise ValueError(
            f"{name} holds -1 and +1, which can be read both ways: scikit-learn's outlier "
            "detectors use +1 for inliers, physics and binary classifiers use +1 for signal. "
            "Say which one is signal: signal_label=-1 or signal_label=1."
        )
    raise ValueError(
        f"{name} must hold 0 (background) and 1 (signal); got {len(labels)} labels, among them "
        f"{sorted(labels, key=str)[:5]}. Pass signal_label= and, where there are further ones, "
        "background_label=."
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
