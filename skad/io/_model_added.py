"""Attributes that classes learned after the first model files, and what they are in older files."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ADDED", "with_added"]

# By class and attribute: a function of nothing that returns what the older class did without it.
ADDED: dict[str, dict[str, Callable[[], Any]]] = {
    "skad.detectors.DensityDetector": {"constant_indices_": lambda: np.empty(0, dtype=np.intp)},
}


def with_added(name, state):
    """Return the state of a class of a file, with the attributes that came later.

    What was stored before its fit gets none of them, or it would pass for fitted.
    """
    added = ADDED.get(name)
    if added is None or not any(key.endswith("_") and not key.startswith("__") for key in state):
        return state
    return {key: default() for key, default in added.items() if key not in state} | state
