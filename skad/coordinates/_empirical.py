"""The smooth learned distribution function of each feature."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

import numpy as np

from skad.coordinates._base import CoordinateTransformer
from skad.utils import _sklearn as sk

__all__ = ["EmpiricalCDFTransformer"]

_EVENTS_PER_KNOT = 50


class EmpiricalCDFTransformer(CoordinateTransformer):
    """Learned distribution function of each feature, smooth and strictly increasing everywhere.

    A monotone rational-quadratic spline [1]_ through quantiles of the training events, continued
    by exponential tails, maps the real line to (0, 1). Value and slope are continuous, so the
    slope is a continuous density of the feature: `log_abs_det_jacobian` is the log of the product
    of these densities.

    Parameters
    ----------
    n_quantiles : int, default=50
        Number of spline knots; at most one for every 50 training events is used, but at least
        two. More follow sharper structures with a noisier density.

    Attributes
    ----------
    splines_ : list of tuple
        For each feature the knots in the units of X, the distribution function there, its slope
        there, and the lengths of the lower and upper exponential tail.

    n_features_in_ : int
        Number of features seen in fit.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in fit, where X has names.

    See Also
    --------
    NormalCDFTransformer : A given distribution function.
    InverseCoordinates : Its ``InverseCoordinates(NormalCDFTransformer())`` after this transformer
        makes the feature Gaussian.
    sklearn.preprocessing.QuantileTransformer : Piecewise linear and constant outside the training
        range, so that its Jacobian vanishes there.

    Notes
    -----
    The tail beyond the outermost knot is F(x) = F_0 exp((x - x_0) / L), where L is the mean
    distance of the training events beyond it. Repeated values (such as a spike of masses at zero)
    share one knot, their probability goes to the intervals around it. A feature that is constant
    in training gets two knots half a unit to either side. In the upper tail float64 limits the
    round trip as it does for NormalCDFTransformer.

    References
    ----------
    .. [1] J. A. Gregory and R. Delbourgo, "Piecewise Rational Quadratic Interpolation to Monotonic
       Data", IMA J. Numer. Anal. 2 (1982) 123.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.coordinates import EmpiricalCDFTransformer
    >>> X = np.random.default_rng(0).exponential(size=(10_000, 1))
    >>> cdf = EmpiricalCDFTransformer().fit(X)
    >>> cdf.transform(np.array([[np.log(2)], [12.0]])).ravel().round(2)
    array([0.5, 1. ])
    >>> np.exp(cdf.log_abs_det_jacobian(np.array([[1.0]]))).round(1)  # density exp(-1) = 0.37
    array([0.4])
    """

    _parameter_constraints: dict = {
        "n_quantiles": [sk.Interval(Integral, 2, None, closed="left")],
    }

    _learns = True

    def __init__(self, *, n_quantiles: int = 50) -> None:
        self.n_quantiles = n_quantiles

    def _learn(self, X):
        n_knots = min(self.n_quantiles, max(2, len(X) // _EVENTS_PER_KNOT))
        levels = (np.arange(n_knots) + 0.5) / n_knots
        self.splines_ = [_learn_spline(column, levels) for column in X.T]

    def _range(self):
        return 0.0, 1.0

    def _forward(self, X):
        return self._by_column(_evaluate, X)

    def _backward(self, Z):
        return self._by_column(_invert, Z)

    def _log_derivative(self, X):
        return self._by_column(_log_slope, X)

    def _by_column(self, function, X):
        result = np.empty_like(X)
        for column, spline in enumerate(self.splines_):
            result[:, column] = function(spline, X[:, column])
        return result


class _Spline(NamedTuple):
    """Knots x with values y and slopes d, and tail lengths beyond the first and last."""

    x: np.ndarray
    y: np.ndarray
    d: np.ndarray
    lower_length: float
    upper_length: float


def _learn_spline(values, levels):
    x, owner = np.unique(np.quantile(values, levels), return_inverse=True)
    # Knots that coincide become one at their mean level.
    y = np.bincount(owner, weights=levels) / np.bincount(owner)
    if len(x) == 1:
        x, y = x[0] + np.array([-0.5, 0.5]), np.array([0.25, 0.75])
    width, secant = np.diff(x), np.diff(y) / np.diff(x)
    lower_length = _tail_length(x[0] - values, y[0] / secant[0])
    upper_length = _tail_length(values - x[-1], (1 - y[-1]) / secant[-1])
    # The slope of the parabola through three neighbours, which is a mean of the secants.
    inner = (width[1:] * secant[:-1] + width[:-1] * secant[1:]) / (width[1:] + width[:-1])
    d = np.concatenate([[y[0] / lower_length], inner, [(1 - y[-1]) / upper_length]])
    return _Spline(x, y, d, lower_length, upper_length)


def _tail_length(excess, fallback):
    """Return the mean positive excess, or `fallback` where there is none."""
    beyond = excess[excess > 0]
    return float(beyond.mean()) if len(beyond) else float(fallback)


# With w, h the width and height of an interval, s = h / w and t = (x - x_k) / w in [0, 1]:
#   y     = y_k + h (s t^2 + d_k t (1 - t)) / q,       q = s + (d_k+1 + d_k - 2 s) t (1 - t)
#   dy/dx = s^2 (d_k+1 t^2 + 2 s t (1 - t) + d_k (1 - t)^2) / q^2


def _interval(spline, knots, values):
    k = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(knots) - 2)
    w, h = np.diff(spline.x)[k], np.diff(spline.y)[k]
    return spline.x[k], spline.y[k], w, h, h / w, spline.d[k], spline.d[k + 1]


def _evaluate(spline, x):
    x0, y0, w, h, s, d0, d1 = _interval(spline, spline.x, x)
    t = np.clip((x - x0) / w, 0, 1)
    product = t * (1 - t)
    inside = y0 + h * (s * t * t + d0 * product) / (s + (d1 + d0 - 2 * s) * product)
    below, above = _tails(spline, x)
    lower = spline.y[0] * np.exp(below / spline.lower_length)
    upper = 1 - (1 - spline.y[-1]) * np.exp(-above / spline.upper_length)
    return np.where(below < 0, lower, np.where(above > 0, upper, inside))


def _log_slope(spline, x):
    x0, _, w, _, s, d0, d1 = _interval(spline, spline.x, x)
    t = np.clip((x - x0) / w, 0, 1)
    product = t * (1 - t)
    inside = 2 * np.log(s / (s + (d1 + d0 - 2 * s) * product)) + np.log(
        d1 * t * t + 2 * s * product + d0 * (1 - t) ** 2
    )
    below, above = _tails(spline, x)
    # One of the two is zero, and the end slopes continue the spline.
    tail = np.where(below < 0, np.log(spline.d[0]), np.log(spline.d[-1]))
    tail = tail + below / spline.lower_length - above / spline.upper_length
    return np.where((below < 0) | (above > 0), tail, inside)


def _invert(spline, y):
    x0, y0, w, h, s, d0, d1 = _interval(spline, spline.y, y)
    rise = np.clip(y - y0, 0, h)
    curvature = d1 + d0 - 2 * s
    a = h * (s - d0) + rise * curvature
    b = h * d0 - rise * curvature
    c = -s * rise
    # This root of a t^2 + b t + c loses no digits where a is small.
    t = 2 * c / (-b - np.sqrt(np.maximum(b * b - 4 * a * c, 0)))
    inside = x0 + w * t
    first, last = spline.y[0], spline.y[-1]
    lower = spline.x[0] + spline.lower_length * np.log(np.minimum(y / first, 1))
    upper = spline.x[-1] - spline.upper_length * np.log(np.minimum((1 - y) / (1 - last), 1))
    return np.where(y < first, lower, np.where(y > last, upper, inside))


def _tails(spline, x):
    """Return how far x lies below the first knot (<= 0) and above the last (>= 0)."""
    return np.minimum(x - spline.x[0], 0), np.maximum(x - spline.x[-1], 0)
