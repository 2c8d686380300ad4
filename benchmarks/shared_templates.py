"""Templates of many windows: one SIGMA for all, or a quick one in each, against CATHODE in each.

    OMP_NUM_THREADS=1 python benchmarks/shared_templates.py --data FOLDER

Simulated dijets, with the partitions of `dijet_search.py` and an injected signal, unshifted and
shifted. Closure against true background of 3.3 to 3.7 TeV, max SIC there, and the processor time
of the templates of nine windows from 2.5 to 4.5 TeV. Recorded partition by partition in
benchmarks/results/shared_templates.json; the same command computes what is missing there and
writes shared_templates.md. ``--quick`` is small and writes nothing.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from dijet_search import REGION, make_search, performance
from reporting import band, markdown
from samples import add_data_option

from skad.density import FlowDensity
from skad.detectors import TreeEnsembleClassifier
from skad.inspection import closure_auc, template_closure
from skad.resonant import (
    CATHODE,
    SIGMA,
    GivenReference,
    QuantileMorphing,
    SignalRegion,
    TemplateDetector,
)

RESULTS = Path(__file__).parent / "results" / "shared_templates.json"
WINDOWS = SignalRegion.scan(2.5, 4.5, width=0.4, step=0.2)
FRACTION = 0.01


def templates(quick):
    epochs = {"max_epochs": 1} if quick else {}
    matching = FlowDensity(
        "flow_matching",
        flow_options={"n_frequencies": 4},
        batch_size=1024,
        max_epochs=1 if quick else 30,
    )
    own = FlowDensity(max_epochs=15, flow_options={"n_frequencies": 4})
    return {
        "CATHODE": CATHODE(FlowDensity(**epochs)),
        "SIGMA": SIGMA(own.set_params(**epochs)),
        "SIGMA, flow matching": SIGMA(matching),
        "QuantileMorphing": QuantileMorphing(),
    }


def measure(options, shifted, seed):
    """Return what every template does in one partition."""
    search = make_search(
        options.data,
        seed,
        signal_fraction=FRACTION,
        shifted=shifted,
        n_data=4000 if options.quick else options.events,
        quick=options.quick,
    )
    found = {}
    for name, template in templates(options.quick).items():
        template.set_params(random_state=seed)
        start = time.process_time()
        shared = template.fit_shared(search.X)
        common = time.process_time() - start
        fitted = template.set_params(region=REGION, **shared).fit(search.X)
        sample = fitted.sample_background(random_state=seed)
        one = time.process_time() - start
        numbers = {"seconds": one}
        if not shifted and seed == 0 and name != "CATHODE":
            start = time.process_time()
            for window in WINDOWS[3:5] if options.quick else WINDOWS:
                other = template.set_params(region=window).fit(search.X)
                other.sample_background(random_state=seed)
            numbers["seconds of nine"] = common + time.process_time() - start
        # The same number of events of each, so that distances by chance are the same.
        n = min(len(sample[0]), len(search.background) // 2, 12_000)
        few, truth = (events[:n] for events in (sample[0], search.background))
        some = {name: [(few, np.ones(n))]}
        ks = template_closure(some, truth, features=[1, 2, 3, 4])
        n_null = 3 if options.quick else 5
        area = closure_auc(
            some,
            search.background[: 2 * n],
            features=[1, 2, 3, 4],
            n_null=n_null,
            random_state=seed,
        ).auc
        data = search.X[REGION.mask(search.X)]
        detector = TemplateDetector(
            GivenReference(REGION),
            TreeEnsembleClassifier(1, n_forest_trees=2)
            if options.quick
            else TreeEnsembleClassifier(5, n_forest_trees=30),
            cv=None,
            random_state=seed,
        ).fit(np.concatenate([data, sample[0]]), np.repeat([1, 0], [len(data), len(sample[0])]))
        events, labels = search.test
        numbers |= {
            "ks": float(ks["statistic"].mean()),
            "ks by chance": float(ks["expected"].mean()),
            "closure auc": float(area["roc_auc"].mean()),
            "null auc": float(area["null_mean"].mean()),
            "null spread": float(area["null_std"].mean()),
        }
        numbers |= performance(labels, detector.anomaly_score(events))
        found[name] = numbers
        print(shifted, seed, name, numbers, flush=True)
    return found


def report(known, command):
    """Return the tables as text."""
    lines = ["# Templates of many windows", "", command, "", __doc__.split("\n\n")[2], ""]
    names = list(next(iter(known.values())))
    for shifted, title in ((0, "Unshifted"), (1, "Shifted")):
        cells = [found for key, found in known.items() if key.startswith(f"{shifted} ")]
        if not cells:
            continue
        rows = []
        for name in names:
            of = {key: [found[name].get(key, np.nan) for found in cells] for key in cells[0][name]}
            ratio = [found[name]["max_sic"] / found["CATHODE"]["max_sic"] for found in cells]
            rows.append(
                [
                    name,
                    band(of["ks"], 4),
                    band(of["closure auc"], 4),
                    band(of["max_sic"], 1),
                    band(ratio),
                    band(of["seconds"], 1),
                ]
            )
        chance = band([found["CATHODE"]["ks by chance"] for found in cells], 4)
        null = band([found["CATHODE"]["null auc"] for found in cells], 4)
        spread = band([found["CATHODE"]["null spread"] for found in cells], 4)
        lines += [
            f"## {title}, {len(cells)} partitions",
            "",
            f"By chance a KS distance of {chance}, and of truth against truth an AUC of {null}, "
            f"its spread {spread}.",
            "",
            *markdown(rows, ["template", "KS", "AUC", "max SIC", "over CATHODE", "CPU s of one"]),
            "",
        ]
    timed = known.get("0 0")
    if timed:
        cathode = timed["CATHODE"]["seconds"]
        rows = [
            [name, f"{seconds:.1f}", f"{seconds / cathode:.2f}"]
            for name, found in timed.items()
            if (seconds := found.get("seconds of nine")) is not None
        ]
        lines += [
            "## Nine windows",
            "",
            f"Fit and samples of nine windows, against {cathode:.1f} CPU s of one CATHODE.",
            "",
            *markdown(rows, ["template", "CPU s", "over one CATHODE"]),
            "",
        ]
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_option(parser)
    parser.add_argument("--events", type=int, default=100_000, help="that play the data")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--shifts", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    options = parser.parse_args(arguments)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.quick else {}
    for seed in options.seeds[: 1 if options.quick else None]:
        for shifted in options.shifts[: 1 if options.quick else None]:
            key = f"{shifted} {seed}"
            if key in known:
                continue
            known[key] = measure(options, bool(shifted), seed)
            if not options.quick:
                RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    command = "    OMP_NUM_THREADS=1 python benchmarks/shared_templates.py --data FOLDER"
    text = report(known, command)
    if not options.quick:
        RESULTS.with_suffix(".md").write_text(text)
    return text


if __name__ == "__main__":
    main()
