"""How close background templates come to true background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import get_axes
from skad.plotting._labels import axis_label
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["ClosureAUCDisplay", "ClosureDisplay"]


class ClosureDisplay:
    """Kolmogorov-Smirnov distance of every marginal of templates to true background.

    Use `from_study`.

    Parameters
    ----------
    closure : pandas.DataFrame
        Result of `skad.inspection.template_closure`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : dict of str to matplotlib ErrorbarContainer
        Medians over the seeds with their 16-84 % range, by template.
    expected_line_ : dict of str to matplotlib LineCollection
        Distances expected from the numbers of events alone, by template.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import template_closure
    >>> from skad.plotting import ClosureDisplay
    >>> truth, a, b = np.random.default_rng(0).normal(size=(3, 2000, 2))
    >>> display = ClosureDisplay.from_study(template_closure({"a": a, "b": b + 0.2}, truth))
    >>> list(display.line_)
    ['a', 'b']
    """

    def __init__(self, closure: DataFrame) -> None:
        self.closure = closure

    def plot(
        self,
        ax: Axes | None = None,
        *,
        curve_kwargs: Mapping[str, dict[Any, Any]] | None = None,
        expected_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw one point per template and feature.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        curve_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `errorbar` for each template.
        expected_kwargs : dict, default=None
            Keyword arguments of matplotlib's `hlines` for the expected distances.

        Returns
        -------
        self : ClosureDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        features = list(dict.fromkeys(self.closure["feature"]))
        templates = list(dict.fromkeys(self.closure["template"]))
        self.line_, self.expected_line_ = {}, {}
        width = 0.7 / len(templates)
        for number, template in enumerate(templates):
            groups = self.closure[self.closure["template"] == template].groupby("feature")
            low, middle, high = (
                groups["statistic"].quantile(q).loc[features].to_numpy() for q in (0.16, 0.5, 0.84)
            )
            x = np.arange(len(features)) + (number - 0.5 * (len(templates) - 1)) * width
            style = {"linestyle": "none", "marker": "o", "capsize": 3, "color": f"C{number}"}
            style |= {"label": template} | (curve_kwargs or {}).get(template, {})
            self.line_[template] = self.ax_.errorbar(
                x, middle, yerr=[middle - low, high - middle], **style
            )
            expected_style = {"color": style["color"], "linestyle": ":"} | (expected_kwargs or {})
            if number == 0:
                expected_style.setdefault("label", "expected from statistics")
            self.expected_line_[template] = self.ax_.hlines(
                groups["expected"].median().loc[features], x - 0.45 * width, x + 0.45 * width,
                **expected_style,
            )  # fmt: skip
        self.ax_.set_xticks(range(len(features)), [axis_label(str(f)) for f in features])
        self.ax_.set(xlabel="Feature", ylabel="KS distance to true background", yscale="log")
        self.ax_.legend(fontsize="small")
        return self

    @classmethod
    @checked(
        closure=Made(
            "skad.inspection.template_closure",
            "pandas.DataFrame",
            ("template", "feature", "statistic", "expected"),
        )
    )
    def from_study(
        cls, closure: DataFrame, *, ax: Axes | None = None, **plot_options: Any
    ) -> ClosureDisplay:
        """Draw the result of `skad.inspection.template_closure`.

        Parameters
        ----------
        closure : pandas.DataFrame
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ClosureDisplay
        """
        return cls(closure).plot(ax, **plot_options)


class ClosureAUCDisplay:
    """Area under the curve of templates against truth, over the null band of truth against truth.

    Use `from_study`.

    Parameters
    ----------
    auc : pandas.DataFrame
        One row per template and seed, with ``template``, ``roc_auc`` and, of truth against truth,
        ``null_mean`` and ``null_std``.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    scatter_ : dict of str to matplotlib PathCollection
        Areas of all seeds, by template.
    band_ : dict of str to matplotlib PolyCollection
        Mean and one standard deviation of the null areas, by template.
    wide_band_ : dict of str to matplotlib PolyCollection
        Two standard deviations.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.inspection import closure_auc
    >>> from skad.plotting import ClosureAUCDisplay
    >>> truth, a, b = np.random.default_rng(0).normal(size=(3, 2000, 2))
    >>> closure = closure_auc(
    ...     {"a": a, "b": b + 0.2}, truth, classifier=LogisticRegression(), n_null=5
    ... )
    >>> display = ClosureAUCDisplay.from_study(closure)
    >>> [label.get_text() for label in display.ax_.get_xticklabels()]
    ['a', 'b']
    """

    def __init__(self, auc: DataFrame) -> None:
        self.auc = auc

    def plot(
        self,
        ax: Axes | None = None,
        *,
        scatter_kwargs: dict[Any, Any] | None = None,
        band_kwargs: dict[Any, Any] | None = None,
    ) -> Self:
        """Draw one column per template.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        scatter_kwargs : dict, default=None
            Keyword arguments of matplotlib's `scatter`.
        band_kwargs : dict, default=None
            Keyword arguments of matplotlib's `fill_between`.

        Returns
        -------
        self : ClosureAUCDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        templates = list(dict.fromkeys(self.auc["template"]))
        self.scatter_, self.band_, self.wide_band_ = {}, {}, {}
        for i, template in enumerate(templates):
            rows = self.auc[self.auc["template"] == template]
            mean, std = rows["null_mean"].iloc[0], rows["null_std"].iloc[0]
            for bands, n_sigma, alpha in ((self.wide_band_, 2, 0.15), (self.band_, 1, 0.3)):
                style = {"color": "0.5", "alpha": alpha, "linewidth": 0}
                if i == 0 and n_sigma == 1:
                    style["label"] = "truth against truth, 1 and 2 std"
                bands[template] = self.ax_.fill_between(
                    [i - 0.5, i + 0.5], mean - n_sigma * std, mean + n_sigma * std,
                    **style | (band_kwargs or {}),
                )  # fmt: skip
            areas = rows["roc_auc"].to_numpy()
            self.scatter_[template] = self.ax_.scatter(
                np.full(len(areas), i), areas, **{"color": f"C{i}"} | (scatter_kwargs or {})
            )
        self.ax_.set_xticks(range(len(templates)), [str(t) for t in templates])
        self.ax_.set(ylabel="AUC, template against truth", xlim=(-0.5, len(templates) - 0.5))
        self.ax_.legend(fontsize="small")
        return self

    @classmethod
    @checked(closure=Made("skad.inspection.closure_auc", "skad.ClosureAUC"))
    def from_study(
        cls, closure: Any, *, ax: Axes | None = None, **plot_options: Any
    ) -> ClosureAUCDisplay:
        """Draw the result of `skad.inspection.closure_auc`.

        Parameters
        ----------
        closure : ClosureAUC
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : ClosureAUCDisplay
        """
        return cls(closure.auc).plot(ax, **plot_options)
