"""Pseudo-experiments as tasks on worker processes, half of them killed in flight.

A thousand of milliseconds on four processes, and sixty of half a second on two.

Run: OMP_NUM_THREADS=1 python benchmarks/farm.py
Writes benchmarks/results/farm.md; ``--quick`` is small and writes nothing.
"""

import argparse
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


@contextlib.contextmanager
def other_cores_busy(hunt):
    """Keep workers of another plan on all cores but one."""
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_experiments(hunt, 100_000, folder=folder, n_tasks=64, random_state=2)
        others = [start(plan, [k]) for k in range(os.cpu_count() - 1)]
        while others and not list(Path(folder).glob("experiment_*.json")):
            time.sleep(0.05)
        try:
            yield
        finally:
            for other in others:
                other.kill()
                other.wait()


def measure(n, n_events, n_workers, wanted):
    """Return a row of the table; half the workers are killed when so many experiments are there."""
    hunt = BumpHunt(
        MixtureRatio(),
        [(3.3, 3.7)],
        efficiencies=(0.1,),
        n_folds=2,
        n_global_toys=1000,
        random_state=0,
    ).fit(make_resonance(n_events, 0, random_state=0).data)
    begin = time.process_time()
    serial = pseudo_experiments(hunt, n, random_state=1, verbose=0)
    alone = time.process_time() - begin
    with other_cores_busy(hunt):
        begin = time.process_time()
        pseudo_experiments(hunt, n, random_state=1, verbose=0)
        beside = time.process_time() - begin
    print(f"serial: {alone:.1f} s, beside others {beside:.1f} s", flush=True)
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
        print(f"exit codes {codes}, tasks left {left}", flush=True)
        again = [start(plan, tasks) for k in range(n_killed) if (tasks := left[k::n_killed])]
        codes += [worker.wait() for worker in again]
        merged = collect(plan)
        farm = time.process_time() - begin + seconds_of_children() - before
    # What a process costs before its first experiment.
    before = seconds_of_children()
    subprocess.run([sys.executable, "-c", "import skad.search"], check=True)
    start_up = seconds_of_children() - before
    pd.testing.assert_frame_equal(merged, serial, check_exact=True)
    started = len(codes) * start_up
    return [
        f"{n} of {n_events} events",
        f"{len(codes)} ({', '.join(map(str, codes))})",
        len(left),
        f"{alone:.1f}",
        f"{beside:.1f}",
        f"{farm:.1f} ({farm / beside - 1:+.1%})",
        f"{started:.1f}",
        f"{(farm - started) / beside - 1:+.1%}",
    ]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        rows = [measure(16, 1500, 2, 1)]
    else:
        # Into the second of their tasks.
        rows = [measure(*case, case[0] // 3) for case in CASES]
    header = [
        "experiments",
        "processes (exit codes)",
        "tasks left by those killed",
        "one serial call, s",
        "while other cores work, s",
        "plan, processes, collecting, s",
        "of which starting them, s",
        "without it",
    ]
    text = "\n".join(
        [
            "# Pseudo-experiments on a farm",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/farm.py`",
            "",
            "Searches without signal: one window, two folds, Gaussian mixtures. Four tasks for "
            "each worker process of `skad run`, half of which were killed when a third of the "
            "experiments was done; the tasks left were run by as many more. Seconds of the "
            "processor; cores that share a cache or a physical core slow each other, so the farm "
            "is compared with a serial call beside workers of another plan. The merged table is "
            "that of one serial call, to the bit. What starting costs is the import of the "
            "libraries.",
            "",
            *markdown(rows, header),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
