"""Row selections such as [("mjj", ">", 3300), ("mjj", "<", 3700)]: the rows that pandas gives."""

import operator

import numpy as np

from skad.exceptions import DataFileError

__all__ = ["Filters"]

_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = [*_COMPARE, "in", "not in"]


class Filters:
    """Conditions on columns, all of which a row must meet.

    Parameters
    ----------
    conditions : sequence of (str, str, value)
        Column, operator and value, as in `pyarrow.parquet.read_table`.
    """

    def __init__(self, conditions):
        for condition in conditions:
            if (
                not isinstance(condition, (tuple, list))
                or len(condition) != 3
                or not isinstance(condition[0], str)
                or condition[1] not in _OPERATORS
            ):
                raise ValueError(
                    "filters must be a list of (column, operator, value) with an operator of "
                    f"{_OPERATORS}; got {condition!r}."
                )
            column, name, value = condition
            is_list = not isinstance(value, (str, bytes)) and np.ndim(value) == 1
            if isinstance(value, (set, frozenset)):
                is_list = True
            if is_list != (name in ("in", "not in")):
                wanted = "a list of values" if name in ("in", "not in") else "one value"
                raise ValueError(
                    f"filters: {name!r} compares {column!r} with {wanted}; got {value!r}."
                )
        self.conditions = [
            (column, name, list(value) if name in ("in", "not in") else value)
            for column, name, value in conditions
        ]
        self.columns = list(dict.fromkeys(column for column, _, _ in self.conditions))

    def mask(self, compared, path):
        """Return which rows of ``{name: values}`` meet all conditions.

        NaN and nulls meet only "!=" and "not in", as in pandas.
        """
        masks = []
        for name, symbol, value in self.conditions:
            try:
                masks.append(_meets(compared[name], symbol, value))
            except (TypeError, ValueError, OverflowError) as exc:
                raise DataFileError(
                    f"{path}: filter {(name, symbol, value)!r} cannot be applied to column "
                    f"{name!r} ({exc}). Give a value of the type of the column."
                ) from exc
        return masks[0] if len(masks) == 1 else np.logical_and.reduce(masks)


def _meets(values, symbol, value):
    if symbol == "in":
        return _is_in(values, value)
    if symbol == "not in":
        return ~_is_in(values, value)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return _compare(values, symbol, value)
    import pandas as pd

    series = pd.Series(values)
    present = series.notna().to_numpy()
    met = np.full(len(series), symbol == "!=")
    if present.any():
        met[present] = _compare(series[present], symbol, value)
    return met


def _compare(values, symbol, value):
    # A value beyond the range of the column is infinite there.
    with np.errstate(over="ignore"):
        met = np.asarray(_COMPARE[symbol](values, value))
    if met.dtype != bool or met.shape != np.shape(values):
        raise TypeError(f"{values.dtype} cannot be compared with {value!r}")
    return met


def _is_in(values, wanted):
    """As many "==", so that both agree; at once where the types allow it."""
    if len(wanted) > 8 and isinstance(values, np.ndarray):
        ints = all(type(value) is int for value in wanted)
        if values.dtype.kind in "iu" and ints:
            limits = np.iinfo(values.dtype)
            inside = [value for value in wanted if limits.min <= value <= limits.max]
            return np.isin(values, np.array(inside, dtype=values.dtype))
        if values.dtype == np.float64 and all(type(value) is float for value in wanted):
            return np.isin(values, np.array(wanted))
    met = np.zeros(len(values), dtype=bool)
    for value in wanted:
        met |= _meets(values, "==", value)
    return met
