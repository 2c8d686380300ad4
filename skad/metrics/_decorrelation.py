"""Sculpting of the background's mass against the sensitivity to signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skad.metrics._checks import check_fraction, check_scores, check_weight, read_truth
from skad.metrics._roc import cut_counts
from skad.metrics._sculpting import mass_sculpting_jsd
from skad.utils._readable import readable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["DecorrelationCurve", "decorrelation_curve"]


@readable
class DecorrelationCurve(NamedTuple):
    """What cuts on a score gain and sculpt.

    Attributes
    ----------
    background_efficiency, signal_efficiency : ndarray of shape (n_cuts,)
        Fractions of background and signal that each cut keeps.
    jsd : ndarray of shape (n_cuts,)
        Jensen-Shannon divergence, in nats, of the background's mass spectrum after the cut from
        that before.
    """

    background_efficiency: np.ndarray
    signal_efficiency: np.ndarray
    jsd: np.ndarray


def decorrelation_curve(
    y_true: ArrayLike,
    scores: ArrayLike,
    mass: ArrayLike,
    *,
    background_efficiencies: ArrayLike | None = None,
    bins: int | ArrayLike = 20,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> DecorrelationCurve:
    """Divergence of the background's mass spectrum and signal efficiency of cuts on a score.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
    scores : array-like of shape (n_events,)
        Anomaly scores, higher = more anomalous.
    mass : array-like of shape (n_events,)
        Mass of the events, any unit; that of the signal is not used.
    background_efficiencies : array-like, default=None
        Fractions of the background that the cuts keep, in (0, 1]; by default 15 from 1 % to 50 %.
    bins : int or array-like, default=20
        Number of bins of equal population of the background's mass, or their edges. More of them
        need more background: the divergence without sculpting is about
        ``(bins - 1) / (8 * n_selected)``.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    curve : DecorrelationCurve
        Named tuple ``(background_efficiency, signal_efficiency, jsd)``.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import decorrelation_curve
    >>> y = np.repeat([0, 1], 10_000)
    >>> mass, noise = np.random.default_rng(0).exponential(100, size=(2, 20_000))
    >>> scores = mass + noise + 100 * y
    >>> curve = decorrelation_curve(y, scores, mass, background_efficiencies=[0.05, 0.5])
    >>> curve.signal_efficiency.round(2), curve.jsd.round(2)
    (array([0.12, 0.86]), array([0.19, 0.04]))
    """
    if background_efficiencies is None:
        background_efficiencies = np.geomspace(0.01, 0.5, 15)
    fractions = check_fraction(background_efficiencies, name="background_efficiencies").ravel()
    mass, scores = check_scores(mass, name="mass"), check_scores(scores)
    weight = check_weight(sample_weight, scores)
    signal, scores, mass, weight = read_truth(
        y_true, scores, mass, weight, signal_label=signal_label, background_label=background_label
    )
    background = ~signal
    counts = cut_counts(signal, scores, sample_weight=weight)
    jsd = mass_sculpting_jsd(
        mass[background],
        scores[background],
        fraction=fractions,
        bins=bins,
        sample_weight=weight[background],
    )
    # The last entry holds the totals.
    return DecorrelationCurve(fractions, counts.at(fpr=fractions).tpr[:-1], jsd)
