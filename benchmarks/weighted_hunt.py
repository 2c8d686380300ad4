"""A bump hunt that counts with weights against one that cuts: p-values without signal, gain with.

Run: OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part null
     OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part dijets --data DATA
     OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part calibration --data DATA
Each writes its part of benchmarks/results/weighted_hunt.md; ``--quick`` is small and writes
nothing. ``--folder`` keeps finished experiments, from which a later run of "null" or "calibration"
goes on.

Both hunts read the same scores: the detectors are fitted once, with a checkpoint. On dijets a
boosted classifier looks for the window against its sidebands, all events moved to one mass by a
`QuantileDecorrelator`, and the background is the sideband fit.

"calibration" makes data without signal from those of one search, as `pseudo_experiments` does, and
searches them with both hunts. Their mean and width calibrate the significances of "dijets".
"""

import argparse
import json
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dijet_search import make_search
from reporting import band, markdown
from samples import add_data_option
from scipy import stats
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import GaussianNB

from skad.datasets import make_resonance
from skad.exceptions import SkadWarning
from skad.resonant import QuantileDecorrelator, Sidebands, SignalRegion, TemplateDetector
from skad.search import (
    BumpHunt,
    SignificanceCalibration,
    background_generator,
    pseudo_experiments,
)

RESULTS = Path(__file__).parent / "results" / "weighted_hunt.json"
WINDOW = (3.3, 3.7)
WEIGHTED, CUT = (0.5, 0.3, 0.1, 0.03, 0.01), (1e-2, 1e-3)
# The first and the last have as many effective events as the two cuts.
WEIGHTED_DIJETS = (0.03, 0.01, 0.003)
SIGNALS = (0.003, 0.006, 0.012)
COMMAND = "    OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part {} --data DATA"


@dataclass(frozen=True)
class Background:
    """Events without signal."""

    n_events: int

    def __call__(self, rng):
        n_events = rng.poisson(self.n_events)
        return make_resonance(n_events, 0, n_features=3, random_state=rng).data


def light_detector():
    template = Sidebands(SignalRegion(*WINDOW, sideband_width=0.25))
    return TemplateDetector(template, GaussianNB(), cv=None)


def hunt_of(detector, seed=None, **options):
    return BumpHunt(
        detector,
        [WINDOW],
        background="sideband",
        n_global_toys=100,
        random_state=seed,
        **options,
    )


def null(n_experiments, folder, n_jobs):
    """p-values of weighted rows on data without signal."""
    hunt = hunt_of(light_detector(), efficiencies=WEIGHTED, weighting="excess")
    table = pseudo_experiments(
        hunt, n_experiments, Background(20_000), folder=folder, n_jobs=n_jobs, random_state=0
    )
    found = []
    for efficiency in WEIGHTED:
        rows = table[(table["efficiency"] == efficiency) & table["trusted"]]
        p_values, z = rows["p_local"].to_numpy(), rows["z_local"].to_numpy()
        found.append(
            {
                "efficiency": efficiency,
                "experiments": int((table["efficiency"] == efficiency).sum()),
                "trusted": len(rows),
                "effective": float((rows["background"] / rows["scale"]).median()),
                "z_mean": float(z.mean()) if len(z) else None,
                "z_std": float(z.std(ddof=1)) if len(z) > 1 else None,
                "p_below_0.05": float(np.mean(p_values < 0.05)) if len(z) else None,
                "ks": float(stats.kstest(p_values, "uniform").pvalue) if len(z) else None,
            }
        )
    return found


def dijet_detector():
    return TemplateDetector(
        Sidebands(reach=1.0),
        HistGradientBoostingClassifier(),
        cv=None,
        decorrelator=QuantileDecorrelator(),
    )


def both_hunts(X, seed, n_jobs=None):
    """Fit a hunt that cuts and one that weighs; the second reads the scores of the first."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        options = {"efficiencies": CUT, "checkpoint": folder, "n_jobs": n_jobs}
        cut = hunt_of(dijet_detector(), seed, **options).fit(X)
        weighted = clone(cut)
        weighted.set_params(efficiencies=WEIGHTED_DIJETS, weighting="excess").fit(X)
    return {"cut": cut, "weighted": weighted}


def rows_of(hunts, **what):
    """Return the rows of both hunts."""
    columns = ["efficiency", "z_raw", "z_local", "trusted", "reason", "background", "scale"]
    return [
        {**what, "kind": kind, **row}
        for kind, hunt in hunts.items()
        for row in hunt.results_[columns].to_dict("records")
    ]


def dijets(data, seeds, quick, n_jobs):
    """Significance of both hunts, one dict for each signal and seed."""
    found = []
    for fraction in SIGNALS[-1:] if quick else SIGNALS:
        for seed in seeds:
            search = make_search(data, seed, signal_fraction=fraction, quick=quick)
            hunts = both_hunts(search.X, seed, n_jobs)
            found += rows_of(hunts, signal=fraction, seed=seed)
            z = {kind: hunt.results_["z_local"].tolist() for kind, hunt in hunts.items()}
            print(fraction, seed, z, flush=True)
    return found


def calibration(data, n_experiments, folder, quick):
    """Significance of both hunts without signal, one dict for each row of each experiment."""
    search = make_search(data, 0, signal_fraction=SIGNALS[0], quick=quick)
    generate, found = None, []
    for seed in range(n_experiments):
        path = None if folder is None else Path(folder) / f"calibration_{seed}.json"
        if path is None or not path.exists():
            generate = generate or background_generator(both_hunts(search.X, 0)["cut"])
            X = generate(np.random.RandomState(seed))
            rows = [
                {
                    name: row[name]
                    for name in ("experiment", "kind", "efficiency", "z_raw", "trusted")
                }
                for row in rows_of(both_hunts(X, seed), experiment=seed)
            ]
            print(seed, [row["z_raw"] for row in rows], flush=True)
            if path is None:
                found += rows
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(rows))
        found += json.loads(path.read_text())
    return found


def of_calibration(rows):
    """Calibrations by way to count and efficiency, and the lines of their table."""
    lines, calibrations = [], {}
    for kind in ("cut", "weighted"):
        mine = [row for row in rows if row["kind"] == kind]
        for efficiency in sorted({row["efficiency"] for row in mine}, reverse=True):
            one = [row for row in mine if row["efficiency"] == efficiency and row["trusted"]]
            z = np.array([row["z_raw"] for row in one])
            if len(z) < 2:
                continue
            found = SignificanceCalibration.from_significances(z)
            calibrations[kind, efficiency] = found
            p_values = stats.norm.sf(found.apply(z))
            ks = stats.kstest(p_values, "uniform").pvalue
            below = np.mean(p_values < 0.05)
            numbers = [f"{value:.3f}" for value in (found.mean, found.std, below, ks)]
            lines.append([kind, efficiency, len(z), *numbers])
    return calibrations, lines


def of_dijets(rows, calibrations):
    """Lines of the table, one for each signal, way to count and efficiency, and the gains."""
    lines, best = [], {}
    for signal in sorted({row["signal"] for row in rows}):
        for kind in ("cut", "weighted"):
            mine = [row for row in rows if (row["signal"], row["kind"]) == (signal, kind)]
            for efficiency in sorted({row["efficiency"] for row in mine}, reverse=True):
                one = [row for row in mine if row["efficiency"] == efficiency]
                z = {"assumed": np.array([row["z_local"] for row in one], dtype=float)}
                if calibrations:
                    raw = np.array([row["z_raw"] for row in one], dtype=float)
                    z["calibrated"] = calibrations[kind, efficiency].apply(raw)
                for how, values in z.items():
                    known = best.setdefault((signal, how), {})
                    known[kind] = max(float(np.nanmedian(values)), known.get(kind, -np.inf))
                effective = np.median([row["background"] / row["scale"] for row in one])
                trusted = f"{sum(row['trusted'] for row in one)} of {len(one)}"
                bands = [band(values) for values in z.values()]
                lines.append([signal, kind, efficiency, *bands, f"{effective:.0f}", trusted])
    gains = [
        f"S/B {signal:.1%}, {how}: the best weighted row has {each['weighted']:.2f} against "
        f"{each['cut']:.2f} of the best cut, {each['weighted'] / each['cut']:.2f} times as much."
        for (signal, how), each in best.items()
    ]
    return lines, gains


def report(known):
    """Return the page of results."""
    lines = ["# A bump hunt that counts with weights", ""]
    if "null" in known:
        lines += [
            "    OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part null",
            "",
            "Without signal: 20 000 events of `make_resonance`, three features, a naive Bayes",
            "classifier against the sidebands, five folds. Trusted rows.",
            "",
        ]
        rows = [
            [row["efficiency"], row["experiments"], row["trusted"], f"{row['effective']:.0f}"]
            + [f"{row[name]:.3f}" for name in ("z_mean", "z_std", "p_below_0.05", "ks")]
            for row in known["null"]
        ]
        header = ["efficiency", "experiments", "trusted", "effective events", "mean z", "width"]
        lines += [*markdown(rows, [*header, "p < 0.05", "KS p-value"]), ""]
    calibrations = {}
    if "calibration" in known:
        rows = known["calibration"]
        n_experiments = len({row["experiment"] for row in rows})
        calibrations, table = of_calibration(rows)
        header = ["counts", "efficiency", "trusted", "mean z", "width"]
        lines += [
            COMMAND.format(f"calibration --experiments {n_experiments}"),
            "",
            f"Simulated dijets, {n_experiments} data sets without signal, made from those of one",
            "search (S/B 0.3 %). z is `z_raw`, in which nothing is assumed of folds that learn",
            "from each other; p-values are those after calibration. Trusted rows.",
            "",
            *markdown(table, [*header, "p < 0.05", "KS p-value"]),
            "",
        ]
    if "dijets" in known:
        table, gains = of_dijets(known["dijets"], calibrations)
        header = ["S/B", "counts", "efficiency", "z"] + ["z calibrated"] * bool(calibrations)
        lines += [
            COMMAND.format("dijets"),
            "",
            "Simulated dijets, 300 000 events, one window, sideband fit; median and 68 % band over",
            f"{len({row['seed'] for row in known['dijets']})} searches. z assumes that half of the",
            "variance of weights is counted twice; the calibration above measures what is.",
            "",
            *markdown(table, [*header, "effective background", "trusted"]),
            "",
            *[line for gain in gains for line in (gain, "")],
        ]
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=("null", "dijets", "calibration"), required=True)
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(10)))
    parser.add_argument("--folder", help="where finished experiments without signal are kept")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small; nothing is written")
    add_data_option(parser)
    arguments = parser.parse_args(arguments)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not arguments.quick else {}
    if arguments.part == "null":
        n_experiments = 2 if arguments.quick else arguments.experiments
        known["null"] = null(n_experiments, arguments.folder, arguments.jobs)
    elif arguments.part == "calibration":
        n_experiments = 3 if arguments.quick else arguments.experiments
        known["calibration"] = calibration(
            arguments.data, n_experiments, arguments.folder, arguments.quick
        )
    else:
        seeds = [0] if arguments.quick else arguments.seeds
        found = dijets(arguments.data, seeds, arguments.quick, arguments.jobs)
        before = [row for row in known.get("dijets", []) if row["seed"] not in seeds]
        known["dijets"] = before + found
    print(report(known))
    if not arguments.quick:
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(report(known))


if __name__ == "__main__":
    main()
