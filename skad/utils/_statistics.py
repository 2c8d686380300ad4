"""Weighted moments."""

import numpy as np

__all__ = ["mean_and_std"]


def mean_and_std(values, sample_weight=None):
    """Return the weighted mean and standard deviation of every column, in float64.

    Parameters
    ----------
    values : array-like of shape (n_events, n_columns)
    sample_weight : array-like of shape (n_events,), default=None

    Returns
    -------
    mean, std : ndarray of float64, shape (n_columns,)
    """
    values = np.asarray(values)
    if sample_weight is None:
        mean = values.mean(axis=0, dtype=np.float64)
        return mean, np.sqrt(((values - mean) ** 2).mean(axis=0))
    mean = np.average(values, axis=0, weights=sample_weight).astype(np.float64)
    return mean, np.sqrt(np.average((values - mean) ** 2, axis=0, weights=sample_weight))
