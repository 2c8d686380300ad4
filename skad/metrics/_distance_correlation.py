"""Weighted distance correlation: zero only for independent variables."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import cdist
from sklearn import get_config
from sklearn.utils import check_array, check_consistent_length, gen_batches

from skad.exceptions import SlowWarning
from skad.metrics._checks import check_weight

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

__all__ = ["distance_correlation"]

# Vectors of more events take longer than half a minute.
_MANY = 50_000
# MiB of the blocks of distances; larger ones are no faster.
_BLOCKS = 64


def distance_correlation(
    x: ArrayLike, y: ArrayLike, *, sample_weight: ArrayLike | None = None, power: Literal[1, 2] = 1
) -> float:
    """Distance correlation of two variables, from 0 (independent) to 1.

    .. math:: R = \\frac{\\mathrm{dCov}(x, y)}{\\sqrt{\\mathrm{dCov}(x, x)\\,\\mathrm{dCov}(y, y)}},
              \\quad \\mathrm{dCov}^2(x, y) = \\sum_{jk} w_j w_k A_{jk} B_{jk},

    with A and B the doubly centred matrices of Euclidean distances and weights of sum 1.

    Parameters
    ----------
    x, y : array-like of shape (n_events,) or (n_events, n_features)
        The two variables.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    power : {1, 2}, default=1
        1 returns R (the definition of the DisCo papers and of `dcor.distance_correlation`),
        2 returns R squared, which the public DisCo code minimises and calls power 1.

    Returns
    -------
    correlation : float
        0 when one variable is constant. For n independent events R is about ``n ** -0.5`` times a
        number of order one, not 0.

    Notes
    -----
    One-dimensional variables take O(n log n) time. Others take O(n^2) time, with a warning for more
    than 50 000 events, in blocks of rows of 64 MiB, or of scikit-learn's ``working_memory`` if that
    is less.

    References
    ----------
    .. [1] G. Székely, M. Rizzo, N. Bakirov, "Measuring and testing dependence by correlation of
       distances", Ann. Statist. 35 (2007) 2769.
    .. [2] G. Kasieczka, D. Shih, "DisCo fever: robust networks through distance correlation",
       arXiv:2001.05310.
    .. [3] A. Chaudhuri, W. Hu, "A fast algorithm for computing distance correlation",
       arXiv:1810.11332.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import distance_correlation
    >>> x = np.linspace(-1, 1, 1001)
    >>> round(distance_correlation(x, 3 - x), 6), round(distance_correlation(x, x**2), 2)
    (1.0, 0.49)
    """
    if not isinstance(power, Integral) or power not in (1, 2):
        raise ValueError(f"power must be 1 (R) or 2 (R squared); got {power!r}.")
    x, y = _as_columns(x, "x"), _as_columns(y, "y")
    check_consistent_length(x, y)
    weight = check_weight(sample_weight, x)
    weight = weight / weight.sum()
    if x.shape[1] == y.shape[1] == 1:
        products = _sorted_products(x[:, 0], y[:, 0], weight)
    else:
        if len(x) > _MANY:
            warnings.warn(
                f"distance_correlation of vectors takes time of the square of the {len(x)} events; "
                f"take a random part of them, say {_MANY}, or variables of one column.",
                SlowWarning,
                stacklevel=2,
            )
        products = _pairwise_products(x, y, weight)
    covariance, x_variance, y_variance = products
    if min(x_variance, y_variance) <= 0:
        return 0.0
    # The statistic is not negative; rounding may be.
    squared = max(covariance, 0.0) / np.sqrt(x_variance * y_variance)
    return float(squared if power == 2 else np.sqrt(squared))


def _as_columns(values, name):
    values = check_array(values, dtype=np.float64, ensure_2d=False, input_name=name)
    values = values[:, None] if values.ndim == 1 else values
    if not np.ptp(values, axis=0).any():
        return np.zeros_like(values)
    # Distances do not depend on the origin, but their rounding does; scaling cancels in R.
    values = values - values.mean(axis=0)
    return values / np.abs(values).max()


def _centred(product, a, b, weight):
    """Return sum_jk w_j w_k A_jk B_jk from the uncentred sum and the row means of distances."""
    return product - 2 * weight @ (a * b) + (weight @ a) * (weight @ b)


def _sorted_products(x, y, weight):
    a, b = _row_means(x, weight), _row_means(y, weight)
    squares = [_squares(v[:, None], weight) for v in (x, y)]
    if min(squares) <= 0:
        return 0.0, 0.0, 0.0
    # sum |dx||dy| is twice the sum of dx dy over concordant pairs less that over all pairs.
    all_pairs = weight @ (x * y) - (weight @ x) * (weight @ y)
    product = 4 * _concordant_sum(x, y, weight) - 2 * all_pairs
    return (
        _centred(product, a, b, weight),
        _centred(squares[0], a, a, weight),
        _centred(squares[1], b, b, weight),
    )


def _squares(values, weight):
    """Return sum_jk w_j w_k |v_j - v_k|^2."""
    return 2 * (weight @ (values**2).sum(axis=1) - ((weight @ values) ** 2).sum())


def _row_means(values, weight):
    order = np.argsort(values)
    v, w = values[order], weight[order]
    below, moment = np.cumsum(w), np.cumsum(w * v)
    means = np.empty_like(v)
    means[order] = v * (2 * below - below[-1]) + moment[-1] - 2 * moment
    return means


def _concordant_sum(x, y, weight):
    """Return the sum of w_i w_j (x_j - x_i) (y_j - y_i) over pairs with x_i < x_j and y_i < y_j.

    The events, in the order of y, are split by the bits of their rank in x from the highest bit
    down (a wavelet tree): the earlier events of lower rank that an event has to be paired with
    are, at exactly one bit, those of its own group with a 0 where it has a 1. So every bit
    costs a few cumulative sums, and ties need no care because their product is zero.
    """
    n = len(x)
    rank = np.empty(n, dtype=np.intp)
    rank[np.argsort(x)] = np.arange(n)
    order = np.argsort(y)
    rank = rank[order]
    columns = np.stack([weight, weight * x, weight * y, weight * x * y])[:, order]
    total = 0.0
    for bit in reversed(range(max(n - 1, 1).bit_length())):
        upper = (rank >> bit) & 1 == 1
        group = rank >> (bit + 1)
        start = np.concatenate([[0], np.flatnonzero(np.diff(group)) + 1])
        sizes = np.diff(np.append(start, n))
        lower_sums = np.zeros((4, n + 1))
        np.cumsum(np.where(upper, 0.0, columns), axis=1, out=lower_sums[:, 1:])
        before = lower_sums[:, :-1] - np.repeat(lower_sums[:, start], sizes, axis=1)
        w, wx, wy, wxy = columns[:, upper]
        w0, wx0, wy0, wxy0 = before[:, upper]
        total += (wxy * w0 - wx * wy0 - wy * wx0 + w * wxy0).sum()
        # Stable within a group, so that each group stays in the order of y.
        order = np.argsort(rank >> bit, kind="stable")
        rank, columns = rank[order], columns[:, order]
    return total


def _pairwise_products(x, y, weight):
    n = len(x)
    a, b = np.empty(n), np.empty(n)
    product = 0.0
    # Four blocks of distances live at a time: two go when the next two are there.
    rows = max(1, int(min(_BLOCKS, get_config()["working_memory"]) * 2**20 // (4 * 8 * n)))
    for batch in gen_batches(n, rows):
        dx, dy = cdist(x[batch], x), cdist(y[batch], y)
        a[batch], b[batch] = dx @ weight, dy @ weight
        product += weight[batch] @ (np.multiply(dx, dy, out=dx) @ weight)
    return (
        _centred(product, a, b, weight),
        _centred(_squares(x, weight), a, a, weight),
        _centred(_squares(y, weight), b, b, weight),
    )
