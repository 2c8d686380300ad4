"""Energy mover's distance between jets."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array, gen_batches
from sklearn.utils.parallel import Parallel, delayed

from skad.kinematics._four_vectors import (
    azimuth,
    pseudorapidity,
    split_constituents,
    transverse_momentum,
    wrap_angle,
)
from skad.utils._optional import import_optional

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["energy_movers_distance"]

_BLOCK = 2048
_MAX_ITERATIONS = 100_000


def energy_movers_distance(
    X: ArrayLike,
    Y: ArrayLike,
    *,
    coordinates: Literal["p4", "log_pt_eta_phi"] = "p4",
    radius: float = 1.0,
    normalize: bool = True,
    n_jobs: int | None = None,
) -> NDArray[np.float64]:
    """Energy mover's distance between each jet of X and the same row of Y.

    .. math:: \\mathrm{EMD}(P, Q) = \\min_{f \\ge 0} \\sum_{ij} f_{ij} \\frac{\\theta_{ij}}{R}
              + \\Big| \\sum_i p_i - \\sum_j q_j \\Big|,

    with p and q the transverse momenta of the constituents, theta their distance in
    pseudorapidity and azimuth, and f a transport of the smaller total (rows sum to at most p,
    columns to at most q).

    Parameters
    ----------
    X, Y : array-like of shape (n_jets, n_features)
        Constituents of the jets; unused places hold zeros.
    coordinates : {"p4", "log_pt_eta_phi"}, default="p4"
        What the columns are, constituent after constituent.

        - "p4": E, px, py, pz in GeV. The energies are not used.
        - "log_pt_eta_phi": log(1 + pT), eta, phi, as of `ConstituentCoordinates`; a negative
          logarithm, which a network may return, counts as no momentum.
    radius : float, default=1.0
        R: distance at which moving energy costs as much as creating it.
    normalize : bool, default=True
        Divide the momenta of each jet by their sum. Then the last term vanishes, but between a
        jet and an empty one, whose distance is 1. Else the distance is in units of the momenta.
    n_jobs : int, default=None
        Jets are shared among so many processes.

    Returns
    -------
    distance : ndarray of float64, shape (n_jets,)

    Raises
    ------
    ImportError
        Without the package POT (``pip install 'skad[ot]'``).
    ValueError
        Shapes that differ or columns that do not make whole constituents.

    References
    ----------
    .. [1] P. Komiske, E. Metodiev, J. Thaler, "Metric space of collider events",
       arXiv:1902.02346, eq. 1.
    .. [2] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> from skad.metrics import energy_movers_distance
    >>> along_x, along_y = [[5.0, 5.0, 0.0, 0.0]], [[5.0, 0.0, 5.0, 0.0]]
    >>> energy_movers_distance(along_x, along_y).round(3)  # a quarter turn
    array([1.571])
    """
    import_optional("ot", extra="ot", purpose="energy_movers_distance")
    if coordinates not in ("p4", "log_pt_eta_phi"):
        raise ValueError(f"coordinates must be 'p4' or 'log_pt_eta_phi'; got {coordinates!r}.")
    if not isinstance(radius, Real) or not radius > 0:
        raise ValueError(f"radius must be positive; got {radius!r}.")
    X = check_array(X, dtype=np.float64, input_name="X")
    Y = check_array(Y, dtype=np.float64, input_name="Y")
    if X.shape != Y.shape:
        raise ValueError(f"X and Y must have the same shape; got {X.shape} and {Y.shape}.")
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_distances)(X[rows], Y[rows], coordinates, radius, normalize)
        for rows in gen_batches(len(X), _BLOCK)
    )
    return np.concatenate(parts)


def _distances(X, Y, coordinates, radius, normalize):
    # The public ot.emd2 spends six sevenths of its time on checks made here for all jets at once.
    from ot.lp.emd_wrap import check_result, emd_c

    pt, eta, phi = _pt_eta_phi(X, coordinates)
    other_pt, other_eta, other_phi = _pt_eta_phi(Y, coordinates)
    if normalize:
        pt, other_pt = _normalized(pt), _normalized(other_pt)
    n_jets, n = pt.shape
    # A further constituent of each jet takes, at no cost, what the other has too much.
    cost = np.zeros((n_jets, n + 1, n + 1))
    cost[:, :n, :n] = (
        np.hypot(
            eta[:, :, None] - other_eta[:, None, :],
            wrap_angle(phi[:, :, None] - other_phi[:, None, :]),
        )
        / radius
    )
    excess = pt.sum(axis=1) - other_pt.sum(axis=1)
    # Rounding is no excess, and the solver wants equal sums.
    excess[np.abs(excess) <= 1e-12 * pt.sum(axis=1)] = 0.0
    # The solver takes contiguous rows only.
    source = np.ascontiguousarray(np.column_stack([pt, np.maximum(-excess, 0.0)]))
    target = np.ascontiguousarray(np.column_stack([other_pt, np.maximum(excess, 0.0)]))
    total = source.sum(axis=1)
    target *= (total / np.where(target.sum(axis=1) > 0, target.sum(axis=1), 1.0))[:, None]
    distance = np.abs(excess)
    for i in np.flatnonzero(total > 0):
        _, moved, _, _, status = emd_c(source[i], target[i], cost[i], _MAX_ITERATIONS, 1)
        check_result(status)
        distance[i] += moved
    return distance


def _pt_eta_phi(X, coordinates):
    if coordinates == "p4":
        p4 = split_constituents(X)
        return transverse_momentum(p4), pseudorapidity(p4), azimuth(p4)
    if X.shape[1] % 3:
        raise ValueError(
            "X must hold log_pt, eta, phi of each constituent, a multiple of three columns; "
            f"got {X.shape[1]}."
        )
    log_pt, eta, phi = np.moveaxis(X.reshape(len(X), -1, 3), -1, 0)
    return np.expm1(np.maximum(log_pt, 0.0)), eta, phi


def _normalized(pt):
    total = pt.sum(axis=1, keepdims=True)
    return pt / np.where(total > 0, total, 1.0)
