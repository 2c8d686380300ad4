"""False discovery rate and false alarms of ConformalDetector on public tables.

Run: OMP_NUM_THREADS=1 python benchmarks/conformal.py --tables FOLDER --repeats 20
FOLDER holds one Parquet file a table, with a column `label` (1 = anomaly), such as those of ADBench
(arXiv:2206.09426). Writes benchmarks/results/conformal.md; ``--quick`` takes one table that
scikit-learn ships, and writes nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from reporting import markdown
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.detectors import ConformalDetector
from skad.utils._tasks import run_tasks

RESULTS = Path(__file__).parent / "results"
# Larger tables are drawn from, anew in every repetition.
MOST = 1000
FDR = 0.1
ALARMS = 0.05
DETECTORS = {
    "forest": IsolationForest(n_estimators=25),
    "Gaussian": make_pipeline(StandardScaler(), GaussianMixture(reg_covar=1e-2)),
}
WAYS = {"split": 0.5, "5 folds": 5}


def read_tables(folder):
    """Return a dict of table name to events and truth."""
    if folder is None:
        X, y = load_breast_cancer(return_X_y=True)
        return {"breast cancer": (X, 1 - y)}
    found = {}
    for path in sorted(Path(folder).glob("*.parquet"), key=lambda path: path.stem.lower()):
        table = pd.read_parquet(path)
        found[path.stem] = (table.drop(columns="label").to_numpy(float), table["label"].to_numpy())
    return found


def one(detector, X, y, seed):
    """Return parts of false alarms, false discoveries and found anomalies of a repetition."""
    rng = np.random.default_rng(seed)
    normal, anomalies = (rng.permutation(np.flatnonzero(y == k))[:MOST] for k in (0, 1))
    n_train = round(0.7 * len(normal))
    train, rest = normal[:n_train], normal[n_train:]
    # One event in ten of the test is an anomaly, where there are as many.
    test = np.concatenate([rest, anomalies[: max(len(rest) // 9, 1)]])
    fitted = clone(detector).set_params(random_state=seed).fit(X[train])
    alarms = np.mean(fitted.predict(X[rest]) == -1)
    chosen, truth = fitted.select(X[test], fdr=FDR), y[test] == 1
    wrong = (chosen & ~truth).sum() / max(chosen.sum(), 1)
    return alarms, wrong, (chosen & truth).sum() / truth.sum()


def measured(X, y, repeats, table=""):
    """Return, for each way and detector, means and errors of what `one` returns."""
    found = {}
    for way, cv in WAYS.items():
        for name, detector in DETECTORS.items():
            conformal = ConformalDetector(detector, cv=cv, false_alarm_rate=ALARMS)
            tasks = [(one, (conformal, X, y, seed)) for seed in range(repeats)]
            parts = np.array(run_tasks(tasks, name=f"{table}, {way}, {name}"))
            error = parts.std(axis=0, ddof=1) / np.sqrt(len(parts))
            found[f"{name}, {way}"] = [parts.mean(axis=0).tolist(), error.tolist()]
    return found


def report(found, repeats):
    """Return the numbers of all tables as text."""
    columns = [f"{name}, {way}" for way in WAYS for name in DETECTORS]
    rows = []
    for table, of_table in found.items():
        cells = []
        for column in columns:
            (alarms, wrong, power), (_, error, _) = of_table[column]
            cells.append(f"{alarms:.3f}, {wrong:.3f} ± {error:.3f}, {power:.2f}")
        rows.append([table, *cells])
    said = []
    for column in columns:
        for i, (what, nominal) in enumerate((("false alarms", ALARMS), ("discoveries", FDR))):
            above = [
                table
                for table, of_table in found.items()
                if of_table[column][0][i] > nominal + 2 * of_table[column][1][i]
            ]
            said.append(f"- {column}, {what}: {', '.join(above) or 'none'}")
    return "\n".join(
        [
            "# False alarms and false discoveries of ConformalDetector",
            "",
            "`OMP_NUM_THREADS=1 python benchmarks/conformal.py --tables FOLDER --repeats "
            f"{repeats}`",
            "",
            f"Fitted to 70 % of the normal rows of each table (at most {MOST} normal rows), tested "
            "on the others with one anomaly for nine of them; means over "
            f"{repeats} splits. In a cell: false alarms of `predict` at a rate of "
            f"{ALARMS:g}, false discovery rate of `select(fdr={FDR:g})` with its error, part of "
            "the anomalies that it finds.",
            "",
            *markdown(rows, ["table", *columns]),
            "",
            "Above the stated rate by more than two errors:",
            "",
            *said,
            "",
        ]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args(arguments)
    if options.quick:
        options.tables, options.repeats = None, 2
    found = {}
    for table, (X, y) in read_tables(options.tables).items():
        found[table] = measured(X, y, options.repeats, table)
        print(table, found[table], flush=True)
    text = report(found, options.repeats)
    print(text)
    if not options.quick:
        (RESULTS / "conformal.md").write_text(text)
    return text


if __name__ == "__main__":
    main()
