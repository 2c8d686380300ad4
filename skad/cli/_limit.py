"""A limit of a search on a signal, as [limit] of the settings asks for it."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skad.cli._build import check_parameters
from skad.cli._events import fingerprint, read_input
from skad.cli._search import (
    LIMIT_FILE,
    SEARCH_FILE,
    clock,
    gathered,
    load_search,
    results_folder,
    search_of,
    write_search,
)
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from skad.cli._settings import Settings
    from skad.search._upper_limit import SearchLimit
    from skad.utils._types import FilePath

__all__ = ["run_limit"]

# Keys of [limit] beside the parameters of `upper_limit`: of the file of the signal.
_OWN = ("signal", "label", "weight")
_TABLE_FILE = "limits.csv"
# What a search may be called and shown with, without being another one.
_NOT_OF_SEARCH = ("title", "limit", "report", "output")


def run_limit(
    path: Settings | FilePath,
    output: FilePath | None = None,
    *,
    overwrite: bool = False,
    verbose: int = 0,
) -> SearchLimit:
    """Run the search of a settings file, and set a limit on the signal that [limit] names.

    The folder of the results gets what `run_search` writes there, the report with a section on the
    limit, and beside it ``limits.csv``, one row per test, and ``limit.json`` with the limits, the
    efficiencies of all refits, warnings and timings.

    Parameters
    ----------
    path : str, path-like or Settings
        Settings file, see `read_settings`.
    output : str or path-like, default=None
        As for `run_search`.
    overwrite : bool, default=False
        Replace limits that are there.
    verbose : int, default=0

    Returns
    -------
    limit : SearchLimit

    Raises
    ------
    SettingsError
        [limit] lacks signal or strengths, or asks for what there is not.
    FileExistsError
        The folder holds a limit, or results of other settings or events, and `overwrite` is False.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from skad.cli import run_limit
    >>> from skad.datasets import make_resonance
    >>> from skad.io import write_events
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     folder = pathlib.Path(folder)
    ...     events = make_resonance(3000, 0, random_state=0, as_frame=True).data
    ...     _ = write_events(events, folder / "events.csv")
    ...     signal = make_resonance(0, 1000, random_state=1, as_frame=True).data
    ...     _ = write_events(signal, folder / "signal.csv")
    ...     _ = (folder / "search.toml").write_text('''
    ...         [input]
    ...         path = "events.csv"
    ...         [detector]
    ...         name = "IsolationForest"
    ...         n_estimators = 10
    ...         [search]
    ...         resonance = "m"
    ...         windows = [[3.3, 3.7]]
    ...         efficiencies = [1.0, 0.1]
    ...         n_folds = 2
    ...         [limit]
    ...         signal = "signal.csv"
    ...         strengths = [20, 200]
    ...         n_refits = 1
    ...     ''')
    ...     limit = run_limit(folder / "search.toml")
    ...     print(sorted(each.name for each in (folder / "search-results").iterdir()))
    ['figures', 'limit.json', 'limits.csv', 'report.html', 'results.csv', 'search.json',
     'settings.toml']
    """
    from skad.cli._settings import Settings, read_settings
    from skad.report._json import as_json
    from skad.search import upper_limit

    settings = path if isinstance(path, Settings) else read_settings(path)
    folder = results_folder(settings, output)
    if (folder / LIMIT_FILE).exists() and not overwrite:
        raise FileExistsError(
            f"{folder} holds a limit; pass overwrite=True (--overwrite) to replace it, or another "
            "output."
        )
    options, signal = _options(settings, upper_limit), _signal(settings)
    if not overwrite:
        _check_same_search(settings, folder)
    report, hunt = search_of(settings, verbose)
    lap = clock()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limit = upper_limit(
            hunt,
            signal.X,
            sample_weight=signal.weight,
            random_state=hunt.random_state,
            verbose=verbose,
            **options,
        )
    report = report.with_limit(limit, signal=", ".join(Path(path).name for path in signal.files))
    write_search(report, hunt, settings, folder)
    limit.table.to_csv(folder / _TABLE_FILE, index=False)
    content = {
        **report.content["limit"],
        "efficiencies": limit.efficiencies.to_dict("records"),
        "record": {
            **report.content["record"],
            "warnings": gathered(caught),
            "timings": {**report.content["record"]["timings"], "limit": lap()},
        },
    }
    (folder / LIMIT_FILE).write_text(as_json(content), encoding="utf-8")
    return limit


def _check_same_search(settings, folder):
    """Raise if the results that the folder holds are not those of this search."""
    if not (folder / SEARCH_FILE).exists():
        return
    report, theirs = load_search(folder)
    events = read_input(settings)
    if _of_search(theirs) != _of_search(settings) or report.content["record"]["data"][
        "sha256"
    ] != fingerprint(events.X, events.y, events.weight):
        raise FileExistsError(
            f"{folder} holds results of a search with other settings or events; pass "
            "overwrite=True (--overwrite) to replace them, or another output."
        )


def _of_search(settings):
    return {name: value for name, value in settings.values.items() if name not in _NOT_OF_SEARCH}


def _options(settings, upper_limit):
    """Return what [limit] hands on."""
    table = settings.table("limit")
    for name, example in (("signal", '"signal.parquet"'), ("strengths", "[50, 100, 200]")):
        if name not in table:
            raise settings.error(
                ["limit"], f"limit needs {name}, for example {name} = {example} under [limit]."
            )
    given = ("hunt", "signal_events", "sample_weight", "random_state", "verbose")
    allowed = [name for name in inspect.signature(upper_limit).parameters if name not in given]
    settings.check_keys(["limit"], [*_OWN, *allowed], "[limit]")
    options = {name: value for name, value in table.items() if name not in _OWN}
    options = check_parameters(
        settings, ["limit"], "upper_limit", sk.function_constraints(upper_limit), options
    )
    if "folder" in options:
        options["folder"] = settings.path(options["folder"])
    return options


def _signal(settings):
    """Read the signal as the events of the search are read."""
    table = settings.table("limit")
    same = {
        name: value
        for name, value in settings.table("input").items()
        if name not in ("path", "simulation", "label", "weight", "rows")
    }
    own = {name: table[name] for name in ("label", "weight") if name in table}
    values = {**settings.values, "input": {**same, **own, "path": table["signal"]}}
    return read_input(replace(settings, values=values))
