"""Whole bump hunts on data without signal, saved one by one and resumed."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import warnings
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import CheckpointWarning, SkadWarning
from skad.search._checkpoint import VERSIONS
from skad.search._pseudo_data import METHODS, background_generator
from skad.utils._children import seeded_child
from skad.utils._random import draw_seeds
from skad.utils._replacing import locked, replacing
from skad.utils._tasks import outer_stacklevel, progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from pandas import DataFrame

    from skad.search._bump_hunt import BumpHunt
    from skad.utils._types import FilePath, Seed

__all__ = ["RUN_ONLY", "open_archive", "pseudo_experiments"]

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
        `random_state` and a `generate` that can be pickled. One call at a time writes there;
        workers on other machines must see it.
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
    import pandas as pd
    from tqdm.auto import tqdm

    if not isinstance(n_experiments, Integral) or n_experiments < 1:
        raise ValueError(f"n_experiments must be a whole number of 1 or more; got {n_experiments}.")
    name = "given"
    if not callable(generate):
        if generate not in METHODS:
            raise ValueError(f"generate must be a callable or one of {METHODS}; got {generate!r}.")
        generate = background_generator(hunt, generate)
        name = generate.method
    seconds = getattr(hunt, "_core_seconds", None)
    hunt = clone(hunt).set_params(**RUN_ONLY)
    seeds = draw_seeds(random_state, n_experiments)

    def say(text):
        if verbose:
            tqdm.write(f"pseudo_experiments: {text}", file=sys.stderr)

    if name != "given":
        say(_described(generate))
    with open_archive(folder, hunt, generate, random_state) as archive:
        tables = {} if archive is None else archive.load(seeds)
        if tables:
            say(f"{len(tables)} of {n_experiments} are in {folder}.")
        missing = [number for number in range(n_experiments) if number not in tables]
        if missing and seconds is None:
            start = time.perf_counter()
            first = missing.pop(0)
            tables[first] = _experiment(hunt, generate, seeds[first], first, archive)[1]
            seconds = time.perf_counter() - start
        if missing:
            at_a_time = min(joblib.effective_n_jobs(n_jobs), len(missing))
            rounds = -(-len(missing) // at_a_time)
            say(
                f"{len(missing)} experiments of {_duration(seconds)}, {at_a_time} at a time: "
                f"about {_duration(rounds * seconds)}."
            )
        finished = Parallel(n_jobs=n_jobs, return_as=_return_as())(
            delayed(_experiment)(hunt, generate, seeds[number], number, archive)
            for number in missing
        )
        tables.update(progress(finished, len(missing), "pseudo_experiments", verbose=verbose))
    results = pd.concat(
        [tables[number].assign(experiment=number) for number in range(n_experiments)],
        ignore_index=True,
    )
    results.attrs["generate"] = name
    return results


def _return_as():
    """Take results as they come, where the backend of joblib can."""
    backend, _ = joblib.parallel.get_active_backend()
    return "generator_unordered" if backend.supports_return_generator else "list"


def _experiment(hunt, generate, seed, number, archive):
    data = generate(check_random_state(seed))
    hunt = seeded_child(hunt, seed, copy=number).set_params(n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        hunt.fit(*data) if isinstance(data, tuple) else hunt.fit(data)
    table = hunt.results_.assign(p_global=hunt.p_global_)
    if archive is not None:
        archive.save(number, seed, table)
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


@contextmanager
def open_archive(folder, hunt, generate, random_state):
    """Yield the archive of a folder, which nobody else can write meanwhile; None without one."""
    if folder is None:
        yield None
        return
    if not isinstance(random_state, Integral):
        raise ValueError(
            "folder needs an int random_state, or a later call makes other experiments; got "
            f"random_state={random_state!r}."
        )
    try:
        identity = joblib.hash((hunt, generate, int(random_state), VERSIONS))
    except Exception as error:
        raise ValueError(
            f"folder needs a generate that can be pickled, to know it again: {error}"
        ) from error
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "experiments"):
        archive = _Archive(folder, identity)
        archive.claim(repr(hunt))
        yield archive


class _Archive:
    """Folder of finished experiments, one JSON file each, and of what search they are."""

    def __init__(self, folder, identity):
        self.folder = folder
        self.identity = identity

    def claim(self, search):
        """Write what search the folder is of, or refuse that of another one."""
        path = self.folder / "search.json"
        known = self._read(path)
        if known is None:
            self._write(path, {"search": search})
        elif known["identity"] != self.identity:
            raise ValueError(
                f"{self.folder} holds pseudo-experiments of another search, other data, another "
                "random_state or version; take an empty folder, or make the call that began it. "
                f"Its search: {known['content']['search']}"
            )

    def load(self, seeds):
        """Return the tables of the experiments that are there, by number."""
        import pandas as pd

        tables = {}
        for number, seed in enumerate(seeds):
            found = self._read(self._path(number))
            if found is None:
                continue
            if (found["identity"], found["content"]["seed"]) != (self.identity, seed):
                raise ValueError(
                    f"{self._path(number)} is of another search; remove it or take another folder."
                )
            tables[number] = pd.DataFrame(found["content"]["table"])
        return tables

    def save(self, number, seed, table):
        # Python's own numbers: JSON writes them so that they are read to the bit.
        table = {column: values.tolist() for column, values in table.items()}
        self._write(self._path(number), {"seed": seed, "table": table})

    def _path(self, number):
        return self.folder / f"experiment_{number:05d}.json"

    def _write(self, path, content):
        whole = {"identity": self.identity, "sha256": _digest(content), "content": content}
        with replacing(path, lock=False) as part:
            part.write_text(json.dumps(whole))

    def _read(self, path):
        """Return what a file holds; None where there is none, or a damaged one."""
        if not path.exists():
            return None
        try:
            whole = json.loads(path.read_text())
            if whole["sha256"] == _digest(whole["content"]):
                return whole
            why = "its checksum is another one"
        except (ValueError, TypeError, KeyError) as error:
            why = f"{type(error).__name__}: {error}"
        warnings.warn(
            f"{path} is damaged ({why}); what it held is computed again.",
            CheckpointWarning,
            stacklevel=outer_stacklevel(),
        )
        return None


def _digest(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
