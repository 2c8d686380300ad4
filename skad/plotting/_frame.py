"""The rarest events of one density, marked in several coordinate frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from skad.metrics import most_anomalous
from skad.plotting._axes import grid_of_axes, merge_style
from skad.plotting._labels import axis_label
from skad.utils._arguments import Made, Numbers, checked
from skad.utils._columns import resolve_columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FrameDisplay"]


class FrameDisplay:
    """Two features of the events in each frame, with the rarest events of every frame marked.

    The figure of [1]_: a selection that surrounds the data in one frame cuts through it in
    another. Use `from_overlap` or `from_predictions`.

    Parameters
    ----------
    coordinates : dict of str to ndarray of shape (n_events, 2)
        Two features of the events in each frame, one panel each.
    selected : dict of str to ndarray of bool, shape (n_events,)
        The rarest events of each frame, marked in all panels.
    fraction : float
        Fraction of events that counts as rarest.
    feature_names : dict of str to (str, str)
        Axis labels of each panel.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes, shape (n_frames,)
    figure_ : matplotlib Figure
    image_ : list of matplotlib QuadMesh
        All events, as a histogram.
    scatter_ : dict of (str, str) to matplotlib PathCollection
        Marks by panel and by frame in which the events are the rarest.

    See Also
    --------
    skad.inspection.frame_overlap : The rarest events of one density in each frame.

    References
    ----------
    .. [1] G. Kasieczka et al., "Anomaly detection under coordinate transformations",
       arXiv:2209.06225.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.coordinates import LogTransformer
    >>> from skad.density import FramedDensity
    >>> from skad.inspection import frame_overlap
    >>> from skad.plotting import FrameDisplay
    >>> X = np.random.default_rng(0).lognormal(sigma=0.5, size=(5_000, 2))
    >>> density = FramedDensity(LogTransformer(), GaussianMixture()).fit(X)
    >>> overlap = frame_overlap(density, {"m": None, "log m": LogTransformer()}, X)
    >>> display = FrameDisplay.from_overlap(overlap)
    >>> int(display.selected["m"].sum())
    50
    """

    def __init__(
        self,
        *,
        coordinates: Mapping[str, NDArray[Any]],
        selected: Mapping[str, NDArray[np.bool_]],
        fraction: float,
        feature_names: Mapping[str, tuple[str, str]],
    ) -> None:
        self.coordinates = coordinates
        self.selected = selected
        self.fraction = fraction
        self.feature_names = feature_names

    def plot(
        self,
        ax: Sequence[Axes] | None = None,
        *,
        bins: int = 80,
        marker_kwargs: Mapping[str, dict[Any, Any]] | None = None,
        image_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw one panel per frame.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One per frame; None makes a new figure.
        bins : int, default=80
            Bins of the histogram of all events, in each direction.
        marker_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `scatter` for the marks of each frame.
        image_kwargs : dict, default=None
            Keyword arguments of matplotlib's `pcolormesh`.

        Returns
        -------
        self : FrameDisplay
        """
        self.ax_, self.figure_ = grid_of_axes(
            ax, len(self.coordinates), self, width=4.6, height=4.2
        )
        from matplotlib.collections import PathCollection
        from matplotlib.colors import LogNorm

        marker_kwargs = marker_kwargs or {}
        self.image_, self.scatter_ = [], {}
        for axes, (panel, events) in zip(self.ax_, self.coordinates.items(), strict=True):
            counts, x_edges, y_edges = np.histogram2d(events[:, 0], events[:, 1], bins=bins)
            style = {
                "cmap": "Greys",
                # The darkest grey is left to the marks.
                "norm": LogNorm(1, max(counts.max() * 5, 2)),
                "rasterized": True,
            }
            self.image_.append(
                axes.pcolormesh(
                    x_edges,
                    y_edges,
                    np.ma.masked_equal(counts.T, 0),
                    **style | (image_kwargs or {}),
                )
            )
            for number, (frame, chosen) in enumerate(self.selected.items()):
                style = merge_style(
                    PathCollection,
                    {
                        # A ring around a dot shows events that both frames select.
                        "marker": "o",
                        "s": 7 if number % 2 == 0 else 26,
                        "linewidths": 0 if number % 2 == 0 else 0.8,
                        "facecolors": f"C{number}" if number % 2 == 0 else "none",
                        "edgecolors": f"C{number}",
                        "rasterized": True,
                        "label": f"rarest {100 * self.fraction:.3g} % in {frame}",
                    },
                    marker_kwargs.get(frame),
                )
                self.scatter_[panel, frame] = axes.scatter(
                    events[chosen, 0], events[chosen, 1], **style
                )
            first, second = self.feature_names[panel]
            # The title says in which frame.
            axes.set(title=panel, xlabel=axis_label(first), ylabel=axis_label(second))
        self.ax_[0].legend(fontsize="small", loc="best")
        return self

    @classmethod
    @checked(overlap=Made("skad.inspection.frame_overlap", "skad.FrameOverlap"))
    def from_overlap(
        cls,
        overlap: Any,
        *,
        features: Sequence[int | str] = (0, 1),
        ax: Sequence[Axes] | None = None,
        **plot_options: Any,
    ) -> FrameDisplay:
        """Draw the result of `skad.inspection.frame_overlap`.

        Parameters
        ----------
        overlap : FrameOverlap
        features : sequence of two int or str, default=(0, 1)
            The columns to show.
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : FrameDisplay
        """
        selected = {name: column.to_numpy() for name, column in overlap.selected.items()}
        display = cls._with_columns(
            overlap.coordinates, selected, overlap.fraction, features, overlap.feature_names
        )
        return display.plot(ax, **plot_options)

    @classmethod
    def from_predictions(
        cls,
        coordinates: Mapping[str, ArrayLike],
        scores: Mapping[str, ArrayLike],
        *,
        features: Sequence[int | str] = (0, 1),
        feature_names: Sequence[str] | None = None,
        fraction: float = 0.01,
        ax: Sequence[Axes] | None = None,
        **plot_options: Any,
    ) -> FrameDisplay:
        """Draw anomaly scores, for example of detectors fitted in each frame.

        Parameters
        ----------
        coordinates : dict of str to array-like of shape (n_events, n_features)
            The same events in each frame.
        scores : dict of str to array-like of shape (n_events,)
            Anomaly scores in each frame, higher = more anomalous; the keys may be others than the
            frames.
        features : sequence of two int or str, default=(0, 1)
            The columns to show.
        feature_names : sequence of str, default=None
            Names of the columns; by default those of DataFrames.
        fraction : float, default=0.01
            Fraction of events that counts as rarest.
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : FrameDisplay
        """
        if not isinstance(coordinates, Mapping) or not isinstance(scores, Mapping):
            raise TypeError("coordinates and scores must be dicts of frame names to arrays.")
        selected = {name: most_anomalous(s, fraction=fraction) for name, s in scores.items()}
        display = cls._with_columns(coordinates, selected, fraction, features, feature_names)
        return display.plot(ax, **plot_options)

    @classmethod
    def _with_columns(cls, coordinates, selected, fraction, features, feature_names):
        chosen, labels = {}, {}
        for frame, events in coordinates.items():
            names = _names(events) or feature_names
            values = Numbers(ndim=2).read(events, f"coordinates[{frame!r}]")
            for other, rows in selected.items():
                if len(rows) != len(values):
                    raise ValueError(
                        f"coordinates[{frame!r}] and scores[{other!r}] must be of the same events; "
                        f"got {len(values)} and {len(rows)}."
                    )
            n_features = values.shape[1]
            positions = resolve_columns(
                features,
                None if names is None else [str(n) for n in names],
                n_features,
                parameter="features",
            )
            if len(positions) != 2:
                raise ValueError(f"features must name two columns; got {features!r}.")
            chosen[frame] = values[:, positions]
            shown = [f"$x_{{{p + 1}}}$" if names is None else str(names[p]) for p in positions]
            labels[frame] = tuple(shown)
        return cls(coordinates=chosen, selected=selected, fraction=fraction, feature_names=labels)


def _names(X):
    return list(X.columns) if hasattr(X, "columns") else None
