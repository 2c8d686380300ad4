"""Scores of several methods and seeds, checked, for background and signal separately."""

from collections.abc import Mapping

import numpy as np

from skad.metrics._checks import check_scores, event_classes
from skad.utils._arguments import Numbers

__all__ = ["classes_of", "scores_by_seed"]


def scores_by_seed(scores, *, least=1):
    """Return a dict of arrays of shape (n_seeds, n_events) from one or two dimensions each."""
    if not isinstance(scores, Mapping) or len(scores) < least:
        number = {1: "at least one", 2: "at least two"}[least]
        raise ValueError(f"scores must be a dict of names and arrays, with {number}.")
    checked = {}
    for name, values in scores.items():
        values = Numbers(None, finite=False).read(values, f"scores[{name!r}]")
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


def classes_of(y_true, n_events, signal_label, background_label):
    """Return masks of background and every signal that has events, or of all without truth."""
    if y_true is None:
        return {"all": np.ones(n_events, dtype=bool)}
    classes = event_classes(y_true, signal_label, background_label)
    n_labels = len(classes["background"])
    if n_labels != n_events:
        raise ValueError(f"y_true has {n_labels} entries for {n_events} scored events.")
    return {name: rows for name, rows in classes.items() if rows.any()}
