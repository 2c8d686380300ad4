"""Significance improvement: how much a cut on an anomaly score raises S / sqrt(B)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skad.exceptions import LowStatisticsWarning
from skad.metrics._checks import check_fraction, check_positive
from skad.metrics._registry import register_scorer
from skad.metrics._roc import cut_counts
from skad.utils._readable import readable

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

__all__ = [
    "SICCurve",
    "WorkingPoint",
    "background_rejection",
    "max_significance_improvement",
    "significance_improvement_at",
    "significance_improvement_curve",
]


@readable
class SICCurve(NamedTuple):
    """Significance improvement against the cut, tightest cut first.

    Attributes
    ----------
    tpr, fpr : ndarray of shape (n_cuts,)
        Signal and background efficiency of ``score >= threshold``, in [0, 1].
    sic : ndarray of shape (n_cuts,)
        ``tpr / sqrt(fpr)``; NaN where no background passes.
    sic_error : ndarray of shape (n_cuts,)
        Standard error (68 %) from the finite number of test events.
    threshold : ndarray of shape (n_cuts,)
        The first is infinity (nothing passes).
    background_events : ndarray of shape (n_cuts,)
        Effective number of passing background events, ``(sum w)^2 / sum w^2``.
    """

    tpr: np.ndarray
    fpr: np.ndarray
    sic: np.ndarray
    sic_error: np.ndarray
    threshold: np.ndarray
    background_events: np.ndarray


class WorkingPoint(NamedTuple):
    """One cut and what it achieves.

    Attributes
    ----------
    sic, sic_error : float
        ``tpr / sqrt(fpr)`` and its standard error (68 %).
    tpr, fpr : float
        Signal and background efficiency, in [0, 1].
    threshold : float
        Lowest score that passes.
    background_events : float
        Effective number of passing background events, ``(sum w)^2 / sum w^2``.
    """

    sic: float
    sic_error: float
    tpr: float
    fpr: float
    threshold: float
    background_events: float


def significance_improvement_curve(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> SICCurve:
    """Significance improvement for every cut on the score.

    Keeping the events with ``score >= threshold`` multiplies the significance S / sqrt(B) by
    ``sic = tpr / sqrt(fpr)``.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous. Events of equal score share one cut.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    curve : SICCurve
        Named tuple ``(tpr, fpr, sic, sic_error, threshold, background_events)``.

    Raises
    ------
    ValueError
        NaN or infinite scores, labels that can be read both ways, or only one class.

    References
    ----------
    .. [1] J. Gallicchio et al., "Multivariate discrimination and the Higgs+W/Z search",
       JHEP 04 (2011) 069, arXiv:1010.3698.

    Examples
    --------
    >>> from skad.metrics import significance_improvement_curve
    >>> curve = significance_improvement_curve([0, 0, 0, 0, 1, 1], [1, 2, 3, 6, 5, 4])
    >>> curve.sic.round(2).tolist()
    [nan, 0.0, 1.0, 2.0, 1.41, 1.15, 1.0]
    """
    counts = cut_counts(
        y_true,
        scores,
        sample_weight=sample_weight,
        signal_label=signal_label,
        background_label=background_label,
    )
    sic, error = counts.ratio()
    return SICCurve(
        tpr=counts.tpr,
        fpr=counts.fpr,
        sic=sic,
        sic_error=error,
        threshold=counts.threshold,
        background_events=counts.background_events,
    )


def max_significance_improvement(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    min_background_events: float = 25,
    max_relative_error: float | None = None,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
    return_point: bool = False,
) -> Any:
    """Largest significance improvement among cuts that leave enough background to measure it.

    Without such a limit the maximum sits where a handful of background events fluctuates down.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    min_background_events : float, default=25
        Smallest effective number of background events that must pass the cut.
    max_relative_error : float, default=None
        The same limit as relative statistical error of the background efficiency,
        ``1 / sqrt(background_events)``: 0.2 stands for 25 events, 0.4 for 6.25. Replaces
        `min_background_events` when given.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.
    return_point : bool, default=False
        Return the whole working point instead of its SIC.

    Returns
    -------
    max_sic : float, or WorkingPoint if `return_point`
        NaN, with a `LowStatisticsWarning`, when there are too few background events for any cut.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import max_significance_improvement
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [10_000, 500])
    >>> scores = rng.normal(loc=2.0 * y)
    >>> round(max_significance_improvement(y, scores), 1)
    5.0
    """
    if max_relative_error is None:
        minimum = check_positive(min_background_events, name="min_background_events")
    else:
        minimum = check_positive(max_relative_error, name="max_relative_error") ** -2
    curve = significance_improvement_curve(
        y_true,
        scores,
        sample_weight=sample_weight,
        signal_label=signal_label,
        background_label=background_label,
    )
    # Rounding of 0.2**-2 must not turn 25 events into too few.
    allowed = (curve.background_events >= minimum * (1 - 1e-9)) & (curve.fpr > 0)
    if not allowed.any():
        warnings.warn(
            f"No cut leaves {minimum:g} background events (there are "
            f"{curve.background_events[-1]:.1f} in all), so the maximal significance improvement "
            "is not measured; give more background events or lower min_background_events.",
            LowStatisticsWarning,
            stacklevel=2,
        )
        point = WorkingPoint(*[np.nan] * 6)
    else:
        best = np.argmax(np.where(allowed, curve.sic, -np.inf))
        point = WorkingPoint(**{name: float(getattr(curve, name)[best]) for name in _FIELDS})
    return point if return_point else point.sic


def significance_improvement_at(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    tpr: float | ArrayLike | None = None,
    fpr: float | ArrayLike | None = None,
    rejection: float | ArrayLike | None = None,
    min_background_events: float = 25,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
    return_point: bool = False,
) -> Any:
    """Significance improvement at a given efficiency, interpolated along the ROC curve.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    tpr, fpr, rejection : float or array-like, default=None
        Exactly one: the signal efficiency, the background efficiency, or the background
        rejection 1 / fpr at which to read the curve.
    min_background_events : float, default=25
        Fewer passing background events than this give a `LowStatisticsWarning`; the value is
        returned all the same, since the cut was not chosen by its result.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.
    return_point : bool, default=False
        Return the whole working point (fields of the shape asked for) instead of its SIC.

    Returns
    -------
    sic : float or ndarray, or WorkingPoint if `return_point`
        NaN where no background passes.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import significance_improvement_at
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [100_000, 2_000])
    >>> scores = rng.normal(loc=2.0 * y)
    >>> round(significance_improvement_at(y, scores, rejection=1e2), 1)
    3.7
    """
    given = {"tpr": tpr, "fpr": fpr, "rejection": rejection}
    given = {name: value for name, value in given.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            f"Give exactly one of tpr, fpr and rejection; got {sorted(given) or 'none'}."
        )
    ((name, value),) = given.items()
    shape = np.shape(value)
    if name == "rejection":
        value = np.asarray(value, dtype=np.float64)
        if not ((value >= 1) & np.isfinite(value)).all():
            raise ValueError(f"rejection must be finite and at least 1; got {rejection!r}.")
        name, value = "fpr", 1 / value
    value = check_fraction(value, name=name).ravel()
    counts = cut_counts(
        y_true,
        scores,
        sample_weight=sample_weight,
        signal_label=signal_label,
        background_label=background_label,
    )
    counts = counts.at(**{name: value})
    _warn_few_background(counts, min_background_events)
    sic, error = counts.ratio()
    columns = WorkingPoint(
        sic, error, counts.tpr, counts.fpr, counts.threshold, counts.background_events
    )
    # The last entry holds the totals.
    point = WorkingPoint(*(_reshape(column[:-1], shape) for column in columns))
    return point if return_point else point.sic


def background_rejection(
    y_true: ArrayLike,
    scores: ArrayLike,
    *,
    tpr: float | ArrayLike,
    min_background_events: float = 25,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> Any:
    """Background rejection ``1 / fpr`` at a given signal efficiency.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    tpr : float or array-like
        Signal efficiency in (0, 1].
    min_background_events : float, default=25
        Fewer passing background events than this give a `LowStatisticsWarning`.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    rejection : float or ndarray
        Infinite where no background passes.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import background_rejection
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [100_000, 2_000])
    >>> round(background_rejection(y, rng.normal(loc=2.0 * y), tpr=0.5))
    46
    """
    efficiency = check_fraction(tpr, name="tpr")
    counts = cut_counts(
        y_true,
        scores,
        sample_weight=sample_weight,
        signal_label=signal_label,
        background_label=background_label,
    )
    counts = counts.at(tpr=efficiency.ravel())
    _warn_few_background(counts, min_background_events)
    with np.errstate(divide="ignore"):
        return _reshape(1 / counts.fpr[:-1], efficiency.shape)


_FIELDS = WorkingPoint._fields


def _reshape(column, shape):
    return column.reshape(shape) if shape else float(column[0])


def _warn_few_background(counts, minimum):
    fewest = counts.background_events[:-1].min()
    if fewest < check_positive(minimum, name="min_background_events") * (1 - 1e-9):
        warnings.warn(
            f"Only {fewest:.1f} background events pass the cut, fewer than {minimum:g}; the value "
            "is dominated by their fluctuation. Use more background events or a looser cut.",
            LowStatisticsWarning,
            stacklevel=3,
        )


register_scorer(
    "max_sic",
    max_significance_improvement,
    needs_truth=True,
    options=("min_background_events", "max_relative_error"),
)
register_scorer(
    "sic_at_<tpr|fpr|rejection>_<number>",
    significance_improvement_at,
    needs_truth=True,
    options=("min_background_events",),
    pattern=r"sic_at_(tpr|fpr|rejection)_([0-9.]+(?:e[+-]?[0-9]+)?)",
    read=lambda match: {match[1]: float(match[2])},
)
