"""Learning-rate schedules as functions of the fraction of training done."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["SCHEDULES"]

# The rise of the one-cycle schedule, as in Smith and Topin, arXiv:1708.07120.
_WARM_UP = 0.3
_INITIAL = 1 / 25
_FINAL = 1e-4


def _cosine_between(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * fraction))


def _constant(progress: float) -> float:
    return 1.0


def _cosine(progress: float) -> float:
    return _cosine_between(1.0, 0.0, progress)


def _one_cycle(progress: float) -> float:
    if progress < _WARM_UP:
        return _cosine_between(_INITIAL, 1.0, progress / _WARM_UP)
    return _cosine_between(1.0, _FINAL, (progress - _WARM_UP) / (1 - _WARM_UP))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
