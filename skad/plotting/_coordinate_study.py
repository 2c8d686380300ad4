"""The table of a coordinate study, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import grid_of_axes
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["CoordinateStudyDisplay"]


class CoordinateStudyDisplay:
    """What each detector finds in each frame: seeds as points, median and 68 % band.

    Parameters
    ----------
    study : pandas.DataFrame
        Result of `skad.inspection.coordinate_study`.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, one per metric
    figure_ : matplotlib Figure
    line_ : dict of (str, str) to matplotlib ErrorbarContainer
        Medians with their 16-84 % range, by metric and detector.
    scatter_ : dict of (str, str) to matplotlib PathCollection
        Values of the seeds, by metric and detector.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.coordinates import ExpTransformer
    >>> from skad.inspection import coordinate_study
    >>> from skad.plotting import CoordinateStudyDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(2000, 2)), rng.normal(1, 1, size=(200, 2))])
    >>> study = coordinate_study(
    ...     {"density": GaussianMixture()}, {"x": None, "exp x": ExpTransformer()},
    ...     X, np.repeat([0, 1], [2000, 200]), n_seeds=3, random_state=0,
    ... )
    >>> display = CoordinateStudyDisplay(study).plot()
    >>> [axes.get_ylabel() for axes in display.ax_]
    ['AUC', 'max SIC', 'Shared with x']
    """

    def __init__(self, study: DataFrame) -> None:
        self.study = study

    def plot(
        self,
        ax: Sequence[Axes] | None = None,
        *,
        metrics: Sequence[str] | None = None,
        reference_lines: Mapping[str, float] | None = None,
        curve_kwargs: Mapping[str, dict[Any, Any]] | None = None,
    ) -> Self:
        """Draw one panel per metric.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One per metric; None makes a new figure.
        metrics : list of str, default=None
            Columns of the study; by default the AUC, the maximal (and fixed) SIC and the fraction
            shared with the first frame.
        reference_lines : dict of str to float, default=None
            A level to draw per metric, for example the AUC of the exact likelihood ratio.
        curve_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `errorbar` for each detector.

        Returns
        -------
        self : CoordinateStudyDisplay
        """
        frames = list(dict.fromkeys(self.study["frame"]))
        detectors = list(dict.fromkeys(self.study["detector"]))
        metrics = self._default_metrics(frames) if metrics is None else list(metrics)
        missing = [m for m in metrics if m not in self.study.columns]
        if missing:
            raise ValueError(
                f"metrics={missing} are not columns of the study; "
                f"it has {list(self.study.columns)}."
            )
        self.ax_, self.figure_ = grid_of_axes(ax, len(metrics), self, width=3.6, height=3.4)
        self.line_, self.scatter_ = {}, {}
        offsets = np.linspace(-0.25, 0.25, len(detectors)) if len(detectors) > 1 else [0.0]
        for axes, metric in zip(self.ax_, metrics, strict=True):
            for number, (detector, offset) in enumerate(zip(detectors, offsets, strict=True)):
                style = {"color": f"C{number}", "marker": "s", "label": detector}
                style |= (curve_kwargs or {}).get(detector, {})
                self._draw_detector(axes, metric, detector, frames, offset, style)
            level = (reference_lines or {}).get(metric)
            if level is not None:
                axes.axhline(level, color="0.5", linestyle="--", linewidth=1)
            if metric == "roc_auc":
                axes.axhline(0.5, color="0.5", linestyle=":", linewidth=1)
            axes.set(ylabel=_label(metric), xticks=range(len(frames)), xticklabels=frames)
            axes.set_xlim(-0.5, len(frames) - 0.5)
            if metric != "roc_auc":
                axes.set_ylim(bottom=0)
        self.ax_[0].legend(fontsize="small")
        return self

    @classmethod
    @checked(
        study=Made("skad.inspection.coordinate_study", "pandas.DataFrame", ("detector", "frame"))
    )
    def from_study(
        cls, study: DataFrame, *, ax: Sequence[Axes] | None = None, **plot_options: Any
    ) -> CoordinateStudyDisplay:
        """Draw the result of `skad.inspection.coordinate_study`.

        Parameters
        ----------
        study : pandas.DataFrame
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : CoordinateStudyDisplay
        """
        return cls(study).plot(ax, **plot_options)

    def _default_metrics(self, frames):
        candidates = ["roc_auc", "max_sic", "sic_at_rejection"]
        found = [m for m in candidates if m in self.study.columns]
        return found + ([f"shared_with_{frames[0]}"] if len(frames) > 1 else [])

    def _draw_detector(self, axes, metric, detector, frames, offset, style):
        rows = self.study[self.study["detector"] == detector]
        groups = [rows.loc[rows["frame"] == frame, metric].to_numpy() for frame in frames]
        positions = np.arange(len(frames)) + offset
        low, middle, high = np.array([np.nanpercentile(g, [16, 50, 84]) for g in groups]).T
        self.line_[metric, detector] = axes.errorbar(
            positions,
            middle,
            yerr=[middle - low, high - middle],
            **{"linestyle": "none", "capsize": 3} | style,
        )
        self.scatter_[metric, detector] = axes.scatter(
            np.repeat(positions + 0.06, [len(g) for g in groups]),
            np.concatenate(groups),
            s=8,
            alpha=0.5,
            color=style["color"],
            linewidths=0,
        )


def _label(metric):
    known = {"roc_auc": "AUC", "max_sic": "max SIC", "sic_at_rejection": "SIC at rejection"}
    if metric.startswith("shared_with_"):
        return f"Shared with {metric.removeprefix('shared_with_')}"
    return known.get(metric, metric)
