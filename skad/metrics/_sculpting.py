"""How much a cut on the score changes the shape of the mass spectrum."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import rel_entr
from sklearn.utils import check_consistent_length

from skad.exceptions import LowStatisticsWarning
from skad.metrics._checks import check_fraction, check_scores, check_weight
from skad.metrics._ranking import RankedScores
from skad.utils._statistics import (
    bin_of,
    effective_size,
    efficiency_chi2,
    equal_population_edges,
)

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

__all__ = ["mass_bin_edges", "mass_sculpting_chi2", "mass_sculpting_jsd"]


def mass_sculpting_jsd(
    mass: ArrayLike,
    scores: ArrayLike,
    *,
    fraction: float | ArrayLike = 0.05,
    bins: int | ArrayLike = 50,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Jensen-Shannon divergence between the mass spectrum before and after a cut.

    Pass background events: signal that is selected is meant to change the spectrum.

    Parameters
    ----------
    mass : array-like of shape (n_events,)
        The feature that must not be sculpted, any unit.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    fraction : float or array-like, default=0.05
        Fraction of events (of the total weight) that the cut keeps, in (0, 1].
    bins : int or array-like, default=50
        Number of bins of equal population before the cut, or the bin edges.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    jsd : float or ndarray
        In nats, from 0 (unchanged) to ln 2. Its expectation without sculpting is not 0 but about
        ``(bins - 1) / (8 * n_selected)``.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import mass_sculpting_jsd
    >>> rng = np.random.default_rng(0)
    >>> mass, noise = rng.exponential(size=(2, 20_000))
    >>> round(mass_sculpting_jsd(mass, noise), 3), round(mass_sculpting_jsd(mass, mass), 3)
    (0.007, 0.579)
    """
    fractions, shape, histograms = _histograms(mass, scores, fraction, bins, sample_weight)
    values = np.empty(fractions.size)
    for i, (before, _, after) in enumerate(histograms):
        p, q = before / before.sum(), after / after.sum()
        middle = (p + q) / 2
        values[i] = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return values.reshape(shape) if shape else float(values[0])


def mass_sculpting_chi2(
    mass: ArrayLike,
    scores: ArrayLike,
    *,
    fraction: float | ArrayLike = 0.01,
    bins: int | ArrayLike = 300,
    sample_weight: ArrayLike | None = None,
    return_pvalue: bool = False,
) -> Any:
    """Chi-squared per degree of freedom of the mass spectrum after a cut against before.

    In every bin the weight that passes, k, is compared with one common efficiency times the weight
    before the cut, n. The selected events are part of those before, so the variance is binomial:

    .. math:: \\chi^2 = \\sum_b \\frac{(k_b - \\epsilon n_b)^2}{\\epsilon (1 - \\epsilon) s_b},
              \\qquad s_b = \\sum_{i \\in b} w_i^2,
              \\qquad \\mathrm{dof} = \\mathrm{bins} - 1,

    with the efficiency that makes it smallest; for equal weights that is the overall one. It is
    the statistic of `skad.search.sideband_sculpting_test`.

    Parameters
    ----------
    mass : array-like of shape (n_events,)
        The feature that must not be sculpted, any unit. Pass background events.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    fraction : float or array-like, default=0.01
        Fraction of events (of the total weight) that the cut keeps, in (0, 1).
    bins : int or array-like, default=300
        Number of bins of equal population before the cut, or the bin edges.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    return_pvalue : bool, default=False
        Return also the probability of a larger value without sculpting.

    Returns
    -------
    chi2_per_dof : float or ndarray
        1 on average for a score that does not sculpt.
    p_value : float or ndarray
        Only with `return_pvalue`.

    Warns
    -----
    LowStatisticsWarning
        Less than one event is expected in some bin after the cut.

    References
    ----------
    .. [1] A. Hallin et al., "Resonant anomaly detection without background sculpting",
       arXiv:2210.14924.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import mass_sculpting_chi2
    >>> rng = np.random.default_rng(0)
    >>> mass, noise = rng.exponential(size=(2, 50_000))
    >>> round(mass_sculpting_chi2(mass, noise), 2)
    1.07
    >>> round(mass_sculpting_chi2(mass, noise + mass), 2)
    41.95
    """
    if np.any(np.asarray(fraction) == 1):
        raise ValueError("fraction must be below 1: keeping every event leaves nothing to compare.")
    fractions, shape, histograms = _histograms(mass, scores, fraction, bins, sample_weight)
    values, p_values = np.empty(fractions.size), np.empty(fractions.size)
    for i, (before, square, after) in enumerate(histograms):
        test = efficiency_chi2(before, square, after)
        if test.ndof < 1:
            raise ValueError(
                "At least two bins must hold events before the cut; "
                "give more bins or edges within the range of the mass."
            )
        filled = before > 0
        expected = test.efficiency * effective_size(before[filled], square[filled]).min()
        if expected < 1:
            warnings.warn(
                f"Only {expected:.2g} events are expected in a mass bin after the cut "
                f"at fraction {fractions[i]:g}; chi2 is no longer chi2-distributed. "
                "Use fewer bins or a looser cut.",
                LowStatisticsWarning,
                stacklevel=2,
            )
        values[i], p_values[i] = test.chi2 / test.ndof, test.p_value
    if shape:
        values, p_values = values.reshape(shape), p_values.reshape(shape)
    else:
        values, p_values = float(values[0]), float(p_values[0])
    return (values, p_values) if return_pvalue else values


def _histograms(mass, scores, fraction, bins, sample_weight):
    """Return the flat fractions, their shape, and (before, squares, after) for each of them."""
    scores = check_scores(scores)
    mass = check_scores(mass, name="mass")
    check_consistent_length(mass, scores)
    weight = check_weight(sample_weight, scores)
    fractions = check_fraction(fraction)
    edges = mass_bin_edges(mass, weight, bins)
    position = bin_of(mass, edges)
    ranked = RankedScores(scores, weight)

    def histogram(values):
        return np.bincount(position, weights=values, minlength=len(edges) - 1)

    before, square = histogram(weight), histogram(weight**2)
    flat = fractions.ravel()
    return (
        flat,
        fractions.shape,
        [(before, square, histogram(weight * ranked.membership(value))) for value in flat],
    )


def mass_bin_edges(mass, weight, bins):
    """Return the edges of bins of equal population, or the given ones when they hold all events."""
    if np.ndim(bins) == 0:
        if not isinstance(bins, (int, np.integer)) or bins < 2:
            raise ValueError(f"bins must be an integer of at least 2 or bin edges; got {bins!r}.")
        edges = equal_population_edges(mass, bins, weight)
        if len(edges) < 3:
            raise ValueError(f"mass has too few distinct values for {bins} bins.")
        return edges
    edges = np.asarray(bins, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 3 or not (np.diff(edges) > 0).all():
        raise ValueError("bins, as edges, must be at least three increasing numbers.")
    n_outside = int(((mass < edges[0]) | (mass > edges[-1])).sum())
    if n_outside:
        raise ValueError(
            f"{n_outside} of {len(mass)} events lie outside the bin edges "
            f"[{edges[0]:g}, {edges[-1]:g}]; widen the edges or remove these events."
        )
    return edges
