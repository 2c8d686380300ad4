"""Correlations, overlaps and the breakdown test against known dependence and exact rates."""

import numpy as np
import pytest
from scipy.stats import binomtest, multivariate_normal, norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from skad.datasets import make_resonance
from skad.detectors import CWoLaDetector
from skad.exceptions import LowStatisticsWarning
from skad.inspection import breakdown_test, overlap_study, score_correlation
from skad.metrics import selection_overlap
from skad.resonant import GivenReference, Sidebands, SignalRegion, TemplateDetector


@pytest.fixture(scope="module")
def correlated():
    """Two methods with two seeds each: correlation 0.6 in background, none in signal."""
    rng = np.random.default_rng(0)
    n = 20_000
    y = np.arange(n) % 2
    common = rng.normal(size=n) * np.where(y == 0, np.sqrt(0.6), 0)
    own = np.where(y == 0, np.sqrt(0.4), 1)
    a, b = (common + own * rng.normal(size=(2, n)) for _ in range(2))
    return y, {"a": a, "b": np.exp(b)}


class TestCorrelation:
    def test_known_correlations(self, correlated):
        table = score_correlation(*correlated)
        assert len(table) == 2 * 6
        # Spearman's correlation of normal variables.
        expected = {"background": 6 / np.pi * np.arcsin(0.3), "signal": 0.0}
        for kind, value in expected.items():
            found = table.loc[table["events"] == kind, "correlation"]
            np.testing.assert_allclose(found, value, atol=0.03)
        seeds = table.query("method_a == method_b")
        assert seeds[["seed_a", "seed_b"]].to_numpy().tolist() == [[0, 1]] * 4

    def test_ranks_do_not_depend_on_units(self, correlated):
        y, scores = correlated
        logs = {"a": scores["a"], "b": np.log(scores["b"])}
        assert score_correlation(y, scores).equals(score_correlation(y, logs))
        pearson = score_correlation(y, logs, method="pearson")["correlation"]
        np.testing.assert_allclose(pearson, np.repeat([0.6, 0.0], 6), atol=0.03)

    def test_bad_input(self):
        x = np.arange(10.0)
        with pytest.raises(ValueError, match="method must be"):
            score_correlation(None, {"a": x, "b": x}, method="kendall")
        with pytest.raises(ValueError, match="at least two trainings"):
            score_correlation(None, {"a": x})
        with pytest.raises(ValueError, match=r"scores\['b'\] is the same for all 10 events"):
            score_correlation(None, {"a": x, "b": np.ones(10)})
        with pytest.raises(ValueError, match="same events"):
            score_correlation(None, {"a": x, "b": x[1:]})
        with pytest.raises(ValueError, match="y_true has 9 entries for 10"):
            score_correlation(np.zeros(9), {"a": x, "b": x})


class TestOverlap:
    def test_exact_overlap_of_normal_scores(self, correlated):
        y, scores = correlated
        study = overlap_study(y, scores, fractions=[0.1, 0.5, 1.0])
        assert len(study) == 2 * 2 * 3
        cut = norm.isf(0.1)
        both = multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]]).cdf([-cut, -cut])
        exact = {"background": both / 0.1 - 0.1, "signal": 0.0}
        for (kind, _), rows in study.groupby(["events", "seed"]):
            at = rows.set_index("fraction")
            assert at.loc[0.1, "excess"] == pytest.approx(
                exact[kind], abs=4 * at.loc[0.1, "standard_error"]
            )
            assert at.loc[1.0, "excess"] == pytest.approx(0, abs=1e-12)
            np.testing.assert_allclose(at["shared"] - at["excess"], at["chance"])
            np.testing.assert_allclose(at["chance"], at.index)

    def test_three_methods_and_injected_signal(self):
        rng = np.random.default_rng(1)
        x = rng.normal(size=(3, 30_000))
        independent = dict(zip("abc", x, strict=True))
        same = dict.fromkeys("abc", x[0])
        study = overlap_study(None, {0: independent, 500: same}, fractions=[0.2])
        groups = ["a, b", "a, c", "b, c", "a, b, c"]
        assert study["methods"].tolist() == groups * 2
        together = study[study["methods"] == "a, b, c"].set_index("injected")
        np.testing.assert_allclose(together["chance"], 0.04, rtol=1e-3)
        assert together.loc[0, "excess"] == pytest.approx(0, abs=0.01)
        assert together.loc[500, "excess"] == pytest.approx(0.96)
        direct = selection_overlap(x[0], x[1], fraction=0.2)
        assert study["excess"].iloc[0] == direct

    def test_bad_input(self):
        x = np.arange(10.0)
        with pytest.raises(ValueError, match="with at least two"):
            overlap_study(None, {"a": x})
        with pytest.raises(ValueError, match="same number of seeds"):
            overlap_study(None, {"a": [x, x], "b": x})
        with pytest.raises(ValueError, match="fractions must lie"):
            overlap_study(None, {"a": x, "b": x}, fractions=[0.0])
        with pytest.raises(ValueError, match="shape"):
            overlap_study(None, {"a": x[None, None], "b": x})


def toy(seed, n=500, n_signal=0):
    """Mixed and reference sample of one distribution, but for the signal."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2 * n, 2))
    X[:n_signal] = rng.normal(2.5, 0.2, size=(n_signal, 2))
    return X, np.repeat([1, 0], n)


TREE = DecisionTreeClassifier(max_leaf_nodes=8, min_samples_leaf=20)


class TestBreakdown:
    @pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
    @pytest.mark.parametrize("strategy", ["seeds", "parts"])
    def test_false_alarm_rate_is_alpha(self, strategy):
        """Data without signal are trusted as often as alpha says."""
        n_toys, alpha = 80, 0.2
        trusted = [
            breakdown_test(
                CWoLaDetector(TREE, cv=2), *toy(seed), strategy=strategy, fraction=0.1,
                n_trainings=2 if strategy == "seeds" else 3, n_null=4, alpha=alpha,
                random_state=seed,
            ).trusted
            for seed in range(n_toys)
        ]  # fmt: skip
        assert binomtest(sum(trusted), n_toys, alpha).pvalue > 1e-3

    def test_signal_is_trusted(self):
        options = {"fraction": 0.05, "n_trainings": 2, "random_state": 0}
        detector = CWoLaDetector(TREE, cv=2)
        test = breakdown_test(detector, *toy(0, 1500, 75), **options)
        assert test.trusted
        assert test.p_value == pytest.approx(0.05)
        assert test.statistic > 0.5 > test.null.max()
        assert (len(test.null), test.n_data, test.n_template) == (19, 1500, 1500)

    def test_warns_and_stops_without_signal(self):
        options = {"fraction": 0.05, "n_trainings": 2, "random_state": 2}
        detector = CWoLaDetector(TREE, cv=2)
        with pytest.warns(LowStatisticsWarning, match="not reproducible"):
            test = breakdown_test(detector, *toy(1), **options)
        assert not test.trusted
        n = len(test.null)
        assert n < 19
        assert test.null[-1] >= test.statistic
        assert (test.null[:-1] < test.statistic).all()
        assert test.p_value == 1 / n
        with pytest.warns(LowStatisticsWarning):
            full = breakdown_test(detector, *toy(1), sequential=False, **options)
        assert len(full.null) == 19
        np.testing.assert_array_equal(full.null[:n], test.null)
        assert full.p_value == (1 + (full.null >= full.statistic).sum()) / 20

    def test_template_detector(self):
        """The detector's own template and classifier; other columns and m are not looked at."""
        X, _ = make_resonance(12_000, 150, n_features=3, random_state=0, return_X_y=True)
        detector = TemplateDetector(
            Sidebands(SignalRegion(3.3, 3.7, sideband_width=0.2)), TREE, cv=2, random_state=0
        ).fit(X)
        options = {"fraction": 0.03, "n_trainings": 2, "random_state": 0}
        test = breakdown_test(detector, X, **options)
        assert test.trusted
        assert test.n_data == detector.region_.mask(X).sum()
        assert test.n_template == detector.n_template_
        again = breakdown_test(detector, X, classifier=TREE, **options)
        np.testing.assert_array_equal(again.null, test.null)
        with pytest.raises(ValueError, match="3 features, but TemplateDetector is expecting 4"):
            breakdown_test(detector, X[:, :3])

    def test_labels_choose_the_data(self):
        X, _ = make_resonance(12_000, 0, random_state=0, return_X_y=True)
        y = np.random.default_rng(0).integers(0, 2, len(X))
        detector = TemplateDetector(
            GivenReference(region=(3.3, 3.7)), TREE, cv=2, random_state=0
        ).fit(X, y)
        options = {"fraction": 0.1, "n_trainings": 2, "random_state": 0}
        with pytest.warns(LowStatisticsWarning):
            test = breakdown_test(detector, X, y, **options)
        inside = detector.region_.mask(X)
        assert test.n_data == (inside & (y == 1)).sum()
        assert test.n_template == (inside & (y == 0)).sum()
        with pytest.raises(ValueError, match="requires y to be passed"):
            breakdown_test(detector, X, **options)

    def test_weights_of_zero_are_events_left_out(self):
        X, y = toy(2, 600, 60)
        weight = np.ones(len(X))
        weight[300:600] = 0
        lda = LinearDiscriminantAnalysis()
        with pytest.raises(TypeError, match="LinearDiscriminantAnalysis takes none"):
            breakdown_test(CWoLaDetector(lda), X, y, sample_weight=1 + np.arange(len(X)) % 2)
        options = {"fraction": 0.1, "n_trainings": 2, "random_state": 0, "sequential": False}
        heavy = breakdown_test(CWoLaDetector(TREE, cv=2), X, y, sample_weight=weight, **options)
        plain = breakdown_test(CWoLaDetector(TREE, cv=2), X, y, **options)
        # Half of the background of the data is gone, so a tenth of them is mostly signal.
        assert heavy.statistic != plain.statistic
        assert heavy.trusted

    def test_heavy_weights_of_the_template_are_reported(self):
        X, y = toy(0, 600, 60)
        weight = np.where(np.arange(len(X)) < 1150, 1.0, 20.0)
        with pytest.warns(LowStatisticsWarning, match="worth 19% of its 600 events"):
            breakdown_test(
                CWoLaDetector(TREE, cv=2), X, y, sample_weight=weight, fraction=0.1,
                n_trainings=2, random_state=0,
            )  # fmt: skip

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"strategy": "folds"}, "strategy.* must be a str among"),
            ({"fraction": 0}, "fraction.* must be a float in the range"),
            ({"alpha": 1.0}, "alpha.* must be a float in the range"),
            ({"n_null": 18}, "n_null must be at least 19 for alpha=0.05"),
            ({"n_trainings": 1}, "n_trainings must be at least 2"),
            ({"strategy": "parts", "n_trainings": 2}, "at least 3"),
            ({"y": None}, "CWoLaDetector requires y"),
        ],
    )
    def test_bad_input(self, kwargs, message):
        X, y = toy(0)
        with pytest.raises(ValueError, match=message):
            breakdown_test(**{"detector": CWoLaDetector(TREE), "X": X, "y": y, **kwargs})

    def test_other_detectors_are_refused(self):
        with pytest.raises(TypeError, match="fitted TemplateDetector or a CWoLaDetector"):
            breakdown_test(IsolationForest(), *toy(0))

    def test_a_classifier_without_weights(self):
        test = breakdown_test(
            CWoLaDetector(KNeighborsClassifier(50), cv=2), *toy(3, 400, 40), fraction=0.1,
            n_trainings=2, random_state=0,
        )  # fmt: skip
        assert test.trusted
