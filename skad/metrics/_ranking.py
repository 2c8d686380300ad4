"""Selection of the most anomalous fraction of events."""

import numpy as np

__all__ = ["RankedScores"]


class RankedScores:
    """Scores sorted once, for selections at many fractions.

    Parameters
    ----------
    scores, weight : ndarray of shape (n_events,)
        Checked scores (higher = more anomalous) and weights.
    """

    def __init__(self, scores, weight):
        self._order = np.argsort(scores)[::-1]
        ranked = scores[self._order]
        self._stop = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1) + 1
        self._weight_above = np.cumsum(weight[self._order])[self._stop - 1]

    def membership(self, fraction):
        """Return how much of each event is in the smallest selection holding `fraction`.

        1 above the cut and 0 below. Events that tie at the cut are members with the probability
        of a random choice among them, so that a constant score selects at random and nobody
        depends on the order of the events.
        """
        target = fraction * self._weight_above[-1]
        # Rounding must not open another group when the one before fills the fraction.
        group = np.searchsorted(self._weight_above, target * (1 - 1e-12))
        start = self._stop[group - 1] if group else 0
        above = self._weight_above[group - 1] if group else 0.0
        tied = self._order[start : self._stop[group]]
        member = np.zeros(len(self._order))
        member[self._order[:start]] = 1.0
        if len(tied) == 1:
            member[tied] = 1.0
        else:
            member[tied] = min((target - above) / (self._weight_above[group] - above), 1.0)
        return member
