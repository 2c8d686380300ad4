"""Attributes that classes learned after the first model files, and what they are in older files."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

__all__ = ["ADDED", "with_added"]

# By class and attribute: a function of nothing that returns what the older class did without it.
# Parameters that came later are in no need of an entry where their default changes nothing.
ADDED: dict[str, dict[str, Callable[[], Any]]] = {
    "skad.detectors.DensityDetector": {"constant_indices_": lambda: np.empty(0, dtype=np.intp)},
    "skad.TwoStages": {"smooth": list, "with_smooth": lambda: False},
}


def with_added(cls, name, state):
    """Return the state of a class of a file, with parameters and attributes that came later.

    What was stored before its fit gets no attributes, or it would pass for fitted.
    """
    missing, is_estimator = {}, issubclass(cls, BaseEstimator)
    if is_estimator and cls.__module__.startswith("skad."):
        parameters = inspect.signature(cls).parameters.values()
        missing = {p.name: p.default for p in parameters if p.default is not p.empty}
    if not is_estimator or any(key.endswith("_") and not key.startswith("__") for key in state):
        missing |= {key: default() for key, default in ADDED.get(name, {}).items()}
    return missing | state
