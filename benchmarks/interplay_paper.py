"""The interplay paper (arXiv:2307.11157) on simulated dijets: templates and their combinations.

Run: OMP_NUM_THREADS=1 python benchmarks/interplay_paper.py --data FOLDER --part performance
     (or closure, agreement, sculpting, wall)
Each part writes benchmarks/results/interplay_<part>.md (``--shifts 1`` alone: _shifted.md). With
``--cache FOLDER`` template samples and scores are kept, so that an interrupted study goes on where
it was; ``--quick`` is small and writes nothing. ``--features 5`` adds delta R; ``--paper`` takes
the templates and the classifier of `skad.papers.interplay` in place of the defaults (hours of a
core for each search of 300 000 events; ``--events`` makes it smaller). Both have files of their
own. The events and their partition are those of `dijet_search.py`.
"""

import argparse
import time
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from dijet_search import FEATURES, REGION, make_search, performance, score_with_reference
from reporting import band, markdown
from samples import add_data_option

from skad import papers
from skad.density import FlowDensity
from skad.detectors import TreeEnsembleClassifier
from skad.exceptions import SkadWarning
from skad.inspection import (
    closure_auc,
    log_posterior_test,
    overlap_study,
    score_correlation,
    template_closure,
)
from skad.metrics import mass_sculpting_chi2, significance_improvement_at
from skad.resonant import (
    CATHODE,
    CURTAINS,
    FETA,
    SALAD,
    GivenReference,
    LaCATHODE,
    TemplateDetector,
)

RESULTS = Path(__file__).parent / "results"
TEMPLATES = {"SALAD": SALAD, "CATHODE": CATHODE, "CURTAINS": CURTAINS, "FETA": FETA}
COMBINED = ("samples combined", "scores combined")
BASELINES = ("idealised", "supervised")
# Efficiencies at which the SIC is tabulated.
EFFICIENCIES = (0.4, 0.5, 0.6, 0.7, 0.8)
# The templates are learned with this injection; its tails in the sidebands are the same for all.
INJECTED = 0.006


def classifier(options):
    quick = options.quick
    if options.paper:
        network = papers.interplay("idealised").classifier
        return network.set_params(n_estimators=1, max_epochs=2) if quick else network
    return TreeEnsembleClassifier(2 if quick else 10, n_forest_trees=12 if quick else 60)


def fit_template(name, search, seed, options):
    """Fit a template with its defaults, or as in the paper; return it and the processor seconds."""
    template = TEMPLATES[name](region=REGION)
    if options.paper:
        template = papers.interplay(name.lower(), REGION).template
    template.set_params(random_state=seed)
    if options.quick:
        nested = {
            key: 1 for key in template.get_params() if key.rpartition("__")[2] == "max_epochs"
        }
        template.set_params(**nested)
    start = time.process_time()
    if template.__sklearn_tags__().target_tags.required:
        X = np.concatenate([search.X, search.simulation])
        template.fit(X, np.repeat([1, 0], [len(search.X), len(search.simulation)]))
    else:
        template.fit(search.X)
    return template, time.process_time() - start


def search_of(options, seed, fraction, shifted):
    return make_search(
        options.data,
        seed,
        signal_fraction=fraction,
        shifted=shifted,
        features=features_of(options),
        n_data=options.events,
        quick=options.quick,
    )


def features_of(options):
    """Return the features with m first; the fifth of the paper is delta R."""
    return FEATURES if options.features == 4 else (*FEATURES, "delta_r")


def draw_template(options, name, seed, shifted, fraction=INJECTED, generator=0):
    """Return the events and weights of a template, and what they cost."""
    search = search_of(options, seed, fraction, shifted)
    template, seconds = fit_template(name, search, 1000 * seed + generator, options)
    X, weight = template.sample_background(random_state=seed)
    return X, weight, seconds


def combine(samples, rng, n_each=150_000):
    """Concatenate samples of equal total weight, the larger ones thinned."""
    X, weights = [], []
    for events, weight in samples:
        rows = rng.choice(len(events), min(n_each, len(events)), replace=False)
        X.append(events[rows])
        weights.append(weight[rows] / weight[rows].sum())
    weight = np.concatenate(weights)
    return np.concatenate(X), weight / weight.mean()


def fit_on_template(sample, search, seed, classifier, cv=None):
    """Fit a classifier of the region's data against template events."""
    X, weight = sample
    data = search.X[REGION.mask(search.X)]
    reference = GivenReference(region=(REGION.low, REGION.high))
    return TemplateDetector(reference, classifier, cv=cv, random_state=seed).fit(
        np.concatenate([data, X]),
        np.repeat([1, 0], [len(data), len(X)]),
        sample_weight=np.concatenate([np.ones(len(data)), weight]),
    )


def scores_of(options, method, seed, fraction, shifted, classifier_seed=0, generator=0):
    """Return log ratios of the test events for one method, or the supervised log odds."""
    search = search_of(options, seed, fraction, shifted)
    seed_of_fit = 1000 * seed + classifier_seed
    start = time.process_time()
    if method in BASELINES:
        detector = TemplateDetector(
            GivenReference(region=(REGION.low, REGION.high)), classifier(options), cv=None
        )
        ratio = score_with_reference(
            detector,
            search,
            seed_of_fit,
            supervised=method == "supervised",
            n_folds=2 if options.quick else 5,
        )
        return np.log(ratio), time.process_time() - start
    names = TEMPLATES if method == "samples combined" else [method]
    samples = [
        options.draw_template(options, name, seed, shifted, INJECTED, generator)[:2]
        for name in names
    ]
    start = time.process_time()
    sample = samples[0]
    if len(samples) > 1:
        sample = combine(samples, np.random.RandomState(seed))
    detector = fit_on_template(sample, search, seed_of_fit, classifier(options))
    scores = -detector.score_samples(search.test[0])
    return scores, time.process_time() - start


def all_scores(options, seed, fraction, shifted, classifier_seed=0, methods=None, generator=0):
    """Return the scores of every method on the same test events, and the truth."""
    methods = [*TEMPLATES, "samples combined", *BASELINES] if methods is None else methods
    scores, seconds = {}, {}
    for method in methods:
        # The supervised classifier sees no injected events: one fit serves all injections.
        injected = INJECTED if method == "supervised" else fraction
        scores[method], seconds[method] = options.scores_of(
            options, method, seed, injected, shifted, classifier_seed, generator
        )
        print(f"  {method}: {seconds[method]:.0f} s", flush=True)
    if set(TEMPLATES) <= set(scores):
        scores["scores combined"] = np.mean([scores[name] for name in TEMPLATES], axis=0)
    return scores, search_of(options, seed, fraction, shifted).test[1], seconds


def part_performance(options):
    """SIC of every method against the injected signal, unshifted and shifted."""
    records, curves = [], []
    for shifted in options.shifts:
        for seed in range(options.seeds):
            for fraction in options.fractions:
                print(f"seed {seed}, S/B {fraction:.2%}, shifted {shifted}", flush=True)
                scores, truth, seconds = all_scores(options, seed, fraction, shifted)
                for method, score in scores.items():
                    key = {"shifted": shifted, "fraction": fraction, "method": method, "seed": seed}
                    records.append(
                        key | performance(truth, score) | {"seconds": seconds.get(method, np.nan)}
                    )
                    sic = [
                        significance_improvement_at(truth, score, tpr=efficiency)
                        for efficiency in EFFICIENCIES
                    ]
                    curves.append(key | dict(zip(EFFICIENCIES, sic, strict=True)))
    table = pd.DataFrame(records)
    lines = []
    for (shifted, fraction), part in table.groupby(["shifted", "fraction"]):
        ideal = part[part["method"] == "idealised"].set_index("seed")["max_sic"]
        rows = []
        for method in [*TEMPLATES, *COMBINED, *BASELINES]:
            own = part[part["method"] == method].set_index("seed")
            ratio = own["max_sic"] / ideal
            rows.append(
                [
                    method,
                    band(own["max_sic"]),
                    band(ratio),
                    band(own["sic_at_1e3"]),
                    band(own["auc"], 3),
                    band(own["seconds"], 0),
                ]
            )
        title = "shifted" if shifted else "unshifted"
        lines += [
            f"## S/B {fraction:.2%}, {title}",
            "",
            *markdown(
                rows,
                ["method", "max SIC", "over idealised", "SIC at rejection 1e3", "AUC", "CPU s"],
            ),
            "",
        ]
    lines += ["## SIC against signal efficiency", ""]
    table = pd.DataFrame(curves)
    rows = [
        [
            "shifted" if shifted else "unshifted",
            f"{fraction:.2%}",
            method,
            *(band(part[efficiency], 1) for efficiency in EFFICIENCIES),
        ]
        for (shifted, fraction, method), part in table.groupby(
            ["shifted", "fraction", "method"], sort=False
        )
    ]
    lines += markdown(rows, ["features", "S/B", "method", *map(str, EFFICIENCIES)])
    costs = [
        [name, band([options.draw_template(options, name, seed, shifted)[2]
                     for shifted in options.shifts for seed in range(options.seeds)], 0)]
        for name in TEMPLATES
    ]  # fmt: skip
    kind = "that of the paper" if options.paper else "10 boosted and 60 random trees"
    lines += ["", "## Processor seconds of fitting a template", ""]
    lines += markdown(costs, ["template", "CPU s"])
    return [
        f"Median and 68 % band over {options.seeds} seeds, each with its own partition, injected "
        f"signal, template and classifier. {size_of(options)}, max SIC with >= 25 background "
        "events. "
        "The templates are learned with an injected signal of 0.6 % and used for all injections. "
        f"Classifier: {kind}, no cross-fitting.",
        "",
        *lines,
    ]


def size_of(options):
    """Say how many events are data, and how many are for the test."""
    search = search_of(options, 0, 0.0, options.shifts[0])
    return (
        f"{len(search.X)} simulated dijets are data, {REGION.mask(search.X).sum()} of them in the "
        f"region; tested on {len(search.background)} background and {len(search.signal)} signal "
        "events"
    )


def part_closure(options):
    """Templates without signal against true background."""
    names = list(features_of(options)[1:])
    columns = list(range(1, 1 + len(names)))
    search = search_of(options, 0, 0.0, 0)
    samples = {
        name: [
            options.draw_template(options, name, 0, 0, 0.0, generator)[:2]
            for generator in range(options.seeds)
        ]
        for name in TEMPLATES
    }
    truth = search.background
    ks = template_closure(samples, truth, features=columns, n_seeds=options.seeds)
    rows = [
        [
            name,
            *(band(part[part["feature"] == f]["statistic"], 4) for f in part["feature"].unique()),
        ]
        for name, part in ks.groupby("template", sort=False)
    ]
    expected = ks.groupby("template")["expected"].median()
    lines = [
        "Largest distance of the distributions of a template and of true background; by chance "
        f"alone about {expected.min():.4f} to {expected.max():.4f}.",
        "",
        *markdown(rows, ["template", *names]),
        "",
        "## AUC of a classifier of template against truth",
        "",
    ]
    area = closure_auc(
        samples,
        truth,
        features=columns,
        n_seeds=options.seeds,
        n_null=3 if options.quick else 10,
        random_state=0,
    )
    rows = []
    for name, part in area.auc.groupby("template", sort=False):
        spread, p_value = part["null_std"].median(), part["p_value"].median()
        bands = [band(part[column], 4) for column in ("roc_auc", "null_mean")]
        rows.append([name, *bands, f"{spread:.4f}", f"{p_value:.2f}"])
    header = ["template", "AUC", "truth against truth", "its spread", "p-value"]
    lines += [*markdown(rows, header), "", f"{area.n_events} events each.", ""]
    lines += ["## Log posteriors", ""]
    posterior = log_posterior_test(
        samples,
        truth,
        features=columns,
        n_seeds=options.seeds,
        random_state=0,
    )
    chance = -np.log(len(samples))
    lines += [f"LP(i|j) of template i on events of sample j; chance: {chance:.4f}.", ""]
    rows = []
    for sample, part in posterior.groupby("sample", sort=False):
        own = [part[part["template"] == name]["log_posterior"] for name in samples]
        rows.append([f"sample {sample}", *(band(values, 4) for values in own)])
    lines += markdown(rows, ["", *samples])
    return [f"No signal; {options.seeds} seeds of the generators, one partition.", "", *lines]


def part_agreement(options):
    """Correlation and overlap of methods, of classifier and of generator seeds."""
    lines = []
    overlaps = {}
    for fraction in options.fractions:
        scores = {name: [] for name in TEMPLATES}
        for seed in range(options.seeds):
            each, truth, _ = all_scores(options, 0, fraction, 0, seed, list(TEMPLATES))
            for name in TEMPLATES:
                scores[name].append(each[name])
        scores = {name: np.array(values) for name, values in scores.items()}
        correlation = score_correlation(truth, scores)
        pairs = correlation.assign(
            pair=correlation["method_a"] + " - " + correlation["method_b"]
        ).groupby(["pair", "events"])["correlation"]
        rows = [[*pair, band(values)] for pair, values in pairs]
        lines += [f"## Correlation of scores, S/B {fraction:.2%}", ""]
        lines += [*markdown(rows, ["methods", "events", "Spearman"]), ""]
        overlaps[fraction] = scores
        generators = {name: [] for name in TEMPLATES}
        for generator in range(max(2, options.seeds)):
            each, truth, _ = all_scores(
                options, 0, fraction, 0, 0, list(TEMPLATES), generator=generator
            )
            for name in TEMPLATES:
                generators[name].append(each[name])
        table = score_correlation(truth, {n: np.array(v) for n, v in generators.items()})
        table = table[table["method_a"] == table["method_b"]]
        rows = [
            [*key, band(values)]
            for key, values in table.groupby(["method_a", "events"])["correlation"]
        ]
        lines += [f"## Correlation between generator seeds, S/B {fraction:.2%}", ""]
        lines += [*markdown(rows, ["method", "events", "Spearman"]), ""]
    study = overlap_study(truth, overlaps, fractions=[0.01, 0.05, 0.1, 0.2])
    groups = study.groupby(["events", "methods", "injected", "fraction"])["excess"]
    table = groups.median().unstack("fraction").round(3).reset_index()
    lines += ["## Overlap beyond chance of the selected fractions", ""]
    lines += markdown(table.to_numpy().tolist(), [str(name) for name in table.columns])
    return [
        f"One search (seed 0) with {options.seeds} seeds of the classifiers, and as many of the "
        "generators with one of the classifier; test events.",
        "",
        *lines,
    ]


def part_sculpting(options):
    """How far CATHODE and LaCATHODE sculpt m, with delta R among the features."""
    rows = []
    for label, features in (("4 features", FEATURES), ("with delta R", (*FEATURES, "delta_r"))):
        for seed in range(options.seeds):
            search = make_search(
                options.data,
                seed,
                signal_fraction=0.0,
                features=features,
                n_data=options.events,
                quick=options.quick,
            )
            for kind in (CATHODE, LaCATHODE):
                template = kind(region=REGION)
                if options.quick:
                    template.set_params(density=FlowDensity(max_epochs=1))
                detector = TemplateDetector(
                    template, classifier(options), cv=None, random_state=seed
                ).fit(search.X)
                score = detector.anomaly_score(search.background)
                chi2 = mass_sculpting_chi2(
                    search.background[:, 0], score, fraction=[0.2, 0.1, 0.05, 0.02], bins=50
                )
                rows.append([label, kind.__name__, seed, *chi2])
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["features", "method", "seed", "20 %", "10 %", "5 %", "2 %"])
    cells = [
        [*key, *(band(part[c], 1) for c in table.columns[3:])]
        for key, part in table.groupby(["features", "method"])
    ]
    return [
        "chi2/ndof of the spectrum of m in the region before and after keeping the top 20 to 2 % "
        f"of true background, 50 bins of equal population, no signal, {options.seeds} seeds.",
        "",
        *markdown(cells, ["features", "method", "20 %", "10 %", "5 %", "2 %"]),
    ]


def part_wall(options):
    """Wall time of the full set: four templates, each with ten seeds times five folds."""
    search = search_of(options, 0, INJECTED, 0)
    n_networks = 2 if options.quick else 10

    def run(name):
        start = time.perf_counter()
        template, _ = fit_template(name, search, 0, options)
        fitted = time.perf_counter()
        network = papers.interplay("idealised").classifier.set_params(n_estimators=n_networks)
        if options.quick:
            network.set_params(max_epochs=2)
        sample = template.sample_background(random_state=0)
        detector = fit_on_template(sample, search, 0, network, cv=5)
        trained = time.perf_counter()
        events, truth = search.test
        result = performance(truth, -detector.score_samples(events))
        return name, len(sample[0]), fitted - start, trained - fitted, result["max_sic"]

    start = time.perf_counter()
    runs = joblib.Parallel(options.jobs)(joblib.delayed(run)(name) for name in TEMPLATES)
    wall = time.perf_counter() - start
    rows = [
        [name, n, f"{template:.0f}", f"{networks:.0f}", f"{sic:.1f}"]
        for name, n, template, networks, sic in runs
    ]
    header = ["template", "template events", "template, s", "networks, s", "max SIC"]
    return [
        f"One search with S/B {INJECTED:.1%}; every template once, then {n_networks} seeds x 5 "
        "folds of the paper's network (64-32-1, batch 128, patience 5) trained as one stack on "
        f"data against template. {wall:.0f} s of wall clock in {options.jobs} processes of one "
        "thread; the paper averages groups of ten trainings.",
        "",
        *markdown(rows, header),
    ]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {name[5:]: part for name, part in globals().items() if name.startswith("part_")}
    parser.add_argument("--part", choices=sorted(parts), required=True)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--fractions", type=float, nargs="+", default=[0.0, 0.003, 0.006, 0.009])
    parser.add_argument("--shifts", type=int, nargs="+", default=[0, 1], help="0, 1 or both")
    parser.add_argument("--jobs", type=int, default=1, help="processes of the part wall")
    parser.add_argument("--cache", help="folder for samples and scores")
    parser.add_argument("--features", type=int, choices=[4, 5], default=4)
    parser.add_argument("--paper", action="store_true", help="settings of the paper")
    parser.add_argument("--events", type=int, help="data events; by default three fifths of all")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.jobs, options.events = 1, 1, None
        options.fractions, options.shifts = options.fractions[:1], options.shifts[:1]
    warnings.simplefilter("ignore", SkadWarning)
    memory = joblib.Memory(options.cache, verbose=0)
    for function in (draw_template, scores_of):
        setattr(options, function.__name__, memory.cache(function, ignore=["options"]))
    body = parts[options.part](options)
    arguments = f"--data FOLDER --part {options.part} --seeds {options.seeds}"
    if options.part == "performance":
        arguments += " --shifts " + " ".join(map(str, options.shifts))
    if options.part == "wall":
        arguments = f"--data FOLDER --part wall --jobs {options.jobs}"
    if options.part in ("performance", "agreement"):
        arguments += " --fractions " + " ".join(map(str, options.fractions))
    suffix = "_shifted" if options.part == "performance" and options.shifts == [1] else ""
    for name in ("features", "events"):
        if getattr(options, name) != parser.get_default(name):
            arguments += f" --{name} {getattr(options, name)}"
            suffix += f"_{getattr(options, name)}_{name}"
    if options.paper:
        arguments, suffix = arguments + " --paper", suffix + "_paper"
    command = f"`OMP_NUM_THREADS=1 python benchmarks/interplay_paper.py {arguments}`"
    text = "\n".join([f"# Interplay study: {options.part}", "", command, "", *body, ""])
    print(text)
    if not options.quick:
        (RESULTS / f"interplay_{options.part}{suffix}.md").write_text(text)
    return text


if __name__ == "__main__":
    main()
