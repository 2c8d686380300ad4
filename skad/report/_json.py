"""Numbers as JSON holds them: no NaN, no arrays, no types of NumPy."""

import json
import math

import numpy as np

__all__ = ["as_json", "plain"]


def plain(value):
    """Return the value made of dicts, lists, text, numbers, booleans and None; NaN becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def as_json(content):
    """Return the JSON text of a report, the same for the same numbers."""
    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"
