"""N-subjettiness on exclusive-kT axes, all jets clustered at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.kinematics._four_vectors import (
    azimuth,
    four_vectors,
    rapidity,
    transverse_momentum,
    wrap_angle,
)
from skad.utils._arguments import Numbers

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

__all__ = ["n_subjettiness"]

# Jets times squared constituents held at once: a few arrays of this many doubles.
_BLOCK = 1_000_000
MAX_AXES = 3


def n_subjettiness(
    p4: NDArray[Any], n_constituents: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return tau_1, tau_2 and tau_3 of jets.

    tau_N = sum_i pT_i min_k dR(i, axis_k) / sum_i pT_i, with dR in rapidity and azimuth, the
    angular exponent beta = 1 and the jet radius R0 = 1. The axes are the N jets of the
    exclusive kT algorithm (E-scheme recombination, no distance to the beam).

    Parameters
    ----------
    p4 : ndarray of shape (n_jets, n, 4)
        Constituents (E, px, py, pz), in any one unit; unused places anywhere, zero.
    n_constituents : ndarray of int, shape (n_jets,), default=None
        Given when the used places come first, else found from E > 0.

    Returns
    -------
    tau : ndarray of float64, shape (n_jets, 3)
        Without unit, as dR; exactly zero for jets of at most N constituents.

    References
    ----------
    .. [1] J. Thaler, K. Van Tilburg, "Identifying boosted objects with N-subjettiness",
       JHEP 03 (2011) 015, eq. 2.2.

    Examples
    --------
    Two constituents of equal pT, 0.2 apart in azimuth: 0.1 from their common axis, 0 from two.

    >>> import numpy as np
    >>> from skad.kinematics import n_subjettiness
    >>> jet = [[1.0, np.cos(phi), np.sin(phi), 0.0] for phi in (0.1, -0.1)]
    >>> n_subjettiness(np.array([jet])).round(3)
    array([[0.1, 0. , 0. ]])
    """
    p4 = four_vectors(Numbers(3, finite=False).read(p4, "p4"))
    n_jets, n, _ = p4.shape
    tau = np.zeros((n_jets, MAX_AXES))
    if n == 0:
        return tau
    if n_constituents is None:
        used = p4[..., 0] > 0
        n_constituents = used.sum(axis=1)
        if not np.all(used[:, :-1] >= used[:, 1:]):
            order = np.argsort(~used, axis=1, kind="stable")
            p4 = np.take_along_axis(p4, order[:, :, None], axis=1)
    # Fullest jets first: then those still clustering are always a leading block, and the
    # jets of one block have about as many constituents.
    by_count = np.argsort(-n_constituents, kind="stable")
    start = 0
    while start < n_jets:
        width = int(n_constituents[by_count[start]])
        if width < 2:
            break
        rows = by_count[start : start + max(1, _BLOCK // width**2)]
        tau[rows] = _tau_of_block(p4[rows, :width], n_constituents[rows])
        start += len(rows)
    return tau


def _tau_of_block(p4, counts):
    """tau_1..3 of jets sorted by falling number of constituents, used places first."""
    pt, y, phi = transverse_momentum(p4), rapidity(p4), azimuth(p4)
    unused = np.arange(p4.shape[1]) >= counts[:, None]
    pt[unused] = 0.0
    total = np.maximum(pt.sum(axis=1), np.finfo(float).tiny)
    tau = np.zeros((len(p4), MAX_AXES))
    for n_axes, axes_y, axes_phi in _exclusive_kt(p4, pt, y, phi, counts):
        m = len(axes_y)
        distance2 = np.full(pt[:m].shape, np.inf)
        for k in range(n_axes):
            dy = y[:m] - axes_y[:, k, None]
            dphi = wrap_angle(phi[:m] - axes_phi[:, k, None])
            np.minimum(distance2, dy * dy + dphi * dphi, out=distance2)
        distance2[unused[:m]] = 0.0
        tau[:m, n_axes - 1] = (pt[:m] * np.sqrt(distance2)).sum(axis=1) / total[:m]
    return tau


def _exclusive_kt(p4, pt, y, phi, counts):
    """Yield (N, rapidities, azimuths) of the N exclusive-kT jets, for N = 3, 2, 1.

    Only jets with more than N constituents are yielded, a leading block of the jets.

    The pair with the smallest min(pT_i, pT_j)^2 dR_ij^2 is i and its nearest neighbour in dR
    for some i (Cacciari, Salam, Phys. Lett. B 641 (2006) 57), so one neighbour per
    constituent is kept up to date. At level `size` every jet in play has exactly `size`
    pseudojets in the leading places: the merged one takes the first place of its pair, the
    last one moves into the second.
    """
    p4, kt2, y, phi = p4.copy(), pt * pt, y.copy(), phi.copy()
    near, near_r2 = _nearest_neighbours(y, phi, counts)
    for size in range(p4.shape[1], 1, -1):
        m = int(np.searchsorted(-counts, -size, side="right"))
        jet = np.arange(m)
        last = size - 1
        first = np.argmin(kt2[:m, :size] * near_r2[:m, :size], axis=1)
        second = near[jet, first]
        low, high = np.minimum(first, second), np.maximum(first, second)

        merged = p4[jet, low] + p4[jet, high]
        for values in (p4, kt2, y, phi, near, near_r2):
            values[jet, high] = values[jet, last]
        p4[jet, low] = merged
        kt2[jet, low] = merged[:, 1] ** 2 + merged[:, 2] ** 2
        y[jet, low] = rapidity(merged)
        phi[jet, low] = azimuth(merged)

        if last <= MAX_AXES:
            yield last, y[:m, :last], phi[:m, :last]
        if last == 1:
            return

        neighbour = near[:m, :last]
        lost = (neighbour == low[:, None]) | (neighbour == high[:, None])
        lost[jet, low] = True
        moved = neighbour == last
        np.copyto(neighbour, high[:, None], where=moved)

        dy = y[:m, :last] - y[jet, low][:, None]
        dphi = wrap_angle(phi[:m, :last] - phi[jet, low][:, None])
        r2 = dy * dy + dphi * dphi
        r2[jet, low] = np.inf
        closer = r2 < near_r2[:m, :last]
        np.copyto(neighbour, low[:, None], where=closer)
        np.copyto(near_r2[:m, :last], r2, where=closer)

        where_jet, where_i = np.nonzero(lost)
        dy = y[where_jet, :last] - y[where_jet, where_i][:, None]
        dphi = wrap_angle(phi[where_jet, :last] - phi[where_jet, where_i][:, None])
        r2 = dy * dy + dphi * dphi
        r2[np.arange(len(where_i)), where_i] = np.inf
        best = np.argmin(r2, axis=1)
        near[where_jet, where_i] = best
        near_r2[where_jet, where_i] = r2[np.arange(len(best)), best]


def _nearest_neighbours(y, phi, counts):
    """Index and squared distance of the nearest other constituent of each constituent."""
    n = y.shape[1]
    dphi = wrap_angle(phi[:, :, None] - phi[:, None, :])
    r2 = (y[:, :, None] - y[:, None, :]) ** 2 + dphi * dphi
    r2[:, np.arange(n), np.arange(n)] = np.inf
    r2[np.broadcast_to((np.arange(n) >= counts[:, None])[:, None, :], r2.shape)] = np.inf
    near = np.argmin(r2, axis=2)
    return near, np.take_along_axis(r2, near[:, :, None], axis=2)[:, :, 0]
