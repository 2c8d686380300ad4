"""Learning-rate schedules as functions of the fraction of training done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real

__all__ = ["SCHEDULES", "endless_schedule", "schedule_of"]

# The rise of the one-cycle schedule, as in Smith and Topin, arXiv:1708.07120.
_WARM_UP = 0.3
_INITIAL = 1 / 25
_FINAL = 1e-4
# Steps in which an endless schedule rises, before it falls.
_RISE = 200


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


def schedule_of(
    schedule: str | Mapping[int, float], max_epochs: int
) -> Callable[[float], float] | None:
    """Return the function of a named schedule or of drops, None for a constant rate.

    Parameters
    ----------
    schedule : str or mapping of int to float
        A key of `SCHEDULES`, or {epoch: factor of the learning rate from it on}.
    max_epochs : int

    Returns
    -------
    schedule : callable or None

    Raises
    ------
    ValueError
        Epochs that are no whole numbers of at least 0, factors that are not positive.
    """
    if not isinstance(schedule, Mapping):
        return None if schedule == "constant" else SCHEDULES[schedule]
    if not all(
        isinstance(epoch, Integral) and epoch >= 0 and isinstance(factor, Real) and factor > 0
        for epoch, factor in schedule.items()
    ):
        raise ValueError(
            "schedule must be a name or {epoch: factor} with epochs >= 0 and factors > 0; "
            f"got {schedule!r}."
        )
    steps = sorted(schedule.items())

    def drops(progress: float) -> float:
        # The first step of an epoch belongs to it, whatever the rounding.
        now = progress * max_epochs + 1e-6
        return next((factor for epoch, factor in reversed(steps) if epoch <= now), 1.0)

    return drops


def endless_schedule(
    schedule: str | Mapping[int, float], n_epochs: int
) -> Callable[[float], float] | None:
    """Return the factor of the learning rate after so many steps of a training without end.

    Parameters
    ----------
    schedule : str or mapping of int to float
        As in `schedule_of`. A named one becomes a rise and a fall with the square root of the
        steps, but for "constant".
    n_epochs : int
        Epochs so far, by which drops are chosen.

    Returns
    -------
    schedule : callable or None
    """
    if not isinstance(schedule, str):
        drops = schedule_of(schedule, 1)
        assert drops is not None
        factor = drops(n_epochs)
        return lambda step: factor
    if schedule == "constant":
        return None
    return lambda step: min((step + 1) / _RISE, math.sqrt(_RISE / (step + 1)))
