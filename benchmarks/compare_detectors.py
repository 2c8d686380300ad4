"""Unsupervised detectors side by side on real dijets: skad, scikit-learn and PyOD.

Run: OMP_NUM_THREADS=1 python benchmarks/compare_detectors.py --data FOLDER
Writes benchmarks/results/compare_detectors.md; ``--quick`` is small and writes nothing.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from pyod.models.ecod import ECOD
from samples import add_data_option, read_region
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skad import papers
from skad.density import FlowDensity
from skad.detectors import (
    AutoencoderDetector,
    CWoLaDetector,
    DensityDetector,
    PyODDetector,
    TreeEnsembleClassifier,
    VAEDetector,
)
from skad.metrics import anomaly_response, max_significance_improvement

RESULTS = Path(__file__).parent / "results" / "compare_detectors.md"
FEATURES = ["mj1", "delta_mj", "tau21_j1", "tau21_j2"]


def detectors(seed, quick):
    found = every_detector(seed)
    for name, detector in found.items() if quick else ():
        if isinstance(detector, CWoLaDetector):
            found[name] = CWoLaDetector(TreeEnsembleClassifier(2, n_forest_trees=5))
            continue
        names = [n for n in detector.get_params() if n.rpartition("__")[2] == "max_epochs"]
        detector.set_params(**dict.fromkeys(names, 2))
    return found


def every_detector(seed):
    return {
        "DensityDetector(FlowDensity())": DensityDetector(FlowDensity(random_state=seed)),
        "AutoencoderDetector()": AutoencoderDetector(random_state=seed, max_epochs=30),
        "AutoencoderDetector, preset of the paper": papers.coordinate_autoencoder(
            random_state=seed
        ),
        "VAEDetector()": VAEDetector(n_latent=2, random_state=seed, max_epochs=30),
        "PyODDetector(ECOD())": PyODDetector(ECOD()),
        "IsolationForest()": IsolationForest(random_state=seed),
        "LocalOutlierFactor(novelty=True)": LocalOutlierFactor(novelty=True),
        "OneClassSVM()": OneClassSVM(),
        "EllipticEnvelope()": EllipticEnvelope(random_state=seed),
        "CWoLaDetector(TreeEnsembleClassifier()), weak labels": CWoLaDetector(
            TreeEnsembleClassifier(), random_state=seed
        ),
        "CWoLaDetector(), weak labels": CWoLaDetector(random_state=seed),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--events", type=int, default=20_000, help="events of each fit")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    n_fit, seeds = (1000, 1) if options.quick else (options.events, options.seeds)
    train, valid, extra = read_region(options.data)
    background = valid[valid["label"] == 0][FEATURES].to_numpy(np.float64)
    half = len(background) // 2
    reference, T = background[:half], background[half:]
    S = extra[FEATURES].to_numpy(np.float64)
    if options.quick:
        T, S = T[:2000], S[:500]
    tests = np.concatenate([T, S])
    truth = np.repeat([0, 1], [len(T), len(S)])
    results = {}
    for seed in range(seeds):
        rng = np.random.RandomState(seed)
        X = train[FEATURES].to_numpy(np.float64)[rng.permutation(len(train))[:n_fit]]
        R = reference[rng.permutation(len(reference))[:n_fit]]
        for name, detector in detectors(seed, options.quick).items():
            model = make_pipeline(StandardScaler(), detector)
            start = time.process_time()
            if isinstance(detector, CWoLaDetector):
                model.fit(np.concatenate([X, R]), np.repeat([1, 0], [len(X), len(R)]))
            else:
                model.fit(X)
            fitted = time.process_time()
            scores = anomaly_response(model, tests)
            scored = time.process_time()
            results.setdefault(name, []).append(
                (
                    roc_auc_score(truth, scores),
                    max_significance_improvement(truth, scores),
                    fitted - start,
                    len(tests) / (scored - fitted),
                )
            )
    lines = [
        "# Detectors side by side",
        "",
        f"`OMP_NUM_THREADS=1 python benchmarks/compare_detectors.py --data FOLDER --seeds {seeds} "
        f"--events {n_fit}` on LHC Olympics signal-region events: four features, {n_fit} events of "
        f"data_train with 0.66 % signal to fit on, tested on {len(T)} background events of "
        f"data_val and {len(S)} of signal_extra; median over seeds of the events, the trainings "
        "and the splits, 68 % band in brackets; processor time of one core. CWoLa also sees "
        f"{len(R)} events of reference background.",
        "",
        "| detector | AUC | max SIC | fit, s | scored events/s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, rows in results.items():
        auc, sic, seconds, rate = np.transpose(rows)
        cells = [
            f"{np.median(v):.{d}f} ({np.quantile(v, 0.16):.{d}f}-{np.quantile(v, 0.84):.{d}f})"
            for v, d in ((auc, 3), (sic, 2))
        ]
        cells += [f"{np.median(seconds):.1f}", f"{np.median(rate):.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    text = "\n".join([*lines, ""])
    print(text)
    if not options.quick:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
