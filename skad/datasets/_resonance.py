"""A resonance on a falling mass spectrum, with exact conditional densities and ratios."""

from __future__ import annotations

import numbers
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from sklearn.utils import check_random_state

from skad.datasets._shipped import make_bunch
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any

    from skad.utils._types import Floats, Seed

__all__ = ["make_resonance"]


@sk.validate_params(
    {
        "n_background": [sk.Interval(numbers.Integral, 0, None, closed="left")],
        "n_signal": [sk.Interval(numbers.Integral, 0, None, closed="left")],
        "n_features": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        "mass": [sk.Interval(numbers.Real, 0, None, closed="neither")],
        "width": [sk.Interval(numbers.Real, 0, None, closed="neither")],
        "mass_range": [tuple, list],
        "falloff": [sk.Interval(numbers.Real, 0, None, closed="neither")],
        "separation": [sk.Interval(numbers.Real, None, None, closed="neither")],
        "signal_spread": [sk.Interval(numbers.Real, 0, None, closed="neither")],
        "dependence": [sk.Interval(numbers.Real, None, None, closed="neither")],
        "random_state": ["random_state"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def make_resonance(
    n_background: int = 20_000,
    n_signal: int = 200,
    *,
    n_features: int = 2,
    mass: float = 3.5,
    width: float = 0.05,
    mass_range: Floats = (2.5, 5.0),
    falloff: float = 0.7,
    separation: float = 1.5,
    signal_spread: float = 0.5,
    dependence: float = 0.0,
    random_state: Seed = None,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    r"""Draw a resonance on a falling spectrum whose likelihood ratio is known exactly.

    The first column is the mass m in TeV, the others are features x. With
    :math:`\mu(m) = \mathrm{dependence} \cdot (m - \mathrm{mass})`, in every feature,

    - background: :math:`p(m) \propto e^{-m / \mathrm{falloff}}` on `mass_range`,
      :math:`x | m \sim N(\mu(m), 1)`;
    - signal: :math:`m \sim N(\mathrm{mass}, \mathrm{width})`, truncated to `mass_range`,
      :math:`x | m \sim N(\mu(m) + \mathrm{separation}, \mathrm{signal\_spread})`.

    Parameters
    ----------
    n_background, n_signal : int, default=20_000 and 200
        Number of events; the rows are shuffled.
    n_features : int, default=2
        Number of features besides the mass.
    mass : float, default=3.5
        Mass of the resonance in TeV, inside `mass_range`.
    width : float, default=0.05
        Standard deviation of the signal's mass in TeV.
    mass_range : (float, float), default=(2.5, 5.0)
        Lower and upper end of the spectrum in TeV.
    falloff : float, default=0.7
        Mass difference in TeV over which the background falls by a factor e. The default is
        close to QCD dijets around 3.5 TeV.
    separation : float, default=1.5
        Distance of the signal from the background in every feature, in standard deviations of
        the background.
    signal_spread : float, default=0.5
        Standard deviation of the signal in every feature.
    dependence : float, default=0.0
        How far the features move with the mass, in standard deviations per TeV. 0 makes them
        independent of the mass, as CWoLa hunting needs; other values break that assumption.
    random_state : int, RandomState instance or None, default=None
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return `data` as a DataFrame and `target` as a Series.

    Returns
    -------
    resonance : :class:`~sklearn.utils.Bunch`
        data : ndarray of float64, shape (n_events, 1 + n_features), or DataFrame
            The mass in TeV, then the features.
        target : ndarray of int, shape (n_events,), or Series
            1 signal, 0 background.
        frame : DataFrame or None
            `data` and `target` when ``as_frame=True``.
        feature_names : list of str
            ``["m", "x1", "x2", ...]``.
        log_density_background, log_density_signal : callable
            ``f(X) -> (n,)``: exact log p(x|m) in nats (densities of x alone).
        log_likelihood_ratio : callable
            ``f(X) -> (n,)``: log of p_signal(x|m) / p_background(x|m), the best score in a
            narrow signal region.
        log_mass_density_background, log_mass_density_signal : callable
            ``f(m) -> (n,)``: exact log p(m) in nats for m in TeV; -inf outside `mass_range`.
        log_data_ratio : callable
            ``f(X) -> (n,)``: log of p_data(x|m) / p_background(x|m) for the data with the
            expected signal fraction at m, what ANODE and CWoLa estimate.
    (data, target) : tuple
        When ``return_X_y=True``.

    Raises
    ------
    ValueError
        When `mass_range` is not increasing or does not hold `mass`.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> resonance = make_resonance(random_state=0)
    >>> resonance.data.shape, resonance.feature_names
    ((20200, 3), ['m', 'x1', 'x2'])
    >>> from sklearn.metrics import roc_auc_score
    >>> score = resonance.log_likelihood_ratio(resonance.data)
    >>> print(f"{roc_auc_score(resonance.target, score):.2f}")
    0.98
    """
    lower, upper = _check_mass_range(mass_range, mass)
    rng = check_random_state(random_state)
    spectrum = _Falling(lower, upper, falloff)
    peak = _Peak(lower, upper, mass, width)
    background = _Features(mass, dependence, 0.0, 1.0)
    signal = _Features(mass, dependence, separation, signal_spread)

    m = np.concatenate([spectrum.sample(n_background, rng), peak.sample(n_signal, rng)])
    noise = rng.standard_normal((len(m), n_features))
    x = np.concatenate(
        [
            background.transform(noise[:n_background], m[:n_background]),
            signal.transform(noise[n_background:], m[n_background:]),
        ]
    )
    order = rng.permutation(len(m))
    data = np.column_stack([m, x])[order]
    target = np.repeat([0, 1], [n_background, n_signal])[order]
    return make_bunch(
        data,
        target,
        feature_names=["m", *(f"x{i + 1}" for i in range(n_features))],
        as_frame=as_frame,
        return_X_y=return_X_y,
        log_density_background=background.log_density,
        log_density_signal=signal.log_density,
        log_likelihood_ratio=partial(_log_likelihood_ratio, signal, background),
        log_mass_density_background=spectrum.log_density,
        log_mass_density_signal=peak.log_density,
        log_data_ratio=partial(
            _log_data_ratio, signal, background, peak, spectrum, n_signal, n_background
        ),
    )


def _check_mass_range(mass_range, mass):
    if len(mass_range) != 2 or not 0 < mass_range[0] < mass < mass_range[1] < np.inf:
        raise ValueError(
            "mass_range must be two increasing positive numbers (TeV) with mass between them; "
            f"got mass_range={mass_range!r} and mass={mass!r}."
        )
    return float(mass_range[0]), float(mass_range[1])


class _Falling:
    """p(m) proportional to exp(-m / falloff) between lower and upper."""

    def __init__(self, lower, upper, falloff):
        self.lower, self.upper, self.falloff = lower, upper, falloff
        # Probability of an exponential variable to fall in the range.
        self.covered = -np.expm1(-(upper - lower) / falloff)

    def sample(self, n, rng):
        return self.lower - self.falloff * np.log1p(-rng.uniform(size=n) * self.covered)

    def log_density(self, m):
        m = np.asarray(m, dtype=np.float64)
        log_density = -(m - self.lower) / self.falloff - np.log(self.falloff * self.covered)
        return np.where((self.lower <= m) & (m <= self.upper), log_density, -np.inf)


class _Peak:
    """N(mass, width) truncated to lower and upper."""

    def __init__(self, lower, upper, mass, width):
        self.lower, self.upper, self.mass, self.width = lower, upper, mass, width
        self.below = special.ndtr((lower - mass) / width)
        self.covered = special.ndtr((upper - mass) / width) - self.below

    def sample(self, n, rng):
        m = self.mass + self.width * special.ndtri(self.below + rng.uniform(size=n) * self.covered)
        # The inverse of the normal distribution rounds by an ulp at the ends.
        return m.clip(self.lower, self.upper)

    def log_density(self, m):
        m = np.asarray(m, dtype=np.float64)
        log_density = _log_normal((m - self.mass) / self.width) - np.log(self.width * self.covered)
        return np.where((self.lower <= m) & (m <= self.upper), log_density, -np.inf)


class _Features:
    """x | m ~ N(dependence * (m - mass) + offset, spread) in every feature."""

    def __init__(self, mass, dependence, offset, spread):
        self.mass, self.dependence, self.offset, self.spread = mass, dependence, offset, spread

    def mean(self, m):
        return (self.dependence * (m - self.mass) + self.offset)[:, None]

    def transform(self, noise, m):
        return self.mean(m) + self.spread * noise

    def log_density(self, X):
        X = np.asarray(X, dtype=np.float64)
        standardised = (X[:, 1:] - self.mean(X[:, 0])) / self.spread
        return (_log_normal(standardised) - np.log(self.spread)).sum(axis=1)


def _log_normal(z):
    return -0.5 * z**2 - 0.5 * np.log(2 * np.pi)


def _log_likelihood_ratio(signal, background, X):
    return signal.log_density(X) - background.log_density(X)


def _log_data_ratio(signal, background, peak, spectrum, n_signal, n_background, X):
    """log R = log(1 - f + f L), with f the signal fraction at m and L the likelihood ratio."""
    m = np.asarray(X, dtype=np.float64)[:, 0]
    with np.errstate(divide="ignore"):
        log_signal = np.log(n_signal) + peak.log_density(m)
        log_background = np.log(n_background) + spectrum.log_density(m)
    log_total = np.logaddexp(log_signal, log_background)
    log_ratio = _log_likelihood_ratio(signal, background, X)
    return np.logaddexp(log_background - log_total, log_signal - log_total + log_ratio)
