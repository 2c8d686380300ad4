"""Whether a template describes data: every feature alone, and all together by a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from sklearn.model_selection import ShuffleSplit

from skad.detectors._cross_fit import cross_fit, log_odds
from skad.inspection._classifier import default_classifier
from skad.inspection._samples import OF_TEMPLATES, SampleReader
from skad.metrics import ks_table
from skad.utils._arguments import checked
from skad.utils._random import draw_seeds
from skad.utils._readable import readable
from skad.utils._tasks import run_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.utils._types import Estimator, Seed

__all__ = ["TemplateFitTest", "template_fit_test"]


@readable
@dataclass(frozen=True)
class TemplateFitTest:
    """Result of `template_fit_test`.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per template and seed: ``template``, ``seed``, ``p_value``, the chance of a worse
        test for a template that is right, corrected for the number of tests, and ``worst``, the
        test with the smallest p-value.
    tests : pandas.DataFrame
        One row per template, seed and ``test``, a feature or "all features": ``statistic``, the
        Kolmogorov-Smirnov distance or the area under the curve of the classifier, and
        ``p_value``, not corrected.
    n_data : int
        Events of the data.
    """

    table: DataFrame
    tests: DataFrame
    n_data: int


@checked(**OF_TEMPLATES)
def template_fit_test(
    templates: Mapping[str, Estimator],
    X: ArrayLike,
    *,
    classifier: Estimator | None = None,
    features: Sequence[int | str] | None = None,
    sample_weight: ArrayLike | None = None,
    n_samples: int | None = None,
    n_seeds: int = 1,
    n_jobs: int | None = None,
    random_state: Seed = None,
) -> TemplateFitTest:
    """Goodness of fit of background templates against data without signal.

    Every feature is compared by a Kolmogorov-Smirnov test, and all together by a classifier that
    learns from one half of the events and is judged on the other. The smallest p-value times the
    number of tests is that of the template (Bonferroni), so that it holds however the tests depend
    on each other. On simulated dijets with five features, one of them shifted by 5 % of its
    standard deviation, it is below 0.05 in more than nine of ten cases with 10 000 events of data
    and template each, and in one of twenty without a shift
    (``benchmarks/results/template_fit.md``).

    Parameters
    ----------
    templates : dict of str to template
        Fitted templates with ``sample_background(n_samples, random_state)``, or samples X or
        ``(X, sample_weight)``. A list of them holds one for each seed of the generator.
    X : array-like of shape (n_data, n_columns)
        Data where no signal is: of a control region beside the signal region, as wide, for which
        the templates were made, and that took no part in their training.
    classifier : estimator, default=None
        Any scikit-learn classifier with `predict_proba`; None is a
        `HistGradientBoostingClassifier` stopped by its loss.
    features : sequence of int or str, default=None
        Columns to compare; None takes all but the resonant feature.
    sample_weight : array-like of shape (n_data,), default=None
        Non-negative weights of the data.
    n_samples : int, default=None
        Events to draw from each template; None takes as many as it gives by itself. More than data
        are worth it.
    n_seeds : int, default=1
        Tests of a template given alone, each with another draw and other halves; from a list each
        is tested once.
    n_jobs : int, default=None
        Tests at a time.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    test : TemplateFitTest

    See Also
    --------
    closure_auc : Against true background, with a null band by more true background.
    skad.search.ensemble_background : How much seeds and statistics move a template.

    Notes
    -----
    A template that was learned from few events differs from the truth by their statistics; the test
    sees that difference too, once data and sample are larger. It says that a template is wrong, not
    that the count after a cut is: that is `BumpHunt` in the control region. The p-value of the
    classifier is that of the area under its curve on the half that it has not seen, normal with the
    variance of DeLong's method, one-sided; that of weighted events is approximate, as in
    `ks_table`.

    References
    ----------
    David Lopez-Paz, Maxime Oquab, "Revisiting classifier two-sample tests", ICLR 2017,
    arXiv:1610.06545.

    Elizabeth R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or
    more correlated receiver operating characteristic curves", Biometrics 44 (1988) 837.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.inspection import template_fit_test
    >>> rng = np.random.default_rng(0)
    >>> data, good, shifted = rng.normal(size=(3, 5000, 2))
    >>> test = template_fit_test(
    ...     {"good": good, "shifted": shifted + [0.0, 0.2]}, data,
    ...     classifier=LogisticRegression(), random_state=0,
    ... )
    >>> (test.table.set_index("template")["p_value"] < 1e-3).to_dict()
    {'good': False, 'shifted': True}
    """
    import pandas as pd

    classifier = default_classifier() if classifier is None else classifier
    reader = SampleReader(templates, X, features, sample_weight)
    names = reader.feature_names
    rng = np.random.RandomState(draw_seeds(random_state, 1)[0])
    keys, tasks = [], []
    for name in reader.template_names:
        for number in range(reader.n_seeds(name, n_seeds)):
            sample = reader.draw(name, number, n_samples, rng)
            keys.append((name, number))
            tasks.append((_tests, (sample, reader.true, names, classifier, draw_seeds(rng, 1)[0])))
    found = run_tasks(tasks, name="tests of templates", n_jobs=n_jobs)
    tests = pd.concat(
        [
            table.assign(template=name, seed=number)
            for (name, number), table in zip(keys, found, strict=True)
        ],
        ignore_index=True,
    )[["template", "seed", "test", "statistic", "p_value"]]
    rows = []
    for (name, number), table in zip(keys, found, strict=True):
        worst = table.loc[table["p_value"].idxmin()]
        p_value = min(1.0, len(table) * float(worst["p_value"]))
        rows.append((name, number, p_value, worst["test"]))
    table = pd.DataFrame(rows, columns=["template", "seed", "p_value", "worst"])
    return TemplateFitTest(table=table, tests=tests, n_data=len(reader.true))


def _tests(sample, data, names, classifier, seed):
    """Return the table of the tests of one draw of a template."""
    table = ks_table(
        sample.X, data.X, sample_weight=sample.weight, reference_weight=data.weight
    ).assign(test=names)
    area, p_value = _classifier_test(sample, data, classifier, np.random.RandomState(seed))
    table = table[["test", "statistic", "p_value"]].reset_index(drop=True)
    table["test"] = table["test"].astype(object)
    table.loc[len(table)] = ["all features", area, p_value]
    return table


def _classifier_test(sample, data, classifier, rng):
    """Area under the curve of template against data on held-out events, and its p-value."""
    X = np.concatenate([sample.X, data.X])
    y = np.repeat([1, 0], [len(sample), len(data)])
    # Both samples weigh the same, so that the classifier does not only learn which is larger.
    weight = np.concatenate([sample.weight / len(sample), data.weight / len(data)])
    half = ShuffleSplit(1, test_size=0.5, random_state=rng)
    (model,), (held_out,) = cross_fit(
        classifier, X, y, cv=half, sample_weight=weight, random_state=rng
    )
    score, own, kind = log_odds(model, X[held_out]), weight[held_out], y[held_out] == 1
    return _area_under_curve(score[kind], own[kind], score[~kind], own[~kind])


def _area_under_curve(positive, positive_weight, negative, negative_weight):
    """Weighted area under the curve and the one-sided p-value of one that is no larger than 1/2."""
    above = _placements(positive, negative, negative_weight)
    below = _placements(negative, positive, positive_weight)
    area = np.average(above, weights=positive_weight)
    variance = _variance_of_mean(above, area, positive_weight)
    variance += _variance_of_mean(below, 1 - area, negative_weight)
    if not np.isfinite(variance):
        raise ValueError(
            "sample_weight leaves no weight to the held-out events of one sample; a few events "
            "hold nearly all of it, and there is no test."
        )
    if variance == 0:
        # All scores are equal, or all of one sample lie above the other.
        return float(area), 0.0 if area > 0.5 else 1.0
    return float(area), float(stats.norm.sf((area - 0.5) / np.sqrt(variance)))


def _placements(values, others, weight):
    """Weighted fraction of the others below each value, half of those that are equal."""
    order = np.argsort(others)
    ordered, total = others[order], np.concatenate([[0.0], np.cumsum(weight[order])])
    ends = [np.searchsorted(ordered, values, side=side) for side in ("left", "right")]
    return 0.5 * (total[ends[0]] + total[ends[1]]) / total[-1]


def _variance_of_mean(values, mean, weight):
    return float(weight**2 @ (values - mean) ** 2) / weight.sum() ** 2
