"""The state of a fitted model as JSON and plain arrays, and back, without running code."""

import importlib
import math
from collections import OrderedDict
from pathlib import Path

import numpy as np
from sklearn import __version__ as sklearn_version
from sklearn.base import BaseEstimator

from skad.exceptions import ModelFileError, UnknownTypeError
from skad.io._model_added import with_added
from skad.io._model_forms import FORMS, form_of
from skad.io._model_safety import check_compiled, check_no_pickles
from skad.io._model_types import (
    WAY_OUT,
    class_named,
    function_named,
    name_of_class,
    name_of_function,
)
from skad.utils import _sklearn as sk

__all__ = ["Decoder", "Encoder"]

_PLAIN = (bool, int, str, type(None))
_COLLECTIONS = {"tuple": tuple, "set": set, "frozenset": frozenset}
_OF_NUMPY = {"f": float, "i": int, "u": int, "b": bool, "U": str}


class Encoder:
    """Turns values into JSON; arrays and whatever is shared go to tables.

    Attributes
    ----------
    objects : list of dict
        What is met once however often it is held; a value refers to its row.
    arrays : list of ndarray
    """

    def __init__(self):
        self.objects = []
        self.arrays = []
        self._rows = {}
        # The ids of the table stay those of these objects.
        self._alive = []
        self._open = set()

    def encode(self, value, path):
        """Return the JSON of a value; `path` says in an error where it was found."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$": "float", "value": repr(value)}
        if isinstance(value, np.generic):
            return self._scalar(value)
        if kind in (list, dict, OrderedDict) or kind in _COLLECTIONS.values():
            return self._collection(value, path)
        if isinstance(value, slice):
            return self._with("slice", [value.start, value.stop, value.step], path)
        if isinstance(value, range):
            return self._with("range", [value.start, value.stop, value.step], path)
        if isinstance(value, np.dtype):
            if value.names is None and not value.hasobject:
                return {"$": "dtype", "value": value.str}
        elif callable(value) and (name := name_of_function(value)):
            return {"$": "function", "name": name}
        elif kind.__module__ == "torch" and kind.__name__ == "device":
            return {"$": "device", "value": str(value)}
        elif kind is type(Path()):
            return {"$": "path", "value": str(value)}
        return self._shared(value, path)

    def add_array(self, values):
        """Put an array into the table and return its number."""
        self.arrays.append(values)
        return len(self.arrays) - 1

    def _with(self, kind, items, path):
        return {"$": kind, "items": [self.encode(v, f"{path}[{i}]") for i, v in enumerate(items)]}

    def _scalar(self, value):
        dtype = value.dtype
        if (dtype.kind in _OF_NUMPY and dtype.itemsize <= 8) or dtype.kind == "U":
            plain = self.encode(_OF_NUMPY[dtype.kind](value), "")
            return {"$": "scalar", "dtype": dtype.str, "value": plain}
        return self._shared(value, "")

    def _collection(self, value, path):
        if id(value) in self._open:
            raise UnknownTypeError(f"{path} is inside of itself. {WAY_OUT}")
        self._open.add(id(value))
        try:
            if isinstance(value, list):
                return [self.encode(item, f"{path}[{i}]") for i, item in enumerate(value)]
            if not isinstance(value, dict):
                name = type(value).__name__
                items = value if name == "tuple" else sorted(value, key=repr)
                return self._with(name, items, path)
            if type(value) is dict and all(type(key) is str and key != "$" for key in value):
                return {key: self.encode(item, f"{path}[{key!r}]") for key, item in value.items()}
            name = "dict" if type(value) is dict else "OrderedDict"
            pairs = [
                [self.encode(key, path), self.encode(item, f"{path}[{key!r}]")]
                for key, item in value.items()
            ]
            return {"$": name, "items": pairs}
        finally:
            self._open.discard(id(value))

    def _shared(self, value, path):
        """Return a reference to the row of a value, written when it is met first."""
        if id(value) not in self._rows:
            row = self._rows[id(value)] = len(self.objects)
            self._alive.append(value)
            self.objects.append({})
            self.objects[row] = self._object(value, path)
        return {"$": "ref", "row": self._rows[id(value)]}

    def _object(self, value, path):
        kind = type(value)
        form = form_of(value)
        if form is not None:
            return {"form": form.name, **form.encode(value, self, path)}
        name = name_of_class(kind)
        if name is None:
            called = getattr(value, "__qualname__", None)
            what = (
                f"the function {called}" if called else f"a {kind.__module__}.{kind.__qualname__}"
            )
            raise UnknownTypeError(f"{path} is {what}, which a model file cannot hold. {WAY_OUT}")
        if isinstance(value, tuple):
            return {"class": name, "items": [self.encode(item, path) for item in value]}
        if name in sk.CYTHON_CALLS:
            arguments = value.__reduce__()[1]
            return {"class": name, "items": [self.encode(item, path) for item in arguments]}
        state = value.__getstate__()
        if state is not None and not isinstance(state, dict):
            raise UnknownTypeError(f"{path} is a {name}, whose state is no dict. {WAY_OUT}")
        state = dict(state or {})
        # The file has versions of its own.
        for version in ("_sklearn_version", "versions"):
            state.pop(version, None)
        check_no_pickles(name, state, path)
        encoded = {
            key: self.encode(item, f"{path}.{key}" if path else key) for key, item in state.items()
        }
        return {"class": name, "state": encoded}


class Decoder:
    """Turns JSON back into values.

    Parameters
    ----------
    objects : list of dict
        The table that an `Encoder` wrote.
    array : callable
        ``array(number)`` returns an array of the file.
    """

    def __init__(self, objects, array):
        self.objects = objects
        self.array = array
        self._made = {}
        self._open = set()

    def decode(self, value):
        """Return the value of a JSON."""
        if isinstance(value, (*_PLAIN, float)):
            return value
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if "$" not in value:
            return {key: self.decode(item) for key, item in value.items()}
        kind = value["$"]
        if kind == "ref":
            return self._object(value["row"])
        if kind == "float":
            return float(value["value"])
        if kind == "scalar":
            return np.array([self.decode(value["value"])], dtype=_scalar_dtype(value["dtype"]))[0]
        if kind == "function":
            return function_named(value["name"])
        if kind == "dtype":
            return _scalar_dtype(value["value"], kinds="fiubcSUMmV")
        if kind == "device":
            return importlib.import_module("torch").device(value["value"])
        if kind == "path":
            return Path(value["value"])
        items = value.get("items")
        if kind in _COLLECTIONS:
            return _COLLECTIONS[kind](self.decode(item) for item in items)
        if kind in ("dict", "OrderedDict"):
            pairs = [(self.decode(key), self.decode(item)) for key, item in items]
            return dict(pairs) if kind == "dict" else OrderedDict(pairs)
        if kind in ("slice", "range"):
            return (slice if kind == "slice" else range)(*(self.decode(item) for item in items))
        raise UnknownTypeError(f"The file holds a value of the unknown kind {kind!r:.40}.")

    def _object(self, row):
        if row in self._made:
            return self._made[row]
        if not isinstance(row, int) or not 0 <= row < len(self.objects) or row in self._open:
            raise ModelFileError(f"row {row!r:.40} of the table is missing or inside of itself")
        self._open.add(row)
        entry = self.objects[row]
        if "form" in entry:
            if entry["form"] not in FORMS:
                raise UnknownTypeError(f"The file holds the unknown form {entry['form']!r:.40}.")
            value = FORMS[entry["form"]].decode(entry, self)
        else:
            cls = class_named(entry["class"])
            if "items" in entry:
                if not (issubclass(cls, tuple) or entry["class"] in sk.CYTHON_CALLS):
                    raise ModelFileError(f"a {entry['class']!r:.60} is not made of items")
                value = cls(*(self.decode(item) for item in entry["items"]))
            else:
                value = self._instance(cls, entry, row)
        self._made[row] = value
        self._open.discard(row)
        return value

    def _instance(self, cls, entry, row):
        if issubclass(cls, tuple) or entry["class"] in sk.CYTHON_CALLS:
            raise ModelFileError(f"a {entry['class']!r:.60} has no state")
        value = cls.__new__(cls)
        # Before its state: a part of it may refer to it.
        self._made[row] = value
        state = {key: self.decode(item) for key, item in entry["state"].items()}
        check_no_pickles(entry["class"], state, "")
        state = with_added(cls, entry["class"], state)
        if not hasattr(cls, "__setstate__"):
            vars(value).update(state)
        else:
            if issubclass(cls, BaseEstimator):
                # The file compares versions once, for all estimators.
                state["_sklearn_version"] = sklearn_version
            value.__setstate__(state)
        if cls.__module__.startswith("sklearn."):
            check_compiled(value)
        return value


def _scalar_dtype(name, kinds="fiubU"):
    dtype = np.dtype(name)
    if dtype.kind not in kinds or dtype.hasobject or dtype.itemsize > 2**20:
        raise ModelFileError(f"unknown dtype {name!r:.40}")
    return dtype
