"""Kinematics of four-vectors (E, px, py, pz) on arrays; no jets, no estimators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.utils._arguments import Numbers

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "azimuth",
    "invariant_mass",
    "pseudorapidity",
    "rapidity",
    "split_constituents",
    "transverse_momentum",
    "wrap_angle",
]

# Keeps pz / pT finite for a vector along the beam: |eta| stays below 750.
_TINY = 1e-150


def split_constituents(X: ArrayLike) -> NDArray[Any]:
    """Return the columns of constituents as an array of four-vectors.

    Parameters
    ----------
    X : array-like of shape (n_jets, 4 * n_constituents)
        Columns e00, px00, py00, pz00, e01, ... in one unit, GeV in the files of the field.

    Returns
    -------
    p4 : ndarray of shape (n_jets, n_constituents, 4)
        (E, px, py, pz) of every constituent, in the unit of `X`.

    Raises
    ------
    ValueError
        The number of columns is not a multiple of four.

    Examples
    --------
    >>> from skad.kinematics import split_constituents
    >>> split_constituents([[5, 3, 4, 0, 2, 0, 0, 2]])
    array([[[5, 3, 4, 0],
            [2, 0, 0, 2]]])
    """
    X = np.asarray(X)
    if X.dtype.kind not in "fiub":
        X = Numbers(None, finite=False).read(X, "X")
    if X.ndim != 2 or X.shape[1] % 4:
        raise ValueError(
            "X must have shape (n_jets, 4 * n_constituents) with columns e00, px00, py00, pz00, "
            f"e01, ...; got shape {X.shape}. Select the constituent columns first."
        )
    return X.reshape(len(X), X.shape[1] // 4, 4)


def transverse_momentum(p4: NDArray[Any]) -> NDArray[Any]:
    """Return the transverse momentum pT.

    Parameters
    ----------
    p4 : ndarray of shape (..., 4)
        Four-vectors (E, px, py, pz).

    Returns
    -------
    pt : ndarray of shape (...)
        In the unit of `p4`.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.kinematics import transverse_momentum
    >>> transverse_momentum(np.array([[13.0, 3.0, 4.0, 12.0]]))
    array([5.])
    """
    p4 = four_vectors(p4)
    return np.hypot(p4[..., 1], p4[..., 2])


def azimuth(p4: NDArray[Any]) -> NDArray[Any]:
    """Return the azimuth phi around the beam.

    Parameters
    ----------
    p4 : ndarray of shape (..., 4)
        Four-vectors (E, px, py, pz).

    Returns
    -------
    phi : ndarray of shape (...)
        In radians within [-pi, pi].

    Examples
    --------
    >>> import numpy as np
    >>> from skad.kinematics import azimuth
    >>> azimuth(np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, -1.0, 0.0]])).round(3)
    array([ 0.   , -1.571])
    """
    p4 = four_vectors(p4)
    return np.arctan2(p4[..., 2], p4[..., 1])


def pseudorapidity(p4: NDArray[Any]) -> NDArray[Any]:
    """Return the pseudorapidity eta = arsinh(pz / pT).

    Parameters
    ----------
    p4 : ndarray of shape (..., 4)
        Four-vectors (E, px, py, pz).

    Returns
    -------
    eta : ndarray of shape (...)
        Without unit; finite along the beam too.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.kinematics import pseudorapidity
    >>> pseudorapidity(np.array([[13.0, 3.0, 4.0, 12.0], [13.0, 3.0, 4.0, -12.0]])).round(3)
    array([ 1.609, -1.609])
    """
    p4 = four_vectors(p4)
    return np.arcsinh(p4[..., 3] / np.maximum(transverse_momentum(p4), _TINY))


def rapidity(p4: NDArray[Any]) -> NDArray[Any]:
    """Return the rapidity y = 1/2 ln((E + pz) / (E - pz)).

    Written as ln(mT / (E + abs(pz))) with mT^2 = pT^2 + max(m^2, 0), which keeps its digits
    for forward vectors and treats a slightly spacelike vector (rounding) as massless.

    Parameters
    ----------
    p4 : ndarray of shape (..., 4)
        Four-vectors (E, px, py, pz).

    Returns
    -------
    y : ndarray of shape (...)
        Without unit; that of a massless vector is its pseudorapidity.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.kinematics import rapidity
    >>> rapidity(np.array([[13.0, 3.0, 4.0, 12.0], [20.0, 3.0, 4.0, 12.0]])).round(3)
    array([1.609, 0.693])
    """
    p4 = four_vectors(p4)
    energy, pz = p4[..., 0], p4[..., 3]
    pt2 = p4[..., 1] ** 2 + p4[..., 2] ** 2
    m2 = np.maximum((energy - pz) * (energy + pz) - pt2, 0.0)
    plus = np.maximum(energy + np.abs(pz), _TINY)
    y = np.log(np.maximum(np.sqrt(pt2 + m2), _TINY) / plus)
    return np.where(pz > 0, -y, y)


def invariant_mass(p4: NDArray[Any]) -> NDArray[Any]:
    """Return the invariant mass m.

    Parameters
    ----------
    p4 : ndarray of shape (..., 4)
        Four-vectors (E, px, py, pz).

    Returns
    -------
    mass : ndarray of shape (...)
        In the unit of `p4`; -sqrt(-m^2) where rounding makes m^2 negative.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.kinematics import invariant_mass
    >>> jets = np.array([[[13.0, 3.0, 4.0, 12.0], [13.0, -3.0, -4.0, -12.0]]])  # of one event
    >>> invariant_mass(jets)
    array([[0., 0.]])
    >>> invariant_mass(jets.sum(axis=1))
    array([26.])
    """
    p4 = four_vectors(p4)
    pt2 = p4[..., 1] ** 2 + p4[..., 2] ** 2
    m2 = (p4[..., 0] - p4[..., 3]) * (p4[..., 0] + p4[..., 3]) - pt2
    return np.copysign(np.sqrt(np.abs(m2)), m2)


def wrap_angle(phi: float | NDArray[Any]) -> Any:
    """Return angles moved into [-pi, pi] by multiples of 2 pi.

    Parameters
    ----------
    phi : float or ndarray
        Angles in radians, such as differences of azimuths.

    Returns
    -------
    wrapped : float or ndarray
        Angles in radians within [-pi, pi].

    Examples
    --------
    >>> import numpy as np
    >>> from skad.kinematics import wrap_angle
    >>> wrap_angle(np.array([1.0, 4.0, -7.0])).round(3)
    array([ 1.   , -2.283, -0.717])
    """
    phi = Numbers(None, finite=False).read(phi, "phi")
    # An order of magnitude faster than the remainder operator.
    return phi - 2 * np.pi * np.rint(phi / (2 * np.pi))


def four_vectors(p4):
    """Return (E, px, py, pz) in the last axis as numbers; float32 stays."""
    if isinstance(p4, np.ndarray) and p4.dtype.kind == "f":
        array = p4
    else:
        array = Numbers(None, finite=False).read(p4, "p4")
    if not array.ndim or array.shape[-1] != 4:
        raise ValueError(
            f"p4 must hold E, px, py, pz in its last axis; got shape {array.shape}. "
            "split_constituents makes it from the columns of jets."
        )
    largest = np.fmax.reduce(np.abs(array), axis=None, initial=0.0)
    if largest > (limit := np.sqrt(np.finfo(array.dtype).max) / 8):
        raise ValueError(
            f"p4 must not be above {limit:.1g} in {array.dtype}, where squares are no numbers; the "
            f"largest is {largest:g}. Give GeV or TeV."
        )
    return array
