"""ARGOS: sensitivity of an anomaly score measured without truth labels."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from skad.exceptions import LowStatisticsWarning
from skad.metrics._checks import (
    check_fraction,
    check_positive,
    check_scores,
    check_weight,
    one_class_message,
    signal_mask,
)
from skad.metrics._registry import register_scorer
from skad.metrics._roc import count_above

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["argos_score"]


def argos_score(
    scores: ArrayLike,
    background_scores: ArrayLike,
    *,
    background_efficiency: float | None = None,
    min_background_events: float = 25,
    max_relative_error: float | None = None,
    sample_weight: ArrayLike | None = None,
    background_weight: ArrayLike | None = None,
) -> float:
    """Above-random gain of significance, from data and a background template alone.

    .. math:: \\mathrm{ARGOS} = \\frac{\\epsilon_{SR}}{\\sqrt{\\epsilon_{BT}}}
              - \\sqrt{\\epsilon_{BT}},

    with the efficiencies of one cut on signal-region data and on the background template. If the
    template is exact and a fraction f of the data is signal, it equals
    ``f * (SIC - sqrt(fpr))``, so it ranks detectors as their significance improvement does.

    Parameters
    ----------
    scores : array-like of shape (n_events,)
        Anomaly scores of the signal-region data, higher = more anomalous.
    background_scores : array-like of shape (n_background,)
        Anomaly scores of the template, events which the detector was not fitted on.
    background_efficiency : float, default=None
        Evaluate at this efficiency of the template. By default the largest value of all cuts
        that leave enough template events.
    min_background_events : float, default=25
        Smallest effective number of template events that must pass the cut. At a given
        `background_efficiency` fewer events only warn.
    max_relative_error : float, default=None
        The same limit as relative error, ``1 / sqrt(events)``; replaces
        `min_background_events` when given.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights of the data.
    background_weight : array-like of shape (n_background,), default=None
        Non-negative weights of the template.

    Returns
    -------
    argos : float
        0 for a detector that sees no difference between data and template. NaN, with a
        `LowStatisticsWarning`, when no cut leaves enough template events.

    Notes
    -----
    A wrong template also raises the value: a detector that finds the mismodelling is rewarded.

    References
    ----------
    .. [1] M. Hein et al., "How to pick the best anomaly detector?", arXiv:2511.14832, eq. (1).

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import argos_score
    >>> rng = np.random.default_rng(0)
    >>> template = rng.normal(size=50_000)
    >>> data = np.append(rng.normal(size=49_000), rng.normal(3, 1, size=1_000))
    >>> round(argos_score(data, template), 2)
    0.36
    """
    scores = check_scores(scores)
    background_scores = check_scores(background_scores, name="background_scores")
    weight = np.concatenate(
        [
            check_weight(sample_weight, scores),
            check_weight(background_weight, background_scores, name="background_weight"),
        ]
    )
    is_data = np.arange(len(weight)) < len(scores)
    counts = count_above(is_data, np.concatenate([scores, background_scores]), weight)
    if max_relative_error is None:
        minimum = check_positive(min_background_events, name="min_background_events")
    else:
        minimum = check_positive(max_relative_error, name="max_relative_error") ** -2
    minimum *= 1 - 1e-9
    if background_efficiency is not None:
        efficiency = check_fraction(background_efficiency, name="background_efficiency")
        counts = counts.at(fpr=efficiency.reshape(1))
        if counts.background_events[0] < minimum:
            warnings.warn(
                f"Only {counts.background_events[0]:.1f} template events pass the cut; the value "
                "is dominated by their fluctuation. Use a larger template or a looser cut.",
                LowStatisticsWarning,
                stacklevel=2,
            )
        return float(_argos(counts)[0])
    allowed = (counts.background_events >= minimum) & (counts.background > 0)
    if not allowed.any():
        warnings.warn(
            f"No cut leaves {minimum:.3g} template events (there are "
            f"{counts.background_events[-1]:.1f} in all), so ARGOS is not measured; "
            "give a larger template or lower min_background_events.",
            LowStatisticsWarning,
            stacklevel=2,
        )
        return np.nan
    return float(np.max(_argos(counts)[allowed]))


def _argos(counts):
    ratio, _ = counts.ratio()
    return ratio - np.sqrt(counts.fpr)


def _score_argos(scored, *, background, background_weight=None, **options):
    """ARGOS against `background`, events like X or "reference", the events with y = 0."""
    if not isinstance(background, str):
        return argos_score(
            scored.scores,
            scored.response(background),
            sample_weight=scored.weight,
            background_weight=background_weight,
            **options,
        )
    if background != "reference":
        raise ValueError(
            f"background must be events or 'reference' (the events with y = 0); got {background!r}."
        )
    if background_weight is not None:
        raise ValueError(
            "background_weight belongs to background events given as an array; "
            "with background='reference' pass sample_weight."
        )
    is_data = signal_mask(scored.y, name="y")
    weight = check_weight(scored.weight, is_data)
    if one_class_message(is_data, weight) is not None:
        warnings.warn(
            "The score is NaN: y holds only data or only reference events. In cross-validation, "
            "pass cv=StratifiedKFold(shuffle=True).",
            LowStatisticsWarning,
            stacklevel=2,
        )
        return np.nan
    return argos_score(
        scored.scores[is_data],
        scored.scores[~is_data],
        sample_weight=weight[is_data],
        background_weight=weight[~is_data],
        **options,
    )


register_scorer(
    "argos",
    _score_argos,
    needs_truth=False,
    options=(
        "background",
        "background_weight",
        "background_efficiency",
        "min_background_events",
        "max_relative_error",
    ),
)
