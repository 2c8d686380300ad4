"""Rarest events of one fitted density in many frames, by Jacobians alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skad.coordinates import change_of_variables
from skad.metrics import jaccard_index, most_anomalous, selection_overlap, shared_fraction
from skad.metrics._log_density import density_of
from skad.utils._readable import readable
from skad.utils._transformers import fitted_on

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator

__all__ = ["FrameOverlap", "frame_overlap"]

_HINT = " Other scores have no Jacobian: refit them in each frame with coordinate_study."


@readable
@dataclass(frozen=True)
class FrameOverlap:
    """Result of `frame_overlap`.

    Attributes
    ----------
    coordinates : dict of str to array or DataFrame
        The events in each frame.
    log_density : pandas.DataFrame of shape (n_events, n_frames)
        Log density of each event in each frame, in nats.
    selected : pandas.DataFrame of bool, shape (n_events, n_frames)
        The rarest events of each frame.
    shared : pandas.DataFrame of shape (n_frames, n_frames)
        Fraction of the rarest events that two frames share.
    jaccard : pandas.DataFrame of shape (n_frames, n_frames)
        Rarest events of both frames over rarest events of either, `skad.metrics.jaccard_index`.
    excess : pandas.DataFrame of shape (n_frames, n_frames)
        The same beyond chance, `skad.metrics.selection_overlap`.
    fraction : float
        Fraction of events that counts as rarest.
    feature_names : list of str or None
        Names of the columns of X.
    """

    coordinates: dict
    log_density: DataFrame
    selected: DataFrame
    shared: DataFrame
    jaccard: DataFrame
    excess: DataFrame
    fraction: float
    feature_names: list | None


def frame_overlap(
    density: Any,
    frames: Mapping[str, Estimator],
    X: ArrayLike,
    *,
    fraction: float = 0.01,
    sample_weight: ArrayLike | None = None,
) -> FrameOverlap:
    """Compare which events are rarest in different coordinates, without a refit.

    The density is evaluated once; its values in every frame follow from
    ``log p_frame(f(x)) = log p(x) - log|det df/dx|``.

    Parameters
    ----------
    density : fitted density, or fitted detector with a `density_`
        Its ``score_samples(X)`` is the log density in nats in the coordinates of X.
    frames : dict of str to transformer
        Invertible maps of X, all that `skad.coordinates.log_abs_det_jacobian` knows. Those that
        are not fitted are fitted to X. None is the coordinates of X.
    X : array-like of shape (n_events, n_features)
        Events.
    fraction : float, default=0.01
        Fraction of events (of the total weight) that counts as rarest.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    overlap : FrameOverlap

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly detection under coordinate transformations",
       arXiv:2209.06225.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.coordinates import LogTransformer
    >>> from skad.inspection import frame_overlap
    >>> from skad.density import FramedDensity
    >>> X = np.random.default_rng(0).lognormal(sigma=0.5, size=(10_000, 1))
    >>> density = FramedDensity(LogTransformer(), GaussianMixture()).fit(X)
    >>> overlap = frame_overlap(density, {"m": None, "log m": LogTransformer()}, X)
    >>> round(float(overlap.shared.loc["m", "log m"]), 2)
    0.46
    """
    import pandas as pd

    if not isinstance(frames, Mapping) or not frames:
        raise ValueError("frames must be a dict of names and transformers, with at least one.")
    density = density_of(density, _HINT)
    log_density = np.asarray(density.score_samples(X), dtype=np.float64)
    frames = {name: fitted_on(frame, X) for name, frame in frames.items()}
    table = pd.DataFrame(
        {name: change_of_variables(log_density, frame, X) for name, frame in frames.items()}
    )
    rarity = {name: -table[name].to_numpy() for name in frames}
    selected = pd.DataFrame(
        {
            name: most_anomalous(scores, fraction=fraction, sample_weight=sample_weight)
            for name, scores in rarity.items()
        }
    )

    def pairwise(metric):
        return pd.DataFrame(
            [
                [
                    metric(a, b, fraction=fraction, sample_weight=sample_weight)
                    for b in rarity.values()
                ]
                for a in rarity.values()
            ],
            index=list(frames),
            columns=list(frames),
        )

    return FrameOverlap(
        coordinates={name: _transform(frame, X) for name, frame in frames.items()},
        log_density=table,
        selected=selected,
        shared=pairwise(shared_fraction),
        jaccard=pairwise(jaccard_index),
        excess=pairwise(selection_overlap),
        fraction=fraction,
        feature_names=list(X.columns) if hasattr(X, "columns") else None,
    )


def _transform(frame, X):
    return X if frame is None or isinstance(frame, str) else frame.transform(X)
