"""Mass spectra of what cuts on a score keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_bins, check_fraction, check_scores, check_weight
from skad.metrics._ranking import RankedScores
from skad.metrics._sculpting import mass_sculpting_jsd
from skad.utils._readable import readable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["MassSpectra", "mass_spectra"]


@readable
class MassSpectra(NamedTuple):
    """Mass spectra after cuts on a score.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges of the mass.
    fraction : ndarray of shape (n_cuts,)
        Fraction of the events that each cut keeps.
    density : ndarray of shape (n_cuts, n_bins)
        Spectrum of what passes; the integral of each is 1.
    jsd : ndarray of shape (n_cuts,)
        Jensen-Shannon divergence, in nats, of each from the spectrum before the cut.
    """

    edges: np.ndarray
    fraction: np.ndarray
    density: np.ndarray
    jsd: np.ndarray


def mass_spectra(
    mass: ArrayLike,
    scores: ArrayLike,
    *,
    fractions: ArrayLike = (1.0, 0.5, 0.1, 0.05, 0.01),
    bins: int | ArrayLike = 50,
    sample_weight: ArrayLike | None = None,
) -> MassSpectra:
    """Mass spectra of the most anomalous events, for several selected fractions.

    Parameters
    ----------
    mass : array-like of shape (n_events,)
        Mass of background events, any unit.
    scores : array-like of shape (n_events,)
        Their anomaly scores, higher = more anomalous.
    fractions : array-like, default=(1.0, 0.5, 0.1, 0.05, 0.01)
        Fractions of events (of the total weight) that the cuts keep, in (0, 1].
    bins : int or array-like, default=50
        Number of equal bins between the smallest and largest mass, or the edges.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    spectra : MassSpectra
        Named tuple ``(edges, fraction, density, jsd)``; the divergences are those of
        `mass_sculpting_jsd` in its own bins.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import mass_spectra
    >>> mass, noise = np.random.default_rng(0).exponential(100, size=(2, 20_000))
    >>> mass_spectra(mass, mass + noise, fractions=[1, 0.1]).jsd.round(2)
    array([0.  , 0.16])
    """
    mass, scores = check_scores(mass, name="mass"), check_scores(scores)
    check_consistent_length(mass, scores)
    weight = check_weight(sample_weight, scores)
    fractions = check_fraction(fractions, name="fractions").ravel()
    edges = np.histogram_bin_edges(mass, check_bins(bins))
    ranked = RankedScores(scores, weight)
    density = [
        np.histogram(mass, edges, weights=weight * ranked.membership(f), density=True)[0]
        for f in fractions
    ]
    jsd = mass_sculpting_jsd(mass, scores, fraction=fractions, sample_weight=weight)
    return MassSpectra(edges, fractions, np.array(density), jsd)
