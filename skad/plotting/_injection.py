"""What detectors find against the amount of injected signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._curves import CurveDisplay, Kind
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from matplotlib.axes import Axes
    from numpy.typing import NDArray
    from pandas import DataFrame

__all__ = ["InjectionDisplay"]

_LABELS = {"max_sic": "max SIC", "sic_at_rejection": "SIC at the rejection", "roc_auc": "AUC"}


class InjectionDisplay(CurveDisplay):
    """A metric of each detector against the injected signal: median and 16-84 % band over seeds.

    Use `from_study`. The only kind of `plot` is "injected".

    Parameters
    ----------
    injected : ndarray or list of ndarray
        Numbers of injected signal events, one array per curve.
    median : ndarray or list of ndarray
        Median of the metric over the seeds.
    lower, upper : ndarray or list of ndarray
        16 % and 84 % quantiles, drawn as bands.
    name : str or list of str, default=None
        Name of the curves in the legend.
    metric : str, default="max_sic"
        What is drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
    chance_level_ : None

    See Also
    --------
    skad.inspection.injection_study : The numbers.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 13 and 17.

    Examples
    --------
    >>> import pandas as pd
    >>> from skad.plotting import InjectionDisplay
    >>> study = pd.DataFrame({
    ...     "detector": "CWoLa", "injected": [0, 0, 500, 500], "seed": [0, 1, 0, 1],
    ...     "max_sic": [1.0, 1.2, 6.0, 8.0],
    ... })
    >>> InjectionDisplay.from_study(study).median[0].tolist()
    [1.1, 7.0]
    """

    _lists = ("injected", "median", "lower", "upper")
    _kinds = {"injected": Kind({"xlabel": "Injected signal events"}, legend="upper left")}

    def __init__(
        self,
        *,
        injected: NDArray[Any] | Sequence[NDArray[Any]],
        median: NDArray[Any] | Sequence[NDArray[Any]],
        lower: NDArray[Any] | Sequence[NDArray[Any]],
        upper: NDArray[Any] | Sequence[NDArray[Any]],
        name: str | Sequence[str] | None = None,
        metric: str = "max_sic",
    ) -> None:
        self.injected = injected
        self.median = median
        self.lower = lower
        self.upper = upper
        self.name = name
        self.metric = metric

    @classmethod
    @checked(
        study=Made("skad.inspection.injection_study", "pandas.DataFrame", ("detector", "injected")),
        metric=[str],
    )
    def from_study(
        cls,
        study: DataFrame,
        *,
        metric: str = "max_sic",
        ax: Axes | None = None,
        **plot_options: Any,
    ) -> InjectionDisplay:
        """Draw the result of `skad.inspection.injection_study`.

        Parameters
        ----------
        study : pandas.DataFrame
        metric : str, default="max_sic"
            Column of the study.
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : InjectionDisplay
        """
        if metric not in study.columns:
            raise ValueError(
                f"metric={metric!r} is not a column of the study; it has {list(study.columns)}."
            )
        curves, names = [], []
        for name, rows in study.groupby("detector", sort=False):
            groups = rows.groupby("injected")[metric]
            low, middle, high = np.array(
                [np.nanpercentile(values, [16, 50, 84]) for _, values in groups]
            ).T
            amounts = np.array(sorted(groups.groups))
            curves.append({"injected": amounts, "median": middle, "lower": low, "upper": high})
            names.append(name)
        display = cls._from_curves(curves, names, metric=metric).plot(ax, **plot_options)
        display.ax_.set_ylabel(_LABELS.get(metric, metric))
        return display

    def _curves(self, kind):
        return list(self._columns(*self._lists))
