"""Anomaly detection with scikit-learn estimators around torch.

Submodules load on first use, so that ``import skad`` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skad.io import load_model, save_model
    from skad.report import cite, show_versions
    from skad.serving import to_onnx

__version__ = "0.1.0"

__all__ = [
    "base",
    "cli",
    "coordinates",
    "datasets",
    "density",
    "detectors",
    "exceptions",
    "inspection",
    "io",
    "kinematics",
    "metrics",
    "nn",
    "papers",
    "plotting",
    "report",
    "resonant",
    "search",
    "serving",
    "utils",
    "cite",
    "load_model",
    "save_model",
    "show_versions",
    "to_onnx",
]

# Functions that are offered here too, and the rooms that hold them.
_FUNCTIONS = {
    "cite": "report",
    "load_model": "io",
    "save_model": "io",
    "show_versions": "report",
    "to_onnx": "serving",
}


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"skad.{_FUNCTIONS[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"skad.{name}")
    raise AttributeError(f"module 'skad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
