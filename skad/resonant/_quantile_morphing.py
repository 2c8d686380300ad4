"""Sideband events moved to the signal region by quantiles that are functions of m."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from skad.exceptions import RegionError
from skad.resonant._conditional import ConditionalMixin
from skad.resonant._conditional_quantiles import ConditionalQuantiles, equal_bins
from skad.resonant._masses import MASS_SPECTRA
from skad.resonant._template import Template, draw_rows
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Floats, Seed

__all__ = ["QuantileMorphing"]

# Fewer events of a bin say little about their quantiles.
_PER_BIN = 500


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
        weight = events.weights_or_ones(rows)
        self._weight = weight / weight.mean()
        self._map = ConditionalQuantiles(
            self._features_, self._m, self._weight, self._bins(), [self._powers]
        )
        self.quantiles_ = np.stack(self._map.coefficients)
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
            bins += equal_bins(self._m, self._weight, rows, n_bins)
        if len(bins) <= self.degree:
            raise RegionError(
                f"degree={self.degree} needs more than {len(bins)} bins of {_PER_BIN} events "
                "beside the signal region; lower it, raise reach, or give more events."
            )
        return bins

    def _powers(self, m):
        # In units of the region, so that no power of m is ill conditioned.
        s = (np.asarray(m) - self.region_.center) / self.region_.width
        return np.vander(s, self.degree + 1, increasing=True)

    def _moved(self, features, source, target):
        """Return events with features of one mass, moved to another."""
        X = np.empty((len(target), self.n_features_in_))
        X[:, self.resonance_index_] = target
        X[:, self.feature_indices_] = self._map.moved(features, source, target)
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
        weight = events.weights_or_ones(rows)
        target = self.masses_.draw(len(m), rng)
        return self._moved(events.X[rows][:, self.feature_indices_], m, target), weight
