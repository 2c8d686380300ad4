"""The demo behind ``make demo``: `skad search` on the dijets inside the package, and its report.

At its default size it takes 37 s on two free cores.
"""

import argparse
import logging
import time
from pathlib import Path

import numpy as np

from skad.cli import read_settings
from skad.cli._events import feature_transformer, read_input
from skad.cli._search import search_of, write_search
from skad.datasets import load_dijets
from skad.exceptions import RegionError
from skad.io import write_events
from skad.search import counting_limit, fit_resonance

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

# CWoLa hunting: a classifier compares the window with the masses beside it. Features of jets move
# with the mass, and cuts on them would sculpt the spectrum; moved to one mass they do not.
[detector]
name = "TemplateDetector"
cv = "none"                   # the search has folds of its own
decorrelator = "QuantileDecorrelator"

[detector.template]
name = "Sidebands"
reach = 1.0                   # in widths of the window

[detector.classifier]
name = "TreeEnsembleClassifier"
n_estimators = {trees}
n_forest_trees = {forest}

[search]
resonance = "mjj"
scan = {{low = 2.9, high = 4.1, width = 0.4, step = 0.4}}
efficiencies = [1.0, 0.01, 0.001]
background = "sideband"
n_folds = 5
keep_detectors = true         # to ask afterwards what they find of the signal
n_jobs = {jobs}
random_state = {seed}

[limit]                       # skad limit: the search again and again, with signal injected
signal = "signal.parquet"
strengths = [100, 200, 400, 800]
n_refits = 3
n_jobs = {jobs}

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
    parser.add_argument("--trees", type=int, default=5, help="boosted ensembles per classifier")
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
    data = dijets.data.assign(truth=dijets.target)
    signal = dijets.test_data[dijets.test_target == 1]
    write_events(data, options.output / "dijets.parquet", overwrite=True)
    write_events(signal, options.output / "signal.parquet", overwrite=True)
    settings = options.output / "search.toml"
    settings.write_text(
        _SETTINGS.format(
            trees=options.trees,
            forest=3 * options.trees,
            jobs=options.jobs,
            seed=options.seed,
        )
    )
    print(f"== {options.events} dijets, {options.signal} of a signal among them")
    print(f"== skad search {settings}")
    folder = options.output / "results"
    read = read_settings(settings)
    report, hunt = search_of(read, verbose=1)
    write_search(report, hunt, read, folder)
    answer = report.content["answer"]
    print(f"\n{answer['verdict'].capitalize()}. {answer['text']}")
    for caution in report.content["cautions"]:
        print(f"- {caution}")
    columns = ["low", "high", "efficiency", "n_observed", "background", "p_local", "trusted"]
    print(f"\n{hunt.results_[columns].round(4).to_string(index=False)}")
    print(f"Over all windows and cuts: p = {hunt.p_global_:.1e}, {hunt.z_global_:.1f} sigma.")
    if hunt.best_ is not None:
        masses = np.asarray(read_input(read).X["mjj"])
        print(f"\n{_peak(hunt, masses)}\n{_limit(hunt, feature_transformer(read), signal)}")
    page = folder / "report.html"
    print(f"\nThe report, after {time.perf_counter() - started:.0f} s: {page.resolve().as_uri()}")
    print(f"Change {settings} and run it again: skad search {settings} --overwrite")
    print(f"What it finds of a weaker signal, in half an hour: skad limit {settings}")
    return report


def _peak(hunt, masses):
    """Say what a fit of the best window gives."""
    row = hunt.results_.loc[hunt.best_]
    try:
        fit = fit_resonance(masses[hunt.selected_[hunt.best_]], (row["low"], row["high"]))
    except RegionError as error:
        return f"The best window holds too few events for a fit of a peak: {error}"
    events, mass, width = zip((fit.n_signal, fit.mass, fit.width), fit.errors, strict=True)
    return (
        f"A peak in the best window, {row['low']:g} to {row['high']:g} TeV at efficiency "
        f"{row['efficiency']:g}: {events[0]:.0f} +- {events[1]:.0f} events at "
        f"{mass[0]:.2f} +- {mass[1]:.2f} TeV, {width[0]:.2f} +- {width[1]:.2f} TeV wide."
    )


def _limit(hunt, transformer, signal):
    """Say how much of the shipped signal the best row allows, with the detectors as they are."""
    events = transformer.set_output(transform="pandas").fit_transform(signal)
    table = hunt.signal_efficiency(events)
    row, found = hunt.results_.loc[hunt.best_], table.loc[hunt.best_]
    excess = found["signal_efficiency"] - found["absorbed"]
    if not excess > 0:
        return "The detectors of the best row pass nothing of the signal of 3.5 TeV: no limit."
    limit = counting_limit(
        row["n_observed"],
        row["background"],
        excess,
        uncertainty=float(np.hypot(row["stat"], row["syst"])),
        signal_uncertainty=float(np.hypot(found["error"], found["spread"]) / excess),
    )
    return (
        f"Of the signal of 3.5 TeV its detectors pass {found['signal_efficiency']:.0%}: at 95 % "
        f"confidence the data hold no more than {limit.observed:.0f} such events "
        f"({limit.expected[2]:.0f} expected without any)."
    )


if __name__ == "__main__":
    main()
