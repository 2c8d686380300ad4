"""Many fits at once: in parallel, with their progress, and their warnings gathered."""

import logging
import re
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import joblib
import sklearn
from sklearn.utils.parallel import Parallel, delayed

__all__ = ["outer_stacklevel", "progress", "run_tasks"]

_logger = logging.getLogger("skad")
# Seconds between two lines of progress in a log.
_LOG_EVERY = 30.0
# Frames of these packages are not where the caller of skad is.
_INNER = (
    str(Path(sklearn.__file__).parent),
    str(Path(joblib.__file__).parent),
    str(Path(__file__).resolve().parents[1]),
)


def run_tasks(tasks, *, name, groups=None, n_jobs=None, verbose=0):
    """Run functions in parallel and return what they return, in their order.

    Warnings of the single tasks are gathered: one of each kind for every group, at the line of the
    caller outside of skad, with the number of tasks that gave it.

    Parameters
    ----------
    tasks : list of (function, args)
        Picklable where `n_jobs` is not 1.
    name : str
        What is done, for the progress.
    groups : list of str, default=None
        Where each task belongs, for the warnings; None means all together.
    n_jobs : int, default=None
    verbose : int, default=0
        Show the progress when positive.

    Returns
    -------
    results : list
    """
    groups = [""] * len(tasks) if groups is None else groups
    done = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_recorded)(function, *args) for function, args in tasks
    )
    results, gathered, sizes = [], {}, {}
    for group, (result, caught) in zip(
        groups, progress(done, len(tasks), name, verbose=verbose), strict=True
    ):
        results.append(result)
        sizes[group] = sizes.get(group, 0) + 1
        for category, message in set(caught):
            # Messages that differ in their numbers are of one kind.
            kind = (group, category, re.sub(r"\d[\d.,e+-]*", "#", message))
            first, count = gathered.get(kind, (message, 0))
            gathered[kind] = (first, count + 1)
    for (group, category, _), (message, count) in gathered.items():
        where = f"{group}: " if group else ""
        times = f" ({count} of {sizes[group]} fits)" if sizes[group] > 1 else ""
        warnings.warn(f"{where}{message}{times}", category, stacklevel=outer_stacklevel())
    return results


def _recorded(function, *args):
    """Return the result of a task, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function(*args)
    return result, [(each.category, str(each.message)) for each in caught]


def outer_stacklevel():
    """Return the `stacklevel` of a warning that points at the code which called skad."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INNER):
        level, frame = level + 1, frame.f_back
    return level


def progress(iterable, total, name, *, verbose=0, initial=0, size=None):
    """Yield the items; show how many of them are done and how long the rest will take.

    A bar in terminals and notebooks; elsewhere lines of the logger "skad", where it has a handler
    for them.

    Parameters
    ----------
    iterable : iterable
    total : int
    name : str
    verbose : int, default=0
        Nothing is shown unless it is positive.
    initial : int, default=0
        What of the total was done before.
    size : callable, default=None
        How much of the total an item is; None counts items.

    Yields
    ------
    item : object
    """
    if not verbose or not total:
        yield from iterable
        return
    interactive = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not interactive and _logger.hasHandlers() and _logger.isEnabledFor(logging.INFO):
        show = _logged(total, name, initial)
    else:
        show = _drawn(total, name, initial, interactive, size is not None)
    with show as update:
        for item in iterable:
            yield item
            update(1 if size is None else size(item))


@contextmanager
def _drawn(total, name, initial, interactive, scaled):
    from tqdm.auto import tqdm

    options = {"mininterval": 0.1 if interactive else 10.0, "unit_scale": scaled}
    with tqdm(total=total, desc=name, initial=initial, **options) as bar:
        yield bar.update


@contextmanager
def _logged(total, name, initial):
    started = last = time.monotonic()
    done = initial

    def update(n):
        nonlocal done, last
        done += n
        now = time.monotonic()
        if done == total or now - last > _LOG_EVERY:
            last = now
            left = (now - started) / (done - initial) * (total - done)
            rest = f", {left:.0f} s left" if done < total else f" in {now - started:.0f} s"
            _logger.info("%s: %d of %d%s", name, done, total, rest)

    yield update
