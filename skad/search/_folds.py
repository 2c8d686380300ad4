"""What a bump hunt does in one fold of one window: fit detectors, score held-out events, cut."""

from dataclasses import dataclass, replace

import numpy as np

from skad.base import anomaly_score_of
from skad.exceptions import RegionError
from skad.search._background import pass_fraction
from skad.utils._children import fit_child, rows_of

__all__ = [
    "Fold",
    "direct_estimate",
    "fit_member",
    "passing",
    "score_fold",
    "threshold_of",
]


@dataclass(frozen=True)
class Fold:
    """Held-out events of one fold in one window.

    `events` are their positions among the data events, `scores` their mean scores over the
    seeds; `drawn` holds (scores, weights) of the background drawn from each seed's detector.
    """

    events: np.ndarray
    scores: np.ndarray
    drawn: tuple = ()


def fit_member(detector, X, y, rows, region, seed, copy, store):
    key = store.key("member", region, rows, seed, copy)
    member = store.load(key)
    if member is not None:
        return member
    member = fit_child(
        detector,
        _events(detector, X, rows, region),
        None if y is None else y[rows],
        random_state=seed,
        copy=copy,
        settings=_settings(detector, region),
    )
    store.save(key, member)
    return member


def _settings(detector, window):
    """Return the parameters `region` and `resonance` of a detector in a window, nested ones too.

    The window decides the edges; a width of the sidebands that the user gave a region stays.
    """
    settings = {}
    for name, value in detector.get_params(deep=True).items():
        last = name.rpartition("__")[2]
        if last == "resonance":
            settings[name] = window.feature
        elif last == "region":
            settings[name] = window
            width = getattr(value, "sideband_width", None)
            if width is not None and value.quantile:
                raise RegionError(
                    f"{name} has sidebands {width!r} wide in quantiles, which windows of BumpHunt "
                    "do not have; give sideband_width in the unit of m, without quantile=True."
                )
            if width is not None:
                settings[name] = replace(window, sideband_width=width)
    return settings


def _events(detector, X, rows, region):
    """Rows of X as the detector wants them: without m where it knows no region."""
    names = detector.get_params(deep=True)
    blind = not any(name.rpartition("__")[2] == "region" for name in names)
    events = rows_of(X, rows)
    if not blind:
        return events
    if hasattr(X, "iloc"):
        return events.drop(columns=X.columns[region.feature])
    return np.delete(events, region.feature, axis=1)


def score_fold(members, X, y, events, rows, simulation, region, n_samples, slot):
    """Score the held-out events of a fold, and background unless `simulation` is None."""
    seeds = [seed for seed, _ in members]
    members = [member for _, member in members]
    held_out = _events(members[0], X, rows, region)

    def mean_score(X):
        return np.mean([anomaly_score_of(member, X) for member in members], axis=0)

    scores = mean_score(held_out)
    if np.isnan(scores).any():
        raise ValueError(
            f"{type(members[0]).__name__} scored {np.isnan(scores).sum()} held-out events as NaN."
        )
    drawn = []
    if simulation is not None:
        rows = np.concatenate([rows, simulation])
        labels = None if y is None else y[rows]
        others = _events(members[0], X, rows, region)
        for seed, member in zip(seeds, members, strict=True):
            sample, weight = member.held_out_background(others, labels, None, n_samples, seed)
            if hasattr(X, "iloc") and not hasattr(sample, "iloc"):
                sample = type(X)(sample, columns=X.columns)
            drawn.append((mean_score(sample), weight))
    fold = Fold(events, scores, tuple(drawn))
    store, key = slot
    store.save(key, fold)
    return fold


def passing(folds, efficiency, in_range):
    """Return which data events pass the cut of their fold; all in range for an efficiency of 1."""
    passed = in_range.copy()
    if efficiency < 1:
        passed[:] = False
        for fold in folds:
            passed[fold.events] = fold.scores > threshold_of(fold.scores, efficiency)
    return passed


def threshold_of(scores, efficiency):
    """Return the cut that the highest `efficiency` of the scores are above; ties pass."""
    n_pass = min(max(1, round(efficiency * len(scores))), len(scores))
    return np.nextafter(np.partition(scores, -n_pass)[-n_pass], -np.inf)


def direct_estimate(folds, thresholds, inside, passed, influence):
    """Background of the direct method; `influence` is filled in."""
    background = variance = 0.0
    seeds = np.zeros(len(folds[0].drawn))
    for fold, threshold in zip(folds, thresholds, strict=True):
        events = fold.events[inside[fold.events]]
        each = [
            np.ravel(pass_fraction(scores, weight, np.array([threshold])))
            for scores, weight in fold.drawn
        ]
        efficiency = np.mean([value for value, _ in each])
        background += len(events) * efficiency
        # The seeds may share their background events: their mean is no better known than each.
        variance += len(events) ** 2 * np.mean([error**2 for _, error in each])
        seeds += len(events) * np.array([value for value, _ in each])
        influence[events] = passed[events] - efficiency
    return background, np.sqrt(variance), _error_of_mean(seeds)


def _error_of_mean(values):
    """Spread over seeds as the uncertainty of their mean; 0 for one seed."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
