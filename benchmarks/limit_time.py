"""Time of a limit for which the whole search is repeated with injected signal.

Run: OMP_NUM_THREADS=1 python benchmarks/limit_time.py --data FOLDER --jobs 2
writes benchmarks/results/limit_time.md; ``--quick`` is small and writes nothing.

Simulated dijets without signal, CWoLa hunting with its default classifier in one window, five folds
and cuts at 100, 10 and 1 %; five strengths of the signal with five searches each.
"""

import argparse
import time
import warnings
from pathlib import Path

import joblib
from dijet_search import REGION, make_search
from reporting import markdown
from samples import add_data_option
from sklearn.ensemble import HistGradientBoostingClassifier

from skad.exceptions import SkadWarning
from skad.resonant import Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt, upper_limit

RESULTS = Path(__file__).parent / "results" / "limit_time.md"
STRENGTHS = [50, 100, 200, 400, 800]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_option(parser)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--refits", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.events, options.refits = 5000, 1
    warnings.simplefilter("ignore", SkadWarning)
    search = make_search(options.data, 0, n_data=options.events, quick=options.quick)
    X = search.X[search.truth == 0]
    around = SignalRegion(REGION.low, REGION.high, sideband_width=0.2)
    # The default classifier takes too long for a small run.
    classifier = HistGradientBoostingClassifier() if options.quick else None
    hunt = BumpHunt(
        TemplateDetector(Sidebands(around), classifier, cv=None),
        [(REGION.low, REGION.high)],
        efficiencies=(1.0, 0.1, 0.01),
        n_folds=2 if options.quick else 5,
        n_jobs=options.jobs,
        random_state=0,
    )
    start = time.perf_counter()
    hunt.fit(X)
    fitted = time.perf_counter()
    strengths = STRENGTHS[-2:] if options.quick else STRENGTHS
    limit = upper_limit(
        hunt,
        search.signal_train[:5000],
        strengths,
        n_refits=options.refits,
        n_jobs=options.jobs,
        random_state=0,
    )
    limited = time.perf_counter()
    rows = [
        [f"{row.efficiency:g}", f"{row.observed:.0f}", f"{row.expected:.0f}"]
        for row in limit.table.itertuples()
    ]
    text = "\n".join(
        [
            "# Time of a limit from repeated searches",
            "",
            "    OMP_NUM_THREADS=1 python benchmarks/limit_time.py --data FOLDER "
            f"--events {options.events} --refits {options.refits} --jobs {options.jobs}",
            "",
            f"{len(X)} dijets, {len(strengths)} strengths with {options.refits} searches each, "
            f"{joblib.cpu_count()} cores: one search {fitted - start:.0f} s, the limit "
            f"{limited - fitted:.0f} s of wall clock. Limits in signal events:",
            "",
            *markdown(rows, ["efficiency", "observed", "expected"]),
            "",
        ]
    )
    print(text)
    if not options.quick:
        RESULTS.write_text(text)


if __name__ == "__main__":
    main()
