"""Agreement of several scores on which events are the most anomalous."""

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_fraction, check_scores, check_weight
from skad.metrics._ranking import RankedScores

__all__ = ["most_anomalous", "selection_overlap", "shared_fraction"]


def shared_fraction(*scores, fraction=0.01, sample_weight=None):
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


def selection_overlap(*scores, fraction=0.01, sample_weight=None):
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


def most_anomalous(scores, *, fraction=0.01, sample_weight=None):
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
    shared, chance = np.empty(fractions.size), np.empty(fractions.size)
    for i, value in enumerate(fractions.ravel()):
        members = np.array([r.membership(value) for r in ranked])
        selected = members @ weight / weight.sum()
        both = np.prod(members, axis=0) @ weight / weight.sum()
        shared[i] = both / selected.mean()
        chance[i] = np.prod(selected) / selected.mean()
    if fractions.ndim == 0:
        return float(shared[0]), float(chance[0])
    return shared.reshape(fractions.shape), chance.reshape(fractions.shape)
