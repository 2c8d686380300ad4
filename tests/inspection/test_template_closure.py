"""Template closure against known distances, and p-values against their own distribution."""

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy.stats import binomtest, ks_2samp, kstest, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import check_random_state

from skad.datasets import make_resonance
from skad.exceptions import MissingColumnError
from skad.inspection import closure_auc, log_posterior_test, template_closure
from skad.resonant import Sidebands


class Gaussian:
    """A template of known distribution: normal features, m uniform in the region."""

    def __init__(self, shift=0.0, weighted=False):
        self.shift, self.weighted = shift, weighted

    def sample_background(self, n_samples=None, random_state=None):
        rng = check_random_state(random_state)
        n = 2000 if n_samples is None else n_samples
        X = rng.normal(self.shift, 1, size=(n, 2))
        weight = np.ones(n)
        if self.weighted:
            # Importance weights that move the shifted sample back to the origin.
            weight = np.exp(-self.shift * X.sum(axis=1) + self.shift**2)
        return X, weight


@pytest.fixture(scope="module")
def truth():
    return np.random.default_rng(0).normal(size=(6000, 2))


class TestMarginals:
    def test_distances_are_those_of_scipy_and_of_theory(self, truth):
        closure = template_closure(
            {"good": Gaussian(), "shifted": Gaussian(0.3)}, truth, n_seeds=4, n_samples=5000,
            random_state=0,
        )  # fmt: skip
        assert closure.groupby(["template", "seed"]).size().eq(2).all()
        shifted = closure[closure["template"] == "shifted"]
        exact = 2 * norm.cdf(0.15) - 1
        np.testing.assert_allclose(shifted["statistic"], exact, atol=0.04)
        assert (shifted["p_value"] < 1e-6).all()
        assert (shifted["sign"] == -1).all()
        X = np.random.default_rng(5).normal(size=(3000, 2))
        table = template_closure({"given": X}, truth, n_seeds=1)
        for row, x, t in zip(table.itertuples(), X.T, truth.T, strict=True):
            assert row.statistic == pytest.approx(ks_2samp(x, t).statistic)

    def test_expected_distance_is_the_mean_without_difference(self):
        rng = np.random.default_rng(1)
        tables = [
            template_closure({"t": Gaussian()}, rng.normal(size=(1000, 2)), n_seeds=1,
                             n_samples=800, random_state=i)
            for i in range(50)
        ]  # fmt: skip
        closure = pd.concat(tables)
        mean, error = closure["statistic"].mean(), closure["statistic"].sem()
        # The asymptotic mean lies a few per cent above that of finite samples.
        assert closure["expected"].iloc[0] == pytest.approx(mean, abs=3 * error + 0.03 * mean)
        assert kstest(closure["p_value"], "uniform").pvalue > 1e-3

    def test_weights_repair_a_shifted_template(self, truth):
        closure = template_closure(
            {"weighted": Gaussian(0.3, weighted=True)}, truth, n_samples=8000, random_state=0
        )
        assert closure["statistic"].max() < 0.05
        assert (closure["n_effective"] < 7500).all()

    def test_resonance_is_left_out_and_columns_go_by_name(self):
        frame = make_resonance(20_000, 0, random_state=0, as_frame=True).data
        template = Sidebands(region=(3.3, 3.7), resonance="m").fit(frame)
        inside = frame[template.region_.mask(frame)]
        shuffled = inside[["x2", "m", "x1"]]
        closure = template_closure({"sidebands": template}, shuffled, n_seeds=1)
        assert closure["feature"].tolist() == ["x2", "x1"]
        assert (closure["p_value"] > 1e-3).all()
        named = template_closure({"s": template}, shuffled, features=["m"], n_seeds=1)
        assert named["statistic"].item() > 0.5
        with pytest.raises(MissingColumnError, match="only in X_true: \\['x3'\\]"):
            template_closure({"s": template}, inside.rename(columns={"x2": "x3"}))

    def test_a_list_holds_one_template_per_seed(self, truth):
        templates = {"t": [Gaussian(0.0), Gaussian(0.5)]}
        closure = template_closure(templates, truth, n_seeds=9, random_state=0)
        by_seed = closure.groupby("seed")["statistic"].min()
        assert by_seed.index.tolist() == [0, 1]
        assert by_seed[0] < 0.06 < 0.15 < by_seed[1]


class TestAUC:
    def test_a_right_template_has_uniform_p_values(self):
        """Template equal to truth: p is uniform over data sets, and 5 % lie below 0.05."""
        p = []
        for seed in range(50):
            truth = np.random.default_rng(seed).normal(size=(400, 2))
            closure = closure_auc(
                {"t": Gaussian()}, truth, classifier=LinearDiscriminantAnalysis(), cv=2, n_seeds=1,
                n_null=10, random_state=seed,
            )  # fmt: skip
            p.append(closure.auc["p_value"].item())
        assert kstest(p, "uniform").pvalue > 1e-3
        assert binomtest(int((np.array(p) < 0.05).sum()), len(p), 0.05).pvalue > 1e-3

    def test_area_of_a_shift_is_exact(self, truth):
        """Two normal features shifted by d each: AUC = Phi(d), since sqrt(2) d / sqrt(2) = d."""
        closure = closure_auc(
            {"good": Gaussian(), "shifted": Gaussian(0.5)}, truth, n_samples=3000,
            classifier=LinearDiscriminantAnalysis(), n_seeds=2, n_null=8, random_state=0,
        )  # fmt: skip
        assert closure.n_events == 3000
        table = closure.auc.set_index(["template", "seed"])
        np.testing.assert_allclose(table.loc["shifted", "roc_auc"], norm.cdf(0.5), atol=0.02)
        assert (table.loc["shifted", "p_value"] < 1e-4).all()
        assert (table.loc["good", "p_value"] > 1e-3).all()
        null = closure.null.groupby("template")["roc_auc"]
        assert null.size().to_dict() == {"good": 8, "shifted": 8}
        # One band for both, because neither has weights.
        assert null.mean().nunique() == 1
        row = table.loc[("good", 0)]
        assert row["z"] == pytest.approx((row["roc_auc"] - row["null_mean"]) / row["null_std"])

    def test_weights_enter_fit_area_and_band(self, truth):
        options = {"classifier": LogisticRegression(), "n_samples": 3000, "n_seeds": 1}
        closure = closure_auc(
            {"weighted": Gaussian(1.0, weighted=True), "plain": Gaussian()}, truth, n_null=15,
            random_state=0, **options,
        )  # fmt: skip
        table = closure.auc.set_index("template")
        assert table.loc["weighted", "p_value"] > 1e-3
        # Strong weights leave fewer effective events.
        assert table.loc["weighted", "null_std"] > 1.3 * table.loc["plain", "null_std"]

    def test_weights_need_a_classifier_that_takes_them(self, truth):
        with pytest.raises(TypeError, match="fit of KNeighborsClassifier takes none"):
            closure_auc(
                {"w": Gaussian(0.3, weighted=True)}, truth, classifier=KNeighborsClassifier()
            )


class TestLogPosterior:
    def test_identical_samples_give_chance(self, truth):
        templates = {name: Gaussian() for name in "abc"}
        posterior = log_posterior_test(
            templates, truth, classifier=LogisticRegression(), n_samples=4000, n_seeds=2,
            random_state=0,
        )  # fmt: skip
        assert len(posterior) == 4 * 3 * 2
        assert (posterior["chance"] == -np.log(3)).all()
        np.testing.assert_allclose(posterior["log_posterior"], -np.log(3), atol=0.03)
        pull = posterior["excess"] / posterior["standard_error"]
        assert pull.abs().max() < 6

    def test_trees_find_the_exact_posterior(self, truth):
        """Two normal templates: log p_i is known, truth equal to one of them."""
        posterior = log_posterior_test(
            {"good": Gaussian(), "shifted": Gaussian(1.0)}, truth, n_samples=4000, n_seeds=1,
            random_state=0,
        ).set_index(["sample", "template"])  # fmt: skip
        x = np.random.default_rng(3).normal(size=(200_000, 2))
        expected = -np.logaddexp(0, x.sum(axis=1) - 1).mean()
        for sample in ("good", "truth"):
            found = posterior.loc[(sample, "good"), "log_posterior"]
            assert found == pytest.approx(expected, abs=0.03)
        assert posterior.loc[("shifted", "shifted"), "excess"] > 0.15

    def test_weights_turn_one_template_into_the_other(self, truth):
        posterior = log_posterior_test(
            {"good": Gaussian(), "weighted": Gaussian(0.4, weighted=True)}, truth,
            classifier=LogisticRegression(), n_samples=6000, n_seeds=1, random_state=0,
        )  # fmt: skip
        assert posterior["excess"].abs().max() < 0.05

    def test_truth_as_a_class(self, truth):
        options = {"classifier": LogisticRegression(), "n_seeds": 1, "random_state": 0}
        posterior = log_posterior_test(
            {"shifted": Gaussian(1.0)}, truth, truth_as_class=True, **options
        )
        own = posterior.query("sample == template")["excess"]
        assert len(own) == 2
        assert (own > 0.1).all()
        with pytest.raises(ValueError, match="truth_as_class=True"):
            log_posterior_test({"shifted": Gaussian(1.0)}, truth, **options)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"templates": {}}, ValueError, "templates must be a dict"),
        ({"templates": {"a": 3}}, TypeError, "must be a fitted template"),
        ({"templates": {"a": []}}, ValueError, "empty list"),
        ({"templates": {"a": np.zeros((9, 3))}}, ValueError, "has 3 columns and X_true has 2"),
        ({"templates": {"a": np.zeros((9, 2))}, "n_samples": 10}, ValueError, "more than the 9"),
        ({"n_seeds": 0}, ValueError, "n_seeds.* must be an int in the range"),
        ({"features": [5]}, MissingColumnError, "features=5 is not a column"),
    ],
)
def test_bad_input(truth, kwargs, error, message):
    arguments = {"templates": {"a": Gaussian()}, "X_true": truth, **kwargs}
    for study in (template_closure, closure_auc):
        with pytest.raises(error, match=message):
            study(**arguments)


def test_truth_outside_the_region_is_refused():
    X, _ = make_resonance(5000, 0, random_state=0, return_X_y=True)
    template = Sidebands(region=(3.3, 3.7)).fit(X)
    with pytest.raises(ValueError, match=r"events outside the signal region \[3.3, 3.7\)"):
        template_closure({"s": template}, X)


def test_same_seed_same_result_in_parallel(truth):
    options = {"n_seeds": 2, "random_state": 4, "classifier": DecisionTreeClassifier(max_depth=3)}
    with parallel_config("threading"):
        one, two = (
            closure_auc({"a": Gaussian()}, truth, n_null=3, n_jobs=n, **options) for n in (1, 2)
        )
    pd.testing.assert_frame_equal(one.auc, two.auc)
    a, b = (
        log_posterior_test({"a": Gaussian(), "b": Gaussian()}, truth, **options) for _ in range(2)
    )
    pd.testing.assert_frame_equal(a, b)
