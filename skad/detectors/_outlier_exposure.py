"""Outlier exposure: known outliers in the training, whose score shall exceed the background's."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator

from skad.nn._annealing import Annealed
from skad.nn._losses import exposure_loss
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any, Literal

__all__ = ["OutlierExposure"]

# Of the paper; "kl" in sums over its ten latent dimensions.
_STRENGTH = {"mse": 500.0, "kl": 0.2}


class OutlierExposure(BaseEstimator):
    """Known outliers, whose score by `VAEDetector` shall exceed that of the background.

    The parameter `exposure` of `VAEDetector`, whose `fit` then reads y: 1 for exposed outliers, 0
    for background. With outliers that follow the background in a feature such as the mass
    (`match_mass`), the score becomes independent of it.

    Parameters
    ----------
    metric : {"mse", "kl"}, default="mse"
        Metric in which the outliers shall exceed the background; best the metric that will be
        cut on.
    strength : float, default=None
        lambda; None takes 500 for "mse" and 0.2 for "kl".
    margin : float, default=10.0
        Gap in nats that is enough, for "kl"; see Notes.
    annealing : tuple (start, period, n_cycles), default=None
        lambda is 0 for `start` epochs, then rises linearly from 0 within `period` epochs and stays
        for as many, `n_cycles` times; the last time it stays for good. None keeps it constant.

    See Also
    --------
    match_mass : Outliers that follow the background's mass.
    DisCo : Independence by distance correlation.

    Notes
    -----
    The exposure must reward a large gap between outliers and background, g = MSE_out - MSE_in (or
    KL), so the loss has to fall as g rises:

    .. math:: L_\\text{MSE-OE} = L + \\lambda\\, \\mathrm{sigmoid}(-g) \\; [= L
              - \\lambda\\, \\mathrm{sigmoid}(g) + \\lambda], \\qquad
              L_\\text{KL-OE} = L + \\lambda \\max(0, \\Delta - g) \\; [= L
              - \\lambda \\min(0, g - \\Delta)].

    Both are L - lambda L_OE with the L_OE of [1]_ and the sign of its rewritten loss. g is taken
    for pairs of a background event and an outlier of the same batch, the fewer of them repeated.
    The background alone enters L, the scale, DisCo and `offset_`. lambda is relative to the MSE
    and so depends on `scaling`.

    KL is the sum over the latent dimensions, here as in `beta` and in the score. The public code
    of [1]_ takes the mean of L_OE over its ten latent dimensions with lambda = 2 and a margin of
    1 for each; in sums these are the defaults here. For another `n_latent` take a margin of as
    many nats, and 2 / n_latent for lambda.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.
    .. [2] D. Hendrycks, M. Mazeika, T. Dietterich, "Deep anomaly detection with outlier
       exposure", arXiv:1812.04606.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import OutlierExposure, VAEDetector
    >>> rng = np.random.RandomState(0)
    >>> background = rng.normal(size=(1000, 4))
    >>> outliers = 0.1 * rng.normal(size=(300, 4))  # where the background is densest
    >>> X, y = np.concatenate([background, outliers]), np.repeat([0, 1], [1000, 300])
    >>> options = {"hidden_layer_sizes": (32,), "n_latent": 2, "metric": "mse", "random_state": 0}
    >>> plain = VAEDetector(**options).fit(background)
    >>> exposed = VAEDetector(exposure=OutlierExposure("mse"), **options).fit(X, y)
    >>> for detector in (plain, exposed):
    ...     inside, around = map(np.median, np.split(detector.anomaly_score(X), [1000])[::-1])
    ...     print(bool(inside > around))
    False
    True
    """

    _parameter_constraints: dict = {
        "metric": [sk.StrOptions({"mse", "kl"})],
        "strength": [None, sk.Interval(Real, 0, None, closed="left")],
        "margin": [sk.Interval(Real, 0, None, closed="left")],
        "annealing": [None, "array-like"],
    }

    def __init__(
        self,
        metric: Literal["mse", "kl"] = "mse",
        *,
        strength: float | None = None,
        margin: float = 10.0,
        annealing: Any = None,
    ) -> None:
        self.metric = metric
        self.strength = strength
        self.margin = margin
        self.annealing = annealing

    def _term(self):
        """Return the term of the loss and its coefficient.

        The term is a function of metrics, labels and weights of a batch.
        """
        metric = self.metric
        margin = self.margin if metric == "kl" else None
        strength = Annealed.read(
            _STRENGTH[metric] if self.strength is None else self.strength,
            self.annealing,
            name="annealing of OutlierExposure",
        )

        def term(metrics, exposed, weight):
            return strength.value * exposure_loss(metrics[metric], exposed, weight, margin=margin)

        return term, strength
