"""ROC curves of detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.metrics import anomaly_roc_curve
from skad.plotting._curves import Kind, with_band
from skad.plotting._efficiency_curves import EfficiencyCurveDisplay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from skad.utils._types import Floats

__all__ = ["ROCDisplay"]

_SIGNAL, _BACKGROUND = r"Signal efficiency $\epsilon_S$", r"Background efficiency $\epsilon_B$"


class ROCDisplay(EfficiencyCurveDisplay):
    """ROC curve of any detector, density or classifier.

    Unlike scikit-learn's `RocCurveDisplay` it takes outlier detectors, and turns their scores the
    right way. Use `from_estimator`, `from_predictions` or `from_cv_results`. Kinds of `plot`:

    - "roc": signal against background efficiency;
    - "rejection": background rejection 1 / fpr, logarithmic, against signal efficiency.

    Parameters
    ----------
    tpr, fpr : ndarray or list of ndarray
        Signal and background efficiency, one array per curve, ascending.
    tpr_error, fpr_error : ndarray or list of ndarray, default=None
        Standard errors, drawn as bands.
    roc_auc : float or list of float, default=None
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

    See Also
    --------
    skad.metrics.anomaly_roc_curve : The numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.plotting import ROCDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(size=(900, 2)), rng.normal(3, 1, size=(100, 2))])
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> display = ROCDisplay.from_estimator(forest, X, np.repeat([0, 1], [900, 100]))
    >>> bool(display.roc_auc[0] > 0.9)
    True

    Scores of four trainings, of which the median is drawn with a band:

    >>> scores = [
    ...     -IsolationForest(n_estimators=20, random_state=seed).fit(X).score_samples(X)
    ...     for seed in range(4)
    ... ]
    >>> display = ROCDisplay.from_predictions(
    ...     np.repeat([0, 1], [900, 100]), scores, name="forest"
    ... )
    >>> len(display.roc_auc), display.line_.get_label().split(" = ")[0]
    (4, 'forest (AUC')
    """

    _lists = ("tpr", "fpr")
    _value = ("roc_auc", "AUC")
    _kinds = {
        # The legend stands below the diagonal, or above curves that fall.
        "roc": Kind(
            {
                "xlabel": _BACKGROUND,
                "ylabel": _SIGNAL,
                "xlim": (-0.01, 1.01),
                "ylim": (-0.01, 1.01),
                "aspect": "equal",
            },
            legend="lower right",
        ),
        "rejection": Kind(
            {
                "xlabel": _SIGNAL,
                "ylabel": r"Background rejection $1/\epsilon_B$",
                "xlim": (0, 1),
                "yscale": "log",
            },
            legend="upper right",
            bottom=1,
        ),
    }

    def __init__(
        self,
        *,
        tpr: NDArray[Any] | Sequence[NDArray[Any]],
        fpr: NDArray[Any] | Sequence[NDArray[Any]],
        tpr_error: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
        fpr_error: NDArray[Any] | Sequence[NDArray[Any]] | None = None,
        roc_auc: float | Floats | None = None,
        name: str | Sequence[str] | None = None,
    ) -> None:
        self.tpr = tpr
        self.fpr = fpr
        self.tpr_error = tpr_error
        self.fpr_error = fpr_error
        self.roc_auc = roc_auc
        self.name = name

    @classmethod
    def _read(cls, y_true, scores, minimum, **options):
        curve = anomaly_roc_curve(y_true, scores, **options)
        keep = cls._thinned(curve, minimum)
        shown = {key: getattr(curve, key)[keep] for key in ("tpr", "fpr", "tpr_error", "fpr_error")}
        return shown | {"roc_auc": curve.roc_auc}

    def _curves(self, kind):
        if kind == "roc":
            return [
                with_band(fpr, tpr, error)
                for tpr, fpr, error in self._columns("tpr", "fpr", "tpr_error")
            ]
        return [_rejection(*columns) for columns in self._columns("tpr", "fpr", "fpr_error")]

    def _chance(self, kind):
        efficiency = np.linspace(1e-3, 1, 500)
        return efficiency, efficiency if kind == "roc" else 1 / efficiency


def _rejection(tpr, fpr, error):
    passing = fpr > 0
    tpr, fpr = tpr[passing], fpr[passing]
    if error is None:
        return tpr, 1 / fpr, None, None
    lowest = fpr - error[passing]
    # The rejection of one event, or none, has no upper limit.
    upper = np.divide(1, lowest, out=np.full_like(fpr, np.nan), where=lowest > 1e-3 * fpr)
    return tpr, 1 / fpr, 1 / (fpr + error[passing]), upper
