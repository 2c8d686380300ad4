"""Scores of files that are larger than memory: constant memory, resumable, whole or not at all."""

from __future__ import annotations

import numbers
import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import DataFileError
from skad.io._formats import open_source, shortened
from skad.io._paths import expand_paths
from skad.io._score_parts import Parts, read_part, write_part
from skad.io._stream import as_dtype, common_dtype, nan_error, nan_rows
from skad.io._write import check_dtypes, open_writer
from skad.utils import _sklearn as sk
from skad.utils._replacing import locked
from skad.utils._tasks import progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from skad.utils._types import Estimator, FilePath

__all__ = ["score_file"]

_METHODS = ("anomaly_score", "score_samples", "predict_proba", "decision_function")
# A crash loses at most the part that each worker is at.
_BATCHES_PER_PART = 10
_PROBE_EVENTS = 1000


@sk.validate_params(
    {
        "detector": [sk.HasMethods("fit")],
        "source": "no_validation",
        "target": [str, os.PathLike],
        "columns": [None, list, tuple],
        "method": [None, str, list, tuple],
        "keep": [list, tuple],
        "batch_size": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        "n_jobs": [None, numbers.Integral],
        "on_nan": [sk.StrOptions({"raise", "keep"})],
        "key": [None, str],
        "column_names": [None, list, tuple],
        "overwrite": ["boolean"],
        "restart": ["boolean"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def score_file(
    detector: Estimator,
    source: Sequence[FilePath] | FilePath,
    target: FilePath,
    *,
    columns: Sequence[int | str] | None = None,
    method: str | Sequence[str] | None = None,
    keep: Sequence[str] = (),
    batch_size: int = 100_000,
    n_jobs: int | None = None,
    on_nan: Literal["raise", "keep"] = "raise",
    key: Any = None,
    column_names: Any = None,
    overwrite: bool = False,
    restart: bool = False,
    verbose: int = 0,
) -> int:
    """Score the events of files into another file, row by row in the same order.

    Memory is needed for one batch per worker, whatever the size of the files. Finished parts wait
    in the folder ``<target>.parts``; after a crash or an interruption the same call goes on where
    it stopped. `target` appears when all is done, whole. Its columns and their types are settled
    before the first event is scored.

    Parameters
    ----------
    detector : fitted estimator
        A detector, density, classifier or pipeline.
    source : str, path-like, or list of them
        Files of events, as in `read_events`.
    target : str or path-like
        File to write; the suffix tells the format, as in `write_events`.
    columns : list of str or int, default=None
        Features of the detector, in the order of its fit. None means its
        ``feature_names_in_`` if it was fitted on a DataFrame, else all columns of the file.
    method : str or list of str, default=None
        Methods that score; each becomes a column of this name, in float64. None means the first
        that the detector has of anomaly_score, score_samples, predict_proba and
        decision_function. Of predict_proba with two classes, the probability of the second is
        written.
    keep : list of str, default=()
        Columns of the source to copy into the target.
    batch_size : int, default=100_000
        Events that are scored at once.
    n_jobs : int, default=None
        Processes that score parts of ten batches each; -1 means all cores.
    on_nan : {"raise", "keep"}, default="raise"
        What to do with events that hold NaN: raise an error that says where, or give them the
        score NaN without showing them to the detector.
    key, column_names : optional
        As in `read_events`.
    overwrite : bool, default=False
        Replace an existing `target`.
    restart : bool, default=False
        Throw away the parts of an earlier, unfinished call.
    verbose : int, default=0
        Show a progress bar when positive.

    Returns
    -------
    n_events : int
        Number of events scored.

    Raises
    ------
    FileExistsError
        When `target` exists and `overwrite` is False.
    MissingColumnError, DataFileError
        As `read_events`; also when parts of another call (other files, options or detector) are
        in the way, see `restart`, or another process writes the same target.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.io import read_events, score_file, write_events
    >>> events = make_resonance(2000, 20, random_state=0, as_frame=True).data
    >>> forest = IsolationForest(n_estimators=10, random_state=0).fit(events)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source, target = (pathlib.Path(folder) / f"{name}.parquet" for name in ("in", "out"))
    ...     n_events = write_events(events, source)
    ...     n_events = score_file(forest, source, target, keep=["m"])
    ...     print(n_events, list(read_events(target).columns))
    2020 ['m', 'score_samples']
    """
    target = Path(target)
    files = expand_paths(source, key)
    _refuse_target(target, files, overwrite)
    methods = _resolve_methods(detector, method)
    opener = partial(_open, files=files, column_names=column_names)
    columns, n_rows, dtypes = _survey(detector, opener, len(files), columns, keep, methods)
    check_dtypes(target, dtypes)
    score = partial(
        _score_chunks,
        detector=detector,
        methods=methods,
        columns=columns,
        keep=list(keep),
        batch_size=batch_size,
        on_nan=on_nan,
    )
    with locked(target):
        _refuse_target(target, files, overwrite)
        folder = target.with_name(target.name + ".parts")
        if restart and folder.exists():
            shutil.rmtree(folder)
        plan = {
            "sources": [
                [str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns, inner]
                for path, inner in files
            ],
            "columns": columns,
            "methods": methods,
            "keep": list(keep),
            "batch_size": int(batch_size),
            "column_names": None if column_names is None else list(column_names),
            "schema": {name: dtype.name for name, dtype in dtypes.items()},
        }
        finished = Parts(folder, plan, _probe(detector, score, opener))
        parts = finished.listing(n_rows, batch_size * _BATCHES_PER_PART)
        missing = [part for part in parts if not finished.is_finished(part)]
        results = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
            delayed(_write_part)(score, opener, part, dtypes) for part in missing
        )
        _drain(results, parts, missing, verbose)
        _merge(parts, target, dtypes)
        shutil.rmtree(folder)
    return sum(n_rows)


def _open(number, *, files, column_names):
    path, key = files[number]
    return open_source(path, key=key, column_names=column_names)


def _refuse_target(target, files, overwrite):
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; pass overwrite=True to replace it.")
    if target.resolve() in [path.resolve() for path, _ in files]:
        raise ValueError(f"target={str(target)!r} is a source too; its events would be lost.")


def _resolve_methods(detector, method):
    if method is None:
        found = [name for name in _METHODS if hasattr(detector, name)]
        if not found:
            raise TypeError(
                f"{type(detector).__name__} has none of the methods {list(_METHODS)}; "
                "name one with method=."
            )
        return found[:1]
    methods = [method] if isinstance(method, str) else list(method)
    for name in methods:
        if not hasattr(detector, name):
            raise TypeError(f"{type(detector).__name__} has no method {name!r}.")
    return methods


def _survey(detector, opener, n_files, columns, keep, methods):
    """Check all files before the long work; return features, rows of each file, and the schema."""
    taken = sorted(set(keep) & set(methods)) or sorted({n for n in keep if keep.count(n) > 1})
    if taken:
        raise ValueError(
            f"keep names {shortened(taken)}, which would be two columns of one name in the "
            "target. Rename the column in the source, or do not keep it."
        )
    if columns is None and hasattr(detector, "feature_names_in_"):
        columns = list(detector.feature_names_in_)
    n_rows, dtypes = [], {}
    for number in range(n_files):
        with opener(number) as source:
            columns = source.resolve(columns)
            source.resolve(list(dict.fromkeys([*columns, *keep])))
            for name, dtype in source.dtypes(keep).items():
                known = dtypes.get(name, dtype)
                dtypes[name] = common_dtype(known, dtype, source.path, name)
            n_rows.append(source.n_rows)
    for number in range(n_files):
        with opener(number) as source:
            _check_kept(source, dtypes)
    expected = getattr(detector, "n_features_in_", len(columns))
    if expected != len(columns):
        raise DataFileError(
            f"{source.path}: {type(detector).__name__} was fitted on {expected} features, but the "
            f"columns are {shortened(columns)}. Name the features with columns=."
        )
    return columns, n_rows, dtypes | dict.fromkeys(methods, np.dtype(np.float64))


def _check_kept(source, dtypes):
    """Read the integers that become floats once, so that no digits are missing after the work."""
    for name, dtype in dtypes.items():
        if dtype.kind == "f" and source.kind(name).kind in "iu":
            for _, chunk, _ in source.chunks([name], 0, source.n_rows, 1 << 18):
                as_dtype(chunk[name], dtype, source.path, name)


def _score_chunks(source, start, stop, *, detector, methods, columns, keep, batch_size, on_nan):
    """Yield ``{name: values}`` of the kept columns and the scores of the rows start to stop."""
    needed = list(dict.fromkeys([*columns, *keep]))
    for first_row, chunk, _ in source.chunks(needed, start, stop, batch_size):
        features = {name: chunk[name] for name in columns}
        mask, culprit = nan_rows(features)
        if mask is not None and on_nan == "raise":
            index = int(np.flatnonzero(np.isnan(features[culprit]))[0])
            raise nan_error(source, first_row, index, culprit, int(mask.sum()))
        result = {name: chunk[name] for name in keep}
        for method in methods:
            result[method] = _apply(detector, method, features, mask)
        yield result


def _apply(detector, method, features, mask):
    n_events = len(next(iter(features.values())))
    scores = np.full(n_events, np.nan)
    wanted = np.ones(n_events, dtype=bool) if mask is None else ~mask
    if not wanted.any():
        return scores
    if hasattr(detector, "feature_names_in_"):
        import pandas as pd

        X = pd.DataFrame(features, copy=False)
    else:
        X = np.column_stack(list(features.values()))
    result = np.asarray(getattr(detector, method)(X if mask is None else X[wanted]))
    if result.ndim == 2 and result.shape[1] == 2 and method == "predict_proba":
        result = result[:, 1]
    if result.shape != (wanted.sum(),):
        raise ValueError(
            f"{type(detector).__name__}.{method} must return one score per event, shape "
            f"({wanted.sum()},); got {result.shape}."
        )
    scores[wanted] = result
    return scores


def _probe(detector, score, opener):
    """Score the first events by every method, also those not asked for.

    A refit detector may give the same labels for nearly all events, but not the same scores.
    """
    methods = dict.fromkeys([*score.keywords["methods"], *_METHODS])
    answers = {}
    with opener(0) as source:
        stop = min(source.n_rows, _PROBE_EVENTS)
        for method in methods:
            if not hasattr(detector, method):
                continue
            asked = method in score.keywords["methods"]
            alone = partial(score, methods=[method], keep=[], on_nan="keep")
            try:
                chunks = [chunk[method] for chunk in alone(source, 0, stop)]
            except Exception:
                if asked:
                    raise
                continue  # a method that nobody asked for may need what is not there
            answers[method] = [float(value) for chunk in chunks for value in chunk]
    return answers


def _write_part(score, opener, part, dtypes):
    with opener(part.source) as source:
        batches = (
            {name: as_dtype(values, dtypes[name], source.path, name) for name, values in b.items()}
            for b in score(source, part.start, part.stop)
        )
        write_part(part, batches, dtypes)
    return part.stop - part.start


def _merge(parts, target, dtypes):
    """Join the parts, one batch at a time."""
    with open_writer(target, lock=False) as write:
        write({name: np.empty(0, dtype) for name, dtype in dtypes.items()})
        for part in parts:
            for columns in read_part(part):
                write(columns)


def _drain(results, parts, missing, verbose):
    """Wait for all parts, with a progress that knows those finished before."""
    total = sum(part.stop - part.start for part in parts)
    waiting = sum(part.stop - part.start for part in missing)
    shown = progress(
        results, total, "score_file", verbose=verbose, initial=total - waiting, size=int
    )
    for _ in shown:
        pass
