"""Fits from a Parquet file against fits in memory: events per second and peak memory.

Run: OMP_NUM_THREADS=1 python benchmarks/out_of_core.py
Records size by size in benchmarks/results/out_of_core.json, computes what is missing there and
writes out_of_core.md; ``--quick`` is small and writes nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from reporting import markdown

from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier
from skad.io import read_events

RESULTS = Path(__file__).parent / "results" / "out_of_core.json"
SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
# More are fitted from a file only: in memory they need tens of GB.
_MOST_IN_MEMORY = 10_000_000
KINDS = ("FlowDensity", "AutoencoderDetector", "NetworkClassifier")
N_FEATURES = 5


def estimator(kind):
    options = {"max_epochs": 2, "batch_size": 4096, "random_state": 0}
    if kind == "FlowDensity":
        return FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(32,), **options)
    if kind == "NetworkClassifier":
        return NetworkClassifier(**options)
    return AutoencoderDetector(**options)


def write(path, n_events):
    """Write events a million at a time."""
    rng = np.random.RandomState(0)
    mixing = rng.normal(size=(N_FEATURES, N_FEATURES))
    names = [f"x{i}" for i in range(N_FEATURES)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("label", pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_events, 1_000_000):
            X = rng.normal(size=(min(1_000_000, n_events - start), N_FEATURES)) @ mixing
            frame = pd.DataFrame(X.astype(np.float32), columns=names)
            label = X[:, 0] + rng.normal(size=len(X)) > 0
            frame["label"] = label.astype(np.int8)
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def learn(fitted, path, way, **reader):
    """Fit to the events of a file, in one of two ways."""
    columns = [f"x{i}" for i in range(N_FEATURES)]
    labels = ["label"] if isinstance(fitted, NetworkClassifier) else []
    if way == "file":
        return fitted.fit_file(path, *labels, columns, **reader)
    events = read_events(path, [*columns, *labels], **reader)
    y = [events.pop(name) for name in labels]
    return fitted.fit(events, *y)


def measure(path, kind, way):
    """Fit in this process; return seconds, those of the epochs, memory of the fit in MB, loss."""
    fitted = estimator(kind)
    # Libraries that load at the first use are no memory of the fit.
    learn(estimator(kind).set_params(max_epochs=1), path, way, rows=slice(0, 10_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    learn(fitted, path, way)
    seconds, busy = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Other work on the machine does not count.
    training = sum(entry["seconds"] for entry in fitted.history_[0]) * busy / seconds
    return busy, training, (peak - before) / 1024, fitted.history_[0][-1]["train_loss"]


def measure_alone(*arguments):
    """Return what `measure` does, in a process of its own."""
    command = [sys.executable, __file__, "--measure", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def report(known):
    """Return the table as text."""
    rows = []
    for n_events, found in sorted(known.items(), key=lambda item: int(item[0])):
        for kind, ways in found.items():
            both = [ways.get(way) for way in ("memory", "file")]
            seconds, training, peak, loss = zip(*(one or [np.nan] * 4 for one in both), strict=True)
            rates = [2 * int(n_events) / each for each in training]
            row = [
                *(f"{rate:.0f}" for rate in rates),
                f"{rates[1] / rates[0]:.2f}",
                *(f"{each:.1f}" for each in seconds),
                *(f"{mb:.0f}" for mb in peak),
                loss[0] == loss[1] if both[0] else "-",
            ]
            rows.append([kind, n_events, *("-" if cell == "nan" else cell for cell in row)])
    header = ["estimator", "events", "events/s of an epoch: in memory", "from a file", "ratio"]
    for what in ("whole fit, s", "peak memory, MB"):
        header += [f"{what}: in memory", "from a file"]
    return "\n".join(
        [
            "# More events than memory",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/out_of_core.py`",
            "",
            f"One core; {N_FEATURES} columns of float32 in a Parquet file, two epochs in batches "
            "of 4096, a process of its own for every fit. Seconds are those of the processor. Peak "
            "memory is what the fit adds to that of the process after a fit of 10 000 events. A "
            "file of up to 1 048 576 events is read whole. The times of a whole fit hold the "
            "reading, the scale and, for the autoencoder, the scores of all events.",
            "",
            *markdown(rows, [*header, "same loss"]),
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--events", type=int, nargs="*", default=SIZES)
    parser.add_argument("--measure", nargs=3, metavar=("PATH", "KIND", "WAY"))
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.quick else {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "events.parquet")
        for n_events in (12_000,) if options.quick else options.events:
            found = known.setdefault(str(n_events), {})
            if found.keys() >= set(KINDS):
                continue
            write(path, n_events)
            for kind in KINDS:
                if kind in found:
                    continue
                found[kind] = {
                    way: (measure if options.quick else measure_alone)(path, kind, way)
                    for way in ("memory", "file")
                    if way == "file" or n_events <= _MOST_IN_MEMORY
                }
                print(n_events, kind, found[kind], flush=True)
                if not options.quick:
                    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    text = report(known)
    if not options.quick:
        RESULTS.with_suffix(".md").write_text(text)
    return text


if __name__ == "__main__":
    main()
