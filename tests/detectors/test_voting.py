"""Combination of detectors by their scores."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags

from skad.datasets import make_resonance
from skad.detectors import CWoLaDetector, DensityDetector, VotingDetector

FOREST = IsolationForest(n_estimators=20, random_state=0)
MIXTURE = DensityDetector(GaussianMixture(random_state=0))


class FirstColumn(OutlierMixin, BaseEstimator):
    """Its anomaly score is the first column."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return -np.asarray(X, dtype=float)[:, 0]


@pytest.fixture(scope="module")
def events():
    return np.random.RandomState(0).normal(size=(500, 2))


def members(X):
    return [-FOREST.fit(X).score_samples(X), -MIXTURE.fit(X).score_samples(X)]


def test_mean_of_scores(events):
    voting = VotingDetector([("forest", FOREST), ("mixture", MIXTURE)], weights=[3, 1]).fit(events)
    first, second = members(events)
    np.testing.assert_allclose(voting.anomaly_score(events), (3 * first + second) / 4)
    np.testing.assert_allclose(voting.score_samples(events), -(3 * first + second) / 4)


def test_mean_of_probabilities(events):
    """The outputs h of classifiers: ratio / (1 + ratio), not the geometric mean of the ratios."""
    detectors = [("forest", FOREST), ("mixture", MIXTURE)]
    voting = VotingDetector(detectors, voting="probability", weights=[3, 1]).fit(events)
    ratios = np.exp(members(events))
    first, second = ratios / (1 + ratios)
    np.testing.assert_allclose(voting.anomaly_score(events), (3 * first + second) / 4)


def test_mean_and_largest_of_ranks(events):
    fractions = [np.argsort(np.argsort(score)) / len(score) for score in members(events)]
    detectors = [("forest", FOREST), ("mixture", MIXTURE)]
    mean = VotingDetector(detectors, voting="rank").fit(events).anomaly_score(events)
    largest = VotingDetector(detectors, voting="max").fit(events).anomaly_score(events)
    # The forest gives some events the same score.
    np.testing.assert_allclose(mean, np.mean(fractions, axis=0), atol=0.02)
    np.testing.assert_allclose(largest, np.max(fractions, axis=0), atol=0.02)


def test_tail_is_the_log_of_the_survival_function():
    """Of an exponential score it is the score itself, also far beyond the training events."""
    rng = np.random.RandomState(0)
    training = rng.exponential(size=(20_000, 1))
    voting = VotingDetector([("first", FirstColumn())], voting="tail").fit(training)
    tested = np.array([[0.1], [0.5], [1.0], [2.0], [4.0], [30.0]])
    np.testing.assert_allclose(voting.anomaly_score(tested), tested[:, 0], rtol=0.06, atol=0.01)


def test_tail_of_two_detectors_is_their_root_mean_square_in_any_unit(events):
    voting = VotingDetector([("forest", FOREST), ("mixture", MIXTURE)], voting="tail").fit(events)
    alone = [
        VotingDetector([("one", detector)], voting="tail").fit(events).anomaly_score(events)
        for detector in (FOREST, MIXTURE)
    ]
    expected = np.sqrt(np.mean(np.square(alone), axis=0))
    np.testing.assert_allclose(voting.anomaly_score(events), expected)
    far = voting.anomaly_score([[10.0, 0.0], [20.0, 0.0], [1e10, 0.0]])
    assert (np.diff(far) > 0).all()


def test_tail_of_scores_as_large_as_numbers_go():
    training = np.random.RandomState(0).exponential(size=(1000, 1))
    voting = VotingDetector([("first", FirstColumn())], voting="tail").fit(training)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = voting.anomaly_score([[10.0], [1e100], [1e308]])
    assert np.isfinite(scores).all() and (np.diff(scores) > 0).all()


def test_tail_of_scores_that_are_all_the_same():
    voting = VotingDetector([("first", FirstColumn())], voting="tail")
    same, other = voting.fit(np.zeros((50, 1))).anomaly_score([[0.0], [1.0]])
    assert same == pytest.approx(np.log(2)) and other > same


def test_ranks_do_not_change_with_a_monotonic_score(events):
    """-log p and -p order alike, but have other means."""
    linear = DensityDetector(GaussianMixture(random_state=0), log_score=False)
    scores = {
        voting: [
            VotingDetector([("forest", FOREST), ("mixture", mixture)], voting=voting)
            .fit(events)
            .anomaly_score(events)
            for mixture in (MIXTURE, linear)
        ]
        for voting in ("rank", "mean")
    }
    np.testing.assert_allclose(*scores["rank"])
    assert not np.allclose(*scores["mean"])


def test_members_without_y_get_the_data_alone():
    X, _ = make_resonance(2000, 0, random_state=0, return_X_y=True)
    simulation, _ = make_resonance(2000, 0, random_state=1, return_X_y=True)
    both = np.concatenate([X, simulation + 10.0])
    y = np.repeat([1, 0], 2000)
    weak = CWoLaDetector(LogisticRegression(), random_state=0)
    voting = VotingDetector([("weak", weak), ("mixture", MIXTURE)]).fit(both, y)
    expected = MIXTURE.fit(X).score_samples(both)
    np.testing.assert_allclose(-voting.member_scores(both)[:, 1], expected)
    assert get_tags(voting).target_tags.required


def test_weights_reach_the_last_step_of_a_pipeline():
    X, _ = make_resonance(4000, 400, random_state=0, return_X_y=True)
    y = np.arange(len(X)) % 2
    weight = np.where(X[:, 1] > 0, 2.0, 0.5)
    weak = CWoLaDetector(LogisticRegression(), random_state=0)
    alone = weak.fit(X, y, sample_weight=weight).score_samples(X)
    piped = VotingDetector([("weak", make_pipeline(FunctionTransformer(), weak))])
    scores = piped.fit(X, y, sample_weight=weight).score_samples(X)
    np.testing.assert_allclose(scores, alone)


def test_members_that_need_y_do_not_fit_without():
    X = np.zeros((10, 2))
    weak = make_pipeline(StandardScaler(), CWoLaDetector(LogisticRegression()))
    with pytest.raises(ValueError, match="requires y"):
        VotingDetector([("weak", weak)]).fit(X)


def test_the_mean_of_noisy_detectors_is_better_than_each():
    rng = np.random.RandomState(0)
    signal = np.arange(4000) < 400
    X = np.column_stack([signal + rng.normal(size=(4000)) for _ in range(4)])

    class OneColumn(IsolationForest):
        def __init__(self, column=0):
            super().__init__()
            self.column = column

        def fit(self, X, y=None):
            return self

        def score_samples(self, X):
            return -np.asarray(X)[:, self.column]

    detectors = [(f"column{i}", OneColumn(i)) for i in range(4)]
    voting = VotingDetector(detectors).fit(X)
    contrast = [abs(s[signal].mean() - s[~signal].mean()) / s.std() for s in X.T]
    score = voting.anomaly_score(X)
    combined = (score[signal].mean() - score[~signal].mean()) / score.std()
    assert combined > 1.5 * max(contrast)


def test_nested_parameters(events):
    voting = VotingDetector([("forest", FOREST), ("mixture", MIXTURE)])
    voting.set_params(forest__n_estimators=3).fit(events)
    assert len(voting.detectors_[0].estimators_) == 3


@pytest.mark.parametrize(
    "detectors, options, error, message",
    [
        ([], {}, ValueError, "at least one"),
        ([("same", FOREST), ("same", MIXTURE)], {}, ValueError, "not unique"),
        ([("lof", LocalOutlierFactor())], {}, TypeError, "novelty=True"),
        ([("forest", FOREST)], {"weights": [1, 2]}, ValueError, "one weight for each"),
    ],
)
def test_bad_parameters(events, detectors, options, error, message):
    with pytest.raises(error, match=message):
        VotingDetector(detectors, **options).fit(events)


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: make_pipeline(StandardScaler(), d)])
def test_seeds_of_members_that_have_none(events, wrap):
    def scores(seed):
        voting = VotingDetector(
            [("a", wrap(IsolationForest(n_estimators=5))), ("b", wrap(FOREST))], random_state=seed
        )
        return voting.fit(events).member_scores(events)

    np.testing.assert_array_equal(scores(0), scores(0))
    assert not np.array_equal(scores(0)[:, 0], scores(1)[:, 0])
    np.testing.assert_array_equal(scores(0)[:, 1], scores(1)[:, 1])
