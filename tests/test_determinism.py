"""What `docs/guide/determinism.md` calls the same is the same, to the bit."""

import joblib
import numpy as np
import pytest
from estimator_checks import assert_same, fitted, make_events, outputs
from fast_estimators import fast_estimators
from sklearn.utils.parallel import Parallel, delayed

from skad.detectors import TreeEnsembleClassifier

ESTIMATORS = fast_estimators()
IN_PARALLEL = [name for name in ESTIMATORS if "n_jobs" in ESTIMATORS[name].get_params(deep=False)]
X, y = make_events()

pytestmark = pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")


def result(estimator, **params):
    return outputs(fitted(estimator.set_params(**params), X, y), X)


@pytest.mark.parametrize("name", IN_PARALLEL)
def test_n_jobs_changes_no_bit(name):
    assert_same(result(ESTIMATORS[name], n_jobs=None), result(ESTIMATORS[name], n_jobs=2))


def test_another_process_changes_no_bit():
    here = [result(estimator) for estimator in ESTIMATORS.values()]
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        there = Parallel(n_jobs=2)(delayed(result)(e) for e in ESTIMATORS.values())
    for first, second in zip(here, there, strict=True):
        assert_same(first, second)


def test_threads_sum_trees_in_order():
    rng = np.random.RandomState(0)
    events = rng.normal(size=(2000, 3))
    labels = (events[:, 0] + rng.normal(size=2000) > 0).astype(int)
    forest = TreeEnsembleClassifier(1, n_forest_trees=40, n_jobs=4, random_state=0)
    forest.fit(events, labels)
    scores = [forest.decision_function(events) for _ in range(5)]
    scores.append(forest.set_params(n_jobs=None).decision_function(events))
    for score in scores[1:]:
        np.testing.assert_array_equal(score, scores[0])
