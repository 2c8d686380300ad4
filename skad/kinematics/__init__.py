"""Kinematics of four-vectors and the substructure of jets, on arrays."""

from skad.kinematics._four_vectors import (
    azimuth,
    invariant_mass,
    pseudorapidity,
    rapidity,
    split_constituents,
    transverse_momentum,
    wrap_angle,
)
from skad.kinematics._subjettiness import n_subjettiness

__all__ = [
    "azimuth",
    "invariant_mass",
    "pseudorapidity",
    "rapidity",
    "split_constituents",
    "transverse_momentum",
    "wrap_angle",
    "n_subjettiness",
]
