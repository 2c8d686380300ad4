"""Precision and recall at k, and the safety of scorers by name against the sign of scores."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score

from skad.metrics import get_anomaly_scorer, precision_at_k, recall_at_k


@pytest.fixture(scope="module")
def ranked():
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.1).astype(int)
    return y, rng.normal(size=500) + 2 * y


def test_values_are_those_of_a_count(ranked):
    y, scores = ranked
    order = np.argsort(-scores)
    for k in (1, 10, 77, 500):
        found = y[order[:k]].sum()
        assert precision_at_k(y, scores, k=k) == pytest.approx(found / k)
        assert recall_at_k(y, scores, k=k) == pytest.approx(found / y.sum())
    assert precision_at_k(y, scores, k=0.02) == pytest.approx(y[order[:10]].mean())
    among = y[order[: y.sum()]].mean()
    assert precision_at_k(y, scores) == pytest.approx(among)
    assert recall_at_k(y, scores) == pytest.approx(among)


def test_ties_are_a_random_choice_on_average(ranked):
    y, _ = ranked
    assert precision_at_k(y, np.zeros(500), k=17) == pytest.approx(y.mean())
    # Half of the six that tie are looked at: 2 above, 3 of 6.
    y, scores = [1, 0, 1, 1, 0, 0, 0, 0, 0], [3, 2, 1, 1, 1, 1, 1, 1, 0]
    assert precision_at_k(y, scores, k=5) == pytest.approx((1 + 2 / 2) / 5)
    assert recall_at_k(y, scores, k=5) == pytest.approx((1 + 2 / 2) / 3)


def test_weights_count_as_repeated_events(ranked):
    y, scores = ranked
    weight = np.random.default_rng(1).integers(1, 4, 500)
    twice = np.repeat(y, weight), np.repeat(scores, weight)
    # A cut between two events, as the one at the cut would be looked at as a whole.
    k = weight[np.argsort(-scores)[:60]].sum() / weight.sum()
    for metric in (precision_at_k, recall_at_k):
        once = metric(y, scores, k=k, sample_weight=weight)
        assert once == pytest.approx(metric(*twice, k=k))


@pytest.mark.parametrize("k", [0, 501, 1.5, -1, 0.0, True, "10"])
def test_other_k_are_refused(ranked, k):
    with pytest.raises(ValueError, match="k must be None, an int from 1 to the number of events"):
        precision_at_k(*ranked, k=k)


def test_scorers_by_name_read_the_sign_of_a_detector():
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(size=(990, 2)), rng.normal(6, 1, size=(10, 2))])
    y = np.repeat([0, 1], [990, 10])
    forest = IsolationForest(random_state=0).fit(X)
    # scikit-learn's own name reads +1 = normal as the score of the signal.
    from sklearn.metrics import get_scorer

    assert get_scorer("average_precision")(forest, X, y) < 0.02
    value = get_anomaly_scorer("average_precision_anomaly")(forest, X, y)
    assert value == average_precision_score(y, -forest.score_samples(X)) > 0.9
    for name in ("precision_at_n", "recall_at_10", "tpr_at_fpr_1e-2", "roc_auc_below_fpr_1e-2"):
        assert get_anomaly_scorer(name)(forest, X, y) > 0.85
        flipped = get_anomaly_scorer(name, signal_label=-1)(forest, X, 1 - 2 * y)
        assert flipped == get_anomaly_scorer(name)(forest, X, y)
    for name in ("precision_at_x", "tpr_at_fpr_0", "tpr_at_fpr_2", "precision_at_1.2.3"):
        with pytest.raises(ValueError, match="name must be one of"):
            get_anomaly_scorer(name)
