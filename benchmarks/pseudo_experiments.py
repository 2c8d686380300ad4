"""Data without signal made of data: does a search claim there what it claims on true background?

Run: OMP_NUM_THREADS=1 python benchmarks/pseudo_experiments.py --experiments 80
     OMP_NUM_THREADS=1 python benchmarks/pseudo_experiments.py --time
The first writes benchmarks/results/pseudo_experiments.md, with the times that the second has added
to pseudo_experiments.json. ``--quick`` is small and writes nothing.

`make_resonance` is the truth. True experiments draw fresh data; the others are made by
`pseudo_experiments` of four data sets, a quarter of each. One window, two folds. Small
classifiers that learn by heart: what repeated events would do, shows.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from null_matrix import Generate, detectors
from reporting import markdown
from scipy import stats

from skad.datasets import make_resonance
from skad.exceptions import SkadWarning
from skad.resonant import Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt, pseudo_experiments
from skad.utils._children import requires_y

RESULTS = Path(__file__).parent / "results" / "pseudo_experiments.json"
N_EVENTS = 6_000
N_DATA_SETS = 4
EFFICIENCIES = (0.1, 0.02)
N_WINDOWS = 5
CASES = [
    ("Sidebands", 0.0),
    ("Sidebands", 1.0),
    ("GivenReference", 1.0),
    ("GivenReference", 0.0),
    ("IsolationForest", 0.0),
]


def hunt_of(name):
    return BumpHunt(
        detectors()[name][1],
        [SignalRegion(3.3, 3.7)],
        efficiencies=EFFICIENCIES,
        n_folds=2,
        n_global_toys=2000,
    )


def validate(name, shift, n_experiments, n_jobs, n_events=N_EVENTS):
    """Return the significances of true and of made experiments, and how the latter were made."""
    hunt = hunt_of(name)
    generate = Generate(n_events, shift, requires_y(hunt.detector))
    options = {"n_jobs": n_jobs, "verbose": 0}
    true = pseudo_experiments(hunt, n_experiments, generate, random_state=1, **options)
    parts = []
    for k in range(N_DATA_SETS):
        data = generate(np.random.RandomState(1000 + k))
        fitted = hunt_of(name).set_params(random_state=k)
        with warnings.catch_warnings():
            # As in the experiments: a small search by intention.
            warnings.simplefilter("ignore", SkadWarning)
            fitted.fit(*data) if isinstance(data, tuple) else fitted.fit(data)
        # Seeds of the folds that differ from experiment to experiment.
        fitted.set_params(random_state=None)
        part = pseudo_experiments(
            fitted, max(n_experiments // N_DATA_SETS, 1), random_state=k, **options
        )
        parts.append(part.assign(data_set=k, made=part.attrs["generate"]))
    return true, pd.concat(parts, ignore_index=True)


def compare(true, made):
    """Rows of the table: one for each efficiency, one for the global p-value."""
    rows = []
    for efficiency in EFFICIENCIES:
        a, b = (table.loc[table["efficiency"] == efficiency] for table in (true, made))
        z = [table["z_raw"].dropna() for table in (a, b)]
        numbers = [f"{each.mean():.2f}, {each.std():.2f}" for each in z]
        trusted = [f"{table['trusted'].mean():.2f}" for table in (a, b)]
        ks = stats.ks_2samp(*z).pvalue
        rows.append([f"z at {efficiency:g}", len(z[0]), len(z[1]), *numbers, *trusted, f"{ks:.2f}"])
    keys = (["experiment"], ["data_set", "experiment"])
    p = [
        t.groupby(key)["p_global"].first().dropna()
        for t, key in zip((true, made), keys, strict=True)
    ]
    if min(map(len, p)) > 1:
        share = [f"{np.mean(each < 0.05):.2f} below 0.05" for each in p]
        ks = stats.ks_2samp(*p).pvalue
        rows.append(["p_global", len(p[0]), len(p[1]), *share, "", "", f"{ks:.2f}"])
    return rows


def default_search(n_features, n_windows):
    """The search whose time counts: default CWoLa detector, 5 windows and folds, 80 000 events."""
    windows = SignalRegion.scan(3.0, 4.2, width=0.4, step=0.2)[:n_windows]
    X = make_resonance(80_000, 0, n_features=n_features, random_state=0).data
    return BumpHunt(TemplateDetector(Sidebands(), cv=None), windows, random_state=0), X


def seconds_of_a_search(n_features, n_windows, n_events=None):
    """CPU seconds of one fit of the default search, one thread, of fewer windows in proportion."""
    hunt, X = default_search(n_features, n_windows)
    X = X[:n_events]
    start = time.process_time()
    hunt.fit(X)
    return (time.process_time() - start) * N_WINDOWS / n_windows


def report(found):
    rows = [
        [name, "shifted" if shift else "independent", case["made"], *row]
        for name, shift, case in found.get("cases", [])
        for row in case["rows"]
    ]
    header = ["detector", "features", "made by", "what", "true", "made", "true: mean, width"]
    header += ["made: mean, width", "true: trusted", "made: trusted", "KS p"]
    times = [[*each.values()] for each in found.get("times", [])]
    return "\n".join(
        [
            "# Data without signal made of data",
            "",
            f"    OMP_NUM_THREADS=1 python benchmarks/pseudo_experiments.py {found['arguments']}",
            "",
            f"{N_EVENTS} events of `make_resonance`, one window, everything retrained. True:",
            f"fresh data in every experiment. Made: `pseudo_experiments` of {N_DATA_SETS} data",
            "sets. z is `z_raw`, by which a search is calibrated.",
            "Untrusted rows count here: a sculpting cut must sculpt the same.",
            "",
            *markdown(rows, header),
            "",
            "## Time of one experiment",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/pseudo_experiments.py --time",
            "",
            "`BumpHunt(TemplateDetector(Sidebands(), cv=None))`, 80 000 events, 5 folds, three",
            "efficiencies, one thread of a busy machine, in turn; of fewer than five windows, in",
            "proportion.",
            "",
            *markdown(
                times,
                ["code", "features", "windows timed", "CPU seconds of five", "CPU hours of 200"],
            ),
            "",
            *found.get("notes", []),
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=80)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--time", action="store_true", help="one default search, timed")
    parser.add_argument("--label", default="now", help="what code the time is of")
    parser.add_argument("--features", type=int, default=2)
    parser.add_argument("--windows", type=int, default=N_WINDOWS, help="timed, of the five")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.quick else {}
    found["arguments"] = f"--experiments {options.experiments}"
    if options.time:
        n_windows, n_events = (1, 6000) if options.quick else (options.windows, None)
        seconds = seconds_of_a_search(options.features, n_windows, n_events)
        row = {"code": options.label, "features": options.features, "windows": options.windows}
        row["seconds"] = round(seconds)
        found.setdefault("times", []).append(row | {"hours": round(seconds * 200 / 3600, 1)})
        print(found["times"][-1])
    known = {(name, shift) for name, shift, _ in found.setdefault("cases", [])}
    for name, shift in [] if options.time else CASES[:1] if options.quick else CASES:
        if (name, shift) in known:
            continue
        n, size = (4, 3000) if options.quick else (options.experiments, N_EVENTS)
        start = time.perf_counter()
        true, made = validate(name, shift, n, options.jobs, size)
        case = {"made": ", ".join(sorted(set(made["made"]))), "rows": compare(true, made)}
        found["cases"].append((name, shift, case))
        print(name, shift, f"{time.perf_counter() - start:.0f} s", json.dumps(case), flush=True)
        if not options.quick:
            RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    text = report(found)
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(text)
    return found


if __name__ == "__main__":
    main()
