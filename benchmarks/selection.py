"""Detectors chosen without labels on tables, by stability and by the mass-volume curve.

Run: OMP_NUM_THREADS=1 python benchmarks/selection.py --data FOLDER
FOLDER as in tabular.py. Every table is taken whole, anomalies among the events, columns scaled to
unit variance; `compare_detectors` measures stability and volume without labels, and its AUROC with
them says what a choice was worth. Recorded table by table in benchmarks/results/selection.json;
the same command computes what is missing there and writes selection.md. ``--quick`` is small and
writes nothing.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from pyod.models.ecod import ECOD
from reporting import markdown
from scipy.stats import spearmanr
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from tabular import read_tables

from skad.detectors import NeighborsDetector, PyODDetector, TabularDetector
from skad.report import compare_detectors

RESULTS = Path(__file__).parent / "results" / "selection.json"
RECOMMENDED = "TabularDetector"
MEASURES = ("stability", "mass_volume")
# The share of the events that stability is measured of.
FRACTION = 0.05


def detectors():
    """Return the candidates: volumes take thirty fits of each, so they are light."""
    return {
        "NeighborsDetector": NeighborsDetector(),
        "IsolationForest": IsolationForest(),
        "LocalOutlierFactor": LocalOutlierFactor(novelty=True),
        "OneClassSVM": OneClassSVM(),
        "GaussianMixture-5": GaussianMixture(5),
        "ECOD-PyOD": PyODDetector(ECOD()),
    }


def measure(X, y, names, options):
    """Return AUROC, stability and volume of every detector on one table, medians over splits."""
    rows = np.random.RandomState(0).permutation(len(y))[: options.rows]
    X, y = StandardScaler().fit_transform(X[rows]), y[rows]
    chosen = {name: detectors()[name] for name in names}
    common = {"fraction": FRACTION, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        without = compare_detectors(chosen, X, **common).table
        chosen[RECOMMENDED] = TabularDetector()
        labelled = compare_detectors(chosen, X, y, by="auc", **common).table
    found = {name: without.loc[name, list(MEASURES)].astype(float).to_dict() for name in names}
    for name in chosen:
        found.setdefault(name, {})["auc"] = float(labelled.loc[name, "auc"])
    return found


def _loss(name, aucs, tables):
    losses = [table["auc"].max() - auc for table, auc in zip(tables, aucs, strict=True)]
    return [name, f"{np.mean(aucs):.3f}", f"{np.mean(losses):.3f}", f"{max(losses):.3f}"]


def report(known, options):
    """Return the table as text."""
    recommended = [found[RECOMMENDED]["auc"] for found in known.values()]
    tables = [pd.DataFrame(found).T.drop(RECOMMENDED) for found in known.values()]
    choices = {
        "the most stable": lambda t: t["auc"][t["stability"].idxmax()],
        "the smallest volume": lambda t: t["auc"][t["mass_volume"].idxmin()],
        "the best sum of both ranks": lambda t: t["auc"][
            (t["stability"].rank() - t["mass_volume"].rank()).idxmax()
        ],
        "always NeighborsDetector": lambda t: t["auc"]["NeighborsDetector"],
        "always IsolationForest": lambda t: t["auc"]["IsolationForest"],
        "at random (mean of all)": lambda t: t["auc"].mean(),
        "by the labels": lambda t: t["auc"].max(),
    }
    rows = []
    for name, choose in choices.items():
        rows.append(_loss(name, [choose(table) for table in tables], tables))
    rows.append(_loss(f"{RECOMMENDED}, no choice", recommended, tables))
    correlated = []
    for name, sign in zip(MEASURES, (1, -1), strict=True):
        each = [spearmanr(sign * t[name], t["auc"]).statistic for t in tables]
        correlated.append([name, f"{np.nanmean(each):.2f}", f"{np.nanmedian(each):.2f}"])
    return "\n".join(
        [
            "# Choosing a detector without labels",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/selection.py --data FOLDER "
            f"--rows {options.rows}`",
            "",
            f"{len(tables)} tables with their anomalies, at most {options.rows} rows each; three "
            f"random halves, stability of the {FRACTION:.0%} most anomalous events. AUROC of the "
            "detector that is chosen, mean over tables, and what the choice costs against the best "
            f"one of: {', '.join(tables[0].index)}.",
            "",
            *markdown(rows, ["choice", "AUROC", "mean loss", "largest loss"]),
            "",
            "Rank correlation with the AUROC over the detectors of a table, mean and median of the "
            "tables (volume: small is good):",
            "",
            *markdown(correlated, ["measure", "mean", "median"]),
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of Parquet files with a column label")
    parser.add_argument("--rows", type=int, default=2000, help="most rows of a table")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    names = tuple(detectors())
    if options.quick:
        options.rows, options.data, names = 100, None, ("NeighborsDetector", "IsolationForest")
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.quick else {}
    tables = read_tables(options.data)
    for name in list(tables)[-1:] if options.quick else tables:
        if name in known:
            continue
        X, y = tables[name]
        known[name] = measure(X, y, names, options)
        print(name, json.dumps(known[name]), flush=True)
        if not options.quick:
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    text = report(known, options)
    print(text)
    if not options.quick:
        RESULTS.with_suffix(".md").write_text(text)
    return text


if __name__ == "__main__":
    main()
