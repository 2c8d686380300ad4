"""Training and scoring through the engine against hand-written torch and plain skorch.

Run: OMP_NUM_THREADS=1 python benchmarks/engine.py
Writes benchmarks/results/engine.md. ``--quick`` runs a small version and writes nothing.
"""

import argparse
import itertools
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from skorch import NeuralNetBinaryClassifier
from torch import nn
from torch.nn import functional as F

from skad.nn._engine import Trainer
from skad.nn._members import per_event
from skad.nn._mlp import MLP

RESULTS = Path(__file__).parent / "results" / "engine.md"
HIDDEN = (64, 32)
N_FEATURES = 5


def events(n, seed=0):
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, N_FEATURES)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=n) > 0).astype(np.float32)
    return X, y


def network():
    torch.manual_seed(0)
    return MLP(N_FEATURES, HIDDEN)


@per_event
def cross_entropy(net, batch):
    return F.binary_cross_entropy_with_logits(
        net(batch["x"]).squeeze(-1), batch["y"], reduction="none"
    )


def by_hand(X, y, batch_size, epochs, fused):
    """The loop a careful user writes: tensors in memory, one index per step, Adam."""
    x, t = torch.from_numpy(X), torch.from_numpy(y)
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)
    loss_function = nn.BCEWithLogitsLoss()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        total = 0.0
        for i in range(0, len(x), batch_size):
            rows = order[i : i + batch_size]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_function(net(x[rows]).squeeze(-1), t[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
    return net


def by_engine(X, y, batch_size, epochs, **settings):
    trainer = Trainer(max_epochs=epochs, batch_size=batch_size, device="cpu", **settings)
    tensors = {"x": torch.from_numpy(X), "y": torch.from_numpy(y)}
    return trainer.fit(lambda k: network(), cross_entropy, tensors, seeds=[0])


def by_skorch(X, y, batch_size, epochs):
    net = NeuralNetBinaryClassifier(
        network(),
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=batch_size,
        max_epochs=epochs,
        train_split=None,
        verbose=0,
    )
    return net.fit(X, y)


def training_rows(n, n_folds, n_seeds):
    """Rows of each member: all of them, or the training part of its fold, once for each seed."""
    if n_folds == 1:
        return [np.arange(n)] * n_seeds
    return [np.flatnonzero(np.arange(n) % n_folds != k) for k in range(n_folds)] * n_seeds


def stack_by_engine(X, y, rows, epochs):
    trainer = Trainer(max_epochs=epochs, batch_size=128, device="cpu")
    tensors = {"x": torch.from_numpy(X), "y": torch.from_numpy(y)}
    return trainer.fit(
        lambda k: MLP(N_FEATURES, HIDDEN), cross_entropy, tensors, seeds=range(len(rows)), rows=rows
    )


def one_by_one_by_hand(X, y, rows, epochs):
    for own in rows:
        by_hand(X[own], y[own], 128, epochs, fused=True)


def one_by_one(X, y, rows, epochs):
    for own in rows:
        stack_by_engine(X, y, [own], epochs)


def stack_by_hand(X, y, rows, epochs):
    """K networks as batched matrix products, each with its own shuffle."""
    x, t, n_members = torch.from_numpy(X), torch.from_numpy(y), len(rows)
    members = torch.from_numpy(np.stack(rows))
    n = members.shape[1]
    sizes = [N_FEATURES, *HIDDEN, 1]
    weights = [
        (torch.randn(n_members, a, b) / a**0.5).requires_grad_()
        for a, b in itertools.pairwise(sizes)
    ]
    biases = [torch.zeros(n_members, 1, b, requires_grad=True) for b in sizes[1:]]
    optimizer = torch.optim.Adam([*weights, *biases], lr=1e-3, fused=True)
    for _ in range(epochs):
        order = torch.stack([own[torch.randperm(n)] for own in members])
        for i in range(0, n, 128):
            batch = order[:, i : i + 128]
            h = x[batch]
            for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
                h = torch.baddbmm(b, h, w)
                if layer < len(HIDDEN):
                    h = h.relu()
            optimizer.zero_grad(set_to_none=True)
            losses = F.binary_cross_entropy_with_logits(h.squeeze(-1), t[batch], reduction="none")
            losses.mean(1).sum().backward()
            optimizer.step()


def seconds(function, *arguments, **options):
    """Processor time, which other work on the machine disturbs little."""
    start = time.process_time()
    function(*arguments, **options)
    return time.process_time() - start


def ratios(reference, ours, repeats):
    """Return ours' speed over the reference's, alternating, one ratio a repeat."""
    out = []
    for _ in range(repeats):
        a = seconds(*reference[:1], **reference[1])
        b = seconds(*ours[:1], **ours[1])
        out.append(a / b)
    return out


def shown(values):
    return f"{np.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def score_plainly(net, X, chunk=16384):
    x = torch.from_numpy(X)
    with torch.inference_mode():
        return torch.cat([net(x[i : i + chunk]) for i in range(0, len(x), chunk)]).numpy()


def peak_memory_of_scoring(n):
    """Peak resident memory beyond the input and the trained network, in a fresh process."""
    command = [sys.executable, __file__, "--measure-memory", str(n)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_memory(n):
    trained = by_engine(*events(10_000), 1024, 1)
    output = {"reduce": lambda s: s.mean(0)}
    trained.evaluate(lambda net, b: net(b["x"]).squeeze(-1), {"x": events(50_000)[0]}, **output)
    X = np.ones((n, N_FEATURES), dtype=np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    trained.evaluate(lambda net, b: net(b["x"]).squeeze(-1), {"x": X}, **output)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--measure-memory", type=int)
    options = parser.parse_args(arguments)
    if options.measure_memory:
        measure_memory(options.measure_memory)
        return
    torch.set_num_threads(1)
    n, repeats, n_score = (5000, 1, 50_000) if options.quick else (100_000, 5, 1_000_000)
    X, y = events(n)
    lines = [
        "# The training engine",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/engine.py`, one core, processor time, "
        f"{repeats} repeats in one process, ours and theirs in turn; ratios are speeds over the "
        f"reference's, median (smallest to largest). Python {platform.python_version()}, torch "
        f"{torch.__version__}. MLP {N_FEATURES}-64-32-1, {n} events, 2 epochs, stacks of networks "
        "1 epoch.",
        "",
        "| batch | reference | speed of the engine over it | target |",
        "| --- | --- | --- | --- |",
    ]
    for batch_size in (128, 1024):
        common = {"X": X, "y": y, "batch_size": batch_size, "epochs": 2}
        ours = (by_engine, common)
        full = (by_engine, {**common, "clip_norm": 5.0, "schedule": "one_cycle"})
        for name, reference, candidate, target in (
            ("hand-written, Adam", (by_hand, {**common, "fused": False}), ours, 0.9),
            ("hand-written, fused Adam", (by_hand, {**common, "fused": True}), ours, 0.9),
            (
                "hand-written, fused Adam; engine with clipping and one-cycle",
                (by_hand, {**common, "fused": True}),
                full,
                0.9,
            ),
            ("skorch, its default loader", (by_skorch, common), ours, 2.0),
        ):
            row = shown(ratios(reference, candidate, repeats))
            lines.append(f"| {batch_size} | {name} | {row} | {target} |")
    measured = {}
    small = 1000 if options.quick else 20_000
    large = 5000 if options.quick else 370_000
    for n_events, n_folds, n_seeds in ((small, 1, 50), (large, 5, 10)):
        rows = training_rows(n_events, n_folds, n_seeds)
        stack = dict(zip(("X", "y"), events(n_events), strict=True), rows=rows, epochs=1)
        what = f"{len(rows)} networks on {n_events} events"
        if n_folds > 1:
            what += f" ({n_seeds} seeds x {n_folds} folds)"
        few = 2 if n_events == 370_000 else repeats
        for name, reference, target, n_repeats in (
            ("hand-written as batched products", stack_by_hand, 0.8, repeats),
            ("one after another", one_by_one, 8, few),
            ("one after another, hand-written", one_by_one_by_hand, 8, few),
        ):
            values = ratios((reference, stack), (stack_by_engine, stack), n_repeats)
            measured[reference] = np.median(values)
            row = shown(values)
            lines.append(f"| 128 | {what}; {name} | {row} | {target} |")
            print(lines[-1], flush=True)
        if n_events == large:
            gains = measured[one_by_one_by_hand], measured[stack_by_hand]
            throughput = sum(map(len, rows)) / seconds(stack_by_engine, **stack)
    trained = by_engine(X, y, 1024, 1)
    net = trained.networks[0][0]
    X_score, _ = events(n_score)

    def engine_scores(X):
        trained.evaluate(lambda n, b: n(b["x"]), {"x": X}, reduce=lambda s: s[0])

    row = shown(
        ratios(
            (score_plainly, {"net": net, "X": X_score}), (engine_scores, {"X": X_score}), repeats
        )
    )
    memory = peak_memory_of_scoring(100_000 if options.quick else 10_000_000)
    lines += [
        "",
        f"The last stack trains {throughput:,.0f} network-events a second. Hand-written, that "
        f"stack gains {gains[0] / gains[1]:.1f} over hand-written one after another.",
        "",
        f"Scoring {n_score} events: {row} of the speed of a plain forward pass in chunks "
        "(target 0.9).",
        f"Peak memory of scoring {'1e5' if options.quick else '1e7'} events beyond the input: "
        f"{memory:.0f} MB, of which the float64 scores are "
        f"{(0.8 if options.quick else 80):.0f} MB (target under 500 MB).",
        "",
    ]
    print("\n".join(lines))
    if not options.quick:
        RESULTS.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
