"""A comparison of detectors, from a settings file or from the command line alone."""

import json
import re
import warnings
from pathlib import Path

from skad.cli._build import build
from skad.cli._events import looks_like_truth, read_input
from skad.cli._search import clock, described, gathered
from skad.cli._settings import read_settings, settings_from_text

__all__ = ["run_comparison", "settings_of"]


def settings_of(source, detectors=(), *, label=None, key=None, coordinates=None, single=False):
    """Return the settings that a file holds, or that stand on the command line.

    Parameters
    ----------
    source : sequence of str
        One settings file (.toml or "-"), or event files.
    detectors : sequence of str, default=()
        For event files, names of detectors, each with parameters in braces where it has some:
        "IsolationForest{n_estimators = 200}".
    label : str, default=None
        Column of the truth; None takes the one that looks like it.
    key : str, default=None
        Tree or dataset of the event files.
    coordinates : str, default=None
        Transformer before every detector, written as a detector is.
    single : bool, default=False
        Whether the detector is the one of [detector], and not one of several.

    Returns
    -------
    settings : Settings
    """
    if len(source) == 1 and (source[0] == "-" or source[0].endswith(".toml")):
        return read_settings(source[0])
    lines = ["[input]", f"path = {json.dumps(list(source))}"]
    if key is not None:
        lines.append(f"key = {json.dumps(key)}")
    label = _label_of(source, key) if label is None else label
    if label is not None:
        lines.append(f"label = {json.dumps(label)}")
    if coordinates is not None:
        lines += ["[coordinates]", *_written(coordinates)]
    for number, text in enumerate(detectors):
        name = re.match(r"[\w.]+", text)
        title = name[0] if name else text
        if title in [re.match(r"[\w.]*", other)[0] for other in detectors[:number]]:
            title = f"{title} {number + 1}"
        table = "detector" if single else f"detectors.{json.dumps(title)}"
        lines += [f"[{table}]", *_written(text)]
    return settings_from_text("\n".join(lines) + "\n", "command line", Path.cwd())


def _written(text):
    """Return the lines of a table for "Name{parameter = value, ...}"."""
    name, brace, rest = text.partition("{")
    lines = [f"name = {json.dumps(name.strip())}"]
    if brace:
        lines += [part.strip() for part in _parts(rest.rstrip().removesuffix("}"))]
    return lines


def _parts(text):
    """Split at the commas that stand in no bracket."""
    return re.split(r",\s*(?=[\w\"]+\s*=)", text) if text.strip() else []


def _label_of(source, key):
    from skad.io import read_events

    columns = read_events(
        source[0], columns="flat", rows=slice(0, 1), key=key, on_nan="keep"
    ).columns
    return next((str(name) for name in columns if looks_like_truth(name)), None)


def run_comparison(settings, *, verbose=0):
    """Compare the detectors that the tables [detectors.NAME] describe.

    Parameters
    ----------
    settings : Settings
    verbose : int, default=0

    Returns
    -------
    report : ComparisonReport
    """
    from sklearn.pipeline import make_pipeline

    from skad.report import ComparisonReport

    named = settings.table("detectors")
    if not named:
        raise settings.error(
            ["detectors"], "no detector to compare; give [detectors.forest] or --detector."
        )
    detectors = {}
    for name in named:
        detectors[name] = build(settings, ["detectors", name])
        if "coordinates" in settings.values:
            detectors[name] = make_pipeline(build(settings, ["coordinates"]), detectors[name])
    options = {"random_state": 0, **settings.table("compare")}
    lap = clock()
    events = read_input(settings, truth=True)
    timings = {"read": lap()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        report = ComparisonReport.from_detectors(
            detectors,
            events.X,
            events.truth,
            title=settings.values.get("title"),
            verbose=verbose,
            **options,
        )
    timings["compare"] = lap()
    report.content["record"] = {
        **described(settings, events),
        "seed": options["random_state"],
        "warnings": gathered(caught),
        "timings": timings,
    }
    return report
