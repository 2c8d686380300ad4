"""The scale in which columns of one table are compared."""

import numpy as np

from skad.utils._quantile import weighted_quantile
from skad.utils._statistics import mean_and_std

__all__ = ["center_and_scale", "robust_scale", "spread"]

# A scale estimated from values without spread is rounding; it would blow up that rounding.
_NO_SPREAD = 1e-14


def center_and_scale(values, scaling, sample_weight=None):
    """Return the centre and the scale of every column, in float64.

    Parameters
    ----------
    values : array of shape (n_events, n_columns)
    scaling : {"standard", "robust"} or None
        Mean and standard deviation; median and width between the quartiles, the standard deviation
        where that width is zero; 0 and 1.
    sample_weight : array of shape (n_events,), default=None

    Returns
    -------
    center, scale : ndarray of float64, shape (n_columns,)
        The scale of a constant column is 0, or 1 for None.
    """
    n = values.shape[1]
    if scaling is None:
        return np.zeros(n), np.ones(n)
    values = values.astype(np.float64)
    mean, scale = spread(*mean_and_std(values, sample_weight))
    if scaling == "standard":
        return mean, scale
    lower, median, upper = (
        np.array([weighted_quantile(column, q, sample_weight) for column in values.T])
        for q in (0.25, 0.5, 0.75)
    )
    return robust_scale(lower, median, upper, scale)


def spread(mean, std):
    """Return mean and standard deviation, zero where it is but rounding."""
    return mean, np.where(std <= _NO_SPREAD * np.abs(mean), 0.0, std)


def robust_scale(lower, median, upper, std):
    """Return the median and the width between the quartiles."""
    width = upper - lower
    # Half of the events alike, as padding is: the quartiles say nothing of the others.
    return median, np.where(width > 0, width, std)
