"""Weak supervision on real dijets with columns of pure noise added.

Run: OMP_NUM_THREADS=1 python benchmarks/noise_columns.py --data FOLDER --noise 0 10 --seeds 3
Writes benchmarks/results/noise_columns.md; ``--quick`` is small and writes nothing.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from reporting import band, markdown
from samples import add_data_option, read_region
from sklearn.pipeline import make_pipeline

from skad.detectors import CascadeClassifier, ExcessSelector, TreeEnsembleClassifier
from skad.metrics import max_significance_improvement

RESULTS = Path(__file__).parent / "results" / "noise_columns.md"
FEATURES = ["mj1", "delta_mj", "tau21_j1", "tau21_j2"]
N_REFERENCE = 40_000


def classifiers(seed, quick):
    trees = TreeEnsembleClassifier(2, n_forest_trees=5) if quick else None
    cascade = CascadeClassifier(trees, cv=2 if quick else 5, random_state=seed)
    selector = ExcessSelector(2 if quick else 4, random_state=seed)
    return {
        "all columns": cascade,
        "columns of the local excess": make_pipeline(selector, cascade),
    }


def events(folder, n_noise, seed, quick, signal=1.0):
    """Return mixed, reference and test events, background and signal, with noise in new columns.

    `signal` is the part of the mixed signal events that stays.
    """
    train, valid, extra = read_region(folder)
    rng = np.random.RandomState(seed)
    if signal < 1:
        train = train[(train["label"] == 0) | (rng.uniform(size=len(train)) < signal)]
    background = valid[valid["label"] == 0][FEATURES].to_numpy(np.float64)
    background = background[rng.permutation(len(background))]
    n_reference = min(N_REFERENCE, 2 * len(background) // 3)
    parts = [train[FEATURES].to_numpy(np.float64), background[:n_reference]]
    parts += [background[n_reference:], extra[FEATURES].to_numpy(np.float64)]
    if quick:
        parts = [part[:2000] for part in parts]
    return [np.column_stack([part, rng.normal(size=(len(part), n_noise))]) for part in parts]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--noise", type=int, nargs="+", default=[0, 10])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="some of the ways to classify, by name")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    n_seeds = 1 if options.quick else options.seeds
    found = {}
    for n_noise in options.noise[:2] if options.quick else options.noise:
        for seed in range(n_seeds):
            mixed, reference, T, S = events(options.data, n_noise, seed, options.quick)
            X, y = (
                np.concatenate([mixed, reference]),
                np.repeat([1, 0], [len(mixed), len(reference)]),
            )
            tested, truth = np.concatenate([T, S]), np.repeat([0, 1], [len(T), len(S)])
            for name, classifier in classifiers(seed, options.quick).items():
                if options.only and name not in options.only:
                    continue
                start = time.process_time()
                scores = classifier.fit(X, y).decision_function(tested)
                seconds = time.process_time() - start
                right = np.nan
                if name != "all columns":
                    right = float(set(classifier[0].get_support(indices=True)) == set(range(4)))
                row = (max_significance_improvement(truth, scores), seconds, right)
                found.setdefault((n_noise, name), []).append(row)
                print(n_noise, seed, name, row, flush=True)
    rows = []
    for (n_noise, name), runs in found.items():
        sic, seconds, right = np.transpose(runs)
        known = "-" if np.isnan(right).all() else f"{int(right.sum())} of {len(right)}"
        rows.append([n_noise, name, band(sic, 1), known, f"{np.median(seconds):.0f}"])
    header = ["noise columns", "classified by", "max SIC", "the four found", "s"]
    noise = " ".join(map(str, options.noise))
    text = "\n".join(
        [
            "# Columns of noise beside the features of dijets",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/noise_columns.py --data FOLDER --noise "
            f"{noise} --seeds {n_seeds}`",
            "",
            f"{len(mixed)} events of the signal region with 0.66 % signal against {len(reference)} "
            "of true background in four features and columns of standard normal noise; one "
            "`CascadeClassifier` of all columns, or behind an `ExcessSelector`; median and 68 % "
            f"band over {n_seeds} seeds of reference, noise and trainings; processor time of a fit "
            "and its scores, of one core.",
            "",
            *markdown(rows, header),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
