"""Types that signatures share."""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Estimator", "FilePath", "Floats", "Function", "Seed"]

FilePath: TypeAlias = str | os.PathLike[str]
Floats: TypeAlias = Sequence[float] | NDArray[Any]
Seed: TypeAlias = int | np.random.RandomState | None
# What a decorator takes and returns unchanged.
Function = TypeVar("Function", bound=Callable[..., Any])


class Estimator(Protocol):
    """Anything with a `fit`: an estimator of skad, scikit-learn or another library."""

    @property
    def fit(self) -> Callable[..., Any]:
        """Learn from events."""
