"""How well events moved to one mass agree, and what searches of them claim without signal.

    OMP_NUM_THREADS=1 python benchmarks/decorrelation.py --data FOLDER

QCD dijets without signal, windows of 0.4 TeV from 2.9 TeV on; "shifted" has both jet masses move
with the dijet mass. First the features of the events in a window against those within its width
beside it and against those farther away, all moved by a `QuantileDecorrelator` that did not read
the window: chi2 / ndf of 20 quantile bins, the mean over features, four windows and samples; by
chance 1. Then CWoLa hunting of moved features in samples of the other generator, 100 000 events
each: mean and width of the local z of trusted rows, three windows a sample, by how far beside the
window the sidebands reach. ``--quick`` is small and writes nothing.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from dijet_search import make_search
from reporting import markdown
from samples import add_data_option
from sklearn.ensemble import HistGradientBoostingClassifier

from skad.exceptions import SkadWarning
from skad.resonant import QuantileDecorrelator, Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt

RESULTS = Path(__file__).parent / "results" / "decorrelation.md"
KNOTS = (3, 4, 5, 7)
REACH = (1.0, 2.0, None)
WIDTH = 0.4
N_BINS = 20


def chi2_per_ndf(first, second):
    """Compare two samples in bins of equal numbers of both."""
    edges = np.quantile(np.concatenate([first, second]), np.linspace(0, 1, N_BINS + 1)[1:-1])
    counts = [np.bincount(np.searchsorted(edges, x), minlength=N_BINS) for x in (first, second)]
    ratio = np.sqrt(len(second) / len(first))
    difference = ratio * counts[0] - counts[1] / ratio
    return np.sum(difference**2 / (counts[0] + counts[1])) / (N_BINS - 1)


def closure(X, n_knots):
    """Return chi2 / ndf of moved events of a window against those near it and far from it."""
    found = []
    for low in 2.9 + WIDTH * np.arange(4):
        region = SignalRegion(low, low + WIDTH)
        moved = QuantileDecorrelator(region, n_knots=n_knots).fit(X).transform(X)
        distance = abs(X[:, 0] - low - WIDTH / 2)
        inside, far = distance < WIDTH / 2, distance > 1.5 * WIDTH
        for others in (~inside & ~far, far):
            of_features = [chi2_per_ndf(x[inside], x[others]) for x in moved[:, 1:].T]
            found.append(np.mean(of_features))
    return np.mean(found[::2]), np.mean(found[1::2])


def claims(folder, reach, n_samples, n_events, quick):
    """Return the rows of searches without signal in samples of simulation."""
    rows = []
    simulation = make_search(folder, 0, signal_fraction=0, quick=quick).simulation
    for seed in range(n_samples):
        X = simulation[np.random.RandomState(seed).permutation(len(simulation))[:n_events]]
        hunt = BumpHunt(
            TemplateDetector(
                Sidebands(reach=reach),
                HistGradientBoostingClassifier(),
                cv=None,
                decorrelator=QuantileDecorrelator(),
            ),
            SignalRegion.scan(2.9, 4.1, width=WIDTH, step=WIDTH),
            efficiencies=(1e-1, 1e-2, 1e-3),
            n_folds=3,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkadWarning)
            rows.append(hunt.fit(X).results_)
    return pd.concat(rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_option(parser)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    sizes = {100_000: 3, 400_000: 1}
    n_events, reaches, knots = 100_000, REACH, KNOTS
    if options.quick:
        sizes, n_events, options.samples = {4000: 1}, 4000, 1
        reaches, knots = REACH[:1], KNOTS[:1]
    lines = []
    for shifted in (False, True):
        for size, n_samples in sizes.items():
            samples = [
                make_search(
                    options.data,
                    seed,
                    n_data=size,
                    signal_fraction=0,
                    shifted=shifted,
                    quick=options.quick,
                ).X
                for seed in range(n_samples)
            ]
            for n_knots in knots:
                near, far = np.mean([closure(X, n_knots) for X in samples], axis=0)
                features = "shifted" if shifted else "as they are"
                lines.append([features, size, n_samples, n_knots, f"{near:.2f}", f"{far:.2f}"])
                print(*lines[-1], flush=True)
    header = ["features", "events", "samples", "knots", "near the window", "far from it"]
    first = markdown(lines, header)
    lines = []
    for reach in reaches:
        rows = claims(options.data, reach, options.samples, n_events, options.quick)
        for efficiency, table in rows.groupby("efficiency"):
            z = table.loc[table["trusted"], "z_local"]
            numbers = [f"{z.mean():.2f}", f"{z.std():.2f} ± {z.std() / np.sqrt(2 * len(z)):.2f}"]
            lines.append([reach or "all", efficiency, len(table), len(z), *numbers])
            print(*lines[-1], flush=True)
    header = ["reach", "efficiency", "rows", "trusted", "mean z", "width"]
    second = markdown(lines, header)
    if not options.quick:
        command, _, about = __doc__.partition("\n\n")[2].partition("\n\n")
        about = about.partition("``--quick``")[0].strip()
        parts = ["# Features moved to one mass", command, about, *map("\n".join, (first, second))]
        RESULTS.write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
