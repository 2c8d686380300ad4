"""Efficiencies of signal and background above every cut, with their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.metrics import auc, roc_auc_score

from skad.metrics._checks import check_scores, check_weight, one_class_message, read_truth
from skad.metrics._registry import register_scorer
from skad.utils._readable import readable
from skad.utils._statistics import effective_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["CutCounts", "ROCCurve", "anomaly_roc_curve", "count_above", "cut_counts"]


@readable
class ROCCurve(NamedTuple):
    """Signal against background efficiency, tightest cut first.

    Attributes
    ----------
    tpr, fpr : ndarray of shape (n_cuts,)
        Signal and background efficiency of ``score >= threshold``, in [0, 1].
    tpr_error, fpr_error : ndarray of shape (n_cuts,)
        Standard errors (68 %), those of weighted binomial fractions.
    threshold : ndarray of shape (n_cuts,)
        The first is infinity (nothing passes).
    background_events : ndarray of shape (n_cuts,)
        Effective number of passing background events, ``(sum w)^2 / sum w^2``.
    """

    tpr: np.ndarray
    fpr: np.ndarray
    tpr_error: np.ndarray
    fpr_error: np.ndarray
    threshold: np.ndarray
    background_events: np.ndarray

    @property
    def roc_auc(self):
        """Area under the curve."""
        return float(auc(self.fpr, self.tpr))


def anomaly_roc_curve(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> ROCCurve:
    """ROC curve with statistical errors, for every distinct cut on an anomaly score.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous. Events of equal score share one cut.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    curve : ROCCurve
        Named tuple ``(tpr, fpr, tpr_error, fpr_error, threshold, background_events)``, with the
        area as ``curve.roc_auc``.

    Raises
    ------
    ValueError
        NaN or infinite scores, labels that can be read both ways, or only one class.

    See Also
    --------
    significance_improvement_curve : The same cuts by what they gain.

    Examples
    --------
    >>> from skad.metrics import anomaly_roc_curve
    >>> curve = anomaly_roc_curve([0, 0, 0, 0, 1, 1], [1, 2, 3, 6, 5, 4])
    >>> curve.fpr.tolist(), curve.tpr.tolist(), curve.roc_auc
    ([0.0, 0.25, 0.25, 0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0], 0.75)
    """
    counts = cut_counts(
        y_true,
        scores,
        sample_weight=sample_weight,
        signal_label=signal_label,
        background_label=background_label,
    )
    return ROCCurve(**{name: getattr(counts, name) for name in ROCCurve._fields})


@dataclass(frozen=True)
class CutCounts:
    """Sums over events with score >= threshold, one entry per distinct score, loosest last.

    The first entry is the empty selection (threshold infinity). `signal_square` and
    `background_square` are sums of squared weights.
    """

    threshold: np.ndarray
    signal: np.ndarray
    background: np.ndarray
    signal_square: np.ndarray
    background_square: np.ndarray

    @property
    def tpr(self):
        return self.signal / self.signal[-1]

    @property
    def fpr(self):
        return self.background / self.background[-1]

    @property
    def tpr_error(self):
        """Standard error of tpr, a weighted binomial fraction."""
        return np.sqrt(_binomial_variance(self.signal, self.signal_square))

    @property
    def fpr_error(self):
        """Standard error of fpr, a weighted binomial fraction."""
        return np.sqrt(_binomial_variance(self.background, self.background_square))

    @property
    def background_events(self):
        return effective_size(self.background, self.background_square)

    def ratio(self):
        """Return tpr / sqrt(fpr) and its standard error; NaN where fpr = 0.

        The error is propagated linearly, with signal and background independent.
        """
        tpr, fpr = self.tpr, self.fpr
        fpr = np.where(fpr > 0, fpr, np.nan)
        ratio = tpr / np.sqrt(fpr)
        signal_part, background_part = self.tpr_error**2 / fpr, (self.fpr_error / (2 * fpr)) ** 2
        return ratio, np.sqrt(signal_part + ratio**2 * background_part)

    def at(self, *, tpr=None, fpr=None):
        """Return the counts at given efficiencies, by linear interpolation along the ROC curve.

        Events of equal score are split at random, on average. Where several cuts have the same
        efficiency the one with the better other efficiency is taken.
        """
        index = np.arange(len(self.threshold), dtype=np.float64)
        if fpr is not None:
            position = np.interp(fpr, self.fpr, index)
        else:
            position = np.interp(-np.asarray(tpr), -self.tpr[::-1], index[::-1])
        below = np.floor(position).astype(np.intp)
        part = position - below
        above = np.minimum(below + 1, len(index) - 1)

        def blend(column):
            return column[below] * (1 - part) + column[above] * part

        totals = {
            name: np.append(blend(getattr(self, name)), getattr(self, name)[-1])
            for name in ("signal", "background", "signal_square", "background_square")
        }
        # The interpolated events have the scores of the looser cut.
        threshold = np.append(
            np.where(part > 0, self.threshold[above], self.threshold[below]), self.threshold[-1]
        )
        return CutCounts(threshold=threshold, **totals)


def cut_counts(y_true, scores, *, sample_weight=None, signal_label=None, background_label=None):
    """Check the input and count signal and background above every distinct score."""
    scores = check_scores(scores)
    weight = check_weight(sample_weight, scores)
    signal, scores, weight = read_truth(
        y_true, scores, weight, signal_label=signal_label, background_label=background_label
    )
    problem = one_class_message(signal, weight)
    if problem is not None:
        raise ValueError(f"y_true: {problem}.")
    return count_above(signal, scores, weight)


def count_above(signal, scores, weight):
    """Count without checks; `signal` is boolean."""
    order = np.argsort(scores)[::-1]
    scores, signal, weight = scores[order], signal[order], weight[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)

    def cumulate(values):
        return np.concatenate([[0.0], np.cumsum(values)[last]])

    signal_weight = np.where(signal, weight, 0.0)
    background_weight = np.where(signal, 0.0, weight)
    return CutCounts(
        threshold=np.concatenate([[np.inf], scores[last]]),
        signal=cumulate(signal_weight),
        background=cumulate(background_weight),
        signal_square=cumulate(signal_weight**2),
        background_square=cumulate(background_weight**2),
    )


def _binomial_variance(passed, passed_square):
    total, total_square = passed[-1], passed_square[-1]
    efficiency = passed / total
    failed_square = total_square - passed_square
    variance = (1 - efficiency) ** 2 * passed_square + efficiency**2 * failed_square
    return np.maximum(variance, 0.0) / total**2


def _roc_auc(y_true, scores, *, sample_weight=None):
    """Area under the ROC curve."""
    return roc_auc_score(y_true, scores, sample_weight=sample_weight)


register_scorer("roc_auc_anomaly", _roc_auc, needs_truth=True)
