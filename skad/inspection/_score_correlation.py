"""Correlation of the scores of methods and seeds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from skad.inspection._scores import classes_of, scores_by_seed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from numpy.typing import ArrayLike
    from pandas import DataFrame

__all__ = ["score_correlation"]


def score_correlation(
    y_true: ArrayLike | None,
    scores: Mapping[str, ArrayLike],
    *,
    method: Literal["spearman", "pearson"] = "spearman",
    signal_label: int | str | Sequence[int | str] | None = None,
    background_label: int | str | None = None,
) -> DataFrame:
    """Correlate the anomaly scores of several methods and seeds, event by event.

    Parameters
    ----------
    y_true : array-like of shape (n_events,) or None
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`; each is correlated by
        itself. None takes all events together.
    scores : dict of str to array-like of shape (n_events,) or (n_seeds, n_events)
        Anomaly scores of the same events by each method, from one or several trainings.
    method : {"spearman", "pearson"}, default="spearman"
        "spearman" correlates the ranks and so does not depend on the unit of the score; "pearson"
        correlates the scores, as [1]_ does with outputs of classifiers.
    signal_label : int, str, list of them or None, default=None
        The label of signal, or those of several signals; required where the truth holds -1 and +1.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    correlation : pandas.DataFrame
        One row per pair of trainings, with the columns ``events`` ("background", "signal" or
        the label of one of several, or "all"), ``method_a``, ``seed_a``, ``method_b``,
        ``seed_b`` and ``correlation``. Pairs of one method are its seeds.

    Raises
    ------
    ValueError
        A constant score, whose correlation is not defined.

    See Also
    --------
    skad.plotting.ScoreCorrelationDisplay : Draws the table.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, section 5.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import score_correlation
    >>> a, b = np.random.default_rng(0).normal(size=(2, 10_000))
    >>> table = score_correlation(None, {"a": a, "exp a": np.exp(a), "b": b})
    >>> table["correlation"].abs().round(1).tolist()
    [1.0, 0.0, 0.0]
    """
    import pandas as pd

    if method not in ("spearman", "pearson"):
        raise ValueError(f"method must be 'spearman' or 'pearson'; got {method!r}.")
    checked = scores_by_seed(scores)
    keys = [(name, seed) for name, values in checked.items() for seed in range(len(values))]
    if len(keys) < 2:
        raise ValueError("scores must hold at least two trainings, of methods or seeds; got one.")
    stacked = np.concatenate(list(checked.values()))
    rows = []
    for kind, mask in classes_of(y_true, stacked.shape[1], signal_label, background_label).items():
        values = stacked[:, mask]
        for (name, _), row in zip(keys, values, strict=True):
            if np.ptp(row) == 0:
                raise ValueError(
                    f"scores[{name!r}] is the same for all {len(row)} events ({kind}); its "
                    "correlation is not defined."
                )
        if method == "spearman":
            values = rankdata(values, axis=1)
        matrix = np.corrcoef(values)
        for i, j in itertools.combinations(range(len(keys)), 2):
            rows.append((kind, *keys[i], *keys[j], matrix[i, j]))
    columns = ["events", "method_a", "seed_a", "method_b", "seed_b", "correlation"]
    return pd.DataFrame(rows, columns=columns)
