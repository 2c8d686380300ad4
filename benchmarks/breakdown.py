"""How often `breakdown_test` trusts data without signal, and with how much signal it trusts them.

Pseudo-experiments of `make_resonance` with four features: every one draws new data, fits a new
`TemplateDetector` with the sidebands as template (right by construction) and boosted trees, and
tests it. Writes `benchmarks/results/breakdown.md`; ``--quick`` is small and writes nothing.

    python benchmarks/breakdown.py --toys 200 --signal-toys 12
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from scipy.stats import binomtest
from sklearn.ensemble import HistGradientBoostingClassifier

from skad.datasets import make_resonance
from skad.exceptions import LowStatisticsWarning
from skad.inspection import breakdown_test
from skad.metrics import max_significance_improvement
from skad.resonant import Sidebands, SignalRegion, TemplateDetector

N_BACKGROUND = 40_000
SIGNAL = (0, 20, 40, 60, 80)


def toy_detector(seed):
    """Return an unfitted detector that takes a tenth of a second."""
    classifier = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=8, min_samples_leaf=40, max_bins=63, early_stopping=False
    )
    return TemplateDetector(
        Sidebands(SignalRegion(3.3, 3.7, sideband_width=0.4)), classifier, cv=3, random_state=seed
    )


def experiment(n_signal, seed, strategy, n_background=N_BACKGROUND):
    """Return S, B in the region, max SIC of the training events, the test and its CPU seconds."""
    X, truth = make_resonance(
        n_background, n_signal, n_features=4, random_state=seed, return_X_y=True
    )
    detector = toy_detector(seed).fit(X)
    inside = detector.region_.mask(X)
    sic = np.nan
    if n_signal:
        scores = detector.training_scores_[inside]
        sic = max_significance_improvement(truth[inside], scores, min_background_events=10)
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LowStatisticsWarning)
        test = breakdown_test(
            detector,
            X,
            strategy=strategy,
            fraction=0.02,
            n_trainings=2 if strategy == "seeds" else 3,
            random_state=seed,
        )
    seconds = time.process_time() - start
    return truth[inside].sum(), (truth[inside] == 0).sum(), sic, test, seconds


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--toys", type=int, default=200, help="experiments without signal")
    parser.add_argument("--signal-toys", type=int, default=50, help="experiments per signal")
    parser.add_argument("--signal", nargs="+", type=int, default=SIGNAL, help="injected events")
    parser.add_argument("--strategies", nargs="+", default=["seeds", "parts"])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--quick", action="store_true", help="small, writes nothing")
    options = parser.parse_args(arguments)
    n_background = N_BACKGROUND
    if options.quick:
        options.toys = options.signal_toys = 1
        options.signal, n_background = [60], 3000
    lines = [
        "| strategy | S injected | S/sqrt(B) | trusted | 68 % interval | max SIC, median "
        "| CPU s per test |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for strategy in options.strategies:
        for n_signal in options.signal:
            n_toys = options.toys if n_signal == 0 else options.signal_toys
            found = [experiment(n_signal, 1000 + i, strategy, n_background) for i in range(n_toys)]
            s, b, sic, tests, seconds = zip(*found, strict=True)
            n_trusted = sum(test.trusted for test in tests)
            low, high = binomtest(n_trusted, n_toys).proportion_ci(0.68)
            lines.append(
                f"| {strategy} | {n_signal} | {np.mean(s) / np.sqrt(np.mean(b)):.2f} "
                f"| {n_trusted}/{n_toys} = {n_trusted / n_toys:.3f} | {low:.3f} to {high:.3f} "
                f"| {np.median(sic):.1f} | {np.mean(seconds):.1f} |"
            )
            print(lines[-1], flush=True)
    if options.quick:
        return
    options.output.mkdir(exist_ok=True)
    (options.output / "breakdown.md").write_text(
        "# Breakdown test: false alarms and power\n\n"
        f"`python benchmarks/breakdown.py --toys {options.toys} --signal-toys "
        f"{options.signal_toys}`\n\n{__doc__.split(chr(10) * 2)[1]}\n\n"
        f"{N_BACKGROUND} background events, {int(np.mean(b))} of them in the region; alpha = 0.05, "
        "at most 19 permutations, one after another; the 2 % most anomalous. S injected counts "
        "the full range.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
