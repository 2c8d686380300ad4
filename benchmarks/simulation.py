"""Validate the simulation against ../shared/data and measure where its time goes.

Run: OMP_NUM_THREADS=1 python benchmarks/simulation.py [--events 10000] [--jets 4000]
Needs the extra `sim`. Writes benchmarks/results/simulation.md. The samples to compare with are
those of ``--reference FOLDER``, dijets/ and jets/ in it; where there are none, only the speed is
measured. ``--quick`` is small and writes nothing.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from skad.datasets import simulate_dijets, simulate_jets
from skad.datasets._jets import JET_COLUMNS, N_CONSTITUENTS
from skad.datasets._simulate import BATCH_EVENTS, boosted_parents
from skad.datasets._simulate_pythia import PythiaSource, cluster
from skad.datasets._simulate_recipes import dijet_recipe, jet_recipe
from skad.datasets._simulate_response import detector_response
from skad.datasets._simulate_selection import boosted_jet_rows, dijet_rows

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"
RESULTS = HERE / "results" / "simulation.md"

DIJETS = {"qcd": "background", "qcd_variation": "simulation", "wprime": "signal"}
JETS = {
    ("qcd", None): "qcd",
    ("w", 59.0): "w_59",
    ("w", 80.0): "w_80",
    ("w", 120.0): "w_120",
    ("w", 174.0): "w_174",
    ("top", 80.0): "top_80",
    ("top", 174.0): "top_174",
    ("higgs", 20.0): "higgs_20",
    ("higgs", 80.0): "higgs_80",
}
MASSES = {"m_resonance": 3500.0, "m_x": 500.0, "m_y": 100.0}


def dijet_features(events):
    """The columns of the file and what analyses make of them."""
    features = events.drop(columns="label").astype(np.float64)
    jets = []
    for j in (1, 2):
        p = features[[f"pxj{j}", f"pyj{j}", f"pzj{j}"]].to_numpy()
        energy = np.sqrt((p**2).sum(axis=1) + features[f"mj{j}"] ** 2)
        jets.append(np.column_stack([energy, p]))
        features[f"ptj{j}"] = np.hypot(p[:, 0], p[:, 1])
        features[f"tau21j{j}"] = features[f"tau2j{j}"] / (features[f"tau1j{j}"] + 1e-5)
    total = jets[0] + jets[1]
    features["mjj"] = np.sqrt(total[:, 0] ** 2 - (total[:, 1:] ** 2).sum(axis=1))
    light = features[["mj1", "mj2"]].min(axis=1)
    features["mj_light"], features["delta_mj"] = light, abs(features["mj1"] - features["mj2"])
    return features


def jet_features(jets):
    """pT and mass of the jet, and of its constituents pT, angles to the hardest and number."""
    features = jets[["pt", "m"]].astype(np.float64)
    p4 = jets[JET_COLUMNS].to_numpy(np.float64).reshape(len(jets), -1, 4)
    pt = np.hypot(p4[..., 1], p4[..., 2])
    eta = np.arcsinh(p4[..., 3] / np.maximum(pt, 1e-9))
    phi = np.arctan2(p4[..., 2], p4[..., 1])
    distance = np.hypot(eta - eta[:, :1], np.angle(np.exp(1j * (phi - phi[:, :1]))))
    for i in (0, 1, 4, 9, 19):
        features[f"pt{i:02d}"] = pt[:, i]
        if i:
            features[f"dR(00,{i:02d})"] = np.where(pt[:, i] > 0, distance[:, i], -1)
    features["eta00"] = eta[:, 0]
    features["n"] = (pt > 0).sum(axis=1)
    return features


def compare(made, reference):
    """KS distance of each feature."""
    return {name: ks_2samp(made[name], reference[name]).statistic for name in made}


def critical(n, m, level=0.01):
    """KS distance that two samples of one distribution exceed with probability `level`."""
    return np.sqrt(-0.5 * np.log(level / 2) * (n + m) / (n * m))


def ks_section(title, made, references, features):
    lines = [f"## {title}", ""]
    for key, events in made.items():
        if not references[key].exists():
            lines += [f"**{key}**: no {references[key].name} to compare with.", ""]
            continue
        reference = features(pd.read_parquet(references[key]))
        distances = compare(features(events), reference)
        limit = critical(len(events), len(reference))
        above = sum(d > limit for d in distances.values())
        label = key if isinstance(key, str) else " ".join(str(k) for k in key if k is not None)
        lines += [
            f"**{label}**, {len(events)} against {len(reference)}: largest "
            f"{max(distances.values()):.4f}; 1 % level {limit:.4f}, above it {above} of "
            f"{len(distances)}.",
            "",
            ", ".join(f"{name} {d:.4f}" for name, d in distances.items()),
            "",
        ]
    return lines


def stage_times(recipe, rows, min_pt, n_batches=4):
    """Processor time in ms per generated event of each stage, and the selected fraction."""
    source, rng = PythiaSource(recipe.settings, 1), np.random.default_rng(1)
    times, n_selected = np.zeros(4), 0
    for _ in range(n_batches):
        stamps = [time.process_time()]
        particles = source.next_batch(BATCH_EVENTS)
        stamps.append(time.process_time())
        final = particles.status > 0
        event = np.repeat(np.arange(len(particles.counts)), particles.counts)[final]
        seen, measured = detector_response(particles.p4[final], particles.pdg_id[final], rng)
        counts = np.bincount(event[seen], minlength=len(particles.counts))
        stamps.append(time.process_time())
        jets = cluster(measured, counts, radius=1.0, min_pt=min_pt)
        stamps.append(time.process_time())
        n_selected += len(rows(jets, boosted_parents(particles, recipe.parent_id)))
        stamps.append(time.process_time())
        times += np.diff(stamps)
    return 1e3 * times / (n_batches * BATCH_EVENTS), n_selected / (n_batches * BATCH_EVENTS)


def speed_section():
    cases = {
        name: (dijet_recipe(name, **MASSES), lambda jets, _: dijet_rows(jets), 20.0)
        for name in DIJETS
    }
    for kind, mass in (("qcd", None), ("w", 80.0), ("top", 174.0), ("higgs", 80.0)):
        cases[f"jets {kind}"] = (
            jet_recipe(kind, mass),
            lambda jets, parents: boosted_jet_rows(jets, parents, N_CONSTITUENTS),
            500.0,
        )
    lines = [
        "## Speed",
        "",
        "Processor time in ms per generated event on one core.",
        "",
        "| process | Pythia | response | FastJet | selection, taus | rows per event | rows/s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, case in cases.items():
        times, efficiency = stage_times(*case)
        rate = 1e3 * efficiency / times.sum()
        cells = " | ".join(f"{t:.2f}" for t in times)
        lines.append(f"| {name} | {cells} | {efficiency:.2f} | {rate:,.0f} |")
    return [*lines, ""]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000, help="dijet events per process")
    parser.add_argument("--jets", type=int, default=4_000, help="jets per kind")
    parser.add_argument("--generator", default="pythia8mc", help="what to call the generator")
    parser.add_argument("--reference", type=Path, default=SHARED, help="folder of the samples")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args(arguments)
    if args.quick:
        args.events, args.jets = 20, 10

    dijets = {p: simulate_dijets(p, args.events, random_state=1, verbose=1) for p in DIJETS}
    jets = {key: simulate_jets(*key, args.jets, random_state=1, verbose=1) for key in JETS}
    lines = [
        "# Simulation: agreement with ../shared/data and speed",
        "",
        f"`OMP_NUM_THREADS=1 python benchmarks/simulation.py --events {args.events} "
        f"--jets {args.jets}`, {args.generator}, Python {platform.python_version()}, "
        f"{platform.machine()}.",
        "",
        *ks_section(
            "Dijets, KS distance of every feature",
            dijets,
            {p: args.reference / "dijets" / f"{name}.parquet" for p, name in DIJETS.items()},
            dijet_features,
        ),
        *ks_section(
            "Jets, KS distances",
            jets,
            {key: args.reference / "jets" / f"{name}.parquet" for key, name in JETS.items()},
            jet_features,
        ),
        *speed_section(),
    ]
    print("\n".join(lines))
    if not args.quick:
        RESULTS.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
