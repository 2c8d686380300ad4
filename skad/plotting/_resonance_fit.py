"""A fitted peak on its spectrum, and what is left when the background is taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import draw_legend, given_axes
from skad.plotting._labels import unit_of
from skad.search import poisson_interval
from skad.utils._arguments import Made, checked
from skad.utils._optional import import_optional

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import NDArray

    from skad.search._resonance_fit import ResonanceFit

__all__ = ["ResonanceFitDisplay"]

_FIT = Made("skad.search.fit_resonance", "skad.ResonanceFit")
_WHOLE, _BACKGROUND = "#D55E00", "#0072B2"
_POINTS = 400


class ResonanceFitDisplay:
    """Events with the fit of peak and background, and below them events minus background.

    Use `from_fit`.

    Parameters
    ----------
    fit : ResonanceFit
    feature_name : str, default="m"
        Label of the mass axis; a unit in square brackets at its end is also that of the spectrum.
    around : float, default=6.0
        Widths of the peak shown on either side; infinite for all masses of the fit.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        Spectrum, and events minus background.
    figure_ : matplotlib Figure
    points_ : list of matplotlib ErrorbarContainer
        Events of the two panels, with asymmetric Poisson intervals.
    lines_ : list of matplotlib Line2D
        Background, peak and background, peak alone.

    See Also
    --------
    skad.search.fit_resonance

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.plotting import ResonanceFitDisplay
    >>> from skad.search import fit_resonance
    >>> m = make_resonance(20_000, 500, random_state=0).data[:, 0]
    >>> display = ResonanceFitDisplay.from_fit(fit_resonance(m, (3.3, 3.7)))
    >>> len(display.axes_)
    2
    """

    def __init__(self, *, fit: ResonanceFit, feature_name: str = "m", around: float = 6.0) -> None:
        self.fit = fit
        self.feature_name = feature_name
        self.around = around

    @classmethod
    @checked(fit=_FIT)
    def from_fit(
        cls,
        fit: ResonanceFit,
        *,
        feature_name: str = "m",
        around: float = 6.0,
        axes: NDArray[Any] | None = None,
        **plot_options: Any,
    ) -> ResonanceFitDisplay:
        """Draw what `skad.search.fit_resonance` returns.

        Parameters
        ----------
        fit : ResonanceFit
        feature_name : str, default="m"
            Label of the mass axis, with the unit in square brackets.
        around : float, default=6.0
            Widths of the peak shown on either side.
        axes : array of matplotlib Axes, default=None
            As in `plot`.
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ResonanceFitDisplay
        """
        return cls(fit=fit, feature_name=feature_name, around=around).plot(axes, **plot_options)

    def plot(
        self,
        axes: NDArray[Any] | None = None,
        *,
        fit_kwargs: dict[Any, Any] | None = None,
        data_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw the two panels.

        Parameters
        ----------
        axes : array of matplotlib Axes, default=None
            Two axes; None makes a new figure.
        fit_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot` for peak and background.
        data_kwargs : dict, default=None
            Keyword arguments of matplotlib's `errorbar` for the events.

        Returns
        -------
        self : ResonanceFitDisplay
        """
        pyplot = import_optional(
            "matplotlib.pyplot", extra="plot", purpose="ResonanceFitDisplay.plot"
        )
        if axes is None:
            _, axes = pyplot.subplots(
                2, sharex=True, height_ratios=[2, 1], figsize=(6.4, 5.6), layout="constrained"
            )
        axes = given_axes(axes)
        if len(axes) != 2:
            raise ValueError(f"axes must hold 2 axes, spectrum and difference; got {len(axes)}.")
        self.axes_, self.figure_ = axes, axes[0].figure
        fit, spectrum = self.fit, self.fit.spectrum
        edges, counts, scale = spectrum.edges, spectrum.counts, spectrum.scale
        low = max(edges[0], fit.mass - self.around * fit.width)
        high = min(edges[-1], fit.mass + self.around * fit.width)
        m = np.linspace(low, high, _POINTS)
        background, peak = spectrum.density(m), fit.signal_density(m)
        widths = np.diff(edges)
        shown = (edges[1:] > low) & (edges[:-1] < high)
        centers, heights = (edges[:-1] + 0.5 * widths)[shown], (counts / widths)[shown]
        interval = (np.array(poisson_interval(counts / scale)) * scale / widths)[:, shown]
        errors = np.abs(interval - heights)
        style = {"fmt": "o", "color": "black", "markersize": 3, "linewidth": 0.9}
        style |= {"label": "events"} | (data_kwargs or {})
        expected = (spectrum.expected() / widths)[shown]
        self.points_ = [
            ax.errorbar(centers, heights - below, yerr=errors, **style)
            for ax, below in zip(axes, (0.0, expected), strict=True)
        ]
        label = (
            f"peak at {fit.mass:.4g} ± {fit.errors[1]:.2g}, {fit.n_signal:.0f} ± "
            f"{fit.errors[0]:.0f} events"
        )
        style = {"color": _WHOLE, "label": label} | (fit_kwargs or {})
        self.lines_ = [
            *axes[0].plot(m, background, color=_BACKGROUND, linestyle="--", label="background"),
            *axes[0].plot(m, background + peak, **style),
            *axes[1].plot(m, peak, **style),
        ]
        axes[1].axhline(0.0, color="0.5", linewidth=0.8)
        unit = unit_of(self.feature_name) or f"unit of {self.feature_name}"
        axes[0].set(ylabel=f"events per {unit}", xlim=(low, high))
        axes[1].set(ylabel="less background", xlabel=self.feature_name)
        draw_legend(axes[0], "upper right", None)
        return self
