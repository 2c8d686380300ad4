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


def covered(model, size, n_data, rng, **options):
    """Fraction of limits above the true strength 1."""
    b, sigma, delta, constraint = model
    signal = size * np.sqrt(b + sigma**2)
    tau, inside = b / sigma**2, 0
    for _ in range(n_data):
        measured = rng.poisson(tau * b) / tau if constraint == "gamma" else rng.normal(b, sigma)
        measured = max(measured, 1 / tau if constraint == "gamma" else 0.0)
        limit = counting_limit(
            rng.poisson(b + signal * (1 + delta) ** rng.normal()),
            measured,
            signal,
            uncertainty=np.sqrt(measured / tau) if constraint == "gamma" else sigma,
            signal_uncertainty=delta,
            constraint=constraint,
            random_state=rng,
            **options,
        )
        inside += limit.observed >= 1
    return inside / n_data


def coverage(models, n_data, n_toys):
    rng, rows = np.random.RandomState(0), []
    for model in models:
        fractions = [covered(model, size, n_data, rng) for size in SIZES]
        rows.append([*model, "asymptotic", n_data, *(f"{100 * each:.1f}" for each in fractions)])
    for model in models[-1:]:
        options = {"method": "toys", "n_toys": n_toys}
        n = n_data // 5
        fractions = [covered(model, size, n, rng, **options) for size in SIZES]
        rows.append([*model, "toys", n, *(f"{100 * each:.1f}" for each in fractions)])
    return rows


def against_pyhf(n_models):
    rng, worst, seconds = np.random.RandomState(1), 0.0, np.zeros(2)
    for number in range(n_models):
        n_channels = 1 + number % 3
        background = rng.uniform(2, 80, n_channels)
        signal = rng.uniform(2, 20, n_channels)
        start = time.perf_counter()
        limit = counting_limit(
            rng.poisson(background + rng.uniform() * signal),
            background,
            signal,
            uncertainty=background * rng.uniform(0.02, 0.25, n_channels),
            signal_uncertainty=rng.uniform(0.05, 0.3, n_channels),
            constraint=("gamma", "gaussian")[number % 2],
        )
        seconds[0] += time.perf_counter() - start
        workspace = pyhf.Workspace(pyhf_workspace(limit))
        model = workspace.model()
        bounds = model.config.suggested_bounds()
        bounds[model.config.poi_index] = (0, 100)
        i = rng.randint(5, len(limit.scan_strength))
        start = time.perf_counter()
        observed, expected = pyhf.infer.hypotest(
            limit.scan_strength[i], workspace.data(model), model, test_stat="qtilde",
            par_bounds=bounds, return_expected_set=True,
        )  # fmt: skip
        seconds[1] += time.perf_counter() - start
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
    worst, milliseconds = against_pyhf(6 if quick else 200)
    start = time.perf_counter()
    rows = coverage(MODELS[3:], 5, 200) if quick else coverage(MODELS, 500, 2000)
    lines = [
        "# Limits from counts: coverage, and pyhf",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/limits.py`",
        "",
        "Per cent of data sets whose limit at 95 % is above the true strength, which is given in",
        "standard deviations of the background (columns at the right). CLs covers more where there",
        "is little sensitivity, by construction. One binomial standard deviation of 500 is 1.0.",
        "",
        *markdown(
            rows,
            ["b", "sigma", "delta", "constraint", "method", "data sets", *map(str, SIZES)],
        ),
        "",
        f"Largest difference of observed and expected CLs to pyhf {pyhf.__version__} over 200",
        f"random models: {worst:.1e}. A limit with band and scan took {milliseconds[0]:.0f} ms, one CLs "
        f"of pyhf {milliseconds[1]:.0f} ms.",
        f"The table took {time.perf_counter() - start:.0f} s on one core.",
    ]
    print("\n".join(lines))
    if not quick:
        RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
