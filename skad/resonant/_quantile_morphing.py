"""Sideband events moved to the signal region by quantiles that are functions of m."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from skad.exceptions import RegionError
from skad.resonant._conditional import ConditionalMixin
from skad.resonant._masses import MASS_SPECTRA
from skad.resonant._template import Template, draw_rows
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Floats, Seed

__all__ = ["QuantileMorphing"]

# Normal scores of the quantiles that are followed in m.
_SCORES = np.linspace(-3.0, 3.0, 61)
_STEP = _SCORES[1] - _SCORES[0]
# Fewer events of a bin say little about their quantiles.
_PER_BIN = 500
# Nodes in m of the correlations.
_NODES = 33
_SMALLEST_VARIANCE = 0.01


class QuantileMorphing(ConditionalMixin, Template):
    """Template of sideband events, each moved to a mass of the region at its quantiles.

    In bins of m beside the region the quantiles of every feature are read off, and each quantile
    is followed across the region by a polynomial in m. An event moves in m and keeps its quantiles
    [1]_; its normal scores are mixed so that their correlations follow m too. Nothing is trained:
    a template takes a second where a flow takes minutes, and what the events are beyond quantiles
    and correlations stays as it is in the data. A feature with few different values moves in
    between them.

    Parameters
    ----------
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    reach : float, default=1.0
        How far beside the region events are taken from, in its widths, within its sidebands.
    degree : int, default=1
        Degree of the polynomials in m.
    n_bins : int, default=10
        Bins of m on each side, of equal numbers of events; fewer where they would hold less than
        500.
    mass_spectrum : {"kde", "observed", "fit"}, default="kde"
        Masses of the template: a kernel estimate of the data of the region, the data themselves,
        or a fit of the sidebands.
    random_state : None, int or RandomState, default=None
        Not used: the template draws from the `random_state` of `sample_background`.

    Attributes
    ----------
    quantiles_ : ndarray, shape (n_features, degree + 1, 61)
        Coefficients of the quantiles in ((m - center) / width)^k of the region, at normal scores
        from -3 to 3.
    masses_ : object
        Spectrum of m that `sample_background` draws from.
    region_ : SignalRegion
        Resolved region.
    n_region_events_ : int
        Data events in the region.
    support_ : ndarray of float64, shape (2, n_features)
        Smallest and largest value of each feature in the sidebands of the data.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    See Also
    --------
    CURTAINS : Moves events by a flow.

    References
    ----------
    .. [1] A. L. Read, "Linear interpolation of histograms", Nucl. Instrum. Meth. A 425 (1999) 357,
       of the distribution of one feature.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.resonant import QuantileMorphing
    >>> rng = np.random.default_rng(0)
    >>> m = 2 + rng.exponential(size=20_000)
    >>> x = rng.normal(0.5 * m)
    >>> template = QuantileMorphing(region=(3, 4)).fit(np.column_stack([m, x]))
    >>> events, _ = template.sample_background(random_state=0)
    >>> bool(abs(np.mean(events[:, 1] - 0.5 * events[:, 0])) < 0.05)
    True
    """

    _parameter_constraints: dict = {
        **Template._template_constraints,
        "mass_spectrum": [sk.StrOptions(set(MASS_SPECTRA))],
        "reach": [sk.Interval(Real, 0, None, closed="neither")],
        "degree": [sk.Interval(Integral, 0, 3, closed="both")],
        "n_bins": [sk.Interval(Integral, 1, None, closed="left")],
    }
    _draws = False

    def __init__(
        self,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        reach: float = 1.0,
        degree: int = 1,
        n_bins: int = 10,
        mass_spectrum: Literal["kde", "observed", "fit"] = "kde",
        random_state: Seed = None,
    ) -> None:
        self.region = region
        self.resonance = resonance
        self.reach = reach
        self.degree = degree
        self.n_bins = n_bins
        self.mass_spectrum = mass_spectrum
        self.random_state = random_state

    def _fit(self, events, rng):
        rows = self._near(events) & events.weighing
        self._features_, self._m = events.X[rows][:, self.feature_indices_], events.m[rows]
        weight = np.ones(len(self._m)) if events.weight is None else events.weight[rows]
        self._weight = weight / weight.mean()
        bins = self._bins()
        # In units of the region, so that no power of m is ill conditioned.
        powers = self._powers(
            [np.average(self._m[of_bin], weights=self._weight[of_bin]) for of_bin in bins]
        )
        size = np.sqrt([self._weight[of_bin].sum() for of_bin in bins])

        def followed(values):
            """Return the coefficients of the polynomials through one row of values per bin."""
            return np.linalg.lstsq(powers * size[:, None], values * size[:, None], rcond=None)[0]

        spread = self._features_.std(axis=0)
        self._spacing = 1e-9 * np.where(spread > 0, spread, 1.0)
        self.quantiles_ = np.stack(
            [
                followed(np.array([self._quantiles_of(column, of_bin) for of_bin in bins]))
                for column in self._features_.T
            ]
        )
        scores = np.clip(self._scores(self._features_, self._m), _SCORES[0], _SCORES[-1])
        covariances = [
            np.atleast_2d(np.cov(scores[of_bin].T, aweights=self._weight[of_bin], ddof=0))
            for of_bin in bins
        ]
        n_features = scores.shape[1]
        polynomials = followed(np.reshape(covariances, (len(bins), -1)))
        self._nodes = np.linspace(self._m.min(), self._m.max(), _NODES)
        fitted = (self._powers(self._nodes) @ polynomials).reshape(-1, n_features, n_features)
        variances, axes = np.linalg.eigh(fitted)
        variances = np.maximum(variances, _SMALLEST_VARIANCE)
        self._roots = np.linalg.cholesky((axes * variances[:, None, :]) @ axes.swapaxes(1, 2))
        self._keep_masses(events)

    def _near(self, events):
        distance = self.reach * self.region_.width
        near = (events.m >= self.region_.low - distance) & (events.m < self.region_.high + distance)
        return events.data & events.sideband & near

    def _bins(self):
        """Return the rows of every bin of m, of equal numbers of events on each side."""
        bins = []
        for side, of_side in (
            ("below", self._m < self.region_.low),
            ("above", self._m >= self.region_.high),
        ):
            rows = np.flatnonzero(of_side)
            if not len(rows):
                raise RegionError(
                    f"no event lies within reach={self.reach:g} widths {side} the signal region "
                    f"[{self.region_.low:g}, {self.region_.high:g}); raise reach."
                )
            n_bins = int(np.clip(len(rows) // _PER_BIN, 1, self.n_bins))
            bins += np.array_split(rows[np.argsort(self._m[rows], kind="stable")], n_bins)
        if len(bins) <= self.degree:
            raise RegionError(
                f"degree={self.degree} needs more than {len(bins)} bins of {_PER_BIN} events "
                "beside the signal region; lower it, raise reach, or give more events."
            )
        return bins

    def _quantiles_of(self, column, rows):
        rows = rows[np.argsort(column[rows], kind="stable")]
        weight = self._weight[rows]
        # Half of an event's weight lies below it.
        level = (np.cumsum(weight) - 0.5 * weight) / weight.sum()
        return np.interp(ndtr(_SCORES), level, column[rows])

    def _powers(self, m):
        s = (np.asarray(m) - self.region_.center) / self.region_.width
        return np.vander(s, self.degree + 1, increasing=True)

    def _quantiles_at(self, feature, m):
        """Return the quantiles of a feature at each m, rising: shape (n, 61)."""
        values = np.maximum.accumulate(self._powers(m) @ self.quantiles_[feature], axis=1)
        return values + self._spacing[feature] * np.arange(len(_SCORES))

    def _scores(self, features, m):
        """Return the normal scores of the features at m; in the tails, widths from the end."""
        scores = np.empty_like(features)
        for j, x in enumerate(features.T):
            quantiles = self._quantiles_at(j, m)
            lower = (quantiles <= x[:, None]).sum(axis=1) - 1
            start, stop = _pair(quantiles, lower)
            scores[:, j] = _score_at(lower) + _STEP * (x - start) / (stop - start)
            for end, tail in _tails(x, quantiles[:, 0], quantiles[:, -1]):
                own = quantiles[tail]
                scores[tail, j] = _SCORES[end] + (x[tail] - own[:, end]) / _width(own)
        return scores

    def _values(self, scores, m):
        """Return the features of normal scores at m."""
        features = np.empty_like(scores)
        for j, z in enumerate(scores.T):
            quantiles = self._quantiles_at(j, m)
            lower = np.floor(np.clip((z - _SCORES[0]) / _STEP, 0, len(_SCORES))).astype(np.intp)
            start, stop = _pair(quantiles, lower)
            features[:, j] = start + (stop - start) * (z - _score_at(lower)) / _STEP
            for end, tail in _tails(z, _SCORES[0], _SCORES[-1]):
                own = quantiles[tail]
                features[tail, j] = own[:, end] + (z[tail] - _SCORES[end]) * _width(own)
        return features

    def _root(self, m):
        """Return the Cholesky factor of the covariance of the scores at each m."""
        place = np.interp(m, self._nodes, np.arange(_NODES))
        lower = np.minimum(place.astype(np.intp), _NODES - 2)
        share = (place - lower)[:, None, None]
        return (1 - share) * self._roots[lower] + share * self._roots[lower + 1]

    def _moved(self, features, source, target):
        """Return events with features of one mass, moved to another."""
        scores = self._scores(features, source)
        # The tails of one feature must not move another.
        core = np.clip(scores, _SCORES[0], _SCORES[-1])
        white = np.linalg.solve(self._root(source), core[:, :, None])
        moved = (self._root(target) @ white)[:, :, 0] + (scores - core)
        X = np.empty((len(target), self.n_features_in_))
        X[:, self.resonance_index_] = target
        X[:, self.feature_indices_] = self._values(moved, target)
        return X

    def _sample(self, n_samples, rng):
        if n_samples is None:
            rows, weight = np.arange(len(self._m)), self._weight
        elif (self._weight == 1).all():
            rows, weight = draw_rows(len(self._m), n_samples, rng), np.ones(n_samples)
        else:
            rows = rng.choice(len(self._m), n_samples, p=self._weight / self._weight.sum())
            weight = np.ones(n_samples)
        target = self.masses_.draw(len(rows), rng)
        return self._moved(self._features_[rows], self._m[rows], target), weight

    def _n_background(self):
        return len(self._m)

    def _held_out(self, events, rng):
        rows = self._near(events)
        m = events.m[rows]
        weight = np.ones(len(m)) if events.weight is None else events.weight[rows]
        target = self.masses_.draw(len(m), rng)
        return self._moved(events.X[rows][:, self.feature_indices_], m, target), weight


def _pair(quantiles, lower):
    """Return for every event the quantile at a position and the next one."""
    rows, lower = np.arange(len(quantiles)), _inner(lower)
    return quantiles[rows, lower], quantiles[rows, lower + 1]


def _score_at(lower):
    return _SCORES[_inner(lower)]


def _inner(lower):
    return np.clip(lower, 0, len(_SCORES) - 2)


def _tails(values, first, last):
    """Yield the end and the rows of the values below the first and above the last quantile."""
    yield 0, values < first
    yield -1, values > last


def _width(quantiles):
    """Return half the distance of the quantiles at -1 and 1, which is known well at any m."""
    return 0.5 * (quantiles[:, 40] - quantiles[:, 20])
