"""A thousand pseudo-experiments as tasks on four worker processes, two of them killed in flight.

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

import pandas as pd
from fast_detectors import MixtureRatio

from skad.datasets import make_resonance
from skad.search import (
    BumpHunt,
    collect,
    missing_tasks,
    plan_experiments,
    pseudo_experiments,
)

RESULTS = Path(__file__).parent / "results" / "farm.md"
N_WORKERS = 4


def seconds_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start(plan, tasks):
    command = [sys.executable, "-W", "ignore", "-m", "skad.cli", "-q", "run", str(plan)]
    for task in tasks:
        command += ["--task", str(task)]
    # The detector is one of a script here, which the workers must be able to import.
    here = str(Path(__file__).resolve().parent)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--events", type=int, default=1500)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.experiments, options.events = 16, 1500
    n = options.experiments
    hunt = BumpHunt(
        MixtureRatio(),
        [(3.3, 3.7)],
        efficiencies=(0.1,),
        n_folds=2,
        n_global_toys=1000,
        random_state=0,
    ).fit(make_resonance(options.events, 0, random_state=0).data)
    begin = time.process_time()
    serial = pseudo_experiments(hunt, n, random_state=1, verbose=0)
    alone = time.process_time() - begin
    print(f"serial: {alone:.1f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        begin, before = time.process_time(), seconds_of_children()
        plan = plan_experiments(hunt, n, folder=folder, n_tasks=4 * N_WORKERS, random_state=1)
        workers = [
            start(plan, range(first, 4 * N_WORKERS, N_WORKERS)) for first in range(N_WORKERS)
        ]
        # Into the second of their tasks, or as soon as something is there.
        wanted = 1 if options.quick else n // 3
        while len(list(Path(folder).glob("experiment_*.json"))) < wanted:
            time.sleep(0.05)
        for worker in workers[:2]:
            worker.send_signal(signal.SIGKILL)
        codes = [worker.wait() for worker in workers]
        left = missing_tasks(plan)
        print(f"exit codes {codes}, tasks left {left}", flush=True)
        again = [start(plan, left[k::2]) for k in range(2) if left[k::2]]
        codes += [worker.wait() for worker in again]
        merged = collect(plan)
        farm = time.process_time() - begin + seconds_of_children() - before
    # What a process costs before its first experiment.
    before = seconds_of_children()
    subprocess.run([sys.executable, "-c", "import skad.search"], check=True)
    start_up = seconds_of_children() - before
    pd.testing.assert_frame_equal(merged, serial, check_exact=True)
    n_processes = len(codes)
    rest = farm - n_processes * start_up
    text = "\n".join(
        [
            "# Pseudo-experiments on a farm",
            "",
            f"`OMP_NUM_THREADS=1 python benchmarks/farm.py --experiments {n} --events "
            f"{options.events}`",
            "",
            f"{n} searches without signal of {options.events} events: one window, two folds, "
            f"Gaussian mixtures. {4 * N_WORKERS} tasks on {N_WORKERS} worker processes by `skad "
            "run`; two were killed when a third was done, and the tasks left were run by two more. "
            f"Exit codes: {', '.join(map(str, codes))}. Tasks left after the first round: "
            f"{len(left)}. The merged table is that of one serial call, to the bit.",
            "",
            "| | processor time, s |",
            "| --- | --- |",
            f"| one serial call | {alone:.1f} |",
            f"| plan, {n_processes} processes, collecting | {farm:.1f} ({farm / alone - 1:+.1%}) |",
            f"| of which the start of {n_processes} processes | {n_processes * start_up:.1f} |",
            f"| without it | {rest:.1f} ({rest / alone - 1:+.1%}) |",
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
