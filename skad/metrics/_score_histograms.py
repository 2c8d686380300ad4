"""Histograms of anomaly scores with their errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_bins, check_scores, check_weight, event_classes
from skad.utils._readable import readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from numpy.typing import ArrayLike

__all__ = ["ScoreHistograms", "score_histograms"]


@readable
class ScoreHistograms(NamedTuple):
    """Histograms of a score, of signal and background where the truth is known.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges, in the units of the score.
    density : dict of str to ndarray of shape (n_bins,)
        Height of the histogram of "events", or of "background" and "signal" (or every label of a
        list of signals) as far as there are any; the integral of each is 1.
    density_error : dict of str to ndarray of shape (n_bins,)
        Standard errors, from sums of squared weights.
    """

    edges: np.ndarray
    density: dict
    density_error: dict


def score_histograms(
    y_true: ArrayLike | None,
    scores: ArrayLike,
    *,
    bins: int | ArrayLike = 50,
    scale: Literal["linear", "log"] = "linear",
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | Sequence[int | str] | None = None,
    background_label: int | str | None = None,
) -> ScoreHistograms:
    """Histogram anomaly scores, those of signal and background separately.

    Parameters
    ----------
    y_true : array-like of shape (n_events,) or None
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`. None takes all events
        together.
    scores : array-like of shape (n_events,)
        Anomaly scores.
    bins : int or array-like, default=50
        Number of bins between the smallest and largest score, or the edges.
    scale : {"linear", "log"}, default="linear"
        Spacing of the bins; "log" needs positive scores.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str, list of them or None, default=None
        The label of signal, or those of several signals; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    histograms : ScoreHistograms
        Named tuple ``(edges, density, density_error)``.

    Examples
    --------
    >>> from skad.metrics import score_histograms
    >>> histograms = score_histograms([0, 0, 0, 0, 1, 1], [1, 2, 2, 3, 3, 3], bins=2)
    >>> histograms.edges, histograms.density["background"]
    (array([1., 2., 3.]), array([0.25, 0.75]))
    """
    scores = check_scores(scores)
    weight = check_weight(sample_weight, scores)
    parts = {"events": np.ones(len(scores), dtype=bool)}
    if y_true is not None:
        parts = event_classes(y_true, signal_label, background_label)
        check_consistent_length(parts["background"], scores)
    edges = _edges(scores[np.any(list(parts.values()), axis=0)], bins, scale)
    density, error = {}, {}
    for name, part in parts.items():
        if weight[part].any():
            density[name], error[name] = _histogram(scores[part], weight[part], edges)
    return ScoreHistograms(edges, density, error)


def _edges(scores, bins, scale):
    if not isinstance(scale, str) or scale not in ("linear", "log"):
        raise ValueError(f"scale must be 'linear' or 'log'; got {scale!r}.")
    if scale == "log" and scores.min() <= 0:
        raise ValueError(
            f"scale='log' needs positive scores; the smallest is {scores.min():g}. "
            "Use scale='linear'."
        )
    bins = check_bins(bins)
    if np.ndim(bins) > 0:
        edges = bins
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
