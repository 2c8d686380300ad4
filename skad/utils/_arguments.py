"""Arguments of functions: what each may be, checked before anything is computed.

Options go through scikit-learn's own checks, which name parameter, allowed and got; arrays of
numbers through `Numbers`, which says the same of their shape and contents; results of other
functions through `Made`, which also says which function makes the right one.
"""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skad.exceptions import MissingColumnError
from skad.utils import _sklearn as sk
from skad.utils._types import Function

__all__ = [
    "CLASSIFIER",
    "COUNT",
    "EVENTS",
    "FRACTION",
    "MOST",
    "NOT_NEGATIVE",
    "NUMBER",
    "N_JOBS",
    "PATH",
    "POSITIVE",
    "PROBABILITY",
    "SEED",
    "Events",
    "Having",
    "Made",
    "Numbers",
    "checked",
]

# Events in a bin: above, float64 does not count them one by one, nor NumPy draw them.
MOST = 1e15
# Constraints that many functions share.
COUNT = [sk.Interval(Integral, 1, 100_000_000, closed="both")]
NUMBER = [sk.Interval(Integral, 0, 100_000_000, closed="both")]
POSITIVE = [sk.Interval(Real, 0, None, closed="neither")]
NOT_NEGATIVE = [sk.Interval(Real, 0, None, closed="left")]
PROBABILITY = [sk.Interval(Real, 0, 1, closed="both")]
FRACTION = [sk.Interval(Real, 0, 1, closed="right")]
# Whether a committee has probabilities is known only when it is fitted.
CLASSIFIER = [sk.HasMethods(["fit", "predict"]), None]
N_JOBS = [Integral, None]
PATH = [str, os.PathLike]
SEED = [sk.Interval(Integral, 0, None, closed="left"), None]


@dataclass(frozen=True)
class Numbers:
    """An array of float64 that a parameter must be convertible to.

    Parameters
    ----------
    ndim : int or tuple of int or None, default=1
        Allowed numbers of dimensions; None allows any.
    finite : bool, default=True
        Whether NaN and infinity are refused.
    lowest, highest : float, default=None
        Smallest and largest allowed value.
    like : str, default=None
        Name of another parameter of as many events.
    """

    ndim: int | tuple[int, ...] | None = 1
    finite: bool = True
    lowest: float | None = None
    highest: float | None = None
    like: str | None = None

    def read(self, value, name):
        """Return the array, or raise an error that names the parameter."""
        array = _converted(value, name)
        allowed = (self.ndim,) if isinstance(self.ndim, int) else self.ndim
        if allowed is not None and array.ndim not in allowed:
            raise ValueError(
                f"{name} must have {' or '.join(map(str, allowed))} dimensions; got shape "
                f"{array.shape}."
            )
        bad = np.isnan(array) | (np.isinf(array) if self.finite else False)
        if self.finite and bad.any():
            n_nan = np.isnan(array).sum()
            raise ValueError(
                f"{name} must be finite; of {array.size} values {n_nan} are NaN and "
                f"{bad.sum() - n_nan} infinite. Leave these events out everywhere, or give them "
                "the values that say what they are."
            )
        if self.lowest is not None and (array < self.lowest).any():
            raise ValueError(
                f"{name} must not be below {self.lowest:g}; the smallest of {array.size} values is "
                f"{array.min():g}."
            )
        if self.highest is not None and (np.isfinite(array) & (array > self.highest)).any():
            raise ValueError(
                f"{name} must not be above {self.highest:g}; the largest of {array.size} values is "
                f"{array[np.isfinite(array)].max():g}."
            )
        return array


@dataclass(frozen=True)
class Made:
    """What another function has made.

    The kind is known by its name, as rooms on one line do not import each other.

    Parameters
    ----------
    by : str
        The call that returns one.
    kind : str
        Name of the class behind that of the package: "skad.BumpHunt", "pandas.DataFrame".
    holds : tuple of str, default=()
        Columns of a table, which must have rows, or keys of a dict.
    """

    by: str
    kind: str
    holds: tuple[str, ...] = ()

    def read(self, value, name):
        """Return the value, or raise an error that names the parameter."""
        package, _, kind = self.kind.rpartition(".")
        must = f"{name} must be the {kind} that {self.by} returns"
        known = {(c.__module__.partition(".")[0], c.__name__) for c in type(value).__mro__}
        if (package, kind) not in known:
            raise TypeError(f"{must}; got {_kind(value)}.")
        missing = [key for key in self.holds if key not in value]
        if missing:
            raise MissingColumnError(f"{must}; it lacks {missing} and has {list(value)}.")
        if self.holds and not len(value):
            raise ValueError(f"{must}; it has no rows.")
        if hasattr(value, "fit"):
            try:
                check_is_fitted(value)
            except NotFittedError:
                raise NotFittedError(f"{must}; it is not fitted. Call its fit first.") from None
        return value


@dataclass(frozen=True)
class Having:
    """An object that has methods.

    Parameters
    ----------
    what : str
        Which objects have them.
    methods : tuple of str
    several : bool, default=False
        Whether a dict of names to such objects will do too.
    """

    what: str
    methods: tuple[str, ...]
    several: bool = False

    def read(self, value, name):
        """Return the value, or raise an error that names the parameter."""
        if self.several and isinstance(value, Mapping) and len(value):
            for key, each in value.items():
                self._check(each, f"{name}[{key!r}]")
        else:
            self._check(value, name)
        return value

    def _check(self, value, name):
        missing = [method for method in self.methods if not hasattr(value, method)]
        if missing or isinstance(value, type):
            also = ", or a dict of names to such" if self.several else ""
            lacking = f", which lacks {missing}" if missing else ""
            raise TypeError(f"{name} must be {self.what}{also}; got {_kind(value)}{lacking}.")


@dataclass(frozen=True)
class Events:
    """Something that has one entry, or row, for each event; what is in it is not looked at.

    Parameters
    ----------
    like : str, default=None
        Name of another parameter of as many events.
    or_none : bool, default=False
        Whether None is a value of a parameter that has no default.
    """

    like: str | None = None
    or_none: bool = False

    def read(self, value, name):
        """Return the value, or raise an error that names the parameter."""
        if value is None and self.or_none:
            return None
        is_other = isinstance(value, (str, bytes, dict, set, type)) or sparse.issparse(value)
        if is_other or not hasattr(value, "__len__") or getattr(value, "shape", None) == ():
            raise TypeError(
                f"{name} must be an array, a DataFrame or a list with one entry for each event; "
                f"got {_kind(value)}."
            )
        return value


EVENTS = Events()


def _converted(value, name):
    is_frame = hasattr(value, "to_numpy")
    if value is None or sparse.issparse(value) or isinstance(value, (str, bytes, dict, set)):
        raise TypeError(f"{name} must be numbers; got {_kind(value)}.")
    try:
        array = np.asarray(value)
        if array.dtype.kind in "cSUmMV":
            raise TypeError(f"its dtype is {array.dtype}")
        if array.dtype.kind == "O" and is_frame:
            return value.to_numpy(dtype=np.float64, na_value=np.nan)
        return array.astype(np.float64, copy=False)
    except (TypeError, ValueError) as exc:
        raise TypeError(
            f"{name} must be real numbers, got {_kind(value)}: {exc}. Convert it first."
        ) from exc


def _kind(value):
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else f"an object of type {type(value).__name__}"


def checked(**rules: Any) -> Callable[[Function], Function]:
    """Check arguments of the decorated function by name.

    Parameters
    ----------
    **rules : Numbers, Made, Having, Events or list
        `Numbers` for arrays, which the function then gets as float64 arrays; `Made`, `Having` and
        `Events` for objects (None stays where it is the default); else a list of constraints as in
        ``_parameter_constraints``.
    """
    options = {name: rule for name, rule in rules.items() if isinstance(rule, list)}
    readers = {name: rule for name, rule in rules.items() if name not in options}
    lengths = {name: rule.like for name, rule in readers.items() if getattr(rule, "like", None)}

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            given = signature.bind(*args, **kwargs)
            values = given.arguments
            for name, rule in readers.items():
                is_left_out = values.get(name) is None and (
                    name not in values or signature.parameters[name].default is None
                )
                if not is_left_out:
                    values[name] = rule.read(values[name], name)
            for name, other in lengths.items():
                if values.get(name) is not None:
                    _check_length(values, name, other)
            if options and not get_config()["skip_parameter_validation"]:
                # Not by scikit-learn's decorator, which puts the name of this function into the
                # errors of every estimator that the function fits.
                sk.validate_parameter_constraints(
                    options,
                    {name: values[name] for name in options if name in values},
                    caller_name=function.__qualname__,
                )
            return function(*given.args, **given.kwargs)

        sk.set_function_constraints(wrapper, options)
        return cast(Function, wrapper)

    return decorate


def _check_length(values, name, other):
    if len(values[name]) != len(values[other]):
        raise ValueError(
            f"{name} must hold one entry for each of {other}; got {len(values[name])} for "
            f"{len(values[other])}."
        )
