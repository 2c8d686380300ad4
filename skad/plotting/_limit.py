"""Limits: CLs against the strength, and limits against the mass, with the expected bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import draw_legend, get_axes
from skad.utils._arguments import Made, Numbers, checked

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from pandas import DataFrame

    from skad.search._limits import CountingLimit

__all__ = ["LimitDisplay"]

# Neither hides in black and white nor from eyes that tell no green from red (Okabe and Ito).
_INNER, _OUTER = "#56B4E9", "#F0E442"
_LIMIT = Made("skad.search.counting_limit", "skad.CountingLimit")
_TABLE = Made("skad.search.limit_table", "pandas.DataFrame", ("observed", "expected", "level"))


class LimitDisplay:
    """Observed and expected values with bands of one and two standard deviations.

    Use `from_limit` for CLs against the strength, `from_table` for limits against the mass.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Strengths, or masses.
    observed : ndarray, shape (n,)
    expected : ndarray, shape (n, 5)
        Values without signal at -2, -1, 0, 1 and 2 standard deviations.
    xlabel, ylabel : str
    level : float, default=None
        Confidence level: a line at CLs = 1 - level. None draws none.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    observed_, expected_ : matplotlib Line2D
    bands_ : list of matplotlib PolyCollection
        Two standard deviations and one.
    line_ : matplotlib Line2D or None
        At CLs = 1 - level.

    See Also
    --------
    skad.search.counting_limit, skad.search.limit_table

    Examples
    --------
    >>> from skad.plotting import LimitDisplay
    >>> from skad.search import counting_limit
    >>> limit = counting_limit(12, 10.0, 5.0, uncertainty=2.0)
    >>> LimitDisplay.from_limit(limit).ax_.get_ylabel()
    'CLs'
    """

    def __init__(
        self,
        *,
        x: NDArray[Any],
        observed: NDArray[Any],
        expected: NDArray[Any],
        xlabel: str,
        ylabel: str,
        level: float | None = None,
    ) -> None:
        self.x = x
        self.observed = observed
        self.expected = expected
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.level = level

    @classmethod
    @checked(limit=_LIMIT)
    def from_limit(
        cls,
        limit: CountingLimit,
        *,
        xlabel: str = "Signal strength",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> LimitDisplay:
        """Draw CLs against the strength of one limit.

        Parameters
        ----------
        limit : CountingLimit
            From `skad.search.counting_limit`.
        xlabel : str, default="Signal strength"
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : LimitDisplay
        """
        display = cls(
            x=limit.scan_strength,
            observed=limit.scan_observed,
            expected=limit.scan_expected,
            xlabel=xlabel,
            ylabel="CLs",
            level=limit.level,
        )
        return display.plot(ax, **plot_options)

    @classmethod
    @checked(table=_TABLE)
    def from_table(
        cls,
        table: DataFrame,
        *,
        xlabel: str | None = None,
        ylabel: str = "Upper limit on the strength",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> LimitDisplay:
        """Draw limits against the mass, or what else the table is by.

        Parameters
        ----------
        table : pandas.DataFrame
            From `skad.search.limit_table`.
        xlabel : str, default=None
            None means the name of the first column.
        ylabel : str, default="Upper limit on the strength"
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : LimitDisplay
        """
        table = table.sort_values(table.columns[0])
        bands = ["expected_-2", "expected_-1", "expected", "expected_+1", "expected_+2"]
        display = cls(
            x=Numbers(finite=False).read(table.iloc[:, 0], "the first column of table"),
            observed=table["observed"].to_numpy(np.float64),
            expected=table[bands].to_numpy(np.float64),
            xlabel=table.columns[0] if xlabel is None else xlabel,
            ylabel=ylabel,
        )
        return display.plot(ax, **plot_options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        observed_kwargs: dict[Any, Any] | None = None,
        expected_kwargs: dict[Any, Any] | None = None,
        legend_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw bands and lines on a logarithmic scale.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        observed_kwargs, expected_kwargs : dict, default=None
            Keyword arguments of matplotlib's `plot` for the two lines.
        legend_kwargs : dict, default=None
            Keyword arguments of matplotlib's `legend`.

        Returns
        -------
        self : LimitDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        self.bands_ = [
            self.ax_.fill_between(
                self.x, self.expected[:, first], self.expected[:, last],
                color=color, linewidth=0, label=label,
            )
            for first, last, color, label in (
                (0, 4, _OUTER, r"$\pm2\sigma$"), (1, 3, _INNER, r"$\pm1\sigma$"),
            )
        ]  # fmt: skip
        style = {"color": "black", "linestyle": "--", "label": "expected without signal"}
        (self.expected_,) = self.ax_.plot(
            self.x, self.expected[:, 2], **style | (expected_kwargs or {})
        )
        style = {"color": "black", "label": "observed"}
        if self.level is None:
            style["marker"] = "o"
        (self.observed_,) = self.ax_.plot(self.x, self.observed, **style | (observed_kwargs or {}))
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel, yscale="log")
        self.line_ = None
        if self.level is not None:
            self.line_ = self.ax_.axhline(1 - self.level, color="0.4", linestyle=":", linewidth=1)
            # Where CLs is far below, nothing is left to say.
            self.ax_.set_ylim(0.1 * (1 - self.level), 1.5)
        draw_legend(self.ax_, "upper right", legend_kwargs)
        return self
