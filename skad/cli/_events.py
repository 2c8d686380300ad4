"""Events of an analysis: read as the settings say, features computed, y put together."""

import hashlib
import inspect
from dataclasses import dataclass

import numpy as np

from skad.cli._build import build, check_parameters
from skad.cli._settings import nearest
from skad.exceptions import SettingsError
from skad.utils import _sklearn as sk

__all__ = [
    "Events",
    "check_column",
    "feature_transformer",
    "fingerprint",
    "looks_like_truth",
    "read_input",
]

# Keys of [input] beside the parameters of `read_events`.
_OWN = ("path", "simulation", "label", "weight")
_TRUTH = {"label", "labels", "truth", "target", "is_signal", "issignal", "class"}


@dataclass(frozen=True)
class Events:
    """Events X (a DataFrame), y (1 = data, 0 = simulation), weights, truth, and their files.

    y, weights and truth are None where there are none.
    """

    X: object
    y: np.ndarray | None
    weight: np.ndarray | None
    truth: np.ndarray | None
    files: list


def looks_like_truth(name):
    """Whether a column has a name that people give to truth labels."""
    return str(name).lower() in _TRUTH


def read_input(settings, *, truth=False, features=True):
    """Read the events that the table [input] names, and compute [features].

    Parameters
    ----------
    settings : Settings
    truth : bool, default=False
        Whether the column `label` is wanted.
    features : bool, default=True
        Whether [features] are computed; else the columns stay as they are in the files.

    Returns
    -------
    events : Events
    """
    from skad.io import read_events

    table = settings.table("input")
    options = _read_options(settings, table, read_events)
    if "path" not in table:
        raise settings.error(["input"], 'input needs a path, for example path = "events.parquet".')
    files = _paths(settings, ["input", "path"], table["path"])
    own = {name: table[name] for name in ("label", "weight") if name in table}
    for name, column in own.items():
        if not isinstance(column, str):
            raise settings.error(["input", name], f"{name} must name a column; got {column!r}.")
        columns = options.get("columns")
        if isinstance(columns, (list, tuple)) and column not in columns:
            options["columns"] = [*columns, column]
    frame = read_events(files, **options)
    names = [name for name in frame.columns if name not in own.values()]
    y = None
    if "simulation" in table:
        import pandas as pd

        more = _paths(settings, ["input", "simulation"], table["simulation"])
        columns = [name for name in frame.columns if name != own.get("label")]
        simulation = read_events(more, **{**options, "columns": columns})
        y = np.repeat([1, 0], [len(frame), len(simulation)])
        frame = pd.concat([frame, simulation], ignore_index=True)
        files = [*files, *more]
    taken = {name: _take(settings, frame, name, column) for name, column in own.items()}
    if not names:
        raise settings.error(
            ["input", "columns"], "the input has no column beside label and weight to learn from."
        )
    frame = frame[names]
    _refuse_truth(settings, frame)
    transformer = feature_transformer(settings) if features else None
    if transformer is not None:
        frame = transformer.set_output(transform="pandas").fit_transform(frame)
    return Events(frame, y, taken.get("weight"), taken.get("label") if truth else None, files)


def _read_options(settings, table, read_events):
    allowed = [name for name in inspect.signature(read_events).parameters if name != "path"]
    settings.check_keys(["input"], [*_OWN, *allowed], "[input]")
    options = {}
    for name, value in table.items():
        if name in _OWN:
            continue
        if name == "rows":
            if not (isinstance(value, list) and len(value) == 2):
                raise settings.error(["input", name], f"rows must be [first, last]; got {value!r}.")
            value = slice(*value)
        if name == "filters" and isinstance(value, list):
            value = [tuple(each) if isinstance(each, list) else each for each in value]
        options[name] = value
    constraints = sk.function_constraints(read_events)
    return check_parameters(settings, ["input"], "read_events", constraints, options)


def _paths(settings, keys, value):
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise settings.error(keys, f"{'.'.join(keys)} must be a path or a list; got {value!r}.")
    return [settings.path(each) for each in values]


def _take(settings, frame, key, column):
    """Return the column of truth or weights."""
    if column not in frame:
        raise settings.error(
            ["input", key],
            f"the files have no column {column!r}.{nearest(column, frame.columns)}",
        )
    return frame[column].to_numpy()


def _refuse_truth(settings, frame):
    """Refuse a column that looks like truth, for a search that learns from it finds it."""
    for name in frame.columns:
        if looks_like_truth(name):
            raise settings.error(
                ["input"],
                f"the column {name!r} looks like truth labels, from which no search may learn. Put "
                f'label = "{name}" under [input] to keep it out, or rename the column.',
            )


def feature_transformer(settings):
    """Return the unfitted transformer that [features] describes, or None."""
    value = settings.values.get("features")
    if value is None:
        return None
    if isinstance(value, list):
        from sklearn.pipeline import make_pipeline

        return make_pipeline(
            *(build(settings, ["features", position]) for position in range(len(value)))
        )
    return build(settings, ["features"])


def fingerprint(X, *others):
    """Return the SHA-256 of the columns of events, and of the other arrays that are not None."""
    digest = hashlib.sha256()
    digest.update("\0".join(map(str, X.columns)).encode())
    digest.update(np.ascontiguousarray(X.to_numpy(dtype=np.float64)).tobytes())
    for values in others:
        if values is not None:
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return digest.hexdigest()


def check_column(settings, keys, name, X):
    """Refuse a column that the events do not have."""
    if isinstance(name, str) and name not in X.columns:
        raise settings.error(
            keys,
            f"{'.'.join(keys)} is {name!r}, which is no column.{nearest(name, X.columns)} There "
            f"are: {', '.join(map(str, X.columns))}.",
        )
    if isinstance(name, bool) or not isinstance(name, (str, int)):
        raise SettingsError(f"{'.'.join(keys)} must name a column; got {name!r}.")
