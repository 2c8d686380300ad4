"""The one reader of labels that say which events are data: 1 and 0, or booleans."""

import contextlib

import numpy as np
from sklearn.utils import column_or_1d

__all__ = ["read_labels"]


def read_labels(
    y, n_events=None, *, owner="fit", one="data", zero="simulation or reference", name="y"
):
    """Return which events are labelled 1.

    Parameters
    ----------
    y : array-like of shape (n_events,)
        1 and 0 as numbers, or booleans; both must occur.
    n_events : int, default=None
        Length that y must have.
    owner : str, default="fit"
        What needs the labels, for error messages.
    one, zero : str
        What the labels mean, for error messages.
    name : str, default="y"
        Name of the parameter, for error messages.

    Returns
    -------
    mask : ndarray of bool, shape (n_events,)

    Raises
    ------
    ValueError
        Any other labels: text, -1 and +1, 1 and 2, one value only. None of them is read by a
        guess, since the wrong one turns every score around.
    """
    if y is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target {name} is None. Give 1 for {one} and "
            f"0 for {zero}, one per event of X."
        )
    y = column_or_1d(y, warn=True)
    if n_events is not None and len(y) != n_events:
        raise ValueError(
            f"{name} must have shape ({n_events},), one label per event; got ({len(y)},)."
        )
    labels = np.asarray(y).tolist()
    # Objects that no dict takes are refused below.
    with contextlib.suppress(TypeError):
        labels = list(dict.fromkeys(labels))
    if any(isinstance(label, float) and not np.isfinite(label) for label in labels):
        raise ValueError(f"Input {name} contains NaN or infinity; it must hold 1 and 0.")
    numbers = all(isinstance(label, (bool, int, float)) for label in labels)
    if not numbers or not set(labels) <= {0, 1}:
        shown = ", ".join(repr(label) for label in labels[:5]) + (", ..." if labels[5:] else "")
        raise ValueError(
            f"{name} must be 1 for {one} and 0 for {zero}, or True and False; got the labels "
            f"{shown}. Pass {name} == label, with the label of {one}."
        )
    if len(set(labels)) < 2:
        raise ValueError(
            f"{name} must hold both 1 ({one}) and 0 ({zero}); it has one class only, {labels}. "
            "Concatenate both samples to one X."
        )
    return np.asarray(y, dtype=np.float64) == 1
