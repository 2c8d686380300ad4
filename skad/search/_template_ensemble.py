"""Background after a cut from many fits of a template: what seeds and statistics make of it."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from skad.search._background import combine_seeds, direct_background
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, EVENTS, Having, Numbers, checked
from skad.utils._children import fit_child, rows_of
from skad.utils._random import draw_seeds
from skad.utils._tasks import run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import ArrayLike

    from skad.search._background import BackgroundEstimate
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["ensemble_background"]

_NUMBER = [sk.Interval(Integral, 2, 10_000, closed="both")]


@checked(
    template=Having(
        "an unfitted template, such as skad.resonant.CATHODE(region=...)",
        ("fit", "sample_background"),
    ),
    X=EVENTS,
    y=Numbers(like="X"),
    n_seeds=COUNT,
    n_bootstraps=[None, *_NUMBER],
    n_samples=COUNT,
    random_state=["random_state"],
)
def ensemble_background(
    template: Estimator,
    X: ArrayLike,
    score: Callable[..., Any],
    thresholds: ArrayLike,
    *,
    y: ArrayLike | None = None,
    n_region: float | Floats | None = None,
    region_scores: ArrayLike | None = None,
    n_seeds: int = 3,
    n_bootstraps: int | None = 5,
    n_samples: int = 100_000,
    n_jobs: int | None = None,
    random_state: Seed = None,
) -> BackgroundEstimate:
    """Background after a cut from an ensemble of templates, with the uncertainty of their training.

    The template is fitted to the events with several seeds, and to resampled events. The mean over
    the seeds is the background; `syst` is the quadratic sum of the error of that mean and of the
    standard deviation over the resamplings: what the seed and the statistics of the sidebands make
    of the template, as in `BumpHunt` with `n_seeds` and `n_bootstraps`. The `uncertainty` of the
    result is that of `counting_limit`.

    Parameters
    ----------
    template : estimator
        Unfitted, with ``sample_background(n_samples, random_state)``.
    X : array-like of shape (n_events, n_features)
        Events that the template learns from.
    score : callable
        ``score(X)`` returns anomaly scores, higher = more anomalous, of a detector that was trained
        on none of the template's samples.
    thresholds : array-like of shape (n_cuts,)
        Events with a larger score pass.
    y : array-like of shape (n_events,), default=None
        For templates that need it: 1 = data, 0 = simulation.
    n_region : float or (float, float), default=None
        Background N of the region before the cut, as in `direct_background`.
    region_scores : array-like of shape (n_region_events,), default=None
        Scores of the observed events of the region, as in `direct_background`; they or `n_region`
        are needed.
    n_seeds : int, default=3
        Fits to the events as they are.
    n_bootstraps : int or None, default=5
        Fits to events of which each is taken a Poisson number of times with mean 1; None for none.
    n_samples : int, default=100000
        Events drawn from each fit; the statistics of the draw enter the spreads.
    n_jobs : int, default=None
        Fits at a time.
    random_state : None, int or RandomState, default=None

    Returns
    -------
    estimate : BackgroundEstimate

    See Also
    --------
    combine_seeds : The same from estimates at hand, without resampling.
    skad.inspection.template_fit_test : Whether the template is right at all.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.datasets import make_resonance
    >>> from skad.resonant import Sidebands, SignalRegion
    >>> from skad.search import ensemble_background
    >>> X = make_resonance(5000, 0, random_state=0).data
    >>> estimate = ensemble_background(
    ...     Sidebands(SignalRegion(3.3, 3.7)), X, lambda X: X[:, 1], [1.0], n_region=1000,
    ...     n_samples=2000, random_state=0,
    ... )
    >>> bool(0 < estimate.syst[0] < 0.2 * estimate.background[0])
    True
    """
    if not callable(score):
        raise TypeError(f"score must be a function of X; got {score!r}.")
    rng = check_random_state(random_state)
    n_fits = n_seeds + (n_bootstraps or 0)
    everything = np.arange(len(X))
    rows = [everything] * n_seeds
    rows += [np.repeat(everything, rng.poisson(1.0, len(X))) for _ in range(n_fits - n_seeds)]
    seeds = draw_seeds(rng, 2 * n_fits)
    options = {
        "n_region": n_region,
        "region_scores": region_scores,
        "n_samples": n_samples,
    }
    estimates = run_tasks(
        [
            (
                _estimate,
                (template, X, y, own, number, *seeds[2 * number :][:2], score, thresholds, options),
            )
            for number, own in enumerate(rows)
        ],
        name=f"fits of a template with {n_seeds} seeds and {n_bootstraps or 0} resamplings",
        n_jobs=n_jobs,
    )
    of_seeds, resampled = estimates[:n_seeds], estimates[n_seeds:]
    mean = combine_seeds(of_seeds) if n_seeds > 1 else of_seeds[0]
    if not resampled:
        return mean
    spread = np.std([each.background for each in resampled], axis=0, ddof=1)
    return replace(mean, syst=np.hypot(mean.syst, spread))


def _estimate(template, X, y, rows, copy, seed, drawing_seed, score, thresholds, options):
    fitted = fit_child(
        template,
        rows_of(X, rows),
        None if y is None else np.asarray(y)[rows],
        random_state=np.random.RandomState(seed),
        copy=copy,
    )
    return direct_background(fitted, score, thresholds, random_state=drawing_seed, **options)
