"""Correlations of the scores of methods and seeds, as matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import grid_of_axes
from skad.plotting._matrix import draw_matrix
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["ScoreCorrelationDisplay"]


class ScoreCorrelationDisplay:
    """Correlation of the scores of methods, one panel each for background and signal.

    Medians over the pairs of seeds; on the diagonal those of two seeds of one method, empty where
    there is one seed. Use `from_study`.

    Parameters
    ----------
    correlation : pandas.DataFrame
        Result of `skad.inspection.score_correlation`.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
    figure_ : matplotlib Figure
    image_ : dict of str to matplotlib AxesImage
        By kind of events.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import score_correlation
    >>> from skad.plotting import ScoreCorrelationDisplay
    >>> a, b = np.random.default_rng(0).normal(size=(2, 3, 1000))
    >>> display = ScoreCorrelationDisplay.from_study(score_correlation(None, {"a": a, "b": b}))
    >>> display.image_["all"].get_array().shape
    (2, 2)
    """

    def __init__(self, correlation: DataFrame) -> None:
        self.correlation = correlation

    def plot(
        self, ax: Sequence[Axes] | None = None, *, image_kwargs: dict[Any, Any] | None = None
    ) -> Self:
        """Draw one panel per kind of events.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One per kind of events; None makes a new figure.
        image_kwargs : dict, default=None
            Keyword arguments of matplotlib's `imshow`.

        Returns
        -------
        self : ScoreCorrelationDisplay
        """
        kinds = list(dict.fromkeys(self.correlation["events"]))
        both = self.correlation[["method_a", "method_b"]].to_numpy().ravel()
        methods = list(dict.fromkeys(both))
        self.ax_, self.figure_ = grid_of_axes(ax, len(kinds), self, width=4.2, height=3.6)
        self.image_ = {}
        for axes, kind in zip(self.ax_, kinds, strict=True):
            table = self.correlation[self.correlation["events"] == kind]
            matrix = np.full((len(methods), len(methods)), np.nan)
            for (a, b), values in table.groupby(["method_a", "method_b"])["correlation"]:
                i, j = methods.index(a), methods.index(b)
                matrix[i, j] = matrix[j, i] = values.median()
            self.image_[kind], _ = draw_matrix(
                axes, matrix, methods, methods,
                image_kwargs={"vmin": -1, "vmax": 1} | (image_kwargs or {}),
            )  # fmt: skip
            axes.set_title(kind)
        self.figure_.colorbar(
            self.image_[kinds[-1]], ax=list(self.ax_), label="Correlation of scores"
        )
        return self

    @classmethod
    @checked(
        correlation=Made(
            "skad.inspection.score_correlation",
            "pandas.DataFrame",
            ("events", "method_a", "method_b", "correlation"),
        )
    )
    def from_study(
        cls, correlation: DataFrame, *, ax: Sequence[Axes] | None = None, **plot_options: Any
    ) -> ScoreCorrelationDisplay:
        """Draw the result of `skad.inspection.score_correlation`.

        Parameters
        ----------
        correlation : pandas.DataFrame
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ScoreCorrelationDisplay
        """
        return cls(correlation).plot(ax, **plot_options)
