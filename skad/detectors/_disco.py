"""DisCo: a score that does not depend on a column, by distance correlation in the loss."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skad.nn._annealing import Annealed
from skad.nn._losses import distance_correlation
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any, Literal

__all__ = ["DisCo"]


class DisCo(BaseEstimator):
    """Distance correlation: a score of `VAEDetector` becomes independent of a column.

    The parameter `decorrelation` of `VAEDetector`. No network sees the column; the loss gains

    .. math:: \\kappa\\, R(m, s), \\quad R = \\frac{\\mathrm{dCov}(m, s)}
              {\\sqrt{\\mathrm{dCov}(m, m)\\, \\mathrm{dCov}(s, s)}}

    of each batch, with m the column and s the `metric`, weighted if the events are.

    Parameters
    ----------
    column : str or int
        Column of X that the score shall not depend on.
    metric : {"nll", "mse", "kl", "loss"}, default="nll"
        What is decorrelated from that column; best the metric that will be cut on. "loss" is
        the loss of each event, as in [1]_.
    strength : float, default=100.0
        kappa.
    annealing : tuple (start, period, n_cycles), default=None
        kappa is 0 for `start` epochs, then rises linearly from 0 within `period` epochs and stays
        for as many, `n_cycles` times; the last time it stays for good. None keeps it constant.
    power : {1, 2}, default=1
        1 takes the distance correlation R of [1]_; 2 takes R squared, as its public code does.

    See Also
    --------
    OutlierExposure : Independence by known outliers that follow the background in the column.
    skad.metrics.distance_correlation : The same in O(n log n), of scores.

    Notes
    -----
    A batch of n events takes seven n x n arrays: 7 MB for 512 events in float32, 0.7 GB for
    5000; validation goes in batches of at least 4096 events.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.
    .. [2] G. Kasieczka, D. Shih, "DisCo fever: robust networks through distance correlation",
       arXiv:2001.05310.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import DisCo, VAEDetector
    >>> from skad.metrics import distance_correlation
    >>> rng = np.random.RandomState(0)
    >>> mass = rng.uniform(1, 3, size=1000)
    >>> X = np.column_stack([rng.normal(size=(1000, 6)) * mass[:, None], mass])
    >>> options = {"hidden_layer_sizes": (32,), "n_latent": 2, "max_epochs": 20, "random_state": 0}
    >>> for strength in (0.0, 30.0):
    ...     detector = VAEDetector(decorrelation=DisCo(-1, strength=strength), **options).fit(X)
    ...     print(bool(distance_correlation(mass, detector.anomaly_score(X)) < 0.3))
    False
    True
    """

    _parameter_constraints: dict = {
        "column": [str, Integral],
        "metric": [sk.StrOptions({"nll", "mse", "kl", "loss"})],
        "strength": [sk.Interval(Real, 0, None, closed="left")],
        "annealing": [None, "array-like"],
        "power": [sk.Options(Integral, {1, 2})],
    }

    def __init__(
        self,
        column: str | int,
        *,
        metric: Literal["nll", "mse", "kl", "loss"] = "nll",
        strength: float = 100.0,
        annealing: Any = None,
        power: Literal[1, 2] = 1,
    ) -> None:
        self.column = column
        self.metric = metric
        self.strength = strength
        self.annealing = annealing
        self.power = power

    @staticmethod
    def _tensor(values):
        """Values of the column as the batches hold them."""
        values = values.astype(np.float64)
        # Distance correlation does not feel the scale, float32 does.
        spread = values.std()
        values = (values - values.mean()) / (spread if spread > 0 else 1.0)
        return torch.from_numpy(values.astype(np.float32))

    def _term(self):
        """Return the term of the loss and its coefficient.

        The term is a function of metrics, column and weights of a batch.
        """
        metric, power = self.metric, self.power
        strength = Annealed.read(self.strength, self.annealing, name="annealing of DisCo")

        def term(metrics, column, weight):
            score = metrics[metric]
            return strength.value * distance_correlation(
                column.to(score.dtype), score, weight, power=power
            )

        return term, strength
