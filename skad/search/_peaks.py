"""Shapes of a peak: densities and cumulative functions in standard coordinates."""

import numpy as np
from scipy.special import ndtr

__all__ = ["SHAPES", "check_tails", "peak_cumulative", "peak_density"]

SHAPES = ("gaussian", "crystal_ball")
_ROOT = np.sqrt(2 * np.pi)


def check_tails(tails):
    """Return the four numbers of the tails of a Crystal Ball function, or refuse them."""
    tails = np.asarray(tails, dtype=np.float64)
    if tails.shape != (4,) or not np.all(np.isfinite(tails)) or not np.all(tails > [0, 1, 0, 1]):
        raise ValueError(
            "tails must be (alpha_low, n_low, alpha_high, n_high) with alpha > 0 and n > 1; got "
            f"{tails.tolist()}."
        )
    return tails


def peak_density(z, shape, tails):
    """Density of a peak at z = (m - mass) / width, normalised to 1 over all z."""
    core = np.exp(-0.5 * z**2)
    if shape == "gaussian":
        return core / _ROOT
    a_low, n_low, a_high, n_high = tails
    value = np.where(z < -a_low, _tail(-z, a_low, n_low), core)
    return np.where(z > a_high, _tail(z, a_high, n_high), value) / sum(_areas(tails))


def peak_cumulative(z, shape, tails):
    """Integral of `peak_density` up to z."""
    if shape == "gaussian":
        return ndtr(z)
    a_low, n_low, a_high, n_high = tails
    below, middle, above = _areas(tails)
    inside = below + _ROOT * (ndtr(np.clip(z, -a_low, a_high)) - ndtr(-a_low))
    value = np.where(z < -a_low, _tail_area(-z, a_low, n_low), inside)
    whole = below + middle + above
    return np.where(z > a_high, whole - _tail_area(z, a_high, n_high), value) / whole


def _tail(z, a, n):
    """Power law that continues the core smoothly from z = a on."""
    return np.exp(-0.5 * a**2) * _stretch(z, a, n) ** -n


def _tail_area(z, a, n):
    return n / (a * (n - 1)) * np.exp(-0.5 * a**2) * _stretch(z, a, n) ** (1 - n)


def _stretch(z, a, n):
    return 1 + a * (np.maximum(z, a) - a) / n


def _areas(tails):
    a_low, n_low, a_high, n_high = tails
    middle = _ROOT * (ndtr(a_high) - ndtr(-a_low))
    return _tail_area(a_low, a_low, n_low), middle, _tail_area(a_high, a_high, n_high)
