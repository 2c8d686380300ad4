"""The VAE paper (arXiv:2007.01850) on simulated jets: metrics, beta, decorrelation, frames, speed.

Run: OMP_NUM_THREADS=1 python benchmarks/vae_paper.py [SECTION ...] [--seeds 3] [--train 16000]
Sections: metrics beta decorrelation frames speed. Writes benchmarks/results/vae_paper.json and,
from it, vae_paper.md. Ten minutes of one core; the rows of PyOD need PyOD. The jets are those of
`load_jets`, or with ``--data FOLDER`` those of qcd.parquet, w_80.parquet, ... there, with the same
columns. ``--quick`` is small and writes nothing.

Settings are those of `skad.papers` with fewer jets and shorter trainings: `SHORTER`. No number here
was optimised on the signals.
"""

import argparse
import inspect
import json
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from torch import nn

from skad import papers
from skad.coordinates import ConstituentCoordinates, JetFrame
from skad.datasets import load_jets
from skad.detectors import VAEDetector, mass_matching_weight, match_mass
from skad.exceptions import LowStatisticsWarning
from skad.inspection import coordinate_study
from skad.metrics import mass_sculpting_jsd, shared_fraction

RESULTS = Path(__file__).parent / "results" / "vae_paper.json"
SIGNALS = ["w_59", "w_80", "w_120", "w_174", "top_80", "top_174", "higgs_20", "higgs_80"]
METRICS = ["nll", "mse", "kl", "emd", "mss"]
N_EMD, MASS_BINS = 2000, 20
EFFICIENCIES = (0.01, 0.05, 0.1)
SHORTER = {"max_epochs": 20, "batch_size": 200, "learning_rate": 3e-3, "schedule": "one_cycle"}
# The annealing of kappa and early stopping belong to the paper's long trainings.
DISCO = SHORTER | {"decorrelation__annealing": None}
EXPOSURE = SHORTER | {
    "early_stopping": False, "select": "last", "exposure__annealing": (2, 2, 3)
}  # fmt: skip


class Jets:
    """QCD jets for training and test, signals and outliers, in the jet frame."""

    def __init__(self, options):
        self.n_seeds = options.seeds
        kinds = ["qcd", *SIGNALS, "outlier_w"]
        if options.data is None:
            jets = load_jets(kinds=kinds)
            kind, X, mass = jets.kind, jets.data, jets.mass
        else:
            tables = {name: pd.read_parquet(options.data / f"{name}.parquet") for name in kinds}
            kind = np.repeat(kinds, [len(table) for table in tables.values()])
            table = pd.concat(tables.values())
            p4 = [f"{part}{i:02d}" for i in range(20) for part in ("e", "px", "py", "pz")]
            X, mass = table[p4].to_numpy(np.float64), table["m"].to_numpy(np.float64)
        if options.quick:
            kept = np.concatenate([np.flatnonzero(kind == name)[:800] for name in kinds])
            kind, X, mass = kind[kept], X[kept], mass[kept]
        X = JetFrame().fit_transform(X)
        qcd = np.random.default_rng(0).permutation(np.flatnonzero(kind == "qcd"))
        train, test = qcd[: options.train], qcd[options.train :]
        self.train, self.train_mass = X[train], mass[train]
        self.test, self.test_mass = X[test], mass[test]
        self.signal = {name: X[kind == name] for name in SIGNALS}
        self.outliers, self.outlier_mass = X[kind == "outlier_w"], mass[kind == "outlier_w"]

    def exposed(self, seed):
        """Training jets with mass-matched outliers, and y."""
        n = len(self.train) // 4
        with warnings.catch_warnings():
            # The lightest QCD jets have no counterpart among W jets.
            warnings.simplefilter("ignore", LowStatisticsWarning)
            drawn = match_mass(self.outlier_mass, self.train_mass, n_samples=n, random_state=seed)
        return np.concatenate([self.train, self.outliers[drawn]]), np.repeat(
            [0, 1], [len(self.train), len(drawn)]
        )

    def scores(self, detector, metric, *, with_mass=False, only_background=False):
        """Scores of the test jets and of every signal; of the slow metric for the first jets."""
        first = N_EMD if metric == "emd" else None
        if isinstance(detector, VAEDetector):
            detector.set_params(metric=metric)

        def score(X):
            # The column of the mass is not read.
            X = np.column_stack([X, np.zeros(len(X))]) if with_mass else X
            return detector.anomaly_score(X[:first])

        if only_background:
            return score(self.test)
        return score(self.test), {name: score(X) for name, X in self.signal.items()}

    def sculpting(self, background, fraction=0.05):
        """Jensen-Shannon divergence of the QCD mass between the rarest jets and all."""
        mass = self.test_mass[: len(background)]
        return mass_sculpting_jsd(mass, background, fraction=fraction, bins=MASS_BINS)


def auc(background, signal):
    """AUC of signal scores against background scores."""
    y = np.repeat([0, 1], [len(background), len(signal)])
    return roc_auc_score(y, np.concatenate([background, signal]))


def band(values):
    """Median and 68 % band over seeds."""
    return np.percentile(values, [50, 16, 84]).tolist()


class Table(dict):
    """Values of every seed by row and column."""

    def add(self, row, **values):
        for column, value in values.items():
            self.setdefault(row, {}).setdefault(column.replace("_percent", " %"), []).append(value)

    def bands(self):
        return {row: {c: band(v) for c, v in cells.items()} for row, cells in self.items()}


def metrics(jets):
    """AUC of the metrics for eight signals; JSD and mean of the QCD mass of the rarest 5 %.

    "NLL, KL as a sum" weighs the sum of the KL by one, as the formula of the paper reads, not its
    mean, as its code does. "mean decoded" scores the reconstruction of the posterior mean. "MSS,
    standardised" has columns of mean zero and variance one, as the text says, in place of the
    robust scale of the code.
    """
    table = Table()
    standardised = (jets.train.mean(axis=0), jets.train.std(axis=0))

    def mss(X):
        return np.square((X - standardised[0]) / standardised[1]).mean(axis=1)

    for seed in range(jets.n_seeds):
        detector = papers.vae(random_state=seed).set_params(**SHORTER).fit(jets.train)
        scores = {metric: jets.scores(detector, metric) for metric in METRICS}
        detector.set_params(kl_weight=1.0)
        scores["nll, KL as a sum"] = jets.scores(detector, "nll")
        detector.set_params(kl_weight=0.1, n_samples=0)
        for metric in ("nll", "mse"):
            scores[f"{metric}, mean decoded"] = jets.scores(detector, metric)
        scores["mss, standardised"] = mss(jets.test), {k: mss(X) for k, X in jets.signal.items()}
        for row, (background, signals) in scores.items():
            mass = jets.test_mass[: len(background)]
            rarest = mass[background > np.quantile(background, 0.95)]
            table.add(row, **{name: auc(background, s) for name, s in signals.items()})
            table.add(row, jsd=jets.sculpting(background), mass_ratio=rarest.mean() / mass.mean())
    yield jets.n_seeds, {"metrics": table.bands()}


def beta(jets):
    """Scan of beta, in the convention of the paper's code: mean over ten latent dimensions.

    MSE and KL (sum, nats) of the test jets, latent dimensions with a KL above 0.1 nats, and AUC of
    NLL and MSE.
    """
    table = Table()
    for value in (0.1, 0.5, 1.0, 5.0):
        for seed in range(jets.n_seeds):
            detector = papers.vae(random_state=seed).set_params(**SHORTER, beta=value / 10)
            detector.fit(jets.train)
            row = f"beta {value}"
            scores = {metric: jets.scores(detector, metric) for metric in ("nll", "mse", "kl")}
            network = detector.trained_.networks[0][0]
            with torch.no_grad():
                mean, log_variance = network.posterior(network.scaling(torch.tensor(jets.test)))
            kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean(dim=0)
            table.add(row, mse=scores["mse"][0].mean(), kl=scores["kl"][0].mean())
            table.add(row, active=float((kl > 0.1).sum()))
            for metric in ("nll", "mse"):
                background, signals = scores[metric]
                for name in ("w_80", "w_174", "top_174"):
                    table.add(row, **{f"{metric} {name}": auc(background, signals[name])})
    yield jets.n_seeds, {"beta": table.bands()}


# Strengths: kappa, lambda; with the supervised classifier, 1 = reweighted to the QCD mass.
DECORRELATED = [
    "disco 100", "disco 1000", "vae 0", "mse_oe 500", "kl_oe 0.2", "supervised 1", "disco 200",
    "disco 500", "disco_nll 100", "kl_oe 2", "mse_oe 50", "disco_nll 10", "supervised 0",
    "disco 10",
]  # fmt: skip


def trained(kind, strength, jets, seed):
    """A detector trained in one of the ways of `DECORRELATED`."""
    if kind == "vae":
        return papers.vae(random_state=seed).set_params(**SHORTER).fit(jets.train)
    if kind.startswith("disco"):
        detector = papers.vae_disco(80, strength=strength, random_state=seed).set_params(**DISCO)
        if kind == "disco_nll":
            detector.set_params(decorrelation__metric="nll")
        return detector.fit(np.column_stack([jets.train, jets.train_mass]))
    if kind == "supervised":
        X = np.concatenate([jets.train, jets.outliers])
        y = np.repeat([0, 1], [len(jets.train), len(jets.outliers)])
        weight = np.ones(len(X))
        if strength:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", LowStatisticsWarning)
                weight[y == 1] = mass_matching_weight(jets.outlier_mass, jets.train_mass)
        detector = papers.jet_classifier(random_state=seed)
        detector.set_params(classifier__max_epochs=10, classifier__batch_size=200)
        return detector.fit(X, y, sample_weight=weight)
    detector = papers.vae_outlier_exposure(kind.removesuffix("_oe"), random_state=seed)
    return detector.set_params(**EXPOSURE, exposure__strength=strength).fit(*jets.exposed(seed))


def decorrelation(jets):
    """Ways and strengths of decorrelation from the mass.

    disco: kappa of the paper's preset, which decorrelates the loss; disco_nll: the same with the
    NLL; mse_oe and kl_oe: lambda; supervised: the classifier of appendix B without and with mass
    weights.
    """
    tops, signals, points, exposed, draws = (Table() for _ in range(5))
    for seed in range(jets.n_seeds):
        for name in DECORRELATED:
            kind, strength = name.split()
            detector = trained(kind, float(strength), jets, seed)
            disco = kind.startswith("disco")
            metric = "nll" if kind in ("vae", "disco", "disco_nll") else kind.removesuffix("_oe")
            background, found = jets.scores(detector, metric, with_mass=disco)
            cuts = {e: np.quantile(background, 1 - e) for e in EFFICIENCIES}
            passed = {
                signal: {e: (score > cuts[e]).mean() for e in EFFICIENCIES}
                for signal, score in found.items()
            }
            area = {signal: auc(background, score) for signal, score in found.items()}
            tops.add(name, jsd=jets.sculpting(background))
            tops.add(name, **{"signal efficiency": passed["top_174"][0.05], "auc": area["top_174"]})
            signals.add(name, **area)
            for e in EFFICIENCIES:
                points.add(name, **{f"jsd at {e:.0%}": jets.sculpting(background, e)})
                for signal in ("w_80", "top_174", "higgs_20", "higgs_80"):
                    points.add(name, **{f"{signal} at {e:.0%}": passed[signal][e]})
            if kind != "supervised":
                for other in ("nll", "mse", "kl", "emd"):
                    score = jets.scores(detector, other, with_mass=disco, only_background=True)
                    exposed.add(name, **{other: jets.sculpting(score)})
            if disco:
                for n in (0, 1, 20):
                    detector.set_params(n_samples=n)
                    score = jets.scores(detector, "nll", with_mass=True, only_background=True)
                    draws.add(name, **{f"{n} draws": jets.sculpting(score)})
            print(seed, name, tops.bands()[name], flush=True)
        yield (
            seed + 1,
            {
                "decorrelation": tops.bands(),
                "every signal": signals.bands(),
                "working points": points.bands(),
                "which metric": exposed.bands(),
                "draws": draws.bands(),
            },
        )


def frames(jets):
    """The five metrics in four-vectors and in (log pT, eta, phi): AUC on tops, shared fraction."""
    fewer = slice(0, len(jets.train) // 2)
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
        n_seeds=jets.n_seeds,
        fraction=0.05,
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
    for seed in range(jets.n_seeds):
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
            scores.append([pipeline[-1].set_params(metric="emd").anomaly_score(X) for X in steps])
            found[frame].append(auc(*scores[-1]))
        found["shared 5 %"].append(shared_fraction(scores[0][0], scores[1][0], fraction=0.05))
    table["emd"] = {key: band(values) for key, values in found.items()}
    yield jets.n_seeds, {"frames": table}


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
        for seed in range(jets.n_seeds):
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
    many = np.resize(X, (60 * len(X), X.shape[1])).astype(np.float32)
    seconds, _ = processor_time(lambda: detector.anomaly_score(many))
    table[f"scoring {len(many):.1e} jets"] = {"skad, seconds": [seconds] * 3}
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
    yield jets.n_seeds, {"speed": table}


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


TITLES = {
    "decorrelation": "JSD of the QCD mass, signal efficiency and AUC on tops, at 5 % of QCD.",
    "every signal": "AUC of every signal against QCD jets.",
    "working points": "JSD, and signal efficiency, at 1, 5 and 10 % background efficiency.",
    "which metric": "JSD at 5 % of every metric of the same networks: which of them decorrelates.",
    "draws": "JSD at 5 % of the NLL by posterior draws; 0 decodes the mean.",
}


def markdown(results):
    """The results as tables."""

    def cell(value):
        middle, low, high = value
        if abs(middle) >= 100:
            return f"{middle:,.0f} [{low:,.0f}, {high:,.0f}]"
        return f"{middle:.3f} [{low:.3f}, {high:.3f}]"

    lines = ["# The VAE paper on simulated jets", ""]
    for section, run in results.items():
        lines += [f"## {section}", "", inspect.getdoc(SECTIONS[section]), "", run["how"], ""]
        for name, table in run["tables"].items():
            if name != section or name in TITLES:
                lines += [f"### {name}", "", TITLES[name], ""]
            columns = list(dict.fromkeys(c for row in table.values() for c in row))
            lines += ["| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
            for row, cells in table.items():
                cells = [cell(cells[c]) if c in cells else "" for c in columns]
                lines.append(f"| {row} | " + " | ".join(cells) + " |")
            lines.append("")
    return "\n".join(lines)


SECTIONS = {
    "metrics": metrics,
    "beta": beta,
    "decorrelation": decorrelation,
    "frames": frames,
    "speed": speed,
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--data", type=Path, help="folder of Parquet files")
    parser.add_argument("--train", type=int, default=16_000, help="QCD jets to train on")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"SECTION must be one of {list(SECTIONS)}; got {unknown}")
    if options.quick:
        options.train, options.seeds = 600, 1
        for settings in (SHORTER, DISCO, EXPOSURE):
            settings["max_epochs"] = 13
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    jets = Jets(options)
    for section in options.sections or SECTIONS:
        start = time.process_time()
        for n_seeds, tables in SECTIONS[section](jets):
            seconds = time.process_time() - start
            # What is there is kept: a long section yields after every seed.
            if options.quick:
                continue
            how = (
                f"`OMP_NUM_THREADS=1 python benchmarks/vae_paper.py {section} --seeds {n_seeds} "
                f"--train {options.train}`{'' if options.data is None else ' with --data'}: median "
                f"and 68 % band of the seeds, {len(jets.test)} QCD jets for the test. "
                f"{seconds:.0f} s on {platform.machine()}, one thread, torch {torch.__version__}."
            )
            results[section] = {"how": how, "tables": tables}
            results = {name: results[name] for name in SECTIONS if name in results}
            RESULTS.write_text(json.dumps(results, indent=1))
            RESULTS.with_suffix(".md").write_text(markdown(results))
        print(f"{section}: {time.process_time() - start:.0f} s of processor time", flush=True)


if __name__ == "__main__":
    main()
