"""Mean images of jets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import grid_of_axes
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["JetImageDisplay"]


class JetImageDisplay:
    """Mean images of samples of jets: share of the transverse momentum by eta and phi.

    Use `from_images`.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges of eta and phi.
    image : dict of str to ndarray of shape (n_bins, n_bins)
        Mean share of the transverse momentum in every pixel, eta along the first axis.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
    figure_ : matplotlib Figure
    image_ : dict of str to matplotlib QuadMesh

    See Also
    --------
    skad.inspection.jet_images : The numbers.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850, figure 5.

    Examples
    --------
    >>> from skad.coordinates import JetFrame
    >>> from skad.datasets import load_jets
    >>> from skad.inspection import jet_images
    >>> from skad.plotting import JetImageDisplay
    >>> jets = load_jets(kinds=["qcd", "top_174"])
    >>> X = JetFrame().fit_transform(jets.data)
    >>> images = jet_images({"QCD": X[jets.target == 0], "top": X[jets.target == 1]})
    >>> display = JetImageDisplay.from_images(images)
    >>> [axes.get_title() for axes in display.ax_]
    ['QCD', 'top']
    """

    def __init__(self, *, edges: NDArray[Any], image: Mapping[str, NDArray[Any]]) -> None:
        self.edges = edges
        self.image = image

    def plot(
        self, ax: Sequence[Axes] | None = None, *, image_kwargs: dict[Any, Any] | None = None
    ) -> Self:
        """Draw one panel per sample, on one logarithmic scale.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One per sample; None makes a new figure.
        image_kwargs : dict, default=None
            Keyword arguments of matplotlib's `pcolormesh`.

        Returns
        -------
        self : JetImageDisplay
        """
        self.ax_, self.figure_ = grid_of_axes(ax, len(self.image), self, width=4, height=3.6)
        from matplotlib.colors import LogNorm

        largest = max(picture.max() for picture in self.image.values())
        style = {"norm": LogNorm(1e-5 * largest, largest), "cmap": "viridis", "rasterized": True}
        self.image_ = {}
        for axes, (name, picture) in zip(self.ax_, self.image.items(), strict=True):
            self.image_[name] = axes.pcolormesh(
                self.edges,
                self.edges,
                np.ma.masked_equal(picture.T, 0),
                **style | (image_kwargs or {}),
            )
            axes.set(title=name, xlabel=r"$\eta$", ylabel=r"$\phi$", aspect="equal")
        self.figure_.colorbar(
            self.image_[name], ax=list(self.ax_), label="Mean share of $p_T$ in a pixel"
        )
        return self

    @classmethod
    @checked(images=Made("skad.inspection.jet_images", "skad.JetImages"))
    def from_images(
        cls, images: Any, *, ax: Sequence[Axes] | None = None, **plot_options: Any
    ) -> JetImageDisplay:
        """Draw the result of `skad.inspection.jet_images`.

        Parameters
        ----------
        images : JetImages
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : JetImageDisplay
        """
        return cls(edges=images.edges, image=images.image).plot(ax, **plot_options)
