"""The spectrum of a bump hunt with its fit, the pulls and the scan of p-values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from skad.plotting._axes import draw_legend, given_axes
from skad.plotting._bump_hunt_spectrum import BumpHuntSpectrum
from skad.plotting._labels import axis_label, unit_of
from skad.plotting._takes import HUNT
from skad.search import poisson_interval
from skad.utils._arguments import checked
from skad.utils._optional import import_optional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from numpy.typing import NDArray

    from skad.search._bump_hunt import BumpHunt

__all__ = ["BumpHuntDisplay"]

# Told apart by eyes of every kind (Okabe and Ito), and each with a line style of its own.
_FIT, _INSIDE, _OUTSIDE = "#0072B2", "#D55E00", "#0072B2"
_SCAN = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LINES = ("solid", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (7, 2)), (0, (2, 1)))
# Energies of the Large Hadron Collider: nobody gives them in another unit by chance.
_TEV = {0.9, 2.76, 5.02, 7.0, 8.0, 13.0, 13.6, 14.0}
_LEGEND_COLUMNS = 3


class BumpHuntDisplay:
    """Spectra with their sideband fits, pulls, and local p-values of all windows.

    Use `from_estimator`.

    Parameters
    ----------
    spectra : sequence of BumpHuntSpectrum
        One column of panels for each, for example before and after a cut; none where only the
        p-values are to be drawn.
    scan : dict of float to (low, high, p_local, trusted), default=None
        For every efficiency the edges and local p-values of the windows, and which of them are
        trusted. None, and a scan of a single window, draw no panel.
    p_global : float, default=None
        Global p-value of the trusted tests in `scan`.
    feature_name : str, default="m"
        Label of the mass axis. A unit in square brackets at its end, as in "m [TeV]", is
        also that of the spectrum, "events per TeV".

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Spectrum and pulls of every spectrum and, where there are several windows, p-values.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The fit of every spectrum.
    bands_ : list of matplotlib PolyCollection
        One standard deviation of it.
    points_ : list of matplotlib ErrorbarContainer
        The observed events, with asymmetric Poisson intervals.
    bars_ : list of matplotlib BarContainer
        The pulls, exact Poisson significances.
    scan_ : dict of float to matplotlib LineCollection
        The p-values; untrusted ones are pale.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.plotting import BumpHuntDisplay
    >>> from skad.resonant import SignalRegion
    >>> from skad.search import BumpHunt
    >>> X = make_resonance(5000, 50, random_state=0).data
    >>> windows = SignalRegion.scan(2.9, 4.1, width=0.4)
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=10),
    ...     windows,
    ...     efficiencies=(1.0, 0.1),
    ...     n_folds=2,
    ...     random_state=0,
    ... ).fit(X)
    >>> display = BumpHuntDisplay.from_estimator(hunt, row=5, before=True)
    >>> len(display.axes_), list(display.scan_)
    (5, [1.0, 0.1])
    >>> display.axes_[0].get_ylabel(), display.axes_[-1].get_xlabel()
    ('events per TeV', '$m$ [TeV]')
    """

    def __init__(
        self,
        *,
        spectra: Sequence[BumpHuntSpectrum],
        scan: Mapping[float, tuple[Any, Any, Any, Any]] | None = None,
        p_global: float | None = None,
        feature_name: str = "m",
    ) -> None:
        self.spectra = spectra
        self.scan = scan
        self.p_global = p_global
        self.feature_name = feature_name

    @classmethod
    @checked(hunt=HUNT)
    def from_estimator(
        cls,
        hunt: BumpHunt,
        *,
        row: int | None = None,
        before: bool = False,
        feature_name: str | None = None,
        axes: NDArray[Any] | None = None,
        **plot_options: Any,
    ) -> BumpHuntDisplay:
        """Draw a fitted `BumpHunt`.

        Parameters
        ----------
        hunt : BumpHunt
            Fitted.
        row : int, default=None
            Row of `hunt.results_` whose spectrum is shown; None means the smallest p-value among
            the trusted ones, among all where none is.
        before : bool, default=False
            Whether the same window with the loosest cut is shown to its left.
        feature_name : str, default=None
            Label of the mass axis, with the unit in square brackets; None makes it of the
            column's name, in TeV or GeV where `sqrt_s` is an energy of the Large Hadron Collider.
        axes : array of matplotlib Axes, default=None
            As in `plot`.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : BumpHuntDisplay

        Raises
        ------
        ValueError
            The row has no fit.
        """
        results = hunt.results_
        row = best_row(hunt) if row is None else row
        spectra = [BumpHuntSpectrum.from_hunt(hunt, row)]
        if before:
            group = results.index[results["window"] == results["window"][row]]
            loosest = int(results["efficiency"][group].idxmax())
            if loosest != row:
                spectra.insert(0, BumpHuntSpectrum.from_hunt(hunt, loosest))
        columns = ("low", "high", "p_local", "trusted")
        display = cls(
            spectra=spectra,
            scan={
                efficiency: tuple(group[name].to_numpy() for name in columns)
                for efficiency, group in results.groupby("efficiency", sort=False)
            },
            p_global=hunt.p_global_,
            feature_name=mass_label(hunt) if feature_name is None else feature_name,
        )
        return display.plot(axes, **plot_options)

    def plot(
        self,
        axes: NDArray[Any] | None = None,
        *,
        fit_kwargs: dict[Any, Any] | None = None,
        data_kwargs: dict[Any, Any] | None = None,
        bar_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw the panels on one mass axis.

        It ends where the events of all spectra end. The spectrum is cut off at 0.3 of
        the density that one event makes in the widest bin, so that error bars down to zero leave
        the panel. The dotted lines among the p-values are 1, 2, 5 or 10 standard deviations apart,
        the smallest step whose labels have room.

        Parameters
        ----------
        axes : array of matplotlib Axes, default=None
            Spectrum and pulls of every spectrum in turn and, where there are several windows, one
            for the p-values; None makes a new figure.
        fit_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot` for the fit.
        data_kwargs : dict, default=None
            Keyword arguments of matplotlib's `errorbar` for the events.
        bar_kwargs : dict, default=None
            Keyword arguments of matplotlib's `bar` for the pulls.

        Returns
        -------
        self : BumpHuntDisplay
        """
        scanned = self._has_scan()
        n_axes = 2 * len(self.spectra) + scanned
        axes = self._new_axes(scanned) if axes is None else given_axes(axes)
        if len(axes) != n_axes:
            raise ValueError(
                f"axes must hold {n_axes} axes, spectrum and pulls of every spectrum"
                f"{' and the p-values' if scanned else ''}; got {len(axes)}."
            )
        self.axes_, self.figure_ = axes, axes[0].figure
        self.lines_, self.bands_, self.points_, self.bars_ = [], [], [], []
        self.scan_ = {}
        limits = self._limits()
        for i, spectrum in enumerate(self.spectra):
            above, below = axes[2 * i : 2 * i + 2]
            for ax in (above, below):
                ax.set_xlim(limits)
                ax.axvspan(*spectrum.region, color="0.85", zorder=0, linewidth=0)
            self._draw_spectrum(above, spectrum, fit_kwargs or {}, data_kwargs or {})
            self._draw_pulls(below, spectrum, bar_kwargs or {})
            below.set_xlabel(self.feature_name)
        if scanned:
            axes[-1].set_xlim(limits)
            if self.spectra:
                axes[-1].axvspan(*self.spectra[-1].region, color="0.85", zorder=0, linewidth=0)
            axes[-1].set_xlabel(self.feature_name)
            self._draw_scan(axes[-1])
        return self

    def _limits(self):
        if self.spectra:
            starts = [spectrum.edges[0] for spectrum in self.spectra]
            return min(starts), max(spectrum.end for spectrum in self.spectra)
        return (
            min(low.min() for low, *_ in self.scan.values()),
            max(high.max() for _, high, *_ in self.scan.values()),
        )

    def _new_axes(self, scanned):
        pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose="BumpHuntDisplay.plot")
        n_spectra = len(self.spectra)
        if not n_spectra:
            return np.array([pyplot.subplots(layout="constrained")[1]])
        rows = [[f"{part}{i}" for i in range(n_spectra)] for part in ("spectrum", "pulls")]
        heights = [3, 1]
        if scanned:
            rows.append(["scan"] * n_spectra)
            heights.append(2.2)
        _, axes = pyplot.subplot_mosaic(
            rows,
            figsize=(6.4 if n_spectra == 1 else 5.2 * n_spectra, 1.3 * sum(heights)),
            height_ratios=heights,
            layout="constrained",
        )
        for i in range(n_spectra):
            axes[rows[0][i]].sharex(axes[rows[1][i]])
            axes[rows[0][i]].tick_params(labelbottom=False)
        ordered = [axes[row[i]] for i in range(n_spectra) for row in rows[:2]]
        return np.array(ordered + ([axes["scan"]] if scanned else []))

    def _has_scan(self):
        return self.scan is not None and any(len(low) > 1 for low, *_ in self.scan.values())

    def _draw_spectrum(self, ax, spectrum, fit_kwargs, data_kwargs):
        widths = np.diff(spectrum.edges)
        centers = spectrum.edges[:-1] + 0.5 * widths
        filled = spectrum.counts > 0
        style = {"fmt": "o", "color": "black", "markersize": 3, "linewidth": 0.9, "label": "events"}
        heights = spectrum.counts / widths
        interval = np.array(poisson_interval(spectrum.counts / spectrum.scale))
        interval *= spectrum.scale / widths
        points = ax.errorbar(
            centers[filled],
            heights[filled],
            yerr=np.abs(interval - heights)[:, filled],
            xerr=0.5 * widths[filled],
            **style | data_kwargs,
        )
        style = {"label": "sideband fit", "color": _FIT} | fit_kwargs
        (line,) = ax.plot(spectrum.m, spectrum.density, **style)
        band = ax.fill_between(
            spectrum.m,
            np.maximum(spectrum.density - spectrum.error, 1e-300),
            spectrum.density + spectrum.error,
            color=line.get_color(),
            alpha=0.3,
            linewidth=0,
            label="its uncertainty",
        )
        numbers = (
            f"{spectrum.n_observed:.6g} observed, "
            f"{spectrum.background:.1f} ± {spectrum.uncertainty:.1f} expected"
        )
        per = unit_of(self.feature_name) or f"unit of {self.feature_name}"
        ax.set(yscale="log", ylabel=f"events per {per}")
        # Far in the tail the fit expects millionths of an event: no data can tell there.
        floor = 0.3 / widths.max()
        bottom = (
            max(0.5 * interval[0][filled].min(initial=np.inf), floor) if filled.any() else floor
        )
        top = max(3 * interval[1][filled].max(initial=bottom), 10 * bottom)
        ax.set_ylim(bottom, top, auto=None)
        title = f"{spectrum.title}: {numbers}" if spectrum.title else numbers
        ax.set_title(title, fontsize=10)
        draw_legend(ax, "upper right", None)
        self.points_.append(points)
        self.lines_.append(line)
        self.bands_.append(band)

    def _draw_pulls(self, ax, spectrum, bar_kwargs):
        colors = np.where(spectrum.fitted, _OUTSIDE, _INSIDE)
        bars = ax.bar(
            spectrum.edges[:-1],
            spectrum.pulls,
            np.diff(spectrum.edges),
            align="edge",
            **({"color": colors} | bar_kwargs),
        )
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set_ylabel("pull [σ]")
        self.bars_.append(bars)

    def _draw_scan(self, ax):
        lowest = 0.1
        self.scan_ = {}
        for i, (efficiency, (low, high, p_local, trusted)) in enumerate(self.scan.items()):
            known = np.isfinite(p_local)
            # A p-value that underflows still has a place on the logarithmic axis.
            p_local = np.maximum(p_local[known], 1e-300)
            # Where the axis spans many decades, p = 1 lies on the frame: draw above it.
            self.scan_[efficiency] = ax.hlines(
                p_local,
                low[known],
                high[known],
                color=_SCAN[i % len(_SCAN)],
                linestyles=[_LINES[i % len(_LINES)]],
                linewidth=2.0,
                alpha=np.where(trusted[known], 1.0, 0.25),
                label=f"efficiency {efficiency:g}",
                zorder=3,
            )
            lowest = min(lowest, p_local.min(initial=lowest))
        lowest = max(0.5 * lowest**1.02, 1e-305)
        ax.set(yscale="log", ylabel="local p-value", ylim=(lowest, 2.0))
        for sigma in _sigma_levels(lowest):
            p_value = norm.sf(sigma)
            ax.axhline(p_value, color="0.6", linestyle=":", linewidth=0.8)
            # Beside the axes wherever their limits are, and gone with a line out of the limits.
            ax.annotate(
                f"{sigma}σ",
                (1, p_value),
                xycoords=ax.get_yaxis_transform(),
                xytext=(3, 0),
                textcoords="offset points",
                annotation_clip=True,
                va="center",
                fontsize=8,
                color="0.4",
            )
        handles, names = ax.get_legend_handles_labels()
        if any(not trusted.all() for *_, trusted in self.scan.values()):
            handles.append(ax.hlines([], [], [], color="black", alpha=0.25, linewidth=2.0))
            names.append("not trusted")
        # Above the panel: inside it, every place may hold a p-value.
        ax.legend(
            handles,
            names,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=_LEGEND_COLUMNS,
            fontsize=8,
            frameon=False,
            borderaxespad=0.2,
        )
        if self.p_global is not None:
            counted = "all windows, all efficiencies" if len(self.scan) > 1 else "all windows"
            ax.set_title(
                f"global p-value {self.p_global:.2g} ({counted})",
                fontsize=10,
                pad=8 + 14 * -(-len(names) // _LEGEND_COLUMNS),
            )


def best_row(hunt):
    """Row of the smallest p-value among the trusted ones with a fit, among all where none is."""
    results = hunt.results_
    fitted = np.array([fit is not None for fit in hunt.fits_])
    for rows in (fitted & results["trusted"].to_numpy(), fitted):
        if rows.any():
            p_local = results["p_local"].where(rows).fillna(2.0)
            return int(p_local.idxmin())
    return None


def mass_label(hunt, unit=None, labels=None):
    """Label of the mass axis of a hunt, with the unit that its collision energy gives away."""
    names = getattr(hunt, "feature_names_in_", None)
    name = "m" if names is None else str(names[hunt.regions_[0].feature])
    if unit is None and hunt.spectrum == "dijet":
        # The fit has refused masses in another unit than that of sqrt_s.
        unit = "TeV" if hunt.sqrt_s in _TEV else None
        unit = "GeV" if hunt.sqrt_s / 1000 in _TEV else unit
    label = axis_label(name, unit, labels)
    # A mass that no mapping knows is one all the same.
    known = unit is None or name in (labels or {}) or unit_of(label)
    return label if known else f"{label} [{unit}]"


def _sigma_levels(lowest):
    """Return multiples of 1, 2, 5 or 10 standard deviations whose p-values lie above `lowest`."""
    for step in (1, 2, 5, 10):
        # The first two are the closest, as log p falls like a square. A label takes 6 % of a panel
        # two inches high.
        closest = (norm.logsf(step) - norm.logsf(2 * step)) / -np.log(lowest)
        if closest > 0.08:
            break
    return range(step, int(np.ceil(norm.isf(lowest))), step)
