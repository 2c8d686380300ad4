"""Scores of several methods and seeds, checked, for background and signal separately."""

from collections.abc import Mapping

import numpy as np

from skad.metrics._checks import check_scores, signal_mask

__all__ = ["event_classes", "scores_by_seed"]


def scores_by_seed(scores, *, least=1):
    """Return a dict of arrays of shape (n_seeds, n_events) from one or two dimensions each."""
    if not isinstance(scores, Mapping) or len(scores) < least:
        number = {1: "at least one", 2: "at least two"}[least]
        raise ValueError(f"scores must be a dict of names and arrays, with {number}.")
    checked = {}
    for name, values in scores.items():
        values = np.asarray(values, dtype=np.float64)
        if values.ndim not in (1, 2):
            raise ValueError(
                f"scores[{name!r}] must have the shape (n_events,) or (n_seeds, n_events); got "
                f"{values.shape}."
            )
        checked[name] = np.array(
            [check_scores(row, name=f"scores[{name!r}]") for row in np.atleast_2d(values)]
        )
    lengths = {name: values.shape[1] for name, values in checked.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"scores must be of the same events; got the lengths {lengths}.")
    return checked


def event_classes(y, n_events, signal_label):
    """Return which events are background and signal, or all of them without truth."""
    if y is None:
        return {"all": np.ones(n_events, dtype=bool)}
    signal = signal_mask(y, signal_label, name="y")
    if len(signal) != n_events:
        raise ValueError(f"y has {len(signal)} entries for {n_events} scored events.")
    classes = {"background": ~signal, "signal": signal}
    return {name: rows for name, rows in classes.items() if rows.any()}
