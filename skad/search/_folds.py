"""What a bump hunt does in one fold of one window: fit detectors, score held-out events, cut."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skad.base import anomaly_score_of
from skad.exceptions import RegionError
from skad.search._background import error_of_mean
from skad.search._kept import keep
from skad.utils._children import fit_child, rows_of, seeded_child

__all__ = [
    "Background",
    "Cut",
    "Fold",
    "counts_of_data",
    "cut_of",
    "direct_estimate",
    "events_for",
    "fit_and_keep",
    "fit_member",
    "fit_shared",
    "mean_score",
    "score_fold",
]


@dataclass(frozen=True)
class Fold:
    """Held-out events of one fold in one window.

    `events` are their positions among the data events, `scores` their mean scores over the
    seeds, `weight` their weights; `drawn` holds (scores, weights) of the background drawn from each
    seed's detector, `redrawn` those from backgrounds learned from resampled events.
    """

    events: np.ndarray
    scores: np.ndarray
    weight: np.ndarray
    drawn: tuple = ()
    redrawn: tuple = ()

    @cached_property
    def ranked(self):
        """The events from the rarest on, and the weight up to each."""
        order = np.argsort(-self.scores, kind="stable")
        return order, np.cumsum(self.weight[order])


def fit_and_keep(task, where, name):
    """Fit a detector; return it and what is left of it after the fit of the hunt, see `keep`."""
    member = fit_member(*task)
    return member, keep(member, where, name)


def fit_shared(detector, X, y, weight, rows, region, seed, copy, store):
    """Return the parameters that detectors of the same events share in all windows."""
    key = store.key("shared", rows, seed, copy)
    shared = store.load(key)
    if shared is None:
        learner = seeded_child(detector, seed, copy=copy).set_params(**_settings(detector, region))
        shared = learner.fit_shared(
            events_for(detector, X, rows, region), _rows_of(y, rows), _rows_of(weight, rows)
        )
        store.save(key, shared)
    return shared


def fit_member(detector, X, y, weight, rows, region, seed, copy, shared, store):
    key = store.key("member", region, rows, seed, copy)
    member = store.load(key)
    if member is not None:
        return member
    member = fit_child(
        detector,
        events_for(detector, X, rows, region),
        None if y is None else y[rows],
        sample_weight=None if weight is None else weight[rows],
        random_state=seed,
        copy=copy,
        settings=_settings(detector, region) | shared,
    )
    store.save(key, member)
    return member


def _settings(detector, window):
    """Return the parameters `region` and `resonance` of a detector in a window, nested ones too.

    The window decides the edges; a width of the sidebands that the user gave a region stays.
    """
    settings = dict(getattr(detector, "_settings_in_search", {}))
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


def events_for(detector, X, rows, region):
    """Rows of X as the detector wants them: without m where it knows no region."""
    names = detector.get_params(deep=True)
    blind = not any(name.rpartition("__")[2] == "region" for name in names)
    events = rows_of(X, rows)
    if not blind:
        return events
    if hasattr(X, "iloc"):
        return events.drop(columns=X.columns[region.feature])
    return np.delete(events, region.feature, axis=1)


@dataclass(frozen=True)
class Background:
    """What the background of a fold is measured on, and how often it is learned again.

    `simulation` are the simulated events of the fold, `training` the events that its detectors were
    fitted to, `resampling` the seeds of the bootstraps, the same for every fold: a resampled event
    is in all of them.
    """

    n_samples: int
    simulation: np.ndarray
    training: np.ndarray
    resampling: tuple = ()


def score_fold(members, X, y, weight, events, rows, background, region, slot):
    """Score the held-out events of a fold, and background unless `background` is None."""
    seeds = [seed for seed, _ in members]
    members = [member for _, member in members]

    def select(rows):
        labels = None if y is None else y[rows]
        return events_for(members[0], X, rows, region), labels, _rows_of(weight, rows)

    scores = mean_score(members, X, select(rows)[0])
    if np.isnan(scores).any():
        raise ValueError(
            f"{type(members[0]).__name__} scored {np.isnan(scores).sum()} held-out events as NaN."
        )
    drawn, redrawn = [], []
    if background is not None:
        others = select(np.concatenate([rows, background.simulation]))

        def draw(source, seed):
            sample, sample_weight = source.held_out_background(*others, background.n_samples, seed)
            return mean_score(members, X, sample), sample_weight

        drawn = [draw(member, seed) for seed, member in zip(seeds, members, strict=True)]
        for seed in background.resampling:
            copies = np.random.RandomState(seed).poisson(1.0, len(X))[background.training]
            resampled = select(np.repeat(background.training, copies))
            redrawn.append(draw(members[0].refit_background(*resampled, seed), seed))
    held_out = np.ones(len(rows)) if weight is None else weight[rows]
    fold = Fold(events, scores, held_out, tuple(drawn), tuple(redrawn))
    store, key = slot
    store.save(key, fold)
    return fold


def mean_score(members, X, events):
    """Mean score of events by the seeds of a fold; `X` are events as they were trained with."""
    if hasattr(X, "iloc") and not hasattr(events, "iloc"):
        events = type(X)(events, columns=X.columns)
    return np.mean([anomaly_score_of(member, events) for member in members], axis=0)


def _rows_of(weight, rows):
    return None if weight is None else weight[rows]


@dataclass(frozen=True)
class Cut:
    """What an event of a score counts in one fold.

    1 above the threshold, else 0. With a `unit`, what its score has in excess of the threshold; the
    unit is the mean excess of the held-out events that pass, which then count 1 on average.
    """

    threshold: float
    unit: float = np.nan

    def counts(self, scores):
        if np.isnan(self.unit):
            return (scores > self.threshold).astype(np.float64)
        return np.maximum(scores - self.threshold, 0.0) / self.unit


def cut_of(fold, efficiency, *, weighs=False):
    """Return the cut above which `efficiency` of the weight of a fold lies; ties pass."""
    if efficiency == 1:
        return Cut(-np.inf)
    order, above = fold.ranked
    # The first event with which the fraction is reached to half of its own weight.
    n_pass = np.searchsorted(above - 0.5 * fold.weight[order], efficiency * above[-1])
    last = order[min(max(1, n_pass), len(order)) - 1]
    cut = Cut(np.nextafter(fold.scores[last], -np.inf))
    if not weighs:
        return cut
    passed = cut.counts(fold.scores) * fold.weight
    return replace(cut, unit=float(passed @ (fold.scores - cut.threshold) / passed.sum()))


def counts_of_data(folds, cuts, in_range):
    """Return what each data event counts after the cut of its fold; 1 in range without any."""
    counts = np.zeros(len(in_range))
    if not cuts or np.isneginf(cuts[0].threshold):
        counts[in_range] = 1.0
        return counts
    for fold, cut in zip(folds, cuts, strict=True):
        counts[fold.events] = cut.counts(fold.scores)
    return counts


def direct_estimate(folds, cuts, inside, counts, influence):
    """Background of the direct method: expected weight, error, and error of the background itself.

    `influence` is filled in.
    """
    background = variance = 0.0
    seeds, bootstraps = np.zeros(len(folds[0].drawn)), np.zeros(len(folds[0].redrawn))
    for fold, cut in zip(folds, cuts, strict=True):
        is_inside = inside[fold.events]
        events, weight = fold.events[is_inside], fold.weight[is_inside]
        total = weight.sum()

        def means(drawn, cut=cut):
            return [_mean_count(cut.counts(scores), weight) for scores, weight in drawn]

        each = means(fold.drawn)
        efficiency = np.mean([value for value, _ in each])
        background += total * efficiency
        # The seeds may share their background events: their mean is no better known than each.
        variance += total**2 * np.mean([error**2 for _, error in each])
        seeds += total * np.array([value for value, _ in each])
        bootstraps += total * np.array([value for value, _ in means(fold.redrawn)])
        influence[events] = weight * (counts[events] - efficiency)
    spread = float(bootstraps.std(ddof=1)) if len(bootstraps) else 0.0
    return background, np.sqrt(variance), float(np.hypot(error_of_mean(seeds), spread))


def _mean_count(counts, weight):
    """Weighted mean of what events count, and its standard deviation."""
    weight = np.ones(len(counts)) if weight is None else np.asarray(weight, dtype=np.float64)
    mean = weight @ counts / weight.sum()
    return mean, np.sqrt(weight**2 @ (counts - mean) ** 2) / weight.sum()
