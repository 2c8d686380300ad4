"""What a model file may name: classes and functions, each by its own rule, and nothing else."""

import importlib
import inspect
import re
from dataclasses import is_dataclass
from itertools import takewhile

import numpy as np
from sklearn.base import BaseEstimator

from skad.exceptions import UnknownTypeError
from skad.utils import _sklearn as sk

__all__ = ["class_named", "function_named", "name_of_class", "name_of_function"]

WAY_OUT = (
    "A model file holds data and no code: it knows the estimators of skad and scikit-learn, "
    "numbers, text, arrays, data frames and the functions of numpy, scipy.special and torch that "
    "act on each number. Store a model with classes or functions of your own by joblib, and load "
    "such a file only if you trust whoever wrote it: a pickle is code."
)

# Private classes of skad that estimators hold: the name in a file, and the place.
_OWN = {
    "skad.AnomalyScorer": "skad.metrics._scorers:AnomalyScorer",
    "skad.AnomalyScorers": "skad.metrics._scorers:AnomalyScorers",
    "skad.ConditionalQuantiles": "skad.resonant._conditional_quantiles:ConditionalQuantiles",
    "skad.MassSpectrum": "skad.resonant._masses:MassSpectrum",
    "skad.Spline": "skad.coordinates._empirical:_Spline",
    "skad.TrainedMembers": "skad.nn._trained:TrainedMembers",
    "skad.VotingReference": "skad.detectors._voting:_Reference",
    "skad.Tilt": "skad.detectors._tilt:TiltClassifier",
    "skad.TwoStages": "skad.detectors._cascade:_TwoStages",
}
_PLACES = {**_OWN, **sk.PARTS_OF_ESTIMATORS}
_NAMES = {place: name for name, place in _PLACES.items()}

_ROOMS = ("coordinates", "density", "detectors", "resonant", "search")
# No part of a name may lead to what runs when it is imported.
_OF_SKLEARN = re.compile(
    r"sklearn(\.(?!conftest|datasets|experimental|externals|tests)_?[a-z][a-z_]*)+\._?[A-Z]\w*"
)
_OF_PYOD = re.compile(r"pyod\.models\.[a-z]\w*\.[A-Z]\w*")

# Functions of skad without side effects are those of these rooms.
_ROOMS_OF_FUNCTIONS = ("coordinates", "kinematics", "metrics")
_OF_TORCH = frozenset(
    {
        "abs",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "cos",
        "cosh",
        "erf",
        "erfc",
        "erfinv",
        "exp",
        "exp2",
        "expm1",
        "log",
        "log10",
        "log1p",
        "log2",
        "logit",
        "neg",
        "reciprocal",
        "rsqrt",
        "sigmoid",
        "sin",
        "sinh",
        "sqrt",
        "square",
        "tan",
        "tanh",
    }
)
_OF_NUMPY = frozenset({"clip", "nan_to_num"})
_MODULES_OF_SKLEARN = ("sklearn.metrics", "sklearn.feature_selection")
_ACTIVATIONS = frozenset({"ELU", "GELU", "LeakyReLU", "ReLU", "SELU", "SiLU", "Softplus", "Tanh"})
_BUILTIN = {kind.__name__: kind for kind in (bool, int, float, str, object, list, dict, set)}


def name_of_class(cls):
    """Return the name of a class in a file, or None where it is none that a file may hold."""
    home = sk.module_of(cls)
    place = f"{home}:{cls.__qualname__}"
    if place in _NAMES:
        return _NAMES[place]
    parts = home.split(".")
    if parts[0] == "skad" and len(parts) > 1:
        name = f"skad.{parts[1]}.{cls.__qualname__}"
    else:
        # The public package that offers the class, where its own module is private.
        public = takewhile(lambda part: not part.startswith("_"), parts)
        name = ".".join([*public, cls.__qualname__])
        if _resolved(name) is not cls:
            name = f"{home}.{cls.__qualname__}"
    return name if _resolved(name) is cls else None


def class_named(name):
    """Return the class of a name in a file.

    Raises
    ------
    UnknownTypeError
        A name that no rule allows.
    """
    found = _resolved(name)
    if found is None:
        raise UnknownTypeError(f"The file names the class {name!r:.100}. {WAY_OUT}")
    return found


def _resolved(name):
    """Return the class if one of the rules allows it, else None."""
    if name in _PLACES:
        module, _, attribute = _PLACES[name].partition(":")
        return _attribute(module, attribute)
    module, _, attribute = name.rpartition(".")
    room = module.removeprefix("skad.")
    if module != room and room in _ROOMS:
        package = importlib.import_module(module)
        found = getattr(package, attribute, None) if attribute in package.__all__ else None
        return found if _is_estimator(found) or is_dataclass(found) else None
    if _OF_SKLEARN.fullmatch(name):
        found = _attribute(module, attribute)
        return found if _is_estimator(found) or _is_part(found) else None
    if _OF_PYOD.fullmatch(name):
        found, base = _attribute(module, attribute), _attribute("pyod.models.base", "BaseDetector")
        return found if inspect.isclass(found) and base and issubclass(found, base) else None
    return None


def _is_estimator(found):
    return inspect.isclass(found) and issubclass(found, BaseEstimator)


def _is_part(found):
    """Whether a public class of scikit-learn is a splitter, a kernel or a bunch."""
    if not inspect.isclass(found) or not found.__module__.startswith("sklearn."):
        return False
    return (
        hasattr(found, "get_n_splits")
        or found.__module__ == "sklearn.gaussian_process.kernels"
        or found.__name__ == "Bunch"
    )


def _attribute(module, name):
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def name_of_function(function):
    """Return the name of a function, or class used as one, in a file; None where none is known."""
    module = getattr(function, "__module__", None) or ""
    own = getattr(function, "__name__", None) or ""
    names = [f"{module}.{own}"]
    if isinstance(function, np.ufunc):
        names = [f"numpy.{own}", f"scipy.special.{own}"]
    elif module.startswith("torch"):
        names = [f"torch.nn.{own}" if inspect.isclass(function) else f"torch.{own}"]
    elif module.startswith("zuko.flows"):
        names = [f"zuko.flows.{own}"]
    elif module == "builtins":
        names = [own]
    elif module.startswith(("sklearn.", "skad.")):
        names = [f"{'.'.join(module.split('.')[:2])}.{own}"]
    return next((name for name in names if _function(name) is function), None)


def function_named(name):
    """Return the function of a name in a file.

    Raises
    ------
    UnknownTypeError
        A name that is on no list.
    """
    found = _function(name)
    if found is None:
        raise UnknownTypeError(f"The file names the function {name!r:.100}. {WAY_OUT}")
    return found


def _function(name):
    module, _, own = name.rpartition(".")
    if not module:
        return _BUILTIN.get(own)
    if module not in _RULES or own.startswith("_"):
        return None
    found = _attribute(module, own)
    return found if found is not None and _RULES[module](own, found) else None


def _is_public_function(module):
    def rule(own, found):
        return own in importlib.import_module(module).__all__ and inspect.isfunction(found)

    return rule


def _is_flow(own, found):
    base = _attribute("zuko.lazy", "Flow")
    return inspect.isclass(found) and issubclass(found, base) and found is not base


def _is_of_numpy(own, found):
    scalar = inspect.isclass(found) and issubclass(found, np.generic)
    return isinstance(found, np.ufunc) or scalar or own in _OF_NUMPY


# For every module that may be named: whether (name, what it names) may be.
_RULES = {
    "numpy": _is_of_numpy,
    "scipy.special": lambda own, found: isinstance(found, np.ufunc),
    "torch": lambda own, found: own in _OF_TORCH,
    "torch.nn": lambda own, found: own in _ACTIVATIONS,
    "zuko.flows": _is_flow,
    **{module: _is_public_function(module) for module in _MODULES_OF_SKLEARN},
    **{f"skad.{room}": _is_public_function(f"skad.{room}") for room in _ROOMS_OF_FUNCTIONS},
}
