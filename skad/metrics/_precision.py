"""Precision and recall among the most anomalous events, and the ROC curve at its beginning."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from skad.metrics._checks import check_scores, check_weight, one_class_message, read_truth
from skad.metrics._ranking import RankedScores
from skad.metrics._registry import register_scorer
from skad.metrics._roc import cut_counts

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["precision_at_k", "recall_at_k"]


def precision_at_k(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    k: float | None = None,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> float:
    """Part of the most anomalous events that is signal.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous. Of events that tie at the cut, a random choice is
        taken, on average.
    k : int, float or None, default=None
        How many events are looked at: an int is their number, a float in (0, 1) their fraction,
        and None as many as there are signal events, where precision and recall are the same
        (R-precision).
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights; k of n events are then that part of the total weight.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    precision : float
        In [0, 1].

    Raises
    ------
    ValueError
        More than all events, only one class, or labels that can be read both ways.

    Examples
    --------
    >>> from skad.metrics import precision_at_k
    >>> y, scores = [0, 1, 0, 1, 0, 0], [0.1, 0.9, 0.8, 0.7, 0.2, 0.0]
    >>> precision_at_k(y, scores, k=1), precision_at_k(y, scores), precision_at_k(y, scores, k=4)
    (1.0, 0.5, 0.5)
    """
    signal, member, weight = _looked_at(
        y_true, scores, k, sample_weight, signal_label, background_label
    )
    return float((member * weight)[signal].sum() / (member * weight).sum())


def recall_at_k(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    k: float | None = None,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> float:
    """Part of the signal that is among the most anomalous events.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    k : int, float or None, default=None
        How many events are looked at, as in `precision_at_k`.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out.

    Returns
    -------
    recall : float
        In [0, 1].

    Raises
    ------
    ValueError
        As `precision_at_k`.

    Examples
    --------
    >>> from skad.metrics import recall_at_k
    >>> recall_at_k([0, 1, 0, 1, 0, 0], [0.1, 0.9, 0.8, 0.7, 0.2, 0.0], k=3)
    1.0
    """
    signal, member, weight = _looked_at(
        y_true, scores, k, sample_weight, signal_label, background_label
    )
    return float((member * weight)[signal].sum() / weight[signal].sum())


def _looked_at(y_true, scores, k, sample_weight, signal_label, background_label):
    """Return which events are signal, how much of each is looked at, and weights."""
    scores = check_scores(scores)
    weight = check_weight(sample_weight, scores)
    signal, scores, weight = read_truth(
        y_true, scores, weight, signal_label=signal_label, background_label=background_label
    )
    problem = one_class_message(signal, weight)
    if problem is not None:
        raise ValueError(f"y_true: {problem}.")
    if k is None:
        fraction = weight[signal].sum() / weight.sum()
    elif isinstance(k, Integral) and not isinstance(k, bool) and 1 <= k <= len(scores):
        fraction = k / len(scores)
    elif isinstance(k, Real) and not isinstance(k, Integral) and 0 < k < 1:
        fraction = float(k)
    else:
        raise ValueError(
            f"k must be None, an int from 1 to the number of events, {len(scores)}, or a float in "
            f"(0, 1), their fraction; got {k!r}."
        )
    return signal, RankedScores(scores, weight).membership(fraction), weight


def _average_precision(y_true, scores, *, sample_weight=None):
    """Area under the curve of precision against recall, as a sum of steps."""
    return average_precision_score(y_true, scores, sample_weight=sample_weight)


def _roc_auc_below(y_true, scores, *, sample_weight=None, max_fpr):
    """Area under the ROC curve up to a background efficiency, scaled so that chance is 0.5."""
    return roc_auc_score(y_true, scores, sample_weight=sample_weight, max_fpr=max_fpr)


def _tpr_at_fpr(y_true, scores, *, sample_weight=None, fpr):
    """Signal efficiency at a background efficiency, interpolated along the ROC curve."""
    return cut_counts(y_true, scores, sample_weight=sample_weight).at(fpr=np.array([fpr])).tpr[0]


_NUMBER = r"([0-9.]+(?:e[+-]?[0-9]+)?)"


def _read_k(match):
    if match[1] == "n":
        return {"k": None}
    k = float(match[1])
    return {"k": k if 0 < k < 1 else int(k)}


def _read_fpr(name):
    def read(match):
        value = float(match[1])
        if not 0 < value <= 1:
            raise ValueError("a background efficiency lies in (0, 1].")
        return {name: value}

    return read


register_scorer("average_precision_anomaly", _average_precision, needs_truth=True)
for _name, _function in (("precision", precision_at_k), ("recall", recall_at_k)):
    register_scorer(
        f"{_name}_at_<n|number>",
        _function,
        needs_truth=True,
        pattern=rf"{_name}_at_(n|{_NUMBER[1:]}",
        read=_read_k,
    )
register_scorer(
    "roc_auc_below_fpr_<number>",
    _roc_auc_below,
    needs_truth=True,
    pattern=rf"roc_auc_below_fpr_{_NUMBER}",
    read=_read_fpr("max_fpr"),
)
register_scorer(
    "tpr_at_fpr_<number>",
    _tpr_at_fpr,
    needs_truth=True,
    pattern=rf"tpr_at_fpr_{_NUMBER}",
    read=_read_fpr("fpr"),
)
