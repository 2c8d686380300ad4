"""The study of the tree settings runs small; parts of a score add up to it."""

import numpy as np
import pytest
import tree_ensembles
from dijet_search import score_parts
from sklearn.metrics import roc_auc_score
from small_search import make_search

from skad.detectors import TreeEnsembleClassifier


def test_parts_add_up_and_find_the_signal():
    search = make_search("nowhere", 0, signal_fraction=0.05)
    classifier = TreeEnsembleClassifier(2, n_forest_trees=10, min_samples_leaf=40)
    scores = score_parts(classifier, tree_ensembles.parts_of, search, 0, 2)
    np.testing.assert_allclose(scores["both"], (scores["boosted"] + scores["forest"]) / 2)
    truth = search.test[1]
    for score in scores.values():
        assert roc_auc_score(truth, score) > 0.7


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_table_has_every_setting(monkeypatch):
    monkeypatch.setattr(tree_ensembles, "make_search", make_search)
    monkeypatch.setattr(tree_ensembles, "LEAVES", (40, 100))
    text = tree_ensembles.main(["--data", "nowhere", "--quick", "--seeds", "1"])
    for part in ("boosted", "forest", "both"):
        for leaf in (40, 100):
            assert f"| {part} | {leaf} |" in text
