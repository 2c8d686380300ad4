"""Every command of `skad` with wrong arguments, and every setting of a settings file with others.

A command does what it says, or ends with the exit code of what is wrong and a message, never with
a traceback.
"""

import contextlib
import io
import os
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
from fuzz import FOLDER, Refused, paths
from sklearn.ensemble import IsolationForest

from skad.cli import main
from skad.cli._main import BUG, DATA, DIFFERENT, OK, UNFINISHED, USAGE
from skad.datasets import load_dijets, make_resonance
from skad.io import save_model, write_events

__all__ = ["COMMANDS", "READS", "fuzz_command", "fuzz_settings"]

HOME = FOLDER / "commands"
HOME.mkdir()
events = make_resonance(900, 0, random_state=0, as_frame=True).data
write_events(events.assign(label=np.arange(len(events)) % 2), HOME / "events.csv")
write_events(make_resonance(0, 200, random_state=1, as_frame=True).data, HOME / "signal.csv")
forest = IsolationForest(n_estimators=3, random_state=0).fit(events)
write_events(load_dijets(n_background=50, n_signal=5, as_frame=True).data, HOME / "jets.csv")
save_model(forest, HOME / "model.skad")

# What every command reads of a settings file; each value is replaced by others.
SETTINGS = {
    "title": "A search",
    "input": {
        "path": "events.csv", "label": "label", "columns": ["m", "x1", "x2"], "rows": [0, 900],
        "filters": [["m", ">", 2.0]], "on_nan": "raise",
    },
    "coordinates": {"name": "RobustScaler", "with_centering": True},
    "detector": {"name": "IsolationForest", "n_estimators": 3},
    "detectors": {"forest": {"name": "IsolationForest", "n_estimators": 3}},
    "search": {
        "resonance": "m", "windows": [[3.3, 3.7]], "efficiencies": [1.0, 0.5], "n_folds": 2,
        "n_parameters": 3, "spectrum": "polynomial", "fit_range": [2.5, 5.0], "random_state": 1,
    },
    "calibration": {"n_experiments": 2, "generate": "auto", "global": True},
    "limit": {"signal": "signal.csv", "strengths": [20, 100], "n_refits": 1, "level": 0.95},
    "compare": {"cv": 2, "by": "auc", "fraction": 0.1, "random_state": 0},
    "report": {"labels": {"m": "m [TeV]"}, "unit": "TeV", "n_events": 5},
    "output": {"folder": "found"},
}  # fmt: skip
# Tables that each command reads, and its arguments.
READS = {
    "search": (
        ("title", "input", "coordinates", "detector", "search", "report", "output"),
        ("--overwrite",),
    ),
    "search, calibrated": (("input", "detector", "search", "calibration"), ("--overwrite",)),
    "limit": (("input", "detector", "search", "limit"), ("--overwrite",)),
    "compare": (("title", "input", "coordinates", "detectors", "compare"), ("-o", "compared.html")),
    "fit": (("input", "coordinates", "detector"), ("--overwrite", "-o", "fitted.skad")),
    "plan": (("input", "detector", "search", "calibration"), ("-o", "planned", "--tasks", "2")),
}
# Text of TOML.
OTHERS = {
    "number": "3", "negative": "-1", "not whole": "2.9", "huge": "1e30", "text": '"abc"',
    "no text": '""', "list": "[]", "list of text": '["abc"]', "list of NaN": "[nan]",
    "table": "{}", "named table": '{name = "abc"}', "true": "true", "nan": "nan", "inf": "inf",
    "date": "2026-01-01",
}  # fmt: skip

# What must have run before a command.
_PLAN = ["plan", "search.toml", "-o", "planned", "--tasks", "2"]
NEEDS = {
    "run": [_PLAN],
    "collect": [_PLAN, ["run", "planned/plan.json", "--task", "0", "--task", "1"]],
    "report": [["search", "search.toml", "--overwrite", "-o", "found"]],
}

# Ordinary arguments of each command; values of options and files are replaced.
COMMANDS = {
    "fetch": ["dijets"],
    "features": ["jets.csv", "features.csv", "--features", "mj1", "--unit", "TeV", "--overwrite"],
    "search": ["search.toml", "--overwrite", "-o", "found"],
    "limit": ["search.toml", "--overwrite", "-o", "found"],
    "fit": ["events.csv", "-d", "IsolationForest{n_estimators = 3}", "--coordinates",
            "RobustScaler", "--label", "label", "--columns", "m,x1", "-o", "fitted.skad",
            "--overwrite"],
    "score": ["model.skad", "events.csv", "scores.csv", "--method", "score_samples", "--keep",
              "label", "--batch-size", "100", "--n-jobs", "1", "--overwrite"],
    "compare": ["events.csv", "-d", "IsolationForest{n_estimators = 3}", "--label", "label",
                "--columns", "m,x1", "-o", "compared.html"],
    "plan": ["search.toml", "-o", "planned", "--tasks", "2"],
    "run": ["planned/plan.json", "--task", "0", "--n-jobs", "1"],
    "collect": ["planned/plan.json", "-o", "collected.csv"],
    "report": ["found", "--format", "json", "-o", "-"],
    "info": [],
}  # fmt: skip
WORDS = ("abc", "", "-1", "1e30", "nan", "a,,b", "{", "m{a = }", "*", "--json")


def run(arguments):
    """Run a command in its folder, and raise `Refused` for what it refuses."""
    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd()
    os.chdir(HOME)
    if arguments[0] == "plan":
        shutil.rmtree("planned", ignore_errors=True)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            # Pages and figures take longer than a search.
            mock.patch("skad.report._document.Report.write_html", lambda report, path: Path(path)),
            mock.patch("skad.cli._search._write_figures", lambda report, folder: None),
        ):
            main(["-q", *map(str, arguments)])
    except SystemExit as end:
        text = err.getvalue()
        if end.code in (USAGE, DATA, DIFFERENT, UNFINISHED):
            if "Traceback" in text or len(text.strip()) < 20:
                raise AssertionError(f"exit code {end.code} with the message {text!r}") from end
            raise Refused(text) from end
        if end.code != OK:
            kind = "an error of skad" if end.code == BUG else f"exit code {end.code}"
            raise AssertionError(f"{kind}: {text.strip()[-200:]}") from end
    finally:
        os.chdir(before)
    return 0.0


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _text(values, changed=None, text=None):
    """Return the settings as TOML, with the text of one value, at its way from the top, changed."""
    lines, tables = [], []
    for name, value in values.items():
        if changed == (name,) or not isinstance(value, dict):
            lines.append(f"{name} = {text if changed == (name,) else _toml(value)}")
            continue
        tables.append(f"[{name}]")
        for key, item in value.items():
            own = text if changed == (name, key) else _toml(item)
            if own is not None:
                tables.append(f"{key} = {own}")
    return "\n".join([*lines, *tables]) + "\n"


def _run_settings(command, text):
    (HOME / "changed.toml").write_text(text)
    return run([command.partition(",")[0], "changed.toml", *READS[command][1]])


def fuzz_settings(judge, command, keep=lambda number: True):
    """Judge a command with every value of its settings replaced in turn."""
    values = {name: SETTINGS[name] for name in READS[command][0]}
    ways = [(name,) for name in values]
    ways += [
        (name, key) for name, table in values.items() if isinstance(table, dict) for key in table
    ]
    _run_settings(command, _text(values))
    number = 0
    for way in ways:
        value = values[way[0]] if len(way) == 1 else values[way[0]][way[1]]
        for case, text in {**OTHERS, "left out": None}.items():
            number += 1
            if not keep(number) or (len(way) == 1 and text is None):
                continue
            number_expected = isinstance(value, (int, float)) and not isinstance(value, bool)
            wrong = (case == "table" and not isinstance(value, dict)) or (
                case == "list of text" and number_expected
            )
            judge(
                f"skad {command}", f"{'.'.join(way)}: {case}",
                lambda text=text, way=way: _run_settings(command, _text(values, way, text)),
                must_refuse=wrong,
            )  # fmt: skip


def fuzz_command(judge, command, keep=lambda number: True):
    """Judge a command with each of its arguments replaced, left out or doubled in turn."""
    tables = dict.fromkeys((*READS["limit"][0], "calibration"))
    (HOME / "search.toml").write_text(_text({name: SETTINGS[name] for name in tables}))
    ordinary = COMMANDS[command]
    for before in NEEDS.get(command, ()):
        run(before)
    run([command, *ordinary])
    variants = {"ordinary": ordinary, "help": ["--help"], "no option": ["--no-such-option"]}
    for place, word in enumerate(ordinary):
        variants[f"without {word}"] = ordinary[:place] + ordinary[place + 1 :]
        if word.startswith("-") and word != "-":
            continue
        others = {each: each for each in WORDS}
        if (HOME / word).is_file():
            files = {
                n: p for n, p in paths(HOME / word).items() if isinstance(p, (str, os.PathLike))
            }
            others |= files
        for name, other in others.items():
            variants[f"{word}: {name}"] = [*ordinary[:place], other, *ordinary[place + 1 :]]
    for number, (case, arguments) in enumerate(variants.items()):
        if keep(number):
            judge(f"skad {command}", case, lambda given=arguments: run([command, *given]))
