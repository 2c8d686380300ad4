"""One feature in several coordinate frames, with the rarest events of every frame marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from skad.metrics._checks import event_classes
from skad.plotting._axes import grid_of_axes
from skad.plotting._histograms import draw_histograms
from skad.plotting._labels import axis_label
from skad.utils._arguments import COUNT, EVENTS, Events, Made, Numbers, checked
from skad.utils._columns import resolve_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["FrameHistogramDisplay"]


class FrameHistogramDisplay:
    """One feature in each frame: its density, and where the rarest events of the frames are.

    What a change of coordinates does to a density in one dimension: events in the tails of one
    frame need not be in the tails of another [1]_. Use `from_overlap` or `from_frames`.

    Parameters
    ----------
    edges : dict of str to ndarray of shape (n_bins + 1,)
        Bin edges in each frame.
    density : dict of str to dict of str to ndarray of shape (n_bins,)
        By frame the histogram of each class ("events" without truth); the integral of each is 1.
    rarest : dict of str to dict of str to ndarray of shape (n_bins,), default=None
        By panel and by frame, the part of the histogram of all events that the rarest events of
        that frame make up.
    fraction : float, default=None
        Fraction of events that counts as rarest.
    feature_names : dict of str to str, default=None
        Axis label of each panel.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, shape (n_frames,)
    figure_ : matplotlib Figure
    line_ : dict of (str, str) to matplotlib StepPatch
        By panel and class.
    patch_ : dict of (str, str) to matplotlib StepPatch
        Hatched parts, by panel and by frame in which the events are the rarest.

    See Also
    --------
    FrameDisplay : Two features at a time.
    skad.inspection.frame_overlap : The rarest events of one density in each frame.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly detection under coordinate transformations",
       arXiv:2209.06225, figures 1 and 2.

    Examples
    --------
    >>> from skad.coordinates import NormalCDFTransformer
    >>> from skad.datasets import make_gaussian_anomaly
    >>> from skad.plotting import FrameHistogramDisplay
    >>> X, y = make_gaussian_anomaly(5000, 500, random_state=0, return_X_y=True)
    >>> display = FrameHistogramDisplay.from_frames(
    ...     {"x": None, "Phi(x)": NormalCDFTransformer()}, X, y
    ... )
    >>> list(display.density["Phi(x)"])
    ['background', 'signal']
    """

    def __init__(
        self,
        *,
        edges: Mapping[str, NDArray[Any]],
        density: Mapping[str, Mapping[str, NDArray[Any]]],
        rarest: Mapping[str, Mapping[str, NDArray[Any]]] | None = None,
        fraction: float | None = None,
        feature_names: Mapping[str, str] | None = None,
    ) -> None:
        self.edges = edges
        self.density = density
        self.rarest = rarest
        self.fraction = fraction
        self.feature_names = feature_names

    def plot(
        self,
        ax: Sequence[Axes] | None = None,
        *,
        curve_kwargs: dict[Any, Any] | Sequence[dict[Any, Any]] | None = None,
        log: bool = False,
    ) -> Self:
        """Draw one panel per frame.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One per frame; None makes a new figure.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `stairs`, for all classes or one for each.
        log : bool, default=False
            Logarithmic vertical axes.

        Returns
        -------
        self : FrameHistogramDisplay
        """
        self.ax_, self.figure_ = grid_of_axes(ax, len(self.edges), self, width=4, height=3.4)
        self.line_, self.patch_ = {}, {}
        for axes, (panel, edges) in zip(self.ax_, self.edges.items(), strict=True):
            heights = self.density[panel]
            lines, _ = draw_histograms(
                axes, edges, heights, heights.values(), curve_kwargs=curve_kwargs
            )
            self.line_ |= {(panel, kind): line for kind, line in zip(heights, lines, strict=True)}
            for number, (frame, part) in enumerate((self.rarest or {}).get(panel, {}).items()):
                self.patch_[panel, frame] = axes.stairs(
                    part, edges, fill=True, alpha=0.35, color=f"C{number + 1}",
                    hatch=("//", "\\\\", "..")[number % 3],
                    label=f"rarest {100 * self.fraction:.3g} % in {frame}",
                )  # fmt: skip
            name = panel if self.feature_names is None else self.feature_names[panel]
            axes.set(
                title=panel, xlabel=axis_label(name), ylabel="Density", xlim=(edges[0], edges[-1])
            )
            axes.set(yscale="log") if log else axes.set_ylim(bottom=0)
        self.ax_[0].legend(fontsize="small")
        return self

    @classmethod
    @checked(overlap=Made("skad.inspection.frame_overlap", "skad.FrameOverlap"), bins=COUNT)
    def from_overlap(
        cls,
        overlap: Any,
        *,
        feature: int | str = 0,
        bins: int = 60,
        ax: Sequence[Axes] | None = None,
        **plot_options: Any,
    ) -> FrameHistogramDisplay:
        """Draw the result of `skad.inspection.frame_overlap`.

        Parameters
        ----------
        overlap : FrameOverlap
        feature : int or str, default=0
            The column to show.
        bins : int, default=60
            Number of equal bins between the smallest and largest value in each frame.
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : FrameHistogramDisplay
        """
        names = overlap.feature_names
        edges, density, rarest, labels = {}, {}, {}, {}
        for frame, events in overlap.coordinates.items():
            x, labels[frame] = _column(events, feature, names, frame)
            edges[frame] = np.histogram_bin_edges(x, bins)
            norm = len(x) * np.diff(edges[frame])
            density[frame] = {"events": np.histogram(x, edges[frame])[0] / norm}
            rarest[frame] = {
                other: np.histogram(x[chosen.to_numpy()], edges[frame])[0] / norm
                for other, chosen in overlap.selected.items()
            }
        display = cls(
            edges=edges,
            density=density,
            rarest=rarest,
            fraction=overlap.fraction,
            feature_names=labels,
        )
        return display.plot(ax, **plot_options)

    @classmethod
    @checked(X=EVENTS, y_true=Events(like="X"), bins=COUNT)
    def from_frames(
        cls,
        frames: Mapping[str, Estimator],
        X: ArrayLike,
        y_true: ArrayLike | None = None,
        *,
        feature: int | str = 0,
        bins: int = 60,
        signal_label: int | str | Sequence[int | str] | None = None,
        background_label: int | str | None = None,
        ax: Sequence[Axes] | None = None,
        **plot_options: Any,
    ) -> FrameHistogramDisplay:
        """Draw a feature of signal and background in each frame.

        Parameters
        ----------
        frames : dict of str to transformer
            Coordinates; those that are not fitted are fitted to X. None is the coordinates of X.
        X : array-like of shape (n_events, n_features)
        y_true : array-like of shape (n_events,), default=None
            Truth: 1 = signal, 0 = background, or any labels with `signal_label`.
        feature : int or str, default=0
            The column to show.
        bins : int, default=60
            Number of equal bins between the smallest and largest value in each frame.
        signal_label : int, str, list of them or None, default=None
            The label of signal, or those of several signals; required for truth in {-1, +1}.
        background_label : int, str or None, default=None
            The label of background; events of further labels are left out. By default the only
            other label.
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : FrameHistogramDisplay
        """
        from skad.utils._transformers import check_transformer, fitted_on

        classes = {"events": np.ones(len(X), dtype=bool)}
        if y_true is not None:
            classes = event_classes(y_true, signal_label, background_label)
        names = list(X.columns) if hasattr(X, "columns") else None
        edges, density, labels = {}, {}, {}
        if not isinstance(frames, Mapping) or not frames:
            raise TypeError(
                "frames must be a dict of names to transformers, with at least one, such as "
                f"{{'log': LogTransformer()}}; got {frames!r:.60}."
            )
        for frame, transformer in frames.items():
            check_transformer(transformer, f"frames[{frame!r}]")
            transformer = fitted_on(transformer, X)
            moved = transformer is not None and not isinstance(transformer, str)
            events = transformer.transform(X) if moved else X
            x, labels[frame] = _column(events, feature, names, frame)
            drawn = np.any(list(classes.values()), axis=0)
            edges[frame] = np.histogram_bin_edges(x[drawn], bins)
            density[frame] = {
                kind: np.histogram(x[rows], edges[frame], density=True)[0]
                for kind, rows in classes.items()
                if rows.any()
            }
        return cls(edges=edges, density=density, feature_names=labels).plot(ax, **plot_options)


def _column(events, feature, names, frame):
    """Return the values of a feature in a frame, and its label."""
    values = Numbers(ndim=2).read(events, f"X in the frame {frame!r}")
    positions = resolve_columns(feature, names, values.shape[1], parameter="feature")
    if len(positions) != 1:
        raise ValueError(f"feature must name one column; got {feature!r}.")
    position = positions[0]
    shown = f"$x_{{{position + 1}}}$" if names is None else str(names[position])
    return values[:, position], f"{frame}: {shown}"
