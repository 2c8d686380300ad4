"""The latent space of an autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.plotting._axes import get_axes, merge_style
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["LatentDisplay"]


class LatentDisplay:
    """Latent points of events in two dimensions, by t-SNE where there are more.

    Use `from_embedding`.

    Parameters
    ----------
    points : ndarray of shape (n_events, 2)
        Where the events are drawn.
    label : ndarray of shape (n_events,), default=None
        Kind of each event.
    embedded : bool, default=False
        Whether the axes are those of t-SNE and have no meaning of their own.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : list of matplotlib PathCollection

    See Also
    --------
    skad.inspection.latent_embedding : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from skad.inspection import latent_embedding
    >>> from skad.plotting import LatentDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> embedding = latent_embedding(PCA(2).fit(X), X, np.arange(200) % 2)
    >>> display = LatentDisplay.from_embedding(embedding)
    >>> display.points.shape
    (200, 2)
    """

    def __init__(
        self, *, points: NDArray[Any], label: NDArray[Any] | None = None, embedded: bool = False
    ) -> None:
        self.points = points
        self.label = label
        self.embedded = embedded

    def plot(self, ax: Axes | None = None, *, scatter_kwargs: dict[Any, Any] | None = None) -> Self:
        """Draw the points, one colour for each kind.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kwargs : dict, default=None
            Keyword arguments of matplotlib's `scatter`.

        Returns
        -------
        self : LatentDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        from matplotlib.collections import PathCollection

        kinds = [None] if self.label is None else list(dict.fromkeys(self.label.tolist()))
        self.points_ = []
        for kind in kinds:
            shown = self.points if kind is None else self.points[self.label == kind]
            style = merge_style(
                PathCollection, {"s": 4, "alpha": 0.6, "linewidths": 0, "label": kind},
                scatter_kwargs,
            )  # fmt: skip
            self.points_.append(self.ax_.scatter(*shown.T, **style))
        names = ("t-SNE 1", "t-SNE 2") if self.embedded else ("latent 1", "latent 2")
        self.ax_.set(xlabel=names[0], ylabel=names[1])
        if self.label is not None:
            self.ax_.legend(markerscale=3)
        return self

    @classmethod
    @checked(embedding=Made("skad.inspection.latent_embedding", "skad.LatentEmbedding"))
    def from_embedding(
        cls, embedding: Any, *, ax: Axes | None = None, **plot_options: Any
    ) -> LatentDisplay:
        """Draw the result of `skad.inspection.latent_embedding`.

        Parameters
        ----------
        embedding : LatentEmbedding
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : LatentDisplay
        """
        display = cls(points=embedding.points, label=embedding.label, embedded=embedding.embedded)
        return display.plot(ax, **plot_options)
