"""The VAE paper (arXiv:2007.01850) on the shipped jets: metrics, decorrelation, frames, speed.

Run: OMP_NUM_THREADS=1 python benchmarks/vae_paper.py [metrics decorrelation frames speed]
Writes benchmarks/results/vae_paper.json and, from it, vae_paper.md. About 20 minutes of one core;
the rows of PyOD need PyOD.

Settings are those of the paper with 16 000 in place of 600 000 QCD jets, 20 epochs of a one-cycle
schedule in place of 50 and 100 at a constant rate, and batches of 200. No number here was
optimised on the signals.
"""

import inspect
import json
import platform
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from torch import nn

from skad import papers
from skad.coordinates import ConstituentCoordinates, JetFrame
from skad.datasets import load_jets
from skad.detectors import (
    CWoLaDetector,
    NetworkClassifier,
    VAEDetector,
    mass_matching_weight,
    match_mass,
)
from skad.exceptions import LowStatisticsWarning
from skad.inspection import coordinate_study
from skad.metrics import mass_sculpting_jsd, shared_fraction

RESULTS = Path(__file__).parent / "results" / "vae_paper.json"
SIGNALS = ["w_59", "w_80", "w_120", "w_174", "top_80", "top_174", "higgs_20", "higgs_80"]
METRICS = ["nll", "mse", "kl", "emd", "mss"]
N_TRAIN, N_EMD, N_SEEDS = 16_000, 2000, 5
FRACTION, MASS_BINS = 0.05, 20
SHORTER = {"max_epochs": 20, "batch_size": 200, "learning_rate": 3e-3, "schedule": "one_cycle"}
# Early stopping belongs to the paper's long trainings.
NO_STOP = {"early_stopping": False, "select": "last", "exposure__annealing": (2, 2, 3)}


class Jets:
    """QCD jets for training and test, signals and outliers, in the jet frame."""

    def __init__(self):
        jets = load_jets(kinds=["qcd", *SIGNALS, "outlier_w"])
        X = JetFrame().fit_transform(jets.data)
        qcd = np.random.default_rng(0).permutation(np.flatnonzero(jets.kind == "qcd"))
        train, test = qcd[:N_TRAIN], qcd[N_TRAIN:]
        self.train, self.train_mass = X[train], jets.mass[train]
        self.test, self.test_mass = X[test], jets.mass[test]
        self.signal = {kind: X[jets.kind == kind] for kind in SIGNALS}
        self.outliers = X[jets.kind == "outlier_w"]
        self.outlier_mass = jets.mass[jets.kind == "outlier_w"]

    def exposed(self, seed):
        """Training jets with their mass as a last column, mass-matched outliers, and y."""
        with warnings.catch_warnings():
            # The lightest QCD jets have no counterpart among W jets.
            warnings.simplefilter("ignore", LowStatisticsWarning)
            drawn = match_mass(
                self.outlier_mass, self.train_mass, n_samples=N_TRAIN // 4, random_state=seed
            )
        X = np.concatenate([self.train, self.outliers[drawn]])
        return X, np.repeat([0, 1], [N_TRAIN, len(drawn)])


def auc(background, signal):
    """AUC of signal scores against background scores."""
    y = np.repeat([0, 1], [len(background), len(signal)])
    return roc_auc_score(y, np.concatenate([background, signal]))


def band(values):
    """Median and 68 % band over seeds."""
    return np.percentile(values, [50, 16, 84]).tolist()


def scores_of(detector, metric, X):
    """Scores in one metric; those of the slow one for the first jets only."""
    detector.set_params(metric=metric)
    return detector.anomaly_score(X[:N_EMD] if metric == "emd" else X)


def metrics(jets):
    """AUC of five metrics for eight signals, and how much QCD mass each of them selects."""
    table = {m: {s: [] for s in [*SIGNALS, "jsd", "mass ratio"]} for m in METRICS}
    for seed in range(N_SEEDS):
        detector = papers.vae(random_state=seed).set_params(**SHORTER)
        detector.fit(jets.train)
        for metric in METRICS:
            background = scores_of(detector, metric, jets.test)
            mass = jets.test_mass[: len(background)]
            for signal in SIGNALS:
                values = scores_of(detector, metric, jets.signal[signal])
                table[metric][signal].append(auc(background, values))
            jsd = mass_sculpting_jsd(mass, background, fraction=FRACTION, bins=MASS_BINS)
            cut = background > np.quantile(background, 1 - FRACTION)
            table[metric]["jsd"].append(jsd)
            table[metric]["mass ratio"].append(mass[cut].mean() / mass.mean())
    return {m: {s: band(v) for s, v in row.items()} for m, row in table.items()}


def decorrelated(name, jets, seed):
    """Scores of test QCD and of the top jets for one kind and strength of decorrelation."""
    kind, strength = name.split()
    strength = float(strength)
    with_mass = {
        "train": np.column_stack([jets.train, jets.train_mass]),
        "test": np.column_stack([jets.test, jets.test_mass]),
    }
    top = jets.signal["top_174"]
    if kind in ("disco", "disco_nll"):
        options = SHORTER | {"batch_size": 500, "beta_annealing": None}
        if kind == "disco_nll":
            options["decorrelation__metric"] = "nll"
        detector = papers.vae_disco(80, strength=strength, random_state=seed)
        detector.set_params(**options).fit(with_mass["train"])
        top = np.column_stack([top, np.zeros(len(top))])
        return detector.anomaly_score(with_mass["test"]), detector.anomaly_score(top)
    if kind == "supervised":
        X = np.concatenate([jets.train, jets.outliers])
        y = np.repeat([0, 1], [len(jets.train), len(jets.outliers)])
        weight = np.ones(len(X))
        if strength:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LowStatisticsWarning)
                weight[y == 1] = mass_matching_weight(jets.outlier_mass, jets.train_mass)
        network = NetworkClassifier((256, 128, 64), max_epochs=10, batch_size=200)
        detector = CWoLaDetector(network, cv=None, random_state=seed)
        detector.fit(X, y, sample_weight=weight)
    elif kind == "vae":
        detector = papers.vae(random_state=seed).set_params(**SHORTER)
        detector.fit(jets.train)
    else:
        detector = papers.vae_outlier_exposure(kind.removesuffix("_oe"), random_state=seed)
        detector.set_params(**SHORTER | NO_STOP, exposure__strength=strength)
        detector.fit(*jets.exposed(seed))
    return detector.anomaly_score(jets.test), detector.anomaly_score(top)


# Strengths: kappa, lambda; with the supervised classifier, 1 = reweighted to the QCD mass.
DECORRELATED = [
    "vae 0", "disco 100", "disco 1000", "disco_nll 1", "disco_nll 3", "disco_nll 10",
    "disco_nll 100", "disco_nll 1000", "mse_oe 50", "mse_oe 500", "kl_oe 2", "kl_oe 20",
    "supervised 0", "supervised 1",
]  # fmt: skip


def decorrelation(jets):
    """JSD of the QCD mass at 5 % background efficiency, signal efficiency and AUC on tops."""
    table = {}
    for name in DECORRELATED:
        rows = {"jsd": [], "signal efficiency": [], "auc": []}
        for seed in range(N_SEEDS):
            background, top = decorrelated(name, jets, seed)
            jsd = mass_sculpting_jsd(jets.test_mass, background, fraction=FRACTION, bins=MASS_BINS)
            rows["jsd"].append(jsd)
            rows["signal efficiency"].append((top > np.quantile(background, 1 - FRACTION)).mean())
            rows["auc"].append(auc(background, top))
        table[name] = {key: band(values) for key, values in rows.items()}
        print(name, table[name], flush=True)
    return table


def frames(jets):
    """The five metrics in four-vectors and in (log pT, eta, phi): AUC on tops, shared fraction."""
    fewer = slice(0, 8000)
    coordinates = {"four-vectors": None, "log pT, eta, phi": ConstituentCoordinates()}
    X_test = np.concatenate([jets.test, jets.signal["top_174"]])
    y_test = np.repeat([0, 1], [len(jets.test), len(jets.signal["top_174"])])
    shorter = SHORTER | {"max_epochs": 10}
    study = coordinate_study(
        {m: papers.vae(metric=m).set_params(**shorter) for m in METRICS if m != "emd"},
        coordinates,
        jets.train[fewer],
        np.zeros(len(jets.train[fewer]), dtype=int),
        X_test=X_test,
        y_test=y_test,
        n_seeds=N_SEEDS,
        fraction=FRACTION,
        random_state=0,
    )
    table = {}
    for metric, rows in study.groupby("detector"):
        table[metric] = {
            frame: band(rows.loc[rows["frame"] == frame, "roc_auc"]) for frame in coordinates
        }
        other = rows[rows["frame"] == "log pT, eta, phi"]
        table[metric]["shared 5 %"] = band(other["shared_with_four-vectors"])
    # The energy mover's distance must be told what the columns are.
    found = {frame: [] for frame in coordinates} | {"shared 5 %": []}
    for seed in range(N_SEEDS):
        scores = []
        for (frame, transformer), columns in zip(
            coordinates.items(), ["p4", "log_pt_eta_phi"], strict=True
        ):
            detector = papers.vae(random_state=seed).set_params(**shorter, constituents=columns)
            pipeline = make_pipeline(transformer or "passthrough", detector)
            pipeline.fit(jets.train[fewer])
            steps = [
                pipeline[:-1].transform(X[:N_EMD]) for X in (jets.test, jets.signal["top_174"])
            ]
            scores.append([scores_of(pipeline[-1], "emd", X) for X in steps])
            found[frame].append(auc(*scores[-1]))
        found["shared 5 %"].append(shared_fraction(scores[0][0], scores[1][0], fraction=FRACTION))
    table["emd"] = {key: band(values) for key, values in found.items()}
    return table


class HandWritten(nn.Module):
    """The same network as plain torch code."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(80, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(),
            nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 20),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 128), nn.ReLU(),
            nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 80),
        )  # fmt: skip

    def forward(self, z):
        mean, log_variance = self.encoder(z).chunk(2, dim=-1)
        drawn = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(drawn), mean, log_variance


def hand_written(X, batch_size, n_epochs):
    """Train by a loop over whole-tensor batches with fused Adam; return the last mean loss."""
    mean, scale = X.mean(axis=0), X.std(axis=0)
    z = torch.from_numpy(((X - mean) / scale).astype(np.float32))
    network = HandWritten()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(n_epochs):
        order = torch.randperm(len(z))
        total = 0.0
        for start in range(0, len(z), batch_size):
            batch = z[order[start : start + batch_size]]
            optimizer.zero_grad(set_to_none=True)
            reconstruction, mu, log_variance = network(batch)
            mse = (reconstruction - batch).square().mean(-1)
            kl = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(-1)
            loss = (mse + 0.1 * kl).mean()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
    return total / len(z)


def processor_time(function):
    """Seconds of processor time of a call, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def speed(jets):
    """Training and scoring in events per second of processor time, alternating the rivals.

    What a hand-written loop of the same network gains over PyOD bounds what any engine can.
    """
    n_epochs, X = 6, jets.train
    table = {}
    for batch_size in (100, 500):
        ours, plain, theirs = [], [], []
        settings = {"batch_size": batch_size, "schedule": "constant", "learning_rate": 1e-3}
        for seed in range(N_SEEDS):
            detector = VAEDetector(
                **settings, max_epochs=n_epochs, clip_norm=None, random_state=seed
            )
            ours.append(processor_time(lambda d=detector: d.fit(X))[0])
            torch.manual_seed(seed)
            plain.append(processor_time(lambda b=batch_size: hand_written(X, b, n_epochs))[0])
            rival = pyod_vae(batch_size, n_epochs, seed)
            if rival is not None:
                theirs.append(processor_time(lambda r=rival: r.fit(X))[0])
        events = n_epochs * len(X)
        table[f"training, batch {batch_size}"] = {
            "skad, events/s": band(events / np.array(ours)),
            "skad / hand-written": band(np.array(plain) / np.array(ours)),
        }
        if theirs:
            ratio = np.array(theirs) / np.array(ours)
            row = table[f"training, batch {batch_size}"]
            row["skad / PyOD"] = band(ratio)
            # What a bare loop over the same network gains: the rest is arithmetic.
            row["hand-written / PyOD"] = band(np.array(theirs) / np.array(plain))
    many = np.resize(X, (1_000_000, X.shape[1])).astype(np.float32)
    seconds, _ = processor_time(lambda: detector.anomaly_score(many))
    table["scoring 1e6 jets"] = {"skad, seconds": [seconds] * 3}
    if rival is not None:
        part = many[:100_000].astype(np.float64)
        ratios = []
        for _ in range(3):
            own, _ = processor_time(lambda: detector.anomaly_score(part))
            other, _ = processor_time(lambda: rival.decision_function(part))
            ratios.append(other / own)
        table["scoring 1e5 jets"] = {"skad / PyOD": band(ratios)}
    detector.set_params(metric="emd")
    seconds, _ = processor_time(lambda: detector.anomaly_score(X[:N_EMD]))
    table["scoring, emd"] = {"skad, jets/s": [N_EMD / seconds] * 3}
    return table


def pyod_vae(batch_size, n_epochs, seed):
    """PyOD's network of the same size, None without PyOD."""
    try:
        from pyod.models.vae import VAE
    except ImportError:
        return None
    return VAE(
        encoder_neuron_list=[256, 128, 64],
        decoder_neuron_list=[64, 128, 256],
        latent_dim=10,
        batch_size=batch_size,
        epoch_num=n_epochs,
        batch_norm=False,
        dropout_rate=0.0,
        random_state=seed,
        device="cpu",
        verbose=0,
    )


def markdown(results):
    """The results as tables."""

    def cell(value):
        middle, low, high = value
        if abs(middle) >= 100:
            return f"{middle:,.0f} [{low:,.0f}, {high:,.0f}]"
        return f"{middle:.3f} [{low:.3f}, {high:.3f}]"

    lines = ["# The VAE paper on the shipped jets", ""]
    lines += [
        "`OMP_NUM_THREADS=1 python benchmarks/vae_paper.py`; median and 68 % band of "
        f"{N_SEEDS} seeds. {N_TRAIN} QCD jets for training, the settings are in the script.",
        "",
    ]
    for section, table in results.items():
        if section == "machine":
            continue
        lines += [f"## {section}", "", inspect.getdoc(SECTIONS[section]), ""]
        columns = list(dict.fromkeys(c for row in table.values() for c in row))
        lines += ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
        for name, row in table.items():
            cells = [cell(row[c]) if c in row else "" for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    lines.append(f"Machine: {results['machine']}.")
    return "\n".join(lines) + "\n"


SECTIONS = {
    "metrics": metrics,
    "decorrelation": decorrelation,
    "frames": frames,
    "speed": speed,
}


def main():
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results["machine"] = f"{platform.machine()}, one thread, torch {torch.__version__}"
    jets = Jets()
    for section in sys.argv[1:] or SECTIONS:
        start = time.process_time()
        results[section] = SECTIONS[section](jets)
        print(f"{section}: {time.process_time() - start:.0f} s of processor time", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1))
        RESULTS.with_suffix(".md").write_text(markdown(results))


if __name__ == "__main__":
    main()
