"""Mean log density of events, where an estimator has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.pipeline import Pipeline

from skad.metrics._checks import check_weight
from skad.metrics._registry import register_scorer

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike

__all__ = ["density_of", "mean_log_density"]


def mean_log_density(
    estimator: Any, X: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Mean log density of events, in nats, in the coordinates of X.

    Parameters
    ----------
    estimator : fitted density, or fitted detector with a `density_`
        Its ``score_samples(X)`` is the log density.
    X : array-like of shape (n_events, n_features)
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.

    Returns
    -------
    mean : float

    Raises
    ------
    TypeError
        An estimator without a density.
    ValueError
        A Pipeline with transformers, whose density is in the coordinates of its last step.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.metrics import mean_log_density
    >>> X = np.random.default_rng(0).normal(size=(10_000, 1))
    >>> round(mean_log_density(GaussianMixture().fit(X), X), 2)  # -(1 + ln(2 pi)) / 2
    -1.42
    """
    log_density = density_of(estimator).score_samples(X)
    return float(np.average(log_density, weights=check_weight(sample_weight, log_density)))


def density_of(estimator, hint=""):
    """Return the fitted density that an estimator is or has; `hint` ends the error message."""
    if isinstance(estimator, Pipeline):
        if any(step not in (None, "passthrough") for _, step in estimator.steps[:-1]):
            raise ValueError(
                "The log density of a Pipeline is in the coordinates of its last step, so "
                "pipelines with different transformers cannot be compared by it; "
                "use skad.density.FramedDensity(coordinates, density)."
            )
        estimator = estimator[-1]
    density = getattr(estimator, "density_", estimator) if _is_detector(estimator) else estimator
    if _is_detector(density) or not hasattr(density, "score_samples"):
        raise TypeError(
            "The log density needs a fitted density (score_samples = log density), or a detector "
            f"with a density_; got {type(estimator).__name__}.{hint}"
        )
    return density


def _is_detector(estimator):
    return hasattr(estimator, "anomaly_score") or hasattr(estimator, "decision_function")


def _score_log_likelihood(scored):
    """Mean log density in nats, of a density or of a detector that has one."""
    return mean_log_density(scored.estimator, scored.X, sample_weight=scored.weight)


register_scorer("log_likelihood", _score_log_likelihood, needs_truth=False)
