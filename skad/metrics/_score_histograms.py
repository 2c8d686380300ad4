"""Histograms of anomaly scores with their errors."""

from typing import NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_scores, check_weight, signal_mask

__all__ = ["ScoreHistograms", "score_histograms"]


class ScoreHistograms(NamedTuple):
    """Histograms of a score, of signal and background where the truth is known.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges, in the units of the score.
    density : dict of str to ndarray of shape (n_bins,)
        Height of the histogram of "events", or of "background" and "signal" as far as there are
        any; the integral of each is 1.
    density_error : dict of str to ndarray of shape (n_bins,)
        Standard errors, from sums of squared weights.
    """

    edges: np.ndarray
    density: dict
    density_error: dict


def score_histograms(
    scores, y_true=None, *, bins=50, scale="linear", sample_weight=None, signal_label=None
):
    """Histogram anomaly scores, those of signal and background separately.

    Parameters
    ----------
    scores : array-like of shape (n_events,)
        Anomaly scores.
    y_true : array-like of shape (n_events,), default=None
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    bins : int or array-like, default=50
        Number of bins between the smallest and largest score, or the edges.
    scale : {"linear", "log"}, default="linear"
        Spacing of the bins; "log" needs positive scores.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.

    Returns
    -------
    histograms : ScoreHistograms
        Named tuple ``(edges, density, density_error)``.

    Examples
    --------
    >>> from skad.metrics import score_histograms
    >>> histograms = score_histograms([1, 2, 2, 3, 3, 3], [0, 0, 0, 0, 1, 1], bins=2)
    >>> histograms.edges, histograms.density["background"]
    (array([1., 2., 3.]), array([0.25, 0.75]))
    """
    scores = check_scores(scores)
    weight = check_weight(sample_weight, scores)
    edges = _edges(scores, bins, scale)
    parts = {"events": np.ones(len(scores), dtype=bool)}
    if y_true is not None:
        signal = signal_mask(y_true, signal_label)
        check_consistent_length(signal, scores)
        parts = {"background": ~signal, "signal": signal}
    density, error = {}, {}
    for name, part in parts.items():
        if weight[part].any():
            density[name], error[name] = _histogram(scores[part], weight[part], edges)
    return ScoreHistograms(edges, density, error)


def _edges(scores, bins, scale):
    if scale not in ("linear", "log"):
        raise ValueError(f"scale must be 'linear' or 'log'; got {scale!r}.")
    if scale == "log" and scores.min() <= 0:
        raise ValueError(
            f"scale='log' needs positive scores; the smallest is {scores.min():g}. "
            "Use scale='linear'."
        )
    if np.ndim(bins) > 0:
        edges = np.asarray(bins, dtype=np.float64)
        if len(edges) < 2 or not (np.diff(edges) > 0).all():
            raise ValueError("bins, as edges, must be at least two increasing numbers.")
        n_outside = int(((scores < edges[0]) | (scores > edges[-1])).sum())
        if n_outside:
            raise ValueError(
                f"{n_outside} of {len(scores)} scores lie outside the bin edges "
                f"[{edges[0]:g}, {edges[-1]:g}]; widen the edges."
            )
        return edges
    if scale == "linear":
        return np.histogram_bin_edges(scores, bins)
    return np.geomspace(scores.min(), scores.max(), bins + 1)


def _histogram(scores, weight, edges):
    # Rounding of geomspace must not lose the extreme scores.
    inside = np.clip(scores, edges[0], edges[-1])
    total, _ = np.histogram(inside, edges, weights=weight)
    square, _ = np.histogram(inside, edges, weights=weight**2)
    norm = weight.sum() * np.diff(edges)
    return total / norm, np.sqrt(square) / norm
