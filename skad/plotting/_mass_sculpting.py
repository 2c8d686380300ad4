"""Mass spectra of the background after cuts on a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.metrics import mass_spectra
from skad.plotting._axes import get_axes
from skad.plotting._histograms import draw_histograms
from skad.plotting._scores import responses
from skad.plotting._takes import ESTIMATOR
from skad.utils._arguments import checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["MassSculptingDisplay"]


class MassSculptingDisplay:
    """Mass spectrum of the background after cuts on the score at several efficiencies.

    Use `from_estimator` or `from_predictions`.

    Parameters
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Bin edges of the mass.
    fraction : ndarray of shape (n_cuts,)
        Fraction of the events that each cut keeps.
    density : ndarray of shape (n_cuts, n_bins)
        Spectrum of what passes; the integral of each is 1.
    jsd : ndarray of shape (n_cuts,)
        Jensen-Shannon divergence, in nats, of each from the spectrum before the cut.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : list of matplotlib StepPatch

    See Also
    --------
    skad.metrics.mass_spectra : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import MassSculptingDisplay
    >>> mass, noise = np.random.default_rng(0).exponential(100, size=(2, 20_000))
    >>> display = MassSculptingDisplay.from_predictions(mass, mass + noise)
    >>> display.fraction.tolist()
    [1.0, 0.5, 0.1, 0.05, 0.01]
    """

    def __init__(
        self,
        *,
        edges: NDArray[Any],
        fraction: NDArray[Any],
        density: NDArray[Any],
        jsd: NDArray[Any],
    ) -> None:
        self.edges = edges
        self.fraction = fraction
        self.density = density
        self.jsd = jsd

    def plot(
        self,
        ax: Axes | None = None,
        *,
        curve_kwargs: dict[Any, Any] | Sequence[dict[Any, Any]] | None = None,
        log: bool = True,
    ) -> Self:
        """Draw the spectra.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        curve_kwargs : dict or list of dict, default=None
            Keyword arguments of matplotlib's `stairs`, for all spectra or one for each.
        log : bool, default=True
            Logarithmic vertical axis.

        Returns
        -------
        self : MassSculptingDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        labels = [
            "all" if fraction == 1 else f"{100 * fraction:g} % (JSD = {jsd:.3f})"
            for fraction, jsd in zip(self.fraction, self.jsd, strict=True)
        ]
        self.line_, _ = draw_histograms(
            self.ax_, self.edges, labels, self.density, curve_kwargs=curve_kwargs
        )
        self.ax_.set(xlabel="Mass", ylabel="Density", xlim=(self.edges[0], self.edges[-1]))
        if log:
            self.ax_.set_yscale("log")
        self.ax_.legend(title="Background efficiency")
        return self

    @classmethod
    @checked(estimator=ESTIMATOR)
    def from_estimator(
        cls,
        estimator: Estimator,
        X: ArrayLike,
        mass: ArrayLike,
        *,
        fractions: ArrayLike = (1.0, 0.5, 0.1, 0.05, 0.01),
        bins: int | ArrayLike = 50,
        sample_weight: ArrayLike | None = None,
        signal_label: int | str | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> MassSculptingDisplay:
        """Draw what cuts on the score of a fitted estimator leave of background events.

        Parameters
        ----------
        estimator : fitted estimator
            All that `skad.metrics.anomaly_response` reads.
        X : array-like of shape (n_events, n_features)
            Background events.
        mass : array-like of shape (n_events,)
            Their mass, any unit.
        fractions : array-like, default=(1.0, 0.5, 0.1, 0.05, 0.01)
            Fractions of the events that the cuts keep.
        bins : int or array-like, default=50
            Number of equal bins between the smallest and largest mass, or the edges.
        sample_weight : array-like of shape (n_events,), default=None
        signal_label : int, str or None, default=None
            The anomalous class of classifiers.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : MassSculptingDisplay
        """
        scores, _ = responses(estimator, X, signal_label=signal_label)
        return cls.from_predictions(
            mass,
            scores,
            fractions=fractions,
            bins=bins,
            sample_weight=sample_weight,
            ax=ax,
            **plot_options,
        )

    @classmethod
    def from_predictions(
        cls,
        mass: ArrayLike,
        scores: ArrayLike,
        *,
        fractions: ArrayLike = (1.0, 0.5, 0.1, 0.05, 0.01),
        bins: int | ArrayLike = 50,
        sample_weight: ArrayLike | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> MassSculptingDisplay:
        """Draw what cuts on a score leave of background events.

        Parameters
        ----------
        mass : array-like of shape (n_events,)
            Mass of the background events, any unit.
        scores : array-like of shape (n_events,)
            Their anomaly scores, higher = more anomalous.
        fractions : array-like, default=(1.0, 0.5, 0.1, 0.05, 0.01)
            Fractions of the events that the cuts keep.
        bins : int or array-like, default=50
            Number of equal bins between the smallest and largest mass, or the edges.
        sample_weight : array-like of shape (n_events,), default=None
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : MassSculptingDisplay
        """
        spectra = mass_spectra(
            mass, scores, fractions=fractions, bins=bins, sample_weight=sample_weight
        )
        return cls(**spectra._asdict()).plot(ax, **plot_options)
