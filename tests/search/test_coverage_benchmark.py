"""The coverage study runs, on a handful of experiments, and its summary is right."""

import json

import bump_hunt_coverage
import numpy as np
import pandas as pd
import pytest
from bump_hunt_coverage import Generate, coverage, describe, hunts, power
from scipy import stats

from skad.exceptions import LowStatisticsWarning


def test_summary_of_known_significances():
    rng = np.random.default_rng(0)
    z = 1.3 * rng.standard_normal(400)
    table = pd.DataFrame(
        {"z_local": z, "n_observed": 110.0, "background": 100.0, "stat": 3.0, "syst": 4.0}
    )
    summary = describe(table)
    assert summary["z_std"] == pytest.approx(1.3, abs=4 * summary["z_std_error"])
    assert summary["ks_p"] == pytest.approx(stats.kstest(z, "norm").pvalue)
    assert summary["ks_p"] < 0.05 < summary["ks_p_calibrated"]
    assert summary["p_below_0.05"] > 0.07
    assert summary["background_over_observed"] == pytest.approx(100 / 110)


def test_generated_numbers_are_poisson():
    sizes = [len(Generate(500)(np.random.RandomState(seed))) for seed in range(30)]
    assert np.mean(sizes) == pytest.approx(10_500, abs=4 * np.sqrt(10_500 / 30))
    assert np.std(sizes) > 50


@pytest.mark.parametrize("name", ["mixtures, sideband", "mixtures, direct"])
def test_study_runs(name, monkeypatch, capsys):
    monkeypatch.setattr(bump_hunt_coverage, "N_EVENTS", 3000)
    monkeypatch.setattr(bump_hunt_coverage, "N_SIGNAL", (0, 60))
    hunt = hunts()[name].set_params(n_folds=2, efficiencies=(1.0, 0.1))
    with pytest.warns(LowStatisticsWarning, match="calibration from 3 pseudo-experiments"):
        report = coverage(name, hunt, 6, 1)
    for efficiency in ("1", "0.1"):
        summary = report[efficiency]
        assert summary["experiments"] == 6
        assert 0.5 < summary["background_over_observed"] < 1.5
        assert 0 <= summary["ks_p"] <= 1
    assert name in capsys.readouterr().out
    curve = power(name, hunt, 3, 1)["0.1"]
    assert curve[60]["z_median"] > curve[0]["z_median"] + 1


def test_recorded_tables_are_those_of_the_recorded_results():
    report = json.loads(bump_hunt_coverage.RESULTS.read_text())
    written = bump_hunt_coverage.RESULTS.with_suffix(".md").read_text()
    assert bump_hunt_coverage.tables(report) == written
    assert "| mixtures, direct | 0.1 | 143 | 0.99 | 0.19 | 1.27 ± 0.05 | 15.0 % |" in written
