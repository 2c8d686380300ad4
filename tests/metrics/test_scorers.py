"""Scorers in scikit-learn's model selection."""

import itertools
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score as average_precision
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.exceptions import LowStatisticsWarning
from skad.metrics import (
    anomaly_response,
    anomaly_scorer_table,
    anomaly_scorers,
    argos_score,
    get_anomaly_scorer,
    mass_volume_curve,
    max_significance_improvement,
    precision_at_k,
    recall_at_k,
    selection_overlap,
    significance_improvement_at,
)

STRATIFIED = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(900, 2)), rng.normal(3, 0.7, size=(90, 2))])
    return X, np.repeat([0, 1], [900, 90])


@pytest.fixture(scope="module")
def forest(events):
    return IsolationForest(n_estimators=20, random_state=0).fit(events[0])


def truth_score(metric, **options):
    return lambda model, X, y, w: metric(y, anomaly_response(model, X), sample_weight=w, **options)


TEMPLATE = np.random.default_rng(5).normal(size=(2000, 2))
REFERENCE = GaussianMixture().fit(TEMPLATE)
# A row for every scorer: where it stands in the table, a name, its options, and the value for
# model, X, y and weights from the metric that it stands for.
TABLE = [
    ("max_sic", "max_sic", {}, truth_score(max_significance_improvement)),
    ("roc_auc_anomaly", "roc_auc_anomaly", {}, truth_score(roc_auc_score)),
    *(
        (
            "sic_at_<tpr|fpr|rejection>_<number>",
            name,
            {},
            truth_score(significance_improvement_at, **point),
        )
        for name, point in {
            "sic_at_fpr_1e-1": {"fpr": 0.1},
            "sic_at_tpr_.8": {"tpr": 0.8},
            "sic_at_rejection_5": {"rejection": 5},
        }.items()
    ),
    ("average_precision_anomaly", "average_precision_anomaly", {}, truth_score(average_precision)),
    *(
        (f"{metric.__name__[:-2]}_<n|number>", name, {}, truth_score(metric, k=k))
        for name, metric, k in (
            ("precision_at_n", precision_at_k, None),
            ("precision_at_50", precision_at_k, 50),
            ("recall_at_.1", recall_at_k, 0.1),
            ("recall_at_1e2", recall_at_k, 100),
        )
    ),
    (
        "roc_auc_below_fpr_<number>",
        "roc_auc_below_fpr_1e-1",
        {},
        truth_score(roc_auc_score, max_fpr=0.1),
    ),
    (
        "tpr_at_fpr_<number>",
        "tpr_at_fpr_0.05",
        {},
        lambda model, X, y, w: (
            significance_improvement_at(y, anomaly_response(model, X), sample_weight=w, fpr=0.05)
            * 0.05**0.5
        ),
    ),
    (
        "neg_mass_volume",
        "neg_mass_volume",
        {"random_state": 3, "n_uniform": 2000},
        lambda model, X, y, w: (
            -mass_volume_curve(
                anomaly_response(model, X),
                anomaly_response(
                    model, np.random.RandomState(3).uniform(X.min(0), X.max(0), (2000, 2))
                ),
                sample_weight=w,
            ).area
        ),
    ),
    (
        "overlap",
        "overlap",
        {"reference": REFERENCE, "fraction": 0.1},
        lambda model, X, y, w: selection_overlap(
            anomaly_response(model, X),
            anomaly_response(REFERENCE, X),
            fraction=0.1,
            sample_weight=w,
        ),
    ),
    (
        "argos",
        "argos",
        {"background": TEMPLATE},
        lambda model, X, y, w: argos_score(
            anomaly_response(model, X), anomaly_response(model, TEMPLATE), sample_weight=w
        ),
    ),
    (
        "log_likelihood",
        "log_likelihood",
        {},
        lambda model, X, y, w: np.average(model.score_samples(X), weights=w),
    ),
]


@pytest.mark.parametrize(("entry", "name", "options", "expected"), TABLE)
def test_values_are_those_of_the_metrics(events, entry, name, options, expected):
    X, y = events
    model = GaussianMixture().fit(X)
    weight = np.random.default_rng(1).random(len(y))
    scorer = get_anomaly_scorer(name, **options)
    value = scorer(model, X, y, sample_weight=weight)
    assert value == pytest.approx(expected(model, X, y, weight), rel=1e-12)
    several = anomaly_scorers({name: options, "roc_auc_anomaly": {}})
    assert several(model, X, y, sample_weight=weight)[name] == value
    if not anomaly_scorer_table().loc[entry, "needs_truth"]:
        # Truth is not read.
        assert scorer(model, X, None, sample_weight=weight) == value


def test_every_scorer_is_in_the_table_of_this_file():
    table = anomaly_scorer_table()
    assert set(table.index) == {entry for entry, *_ in TABLE}
    assert table["summary"].str.endswith(".").all()
    assert table.loc["argos", "options"].startswith("background (required), background_weight")
    assert table.loc["roc_auc_anomaly"].tolist() == [True, "", "Area under the ROC curve."]


def test_options_reach_the_metric(events, forest):
    X, y = events
    scores = anomaly_response(forest, X)
    scorer = get_anomaly_scorer("max_sic", min_background_events=100)
    expected = max_significance_improvement(y, scores, min_background_events=100)
    assert scorer(forest, X, y) == expected
    assert expected < get_anomaly_scorer("max_sic")(forest, X, y)


def test_every_kind_of_estimator_agrees_about_the_direction(events):
    X, y = events
    scorer = get_anomaly_scorer("roc_auc_anomaly")
    estimators = [
        IsolationForest(random_state=0),
        KernelDensity(),
        GaussianMixture(),
        LogisticRegression(),
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
        make_pipeline(StandardScaler(), GaussianMixture()),
    ]
    for estimator in estimators:
        # The classifier needs y, the others ignore it.
        assert scorer(estimator.fit(X, y), X, y) > 0.9


def test_the_label_of_scikit_learns_outliers(events, forest):
    X, y = events
    outlier = np.where(y == 1, -1, 1)
    expected = get_anomaly_scorer("roc_auc_anomaly")(forest, X, y)
    assert get_anomaly_scorer("roc_auc_anomaly", signal_label=-1)(forest, X, outlier) == expected
    with pytest.raises(ValueError, match="read both ways"):
        get_anomaly_scorer("roc_auc_anomaly")(forest, X, outlier)


def test_one_class_folds_are_nan_and_say_why(events):
    X, y = events
    with (
        pytest.warns(LowStatisticsWarning, match=r"StratifiedKFold\(shuffle=True\)"),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Scoring failed")
        warnings.simplefilter("always", LowStatisticsWarning)
        scores = cross_val_score(
            IsolationForest(n_estimators=5, random_state=0),
            X,
            y,
            scoring=get_anomaly_scorer("max_sic"),
            cv=KFold(3),
        )
    assert np.isnan(scores[:2]).all()


def test_y_is_needed_only_by_metrics_of_truth(events, forest):
    X, _ = events
    with pytest.raises(ValueError, match="needs truth labels"):
        get_anomaly_scorer("max_sic")(forest, X)
    reference = GaussianMixture().fit(X)
    assert get_anomaly_scorer("overlap", reference=reference)(forest, X) > 0.05


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_grid_search_over_a_pipeline_of_data_frames(events, n_jobs):
    X, y = events
    X = pd.DataFrame(X, columns=["a", "b"])
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    search = GridSearchCV(
        pipeline,
        {"gaussianmixture__n_components": [1, 2], "standardscaler__with_std": [True, False]},
        scoring=get_anomaly_scorer("roc_auc_anomaly"),
        cv=STRATIFIED,
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, y)
    # Two components describe the signal too, so it is no longer rare.
    assert search.best_params_["gaussianmixture__n_components"] == 1
    assert search.score(X, y) == pytest.approx(
        roc_auc_score(y, anomaly_response(search.best_estimator_, X))
    )
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_several_metrics_from_one_pass(events):
    X, y = events
    calls = []

    class Counting(IsolationForest):
        def score_samples(self, X):
            calls.append(len(X))
            return super().score_samples(X)

    estimator = Counting(n_estimators=5, random_state=0, contamination=0.1)
    names = ["max_sic", "roc_auc_anomaly", "sic_at_fpr_0.1"]
    results = cross_validate(
        estimator, X, y, scoring=anomaly_scorers(names), cv=STRATIFIED, error_score="raise"
    )
    # Fitting sets the offset through a private method.
    assert len(calls) == 3
    separate = cross_validate(
        estimator,
        X,
        y,
        scoring={name: get_anomaly_scorer(name) for name in names},
        cv=STRATIFIED,
        error_score="raise",
    )
    for name in names:
        np.testing.assert_array_equal(results[f"test_{name}"], separate[f"test_{name}"])


def test_grid_search_with_several_metrics(events):
    X, y = events
    search = GridSearchCV(
        GaussianMixture(random_state=0),
        {"n_components": [1, 3]},
        scoring=anomaly_scorers({"max_sic": {"max_relative_error": 0.3}, "log_likelihood": {}}),
        refit="max_sic",
        cv=STRATIFIED,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_ == {"n_components": 1}
    likelihood = search.cv_results_["mean_test_log_likelihood"]
    assert likelihood[1] > likelihood[0]


@pytest.mark.parametrize("copier", [clone, lambda s: pickle.loads(pickle.dumps(s))])
def test_scorers_survive_clone_and_pickle(events, forest, copier):
    X, y = events
    scorers = [
        get_anomaly_scorer("sic_at_rejection_1e1", signal_label=1, min_background_events=5),
        get_anomaly_scorer("overlap", reference=GaussianMixture().fit(X), fraction=0.1),
        get_anomaly_scorer("argos", background=X[y == 0]),
        anomaly_scorers(["max_sic", "roc_auc_anomaly"]),
    ]
    for scorer in scorers:
        copied = copier(scorer)
        assert copied is not scorer
        assert repr(copied) == repr(scorer)
        assert copied(forest, X, y) == scorer(forest, X, y)


def test_overlap_with_a_reference_in_a_search(events):
    X, _ = events
    scorer = get_anomaly_scorer("overlap", reference=GaussianMixture().fit(X), fraction=0.1)
    search = GridSearchCV(
        IsolationForest(random_state=0),
        {"n_estimators": [1, 30]},
        scoring=scorer,
        cv=3,
        error_score="raise",
    ).fit(X)
    assert search.best_params_ == {"n_estimators": 30}


def test_overlap_over_refits_measures_stability(events):
    X, _ = events
    scorer = get_anomaly_scorer("overlap", fraction=0.1, n_refits=3, random_state=0)
    values = [
        scorer(make_pipeline(StandardScaler(), IsolationForest(n_estimators=n)).fit(X), X)
        for n in (1, 100)
    ]
    assert values[0] < values[1] - 0.1
    again = make_pipeline(StandardScaler(), IsolationForest(n_estimators=100)).fit(X)
    assert scorer(again, X) == values[1]
    # Refits of an estimator with its own seed have the next ones.
    seeded = IsolationForest(n_estimators=5, random_state=3)
    refits = [clone(seeded).set_params(random_state=s).fit(X) for s in (3, 4, 5)]
    pairs = itertools.combinations([anomaly_response(refit, X) for refit in refits], 2)
    expected = np.mean([selection_overlap(*pair, fraction=0.1) for pair in pairs])
    assert scorer(seeded.fit(X), X) == expected
    with pytest.raises(ValueError, match="KernelDensity has no random_state"):
        scorer(KernelDensity().fit(X), X)
    with pytest.raises(ValueError, match="n_refits must be at least 2"):
        get_anomaly_scorer("overlap", n_refits=1)(again, X)


def test_argos_of_a_weakly_supervised_classifier(events):
    """y = 1 for data, 0 for the reference; truth stays unknown."""
    X, _ = events
    reference = np.random.default_rng(6).normal(size=(1000, 2))
    mixed = np.concatenate([X, reference])
    y = np.repeat([1, 0], [len(X), 1000])
    scorer = get_anomaly_scorer("argos", background="reference", min_background_events=10)
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    scores = cross_val_score(model, mixed, y, scoring=scorer, cv=STRATIFIED, error_score="raise")
    shuffled = np.random.default_rng(0).permutation(y)
    noise = cross_val_score(model, mixed, shuffled, scoring=scorer, cv=STRATIFIED)
    assert scores.min() > noise.max()
    with pytest.warns(LowStatisticsWarning, match="only data or only reference"):
        assert np.isnan(scorer(model.fit(mixed, y), X, np.ones(len(X), dtype=int)))


class TestRouting:
    """Truth and weights as routed metadata."""

    @pytest.fixture(autouse=True)
    def routing(self):
        with sklearn.config_context(enable_metadata_routing=True):
            yield

    @pytest.mark.parametrize("several", [False, True])
    def test_truth_is_taken_without_request(self, events, several):
        X, truth = events
        weak = (np.random.default_rng(0).random(len(X)) < 0.5).astype(int)
        scorer = get_anomaly_scorer("roc_auc_anomaly")
        if several:
            scorer = anomaly_scorers(["roc_auc_anomaly", "max_sic"])
        search = GridSearchCV(
            SearchableForest(),
            {"scale": [1.0, 2.0]},
            scoring=scorer,
            refit="roc_auc_anomaly",
            cv=STRATIFIED,
            error_score="raise",
        ).fit(X, weak, truth=truth)
        key = "mean_test_roc_auc_anomaly" if several else "mean_test_score"
        assert search.cv_results_[key].min() > 0.9
        assert np.max(search.score(X, weak, truth=truth)) > 0.9

    def test_as_dict_of_scorers(self, events):
        X, truth = events
        results = cross_validate(
            SearchableForest(),
            X,
            np.zeros(len(X)),
            scoring={"auc": get_anomaly_scorer("roc_auc_anomaly")},
            params={"truth": truth},
            cv=KFold(3, shuffle=True, random_state=0),
            error_score="raise",
        )
        assert results["test_auc"].min() > 0.9

    def test_sample_weight_needs_a_request(self, events):
        X, y = events
        weight = np.random.default_rng(1).random(len(y)) * np.where(X[:, 0] > 1, 5, 1)
        options = {"cv": STRATIFIED, "error_score": "raise"}
        scorer = get_anomaly_scorer("roc_auc_anomaly")
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            cross_validate(
                SearchableForest(),
                X,
                y,
                scoring=scorer,
                params={"sample_weight": weight},
                **options,
            )
        unweighted = cross_val_score(SearchableForest(), X, y, scoring=scorer, **options)
        requested = scorer.set_score_request(sample_weight="weight")
        assert requested is scorer
        weighted = cross_val_score(
            SearchableForest(), X, y, scoring=clone(scorer), params={"weight": weight}, **options
        )
        assert (weighted != unweighted).all()

    def test_unknown_requests_are_refused(self):
        with pytest.raises(TypeError, match=r"got \['mass'\]"):
            get_anomaly_scorer("max_sic").set_score_request(mass=True)


def test_requests_need_routing():
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        get_anomaly_scorer("max_sic").set_score_request(truth=True)


def test_weights_of_a_grid_search_without_routing(events):
    """GridSearchCV forwards sample_weight of fit to scorers that say they take it."""
    X, y = events
    weight = np.where(y == 1, 1.0, np.linspace(0, 1, len(y)))
    search = GridSearchCV(
        LogisticRegression(),
        {"C": [1.0]},
        scoring=anomaly_scorers(["roc_auc_anomaly"]),
        refit="roc_auc_anomaly",
        cv=STRATIFIED,
        error_score="raise",
    ).fit(X, y, sample_weight=weight)
    assert np.isfinite(search.cv_results_["mean_test_roc_auc_anomaly"]).all()


class SearchableForest(IsolationForest):
    """A detector with one parameter to search over."""

    def __init__(self, scale=1.0):
        super().__init__(n_estimators=10, random_state=0)
        self.scale = scale


@pytest.mark.parametrize(
    "name",
    ["sic", "sic_at_fpr", "sic_at_fpr_", "sic_at_mass_1", "sic_at_fpr_1.2.3", "roc_auc", None],
)
def test_unknown_names(name):
    with pytest.raises(ValueError, match="name must be one of"):
        get_anomaly_scorer(name)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("max_sic", {"tpr": 0.1}, r"no option \['tpr'\]"),
        ("max_sic", {"return_point": True}, r"no option \['return_point'\]"),
        ("sic_at_tpr_0.1", {"fpr": 0.1}, r"no option \['fpr'\]"),
        ("roc_auc_anomaly", {"min_background_events": 3}, "it takes none"),
        ("argos", {}, "needs the option 'background'"),
    ],
)
def test_unknown_options(name, options, message):
    with pytest.raises(TypeError, match=message):
        get_anomaly_scorer(name, **options)


def test_bad_backgrounds(events, forest):
    X, y = events
    with pytest.raises(ValueError, match="background must be events or 'reference'"):
        get_anomaly_scorer("argos", background="template")(forest, X)
    scorer = get_anomaly_scorer("argos", background="reference", background_weight=[1.0])
    with pytest.raises(ValueError, match="background_weight belongs to"):
        scorer(forest, X, y)
    with pytest.raises(ValueError, match="scorers is empty"):
        anomaly_scorers([])
