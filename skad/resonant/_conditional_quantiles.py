"""Quantiles of features and correlations of their normal scores, as functions of m."""

import numpy as np
from scipy.special import ndtr

__all__ = ["SCORES", "ConditionalQuantiles"]

# Normal scores of the quantiles that are followed in m.
SCORES = np.linspace(-3.0, 3.0, 61)
_STEP = SCORES[1] - SCORES[0]
# Tables in m: as many masses at equal numbers of events, and at equal distances.
_NODES = 65
_SMALLEST_VARIANCE = 0.01
# Numbers held at a time in the matrices of single events.
_AT_A_TIME = 2**22


class ConditionalQuantiles:
    """A map of features at m to normal scores and back, and between masses.

    In bins of m the quantiles of every feature and the covariance of the normal scores are read
    off; least squares make each of them a function of m. Tables of these at many masses are
    interpolated.

    Parameters
    ----------
    features : ndarray of float64, shape (n_events, n_features)
    m : ndarray of float64, shape (n_events,)
    weight : ndarray of float64, shape (n_events,)
        Of mean 1.
    bins : list of ndarray of int
        Rows of the events of each bin.
    basis : callable
        ``basis(m)`` returns the functions that make up the dependence on m, of shape (n, n_terms).
    """

    def __init__(self, features, m, weight, bins, basis):
        at_bins = basis(np.array([np.average(m[rows], weights=weight[rows]) for rows in bins]))
        size = np.sqrt([weight[rows].sum() for rows in bins])[:, None]

        def followed(values):
            """Return the coefficients of the basis through one row of values per bin."""
            return np.linalg.lstsq(at_bins * size, values * size, rcond=None)[0]

        self.coefficients = np.stack(
            [
                followed(np.array([_quantiles_of(column, weight, rows) for rows in bins]))
                for column in features.T
            ]
        )
        self.nodes = np.unique(
            np.concatenate(
                [np.quantile(m, np.linspace(0, 1, _NODES)), np.linspace(m.min(), m.max(), _NODES)]
            )
        )
        at_nodes = basis(self.nodes)
        spread = features.std(axis=0)
        # Quantiles that fall together are told apart, so that each has its own score.
        apart = 1e-9 * np.where(spread > 0, spread, 1.0)[:, None] * np.arange(len(SCORES))
        rising = np.maximum.accumulate(at_nodes @ self.coefficients, axis=2)
        self.quantiles = rising + apart[:, None, :]
        core = _core(self.scores(features, m))
        covariances = [
            np.cov(core[rows].T, aweights=weight[rows], ddof=0).reshape(-1) for rows in bins
        ]
        n = features.shape[1]
        fitted = (at_nodes @ followed(np.array(covariances))).reshape(-1, n, n)
        variances, axes = np.linalg.eigh(fitted)
        variances = np.maximum(variances, _SMALLEST_VARIANCE)
        self.roots = np.linalg.cholesky((axes * variances[:, None, :]) @ axes.swapaxes(1, 2))

    def scores(self, features, m):
        """Return the normal scores of features at m; in the tails, widths from the end."""
        node, share = self._place(m)
        scores = np.empty_like(features)
        for j, x in enumerate(features.T):
            at = _Interpolated(self.quantiles[j], node, share)
            lower = at.last_below(x)
            start, stop = at(lower), at(lower + 1)
            scores[:, j] = SCORES[lower] + _STEP * (x - start) / (stop - start)
            for end, tail in ((0, x < at(0)), (-1, x > at(len(SCORES) - 1))):
                own = at.rows(tail)
                scores[tail, j] = SCORES[end] + (x[tail] - own[:, end]) / _width(own)
        return scores

    def features(self, scores, m):
        """Return the features of normal scores at m."""
        node, share = self._place(m)
        features = np.empty_like(scores)
        for j, z in enumerate(scores.T):
            at = _Interpolated(self.quantiles[j], node, share)
            lower = np.clip((z - SCORES[0]) // _STEP, 0, len(SCORES) - 2).astype(np.intp)
            start, stop = at(lower), at(lower + 1)
            features[:, j] = start + (stop - start) * (z - SCORES[lower]) / _STEP
            for end, tail in ((0, z < SCORES[0]), (-1, z > SCORES[-1])):
                own = at.rows(tail)
                features[tail, j] = own[:, end] + (z[tail] - SCORES[end]) * _width(own)
        return features

    def moved(self, features, source, target):
        """Return features of events at one mass, moved to another at their quantiles."""
        scores = self.scores(features, source)
        # The tails of one feature must not move another.
        core = _core(scores)
        step = max(1, _AT_A_TIME // features.shape[1] ** 2)
        for first in range(0, len(features), step):
            rows = slice(first, first + step)
            white = _solved(self._root(source[rows]), core[rows])
            mixed = np.einsum("nij,nj->ni", self._root(target[rows]), white)
            scores[rows] += mixed - core[rows]
        return self.features(scores, target)

    def _place(self, m):
        """Return the node below every m and the share of the way to the next; at most the ends."""
        place = np.interp(m, self.nodes, np.arange(len(self.nodes)))
        node = np.minimum(place.astype(np.intp), max(len(self.nodes) - 2, 0))
        return node, place - node

    def _root(self, m):
        """Return the Cholesky factor of the covariance of the scores at each m."""
        node, share = self._place(m)
        share = share[:, None, None]
        return (1 - share) * self.roots[node] + share * self.roots[self._next(node)]

    def _next(self, node):
        return np.minimum(node + 1, len(self.nodes) - 1)


class _Interpolated:
    """The quantiles of one feature at the m of every event, where they are asked for."""

    def __init__(self, table, node, share):
        self.table = table
        self.node = node
        self.other = np.minimum(node + 1, len(table) - 1)
        self.share = share

    def __call__(self, position):
        low = self.table[self.node, position]
        return low + self.share * (self.table[self.other, position] - low)

    def rows(self, mask):
        """Return all quantiles of the events of a mask, shape (n, 61)."""
        low = self.table[self.node[mask]]
        return low + self.share[mask, None] * (self.table[self.other[mask]] - low)

    def last_below(self, x):
        """Return the position of the last quantile not above x that has a next one; at least 0."""
        position = np.zeros(len(x), dtype=np.intp)
        for step in (32, 16, 8, 4, 2, 1):
            further = position + step
            inside = np.minimum(further, len(SCORES) - 2)
            position = np.where((further == inside) & (self(inside) <= x), further, position)
        return position


def _quantiles_of(column, weight, rows):
    rows = rows[np.argsort(column[rows], kind="stable")]
    # Half of an event's weight lies below it.
    level = (np.cumsum(weight[rows]) - 0.5 * weight[rows]) / weight[rows].sum()
    return np.interp(ndtr(SCORES), level, column[rows])


def _core(scores):
    return np.clip(scores, SCORES[0], SCORES[-1])


def _solved(roots, scores):
    """Solve a lower triangular system for every event, feature by feature."""
    white = np.empty_like(scores)
    for j in range(scores.shape[1]):
        known = np.einsum("nk,nk->n", roots[:, j, :j], white[:, :j])
        white[:, j] = (scores[:, j] - known) / roots[:, j, j]
    return white


def _width(quantiles):
    """Return half the distance of the quantiles at -1 and 1, which is known well at any m."""
    return 0.5 * (quantiles[:, 40] - quantiles[:, 20])
