"""Does the goodness-of-fit test of templates find a shift of 5 % of a feature's width?

    OMP_NUM_THREADS=1 python benchmarks/template_fit.py --data FOLDER

FOLDER holds background.parquet, 500 000 QCD dijets. Data and template are disjoint random samples
of it between 2.9 and 4.1 TeV; where the template is wrong, one of five features (in turn) is
shifted by 5 % of its standard deviation, or shuffled between events, which leaves every feature as
it is but not their dependence. Rejected is a template whose p-value is below 0.05. Without
``--data``, or with ``--quick``, the events inside the package, fewer; nothing is written then.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from reporting import markdown
from samples import FEATURES, add_data_option, read_dijets

from skad.coordinates import DijetCoordinates
from skad.inspection import template_fit_test

RESULTS = Path(__file__).parent / "results" / "template_fit.md"
WINDOW = (2.9, 4.1)
SHIFT = 0.05
# Events of data and of the template.
COUNTS = [(20_000, 20_000), (10_000, 10_000), (5000, 5000)]


def events(folder):
    features = (*FEATURES, "delta_r")
    table = DijetCoordinates(features=features).fit_transform(read_dijets(folder)[0])
    table = np.asarray(table, dtype=np.float64)
    m = table[:, 0]
    return table[(m >= WINDOW[0]) & (m < WINDOW[1])]


def rejected(pool, n_data, n_template, n_toys, kind):
    """Fractions of toys in which all tests, the features alone and the classifier alone reject."""
    found = []
    for toy in range(n_toys):
        rng = np.random.default_rng(toy)
        rows = rng.permutation(len(pool))[: n_data + n_template]
        data, template = pool[rows[:n_data], 1:], pool[rows[n_data:], 1:].copy()
        feature = toy % template.shape[1]
        if kind == "shift":
            template[:, feature] += SHIFT * template[:, feature].std()
        elif kind == "shuffle":
            template[:, feature] = template[rng.permutation(len(template)), feature]
        test = template_fit_test({"template": template}, data, random_state=toy)
        p = test.tests["p_value"].to_numpy()
        found.append([test.table["p_value"][0], (len(p) - 1) * p[:-1].min(), p[-1]])
    return (np.array(found) < 0.05).mean(axis=0)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_data_option(parser)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    pool, start, rows = events(options.data), time.process_time(), []
    small = options.quick or options.data is None
    counts = [(len(pool) // 5, len(pool) // 5)] if small else COUNTS
    for n_data, n_template in counts:
        for kind, n_toys in (("none", 100), ("shift", 50), ("shuffle", 20)):
            n_toys = 2 if small else n_toys
            fractions = rejected(pool, n_data, n_template, n_toys, kind)
            cells = [f"{100 * fraction:.0f}" for fraction in fractions]
            rows.append([n_data, n_template, kind, n_toys, *cells])
            print(*rows[-1], flush=True)
    header = ["data", "template", "change", "toys", "all tests", "features", "classifier"]
    lines = [
        "# Goodness of fit of templates",
        "",
        "`OMP_NUM_THREADS=1 python benchmarks/template_fit.py --data FOLDER`",
        "",
        "Per cent of toys in which a template is rejected at 5 %, on simulated dijets of five",
        "features: a right template, one with a feature shifted by 5 % of its standard deviation,",
        "one with a feature shuffled between events. All tests: the smallest p-value of features",
        "and classifier, corrected. The binomial standard deviation of 5 % is 2 in 100 toys.",
        "",
        *markdown(rows, header),
        "",
        f"{(time.process_time() - start) / sum(row[3] for row in rows):.2f} s of processor a test.",
    ]
    print("\n".join(lines))
    if not small:
        RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
