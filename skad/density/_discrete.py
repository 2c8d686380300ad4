"""Columns that have no density, because their values repeat."""

import warnings

import numpy as np

from skad.exceptions import DiscreteColumnWarning
from skad.utils._tasks import outer_stacklevel

__all__ = ["warn_of_discrete_columns"]

# A column whose values repeat so often on average, or one of which is so common a part of them.
_REPEATS = 10
_LUMP = 0.1
# Steps too fine for a flow to follow: numbers that were only rounded.
_FINE = 500


def warn_of_discrete_columns(X, names):
    """Warn of columns whose values repeat, so that their density has no bound.

    Parameters
    ----------
    X : ndarray of shape (n_events, n_features)
    names : sequence of str
        How to call the columns.

    Warns
    -----
    DiscreteColumnWarning
    """
    found = []
    for name, column in zip(names, X.T, strict=True):
        _, counts = np.unique(column, return_counts=True)
        few = len(counts) < _FINE and len(column) >= _REPEATS * len(counts)
        lump = counts.max() >= max(_LUMP * len(column), _REPEATS)
        # One value alone is a constant, which is refused elsewhere.
        if len(counts) > 1 and (few or lump):
            found.append(f"{name} ({len(counts)} values)")
    if found:
        shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        warnings.warn(
            f"Of {len(X)} events, few have a value of their own in {shown}. Values that repeat "
            "have no density: the longer the fit, the higher it grows there, and log p says more "
            "of such columns than of all others. Leave them out, make them conditions, "
            "give noise= as wide as their spacing, or take a detector without a density.",
            DiscreteColumnWarning,
            stacklevel=outer_stacklevel(),
        )
