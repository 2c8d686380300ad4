"""How busy a scan keeps the cores: processor time, threads and shared memory of its workers.

Run: python benchmarks/search_cores.py --data FOLDER
Writes benchmarks/results/search_cores.md; ``--quick`` is small and writes nothing. Linux alone.
"""

import argparse
import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
from dijet_search import make_search
from joblib.externals.loky import get_reusable_executor
from reporting import markdown
from samples import add_data_option
from threadpoolctl import threadpool_info

from skad.resonant import QuantileDecorrelator, Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt

RESULTS = Path(__file__).parent / "results" / "search_cores.md"
WINDOWS = SignalRegion.scan(2.7, 4.3, width=0.4, step=0.3)
FOLDER = "SKAD_SEARCH_CORES"


class Watched(TemplateDetector):
    """A detector that writes down what the process has in which it is fitted."""

    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        mapped, resident = 0, 0
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if "-" in line.partition(" ")[0]:
                shared = "joblib_memmapping_folder" in line
            elif line.startswith("Rss:"):
                mapped += shared * int(line.split()[1])
                resident += int(line.split()[1])
        threads = max((pool["num_threads"] for pool in threadpool_info()), default=1)
        found = {"threads": threads, "mapped": mapped / 1024, "resident": resident / 1024}
        path = Path(os.environ[FOLDER]) / f"{os.getpid()}_{time.monotonic_ns()}.json"
        path.write_text(json.dumps(found))
        return self


def own_number():
    """Return the number of this process, after the others had time to take such a task too."""
    time.sleep(0.2)
    return os.getpid()


def on_or_before_a_core(pids):
    """Return the seconds that processes ran, and those that they waited for a core."""
    ran, waited = 0, 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            run, wait, _ = (thread / "schedstat").read_text().split()
            ran, waited = ran + int(run), waited + int(wait)
    return np.array([ran, waited]) / 1e9


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    n_events = 4_000 if options.quick else options.events
    X = make_search(options.data, 0, n_data=n_events, quick=options.quick).X
    n_jobs = 2 if options.quick else joblib.cpu_count()
    hunt = BumpHunt(
        Watched(Sidebands(reach=1.0), cv=None, decorrelator=QuantileDecorrelator()),
        WINDOWS[2:3] if options.quick else WINDOWS,
        n_folds=2 if options.quick else 5,
        n_jobs=n_jobs,
        random_state=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        # Workers that were started before do not know the folder.
        get_reusable_executor().shutdown()
        # Workers that are there: their start is not a search.
        tasks = [joblib.delayed(own_number)() for _ in range(4 * n_jobs)]
        pids = {os.getpid(), *joblib.Parallel(n_jobs=n_jobs)(tasks)}
        before, start = on_or_before_a_core(pids), time.perf_counter()
        hunt.fit(X)
        wall = time.perf_counter() - start
        ran, waited = on_or_before_a_core(pids) - before
        found = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
        workers = {path.name.partition("_")[0] for path in Path(folder).iterdir()}
    rows = [
        ["events x columns", f"{len(X)} x {X.shape[1]} ({X.nbytes / 2**20:.1f} MB)"],
        ["processes that fitted", len(workers)],
        ["threads of any library in one, at most", max(each["threads"] for each in found)],
        ["wall time, s", f"{wall:.1f}"],
        ["cores in use", f"{ran / wall / n_jobs:.0%} of {n_jobs}"],
        ["in use, or waited for while others had them", f"{(ran + waited) / wall / n_jobs:.0%}"],
        ["load of the machine", f"{os.getloadavg()[0]:.1f}"],
        ["memory of a worker, MB", f"{max(each['resident'] for each in found):.0f}"],
        ["of which shared arrays, MB", f"{max(each['mapped'] for each in found):.1f}"],
    ]
    text = "\n".join(
        [
            "# Cores of a scan",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/search_cores.py --data FOLDER "
            f"--events {n_events}`",
            "",
            "CWoLa hunting of decorrelated features with the default classifier on simulated "
            f"dijets: {len(hunt.windows)} windows, {hunt.n_folds} folds, `n_jobs={n_jobs}` on "
            f"{n_jobs} cores. Other work on the machine takes its cores: then what counts is the "
            "time in which a process ran or waited for a core that others had. Above 100 % the "
            "process that called works beside its workers.",
            "",
            *markdown(rows, ["what", ""]),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
