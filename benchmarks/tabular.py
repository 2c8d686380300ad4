"""Detectors on tables of every kind: skad, scikit-learn and PyOD.

Run: OMP_NUM_THREADS=1 python benchmarks/tabular.py --data FOLDER --cache CACHE
FOLDER holds Parquet files, each with a column ``label`` (1 = anomaly); those of the recorded
numbers are twenty of ADBench (arXiv:2206.09426). Without it the tables are those of scikit-learn,
each of their classes once rare among the others and once the normal one. Every fit is kept in
CACHE, so that an interrupted run goes on and a new detector costs its own fits.
Writes benchmarks/results/tables.md, or another NAME.md by ``--name NAME``; ``--quick`` is small and
writes nothing.
"""

import argparse
import importlib
import json
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from reporting import markdown
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skad.detectors import (
    AutoencoderDetector,
    DensityDetector,
    NeighborsDetector,
    TabularDetector,
    VAEDetector,
)
from skad.metrics import anomaly_response

RESULTS = Path(__file__).parent / "results"
PROTOCOLS = ("contaminated", "normals")
TASK = ("table", "protocol", "detector", "seed")
METRICS = ["auc", "ap", "precision", "seconds"]
# In the order of the number of columns every second one; the two tables of the same cardiotocograms
# are in one half. Settings are chosen on these and reported on all others.
CHOSEN = (
    "skin",
    "mammography",
    "glass",
    "Stamps",
    "PageBlocks",
    "cardio",
    "Cardiotocography",
    "WDBC",
    "letter",
    "SpamBase",
)
QUICK = ("TabularDetector", "NeighborsDetector", "IsolationForest", "ECOD-PyOD")


def detectors():
    """Return for each name a function of the seed and the shape of the training events."""
    return {
        "TabularDetector": lambda seed, shape: TabularDetector(random_state=seed),
        "NeighborsDetector": lambda seed, shape: NeighborsDetector(),
        "NeighborsDetector-robust": lambda seed, shape: NeighborsDetector(scaling="robust"),
        "DensityDetector": lambda seed, shape: DensityDetector(
            DensityDetector.default_density(shape[0]).set_params(random_state=seed)
        ),
        "AutoencoderDetector": lambda seed, shape: AutoencoderDetector(random_state=seed),
        "VAEDetector": lambda seed, shape: VAEDetector(random_state=seed),
        "IsolationForest": lambda seed, shape: IsolationForest(random_state=seed),
        "LocalOutlierFactor": lambda seed, shape: LocalOutlierFactor(novelty=True),
        "OneClassSVM": lambda seed, shape: OneClassSVM(),
        "GaussianMixture-5": lambda seed, shape: GaussianMixture(5, random_state=seed),
        "ECOD-PyOD": lambda seed, shape: _pyod("ecod", "ECOD"),
        "COPOD-PyOD": lambda seed, shape: _pyod("copod", "COPOD"),
        "HBOS-PyOD": lambda seed, shape: _pyod("hbos", "HBOS"),
        "KNN-PyOD": lambda seed, shape: _pyod("knn", "KNN"),
        "LUNAR-PyOD": lambda seed, shape: _pyod("lunar", "LUNAR", random_state=seed),
        "AutoEncoder-PyOD": lambda seed, shape: _pyod(
            "auto_encoder", "AutoEncoder", random_state=seed, verbose=0
        ),
        "VAE-PyOD": lambda seed, shape: _pyod("vae", "VAE", random_state=seed, verbose=0),
        "DeepSVDD-PyOD": lambda seed, shape: _pyod(
            "deep_svdd", "DeepSVDD", n_features=shape[1], random_state=seed, verbose=0
        ),
    }


def _pyod(module, name, **options):
    """Build a detector of PyOD when it is asked for: some load torch or numba."""
    return getattr(importlib.import_module(f"pyod.models.{module}"), name)(**options)


def read_tables(folder=None):
    """Return events and labels by the name of the table."""
    if folder is not None:
        paths = sorted(Path(folder).glob("*.parquet"))
        if not paths:
            raise SystemExit(f"{folder} holds no .parquet; give a folder of tables with `label`.")
        tables = {path.stem: pd.read_parquet(path) for path in paths}
        return {
            name: (table.drop(columns="label").to_numpy(np.float64), table["label"].to_numpy())
            for name, table in tables.items()
        }
    found = {}
    for load in (load_breast_cancer, load_digits, load_iris, load_wine):
        X, y = load(return_X_y=True)
        for kind in np.unique(y):
            name = f"{load.__name__.removeprefix('load_')}_{kind}"
            found[f"{name}_rare"] = _thinned(X, y == kind, 0.06)
            found[f"{name}_normal"] = _thinned(X, y != kind, 0.1)
    return found


def _thinned(X, anomalous, per_normal):
    """Return events and labels with so many of the anomalies for each normal event, 10 at least."""
    anomalies = np.random.RandomState(0).permutation(np.flatnonzero(anomalous))
    anomalies = anomalies[: max(10, int(per_normal * (~anomalous).sum()))]
    kept = np.sort(np.concatenate([np.flatnonzero(~anomalous), anomalies]))
    return X[kept], anomalous[kept].astype(int)


def split(X, y, protocol, seed, n_rows):
    """Return training events, and test events with their labels.

    "contaminated" trains on the whole table and scores it; "normals" trains on 70 % of the normal
    events and scores the others with all anomalies.
    """
    rng = np.random.RandomState(seed)
    rows = rng.permutation(len(y))[:n_rows]
    X, y = X[rows], y[rows]
    if protocol == "contaminated":
        return X, X, y
    normal = rng.permutation(np.flatnonzero(y == 0))
    n_train = int(0.7 * len(normal))
    test = np.concatenate([normal[n_train:], np.flatnonzero(y == 1)])
    return X[normal[:n_train]], X[test], y[test]


def scores_of(detector, train, test, protocol):
    """Anomaly scores of the test events; those of training events as each package gives them."""
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    if protocol == "contaminated":
        if isinstance(detector, LocalOutlierFactor):
            return -detector.set_params(novelty=False).fit(train).negative_outlier_factor_
        if type(detector).__module__.startswith("pyod."):
            return detector.fit(train).decision_scores_
    detector.fit(train)
    if type(detector).__module__.startswith("pyod."):
        return detector.decision_function(test)
    return anomaly_response(detector, test)


def measure(build, X, y, protocol, seed, n_rows):
    """Fit and score once; return the numbers of the table."""
    train, test, truth = split(X, y, protocol, seed, n_rows)
    start = time.process_time()
    scores = scores_of(build(seed, train.shape), train, test, protocol)
    seconds = time.process_time() - start
    n_anomalies = int(truth.sum())
    found = np.argsort(-scores, kind="stable")[:n_anomalies]
    return {
        "auc": roc_auc_score(truth, scores),
        "ap": average_precision_score(truth, scores),
        "precision": float(truth[found].mean()),
        "seconds": seconds,
    }


def measured(task, build, table, n_rows, cache):
    """Return the numbers of one fit, from the cache where they are there."""
    name, protocol, detector, seed = task
    path = None
    if cache is not None:
        path = (
            Path(cache) / f"{name}-{protocol}-{re.sub(r'[^A-Za-z0-9]', '', detector)}-{seed}.json"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            found = json.loads(path.read_text())
            if found.pop("rows") == n_rows:
                return found
    with warnings.catch_warnings():
        # Of constant columns and of too few steps; the numbers say what comes of them.
        warnings.simplefilter("ignore")
        numbers = measure(build, *table, protocol, seed, n_rows)
    if path is not None:
        path.write_text(json.dumps({"rows": n_rows, **numbers}))
    return numbers


def summary(results, protocol, names):
    """Return one row for each detector: means over tables, of the means over seeds."""
    of = results[(results["protocol"] == protocol) & results["table"].isin(names)]
    means = of.groupby(["detector", "table"], sort=False)[METRICS].mean()
    auc = means["auc"].unstack("table")
    ranks = pd.DataFrame(rankdata(-auc, axis=0), index=auc.index).mean(axis=1)
    over_tables = means.groupby("detector", sort=False).mean()
    slowest = means["seconds"].groupby("detector", sort=False)
    return [
        [
            detector,
            f"{row['auc']:.3f}",
            f"{ranks[detector]:.2f}",
            f"{row['ap']:.3f}",
            f"{row['precision']:.3f}",
            f"{slowest.median()[detector]:.2f}",
            f"{slowest.max()[detector]:.1f}",
        ]
        for detector, row in over_tables.iterrows()
    ]


def command(options):
    """Return the command that gives these results."""
    words = ["OMP_NUM_THREADS=1 python benchmarks/tabular.py"]
    if options.data is not None:
        words.append("--data FOLDER")
    words.append(f"--cache CACHE --seeds {options.seeds} --rows {options.rows}")
    if options.detectors:
        words.append("--detectors " + " ".join(options.detectors))
    if options.name != "tables":
        words.append(f"--name {options.name}")
    return " ".join(words)


def report(results, options, halves):
    """Return all tables as text."""
    lines = [
        "# Detectors on tables",
        "",
        f"`{command(options)}`",
        "",
        "Default settings, columns scaled to unit variance, at most "
        f"{options.rows} rows of each table; area under the ROC curve (AUROC), average precision "
        "(AP) and precision among as many events as there are anomalies, means over tables of the "
        f"means over the seeds below {options.seeds} (of rows, splits and trainings); rank of the "
        "AUROC among the detectors here, mean over tables; processor time of a fit and its scores, "
        'median and largest of the tables, of one core. "Contaminated" learns from the whole table '
        'without labels and scores it; "normals" learns from 70 % of the normal events and scores '
        "the others and all anomalies.",
    ]
    header = ["detector", "AUROC", "rank", "AP", "precision at k", "s, median", "s, largest"]
    for title, names in halves.items():
        for protocol in PROTOCOLS:
            lines += ["", f"## {title}: {protocol}", "", f"{', '.join(names)}.", ""]
            lines += markdown(summary(results, protocol, names), header)
    return "\n".join([*lines, ""])


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of Parquet files with a column label")
    parser.add_argument("--cache", type=Path, help="folder that keeps the numbers of every fit")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000, help="most rows of a table")
    parser.add_argument("--half", choices=["chosen", "reported", "both"], default="both")
    parser.add_argument("--detectors", nargs="+", help="some of them, by name")
    parser.add_argument("--name", default="tables", help="name of the file of results")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.quick:
        options.seeds, options.rows, options.detectors = 1, 200, QUICK
        options.data = options.cache = None
    tables = read_tables(options.data)
    if options.quick:
        tables = {name: tables[name] for name in list(tables)[-3:]}
    halves = {
        "chosen": [name for name in tables if name in CHOSEN],
        "reported": [name for name in tables if name not in CHOSEN],
    }
    kept = halves if options.half == "both" else (options.half,)
    halves = {half: halves[half] for half in kept if halves[half]}
    builders = detectors()
    builders = {name: builders[name] for name in options.detectors or builders}
    rows = []
    for seed in range(options.seeds):
        for name in (name for names in halves.values() for name in names):
            for protocol in PROTOCOLS:
                for detector, build in builders.items():
                    task = (name, protocol, detector, seed)
                    found = measured(task, build, tables[name], options.rows, options.cache)
                    rows.append(dict(zip(TASK, task, strict=True)) | found)
    titles = {"chosen": "Tables that settings were chosen on", "reported": "Tables kept apart"}
    if options.data is None:
        titles["reported"] = "One class of a table among the others"
    halves = {titles[half]: names for half, names in halves.items()}
    text = report(pd.DataFrame(rows), options, halves)
    print(text)
    if not options.quick and options.half == "both":
        (RESULTS / f"{options.name}.md").write_text(text)
    return text


if __name__ == "__main__":
    main()
