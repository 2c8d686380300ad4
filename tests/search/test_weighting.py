"""Counting with weights in place of a cut."""

import numpy as np
import pandas as pd
import pytest
from fast_detectors import MixtureRatio
from scipy import stats
from sklearn.base import clone
from sklearn.naive_bayes import GaussianNB

from skad.datasets import make_resonance
from skad.resonant import Sidebands, SignalRegion, TemplateDetector
from skad.search import (
    BumpHunt,
    GlobalCalibration,
    SignificanceCalibration,
    fit_spectrum,
    local_significance,
)
from skad.search._sculpting import Beside

REGION = SignalRegion(3.3, 3.7)
OPTIONS = {"n_parameters": 3, "random_state": 0, "n_global_toys": 1000, "n_folds": 3}


def events(n_signal, n_background=12_000, seed=0):
    return make_resonance(n_background, n_signal, n_features=3, random_state=seed).data


def naive_bayes():
    return TemplateDetector(Sidebands(REGION), GaussianNB(), cv=None)


def hunt(efficiencies=(0.3,), **options):
    return BumpHunt(
        naive_bayes(), [REGION], efficiencies=efficiencies, weighting="excess", **OPTIONS | options
    )


@pytest.fixture(scope="module")
def fitted():
    return hunt((1.0, 0.3), keep_detectors=True).fit(events(60))


def test_a_row_is_made_of_weighted_counts(fitted):
    m, counts, row = events(60)[:, 0], fitted.counts_[1], fitted.results_.loc[1]
    inside = REGION.mask(m)
    assert row["n_observed"] == pytest.approx(counts[inside].sum())
    edges = fitted.fits_[1].edges
    beside = ~inside & (m >= edges[0]) & (m <= edges[-1])
    # Of the sidebands, for all bins: what the background weighs.
    assert row["scale"] == pytest.approx((counts[beside] ** 2).sum() / counts[beside].sum())
    sums = np.histogram(m, edges, weights=counts)[0]
    variances = row["scale"] * sums
    fit = fit_spectrum(sums, edges, exclude=REGION, n_parameters=3, variances=variances)
    background, stat = fit.yield_in(3.3, 3.7)
    assert (row["background"], row["stat"]) == pytest.approx((background, stat))
    # Folds that learn from each other count half of the variance twice.
    twice = 0.5 * (background * row["scale"] + stat**2)
    assert row["syst"] == pytest.approx(np.sqrt(twice))
    scaled = np.array([row["n_observed"], background, np.sqrt(stat**2 + twice)]) / row["scale"]
    assert row["z_local"] == pytest.approx(local_significance(*scaled))
    # The unit: as many as would pass the cut.
    assert row["n_selected"] == pytest.approx(0.3 * np.isfinite(fitted.scores_[0]).sum(), rel=0.01)
    assert np.array_equal(fitted.selected_[1], counts > 0)
    assert fitted.results_["scale"][0] == 1


def test_what_an_event_counts_is_its_excess(fitted):
    detectors = [members[0] for members in fitted.detectors_[0]]
    fresh = events(500, seed=1)
    share = fitted.select(fresh)[1]
    expected = np.zeros(len(fresh))
    for fold, detector in enumerate(detectors):
        threshold = fitted.thresholds_[1, fold]
        mine = np.flatnonzero(fitted.scores_[0] == detector.anomaly_score(events(60)))
        excess = np.maximum(fitted.scores_[0][mine] - threshold, 0)
        unit = excess[excess > 0].mean()
        assert fitted.counts_[1][mine] == pytest.approx(excess / unit)
        expected += np.maximum(detector.anomaly_score(fresh) - threshold, 0) / unit / 3
    in_range = REGION.mask(fresh) | REGION.sideband_mask(fresh)
    assert share == pytest.approx(expected * in_range)


def test_weights_find_more_than_the_cut():
    gains = []
    for seed in range(4):
        weighted = hunt((0.3,)).fit(events(110, seed=seed))
        cut = clone(weighted).set_params(weighting=None, efficiencies=(0.1, 0.01))
        best = cut.fit(events(110, seed=seed)).results_["z_local"].max()
        gains.append(weighted.results_["z_local"][0] / best)
    assert np.median(gains) > 1


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
def test_too_few_effective_events_are_refused():
    rows = hunt((0.3, 0.004)).fit(events(0, 6000)).results_
    assert rows["trusted"][0]
    expected = rows["background"][1] / rows["scale"][1]
    assert expected < 10 and not rows["trusted"][1]
    why = f"the weights in the region are worth {expected:.1f} events, fewer than 10"
    assert rows["reason"][1] in (why,) or "in the sidebands, fewer than 25" in rows["reason"][1]


def test_direct_background_of_weights():
    search = BumpHunt(
        MixtureRatio(), [REGION], efficiencies=(0.3,), background="direct", weighting="excess",
        **OPTIONS,
    ).fit(events(0))  # fmt: skip
    row = search.results_.loc[0]
    assert row["method"] == "direct"
    assert row["background"] == pytest.approx(row["n_observed"], abs=4 * np.sqrt(row["n_observed"]))
    assert abs(row["z_raw"]) < 3


def test_a_calibration_takes_the_place_of_the_assumed_part():
    """What folds count twice is assumed once, or measured, never both."""
    X = events(60)
    assumed = hunt((0.3,)).fit(X)
    row = assumed.results_.loc[0]
    counts = row["n_observed"] / row["scale"], row["background"] / row["scale"]
    errors = np.array([row["stat"], np.hypot(row["stat"], row["syst"])]) / row["scale"]
    expected = local_significance(*counts, errors)
    np.testing.assert_allclose([row["z_raw"], row["z_local"]], expected)
    assert row["z_raw"] > 1.1 * row["z_local"] > 1
    calibration = SignificanceCalibration(0.2, 1.1, 300)
    measured = clone(assumed).set_params(calibration=calibration).fit(X).results_.loc[0]
    assert measured["z_raw"] == row["z_raw"] and measured["syst"] == row["syst"]
    assert measured["z_local"] == pytest.approx((row["z_raw"] - 0.2) / 1.1)
    assert measured["p_local"] == pytest.approx(stats.norm.sf(measured["z_local"]))
    table = pd.concat([assumed.results_.assign(experiment=k) for k in range(60)])
    alone = GlobalCalibration.from_experiments(table)
    assert alone.minima[None][0] == pytest.approx(row["p_local"])
    both = GlobalCalibration.from_experiments(table, calibration)
    assert both.minima[None][0] == pytest.approx(measured["p_local"])


def test_sculpting_by_weights_is_seen():
    rng = np.random.default_rng(0)
    m = rng.uniform(2.5, 5.0, 8000)
    flat = rng.exponential(size=len(m)) * (rng.uniform(size=len(m)) < 0.3)
    region = REGION.resolve(m[:, None])
    # As many events pass at all m, only what they count changes.
    assert Beside(m, region).test(flat).p_value > 0.01
    assert Beside(m, region).test(flat * (1 + 0.3 * (m - 3.5))).p_value < 1e-6
    p_values = [
        Beside(rng.permutation(m), region).test(flat).p_value for _ in range(100)
    ]  # fmt: skip
    assert 0.02 < np.mean(np.array(p_values) < 0.1) < 0.2
