"""The numbers behind a comparison of detectors: the same splits for all, several of them."""

import itertools
import time
import warnings
from numbers import Integral

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)

from skad.exceptions import LowStatisticsWarning
from skad.metrics import (
    anomaly_response,
    get_anomaly_scorer,
    max_significance_improvement,
    precision_at_k,
    shared_fraction,
    significance_improvement_at,
)
from skad.report._cite import papers_of
from skad.report._json import plain
from skad.report._versions import versions
from skad.utils._children import fit_child, requires_y, rows_of
from skad.utils._labels import read_labels
from skad.utils._random import draw_seeds
from skad.utils._tasks import run_tasks

__all__ = ["COMPARISON_SCHEMA", "MEASURES", "comparison_content"]

COMPARISON_SCHEMA = "skad-comparison-report-1"

# What is measured with labels, and how it is called in a sentence.
MEASURES = {
    "max_sic": "significance improvement",
    "auc": "area under the ROC curve",
    "average_precision": "average precision",
    "precision_at_n": "precision among as many events as there are anomalies",
}
_WITHOUT_LABELS = ("mass_volume",)
_CURVE = np.geomspace(1e-3, 1.0, 40)
# Half of what lies within one standard deviation.
_BAND = (0.16, 0.84)


def comparison_content(
    detectors, X, y, *, cv, by, title, fraction, n_jobs, random_state, verbose, record
):
    """Return the numbers of the report as a dict that JSON holds, see `ComparisonReport`."""
    truth = None if y is None else _truth(y, len(X))
    for name, detector in detectors.items():
        if requires_y(detector):
            raise TypeError(
                f"{name} needs labels of data and simulation to fit, so it cannot be compared on "
                "events alone; compare such detectors by their searches."
            )
    splits = _splits(cv, X, truth, random_state)
    seeds = draw_seeds(random_state, len(splits))
    tasks = [
        (_fit_and_score, (detector, X, truth, train, test, seed))
        for (train, test), seed in zip(splits, seeds, strict=True)
        for detector in detectors.values()
    ]
    names = list(detectors)
    outcomes = run_tasks(
        tasks,
        name=f"fits of {len(names)} detectors x {len(splits)} splits",
        groups=names * len(splits),
        n_jobs=n_jobs,
        verbose=verbose,
    )
    by_name = {name: outcomes[i :: len(names)] for i, name in enumerate(names)}
    tests = [test for _, test in splits]
    rows = [_row(name, each, truth, tests, fraction) for name, each in by_name.items()]
    if truth is None:
        rows.sort(key=lambda row: np.nan_to_num(row["mass_volume"], nan=np.inf))
    else:
        rows.sort(key=lambda row: -np.nan_to_num(row[by], nan=-np.inf))
    shared = {
        (first, second): float(
            np.median(
                [
                    shared_fraction(a["scores"], b["scores"], fraction=fraction)
                    for a, b in zip(by_name[first], by_name[second], strict=True)
                ]
            )
        )
        for first, second in itertools.combinations(names, 2)
    }
    n_test = [len(test) for test in tests]
    papers = papers_of(*detectors.values())
    content = {
        "schema": COMPARISON_SCHEMA,
        "title": title or "Comparison of detectors",
        "question": (
            f"Which of {len(names)} detectors finds most, in {len(X)} events with "
            f"{np.shape(X)[1]} features? {len(splits)} splits, "
            f"{np.mean(n_test) / len(X):.0%} of the events tested in each."
        ),
        "answer": _answer(rows, shared, fraction, by, truth),
        "cautions": _cautions(truth, tests),
        "labelled": truth is not None,
        "by": by if truth is not None else "mass_volume",
        "n_events": len(X),
        "n_signal": None if truth is None else int(truth.sum()),
        "n_splits": len(splits),
        "fraction": fraction,
        "detectors": rows,
        "shared": [
            {"first": first, "second": second, "shared": value}
            for (first, second), value in shared.items()
        ],
        "citations": [paper.line() for paper in papers],
        "bibtex": [paper.bibtex() for paper in papers],
        "versions": versions(),
        "record": record or {},
    }
    return plain(content)


def _splits(cv, X, truth, random_state):
    seed = draw_seeds(random_state, 1)[0]
    if cv is None:
        kind = ShuffleSplit if truth is None else StratifiedShuffleSplit
        cv = kind(3, test_size=0.5, random_state=seed)
    elif isinstance(cv, Integral):
        kind = KFold if truth is None else StratifiedKFold
        cv = kind(cv, shuffle=True, random_state=seed)
    elif not hasattr(cv, "split"):
        cv = list(cv)
        if not cv or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in cv):
            raise ValueError(
                "cv, as an iterable, must hold pairs of events to fit and events to test; got "
                f"{cv!r:.100}."
            )
    return list(check_cv(cv).split(np.zeros(len(X)), truth))


def _truth(y, n_events):
    read = {"owner": "compare_detectors", "one": "signal", "zero": "background"}
    return read_labels(y, n_events, **read).astype(int)


def _fit_and_score(detector, X, truth, train, test, seed):
    """Fit on one part without labels, score the other."""
    started = time.perf_counter()
    fitted = fit_child(detector, rows_of(X, train), random_state=seed)
    between = time.perf_counter()
    scores = anomaly_response(fitted, rows_of(X, test))
    outcome = {
        "scores": scores,
        "fit_seconds": between - started,
        "score_seconds": time.perf_counter() - between,
    }
    if truth is None:
        outcome["mass_volume"] = _mass_volume(fitted, rows_of(X, test), seed)
        return outcome
    y = truth[test]
    with warnings.catch_warnings():
        # A point with few background events is NaN in the curve and left out of its figure.
        warnings.simplefilter("ignore")
        outcome["curve"] = significance_improvement_at(y, scores, fpr=_CURVE)
        outcome["max_sic"] = float(max_significance_improvement(y, scores))
    few = _CURVE * (y == 0).sum() < 25
    outcome["curve"] = np.where(few, np.nan, outcome["curve"])
    outcome["auc"] = float(roc_auc_score(y, scores))
    outcome["average_precision"] = float(average_precision_score(y, scores))
    outcome["precision_at_n"] = precision_at_k(y, scores)
    return outcome


def _mass_volume(fitted, X, seed):
    try:
        return -get_anomaly_scorer("neg_mass_volume", random_state=seed)(fitted, X)
    except ValueError as exc:
        # A pipeline of named columns, or columns that are no numbers.
        warnings.warn(f"No mass-volume curve: {exc}", LowStatisticsWarning, stacklevel=2)
        return np.nan


def _row(name, outcomes, truth, tests, fraction):
    row = {"name": name}
    for metric in _WITHOUT_LABELS if truth is None else MEASURES:
        values = [outcome[metric] for outcome in outcomes]
        low, high = np.quantile(values, _BAND)
        row |= {metric: np.median(values), f"{metric}_low": low, f"{metric}_high": high}
    if truth is not None:
        row["fpr"] = _CURVE
        row["sic"] = np.median([outcome["curve"] for outcome in outcomes], axis=0)
    row["stability"] = _stability([outcome["scores"] for outcome in outcomes], tests, fraction)
    for clock in ("fit_seconds", "score_seconds"):
        row[clock] = np.median([outcome[clock] for outcome in outcomes])
    return row


def _stability(scores, tests, fraction):
    """Return how many of the most anomalous events two fits to different events agree on."""
    shared = []
    for (a, test_a), (b, test_b) in itertools.combinations(zip(scores, tests, strict=True), 2):
        _, in_a, in_b = np.intersect1d(test_a, test_b, return_indices=True)
        if len(in_a):
            shared.append(shared_fraction(a[in_a], b[in_b], fraction=fraction))
    return np.median(shared) if shared else np.nan


def _answer(rows, shared, fraction, by, truth):
    if truth is not None:
        best, *others = rows
        text = (
            f"{best['name']} has the largest {MEASURES[by]}, {best[by]:.3g} "
            f"({best[f'{by}_low']:.3g} to {best[f'{by}_high']:.3g})"
        )
        text += "." if by == "auc" else f", and an AUC of {best['auc']:.3f}."
        near = [row["name"] for row in others if row[f"{by}_high"] >= best[f"{by}_low"]]
        if near:
            text += f" Within the spread of the splits: {', '.join(near)}."
        return {"verdict": best["name"], "text": text}
    text = "Without labels nobody can say which is better."
    best = rows[0]
    if np.isfinite(best["mass_volume"]):
        text += (
            f" {best['name']} needs the smallest part of space for nearly all events "
            f"(mass-volume {best['mass_volume']:.2g})."
        )
    stable = [row for row in rows if np.isfinite(row["stability"])]
    if stable:
        most = max(stable, key=lambda row: row["stability"])
        text += (
            f" {most['name']} is the most stable: two fits to other events share "
            f"{most['stability']:.0%} of what they find."
        )
    if shared:
        (first, second), value = max(shared.items(), key=lambda item: item[1])
        text += (
            f" Of the {fraction:.2g} most anomalous events, {first} and {second} share most, "
            f"{value:.0%}; independent scores would share {fraction:.0%}."
        )
    return {"verdict": "no labels", "text": text}


def _cautions(truth, tests):
    cautions = ["No fit has seen a label, and no score is of an event that was trained on."]
    if len(tests) < 3:
        cautions.append(f"{len(tests)} splits say little about the spread.")
    if truth is not None and min((truth[test] == 0).sum() for test in tests) < 1000:
        cautions.append(
            "With so few background events, max SIC is that of loose cuts: it is taken only where "
            "25 of them survive."
        )
    if truth is None:
        cautions.append(
            "A small volume and a stable selection are those of a good description of the events; "
            "they do not show that what is found is of interest."
        )
    return cautions
