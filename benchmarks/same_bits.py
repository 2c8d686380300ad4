"""Whether estimators score the same bits as at an earlier commit, under fixed seeds.

    git worktree add ../before ccb4325
    (cd ../before && PYTHONPATH=. python ../skad/benchmarks/same_bits.py --write before.json)
    python benchmarks/same_bits.py --against ../before/before.json

Each case is fitted to the same few thousand events with ``random_state=0`` and children without
seeds of their own. The table says "same" for equal bits, else the largest difference in units of
the spread of the scores. Names that moved are looked up under both.
"""

import argparse
import importlib
import inspect
import itertools
import json
import warnings
from pathlib import Path

import numpy as np

REGION = (3.3, 3.7)


def find(name, *rooms):
    for room in rooms:
        try:
            module = importlib.import_module(f"skad.{room}")
        except ImportError:
            continue
        if hasattr(module, name):
            return getattr(module, name)
    raise ImportError(name)


def takes(cls, name):
    return name in inspect.signature(cls).parameters


def flow(kind="maf", **options):
    FlowDensity = find("FlowDensity", "density")
    return FlowDensity(kind, n_transforms=2, hidden_layer_sizes=(16,), max_epochs=3, **options)


def framed(name, **options):
    """A template by a flow in logit coordinates, in either spelling."""
    cls, logit = find(name, "resonant"), find("LogitTransformer", "coordinates")
    outside = {"outside": "clip"} if name == "LaCATHODE" else {}
    if takes(cls, "coordinates"):
        return cls(flow(), coordinates=logit(**outside), region=REGION, random_state=0, **options)
    density = find("FramedDensity", "density")(logit(**outside), flow())
    return cls(density, region=REGION, random_state=0, **options)


def vae(kind):
    VAEDetector = find("VAEDetector", "detectors")
    options = {"hidden_layer_sizes": (16,), "n_latent": 2, "max_epochs": 3, "random_state": 0}
    if kind == "plain":
        return VAEDetector(**options)
    if takes(VAEDetector, "decorrelation"):
        if kind == "DisCo":
            return VAEDetector(decorrelation=find("DisCo", "detectors")(0), **options)
        return VAEDetector(exposure=find("OutlierExposure", "detectors")("mse"), **options)
    return VAEDetector(
        **{"decorrelate": 0} if kind == "DisCo" else {"outlier_exposure": "mse"}, **options
    )


def events():
    make_resonance = find("make_resonance", "datasets")
    X, y = make_resonance(6000, 120, random_state=0, return_X_y=True)
    simulation, _ = make_resonance(6000, 0, random_state=1, return_X_y=True)
    both = np.concatenate([X, simulation])
    return X, y, both, np.repeat([1, 0], [len(X), len(simulation)])


def cases():
    """Yield the name of each case and a function that returns its numbers."""
    X, truth, both, labels = events()
    few = X[:300]
    from sklearn.ensemble import IsolationForest
    from sklearn.linear_model import LogisticRegression
    from sklearn.mixture import GaussianMixture
    from sklearn.tree import DecisionTreeClassifier

    def room(name):
        return find(name, "detectors", "density", "resonant", "search", "coordinates", "metrics")

    def scores(make, *fit):
        return lambda: make().fit(*(fit or (X,))).score_samples(X)

    def drawn(make, *fit):
        return lambda: make().fit(*(fit or (X,))).sample_background(2000, 1)[0]

    for kind in ("maf", "nsf", "nsf_coupling", "cnf"):
        yield f"FlowDensity {kind}", scores(lambda kind=kind: flow(kind, random_state=0))
    yield "FlowDensity conditional", scores(lambda: flow(condition_features=0, random_state=0))
    yield "FlowDensity samples", lambda: flow(random_state=0).fit(X).sample(500, 1)
    yield "FlowDensity three flows", scores(lambda: flow(n_estimators=3, random_state=0))
    yield (
        "FramedDensity",
        scores(lambda: room("FramedDensity")(room("LogitTransformer")(), flow(random_state=0))),
    )
    yield (
        "DensityDetector",
        scores(lambda: room("DensityDetector")(GaussianMixture(2, random_state=0))),
    )
    yield (
        "AutoencoderDetector",
        scores(lambda: room("AutoencoderDetector")(max_epochs=3, random_state=0)),
    )
    yield "VAEDetector", scores(lambda: vae("plain"))
    yield "VAEDetector DisCo", scores(lambda: vae("DisCo"))
    yield "VAEDetector exposed", scores(lambda: vae("OE"), X, truth)
    trees = {"n_forest_trees": 20, "min_samples_leaf": 20}
    yield (
        "TreeEnsembleClassifier",
        lambda: (
            room("TreeEnsembleClassifier")(3, random_state=0, **trees)
            .fit(X, truth)
            .decision_function(X)
        ),
    )
    yield (
        "NetworkClassifier",
        lambda: (
            room("NetworkClassifier")((16,), max_epochs=3, n_estimators=2, random_state=0)
            .fit(X, truth)
            .decision_function(X)
        ),
    )

    def tree():
        return DecisionTreeClassifier(max_depth=4, max_features=2)

    yield (
        "CascadeClassifier",
        lambda: (
            room("CascadeClassifier")(tree(), tree(), cv=2, n_estimators=2, random_state=0)
            .fit(both, labels)
            .decision_function(X)
        ),
    )
    for cv in (None, 3):
        yield (
            f"CWoLaDetector cv={cv}",
            scores(
                lambda cv=cv: room("CWoLaDetector")(tree(), cv=cv, random_state=0), both, labels
            ),
        )
    yield (
        "VotingDetector",
        scores(
            lambda: room("VotingDetector")(
                [
                    ("a", IsolationForest(n_estimators=10)),
                    ("b", room("DensityDetector")(GaussianMixture(2))),
                ],
                voting="rank",
                random_state=0,
            )
        ),
    )
    yield "Sidebands", drawn(lambda: room("Sidebands")(REGION, random_state=0))
    yield (
        "GivenReference",
        drawn(lambda: room("GivenReference")(REGION, random_state=0), both, labels),
    )
    yield (
        "SALAD",
        lambda: (
            room("SALAD")(LogisticRegression(), region=REGION, random_state=0)
            .fit(both, labels)
            .sample_weight_
        ),
    )
    yield "CATHODE", drawn(lambda: framed("CATHODE"))
    yield "LaCATHODE", drawn(lambda: framed("LaCATHODE"))
    yield (
        "CURTAINS",
        drawn(lambda: framed("CURTAINS", transport=flow("nsf_coupling"), mass_spectrum="kde")),
    )
    yield (
        "CURTAINS mass spectrum by a fit",
        drawn(lambda: framed("CURTAINS", transport=flow("nsf_coupling"))),
    )
    yield "FETA", drawn(lambda: framed("FETA", transport=flow("nsf_coupling")), both, labels)
    yield (
        "CombinedTemplate",
        drawn(
            lambda: room("CombinedTemplate")(
                [("a", room("Sidebands")(REGION)), ("b", room("Sidebands")(REGION))], random_state=0
            )
        ),
    )
    yield (
        "TemplateDetector",
        scores(
            lambda: room("TemplateDetector")(
                room("Sidebands")(REGION), tree(), cv=2, random_state=0
            )
        ),
    )
    yield "ANODE", scores(lambda: room("ANODE")(flow(), flow(), region=REGION, random_state=0))
    yield (
        "ResidualANODE",
        scores(
            lambda: room("ResidualANODE")(flow(), flow(), region=REGION, n_folds=2, random_state=0)
        ),
    )

    def hunt(detector):
        found = find("BumpHunt", "search", "resonant")(
            detector, [REGION, (3.0, 3.4)], efficiencies=(1.0, 0.1), n_folds=2, sqrt_s=13.0,
            n_global_toys=1000, random_state=0,
        ).fit(X)  # fmt: skip
        columns = ["n_selected", "n_observed", "background", "stat", "z_local"]
        return found.results_[columns].to_numpy(dtype=float)

    yield "BumpHunt, one seed to set", lambda: hunt(IsolationForest(n_estimators=5))
    yield (
        "BumpHunt, nested seeds",
        lambda: hunt(room("TemplateDetector")(room("Sidebands")(), tree(), cv=None)),
    )
    yield (
        "max_significance_improvement",
        lambda: [room("max_significance_improvement")(truth, X[:, 1])],
    )
    yield "mass_sculpting_chi2", lambda: [room("mass_sculpting_chi2")(X[:, 0], X[:, 1])]
    yield "distance_correlation", lambda: [room("distance_correlation")(few[:, 0], few[:, 1])]


def numbers(limit=None):
    found = {}
    for name, compute in itertools.islice(cases(), limit):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[name] = np.asarray(compute(), dtype=np.float64).ravel().tolist()
    return found


def compare(before, after):
    """Return the rows of the table."""
    rows = []
    for name, values in after.items():
        new, old = np.array(values), np.array(before[name])
        if new.shape != old.shape:
            rows.append((name, f"{old.size} numbers before, {new.size} now"))
        elif np.array_equal(new, old, equal_nan=True):
            rows.append((name, "same"))
        else:
            spread = np.nanstd(old) or 1.0
            rows.append((name, f"differs, {np.nanmax(np.abs(new - old)) / spread:.2g}"))
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", type=Path, help="file for the numbers of this tree")
    parser.add_argument("--against", type=Path, help="file of another tree")
    parser.add_argument("--quick", action="store_true", help="the first three cases, twice")
    arguments = parser.parse_args(arguments)
    if arguments.quick:
        for name, verdict in compare(numbers(3), numbers(3)):
            print(f"| {name} | {verdict} |")
        return
    found = numbers()
    if arguments.write:
        arguments.write.write_text(json.dumps(found))
    if arguments.against:
        print("| case | bits |\n| --- | --- |")
        for name, verdict in compare(json.loads(arguments.against.read_text()), found):
            print(f"| {name} | {verdict} |")


if __name__ == "__main__":
    main()
