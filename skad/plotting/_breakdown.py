"""The agreement of trainings beside its null distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import get_axes, merge_style
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["BreakdownDisplay"]


class BreakdownDisplay:
    """Agreement of trainings on the data, and for permuted labels.

    Use `from_test`, on a test with ``sequential=False`` to see the whole null distribution.

    Parameters
    ----------
    statistic : float
        Shared selection beyond chance on the data.
    null : ndarray of shape (n_null,)
        The same for permuted labels.
    p_value : float, default=None
        Shown in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    histogram_ : matplotlib StepPatch
        Numbers of permutations.
    line_ : matplotlib Line2D
        The data.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import BreakdownDisplay
    >>> display = BreakdownDisplay(statistic=0.4, null=np.linspace(0, 0.1, 19), p_value=0.05)
    >>> float(display.plot().line_.get_xdata()[0])
    0.4
    """

    def __init__(
        self, *, statistic: float, null: NDArray[Any], p_value: float | None = None
    ) -> None:
        self.statistic = statistic
        self.null = null
        self.p_value = p_value

    def plot(
        self, ax: Axes | None = None, *, bins: int = 15, curve_kwargs: dict[Any, Any] | None = None
    ) -> Self:
        """Draw the null distribution as a histogram and the data as a line.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        bins : int, default=15
            Bins between the smallest and largest value.
        curve_kwargs : dict, default=None
            Keyword arguments of matplotlib's `axvline`.

        Returns
        -------
        self : BreakdownDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        from matplotlib.lines import Line2D

        low, high = np.min(self.null), np.max(self.null)
        counts, edges = np.histogram(self.null, bins=bins, range=(low, max(high, low + 1e-9)))
        self.histogram_ = self.ax_.stairs(
            counts, edges, fill=True, color="0.7", label=f"{len(self.null)} permutations"
        )
        label = "data" if self.p_value is None else f"data (p = {self.p_value:.2g})"
        style = merge_style(Line2D, {"color": "C3", "label": label}, curve_kwargs)
        self.line_ = self.ax_.axvline(self.statistic, **style)
        self.ax_.set(xlabel="Shared selection beyond chance", ylabel="Permutations")
        self.ax_.legend()
        return self

    @classmethod
    @checked(test=Made("skad.inspection.breakdown_test", "skad.BreakdownTest"))
    def from_test(
        cls, test: Any, *, ax: Axes | None = None, **plot_options: Any
    ) -> BreakdownDisplay:
        """Draw the result of `skad.inspection.breakdown_test`.

        Parameters
        ----------
        test : BreakdownTest
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : BreakdownDisplay
        """
        display = cls(statistic=test.statistic, null=test.null, p_value=test.p_value)
        return display.plot(ax, **plot_options)
