"""What a bump hunt claims without signal, in small; benchmarks/null_matrix.py is the study."""

import numpy as np
import pytest
from null_matrix import cells, main, measure, report, verdict

# Ten experiments know a mean to a third.
N, TOLERANCE = 10, 1.2


def cell(name, method, shifted="independent"):
    for key, _, hunt, generate in cells([name]):
        if key == (name, method, shifted):
            return hunt, generate
    raise KeyError(name)


@pytest.mark.parametrize("name", ["Sidebands", "GivenReference"])
def test_a_classifier_that_knows_its_training_by_heart_claims_nothing(name):
    """In sample the background of the cut was too low and claimed four standard deviations."""
    found = measure(*cell(name, "direct"), N, 1)
    for efficiency in ("0.1", "0.02"):
        claim = found[efficiency]
        assert claim["trusted"] > 0.8
        assert abs(claim["z_mean"]) < TOLERANCE
        assert 0.4 < claim["z_std"] < 1.9


def test_a_learned_background_is_not_trusted():
    found = measure(*cell("SALAD", "direct"), 2, 1)
    assert found["0.1"]["trusted"] == 0
    assert verdict(found["0.1"]) == "not trusted"
    assert found["p_global_below_0.05"] is None


def test_sculpted_rows_are_not_trusted():
    found = measure(*cell("IsolationForest", "sideband", "shifted"), 2, 1)
    assert found["0.1"]["trusted"] == 0


def test_the_study_runs_and_reports():
    measured = main(["--quick", "--detectors", "MixtureRatio"])
    assert set(measured) == {
        f"MixtureRatio / {method} / {shifted}"
        for method in ("sideband", "direct", "auto")
        for shifted in ("independent", "shifted")
    }
    assert "| MixtureRatio | direct | independent | 0.1 | 2 |" in report(measured)


def test_verdicts():
    claim = {"experiments": 100, "trusted": 1.0, "z_mean": 0.1, "z_std": 1.0}
    assert verdict(claim) == "kept"
    for broken in ({"z_mean": 1.0}, {"z_std": 1.6}, {"z_std": 0.5}):
        assert verdict(claim | broken) == "broken"
    assert verdict(claim | {"trusted": 0.1, "z_mean": np.nan}) == "not trusted"
