"""Quantiles of features and correlations of their normal scores, as functions of m."""

import numpy as np
from scipy import stats
from scipy.special import ndtr

__all__ = ["ConditionalQuantiles", "equal_bins", "weighted_quantiles"]

# Normal scores of the quantiles that are followed in m.
_SCORES = np.linspace(-3.0, 3.0, 61)
_LEVELS = ndtr(_SCORES)
_STEP = _SCORES[1] - _SCORES[0]
# The quantiles at normal scores of -2 to 2, by which bases are compared.
_TESTED = [10, 20, 30, 40, 50]
_ALPHA = 0.01
# Tables in m: as many masses at equal numbers of events, and at equal distances.
_NODES = 65
_SMALLEST_VARIANCE = 0.01
# Numbers held at a time in the matrices of single events.
_AT_A_TIME = 2**22


class ConditionalQuantiles:
    """A map of features at m to normal scores and back, and between masses.

    In bins of m the quantiles of every feature and the covariance of the normal scores are read
    off; least squares make each of them a function of m. Of several bases every feature has the
    first that describes its bins as well as the last, by F-tests: a curve that nothing asks for
    would invent structure where no events are. Tables at many masses are interpolated.

    Parameters
    ----------
    features : ndarray of float64, shape (n_events, n_features)
    m : ndarray of float64, shape (n_events,)
    weight : ndarray of float64, shape (n_events,)
        Of mean 1.
    bins : list of ndarray of int
        Rows of the events of each bin.
    bases : list of callable
        ``basis(m)`` returns the functions that make up the dependence on m, of shape (n, n_terms);
        from the fewest terms to the most.

    Attributes
    ----------
    coefficients : list of ndarray, shape (n_terms, 61)
        Of the quantiles of every feature.
    n_terms : ndarray of int, shape (n_features + 1,)
        Of the quantiles of every feature, and of the correlations.
    """

    def __init__(self, features, m, weight, bins, bases):
        at_bins = [np.average(m[rows], weights=weight[rows]) for rows in bins]
        size = np.array([weight[rows].sum() for rows in bins])
        designs = [basis(np.array(at_bins)) for basis in bases]
        shares = np.linspace(0, 1, _NODES)
        low, high = m.min(), m.max()
        self.nodes = np.unique(
            np.concatenate([weighted_quantiles(m, weight, shares), low + shares * (high - low)])
        )
        at_nodes = [basis(self.nodes) for basis in bases]
        self.coefficients, quantiles, chosen = [], [], []
        for column in features.T:
            read_off = np.array(
                [weighted_quantiles(column[rows], weight[rows], _LEVELS) for rows in bins]
            )
            k = _simplest(designs, read_off[:, _TESTED], size)
            self.coefficients.append(_least_squares(designs[k], read_off, size))
            quantiles.append(at_nodes[k] @ self.coefficients[-1])
            chosen.append(k)
        mean = np.average(features, axis=0, weights=weight)
        spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weight))
        # Quantiles that fall together are told apart, so that each has its own score.
        apart = 1e-9 * np.where(spread > 0, spread, 1.0)[:, None] * np.arange(len(_SCORES))
        self.quantiles = np.maximum.accumulate(quantiles, axis=2) + apart[:, None, :]
        core = _core(self.scores(features, m))
        covariances = np.array(
            [np.cov(core[rows].T, aweights=weight[rows], ddof=0).reshape(-1) for rows in bins]
        )
        n = features.shape[1]
        k = _simplest(designs, covariances[:, np.triu(np.ones((n, n)), 1).reshape(-1) > 0], size)
        fitted = at_nodes[k] @ _least_squares(designs[k], covariances, size)
        variances, axes = np.linalg.eigh(fitted.reshape(-1, n, n))
        variances = np.maximum(variances, _SMALLEST_VARIANCE)
        self.roots = np.linalg.cholesky((axes * variances[:, None, :]) @ axes.swapaxes(1, 2))
        self.n_terms = np.array([designs[k].shape[1] for k in (*chosen, k)])

    def scores(self, features, m):
        """Return the normal scores of features at m; in the tails, widths from the end."""
        node, share = self._place(m)
        scores = np.empty_like(features)
        for j, x in enumerate(features.T):
            at = _Interpolated(self.quantiles[j], node, share)
            lower = at.last_below(x)
            start, stop = at(lower), at(lower + 1)
            scores[:, j] = _SCORES[lower] + _STEP * (x - start) / (stop - start)
            for end, tail in ((0, x < at(0)), (-1, x > at(len(_SCORES) - 1))):
                own = at.rows(tail)
                scores[tail, j] = _SCORES[end] + (x[tail] - own[:, end]) / _width(own)
        return scores

    def features(self, scores, m):
        """Return the features of normal scores at m."""
        node, share = self._place(m)
        features = np.empty_like(scores)
        for j, z in enumerate(scores.T):
            at = _Interpolated(self.quantiles[j], node, share)
            lower = np.clip((z - _SCORES[0]) // _STEP, 0, len(_SCORES) - 2).astype(np.intp)
            start, stop = at(lower), at(lower + 1)
            features[:, j] = start + (stop - start) * (z - _SCORES[lower]) / _STEP
            for end, tail in ((0, z < _SCORES[0]), (-1, z > _SCORES[-1])):
                own = at.rows(tail)
                features[tail, j] = own[:, end] + (z[tail] - _SCORES[end]) * _width(own)
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
            inside = np.minimum(further, len(_SCORES) - 2)
            position = np.where((further == inside) & (self(inside) <= x), further, position)
        return position


def _least_squares(design, values, size):
    """Return the coefficients of a basis through one row of values per bin."""
    root = np.sqrt(size)[:, None]
    return np.linalg.lstsq(design * root, values * root, rcond=None)[0]


def _simplest(designs, values, size):
    """Return the first design that no column of the values refuses for the last one."""
    if not values.shape[1]:
        return 0
    chi2 = np.array(
        [size @ (values - design @ _least_squares(design, values, size)) ** 2 for design in designs]
    )
    n_terms = [design.shape[1] for design in designs]
    left = len(values) - n_terms[-1]
    for k in range(len(designs) - 1):
        more = n_terms[-1] - n_terms[k]
        # What is left of values without scatter is rounding.
        scatter = np.maximum(chi2[-1], 1e-20 * (size @ values**2) + np.finfo(float).tiny)
        ratio = (chi2[k] - chi2[-1]) / more / (scatter / left)
        if stats.f.sf(ratio, more, left).min() * values.shape[1] > _ALPHA:
            return k
    return len(designs) - 1


def equal_bins(m, weight, rows, n_bins):
    """Return the rows of bins of about equal weight, in rising m; equal masses stay together."""
    of_mass = np.unique(m[rows], return_inverse=True)[1]
    place = np.minimum((_levels(weight[rows], of_mass) * n_bins).astype(np.intp), n_bins - 1)
    return [rows[place[of_mass] == k] for k in np.unique(place)]


def weighted_quantiles(values, weight, levels):
    """Return quantiles of values; half of the weight of equal values lies below them.

    An event of weight 2 is two events.
    """
    distinct, of_value = np.unique(values, return_inverse=True)
    return np.interp(levels, _levels(weight, of_value), distinct)


def _levels(weight, groups):
    """Return the share of the weight below each group, half of its own included."""
    weight = np.bincount(groups, weights=weight)
    return (np.cumsum(weight) - 0.5 * weight) / weight.sum()


def _core(scores):
    return np.clip(scores, _SCORES[0], _SCORES[-1])


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
