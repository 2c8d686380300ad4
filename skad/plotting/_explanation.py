"""Contributions of columns to anomaly scores: bars for one event, a map for many."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import get_axes
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["ExplanationDisplay"]

_COLORS = ("#0072B2", "#D55E00")


class ExplanationDisplay:
    """What makes events anomalous: bars for one event, a heat map for several.

    Use `from_explanation`.

    Parameters
    ----------
    contributions : pandas.DataFrame
        Result of `skad.inspection.explain`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer or None
        For one event, the largest contribution on top.
    image_ : matplotlib AxesImage or None
        For several, one row for each event.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.inspection import explain
    >>> from skad.plotting import ExplanationDisplay
    >>> X = np.random.RandomState(0).normal(size=(200, 3))
    >>> table = explain(IsolationForest(random_state=0).fit(X), X[:5], background=X)
    >>> ExplanationDisplay.from_explanation(table).image_.get_array().shape
    (5, 3)
    """

    def __init__(self, contributions: DataFrame) -> None:
        self.contributions = contributions

    def plot(
        self,
        ax: Axes | None = None,
        *,
        n_columns: int = 15,
        style: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw the contributions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        n_columns : int, default=15
            Columns to draw: those of the largest mean contribution in magnitude.
        style : dict, default=None
            Keyword arguments of matplotlib's `barh` for one event, of `imshow` for several.

        Returns
        -------
        self : ExplanationDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        self.bars_ = self.image_ = None
        table = self.contributions
        size = np.abs(table.to_numpy()).mean(axis=0)
        chosen = np.argsort(-size, kind="stable")[:n_columns]
        names = [str(table.columns[i]) for i in chosen]
        if len(table) == 1:
            self._draw_bars(table.to_numpy()[0, chosen], names, style or {})
        else:
            self._draw_map(table.to_numpy()[:, chosen], names, style or {})
        return self

    def _draw_bars(self, values, names, style):
        order = np.argsort(values, kind="stable")
        colors = [_COLORS[int(values[i] > 0)] for i in order]
        self.bars_ = self.ax_.barh(
            [names[i] for i in order], values[order], **{"color": colors} | style
        )
        self.ax_.axvline(0, color="0.4", linewidth=0.8)
        self.ax_.set_xlabel("Contribution to the anomaly score")

    def _draw_map(self, values, names, style):
        largest = np.abs(values).max() or 1.0
        options = {"cmap": "RdBu_r", "aspect": "auto", "vmin": -largest, "vmax": largest}
        self.image_ = self.ax_.imshow(values, **options | style)
        self.ax_.set_xticks(range(len(names)), names, rotation=45, ha="right")
        self.ax_.set_ylabel("Event")
        self.figure_.colorbar(self.image_, ax=self.ax_, label="Contribution to the anomaly score")

    @classmethod
    @checked(
        contributions=Made("skad.inspection.explain", "pandas.DataFrame"),
        event=[Integral, None],
    )
    def from_explanation(
        cls,
        contributions: DataFrame,
        *,
        event: int | None = None,
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> ExplanationDisplay:
        """Draw the result of `skad.inspection.explain`.

        Parameters
        ----------
        contributions : pandas.DataFrame
        event : int, default=None
            Position of the only event to draw; None draws all.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ExplanationDisplay

        Raises
        ------
        IndexError
            An `event` that is not among the rows.
        """
        if event is not None:
            if not -len(contributions) <= event < len(contributions):
                raise IndexError(
                    f"event must be a position among the {len(contributions)} rows of "
                    f"contributions; got {event!r}."
                )
            contributions = contributions.iloc[[event]]
        return cls(contributions).plot(ax, **plot_options)
