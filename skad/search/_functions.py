"""Smooth functions of the resonant feature, exponentials of sums linear in their parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skad.exceptions import DomainError
from skad.utils._arguments import POSITIVE, Numbers, checked
from skad.utils._log_linear import polynomial_basis

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Floats

__all__ = ["FUNCTIONS", "SpectrumFunction", "check_mass_unit", "dijet_function"]

# No search with the dijet function reaches as low as a thousandth of the collision energy.
_LOWEST_REACH = 1e-3


@dataclass(frozen=True)
class SpectrumFunction:
    """One kind of function: ``ln f(m) = sum_k a_k b_k(m)``.

    Attributes
    ----------
    basis : callable
        ``basis(m, n_parameters, sqrt_s, low, high)`` returns the b_k, with the parameters on the
        last axis; `low` and `high` are the ends of the histogram.
    orders : tuple of int
        Numbers of parameters that are tried by default.
    fewest, most : int
        Numbers of parameters that are allowed.
    falling : bool
        Whether it can only describe a falling spectrum.
    """

    basis: Callable
    orders: tuple
    fewest: int
    most: int
    falling: bool


@checked(m=Numbers(None), parameters=Numbers(), sqrt_s=POSITIVE)
def dijet_function(
    m: ArrayLike, parameters: Floats, *, sqrt_s: float = 13.0
) -> NDArray[np.float64]:
    """Dijet function of 3, 4 or 5 parameters, in events per unit of m.

    ``f(m) = p1 (1 - x)^p2 x^(-p3 - p4 ln x - p5 ln^2 x)`` with ``x = m / sqrt_s``.

    Parameters
    ----------
    m : array-like of float
        Dijet mass, ``0 < m < sqrt_s``.
    parameters : sequence of 3 to 5 floats
        p1 (events per unit of m), p2, p3 and, where present, p4, p5 (no unit).
    sqrt_s : float, default=13.0
        Collision energy in the unit of m (the default is for TeV).

    Returns
    -------
    density : ndarray of float64

    References
    ----------
    CDF Collaboration, "Search for new particles decaying into dijets in proton-antiproton
    collisions at sqrt(s) = 1.96 TeV", Phys. Rev. D 79 (2009) 112002, arXiv:0812.4036
    (four parameters).

    Examples
    --------
    >>> from skad.search import dijet_function
    >>> dijet_function([6.5], [8.0, 1.0, 0.0])
    array([4.])
    """
    if not 1 <= len(parameters) <= 5:
        raise ValueError(f"parameters must hold 3 to 5 numbers; got {len(parameters)}.")
    basis = _dijet_basis(m, len(parameters), sqrt_s)
    return parameters[0] * np.exp(basis[..., 1:] @ parameters[1:])


def check_function(function):
    """Refuse what is no name of a function."""
    if not isinstance(function, str) or function not in FUNCTIONS:
        raise ValueError(f"function must be one of {tuple(FUNCTIONS)}; got {function!r}.")


def check_mass_unit(m, sqrt_s):
    """Refuse masses without a dijet function, or in another unit than `sqrt_s`."""
    dijet_function(m, (1.0, 0.0, 0.0), sqrt_s=sqrt_s)
    if np.max(m) < _LOWEST_REACH * sqrt_s:
        raise DomainError(
            f"the masses reach to {np.max(m):g}, sqrt_s is {sqrt_s:g}: they are hardly in the same "
            "unit. Give sqrt_s in the unit of the masses (13.0 for TeV, 13000.0 for GeV), or take "
            "function='polynomial'."
        )


def _dijet_basis(m, n_parameters, sqrt_s, low=None, high=None):
    x = m / sqrt_s
    if np.any(x <= 0) or np.any(x >= 1):
        raise DomainError(
            f"the dijet function needs 0 < m < sqrt_s={sqrt_s:g}; m spans [{m.min():g}, "
            f"{m.max():g}]. Give sqrt_s in the unit of m (13.0 for TeV, 13000.0 for GeV), "
            "or take function='polynomial'."
        )
    log_x = np.log(x)
    columns = [np.ones_like(x), np.log1p(-x), -log_x, -(log_x**2), -(log_x**3)]
    return np.stack(columns[:n_parameters], axis=-1)


def _power_exponential_basis(m, n_parameters, sqrt_s, low, high):
    if np.any(m <= 0):
        raise DomainError(
            f"the power law needs m > 0; m spans [{m.min():g}, {m.max():g}]. Take "
            "function='polynomial'."
        )
    # In units of the upper end, so that no parameter depends on the unit of m but the first.
    x = m / high
    columns = [np.ones_like(x), -np.log(x), -x, -(x**2)]
    return np.stack(columns[:n_parameters], axis=-1)


def _polynomial(m, n_parameters, sqrt_s, low, high):
    return polynomial_basis(m, n_parameters, low, high)


FUNCTIONS = {
    "dijet": SpectrumFunction(_dijet_basis, (3, 4, 5), 3, 5, True),
    "power_exponential": SpectrumFunction(_power_exponential_basis, (2, 3, 4), 2, 4, True),
    "polynomial": SpectrumFunction(_polynomial, (2, 3, 4), 1, 6, False),
}
