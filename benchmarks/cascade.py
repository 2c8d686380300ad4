"""What the second stage of CascadeClassifier gains, on simulated dijets with a true reference.

Run: OMP_NUM_THREADS=1 python benchmarks/cascade.py --data FOLDER
Writes benchmarks/results/cascade.md; ``--quick`` is small and writes nothing. The seeds are apart
from those that the default settings were chosen on (100 to 109) and those of the other studies.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from dijet_search import REGION, make_search, performance, score_with_reference
from reporting import band, markdown

from skad.detectors import CascadeClassifier, TreeEnsembleClassifier
from skad.resonant import GivenReference, TemplateDetector

RESULTS = Path(__file__).parent / "results" / "cascade.md"
FIRST_SEED = 110
SIGNAL_FRACTIONS = (0.0066, 0.0033)
N_FOLDS = 3


def classifiers(quick):
    size = {"n_estimators": 2 if quick else 20, "n_forest_trees": 5 if quick else 120}
    small = TreeEnsembleClassifier(2, n_forest_trees=5)
    return {
        "one stage, leaves of 100 events": TreeEnsembleClassifier(**size),
        "one stage, leaves of 40 events": TreeEnsembleClassifier(min_samples_leaf=40, **size),
        "cascade": CascadeClassifier(small if quick else None),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder of the simulated dijets")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    sizes = {"n_data": 20_000} if options.quick else {}
    rows = []
    for fraction in SIGNAL_FRACTIONS:
        measured, gains = {}, {}
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            search = make_search(options.data, seed, signal_fraction=fraction, **sizes)
            for name, classifier in classifiers(options.quick).items():
                detector = TemplateDetector(GivenReference(REGION), classifier, cv=None)
                started = time.process_time()
                scores = score_with_reference(detector, search, seed, n_folds=N_FOLDS)
                result = performance(search.test[1], scores)
                result["seconds"] = (time.process_time() - started) / N_FOLDS
                measured.setdefault(name, []).append(result)
                gain = result["max_sic"] / next(iter(measured.values()))[-1]["max_sic"]
                gains.setdefault(name, []).append(gain)
                print(fraction, seed, name, result, flush=True)
        for name, results in measured.items():
            row = [f"{fraction:.2%}", name]
            row += [
                band([r[key] for r in results], digits)
                for key, digits in (("max_sic", 1), ("sic_at_1e3", 1), ("auc", 3))
            ]
            row += [band(gains[name], 2), f"{np.median([r['seconds'] for r in results]):.0f}"]
            rows.append(row)
    header = ["S/B", "classifier", "max SIC", "SIC at rejection 1e3", "AUC", "gain", "CPU s"]
    text = "\n".join(
        [
            "# Two stages of trees on simulated dijets",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/cascade.py --data FOLDER "
            f"--seeds {options.seeds}`",
            "",
            "Data of the signal region against true background, two thirds of it the reference and "
            "the third left out in turn the test; >= 25 test background events. Median and 68 % "
            f"band over {options.seeds} partitions and injections; gain: max SIC over that of the "
            "first row, seed by seed; CPU s: one fit and its scores, both cores busy.",
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
