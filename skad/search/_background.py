"""Expected background in the signal region after a cut: direct, importance and sideband."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

from skad.exceptions import SculptingWarning, SpectrumFitWarning
from skad.resonant._region import SignalRegion
from skad.search._fit_range import restrict_sidebands
from skad.search._p_values import local_p_value, local_significance, p_to_z
from skad.search._sculpting import sideband_sculpting_test
from skad.search._spectrum import fit_spectrum
from skad.search._trust import FIT_ALPHA, why_untrusted
from skad.search._weights import effective_events, mean_weight, weighted_histogram
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, PROBABILITY, Numbers, checked
from skad.utils._readable import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Floats, Seed

__all__ = [
    "BackgroundEstimate",
    "combine_seeds",
    "direct_background",
    "importance_background",
    "sideband_background",
]


# The bias of importance weights over that with half of the events: between 1/2 and its root.
_OF_HALVES = 0.6
# R is at least the share of the background; a half with a hole in its density must not decide.
_SMALLEST_RATIO = 0.1


@readable
@dataclass(frozen=True)
class BackgroundEstimate:
    """Expected background of the signal region as a function of the cut.

    Arrays have one entry per cut.

    Attributes
    ----------
    method : str
        "direct", "importance" or "sideband".
    threshold : ndarray
        Cuts: events with a larger score pass.
    n_observed : ndarray
        Events of the region that pass.
    background : ndarray
        Expected background events that pass.
    stat : ndarray
        Statistical standard deviation of `background`.
    syst : ndarray
        Systematic standard deviation, for example the spread over seeds.
    efficiency, efficiency_stat : ndarray
        Fraction of the background of the region that passes, with its standard deviation.
    fits : tuple of SpectrumFit
        One per cut, for "sideband".
    sculpting : tuple of SculptingTest
        One per cut, for "sideband".
    reason : tuple of str
        Why the background after a cut is not to be trusted, "" where it is.
    scale : ndarray or float
        Of weighted events, the weight of an event in the p-values: sum of squared weights over sum
        of weights of those that pass; 1 for counts.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.search import importance_background
    >>> estimate = importance_background([0.5, 1.0, 2.0, 4.0], [0.9, 1.5])
    >>> estimate.background
    array([1.75, 0.75])
    >>> estimate.n_observed
    array([3., 2.])
    """

    method: str
    threshold: np.ndarray
    n_observed: np.ndarray
    background: np.ndarray
    stat: np.ndarray
    syst: np.ndarray
    efficiency: np.ndarray
    efficiency_stat: np.ndarray
    fits: tuple = field(default=(), repr=False)
    sculpting: tuple = field(default=(), repr=False)
    reason: tuple = ()
    scale: np.ndarray | float = 1.0

    @property
    def trusted(self):
        """Which cuts have a background that can be believed; `reason` says why others have not."""
        reason = self.reason or ("",) * len(self.background)
        return np.array([not why for why in reason])

    @property
    def uncertainty(self):
        """Standard deviation of `background`: statistical and systematic in quadrature."""
        return np.hypot(self.stat, self.syst)

    def p_value(self, **options: Any) -> NDArray[Any]:
        """Local p-value of the excess after every cut.

        Parameters
        ----------
        **options
            `method`, `constraint`, `n_toys`, `random_state` of `local_p_value`.

        Returns
        -------
        p_value : ndarray
            NaN where no background is expected.
        """
        return self._each_cut(local_p_value, **options)

    def significance(self, **options: Any) -> Any:
        """Local significance after every cut, negative for a deficit; `options` as in `p_value`.

        NaN where the background is not positive.
        """
        if options.pop("method", "asymptotic") == "toys":
            return p_to_z(self.p_value(method="toys", **options))
        return self._each_cut(local_significance, **options)

    def _each_cut(self, function, **options):
        values = np.full(self.background.shape, np.nan)
        positive = self.background > 0
        counts = self.n_observed, self.background, self.uncertainty
        values[positive] = function(*((each / self.scale)[positive] for each in counts), **options)
        return values

    def to_frame(self) -> Any:
        """Return a pandas DataFrame with one row per cut."""
        import pandas as pd

        names = ["threshold", "n_observed", "background", "stat", "syst"]
        names += ["efficiency", "efficiency_stat", "scale"]
        return pd.DataFrame({name: getattr(self, name) for name in names}).assign(
            method=self.method,
            trusted=self.trusted,
            reason=list(self.reason) or "",
        )


@checked(
    thresholds=Numbers((0, 1), finite=False),
    region_scores=Numbers(),
    n_samples=COUNT,
    random_state=["random_state"],
)
def direct_background(
    source: Any,
    score: Callable[..., Any],
    thresholds: ArrayLike,
    *,
    region_scores: ArrayLike | None = None,
    n_region: float | Floats | None = None,
    conditions: ArrayLike | None = None,
    n_samples: int = 100_000,
    random_state: Seed = None,
) -> BackgroundEstimate:
    """Background after a cut by Monte-Carlo integration of its density.

    ``b(Rc) = N integral p_background(x | m) Theta(score(x) - Rc) dx``: events are drawn from the
    interpolated density and pass through the same score and cut as the data. Right where the
    density is; it assumes nothing about how the cut depends on m.

    Parameters
    ----------
    source : object
        Either a template with ``sample_background(n_samples, random_state)`` that returns
        (X, sample_weight), or a density with ``sample(n_samples, random_state)``, called with
        ``conditions=`` when `conditions` is given.
    score : callable
        ``score(X)`` returns the anomaly scores of the drawn events, higher = more anomalous.
    thresholds : array-like of shape (n_cuts,)
        Events with a larger score pass.
    region_scores : array-like of shape (n_region_events,), default=None
        Scores of the observed events of the region; they give `n_observed` and, by default,
        `n_region`.
    n_region : float or (float, float), default=None
        Background N of the region before the cut, with a standard deviation if known. None
        means the number of observed events, as in the paper: too large by the signal fraction.
        The cut is then judged given that number, so it adds no uncertainty.
    conditions : array-like of shape (n, n_conditions), default=None
        Values of the conditional features in the region (the observed m), from which those of
        the drawn events are taken at random.
    n_samples : int, default=100000
        Drawn events.
    random_state : None, int or RandomState, default=None

    Returns
    -------
    estimate : BackgroundEstimate
        `stat` holds the Monte-Carlo statistics and the uncertainty of `n_region`.

    References
    ----------
    B. Nachman, D. Shih, "Anomaly detection with density estimation", Phys. Rev. D 101 (2020)
    075042, arXiv:2001.04990, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import KernelDensity
    >>> from skad.search import direct_background
    >>> rng = np.random.default_rng(0)
    >>> density = KernelDensity(bandwidth=0.1).fit(rng.normal(size=(2000, 1)))
    >>> estimate = direct_background(
    ...     density, np.ravel, [1.0], n_region=1000, n_samples=10_000, random_state=0
    ... )
    >>> bool(abs(estimate.background[0] - 158.7) < 25)
    True
    """
    if not callable(score):
        raise TypeError(f"score must be a function of X; got {score!r}.")
    thresholds = _thresholds(thresholds)
    rng = check_random_state(random_state)
    X, weight = _draw_background(source, n_samples, conditions, rng)
    drawn = Numbers().read(score(X), "score(X)")
    efficiency, efficiency_stat = pass_fraction(drawn, weight, thresholds)
    if region_scores is None:
        n_observed = np.full(thresholds.shape, np.nan)
    else:
        n_observed = _count_above(region_scores, thresholds)
    if n_region is None:
        if region_scores is None:
            raise ValueError("direct_background needs region_scores or n_region.")
        n_region = len(region_scores)
    number, *spread = np.atleast_1d(Numbers((0, 1), lowest=0.0).read(n_region, "n_region"))
    if len(spread) > 1:
        raise ValueError(
            f"n_region must be a number, or a pair with its standard deviation; got {n_region!r}."
        )
    spread = spread[0] if spread else 0.0
    return BackgroundEstimate(
        method="direct",
        threshold=thresholds,
        n_observed=n_observed,
        background=number * efficiency,
        stat=np.hypot(number * efficiency_stat, spread * efficiency),
        syst=np.zeros_like(efficiency),
        efficiency=efficiency,
        efficiency_stat=efficiency_stat,
    )


def _draw_background(source, n_samples, conditions, rng):
    if hasattr(source, "sample_background"):
        return source.sample_background(n_samples, random_state=rng)
    if not hasattr(source, "sample"):
        raise TypeError(
            "direct_background needs a template with sample_background or a density with "
            f"sample; {type(source).__name__} has neither."
        )
    if conditions is None:
        X = source.sample(n_samples, random_state=rng)
    else:
        conditions = np.asarray(conditions, dtype=np.float64)
        rows = rng.randint(len(conditions), size=n_samples)
        X = source.sample(n_samples, random_state=rng, conditions=conditions[rows])
    return X, np.ones(n_samples)


def pass_fraction(scores, weight, thresholds):
    """Weighted fraction of scores above each threshold, and its standard deviation."""
    weight = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = weight.sum()
    passed = scores[:, None] > thresholds
    efficiency = weight @ passed / total
    # Variance of a ratio of sums of weights.
    variance = (weight**2) @ (passed - efficiency) ** 2 / total**2
    return efficiency, np.sqrt(variance)


@checked(ratio=Numbers(), thresholds=Numbers((0, 1), finite=False), scores=Numbers(like="ratio"))
def importance_background(
    ratio: ArrayLike, thresholds: ArrayLike, *, scores: ArrayLike | None = None, halves: Any = None
) -> BackgroundEstimate:
    """Background after a cut from the observed events, each weighted by 1/R.

    ``b(Rc) = sum_i Theta(R_i - Rc) / R_i`` over the events of the region, with
    ``R = p_data / p_background``: the paper's equation 3.7 times the number of events. For the true
    R of the densities p(x | m) this is the efficiency of the background times all events of the
    region, so too large by the signal fraction near m; for that of the densities p(x, m), both
    normalised to events, it is unbiased. A learned R is noisy, and the events with the largest R
    are those where the noise went up; the estimate is then too low and observed and expected
    events share the noise, so a p-value from it over-claims. `halves` measures the bias and
    corrects it; otherwise check with pseudo-experiments, or prefer "direct".

    Parameters
    ----------
    ratio : array-like of shape (n_region_events,)
        Density ratio R > 0 of the observed events of the region.
    thresholds : array-like of shape (n_cuts,)
        Events with a larger score pass.
    scores : array-like of shape (n_region_events,), default=None
        Scores that are cut on, in the order of R; None means R itself.
    halves : pair of array-like of shape (n_region_events,), default=None
        R > 0 of the same events from two data densities, each learned from another random half of
        the events that R was learned from. None leaves the bias in.

    Returns
    -------
    estimate : BackgroundEstimate
        `stat` is ``sqrt(sum Theta / R^2)``, of a sum over a Poisson number of events; `syst` the
        size of the correction by `halves`, 0 without.

    Raises
    ------
    ValueError
        A passing event whose ratio is not positive and finite, or halves of another length.

    Notes
    -----
    The noise of one half is not that of the other. So of the events that rank highest in one half,
    as many as pass, the sum of 1/R from the other half is free of the bias and the sum of its own
    1/R is not. With all events the bias is smaller than with half of them: by a factor of 2, as the
    variance of the noise, where the cut lies far out in a wide spectrum of R, by its root where the
    noise decides what passes. The middle, 0.6 of the relative difference of the two sums, is
    corrected. Both halves take a turn. Their ratios below 0.1, which no sample of mostly
    background has, are holes in a learned density and count as 0.1. The events should be none that
    the densities were learned from.

    References
    ----------
    B. Nachman, D. Shih, "Anomaly detection with density estimation", Phys. Rev. D 101 (2020)
    075042, arXiv:2001.04990, equation 3.7.

    Examples
    --------
    >>> from skad.search import importance_background
    >>> importance_background([0.5, 1.0, 2.0, 4.0], [0.9]).background
    array([1.75])
    """
    thresholds = _thresholds(thresholds)
    scores = ratio if scores is None else scores
    passed = scores[:, None] > thresholds
    bad = passed.any(axis=1) & ~((ratio > 0) & np.isfinite(ratio))
    if bad.any():
        raise ValueError(
            f"{bad.sum()} events pass a cut with a density ratio that is not positive and "
            "finite; check the densities there, or raise the thresholds."
        )
    weight = np.where(passed.any(axis=1), 1 / np.where(ratio > 0, ratio, 1.0), 0.0)
    background = weight @ passed
    stat = np.sqrt(weight**2 @ passed)
    syst = np.zeros_like(stat)
    n_region = len(ratio)
    if halves is not None:
        correction = 1 / (1 - _relative_bias(halves, passed))
        syst = np.abs(correction - 1) * background
        background, stat = correction * background, correction * stat
    return BackgroundEstimate(
        method="importance",
        threshold=thresholds,
        n_observed=passed.sum(axis=0).astype(np.float64),
        background=background,
        stat=stat,
        syst=syst,
        efficiency=background / n_region,
        efficiency_stat=stat / n_region,
    )


def _relative_bias(halves, passed):
    """Part of the background that importance weights miss after each cut, from two halves."""
    halves = [np.asarray(half, dtype=np.float64) for half in halves]
    if len(halves) != 2 or any(half.shape != (len(passed),) for half in halves):
        raise ValueError(
            f"halves must be two arrays of {len(passed)} ratios, one of each event; got shapes "
            f"{[half.shape for half in halves]}."
        )
    if not all((half > 0).all() and np.isfinite(half).all() for half in halves):
        raise ValueError("halves must hold positive and finite ratios; select fiducial events.")
    n_passed = passed.sum(axis=0)
    halves = [half.clip(_SMALLEST_RATIO) for half in halves]
    own, other = np.zeros(len(n_passed)), np.zeros(len(n_passed))
    for cut, weigh in (halves, halves[::-1]):
        order = np.argsort(-cut, kind="stable")
        own += np.append(0.0, np.cumsum(1 / cut[order]))[n_passed]
        other += np.append(0.0, np.cumsum(1 / weigh[order]))[n_passed]
    return np.where(n_passed > 0, _OF_HALVES * (1 - own / np.where(other > 0, other, 1.0)), 0.0)


@checked(
    scores=Numbers(),
    thresholds=Numbers((0, 1), finite=False),
    region=[SignalRegion],
    fit_alpha=PROBABILITY,
    sculpting_alpha=PROBABILITY,
)
def sideband_background(
    m: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike,
    region: SignalRegion,
    *,
    fit_range: Literal["auto"] | Floats | float | None = "auto",
    edges: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    fit_alpha: float = FIT_ALPHA,
    sculpting_alpha: float = 0.01,
    **fit_options: Any,
) -> BackgroundEstimate:
    """Background after a cut from a fit of the surviving spectrum in the sidebands.

    For every cut the events of the sidebands that pass are fitted and the function is integrated
    over the region. Valid when the cut leaves a spectrum that the function describes across the
    region; `sideband_sculpting_test` looks for trouble and warns.

    Parameters
    ----------
    m : array-like of shape (n_events,)
        Resonant feature of region and sidebands.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    thresholds : array-like of shape (n_cuts,)
        Events with a larger score pass.
    region : SignalRegion
        Region; it is resolved on `m`.
    fit_range : "auto", None, (float, float) or float, default="auto"
        Masses that the fit sees:

        - "auto": from above a turn-on to the highest mass. The range starts at the lowest edge of a
          bin from which the function describes the sidebands of all events, before any cut, with
          p >= 0.05, and from which what it says of the region agrees with every later start; a
          function that only falls starts at the highest bin or above. Where no start will do, the
          best one is taken, and the cut is not trusted;
        - None: all data of the sidebands;
        - (low, high): these masses;
        - a number: so many widths of the region on either side, a sliding window.
    edges : array-like, default=None
        Bins of the fit, in place of `fit_range`; None means those of `SignalRegion.bin_edges`.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights, of weighted simulation; numbers of events become sums of weights.
    fit_alpha : float, default=0.01
        A cut is not trusted when the p-value of its fit is below.
    sculpting_alpha : float, default=0.01
        A cut is not trusted when the p-value of the sculpting test is below.
    **fit_options
        Of `fit_spectrum`.

    Returns
    -------
    estimate : BackgroundEstimate
        `stat` is the propagated uncertainty of the fit; `efficiency` is relative to the same fit
        of all events. `reason` says why a cut is not trusted.

    Raises
    ------
    ValueError
        A score that is NaN.

    Warns
    -----
    SculptingWarning
        The efficiency of a cut depends on m in the sidebands.
    SpectrumFitWarning
        The function does not describe the sidebands after a cut.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.resonant import SignalRegion
    >>> from skad.search import sideband_background
    >>> rng = np.random.default_rng(0)
    >>> m, noise = rng.exponential(size=20_000), rng.uniform(size=20_000)
    >>> estimate = sideband_background(
    ...     m, noise, [0.9], SignalRegion(1.0, 1.5), function="polynomial"
    ... )
    >>> bool(abs(estimate.background[0] - 289.5) < 4 * estimate.stat[0])
    True
    """
    thresholds = _thresholds(thresholds)
    region = region.resolve(m)
    m = region.values(m)
    if len(scores) != len(m):
        raise ValueError(
            f"scores must hold one number for each of m; got {len(scores)} for {len(m)}."
        )
    weight = np.ones(len(m))
    if sample_weight is not None:
        weight = sk.check_sample_weight(sample_weight, m, dtype=np.float64)
    if edges is None:
        region = restrict_sidebands(region, m, fit_range, weight=weight, **fit_options)
        edges = region.bin_edges(m)
    else:
        edges = np.asarray(edges, dtype=np.float64)
    before, before_stat, _ = fit_region(m, region, edges, fit_options, weight)
    fits, tests, rows, reasons = [], [], [], []
    for threshold in thresholds:
        passed = scores > threshold
        background, stat, fit = fit_region(m[passed], region, edges, fit_options, weight[passed])
        test = sideband_sculpting_test(m, passed, region, sample_weight=weight)
        beside, inside = passed & region.sideband_mask(m), passed & region.mask(m)
        reason = why_untrusted(
            background=background,
            n_sideband=effective_events(weight[beside]),
            fit=fit,
            fit_alpha=fit_alpha,
            sculpting=test,
            sculpting_alpha=sculpting_alpha,
        )
        if test.p_value < sculpting_alpha:
            message = sculpting_message(f"the cut at {threshold:g}", test)
            warnings.warn(message, SculptingWarning, stacklevel=2)
        elif reason:
            message = f"background after the cut at {threshold:g} not to be trusted: {reason}."
            warnings.warn(message, SpectrumFitWarning, stacklevel=2)
        reasons.append(reason)
        fits.append(fit)
        tests.append(test)
        rows.append((weight[inside].sum(), background, stat, mean_weight(weight[inside])))
    n_observed, background, stat, scale = np.array(rows, dtype=np.float64).T
    efficiency = background / before
    # Events before and after the cut are shared: as for a binomial, the relative variance of the
    # ratio is the difference of the two.
    relative = (stat / background) ** 2 - (before_stat / before) ** 2
    return BackgroundEstimate(
        method="sideband",
        threshold=thresholds,
        n_observed=n_observed,
        background=background,
        stat=stat,
        syst=np.zeros_like(stat),
        efficiency=efficiency,
        efficiency_stat=efficiency * np.sqrt(np.maximum(relative, 0.0)),
        fits=tuple(fits),
        sculpting=tuple(tests),
        reason=tuple(reasons),
        scale=scale,
    )


def fit_region(m, region, edges, fit_options, weight=None, *, counts=None, scale=1.0):
    """Fit the sidebands of the masses m; background of the region, uncertainty and fit.

    Where events count something else than 1, `counts` holds it and `scale` its variance over mean,
    the same in all bins: taken bin by bin, a bin with a large count by chance would weigh less.
    """
    sums, variances = weighted_histogram(m, edges, weight)
    if counts is not None:
        each = np.divide(variances, sums, out=np.ones(len(sums)), where=sums > 0)
        sums = weighted_histogram(m, edges, weight * counts)[0]
        variances = scale * each * sums
    fit = fit_spectrum(sums, edges, exclude=region, variances=variances, **fit_options)
    return *fit.yield_in(region.low, region.high), fit


def sculpting_message(cut, test):
    """Say what `sideband_sculpting_test` found wrong with a cut, and what to do."""
    return (
        f"{cut} sculpts the spectrum in the sidebands (p = {test.p_value:.1e}, the efficiency "
        f"varies by {test.spread:.0%} with m): the sideband fit may be biased. Move the features "
        "to one mass (QuantileDecorrelator, the decorrelator of a TemplateDetector), or take a "
        "reference of the region (GivenReference) with background='direct'. A signal in the "
        "sidebands of a window beside it looks the same."
    )


def combine_seeds(estimates: Sequence[BackgroundEstimate]) -> BackgroundEstimate:
    """Average estimates of the same cuts over seeds, with the error of the mean as systematic.

    Parameters
    ----------
    estimates : sequence of BackgroundEstimate
        One per seed of the density or detector: same method, same number of cuts.

    Returns
    -------
    estimate : BackgroundEstimate
        Means over the seeds; `stat` the root mean square, because the seeds share their events;
        `syst` the standard deviation of `background` over the seeds, over the root of their number,
        as in `BumpHunt`.

    Examples
    --------
    >>> from skad.search import combine_seeds, importance_background
    >>> one = importance_background([1.0, 2.0], [0.5])
    >>> other = importance_background([1.0, 4.0], [0.5])
    >>> combine_seeds([one, other]).background
    array([1.375])
    """
    if not isinstance(estimates, (list, tuple)) or not all(
        isinstance(estimate, BackgroundEstimate) for estimate in estimates
    ):
        raise TypeError(
            "estimates must be a list of BackgroundEstimate, as direct_background and "
            f"importance_background return them; got {estimates!r:.100}."
        )
    if len(estimates) < 2:
        raise ValueError(f"a spread over seeds needs at least 2 estimates; got {len(estimates)}.")
    if len({(estimate.method, estimate.background.shape) for estimate in estimates}) > 1:
        raise ValueError("the estimates must have the same method and the same number of cuts.")

    def stack(name):
        return np.array([getattr(estimate, name) for estimate in estimates])

    return BackgroundEstimate(
        method=estimates[0].method,
        threshold=stack("threshold").mean(axis=0),
        n_observed=stack("n_observed").mean(axis=0),
        background=stack("background").mean(axis=0),
        stat=np.sqrt(np.mean(stack("stat") ** 2, axis=0)),
        syst=error_of_mean(stack("background")),
        efficiency=stack("efficiency").mean(axis=0),
        efficiency_stat=np.sqrt(np.mean(stack("efficiency_stat") ** 2, axis=0)),
    )


def error_of_mean(values):
    """Standard deviation of the mean over the first axis; 0 for a single value."""
    n = len(values)
    return np.std(values, axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(np.shape(values)[1:])


def _thresholds(thresholds):
    thresholds = np.atleast_1d(thresholds)
    if not len(thresholds) or np.isnan(thresholds).any():
        raise ValueError(f"thresholds must hold numbers, at least one; got {thresholds!r}.")
    return thresholds


def _count_above(scores, thresholds):
    return (scores[:, None] > thresholds).sum(axis=0).astype(np.float64)
