"""The coordinate study of arXiv:2209.06225, on its Gaussian case and on real dijets.

Run: OMP_NUM_THREADS=1 python benchmarks/coordinate_paper.py --part gaussian --seeds 10
     OMP_NUM_THREADS=1 python benchmarks/coordinate_paper.py --part lhco --data FOLDER
     OMP_NUM_THREADS=1 python benchmarks/coordinate_paper.py --part masses --data FOLDER
     OMP_NUM_THREADS=1 python benchmarks/coordinate_paper.py --part taus --data FOLDER
     OMP_NUM_THREADS=1 python benchmarks/coordinate_paper.py --part idealised --data FOLDER
The parts masses and taus run the three methods of the paper with 10 % signal in the mixed sample,
as in the toy. Each part writes benchmarks/results/coordinate_<part>.md, or with ``--only NAME`` a
file of its own for the methods with that in their name; ``--quick`` is small and writes nothing.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from reporting import band, markdown
from samples import add_data_option, read_region
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from skad import papers
from skad.coordinates import (
    EmpiricalCDFTransformer,
    InverseCoordinates,
    LogTransformer,
    NormalCDFTransformer,
    RatioTransformer,
)
from skad.datasets import make_gaussian_anomaly
from skad.density import FlowDensity, FramedDensity
from skad.detectors import (
    AutoencoderDetector,
    CWoLaDetector,
    NetworkClassifier,
    TreeEnsembleClassifier,
)
from skad.inspection import coordinate_study, frame_overlap
from skad.metrics import max_significance_improvement, significance_improvement_at

RESULTS = Path(__file__).parent / "results"
FEATURES = ["mj1", "delta_mj", "tau21_j1", "tau21_j2"]
# Areas of the nine curves of the figure of the public code, one training each.
PUBLISHED = {
    "AE (paper)": {"x": 0.575, "Phi(x)": 0.536, "tanh(x+2)": 0.276},
    "CNF": {"x": 0.673, "Phi(x)": 0.521, "tanh(x+2)": 0.401},
    "CNF (paper)": {"x": 0.673, "Phi(x)": 0.521, "tanh(x+2)": 0.401},
    "CWoLa network (paper)": {"x": 0.836, "Phi(x)": 0.833, "tanh(x+2)": 0.827},
}


def gaussian_margins():
    return make_pipeline(EmpiricalCDFTransformer(), InverseCoordinates(NormalCDFTransformer()))


def gaussian(options):
    """AUC of every method in every frame, with the exact optimum beside it."""
    n = 600 if options.quick else options.events
    frames = papers.coordinate_frames()
    # 90 % background and 10 % signal in the mixed sample, a reference of the same size.
    n_signal = n // 10
    X, truth = make_gaussian_anomaly(2 * n, n_signal, random_state=0, return_X_y=True)
    mixed = np.r_[np.zeros(n), np.ones(n + n_signal)].astype(int)
    T, test_truth = make_gaussian_anomaly(n, n, random_state=1, return_X_y=True)
    quick = {"max_epochs": 2} if options.quick else {}
    cnf_epochs = 2 if options.quick else options.cnf_epochs
    # The paper's network; its 500 epochs of batches of 10 000 take half an hour of a core a fit.
    cnf = papers.coordinate_flow().density.set_params(
        max_epochs=cnf_epochs or 1,
        batch_size=2048,
        learning_rate=1e-2,
        schedule="one_cycle",
        early_stopping=False,
        select="last",
    )
    detectors = {
        "AE (paper)": papers.coordinate_autoencoder().set_params(**quick),
        "CNF": cnf,
        "CNF (paper)": papers.coordinate_flow().set_params(
            **{f"density__{name}": value for name, value in quick.items()}
        ),
        "MAF": FlowDensity("maf", learning_rate=3e-3, max_epochs=2 if options.quick else 5),
        "NSF (default)": FlowDensity(max_epochs=2 if options.quick else 5),
        # Learned margins take away the sharp edges of Phi and tanh.
        "CNF, margins made Gaussian first": FramedDensity(gaussian_margins(), cnf),
        "MAF, margins made Gaussian first": FramedDensity(
            gaussian_margins(),
            FlowDensity("maf", learning_rate=3e-3, max_epochs=2 if options.quick else 5),
        ),
        "NSF, margins made Gaussian first": FramedDensity(
            gaussian_margins(), FlowDensity(max_epochs=2 if options.quick else 5)
        ),
        "CWoLa network (paper)": papers.coordinate_classifier().set_params(
            **{f"classifier__{name}": value for name, value in quick.items()}
        ),
        "CWoLa trees": CWoLaDetector(
            TreeEnsembleClassifier(
                2 if options.quick else 10,
                n_forest_trees=5 if options.quick else 60,
                max_leaf_nodes=8,
            )
        ),
        "CWoLa networks, margins made Gaussian first": make_pipeline(
            gaussian_margins(),
            CWoLaDetector(
                NetworkClassifier(n_estimators=5, max_epochs=2 if options.quick else 10), cv=None
            ),
        ),
        # The simplest classifier, which has the right form here: what the networks lose is noise.
        "CWoLa logistic regression, margins made Gaussian first": make_pipeline(
            gaussian_margins(), CWoLaDetector(LogisticRegression(), cv=None)
        ),
    }
    detectors = {k: d for k, d in detectors.items() if not options.only or options.only in k}
    if not cnf_epochs:
        detectors = {k: d for k, d in detectors.items() if "CNF" not in k}
    if options.only != "CNF (paper)" and not options.quick:
        # Half an hour of a core or more for each of its fits: only when asked for.
        detectors.pop("CNF (paper)", None)
    exact = {
        frame: make_gaussian_anomaly(10, 10, coordinates=name)
        for frame, name in zip(frames, ("identity", "cdf", "tanh"), strict=True)
    }
    study = coordinate_study(
        detectors,
        frames,
        X,
        truth,
        fit_y=mixed,
        fit_on=mixed == 0,
        X_test=T,
        y_test=test_truth,
        n_seeds=options.seeds,
        random_state=0,
        verbose=1,
    )
    rows = [
        ["exact density", *(f"{exact[f].auc_density:.3f}" for f in frames), ""],
        ["exact likelihood ratio", *(f"{exact[f].auc_likelihood_ratio:.3f}" for f in frames), ""],
    ]
    for name in detectors:
        part = study[study["detector"] == name]
        cells = [band(part[part["frame"] == f]["roc_auc"], 3) for f in frames]
        rows.append([name, *cells, f"{part['fit_seconds'].median():.0f}"])
        if name in PUBLISHED:
            cells = [PUBLISHED[name].get(f, "-") for f in frames]
            rows.append([f"{name}: published code", *cells, ""])
    return [
        f"Background and signal N(0,1)^2 and N(1,1)^2, {n} events of reference background, mixed "
        f"sample {n} + {n_signal}; AUC on {n} + {n} independent events, median and 68 % band over "
        f"{options.seeds} trainings; seconds of one fit.",
        "",
        *markdown(rows, ["method", *frames, "s"]),
    ]


def lhco(options):
    """Real events: masses in m and in log m, for every method, and Jacobians against refits."""
    train, valid, extra = read_region(options.data)

    def masses(frame):
        m = pd.DataFrame({"m1": frame["mj1"], "m2": frame["mj1"] + frame["delta_mj"]})
        # Two masses of 1e-3 TeV cannot be told from zero, where log m does not exist.
        good = (m > 1e-3).all(axis=1)
        return m[good], frame["label"][good].to_numpy() == 1

    X, _ = masses(train)
    V, v = masses(valid)
    S, _ = masses(extra)
    if options.quick:
        X, V, v, S = X[:3000], V[:3000], v[:3000], S[:1000]
    half = len(V) // 2
    reference = V[:half][~v[:half]]
    T = pd.concat([V[half:][~v[half:]], S])
    t = np.r_[np.zeros(len(T) - len(S)), np.ones(len(S))]
    frames = {"m": None, "log m": LogTransformer()}
    epochs = 2 if options.quick else 20
    quick = {"max_epochs": 2} if options.quick else {}
    detectors = {
        "AE (paper)": papers.coordinate_autoencoder().set_params(**quick),
        "AE": AutoencoderDetector(**quick),
        "flow": FlowDensity(max_epochs=epochs),
        "CWoLa trees": CWoLaDetector(
            TreeEnsembleClassifier(2, n_forest_trees=5)
            if options.quick
            else TreeEnsembleClassifier(20, n_forest_trees=120)
        ),
        "IsolationForest": IsolationForest(),
    }
    study = coordinate_study(
        detectors,
        frames,
        pd.concat([X, reference]),
        np.zeros(len(X) + len(reference)),
        fit_y=np.repeat([1, 0], [len(X), len(reference)]),
        fit_on=np.repeat([True, False], [len(X), len(reference)]),
        X_test=T,
        y_test=t,
        n_seeds=options.seeds,
        random_state=0,
        rejection=100,
        verbose=1,
    )
    rows = []
    for name in detectors:
        part = study[study["detector"] == name]
        for frame in frames:
            own = part[part["frame"] == frame]
            rows.append(
                [
                    name,
                    frame,
                    band(own["roc_auc"], 3),
                    band(own["max_sic"], 2),
                    band(own["sic_at_rejection"], 2),
                    band(own["shared_with_log m" if frame == "m" else "shared_with_m"], 2),
                    band(own["jaccard_with_log m" if frame == "m" else "jaccard_with_m"], 2),
                ]
            )
    agreement = []
    for seed in range(options.seeds):
        flow = FlowDensity(max_epochs=epochs, random_state=seed)
        fitted = {
            "m": FramedDensity(None, flow).fit(X),
            "log m": FramedDensity(LogTransformer(), flow).fit(X),
        }
        background = T[t == 0]
        chosen = {}
        for fit_frame, density in fitted.items():
            overlap = frame_overlap(density, frames, background)
            chosen[fit_frame] = overlap.selected
            shared = overlap.shared.loc["m", "log m"]
            jaccard = overlap.jaccard.loc["m", "log m"]
            agreement.append([seed, fit_frame, f"{shared:.2f}", f"{jaccard:.2f}", "", ""])
        for k, frame in enumerate(frames):
            both = (chosen["m"][frame] & chosen["log m"][frame]).sum()
            agreement[-1][4 + k] = f"{both / chosen['m'][frame].sum():.2f}"
    return [
        f"LHC Olympics signal-region events, jet masses m1, m2 in TeV; {len(X)} events to fit on, "
        f"{len(reference)} of reference background for CWoLa, tested on {int((t == 0).sum())} "
        f"background and {len(S)} signal events; median and 68 % band over {options.seeds} seeds.",
        "",
        *markdown(
            rows,
            [
                "method",
                "frame",
                "AUC",
                "max SIC",
                "SIC at rejection 100",
                "1 % shared with other",
                "Jaccard",
            ],
        ),
        "",
        "Shared fraction of the 1 % rarest background events in m and log m from one fitted "
        "density by its Jacobian (the paper: about 0.2), and how much of the rarest 1 % two "
        "densities fitted in m and in log m share when both are read in the same frame:",
        "",
        *markdown(
            agreement,
            ["seed", "fitted in", "m against log m", "Jaccard", "both read in m", "both in log m"],
        ),
    ]


def masses(options):
    """The methods of the paper on jet masses, in m and in log m, with 10 % signal."""
    frames = {"m": None, "log m": LogTransformer()}
    return two_frames(options, ["m1", "m2"], frames, "jet masses m1 (leading), m2 in TeV")


def taus(options):
    """The methods of the paper in (tau1, tau2) and in (tau1, tau2 / tau1) of the leading jet."""
    frames = {"tau2": None, "tau2/tau1": RatioTransformer(regulariser=1e-3)}
    return two_frames(options, ["tau1", "tau2"], frames, "tau1, tau2 of the leading jet")


def two_frames(options, columns, frames, what):
    """Train the three methods of the paper on background, or on a mixed sample against it."""
    train, valid, extra = read_region(options.data)
    if "m1" not in train.columns:
        what = what.replace("m1 (leading), m2", "m1 (heavier jet), m2")
        train, valid, extra = (
            t.assign(m1=t["mj1"] + t["delta_mj"], m2=t["mj1"]) for t in (train, valid, extra)
        )
    if not set(columns) <= set(train.columns):
        raise SystemExit(f"{options.data} lacks {columns}; prepare.py writes them.")

    def events(table, label):
        X = table.loc[table["label"] == label, columns].astype(np.float64)
        # Where log x does not exist, or a ratio is undefined.
        return X[(X > 1e-3).all(axis=1)]

    rng = np.random.RandomState(0)
    background = pd.concat([events(train, 0), events(valid, 0)])
    background = background.iloc[rng.permutation(len(background))]
    signal = events(extra, 1)
    signal = signal.iloc[rng.permutation(len(signal))]
    n = len(background) // 3
    n_signal = min(n // 10, len(signal) // 2)
    if options.quick:
        n, n_signal = 1500, 150
    X = pd.concat([background[: 2 * n], signal[:n_signal]])
    mixed = np.r_[np.zeros(n), np.ones(n + n_signal)].astype(int)
    T = pd.concat([background[2 * n : 3 * n], signal[n_signal : n_signal + n]])
    test_truth = np.repeat([0, 1], [n, len(T) - n])
    short = {"max_epochs": 2} if options.quick else {}
    flow = {"max_epochs": options.cnf_epochs, "batch_size": 2048, "learning_rate": 1e-2}
    flow |= {"schedule": "one_cycle", "early_stopping": False, "select": "last"}
    if options.paper_flow:
        flow = {}
    detectors = {
        "AE (paper)": papers.coordinate_autoencoder().set_params(**short),
        "CWoLa network (paper)": papers.coordinate_classifier().set_params(
            **{f"classifier__{k}": v for k, v in short.items()}
        ),
    }
    if options.cnf_epochs:
        name = "CNF (paper)" if options.paper_flow else f"CNF, {options.cnf_epochs} epochs"
        detectors[name] = papers.coordinate_flow().set_params(
            **{f"density__{k}": v for k, v in {**flow, **short}.items()}
        )
    detectors = {k: d for k, d in detectors.items() if options.only in k}
    study = coordinate_study(
        detectors,
        frames,
        X,
        np.r_[np.zeros(2 * n), np.ones(n_signal)],
        fit_y=mixed,
        fit_on=mixed == 0,
        X_test=T,
        y_test=test_truth,
        n_seeds=options.seeds,
        random_state=0,
        rejection=100,
        verbose=1,
    )
    first, second = frames
    rows = []
    for name in detectors:
        for frame in frames:
            own = study[(study["detector"] == name) & (study["frame"] == frame)]
            other = second if frame == first else first
            rows.append(
                [
                    name,
                    frame,
                    band(own["roc_auc"], 3),
                    band(own["max_sic"], 2),
                    band(own["sic_at_rejection"], 2),
                    band(own[f"shared_with_{other}"], 2),
                    band(own[f"jaccard_with_{other}"], 2),
                    f"{own['fit_seconds'].median():.0f}",
                ]
            )
    return [
        f"Events of the signal region, {what}; the unsupervised methods learn {n} background "
        f"events, CWoLa these against {n} others with {n_signal} signal events; tested on {n} "
        f"background and {len(T) - n} signal events; median and 68 % band over {options.seeds} "
        "seeds. Shared: of the 1 % most anomalous background, with the other frame.",
        "",
        *markdown(
            rows,
            ["method", "frame", "AUC", "max SIC", "SIC at rejection 100", "shared", "Jaccard", "s"],
        ),
    ]


def idealised(options):
    """Mixed data_train against background of data_val, tested on background left out in turn."""
    train, valid, extra = read_region(options.data)
    extra = extra[FEATURES].to_numpy(np.float64)
    mixed = train[FEATURES].to_numpy(np.float64)
    background = valid[valid["label"] == 0][FEATURES].to_numpy(np.float64)
    truth = train["label"].to_numpy()
    if options.quick:
        mixed, background, truth = mixed[:1000], background[:1000], truth[:1000]
    candidates = {
        "default: CWoLaDetector()": CWoLaDetector(),
        "one stage, 50 + 300 trees": CWoLaDetector(TreeEnsembleClassifier()),
        "leaves of 40 events": CWoLaDetector(TreeEnsembleClassifier(min_samples_leaf=40)),
        "10 + 60 trees a fold, 5 folds": CWoLaDetector(
            TreeEnsembleClassifier(10, n_forest_trees=60), cv=5
        ),
        "10 averaged, arXiv:2309.13111": CWoLaDetector(papers.treebased().classifier),
        "40 averaged, its settings": CWoLaDetector(
            papers.treebased().classifier.set_params(n_estimators=40)
        ),
        "20 networks 64-64": CWoLaDetector(
            NetworkClassifier((64, 64), n_estimators=20, max_epochs=10, batch_size=512)
        ),
    }
    candidates = {k: d for k, d in candidates.items() if not options.only or options.only in k}
    n_folds = 5
    if options.quick:
        # The others take many seconds whatever the number of events.
        candidates, n_folds = {"10 averaged": candidates["10 averaged, arXiv:2309.13111"]}, 2
    rows = []
    for name, detector in candidates.items():
        measured, seconds = [], []
        for seed in range(options.seeds):
            scores, signal = np.empty(len(background)), []
            for rest, left_out in KFold(n_folds, shuffle=True, random_state=seed).split(background):
                X = np.concatenate([mixed, background[rest]])
                y = np.repeat([1, 0], [len(mixed), len(rest)])
                start = time.process_time()
                detector.set_params(random_state=seed).fit(X, y)
                seconds.append(time.process_time() - start)
                scores[left_out] = detector.anomaly_score(background[left_out])
                signal.append(detector.anomaly_score(extra))
            labels = np.r_[np.zeros(len(background)), np.ones(len(extra) * n_folds)]
            measured.append(performance(labels, np.r_[scores, np.concatenate(signal)]))
        rows.append(
            [name, *map(band, np.transpose(measured), (3, 1, 1)), f"{np.median(seconds):.0f}"]
        )
        print(rows[-1], flush=True)
    return [
        f"Mixed: {len(mixed)} events of data_train with {int(truth.sum())} signal events; "
        "reference: four fifths of the background of data_val, the fifth left out in turn is the "
        f"test background ({len(background)} in all), test signal: signal_extra; >= 25 background "
        f"events; median and 68 % band over {options.seeds} seeds; processor seconds of one fit. "
        "No test truth was used to choose anything.",
        "",
        *markdown(rows, ["detector", "AUC", "max SIC", "SIC at rejection 1e3", "s"]),
    ]


def performance(labels, scores):
    return (
        roc_auc_score(labels, scores),
        max_significance_improvement(labels, scores, min_background_events=25),
        significance_improvement_at(labels, scores, rejection=1e3),
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parts = {"gaussian": gaussian, "lhco": lhco, "masses": masses, "taus": taus}
    parts["idealised"] = idealised
    parser.add_argument("--part", choices=list(parts), required=True)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--cnf-epochs", type=int, default=10, help="0 leaves it out")
    parser.add_argument("--only", default="", help="part of the name of the methods to run")
    parser.add_argument(
        "--paper-flow", action="store_true", help="masses, taus: the flow's settings of the paper"
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.quick:
        options.seeds, options.cnf_epochs = 1, min(options.cnf_epochs, 1)
    body = parts[options.part](options)
    arguments = f"--part {options.part} --seeds {options.seeds}"
    if options.data:
        arguments += " --data FOLDER"
    if options.part in ("masses", "taus"):
        arguments += f" --cnf-epochs {options.cnf_epochs}"
    if options.paper_flow:
        arguments += " --paper-flow"
    if options.part == "gaussian":
        arguments += f" --events {options.events} --cnf-epochs {options.cnf_epochs}"
    if options.only:
        arguments += f" --only '{options.only}'"
    text = "\n".join(
        [
            f"# Coordinate study: {options.part}",
            "",
            f"`OMP_NUM_THREADS=1 python benchmarks/coordinate_paper.py {arguments}`",
            "",
            *body,
            "",
        ]
    )
    print(text)
    if not options.quick:
        name = "_".join([options.part, *options.only.lower().split()])
        (RESULTS / f"coordinate_{name}.md").write_text(text)


if __name__ == "__main__":
    main()
