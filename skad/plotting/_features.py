"""Features of several samples, with the ratio to a reference below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import given_axes, merge_style
from skad.plotting._histograms import draw_histograms
from skad.plotting._labels import axis_label
from skad.utils._arguments import Made, checked
from skad.utils._optional import import_optional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from numpy.typing import NDArray

    from skad.utils._types import Floats

__all__ = ["FeatureDisplay"]


class FeatureDisplay:
    """One histogram per feature of samples by region, class or origin, with a ratio panel.

    Use `from_histograms`.

    Parameters
    ----------
    edges : dict of str to ndarray of shape (n_bins + 1,)
        Bin edges of every feature.
    density, density_error : dict of str to dict of str to ndarray of shape (n_bins,)
        Height and standard error of the histogram of each sample, by feature.
    ratio, ratio_error : dict of str to dict of str to ndarray of shape (n_bins,)
        Every sample over the reference; empty dicts draw no ratio.
    reference : str, default=None
        Name of the reference.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, shape (n_features,)
    ratio_ax_ : ndarray of matplotlib Axes, shape (n_features,), or None
    figure_ : matplotlib Figure
    line_ : dict of (str, str) to matplotlib StepPatch
        By feature and sample.
    ratio_line_ : dict of (str, str) to matplotlib ErrorbarContainer
        By feature and sample, without the reference.

    See Also
    --------
    skad.inspection.feature_histograms : The numbers.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 3 and 4.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.inspection import feature_histograms, region_samples
    >>> from skad.plotting import FeatureDisplay
    >>> events = make_resonance(5000, 500, random_state=0)
    >>> samples = region_samples(events.target, events.data, (3.3, 3.7))
    >>> histograms = feature_histograms(
    ...     samples, features=[1, 2], reference="background, sidebands", bins=20
    ... )
    >>> display = FeatureDisplay.from_histograms(histograms)
    >>> len(display.ax_), len(display.ratio_ax_)
    (2, 2)
    """

    def __init__(
        self,
        *,
        edges: Mapping[str, NDArray[Any]],
        density: Mapping[str, Mapping[str, NDArray[Any]]],
        density_error: Mapping[str, Mapping[str, NDArray[Any]]],
        ratio: Mapping[str, Mapping[str, NDArray[Any]]],
        ratio_error: Mapping[str, Mapping[str, NDArray[Any]]],
        reference: str | None = None,
    ) -> None:
        self.edges = edges
        self.density = density
        self.density_error = density_error
        self.ratio = ratio
        self.ratio_error = ratio_error
        self.reference = reference

    def plot(
        self,
        axes: NDArray[Any] | None = None,
        *,
        curve_kwargs: dict[Any, Any] | Sequence[dict[Any, Any]] | None = None,
        error_band: bool = True,
        log: bool = False,
        ratio_limits: Floats | None = None,
    ) -> Self:
        """Draw the histograms.

        Parameters
        ----------
        axes : array of matplotlib Axes, default=None
            Shape (n_features,), or (2, n_features) with ratios below; None makes a new figure.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `stairs`, for all samples or one for each.
        error_band : bool, default=True
            Draw the standard errors of the histograms.
        log : bool, default=False
            Logarithmic vertical axes of the histograms.
        ratio_limits : (float, float), default=None
            Vertical limits of the ratios; None is 0.5 to 1.5.

        Returns
        -------
        self : FeatureDisplay
        """
        axes, self.figure_ = self._axes(axes)
        self.ax_, self.ratio_ax_ = axes[0], axes[1] if self.ratio else None
        self.line_, self.ratio_line_ = {}, {}
        for i, (feature, heights) in enumerate(self.density.items()):
            ax, edges = self.ax_[i], self.edges[feature]
            errors = list(self.density_error[feature].values()) if error_band else None
            lines, _ = draw_histograms(
                ax, edges, heights, heights.values(), curve_kwargs=curve_kwargs, errors=errors
            )
            self.line_ |= {(feature, n): line for n, line in zip(heights, lines, strict=True)}
            ax.set(ylabel="Density", xlim=(edges[0], edges[-1]))
            ax.set(yscale="log") if log else ax.set_ylim(bottom=0)
            lowest = ax
            if self.ratio:
                lowest = self.ratio_ax_[i]
                self._draw_ratios(lowest, feature, ratio_limits or (0.5, 1.5))
            lowest.set_xlabel(axis_label(feature))
        self.ax_[0].legend(fontsize="small")
        return self

    def _axes(self, axes):
        n, rows = len(self.density), 2 if self.ratio else 1
        if axes is None:
            pyplot = import_optional(
                "matplotlib.pyplot", extra="plot", purpose="FeatureDisplay.plot"
            )
            figure, axes = pyplot.subplots(
                rows, n, figsize=(4 * n, 4.2 if rows == 2 else 3.2), layout="constrained",
                squeeze=False, sharex="col", height_ratios=[3, 1][:rows],
            )  # fmt: skip
            return axes, figure
        given_axes(axes)
        axes = np.atleast_2d(np.asarray(axes, dtype=object))
        if axes.shape != (rows, n):
            raise ValueError(
                f"axes must have the shape {(rows, n)}, ratios in the second row; got {axes.shape}."
            )
        return axes, axes[0, 0].figure

    def _draw_ratios(self, ax, feature, limits):
        from matplotlib.lines import Line2D

        edges = self.edges[feature]
        centres = 0.5 * (edges[1:] + edges[:-1])
        for name, values in self.ratio[feature].items():
            color = self.line_[feature, name].get_edgecolor()
            error = self.ratio_error[feature][name]
            if name == self.reference:
                ax.fill_between(
                    edges, np.append(1 - error, 1 - error[-1]), np.append(1 + error, 1 + error[-1]),
                    step="post", color=color, alpha=0.25, linewidth=0,
                )  # fmt: skip
                ax.axhline(1, color=color, linewidth=1)
                continue
            style = merge_style(Line2D, {"color": color, "marker": ".", "linestyle": "none"})
            self.ratio_line_[feature, name] = ax.errorbar(centres, values, yerr=error, **style)
        ax.set(ylabel=f"over {self.reference}", ylim=limits)
        ax.yaxis.label.set_fontsize("small")

    @classmethod
    @checked(histograms=Made("skad.inspection.feature_histograms", "skad.FeatureHistograms"))
    def from_histograms(
        cls, histograms: Any, *, axes: NDArray[Any] | None = None, **plot_options: Any
    ) -> FeatureDisplay:
        """Draw the result of `skad.inspection.feature_histograms`.

        Parameters
        ----------
        histograms : FeatureHistograms
        axes : array of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : FeatureDisplay
        """
        return cls(**vars(histograms)).plot(axes, **plot_options)
