"""Numerical Jacobians of functions of which nothing is known."""

import numpy as np

from skad.exceptions import NoJacobianError

__all__ = ["numerical_log_abs_det"]

_TOLERANCE = 1e-6
_CHUNK = 65536


def numerical_log_abs_det(func, X, *, who):
    """Return log abs(det df/dx) of a row-wise function by central differences.

    Five-point differences with a step chosen for each event: the first of a list whose error,
    estimated from the three-point difference and the rounding of f, is below 1e-6. The five-point
    error is its square, about 1e-10.

    Parameters
    ----------
    func : callable
        Takes events in the container of X and returns as many coordinates as features.
    X : ndarray or DataFrame of float64, shape (n_events, n_features)
    who : str
        What is differentiated, for error messages.

    Raises
    ------
    NoJacobianError
        No step gave a stable derivative, or `func` does not return as many columns.
    """
    frame = X if hasattr(X, "columns") else None
    values = np.asarray(X, dtype=np.float64)

    def evaluate(points, rows):
        if frame is not None:
            points = type(frame)(points, columns=frame.columns, index=frame.index[rows])
        result = np.asarray(func(points), dtype=np.float64)
        if result.shape != points.shape:
            raise NoJacobianError(
                f"{who} returns shape {result.shape} for X of shape {points.shape}, so it is not "
                "one-to-one."
            )
        return result

    log_abs_det = np.empty(len(values))
    for start in range(0, len(values), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(values)))
        jacobian = np.stack(
            [_derivative(evaluate, values, rows, j, who) for j in range(values.shape[1])], axis=2
        )
        log_abs_det[rows] = np.linalg.slogdet(jacobian).logabsdet
    return log_abs_det


def _derivative(evaluate, values, rows, column, who):
    """Return the derivatives by one feature, shape (len(rows), n_features)."""
    best = np.full((len(rows), values.shape[1]), np.nan)
    todo = np.arange(len(rows))
    for relative, absolute in _STEPS:
        points = values[rows[todo]]
        x = points[:, column].copy()
        # A step that a float64 can add exactly.
        h = (x + relative * np.abs(x) + absolute) - x
        difference, largest = [], 0.0
        with np.errstate(all="ignore"):
            for factor in (1, 2):
                points[:, column] = x + factor * h
                above = evaluate(points, rows[todo])
                points[:, column] = x - factor * h
                below = evaluate(points, rows[todo])
                difference.append((above - below) / (2 * factor * h)[:, None])
                largest = np.maximum(largest, np.maximum(np.abs(above), np.abs(below)))
            derivative = (4 * difference[0] - difference[1]) / 3
            error = np.abs(derivative - difference[0])
            rounding = np.finfo(np.float64).eps * largest / np.abs(h)[:, None]
            scale = np.max(np.abs(derivative), axis=1)
            good = np.max(error + rounding, axis=1) < _TOLERANCE * scale
        best[todo[good]] = derivative[good]
        todo = todo[~good]
        if not len(todo):
            return best
    row = rows[todo[0]]
    raise NoJacobianError(
        f"{who} could not be differentiated numerically at row {row}, column {column}, where X is "
        f"{values[row, column]:.10g}: the map is not smooth there, or the event is too close to "
        "the end of its domain. Use skad.coordinates.FunctionCoordinates with log_abs_det, or "
        "register a rule with skad.coordinates.register_jacobian."
    )


# (relative, absolute) steps: the first serve features of any unit, the others those near zero.
_STEPS = [(10.0**-k, 0.0) for k in (3, 4, 5)] + [(0.0, 10.0**-k) for k in range(3, 16)]
