"""Coefficients of a loss that rise during a training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Integral

__all__ = ["Annealed"]


@dataclass
class Annealed:
    """A coefficient that rises linearly from zero to its target, once or in cycles.

    An objective reads `value`; `Trainer.fit` moves it on before every epoch.

    Parameters
    ----------
    target : float
    start : int, default=0
        Epochs at zero before the first rise.
    period : int, default=0
        Epochs of one rise, and of the plateau at the target that follows it.
    n_cycles : int, default=1
        Number of rises, each from zero.
    """

    target: float
    start: int = 0
    period: int = 0
    n_cycles: int = 1
    value: float = field(init=False)

    def __post_init__(self) -> None:
        self.value = self.target

    @classmethod
    def read(cls, target: float, annealing: Iterable | None, *, name: str) -> Annealed:
        """Build a coefficient from the parameter `annealing` of an estimator.

        Parameters
        ----------
        target : float
        annealing : tuple (start, period, n_cycles) or None
            None keeps the coefficient constant.
        name : str
            Name of the parameter, for the error message.

        Returns
        -------
        coefficient : Annealed

        Raises
        ------
        ValueError
            Anything but three whole numbers of epochs.
        """
        if annealing is None:
            return cls(target)
        values = tuple(annealing)
        if (
            len(values) != 3
            or not all(isinstance(value, Integral) for value in values)
            or values[0] < 0
            or min(values[1:]) < 1
        ):
            raise ValueError(
                f"{name} must be (start, period, n_cycles) in epochs, with start >= 0, "
                f"period >= 1 and n_cycles >= 1; got {annealing!r}."
            )
        return cls(target, *values)

    @property
    def n_epochs(self) -> int:
        """Epochs before the last plateau, which does not end."""
        return self.start + self.period * (2 * self.n_cycles - 1)

    def move_to(self, epoch: int) -> None:
        """Set the value of an epoch, counted from 0."""
        if epoch >= self.n_epochs:
            self.value = self.target
        elif epoch < self.start:
            self.value = 0.0
        else:
            risen = (epoch - self.start) % (2 * self.period)
            # The last epoch of a rise is at the target.
            self.value = self.target * min(risen / max(self.period - 1, 1), 1.0)
