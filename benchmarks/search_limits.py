"""Do limits of a search that learns cover the signal that is there?

Run: OMP_NUM_THREADS=1 python benchmarks/search_limits.py
writes benchmarks/results/search_limits.md; ``--quick`` is small and writes nothing.
``--strengths 80 --toys 100 --first 100`` adds toys 100 to 199 of one strength.

`make_resonance` with a signal; a naive Bayes classifier against the sidebands, which is fitted anew
in every toy. How much of the signal it finds at each strength is measured once, by `upper_limit`
with other data sets without signal: for every toy that measurement would be of the same kind.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from reporting import band, markdown
from scipy import stats
from weighted_hunt import Background, hunt_of, light_detector

from skad.datasets import make_resonance
from skad.exceptions import SkadWarning
from skad.search import upper_limit
from skad.search._upper_limit import limits_of
from skad.utils._tasks import run_tasks

RESULTS = Path(__file__).parent / "results" / "search_limits.json"
N_EVENTS = 20_000
MEASURED = (10, 20, 40, 60, 90, 130, 200, 320)
TRUE = (60, 120)
CASES = {
    "cut": {"efficiencies": (0.1,)},
    "weighted": {"efficiencies": (0.3,), "weighting": "excess"},
}


def signal(n_events, seed):
    return make_resonance(0, n_events, n_features=3, random_state=seed).data


def hunt(case, seed):
    return hunt_of(light_detector(), seed, **CASES[case])


def measured(case, n_refits, n_jobs):
    """How much of the signal is found at every strength, in data without any other."""
    generate = Background(N_EVENTS)
    fitted = hunt(case, 0).fit(generate(np.random.RandomState(0)))
    limit = upper_limit(
        fitted, signal(5000, 0), MEASURED, n_refits=n_refits, into=generate, n_jobs=n_jobs,
        random_state=0,
    )  # fmt: skip
    return limit.efficiencies


def toy(case, strength, number, efficiencies):
    """Observed limit of one data set; None where the row is not trusted."""
    rng = np.random.RandomState([number, strength])
    X = np.concatenate([Background(N_EVENTS)(rng), signal(rng.poisson(strength), rng)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        fitted = hunt(case, number).fit(X)
        if not fitted.results_["trusted"][0]:
            return None
        return limits_of(fitted, [0], [0], efficiencies).observed


def report(known):
    rows = []
    for name, limits in known.items():
        case, strength = name.split()
        limits = np.array([limit for limit in limits.values() if limit is not None])
        covered = int(np.sum(limits >= float(strength)))
        low, high = stats.binomtest(covered, len(limits)).proportion_ci(0.68)
        share = f"{covered / len(limits):.1%} ({low:.1%} to {high:.1%})"
        rows.append([case, strength, len(limits), share, band(limits, 0)])
    return "\n".join(
        [
            "# Limits of a search that learns",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/search_limits.py",
            "",
            "How often the observed 95 % limit lies above the true strength, a number of signal",
            f"events in {N_EVENTS} of background, with the 68 % interval of the toys; and the",
            "limits. Only trusted rows.",
            "",
            *markdown(rows, ["counts", "true strength", "toys", "covered", "limit"]),
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--strengths", type=int, nargs="*", default=list(TRUE))
    parser.add_argument("--toys", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--refits", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two toys; nothing is written")
    arguments = parser.parse_args(arguments)
    n_toys, n_refits = (2, 1) if arguments.quick else (arguments.toys, arguments.refits)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() and not arguments.quick else {}
    for case in arguments.cases[: 1 if arguments.quick else None]:
        efficiencies = measured(case, n_refits, arguments.jobs)
        for strength in arguments.strengths[: 1 if arguments.quick else None]:
            done = known.setdefault(f"{case} {strength}", {})
            numbers = range(arguments.first, arguments.first + n_toys)
            missing = [number for number in numbers if str(number) not in done]
            for start in range(0, len(missing), 50):
                some = missing[start : start + 50]
                limits = run_tasks(
                    [(toy, (case, strength, number, efficiencies)) for number in some],
                    name="toys",
                    n_jobs=arguments.jobs,
                )
                done |= dict(zip(map(str, some), limits, strict=True))
                if not arguments.quick:
                    RESULTS.write_text(json.dumps(known) + "\n")
                    RESULTS.with_suffix(".md").write_text(report(known))
    print(report(known))


if __name__ == "__main__":
    main()
