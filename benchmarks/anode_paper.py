"""The search of arXiv:2001.04990 on simulated dijets: ANODE, ResidualANODE and their rivals.

Run: OMP_NUM_THREADS=1 python benchmarks/anode_paper.py --data FOLDER --seeds 5
Recorded with ``--null-seeds 6 --paper-seeds 2`` in several runs, both cores busy, which costs up to
a half more processor time; ten seeds of the unshifted search, one search of the scan without
signal; ``--part throughput`` alone and with OMP_NUM_THREADS=2. In the time of ANODE are the two
fits to halves of the data. Every result goes to benchmarks/results/anode_paper.json as soon as it
is there, and a later run computes what is missing; anode_paper.md is written from it. ``--part``
limits a run, ``--quick`` is small and writes nothing.
"""

import argparse
import contextlib
import json
import resource
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from dijet_search import REGION, make_search, performance, score_with_reference
from reporting import band, markdown
from samples import add_data_option
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator

from skad import papers
from skad.density import FlowDensity
from skad.detectors import CascadeClassifier, TreeEnsembleClassifier
from skad.exceptions import FiducialWarning, LowStatisticsWarning, RegionError
from skad.metrics import significance_improvement_at
from skad.resonant import ANODE, GivenReference, ResidualANODE, Sidebands, TemplateDetector
from skad.search import direct_background, importance_background, sideband_background

RESULTS = Path(__file__).parent / "results"
FRACTIONS = (0.006, 0.003, 0.0015, 0.0)
EFFICIENCIES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3)
SIGNAL_EFFICIENCIES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
METHODS = (
    "ANODE",
    "ResidualANODE",
    "IAD",
    "supervised",
    "CWoLa",
    "CWoLa (cascade)",
    "IsolationForest",
    "ANODE (paper)",
    "CWoLa (paper)",
)
PAPER = ("ANODE (paper)", "CWoLa (paper)")
# The papers' configurations train for long: fewer events, with the same S/sqrt(B).
PAPER_EVENTS, PAPER_FRACTION = 100_000, 0.0104
# The size of the paper: about 60 000 events of the region, 400 of them signal.
FULL_EVENTS, FULL_FRACTION = 430_000, 0.0067
# What arXiv:2001.04990 says of its unshifted search, S/B = 0.6 %.
PUBLISHED = {"ANODE (paper)": ("about 7", "0.82")}
MEASURES = ("max_sic", "sic_at_1e3", "auc")
FOLDS = 5


class Store:
    """Results by name in a JSON file, written after each of them."""

    def __init__(self, path):
        self.path = path
        self.results = json.loads(path.read_text()) if path and path.exists() else {}

    def __contains__(self, name):
        return name in self.results

    def add(self, name, result):
        self.results[name] = result
        print(name, json.dumps(result), flush=True)
        if self.path:
            self.path.write_text(json.dumps(self.results, indent=1, sort_keys=True) + "\n")


def name_of(method, fraction, shifted, seed):
    return f"{method} | {fraction:g} | {'shifted' if shifted else 'unshifted'} | {seed}"


def flows(quick):
    """Densities of data, background and signal: the defaults, or tiny ones."""
    if not quick:
        return {"data": None, "background": None, "signal": None}
    return {
        "data": FlowDensity(max_epochs=2),
        "background": FlowDensity(batch_size=2048, max_epochs=2),
        "signal": FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=4),
    }


class Detectors:
    """The detectors of one search; both flows share one background density.

    With `halves` the bias of ANODE's importance weights is corrected too, by two further fits.
    """

    def __init__(self, search, seed, quick, halves=False):
        self.search, self.seed, self.quick, self.halves = search, seed, quick, halves
        self.flows = flows(quick)
        self.trees = TreeEnsembleClassifier(2 if quick else 20, n_forest_trees=30)
        self.n_samples = 20_000 if quick else 200_000
        self.anode = None

    def scores(self, method):
        """Scores of the test events and further facts."""
        started = time.process_time()
        name, _, variant = method.partition(" ")
        scores, facts = getattr(self, f"_{name.lower()}")(variant.strip("()"))
        return scores, {**facts, "cpu_seconds": round(time.process_time() - started, 1)}

    def fitted_anode(self):
        if self.anode is None:
            self.anode = ANODE(
                self.flows["data"],
                self.flows["background"],
                region=REGION,
                threshold=1.0,
                cv=None,
                random_state=self.seed,
            ).fit(self.search.X)
        return self.anode

    def _closure(self, detector, halves=()):
        return background_closure(detector, self.search, self.seed, self.n_samples, halves)

    def _fitted_halves(self):
        """ANODE with data densities of one random half of the events each."""
        anode = self.fitted_anode()
        one = np.random.RandomState(self.seed).permutation(len(self.search.X)) % 2 == 0
        return [
            clone(anode)
            .set_params(
                background_density=FrozenEstimator(anode.background_density_),
                coordinates=FrozenEstimator(anode.coordinates_),
            )
            .fit(self.search.X[half])
            for half in (one, ~one)
        ]

    def _anode(self, variant):
        detector, halves = self.fitted_anode(), ()
        if self.halves and not variant:
            halves = self._fitted_halves()
        if variant == "paper":
            options = {"data_density__max_epochs": 1, "background_density__max_epochs": 1}
            detector = papers.anode(REGION, random_state=self.seed)
            # The events that are scored are others than those of the training.
            detector.set_params(threshold=1.0, cv=None, **(options if self.quick else {}))
            detector.fit(self.search.X)
        events, truth = self.search.test
        facts = self._closure(detector, halves)
        # The paper counts relative to the events of the fiducial region.
        kept = detector.fiducial_mask(events)
        facts["fiducial_efficiency"] = [float(kept[truth == label].mean()) for label in (0, 1)]
        return detector.anomaly_score(events), facts

    def _residualanode(self, variant):
        # ANODE's background density serves both, where it has been fitted.
        background = self.flows["background"]
        if self.anode is not None:
            background = FrozenEstimator(self.anode.background_density_)
        detector = residual_anode(self.search.X, background, self.flows, self.seed)
        truth = self.search.truth[REGION.mask(self.search.X)]
        facts = {
            "signal_fraction": detector.signal_fraction_,
            "signal_gain": detector.signal_gain_,
            "true_fraction": float(truth.mean()),
            **self._closure(detector),
        }
        return detector.anomaly_score(self.search.test[0]), facts

    def _reference(self, supervised):
        detector = TemplateDetector(GivenReference(REGION), self.trees, cv=None)
        options = {"supervised": supervised, "n_folds": 2 if self.quick else FOLDS}
        return score_with_reference(detector, self.search, self.seed, **options), {}

    def _iad(self, variant):
        return self._reference(False)

    def _supervised(self, variant):
        return self._reference(True)

    def _cwola(self, variant):
        classifier = self.trees
        if variant == "cascade":
            classifier = CascadeClassifier(self.trees if self.quick else None)
        detector = TemplateDetector(
            Sidebands(REGION.with_sidebands(0.2)), classifier, cv=None, random_state=self.seed
        )
        if variant == "paper":
            detector = papers.cwola_hunting(REGION, random_state=self.seed).set_params(cv=None)
            if self.quick:
                detector.set_params(classifier__max_epochs=2)
        return detector.fit(self.search.X).anomaly_score(self.search.test[0]), {}

    def _isolationforest(self, variant):
        inside = self.search.X[REGION.mask(self.search.X)]
        forest = IsolationForest(random_state=self.seed).fit(inside[:, 1:])
        return -forest.score_samples(self.search.test[0][:, 1:]), {}


def residual_anode(X, background, densities, seed):
    """ResidualANODE on a background density, to be fitted or frozen."""
    return ResidualANODE(
        densities["signal"],
        background,
        region=REGION,
        threshold=1.0,
        cv=None,
        random_state=seed,
    ).fit(X)


def background_closure(detector, search, seed, n_samples, halves=()):
    """Predicted over true background of the region, with error, after cuts of known efficiency.

    The truth are background events that the data do not hold; they and as many signal events as
    the data have per background event are the "data" of the importance weights. Detectors fitted to
    `halves` of the data correct these.
    """
    inside = REGION.mask(search.X)
    truth = search.truth[inside]
    scores = detector.anomaly_score(search.background)
    thresholds = np.quantile(scores, 1 - np.array(EFFICIENCIES))
    passed = (scores[:, None] > thresholds).sum(axis=0)
    n_true = len(scores)
    n_signal = round(truth.sum() / (truth == 0).sum() * n_true)
    observed = np.concatenate([search.background, search.signal[:n_signal]])
    direct = direct_background(
        detector, detector.anomaly_score, thresholds, n_region=n_true, n_samples=n_samples,
        random_state=seed,
    )  # fmt: skip
    ratio, observed_scores = detector.density_ratio(observed), detector.anomaly_score(observed)
    estimates = {
        "direct": direct,
        "importance": importance_background(ratio, thresholds, scores=observed_scores),
    }
    if halves:
        estimates["halves"] = importance_background(
            ratio,
            thresholds,
            scores=observed_scores,
            halves=[half.density_ratio(observed) for half in halves],
        )
    # From the data to the size of the test sample.
    scale = n_true / (truth == 0).sum()
    predicted = {name: (e.background, e.uncertainty) for name, e in estimates.items()}
    predicted["sideband"] = scale * fit_sidebands(detector, search, thresholds)
    closure = {}
    for method, (background, uncertainty) in predicted.items():
        ratio = background / passed
        error = np.hypot(uncertainty / passed, ratio / np.sqrt(passed))
        closure[method] = np.round([ratio, error], 4).tolist()
    return {"n_passed": passed.tolist(), "background": closure}


def fit_sidebands(detector, search, thresholds):
    """Background of the region and its error after every cut, NaN with too few events to fit."""
    m, scores = REGION.values(search.X), detector.anomaly_score(search.X)
    results = np.full((2, len(thresholds)), np.nan)
    for i, threshold in enumerate(thresholds):
        with contextlib.suppress(RegionError):
            fit = sideband_background(m, scores, [threshold], REGION, sculpting_alpha=0.0)
            results[:, i] = fit.background[0], fit.stat[0]
    return results


def run_search(options, store, fraction, shifted, seed, methods, n_data=None):
    """Compute the missing results of one search."""
    missing = [m for m in methods if name_of(m, fraction, shifted, seed) not in store]
    if not missing:
        return
    search = make_search(
        options.data,
        seed,
        signal_fraction=fraction,
        shifted=shifted,
        n_data=None if options.quick else n_data,
        quick=options.quick,
    )
    detectors = Detectors(search, seed, options.quick, halves=fraction == FRACTIONS[0])
    truth = search.test[1]
    for method in missing:
        scores, facts = detectors.scores(method)
        sic = [significance_improvement_at(truth, scores, tpr=e) for e in SIGNAL_EFFICIENCIES]
        curve = {"sic_at_tpr": np.round(sic, 2).tolist()}
        result = {**performance(truth, scores), **curve, **facts}
        store.add(name_of(method, fraction, shifted, seed), result)


def run_null(options, store, shifted, seed):
    """Fit the signal fraction to background alone."""
    name = name_of("null", 0.0, shifted, seed)
    if name in store:
        return
    X = make_search(options.data, seed, signal_fraction=0.0, shifted=shifted, quick=options.quick).X
    densities = flows(options.quick)
    detector = residual_anode(X, densities["background"], densities, seed)
    result = {
        "signal_fraction": detector.signal_fraction_,
        "signal_fraction_error": detector.signal_fraction_error_,
        "signal_gain": detector.signal_gain_,
    }
    store.add(name, {key: None if np.isnan(v) else round(v, 6) for key, v in result.items()})


def run_throughput(options, store):
    """Time, rate and memory of training ANODE on 250 000 events, then ResidualANODE on its flow."""
    if "throughput" in store:
        return
    n = 250_000
    X = make_search(options.data, 0, n_data=None if options.quick else n, quick=options.quick).X[:n]
    n = len(X)
    densities = flows(options.quick)
    wall, cpu = time.perf_counter(), time.process_time()
    detector = ANODE(
        densities["data"], densities["background"], region=REGION, threshold=1.0, random_state=0
    ).fit(X)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    passes = sum(
        len(flow.history_) * flow.n_iter_ * mask.sum()
        for flow, mask in (
            (detector.data_density_.density_, REGION.mask(X)),
            (detector.background_density_.density_, ~REGION.mask(X)),
        )
    )
    started = time.perf_counter()
    residual_anode(X, FrozenEstimator(detector.background_density_), densities, 0)
    store.add(
        "throughput",
        {
            "events": n,
            "threads": torch.get_num_threads(),
            "residual_wall_seconds": round(time.perf_counter() - started, 1),
            "wall_seconds": round(wall, 1),
            "cpu_seconds": round(cpu, 1),
            "events_per_cpu_second": round(n / cpu),
            "event_passes_per_cpu_second": round(float(passes) / cpu),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        },
    )


def collect(results, method, fraction, shifted):
    """Results of all seeds."""
    start = name_of(method, fraction, shifted, "")
    return {name[len(start) :]: r for name, r in results.items() if name.startswith(start)}


def ratios(results, method, reference, fraction, shifted):
    """Max SIC over that of a reference, seed by seed."""
    own = collect(results, method, fraction, shifted)
    other = collect(results, reference, fraction, shifted)
    return [own[seed]["max_sic"] / other[seed]["max_sic"] for seed in own if seed in other]


def report(results):
    """The tables of all results as markdown lines."""
    lines = ["# ANODE and its rivals on simulated dijets", "", *(__doc__.split("\n\n", 1)[1:])]
    lines += [
        "Medians and 68 % bands over seeds (other data, other injected signal, other networks); "
        "maximal SIC with at least 25 of the test's background events.",
    ]
    for shifted in (False, True):
        for fraction in (*FRACTIONS, PAPER_FRACTION, FULL_FRACTION):
            rows = []
            for method in METHODS:
                runs = collect(results, method, fraction, shifted)
                if not runs:
                    continue
                row = [method, len(runs)]
                row += [
                    band([r[k] for r in runs.values()], 3 if k == "auc" else 1) for k in MEASURES
                ]
                for reference in ("IAD", "supervised"):
                    values = ratios(results, method, reference, fraction, shifted)
                    row.append(band(values, 2) if values else "")
                row.append(f"{np.median([r['cpu_seconds'] for r in runs.values()]):.0f}")
                rows.append(row)
            if rows:
                title = f"S/B = {fraction:.2%}, {'shifted' if shifted else 'unshifted'} features"
                if fraction == PAPER_FRACTION:
                    title += f", {PAPER_EVENTS} events: the papers' configurations and the defaults"
                if fraction == FULL_FRACTION:
                    title += f", {FULL_EVENTS} events: the size of the paper"
                    rows += [
                        [f"{method}: published", "1", sic, "", auc, "", "", ""]
                        for method, (sic, auc) in PUBLISHED.items()
                    ]
                header = [
                    "method",
                    "seeds",
                    "max SIC",
                    "SIC at 1e3",
                    "AUC",
                    "/ IAD",
                    "/ supervised",
                ]
                lines += ["", f"## {title}", "", *markdown(rows, [*header, "CPU s"])]
    lines += curve_report(results)
    for method in ("ANODE", "ResidualANODE"):
        lines += closure_report(results, method)
    lines += fraction_report(results)
    if "throughput" in results:
        lines += ["", "## Training ANODE and ResidualANODE", ""]
        lines += markdown(results["throughput"].items(), ["", ""])
    return lines


def curve_report(results):
    rows = []
    for shifted in (False, True):
        for method in METHODS:
            runs = collect(results, method, FRACTIONS[0], shifted)
            if runs:
                curves = np.array([r["sic_at_tpr"] for r in runs.values()], dtype=np.float64)
                row = ["shifted" if shifted else "unshifted", method]
                rows.append([*row, *(band(values, 1) for values in curves.T)])
    if not rows:
        return []
    return [
        "",
        "## SIC against signal efficiency, S/B = 0.6 %",
        "",
        "SIC = signal efficiency / sqrt(background efficiency), so these are the points of the ROC "
        "curves too. Values above 33 times the signal efficiency rest on fewer than 25 of the "
        "27 700 background events of a test.",
        "",
        *markdown(rows, ["features", "method", *map(str, SIGNAL_EFFICIENCIES)]),
    ]


def closure_report(results, detector):
    both = {shifted: collect(results, detector, FRACTIONS[0], shifted) for shifted in (False, True)}
    methods = ["direct", "importance", "halves", "sideband"]
    if not any("halves" in r["background"] for runs in both.values() for r in runs.values()):
        methods.remove("halves")
    rows = []
    for shifted, runs in both.items():
        for i, efficiency in enumerate(EFFICIENCIES if runs else ()):
            row = ["shifted" if shifted else "unshifted", f"{efficiency:g}"]
            row.append(int(np.median([r["n_passed"][i] for r in runs.values()])))
            for method in methods:
                known = [
                    r["background"][method] for r in runs.values() if method in r["background"]
                ]
                if not known:
                    row.append("")
                    continue
                ratio, error = np.array(known).transpose(1, 2, 0)
                pull = np.mean(np.abs(ratio[i] - 1) < error[i])
                row.append(f"{band(ratio[i], 2)} ± {np.nanmedian(error[i]):.2f}, {pull:.0%}")
            rows.append(row)
    if not rows:
        return []
    titles = {"halves": "importance, corrected by halves"}
    header = ["features", "efficiency", "surviving background"]
    header += [titles.get(method, method) for method in methods]
    return [
        "",
        f"## Predicted over true background of {detector}, S/B = 0.6 %",
        "",
        "Median and band over seeds ± the stated error (truth included), and the share of seeds "
        "within one such error.",
        "",
        *markdown(rows, header),
    ]


def fraction_report(results):
    rows = []
    for shifted in (False, True):
        for method, fraction in (("null", 0.0), *(("ResidualANODE", f) for f in FRACTIONS)):
            runs = collect(results, method, fraction, shifted).values()
            if runs:
                label = "no signal" if method == "null" else f"S/B {fraction:.2%}"
                w = [100 * r["signal_fraction"] for r in runs]
                gain = [r["signal_gain"] for r in runs]
                row = ["shifted" if shifted else "unshifted", label, len(runs), band(w, 2)]
                rows.append([*row, f"{max(w):.2f}", band(gain, 1), f"{max(gain):.1f}"])
    if not rows:
        return []
    header = ["features", "data", "runs", "w in %", "largest w", "gain", "largest gain"]
    return ["", "## Fitted signal fraction of ResidualANODE", "", *markdown(rows, header)]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--shifted-seeds", type=int, default=5)
    parser.add_argument("--null-seeds", type=int, default=10)
    parser.add_argument("--paper-seeds", type=int, default=1)
    parser.add_argument("--part", choices=("main", "null", "throughput", "scan", "paper", "size"))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds = options.shifted_seeds = options.null_seeds = options.paper_seeds = 1
        if options.part is None:
            options.part, options.shifted_seeds = "main", 0
    # Both are in the tables: events outside and SIC of few background events.
    for category in (FiducialWarning, LowStatisticsWarning):
        warnings.simplefilter("ignore", category)
    store = Store(None if options.quick else RESULTS / "anode_paper.json")

    def wanted(part):
        return options.part in (None, part)

    own = METHODS[: -len(PAPER)]
    # The supervised classifier sees no injected events.
    scanned = [method for method in own if method != "supervised"]
    if wanted("main"):
        for shifted, seeds in ((False, options.seeds), (True, options.shifted_seeds)):
            for seed in range(seeds):
                run_search(options, store, FRACTIONS[0], shifted, seed, own)
    if wanted("throughput"):
        run_throughput(options, store)
    if wanted("null"):
        # Seeds of their own, apart from those of the searches.
        for shifted, seeds in ((False, options.null_seeds), (True, (options.null_seeds + 1) // 2)):
            for seed in range(1000, 1000 + seeds):
                run_null(options, store, shifted, seed)
    if wanted("scan"):
        for seed in range(options.seeds):
            for fraction in FRACTIONS[1:]:
                run_search(options, store, fraction, False, seed, scanned)
    if wanted("paper"):
        methods = ("ANODE", "CWoLa", *PAPER)
        for seed in range(options.paper_seeds):
            run_search(options, store, PAPER_FRACTION, False, seed, methods, PAPER_EVENTS)
    if options.part == "size":
        # Half an hour of a core: only when asked for.
        methods = (*PAPER, "ANODE", "supervised")
        run_search(options, store, FULL_FRACTION, False, 0, methods, FULL_EVENTS)
    lines = report(store.results)
    if not options.quick:
        (RESULTS / "anode_paper.md").write_text("\n".join(lines) + "\n")
    return store.results, lines


if __name__ == "__main__":
    print("\n".join(main()[1]))
