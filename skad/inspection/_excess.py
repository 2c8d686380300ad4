"""What an excess is made of: its features, and the events that look most like signal."""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_array

from skad.inspection._samples import check_some
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, EVENTS, MOST, Made, Numbers, checked
from skad.utils._columns import column_name, resolve_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.search._bump_hunt import BumpHunt
    from skad.utils._types import Floats

__all__ = ["excess_features", "most_signal_like"]


@checked(
    X=EVENTS,
    template=EVENTS,
    signal_weight=Numbers(lowest=-MOST, highest=MOST, like="X"),
    template_weight=Numbers(lowest=0.0, like="template"),
    background=Numbers((0, 1), lowest=0.0),
    bins=COUNT,
)
def excess_features(
    X: ArrayLike,
    template: ArrayLike | None = None,
    *,
    signal_weight: ArrayLike | None = None,
    template_weight: ArrayLike | None = None,
    background: float | Floats | None = None,
    features: Sequence[int | str] | None = None,
    bins: int = 20,
) -> DataFrame:
    """Features of an excess: data minus a template of the background, or data weighted as signal.

    Parameters
    ----------
    X : array-like of shape (n_events, n_features)
        With `template` the events of the window that pass; with `signal_weight` those of the fit.
    template : array-like of shape (n_template, n_features), default=None
        Background events of the window after the same cut, with the columns of X.
    signal_weight : array-like of shape (n_events,), default=None
        sWeights of the events, see `skad.search.ResonanceFit.signal_weights`, in place of a
        template. They are right for features that do not depend on the mass in the background.
    template_weight : array-like of shape (n_template,), default=None
        Non-negative weights of the template, in any unit.
    background : float or (float, float), default=None
        Expected background among the events of X, with its standard deviation if known, for
        `template`: `background` and the root of ``stat^2 + syst^2`` of a row of `BumpHunt`.
    features : sequence of int or str, default=None
        Columns to show; None takes all.
    bins : int, default=20
        Bins of each feature between the quantiles 0.005 and 0.995; the outer ones reach to the
        last event, so that every event counts.

    Returns
    -------
    table : pandas.DataFrame
        One row per feature and bin: `feature`, `low`, `high`, `excess` and its standard deviation
        `error`. With `template` the error holds the statistics of data and template and the
        uncertainty of `background`, which is common to all bins.

    Raises
    ------
    ValueError
        Neither or both of `template` and `signal_weight`, or a template without `background`.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import excess_features
    >>> rng = np.random.default_rng(0)
    >>> template = rng.normal(size=(5000, 1))
    >>> X = np.concatenate([rng.normal(size=(900, 1)), rng.normal(3, 0.3, size=(100, 1))])
    >>> table = excess_features(X, template, background=(900.0, 20.0), bins=6)
    >>> largest = table.loc[table["excess"].idxmax()]
    >>> bool(largest["low"] < 3 < largest["high"])
    True
    """
    import pandas as pd

    if (template is None) == (signal_weight is None):
        raise ValueError("excess_features needs one of template and signal_weight.")
    if template is not None and background is None:
        raise ValueError("template needs background, the events that it stands for.")
    names = list(X.columns) if hasattr(X, "columns") else None
    values = check_array(X, dtype=np.float64, input_name="X")
    other, fraction, spread = values[:0], None, 0.0
    if template is not None:
        other, fraction = _read_template(template, template_weight, names, values.shape[1])
        if background.size not in (1, 2):
            raise ValueError(
                "background must be a number, or a pair with its standard deviation; got "
                f"{background.tolist()}."
            )
        number, *given = np.atleast_1d(background)
        fraction, spread = fraction * number, (given[0] if given else 0.0) / max(number, 1e-300)
    n_features = values.shape[1]
    wanted = range(n_features) if features is None else features
    tables = []
    positions = resolve_columns(wanted, names, n_features, parameter="features")
    check_some(positions)
    for position in positions:
        column = values[:, position]
        edges = _edges(np.concatenate([column, other[:, position]]), bins)
        weight = np.ones(len(column)) if signal_weight is None else signal_weight
        excess, square = _sums(column, edges, weight)
        if template is not None:
            expected, variance = _sums(other[:, position], edges, fraction)
            excess, square = excess - expected, square + variance + (spread * expected) ** 2
        tables.append(
            pd.DataFrame(
                {
                    "feature": column_name(position, None) if names is None else names[position],
                    "low": edges[:-1],
                    "high": edges[1:],
                    "excess": excess,
                    "error": np.sqrt(square),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _read_template(template, weight, names, n_features):
    """Return the events of the template and the fraction of the background in each."""
    own = list(template.columns) if hasattr(template, "columns") else None
    if own is not None and names is not None and own != names:
        raise ValueError(f"template must have the columns of X, {names}; got {own}.")
    other = check_array(template, dtype=np.float64, input_name="template")
    if other.shape[1] != n_features:
        raise ValueError(f"template must have the {n_features} columns of X; got {other.shape[1]}.")
    weight = sk.check_sample_weight(weight, other, dtype=np.float64)
    return other, weight / weight.sum()


def _edges(values, bins):
    low, high = np.quantile(values, [0.005, 0.995])
    edges = np.linspace(low, high, bins + 1) if low < high else np.array([low, low])
    edges[0], edges[-1] = values.min(), values.max()
    return edges if edges[0] < edges[-1] else edges[[0, -1]] + [-0.5, 0.5]


def _sums(values, edges, weight):
    return tuple(np.histogram(values, edges, weights=weight**power)[0] for power in (1, 2))


@checked(
    n_events=COUNT,
    row=[Integral, None],
    hunt=Made("skad.search.BumpHunt(detector, windows).fit(X)", "skad.BumpHunt"),
    X=EVENTS,
)
def most_signal_like(
    hunt: BumpHunt, X: ArrayLike, n_events: int = 10, *, row: int | None = None
) -> DataFrame:
    """Table of the events with the highest anomaly scores in a window of a bump hunt.

    Parameters
    ----------
    hunt : BumpHunt
        Fitted.
    X : array-like of shape (n_events, n_features)
        The data that it was fitted on, without simulation.
    n_events : int, default=10
        Most events of the table; a window may hold fewer.
    row : int, default=None
        Row of `hunt.results_` whose window and cut are meant; None means `hunt.best_`.

    Returns
    -------
    table : pandas.DataFrame
        Highest score first: `event` (position in X), `score` (held out), `passes` (the cut of the
        row), and the columns of X.

    Raises
    ------
    ValueError
        X is not what was fitted, no row is trusted and none given, or nothing was cut.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.inspection import most_signal_like
    >>> from skad.search import BumpHunt
    >>> X = make_resonance(3000, 60, random_state=0).data
    >>> forest = IsolationForest(n_estimators=10)
    >>> hunt = BumpHunt(forest, [(3.3, 3.7)], efficiencies=(0.1,), n_folds=2, random_state=0)
    >>> table = most_signal_like(hunt.fit(X), X, n_events=3, row=0)
    >>> len(table), bool(table["passes"].all())
    (3, True)
    """
    import pandas as pd

    row = hunt.best_ if row is None else row
    if row is None:
        raise ValueError("no row of hunt.results_ is trusted; give the row that is meant.")
    if row not in hunt.results_.index:
        raise ValueError(f"row must be one of the {len(hunt.results_)} of results_; got {row!r}.")
    names = list(X.columns) if hasattr(X, "columns") else None
    values = check_array(X, dtype=np.float64, input_name="X")
    if values.shape != (hunt.scores_.shape[1], hunt.n_features_in_):
        raise ValueError(
            f"X must be the {hunt.scores_.shape[1]} data events of {hunt.n_features_in_} features "
            f"that the hunt was fitted on; got shape {values.shape}."
        )
    window = int(hunt.results_["window"][row])
    region = hunt.regions_[window]
    inside = np.flatnonzero(region.mask(values[:, region.feature]))
    scores = hunt.scores_[window][inside]
    if not np.isfinite(scores).all():
        raise ValueError("nothing was cut in this search (efficiency 1), so no event has a score.")
    events = inside[np.argsort(-scores, kind="stable")[:n_events]]
    table = {
        "event": events,
        "score": hunt.scores_[window][events],
        "passes": hunt.selected_[row][events],
    }
    for position in range(values.shape[1]):
        name = column_name(position, None) if names is None else names[position]
        # A feature may be called as one of the columns above.
        table[f"{name} of X" if name in table else name] = values[events, position]
    return pd.DataFrame(table)
