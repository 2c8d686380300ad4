"""The signal that a search needs: the smallest S/sqrt(B) whose median global significance passes.

    OMP_NUM_THREADS=1 python benchmarks/reach.py --data FOLDER

Every search is blind to where the signal is: it takes all windows and cuts, and its number is the
global significance over what it trusts itself (nothing trusted counts as 0). Classifiers are
boosted trees with default settings, flows the default for five epochs. Strengths are those of
the signal region without a cut; 0 is the null. "decorrelated" moves events to one mass by
`QuantileDecorrelator` before they are classified. "supervised" is trained on simulated signal and
background that are not searched: what a dedicated search would reach.
Searches are recorded one by one in benchmarks/results, in a file for each number of events; the
same command computes what is missing there and writes the table beside it. Where more than five
stand for the null, they are of a second run with ``--strengths 0 --searches 25``. ``--quick`` is
small and writes nothing.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from dijet_search import REGION, make_search
from reporting import markdown
from samples import add_data_option
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from skad.density import FlowDensity
from skad.detectors import CWoLaDetector, VotingDetector
from skad.exceptions import SkadWarning
from skad.resonant import (
    ANODE,
    CATHODE,
    SIGMA,
    LaCATHODE,
    QuantileDecorrelator,
    QuantileMorphing,
    ResidualANODE,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.search import BumpHunt

RESULTS = Path(__file__).parent / "results"
CUTS = (1e-2, 1e-3)
WEIGHTED = {"weighting": "excess", "efficiencies": (0.03, 0.01, 0.003)}
WANTED = (3.0, 5.0)


def flow(epochs, **options):
    return FlowDensity(max_epochs=epochs, batch_size=2048, **options)


def supervised(search, seed):
    """A classifier of simulated signal against simulated background, fitted before the search."""
    simulation = search.simulation[:100_000]
    # A search hides the resonant feature from detectors that do not ask for it.
    return _frozen(search.signal_train[:, 1:], simulation[:, 1:], seed)


def supervised_decorrelated(search, seed):
    """The same of features that are moved to one mass, in the simulation as in the search."""
    simulation = search.simulation[:100_000]
    moved = QuantileDecorrelator(REGION, keep_resonance=False).fit(simulation)
    classifier = _frozen(moved.transform(search.signal_train), moved.transform(simulation), seed)
    return make_pipeline(QuantileDecorrelator(keep_resonance=False), classifier)


def _frozen(signal, background, seed):
    X = np.concatenate([signal, background])
    y = np.repeat([1, 0], [len(signal), len(background)])
    classifier = HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    return FrozenEstimator(CWoLaDetector(classifier, cv=None).fit(X, y))


def methods():
    """Return the options of the search by name; detectors that need the search are functions."""

    def template(each, decorrelator=None):
        return TemplateDetector(
            each, HistGradientBoostingClassifier(), cv=None, decorrelator=decorrelator
        )

    forest = IsolationForest()
    of_templates = [
        ("lacathode", template(LaCATHODE(flow(5)))),
        ("morphing", template(QuantileMorphing())),
    ]
    around = SignalRegion(3.3, 3.7, sideband_width=0.2)
    near = Sidebands(reach=1.0)
    moved = QuantileDecorrelator()
    blind = QuantileDecorrelator(keep_resonance=False)
    of_moved = [
        ("sidebands", template(near, moved)),
        ("cathode", template(CATHODE(flow(5)), moved)),
    ]
    return {
        "no cut": {"detector": forest, "efficiencies": (1.0,)},
        "IsolationForest": {"detector": forest},
        "CWoLa hunting": {"detector": template(Sidebands(around))},
        "CWoLa hunting, weights": {"detector": template(Sidebands(around)), **WEIGHTED},
        "CATHODE": {"detector": template(CATHODE(flow(5)))},
        "SIGMA": {"detector": template(SIGMA(flow(5, flow_options={"n_frequencies": 4})))},
        "LaCATHODE": {"detector": template(LaCATHODE(flow(5)))},
        "LaCATHODE, weights": {"detector": template(LaCATHODE(flow(5))), **WEIGHTED},
        "combined scores": {"detector": VotingDetector(of_templates)},
        "ANODE": {"detector": ANODE(flow(8), flow(5), cv=None)},
        "ResidualANODE": {
            "detector": ResidualANODE(background_density=flow(5), n_folds=3, cv=None)
        },
        "supervised": {"detector": supervised},
        "CWoLa hunting, decorrelated": {"detector": template(near, moved)},
        "CWoLa hunting, decorrelated, weights": {"detector": template(near, moved), **WEIGHTED},
        "CATHODE, decorrelated": {"detector": template(CATHODE(flow(5)), moved)},
        "combined scores, decorrelated": {"detector": VotingDetector(of_moved)},
        "ANODE, decorrelated": {"detector": make_pipeline(moved, ANODE(flow(8), flow(5), cv=None))},
        "IsolationForest, decorrelated": {"detector": make_pipeline(blind, forest)},
        "supervised, decorrelated": {"detector": supervised_decorrelated},
    }


def one_search(name, strength, seed, options):
    """Return what one search claims, and its processor time."""
    start = time.process_time()
    search = make_search(options.data, seed, n_data=options.events, quick=options.quick)
    if strength:
        n_background = REGION.mask(search.X).sum()
        search = make_search(
            options.data,
            seed,
            n_data=options.events,
            quick=options.quick,
            signal_fraction=strength / np.sqrt(n_background),
        )
    else:
        search.X = search.X[search.truth == 0]
    choice = {"efficiencies": CUTS, **methods()[name]}
    detector = choice.pop("detector")
    hunt = BumpHunt(
        detector(search, seed) if callable(detector) else detector,
        SignalRegion.scan(2.9, 2.9 + 0.4 * options.windows, width=0.4, step=0.4),
        n_folds=options.folds,
        random_state=seed,
        **choice,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        hunt.fit(search.X)
    found = hunt.results_.query("low <= 3.5 < high")
    return {
        "method": name,
        "strength": strength,
        "seed": seed,
        "z_global": 0.0 if np.isnan(hunt.z_global_) else float(hunt.z_global_),
        "z_found": float(found["z_local"].max()),
        "trusted": float(hunt.results_["trusted"].mean()),
        "trusted_found": float(found["trusted"].mean()),
        "cpu_s": time.process_time() - start,
    }


def reach(table, wanted):
    """Return the strength at which the median significance passes, between measured ones."""
    median = table.groupby("strength")["z_global"].median()
    above = np.flatnonzero(median.to_numpy() >= wanted)
    if not len(above):
        return f"> {median.index[-1]:g}"
    i = above[0]
    if i == 0:
        return f"< {median.index[0]:g}"
    strength = np.interp(wanted, median.iloc[i - 1 : i + 1], median.index[i - 1 : i + 1])
    return f"{strength:.1f}"


def summary(rows):
    """One line a method."""
    lines, rows = [], pd.DataFrame(rows)
    for name, table in rows.groupby("method", sort=False):
        null = table[table["strength"] == 0]
        line = {"method": name}
        for wanted in WANTED:
            line[f"{wanted:g} sigma"] = reach(table, wanted)
        for strength in sorted(rows["strength"].unique()):
            found = table.loc[table["strength"] == strength, "z_global"]
            line[f"z at {strength:g}"] = "-"
            if len(found):
                low, middle, high = np.quantile(found, [0.16, 0.5, 0.84])
                line[f"z at {strength:g}"] = f"{middle:.1f} ({low:.1f} to {high:.1f})"
        line["null above 2"] = f"{(null['z_global'] > 2).sum()} of {len(null)}"
        line["trusted"] = f"{table['trusted'].mean():.0%}"
        line["CPU s"] = f"{table['cpu_s'].median():.0f}"
        lines.append(line)
    return pd.DataFrame(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_option(parser)
    parser.add_argument("--methods", nargs="+", choices=list(methods()), default=list(methods()))
    parser.add_argument("--strengths", nargs="+", type=float, default=[0.0, 1.5, 3.0])
    parser.add_argument("--searches", type=int, default=5, help="searches a point")
    parser.add_argument("--events", type=int, default=300_000, help="background events searched")
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.searches, options.strengths, options.events = 1, [0.0, 3.0], 5000
        options.methods, options.windows, options.folds = ["no cut", "IsolationForest"], 2, 2
    size = {"events": options.events, "windows": options.windows, "folds": options.folds}
    rows, recorded = [], RESULTS / f"reach_{options.events // 1000}k.json"
    if not options.quick and recorded.exists():
        stored = json.loads(recorded.read_text())
        if stored["size"] != size:
            raise SystemExit(f"{recorded} holds searches of {stored['size']}, not of {size}.")
        rows = stored["searches"]
    known = {(row["method"], row["strength"], row["seed"]) for row in rows}
    for seed in range(options.searches):
        for name in options.methods:
            for strength in options.strengths:
                if (name, strength, seed) in known:
                    continue
                rows.append(one_search(name, strength, seed, options))
                print(rows[-1], flush=True)
                if not options.quick:
                    recorded.write_text(json.dumps({"size": size, "searches": rows}, indent=1))
    lines = summary(rows)
    table = "\n".join(markdown(lines.to_numpy(), lines.columns))
    print(table)
    if not options.quick:
        command = f"python benchmarks/reach.py --data FOLDER --events {options.events} "
        command += f"--windows {options.windows} --folds {options.folds} --strengths "
        command += " ".join(f"{s:g}" for s in sorted({row["strength"] for row in rows}))
        about = __doc__.partition("FOLDER")[2].partition("``--quick``")[0].strip()
        text = f"# Discovery reach\n\n    {command}\n\n{about}\n\n{table}\n"
        recorded.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
