"""Agreement of several scores on which events are the most anomalous."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_fraction, check_scores, check_weight
from skad.metrics._ranking import RankedScores
from skad.metrics._registry import register_scorer
from skad.utils._children import fit_child
from skad.utils._random import draw_seeds
from skad.utils._readable import readable
from skad.utils._statistics import effective_size

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "OverlapCurve",
    "jaccard_index",
    "most_anomalous",
    "overlap_curve",
    "selection_overlap",
    "shared_fraction",
]


def shared_fraction(
    *scores: ArrayLike, fraction: float | ArrayLike = 0.01, sample_weight: ArrayLike | None = None
) -> Any:
    """Share of the most anomalous events that every score selects.

    Parameters
    ----------
    *scores : two or more array-like of shape (n_events,)
        Anomaly scores of the same events, higher = more anomalous.
    fraction : float or array-like, default=0.01
        Fraction of events (of the total weight) that each score selects, in (0, 1].
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    shared : float or ndarray
        1 when all select the same events. Scores that are independent share
        ``fraction ** (n_scores - 1)`` by chance.

    Notes
    -----
    Events that tie at the cut count with the probability that independent random choices among
    them agree.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly detection under coordinate transformations",
       arXiv:2209.06225.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import shared_fraction
    >>> mass = np.random.default_rng(0).lognormal(size=1000)
    >>> shared_fraction(mass, np.log(mass)), shared_fraction(mass, -mass)
    (1.0, 0.0)
    """
    shared, _ = _shared_and_chance(scores, fraction, sample_weight)
    return shared


def jaccard_index(
    *scores: ArrayLike, fraction: float | ArrayLike = 0.01, sample_weight: ArrayLike | None = None
) -> Any:
    """Events that every score selects over events that any score selects.

    Of two selections of the same size that share a fraction s, ``s / (2 - s)``.

    Parameters
    ----------
    *scores : two or more array-like of shape (n_events,)
        Anomaly scores of the same events, higher = more anomalous.
    fraction : float or array-like, default=0.01
        Fraction of events (of the total weight) that each score selects, in (0, 1].
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    index : float or ndarray
        1 when all select the same events, 0 when no event is selected by all.

    See Also
    --------
    shared_fraction : Over the size of one selection.

    Notes
    -----
    Events that tie at the cut count as in `shared_fraction`.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import jaccard_index, shared_fraction
    >>> a, b = np.random.default_rng(0).normal(size=(2, 100_000))
    >>> shared = shared_fraction(a, a + b, fraction=0.01)
    >>> round(shared, 2), round(jaccard_index(a, a + b, fraction=0.01), 2)
    (0.28, 0.16)
    """
    fractions, members, weight = _memberships(scores, fraction, sample_weight)
    index = np.empty(fractions.size)
    for i, selected in enumerate(members):
        every, none = np.prod(selected, axis=0), np.prod(1 - selected, axis=0)
        index[i] = every @ weight / ((1 - none) @ weight)
    return float(index[0]) if fractions.ndim == 0 else index.reshape(fractions.shape)


def selection_overlap(
    *scores: ArrayLike, fraction: float | ArrayLike = 0.01, sample_weight: ArrayLike | None = None
) -> Any:
    """Share of the most anomalous events that every score selects, beyond chance.

    ``shared_fraction`` less what independent scores share, ``fraction ** (n_scores - 1)``.
    To look at background and signal separately, as in [1]_, pass the scores of one class.

    Parameters
    ----------
    *scores : two or more array-like of shape (n_events,)
        Anomaly scores of the same events, higher = more anomalous.
    fraction : float or array-like, default=0.01
        Fraction of events (of the total weight) that each score selects, in (0, 1].
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    overlap : float or ndarray
        0 for independent scores, ``1 - fraction ** (n_scores - 1)`` for equal selections,
        negative for scores that avoid each other's events.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import selection_overlap
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=(2, 100_000))
    >>> [round(selection_overlap(a, other, fraction=0.1), 2) for other in (a, a + b, b)]
    [0.9, 0.37, 0.0]
    """
    shared, chance = _shared_and_chance(scores, fraction, sample_weight)
    return shared - chance


@readable
class OverlapCurve(NamedTuple):
    """What scores share against the selected fraction.

    Attributes
    ----------
    fraction : ndarray of shape (n_fractions,)
        Fraction of events (of the total weight) that each score selects.
    shared : ndarray of shape (n_fractions,)
        Share of the selected events that every score selects.
    shared_error : ndarray of shape (n_fractions,)
        Its standard error (68 %), that of a binomial fraction of the effective number of selected
        events, for weights that do not depend on the scores.
    chance : ndarray of shape (n_fractions,)
        What independent scores share.
    """

    fraction: np.ndarray
    shared: np.ndarray
    shared_error: np.ndarray
    chance: np.ndarray


def overlap_curve(
    *scores: ArrayLike, fractions: ArrayLike | None = None, sample_weight: ArrayLike | None = None
) -> OverlapCurve:
    """Share of the most anomalous events that every score selects, for many fractions.

    Parameters
    ----------
    *scores : two or more array-like of shape (n_events,)
        Anomaly scores of the same events, higher = more anomalous.
    fractions : array-like, default=None
        Fractions of events (of the total weight) that each score selects, in (0, 1]; by default
        30 from ten events (or 0.1 %) to 1.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    curve : OverlapCurve
        Named tuple ``(fraction, shared, shared_error, chance)``.

    See Also
    --------
    shared_fraction, selection_overlap : The share, and the share beyond chance.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import overlap_curve
    >>> a, b = np.random.default_rng(0).normal(size=(2, 10_000))
    >>> curve = overlap_curve(a, a + b, fractions=[0.01, 0.1])
    >>> curve.shared.round(2), curve.shared_error.round(2)
    (array([0.23, 0.49]), array([0.04, 0.02]))
    """
    if fractions is None:
        n_events = len(check_scores(scores[0])) if scores else 1
        fractions = np.geomspace(min(max(10 / n_events, 1e-3), 0.5), 1, 30)
    fractions = np.atleast_1d(check_fraction(fractions, name="fractions"))
    shared, chance = _shared_and_chance(scores, fractions, sample_weight)
    weight = check_weight(sample_weight, scores[0])
    n_selected = fractions * effective_size(weight.sum(), (weight**2).sum())
    # Rounding can bring the share of equal selections above one.
    variance = np.maximum(shared * (1 - shared), 0.0) / n_selected
    return OverlapCurve(fractions, shared, np.sqrt(variance), chance)


def most_anomalous(
    scores: ArrayLike, *, fraction: float = 0.01, sample_weight: ArrayLike | None = None
) -> NDArray[np.bool_]:
    """Mark the most anomalous events.

    Parameters
    ----------
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    fraction : float, default=0.01
        Fraction of events (of the total weight) to mark, in (0, 1].
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    selected : ndarray of bool, shape (n_events,)
        The smallest selection ``score >= cut`` that holds the fraction; all events that tie at
        the cut are in it.

    Examples
    --------
    >>> from skad.metrics import most_anomalous
    >>> most_anomalous([0.1, 5.0, 0.3, 0.2], fraction=0.25)
    array([False,  True, False, False])
    """
    scores = check_scores(scores)
    weight = check_weight(sample_weight, scores)
    return RankedScores(scores, weight).membership(float(check_fraction(fraction))) > 0


def _shared_and_chance(scores, fraction, sample_weight):
    fractions, members, weight = _memberships(scores, fraction, sample_weight)
    shared, chance = np.empty(fractions.size), np.empty(fractions.size)
    for i, selections in enumerate(members):
        selected = selections @ weight / weight.sum()
        both = np.prod(selections, axis=0) @ weight / weight.sum()
        shared[i] = both / selected.mean()
        chance[i] = np.prod(selected) / selected.mean()
    if fractions.ndim == 0:
        return float(shared[0]), float(chance[0])
    return shared.reshape(fractions.shape), chance.reshape(fractions.shape)


def _memberships(scores, fraction, sample_weight):
    """Return the fractions, for each an array (n_scores, n_events) of membership, and weights."""
    if len(scores) < 2:
        raise ValueError(
            f"At least two score arrays are needed; got {len(scores)}. Pass them one after "
            "another: shared_fraction(a, b, c)."
        )
    fractions = check_fraction(fraction)
    scores = [check_scores(s, name=f"scores[{i}]") for i, s in enumerate(scores)]
    check_consistent_length(*scores)
    weight = check_weight(sample_weight, scores[0])
    ranked = [RankedScores(s, weight) for s in scores]
    members = (np.array([r.membership(value) for r in ranked]) for value in fractions.ravel())
    return fractions, members, weight


def _score_overlap(scored, *, reference=None, fraction=0.01, n_refits=2, random_state=None):
    """Overlap with the fitted detector `reference`, or mean over pairs of refits to the events.

    The seeds of the refits are drawn from `random_state`; refit k of an estimator with its own
    seed s has s + k.
    """
    options = {"fraction": fraction, "sample_weight": scored.weight}
    if reference is not None:
        return selection_overlap(scored.scores, scored.response(scored.X, reference), **options)
    if n_refits < 2:
        raise ValueError(f"n_refits must be at least 2 to compare refits; got {n_refits}.")
    parameters = scored.estimator.get_params(deep=True)
    if not any(name.rpartition("__")[2] == "random_state" for name in parameters):
        raise ValueError(
            f"{type(scored.estimator).__name__} has no random_state, so its refits are identical; "
            "pass reference= a fitted detector to measure the overlap with."
        )
    scores = [
        scored.response(
            scored.X, fit_child(scored.estimator, scored.X, scored.y, random_state=seed, copy=k)
        )
        for k, seed in enumerate(draw_seeds(random_state, n_refits))
    ]
    return np.mean([selection_overlap(*p, **options) for p in itertools.combinations(scores, 2)])


register_scorer(
    "overlap",
    _score_overlap,
    needs_truth=False,
    options=("reference", "fraction", "n_refits", "random_state"),
)
