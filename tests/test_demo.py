"""The demo runs end to end and writes what it prints."""

import json

import pytest

from skad.demo import main


def test_demo_writes_its_numbers_and_figure(tmp_path, capsys):
    options = ["--events", "3000", "--epochs", "2", "--search-events", "12000", "--trees", "1"]
    results = main(["--output", str(tmp_path), *options])
    assert json.loads((tmp_path / "demo.json").read_text()) == results
    assert (tmp_path / "frames.png").stat().st_size > 10_000
    shared = results["frames"]["shared_fraction_of_rarest_percent"]
    # One density, two frames: some rare events agree, most do not (the paper: about 20 %).
    assert 0.02 < shared < 0.7
    assert f"{shared:.0%} are the same" in capsys.readouterr().out
    detectors = results["frames"]["detectors"]
    assert len(detectors) == 6
    in_m = detectors["flow fitted in log m, rare in m"]
    in_log_m = detectors["flow fitted in log m, rare in log m"]
    assert in_m["auc"] > in_log_m["auc"] + 0.02
    other_fit = detectors["flow fitted in m, rare in m"]
    assert other_fit["auc"] == pytest.approx(in_m["auc"], abs=0.1)
    search = results["search"]
    assert 10 < search["signal_in_region"] <= 24
    for name in ("sic.png", "bump_hunt.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    sic = {name: row["max_sic"] for name, row in search["detectors"].items()}
    assert list(sic) == [
        "ANODE",
        "ResidualANODE",
        "CWoLa hunting",
        "idealised",
        "supervised",
        "IsolationForest",
    ]
    assert sic["supervised"] > max(5.0, sic["IsolationForest"])
    before, *after = search["bump_hunt"]
    assert before["efficiency"] == 1.0 and len(after) == 2
    # Uncut, a signal of one per cent does not show.
    assert abs(before["z_local"]) < 3.5
    assert before["n_observed"] > 10 * after[0]["n_observed"]
