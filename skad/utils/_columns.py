"""Columns of X by name or position."""

from collections.abc import Iterable

import numpy as np

from skad.exceptions import MissingColumnError

__all__ = ["column_name", "resolve_column", "resolve_columns"]


def resolve_columns(columns, feature_names, n_features, *, parameter):
    """Return the positions of `columns` among the features.

    Parameters
    ----------
    columns : None, str, int, or sequence of str or int
        Names or positions (negative ones count from the end). None means no column.
    feature_names : sequence of str or None
        Names of the features, None when X had none.
    n_features : int
        Number of features.
    parameter : str
        Name of the parameter, for error messages.

    Returns
    -------
    positions : ndarray of int, in the order given

    Raises
    ------
    MissingColumnError
        A name or position that X does not have.
    ValueError
        A column given twice.
    """
    if columns is None:
        return np.empty(0, dtype=np.intp)
    if isinstance(columns, (str, int, np.integer)):
        columns = [columns]
    if not isinstance(columns, Iterable):
        raise TypeError(
            f"{parameter} must be a column name (str), a position (int) or a list of them; got "
            f"{columns!r}."
        )
    names = None if feature_names is None else list(feature_names)
    positions = []
    for column in columns:
        if isinstance(column, str):
            if names is None:
                raise MissingColumnError(
                    f"{parameter}={column!r} is a name, but X has no column names; "
                    "pass a pandas DataFrame or give the position."
                )
            if column not in names:
                raise MissingColumnError(
                    f"{parameter}={column!r} is not a column of X; it has {names}."
                )
            positions.append(names.index(column))
        elif isinstance(column, (int, np.integer)) and not isinstance(column, bool):
            if not -n_features <= column < n_features:
                raise MissingColumnError(
                    f"{parameter}={column} is not a column of X, which has {n_features} columns "
                    f"(positions 0 to {n_features - 1})."
                )
            positions.append(int(column) % n_features)
        else:
            raise TypeError(
                f"{parameter} must hold column names (str) or positions (int); got {column!r}."
            )
    if len(set(positions)) != len(positions):
        raise ValueError(f"{parameter}={columns!r} names a column twice.")
    return np.asarray(positions, dtype=np.intp)


def resolve_column(column, feature_names, n_features, *, parameter):
    """Return the position of one column, as `resolve_columns` does of several."""
    if not isinstance(column, (str, int, np.integer)):
        raise TypeError(
            f"{parameter} must be a column name (str) or a position (int); got {column!r:.100}."
        )
    return int(resolve_columns(column, feature_names, n_features, parameter=parameter)[0])


def column_name(position, feature_names):
    """Return how to call a column in a message: its name, or 'column 3'."""
    if feature_names is None:
        return f"column {position}"
    return f"column {str(feature_names[position])!r}"
