"""The Gaussian toy of the coordinate study, with exact densities and AUCs in three frames."""

from __future__ import annotations

import numbers
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from sklearn.utils import check_random_state

from skad.utils import _sklearn as sk
from skad.utils._readable import Bunch

if TYPE_CHECKING:
    from typing import Any, Literal

    from skad.utils._types import Seed

__all__ = ["make_gaussian_anomaly"]

_TANH_SHIFT = 2.0


@sk.validate_params(
    {
        "n_background": [sk.Interval(numbers.Integral, 0, None, closed="left")],
        "n_signal": [sk.Interval(numbers.Integral, 0, None, closed="left")],
        "shift": [sk.Interval(sk.RealNotInt, None, None, closed="neither"), numbers.Integral],
        "n_features": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        "coordinates": [sk.StrOptions({"identity", "cdf", "tanh"})],
        "random_state": ["random_state"],
        "return_X_y": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def make_gaussian_anomaly(
    n_background: int = 10_000,
    n_signal: int = 1_000,
    *,
    shift: float = 1.0,
    n_features: int = 2,
    coordinates: Literal["identity", "cdf", "tanh"] = "identity",
    random_state: Seed = None,
    return_X_y: bool = False,
) -> Any:
    r"""Draw a Gaussian signal on a Gaussian background, and say what is exactly true of them.

    In every feature the background follows N(0, 1) and the signal N(shift, 1). The rarest events
    depend on the coordinates in which rarity is measured, the likelihood ratio does not [1]_.

    Parameters
    ----------
    n_background, n_signal : int, default=10_000 and 1_000
        Number of events; background rows come first.
    shift : float, default=1.0
        Mean of the signal in every feature.
    n_features : int, default=2
    coordinates : {"identity", "cdf", "tanh"}, default="identity"
        Frame in which the events are returned and the densities are meant:

        - "identity": x;
        - "cdf": the normal distribution function of x, where the background is uniform;
        - "tanh": tanh(x + 2).
    random_state : int, RandomState instance or None, default=None
        The same seed gives the same events in every frame.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    toy : :class:`~sklearn.utils.Bunch`
        data : ndarray of float64, shape (n_background + n_signal, n_features)
            The events, background first.
        target : ndarray of int, shape (n_background + n_signal,)
            1 signal, 0 background.
        log_density_background, log_density_signal : callable
            ``f(X) -> (n,)``: exact log density in nats, in the frame `coordinates`.
        log_likelihood_ratio : callable
            ``f(X) -> (n,)``: log of signal density over background density, in nats.
        auc_density : float
            Exact area under the ROC curve of the score ``-log_density_background``: what an
            ideal density-based detector reaches in this frame.
        auc_likelihood_ratio : float
            Exact area under the ROC curve of the likelihood ratio, equal in every frame.
    (data, target) : tuple
        When ``return_X_y=True``.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly Detection under Coordinate Transformations",
       Phys. Rev. D 107 (2023) 015009, arXiv:2209.06225, section IV A.

    Examples
    --------
    >>> from skad.datasets import make_gaussian_anomaly
    >>> for coordinates in ("identity", "cdf", "tanh"):
    ...     toy = make_gaussian_anomaly(coordinates=coordinates, random_state=0)
    ...     print(f"{toy.auc_density:.3f} {toy.auc_likelihood_ratio:.3f}")
    0.697 0.841
    0.500 0.841
    0.175 0.841
    """
    rng = check_random_state(random_state)
    x = rng.standard_normal((n_background + n_signal, n_features))
    x[n_background:] += shift
    data = _FORWARD[coordinates](x)
    target = np.repeat([0, 1], [n_background, n_signal])
    if return_X_y:
        return data, target
    return Bunch(
        data=data,
        target=target,
        log_density_background=partial(_log_density, coordinates=coordinates, mean=0.0),
        log_density_signal=partial(_log_density, coordinates=coordinates, mean=float(shift)),
        log_likelihood_ratio=partial(
            _log_likelihood_ratio, coordinates=coordinates, shift=float(shift)
        ),
        auc_density=_auc_density(coordinates, float(shift), n_features),
        auc_likelihood_ratio=float(special.ndtr(abs(shift) * np.sqrt(n_features / 2))),
    )


def _tanh_forward(x):
    return np.tanh(x + _TANH_SHIFT)


def _tanh_inverse(y):
    return np.arctanh(y) - _TANH_SHIFT


def _identity(x):
    return x


_FORWARD = {"identity": _identity, "cdf": special.ndtr, "tanh": _tanh_forward}
_INVERSE = {"identity": _identity, "cdf": special.ndtri, "tanh": _tanh_inverse}
# log |dy/dx| of one feature, as a function of x.
_LOG_SLOPE = {
    "identity": np.zeros_like,
    "cdf": lambda x: -0.5 * x**2 - 0.5 * np.log(2 * np.pi),
    # log sech(u) = log 2 - |u| - log(1 + exp(-2|u|)) without overflow
    "tanh": lambda x: 2 * (np.log(2) - np.logaddexp(x + _TANH_SHIFT, -(x + _TANH_SHIFT))),
}


def _to_x(X, coordinates):
    X = np.asarray(X, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _INVERSE[coordinates](X)


def _log_density(X, *, coordinates, mean):
    """Log density in nats; -inf outside the range of the frame and on its border."""
    x = _to_x(X, coordinates)
    with np.errstate(invalid="ignore"):
        log_density = -0.5 * (x - mean) ** 2 - 0.5 * np.log(2 * np.pi)
        log_density -= _LOG_SLOPE[coordinates](x)
    log_density[~np.isfinite(x)] = -np.inf
    return log_density.sum(axis=1)


def _log_likelihood_ratio(X, *, coordinates, shift):
    x = _to_x(X, coordinates)
    return (shift * x - 0.5 * shift**2).sum(axis=1)


@lru_cache
def _auc_density(coordinates, shift, n_features):
    """Probability that the signal is rarer than the background in this frame."""
    if coordinates == "cdf":  # the background density is constant
        return 0.5
    if coordinates == "identity":  # ratio of a noncentral to a central chi-squared variable
        return float(1 - special.ncfdtr(n_features, n_features, n_features * shift**2, 1.0))
    return _auc_of_sum(lambda x: 0.5 * x**2 + _LOG_SLOPE["tanh"](x), shift, n_features)


def _auc_of_sum(rarity, shift, n_features):
    r"""P(sum_j rarity(s_j) > sum_j rarity(b_j)), from characteristic functions.

    With D the difference of both sums, Gil-Pelaez' inversion gives
    :math:`P(D > 0) = 1/2 + \int_0^\infty \mathrm{Im}\,\phi_D(t) / (\pi t)\,dt`, where
    :math:`\phi_D = (\phi_s \bar\phi_b)^{n}` for independent features.
    """
    x, step = np.linspace(-9, 9, 3_001, retstep=True)
    probability = step / np.sqrt(2 * np.pi) * np.exp(-0.5 * x**2)
    t, weight = _quadrature(0.0, 150.0, n_panels=60)
    phi_signal = np.exp(1j * np.outer(t, rarity(x + shift))) @ probability
    phi_background = np.exp(-1j * np.outer(t, rarity(x))) @ probability
    integrand = ((phi_signal * phi_background) ** n_features).imag / t
    return float(0.5 + weight @ integrand / np.pi)


def _quadrature(lower, upper, *, n_panels):
    """Gauss-Legendre nodes and weights on panels that widen upwards."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    edges = lower + (upper - lower) * np.linspace(0, 1, n_panels + 1) ** 2
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    t = (middle[:, None] + half[:, None] * nodes).ravel()
    return t, (half[:, None] * weights).ravel()
