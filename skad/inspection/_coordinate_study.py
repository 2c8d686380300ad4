"""Detectors refitted in several coordinate frames, with several seeds."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.parallel import Parallel, delayed

from skad.metrics import (
    anomaly_response,
    jaccard_index,
    max_significance_improvement,
    shared_fraction,
    significance_improvement_at,
)
from skad.metrics._checks import read_truth
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, EVENTS, FRACTION, N_JOBS, NOT_NEGATIVE, POSITIVE, checked
from skad.utils._children import fit_child, requires_y, rows_of
from skad.utils._random import draw_seeds
from skad.utils._tasks import progress
from skad.utils._transformers import check_transformer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["MEASURED", "coordinate_study", "named_estimators"]

# Arguments of studies that measure detectors.
MEASURED: dict = {
    "min_background_events": NOT_NEGATIVE,
    "rejection": [*POSITIVE, None],
    "keep_scores": ["boolean"],
}
# One of them says how anomalous an event is.
_SCORES = ("anomaly_score", "score_samples", "decision_function", "predict_proba", "predict")


@checked(
    X=EVENTS,
    y=EVENTS,
    test_size=[sk.Interval(Real, 0, 1, closed="neither")],
    n_seeds=COUNT,
    random_state=["random_state"],
    fraction=FRACTION,
    n_jobs=N_JOBS,
    **MEASURED,
)
def coordinate_study(
    detectors: Mapping[str, Estimator],
    frames: Mapping[str, Estimator],
    X: ArrayLike,
    y: ArrayLike,
    *,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    fit_y: ArrayLike | None = None,
    fit_on: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    test_size: float = 0.5,
    n_seeds: int = 5,
    random_state: Seed = None,
    fraction: float = 0.01,
    min_background_events: float = 25,
    rejection: float | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
    keep_scores: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> DataFrame:
    """Fit every detector in every frame with several seeds and measure what changes.

    Each fit is a fresh ``Pipeline([frame, detector])``. Only the metrics read the truth.

    Parameters
    ----------
    detectors : dict of str to estimator
        Detectors, densities or classifiers, all that `skad.metrics.anomaly_response` reads.
        Their `random_state`, or those of their parts, are set anew for every seed.
    frames : dict of str to transformer
        Coordinates in which to fit. None is the coordinates of X.
    X : array-like of shape (n_events, n_features)
        Events.
    y : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    X_test, y_test : array-like, default=None
        Independent events and their truth to measure on. By default every seed draws a new
        stratified split of X, the same for all detectors and frames.
    fit_y : array-like of shape (n_events,), default=None
        Labels handed to `fit` (1 = mixed, 0 = reference for weak supervision). Needed if a
        detector requires them; the others ignore them.
    fit_on : array-like of bool, shape (n_events,), default=None
        Events that detectors which do not require y are fitted on, for example
        ``fit_y == 0``, the reference. By default all.
    sample_weight : array-like of shape (n_events,), default=None
        Weights of X, in the fits that take them and in the metrics of a split.
    test_size : float or int, default=0.5
        Size of the test part, without `X_test`.
    n_seeds : int, default=5
        Number of repetitions.
    random_state : int, RandomState or None, default=None
        Source of the seeds.
    fraction : float, default=0.01
        Fraction of test background that counts as most anomalous for the overlaps.
    min_background_events : float, default=25
        As in `skad.metrics.max_significance_improvement`.
    rejection : float, default=None
        Also measure the significance improvement at this background rejection.
    signal_label : int, str or None, default=None
        The label of signal in the truth; required where it holds -1 and +1.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out, of the fits too. By
        default the only other label.
    keep_scores : bool, default=False
        Keep the anomaly scores of the test events, which `skad.plotting.ROCDisplay`,
        `skad.plotting.SICDisplay` and `skad.plotting.ScoreDisplay` draw ``from_study``.
    n_jobs : int, default=None
        Seeds fitted in parallel.
    verbose : int, default=0
        Show a progress bar over the seeds if positive.

    Returns
    -------
    study : pandas.DataFrame
        One row per detector, frame and seed, with the columns ``detector``, ``frame``, ``seed``,
        ``roc_auc``, ``max_sic`` (``sic_at_rejection``), ``fit_seconds``, ``fraction`` and, for
        every frame, ``shared_with_<frame>``: the fraction of the most anomalous background events
        that the same detector with the same seed shares with that frame, and
        ``jaccard_with_<frame>``, over the events that either selects. With `keep_scores` also
        ``scores``, ``truth`` and, where there are weights, ``sample_weight``: one array in each
        cell.

    See Also
    --------
    frame_overlap : The same for one fitted density, without a refit.
    skad.plotting.CoordinateStudyDisplay : Draws the table.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly detection under coordinate transformations",
       arXiv:2209.06225.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.coordinates import ExpTransformer
    >>> from skad.inspection import coordinate_study
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(4000, 2)), rng.normal(1, 1, size=(400, 2))])
    >>> study = coordinate_study(
    ...     {"density": GaussianMixture()}, {"x": None, "exp x": ExpTransformer()},
    ...     X, np.repeat([0, 1], [4000, 400]), n_seeds=3, random_state=0,
    ... )
    >>> study.groupby("frame")["roc_auc"].median().round(2).to_dict()
    {'exp x': 0.72, 'x': 0.7}
    """
    import pandas as pd

    detectors = named_estimators(detectors, "detectors", needs_scores=True)
    frames = named_estimators(frames, "frames")
    _check_input(detectors, X, y, X_test, y_test, fit_y, fit_on)
    labels = {"signal_label": signal_label, "background_label": background_label}
    weight = None if sample_weight is None else sk.check_sample_weight(sample_weight, X)
    on = np.ones(len(y), dtype=bool) if fit_on is None else np.asarray(fit_on)
    rows = np.arange(len(y))
    truth, rows, fit_y, on, weight = read_truth(y, rows, fit_y, on, weight, name="y", **labels)
    events = {
        "X": X if len(rows) == len(y) else rows_of(X, rows),
        "truth": truth,
        "X_test": X_test,
        "y": None if fit_y is None else np.asarray(fit_y),
        "on": on,
        "weight": weight,
    }
    if X_test is not None:
        rows = np.arange(len(y_test))
        events["test_truth"], rows = read_truth(y_test, rows, name="y_test", **labels)
        if len(rows) < len(y_test):
            events["X_test"] = rows_of(X_test, rows)
    settings = {
        "test_size": test_size,
        "fraction": fraction,
        "min_background_events": min_background_events,
        "rejection": rejection,
        "keep_scores": keep_scores,
    }
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_one_seed)(detectors, frames, events, number, seed, settings)
        for number, seed in enumerate(draw_seeds(random_state, n_seeds))
    )
    results = progress(results, n_seeds, "coordinate_study", verbose=verbose)
    return pd.DataFrame([row for rows in results for row in rows])


def named_estimators(estimators, parameter, *, needs_scores=False):
    """Return a dict of names and transformers, or estimators with scores, checked."""
    if not isinstance(estimators, Mapping) or not estimators:
        raise ValueError(
            f"{parameter} must be a dict of names and estimators, with at least one; got "
            f"{estimators!r:.100}."
        )
    for name, estimator in estimators.items():
        if not needs_scores:
            check_transformer(estimator, f"{parameter}[{name!r}]")
            continue
        has_scores = any(hasattr(estimator, method) for method in _SCORES)
        if isinstance(estimator, type) or not hasattr(estimator, "fit") or not has_scores:
            raise TypeError(
                f"{parameter}[{name!r}] must be a detector, density or classifier, with fit and "
                f"one of {', '.join(_SCORES)}; got {estimator!r:.100}."
            )
    return dict(estimators)


def _check_input(detectors, X, y, X_test, y_test, fit_y, fit_on):
    check_consistent_length(X, y, fit_y, fit_on)
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test must be given together.")
    if fit_on is not None and np.asarray(fit_on).dtype.kind != "b":
        raise ValueError("fit_on must be boolean, one entry per event.")
    if fit_y is None:
        for name, detector in detectors.items():
            if requires_y(detector):
                raise ValueError(
                    f"detectors[{name!r}] requires y to fit; pass fit_y, for example 1 for mixed "
                    "events and 0 for the reference. (y is the truth and is not shown to it.)"
                )


def _split(events, test_size, seed):
    """Return the events to fit and ``(X, truth, weight)`` of the events to measure on."""
    if events["X_test"] is not None:
        return events, (events["X_test"], events["test_truth"], None)
    truth, fit_y = events["truth"], events["y"]
    strata = truth if fit_y is None else [f"{t} {f}" for t, f in zip(truth, fit_y, strict=True)]
    train, test = train_test_split(
        np.arange(len(truth)), test_size=test_size, stratify=strata, random_state=seed
    )

    def part(name, index):
        return None if events[name] is None else rows_of(events[name], index)

    return (
        {name: part(name, train) for name in ("X", "y", "on", "weight")},
        tuple(part(name, test) for name in ("X", "truth", "weight")),
    )


def _one_seed(detectors, frames, events, number, seed, settings):
    """Return the rows of one seed."""
    train, (X_test, truth, weight) = _split(events, settings["test_size"], seed)
    rows = []
    for detector_name, detector in detectors.items():
        scores, detector_rows = {}, []
        for frame_name, frame in frames.items():
            start = perf_counter()
            try:
                model = _fit(detector, frame, train, seed, number)
                seconds = perf_counter() - start
                scores[frame_name] = anomaly_response(model, X_test)
            except Exception as exc:
                exc.add_note(f"In coordinate_study: {detector_name!r} in frame {frame_name!r}.")
                raise
            detector_rows.append(
                {
                    "detector": detector_name,
                    "frame": frame_name,
                    "seed": number,
                    **_measure(truth, scores[frame_name], weight, settings),
                    "fit_seconds": seconds,
                    "fraction": settings["fraction"],
                    **_kept(settings, scores[frame_name], truth, weight),
                }
            )
        for row in detector_rows:
            for name, metric in (("shared", shared_fraction), ("jaccard", jaccard_index)):
                for other in frames:
                    row[f"{name}_with_{other}"] = metric(
                        scores[row["frame"]][~truth],
                        scores[other][~truth],
                        fraction=settings["fraction"],
                        sample_weight=None if weight is None else weight[~truth],
                    )
        rows += detector_rows
    return rows


def _fit(detector, frame, train, seed, number):
    frame = None if frame is None or isinstance(frame, str) else frame
    model = Pipeline([("frame", frame), ("detector", detector)])
    X, y, weight = train["X"], train["y"], train["weight"]
    if not requires_y(detector):
        X, weight = rows_of(X, train["on"]), None if weight is None else weight[train["on"]]
        y = None
    # The seeds see the same events where X_test is given: copies, as fit_child counts them.
    return fit_child(model, X, y, sample_weight=weight, random_state=seed, copy=number)


def _kept(settings, scores, truth, weight):
    """Return what a row keeps of a fit for the displays."""
    if not settings["keep_scores"]:
        return {}
    kept = {"scores": scores, "truth": truth}
    return kept if weight is None else {**kept, "sample_weight": weight}


def _measure(truth, scores, weight, settings):
    options = {
        "sample_weight": weight,
        "min_background_events": settings["min_background_events"],
    }
    row = {
        "roc_auc": roc_auc_score(truth, scores, sample_weight=weight),
        "max_sic": max_significance_improvement(truth, scores, **options),
    }
    if settings["rejection"] is not None:
        row["sic_at_rejection"] = significance_improvement_at(
            truth, scores, rejection=settings["rejection"], **options
        )
    return row
