"""Scores of trees by tables against walks through every tree, which are scikit-learn's.

Run: OMP_NUM_THREADS=1 python benchmarks/tree_scoring.py --data FOLDER
Writes benchmarks/results/tree_scoring.md; ``--quick`` is small and writes nothing.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from dijet_search import make_search
from reporting import markdown
from samples import REGION, add_data_option

from skad.detectors import CascadeClassifier, TreeEnsembleClassifier, _tree_ensemble

RESULTS = Path(__file__).parent / "results" / "tree_scoring.md"
SIZES = (20_000, 60_000, 300_000)


def classifiers(quick):
    if quick:
        return {"one stage": TreeEnsembleClassifier(2, n_forest_trees=5)}
    return {
        "cascade, as in a fold of `BumpHunt`": CascadeClassifier(),
        "one stage, 50 boosted members and 300 random trees": TreeEnsembleClassifier(),
    }


def seconds(classifier, events):
    """Return the processor time of scoring, and the scores."""
    start = time.process_time()
    scores = classifier.decision_function(events)
    return time.process_time() - start, scores


def compared(classifier, events):
    """Return the time of the walks, of the tables, and whether the scores are the same."""
    as_set = _tree_ensemble._EVENTS_PER_NODE
    tables = seconds(classifier, events)
    try:
        _tree_ensemble._EVENTS_PER_NODE = np.inf
        walks = seconds(classifier, events)
    finally:
        _tree_ensemble._EVENTS_PER_NODE = as_set
    return walks[0], tables[0], np.array_equal(walks[1], tables[1])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    search = make_search(options.data, 0, quick=options.quick)
    inside = REGION.mask(search.X)
    beside = ~inside & (np.abs(search.X[:, 0] - 3.5) < 0.4)
    X = np.concatenate([search.X[inside], search.X[beside]])[:, 1:]
    y = np.repeat([1, 0], [inside.sum(), beside.sum()])
    rows = []
    for name, classifier in classifiers(options.quick).items():
        classifier.set_params(random_state=0).fit(X, y)
        for n_events in SIZES[1:2] if options.quick else SIZES:
            events = search.X[:n_events, 1:]
            walks, tables, same = compared(classifier, events)
            speeds = [f"{len(events) / t:.0f}" for t in (walks, tables)]
            rows.append([name, len(events), *speeds, f"{walks / tables:.1f}", same])
            print(*rows[-1], flush=True)
    header = ["trees", "events", "walks, events/s", "tables, events/s", "gain", "same bits"]
    text = "\n".join(
        [
            "# Scoring by trees",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/tree_scoring.py --data FOLDER`",
            "",
            "One core, shared with other work, processor time; trained on "
            f"{len(X)} simulated dijets with four features. Walks go through every tree in the "
            "order of neighbours; tables (QuickScorer) are made in every call where they pay.",
            "",
            *markdown(rows, header),
            "",
        ]
    )
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
