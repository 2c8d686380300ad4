"""Values of one column from events that are alike in all others, whatever the columns hold."""

import numpy as np
import pandas as pd

from skad.utils._children import rows_of

__all__ = ["ConditionalDraws"]

# Distances of so many pairs of events are held at a time.
_CHUNK = 2_000_000
# Beyond, an odd value counts as no odder, so that it does not choose the neighbours alone.
_FARTHEST = 4.0


class ConditionalDraws:
    """Nearest background events in all columns but one.

    Parameters
    ----------
    background : ndarray or DataFrame of shape (n_background, n_features)
    n_draws : int
        Neighbours of each event.
    """

    def __init__(self, background, n_draws):
        self.background = background
        self.n_draws = n_draws
        columns = [_values(background, j) for j in range(background.shape[1])]
        self._scales = [_scale_of(values) for values in columns]
        self._columns = [
            _scaled(values, scale) for values, scale in zip(columns, self._scales, strict=True)
        ]

    def replaced(self, X, column):
        """Return all events n_draws times, with values of `column` from another neighbour each."""
        neighbours = self._neighbours(X, column).T
        repeated = rows_of(X, np.tile(np.arange(len(X)), self.n_draws))
        if not hasattr(X, "iloc"):
            drawn = np.asarray(self.background)[neighbours.ravel(), column]
            repeated = repeated.astype(np.result_type(repeated, drawn), copy=False)
            repeated[:, column] = drawn
            return repeated
        drawn = self.background.iloc[neighbours.ravel(), column]
        repeated.isetitem(column, drawn.set_axis(repeated.index))
        return repeated

    def _neighbours(self, X, column):
        others = [j for j in range(X.shape[1]) if j != column]
        n_background = len(self.background)
        found = np.empty((len(X), self.n_draws), dtype=np.intp)
        step = max(_CHUNK // n_background, 1)
        scaled = {j: _scaled(_values(X, j), self._scales[j]) for j in others}
        for start in range(0, len(X), step):
            rows = slice(start, start + step)
            distance = np.zeros((len(found[rows]), n_background))
            for j in others:
                distance += _squared_distance(scaled[j][rows], self._columns[j])
            nearest = np.argpartition(distance, self.n_draws - 1, axis=1)
            found[rows] = nearest[:, : self.n_draws]
        return found


def _values(X, column):
    """Return one column as floats, or as objects where it holds no numbers."""
    values = X.iloc[:, column] if hasattr(X, "iloc") else X[:, column]
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.asarray(values, dtype=object)


def _scale_of(values):
    """Return median and spread of numbers; None for a column of anything else."""
    if values.dtype == object:
        return None
    known = values[np.isfinite(values)]
    if not len(known):
        return 0.0, 1.0
    low, middle, high = np.quantile(known, [0.16, 0.5, 0.84])
    spread = 0.5 * (high - low)
    return middle, spread if spread > 0 else known.std() or 1.0


def _scaled(values, scale):
    if scale is None:
        return values
    if values.dtype == object:
        # Numbers in the background, and something else here: no background event is alike.
        return np.full(len(values), np.nan)
    return np.clip((values - scale[0]) / scale[1], -_FARTHEST, _FARTHEST)


def _squared_distance(values, reference):
    """Return squared differences of numbers, 1 where a category or what is missing differs."""
    if values.dtype == object or reference.dtype == object:
        missing, others = pd.isna(values), pd.isna(reference)
        equal = np.equal.outer(values.astype(object), reference.astype(object)).astype(bool)
        return (~(equal | np.logical_and.outer(missing, others))).astype(np.float64)
    difference = values[:, None] - reference
    both = np.isnan(values)[:, None] & np.isnan(reference)
    return np.where(both, 0.0, np.where(np.isnan(difference), 1.0, difference**2))
