"""Every recorded benchmark command runs from a fresh clone, small, and writes nothing."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results"
# A command ends at the backquote or, where it stands by itself, with the line.
COMMAND = re.compile(r"python (?:\S*/)?benchmarks/(\w+)\.py((?:[^`\n()]|\n(?!\n))*?)(?=`|\n|\)|$)")
# One piece of the command in place of all of it, which takes half a minute or more.
SMALLER = {"vae_paper": ["metrics"], "null_matrix": ["--detectors", "IsolationForest"]}
# Why a command has no small version that this test could run.
NOT_RUN = {
    "fuzz": "calls everything; tests/test_fuzz.py makes a sample of its calls",
    "io_faults": "damages thousands of files; tests/io damages a few",
    "io": "reads files of ten million events; tests/io reads small ones",
    "same_bits": "compares two working trees; its --quick is run below",
}
EXTRA = {
    # They are not recorded in a file of results, or take too long in one piece.
    "prepare": [["--parts", "dijets", "jets", "--events", "50"]],
    "same_bits": [[]],
    "coordinate_paper": [["--part", "masses"], ["--part", "taus"]],
    "anode_paper": [["--part", part] for part in ("null", "throughput", "size")],
}


def recorded():
    """Script and arguments of every command in benchmarks/results, each once."""
    found = {}
    for path in sorted(RESULTS.glob("*.md")):
        for script, arguments in COMMAND.findall(path.read_text()):
            words = [w for w in shlex.split(arguments.split("  ")[0]) if w]
            found.setdefault((script, tuple(words)), path.name)
    return found


def runnable():
    for script, words in recorded():
        if script not in NOT_RUN and script not in SMALLER:
            yield script, list(words)
    yield from SMALLER.items()
    for script, commands in EXTRA.items():
        for words in commands:
            yield script, words


def test_every_file_of_results_names_a_command():
    named = set(recorded().values()) | {"choices.md", "coordinate_idealised.md"}
    assert {path.name for path in RESULTS.glob("*.md")} <= named


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("script", "words"),
    [pytest.param(s, w, id=" ".join([s, *w])[:70]) for s, w in runnable()],
)
def test_command_runs_small_on_the_shipped_samples(script, words, tmp_path, capsys, monkeypatch):
    if script == "simulation":
        pytest.importorskip("pythia8mc")
        pytest.importorskip("fastjet")
    module = importlib.import_module(script)
    if script == "interplay_paper":
        # Two of the four templates, one with simulation and one without.
        few = {name: module.TEMPLATES[name] for name in ("SALAD", "CATHODE")}
        monkeypatch.setattr(module, "TEMPLATES", few)
    if script == "anode_paper":
        monkeypatch.setattr(module, "METHODS", ("ANODE", "CWoLa", *module.PAPER))
    before = {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()}
    if "--data" in words:
        place = words.index("--data")
        words = words[:place] + words[place + 2 :]
    if script == "prepare":
        words = [*words, "--data", str(tmp_path)]
    module.main([*words, "--quick"])
    assert capsys.readouterr().out.strip()
    assert {path: path.stat().st_mtime_ns for path in RESULTS.iterdir()} == before


def test_prepared_events_are_read_back(tmp_path):
    prepare, samples = (importlib.import_module(name) for name in ("prepare", "samples"))
    prepare.main(["--data", str(tmp_path), "--quick", "--parts", "region"])
    prepared, direct = samples.read_region(tmp_path), samples.read_region()
    for written, shipped in zip(prepared, direct, strict=True):
        assert list(written.columns) == list(shipped.columns)
        np.testing.assert_allclose(written, shipped, rtol=1e-6)
    train, valid, extra = direct
    for part in (train, valid):
        assert part["mjj"].between(3.3, 3.7).all()
        n_signal = part["label"].sum()
        assert n_signal == round(0.0066 * (len(part) - n_signal))
    # No signal event is in two parts.
    signal = pd.concat([train[train["label"] == 1], valid[valid["label"] == 1], extra])
    assert not signal.duplicated().any()
    # The leading jet is the lighter or the heavier one.
    heavier = train["mj1"] + train["delta_mj"]
    np.testing.assert_allclose(train[["m1", "m2"]].max(axis=1), heavier, rtol=1e-6)
    assert 0.1 < (train["m1"] < train["m2"]).mean() < 0.9


def test_missing_files_say_what_makes_them(tmp_path):
    samples = importlib.import_module("samples")
    with pytest.raises(SystemExit, match="background.parquet is missing.*prepare.py"):
        samples.read_dijets(tmp_path)
