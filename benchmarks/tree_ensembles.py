"""The settings of TreeEnsembleClassifier, chosen on simulated dijets against a true reference.

Run: OMP_NUM_THREADS=1 python benchmarks/tree_ensembles.py --data FOLDER --seeds 3
Writes benchmarks/results/tree_ensembles.md; ``--quick`` is small and writes nothing. The seeds are
apart from those of the other studies on these events, so that nothing is chosen on their tests.
"""

import argparse
import copy
from pathlib import Path

from dijet_search import make_search, performance, score_parts
from reporting import band, markdown
from samples import add_data_option

from skad.detectors import TreeEnsembleClassifier

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 100
LEAVES = (20, 40, 100, 200)
SIGNAL_FRACTION = 0.0066


def parts_of(classifier, events):
    """Return the log odds of the boosted members, of the forest and of their mean."""
    both = classifier.decision_function(events)
    without_forest = copy.copy(classifier)
    without_forest.forest_ = []
    boosted = without_forest.decision_function(events)
    return {"boosted": boosted, "forest": 2 * both - boosted, "both": both}


def report(measured, n_seeds, n_boosted, n_trees):
    """Return the table of all settings as text."""
    rows = []
    for (part, leaf), runs in sorted(measured.items()):
        sics = [band([m[name] for m in runs], 1) for name in ("max_sic", "sic_at_1e3")]
        rows.append([part, leaf, *sics, band([m["auc"] for m in runs], 3)])
    header = ["trees", "events a leaf", "max SIC", "SIC at rejection 1e3", "AUC"]
    return "\n".join(
        [
            "# Trees for weak labels on simulated dijets",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/tree_ensembles.py --data FOLDER --seeds "
            f"{n_seeds}`",
            "",
            f"Data with S/B = {SIGNAL_FRACTION:.2%} in the signal region against true background; "
            f"{n_boosted} boosted members and {n_trees} random trees, the other settings at their "
            f"defaults; median and 68 % band over {n_seeds} partitions and injections.",
            "",
            *markdown(rows, header),
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds = 1
    n_boosted, n_trees, n_folds = (2, 10, 2) if options.quick else (20, 100, 5)
    measured = {}
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        search = make_search(
            options.data, seed, signal_fraction=SIGNAL_FRACTION, quick=options.quick
        )
        truth = search.test[1]
        for leaf in LEAVES:
            classifier = TreeEnsembleClassifier(
                n_boosted, n_forest_trees=n_trees, min_samples_leaf=leaf
            )
            scores = score_parts(classifier, parts_of, search, seed, n_folds)
            for part, score in scores.items():
                measured.setdefault((part, leaf), []).append(performance(truth, score))
                print(seed, part, leaf, measured[part, leaf][-1], flush=True)
    text = report(measured, options.seeds, n_boosted, n_trees)
    print(text)
    if not options.quick:
        (RESULTS / "tree_ensembles.md").write_text(text)
    return text


if __name__ == "__main__":
    main()
