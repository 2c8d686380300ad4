"""The numbers behind a comparison of detectors: the same splits for all, several of them."""

import itertools
import time
import warnings

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split

from skad.metrics import (
    anomaly_response,
    max_significance_improvement,
    shared_fraction,
    significance_improvement_at,
)
from skad.report._citations import citations_of
from skad.report._json import plain
from skad.report._versions import versions
from skad.utils._children import fit_child, requires_y, rows_of
from skad.utils._random import draw_seeds
from skad.utils._tasks import run_tasks

__all__ = ["COMPARISON_SCHEMA", "comparison_content"]

COMPARISON_SCHEMA = "skad-comparison-report-1"

_METRICS = ("auc", "average_precision", "max_sic")
_CURVE = np.geomspace(1e-3, 1.0, 40)
# Half of what lies within one standard deviation.
_BAND = (0.16, 0.84)


def comparison_content(
    detectors,
    X,
    y=None,
    *,
    title=None,
    n_repeats=3,
    test_size=0.5,
    fraction=0.01,
    n_jobs=None,
    random_state=None,
    verbose=0,
    record=None,
):
    """Return the numbers of the report as a dict that JSON holds, see `ComparisonReport`."""
    truth = None if y is None else _truth(y)
    for name, detector in detectors.items():
        if requires_y(detector):
            raise TypeError(
                f"{name} needs labels of data and simulation to fit, so it cannot be compared on "
                "events alone; compare such detectors by their searches."
            )
    seeds = draw_seeds(random_state, n_repeats)
    tasks = [
        (_fit_and_score, (detector, X, truth, test_size, seed))
        for seed in seeds
        for detector in detectors.values()
    ]
    names = list(detectors)
    outcomes = run_tasks(
        tasks,
        name=f"fits of {len(names)} detectors x {n_repeats} splits",
        groups=names * n_repeats,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    by_name = {name: outcomes[i :: len(names)] for i, name in enumerate(names)}
    rows = [_row(name, each, truth) for name, each in by_name.items()]
    key = "max_sic" if truth is not None else "fit_seconds"
    rows.sort(key=lambda row: row[key] if truth is None else -np.nan_to_num(row[key]))
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
    content = {
        "schema": COMPARISON_SCHEMA,
        "title": title or "Comparison of detectors",
        "question": (
            f"Which of {len(names)} detectors finds most, in {len(X)} events with "
            f"{np.shape(X)[1]} features? {n_repeats} splits, each half trained and half tested."
            if test_size == 0.5
            else f"Which of {len(names)} detectors finds most, in {len(X)} events with "
            f"{np.shape(X)[1]} features? {n_repeats} splits, {test_size:.0%} of the events tested."
        ),
        "answer": _answer(rows, shared, fraction, truth),
        "cautions": _cautions(truth, n_repeats, test_size),
        "labelled": truth is not None,
        "n_events": len(X),
        "n_signal": None if truth is None else int(truth.sum()),
        "n_repeats": n_repeats,
        "fraction": fraction,
        "detectors": rows,
        "shared": [
            {"first": first, "second": second, "shared": value}
            for (first, second), value in shared.items()
        ],
        "citations": citations_of(*detectors.values()),
        "versions": versions(),
        "record": record or {},
    }
    return plain(content)


def _truth(y):
    y = np.asarray(y)
    if not np.isin(y, [0, 1]).all() or len(np.unique(y)) < 2:
        raise ValueError(
            "truth must be 1 for signal and 0 for background, with events of both; got "
            f"{np.unique(y)[:10]}."
        )
    return y.astype(int)


def _fit_and_score(detector, X, truth, test_size, seed):
    """Fit on one part without labels, score the other."""
    train, test = train_test_split(
        np.arange(len(X)), test_size=test_size, random_state=seed, stratify=truth
    )
    started = time.perf_counter()
    fitted = fit_child(detector, rows_of(X, train), random_state=seed)
    between = time.perf_counter()
    scores = anomaly_response(fitted, rows_of(X, test))
    outcome = {
        "scores": scores,
        "fit_seconds": between - started,
        "score_seconds": time.perf_counter() - between,
    }
    if truth is not None:
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
    return outcome


def _row(name, outcomes, truth):
    row = {"name": name}
    if truth is not None:
        for metric in _METRICS:
            values = [outcome[metric] for outcome in outcomes]
            low, high = np.quantile(values, _BAND)
            row |= {metric: np.median(values), f"{metric}_low": low, f"{metric}_high": high}
        row["fpr"] = _CURVE
        row["sic"] = np.median([outcome["curve"] for outcome in outcomes], axis=0)
    for clock in ("fit_seconds", "score_seconds"):
        row[clock] = np.median([outcome[clock] for outcome in outcomes])
    return row


def _answer(rows, shared, fraction, truth):
    if truth is not None:
        best, *others = rows
        text = (
            f"{best['name']} has the largest significance improvement, {best['max_sic']:.2f} "
            f"({best['max_sic_low']:.2f} to {best['max_sic_high']:.2f}), and an AUC of "
            f"{best['auc']:.3f}."
        )
        near = [row["name"] for row in others if row["max_sic_high"] >= best["max_sic_low"]]
        if near:
            text += f" Within the spread of the splits: {', '.join(near)}."
        return {"verdict": best["name"], "text": text}
    text = "Without labels nobody can say which is better."
    if shared:
        (first, second), value = max(shared.items(), key=lambda item: item[1])
        text += (
            f" Of the {fraction:.2g} most anomalous events, {first} and {second} share most, "
            f"{value:.0%}; independent scores would share {fraction:.0%}."
        )
    return {"verdict": "no labels", "text": text}


def _cautions(truth, n_repeats, test_size):
    cautions = ["No fit has seen a label, and no score is of an event that was trained on."]
    if n_repeats < 3:
        cautions.append(f"{n_repeats} splits say little about the spread.")
    if truth is not None and (1 - truth).sum() * test_size < 1000:
        cautions.append(
            "With so few background events, max SIC is that of loose cuts: it is taken only where "
            "25 of them survive."
        )
    return cautions
