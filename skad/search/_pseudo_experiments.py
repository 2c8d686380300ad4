"""Whole bump hunts on data without signal, saved one by one and resumed."""

from __future__ import annotations

import pickle
import sys
import time
import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import SkadWarning
from skad.search._archive import open_archive
from skad.search._pseudo_data import METHODS, background_generator
from skad.utils._children import seeded_child
from skad.utils._random import draw_seeds
from skad.utils._tasks import progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from pandas import DataFrame

    from skad.search._bump_hunt import BumpHunt
    from skad.utils._types import FilePath, Seed

__all__ = [
    "RUN_ONLY",
    "Experiments",
    "experiments_of",
    "merged",
    "pseudo_experiments",
    "run_experiments",
]

# They change how a search is run, not what it finds.
RUN_ONLY = {"n_jobs": None, "checkpoint": None, "keep_detectors": False, "verbose": 0}


def pseudo_experiments(
    hunt: BumpHunt,
    n_experiments: int,
    generate: Literal["auto", "resampled", "morphed"] | Callable[..., Any] = "auto",
    *,
    folder: FilePath | None = None,
    n_jobs: int | None = None,
    random_state: Seed = None,
    verbose: int = 1,
) -> DataFrame:
    """Run a bump hunt on generated data sets, everything retrained each time.

    Without signal the local p-values must be uniform (coverage), and what they are instead
    calibrates the search: `SignificanceCalibration`, `GlobalCalibration`. With signal the
    significances are the power of the search.

    Parameters
    ----------
    hunt : BumpHunt
        The search; it is cloned, without its checkpoint. It must be fitted unless `generate` is a
        callable.
    n_experiments : int
    generate : {"auto", "resampled", "morphed"} or callable, default="auto"
        A name makes background-only data of those that the search was fitted on, see
        `background_generator`. A callable ``generate(random_state)`` returns the events X of one
        experiment, or (X, y); `random_state` is a fresh RandomState.
    folder : None or path, default=None
        Every finished experiment is saved there, and a later call with the same search, data and
        seed runs only those that are missing, also of a larger `n_experiments`. Needs an int
        `random_state` and a `generate` that can be pickled. Several calls and the tasks of
        `plan_experiments` may write there at once; workers on other machines must see it.
    n_jobs : int, default=None
        Experiments at a time, with any backend of joblib; the results are the same.
    random_state : None, int or RandomState, default=None
        Each experiment has a seed of its own.
    verbose : int, default=1
        Whether to say on stderr how the data are made and how long the experiments will take, and
        to show their progress.

    Returns
    -------
    results : DataFrame
        `hunt.results_` of every experiment with the columns `experiment` and `p_global`.
        ``results.attrs["generate"]`` says how the data were made.
        The warnings of single experiments are left to the columns (`sculpting_p`, NaN).

    Raises
    ------
    ValueError
        The data cannot be made (`background_generator`), or `folder` holds experiments of another
        search.

    Warns
    -----
    CheckpointWarning
        A file in `folder` is damaged; its experiment is run again.

    Notes
    -----
    The time is that of the fit of `hunt`, or of a first experiment where it is not fitted.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.search import BumpHunt, pseudo_experiments
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=5), [(3.3, 3.7)], efficiencies=(0.1,), n_folds=2
    ... ).fit(make_resonance(2000, 0, random_state=0).data)
    >>> table = pseudo_experiments(hunt, 3, random_state=0, verbose=0)
    >>> table["experiment"].tolist(), table.attrs["generate"]
    ([0, 1, 2], 'resampled')
    """
    from tqdm.auto import tqdm

    seconds = getattr(hunt, "_core_seconds", None)
    work = experiments_of(hunt, n_experiments, generate, random_state)

    def say(text):
        if verbose:
            tqdm.write(f"pseudo_experiments: {text}", file=sys.stderr)

    if work.made != "given":
        say(_described(work.generate))
    archive = open_archive(folder, work.hunt, work.generate, random_state)
    tables = {} if archive is None else archive.load(work.seeds)
    if tables:
        say(f"{len(tables)} of {n_experiments} are in {folder}.")
    missing = [number for number in range(n_experiments) if number not in tables]
    if missing and seconds is None:
        start = time.perf_counter()
        first = missing.pop(0)
        tables[first] = _experiment(work, first, archive)[1]
        seconds = time.perf_counter() - start
    if missing:
        at_a_time = min(joblib.effective_n_jobs(n_jobs), len(missing))
        rounds = -(-len(missing) // at_a_time)
        say(
            f"{len(missing)} experiments of {_duration(seconds)}, {at_a_time} at a time: "
            f"about {_duration(rounds * seconds)}."
        )
    tables.update(run_experiments(work, missing, archive, n_jobs=n_jobs, verbose=verbose))
    return merged(tables, work.made)


@dataclass(frozen=True)
class Experiments:
    """What pseudo-experiments are made of: search, generator, how it makes data, and all seeds."""

    hunt: object
    generate: object
    made: str
    seeds: list

    def __sizeof__(self):
        # Dask sends once what is large, instead of with every experiment.
        arrays = []
        try:
            rest = pickle.dumps(self, protocol=5, buffer_callback=arrays.append)
        except (pickle.PicklingError, AttributeError, TypeError):
            return super().__sizeof__()
        return len(rest) + sum(array.raw().nbytes for array in arrays)

    def __call__(self, number):
        """Return the results of one experiment."""
        seed = self.seeds[number]
        data = self.generate(check_random_state(seed))
        hunt = seeded_child(self.hunt, seed, copy=number).set_params(n_jobs=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkadWarning)
            hunt.fit(*data) if isinstance(data, tuple) else hunt.fit(data)
        return hunt.results_.assign(p_global=hunt.p_global_)


def experiments_of(hunt, n_experiments, generate, random_state):
    """Return the `Experiments` of the arguments of `pseudo_experiments`."""
    is_whole = isinstance(n_experiments, Integral) and not isinstance(n_experiments, bool)
    if not is_whole or n_experiments < 1:
        raise ValueError(f"n_experiments must be a whole number of 1 or more; got {n_experiments}.")
    made = "given"
    if not callable(generate):
        if generate not in METHODS:
            raise ValueError(f"generate must be a callable or one of {METHODS}; got {generate!r}.")
        generate = background_generator(hunt, generate)
        made = generate.method
    hunt = clone(hunt).set_params(**RUN_ONLY)
    return Experiments(hunt, generate, made, draw_seeds(random_state, n_experiments))


def run_experiments(work, numbers, archive, *, n_jobs=None, verbose=0):
    """Run experiments and save each as it is done; return their tables by number."""
    finished = Parallel(n_jobs=n_jobs, return_as=_return_as())(
        delayed(_experiment)(work, number, archive) for number in numbers
    )
    return dict(progress(finished, len(numbers), "pseudo_experiments", verbose=verbose))


def merged(tables, made):
    """Return one table of the experiments, in their order."""
    import pandas as pd

    numbers = sorted(tables)
    results = pd.concat([tables[number] for number in numbers], ignore_index=True)
    results["experiment"] = np.repeat(numbers, [len(tables[number]) for number in numbers])
    results.attrs["generate"] = made
    return results


def _return_as():
    """Take results as they come, where the backend of joblib can."""
    backend, _ = joblib.parallel.get_active_backend()
    return "generator_unordered" if backend.supports_return_generator else "list"


def _experiment(work, number, archive):
    table = work(number)
    if archive is not None:
        archive.save(number, work.seeds[number], table)
    return number, table


def _described(generator):
    low, high = generator.window
    text = f"features {generator.method}, "
    if generator.method == "resampled":
        text += f"no dependence on m (p = {generator.independence_p:.2g})"
    else:
        text += f"dependence on m p = {generator.independence_p:.1e}, "
        text += f"along their quantiles p = {generator.morphed_p:.2g}"
    return f"{text}; m from the {generator.fit.function} function without [{low:g}, {high:g})."


def _duration(seconds):
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
