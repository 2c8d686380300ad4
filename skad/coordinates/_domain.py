"""Checks of values against the open interval in which a map is defined."""

import numpy as np

from skad.exceptions import DomainError
from skad.utils._columns import column_name

__all__ = ["check_finite", "inside", "per_column", "raise_outside", "round_into"]


def per_column(value, n_features, *, parameter, none=None):
    """Return a number, or one number per column, as float64 of shape (n_features,).

    Entries that are None become `none` where it is given.
    """
    if value is None:
        value = [None] * n_features
    values = np.array(value, dtype=object)
    if values.shape not in {(), (n_features,)}:
        raise ValueError(
            f"{parameter} must be a number or hold one number for each of the {n_features} columns "
            f"of X; got an array of shape {values.shape}."
        )
    if none is not None:
        values = np.where(np.equal(values, None), none, values)
    return np.broadcast_to(values.astype(np.float64), n_features).copy()


def check_finite(X, names, *, who, what="Input X contains", allow_nan=False):
    """Raise DomainError that names the first NaN (unless allowed) or infinity of X."""
    # The sum is finite for nearly every finite array, and four times cheaper to test.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(X)):
            return
    bad = np.isinf(X) if allow_nan else ~np.isfinite(X)
    if not bad.any():
        return
    row, column = _first(bad)
    kind = "NaN" if np.isnan(X[row, column]) else "infinity"
    raise DomainError(
        f"{what} {kind}: {column_name(column, names)}, row {row} ({bad.any(axis=1).sum()} of "
        f"{len(X)} rows are not finite). {who} accepts finite numbers only; drop or impute "
        "these rows first."
    )


def inside(X, lower, upper):
    """Return whether each value lies in the open interval, or None when all do."""
    if np.all(np.isneginf(lower)) and np.all(np.isposinf(upper)):
        return None
    # NaN, which marks a value outside on request, is passed through.
    good = ~((lower >= X) | (upper <= X))
    return None if good.all() else good


def raise_outside(X, good, lower, upper, names, *, who, advice):
    """Raise DomainError for the first value that is not `good`."""
    row, column = _first(~good)
    lower, upper = (np.broadcast_to(end, X.shape[1])[column] for end in (lower, upper))
    raise DomainError(
        f"{who}: {column_name(column, names)} holds {X[row, column]:.10g} in row {row}, outside "
        f"the domain ({lower:.10g}, {upper:.10g}); {(~good).any(axis=1).sum()} of {len(X)} rows "
        f"are outside. {advice}"
    )


def round_into(X, lower, upper):
    """Move values that rounding put on an end of the open interval just inside it, in place.

    Returns the mask of the values moved, or None.
    """
    if np.all(np.isneginf(lower)) and np.all(np.isposinf(upper)):
        return None
    lowest, highest = np.asarray(lower).astype(X.dtype), np.asarray(upper).astype(X.dtype)
    # In float32 the nearest number to an end may already lie inside.
    infinity = X.dtype.type(np.inf)
    lowest = np.where(lowest > lower, lowest, np.nextafter(lowest, infinity))
    highest = np.where(highest < upper, highest, np.nextafter(highest, -infinity))
    moved = (lowest > X) | (highest < X)
    if not moved.any():
        return None
    np.clip(X, lowest, highest, out=X)
    return moved


def _first(bad):
    return np.unravel_index(np.argmax(bad), bad.shape)
