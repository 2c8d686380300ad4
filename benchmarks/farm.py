"""Pseudo-experiments as tasks on worker processes, half of them killed in flight.

A thousand of milliseconds on four processes, and sixty of half a second on two.

Run: OMP_NUM_THREADS=1 python benchmarks/farm.py
Writes benchmarks/results/farm.md; ``--quick`` is small and writes nothing.
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from fast_detectors import MixtureRatio
from reporting import markdown

from skad.datasets import make_resonance
from skad.search import (
    BumpHunt,
    collect,
    missing_tasks,
    plan_experiments,
    pseudo_experiments,
)

RESULTS = Path(__file__).parent / "results" / "farm.md"
# Experiments, events of each, worker processes.
CASES = ((1000, 1500, 4), (60, 160_000, 2))
# Experiments, events of each, tasks, rounds.
TURNS = ((250, 1500, 4, 10), (250, 1500, 25, 10), (20, 160_000, 4, 10))


def seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start(plan, tasks):
    command = [sys.executable, "-W", "ignore", "-m", "skad.cli", "-q", "run", str(plan)]
    command += ["--task", ",".join(map(str, tasks))]
    # The detector is one of a script here, which the workers must be able to import.
    here = str(Path(__file__).resolve().parent)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def search_of(n_events):
    return BumpHunt(
        MixtureRatio(),
        [(3.3, 3.7)],
        efficiencies=(0.1,),
        n_folds=2,
        n_global_toys=1000,
        random_state=0,
    ).fit(make_resonance(n_events, 0, random_state=0).data)


def serial_call(hunt, n):
    """Return the experiments of one call, and its seconds."""
    begin = time.process_time()
    table = pseudo_experiments(hunt, n, random_state=1, verbose=0)
    return table, time.process_time() - begin


def import_seconds():
    """What a process costs before its first experiment."""
    before = seconds_of_children()
    subprocess.run([sys.executable, "-c", "import skad.search"], check=True)
    return seconds_of_children() - before


def killed_in_flight(n, n_events, n_workers, wanted):
    """Return a row of the table; half the workers are killed when so many experiments are there."""
    hunt = search_of(n_events)
    serial, alone = serial_call(hunt, n)
    n_tasks, n_killed = 4 * n_workers, n_workers // 2
    with tempfile.TemporaryDirectory() as folder:
        begin, before = time.process_time(), seconds_of_children()
        plan = plan_experiments(hunt, n, folder=folder, n_tasks=n_tasks, random_state=1)
        workers = [start(plan, range(first, n_tasks, n_workers)) for first in range(n_workers)]
        while len(list(Path(folder).glob("experiment_*.json"))) < wanted:
            time.sleep(0.05)
        for worker in workers[:n_killed]:
            worker.send_signal(signal.SIGKILL)
        codes = [worker.wait() for worker in workers]
        left = missing_tasks(plan)
        again = [start(plan, tasks) for k in range(n_killed) if (tasks := left[k::n_killed])]
        codes += [worker.wait() for worker in again]
        merged = collect(plan)
        farm = time.process_time() - begin + seconds_of_children() - before
    pd.testing.assert_frame_equal(merged, serial, check_exact=True)
    return [
        f"{n} of {n_events} events",
        f"{len(codes)} ({', '.join(map(str, codes))})",
        len(left),
        f"{alone:.1f}",
        f"{farm:.1f}",
        f"{len(codes) * import_seconds():.1f}",
    ]


def overhead(n, n_events, n_tasks, n_rounds):
    """Return a row of the table: serial calls and single worker processes in turn."""
    hunt, rounds = search_of(n_events), []
    for _ in range(n_rounds):
        _, serial = serial_call(hunt, n)
        with tempfile.TemporaryDirectory() as folder:
            begin, before = time.process_time(), seconds_of_children()
            plan = plan_experiments(hunt, n, folder=folder, n_tasks=n_tasks, random_state=1)
            assert start(plan, range(n_tasks)).wait() == 0
            collect(plan)
            farm = time.process_time() - begin + seconds_of_children() - before
        rounds.append((serial, farm, import_seconds()))
    serial, farm, started = np.array(rounds).T
    ratios = (farm - started) / serial - 1
    error = ratios.std(ddof=1) / np.sqrt(n_rounds) if n_rounds > 1 else np.nan
    return [
        f"{n} of {n_events} events",
        n_tasks,
        f"{serial.mean():.2f} ({serial.min():.2f} to {serial.max():.2f})",
        f"{farm.mean():.2f}",
        f"{started.mean():.2f}",
        f"{ratios.mean():+.1%} ± {error:.1%}",
    ]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        killed, turns = [killed_in_flight(16, 1500, 2, 1)], [overhead(4, 1500, 2, 1)]
    else:
        # Into the second of their tasks.
        killed = [killed_in_flight(*case, case[0] // 3) for case in CASES]
        turns = [overhead(*case) for case in TURNS]
    header = ["experiments", "processes (exit codes)", "tasks left by those killed"]
    header += ["one serial call, s", "plan, processes, collecting, s", "of which imports, s"]
    text = "\n".join(
        [
            "# Pseudo-experiments on a farm",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/farm.py`",
            "",
            "Searches without signal: one window, two folds, Gaussian mixtures. Seconds of the "
            "processor.",
            "",
            "## Killed in flight",
            "",
            "Four tasks for each worker process of `skad run`, half of which were killed when a "
            "third of the experiments was done; the tasks left were run by as many more. The "
            "merged table is that of one serial call, to the bit. Processes that share a cache or "
            "a core slow each other, which a serial call alone does not see.",
            "",
            *markdown(killed, header),
            "",
            "## What a plan costs",
            "",
            f"One worker process for all tasks and a serial call in turn, {TURNS[0][-1]} times; "
            "mean and its standard error of the ratio less the import of the libraries, the mean "
            "of each, and the range of the serial calls.",
            "",
            *markdown(
                turns,
                ["experiments", "tasks", "serial, s", "plan, s", "of which import, s", "overhead"],
            ),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
