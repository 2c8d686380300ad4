"""Arguments of functions: what each may be, checked before anything is computed.

Options go through scikit-learn's own checks, which name parameter, allowed and got; arrays of
numbers through `Numbers`, which says the same of their shape and contents.
"""

import functools
import inspect
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from scipy import sparse

from skad.utils import _sklearn as sk

__all__ = ["COUNT", "MOST", "POSITIVE", "PROBABILITY", "Numbers", "checked"]

# Events in a bin: above, float64 does not count them one by one, nor NumPy draw them.
MOST = 1e15
# Constraints that many functions share.
COUNT = [sk.Interval(Integral, 1, 100_000_000, closed="both")]
POSITIVE = [sk.Interval(Real, 0, None, closed="neither")]
PROBABILITY = [sk.Interval(Real, 0, 1, closed="both")]


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
    return "None" if value is None else f"an object of type {type(value).__name__}"


def checked(**rules):
    """Check arguments of the decorated function by name.

    Parameters
    ----------
    **rules : Numbers or list
        `Numbers` for arrays, which the function then gets as float64 arrays (None stays where it
        is the default); else a list of constraints as in ``_parameter_constraints``.
    """
    arrays = {name: rule for name, rule in rules.items() if isinstance(rule, Numbers)}
    options = {name: rule for name, rule in rules.items() if name not in arrays}

    def decorate(function):
        signature = inspect.signature(function)
        checks_options = sk.validate_params(options, prefer_skip_nested_validation=True)(function)

        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            given = signature.bind(*args, **kwargs)
            values = given.arguments
            for name, rule in arrays.items():
                is_left_out = values.get(name) is None and (
                    name not in values or signature.parameters[name].default is None
                )
                if not is_left_out:
                    values[name] = rule.read(values[name], name)
            for name, rule in arrays.items():
                if rule.like is not None and values.get(name) is not None:
                    _check_length(values, name, rule.like)
            return checks_options(*given.args, **given.kwargs)

        return wrapper

    return decorate


def _check_length(values, name, other):
    if len(values[name]) != len(values[other]):
        raise ValueError(
            f"{name} must hold one number for each of {other}; got {len(values[name])} for "
            f"{len(values[other])}."
        )
