"""Columns of Arrow, from Parquet or from a table in memory, as arrays of NumPy."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from skad.exceptions import DataFileError
from skad.io._formats._base import TEXT

__all__ = ["arrow_kind", "arrow_to_numpy", "comparable_type", "values_type"]

# A decimal of 18 digits fits into an int64.
_INT_DIGITS = 18
_EXACT = 1 << 53


def values_type(kind):
    """Return the type of the values behind a dictionary or run-end encoding."""
    if pat.is_dictionary(kind) or pat.is_run_end_encoded(kind):
        return kind.value_type
    return kind


def arrow_kind(kind):
    """Return the dtype of a column of one number per event, or words for what it holds."""
    kind = values_type(kind)
    if pat.is_decimal(kind):
        whole = kind.scale == 0 and kind.precision <= _INT_DIGITS
        return np.dtype(np.int64 if whole else np.float64)
    if pat.is_floating(kind) or pat.is_integer(kind) or pat.is_boolean(kind):
        return np.dtype(kind.to_pandas_dtype())
    if pat.is_null(kind):
        return np.dtype(np.float64)
    if _is_text(kind):
        return TEXT
    if pat.is_binary(kind) or pat.is_large_binary(kind) or pat.is_fixed_size_binary(kind):
        return "bytes"
    if pat.is_timestamp(kind) or pat.is_date(kind):
        return "dates"
    if pat.is_time(kind) or pat.is_duration(kind):
        return "times"
    if pat.is_list(kind) or pat.is_large_list(kind) or pat.is_fixed_size_list(kind):
        return f"a list for each event ({kind})"
    return f"no number ({kind})"


def comparable_type(kind):
    """Whether filters may look at a column of this type."""
    kind = values_type(kind)
    return (
        not isinstance(arrow_kind(kind), str)
        or _is_text(kind)
        or pat.is_timestamp(kind)
        or pat.is_date(kind)
        or pat.is_duration(kind)
    )


def arrow_to_numpy(values, where):
    """Return a column as numbers, nulls as NaN.

    Parameters
    ----------
    values : pyarrow.Array or ChunkedArray
        A column whose `arrow_kind` is a dtype.
    where : str
        File and column, for the message.

    Raises
    ------
    DataFileError
        When integers beside nulls are too large for float64.
    """
    kind = values.type
    if pat.is_dictionary(kind):
        values = (
            values.dictionary_decode()
            if isinstance(values, pa.Array)
            else values.cast(kind.value_type)
        )
    elif pat.is_run_end_encoded(kind):
        values = pc.run_end_decode(values)
    kind = values.type
    if pat.is_null(kind):
        return np.full(len(values), np.nan)
    if pat.is_decimal(kind):
        values = values.cast(pa.from_numpy_dtype(arrow_kind(kind)))
        kind = values.type
    if values.null_count and (pat.is_integer(kind) or pat.is_boolean(kind)):
        if pat.is_integer(kind) and kind.bit_width == 64:
            limits = pc.min_max(values)
            low, high = limits["min"].as_py(), limits["max"].as_py()
            if low is not None and not -_EXACT <= low <= high <= _EXACT:
                raise DataFileError(
                    f"{where} holds integers beyond 2**53 beside nulls, which become NaN, so that "
                    "the integers would lose digits. Fill or drop the nulls where it was made, or "
                    "leave the column out with columns=."
                )
        values = pc.cast(values, pa.float64())
    return (
        values.to_numpy(zero_copy_only=False)
        if isinstance(values, pa.Array)
        else (values.to_numpy())
    )


def _is_text(kind):
    return pat.is_string(kind) or pat.is_large_string(kind) or pat.is_string_view(kind)
