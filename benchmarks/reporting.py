"""Markdown tables of medians and 68 % bands, as the recorded results show them."""

import numpy as np

__all__ = ["band", "markdown"]


def band(values, digits=2):
    """Return "median (16 %-84 %)"; values that are NaN do not count."""
    if np.isnan(values).all():
        return "-"
    low, median, high = np.nanquantile(values, [0.16, 0.5, 0.84])
    return f"{median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def markdown(rows, header):
    """Return the lines of a table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]
