"""A limit of a search on a signal, as [limit] of the settings asks for it."""

from __future__ import annotations

import inspect
import json
import logging
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from skad.cli._build import check_parameters
from skad.cli._calibrate import fit_calibrated
from skad.cli._events import read_input
from skad.cli._search import build_hunt, clock, described, gathered, results_folder
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from skad.cli._settings import Settings
    from skad.search._upper_limit import SearchLimit
    from skad.utils._types import FilePath

__all__ = ["run_limit"]

# Keys of [limit] beside the parameters of `upper_limit`: of the file of the signal.
_OWN = ("signal", "label", "weight")
_FILES = "limit.json", "limits.csv"

_logger = logging.getLogger("skad")


def run_limit(
    path: Settings | FilePath,
    output: FilePath | None = None,
    *,
    overwrite: bool = False,
    verbose: int = 0,
) -> SearchLimit:
    """Run the search of a settings file, and set a limit on the signal that [limit] names.

    The folder of the results gets ``limits.csv``, one row per test, and ``limit.json`` with the
    limits, the efficiencies of all refits, settings, data fingerprint, warnings and timings.

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
        The folder holds a limit and `overwrite` is False.

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
    ['limit.json', 'limits.csv']
    """
    from skad.cli._settings import read_settings
    from skad.search import upper_limit

    settings = read_settings(path) if not hasattr(path, "values") else path
    folder = results_folder(settings, output)
    if (folder / _FILES[0]).exists() and not overwrite:
        raise FileExistsError(
            f"{folder} holds a limit; pass overwrite=True (--overwrite) to replace it, or another "
            "output."
        )
    options = _options(settings, upper_limit)
    hunt, lap = build_hunt(settings).set_params(verbose=verbose), clock()
    events, signal = read_input(settings), _signal(settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_calibrated(
            settings,
            hunt,
            lambda hunt: hunt.fit(events.X, events.y, events.weight),
            verbose=verbose,
        )
        seconds = {"search": lap()}
        limit = upper_limit(
            hunt,
            signal.X,
            sample_weight=signal.weight,
            random_state=hunt.random_state,
            verbose=verbose,
            **options,
        )
    seconds["limit"] = lap()
    _logger.info("writing %s", folder)
    folder.mkdir(parents=True, exist_ok=True)
    limit.table.to_csv(folder / _FILES[1], index=False)
    content = {
        "observed": limit.observed,
        "expected": limit.expected.tolist(),
        "best": limit.best,
        "limits": limit.table.to_dict("records"),
        "efficiencies": limit.efficiencies.to_dict("records"),
        "record": {
            **described(settings, events),
            "seed": hunt.random_state,
            "warnings": gathered(caught),
            "timings": seconds,
        },
    }
    (folder / _FILES[0]).write_text(json.dumps(content, indent=1), encoding="utf-8")
    return limit


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
