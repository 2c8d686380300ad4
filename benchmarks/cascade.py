"""What the second stage of CascadeClassifier gains, on simulated dijets with a true reference.

Run: OMP_NUM_THREADS=1 python benchmarks/cascade.py --data FOLDER
Writes benchmarks/results/cascade.md; ``--quick`` is small and writes nothing. The seeds are apart
from those that the default settings were chosen on (100 to 109) and those of the other studies.
"""

import argparse
from pathlib import Path

import numpy as np
from dijet_search import make_search, performance, score_parts
from reporting import band, markdown
from samples import add_data_option

from skad.detectors import CascadeClassifier, TreeEnsembleClassifier

RESULTS = Path(__file__).parent / "results" / "cascade.md"
FIRST_SEED = 110
SIGNAL_FRACTIONS = (0.0066, 0.0033)
N_FOLDS = 3


def classifiers(quick):
    size = {"n_estimators": 2 if quick else 20, "n_forest_trees": 5 if quick else 120}
    small = TreeEnsembleClassifier(2, n_forest_trees=5)
    return [
        TreeEnsembleClassifier(**size),
        CascadeClassifier(small if quick else None, n_estimators=1 if quick else 3),
    ]


def parts_of(classifier, events):
    """Return the log odds of a one-stage ensemble, or of the cascades, of one and of its stage."""
    log_odds = classifier.decision_function(events)
    if isinstance(classifier, TreeEnsembleClassifier):
        return {"one stage, leaves of 100 events": log_odds}
    one = classifier.estimators_[0]
    first = np.mean([stage.decision_function(events) for stage in one.classifiers], axis=0)
    return {
        "first stage of the cascade": first,
        "cascade": one.log_ratio(events),
        "three cascades": log_odds,
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds = 1
    rows = []
    for fraction in SIGNAL_FRACTIONS[:1] if options.quick else SIGNAL_FRACTIONS:
        measured, gains = {}, {}
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            search = make_search(options.data, seed, signal_fraction=fraction, quick=options.quick)
            for classifier in classifiers(options.quick):
                parts = score_parts(
                    classifier, parts_of, search, seed, 2 if options.quick else N_FOLDS
                )
                for name, scores in parts.items():
                    result = performance(search.test[1], scores)
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
            rows.append([*row, band(gains[name], 2)])
    header = ["S/B", "classifier", "max SIC", "SIC at rejection 1e3", "AUC", "gain"]
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
            "first row, seed by seed.",
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
