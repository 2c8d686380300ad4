"""Kinematics of four-vectors (E, px, py, pz) on arrays; no jets, no estimators."""

import numpy as np

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


def split_constituents(X):
    """Return X of shape (n_jets, 4 n) as four-vectors of shape (n_jets, n, 4).

    Raises
    ------
    ValueError
        The number of columns is not a multiple of four.
    """
    X = np.asarray(X)
    if X.ndim != 2 or X.shape[1] % 4:
        raise ValueError(
            "X must have shape (n_jets, 4 * n_constituents) with columns e00, px00, py00, pz00, "
            f"e01, ...; got shape {X.shape}. Select the constituent columns first."
        )
    return X.reshape(len(X), -1, 4)


def transverse_momentum(p4):
    """Return pT of four-vectors of shape (..., 4), in the unit of the input."""
    return np.hypot(p4[..., 1], p4[..., 2])


def azimuth(p4):
    """Return phi of four-vectors of shape (..., 4), in radians within [-pi, pi]."""
    return np.arctan2(p4[..., 2], p4[..., 1])


def pseudorapidity(p4):
    """Return eta = arsinh(pz / pT) of four-vectors of shape (..., 4); finite along the beam."""
    return np.arcsinh(p4[..., 3] / np.maximum(transverse_momentum(p4), _TINY))


def rapidity(p4):
    """Return y = 1/2 ln((E + pz) / (E - pz)) of four-vectors of shape (..., 4).

    Written as ln(mT / (E + abs(pz))) with mT^2 = pT^2 + max(m^2, 0), which keeps its digits
    for forward vectors and treats a slightly spacelike vector (rounding) as massless.
    """
    energy, pz = p4[..., 0], p4[..., 3]
    pt2 = p4[..., 1] ** 2 + p4[..., 2] ** 2
    m2 = np.maximum((energy - pz) * (energy + pz) - pt2, 0.0)
    plus = np.maximum(energy + np.abs(pz), _TINY)
    y = np.log(np.maximum(np.sqrt(pt2 + m2), _TINY) / plus)
    return np.where(pz > 0, -y, y)


def invariant_mass(p4):
    """Return m of four-vectors of shape (..., 4): -sqrt(-m^2) where m^2 < 0 (rounding)."""
    pt2 = p4[..., 1] ** 2 + p4[..., 2] ** 2
    m2 = (p4[..., 0] - p4[..., 3]) * (p4[..., 0] + p4[..., 3]) - pt2
    return np.copysign(np.sqrt(np.abs(m2)), m2)


def wrap_angle(phi):
    """Return angles moved into [-pi, pi] by multiples of 2 pi."""
    # An order of magnitude faster than the remainder operator.
    return phi - 2 * np.pi * np.rint(phi / (2 * np.pi))
