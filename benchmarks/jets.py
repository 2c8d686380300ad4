"""Speed of the jet transformers on one core, and what the frames do to the constituents.

Run: OMP_NUM_THREADS=1 python benchmarks/jets.py
Writes benchmarks/results/jets.md; ``--quick`` is small and writes nothing.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np

from skad.coordinates import ConstituentCoordinates, JetFrame, JetObservables
from skad.datasets import load_jets

RESULTS = Path(__file__).parent / "results" / "jets.md"
N_JETS = 100_000
REPEATS = 7

CASES = {
    "JetFrame(convention='paper')": JetFrame(convention="paper"),
    "JetFrame(convention='code')": JetFrame(convention="code"),
    "JetFrame(convention='moments')": JetFrame(convention="moments"),
    "ConstituentCoordinates()": ConstituentCoordinates(),
    "JetObservables, pt eta phi mass": JetObservables(features=["pt", "eta", "phi", "mass"]),
    "JetObservables, all (N-subjettiness)": JetObservables(),
}


def many_jets(n_constituents, dtype, n_jets=N_JETS):
    """The shipped QCD jets, repeated, with the hardest constituents."""
    X = load_jets(kinds=["qcd"]).data
    return np.resize(X, (n_jets, X.shape[1]))[:, : 4 * n_constituents].astype(dtype)


def rate(transformer, X):
    """Jets per second of processor time: median and the two extremes over repeats."""
    transformer.fit(X)
    rates = []
    for _ in range(REPEATS):
        start = time.process_time()
        transformer.transform(X)
        rates.append(len(X) / (time.process_time() - start))
    return np.median(rates), min(rates), max(rates)


def fastjet_rate(X, n_jets):
    """Jets per second of the same N-subjettiness with one FastJet call per jet and axis count."""
    try:
        import fastjet
    except ImportError:
        return None
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0)
    start = time.process_time()
    for p4 in X[:n_jets].reshape(n_jets, -1, 4):
        particles = [fastjet.PseudoJet(*p[[1, 2, 3, 0]].tolist()) for p in p4 if p[0] > 0]
        sequence = fastjet.ClusterSequence(particles, definition)
        for n in (1, 2, 3):
            axes = sequence.exclusive_jets(min(n, len(particles)))
            sum(p.pt() * min(p.delta_R(axis) for axis in axes) for p in particles)
    return n_jets / (time.process_time() - start)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, writes nothing")
    options = parser.parse_args(arguments)
    n_jets = 500 if options.quick else N_JETS
    lines = [
        "# Jet transformers: jets per second on one core",
        "",
        f"`OMP_NUM_THREADS=1 python benchmarks/jets.py`, {N_JETS} jets (QCD of `load_jets`, "
        f"repeated), median of {REPEATS} runs (slowest to fastest), processor time. "
        f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}. "
        "The goal of `JetFrame` is 100 000 jets/s with 20 constituents.",
        "",
        "| transformer | constituents | dtype | jets/s |",
        "| --- | --- | --- | --- |",
    ]
    for name, transformer in CASES.items():
        for n_constituents, dtype in ((20, np.float64), (20, np.float32), (10, np.float64)):
            median, low, high = rate(transformer, many_jets(n_constituents, dtype, n_jets))
            lines.append(
                f"| {name} | {n_constituents} | {np.dtype(dtype).name} | "
                f"{median:,.0f} ({low:,.0f} to {high:,.0f}) |"
            )
    one_by_one = fastjet_rate(many_jets(20, np.float64, n_jets), min(n_jets, 2000))
    if one_by_one is not None:
        lines += [
            "",
            f"For comparison, N-subjettiness jet by jet with the fastjet package in a Python loop "
            f"(20 constituents): {one_by_one:,.0f} jets/s, most of it the loop.",
        ]
    print("\n".join(lines))
    if not options.quick:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
