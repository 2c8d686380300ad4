"""Milliseconds that one event takes in a loaded model: skad.load_model and onnxruntime.

Run: OMP_NUM_THREADS=1 python benchmarks/serving.py
Writes benchmarks/results/serving.md.
"""

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


def milliseconds(function):
    """Return the times of single calls, after some to warm up."""
    times = []
    for _ in range(N_REPEATS + 50):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return np.array(times[50:])


def main():
    torch.set_num_threads(1)
    dijets = load_dijets(as_frame=True, n_background=20_000, n_signal=2_000)
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
            here = milliseconds(lambda loaded=loaded, event=event: loaded(event))
            there = milliseconds(
                lambda session=session, method=method, event=event: session.run(
                    [method], {"X": event}
                )
            )
            rows.append((title, method, band(here, 3), band(there, 3), f"{deviation:.1e}"))
    header = ("model", "method", "Python, ms", "onnxruntime, ms", "largest difference")
    lines = [
        "# One event through a loaded model",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/serving.py`, one thread, an array of five features;",
        f"median of {N_REPEATS} calls and 68 % band. The difference is over ten thousand events,",
        "relative to a score above one. Taken on a machine that was busy with other work.",
        "",
        *markdown(rows, header),
        "",
    ]
    RESULTS.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
