"""Fits from a Parquet file against fits in memory: events per second and peak memory.

Run: OMP_NUM_THREADS=1 python benchmarks/out_of_core.py
Writes benchmarks/results/out_of_core.md; ``--quick`` is small and writes nothing.
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
from skad.detectors import AutoencoderDetector
from skad.io import read_events

RESULTS = Path(__file__).parent / "results" / "out_of_core.md"
SIZES = (100_000, 1_000_000, 3_000_000)
N_FEATURES = 5


def estimator(kind):
    options = {"max_epochs": 2, "batch_size": 4096, "random_state": 0}
    if kind == "FlowDensity":
        return FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(32,), **options)
    return AutoencoderDetector(**options)


def write(path, n_events):
    """Write events a million at a time."""
    rng = np.random.RandomState(0)
    mixing = rng.normal(size=(N_FEATURES, N_FEATURES))
    schema = pa.schema([(f"x{i}", pa.float32()) for i in range(N_FEATURES)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_events, 1_000_000):
            X = rng.normal(size=(min(1_000_000, n_events - start), N_FEATURES)) @ mixing
            frame = pd.DataFrame(X.astype(np.float32), columns=schema.names)
            writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))


def measure(path, kind, way):
    """Fit in this process; return seconds, memory of the fit in MB, and the last loss."""
    fitted = estimator(kind)
    # Libraries that load at the first use are no memory of the fit.
    estimator(kind).set_params(max_epochs=1).fit(read_events(path, rows=slice(0, 10_000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if way == "file":
        fitted.fit_file(path)
    else:
        fitted.fit(read_events(path))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    training = sum(entry["seconds"] for entry in fitted.history_[0])
    return seconds, training, (peak - before) / 1024, fitted.history_[0][-1]["train_loss"]


def measure_alone(*arguments):
    """Return what `measure` does, in a process of its own."""
    command = [sys.executable, __file__, "--measure", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--measure", nargs=3, metavar=("PATH", "KIND", "WAY"))
    options = parser.parse_args(arguments)
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "events.parquet")
        for n_events in (12_000,) if options.quick else SIZES:
            write(path, n_events)
            for kind in ("FlowDensity", "AutoencoderDetector"):
                found = [
                    (measure if options.quick else measure_alone)(path, kind, way)
                    for way in ("memory", "file")
                ]
                whole, training, peak, loss = zip(*found, strict=True)
                rows.append(
                    [
                        kind,
                        n_events,
                        *(f"{2 * n_events / seconds:.0f}" for seconds in training),
                        *(f"{seconds:.1f}" for seconds in whole),
                        *(f"{mb:.0f}" for mb in peak),
                        loss[0] == loss[1],
                    ]
                )
                print(*rows[-1], flush=True)
    if options.quick:
        return
    header = ["estimator", "events"]
    for what in ("events/s of an epoch", "whole fit, s", "peak memory, MB"):
        header += [f"{what}: in memory", "from a file"]
    text = "\n".join(
        [
            "# More events than memory",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/out_of_core.py`",
            "",
            f"One core, shared with other work; {N_FEATURES} columns of float32 in a Parquet file, "
            "two epochs in batches of 4096, a process of its own for every fit. Peak memory is "
            "what the fit adds to that of the process after a fit of 10 000 events. A file of up "
            "to 1 048 576 events is read whole. The times of a whole fit hold the reading, the "
            "scale and, for the autoencoder, the scores of all events.",
            "",
            *markdown(rows, [*header, "same loss"]),
            "",
        ]
    )
    RESULTS.write_text(text)


if __name__ == "__main__":
    main()
