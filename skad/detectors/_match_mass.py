"""Events of one sample drawn so that they follow another in a feature such as the mass."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state, column_or_1d

from skad.exceptions import LowStatisticsWarning
from skad.utils import _sklearn as sk
from skad.utils._arguments import Numbers
from skad.utils._statistics import bin_of, effective_size, equal_population_edges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["mass_matching_weight", "match_mass"]

# Below it the same few events are drawn again and again.
_MIN_EFFECTIVE_EVENTS = 100


def mass_matching_weight(
    mass: ArrayLike,
    reference_mass: ArrayLike,
    *,
    bins: int | ArrayLike = 50,
    sample_weight: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Weights that give a sample the mass spectrum of a reference.

    The ratio of the two histograms at each event, in bins of equal population of the reference.
    As `sample_weight` of the outliers in a supervised classifier of outliers against background,
    they give the baseline that does not learn the mass.

    Parameters
    ----------
    mass : array-like of shape (n_events,)
        Mass, or any other feature, of the events to weight.
    reference_mass : array-like of shape (n_reference,)
        The same feature of the events to follow, in the same unit.
    bins : int or array-like, default=50
        Number of bins, or their edges.
    sample_weight : array-like of shape (n_reference,), default=None
        Weights of the reference.

    Returns
    -------
    weight : ndarray of float64, shape (n_events,)
        With mean one. Zero outside of the range of the reference.

    Warns
    -----
    LowStatisticsWarning
        If bins with more than 1 % of the reference hold no event.

    See Also
    --------
    match_mass : Draws events with these weights.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import mass_matching_weight
    >>> rng = np.random.default_rng(0)
    >>> mass, reference = rng.uniform(0, 300, size=20_000), rng.normal(100, 20, size=20_000)
    >>> weight = mass_matching_weight(mass, reference)
    >>> bool(abs(np.average(mass, weights=weight) - 100) < 2)
    True
    """
    mass = _finite(mass, "mass")
    reference = _finite(reference_mass, "reference_mass")
    reference_weight = sk.check_sample_weight(sample_weight, reference, dtype=np.float64)
    if np.ndim(bins) == 0:
        if not isinstance(bins, Integral) or bins < 2:
            raise ValueError(f"bins must be an integer of at least 2 or bin edges; got {bins!r}.")
        edges = equal_population_edges(reference, bins, reference_weight)
    else:
        edges = np.asarray(bins, dtype=np.float64)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(
            "bins must make at least two increasing edges; give edges, or a reference whose "
            "masses differ."
        )
    n_bins = len(edges) - 1
    own_bin, reference_bin = bin_of(mass, edges), bin_of(reference, edges)
    inside = (own_bin >= 0) & (own_bin < n_bins)
    inside_reference = (reference_bin >= 0) & (reference_bin < n_bins)
    wanted = np.bincount(
        reference_bin[inside_reference],
        weights=reference_weight[inside_reference],
        minlength=n_bins,
    )
    found = np.bincount(own_bin[inside], minlength=n_bins)
    if not found.any():
        raise ValueError(
            f"No event lies between {edges[0]:g} and {edges[-1]:g}, the range of the reference."
        )
    missing = wanted[found == 0].sum() / wanted.sum()
    if missing > 0.01:
        warnings.warn(
            f"{missing:.1%} of the reference lies in bins of mass without any event, which no "
            "weight can fill; use fewer bins, or events of more masses.",
            LowStatisticsWarning,
            stacklevel=2,
        )
    weight = np.zeros(len(mass))
    weight[inside] = wanted[own_bin[inside]] / found[own_bin[inside]]
    return weight / weight.mean()


def match_mass(
    mass: ArrayLike,
    reference_mass: ArrayLike,
    *,
    n_samples: int | None = None,
    bins: int | ArrayLike = 50,
    sample_weight: ArrayLike | None = None,
    random_state: Seed = None,
) -> NDArray[np.int64]:
    """Draw events whose mass spectrum is that of a reference.

    For outlier exposure: outliers of many masses that follow the background in mass teach the
    detector nothing about the mass [1]_.

    Parameters
    ----------
    mass : array-like of shape (n_events,)
        Mass, or any other feature, of the events to draw from.
    reference_mass : array-like of shape (n_reference,)
        The same feature of the events to follow, in the same unit.
    n_samples : int, default=None
        How many to draw; None draws as many as there are.
    bins : int or array-like, default=50
        Bins of equal population of the reference, or their edges.
    sample_weight : array-like of shape (n_reference,), default=None
        Weights of the reference.
    random_state : int, RandomState or None, default=None
        Source of randomness.

    Returns
    -------
    indices : ndarray of int, shape (n_samples,)
        Positions of the drawn events, with repetitions.

    Warns
    -----
    LowStatisticsWarning
        If the draws come from few events, or parts of the reference from none.

    See Also
    --------
    mass_matching_weight : The weights without drawing.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import match_mass
    >>> rng = np.random.default_rng(0)
    >>> mass, reference = rng.uniform(0, 300, size=20_000), rng.normal(100, 20, size=20_000)
    >>> drawn = match_mass(mass, reference, random_state=0)
    >>> bool(abs(mass[drawn].mean() - 100) < 2)
    True
    """
    weight = mass_matching_weight(mass, reference_mass, bins=bins, sample_weight=sample_weight)
    n_effective = effective_size(weight.sum(), (weight**2).sum())
    if n_effective < _MIN_EFFECTIVE_EVENTS:
        warnings.warn(
            f"The drawn events come from an effective number of {n_effective:.0f} events only; "
            "use fewer bins, or events of more masses.",
            LowStatisticsWarning,
            stacklevel=2,
        )
    n_samples = len(weight) if n_samples is None else n_samples
    if not isinstance(n_samples, Integral) or n_samples < 0:
        raise ValueError(f"n_samples must be a whole number, not negative; got {n_samples!r}.")
    rng = check_random_state(random_state)
    return rng.choice(len(weight), size=n_samples, p=weight / weight.sum())


def _finite(values, name):
    values = column_or_1d(Numbers(None, finite=False).read(values, name))
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{name} must hold finite numbers, at least one.")
    return values
