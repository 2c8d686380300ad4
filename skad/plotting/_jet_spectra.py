"""Spectra of jets that an autoencoder is given, reconstructs and generates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.plotting._axes import grid_of_axes
from skad.plotting._histograms import draw_histograms
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["JetSpectraDisplay"]


class JetSpectraDisplay:
    """Spectra of transverse momentum and mass of jets: given, reconstructed, generated.

    Use `from_spectra`.

    Parameters
    ----------
    edges : dict of str to ndarray
        Bin edges of "pt" and "mass", in the unit of the constituents (GeV).
    density : dict of str to dict of str to ndarray
        For "pt" and "mass" the histogram of each sample; the integral of each is 1.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
    figure_ : matplotlib Figure
    line_ : list of matplotlib StepPatch

    See Also
    --------
    skad.inspection.jet_spectra : The numbers.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> from skad.datasets import load_jets
    >>> from skad.inspection import jet_spectra
    >>> from skad.plotting import JetSpectraDisplay
    >>> jets = load_jets(kinds=["qcd", "top_174"])
    >>> spectra = jet_spectra(
    ...     {"QCD": jets.data[jets.target == 0], "top": jets.data[jets.target == 1]}
    ... )
    >>> display = JetSpectraDisplay.from_spectra(spectra)
    >>> list(display.density["mass"])
    ['QCD', 'top']
    """

    def __init__(
        self,
        *,
        edges: Mapping[str, NDArray[Any]],
        density: Mapping[str, Mapping[str, NDArray[Any]]],
    ) -> None:
        self.edges = edges
        self.density = density

    def plot(
        self,
        axes: Sequence[Axes] | None = None,
        *,
        curve_kwargs: dict[Any, Any] | Sequence[dict[Any, Any]] | None = None,
        log: bool = True,
    ) -> Self:
        """Draw the spectra.

        Parameters
        ----------
        axes : two matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `stairs`, for all samples or one for each.
        log : bool, default=True
            Logarithmic vertical axes.

        Returns
        -------
        self : JetSpectraDisplay
        """
        self.axes_, self.figure_ = grid_of_axes(axes, 2, self, width=5, height=4)
        labels = {"pt": "$p_T$ of the jet [GeV]", "mass": "Mass of the jet [GeV]"}
        self.line_ = []
        for ax, (observable, samples) in zip(self.axes_, self.density.items(), strict=True):
            lines, _ = draw_histograms(
                ax, self.edges[observable], samples, samples.values(), curve_kwargs=curve_kwargs
            )
            self.line_ += lines
            ax.set(xlabel=labels[observable], ylabel="Density")
            if log:
                ax.set_yscale("log")
        self.axes_[0].legend()
        return self

    @classmethod
    @checked(spectra=Made("skad.inspection.jet_spectra", "skad.JetSpectra"))
    def from_spectra(
        cls, spectra: Any, *, axes: Sequence[Axes] | None = None, **plot_options: Any
    ) -> JetSpectraDisplay:
        """Draw the result of `skad.inspection.jet_spectra`.

        Parameters
        ----------
        spectra : JetSpectra
        axes : two matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : JetSpectraDisplay
        """
        return cls(edges=spectra.edges, density=spectra.density).plot(axes, **plot_options)
