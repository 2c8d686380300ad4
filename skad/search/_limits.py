"""Upper limits on the strength of a signal from counts, by CLs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from sklearn.utils import check_random_state

from skad.exceptions import LowStatisticsWarning
from skad.search._counting import CountingModel
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, MOST, Numbers, checked
from skad.utils._readable import readable
from skad.utils._tasks import outer_stacklevel

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["BANDS", "CountingLimit", "counting_limit"]

# Standard deviations of the expected band.
BANDS = (-2, -1, 0, 1, 2)
_SCAN_POINTS = 60
_REFINED_POINTS = 12
_REFINEMENTS = 3
_TOY_POINTS = 12
# The scan reaches beyond the widest of observed limit and band by this factor.
_BEYOND = 1.25
# With toys the scan grows until it holds the limits; more than a thousandfold says something else.
_MOST_GROWTH = 10
# Next to 0 in float64, for logarithms.
_SMALLEST = 1e-300
# Fewer experiments without signal as extreme as the data do not tell what CLs is.
_FEWEST_TOYS = 10


@readable
@dataclass(frozen=True)
class CountingLimit:
    """Upper limit on the strength of a signal, as `counting_limit` returns it.

    Attributes
    ----------
    observed : float
        Observed upper limit, in the unit of the strengths; infinite where it lies above the largest
        strength at which the signal was measured.
    expected : ndarray, shape (5,)
        Limits without signal: the median in the middle, one and two standard deviations around it,
        from the strongest (-2) to the weakest (+2).
    level : float
        Confidence level, 0.95 for limits at CLs = 0.05.
    method : {"asymptotic", "toys"}
    scan_strength : ndarray, shape (n_scan,)
        Strengths at which CLs is known.
    scan_observed : ndarray, shape (n_scan,)
        Observed CLs there.
    scan_expected : ndarray, shape (n_scan, 5)
        Its values without signal, in the order of `expected`.
    n_observed, background, uncertainty : ndarray, shape (n_channels,)
        As given.
    strengths : ndarray, shape (n_points,)
        Where the signal was given; 1 where it was given per unit strength.
    signal, signal_uncertainty : ndarray, shape (n_points, n_channels)
        Signal events there, and their relative standard deviation.
    constraint : {"gamma", "gaussian"}
    is_linear : bool
        Whether the signal was given per unit strength and so has no largest strength.

    Examples
    --------
    >>> from skad.search import counting_limit
    >>> limit = counting_limit(12, 10.0, 5.0, uncertainty=2.0)
    >>> limit.expected.shape
    (5,)
    >>> limit.expected_signal(limit.observed) > limit.expected_signal(1.0)
    array([ True])
    """

    observed: float
    expected: np.ndarray
    level: float
    method: str
    scan_strength: np.ndarray = field(repr=False)
    scan_observed: np.ndarray = field(repr=False)
    scan_expected: np.ndarray = field(repr=False)
    n_observed: np.ndarray
    background: np.ndarray
    uncertainty: np.ndarray
    signal_uncertainty: np.ndarray
    strengths: np.ndarray
    signal: np.ndarray
    constraint: str
    is_linear: bool

    def expected_signal(self, strength: float) -> NDArray[Any]:
        """Signal events of each channel at a strength.

        Parameters
        ----------
        strength : float

        Returns
        -------
        signal : ndarray, shape (n_channels,)
        """
        return self._model().expected_signal(strength)[0][0]

    def relative_uncertainty(self, strength: float) -> NDArray[Any]:
        """Relative standard deviation of the signal of each channel at a strength.

        Parameters
        ----------
        strength : float

        Returns
        -------
        signal_uncertainty : ndarray, shape (n_channels,)
        """
        return np.expm1(self._model().log_k(strength)[0][0])

    def best_strength(self) -> float:
        """Strength of the largest likelihood, none below 0.

        Returns
        -------
        strength : float
        """
        model = self._model()
        return float(model.best(model.observed(self.n_observed))[0][0])

    def _model(self):
        return CountingModel(
            self.background,
            self.uncertainty,
            self.strengths,
            self.signal,
            self.signal_uncertainty,
            self.constraint,
        )


@checked(
    n_observed=Numbers((0, 1), lowest=0.0, highest=MOST),
    background=Numbers((0, 1), lowest=0.0, highest=MOST),
    signal=Numbers((0, 1, 2), lowest=0.0, highest=MOST),
    uncertainty=Numbers((0, 1), lowest=0.0, highest=MOST),
    signal_uncertainty=Numbers((0, 1, 2), lowest=0.0, highest=10.0),
    strengths=Numbers(1),
    constraint=[sk.StrOptions({"gamma", "gaussian"})],
    method=[sk.StrOptions({"asymptotic", "toys"})],
    level=[sk.Interval(Real, 0, 1, closed="neither")],
    n_toys=COUNT,
    random_state=["random_state"],
)
def counting_limit(
    n_observed: float | ArrayLike,
    background: float | ArrayLike,
    signal: float | ArrayLike,
    *,
    uncertainty: float | ArrayLike = 0.0,
    signal_uncertainty: float | ArrayLike = 0.0,
    strengths: ArrayLike | None = None,
    constraint: Literal["gamma", "gaussian"] = "gamma",
    method: Literal["asymptotic", "toys"] = "asymptotic",
    level: float = 0.95,
    n_toys: int = 10_000,
    random_state: Seed = None,
) -> CountingLimit:
    """Upper limit on the strength of a signal from observed counts, by CLs.

    The likelihood of strength mu is

    .. math:: \\prod_c \\mathrm{Poisson}(n_c | s_c(\\mu) (1 + \\delta_c)^a + b_c)
              \\, C(b_{0c} | b_c, \\sigma_c) \\cdot \\mathrm{Normal}(0 | a, 1)

    with C of `local_p_value`. Strengths are tested by the statistic q~ of upper limits; one is
    excluded where ``CLs = P(q~ as large | mu) / P(q~ as large | 0)`` is below ``1 - level``.

    Parameters
    ----------
    n_observed : float or array-like of shape (n_channels,)
        Observed events. Channels must not share events: of nested cuts take one.
    background : float or array-like of shape (n_channels,)
        Expected background b0.
    signal : float, array-like of shape (n_channels,) or of shape (n_points, n_channels)
        Signal events that pass, at strength 1, or at each of `strengths`: cross section x
        luminosity x efficiency. An anomaly detector finds more of a stronger signal, so that what
        passes grows faster than the strength. Of one channel shape (n_points,) will do.
    uncertainty : float or array-like of shape (n_channels,), default=0.0
        Standard deviation of b0, statistical and systematic, independent between channels.
    signal_uncertainty : float, array-like of shape (n_channels,) or (n_points, n_channels), \
default=0.0
        Relative standard deviation delta of the signal (efficiency, luminosity), one shift of all
        channels together; log-normal. One number, one for each channel, or one row for each of
        `strengths`, as what a detector learns of a weak signal is less certain.
    strengths : array-like of shape (n_points,), default=None
        Increasing, above 0: strengths at which `signal` was measured. Between them, and to 0 at
        strength 0, events are interpolated linearly. None means proportional to the strength.
    constraint : {"gamma", "gaussian"}, default="gamma"
        How b0 fluctuates, as in `local_p_value`.
    method : {"asymptotic", "toys"}, default="asymptotic"
        - "asymptotic": distributions of q~ for many events, expected values from the data set that
          is exactly the background fitted without signal;
        - "toys": pseudo-experiments around the fits to the data, in which all that is measured is
          thrown. Where few events are expected the asymptotic limit is too low (1.9 for 3.0 events
          without background). Of the expected values -2 is the noisiest: CLs = 0.05 is there a
          thousandth of `n_toys`.
    level : float, default=0.95
        Confidence level.
    n_toys : int, default=10000
        Pseudo-experiments at every strength of the scan, and as many without signal.
    random_state : None, int or RandomState, default=None
        Of the toys.

    Returns
    -------
    limit : CountingLimit

    Raises
    ------
    ValueError
        No signal, strengths out of order, or signal events that fall with the strength.

    Warns
    -----
    LowStatisticsWarning
        The observed limit is outside the strengths at which the signal was measured, or toys do not
        reach a deficit as large as the observed one: then it is NaN.

    See Also
    --------
    limit_table, write_limits, skad.plotting.LimitDisplay

    Notes
    -----
    Of weighted events give counts, backgrounds and signals in units of an event of mean weight
    (`scale` of `BumpHunt`). CLs covers more than `level` where there is little sensitivity; for
    signals that are seen it covers `level` (``benchmarks/results/limits.md``).

    References
    ----------
    A. L. Read, "Presentation of search results: the CLs technique", J. Phys. G 28 (2002) 2693.
    G. Cowan, K. Cranmer, E. Gross, O. Vitells, "Asymptotic formulae for likelihood-based tests of
    new physics", Eur. Phys. J. C 71 (2011) 1554, arXiv:1007.1727, equations 16, 65 and 89.

    Examples
    --------
    >>> from skad.search import counting_limit
    >>> limit = counting_limit(0, 0.0, 1.0)
    >>> round(limit.observed, 2)  # with toys 3.0, -ln(0.05)
    1.92
    >>> limit = counting_limit([55, 12], [50.0, 10.0], [10.0, 4.0], uncertainty=[5.0, 2.0])
    >>> round(limit.observed, 2), limit.expected.round(2)
    (1.74, array([0.7 , 0.95, 1.34, 1.9 , 2.62]))

    A detector that learns from the signal, so that it finds little of a weak one:

    >>> limit = counting_limit(
    ...     12, 10.0, [0.5, 6.0, 20.0], strengths=[1, 2, 4], uncertainty=1.0,
    ... )
    >>> round(limit.observed, 2)
    2.51
    """
    n, b0, sigma, delta, points, events = _channels(
        n_observed, background, uncertainty, signal_uncertainty, strengths, signal, constraint
    )
    limit = CountingLimit(
        observed=np.nan,
        expected=np.full(len(BANDS), np.nan),
        level=level,
        method=method,
        scan_strength=np.empty(0),
        scan_observed=np.empty(0),
        scan_expected=np.empty((0, len(BANDS))),
        n_observed=n,
        background=b0,
        uncertainty=sigma,
        signal_uncertainty=delta,
        strengths=points,
        signal=events,
        constraint=constraint,
        is_linear=strengths is None,
    )
    model, most = limit._model(), np.inf if strengths is None else points[-1]
    scan = _asymptotic_scan(model, n, level, most)
    if method == "toys":
        scan = _toy_scan(model, n, level, most, scan, n_toys, check_random_state(random_state))
    observed, expected, *curves = scan
    limit = replace(
        limit,
        observed=float(observed),
        expected=expected,
        **dict(zip(("scan_strength", "scan_observed", "scan_expected"), curves, strict=True)),
    )
    if strengths is not None:
        _warn_outside(limit)
    return limit


def _channels(n_observed, background, uncertainty, signal_uncertainty, strengths, signal, kind):
    """Return the checked numbers, one for each channel."""
    per_channel = [np.atleast_1d(v) for v in (n_observed, background, uncertainty)]
    if strengths is None:
        points, events = np.ones(1), np.atleast_1d(signal)[None]
        if signal.ndim == 2:
            raise ValueError(
                "signal has a row for each of several strengths; give strengths, or one number for "
                "each channel."
            )
    else:
        points = strengths
        events = signal[:, None] if signal.ndim == 1 else signal
        if not len(points) or points[0] <= 0 or not np.all(np.diff(points) > 0):
            raise ValueError(f"strengths must be increasing and above 0; got {points}.")
        if events.ndim != 2 or len(events) != len(points):
            raise ValueError(
                f"signal must have one row for each of {len(points)} strengths; got shape "
                f"{signal.shape}."
            )
        if np.any(np.diff(events, axis=0) < 0):
            raise ValueError(
                "signal must not fall from one strength to the next in any channel, or a limit "
                f"means nothing; got {events.tolist()}. Measure it with more signal events or "
                "refits, or leave the strengths out between which it falls."
            )
    shape, given = events.shape[1:], np.asarray(signal_uncertainty)
    if strengths is not None and signal.ndim == given.ndim == 1:
        given = given[:, None]
    try:
        n, b0, sigma = (np.broadcast_to(v, shape) for v in per_channel)
        delta = np.broadcast_to(given, events.shape)
    except ValueError as exc:
        raise ValueError(
            "n_observed, background, uncertainty and signal_uncertainty must hold one number, or "
            f"one for each of the {shape[0]} channels of signal, signal_uncertainty also one for "
            f"each of {len(points)} strengths and channel; got shapes "
            f"{[v.shape for v in [*per_channel, given]]}."
        ) from exc
    if not np.all(events[-1:].sum(axis=1) > 0):
        raise ValueError("signal must be above 0 in some channel; there is nothing to limit.")
    if kind == "gamma" and np.any((b0 == 0) & (sigma > 0)):
        raise ValueError(
            "a background of 0 with an uncertainty has no gamma constraint; give its upper limit "
            "as background, or constraint='gaussian'."
        )
    return n, b0, sigma, delta, points, events


def asymptotic_cls(model, data, strength):
    """CLs of experiments, each at its strength, and the values that it would have without signal.

    Parameters
    ----------
    model : CountingModel
    data : CountingData
        One experiment for all strengths, or one for each.
    strength : ndarray, shape (n_strengths,)

    Returns
    -------
    observed : ndarray, shape (n_strengths,)
    expected : ndarray, shape (n_strengths, 5)
    """
    q = model.statistic(strength, data)
    # Of data that are exactly the background the best strength is 0, and its deviance too.
    q_exact = np.maximum(model.profile(strength, model.asimov(data)).deviance, 0.0)
    root, root_exact = np.sqrt(q), np.sqrt(q_exact)
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(q_exact > 0, (q - q_exact) / (2 * root_exact), 0.0)
    t = np.where(root <= root_exact, root - root_exact, beyond)
    away = -np.asarray(BANDS, dtype=np.float64)
    return _ratio(t, root_exact), _ratio(away, root_exact[:, None])


def _ratio(t, root):
    # Of logarithms: both tails may be smaller than any float64.
    return np.exp(stats.norm.logsf(t + root) - stats.norm.logsf(t))


def _asymptotic_scan(model, counts, level, most):
    """Return limits, strengths around them, and CLs there."""
    data = model.observed(counts)
    grid = _rough_strengths(model, counts, most)
    pieces = [(grid, cls) for cls in np.column_stack(asymptotic_cls(model, data, grid)).T]
    for _ in range(_REFINEMENTS):
        between = [_interpolated(*piece, level)[1:] for piece in pieces]
        finer = [np.linspace(*ends, _REFINED_POINTS) for ends in between]
        # All at once: a hundred strengths take hardly more time than one.
        cls = np.column_stack(asymptotic_cls(model, data, np.concatenate(finer)))
        parts = enumerate(np.split(cls, len(finer)))
        pieces = [(finer[i], part[:, i]) for i, part in parts]
    limits = np.array([_interpolated(*piece, level)[0] for piece in pieces])
    top = min(_BEYOND * limits[np.isfinite(limits)].max(initial=0.0), most)
    if not np.all(np.isfinite(limits)):
        top = most
    strength = np.linspace(top / _SCAN_POINTS, top, _SCAN_POINTS)
    return limits[0], limits[1:], strength, *asymptotic_cls(model, data, strength)


def _rough_strengths(model, counts, most):
    """Return strengths of all sizes that a limit may have."""
    if np.isfinite(most):
        return most * np.geomspace(1e-6, 1.0, _SCAN_POINTS)
    b0, sigma = model.background, model.uncertainty
    size = 3 + np.maximum(counts - b0, 0) + 2 * np.sqrt(np.maximum(counts, b0) + sigma**2)
    scale = model.strengths[-1] / np.max(model.signal[-1] / size)
    return scale * np.geomspace(1e-4, 1e4, _SCAN_POINTS)


def _toy_scan(model, counts, level, most, asymptotic, n_toys, rng):
    """Return what `_asymptotic_scan` returns, from pseudo-experiments."""
    observed, expected, *_ = asymptotic
    limits = np.array([observed, *expected])
    low = 0.5 * min(limits.min(), most)
    high = min(_BEYOND * limits.max(), most)
    step = (high - low) / (_TOY_POINTS - 1)
    data = model.observed(counts)
    null = model.toys(0.0, data, n_toys, rng)
    best_null, best_data = model.best(null), model.best(data)
    known = {}

    def evaluate(strength):
        toys = model.toys(strength, data, n_toys, rng)
        known[strength] = _toy_cls(
            model.statistic(np.array([strength]), data, best_data)[0],
            model.statistic(np.full(n_toys, strength), toys),
            model.statistic(np.full(n_toys, strength), null, best_null),
        )

    for strength in np.linspace(low, high, _TOY_POINTS):
        evaluate(strength)
    for _ in range(_MOST_GROWTH * _TOY_POINTS):
        lowest, highest = min(known), max(known)
        if np.nanmax(known[highest]) > 1 - level and highest < most:
            evaluate(min(highest + step, most))
        elif np.nanmin(known[lowest]) < 1 - level and lowest > 1e-3 * low:
            evaluate(lowest / 2)
        else:
            break
    strength = np.array(sorted(known))
    values = np.array([known[key] for key in strength])
    limits = np.array([_interpolated(strength, column, level)[0] for column in values.T])
    if np.isnan(values[:, 0]).any():
        limits[0] = np.nan
        warnings.warn(
            f"of {n_toys} experiments without signal fewer than {_FEWEST_TOYS} show as few events "
            "as the data, so that toys do not tell the observed limit, which is NaN; take more "
            "n_toys, or method='asymptotic', and look why the background is above the data.",
            LowStatisticsWarning,
            stacklevel=outer_stacklevel(),
        )
    return limits[0], limits[1:], strength, values[:, 0], values[:, 1:]


def _toy_cls(observed, with_signal, without):
    """CLs of the observed statistic, and its quantiles over experiments without signal."""
    q = np.append(observed, without)

    def tail(toys):
        # Rounding must not part equal experiments.
        above = len(toys) - np.searchsorted(np.sort(toys), q - 1e-9)
        return (1 + above) / (1 + len(toys))

    below = tail(without)
    cls = np.minimum(tail(with_signal) / below, 1.0)
    enough = below[0] * (1 + len(without)) > _FEWEST_TOYS
    return [cls[0] if enough else np.nan, *np.quantile(cls[1:], stats.norm.cdf(BANDS))]


def _interpolated(strength, cls, level):
    """Strength from which on ln CLs, straight between its points, is low, and the points beside it.

    Infinite where CLs is not low at the largest.
    """
    above = np.flatnonzero(cls > 1 - level)
    i = above[-1] if len(above) else 0
    if i == len(strength) - 1:
        return np.inf, strength[i - 1], strength[i]
    between = strength[[i, i + 1]]
    log = np.log(np.maximum(cls[[i + 1, i]], _SMALLEST))
    return float(np.interp(np.log(1 - level), log, between[::-1])), *between


def _warn_outside(limit):
    first, last = limit.strengths[[0, -1]]
    if np.isinf(limit.observed):
        side = f"above {last:g}, the largest; measure the signal at larger ones"
    elif limit.observed < first:
        side = f"{limit.observed:g}, below {first:g}, the smallest, whose efficiency was taken"
    else:
        return
    warnings.warn(
        f"the observed limit is outside the strengths at which the signal was measured: {side}.",
        LowStatisticsWarning,
        stacklevel=outer_stacklevel(),
    )
