"""The benchmark of the ANODE paper runs small, resumes, and its tables say what was computed."""

import json

import anode_paper
import numpy as np
import pytest
from small_search import make_search

pytestmark = [
    pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning"),
]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(anode_paper, "make_search", make_search)
    monkeypatch.setattr(
        anode_paper, "METHODS", ("ANODE", "ResidualANODE", "IsolationForest", *anode_paper.PAPER)
    )


def test_study_runs(small):
    results, lines = anode_paper.main(["--data", "nowhere", "--quick", "--part", "main"])
    assert len(results) == 6
    for result in results.values():
        assert 0 < result["auc"] <= 1 and result["max_sic"] > 0
    one = results["ANODE | 0.006 | unshifted | 0"]
    passed = np.array(one["n_passed"])
    assert (np.diff(passed) < 0).all()
    ratio, error = one["background"]["direct"]
    # Two epochs leave the densities rough; the efficiency of one tenth is about right all the same.
    assert 0.3 < ratio[0] < 1.5 and 0 < error[0] < 0.2
    # Two halves of a few events say that the weights are too small.
    plain, corrected = (one["background"][name] for name in ("importance", "halves"))
    assert corrected[0][0] > plain[0][0] and corrected[1][0] > plain[1][0]
    assert "halves" not in results["ResidualANODE | 0.006 | unshifted | 0"]["background"]
    text = "\n".join(lines)
    assert "corrected by halves" in text
    assert "## S/B = 0.60%, shifted features" in text
    assert "## Predicted over true background" in text


def test_null_and_throughput(small):
    results, lines = anode_paper.main(["--data", "nowhere", "--quick", "--part", "null"])
    assert all(0 <= r["signal_fraction"] <= 1 for r in results.values())
    assert "no signal" in "\n".join(lines)
    results, _ = anode_paper.main(["--data", "nowhere", "--quick", "--part", "throughput"])
    assert results["throughput"]["events"] > 5000
    assert results["throughput"]["peak_memory_mb"] > 50


def test_results_survive_an_interruption(tmp_path):
    path = tmp_path / "results.json"
    anode_paper.Store(path).add("one", {"auc": 0.5})
    store = anode_paper.Store(path)
    assert "one" in store and "two" not in store
    store.add("two", {"auc": 0.75})
    assert json.loads(path.read_text()) == {"one": {"auc": 0.5}, "two": {"auc": 0.75}}


def test_ratios_pair_seeds():
    results = {
        anode_paper.name_of(method, 0.006, False, seed): {"max_sic": sic}
        for method, seed, sic in [("ANODE", 0, 8.0), ("ANODE", 1, 9.0), ("IAD", 1, 10.0)]
    }
    assert anode_paper.ratios(results, "ANODE", "IAD", 0.006, False) == [0.9]
    assert anode_paper.band([1.0, 2.0, 3.0], 1) == "2.0 (1.3-2.7)"
    assert anode_paper.band([np.nan]) == "-"


def test_configurations_of_the_papers(small):
    results, lines = anode_paper.main(["--data", "nowhere", "--quick", "--part", "paper"])
    methods = {name.split(" | ")[0] for name in results}
    assert methods == {"ANODE", "CWoLa", "ANODE (paper)", "CWoLa (paper)"}
    # The paper counts relative to its fiducial region, which leaves events out.
    kept = results["ANODE (paper) | 0.0104 | unshifted | 0"]["fiducial_efficiency"]
    assert 0 < kept[0] < 1 and 0 < kept[1] <= 1
    assert "the papers' configurations" in "\n".join(lines)
