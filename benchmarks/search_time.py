"""Time to the result of a default scan of five windows: where it goes, and how busy cores are.

Run: OMP_NUM_THREADS=1 python benchmarks/search_time.py --data FOLDER
Writes benchmarks/results/search_time.md; ``--quick`` is small and writes nothing. ``--before`` is
the processor time that an earlier commit printed, for the table.
"""

import argparse
import cProfile
import pstats
import resource
import time
import warnings
from pathlib import Path

from dijet_search import make_search
from reporting import markdown
from samples import add_data_option

from skad.resonant import Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt

RESULTS = Path(__file__).parent / "results" / "search_time.md"
CENTRES = (2.9, 3.2, 3.5, 3.8, 4.1)
# Functions by file and name, whose cumulative times count.
PARTS = {
    "boosted trees, fit": ("gradient_boosting.py", "fit"),
    "random trees, fit": ("_classes.py", "fit"),
    "scores of trees": ("_tree_ensemble.py", ("log_odds_of_ensembles", "decision_function")),
    "bins and order of events": ("_tree_ensemble.py", ("_bin_edges", "_neighbours_together")),
    "spectrum fits, tests, toys": ("_bump_hunt.py", ("_test", "_summarise", "_fitted_region")),
}


def seconds():
    """Return the processor time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def hunt_of(n_jobs, quick):
    centres = CENTRES[2:3] if quick else CENTRES
    windows = [SignalRegion(centre - 0.2, centre + 0.2) for centre in centres]
    return BumpHunt(
        TemplateDetector(Sidebands()), windows, n_jobs=n_jobs, n_folds=2 if quick else 5,
        random_state=0,
    )  # fmt: skip


def profiled(hunt, X):
    """Return the share of each part in the time of a fit."""
    profile = cProfile.Profile()
    profile.enable()
    hunt.fit(X)
    profile.disable()
    stats = pstats.Stats(profile)
    shares = {}
    for name, (file, functions) in PARTS.items():
        functions = (functions,) if isinstance(functions, str) else functions
        for (path, _, function), (_, _, _, cumulative, _) in stats.stats.items():
            if path.endswith(file) and function in functions:
                # Of two functions that call each other the outer one counts.
                part = max(cumulative, shares.get(name, 0.0))
                shares[name] = part if "scores" in name else shares.get(name, 0.0) + cumulative
    return {name: part / stats.total_tt for name, part in shares.items()}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--before", type=float)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    n_events = 4_000 if options.quick else options.events
    X = make_search(options.data, 0, n_data=n_events, quick=options.quick).X
    rows = []
    for n_jobs in (1,) if options.quick else (1, 2):
        before, start = seconds(), time.perf_counter()
        hunt = hunt_of(n_jobs, options.quick).fit(X)
        if n_jobs > 1:
            from joblib.externals.loky import get_reusable_executor

            # The time of workers counts when they have ended.
            get_reusable_executor().shutdown(wait=True)
        used, wall = seconds() - before, time.perf_counter() - start
        rows.append([n_jobs, f"{used:.1f}", f"{wall:.1f}", f"{used / wall / n_jobs:.0%}"])
        print(*rows[-1], float(hunt.results_["z_local"].sum()), flush=True)
    if options.before is not None:
        rows.append(["1, before", f"{options.before:.1f}", "", ""])
    shares = profiled(hunt_of(1, options.quick), X)
    text = "\n".join(
        [
            "# Time to the result of a search",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/search_time.py --data FOLDER --events "
            f"{n_events}`",
            "",
            f"CWoLa hunting with the default classifier, {len(CENTRES)} windows, 5 folds, "
            f"{len(X)} simulated dijets of four features and their mass. Busy is the processor "
            "time over the wall time and the number of jobs, on two cores that other work shared: "
            "a lower bound.",
            "",
            *markdown(rows, ["jobs", "processor, s", "wall, s", "busy"]),
            "",
            "Where the time of one job goes, from a profile, which slows Python:",
            "",
            *markdown([[n, f"{s:.0%}"] for n, s in shares.items()], ["part", "share"]),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)
    return text


if __name__ == "__main__":
    main()
