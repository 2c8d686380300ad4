"""A comparison of detectors, from a settings file or from the command line alone."""

import json
import warnings
from pathlib import Path

from skad.cli._build import build
from skad.cli._events import looks_like_truth, read_input
from skad.cli._search import clock, described, gathered
from skad.cli._settings import read_settings, settings_from_text

__all__ = ["run_comparison", "settings_of"]


def settings_of(
    source, detectors=(), *, label=None, columns=None, key=None, coordinates=None, single=False
):
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
    columns : str, default=None
        Columns to read, with commas between them, or "flat".
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
    lines = []
    if coordinates is not None:
        lines.append(f"coordinates = {_inline(coordinates)}")
    titles = []
    for text in detectors:
        title = text.partition("{")[0].strip()
        if title in titles:
            title = f"{title} {len(titles) + 1}"
        titles.append(title)
        key_of = "detector" if single else f"detectors.{json.dumps(title)}"
        lines.append(f"{key_of} = {_inline(text)}")
    lines += ["[input]", f"path = {json.dumps(list(source))}"]
    if columns == "flat":
        lines.append('columns = "flat"')
    elif columns is not None:
        lines.append(f"columns = {json.dumps([name.strip() for name in columns.split(',')])}")
    if key is not None:
        lines.append(f"key = {json.dumps(key)}")
    label = _label_of(source, key) if label is None else label
    if label is not None:
        lines.append(f"label = {json.dumps(label)}")
    return settings_from_text("\n".join(lines) + "\n", "command line", Path.cwd())


def _inline(text):
    """Return "Name{parameter = value, ...}" as an inline table of TOML."""
    name, _, rest = text.partition("{")
    named = f"name = {json.dumps(name.strip())}"
    rest = rest.rstrip().removesuffix("}").strip()
    return f"{{{named}, {rest}}}" if rest else f"{{{named}}}"


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

    from skad.report import compare_detectors

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
        report = compare_detectors(
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
