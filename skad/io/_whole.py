"""Columns that grow chunk by chunk without ever being in memory twice."""

import os
from pathlib import Path

import numpy as np

from skad.exceptions import DataFileError
from skad.io._stream import as_dtype, common_dtype

__all__ = ["Whole"]

_FIRST_ROWS = 1 << 18
_GROWTH = 1.3
# Of the free memory; the readers need some as well.
_SHARE = 0.8


class Whole:
    """Collects chunks into arrays.

    Parameters
    ----------
    path : path
        The file, for messages.
    dtypes : dict
        Dtypes to begin with, by name; a chunk of another one widens the column.
    bound : int
        A bound on the number of rows. Memory is reserved for it, and taken as it is filled.
    exact : bool
        Whether the bound will be reached, so that too many rows are refused at once.
    """

    def __init__(self, path, dtypes, bound, *, exact):
        self._path, self._n_rows = path, 0
        free = _free_bytes()
        self._limit = None if free is None else _SHARE * free
        self._row_bytes = sum(dtype.itemsize for dtype in dtypes.values())
        too_many = self._limit is not None and bound * self._row_bytes > self._limit
        if too_many and exact:
            self._refuse(bound)
        # What filters leave may be far below the bound; memory is then taken in steps.
        self._rows = min(bound, _FIRST_ROWS) if too_many else bound
        self._columns = {name: np.empty(self._rows, dtype) for name, dtype in dtypes.items()}

    def add(self, chunk):
        n_rows = len(next(iter(chunk.values())))
        end = self._n_rows + n_rows
        if end > self._rows:
            self._grow(end)
        for name, values in chunk.items():
            column = self._columns[name]
            if column.dtype != values.dtype:
                dtype = common_dtype(column.dtype, values.dtype, self._path, name)
                if dtype != column.dtype:
                    filled = as_dtype(column[: self._n_rows], dtype, self._path, name)
                    column = np.empty(self._rows, dtype)
                    column[: self._n_rows] = filled
                    self._columns[name] = column
                values = as_dtype(values, dtype, self._path, name)
            column[self._n_rows : end] = values
        self._n_rows = end

    def _grow(self, needed):
        self._rows = max(needed, int(self._rows * _GROWTH), _FIRST_ROWS)
        if self._limit is not None and needed * self._row_bytes > self._limit:
            self._refuse(needed)
        for column in self._columns.values():
            # In place where the system can: it moves pages, not numbers.
            column.resize(self._rows, refcheck=False)

    def _refuse(self, n_rows):
        raise DataFileError(
            f"{self._path}: {n_rows} events of {self._row_bytes} bytes are more than the "
            f"{self._limit / 1e9:.1f} GB of memory that can be had. Read fewer with columns=, "
            "rows= or filters=, or in batches with iter_events."
        )

    def columns(self):
        """Return the filled arrays."""
        for column in self._columns.values():
            if len(column) != self._n_rows:
                column.resize(self._n_rows, refcheck=False)
        return self._columns


def _free_bytes():
    """Return how much memory can be had, or None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        (line,) = (line for line in lines if line.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
