"""Training and scoring on a GPU and on the processor beside it.

Run: python benchmarks/gpu.py
Writes benchmarks/results/gpu.md; needs a CUDA device. ``--quick`` is small and writes nothing.
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from reporting import markdown

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier, VAEDetector
from skad.io import score_file

RESULTS = Path(__file__).parent / "results" / "gpu.md"
BATCHES = (512, 8192)
# Batch sizes with learning rates, for the likelihood that they reach.
RATES = {512: (1e-3,), 2048: (1e-3, 2e-3, 4e-3), 8192: (1e-3, 4e-3, 8e-3)}


def estimators(batch_size, epochs):
    common = {"batch_size": batch_size, "max_epochs": epochs, "random_state": 0}
    return {
        "spline flow": FlowDensity(**common),
        "6 spline flows side by side": FlowDensity(n_estimators=6, **common),
        "affine flow": FlowDensity("maf", **common),
        "classifier 64-64-64, 10 side by side": NetworkClassifier(
            (64, 64, 64), n_estimators=10, **common
        ),
        "VAE": VAEDetector(n_latent=2, **common),
        "autoencoder": AutoencoderDetector(**common),
    }


def seconds(estimator, X, y):
    """Wall time of a fit and of scoring the same events."""
    started = time.perf_counter()
    estimator.fit(X, y)
    trained = time.perf_counter()
    score = getattr(estimator, "predict_proba", None) or estimator.score_samples
    score(X)
    return trained - started, time.perf_counter() - trained


def fits(devices, n, epochs):
    """Return a row for every network and batch size, and what its columns are."""
    X, y = make_resonance(n, n // 100, n_features=4, random_state=0, return_X_y=True)
    # The first call on a GPU loads its kernels.
    for estimator in estimators(512, 1).values():
        seconds(estimator.set_params(device=devices[-1]), X[:2000], y[:2000])
    rows = []
    for batch_size in BATCHES:
        for name in estimators(batch_size, epochs):
            row, times = [name, batch_size], []
            for device in devices:
                estimator = estimators(batch_size, epochs)[name].set_params(device=device)
                times.append(seconds(estimator, X, y))
                row += [f"{value:.2f}" for value in times[-1]]
            rows.append([*row, f"{times[0][0] / times[-1][0]:.1f}"])
            print(rows[-1], flush=True)
    header = ["network", "batch"]
    header += [f"{what}, {device}, s" for device in devices for what in ("fit", "score")]
    return rows, [*header, "fit, times as fast"]


def likelihoods(device, n, epochs, seeds):
    """Return the likelihood of other events and the time of a fit, by batch and learning rate."""
    X = make_resonance(2 * n, n // 50, n_features=4, random_state=1).data
    rows = []
    for batch_size, rates in RATES.items():
        for rate in rates:
            found = []
            for seed in range(seeds):
                flow = FlowDensity(
                    batch_size=batch_size,
                    learning_rate=rate,
                    max_epochs=epochs,
                    device=device,
                    random_state=seed,
                )
                fit, _ = seconds(flow, X[:n], None)
                found.append((flow.score(X[n:]), fit))
            (nats, fit), spread = np.mean(found, axis=0), np.ptp(found, axis=0)[0]
            rows.append([batch_size, f"{rate:g}", f"{nats:.4f}", f"{spread:.4f}", f"{fit:.2f}"])
            print(rows[-1], flush=True)
    return rows, ["batch", "learning rate", "log p of others, nats", "range of seeds", "fit, s"]


def stream(device, n):
    """Return the time to score a Parquet file of `n` events into another one."""
    rng = np.random.default_rng(0)
    names = [f"x{i}" for i in range(5)]
    step = min(n, 1_000_000)
    X = rng.standard_normal((step, 5), dtype=np.float32)
    flow = FlowDensity(max_epochs=1, device=device, random_state=0).fit(X[:50_000])
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "events.parquet", Path(folder) / "scores.parquet"
        schema = pa.schema([(name, pa.float32()) for name in names])
        with pq.ParquetWriter(source, schema, compression="none", use_dictionary=False) as writer:
            for _ in range(0, n, step):
                X = rng.standard_normal((step, 5), dtype=np.float32)
                columns = [pa.array(np.ascontiguousarray(column)) for column in X.T]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
        started = time.perf_counter()
        n_scored = score_file(flow, source, target, columns=names, batch_size=step)
        return n_scored, time.perf_counter() - started


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scored", type=int, default=100_000_000, help="events of the stream")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    n, epochs, seeds, n_scored = 100_000, 5, 2, options.scored
    if options.quick:
        n, epochs, seeds, n_scored = 2000, 1, 1, 20_000
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    of_fits, fit_header = fits(devices, n, epochs)
    reached, reached_header = likelihoods(devices[-1], n, 4 * epochs, seeds)
    n_scored, took = stream(devices[-1], n_scored)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        machine += f"; {torch.cuda.get_device_name()}"
    text = "\n".join(
        [
            "# Training on a GPU",
            "",
            "`python benchmarks/gpu.py`",
            "",
            f"{machine}; torch {torch.__version__}.",
            "",
            f"## Fits: {n + n // 100} events of 5 features, {epochs} epochs",
            "",
            *markdown(of_fits, fit_header),
            "",
            f"## Larger batches: a spline flow on {devices[-1]}, {n} events, {4 * epochs} epochs, "
            f"mean of {seeds} seeds",
            "",
            *markdown(reached, reached_header),
            "",
            f"## A stream: {n_scored} events from Parquet to Parquet on {devices[-1]}",
            "",
            f"A spline flow, batches of a million: {took:.0f} s, {n_scored / took:.0f} events/s, "
            "reading and writing included.",
            "",
        ]
    )
    print(text)
    if torch.cuda.is_available() and not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
