"""The bump hunt: selection, protocol with the detector, p-values, resuming."""

import pickle

import numpy as np
import pandas as pd
import pytest
from fast_detectors import MixtureRatio, TreeHunter
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skad.datasets import make_resonance
from skad.detectors import CWoLaDetector
from skad.exceptions import (
    DomainError,
    LowStatisticsWarning,
    MissingColumnError,
    RegionError,
    SculptingWarning,
)
from skad.resonant import SALAD, Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt, SignificanceCalibration, pseudo_experiments, sideband_background

REGION = SignalRegion(3.3, 3.7)
OPTIONS = {"n_parameters": 3, "random_state": 0, "n_global_toys": 5000}


def events(n_signal=0, n_background=6000, seed=0, **options):
    return make_resonance(n_background, n_signal, random_state=seed, return_X_y=True, **options)


def hunt(detector=None, windows=(REGION,), **options):
    detector = MixtureRatio() if detector is None else detector
    return BumpHunt(detector, windows, **{**OPTIONS, **options})


class Recorder(BaseEstimator):
    """Scores 1 for events it was trained on; keeps what it was given."""

    seen: list = []

    def __init__(self, region=None, resonance=None, random_state=None):
        self.region = region
        self.resonance = resonance
        self.random_state = random_state

    def fit(self, X, y=None):
        self.rows_ = {row.tobytes() for row in np.asarray(X)}
        Recorder.seen.append((self, X, y))
        return self

    def anomaly_score(self, X):
        known = np.array([row.tobytes() in self.rows_ for row in np.asarray(X)], dtype=float)
        return known + np.asarray(X)[:, 2] * 1e-6


@pytest.fixture
def recorder():
    Recorder.seen = []
    return Recorder()


@pytest.mark.parametrize(
    "detector, background",
    [
        (MixtureRatio(), "sideband"),
        (MixtureRatio(), "direct"),
        (TreeHunter(), "sideband"),
    ],
)
def test_finds_the_signal(detector, background):
    X, _ = events(120, 15_000)
    search = hunt(detector, background=background, efficiencies=(1.0, 0.01)).fit(X)
    before, after = search.results_["z_local"]
    assert before < 4
    assert after > 5
    assert search.best_ == 1
    assert search.p_global_ < 1e-5


def test_no_signal_no_discovery():
    search = hunt(windows=SignalRegion.scan(2.9, 4.3, width=0.4), efficiencies=(0.1, 0.01))
    search.fit(events(0, 15_000)[0])
    assert len(search.results_) == 12
    assert search.p_global_ > 0.01
    assert search.results_["z_local"].abs().max() < 3.5


def test_columns_and_attributes():
    search = hunt(efficiencies=(1.0, 0.1), n_toys=2000).fit(events(30)[0])
    row = search.results_.loc[1]
    assert (row["low"], row["high"], row["efficiency"]) == (3.3, 3.7, 0.1)
    assert row["n_selected"] == pytest.approx(600, abs=5)
    assert search.selected_[1].sum() == row["n_selected"]
    assert row["background_efficiency"] == pytest.approx(0.1, abs=0.03)
    assert row["p_toys"] == pytest.approx(row["p_local"], rel=0.3, abs=0.02)
    assert row["p_local"] == pytest.approx(stats.norm.sf(row["z_local"]))
    assert np.isnan(search.results_["sculpting_p"][0]) and 0 <= row["sculpting_p"] <= 1
    assert search.scores_.shape == (1, 6030) and np.isfinite(search.scores_).all()
    assert search.global_["efficiency"].tolist() == [1.0, 0.1]
    assert search.regions_ == [SignalRegion(3.3, 3.7, feature=0)]
    assert search.fits_[1].n_parameters == 3


def test_background_is_that_of_the_merged_selection():
    X, _ = events(30)
    search = hunt(efficiencies=(0.1,)).fit(X)
    estimate = sideband_background(
        X[:, 0], search.selected_[0].astype(float), [0.5], REGION, n_parameters=3
    )
    row = search.results_.loc[0]
    assert row["n_observed"] == estimate.n_observed[0]
    assert row["background"] == pytest.approx(estimate.background[0])
    assert row["stat"] == pytest.approx(estimate.stat[0])
    assert row["z_local"] == pytest.approx(estimate.significance()[0])


def test_no_event_is_scored_by_a_detector_that_saw_it(recorder):
    search = hunt(recorder, efficiencies=(0.1,), n_seeds=2).fit(events()[0])
    assert len(Recorder.seen) == 10
    assert np.nanmax(search.scores_) < 0.5


def test_detector_gets_region_resonance_and_seed(recorder):
    X, _ = events()
    windows = [SignalRegion(0.3, 0.5, quantile=True, sideband_width=0.2), (3.3, 3.7)]
    X = X[:, [1, 0, 2]]
    search = hunt(recorder, windows, resonance=1, n_folds=2, efficiencies=(0.1,)).fit(X)
    given = [detector for detector, _, _ in Recorder.seen]
    assert [detector.region for detector in given] == list(np.repeat(search.regions_, 2))
    assert not given[0].region.quantile
    assert {detector.resonance for detector in given} == {1}
    assert len({detector.random_state for detector in given}) == 4
    # The parameters of the unfitted detector are left alone.
    assert recorder.region is None and recorder.random_state is None
    # Outside region and sidebands of the first window nothing is scored.
    in_range = search.regions_[0].mask(X) | search.regions_[0].sideband_mask(X)
    assert np.array_equal(np.isfinite(search.scores_[0]), in_range)
    assert 0.4 < in_range.mean() < 0.8


def test_detector_without_region_is_blind_to_the_resonance():
    X, _ = events(60)
    search = hunt(IsolationForest(n_estimators=20), n_folds=2, efficiencies=(0.1,)).fit(X)
    moved = X.copy()
    moved[:, 0] = np.random.default_rng(0).permutation(X[:, 0])
    again = clone(search).fit(moved)
    assert np.array_equal(search.scores_, again.scores_)


def test_dataframe_and_column_name(recorder):
    X, _ = events()
    frame = pd.DataFrame(X[:, [1, 0, 2]], columns=["x1", "m", "x2"])
    search = hunt(recorder, resonance="m", n_folds=2, efficiencies=(0.1,)).fit(frame)
    assert isinstance(Recorder.seen[0][1], pd.DataFrame)
    assert search.regions_[0].feature == 1
    blind = hunt(IsolationForest(n_estimators=5), resonance="m", n_folds=2, efficiencies=(0.1,))
    plain = hunt(IsolationForest(n_estimators=5), n_folds=2, efficiencies=(0.1,)).fit(X)
    assert np.array_equal(blind.fit(frame).scores_, plain.scores_)
    with pytest.raises(MissingColumnError, match="resonance='mjj' is not a column"):
        clone(search).set_params(resonance="mjj").fit(frame)


def test_same_result_for_any_number_of_jobs():
    X, _ = events(30)
    before = np.random.get_state()[1].copy()
    search = hunt(n_folds=2, n_seeds=2, efficiencies=(1.0, 0.1), n_toys=100)
    one, two = search.fit(X), clone(search).set_params(n_jobs=2).fit(X)
    pd.testing.assert_frame_equal(one.results_, two.results_, check_exact=True)
    assert np.array_equal(one.scores_, two.scores_) and one.p_global_ == two.p_global_
    assert np.array_equal(before, np.random.get_state()[1])


def test_truth_is_not_read():
    X, y = events(60)
    search = hunt(efficiencies=(0.1,), n_folds=2)
    shuffled = np.random.default_rng(0).permutation(y)
    one, other = search.fit(X, y), clone(search).fit(X, shuffled)
    pd.testing.assert_frame_equal(one.results_, other.results_, check_exact=True)


class Reweighted(TreeHunter):
    """Needs y: 1 = data, 0 = simulation."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X, y):
        Recorder.seen.append((self, X, y))
        return super().fit(X[y == 1])


def test_simulation_trains_and_is_never_counted(recorder):
    data, _ = events(0, 3000)
    simulation, _ = events(0, 1000, seed=1)
    X = np.vstack([data, simulation])
    y = np.repeat([1, 0], [3000, 1000])
    search = hunt(Reweighted(), n_folds=3, efficiencies=(0.1,)).fit(X, y)
    assert [np.bincount(seen).tolist() for _, _, seen in Recorder.seen] == 3 * [[1000, 2000]]
    assert search.scores_.shape == (1, 3000)
    with pytest.raises(ValueError, match="requires y to be passed"):
        clone(search).fit(X)
    with pytest.raises(ValueError, match=r"1 for data and 0 for simulation .* labels 2, 0"):
        clone(search).fit(X, 2 * y)


def test_scores_of_the_seeds_are_averaged():
    X, _ = events()
    search = hunt(TreeHunter(), n_folds=2, n_seeds=3, efficiencies=(0.1,), keep_detectors=True).fit(
        X
    )
    members = search.detectors_[0][0]
    scores = np.mean([member.anomaly_score(X) for member in members], axis=0)
    first = np.isclose(scores, search.scores_[0], rtol=1e-12)
    assert 0.4 < first.mean() < 0.7


def test_seeds_give_a_systematic():
    search = hunt(background="direct", n_folds=2, n_seeds=3, efficiencies=(1.0, 0.1))
    search.set_params(detector=MixtureRatio(n_components=4)).fit(events(0, 3000)[0])
    syst = search.results_["syst"]
    assert syst[0] == 0 and 0 < syst[1] < search.results_["background"][1]


def test_direct_background_of_features_that_move_with_m():
    """The sideband fit is warned about; the direct estimate needs no flat efficiency."""
    X, _ = events(0, 15_000, dependence=1.0)
    with pytest.warns(SculptingWarning, match=r"1 of 2 tests .* worst .* at eff.* sculpts"):
        search = hunt(IsolationForest(n_estimators=20), efficiencies=(1.0, 0.1), n_folds=2).fit(X)
    # A sculpted row is no p-value: it stands in the table and enters nothing.
    assert search.results_["trusted"].tolist() == [True, False]
    assert search.best_ == 0
    assert search.p_global_ == pytest.approx(search.results_["p_local"][0], abs=0.02)


class WidthsSeen(Sidebands):
    """Notes the sidebands that it was fitted with."""

    seen: list = []

    def _fit(self, events, rng):
        super()._fit(events, rng)
        self.seen.append(self.region_.sidebands)


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_windows_decide_the_edges_and_leave_the_width_alone():
    X, _ = events()
    for window, width, found in [
        ((3.0, 3.4), 0.2, ((2.8, 3.0), (3.4, 3.6))),
        (SignalRegion(3.0, 3.4, sideband_width=0.3), None, ((2.7, 3.0), (3.4, 3.7))),
        (SignalRegion(3.0, 3.4, sideband_width=0.3), 0.2, ((2.8, 3.0), (3.4, 3.6))),
    ]:
        WidthsSeen.seen = []
        region = None if width is None else SignalRegion(3.3, 3.7, sideband_width=width)
        detector = TemplateDetector(WidthsSeen(region), GaussianNB(), cv=None)
        hunt(detector, [window], efficiencies=(0.1,), n_folds=2, fit_alpha=0.0).fit(X)
        np.testing.assert_allclose(WidthsSeen.seen, [found, found])
    quantile = SignalRegion(0.4, 0.6, quantile=True, sideband_width=0.1)
    with pytest.raises(RegionError, match="wide in quantiles, which windows of BumpHunt"):
        hunt(TemplateDetector(Sidebands(quantile), GaussianNB(), cv=None)).fit(X)


def test_seeds_of_a_detector_stay_and_copies_count_on():
    X, _ = events()
    Recorder.seen = []
    hunt(Recorder(random_state=7), n_folds=2, n_seeds=3, efficiencies=(0.1,), fit_alpha=0.0).fit(X)
    assert [member.random_state for member, _, _ in Recorder.seen] == [7, 8, 9] * 2


def test_weighted_events_give_honest_significances():
    """Without signal: unit width with weights, and far too wide with weights taken for counts."""
    rng = np.random.default_rng(0)
    region, z = SignalRegion(2.0, 2.5, sideband_width=1.0), []
    for _ in range(60):
        m = 1 + rng.exponential(size=3000)
        weight = rng.choice([0.2, 5.0], size=3000)
        search = BumpHunt(
            IsolationForest(),
            [region],
            efficiencies=(1.0,),
            spectrum="polynomial",
            n_parameters=2,
            fit_range=None,
            n_global_toys=10,
        ).fit(m[:, None], sample_weight=weight)
        row = search.results_.iloc[0]
        z.append([row["z_local"], (row["n_observed"] - row["background"]) / row["stat"]])
    z = np.array(z)
    assert abs(z[:, 0].mean()) < 0.4 and 0.75 < z[:, 0].std() < 1.25
    inside = region.mask(m)
    assert row["n_observed"] == pytest.approx(weight[inside].sum())
    assert row["scale"] == pytest.approx((weight[inside] ** 2).sum() / weight[inside].sum())


def test_the_unit_of_weights_does_not_matter_and_equal_ones_change_nothing():
    X, _ = events(60, 4000)
    search = hunt(background="direct", efficiencies=(0.1,), n_folds=2)
    plain = clone(search).fit(X).results_
    names = ["z_local", "p_local", "fit_p", "sculpting_p", "background_efficiency"]
    for unit in (1.0, 1e-4, 300.0):
        weighted = clone(search).fit(X, sample_weight=np.full(len(X), unit)).results_
        np.testing.assert_allclose(weighted[names], plain[names], rtol=1e-6)
        assert weighted["n_observed"][0] == pytest.approx(unit * plain["n_observed"][0])


def test_few_effective_events_are_not_trusted():
    X, _ = events(0, 4000)
    weight = np.full(len(X), 1e-3)
    weight[:: len(X) // 12] = 1.0
    with pytest.warns(LowStatisticsWarning, match="events pass in the sidebands"):
        search = hunt(IsolationForest(n_estimators=5), efficiencies=(0.5,), n_folds=2).fit(
            X, sample_weight=weight
        )
    assert not search.results_["trusted"][0]


def test_bootstraps_tell_how_well_the_background_is_known():
    """Their spread is about that of the background over other simulation to learn from."""
    options = {"background": "direct", "efficiencies": (0.2,), "n_folds": 2, "n_bootstraps": 8}
    detector = TemplateDetector(SALAD(GaussianNB()), GaussianNB(), cv=None)
    X, _ = events(0, 15_000, dependence=0.5)
    simulation = make_resonance(15_000, 0, dependence=0.3, random_state=1).data
    both, y = np.concatenate([X, simulation]), np.repeat([1, 0], [len(X), len(simulation)])
    with pytest.warns(LowStatisticsWarning, match="learned"):
        row = hunt(detector, **options).fit(both, y).results_.iloc[0]
        without = hunt(detector, **{**options, "n_bootstraps": 0}).fit(both, y).results_.iloc[0]
    assert without["background"] == row["background"]
    # What is there without bootstraps: a quarter of the variance of count and background.
    counted = row["background"] + row["stat"] ** 2
    assert without["syst"] == pytest.approx(0.5 * np.sqrt(counted))
    spread = np.sqrt(row["syst"] ** 2 - without["syst"] ** 2)
    found = []
    for _ in range(12):
        rows = np.random.RandomState(len(found)).randint(len(both), size=len(both))
        template = SALAD(GaussianNB(), region=REGION, random_state=0).fit(both[rows], y[rows])
        sample, weight = template.held_out_background(both, y)
        cut = np.quantile(X[:, 1], 0.8)
        found.append(weight @ (sample[:, 1] > cut) / weight.sum())
    expected = np.std(found) * REGION.mask(X).sum()
    assert 0.3 * expected < spread < 3 * expected


def test_one_bootstrap_has_no_spread():
    with pytest.raises(ValueError, match="n_bootstraps must be 0, or 2 or more"):
        hunt(n_bootstraps=1).fit(events()[0])


def test_too_few_events_to_fit():
    X, _ = events(0, 1000, seed=3)
    with pytest.warns(
        LowStatisticsWarning, match=r"1 of 2 tests.* at efficiency 0.001: too few events pass"
    ):
        search = hunt(efficiencies=(0.1, 0.001), n_folds=2).fit(X)
    assert search.results_["p_local"].isna().tolist() == [False, True]
    assert search.results_["trusted"].tolist() == [True, False]
    assert search.results_["reason"][1] == "too few events pass to estimate the background"
    assert search.fits_[1] is None and search.best_ == 0
    assert np.isnan(search.global_["p_global"][1]) and search.p_global_ <= 1


def test_identical_and_separate_windows_are_correlated_and_not():
    X, _ = events()
    windows = [REGION, REGION, SignalRegion(2.8, 3.0, sideband_width=0.1)]
    search = hunt(windows=windows, efficiencies=(1.0,)).fit(X)
    assert search.correlation_[0, 1] == pytest.approx(1)
    assert search.p_global_ < 3 * search.results_["p_local"].min()
    apart = hunt(
        windows=[SignalRegion(a, a + 0.2, sideband_width=0.2) for a in (2.8, 4.0)],
        efficiencies=(1.0,),
    ).fit(X)
    assert apart.correlation_[0, 1] == 0


def test_global_p_value_is_uniform_and_its_correlation_right():
    """Repeated scans of background alone, against the correlation predicted from one of them."""
    windows = SignalRegion.scan(3.0, 3.8, width=0.5, step=0.1)
    search = hunt(windows=windows, efficiencies=(1.0,), n_global_toys=1000)
    table = pseudo_experiments(search, 120, Falling(), random_state=0)
    z = table.pivot(index="experiment", columns="window", values="z_local")
    assert stats.kstest(table.groupby("experiment")["p_global"].first(), "uniform").pvalue > 0.01
    predicted = search.fit(Falling()(np.random.RandomState(0))).correlation_
    # Neighbours share events, and every window is a sideband of those further away.
    assert predicted[0, 1] > 0.5 and predicted[0, 3] < 0.1
    np.testing.assert_allclose(np.corrcoef(z.T), predicted, atol=3 / np.sqrt(120))


class Falling:
    def __call__(self, random_state):
        return make_resonance(4000, 0, random_state=random_state, return_X_y=True)[0]


def test_calibration():
    z = np.random.default_rng(0).normal(0.3, 1.2, 400)
    calibration = SignificanceCalibration.from_significances(z)
    assert calibration.n_experiments == 400
    assert stats.kstest(calibration.apply(z), "norm").pvalue > 0.2
    X, _ = events(30)
    search = hunt(efficiencies=(0.1,), n_folds=2).fit(X)
    calibrated = clone(search).set_params(calibration=calibration).fit(X)
    raw = search.results_["z_local"][0]
    assert calibrated.results_["z_raw"][0] == raw
    assert calibrated.results_["z_local"][0] == pytest.approx(
        (raw - calibration.mean) / calibration.std
    )
    other = SignificanceCalibration(0.5, 2.0, 100)
    both = {0.1: calibration, 0.3: other}
    search.set_params(efficiencies=(0.1, 0.3), calibration=both).fit(X)
    rows = search.results_.set_index("efficiency")
    for efficiency, own in both.items():
        expected = own.apply(rows["z_raw"][efficiency])
        assert rows["z_local"][efficiency] == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"none for the efficiencies \[0.3\]"):
        search.set_params(calibration={0.1: calibration}).fit(X)
    with pytest.warns(LowStatisticsWarning, match="from 10 pseudo-experiments"):
        SignificanceCalibration.from_significances(z[:10])
    for bad in ([1.0], [*z, np.nan], [*z, -np.inf]):
        with pytest.raises(ValueError, match="at least 2 significances, all finite"):
            SignificanceCalibration.from_significances(bad)


def test_calibration_by_efficiency():
    rng = np.random.default_rng(0)
    loose, tight = rng.normal(0.1, 1.1, 100), rng.normal(1.5, 0.3, 100)
    table = pd.DataFrame({"efficiency": np.repeat([0.1, 0.01], 100), "z_raw": [*loose, *tight]})
    calibrations = SignificanceCalibration.by_efficiency(table)
    assert set(calibrations) == {0.1, 0.01}
    assert calibrations[0.01] == SignificanceCalibration.from_significances(tight)
    assert calibrations[0.1].std == pytest.approx(loose.std(ddof=1))


class NoScores(BaseEstimator):
    def fit(self, X, y=None):
        return self


@pytest.mark.parametrize(
    "error, options, message",
    [
        (ValueError, {"efficiencies": (0.1, 1.5)}, r"fractions in \(0, 1\]"),
        (ValueError, {"efficiencies": ()}, r"fractions in \(0, 1\]"),
        (ValueError, {"windows": []}, "windows holds no signal region"),
        (RegionError, {"windows": [(33, 37)]}, "outside the data"),
        (RegionError, {"windows": [(2.0, 3.0)]}, "the low sideband"),
        (
            TypeError,
            {"detector": NoScores()},
            "needs a detector with anomaly_score or score_samples; NoScores",
        ),
        (
            TypeError,
            {"detector": TreeHunter(), "background": "direct"},
            "held_out_background, .* TreeHunter has none. Take background='sideband'",
        ),
        (
            ValueError,
            {"background": "importance"},
            "'background' parameter .*'importance'",
        ),
        (DomainError, {"sqrt_s": 3.0}, "0 < m < sqrt_s=3; m spans"),
        (
            RegionError,
            {"windows": [SignalRegion(3.0, 3.001, sideband_width=0.001)], "n_folds": 20},
            "none of them in one of the 20 folds",
        ),
        (ValueError, {"checkpoint": "x", "random_state": None}, "checkpoint needs an int"),
        (ValueError, {"background": "fit"}, "'background' parameter of BumpHunt"),
        (ValueError, {"sqrt_s": 0.0}, "'sqrt_s' parameter"),
    ],
)
def test_errors(error, options, message):
    with pytest.raises(error, match=message):
        hunt(**{"efficiencies": (0.1,), **options}).fit(events(0, 3000)[0])


def test_inclusive_search_needs_the_mass_only():
    X, _ = events(100)
    search = hunt(NoScores(), efficiencies=(1.0,)).fit(X[:, :1])
    assert search.results_["n_observed"][0] == REGION.mask(X).sum()
    assert np.isnan(search.scores_).all()


def test_masses_in_another_unit_than_the_collision_energy():
    with pytest.raises(DomainError, match=r"Give sqrt_s in the unit of the masses"):
        hunt(efficiencies=(1.0,), sqrt_s=13000.0).fit(events()[0])


def test_pickles():
    search = hunt(efficiencies=(0.1,), n_folds=2).fit(events()[0])
    again = pickle.loads(pickle.dumps(search))
    pd.testing.assert_frame_equal(again.results_, search.results_, check_exact=True)


def test_a_detector_fitted_before_needs_no_labels():
    """A frozen classifier of simulated signal and background: a dedicated search."""
    X, _ = events(n_background=4000)
    signal, _ = make_resonance(1, 2000, random_state=1, return_X_y=True)
    background, _ = events(n_background=4000, seed=2)
    known = np.concatenate([signal, background])[:, 1:]
    labels = np.repeat([1, 0], [len(signal), len(background)])
    classifier = CWoLaDetector(GaussianNB(), cv=None).fit(known, labels)
    searched = hunt(FrozenEstimator(classifier), efficiencies=(0.1,)).fit(X)
    cut = np.quantile(classifier.anomaly_score(X[:, 1:]), 0.9)
    inside = REGION.mask(X)
    expected = (classifier.anomaly_score(X[inside, 1:]) > cut).sum()
    assert searched.results_["n_observed"].iloc[0] == pytest.approx(expected, abs=10)
    behind = make_pipeline(FunctionTransformer(), FrozenEstimator(classifier))
    again = hunt(behind, efficiencies=(0.1,)).fit(X)
    pd.testing.assert_frame_equal(again.results_, searched.results_)
