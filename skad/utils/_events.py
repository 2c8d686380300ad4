"""Events as every detector, density and classifier reads them."""

import numpy as np
from sklearn.utils.validation import validate_data

from skad.utils._columns import column_name

__all__ = ["FLOATS", "check_events", "check_stored_events"]

FLOATS = (np.float64, np.float32)
# Squares of larger values overflow in float32, where trees and networks work; smaller ones vanish.
_LARGEST, _SMALLEST = 1e30, 1e-30


def check_events(estimator, X, y="no_validation", *, dtype=FLOATS, reset=True, **options):
    """Check X, and y where one is given, as scikit-learn's `validate_data` does.

    Events to learn from (``reset=True``) must also have features of a magnitude whose square is a
    number: a column in another unit would be one constant to trees and networks, and every score
    the same. Later events may lie as far out as they like.

    Parameters
    ----------
    estimator : estimator
    X : array-like or DataFrame of shape (n_events, n_features)
    y : array-like of shape (n_events,), default="no_validation"
    dtype : dtype or sequence of dtypes, default=(float64, float32)
    reset : bool, default=True
        Whether `fit` calls.
    **options
        Of `validate_data`.

    Returns
    -------
    X : ndarray, or (X, y) where y is given

    Raises
    ------
    ValueError
        Events that scikit-learn refuses, or a column beyond 1e30 or within 1e-30.
    """
    checked = validate_data(estimator, X, y, dtype=dtype, reset=reset, **options)
    if reset:
        values = checked[0] if isinstance(checked, tuple) else checked
        low, high = values.min(axis=0), values.max(axis=0)
        _check_magnitude(low, high, getattr(estimator, "feature_names_in_", None))
    return checked


def check_stored_events(estimator, events, *, reset=True):
    """Check events of a file, which are finite, as `check_events` does those in memory.

    Parameters
    ----------
    estimator : estimator
    events : StoredEvents
    reset : bool, default=True
        As in `check_events`.
    """
    validate_data(estimator, events.head, dtype=FLOATS, reset=reset)
    if reset:
        _check_magnitude(events.low, events.high, getattr(estimator, "feature_names_in_", None))


def _check_magnitude(low, high, names):
    largest = np.maximum(high, -low)
    for position in np.flatnonzero((largest > _LARGEST) | ((largest > 0) & (largest < _SMALLEST))):
        raise ValueError(
            f"{column_name(position, names)} of X reaches {largest[position]:.3g}, where squares "
            f"overflow or vanish; features to learn from must lie between {_SMALLEST:g} and "
            f"{_LARGEST:g}. Give it in another unit, or remove the events that reach so far."
        )
