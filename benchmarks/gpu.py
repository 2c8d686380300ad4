"""Training and scoring on a GPU and on the processor beside it.

Run: python benchmarks/gpu.py
Writes benchmarks/results/gpu.md; needs a CUDA device. ``--quick`` is small and writes nothing.
"""

import argparse
import platform
import time
from pathlib import Path

import torch
from reporting import markdown

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier, VAEDetector

RESULTS = Path(__file__).parent / "results" / "gpu.md"
BATCHES = (512, 8192)


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


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    n, epochs = (2000, 1) if options.quick else (100_000, 2)
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    X, y = make_resonance(n, n // 100, n_features=4, random_state=0, return_X_y=True)
    # The first call on a GPU loads its kernels.
    seconds(FlowDensity(max_epochs=1, device=devices[-1]), X[:1000], y[:1000])
    rows = []
    for batch_size in BATCHES:
        for name in estimators(batch_size, epochs):
            row = [name, batch_size]
            for device in devices:
                estimator = estimators(batch_size, epochs)[name].set_params(device=device)
                fit, score = seconds(estimator, X, y)
                row += [f"{fit:.2f}", f"{score:.2f}"]
            rows.append(row)
            print(row, flush=True)
    header = ["network", "batch"]
    header += [f"{what}, {device}, s" for device in devices for what in ("fit", "score")]
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        machine += f"; {torch.cuda.get_device_name()}"
    text = "\n".join(
        [
            "# Training on a GPU",
            "",
            "`python benchmarks/gpu.py`",
            "",
            f"{len(X)} events of 5 features, {epochs} epochs; {machine}; "
            f"torch {torch.__version__}.",
            "",
            *markdown(rows, header),
            "",
        ]
    )
    print(text)
    if torch.cuda.is_available() and not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
