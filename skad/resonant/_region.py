"""The signal region of a resonant search: an interval of one feature, with its sidebands."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, fields, replace
from math import inf, isfinite
from numbers import Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skad.exceptions import RegionError
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, Numbers, checked
from skad.utils._columns import column_name, resolve_column

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

__all__ = ["RegionCounts", "SignalRegion", "check_region", "region_of"]

_SIDES = ("low", "high")
_MOST_REGIONS = 100_000


class RegionCounts(NamedTuple):
    """Events of a region and its sidebands, as `SignalRegion.counts` returns them.

    Parameters
    ----------
    signal : int or float
        Events in the signal region, or the sum of their weights.
    low, high : int or float
        The same for the lower and the upper sideband.

    Examples
    --------
    >>> from skad.resonant import SignalRegion
    >>> SignalRegion(1.0, 2.0).counts([0.5, 1.5, 1.7, 3.0]).signal
    2
    """

    signal: float
    low: float
    high: float


@dataclass(frozen=True)
class SignalRegion:
    """Signal region ``low <= m < high`` of a resonant feature m, and its sidebands.

    The object is immutable and compares by value, so it may be a parameter of an estimator
    (`clone`, `GridSearchCV` and joblib treat it as a plain value).

    Parameters
    ----------
    low, high : float
        Edges, in the unit of m; with ``quantile=True`` fractions of the events, in [0, 1].
    feature : int, str or None, default=None
        Column of X that holds m. None means what an estimator calls its `resonance`, and the
        first column where no estimator is involved.
    sideband_width : None, float or (float, float), default=None
        Width of the lower and the upper sideband, in the unit of `low`. None means all the
        rest of the data.
    quantile : bool, default=False
        Whether the numbers above are quantiles of m. Such a region has no masks until
        `resolve` has read the quantiles off the training events.

    Raises
    ------
    RegionError
        Edges that are not finite, not ordered or, for quantiles, outside [0, 1]; a sideband
        width that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.resonant import SignalRegion
    >>> m = np.array([3000.0, 3150.0, 3400.0, 3500.0, 3800.0, 5000.0])
    >>> region = SignalRegion(3300.0, 3700.0, sideband_width=200.0)
    >>> region.mask(m)
    array([False, False,  True,  True, False, False])
    >>> region.counts(m)
    RegionCounts(signal=2, low=1, high=1)
    >>> SignalRegion(0.4, 0.8, quantile=True).resolve(m).low
    3400.0
    """

    low: float
    high: float
    _: KW_ONLY
    feature: int | str | None = None
    sideband_width: float | tuple[float, float] | None = None
    quantile: bool = False

    def __post_init__(self):
        for name in ("low", "high"):
            if not isinstance(getattr(self, name), Real):
                raise RegionError(f"{name} must be a number; got {getattr(self, name)!r}.")
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise RegionError(
                f"a signal region needs finite edges with low < high; got low={self.low!r}, "
                f"high={self.high!r}."
            )
        if self.quantile and not 0 <= self.low < self.high <= 1:
            raise RegionError(
                f"low and high are quantiles and must lie in [0, 1]; got {self.low!r} and "
                f"{self.high!r}. Drop quantile=True to give them in the unit of the feature."
            )
        if self.sideband_width is not None and not all(width > 0 for width in self._widths):
            raise RegionError(
                "sideband_width must be None (all the rest), a positive number or a pair of "
                f"them; got {self.sideband_width!r}."
            )

    def __repr__(self):
        options = [
            f"{option.name}={getattr(self, option.name)!r}"
            for option in fields(self)[2:]
            if getattr(self, option.name) is not option.default
        ]
        return f"SignalRegion({', '.join([repr(self.low), repr(self.high), *options])})"

    @property
    def _widths(self):
        if self.sideband_width is None:
            return inf, inf
        widths = self.sideband_width
        widths = widths if isinstance(widths, (tuple, list, np.ndarray)) else (widths,)
        if len(widths) not in {1, 2} or not all(isinstance(width, Real) for width in widths):
            return (np.nan,)
        return float(widths[0]), float(widths[-1])

    @property
    def width(self):
        """Width of the region, ``high - low``."""
        return self.high - self.low

    @property
    def center(self):
        """Middle of the region."""
        return 0.5 * (self.low + self.high)

    @property
    def sidebands(self):
        """Edges of both sidebands, ((start, low), (high, stop)); infinite for all the rest."""
        below, above = self._widths
        return (self.low - below, self.low), (self.high, self.high + above)

    def values(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the resonant feature of the events as float64.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features) or (n_events,)
            Events, or the resonant feature alone.

        Returns
        -------
        m : ndarray of float64, shape (n_events,)

        Raises
        ------
        MissingColumnError
            X lacks the column `feature`.
        RegionError
            The feature is not finite everywhere.
        """
        names = getattr(X, "columns", None)
        m = np.asarray(X)
        position = None
        if m.ndim == 2:
            column = 0 if self.feature is None else self.feature
            position = resolve_column(column, names, m.shape[1], parameter="feature")
            m = m[:, position]
        elif m.ndim != 1:
            raise ValueError(f"X must have one or two dimensions; got shape {m.shape}.")
        m = Numbers(finite=False).read(m, "m")
        n_bad = np.count_nonzero(~np.isfinite(m))
        if n_bad:
            what = "m" if position is None else column_name(position, names)
            raise RegionError(
                f"the resonant feature ({what}) is NaN or infinite in {n_bad} of {len(m)} events; "
                "remove them first."
            )
        return m

    def resolve(
        self, X: ArrayLike, *, sidebands: bool = True, sample_weight: ArrayLike | None = None
    ) -> SignalRegion:
        """Return the region in the unit of m, checked against the events.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features) or (n_events,)
            Training events, or their resonant feature. Quantiles are read off them.
        sidebands : bool, default=True
            Whether both sidebands must hold events.
        sample_weight : array-like of shape (n_events,), default=None
            Weights of the events; those of weight 0 do not count.

        Returns
        -------
        region : SignalRegion
            With ``quantile=False``.

        Raises
        ------
        RegionError
            The region lies outside the data or is empty, or a sideband is.
        """
        m = self.values(X)
        weight = np.ones(len(m))
        if sample_weight is not None and len(m):
            weight = sk.check_sample_weight(sample_weight, m, dtype=np.float64)
        m, weight = m[weight > 0], weight[weight > 0]
        if not len(m):
            raise RegionError("a signal region cannot be resolved on 0 events.")
        region = self._from_quantiles(m, weight) if self.quantile else self
        start, stop = m.min(), m.max()
        if region.high <= start or region.low > stop:
            raise RegionError(
                f"the signal region [{region.low:g}, {region.high:g}) lies outside the data, which "
                f"span [{start:g}, {stop:g}]; check its unit (GeV or TeV) and its column."
            )
        counts = region.counts(m)
        if not counts.signal:
            raise RegionError(
                f"the signal region [{region.low:g}, {region.high:g}) holds none of the {len(m)} "
                f"events, which span [{start:g}, {stop:g}]; widen it."
            )
        if sidebands:
            missing = [side for side in _SIDES if not getattr(counts, side)]
            if missing:
                raise RegionError(
                    f"the {' and the '.join(missing)} sideband of the signal region "
                    f"[{region.low:g}, {region.high:g}) holds no event (the data span "
                    f"[{start:g}, {stop:g}]); move the region inwards or widen the sidebands."
                )
        return region

    def _from_quantiles(self, m, weight):
        (start, low), (high, stop) = self.sidebands
        # Edges are values of m, so that a region between them cannot miss the events.
        start, low = (_edge(m, weight, q, "left") for q in (start, low))
        high, stop = (_edge(m, weight, q, "right") for q in (high, stop))
        smallest, largest = float(m.min()), float(m.max())
        # Equal values may pile up at a quantile; a sideband that was asked for keeps some.
        if self.low > 0 and low <= smallest < largest:
            low = float(m[m > smallest].min())
        if high >= largest:
            high = largest if self.high < 1 else float(np.nextafter(largest, inf))
        if high <= low:
            high = float(min(m[m > low], default=low))
        if not low < high:
            raise RegionError(
                f"the quantiles {self.low:g} and {self.high:g} of the resonant feature coincide "
                f"at {low:g}: it takes too few values for a region between them."
            )
        stop = max(stop, high)
        width = None
        if self.sideband_width is not None:
            # A sideband cut short by the end of the data keeps a positive width.
            tiny = np.finfo(np.float64).tiny
            width = (max(low - start, tiny), max(stop - high, tiny))
        return replace(self, low=low, high=high, sideband_width=width, quantile=False)

    def with_sidebands(self, width: Any) -> Any:
        """Return the region with sidebands of another width (None means all the rest)."""
        return replace(self, sideband_width=width)

    def mask(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Return which events lie in the region, ``low <= m < high``.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features) or (n_events,)

        Returns
        -------
        mask : ndarray of bool, shape (n_events,)
        """
        self._check_resolved()
        m = self.values(X)
        return (m >= self.low) & (m < self.high)

    def sideband_mask(
        self, X: ArrayLike, side: Literal["low", "high"] | None = None
    ) -> NDArray[np.bool_]:
        """Return which events lie in the sidebands.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features) or (n_events,)
        side : {None, "low", "high"}, default=None
            Which sideband; None means both.

        Returns
        -------
        mask : ndarray of bool, shape (n_events,)
        """
        self._check_resolved()
        if side not in {None, *_SIDES}:
            raise ValueError(f"side must be None, 'low' or 'high'; got {side!r}.")
        m = self.values(X)
        masks = [(m >= start) & (m < stop) for start, stop in self.sidebands]
        return masks[0] | masks[1] if side is None else masks[_SIDES.index(side)]

    def counts(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> RegionCounts:
        """Count the events of the region and of both sidebands.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features) or (n_events,)
        sample_weight : array-like of shape (n_events,), default=None
            Weights to sum instead.

        Returns
        -------
        counts : RegionCounts
        """
        m = self.values(X)
        masks = [self.mask(m), self.sideband_mask(m, "low"), self.sideband_mask(m, "high")]
        if sample_weight is None:
            return RegionCounts(*(int(mask.sum()) for mask in masks))
        weight = sk.check_sample_weight(sample_weight, m, dtype=np.float64)
        return RegionCounts(*(float(weight[mask].sum()) for mask in masks))

    @checked(m=Numbers(), bins_per_region=COUNT, max_bins=COUNT)
    def bin_edges(
        self, m: ArrayLike, *, bins_per_region: int = 4, max_bins: int = 200
    ) -> NDArray[np.float64]:
        """Choose bins of the spectrum: the region starts and ends on an edge.

        Parameters
        ----------
        m : array-like of shape (n_events,)
            Resonant feature; the sidebands are cut to its range.
        bins_per_region : int, default=4
            Bins inside the region; those of the sidebands are about as wide.
        max_bins : int, default=200
            Most bins of one sideband.

        Returns
        -------
        edges : ndarray of float64, shape (n_bins + 1,)

        Raises
        ------
        RegionError
            The region leaves no data on one side.

        Examples
        --------
        >>> from skad.resonant import SignalRegion
        >>> SignalRegion(3.0, 4.0).bin_edges([2.0, 3.0, 5.0], bins_per_region=2)
        array([2. , 2.5, 3. , 3.5, 4. , 4.5, 5. ])
        """
        self._check_resolved()
        m = np.asarray(m, dtype=np.float64)
        if not len(m):
            raise RegionError("m holds no events; bins need the range of some.")
        width = self.width / bins_per_region
        (start, low), (high, stop) = self.sidebands
        start = max(start, m.min())
        # Bins are half open, so the highest event needs an edge above it.
        stop = min(stop, np.nextafter(m.max(), np.inf))
        if not start < low or not high < stop:
            raise RegionError(
                f"the signal region [{low:g}, {high:g}) leaves no sideband on one side of the "
                f"data, which span [{m.min():g}, {m.max():g}]; move it inwards."
            )

        def side(a, b):
            n_bins = int(np.clip(np.round((b - a) / width), 1, max_bins))
            return np.linspace(a, b, n_bins + 1)

        inside = np.linspace(low, high, bins_per_region + 1)
        return np.concatenate([side(start, low)[:-1], inside, side(high, stop)[1:]])

    @classmethod
    def scan(
        cls, low: float, high: float, *, width: float, step: float | None = None, **region: Any
    ) -> list[SignalRegion]:
        """List the regions of a scan from `low` to `high`.

        Parameters
        ----------
        low, high : float
            Range that every region stays within, in the unit of m (or quantiles).
        width : float
            Width of every region.
        step : float, default=None
            Distance of neighbouring regions; None means half the width.
        **region
            `feature`, `sideband_width`, `quantile`.

        Returns
        -------
        regions : list of SignalRegion

        Examples
        --------
        >>> from skad.resonant import SignalRegion
        >>> [(r.low, r.high) for r in SignalRegion.scan(2.0, 5.0, width=1.0, step=1.0)]
        [(2.0, 3.0), (3.0, 4.0), (4.0, 5.0)]
        """
        if step is None and isinstance(width, Real):
            step = 0.5 * width
        for name, value in {"low": low, "high": high, "width": width, "step": step}.items():
            if not isinstance(value, Real):
                raise RegionError(f"{name} must be a number; got {value!r}.")
        if not (width > 0 and step > 0 and high - low >= width):
            raise RegionError(
                "a scan needs width > 0, step > 0 and high - low >= width; got "
                f"width={width!r}, step={step!r}, low={low!r}, high={high!r}."
            )
        if not (high - low - width) / step < _MOST_REGIONS:
            raise RegionError(
                f"a scan from low={low:g} to high={high:g} in steps of {step:g} has more than "
                f"{_MOST_REGIONS} regions; take longer steps."
            )
        # Rounding must not cost the last region.
        n_regions = int((high - low - width) / step + 1e-9) + 1
        # Sums of decimals, without their rounding: 3.3 + 0.4 is 3.7, not 3.6999999999999997.
        starts = [float(f"{low + i * step:.12g}") for i in range(n_regions)]
        stops = [float(f"{min(start + width, high):.12g}") for start in starts]
        return [cls(*edges, **region) for edges in zip(starts, stops, strict=True)]

    def _check_resolved(self):
        if self.quantile:
            raise RegionError(
                "the region is given in quantiles; call region.resolve(X) with the training "
                "events first, so that the same edges hold for every later event."
            )


def _edge(m, weight, q, side):
    """Return the quantile, a value of m; an event of weight 2 is the same as two events."""
    order = np.argsort(m)
    cumulative = np.cumsum(weight[order])
    # Rounding must not move an edge by an event.
    rounding = 1 + (1e-12 if side == "right" else -1e-12)
    target = np.clip(q, 0, 1) * cumulative[-1] * rounding
    return float(m[order[min(np.searchsorted(cumulative, target, side=side), len(m) - 1)]])


def region_of(region):
    """Return a `SignalRegion`, or the one of a pair of edges."""
    if isinstance(region, SignalRegion):
        return region
    if not isinstance(region, (tuple, list, np.ndarray)) or len(region) != 2:
        raise RegionError(f"region must be a SignalRegion or (low, high); got {region!r:.100}.")
    low, high = region
    return SignalRegion(low, high)


def check_region(region, X, *, resonance=0, feature_names=None, sidebands=True, sample_weight=None):
    """Resolve the region of an estimator on its training events.

    Parameters
    ----------
    region : None, (float, float) or SignalRegion
        None means the central fifth of the events (quantiles 0.4 to 0.6).
    X : ndarray of shape (n_events, n_features)
    resonance : int or str, default=0
        The estimator's column of the resonant feature.
    feature_names : sequence of str, default=None
        Names of the columns.
    sidebands : bool, default=True
        Whether both sidebands must hold events.
    sample_weight : ndarray of shape (n_events,), default=None
        Weights of the events; those of weight 0 do not count.

    Returns
    -------
    region : SignalRegion
        In the unit of m, with `feature` the position of the column.
    m : ndarray of float64, shape (n_events,)

    Raises
    ------
    RegionError
        As `SignalRegion.resolve`, or a region whose own `feature` is not `resonance`.
    MissingColumnError
        X lacks the column.
    """
    if region is None:
        region = SignalRegion(0.4, 0.6, quantile=True)
    region = region_of(region)
    n_features = X.shape[1]
    if len(X) < 3:
        raise RegionError(
            f"Found array with {len(X)} sample(s) while a minimum of 3 is required: a signal "
            "region and two sidebands."
        )
    position = resolve_column(resonance, feature_names, n_features, parameter="resonance")
    if region.feature is not None:
        own = resolve_column(region.feature, feature_names, n_features, parameter="feature")
        if own != position:
            raise RegionError(
                f"the region is on {column_name(own, feature_names)}, but resonance={resonance!r} "
                "is another column; leave the region's feature=None or make them equal."
            )
    region = replace(region, feature=position)
    m = region.values(X)
    return region.resolve(m, sidebands=sidebands, sample_weight=sample_weight), m
