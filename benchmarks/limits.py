"""Do limits from counts cover, and are they those of pyhf? Coverage by pseudo-experiments.

    OMP_NUM_THREADS=1 python benchmarks/limits.py

Coverage: fraction of data sets, thrown with background, its measurement, signal and its efficiency,
whose limit at 95 % lies above the strength that they were thrown with. The strength is given in
standard deviations of the background, ``sqrt(b + sigma^2)``. pyhf: largest difference of observed
and expected CLs over random models of one to three channels. ``--quick`` makes few data sets and
writes nothing.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pyhf
from reporting import markdown

from skad.search import counting_limit, pyhf_workspace
from skad.search._counting import CountingData, CountingModel
from skad.search._limits import asymptotic_cls

RESULTS = Path(__file__).parent / "results" / "limits.md"
# Background, its uncertainty, relative uncertainty of the signal, constraint.
MODELS = [
    (100.0, 8.0, 0.1, "gamma"),
    (100.0, 8.0, 0.1, "gaussian"),
    (2000.0, 60.0, 0.2, "gamma"),
    (10.0, 2.0, 0.1, "gamma"),
    (3.0, 1.0, 0.0, "gamma"),
]
SIZES = (1.0, 2.0, 3.0, 4.0, 6.0)
OF_TOYS = (4.0,)


def thrown(model, size, n_data, rng):
    """Counts and measured backgrounds of data sets, the signal at strength 1."""
    b, sigma, delta, constraint = model
    signal, tau = size * np.sqrt(b + sigma**2), b / sigma**2
    if constraint == "gamma":
        # Without an event the off region measures no background that could have an uncertainty.
        measured = np.maximum(rng.poisson(tau * b, n_data), 1) / tau
    else:
        measured = np.maximum(rng.normal(b, sigma, n_data), 0.0)
    n = rng.poisson(b + signal * (1 + delta) ** rng.normal(size=n_data)).astype(float)
    return n, measured, signal, tau


def covered(model, size, n_data, rng):
    """Fraction of asymptotic limits above the true strength, where CLs is above 0.05."""
    b, sigma, delta, constraint = model
    n, measured, signal, _ = thrown(model, size, n_data, rng)
    likelihood = CountingModel(
        *np.array([[b], [sigma]]), np.ones(1), np.array([[signal]]), np.array([[delta]]), constraint
    )
    data = CountingData(n[:, None], measured[:, None], np.zeros(n_data))
    return np.mean(asymptotic_cls(likelihood, data, np.ones(n_data))[0] >= 0.05)


def covered_by_toys(model, size, n_data, n_toys, rng):
    """Fraction of limits by toys above the true strength."""
    assert model[3] == "gamma"
    inside = 0
    n, measured, signal, tau = thrown(model, size, n_data, rng)
    for count, b0 in zip(n, measured, strict=True):
        limit = counting_limit(
            count, b0, signal, uncertainty=np.sqrt(b0 / tau), signal_uncertainty=model[2],
            method="toys", n_toys=n_toys, random_state=rng,
        )  # fmt: skip
        inside += limit.observed >= 1
    return inside / n_data


def coverage(n_data, n_of_toys, n_toys):
    rng, rows = np.random.RandomState(0), []
    for model in MODELS:
        fractions = [covered(model, size, n_data, rng) for size in SIZES]
        rows.append([*model, "asymptotic", n_data, *(f"{100 * each:.1f}" for each in fractions)])
    model = MODELS[-1]
    fractions = {size: covered_by_toys(model, size, n_of_toys, n_toys, rng) for size in OF_TOYS}
    cells = [f"{100 * fractions[size]:.1f}" if size in fractions else "-" for size in SIZES]
    rows.append([*model, "toys", n_of_toys, *cells])
    return rows


def against_pyhf(n_models):
    rng, worst, seconds = np.random.RandomState(1), 0.0, np.zeros(2)
    for number in range(n_models):
        n_channels = 1 + number % 3
        background = rng.uniform(2, 80, n_channels)
        signal = rng.uniform(2, 20, n_channels)
        start = time.process_time()
        limit = counting_limit(
            rng.poisson(background + rng.uniform() * signal),
            background,
            signal,
            uncertainty=background * rng.uniform(0.02, 0.25, n_channels),
            signal_uncertainty=rng.uniform(0.05, 0.3, n_channels),
            constraint=("gamma", "gaussian")[number % 2],
        )
        seconds[0] += time.process_time() - start
        workspace = pyhf.Workspace(pyhf_workspace(limit))
        model = workspace.model()
        bounds = model.config.suggested_bounds()
        bounds[model.config.poi_index] = (0, 100)
        i = rng.randint(5, len(limit.scan_strength))
        start = time.process_time()
        observed, expected = pyhf.infer.hypotest(
            limit.scan_strength[i], workspace.data(model), model, test_stat="qtilde",
            par_bounds=bounds, return_expected_set=True,
        )  # fmt: skip
        seconds[1] += time.process_time() - start
        difference = np.subtract(
            [observed, *expected], [limit.scan_observed[i], *limit.scan_expected[i]]
        )
        worst = max(worst, np.abs(difference).max())
    return worst, 1e3 * seconds / n_models


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args(arguments).quick
    warnings.filterwarnings("ignore", "jsonschema.RefResolver")
    worst, milliseconds = against_pyhf(4 if quick else 100)
    start = time.process_time()
    rows = coverage(50, 2, 200) if quick else coverage(5000, 200, 1000)
    lines = [
        "# Limits from counts: coverage, and pyhf",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/limits.py`",
        "",
        "Per cent of data sets whose limit at 95 % is above the true strength, which is given in",
        "standard deviations of the background (columns at the right). CLs covers more where there",
        "is little sensitivity, by construction. The binomial standard deviation is 0.3, of toys",
        "1.5.",
        "",
        *markdown(
            rows,
            ["b", "sigma", "delta", "constraint", "method", "data sets", *map(str, SIZES)],
        ),
        "",
        f"Largest difference of CLs, observed and expected, to pyhf {pyhf.__version__}",
        f"over 100 random models: {worst:.1e}. A limit with band and scan took",
        f"{milliseconds[0]:.0f} ms of processor, one CLs of pyhf {milliseconds[1]:.0f} ms, the "
        f"table {time.process_time() - start:.0f} s.",
    ]
    print("\n".join(lines))
    if not quick:
        RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
