"""Significance improvement curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.metrics import max_significance_improvement, significance_improvement_curve
from skad.plotting._curves import Kind, with_band
from skad.plotting._efficiency_curves import EfficiencyCurveDisplay
from skad.plotting._scores import as_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from skad.utils._types import Floats

__all__ = ["SICDisplay"]

_SIC = r"Significance improvement $\epsilon_S/\sqrt{\epsilon_B}$"


class SICDisplay(EfficiencyCurveDisplay):
    """Significance improvement against signal efficiency, background efficiency or rejection.

    Use `from_estimator`, `from_predictions` or `from_cv_results`. Only cuts which leave enough
    background events are part of a curve. Kinds of `plot`:

    - "tpr": against the signal efficiency;
    - "fpr", "rejection": against the background efficiency or its inverse, logarithmic.

    Parameters
    ----------
    tpr, fpr, sic : ndarray or list of ndarray
        One array per curve, as of `skad.metrics.significance_improvement_curve`.
    sic_error : ndarray or list of ndarray, default=None
        Standard errors, drawn as bands.
    max_sic : float or list of float, default=None
        Shown in the legend.
    name : str or list of str, default=None
        Name of the curves in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D or list of them
    band_ : matplotlib PolyCollection, list of them, or None
    chance_level_ : matplotlib Line2D or None
        Significance improvement of a random choice.

    See Also
    --------
    skad.metrics.significance_improvement_curve : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.plotting import SICDisplay
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], [20_000, 1_000])
    >>> near, far = rng.normal(loc=1.0 * y), rng.normal(loc=2.0 * y)
    >>> display = SICDisplay.from_predictions(y, {"near": near, "far": far})
    >>> len(display.line_)
    2

    Scores of three trainings, as median and band beside another method:

    >>> trainings = near + rng.normal(size=(3, len(y)))
    >>> display = SICDisplay.from_predictions(y, {"near": trainings, "far": far})
    >>> display.name
    ['near', 'near', 'near', 'far']
    >>> len(display.line_)
    2
    """

    _lists = ("tpr", "fpr", "sic")
    _value = ("max_sic", "max SIC")
    _min_background_events = 25.0
    # Every curve ends at a SIC of 1 where all events pass.
    _kinds = {
        "tpr": Kind(
            {"xlabel": r"Signal efficiency $\epsilon_S$", "ylabel": _SIC, "xlim": (0, 1)},
            legend="upper right",
            bottom=0,
        ),
        "fpr": Kind(
            {"xlabel": r"Background efficiency $\epsilon_B$", "ylabel": _SIC, "xscale": "log"},
            legend="upper right",
            bottom=0,
        ),
        "rejection": Kind(
            {"xlabel": r"Background rejection $1/\epsilon_B$", "ylabel": _SIC, "xscale": "log"},
            legend="upper left",
            bottom=0,
        ),
    }

    def __init__(
        self,
        *,
        tpr: NDArray[Any] | Sequence[NDArray[Any]],
        fpr: NDArray[Any] | Sequence[NDArray[Any]],
        sic: NDArray[Any] | Sequence[NDArray[Any]],
        sic_error: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
        max_sic: float | Floats | None = None,
        name: str | Sequence[str] | None = None,
    ) -> None:
        self.tpr = tpr
        self.fpr = fpr
        self.sic = sic
        self.sic_error = sic_error
        self.max_sic = max_sic
        self.name = name

    @classmethod
    def _read(cls, y_true, scores, minimum, **options):
        max_sic = max_significance_improvement(
            y_true, scores, min_background_events=minimum, **options
        )
        curve = significance_improvement_curve(y_true, scores, **options)
        keep = cls._thinned(curve, minimum, best=curve.sic)
        shown = {key: getattr(curve, key)[keep] for key in ("tpr", "fpr", "sic", "sic_error")}
        return shown | {"max_sic": max_sic}

    def _curves(self, kind):
        curves = []
        for tpr, fpr, sic, error in self._columns("tpr", "fpr", "sic", "sic_error"):
            x = {"tpr": tpr, "fpr": fpr}[kind] if kind != "rejection" else 1 / fpr
            curves.append(with_band(x, sic, error))
        return curves

    def _chance(self, kind):
        if kind == "tpr":
            efficiency = np.linspace(0, 1, 200)
        else:
            smallest = min((np.min(f) for f in as_list(self.fpr) if len(f)), default=1e-3)
            efficiency = np.geomspace(smallest, 1, 200)
        return 1 / efficiency if kind == "rejection" else efficiency, np.sqrt(efficiency)
