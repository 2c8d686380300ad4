"""Whole bump hunts on data without signal, saved one by one and resumed."""

import hashlib
import json
import os
import sys
import time
import warnings
from numbers import Integral
from pathlib import Path

import joblib
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed

from skad.exceptions import SkadWarning
from skad.search._pseudo_data import METHODS, background_generator
from skad.utils._children import seeded_child
from skad.utils._random import draw_seeds

__all__ = ["pseudo_experiments"]

# They change how a search is run, not what it finds.
_RUN_ONLY = {"n_jobs": None, "checkpoint": None, "verbose": 0}


def pseudo_experiments(
    hunt,
    n_experiments,
    generate="auto",
    *,
    folder=None,
    n_jobs=None,
    random_state=None,
    verbose=1,
):
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
        `random_state` and a `generate` that can be pickled. Workers on other machines must see it.
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
    SkadWarning
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
    hunt = clone(hunt).set_params(**_RUN_ONLY)
    seeds = draw_seeds(random_state, n_experiments)
    archive = None if folder is None else _Archive(folder, hunt, generate, random_state)
    tables = {}
    for number, seed in enumerate(seeds if archive else ()):
        table = archive.load(number, seed)
        if table is not None:
            tables[number] = table
    missing = [number for number in range(n_experiments) if number not in tables]

    def say(text):
        if verbose:
            tqdm.write(f"pseudo_experiments: {text}", file=sys.stderr)

    if name != "given":
        say(_described(generate))
    if tables:
        say(f"{len(tables)} of {n_experiments} are in {folder}.")
    if missing and seconds is None:
        start = time.perf_counter()
        first = missing.pop(0)
        tables[first] = _experiment(hunt, generate, seeds[first], first, archive)[1]
        seconds = time.perf_counter() - start
    if missing:
        at_a_time = min(joblib.effective_n_jobs(n_jobs), len(missing))
        rounds = -(-len(missing) // at_a_time)
        say(
            f"{len(missing)} experiments of {_duration(seconds)}, {at_a_time} at a time: about "
            f"{_duration(rounds * seconds)}."
        )
    finished = Parallel(n_jobs=n_jobs, return_as=_return_as())(
        delayed(_experiment)(hunt, generate, seeds[number], number, archive) for number in missing
    )
    bar = tqdm(finished, total=len(missing), unit="experiment", disable=not verbose)
    tables.update(bar)
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


class _Archive:
    """Folder of finished experiments, one JSON file each, and of what search they are."""

    def __init__(self, folder, hunt, generate, random_state):
        if not isinstance(random_state, Integral):
            raise ValueError(
                "folder needs an int random_state, or a later call makes other experiments; got "
                f"random_state={random_state!r}."
            )
        self.folder = Path(folder)
        try:
            self.identity = joblib.hash((hunt, generate, int(random_state)))
        except Exception as error:
            raise ValueError(
                "folder needs a search and a generate that can be pickled, to know them again: "
                f"{error}"
            ) from error
        self.folder.mkdir(parents=True, exist_ok=True)
        name = self.folder / "search.json"
        known = self._read(name, required=("identity",)) if name.exists() else None
        if known is None:
            _write(name, {"identity": self.identity, "search": repr(hunt)})
        elif known["identity"] != self.identity:
            raise ValueError(
                f"{self.folder} holds pseudo-experiments of another search, other data or another "
                "random_state; take an empty folder, or make the call that began it. "
                f"Its search: {known.get('search')}"
            )

    def load(self, number, seed):
        """Return the table of a finished experiment, or None."""
        import pandas as pd

        path = self._path(number)
        if not path.exists():
            return None
        content = self._read(path, required=("identity", "seed", "table", "sha256"))
        if content is None:
            return None
        if (content["identity"], content["seed"]) != (self.identity, seed):
            raise ValueError(f"{path} is of another search; remove it or take another folder.")
        if content["sha256"] != _digest(content["table"]):
            self._damaged(path, "its check sum is wrong")
            return None
        return pd.DataFrame(content["table"])

    def save(self, number, seed, table):
        # Python's own numbers: JSON writes them so that they are read to the bit.
        table = {column: values.tolist() for column, values in table.items()}
        content = {"identity": self.identity, "seed": seed, "sha256": _digest(table)}
        _write(self._path(number), content | {"table": table})

    def _path(self, number):
        return self.folder / f"experiment_{number:05d}.json"

    def _read(self, path, required):
        try:
            content = json.loads(path.read_text())
            missing = [key for key in required if key not in content]
        except (ValueError, TypeError) as error:
            self._damaged(path, error)
            return None
        if missing:
            self._damaged(path, f"it lacks {missing}")
            return None
        return content

    @staticmethod
    def _damaged(path, why):
        warnings.warn(f"{path} is damaged ({why}) and is written again.", SkadWarning, stacklevel=5)


def _digest(table):
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def _write(path, content):
    # An interrupt must not leave half a file under the final name.
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content))
    part.replace(path)
