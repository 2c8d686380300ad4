"""Overlap of selections beyond chance, against the selected fraction or the injected signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import check_options, grid_of_axes
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Literal, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["OverlapStudyDisplay"]


class OverlapStudyDisplay:
    """Selections that methods share beyond chance, one panel each for background and signal.

    Use `from_study`.

    Parameters
    ----------
    study : pandas.DataFrame
        Result of `skad.inspection.overlap_study`.

    Attributes
    ----------
    ax_ : ndarray of matplotlib Axes
    figure_ : matplotlib Figure
    line_ : dict of (str, str) to matplotlib Line2D
        Medians over the seeds, by kind of events and methods.
    band_ : dict of (str, str) to matplotlib PolyCollection
        16-84 % of the seeds; the standard error where there is one seed.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 7, 11 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import overlap_study
    >>> from skad.plotting import OverlapStudyDisplay
    >>> a, b = np.random.default_rng(0).normal(size=(2, 5000))
    >>> y = np.arange(5000) % 2
    >>> display = OverlapStudyDisplay.from_study(overlap_study(y, {"a": a, "b": b}))
    >>> list(display.line_)
    [('background', 'a, b'), ('signal', 'a, b')]
    """

    def __init__(self, study: DataFrame) -> None:
        self.study = study

    def plot(
        self,
        ax: Sequence[Axes] | None = None,
        *,
        against: Literal["fraction", "injected"] = "fraction",
        fraction: float | None = None,
        injected: float | None = None,
        kind: Literal["excess", "shared"] = "excess",
        curve_kwargs: Mapping[str, dict[Any, Any]] | None = None,
    ) -> Self:
        """Draw one panel per kind of events, one curve per group of methods.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, default=None
            One per kind of events; None makes a new figure.
        against : {"fraction", "injected"}, default="fraction"
            Horizontal axis.
        fraction : float, default=None
            The selected fraction to draw against the injected signal, the nearest one of the
            study; None is 0.05.
        injected : float, default=None
            The injected signal to draw against the fraction, where the study has several; None is
            the largest.
        kind : {"excess", "shared"}, default="excess"
            Beyond chance, or the shared fraction itself.
        curve_kwargs : dict of str to dict, default=None
            Keyword arguments of matplotlib's `plot` for each group of methods.

        Returns
        -------
        self : OverlapStudyDisplay
        """
        check_options(against, ("fraction", "injected"), name="against")
        check_options(kind, ("excess", "shared"), name="kind")
        study, title = self._chosen(against, fraction, injected)
        kinds = list(dict.fromkeys(study["events"]))
        groups = list(dict.fromkeys(study["methods"]))
        self.ax_, self.figure_ = grid_of_axes(ax, len(kinds), self, width=4.2, height=3.6)
        self.line_, self.band_ = {}, {}
        for axes, events in zip(self.ax_, kinds, strict=True):
            for number, methods in enumerate(groups):
                rows = study[(study["events"] == events) & (study["methods"] == methods)]
                by_x = rows.groupby(against)[kind]
                middle = by_x.median()
                low, high = by_x.quantile(0.16), by_x.quantile(0.84)
                if rows["seed"].nunique() == 1:
                    error = rows.set_index(against)["standard_error"].loc[middle.index]
                    low, high = middle - error, middle + error
                x = middle.index.to_numpy()
                style = {"color": f"C{number}", "label": methods}
                style |= (curve_kwargs or {}).get(methods, {})
                if against == "injected":
                    style.setdefault("marker", "o")
                (line,) = axes.plot(x, middle, **style)
                self.line_[events, methods] = line
                self.band_[events, methods] = axes.fill_between(
                    x, low, high, color=line.get_color(), alpha=0.2, linewidth=0
                )
            if kind == "excess":
                axes.axhline(0, color="0.5", linestyle=":", linewidth=1)
            label = {"fraction": "Selected fraction", "injected": "Injected signal events"}
            axes.set(xlabel=label[against], title=", ".join([events, *title]))
            if against == "fraction":
                axes.set_xscale("log")
        beyond = " beyond chance" if kind == "excess" else ""
        self.ax_[0].set_ylabel(f"Shared fraction{beyond}")
        self.ax_[0].legend(fontsize="small")
        return self

    @classmethod
    @checked(
        study=Made(
            "skad.inspection.overlap_study",
            "pandas.DataFrame",
            ("events", "methods", "seed", "fraction", "shared", "excess", "standard_error"),
        )
    )
    def from_study(
        cls, study: DataFrame, *, ax: Sequence[Axes] | None = None, **plot_options: Any
    ) -> OverlapStudyDisplay:
        """Draw the result of `skad.inspection.overlap_study`.

        Parameters
        ----------
        study : pandas.DataFrame
        ax : sequence of matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : OverlapStudyDisplay
        """
        return cls(study).plot(ax, **plot_options)

    def _chosen(self, against, fraction, injected):
        """Return the rows to draw, and what they have in common as titles."""
        study = self.study
        if against == "injected":
            if "injected" not in study:
                raise ValueError(
                    "against='injected' needs a study of several amounts of injected signal; give "
                    "overlap_study a dict of dicts."
                )
            fractions = study["fraction"].unique()
            nearest = fractions[np.argmin(np.abs(fractions - (fraction or 0.05)))]
            return study[study["fraction"] == nearest], [f"top {100 * nearest:.2g} %"]
        if "injected" not in study:
            return study, []
        amount = study["injected"].max() if injected is None else injected
        chosen = study[study["injected"] == amount]
        if chosen.empty:
            raise ValueError(
                f"injected={injected!r} is not in the study; it has "
                f"{sorted(set(study['injected'].tolist()))}."
            )
        return chosen, [f"{amount:g} injected"]
