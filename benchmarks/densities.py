"""Densities against the truth, and the likelihood of real events against processor time.

Run: OMP_NUM_THREADS=1 python benchmarks/densities.py --part toys
     OMP_NUM_THREADS=1 python benchmarks/densities.py --part sharp
     OMP_NUM_THREADS=1 python benchmarks/densities.py --part lhco --data ../shared/data/lhco_sr
Each part writes benchmarks/results/densities_<part>.md; ``--quick`` is small and writes nothing.
"""

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import (
    BatchNorm,
    CompositeTransform,
    MaskedAffineAutoregressiveTransform,
    ReversePermutation,
)
from reporting import markdown
from samples import add_data_option, read_region
from scipy.special import logsumexp

from skad import papers
from skad.density import FlowDensity

RESULTS = Path(__file__).parent / "results"
FEATURES = ["mj1", "delta_mj", "tau21_j1", "tau21_j2"]


def gaussian(n, rng):
    factor = np.linalg.cholesky([[1.0, 0.8], [0.8, 1.0]])
    X = rng.normal(size=(n, 2)) @ factor.T

    def log_density(x):
        z = np.linalg.solve(factor, x.T)
        return -0.5 * (z**2).sum(0) - np.log(2 * np.pi * np.diag(factor).prod())

    return X, log_density


def mixture(n, rng):
    angles = 2 * np.pi * np.arange(5) / 5
    centres = 2 * np.column_stack([np.cos(angles), np.sin(angles)])
    X = centres[rng.randint(5, size=n)] + 0.4 * rng.normal(size=(n, 2))

    def log_density(x):
        r2 = ((x[:, None] - centres) ** 2).sum(2)
        return logsumexp(-0.5 * r2 / 0.16, axis=1) - np.log(5 * 2 * np.pi * 0.16)

    return X, log_density


def ring(n, rng):
    radius = np.abs(2 + 0.3 * rng.normal(size=n))
    angle = rng.uniform(0, 2 * np.pi, size=n)
    X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

    def log_density(x):
        r = np.hypot(*x.T)
        folded = np.logaddexp(-0.5 * ((r - 2) / 0.3) ** 2, -0.5 * ((r + 2) / 0.3) ** 2)
        return folded - np.log(np.sqrt(2 * np.pi) * 0.3) - np.log(2 * np.pi * r)

    return X, log_density


def checkerboard(n, rng):
    column = rng.randint(4, size=n)
    row = 2 * rng.randint(2, size=n) + column % 2
    X = np.column_stack([column, row]) + rng.uniform(size=(n, 2)) - 2

    def log_density(x):
        return np.full(len(x), -np.log(8.0))

    return X, log_density


SETTINGS = {
    "nsf (default)": {},
    "nsf, 4 transforms, 16 bins": {"n_transforms": 4, "flow_options": {"n_bins": 16}},
    "maf": {"flow": "maf", "learning_rate": 3e-3},
    "nsf_coupling": {"flow": "nsf_coupling"},
    "cnf": {"flow": "cnf", "learning_rate": 1e-2},
}


def toys(options):
    n = 600 if options.quick else options.events
    epochs = 2 if options.quick else 20
    rows = []
    for name, make in (
        ("Gaussian, correlation 0.8", gaussian),
        ("five Gaussians", mixture),
        ("ring", ring),
        ("checkerboard", checkerboard),
    ):
        X, log_density = make(n, np.random.RandomState(0))
        T, _ = make(n, np.random.RandomState(1))
        truth = log_density(T).mean()
        for settings_name, settings in SETTINGS.items():
            cnf = settings.get("flow") == "cnf"
            density = FlowDensity(
                max_epochs=min(epochs, 3) if cnf else epochs, random_state=0, device="cpu"
            )
            density.set_params(**settings)
            start = time.process_time()
            density.fit(X)
            seconds = time.process_time() - start
            n_points = 41 if options.quick else 241 if cnf else 601
            axis = np.linspace(-6, 6, n_points)
            grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
            total = np.exp(logsumexp(density.score_samples(grid))) * (axis[1] - axis[0]) ** 2
            difference = density.score(T) - truth
            rows.append(
                [
                    name,
                    settings_name,
                    f"{truth:.4f}",
                    f"{difference:+.4f}",
                    f"{total:.4f}",
                    f"{seconds:.0f}",
                ]
            )
            print(rows[-1], flush=True)
    return [
        f"{n} events, {epochs} epochs (cnf: {min(epochs, 3)}), tested on {n} independent events. "
        "Difference of the mean log density to the exact one in nats, integral over [-6, 6]^2.",
        "",
        *markdown(rows, ["density", "flow", "exact", "difference", "integral", "CPU s"]),
    ]


def sharp(options):
    """The discontinuous checkerboard needs a wide flow with fine splines and many events."""
    n = 2000 if options.quick else 250_000
    X, log_density = checkerboard(n, np.random.RandomState(0))
    T, _ = checkerboard(50_000, np.random.RandomState(1))
    start = time.process_time()
    density = FlowDensity(
        n_transforms=4,
        hidden_layer_sizes=(128, 128),
        flow_options={"n_bins": 48, "tail_bound": 3.0},
        max_epochs=9,
        random_state=0,
    ).fit(X)
    seconds = time.process_time() - start
    difference = density.score(T) - log_density(T).mean()
    return [
        f"Checkerboard, {n} events, 4 transforms of 128-128, 48 bins up to 3, 9 epochs: mean log "
        f"density {difference:+.4f} nats from the exact one, {seconds:.0f} CPU s."
    ]


def lhco_events(folder):
    """Logit of min-max scaled, standardised features and mjj, constants from data_train."""
    frames = read_region(folder)[:2]
    low, high = frames[0][FEATURES].min(), frames[0][FEATURES].max()
    arrays = []
    for frame in frames:
        u = (frame[FEATURES] - low) / (high - low)
        inside = ((u > 0) & (u < 1)).all(axis=1)
        logit = np.log(u / (1 - u))[inside]
        arrays.append((logit, frame["mjj"][inside], frame["label"][inside]))
    mean, scale = arrays[0][0].mean(), arrays[0][0].std(ddof=0)
    X, T = (np.column_stack([(z - mean) / scale, m]) for z, m, _ in arrays)
    return X, T[arrays[1][2] == 0]


def by_hand(X, T, epochs):
    """The ANODE preset in a plain nflows loop; returns the test NLL after every epoch."""
    torch.manual_seed(0)
    layers = []
    for _ in range(15):
        layers += [
            MaskedAffineAutoregressiveTransform(
                4, 128, context_features=1, num_blocks=1, use_residual_blocks=False
            ),
            BatchNorm(4),
            ReversePermutation(4),
        ]
    flow = Flow(CompositeTransform(layers), StandardNormal([4]))
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-4, weight_decay=1e-6)
    m_mean, m_scale = X[:, 4].mean(), X[:, 4].std()

    def tensors(A):
        return torch.tensor(A[:, :4]).float(), torch.tensor((A[:, 4:] - m_mean) / m_scale).float()

    x, m = tensors(X)
    curve, spent = [], 0.0
    for _ in range(epochs):
        start = time.process_time()
        flow.train()
        order = torch.randperm(len(x))
        for i in range(0, len(x), 256):
            rows = order[i : i + 256]
            optimizer.zero_grad()
            loss = -flow.log_prob(x[rows], m[rows]).mean()
            loss.backward()
            optimizer.step()
        spent += time.process_time() - start
        flow.eval()
        with torch.no_grad():
            log_p = flow.log_prob(*tensors(T)).double()
        curve.append((spent, -float(log_p.mean())))
    return curve


def lhco(options):
    X, T = lhco_events(options.data)
    if options.quick:
        X, T = X[:3000], T[:3000]
    rows = []

    def add(name, settings):
        density = FlowDensity(condition_features=[4], random_state=0, device="cpu", **settings)
        start = time.process_time()
        density.fit(X)
        seconds = time.process_time() - start
        rate = density.n_iter_ * len(X) * density.n_estimators / seconds
        rows.append([name, f"{seconds:.0f}", f"{rate:.0f}", f"{-density.score(T):.4f}"])
        print(rows[-1], flush=True)

    epochs = (1,) if options.quick else (2, 4, 8, 16)
    for n in epochs:
        add(f"nsf (default), {n} epochs", {"max_epochs": n})
    for n in epochs:
        add(f"maf 6x64, {n} epochs", {"flow": "maf", "learning_rate": 3e-3, "max_epochs": n})
    for n in epochs[1:3]:
        add(f"nsf_coupling, {n} epochs", {"flow": "nsf_coupling", "max_epochs": n})
    add(
        "nsf, mean of 4 flows, 6 epochs",
        {"n_estimators": 4, "max_epochs": 1 if options.quick else 6},
    )
    add("cnf (RK4), 1 epoch", {"flow": "cnf", "flow_options": {"solver": "rk4"}, "max_epochs": 1})
    n_hand = 1 if options.quick else options.hand_epochs
    for epoch, (seconds, nll) in enumerate(by_hand(X, T, n_hand), 1):
        if epoch in (1, 2, 4, 8, n_hand):
            rows.append(
                [
                    f"ANODE preset, nflows by hand, epoch {epoch}",
                    f"{seconds:.0f}",
                    f"{epoch * len(X) / seconds:.0f}",
                    f"{nll:.4f}",
                ]
            )
            print(rows[-1], flush=True)
    paper = papers.anode().background_density.get_params()
    names = (
        "n_transforms",
        "hidden_layer_sizes",
        "flow_options",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "schedule",
        "clip_norm",
    )
    anode = {name: paper[name] for name in names}
    add(f"ANODE preset in skad, {n_hand} epochs", {"flow": "maf", **anode, "max_epochs": n_hand})
    return [
        "LHC Olympics signal-region events, four features given mjj, logit of min-max scaled and "
        f"standardised features (events at the extremes left out): {len(X)} events of data_train "
        f"to fit on, NLL in nats on the {len(T)} background events of data_val. Settings were "
        "chosen on held-out events of data_train. Processor time of training, one core.",
        "",
        *markdown(rows, ["flow", "CPU s", "events/s", "NLL"]),
    ]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["toys", "sharp", "lhco"], required=True)
    add_data_option(parser)
    parser.add_argument("--events", type=int, default=50_000, help="events of each toy")
    parser.add_argument("--hand-epochs", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    body = {"toys": toys, "sharp": sharp, "lhco": lhco}[options.part](options)
    text = "\n".join(
        [
            f"# Densities: {options.part}",
            "",
            f"`OMP_NUM_THREADS=1 python benchmarks/densities.py --part {options.part} --events "
            f"{options.events}{' --data FOLDER' if options.data else ''}`, Python "
            f"{platform.python_version()}, torch {torch.__version__}.",
            "",
            *body,
            "",
        ]
    )
    print(text)
    if not options.quick:
        (RESULTS / f"densities_{options.part}.md").write_text(text)


if __name__ == "__main__":
    main()
