"""A search from its settings: run, kept in a folder, repeated."""

from __future__ import annotations

import datetime
import hashlib
import inspect
import json
import logging
import re
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skad.cli._build import build, check_parameters
from skad.cli._calibrate import fit_calibrated
from skad.cli._events import check_column, fingerprint, read_input
from skad.cli._settings import Settings, read_settings, settings_from_text
from skad.exceptions import DataFileError, SkadError
from skad.utils._arguments import PATH, checked

if TYPE_CHECKING:
    from skad.report._search_report import SearchReport
    from skad.utils._types import FilePath

__all__ = [
    "build_hunt",
    "load_search",
    "repeat_search",
    "results_folder",
    "run_search",
    "search_of",
    "write_search",
]

# What a folder of results holds.
SETTINGS_FILE, SEARCH_FILE, LIMIT_FILE = "settings.toml", "search.json", "limit.json"
_TABLE_FILE, _REPORT_FILE, _FIGURES = "results.csv", "report.html", "figures"
_SCAN = ("low", "high", "width", "step")

_logger = logging.getLogger("skad")


def build_hunt(settings):
    """Return the unfitted bump hunt that [detector] and [search] describe.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    hunt : BumpHunt
    """
    from skad.resonant import SignalRegion
    from skad.search import BumpHunt

    table = dict(settings.table("search"))
    allowed = [name for name in inspect.signature(BumpHunt).parameters if name != "detector"]
    given = ("calibration", "global_calibration")
    allowed = [name for name in allowed if name not in given]
    settings.check_keys(["search"], [*allowed, "scan"], "[search]")
    scan = table.pop("scan", None)
    if scan is not None:
        if "windows" in table:
            raise settings.error(
                ["search", "scan"], "search takes windows or scan, one of them; both are given."
            )
        if not isinstance(scan, dict) or not set(scan) <= set(_SCAN):
            raise settings.error(
                ["search", "scan"],
                f"search.scan must be {{low = ..., high = ..., width = ...}}; got {scan!r}.",
            )
        try:
            table["windows"] = SignalRegion.scan(**scan)
        except (TypeError, SkadError) as exc:
            raise settings.error(["search", "scan"], f"search.scan: {exc}") from exc
    for name in ("checkpoint", "keep_detectors"):
        if isinstance(table.get(name), str):
            table[name] = settings.path(table[name])
    # A result that cannot be repeated is none.
    table.setdefault("random_state", 0)
    constraints = BumpHunt._parameter_constraints
    parameters = check_parameters(settings, ["search"], "BumpHunt", constraints, table)
    return BumpHunt(_detector(settings), **parameters)


def _detector(settings):
    if "detector" not in settings.values:
        raise settings.error(
            [], '[detector] is missing, for example [detector] with name = "IsolationForest".'
        )
    detector = build(settings, ["detector"])
    if "coordinates" not in settings.values:
        return detector
    from sklearn.pipeline import make_pipeline

    names = {name.rpartition("__")[2] for name in detector.get_params(deep=True)}
    if "region" in names:
        raise settings.error(
            ["coordinates"],
            f"{type(detector).__name__} reads the resonant feature, which [coordinates] would "
            "change; give it a parameter coordinates of its own, or compute them in [features].",
        )
    return make_pipeline(build(settings, ["coordinates"]), detector)


def run_search(
    path: Settings | FilePath,
    output: FilePath | None = None,
    *,
    overwrite: bool = False,
    verbose: int = 0,
) -> SearchReport:
    """Run the search that a settings file describes, and keep its results in a folder.

    The folder holds ``search.json`` (every number, see `SearchReport`, with settings, data
    fingerprint, versions, seed, warnings and timings), ``results.csv`` (one row per test),
    ``report.html``, ``figures`` (PDF and SVG) and ``settings.toml``, the file as it was. A limit of
    this search that `run_limit` left in the folder is in the report.

    Parameters
    ----------
    path : str, path-like or Settings
        Settings file, see `read_settings`.
    output : str or path-like, default=None
        Folder of the results; None means that of the settings, or the name of the file with
        "-results" beside it.
    overwrite : bool, default=False
        Replace results that are there.
    verbose : int, default=0
        Show the progress of the fits when positive.

    Returns
    -------
    report : SearchReport

    Raises
    ------
    SettingsError
        The settings ask for what there is not.
    FileExistsError
        The folder holds results and `overwrite` is False.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from skad.cli import run_search
    >>> from skad.datasets import make_resonance
    >>> from skad.io import write_events
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     folder = pathlib.Path(folder)
    ...     events = make_resonance(3000, 0, random_state=0, as_frame=True).data
    ...     _ = write_events(events, folder / "events.csv")
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
    ...     ''')
    ...     report = run_search(folder / "search.toml")
    ...     print(sorted(each.name for each in (folder / "search-results").iterdir()))
    ['figures', 'report.html', 'results.csv', 'search.json', 'settings.toml']
    """
    settings = path if isinstance(path, Settings) else read_settings(path)
    folder = results_folder(settings, output)
    if (folder / SEARCH_FILE).exists() and not overwrite:
        raise FileExistsError(
            f"{folder} holds results of a search; pass overwrite=True (--overwrite) to replace "
            "them, or another output."
        )
    report, hunt = search_of(settings, verbose)
    report = _with_kept_limit(report, folder)
    write_search(report, hunt, settings, folder)
    return report


def _with_kept_limit(report, folder):
    """Return the report with the limit that the folder holds, if it is one of this search."""
    path = folder / LIMIT_FILE
    if not path.exists():
        return report
    kept = json.loads(path.read_text(encoding="utf-8"))
    if kept.pop("record")["scores_sha256"] != report.content["record"]["scores_sha256"]:
        _logger.warning(
            "%s is of another search and not in the report; skad limit --overwrite makes it anew",
            path,
        )
        return report
    kept.pop("efficiencies")
    return type(report)(report.content | {"limit": kept})


def write_search(report, hunt, settings, folder):
    """Write what `run_search` keeps of a search to a folder."""
    _logger.info("writing %s", folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SETTINGS_FILE).write_text(settings.text, encoding="utf-8")
    hunt.results_.to_csv(folder / _TABLE_FILE, index=False)
    (folder / SEARCH_FILE).write_text(report.json(), encoding="utf-8")
    report.write_html(folder / _REPORT_FILE)
    _write_figures(report, folder / _FIGURES)


def results_folder(settings, output=None):
    """Return the folder of the results: as given, as the settings say, or beside their file."""
    if output is not None:
        return Path(output)
    given = settings.table("output").get("folder")
    if given is not None:
        if not isinstance(given, str) or not given:
            raise settings.error(
                ["output", "folder"], f"output.folder must be the path of a folder; got {given!r}."
            )
        return Path(settings.path(given))
    return settings.folder / f"{Path(settings.name).stem.replace(' ', '-')}-results"


def _write_figures(report, folder):
    folder.mkdir(exist_ok=True)
    for figure in report.figures():
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
        figure.drawn.savefig(folder / f"{figure.name}.pdf", metadata={"CreationDate": None})


def search_of(settings, verbose=0):
    """Read, search and report what the settings say; return report and hunt, write no file."""
    from skad.report import SearchReport

    hunt = build_hunt(settings)
    timings, lap = {}, clock()
    events = read_input(settings)
    check_column(settings, ["search", "resonance"], hunt.resonance, events.X)
    timings["read"] = lap()
    _logger.info("%d events with %s", len(events.X), ", ".join(map(str, events.X.columns)))
    if verbose and "verbose" not in settings.table("search"):
        hunt.set_params(verbose=verbose)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit_calibrated(
                settings,
                hunt,
                lambda hunt: hunt.fit(events.X, events.y, events.weight),
                verbose=verbose,
            )
        except (TypeError, ValueError) as exc:
            raise _located(settings, exc) from exc
    timings["search"] = lap()
    options = settings.table("report")
    report = SearchReport.from_hunt(
        hunt,
        events.X,
        events.y,
        events.weight,
        title=settings.values.get("title"),
        labels=options.get("labels"),
        unit=options.get("unit"),
        n_events=options.get("n_events", 20),
        record={
            **described(settings, events),
            "seed": hunt.random_state,
            "scores_sha256": _digest(hunt),
            "warnings": gathered(caught),
            "timings": timings,
        },
    )
    return report, hunt


def _relative(path, folder):
    """Return a path as the settings would name it, absolute only where it lies elsewhere."""
    path = Path(path)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def described(settings, events):
    """Return what a result has to remember of its settings and events."""
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "settings": settings.text,
        "folder": str(settings.folder),
        "data": {
            "files": [_relative(path, settings.folder) for path in events.files],
            "n_events": len(events.X),
            "columns": [str(name) for name in events.X.columns],
            "sha256": fingerprint(events.X, events.y, events.weight),
        },
    }


def clock():
    """Return a function that gives the seconds since it was last called."""
    last = [time.perf_counter()]

    def lap():
        before, last[0] = last[0], time.perf_counter()
        return round(last[0] - before, 2)

    return lap


def gathered(caught):
    """Return warnings as a list of category, message and count, the most frequent first."""
    counts = {}
    for each in caught:
        key = (each.category.__name__, str(each.message))
        counts[key] = counts.get(key, 0) + 1
    rows = [
        {"category": category, "message": message, "count": count}
        for (category, message), count in counts.items()
    ]
    return sorted(rows, key=lambda row: -row["count"])


def _located(settings, exc):
    """Return the error with its line, where it begins with a parameter that the file gives."""
    found = re.match(r"(?:the '?)?(\w+)", str(exc))
    if found and found[1] in settings.table("search"):
        return settings.error(["search", found[1]], str(exc))
    return exc


def _digest(hunt):
    """Return the SHA-256 of scores and selections."""
    digest = hashlib.sha256(np.ascontiguousarray(hunt.scores_).tobytes())
    digest.update(np.packbits(hunt.selected_).tobytes())
    return digest.hexdigest()


@checked(folder=PATH)
def load_search(folder: FilePath) -> tuple[SearchReport, Settings]:
    """Return the report and the settings that a folder of results holds.

    Parameters
    ----------
    folder : str or path-like

    Returns
    -------
    report : SearchReport
    settings : Settings

    Raises
    ------
    FileNotFoundError
        The folder holds no results.

    Examples
    --------
    >>> from skad.cli import load_search
    >>> load_search("nowhere")
    Traceback (most recent call last):
    FileNotFoundError: nowhere holds no results of a search: nowhere/search.json does not exist.
    """
    from skad.report import SearchReport

    folder = Path(folder)
    path = folder / SEARCH_FILE
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no results of a search: {path} does not exist.")
    report = SearchReport.from_json(path)
    record = report.content.get("record") or {}
    if not {"folder", "settings"} <= set(record):
        raise DataFileError(f"{path} does not say with which settings it was made.")
    start = Path(record["folder"])
    # Results that were moved together with their data lie beside them.
    start = start if start.is_dir() else folder.resolve().parent
    settings = settings_from_text(record["settings"], str(folder / SETTINGS_FILE), start)
    return report, settings


def repeat_search(folder: FilePath, *, verbose: int = 0) -> list[str]:
    """Run the search of a folder of results again, and compare every number.

    Parameters
    ----------
    folder : str or path-like
    verbose : int, default=0

    Returns
    -------
    differences : list of str
        What is not bitwise the same; empty where all is.

    Examples
    --------
    >>> from skad.cli import repeat_search
    >>> repeat_search("nowhere")
    Traceback (most recent call last):
    FileNotFoundError: nowhere holds no results of a search: nowhere/search.json does not exist.
    """
    report, settings = load_search(folder)
    again, _ = search_of(settings, verbose)
    old, new = report.content, json.loads(again.json())
    differences = []
    for name in ("data", "scores_sha256", "seed"):
        if old["record"][name] != new["record"][name]:
            differences.append(f"{name}: {old['record'][name]} became {new['record'][name]}")
    for row, (before, after) in enumerate(zip(old["results"], new["results"], strict=False)):
        for name, value in before.items():
            if after.get(name) != value:
                differences.append(f"row {row}, {name}: {value} became {after.get(name)}")
    if len(old["results"]) != len(new["results"]):
        differences.append(f"rows: {len(old['results'])} became {len(new['results'])}")
    if old["p_global"] != new["p_global"]:
        differences.append(f"p_global: {old['p_global']} became {new['p_global']}")
    if differences:
        differences += [
            f"version of {name}: {version} became {new['versions'].get(name)}"
            for name, version in old["versions"].items()
            if new["versions"].get(name) != version
        ]
    return differences
