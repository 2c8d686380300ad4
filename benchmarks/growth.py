"""Time and peak memory of fit and score of every estimator, from 1e3 to 1e6 events.

    OMP_NUM_THREADS=1 python benchmarks/growth.py

Every cell is a process of its own, and seconds are those of the processor, so that other work on
the machine does not count. A cell ends at ``--cap`` seconds; a larger one that would need more,
were time proportional to the events, is not begun. Estimators have the arguments of
``tests/fast_estimators.py`` (networks: 2 epochs), densities are flows.
"""

import argparse
import multiprocessing
import resource
import sys
import time
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
SIZES = (1_000, 10_000, 100_000, 1_000_000)
METHODS = ("score_samples", "decision_function", "transform", "sample_background")
# In place of densities and sizes that only serve a hundred events.
OTHERS = {
    "DensityDetector": lambda flow: {"density": flow},
    "FramedDensity": lambda flow: {"density": flow},
    "CURTAINS": lambda flow: {"mass_spectrum": "fit"},
}


def estimators():
    from fast_estimators import fast_estimators

    from skad.density import FlowDensity
    from skad.detectors import DensityDetector

    flow = FlowDensity(n_transforms=2, hidden_layer_sizes=(8,), max_epochs=2, random_state=0)
    found = fast_estimators()
    for name, options in OTHERS.items():
        found[name].set_params(**options(flow))
    pair = [("first", DensityDetector(flow)), ("second", DensityDetector(flow))]
    found["VotingDetector"].set_params(detectors=pair)
    return found


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cell(estimator, n_events):
    """Yield seconds of the fit, then the method, its seconds and the peak memory of both."""
    from estimator_checks import make_events

    X, y = make_events(n_events)
    before, start = peak(), time.process_time()
    estimator.fit(X, y)
    yield (time.process_time() - start,)
    start = time.process_time()
    method = next((name for name in METHODS if hasattr(estimator, name)), "-")
    if method != "-":
        getattr(estimator, method)(n_events if method == "sample_background" else X)
    yield method, time.process_time() - start, peak() - before


def limited(estimator, n_events, cap, pipe):
    resource.setrlimit(resource.RLIMIT_CPU, (int(cap) + 1, int(cap) + 1))
    warnings.simplefilter("ignore")
    for part in cell(estimator, n_events):
        pipe.send(part)


def measure(estimator, n_events, cap):
    """Return the parts of a cell, fewer where it was stopped, and how its process ended."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=limited, args=(estimator, n_events, cap, theirs)
    )
    process.start()
    theirs.close()
    found = ()
    try:
        while len(found) < 4:
            found += ours.recv()
    except EOFError:
        pass
    process.join()
    # The kernel stops what has used its seconds; anything else is an error.
    return found, process.exitcode


def row(name, estimator, sizes, cap):
    fits, scores, memory, method = [], [], [], "-"
    needed = 0.0
    # Imports and first calls are not of the events.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(cell(estimator, 200))
    for n_events in sizes:
        if needed * 10 > cap:
            fits, scores, memory = ([*column, "·"] for column in (fits, scores, memory))
            continue
        found, code = measure(estimator, n_events, cap)
        stopped = f"> {cap:g}" if code < 0 else "error"
        fits.append(f"{found[0]:.2g}" if found else stopped)
        if len(found) < 4:
            scores, memory, needed = [*scores, stopped], [*memory, stopped], cap
            continue
        fit_s, method, score_s, mb = found
        scores.append(f"{score_s:.2g}")
        memory.append(f"{mb:.0f}")
        needed = fit_s + score_s
    cells = [" / ".join(column) for column in (fits, scores, memory)]
    return f"| {name} | {cells[0]} | `{method}` {cells[1]} | {cells[2]} |"


def distances(sizes, cap):
    """Rows of the functions that compare events with each other."""
    from skad.metrics import distance_correlation

    class Numbers:
        def fit(self, X, y):
            distance_correlation(X["a"], X["b"])

    class Vectors:
        def fit(self, X, y):
            distance_correlation(X[["a", "b"]].to_numpy(), X["c"].to_numpy())

    for name, estimator in (
        ("distance_correlation, numbers", Numbers()),
        ("distance_correlation, vectors", Vectors()),
    ):
        yield row(name, estimator, sizes, cap)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cap", type=float, default=30, help="seconds of a cell")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--only", nargs="*", help="names of estimators")
    parser.add_argument("--quick", action="store_true", help="one small cell of one estimator")
    arguments = parser.parse_args(arguments)
    if arguments.quick:
        arguments.sizes, arguments.only = [1000], ["AutoencoderDetector"]
    import torch

    torch.set_num_threads(1)
    np.ones(1)
    print(f"    OMP_NUM_THREADS=1 python benchmarks/growth.py --cap {arguments.cap:g}\n")
    print("| estimator | fit, s | score, s | peak memory, MB |\n| --- | --- | --- | --- |")
    for name, estimator in estimators().items():
        if not arguments.only or name in arguments.only:
            print(row(name, estimator, arguments.sizes, arguments.cap), flush=True)
    if not arguments.only:
        for line in distances(arguments.sizes, arguments.cap):
            print(line, flush=True)


if __name__ == "__main__":
    main()
