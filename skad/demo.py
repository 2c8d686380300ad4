"""The demo behind ``make demo``: `skad search` on the dijets inside the package, and its report."""

import argparse
import logging
import time
from pathlib import Path

from skad.cli import run_search
from skad.datasets import load_dijets
from skad.io import write_events

__all__ = ["main"]

# What a user would write; the numbers come from the command line.
_SETTINGS = """\
# Dijets simulated for this package, with a resonance of 3.5 TeV that decays to jets of 0.5 and
# 0.1 TeV hidden in them. The search does not know where, and never sees the truth.
title = "Demo: a hidden resonance in simulated dijets"

[input]
path = "dijets.parquet"
label = "truth"

[features]                    # from momenta and masses of the jets in GeV, to TeV
name = "DijetCoordinates"
features = ["mjj", "mj1", "delta_mj", "tau21_j1", "tau21_j2"]

# LaCATHODE: a flow learns the sidebands, and a classifier compares the window with it in the
# coordinates of the flow, where the features no longer move with the mass. With "Sidebands" as
# template (CWoLa hunting) most of the cuts sculpt the spectrum, and the report says so.
[detector]
name = "TemplateDetector"
cv = "none"                   # the search has folds of its own

[detector.template]
name = "LaCATHODE"

[detector.template.density]
name = "FlowDensity"
max_epochs = {epochs}
batch_size = 2048
device = "cpu"

[detector.classifier]
name = "TreeEnsembleClassifier"
n_estimators = {trees}
n_forest_trees = {forest}

[search]
resonance = "mjj"
scan = {{low = 2.9, high = 4.1, width = 0.4, step = 0.4}}
efficiencies = [1.0, 0.01, 0.001]
background = "sideband"
n_folds = 3
n_jobs = {jobs}
random_state = {seed}

[output]
folder = "results"
"""


def main(arguments=None):
    """Write events and settings, run the search, print the answer and where the report is.

    Parameters
    ----------
    arguments : list of str, default=None
        Command line; None takes that of the process.

    Returns
    -------
    report : SearchReport
    """
    parser = argparse.ArgumentParser(prog="python -m skad.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    parser.add_argument("--events", type=int, default=200_000, help="background events")
    parser.add_argument("--signal", type=int, default=400, help="signal events")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each flow")
    parser.add_argument("--trees", type=int, default=2, help="boosted ensembles per classifier")
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="   %(message)s")
    started = time.perf_counter()
    options.output.mkdir(parents=True, exist_ok=True)
    dijets = load_dijets(
        n_background=options.events,
        n_signal=options.signal,
        random_state=options.seed,
        as_frame=True,
    )
    write_events(
        dijets.data.assign(truth=dijets.target), options.output / "dijets.parquet", overwrite=True
    )
    settings = options.output / "search.toml"
    settings.write_text(
        _SETTINGS.format(
            epochs=options.epochs,
            trees=options.trees,
            forest=3 * options.trees,
            jobs=options.jobs,
            seed=options.seed,
        )
    )
    print(f"== {options.events} dijets, {options.signal} of a signal among them")
    print(f"== skad search {settings}")
    report = run_search(settings, overwrite=True, verbose=1)
    answer = report.content["answer"]
    print(f"\n{answer['verdict'].capitalize()}. {answer['text']}")
    for caution in report.content["cautions"]:
        print(f"- {caution}")
    page = options.output / "results" / "report.html"
    print(f"\nThe report, after {time.perf_counter() - started:.0f} s: {page.resolve().as_uri()}")
    print(f"Change {settings} and run it again: skad search {settings} --overwrite")
    return report


if __name__ == "__main__":
    main()
