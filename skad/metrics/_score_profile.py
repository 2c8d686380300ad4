"""How a score depends on the mass."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_scores, check_weight
from skad.metrics._sculpting import mass_bin_edges
from skad.utils._quantile import weighted_quantile
from skad.utils._readable import readable
from skad.utils._statistics import bin_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ScoreProfile", "score_profile"]


@readable
class ScoreProfile(NamedTuple):
    """Distribution of a score in bins of the mass.

    Attributes
    ----------
    mass : ndarray of shape (n_bins,)
        Mean mass of the events of each bin.
    median, lower, upper : ndarray of shape (n_bins,)
        50 %, 16 % and 84 % quantiles of the score in each bin.
    """

    mass: np.ndarray
    median: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


def score_profile(
    mass: ArrayLike,
    scores: ArrayLike,
    *,
    bins: int | ArrayLike = 20,
    sample_weight: ArrayLike | None = None,
) -> ScoreProfile:
    """Median and central 68 % of an anomaly score in bins of the mass.

    Parameters
    ----------
    mass : array-like of shape (n_events,)
        Mass of the events, any unit.
    scores : array-like of shape (n_events,)
        Anomaly scores.
    bins : int or array-like, default=20
        Number of bins of equal population, or the bin edges.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    profile : ScoreProfile
        Named tuple ``(mass, median, lower, upper)``, of the bins that hold events.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import score_profile
    >>> mass, noise = np.random.default_rng(0).exponential(100, size=(2, 5000))
    >>> profile = score_profile(mass, mass + noise, bins=4)
    >>> bool((np.diff(profile.median) > 0).all())
    True
    """
    mass, scores = check_scores(mass, name="mass"), check_scores(scores)
    check_consistent_length(mass, scores)
    weight = check_weight(sample_weight, mass)
    edges = mass_bin_edges(mass, weight, bins)
    position = bin_of(mass, edges)
    parts = [np.flatnonzero(position == i) for i in range(len(edges) - 1)]
    parts = [part for part in parts if weight[part].any()]
    centres = [np.average(mass[part], weights=weight[part]) for part in parts]
    quantiles = [
        [weighted_quantile(scores[part], q, weight[part]) for part in parts]
        for q in (0.5, 0.16, 0.84)
    ]
    return ScoreProfile(np.array(centres), *np.array(quantiles))
