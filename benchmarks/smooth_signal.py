"""The default weak classifier on a smooth signal and on a narrow one, beside its trees alone.

Run: OMP_NUM_THREADS=1 python benchmarks/smooth_signal.py --data FOLDER
Writes benchmarks/results/smooth_signal.md; ``--quick`` is small and writes nothing.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from noise_columns import events
from reporting import band, markdown
from samples import add_data_option
from scipy.stats import norm, rankdata
from sklearn.metrics import roc_auc_score

from skad.datasets import make_gaussian_anomaly
from skad.detectors import CascadeClassifier, CWoLaDetector, TreeEnsembleClassifier
from skad.metrics import max_significance_improvement

RESULTS = Path(__file__).parent / "results" / "smooth_signal.md"


def trees(n_boosted, n_random):
    return TreeEnsembleClassifier(n_boosted, n_forest_trees=n_random, min_samples_leaf=40)


def classifiers(n_cascades):
    return {
        "trees alone": CascadeClassifier(trees(3, 15), trees(20, 100), n_estimators=n_cascades),
        "default": CascadeClassifier(n_estimators=n_cascades),
    }


def gaussian(coordinates, n, seed):
    """Return reference, mixed events with n + n / 10, test background and signal."""
    reference, mixed, test = (
        make_gaussian_anomaly(n, n_signal, coordinates=coordinates, random_state=3 * seed + k)
        for k, n_signal in enumerate([1, n // 10, n])
    )
    return mixed.data, reference.data[:-1], test.data[:n], test.data[n:]


def tilted(parts, strength, seed):
    """Thin the reference smoothly along its first column: a template that is not exact."""
    mixed, reference, *test = parts
    z = norm.ppf((rankdata(reference[:, 0]) - 0.5) / len(reference))
    kept = np.random.RandomState(seed).uniform(size=len(z)) < np.exp(strength * (z - 2))
    return mixed, reference[kept], *test


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--only", default="", help="problems whose name holds this")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    n = 1000 if options.quick else options.events
    seeds = range(1 if options.quick else options.seeds)
    problems = {
        "dijets": (1, lambda seed: events(options.data, 0, seed, options.quick)),
        "dijets, half the signal": (
            1,
            lambda seed: events(options.data, 0, seed, options.quick, 0.5),
        ),
    }
    for strength in (0.3, 0.1):
        problems[f"dijets, reference thinned by exp({strength} z)"] = (
            1,
            lambda seed, strength=strength: tilted(
                events(options.data, 0, seed, options.quick), strength, seed
            ),
        )
    for frame in ("identity", "cdf", "tanh"):
        problems[f"Gaussian, {frame}"] = (3, lambda seed, frame=frame: gaussian(frame, n, seed))
    problems = {name: made for name, made in problems.items() if options.only in name}
    rows = []
    for problem, (n_cascades, make) in problems.items():
        found = {}
        for seed in seeds:
            mixed, reference, T, S = make(seed)
            X = np.concatenate([mixed, reference])
            y = np.repeat([1, 0], [len(mixed), len(reference)])
            tested, truth = np.concatenate([T, S]), np.repeat([0, 1], [len(T), len(S)])
            for name, classifier in classifiers(n_cascades).items():
                start = time.process_time()
                detector = CWoLaDetector(classifier, random_state=seed).fit(X, y)
                scores = detector.anomaly_score(tested)
                seconds = time.process_time() - start
                sic = max_significance_improvement(truth, scores)
                found.setdefault(name, []).append((roc_auc_score(truth, scores), sic, seconds))
                print(problem, seed, name, found[name][-1], flush=True)
        for name, runs in found.items():
            auc, sic, seconds = np.transpose(runs)
            rows.append([problem, name, band(auc, 3), band(sic, 1), f"{np.median(seconds):.0f}"])
    only = f" --only '{options.only}'" if options.only else ""
    text = "\n".join(
        [
            "# A smooth signal and a narrow one",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/smooth_signal.py --data FOLDER "
            f"--seeds {len(seeds)} --events {n}{only}`",
            "",
            f"Gaussian: N(0,1)^2 and N(1,1)^2 in three frames, {n} reference events against as "
            f"many and {n // 10} of signal, three cascades; exact likelihood ratio 0.841. Dijets: "
            "real events with 0.66 % signal as in `noise_columns.md`, one cascade; also against a "
            "reference thinned along the mass of the heavier jet, z its normal margin, as a "
            f"template that is not exact. Median and 68 % band over {len(seeds)} seeds; processor "
            "time of a fit and its scores.",
            "",
            *markdown(rows, ["problem", "classifier", "AUC", "max SIC", "s"]),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
