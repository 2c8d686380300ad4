"""A bump hunt that counts with weights against one that cuts: p-values without signal, gain with.

Run: OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part null
     OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part dijets --data DATA
Each writes its part of benchmarks/results/weighted_hunt.md; ``--quick`` is small and writes
nothing. ``--folder`` keeps finished experiments, from which a later run goes on.

Both hunts read the same scores: the detectors are fitted once, with a checkpoint. On dijets a
boosted classifier looks for the window against its sidebands, all events moved to one mass by a
`QuantileDecorrelator`, and the background is the sideband fit.
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
from skad.search import BumpHunt, pseudo_experiments

RESULTS = Path(__file__).parent / "results" / "weighted_hunt.json"
WINDOW = (3.3, 3.7)
WEIGHTED, CUT = (0.5, 0.3, 0.1, 0.03, 0.01), (1e-2, 1e-3)
# The first and the last have as many effective events as the two cuts.
WEIGHTED_DIJETS = (0.03, 0.01, 0.003)
SIGNALS = (0.003, 0.006, 0.012)


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


def dijets(data, seeds, quick, n_jobs):
    """Significance of both hunts, one dict for each signal and seed."""
    found = []
    for fraction in SIGNALS[-1:] if quick else SIGNALS:
        for seed in seeds:
            search = make_search(data, seed, signal_fraction=fraction, quick=quick)
            X = search.X
            detector = TemplateDetector(
                Sidebands(reach=1.0),
                HistGradientBoostingClassifier(),
                cv=None,
                decorrelator=QuantileDecorrelator(),
            )
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore", SkadWarning)
                cut = hunt_of(
                    detector, seed, efficiencies=CUT, checkpoint=folder, n_jobs=n_jobs
                ).fit(X)
                weighted = clone(cut)
                weighted.set_params(efficiencies=WEIGHTED_DIJETS, weighting="excess").fit(X)
            for kind, hunt in (("cut", cut), ("weighted", weighted)):
                columns = ["efficiency", "z_local", "trusted", "reason", "background", "scale"]
                rows = hunt.results_[columns].to_dict("records")
                found += [{"signal": fraction, "seed": seed, "kind": kind, **row} for row in rows]
            print(fraction, seed, cut.results_["z_local"].tolist(), "weighted",
                  weighted.results_["z_local"].tolist(), flush=True)  # fmt: skip
    return found


def of_dijets(rows):
    """Lines of the table, one for each signal, way to count and efficiency."""
    lines, best = [], {}
    for signal in sorted({row["signal"] for row in rows}):
        for kind in ("cut", "weighted"):
            mine = [row for row in rows if (row["signal"], row["kind"]) == (signal, kind)]
            for efficiency in sorted({row["efficiency"] for row in mine}, reverse=True):
                one = [row for row in mine if row["efficiency"] == efficiency]
                z = np.array([row["z_local"] for row in one], dtype=float)
                effective = np.median([row["background"] / row["scale"] for row in one])
                trusted = f"{sum(row['trusted'] for row in one)} of {len(one)}"
                median = float(np.nanmedian(z))
                best[signal, kind] = max(median, best.get((signal, kind), -np.inf))
                lines.append([signal, kind, efficiency, band(z), f"{effective:.0f}", trusted])
    gains = [
        f"S/B {signal:.1%}: the best weighted row has {best[signal, 'weighted']:.2f} against "
        f"{best[signal, 'cut']:.2f} of the best cut."
        for signal in sorted({signal for signal, _ in best})
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
    if "dijets" in known:
        table, gains = of_dijets(known["dijets"])
        header = ["S/B", "counts", "efficiency", "z", "effective background", "trusted"]
        lines += [
            "    OMP_NUM_THREADS=1 python benchmarks/weighted_hunt.py --part dijets --data DATA",
            "",
            "Simulated dijets, 300 000 events, one window, sideband fit; median and 68 % band over",
            f"{len({row['seed'] for row in known['dijets']})} searches.",
            "",
            *markdown(table, header),
            "",
            *gains,
            "",
        ]
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=("null", "dijets"), required=True)
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--folder", help="where finished experiments without signal are kept")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="small; nothing is written")
    add_data_option(parser)
    arguments = parser.parse_args(arguments)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not arguments.quick else {}
    if arguments.part == "null":
        n_experiments = 2 if arguments.quick else arguments.experiments
        known["null"] = null(n_experiments, arguments.folder, arguments.jobs)
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
