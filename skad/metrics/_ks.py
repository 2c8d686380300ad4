"""Kolmogorov-Smirnov distances between two weighted samples, feature by feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kstwo
from sklearn.utils import check_array

from skad.exceptions import MissingColumnError
from skad.metrics._checks import check_weight
from skad.utils._columns import column_name
from skad.utils._statistics import effective_size

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pandas import DataFrame

__all__ = ["ks_table"]


def ks_table(
    X: ArrayLike,
    reference: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
) -> DataFrame:
    """Two-sample Kolmogorov-Smirnov test of every feature, with weights.

    Parameters
    ----------
    X : array-like of shape (n_events, n_features)
        A sample, for example of a background template.
    reference : array-like of shape (n_reference, n_features)
        The sample to compare with. Two DataFrames are matched by column names.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights of `X`.
    reference_weight : array-like of shape (n_reference,), default=None
        Non-negative weights of `reference`.

    Returns
    -------
    table : pandas.DataFrame
        One row per feature, with columns

        - ``statistic``: largest distance of the two cumulative distributions, in [0, 1];
        - ``location``: value of the feature where it is reached;
        - ``sign``: +1 if the cumulative distribution of `X` is the higher one there, else -1;
        - ``p_value``: probability of a larger statistic for equal distributions, asymptotic, with
          the effective sample sizes;
        - ``n_effective``, ``n_effective_reference``: ``(sum w)^2 / sum w^2``.

    Raises
    ------
    MissingColumnError
        Two DataFrames of different columns.
    ValueError
        NaN or infinite values (the message names the feature), or different numbers of features.

    Notes
    -----
    The effective sample size makes the p-value right when weights are independent of the
    feature; strong dependence makes it approximate.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import ks_table
    >>> rng = np.random.default_rng(0)
    >>> table = ks_table(rng.normal(size=(500, 2)), rng.normal([0, 0.5], size=(800, 2)))
    >>> table["statistic"].round(3).tolist()
    [0.067, 0.197]
    """
    import pandas as pd

    names = _common_names(X, reference)
    if hasattr(X, "columns") and hasattr(reference, "columns"):
        reference = reference[list(X.columns)]
    X, reference = _finite(X, names, "X"), _finite(reference, names, "reference")
    if X.shape[1] != reference.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} features and reference has {reference.shape[1]}; "
            "both need the same."
        )
    weight = check_weight(sample_weight, X)
    reference_weight = check_weight(reference_weight, reference, name="reference_weight")
    n = float(effective_size(weight.sum(), (weight**2).sum()))
    m = float(effective_size(reference_weight.sum(), (reference_weight**2).sum()))
    size = max(1, round(n * m / (n + m)))
    rows = []
    for x, r in zip(X.T, reference.T, strict=True):
        statistic, location, sign = _ks_distance(x, weight, r, reference_weight)
        rows.append((statistic, location, sign, float(kstwo.sf(statistic, size)), n, m))
    index = pd.Index(range(X.shape[1]) if names is None else names, name="feature")
    columns = [
        "statistic",
        "location",
        "sign",
        "p_value",
        "n_effective",
        "n_effective_reference",
    ]
    return pd.DataFrame(rows, index=index, columns=columns)


def _common_names(X, reference):
    named = [list(s.columns) for s in (X, reference) if hasattr(s, "columns")]
    if len(named) == 2 and set(named[0]) != set(named[1]):
        only_x, only_r = set(named[0]) - set(named[1]), set(named[1]) - set(named[0])
        raise MissingColumnError(
            "X and reference must have the same columns; only in X: "
            f"{sorted(only_x, key=str)}, only in reference: {sorted(only_r, key=str)}."
        )
    return named[0] if named else None


def _finite(sample, names, name):
    array = check_array(sample, dtype=np.float64, ensure_all_finite=False, input_name=name)
    bad = np.flatnonzero(~np.isfinite(array).all(axis=0))
    if len(bad):
        columns = ", ".join(column_name(i, names) for i in bad)
        raise ValueError(
            f"{name} holds NaN or infinite values in {columns}; remove these events first."
        )
    return array


def _ks_distance(x, x_weight, y, y_weight):
    values = np.concatenate([x, y])
    order = np.argsort(values)
    steps = np.concatenate([x_weight / x_weight.sum(), -y_weight / y_weight.sum()])[order]
    values = values[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    difference = np.cumsum(steps)[last]
    where = np.argmax(np.abs(difference))
    distance = difference[where]
    return (
        min(float(abs(distance)), 1.0),
        float(values[last[where]]),
        1 if distance >= 0 else -1,
    )
