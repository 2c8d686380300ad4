"""Milliseconds that one event takes in a loaded model: skad.load_model and onnxruntime.

Run: OMP_NUM_THREADS=1 python benchmarks/serving.py
Writes benchmarks/results/serving.md.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from reporting import band, markdown

import skad
from skad.datasets import load_dijets
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier

RESULTS = Path(__file__).parent / "results" / "serving.md"
FEATURES = ["mj1", "mj2", "tau1j1", "tau2j1", "tau1j2"]
N_REPEATS = 1000
MODELS = {
    "AutoencoderDetector": (AutoencoderDetector(max_epochs=2, random_state=0), "score_samples"),
    "NetworkClassifier": (NetworkClassifier(max_epochs=2, random_state=0), "predict_proba"),
    'FlowDensity("maf")': (FlowDensity("maf", max_epochs=1, random_state=0), "score_samples"),
    'FlowDensity("nsf")': (FlowDensity("nsf", max_epochs=1, random_state=0), "score_samples"),
}


def milliseconds(function, n_repeats):
    """Return the times of single calls, after some to warm up."""
    times = []
    for _ in range(n_repeats + 50):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return np.array(times[50:])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few events and calls, no record")
    quick = parser.parse_args(arguments).quick
    torch.set_num_threads(1)
    n_repeats = 20 if quick else N_REPEATS
    n_background, n_signal = (1000, 100) if quick else (20_000, 2_000)
    dijets = load_dijets(as_frame=True, n_background=n_background, n_signal=n_signal)
    X, y = dijets.data[FEATURES].to_numpy(dtype=np.float64), dijets.target
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, (model, method) in MODELS.items():
            model.fit(X, y)
            skad.save_model(model, folder / "model.skad", overwrite=True)
            deviation = skad.to_onnx(model, folder / "model.onnx", X, overwrite=True)
            loaded = getattr(skad.load_model(folder / "model.skad"), method)
            session = onnxruntime.InferenceSession(folder / "model.onnx", options)
            event = X[:1]
            here = milliseconds(lambda loaded=loaded, event=event: loaded(event), n_repeats)
            there = milliseconds(
                lambda session=session, method=method, event=event: session.run(
                    [method], {"X": event}
                ),
                n_repeats,
            )
            rows.append((title, method, band(here, 3), band(there, 3), f"{deviation:.1e}"))
    header = ("model", "method", "Python, ms", "onnxruntime, ms", "largest difference")
    lines = [
        "# One event through a loaded model",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/serving.py`, one thread, an array of five features;",
        f"median of {n_repeats} calls and 68 % band. The difference is over ten thousand events,",
        "relative to a score above one. Taken on a machine that was busy with other work.",
        "",
        *markdown(rows, header),
        "",
    ]
    if not quick:
        RESULTS.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
