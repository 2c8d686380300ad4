"""Goodness of fit of templates: rates, what each test sees, and the area under the curve."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from skad.datasets import make_resonance
from skad.inspection import template_fit_test
from skad.inspection._template_fit import _area_under_curve
from skad.metrics import ks_table
from skad.resonant import Sidebands, SignalRegion

N = 20_000


def rates(change, n_toys, first=0):
    rejected = []
    for seed in range(first, first + n_toys):
        rng = np.random.default_rng(seed)
        data, template = rng.normal(size=(2, N, 4))
        test = template_fit_test(
            {"template": change(template, seed % 4)}, data,
            classifier=LogisticRegression(), random_state=seed,
        )  # fmt: skip
        rejected.append(test.table["p_value"][0] < 0.05)
    return np.mean(rejected)


def test_a_shift_of_a_twentieth_is_found_and_nothing_else():
    def shifted(template, feature):
        template[:, feature] += 0.05 * template[:, feature].std()
        return template

    assert rates(shifted, 20) >= 0.85
    # More than 5 of 30 are seen in one of two hundred.
    assert rates(lambda template, feature: template, 30, first=100) <= 5 / 30


def test_trees_see_what_no_feature_shows():
    rng = np.random.default_rng(0)
    data = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]], size=8000)
    template = np.column_stack([rng.permutation(column) for column in data[:4000].T])
    test = template_fit_test({"shuffled": template}, data[4000:], random_state=0)
    assert test.table["worst"][0] == "all features" and test.table["p_value"][0] < 1e-3
    assert test.tests["p_value"][:2].min() > 0.01


def test_area_is_that_of_scikit_learn_and_its_variance_that_of_ranks():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.1, 1, 300).round(1), rng.normal(0, 1, 500).round(1)
    weight = [rng.uniform(0.5, 2, 300), rng.uniform(0.5, 2, 500)]
    area, _ = _area_under_curve(a, weight[0], b, weight[1])
    truth = np.repeat([1, 0], [300, 500])
    values = np.concatenate([a, b])
    expected = roc_auc_score(truth, values, sample_weight=np.concatenate(weight))
    assert area == pytest.approx(expected, abs=1e-12)
    ones = np.ones(300), np.ones(500)
    _, p_value = _area_under_curve(a, ones[0], b, ones[1])
    rank_sum = stats.mannwhitneyu(a, b, alternative="greater", use_continuity=False).pvalue
    assert p_value == pytest.approx(rank_sum, rel=0.1)
    assert _area_under_curve(np.ones(3), np.ones(3), np.ones(4), np.ones(4)) == (0.5, 1.0)


def test_table_corrects_the_smallest_of_the_tests():
    rng = np.random.default_rng(2)
    names = ["a", "b", "c"]
    data, *others = (pd.DataFrame(rng.normal(size=(900, 3)), columns=names) for _ in range(4))
    weight = rng.uniform(0, 2, 900)
    test = template_fit_test(
        {"one": others[0], "several": [(others[1], weight), others[2]]}, data,
        classifier=LogisticRegression(), features=["a", "c"], random_state=0,
    )  # fmt: skip
    assert test.n_data == 900
    assert test.table[["template", "seed"]].to_numpy().tolist() == [
        ["one", 0], ["several", 0], ["several", 1],
    ]  # fmt: skip
    assert test.tests["test"].tolist() == 3 * ["a", "c", "all features"]
    for (_, rows), row in zip(
        test.tests.groupby(["template", "seed"]), test.table.itertuples(), strict=True
    ):
        assert row.p_value == min(1.0, 3 * rows["p_value"].min())
        assert row.worst == rows.set_index("test")["p_value"].idxmin()
    ks = ks_table(others[1], data, sample_weight=weight).loc[["a", "c"]]
    found = test.tests[(test.tests["template"] == "several") & (test.tests["seed"] == 0)]
    assert found["p_value"].tolist()[:2] == pytest.approx(ks["p_value"].tolist())


def test_fitted_templates_are_tested_in_a_control_region():
    control = SignalRegion(2.8, 3.1, sideband_width=0.3)
    for dependence, is_wrong in ((0.0, False), (3.0, True)):
        X, _ = make_resonance(
            30_000, 0, n_features=2, dependence=dependence, random_state=0, return_X_y=True
        )
        template = Sidebands(control).fit(X)
        data = X[control.mask(X)]
        test = template_fit_test(
            {"sidebands": template}, data, classifier=LogisticRegression(), random_state=0
        )
        assert (test.table["p_value"][0] < 1e-3) == is_wrong
    with pytest.raises(ValueError, match="outside the signal region"):
        template_fit_test({"sidebands": template}, X)
