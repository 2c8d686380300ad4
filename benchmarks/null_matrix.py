"""What a bump hunt claims without signal, for every detector and background on offer.

    OMP_NUM_THREADS=1 python benchmarks/null_matrix.py

Background-only pseudo-experiments of `make_resonance`, everything retrained in each; one window,
five folds, efficiencies of 0.1 and 0.02. Features are independent of m, or shifted with it. Small
classifiers that learn their training events by heart and small flows: what would show, shows.
Trusted rows count.
Recorded cell by cell in benchmarks/results/null_matrix.json; the same command computes what is
missing there and writes null_matrix.md. ``--quick`` is small and writes nothing.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from fast_detectors import MixtureRatio
from reporting import markdown
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.resonant import (
    ANODE,
    CATHODE,
    CURTAINS,
    FETA,
    SALAD,
    SIGMA,
    CombinedTemplate,
    GivenReference,
    LaCATHODE,
    QuantileDecorrelator,
    QuantileMorphing,
    ResidualANODE,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.search import BumpHunt, pseudo_experiments
from skad.utils._children import requires_y

RESULTS = Path(__file__).parent / "results" / "null_matrix.json"
REGION = SignalRegion(3.3, 3.7)
EFFICIENCIES = (0.1, 0.02)
SHIFTS = {"independent": 0.0, "shifted": 1.0}
N_EVENTS = {"light": 10_000, "flows": 6_000}
_Z_OF_5_PERCENT = 1.6449
# Trusted rows that know a width to worse than a seventh.
_FEW = 25
# A row may claim this much without signal, before the error of the study.
MEAN, WIDTH = 0.3, (0.9, 1.15)


def flow():
    return FlowDensity(
        "maf", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=4, batch_size=256
    )


def by_heart():
    return ExtraTreesClassifier(20, min_samples_leaf=20, bootstrap=True)


def detectors():
    """Return the detectors: whether they are light, and an unfitted instance."""

    def of(template, decorrelator=None):
        return TemplateDetector(template, by_heart(), cv=None, decorrelator=decorrelator)

    narrow = Sidebands(SignalRegion(3.3, 3.7, sideband_width=0.4))
    transport = FlowDensity(
        "nsf_coupling", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=3, batch_size=256
    )
    return {
        "IsolationForest": ("light", IsolationForest(n_estimators=20)),
        "MixtureRatio": ("light", MixtureRatio()),
        "Sidebands": ("light", of(narrow)),
        "Sidebands, decorrelated": ("light", of(narrow, QuantileDecorrelator())),
        "IsolationForest, decorrelated": (
            "light",
            make_pipeline(
                QuantileDecorrelator(keep_resonance=False), IsolationForest(n_estimators=20)
            ),
        ),
        "QuantileMorphing": ("light", of(QuantileMorphing())),
        "GivenReference": ("light", of(GivenReference())),
        "SALAD": ("light", of(SALAD(LogisticRegression()))),
        "CATHODE": ("flows", of(CATHODE(flow(), oversampling=2.0))),
        "SIGMA": ("flows", of(SIGMA(flow(), oversampling=2.0))),
        "CATHODE, decorrelated": (
            "flows",
            of(CATHODE(flow(), oversampling=2.0), QuantileDecorrelator()),
        ),
        "SIGMA, decorrelated": (
            "flows",
            of(SIGMA(flow(), oversampling=2.0), QuantileDecorrelator()),
        ),
        "LaCATHODE": ("flows", of(LaCATHODE(flow(), oversampling=2.0))),
        "CURTAINS": ("flows", of(CURTAINS(flow(), transport, mass_spectrum="kde"))),
        "FETA": ("flows", of(FETA(flow(), transport, oversampling=2.0))),
        "CombinedTemplate": (
            "flows",
            of(CombinedTemplate([("sidebands", narrow), ("cathode", CATHODE(flow()))])),
        ),
        "ANODE": ("flows", ANODE(flow(), flow())),
        "ResidualANODE": ("flows", ResidualANODE(flow(), flow(), n_folds=2)),
    }  # fmt: skip


class Generate:
    """Background events of one experiment, with simulation of the same kind where it is needed."""

    def __init__(self, n_events, shift, simulation):
        self.n_events = n_events
        self.shift = shift
        self.simulation = simulation

    def __call__(self, random_state):
        X = self._draw(random_state.poisson(self.n_events), random_state)
        if not self.simulation:
            return X
        simulation = self._draw(self.n_events, random_state)
        y = np.repeat([1, 0], [len(X), len(simulation)])
        return np.concatenate([X, simulation]), y

    def _draw(self, n, random_state):
        return make_resonance(
            n, 0, n_features=4, dependence=self.shift, random_state=random_state
        ).data


def cells(names=None):
    """Yield the key of every cell with its search and generator."""
    for name, (kind, detector) in detectors().items():
        if names and name not in names:
            continue
        methods = ["sideband"]
        if hasattr(detector, "held_out_background"):
            methods.append("direct")
            # Of a learned background it is the sideband fit, to the bit.
            methods += [] if detector.is_learned else ["auto"]
        for shifted, shift in SHIFTS.items():
            generate = Generate(N_EVENTS[kind], shift, requires_y(detector))
            for method in methods:
                hunt = BumpHunt(
                    detector,
                    [REGION],
                    efficiencies=EFFICIENCIES,
                    background=method,
                    n_samples=10_000,
                    n_global_toys=1000,
                )
                yield (name, method, shifted), kind, hunt, generate


def claims(table):
    """What the trusted rows of one cell claim, by efficiency."""
    found = {}
    for efficiency, rows in table.groupby("efficiency"):
        z = rows.loc[rows["trusted"], "z_local"].to_numpy()
        n = len(z)
        found[f"{efficiency:g}"] = {
            "experiments": len(rows),
            "trusted": n / len(rows),
            "z_mean": float(z.mean()) if n else None,
            "z_std": float(z.std(ddof=1)) if n > 1 else None,
            "p_below_0.05": float(np.mean(rows.loc[rows["trusted"], "p_local"] < 0.05))
            if n
            else None,
        }
    first = table.groupby("experiment")["p_global"].first().dropna()
    found["p_global_below_0.05"] = float(np.mean(first < 0.05)) if len(first) else None
    return found


def verdict(claim):
    """Say whether the trusted rows keep within the bounds, given how many they are."""
    n = round(claim["trusted"] * claim["experiments"])
    if n < 0.2 * claim["experiments"]:
        return "not trusted"
    if n < _FEW:
        return "too few to say"
    mean, width = claim["z_mean"], claim["z_std"]
    error = width / np.sqrt(n)
    low, high = WIDTH[0] - 2 * error / 2**0.5, WIDTH[1] + 2 * error / 2**0.5
    return "kept" if abs(mean) < MEAN + 2 * error and low < width < high else "broken"


def report(measured):
    """Return the table as text."""
    rows = []
    for key, found in measured.items():
        for efficiency in EFFICIENCIES:
            claim = found[f"{efficiency:g}"]
            numbers = [
                "-" if claim[name] is None else f"{claim[name]:.2f}"
                for name in ("z_mean", "z_std", "p_below_0.05")
            ]
            where = [*key.split(" / "), efficiency, claim["experiments"], f"{claim['trusted']:.2f}"]
            rows.append([*where, *numbers, verdict(claim)])
    header = ["detector", "background", "features", "efficiency", "experiments", "trusted"]
    header += ["mean z", "width", "p < 0.05", "bounds"]
    return "\n".join(
        [
            "# What a search claims without signal",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/null_matrix.py",
            "",
            "Mean and width of the local z of trusted rows, share of p-values below 5 %.",
            f"Bounds: a mean within {MEAN} and a width of {WIDTH[0]} to {WIDTH[1]}, each with",
            "twice the error of the study; where hardly any row is trusted, it says so.",
            "",
            *markdown(rows, header),
            "",
            "Where less than a fifth of the rows is trusted, these passed the sculpting test by",
            "chance; they are few, and no better than the others. Rows of a learned direct",
            "background are never trusted without a calibration and were run twice only.",
            "",
        ]
    )


def measure(hunt, generate, n_experiments, n_jobs):
    table = pseudo_experiments(hunt, n_experiments, generate, n_jobs=n_jobs, random_state=0)
    return claims(table)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=100, help="of light detectors")
    parser.add_argument("--flows", type=int, default=40, help="experiments of detectors with flows")
    parser.add_argument("--detectors", nargs="*", help="names; default all")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two experiments, nothing written")
    arguments = parser.parse_args(arguments)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not arguments.quick else {}
    measured = {}
    for key, kind, hunt, generate in cells(arguments.detectors):
        name = " / ".join(key)
        n = arguments.experiments if kind == "light" else arguments.flows
        # No row of a learned background is trusted, however often it is tried.
        refused = key[1] == "direct" and getattr(hunt.detector, "is_learned", False)
        n = 2 if arguments.quick or refused else n
        if name in known:
            continue
        start = time.perf_counter()
        measured[name] = known[name] = measure(hunt, generate, n, arguments.jobs)
        print(name, f"{time.perf_counter() - start:.0f} s", json.dumps(measured[name]), flush=True)
        if not arguments.quick:
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    if not arguments.quick:
        RESULTS.with_suffix(".md").write_text(report(known))
    return measured


if __name__ == "__main__":
    main()
