"""joblib's dask backend on a real cluster of processes gives the bits of a serial run."""

import sys

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.detectors import CWoLaDetector, TreeEnsembleClassifier
from skad.search import BumpHunt, pseudo_experiments
from skad.search._pseudo_experiments import experiments_of

X, y = make_resonance(1200, 40, random_state=0, return_X_y=True)
HUNT = BumpHunt(
    IsolationForest(n_estimators=3),
    [(3.3, 3.7)],
    efficiencies=(1.0, 0.1),
    n_folds=2,
    n_global_toys=100,
    n_jobs=2,
    random_state=0,
)

pytestmark = pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def hunted():
    hunt = HUNT.fit(X)
    return [hunt.results_, hunt.scores_, hunt.selected_]


def searched():
    trees = TreeEnsembleClassifier(1, n_forest_trees=2, max_iter=5, random_state=0)
    grid = GridSearchCV(
        CWoLaDetector(trees, cv=2, random_state=0),
        {"classifier__max_leaf_nodes": [4, 8]},
        scoring=lambda model, X, y: float(model.anomaly_score(X)[y == 1].mean()),
        cv=2,
        error_score="raise",
        n_jobs=2,
    ).fit(X[:, 1:], y)
    return [grid.cv_results_["mean_test_score"], grid.best_estimator_.anomaly_score(X[:, 1:])]


def experimented():
    return [pseudo_experiments(HUNT.fit(X), 3, random_state=0, n_jobs=2, verbose=0)]


def flowed():
    flow = FlowDensity(
        n_estimators=2, n_transforms=1, hidden_layer_sizes=(8,), max_epochs=1, random_state=0
    )
    return [flow.fit(X[:, 1:]).score_samples(X[:, 1:])]


@pytest.mark.parametrize("work", [hunted, searched, experimented, flowed])
def test_a_cluster_changes_no_bit(client, work):
    with parallel_config("sequential"):
        serial = work()
    with parallel_config("dask"):
        distributed = work()
    for here, there in zip(serial, distributed, strict=True):
        if isinstance(here, pd.DataFrame):
            pd.testing.assert_frame_equal(here, there, check_exact=True)
        else:
            np.testing.assert_array_equal(here, there)


def test_events_are_sent_once(client, monkeypatch):
    """To the workers, not with every fit or experiment."""
    sent = []
    scatter = client.scatter

    def counted(data, **options):
        sent.append(data)
        return scatter(data, **options)

    monkeypatch.setattr(client, "scatter", counted)
    many = make_resonance(4000, 0, random_state=0).data
    with parallel_config("dask"):
        HUNT.fit(many)
        pseudo_experiments(HUNT, 3, random_state=0, n_jobs=2, verbose=0)
    arrays = [each for each in sent if getattr(each, "shape", None) == many.shape]
    # For the fits, and perhaps again for the scores; not with each of four.
    assert 1 <= len(arrays) <= 2
    work = [each for each in sent if type(each).__name__ == "Experiments"]
    assert len(work) == 1
    assert sys.getsizeof(experiments_of(HUNT, 1, "auto", 0)) > many[:, 1:].nbytes
