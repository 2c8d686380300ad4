"""Estimated over true background against the cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_consistent_length

from skad.metrics._checks import check_scores, read_truth
from skad.utils._arguments import Made

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.search._background import BackgroundEstimate

__all__ = ["yield_closure"]

_ESTIMATE = Made(
    "skad.search.direct_background, importance_background or sideband_background",
    "skad.BackgroundEstimate",
)


def yield_closure(
    y_true: ArrayLike,
    scores: ArrayLike,
    estimates: BackgroundEstimate | Mapping[str, BackgroundEstimate],
    *,
    signal_label: int | str | None = None,
    background_label: int | str | None = None,
) -> DataFrame:
    """Compare estimates of the background after a cut with the background that is there.

    Parameters
    ----------
    y_true : array-like of shape (n_events,)
        Truth of the events of the region: 1 = signal, 0 = background, or any labels with
        `signal_label`.
    scores : array-like of shape (n_events,)
        Their anomaly scores, those that the estimates cut on.
    estimates : BackgroundEstimate or dict of str to BackgroundEstimate
        Of `skad.search.direct_background`, `importance_background`, `sideband_background`; a
        single one has its `method` as name.
    signal_label : int, str or None, default=None
        The label of signal; required for y in {-1, +1}.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    closure : pandas.DataFrame
        One row per estimate and cut, with the columns ``estimate``, ``threshold``,
        ``efficiency`` (of the true background), ``n_true``, ``n_observed`` (with signal),
        ``background``, ``uncertainty`` (of the estimate), ``ratio`` (estimated over true),
        ``ratio_error`` (of the estimate alone) and ``truth_error``, the relative Poisson error of
        the truth. NaN where no background passes.

    See Also
    --------
    skad.plotting.YieldClosureDisplay : Draws the table.

    References
    ----------
    .. [1] B. Nachman, D. Shih, "Anomaly detection with density estimation", arXiv:2001.04990,
       figures 8 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import yield_closure
    >>> from skad.search import importance_background
    >>> ratio = np.random.default_rng(0).lognormal(sigma=0.1, size=10_000)
    >>> estimate = importance_background(ratio / ratio.mean(), [0.9, 1.1])
    >>> closure = yield_closure(np.zeros(10_000), ratio / ratio.mean(), estimate)
    >>> closure["ratio"].round(2).tolist()
    [0.98, 0.86]
    """
    import pandas as pd

    if not isinstance(estimates, Mapping):
        estimates = {_ESTIMATE.read(estimates, "estimates").method: estimates}
    if not estimates:
        raise ValueError("estimates must hold at least one BackgroundEstimate; it is empty.")
    scores = check_scores(scores)
    check_consistent_length(y_true, scores)
    signal, scores = read_truth(
        y_true, scores, signal_label=signal_label, background_label=background_label
    )
    total = np.sum(~signal)
    if not total:
        raise ValueError("y_true: no background event is among the events.")
    tables = []
    for name, estimate in estimates.items():
        _ESTIMATE.read(estimate, f"estimates[{name!r}]")
        threshold = np.asarray(estimate.threshold, dtype=np.float64)
        passed = scores[:, None] > threshold
        n_true = passed[~signal].sum(axis=0)
        below = np.where(n_true > 0, n_true, np.nan)
        tables.append(
            pd.DataFrame(
                {
                    "estimate": name,
                    "threshold": threshold,
                    "efficiency": n_true / total,
                    "n_true": n_true,
                    "n_observed": passed.sum(axis=0),
                    "background": estimate.background,
                    "uncertainty": estimate.uncertainty,
                    "ratio": estimate.background / below,
                    "ratio_error": estimate.uncertainty / below,
                    "truth_error": 1 / np.sqrt(below),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
