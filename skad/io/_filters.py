"""Row selections such as [("mjj", ">", 3300), ("mjj", "<", 3700)]."""

import numpy as np

__all__ = ["Filters"]

_COMPARE = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "in": lambda values, wanted: np.isin(values, list(wanted)),
    "not in": lambda values, wanted: ~np.isin(values, list(wanted)),
}
# Whether a range of values, by its minimum and maximum, can hold a passing one.
_POSSIBLE = {
    "==": lambda low, high, value: low <= value <= high,
    "!=": lambda low, high, value: True,
    "<": lambda low, high, value: low < value,
    "<=": lambda low, high, value: low <= value,
    ">": lambda low, high, value: high > value,
    ">=": lambda low, high, value: high >= value,
    "in": lambda low, high, wanted: any(low <= value <= high for value in wanted),
    "not in": lambda low, high, wanted: True,
}


class Filters:
    """Conditions on columns, all of which a row must meet.

    Parameters
    ----------
    conditions : sequence of (str, str, value)
        Column, operator and value, as in `pyarrow.parquet.read_table`.
    """

    def __init__(self, conditions):
        for condition in conditions:
            if len(condition) != 3 or condition[1] not in _COMPARE:
                raise ValueError(
                    "filters must be (column, operator, value) with an operator of "
                    f"{list(_COMPARE)}; got {condition!r}."
                )
        self.conditions = list(conditions)
        self.columns = list(dict.fromkeys(column for column, _, _ in conditions))

    def mask(self, columns):
        """Return which rows of ``{name: values}`` meet all conditions; NaN meets only '!='."""
        masks = [
            _COMPARE[operator](columns[name], value) for name, operator, value in self.conditions
        ]
        return np.logical_and.reduce(masks)

    def may_pass(self, bounds):
        """Tell whether rows with these bounds, ``{name: (min, max)}``, may meet all conditions."""
        return all(
            name not in bounds or _POSSIBLE[operator](*bounds[name], value)
            for name, operator, value in self.conditions
        )
