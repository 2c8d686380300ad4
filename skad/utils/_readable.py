"""Results that print as a few lines and a table, in a terminal and in a notebook."""

import html
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TypeVar

import numpy as np
from sklearn.utils import Bunch as _Bunch

__all__ = ["Bunch", "readable"]

Record = TypeVar("Record")

_ROWS = 6
_LETTERS = 60


def readable(cls: type[Record]) -> type[Record]:
    """Decorate a class of results: dataclass, named tuple or Bunch.

    Arrays of one length stand beside each other in a table, everything else on a line of its own;
    fields with ``repr=False`` are left out.
    """
    for name, function in {"__repr__": _text, "_repr_html_": _html}.items():
        setattr(cls, name, function)
    return cls


def _fields(record):
    if isinstance(record, Mapping):
        return dict(record)
    if is_dataclass(record):
        names = [field.name for field in fields(record) if field.repr]
    else:
        names = record._fields
    return {name: getattr(record, name) for name in names}


def _split(record):
    """Lines and the columns of the table, as two dicts."""
    values = _fields(record)
    arrays = {
        name: value
        for name, value in values.items()
        if isinstance(value, np.ndarray) and value.ndim == 1 and len(value) > 1
    }
    lengths = Counter(len(value) for value in arrays.values())
    n_rows, n_columns = lengths.most_common(1)[0] if lengths else (0, 0)
    columns = {name: a for name, a in arrays.items() if len(a) == n_rows and n_columns > 1}
    lines = {name: _said(value) for name, value in values.items() if name not in columns}
    return lines, columns


def _said(value):
    """One short line about a value."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    if isinstance(value, str):
        first = value.strip().partition("\n")[0]
        return first if len(first) <= _LETTERS else first[:_LETTERS] + "..."
    if isinstance(value, np.ndarray):
        return _said_of_array(value)
    if hasattr(value, "columns") and hasattr(value, "shape"):
        return f"table of {len(value)} rows: {_names(value.columns)}"
    if isinstance(value, Mapping):
        return _names(value)
    if isinstance(value, (list, tuple)):
        if all(isinstance(item, (str, int, float)) for item in value):
            return _names(value)
        return f"{len(value)} of {type(value[0]).__name__}"
    if value is None or isinstance(value, (bool, int, np.bool_, np.integer)):
        return str(value)
    said = repr(value)
    return said if len(said) <= _LETTERS and "\n" not in said else type(value).__name__


def _said_of_array(array):
    if array.size <= _ROWS and array.ndim <= 1:
        return np.array2string(array, precision=6, separator=", ")
    said = f"array of shape {array.shape}"
    if array.dtype.kind not in "iuf" or not np.isfinite(array).any():
        return said
    finite = array[np.isfinite(array)]
    return f"{said}, {finite.min():.4g} to {finite.max():.4g}"


def _names(names):
    said = ", ".join(_said(name) for name in list(names)[:_ROWS])
    return said + (f", ... ({len(names)})" if len(names) > _ROWS else "")


def _table(columns):
    import pandas as pd

    return pd.DataFrame(columns)


def _text(self):
    lines, columns = _split(self)
    width = max(map(len, lines), default=0)
    parts = [type(self).__name__]
    parts += [f"  {name:<{width}}  {said}" for name, said in lines.items()]
    if columns:
        table = _table(columns).to_string(max_rows=_ROWS, float_format="{:.4g}".format)
        parts += [f"  {row}" for row in table.splitlines()]
    return "\n".join(parts)


def _html(self):
    lines, columns = _split(self)
    rows = "".join(
        f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(said)}</td></tr>"
        for name, said in lines.items()
    )
    parts = [f"<b>{html.escape(type(self).__name__)}</b><table>{rows}</table>"]
    if columns:
        parts.append(_table(columns).to_html(max_rows=_ROWS, float_format="{:.4g}".format))
    return "".join(parts)


@readable
class Bunch(_Bunch):
    """A Bunch of scikit-learn that says what it holds instead of all of it."""
