"""Are the local p-values of the bump hunt uniform without signal, and what is its power?

Background-only pseudo-experiments of `make_resonance`, everything retrained in each; one window,
small fast detectors. Recorded in benchmarks/results/bump_hunt_coverage.json, method by method; the
same command computes what is missing there, and writes bump_hunt_coverage.md from it.

    python benchmarks/bump_hunt_coverage.py --experiments 300 --jobs 2
"""

import argparse
import json
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
from fast_detectors import MixtureRatio, TreeHunter
from reporting import markdown
from scipy import stats

from skad.datasets import make_resonance
from skad.exceptions import LowStatisticsWarning
from skad.resonant import SignalRegion
from skad.search import BumpHunt, SignificanceCalibration, local_p_value, pseudo_experiments

RESULTS = Path(__file__).parent / "results" / "bump_hunt_coverage.json"
N_EVENTS = 10_000
REGION = SignalRegion(3.3, 3.7)
EFFICIENCIES = (1.0, 0.1, 0.02)
N_SIGNAL = (20, 40, 80)


class Generate:
    """Events of one experiment: Poisson numbers of background and signal."""

    def __init__(self, n_signal=0.0, dependence=0.0):
        self.n_signal = n_signal
        self.dependence = dependence

    def __call__(self, random_state):
        return make_resonance(
            random_state.poisson(N_EVENTS),
            random_state.poisson(self.n_signal),
            dependence=self.dependence,
            random_state=random_state,
            return_X_y=True,
        )[0]


def hunts():
    """One search per background method; the spectrum reaches from 2.5 to 5 TeV."""
    search = partial(
        BumpHunt,
        windows=[REGION],
        efficiencies=EFFICIENCIES,
        n_samples=20_000,
        n_global_toys=1000,
    )
    return {
        "mixtures, sideband": search(MixtureRatio(), n_parameters=3),
        "mixtures, direct": search(MixtureRatio(), n_parameters=3, background="direct"),
        "trees, sideband": search(TreeHunter(), n_parameters=3),
        "mixtures, sideband, order by F-test": search(MixtureRatio()),
    }


def describe(table):
    """Coverage of one method at one efficiency."""
    z = table["z_local"].dropna().to_numpy()
    p = stats.norm.sf(z)
    gaussian = local_p_value(
        table["n_observed"].to_numpy(),
        table["background"].to_numpy(),
        np.hypot(table["stat"], table["syst"]).to_numpy(),
        constraint="gaussian",
    )
    half = len(z) // 2
    calibrated = SignificanceCalibration.from_significances(z[:half]).apply(z[half:])
    return {
        "experiments": len(z),
        "observed_median": float(table["n_observed"].median()),
        "background_over_observed": float((table["background"] / table["n_observed"]).median()),
        "ks_p": float(stats.kstest(p, "uniform").pvalue),
        "ks_p_gaussian_constraint": float(stats.kstest(gaussian, "uniform").pvalue),
        "ks_p_calibrated": float(stats.kstest(stats.norm.sf(calibrated), "uniform").pvalue),
        "z_mean": float(z.mean()),
        "z_std": float(z.std(ddof=1)),
        "z_std_error": float(z.std(ddof=1) / np.sqrt(2 * len(z))),
        "p_below_0.05": float(np.mean(p < 0.05)),
    }


def coverage(name, hunt, n_experiments, n_jobs, seed=0):
    """Coverage of one method at every efficiency."""
    start = time.perf_counter()
    table = pseudo_experiments(hunt, n_experiments, Generate(), n_jobs=n_jobs, random_state=seed)
    seconds = time.perf_counter() - start
    report = {
        f"{efficiency:g}": describe(group) for efficiency, group in table.groupby("efficiency")
    }
    report["seconds"] = round(seconds, 1)
    print(name, json.dumps(report, indent=1), flush=True)
    return report


def power(name, hunt, n_experiments, n_jobs, seed=1):
    """Median significance, and how often it passes 3, against the injected signal."""
    report = {}
    for n_signal in N_SIGNAL:
        table = pseudo_experiments(
            hunt, n_experiments, Generate(n_signal), n_jobs=n_jobs, random_state=seed
        )
        for efficiency, group in table.groupby("efficiency"):
            report.setdefault(f"{efficiency:g}", {})[n_signal] = {
                "z_median": float(group["z_local"].median()),
                "z_68": [float(q) for q in group["z_local"].quantile([0.16, 0.84])],
                "above_3": float(np.mean(group["z_local"] > 3)),
            }
    print(name, json.dumps(report, indent=1), flush=True)
    return report


def tables(report):
    """Return the recorded results as Markdown."""
    coverage_rows = [
        [
            name,
            efficiency,
            f"{row['observed_median']:.0f}",
            f"{row['background_over_observed']:.2f}",
            f"{row['z_mean']:.2f}",
            f"{row['z_std']:.2f} ± {row['z_std_error']:.2f}",
            f"{100 * row['p_below_0.05']:.1f} %",
            f"{row['ks_p']:.2g}",
            f"{row['ks_p_calibrated']:.2g}",
        ]
        for name, rows in report["coverage"].items()
        for efficiency, row in rows.items()
        if efficiency != "seconds"
    ]
    power_rows = [
        [
            name,
            efficiency,
            n_signal,
            f"{row['z_median']:.1f} ({row['z_68'][0]:.1f} to {row['z_68'][1]:.1f})",
            f"{100 * row['above_3']:.0f} %",
        ]
        for name, rows in report["power"].items()
        for efficiency, by_signal in rows.items()
        for n_signal, row in by_signal.items()
    ]
    low, high = report["region_TeV"]
    return "\n".join(
        [
            "# Coverage and power of the bump hunt",
            "",
            f"`{report['command']}`",
            "",
            f"Pseudo-experiments of {report['events']} events, one window of {low} to {high} TeV, "
            "everything retrained in each. Mixtures score by the ratio of two Gaussian mixtures, "
            "trees are CWoLa hunting with boosted trees.",
            "",
            "## Without signal",
            "",
            "Local p-values should be uniform (KS p-value) and z standard normal. Calibrated: the "
            "second half of the experiments, with mean and width of z in the first.",
            "",
            *markdown(
                coverage_rows,
                [
                    "detector, background",
                    "efficiency",
                    "events, median",
                    "background / events",
                    "mean of z",
                    "std of z",
                    "p < 0.05",
                    "KS p-value",
                    "the same, calibrated",
                ],
            ),
            "",
            "## With signal",
            "",
            "Local significance, median and 68 % band.",
            "",
            *markdown(
                power_rows,
                ["detector, background", "efficiency", "signal events", "z", "z > 3"],
            ),
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument("--power-experiments", type=int, default=40)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two experiments, writes nothing")
    options = parser.parse_args(arguments)
    if options.quick:
        for name in ("mixtures, sideband", "mixtures, direct"):
            with warnings.catch_warnings():
                # Two experiments calibrate nothing.
                warnings.simplefilter("ignore", LowStatisticsWarning)
                print(name, coverage(name, hunts()[name], 4, 1))
        return
    report = {
        "command": f"python benchmarks/bump_hunt_coverage.py --experiments {options.experiments} "
        f"--power-experiments {options.power_experiments} --jobs {options.jobs}",
        "events": N_EVENTS,
        "region_TeV": [REGION.low, REGION.high],
        "coverage": {},
        "power": {},
    }

    def record(part, name, result):
        # After every method, so that an interrupted study keeps what it has.
        report[part][name] = result
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")
        RESULTS.with_suffix(".md").write_text(tables(report))

    if RESULTS.exists():
        earlier = json.loads(RESULTS.read_text())
        if earlier["command"] == report["command"]:
            report = earlier
    for name, hunt in hunts().items():
        if name not in report["coverage"]:
            record("coverage", name, coverage(name, hunt, options.experiments, options.jobs))
    for name in ("mixtures, sideband", "mixtures, direct", "trees, sideband"):
        if name not in report["power"]:
            hunt = hunts()[name]
            record("power", name, power(name, hunt, options.power_experiments, options.jobs))


if __name__ == "__main__":
    main()
