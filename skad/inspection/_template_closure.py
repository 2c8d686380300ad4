"""Marginals of background templates against those of true background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import kstwobign
from sklearn.utils.parallel import Parallel, delayed

from skad.inspection._samples import OF_TEMPLATES, SampleReader
from skad.metrics import ks_table
from skad.utils._arguments import checked
from skad.utils._random import draw_seeds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["template_closure"]


@checked(**{name: rule for name, rule in OF_TEMPLATES.items() if name != "classifier"})
def template_closure(
    templates: Mapping[str, Estimator],
    X_true: ArrayLike,
    *,
    features: Sequence[int | str] | None = None,
    sample_weight: ArrayLike | None = None,
    n_samples: int | None = None,
    n_seeds: int = 3,
    n_jobs: int | None = None,
    random_state: Seed = None,
) -> DataFrame:
    """Kolmogorov-Smirnov distance of every marginal of templates to true background.

    Parameters
    ----------
    templates : dict of str to template
        Fitted templates with ``sample_background(n_samples, random_state)``, or samples X or
        ``(X, sample_weight)``. A list of them holds one for each seed of the generator.
    X_true : array-like of shape (n_true, n_columns)
        True background of the signal region that no template was fitted on, with the columns of
        the template's X.
    features : sequence of int or str, default=None
        Columns to compare; None takes all but the resonant feature, which the classifiers do not
        see. Name it to include it.
    sample_weight : array-like of shape (n_true,), default=None
        Non-negative weights of `X_true`.
    n_samples : int, default=None
        Events to draw from each template; None takes as many as it gives by itself.
    n_seeds : int, default=3
        Draws of a template given alone; from a list each is drawn once.
    n_jobs : int, default=None
        Draws made in parallel.
    random_state : int, RandomState or None, default=None
        Source of the seeds.

    Returns
    -------
    closure : pandas.DataFrame
        One row per template, seed and feature, with the columns ``template``, ``seed``,
        ``feature``, ``statistic``, ``expected``, ``location``, ``sign``, ``p_value``,
        ``n_effective`` and ``n_effective_reference``: those of `skad.metrics.ks_table` for the
        weighted template against the truth, and ``expected``, the mean distance of two samples
        of these effective sizes from one distribution.

    Raises
    ------
    ValueError
        Events of `X_true` outside the signal region of a template.
    MissingColumnError
        Other columns in template and `X_true`.

    See Also
    --------
    closure_auc : Correlations between features too.
    skad.plotting.ClosureDisplay : Draws the table.

    Notes
    -----
    ``expected`` and ``p_value`` know the number of events drawn, not the number a template was
    fitted on. A template that samples many more events than it has seen is measured to be wrong
    by the noise of its training sample, which is what a classifier meets.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, table 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.inspection import template_closure
    >>> rng = np.random.default_rng(0)
    >>> truth, good, shifted = rng.normal(size=(3, 5000, 2))
    >>> closure = template_closure({"good": good, "shifted": shifted + 0.1}, truth, n_seeds=1)
    >>> (closure.groupby("template")["p_value"].min() < 1e-3).to_dict()
    {'good': False, 'shifted': True}
    """
    import pandas as pd

    reader = SampleReader(templates, X_true, features, sample_weight)
    jobs = [
        (name, number)
        for name in reader.template_names
        for number in range(reader.n_seeds(name, n_seeds))
    ]
    tables = Parallel(n_jobs=n_jobs)(
        delayed(_one_draw)(reader, name, number, n_samples, seed)
        for (name, number), seed in zip(jobs, draw_seeds(random_state, len(jobs)), strict=True)
    )
    return pd.concat(tables, ignore_index=True)


def _one_draw(reader, name, number, n_samples, seed):
    sample = reader.draw(name, number, n_samples, seed)
    table = ks_table(
        sample.X,
        reader.true.X,
        sample_weight=sample.weight,
        reference_weight=reader.true.weight,
    ).reset_index(drop=True)
    n, m = table["n_effective"], table["n_effective_reference"]
    table.insert(1, "expected", kstwobign.mean() / np.sqrt(n * m / (n + m)))
    table.insert(0, "feature", reader.feature_names)
    table.insert(0, "seed", number)
    table.insert(0, "template", name)
    return table
