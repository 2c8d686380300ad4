"""Pseudo-experiments as tasks of a batch farm: a plan, a command that runs one task, a merge."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np

from skad.exceptions import DataFileError, MissingTasksError
from skad.search._archive import Archive, open_archive
from skad.search._checkpoint import VERSIONS
from skad.search._pseudo_experiments import experiments_of, merged, run_experiments
from skad.utils._arguments import PATH, checked
from skad.utils._replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from pandas import DataFrame

    from skad.search._bump_hunt import BumpHunt
    from skad.utils._types import FilePath

__all__ = ["collect", "missing_tasks", "plan_experiments", "run_task"]

_FORMAT = "skad plan 1"
_LIBRARIES = ("skad", "scikit-learn", "torch")
_MOST_TASKS = 100


def plan_experiments(
    hunt: BumpHunt,
    n_experiments: int,
    generate: Literal["auto", "resampled", "morphed"] | Callable[..., Any] = "auto",
    *,
    folder: FilePath,
    n_tasks: int | None = None,
    random_state: int = 0,
) -> Path:
    """Write a plan of pseudo-experiments, whose tasks run anywhere and in any order.

    The folder is that of `pseudo_experiments`, which finds there what the tasks have finished, and
    whose results `collect` returns to the bit. ``plan.json`` lists the tasks, ``plan.joblib`` holds
    the search and the events, once for all of them.

    Parameters
    ----------
    hunt : BumpHunt
        As for `pseudo_experiments`.
    n_experiments : int
    generate : {"auto", "resampled", "morphed"} or callable, default="auto"
        As for `pseudo_experiments`; a callable must be picklable, from a module that the tasks can
        import.
    folder : str or path-like
        Where all tasks can write.
    n_tasks : int, default=None
        Tasks, of about as many experiments each; None means 100, or one for each experiment where
        these are fewer. A task takes some seconds to start.
    random_state : int, default=0
        Each experiment has a seed of its own.

    Returns
    -------
    path : Path
        That of the plan.

    Raises
    ------
    ValueError
        The data cannot be made, or the folder holds experiments of another search.

    See Also
    --------
    run_task : Run one of them.
    missing_tasks : Which ones are left.
    collect : Merge the results.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.search import BumpHunt, collect, missing_tasks, plan_experiments, run_task
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=5), [(3.3, 3.7)], efficiencies=(0.1,), n_folds=2
    ... ).fit(make_resonance(2000, 0, random_state=0).data)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plan = plan_experiments(hunt, 3, folder=folder, n_tasks=2)
    ...     run_task(plan, 1)
    ...     missing_tasks(plan)
    ...     run_task(plan, 0)
    ...     collect(plan)["experiment"].tolist()
    1
    [0]
    2
    [0, 1, 2]
    """
    if n_tasks is not None and not (isinstance(n_tasks, Integral) and n_tasks >= 1):
        raise ValueError(f"n_tasks must be a whole number of 1 or more, or None; got {n_tasks!r}.")
    work = experiments_of(hunt, n_experiments, generate, random_state)
    archive = open_archive(folder, work.hunt, work.generate, random_state)
    folder = Path(folder)
    stored = folder / "plan.joblib"
    with replacing(stored) as part:
        joblib.dump(work, part)
    n_tasks = min(n_experiments, _MOST_TASKS if n_tasks is None else n_tasks)
    edges = np.linspace(0, n_experiments, n_tasks + 1).round().astype(int).tolist()
    content = {
        "format": _FORMAT,
        "search": repr(work.hunt),
        "generate": work.made,
        "random_state": int(random_state),
        "identity": archive.identity,
        "versions": dict(zip(_LIBRARIES, VERSIONS, strict=True)),
        "work": {"file": stored.name, "sha256": _sha256(stored)},
        "tasks": [
            {"task": task, "experiments": [first, end]}
            for task, (first, end) in enumerate(pairwise(edges))
        ],
    }
    path = folder / "plan.json"
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=1))
    return path


@checked(plan=PATH)
def run_task(plan: FilePath, task: int, *, n_jobs: int | None = None, verbose: int = 0) -> int:
    """Run what is missing of a task of a plan.

    Every experiment is saved as it is done, in a file that appears whole or not at all, so that a
    task may be killed, run again, and even run twice at a time: the bits are the same.

    Parameters
    ----------
    plan : str or path-like
        Of `plan_experiments`.
    task : int
        From 0 on.
    n_jobs : int, default=None
        Experiments at a time.
    verbose : int, default=0
        Show the progress.

    Returns
    -------
    n_run : int
        Experiments that were missing.

    Raises
    ------
    ValueError
        The plan has no such task.
    DataFileError
        The plan is none, is damaged, or was made by other versions, whose bits are others.

    Examples
    --------
    ``skad run null/plan.json --task 17`` on the command line. See `plan_experiments`.
    """
    plan = _Plan.read(plan)
    numbers = plan.experiments(task)
    plan.check_versions()
    work = plan.work()
    archive = Archive(plan.folder, plan.content["identity"])
    missing = sorted(set(numbers) - set(archive.load(work.seeds, numbers)))
    run_experiments(work, missing, archive, n_jobs=n_jobs, verbose=verbose)
    return len(missing)


@checked(plan=PATH)
def missing_tasks(plan: FilePath) -> list[int]:
    """Return the tasks of a plan that are not finished.

    Parameters
    ----------
    plan : str or path-like
        Of `plan_experiments`.

    Returns
    -------
    tasks : list of int

    Raises
    ------
    DataFileError
        The plan is none, or damaged.

    Examples
    --------
    See `plan_experiments`.
    """
    plan = _Plan.read(plan)
    return plan.missing(plan.load())


@checked(plan=PATH)
def collect(plan: FilePath) -> DataFrame:
    """Merge the results of all tasks of a plan.

    Parameters
    ----------
    plan : str or path-like
        Of `plan_experiments`.

    Returns
    -------
    results : DataFrame
        As of `pseudo_experiments` with the same search and seed, to the bit.

    Raises
    ------
    MissingTasksError
        Some tasks are not finished; its `missing` holds their numbers.
    DataFileError
        The plan is none, or damaged.

    Examples
    --------
    See `plan_experiments`.
    """
    plan = _Plan.read(plan)
    tables = plan.load()
    missing = plan.missing(tables)
    if missing:
        raise MissingTasksError(
            f"{len(missing)} of {len(plan.tasks)} tasks of {plan.path} are not finished: "
            f"{ranges(missing)}. Run them again: skad run {plan.path} --task NUMBER",
            missing,
        )
    return merged(tables, plan.content["generate"])


def ranges(numbers):
    """Return sorted numbers as batch systems write them: "0-2,7"."""
    if not len(numbers):
        return ""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ",".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs)


@dataclass(frozen=True)
class _Plan:
    path: Path
    content: dict

    @classmethod
    def read(cls, path):
        path = Path(path)
        try:
            content = json.loads(path.read_text())
            known = content["format"] == _FORMAT
        except (ValueError, TypeError, KeyError) as error:
            raise DataFileError(f"{path} is no plan of skad: {error}") from error
        if not known:
            raise DataFileError(
                f"{path} is a plan of format {content['format']!r}; this version of skad reads "
                f"{_FORMAT!r}. Plan again."
            )
        return cls(path, content)

    @property
    def folder(self):
        return self.path.parent

    @property
    def tasks(self):
        return self.content["tasks"]

    def experiments(self, task):
        if not isinstance(task, Integral) or not 0 <= task < len(self.tasks):
            raise ValueError(
                f"task must be a whole number from 0 to {len(self.tasks) - 1} in {self.path}; "
                f"got {task!r}."
            )
        return range(*self.tasks[task]["experiments"])

    def check_versions(self):
        planned, here = self.content["versions"], dict(zip(_LIBRARIES, VERSIONS, strict=True))
        if planned != here:
            raise DataFileError(
                f"{self.path} was made with {planned}, and here are {here}, whose bits may be "
                "others. Run the tasks where the plan was made, or plan again in another folder."
            )

    def work(self):
        stored = self.folder / self.content["work"]["file"]
        if _sha256(stored) != self.content["work"]["sha256"]:
            raise DataFileError(f"{stored} is not the one that {self.path} was made with.")
        # Tasks on one machine share the pages of the events.
        return joblib.load(stored, mmap_mode="r")

    def load(self):
        archive = Archive(self.folder, self.content["identity"])
        return archive.load(self.work().seeds)

    def missing(self, tables):
        return [
            each["task"]
            for each in self.tasks
            if not set(range(*each["experiments"])) <= tables.keys()
        ]


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
