"""Agreement of the selections of several methods, against chance."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from skad.inspection._scores import classes_of, scores_by_seed
from skad.metrics import overlap_curve
from skad.metrics._checks import check_fraction, check_weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike
    from pandas import DataFrame

__all__ = ["overlap_study"]


def overlap_study(
    y_true: ArrayLike | None,
    scores: Mapping[str, ArrayLike],
    *,
    fractions: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    signal_label: int | str | Sequence[int | str] | None = None,
    background_label: int | str | None = None,
) -> DataFrame:
    """Measure how far methods select the same events, for background and signal separately.

    For every pair of methods, and for all of them together, the most anomalous fraction p of the
    background, and of the signal, by each method is compared. Independent scores of n methods
    share ``p ** (n - 1)``.

    Parameters
    ----------
    y_true : array-like of shape (n_events,) or None
        Truth: 1 = signal, 0 = background, or any labels with `signal_label`. None takes all
        events together.
    scores : dict of str to array-like of shape (n_events,) or (n_seeds, n_events)
        Anomaly scores of the same events by each method, from one or several trainings; the
        trainings of one seed are compared. A dict of such dicts, one for each amount of injected
        signal, adds the column ``injected``.
    fractions : array-like, default=None
        Selected fractions p; by default 20 from 0.005 to 1.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights.
    signal_label : int, str, list of them or None, default=None
        The label of signal, or those of several signals; required where the truth holds -1 and +1.
    background_label : int, str or None, default=None
        The label of background; events of further labels are left out. By default the only other
        label.

    Returns
    -------
    study : pandas.DataFrame
        One row per kind of events, group of methods, seed and fraction, with the columns
        (``injected``,) ``events`` ("background", "signal" or the label of one of several, or
        "all"), ``methods`` ("a, b"), ``n_methods``, ``seed``, ``fraction``, ``shared``,
        ``chance``, ``excess`` (shared less chance) and ``standard_error``, the binomial one.

    See Also
    --------
    skad.metrics.selection_overlap : The quantity.
    skad.plotting.OverlapStudyDisplay : Draws the table.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figures 7, 11 and 12.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import overlap_study
    >>> a, b, c = np.random.default_rng(0).normal(size=(3, 50_000))
    >>> study = overlap_study(None, {"a": a, "a + b": a + b, "c": c}, fractions=[0.1])
    >>> study.set_index("methods")["excess"].round(2).abs().to_dict()
    {'a, a + b': 0.37, 'a, c': 0.0, 'a + b, c': 0.0, 'a, a + b, c': 0.0}
    """
    import pandas as pd

    if fractions is None:
        fractions = np.geomspace(0.005, 1, 20)
    fractions = np.atleast_1d(check_fraction(fractions, name="fractions"))
    labels = (signal_label, background_label)
    if isinstance(scores, Mapping) and scores and isinstance(next(iter(scores.values())), Mapping):
        parts = {
            injected: _one_amount(y_true, methods, fractions, sample_weight, labels)
            for injected, methods in scores.items()
        }
        for injected, part in parts.items():
            part.insert(0, "injected", injected)
        return pd.concat(parts.values(), ignore_index=True)
    return _one_amount(y_true, scores, fractions, sample_weight, labels)


def _one_amount(y_true, scores, fractions, sample_weight, labels):
    import pandas as pd

    checked = scores_by_seed(scores, least=2)
    n_seeds = {name: len(values) for name, values in checked.items()}
    if len(set(n_seeds.values())) > 1:
        raise ValueError(f"scores must have the same number of seeds; got {n_seeds}.")
    n_events = next(iter(checked.values())).shape[1]
    weight = check_weight(sample_weight, np.empty(n_events))
    groups = list(itertools.combinations(checked, 2))
    if len(checked) > 2:
        groups.append(tuple(checked))
    tables = []
    for kind, mask in classes_of(y_true, n_events, *labels).items():
        for group, seed in itertools.product(groups, range(next(iter(n_seeds.values())))):
            values = [checked[name][seed][mask] for name in group]
            curve = overlap_curve(*values, fractions=fractions, sample_weight=weight[mask])
            tables.append(
                pd.DataFrame(
                    {
                        "events": kind,
                        "methods": ", ".join(map(str, group)),
                        "n_methods": len(group),
                        "seed": seed,
                        "fraction": fractions,
                        "shared": curve.shared,
                        "chance": curve.chance,
                        "excess": curve.shared - curve.chance,
                        "standard_error": curve.shared_error,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)
