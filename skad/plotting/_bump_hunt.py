"""The spectrum of a bump hunt with its fit, the pulls and the scan of p-values."""

import re

import numpy as np
from scipy.stats import norm
from sklearn.utils.validation import check_is_fitted

from skad.utils._optional import import_optional

__all__ = ["BumpHuntDisplay"]


class BumpHuntDisplay:
    """Spectrum after the cut with the sideband fit, pulls, and local p-values of all windows.

    Use `from_estimator`.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins, in the unit of m.
    counts, pulls : ndarray of shape (n_bins,)
        Observed events, and their distance from the fit in its standard deviations.
    fitted : ndarray of bool, shape (n_bins,)
        Bins of the sidebands.
    density : callable
        ``density(m)``: the fit in events per unit of m.
    region : (float, float)
        The window shown.
    background, uncertainty : float
        Expected background in the window with its standard deviation.
    n_observed : float
        Events observed in it.
    scan : dict of float to (low, high, p_local)
        For every efficiency the edges and local p-values of the windows.
    p_global : float, default=None
        Global p-value of all that `scan` holds: every window at every efficiency.
    title : str, default=None
        Shown above the spectrum.
    feature_name : str, default="m"
        Name of the resonant feature. A unit in square brackets at its end, as in "m [TeV]", is
        also that of the spectrum, "events per TeV".

    Attributes
    ----------
    axes_ : ndarray of 3 matplotlib Axes
        Spectrum, pulls, p-values.
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D
        The fit.
    points_ : matplotlib ErrorbarContainer
        The observed events.
    bars_ : matplotlib BarContainer
        The pulls.
    scan_ : dict of float to matplotlib LineCollection
        The p-values.

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
    >>> display = BumpHuntDisplay.from_estimator(hunt, feature_name="m [TeV]")
    >>> len(display.axes_), list(display.scan_)
    (3, [1.0, 0.1])
    >>> display.axes_[0].get_ylabel()
    'events per TeV'
    """

    def __init__(
        self,
        *,
        edges,
        counts,
        pulls,
        fitted,
        density,
        region,
        background,
        uncertainty,
        n_observed,
        scan,
        p_global=None,
        title=None,
        feature_name="m",
    ):
        self.edges = edges
        self.counts = counts
        self.pulls = pulls
        self.fitted = fitted
        self.density = density
        self.region = region
        self.background = background
        self.uncertainty = uncertainty
        self.n_observed = n_observed
        self.scan = scan
        self.p_global = p_global
        self.title = title
        self.feature_name = feature_name

    @classmethod
    def from_estimator(cls, hunt, *, row=None, feature_name=None, axes=None, **plot_options):
        """Draw a fitted `BumpHunt`.

        Parameters
        ----------
        hunt : BumpHunt
            Fitted.
        row : int, default=None
            Row of `hunt.results_` whose spectrum is shown; None means the smallest p-value.
        feature_name : str, default=None
            Label of the mass axis, with the unit in square brackets; None means the column's
            name, or "m".
        axes : array of 3 matplotlib Axes, default=None
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
        check_is_fitted(hunt)
        row = hunt.best_ if row is None else row
        fit = None if row is None else hunt.fits_[row]
        if fit is None:
            raise ValueError(
                "row must be one whose sideband fit succeeded: too few events passed the cut of "
                f"row {row}. Choose among {[i for i, f in enumerate(hunt.fits_) if f is not None]}."
            )
        shown = hunt.results_.loc[row]
        scan = {
            efficiency: tuple(group[name].to_numpy() for name in ("low", "high", "p_local"))
            for efficiency, group in hunt.results_.groupby("efficiency", sort=False)
        }
        if feature_name is None:
            names = getattr(hunt, "feature_names_in_", None)
            feature_name = "m" if names is None else names[hunt.regions_[0].feature]
        display = cls(
            edges=fit.edges,
            counts=fit.counts,
            pulls=fit.pulls,
            fitted=fit.fitted,
            density=fit.density,
            region=(shown["low"], shown["high"]),
            background=shown["background"],
            uncertainty=float(np.hypot(shown["stat"], shown["syst"])),
            n_observed=shown["n_observed"],
            scan=scan,
            p_global=hunt.p_global_,
            title=f"efficiency {shown['efficiency']:g}",
            feature_name=feature_name,
        )
        return display.plot(axes, **plot_options)

    def plot(self, axes=None, *, fit_kwargs=None, data_kwargs=None, bar_kwargs=None):
        """Draw the three panels, one above the other on a common mass axis.

        The spectrum is cut off at 0.3 of the density that one event makes in the widest bin, so
        that error bars down to zero leave the panel. The dotted lines among the p-values are 1,
        2, 5 or 10 standard deviations apart, the smallest step whose labels have room.

        Parameters
        ----------
        axes : array of 3 matplotlib Axes, default=None
            Spectrum, pulls and p-values; None makes a new figure.
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
        pyplot = import_optional("matplotlib.pyplot", extra="plot", purpose="BumpHuntDisplay.plot")
        if axes is None:
            _, axes = pyplot.subplots(
                3,
                1,
                sharex=True,
                figsize=(6.4, 7.2),
                height_ratios=(3, 1, 2),
                layout="constrained",
            )
        axes = np.ravel(axes)
        if len(axes) != 3:
            raise ValueError(f"axes must hold 3 axes, one for each panel; got {len(axes)}.")
        self.axes_, self.figure_ = axes, axes[0].figure
        self._draw_spectrum(axes[0], fit_kwargs or {}, data_kwargs or {})
        self._draw_pulls(axes[1], bar_kwargs or {})
        self._draw_scan(axes[2])
        for ax in axes:
            ax.axvspan(*self.region, color="0.85", zorder=0, linewidth=0)
        axes[2].set_xlabel(self.feature_name)
        return self

    def _draw_spectrum(self, ax, fit_kwargs, data_kwargs):
        widths = np.diff(self.edges)
        centers = self.edges[:-1] + 0.5 * widths
        filled = self.counts > 0
        style = {"fmt": "o", "color": "black", "markersize": 3, "label": "events"} | data_kwargs
        self.points_ = ax.errorbar(
            centers[filled],
            (self.counts / widths)[filled],
            yerr=np.sqrt(self.counts[filled]) / widths[filled],
            xerr=0.5 * widths[filled],
            **style,
        )
        m = np.linspace(self.edges[0], self.edges[-1], 500)
        (self.line_,) = ax.plot(m, self.density(m), **({"label": "sideband fit"} | fit_kwargs))
        numbers = (
            f"{self.n_observed:.0f} observed, "
            f"{self.background:.1f} ± {self.uncertainty:.1f} expected"
        )
        unit = re.search(r"\[([^\[\]]+)\]\s*$", self.feature_name)
        per = f"unit of {self.feature_name}" if unit is None else unit[1]
        ax.set(yscale="log", ylabel=f"events per {per}")
        # Far in the tail the fit expects millionths of an event: no data can tell there.
        ax.set_ylim(bottom=max(ax.get_ylim()[0], 0.3 / widths.max()))
        ax.set_title(numbers if self.title is None else f"{self.title}: {numbers}", fontsize=10)
        ax.legend()

    def _draw_pulls(self, ax, bar_kwargs):
        widths = np.diff(self.edges)
        colors = np.where(self.fitted, "tab:blue", "tab:red")
        self.bars_ = ax.bar(
            self.edges[:-1], self.pulls, widths, align="edge", **({"color": colors} | bar_kwargs)
        )
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set_ylabel("pull")

    def _draw_scan(self, ax):
        smallest, place = 0.1, self.edges[0]
        self.scan_ = {}
        for i, (efficiency, (low, high, p_local)) in enumerate(self.scan.items()):
            # A p-value that underflows still has a place on the logarithmic axis.
            p_local = np.maximum(p_local, 1e-300)
            # Where the axis spans many decades, p = 1 lies on the frame: draw above it.
            self.scan_[efficiency] = ax.hlines(
                p_local, low, high, color=f"C{i}", label=f"efficiency {efficiency:g}", zorder=3
            )
            for p_value, center in zip(p_local, np.add(low, high) / 2, strict=True):
                if p_value < smallest:
                    smallest, place = p_value, center
        lowest = max(0.3 * smallest**1.05, 1e-305)
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
        if self.p_global is not None:
            counted = "all windows, all efficiencies" if len(self.scan) > 1 else "all windows"
            ax.set_title(f"global p-value {self.p_global:.2g} ({counted})", fontsize=10)
        # The "best" place of matplotlib does not look at the windows, only at the dotted lines.
        side = "right" if place < np.mean(ax.get_xlim()) else "left"
        ax.legend(loc=f"lower {side}", fontsize=8)


def _sigma_levels(lowest):
    """Return multiples of 1, 2, 5 or 10 standard deviations whose p-values lie above `lowest`."""
    for step in (1, 2, 5, 10):
        # The first two are the closest, as log p falls like a square. A label takes 6 % of a panel
        # two inches high.
        closest = (norm.logsf(step) - norm.logsf(2 * step)) / -np.log(lowest)
        if closest > 0.08:
            break
    return range(step, int(np.ceil(norm.isf(lowest))), step)
