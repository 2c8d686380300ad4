"""Numbers as JSON holds them: no NaN, no arrays, no types of NumPy."""

import json
import math
from pathlib import Path

import numpy as np

from skad.exceptions import DataFileError

__all__ = ["as_json", "plain", "read_json"]


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


def read_json(path):
    """Return the object that a JSON file holds, or refuse the file by name."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as exc:
        raise DataFileError(f"{path} is no JSON, or damaged: {exc}.") from exc
    if not isinstance(content, dict):
        raise DataFileError(f"{path} holds {type(content).__name__} and no report.")
    return content


def as_json(content):
    """Return the JSON text of a report, the same for the same numbers."""
    return json.dumps(plain(content), indent=1, allow_nan=False) + "\n"
