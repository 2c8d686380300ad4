"""Jacobians by Romberg-extrapolated central differences, to compare with."""

from itertools import pairwise

import numpy as np


def reference_log_det(transform, X, step=1e-2):
    """Return log abs(det) at each row and whether the differences have converged there."""
    coarse, fine = _log_det(transform, X, step), _log_det(transform, X, step / 4)
    return fine, np.abs(coarse - fine) < 1e-8 * np.maximum(1, np.abs(fine))


def _log_det(transform, X, step):
    n_features = X.shape[1]
    # Axes: halvings of the step, direction, feature moved, event, feature. One call maps all.
    steps = step / 2.0 ** np.arange(4)
    moves = np.array([1.0, -1.0])[:, None, None, None] * np.eye(n_features)[:, None, :]
    points = X + steps[:, None, None, None, None] * moves
    Z = transform(points.reshape(-1, n_features)).reshape(points.shape)
    table = list((Z[:, 0] - Z[:, 1]) / (2 * steps[:, None, None, None]))
    # Romberg: an error of step^8, and rounding of 1e-16 / step.
    for order in range(1, 4):
        table = [(4**order * b - a) / (4**order - 1) for a, b in pairwise(table)]
    return np.linalg.slogdet(np.moveaxis(table[0], 0, -1)).logabsdet


def assert_jacobian(actual, expected, rtol=1e-6):
    """Values and signs agree to a relative 1e-6 (absolute below 1)."""
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)
