"""A plan of pseudo-experiments: tasks in any order, killed ones, the same bits as in one call."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from small_analysis import SETTINGS

from skad.cli import main, run_search
from skad.cli._main import cli
from skad.datasets import make_resonance
from skad.exceptions import CheckpointWarning, DataFileError, MissingTasksError
from skad.io import write_events
from skad.search import (
    BumpHunt,
    collect,
    missing_tasks,
    plan_experiments,
    pseudo_experiments,
    run_task,
)
from skad.search import _plan as module


def command(*arguments):
    with pytest.raises(SystemExit) as end:
        main([*map(str, arguments)])
    return end.value.code


@pytest.fixture(scope="module")
def hunt():
    from sklearn.ensemble import IsolationForest

    X = make_resonance(1500, 0, random_state=0).data
    detector = IsolationForest(n_estimators=3)
    options = {"efficiencies": (1.0, 0.1), "n_folds": 2, "n_global_toys": 100, "random_state": 0}
    return BumpHunt(detector, [(3.3, 3.7)], **options).fit(X)


@pytest.fixture(scope="module")
def serial(hunt):
    return pseudo_experiments(hunt, 30, random_state=4, verbose=0)


def test_a_killed_task_is_run_again_and_nothing_shows(hunt, serial, tmp_path):
    plan = plan_experiments(hunt, 30, folder=tmp_path, n_tasks=3, random_state=4)
    assert [each["experiments"] for each in json.loads(plan.read_text())["tasks"]] == [
        [0, 10],
        [10, 20],
        [20, 30],
    ]
    run = [sys.executable, "-m", "skad.cli", "-q", "run", str(plan), "--task"]
    killed, whole = (subprocess.Popen([*run, task], cwd=os.getcwd()) for task in "12")
    while not list(tmp_path.glob("experiment_0001?.json")):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert whole.wait() == 0
    assert missing_tasks(plan) == [0, 1]
    with pytest.raises(MissingTasksError, match="2 of 3 tasks .* not finished: 0-1") as error:
        collect(plan)
    assert error.value.missing == [0, 1]
    assert command("collect", plan, "--missing") == 5 == command("collect", plan)
    assert run_task(plan, 0) == 10 and run_task(plan, 0) == 0
    assert 0 < run_task(plan, 1) < 10
    pd.testing.assert_frame_equal(collect(plan), serial, check_exact=True)
    assert collect(plan).attrs == serial.attrs
    # One mechanism: the same call in one piece finds everything there.
    again = pseudo_experiments(hunt, 30, folder=tmp_path, random_state=4, verbose=0)
    pd.testing.assert_frame_equal(again, serial, check_exact=True)
    # What the killed process left is gone.
    assert not list(tmp_path.glob(".*.tmp.json"))
    damaged = tmp_path / "experiment_00021.json"
    damaged.write_text(damaged.read_text()[:-30])
    with pytest.warns(CheckpointWarning, match=damaged.name):
        assert missing_tasks(plan) == [2]


def test_a_plan_that_would_give_other_bits_is_refused(hunt, tmp_path, monkeypatch):
    plan = plan_experiments(hunt, 4, folder=tmp_path, n_tasks=2, random_state=4)
    with pytest.raises(ValueError, match="task must be a whole number from 0 to 1"):
        run_task(plan, 2)
    with pytest.raises(ValueError, match="experiments of another search"):
        plan_experiments(hunt, 4, folder=tmp_path, random_state=5)
    with pytest.raises(ValueError, match="n_tasks must be"):
        plan_experiments(hunt, 4, folder=tmp_path, n_tasks=0)
    with pytest.raises(ValueError, match="needs an int random_state"):
        plan_experiments(hunt, 4, folder=tmp_path, random_state=None)
    with monkeypatch.context() as patch:
        patch.setattr(module, "VERSIONS", ("0.0", "0.0", "0.0"))
        with pytest.raises(DataFileError, match="whose bits may be"):
            run_task(plan, 0)
    stored = tmp_path / "plan.joblib"
    stored.write_bytes(stored.read_bytes() + b"0")
    with pytest.raises(DataFileError, match="is not the one that"):
        run_task(plan, 0)
    plan.write_text('{"format": "skad plan 0"}')
    with pytest.raises(DataFileError, match="Plan again"):
        collect(plan)
    plan.write_text("{}")
    with pytest.raises(DataFileError, match="no plan of skad"):
        collect(plan)


def test_the_recipes_of_the_guide_are_commands_of_this_package(tmp_path):
    """Slurm's by bash and a stand-in for `skad`, those of other systems as they fill them in."""
    page = (Path(__file__).parents[2] / "docs" / "guide" / "scaling.md").read_text()
    recipes = dict(re.findall(r"### (\w+)\n\n```\w+\n(.*?)```", page, flags=re.DOTALL))
    assert set(recipes) == {"Slurm", "HTCondor", "Snakemake", "law"}
    stand_in = tmp_path / "skad"
    stand_in.write_text('#!/bin/sh\necho "$OMP_NUM_THREADS" "$@"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "17"}
    done = subprocess.run(
        ["bash", "-c", recipes["Slurm"]],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = "run null/plan.json --task 17"
    assert done.stdout == f"1 {expected}\n"
    (arguments,) = re.findall(r"^arguments = skad (.*)$", recipes["HTCondor"], flags=re.MULTILINE)
    assert arguments.replace("$(Process)", "17") == expected
    first, last = re.findall(r'shell: "(?:OMP\w+=1 )?skad (.*)"', recipes["Snakemake"])
    assert first.replace("{wildcards.task}", "17") == expected
    assert last == "collect null/plan.json"
    compile(recipes["law"], "law", "exec")
    for words in (expected, last, "collect null/plan.json --missing"):
        name, *options = words.split()
        context = cli.commands[name].make_context(name, [str(stand_in), *options[1:]])
        assert context.params["plan"] == str(stand_in)


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
def test_the_commands_feed_a_search(tmp_path, capsys):
    events = make_resonance(1500, 30, random_state=0, as_frame=True)
    write_events(events.data.assign(label=events.target), tmp_path / "events.csv")
    settings = tmp_path / "search.toml"
    small = SETTINGS.replace("n_estimators = 10", "n_estimators = 2")
    settings.write_text(small)
    assert command("-q", "plan", settings) == 2
    settings.write_text(small + "\n[calibration]\nn_experiments = 21\n")
    assert command("-q", "plan", settings) == 2
    assert "a plan needs a folder" in capsys.readouterr().err
    settings.write_text(settings.read_text() + 'folder = "null"\n')
    assert command("-q", "plan", settings, "--tasks", "3") == 0
    plan = tmp_path / "null" / "plan.json"
    assert f"{plan}: tasks 0 to 2" in capsys.readouterr().out
    assert command("-q", "run", plan, "--task", "0,2-2", "--task", "0") == 0
    assert command("run", plan, "--task", "2-x") == 2
    assert "task 2: 7 experiments run" in capsys.readouterr().out
    assert command("collect", plan, "--missing") == 5
    assert capsys.readouterr().out == "1\n"
    assert command("-q", "run", plan, "--task", "1") == 0
    assert command("collect", plan) == 0
    collected = pd.read_csv(tmp_path / "null" / "experiments.csv")
    assert collected["experiment"].nunique() == 21
    times = {path: path.stat().st_mtime_ns for path in plan.parent.glob("experiment_*.json")}
    report = run_search(settings, tmp_path / "results")
    assert report.content["calibration"]
    assert len(times) == 21 and all(p.stat().st_mtime_ns == t for p, t in times.items())
