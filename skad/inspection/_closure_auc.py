"""Classifiers of background templates against true background, and of truth against truth."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.utils.parallel import Parallel, delayed

from skad.detectors._cross_fit import cross_fit, log_odds
from skad.inspection._classifier import default_classifier
from skad.inspection._samples import OF_TEMPLATES, SampleReader, WeightedSample
from skad.utils import _sklearn as sk
from skad.utils._arguments import checked
from skad.utils._random import draw_seeds
from skad.utils._readable import readable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["ClosureAUC", "closure_auc"]


@readable
@dataclass(frozen=True)
class ClosureAUC:
    """Result of `closure_auc`.

    Attributes
    ----------
    auc : pandas.DataFrame
        One row per template and seed, with the columns ``template``, ``seed``, ``roc_auc`` of
        template against truth, ``null_mean`` and ``null_std`` of truth against truth, ``z``, the
        distance in standard deviations, and ``p_value``, the chance of a larger AUC for a template
        that equals the truth.
    null : pandas.DataFrame
        One row per template and null split, with the columns ``template``, ``seed`` and
        ``roc_auc``.
    n_events : int
        Events of each of the two samples in every comparison.
    """

    auc: DataFrame
    null: DataFrame
    n_events: int


@checked(
    **OF_TEMPLATES,
    cv=[
        sk.Interval(Integral, 2, None, closed="left"),
        sk.HasMethods(["split", "get_n_splits"]),
    ],
    n_null=[sk.Interval(Integral, 3, None, closed="left")],
)
def closure_auc(
    templates: Mapping[str, Estimator],
    X_true: ArrayLike,
    *,
    classifier: Estimator | None = None,
    features: Sequence[int | str] | None = None,
    sample_weight: ArrayLike | None = None,
    cv: Any = 5,
    n_samples: int | None = None,
    n_seeds: int = 5,
    n_null: int = 20,
    n_jobs: int | None = None,
    random_state: Seed = None,
) -> ClosureAUC:
    """Area under the curve of a classifier of template against truth, with its null band.

    A classifier sees all features at once, as the detector will. It is cross-fitted, and the
    same is done with truth against truth in samples of the same size, whose areas scatter around
    0.5 by statistics alone.

    Parameters
    ----------
    templates : dict of str to template
        Fitted templates with ``sample_background(n_samples, random_state)``, or samples X or
        ``(X, sample_weight)``. A list of them holds one for each seed of the generator.
    X_true : array-like of shape (n_true, n_columns)
        True background of the signal region that no template was fitted on. Half of it, drawn
        anew for every seed, is compared with a template.
    classifier : estimator, default=None
        Any scikit-learn classifier with `predict_proba`; None is a
        `HistGradientBoostingClassifier` stopped by its loss.
    features : sequence of int or str, default=None
        Columns to show to the classifier; None takes all but the resonant feature.
    sample_weight : array-like of shape (n_true,), default=None
        Non-negative weights of `X_true`.
    cv : int or splitter, default=5
        Folds; the area is the mean over the held-out parts.
    n_samples : int, default=None
        Events to draw from each template; None takes as many as it gives by itself. All
        comparisons use as many events of each sample as the smallest draw has, at most half of
        the truth.
    n_seeds : int, default=5
        Comparisons of a template given alone, each with another draw; from a list each is
        compared once.
    n_null : int, default=20
        Splits of the truth behind the null band, at least 3.
    n_jobs : int, default=None
        Comparisons made in parallel.
    random_state : int, RandomState or None, default=None
        Source of the seeds.

    Returns
    -------
    closure : ClosureAUC

    See Also
    --------
    template_closure : One feature at a time.
    skad.plotting.ClosureAUCDisplay : Draws the result.

    Notes
    -----
    For a weighted template one half of the truth carries its weights, in random order, in the
    null splits, so that their band is as wide as the weights make it. The p-value is that of the
    next value after `n_null` normal ones, Student's t with ``n_null - 1`` degrees of freedom.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.inspection import closure_auc
    >>> rng = np.random.default_rng(0)
    >>> truth, good, shifted = rng.normal(size=(3, 4000, 2))
    >>> closure = closure_auc(
    ...     {"good": good, "shifted": shifted + 0.4}, truth, classifier=LogisticRegression(),
    ...     n_seeds=2, n_null=10, random_state=0,
    ... )
    >>> (closure.auc.groupby("template")["p_value"].max() < 1e-3).to_dict()
    {'good': False, 'shifted': True}
    """
    import pandas as pd

    if classifier is None:
        classifier = default_classifier()
    reader = SampleReader(templates, X_true, features, sample_weight)
    rng = np.random.RandomState(draw_seeds(random_state, 1)[0])
    draws = {
        name: [
            reader.draw(name, number, n_samples, rng)
            for number in range(reader.n_seeds(name, n_seeds))
        ]
        for name in reader.template_names
    }
    n_true = len(reader.true)
    size = min(n_true // 2, *(len(sample) for samples in draws.values() for sample in samples))
    comparisons, keys = [], []
    for name, samples in draws.items():
        for number, sample in enumerate(samples):
            truth = reader.true.rows(rng.choice(n_true, size, replace=False))
            keys.append(("template", name, number))
            comparisons.append((_part(sample, size, rng), truth))
    # Templates without weights share one null band.
    owners = {name: name for name in draws if draws[name][0].is_weighted} | {
        name: None for name in draws if not draws[name][0].is_weighted
    }
    for owner in dict.fromkeys(owners.values()):
        for number in range(n_null):
            rows = rng.permutation(n_true)[: 2 * size]
            first, second = reader.true.rows(rows[:size]), reader.true.rows(rows[size:])
            if owner is not None:
                sample = draws[owner][number % len(draws[owner])]
                weight = _part(sample, size, rng).weight
                first = WeightedSample(first.X, first.weight * weight)
            keys.append(("null", owner, number))
            comparisons.append((first, second))
    areas = Parallel(n_jobs=n_jobs)(
        delayed(_area)(classifier, *pair, cv, seed)
        for pair, seed in zip(comparisons, draw_seeds(rng, len(comparisons)), strict=True)
    )
    found = dict(zip(keys, areas, strict=True))
    auc, null = [], []
    for name in draws:
        values = np.array([found["null", owners[name], i] for i in range(n_null)])
        null += [(name, i, value) for i, value in enumerate(values)]
        mean, std = values.mean(), values.std(ddof=1)
        if not std > 0:
            raise ValueError(
                f"classifier finds the same area, {mean:g}, in every one of the {n_null} samples "
                "of truth against truth, so that nothing can be said of the templates; give more "
                "events, scaled features, or another classifier."
            )
        for number in range(len(draws[name])):
            area = found["template", name, number]
            t = (area - mean) / (std * np.sqrt(1 + 1 / n_null))
            p = stats.t.sf(t, n_null - 1)
            auc.append((name, number, area, mean, std, (area - mean) / std, float(p)))
    columns = ["template", "seed", "roc_auc"]
    return ClosureAUC(
        auc=pd.DataFrame(auc, columns=[*columns, "null_mean", "null_std", "z", "p_value"]),
        null=pd.DataFrame(null, columns=columns),
        n_events=size,
    )


def _part(sample, size, rng):
    if len(sample) == size:
        return sample
    return sample.rows(rng.choice(len(sample), size, replace=False))


def _area(classifier, template, truth, cv, seed):
    """Return the mean held-out AUC of template (label 1) against truth."""
    X = np.concatenate([template.X, truth.X])
    y = np.repeat([1, 0], [len(template), len(truth)])
    weight = np.concatenate([template.weight, truth.weight])
    weighted = template.is_weighted or truth.is_weighted
    fitted, held_out = cross_fit(
        classifier,
        X,
        y,
        cv=cv,
        sample_weight=weight if weighted else None,
        random_state=np.random.RandomState(seed),
    )
    return np.mean(
        [
            roc_auc_score(y[rows], log_odds(model, X[rows]), sample_weight=weight[rows])
            for model, rows in zip(fitted, held_out, strict=True)
        ]
    )
