"""How often `explain` names the column in which an event was made odd, for every detector.

Run: OMP_NUM_THREADS=1 python benchmarks/explanations.py --events 60
Writes benchmarks/results/explanations.md; ``--quick`` is small and writes nothing. The tables are
six correlated columns of a Gaussian, and two tables that scikit-learn ships.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.hbos import HBOS
from pyod.models.knn import KNN
from reporting import markdown
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skad.density import FlowDensity
from skad.detectors import (
    AutoencoderDetector,
    ConformalDetector,
    DensityDetector,
    PyODDetector,
    VAEDetector,
    VotingDetector,
)
from skad.inspection import explain
from skad.metrics import anomaly_response

RESULTS = Path(__file__).parent / "results"
SHIFT = 6.0
QUANTILE = 0.5


def tables():
    """Return a dict of names to DataFrames without anomalies."""
    rng = np.random.default_rng(0)
    mixing = np.eye(6) + 0.6 * np.tril(np.ones((6, 6)), -1)
    gaussian = pd.DataFrame(rng.normal(size=(2000, 6)) @ mixing.T)
    gaussian.columns = [f"x{i}" for i in range(6)]
    diabetes = load_diabetes(as_frame=True, scaled=False).data
    return {
        "Gaussian": gaussian,
        "wine": load_wine(as_frame=True).data,
        "diabetes": diabetes.drop(columns="sex"),
    }


def scaled(detector):
    """Return the detector behind a scaler."""
    return make_pipeline(StandardScaler(), detector)


def detectors(quick):
    """Return a dict of names to detectors with a method of `explain`."""
    epochs = {"max_epochs": 3} if quick else {}
    in_order = FlowDensity(flow_options={"permutation": "none"}, random_state=0, **epochs)
    flow = FlowDensity(random_state=0, **epochs)
    auto = AutoencoderDetector(n_latent=2, random_state=0, **epochs)
    vae = VAEDetector(hidden_layer_sizes=(32,), n_latent=2, random_state=0, **epochs)
    forest = IsolationForest(random_state=0)
    mixture = GaussianMixture(reg_covar=1e-3, random_state=0)
    both = [("forest", forest), ("mixture", scaled(mixture))]
    occluded = {
        "IsolationForest": forest,
        "LocalOutlierFactor": scaled(LocalOutlierFactor(novelty=True)),
        "OneClassSVM": scaled(OneClassSVM(nu=0.1)),
        "EllipticEnvelope": EllipticEnvelope(random_state=0),
        "GaussianMixture": scaled(mixture),
        "KernelDensity": scaled(KernelDensity()),
        "PCA, then GaussianMixture": make_pipeline(StandardScaler(), PCA(), mixture),
        "AutoencoderDetector": auto,
        "VAEDetector": vae,
        "DensityDetector of a flow": DensityDetector(flow),
        "VotingDetector": VotingDetector(both, voting="rank"),
        "ConformalDetector": ConformalDetector(scaled(mixture), cv=5, random_state=0),
        "PyOD KNN": scaled(PyODDetector(KNN())),
        "PyOD ECOD": PyODDetector(ECOD()),
        "PyOD COPOD": PyODDetector(COPOD()),
        "PyOD HBOS": PyODDetector(HBOS()),
    }
    found = {name: (detector, "occlusion") for name, detector in occluded.items()}
    found["flow that keeps the order"] = (DensityDetector(in_order), "conditionals")
    found["AutoencoderDetector, terms"] = (auto, "reconstruction")
    found["VAEDetector, terms"] = (vae, "reconstruction")
    found["IsolationForest, shap"] = (forest, "shap")
    return found


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.events = 10
    rows = []
    shown = tables()
    for name, (detector, method) in detectors(options.quick).items():
        row = [name, method]
        for table in shown.values():
            rng = np.random.default_rng(1)
            order = rng.permutation(len(table))
            train, rest = table.iloc[order[len(table) // 3 :]], table.iloc[order[: len(table) // 3]]
            fitted = detector.fit(train)
            # Of the new events, those that are typical: nothing else in them is odd.
            scores = anomaly_response(fitted, rest)
            rest = rest[scores <= np.median(scores)]
            odd = rest.iloc[rng.integers(len(rest), size=options.events)].reset_index(drop=True)
            odd = odd.astype(float)
            moved = rng.integers(table.shape[1], size=len(odd))
            signs = rng.choice([-1, 1], size=len(odd))
            for i, (j, sign) in enumerate(zip(moved, signs, strict=True)):
                odd.iloc[i, j] += sign * SHIFT * train.iloc[:, j].std()
            started = time.perf_counter()
            terms = explain(fitted, odd, background=train, method=method)
            seconds = time.perf_counter() - started
            found = anomaly_response(fitted, odd) > np.quantile(scores, QUANTILE)
            named = (terms.to_numpy().argmax(axis=1) == moved)[found].mean()
            row.append(f"{named:.1%} of {found.mean():.0%} ({1e3 * seconds / len(odd):.1f} ms)")
        print(row, flush=True)
        rows.append(row)
    text = "\n".join(
        [
            "# Which column explain names first",
            "",
            f"`OMP_NUM_THREADS=1 python benchmarks/explanations.py --events {options.events}`",
            "",
            "The more typical half of the events that a detector has not seen; in each a column, "
            f"drawn at random, is moved by {SHIFT:g} standard "
            "deviations up or down: how often it has the largest contribution, of the "
            "events that the detector finds (above the 95 % quantile of normal ones), and "
            "milliseconds an event.",
            "",
            *markdown(rows, ["detector", "method", *shown]),
            "",
        ]
    )
    print(text)
    if not options.quick:
        (RESULTS / "explanations.md").write_text(text)
    return text


if __name__ == "__main__":
    main()
