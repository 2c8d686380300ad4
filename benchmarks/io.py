"""Events per second and peak memory of reading, streaming and scoring Parquet, and reading CSV.

Usage: python benchmarks/io.py [--events 10000000] [--repeats 3] [--tasks NAME ...] [--folder F]

Every measurement runs in a fresh process, the tasks in turn, repeated. The limit is what pyarrow
needs to read the same columns, or what the model needs to score a batch in memory; CSV files of a
tenth of the events are compared with pandas too. Both wall and
processor time are kept; fractions compare processor time, which other load on the machine hardly
changes. Results are merged by task into benchmarks/results/io.json, and io.md is made from it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import psutil

RESULTS = Path(__file__).parent / "results"
FEATURES = ["mj1", "mj2", "tau1j1", "tau2j1", "tau1j2", "tau2j2"]
ROW_GROUP = 250_000


def make_events(path, n_events):
    """Write resampled dijets with all 14 columns, jittered so that no value repeats."""
    from skad.datasets import load_dijets
    from skad.io import write_events

    frame = load_dijets(as_frame=True).data.astype(np.float32)
    rng = np.random.default_rng(0)

    def batches():
        for start in range(0, n_events, ROW_GROUP):
            rows = rng.integers(len(frame), size=min(ROW_GROUP, n_events - start))
            noise = 1 + 1e-3 * rng.standard_normal((len(rows), frame.shape[1]), dtype=np.float32)
            yield frame.iloc[rows] * noise

    write_events(batches(), path)


def make_csv(path, folder, n_events):
    """Write a tenth of the events as text, with a label of whole numbers."""
    from skad.io import read_events

    events = read_events(path, rows=slice(0, n_events // 10))
    events["label"] = np.arange(len(events)) % 2
    events.to_csv(folder / f"events_{n_events}.csv", index=False)


def fit_models(folder):
    """Fit the density and the classifier whose scoring is measured."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skad.datasets import load_dijets
    from skad.density import FlowDensity, FramedDensity
    from skad.detectors import NetworkClassifier

    dijets = load_dijets(as_frame=True, n_background=50_000, n_signal=5_000)
    X = dijets.data[FEATURES]
    flow = FlowDensity("maf", max_epochs=2, device="cpu", random_state=0)
    maf = FramedDensity(StandardScaler(), flow).fit(X)
    mlp = make_pipeline(
        StandardScaler(), NetworkClassifier(max_epochs=2, device="cpu", random_state=0)
    ).fit(X, dijets.target)
    for name, model in {"maf": maf, "mlp": mlp}.items():
        joblib.dump(model, folder / f"{name}.joblib")


def pyarrow_whole(path, folder, columns):
    import pyarrow.parquet as pq

    pq.read_table(path, columns=columns)


def pyarrow_stream(path, folder, columns):
    import pyarrow.parquet as pq

    # Its default, pre_buffer=True, keeps the whole file in memory.
    file = pq.ParquetFile(path, pre_buffer=False)
    for _ in file.iter_batches(100_000, columns=columns):
        pass


def skad_whole(path, folder, columns):
    from skad.io import read_events

    read_events(path, columns)


def skad_stream(path, folder, columns):
    from skad.io import iter_events

    for _ in iter_events(path, columns=columns):
        pass


def skad_selection(path, folder, columns):
    from skad.io import read_events

    read_events(path, FEATURES, filters=[("mj1", ">", 400.0), ("mj2", ">", 400.0)])


def csv_pandas(path, folder, columns):
    import pandas as pd

    return len(pd.read_csv(path.with_suffix(".csv"), usecols=columns))


def csv_pyarrow(path, folder, columns):
    import pyarrow.csv as pacsv

    options = pacsv.ConvertOptions(include_columns=columns)
    return len(pacsv.read_csv(path.with_suffix(".csv"), convert_options=options))


def csv_whole(path, folder, columns):
    from skad.io import read_events

    return len(read_events(path.with_suffix(".csv"), columns))


def csv_stream(path, folder, columns):
    from skad.io import iter_events

    return sum(len(batch) for batch in iter_events(path.with_suffix(".csv"), columns=columns))


def score_in_memory(path, folder, method, model):
    """Score without files: the cost of the model alone. Returns the number of events."""
    from skad.io import iter_events

    batch = next(iter_events(path, columns=FEATURES))
    score = getattr(model, method)
    n_batches = 20
    for _ in range(n_batches):
        score(batch)
    return n_batches * len(batch)


def score_to_file(path, folder, method, model):
    from skad.io import score_file

    target = folder / "scores.parquet"
    score_file(model, path, target, columns=FEATURES, method=method, overwrite=True)


TASKS = {
    "pyarrow, whole, 14 columns": (pyarrow_whole, [None]),
    "read_events, 14 columns": (skad_whole, [None]),
    "pyarrow, streamed, 14 columns": (pyarrow_stream, [None]),
    "iter_events, 14 columns": (skad_stream, [None]),
    "pyarrow, streamed, 6 columns": (pyarrow_stream, [FEATURES]),
    "iter_events, 6 columns": (skad_stream, [FEATURES]),
    "read_events, 6 columns, filters": (skad_selection, [FEATURES]),
    "CSV, pandas, 15 columns": (csv_pandas, [None]),
    "CSV, pyarrow, 15 columns": (csv_pyarrow, [None]),
    "CSV, read_events, 15 columns": (csv_whole, [None]),
    "CSV, iter_events, 15 columns": (csv_stream, [None]),
    "CSV, pandas, 6 columns": (csv_pandas, [FEATURES]),
    "CSV, read_events, 6 columns": (csv_whole, [FEATURES]),
    "CSV, iter_events, 6 columns": (csv_stream, [FEATURES]),
    "MLP alone": (score_in_memory, ["predict_proba", "mlp"]),
    "score_file, MLP": (score_to_file, ["predict_proba", "mlp"]),
    "MAF alone": (score_in_memory, ["score_samples", "maf"]),
    "score_file, MAF": (score_to_file, ["score_samples", "maf"]),
}
LIMITS = {
    "read_events, 14 columns": "pyarrow, whole, 14 columns",
    "iter_events, 14 columns": "pyarrow, streamed, 14 columns",
    "iter_events, 6 columns": "pyarrow, streamed, 6 columns",
    "read_events, 6 columns, filters": "pyarrow, streamed, 6 columns",
    "CSV, pandas, 15 columns": "CSV, pyarrow, 15 columns",
    "CSV, read_events, 15 columns": "CSV, pyarrow, 15 columns",
    "CSV, iter_events, 15 columns": "CSV, pyarrow, 15 columns",
    "CSV, read_events, 6 columns": "CSV, pandas, 6 columns",
    "CSV, iter_events, 6 columns": "CSV, pandas, 6 columns",
    "score_file, MLP": "MLP alone",
    "score_file, MAF": "MAF alone",
}


def run_task(name, folder, n_events):
    """Run one task in this process and print its wall time and its extra memory."""
    import pandas  # noqa: F401 - imported before the clock starts
    import pyarrow.parquet  # noqa: F401

    import skad.datasets  # noqa: F401

    task, arguments = TASKS[name]
    if arguments[-1] in ("mlp", "maf"):
        arguments = [*arguments[:-1], joblib.load(folder / f"{arguments[-1]}.joblib")]
    process = psutil.Process()
    before, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    wall, processor = time.perf_counter(), time.process_time()
    n_events = task(folder / f"events_{n_events}.parquet", folder, *arguments) or n_events
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    done.set()
    watcher.join()
    result = {
        "n_events": n_events,
        "wall_s": wall,
        "processor_s": processor,
        "extra_mb": max(peak[0] - before, 0) / 1e6,
    }
    print(json.dumps(result))


def measure(names, folder, repeats, n_events):
    runs = {name: [] for name in names}
    for repeat in range(repeats):
        for name in names:
            # Once is enough of what takes minutes.
            if repeat and name.startswith("score_file"):
                continue
            child = subprocess.run(
                [
                    sys.executable,
                    __file__,
                    "--run",
                    name,
                    "--folder",
                    str(folder),
                    "--events",
                    str(n_events),
                ],
                capture_output=True,
                text=True,
                check=True,
            )
            runs[name].append(json.loads(child.stdout.splitlines()[-1]))
            print(f"{name}: {runs[name][-1]}", flush=True)
    return runs


def report(runs, bytes_per_event):
    """Merge the runs into io.json and write the table."""
    path = RESULTS / "io.json"
    result = json.loads(path.read_text()) if path.exists() else {"tasks": {}}
    result |= {
        "bytes_per_event": bytes_per_event,
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    for name, repeats in runs.items():
        processor = [run["n_events"] / run["processor_s"] for run in repeats]
        result["tasks"][name] = {
            "events": repeats[0]["n_events"],
            "events_per_processor_s": statistics.median(processor),
            "range": [min(processor), max(processor)],
            "events_per_s": statistics.median(run["n_events"] / run["wall_s"] for run in repeats),
            "extra_mb": max(run["extra_mb"] for run in repeats),
            "repeats": len(repeats),
            "load": os.getloadavg()[0],
        }
    tasks = {name: result["tasks"][name] for name in TASKS if name in result["tasks"]}
    result["tasks"] = tasks
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    lines = [
        "# Reading, streaming and scoring files",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/io.py`: a file of 14 float32 columns, "
        f"{result['bytes_per_event']:.0f} bytes per event (zstd, row groups of {ROW_GROUP:,} "
        f"events), {result['cpus']} CPUs. Medians over fresh processes. "
        "Fraction: rate per processor second over that of the limit, which is pyarrow "
        "reading the same columns (for 6 columns of CSV: pandas), or the model scoring a batch in "
        "memory. Extra memory: largest "
        "resident size beyond that before the task. Load: of the machine, which slows the wall "
        "clock.",
        "",
        "| task | events | events per processor second (lowest - highest) | fraction of limit | "
        "events per second | extra memory | repeats | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, task in tasks.items():
        low, high = task["range"]
        limit = tasks.get(LIMITS.get(name))
        fraction = ""
        if limit:
            fraction = f"{task['events_per_processor_s'] / limit['events_per_processor_s']:.2f}"
        lines.append(
            f"| {name} | {task['events']:,} | {task['events_per_processor_s']:,.0f} "
            f"({low:,.0f} - {high:,.0f}) | {fraction} | {task['events_per_s']:,.0f} | "
            f"{task['extra_mb']:,.0f} MB | {task['repeats']} | {task['load']:.0f} |"
        )
    (RESULTS / "io.md").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep the events and models here")
    arguments = parser.parse_args()
    if arguments.run:
        run_task(arguments.run, arguments.folder, arguments.events)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events_{arguments.events}.parquet"
        if not path.exists():
            make_events(path, arguments.events)
        if not path.with_suffix(".csv").exists():
            make_csv(path, folder, arguments.events)
        if not (folder / "maf.joblib").exists():
            fit_models(folder)
        runs = measure(arguments.tasks, folder, arguments.repeats, arguments.events)
        report(runs, path.stat().st_size / arguments.events)
    print((RESULTS / "io.md").read_text())


if __name__ == "__main__":
    main()
