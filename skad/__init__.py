"""Anomaly detection with scikit-learn estimators around torch.

Submodules load on first use, so that ``import skad`` stays light.
"""

import importlib

__version__ = "0.1.0.dev0"

__all__ = [
    "base",
    "coordinates",
    "datasets",
    "density",
    "detectors",
    "exceptions",
    "inspection",
    "metrics",
    "nn",
    "papers",
    "plotting",
    "resonant",
    "utils",
]


def __getattr__(name):
    if name in __all__:
        return importlib.import_module(f"skad.{name}")
    raise AttributeError(f"module 'skad' has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]
