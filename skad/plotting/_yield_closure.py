"""Estimated over true background against the cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import get_axes
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["YieldClosureDisplay"]


class YieldClosureDisplay:
    """Estimates of the background over the true one, against the efficiency of the cut.

    Use `from_study`.

    Parameters
    ----------
    closure : pandas.DataFrame
        Result of `skad.inspection.yield_closure`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : dict of str to matplotlib ErrorbarContainer
        By estimate.
    band_ : matplotlib PolyCollection
        Poisson error of the true background.

    References
    ----------
    .. [1] B. Nachman, D. Shih, "Anomaly detection with density estimation", arXiv:2001.04990,
       figures 8 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import yield_closure
    >>> from skad.plotting import YieldClosureDisplay
    >>> from skad.search import importance_background
    >>> ratio = np.random.default_rng(0).lognormal(sigma=0.2, size=5000)
    >>> estimate = importance_background(ratio, np.quantile(ratio, [0.5, 0.9, 0.99]))
    >>> closure = yield_closure(np.zeros(5000), ratio, {"importance": estimate})
    >>> YieldClosureDisplay.from_study(closure).ax_.get_xscale()
    'log'
    """

    def __init__(self, closure: DataFrame) -> None:
        self.closure = closure

    def plot(
        self,
        ax: Axes | None = None,
        *,
        x: Literal["efficiency", "threshold"] = "efficiency",
        curve_kwargs: Mapping[str, dict[Any, Any]] | None = None,
        band_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw the ratios.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        x : {"efficiency", "threshold"}, default="efficiency"
            Horizontal axis: background efficiency of the cut, or the cut.
        curve_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `errorbar` for each estimate.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.

        Returns
        -------
        self : YieldClosureDisplay
        """
        if x not in ("efficiency", "threshold"):
            raise ValueError(f"x must be 'efficiency' or 'threshold'; got {x!r}.")
        self.ax_, self.figure_ = get_axes(ax, self)
        truth = self.closure.drop_duplicates(x).sort_values(x)
        truth = truth[np.isfinite(truth["truth_error"])]
        style = {"color": "0.5", "alpha": 0.25, "linewidth": 0, "label": "truth, Poisson error"}
        self.band_ = self.ax_.fill_between(
            truth[x], 1 - truth["truth_error"], 1 + truth["truth_error"],
            **style | (band_kwargs or {}),
        )  # fmt: skip
        self.ax_.axhline(1, color="0.5", linestyle=":", linewidth=1)
        self.line_ = {}
        for name, rows in self.closure.groupby("estimate", sort=False):
            options = {"marker": "o", "markersize": 4, "capsize": 2, "label": name}
            self.line_[name] = self.ax_.errorbar(
                *rows[[x, "ratio"]].to_numpy(np.float64).T, yerr=rows["ratio_error"],
                **options | (curve_kwargs or {}).get(name, {}),
            )  # fmt: skip
        label = {"efficiency": r"Background efficiency $\epsilon_B$", "threshold": "Cut"}[x]
        self.ax_.set(xlabel=label, ylabel="Estimated / true background")
        if x == "efficiency":
            self.ax_.set_xscale("log")
        self.ax_.legend(fontsize="small")
        return self

    @classmethod
    @checked(
        closure=Made(
            "skad.inspection.yield_closure",
            "pandas.DataFrame",
            ("estimate", "threshold", "efficiency", "ratio", "ratio_error", "truth_error"),
        )
    )
    def from_study(
        cls, closure: DataFrame, *, ax: Axes | None = None, **plot_options: Any
    ) -> YieldClosureDisplay:
        """Draw the result of `skad.inspection.yield_closure`.

        Parameters
        ----------
        closure : pandas.DataFrame
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : YieldClosureDisplay
        """
        return cls(closure).plot(ax, **plot_options)
