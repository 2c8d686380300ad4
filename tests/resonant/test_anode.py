"""ANODE against the exact ratio of `make_resonance`."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from skad.coordinates import LogitTransformer
from skad.datasets import make_resonance
from skad.density import FlowDensity, FramedDensity
from skad.exceptions import FiducialWarning, LowStatisticsWarning
from skad.resonant import ANODE, SignalRegion
from skad.search import BumpHunt

# Fresh events may lie beyond the range of the training events, and the samples are small.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.* events lie outside:skad.exceptions.FiducialWarning"),
    pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning"),
]

REGION = SignalRegion(3.3, 3.7)
FLOW = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=6)


class ExactDensity(BaseEstimator):
    """p(x|m) of `make_resonance`, which has nothing to learn."""

    def __init__(self, kind="background", condition_features=None):
        self.kind = kind
        self.condition_features = condition_features

    def fit(self, X, sample_weight=None):
        self.exact_ = make_resonance(20_000, 400, width=0.1, random_state=0)
        self.n_fitted_, self.weight_ = len(X), sample_weight
        return self

    def score_samples(self, X):
        X = np.asarray(X)
        log_density = self.exact_.log_density_background(X)
        return log_density + (self.exact_.log_data_ratio(X) if self.kind == "data" else 0.0)

    def sample(self, n_samples, random_state=None, *, conditions=None):
        x = np.random.RandomState(random_state.randint(2**31)).normal(size=(n_samples, 2))
        return np.column_stack([conditions, x])


EXACT = ANODE(
    ExactDensity("data"), ExactDensity(), region=REGION, coordinates="passthrough", random_state=0
)


@pytest.fixture(scope="module")
def resonance():
    return make_resonance(20_000, 400, width=0.1, random_state=0)


@pytest.fixture(scope="module")
def learned(resonance):
    data_density = FlowDensity(
        n_transforms=1, hidden_layer_sizes=(32,), max_epochs=15, batch_size=128, n_estimators=3
    )
    return ANODE(data_density, FLOW, region=REGION, cv=None, random_state=0).fit(resonance.data)


class TestRatio:
    def test_of_exact_densities(self, resonance):
        detector = EXACT.fit(resonance.data)
        X = resonance.data[REGION.mask(resonance.data)]
        exact = resonance.log_data_ratio(X)
        np.testing.assert_allclose(detector.log_density_ratio(X), exact, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.log(detector.anomaly_score(X)), exact, atol=1e-9)
        np.testing.assert_allclose(detector.score_samples(X), -exact, atol=1e-9)

    def test_outside_the_region_is_read_all_over_it(self, resonance):
        detector = EXACT.fit(resonance.data)
        m = np.random.RandomState(0).uniform(2.6, 3.3, 2000)
        events = np.column_stack([m, np.full((2000, 2), 1.5)])
        ratio = detector.log_density_ratio(events)
        within = np.column_stack([np.linspace(3.3, 3.7, 2001)[:-1], np.full((2000, 2), 1.5)])
        # The same numbers as from masses spread evenly over the region, and in no order of m.
        everywhere = detector.log_density_ratio(within)
        assert stats.ks_2samp(ratio, everywhere).pvalue > 0.01
        assert abs(stats.spearmanr(ratio, m).statistic) < 0.1
        np.testing.assert_array_equal(ratio[:7], detector.log_density_ratio(events[:7]))

    def test_learned_with_flows(self, resonance, learned):
        fresh = make_resonance(40_000, 2000, width=0.1, random_state=1)
        X = fresh.data[REGION.mask(fresh.data)]
        X = X[learned.fiducial_mask(X)]
        exact = resonance.log_data_ratio(X)
        log_ratio = learned.log_density_ratio(X)
        signal = exact > 1
        # Off the signal R is one; where the signal sits it rises by about its exact height.
        assert abs(np.median(log_ratio[~signal])) < 0.1
        assert np.median(log_ratio[signal]) == pytest.approx(np.median(exact[signal]), abs=0.7)
        assert np.corrcoef(log_ratio, exact)[0, 1] > 0.7

    def test_of_events_beyond_float(self, resonance):
        far = np.array([[3.5, 1e3, 1e3]])
        score = EXACT.fit(resonance.data).anomaly_score(far)
        assert score[0] > 0 and np.isfinite(np.log(score[0]))


class TestJacobian:
    def test_cancels_between_two_frames(self, resonance, learned):
        """Both densities read in X and in other coordinates: each changes, R does not."""
        X = resonance.data[REGION.mask(resonance.data)][:500]
        frame = LogitTransformer(margin=0.5).fit(resonance.data[:, 1:])
        Z = np.column_stack([X[:, 0], frame.transform(X[:, 1:])])
        data, background = learned.data_density_, learned.background_density_
        in_frame = (
            data.in_frame(frame).score_samples(Z),
            background.in_frame(frame).score_samples(Z),
        )
        assert np.abs(in_frame[0] - data.score_samples(X)).min() > 0.1
        np.testing.assert_allclose(
            in_frame[0] - in_frame[1], learned.log_density_ratio(X), atol=1e-5
        )

    def test_cancels_in_fits_in_two_units(self, resonance):
        X = resonance.data
        first = ANODE(FLOW, FLOW, region=REGION, coordinates="passthrough", cv=None, random_state=0)
        second = clone(first).set_params(coordinates=StandardScaler())
        inside = REGION.mask(X)
        a, b = (d.fit(X).log_density_ratio(X[inside]) for d in (first, second))
        densities = first.data_density_, second.data_density_
        log_p = [density.score_samples(X[inside]) for density in densities]
        np.testing.assert_allclose(a, b, atol=1e-2)
        np.testing.assert_allclose(*log_p, atol=1e-2)

    def test_fitted_coordinates_are_kept(self, resonance, learned):
        """Two fits on parts of the events share one frame when it comes fitted."""
        X = resonance.data
        shared = FrozenEstimator(learned.coordinates_)
        half = clone(learned).set_params(coordinates=shared).fit(X[::2])
        assert half.coordinates_.estimator is learned.coordinates_
        assert np.isfinite(half.log_density_ratio(X[REGION.mask(X)])).all()


class TestFiducial:
    def test_events_outside_are_reported_and_left_out(self, resonance):
        X = resonance.data
        detector = clone(EXACT).set_params(fiducial=(0.3, 0.7))
        with pytest.warns(FiducialWarning, match="of 20400 training events"):
            detector.fit(X)
        features = X[:, 1:]
        lowest, highest = features.min(axis=0), features.max(axis=0)
        scaled = (features - lowest) / (highest - lowest)
        expected = ((scaled > 0.3) & (scaled < 0.7)).all(axis=1)
        np.testing.assert_array_equal(detector.fiducial_mask(X), expected)
        assert detector.n_outside_ == (~expected).sum()
        inside = REGION.mask(X)
        assert detector.data_density_.density_.n_fitted_ == (expected & inside).sum()
        assert detector.background_density_.density_.n_fitted_ == (expected & ~inside).sum()
        with pytest.warns(FiducialWarning, match=f"{(~expected).sum()} of 20400"):
            scores = detector.anomaly_score(X)
        assert scores[~expected].max() < 1e-300 < 1e-3 < scores[expected].min()
        assert (scores > 0).all()

    def test_background_efficiency_refers_to_all_events(self, resonance):
        X = resonance.data
        with pytest.warns(FiducialWarning):
            detector = clone(EXACT).set_params(fiducial=(0.3, 0.7)).fit(X)
        sample, weight = detector.sample_background(20_000, random_state=0)
        of_region = detector.fiducial_mask(X[REGION.mask(X)]).mean()
        assert detector.fiducial_mask(sample).mean() == pytest.approx(of_region, abs=1e-4)
        assert (weight == 1).all() and REGION.mask(sample).all()

    def test_logit_has_no_place_for_events_beyond_its_range(self, resonance, learned):
        beyond = resonance.data[:2].copy()
        beyond[0, 1] = resonance.data[:, 1].max() + 5
        with pytest.warns(FiducialWarning, match="1 of 2"):
            scores = learned.anomaly_score(beyond)
        assert scores[0] < 1e-300 < scores[1]

    @pytest.mark.parametrize("fiducial", [(0.5,), (0.9, 0.1), (-0.1, 1.0)])
    def test_refused(self, resonance, fiducial):
        with pytest.raises(ValueError, match="fiducial must be None or"):
            clone(EXACT).set_params(fiducial=fiducial).fit(resonance.data)

    def test_must_hold_events(self, resonance):
        with (
            pytest.warns(FiducialWarning),
            pytest.raises(ValueError, match="at least 4 events in the signal region for cv=3"),
        ):
            clone(EXACT).set_params(fiducial=(0.0, 1e-6)).fit(resonance.data)


class TestFit:
    def test_truth_is_not_read(self, resonance, learned):
        again = clone(learned).fit(resonance.data, np.random.RandomState(0).permutation(20_400) % 2)
        X = resonance.data[:100]
        np.testing.assert_array_equal(again.score_samples(X), learned.score_samples(X))

    def test_weights_select_events(self, resonance):
        """Signal events of weight zero are not learned."""
        X, truth = resonance.data, resonance.target
        with_zero = ANODE(FLOW, FLOW, region=REGION, random_state=0).fit(
            X, sample_weight=np.where(truth == 1, 0.0, 1.0)
        )
        inside = REGION.mask(X)
        peak = np.array([[3.5, 1.5, 1.5]])
        assert abs(with_zero.log_density_ratio(peak)[0]) < 0.5
        assert with_zero.n_region_events_ == (inside & (truth == 0)).sum()

    def test_data_frame(self, resonance, learned):
        frame = pd.DataFrame(resonance.data, columns=["m", "a", "b"])[["a", "m", "b"]]
        detector = clone(learned).set_params(resonance="m").fit(frame)
        assert detector.resonance_index_ == 1
        scores = detector.score_samples(frame[:100])
        np.testing.assert_array_equal(scores, learned.score_samples(resonance.data[:100]))

    def test_a_fitted_background_is_used_as_it_is(self, resonance, learned):
        given = FrozenEstimator(learned.background_density_)
        detector = ANODE(ExactDensity("data"), given, region=REGION, random_state=0)
        detector.fit(resonance.data)
        assert detector.background_density_ is learned.background_density_

    def test_a_fitted_background_must_be_conditional_on_m(self, resonance):
        wrong = FramedDensity(None, clone(FLOW).set_params(max_epochs=1)).fit(resonance.data[:500])
        with pytest.raises(ValueError, match="conditional on the resonant feature alone"):
            ANODE(FLOW, FrozenEstimator(wrong), region=REGION).fit(resonance.data)

    def test_few_events_are_reported(self, resonance):
        with pytest.warns(LowStatisticsWarning, match="signal region"):
            clone(EXACT).fit(resonance.data[:2000])

    def test_training_scores_are_out_of_fold(self, resonance):
        """Without signal no more than its share of a region may pass a cut on own events."""
        X = make_resonance(3000, 0, n_features=4, random_state=0).data
        inside = REGION.mask(X)
        flow = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(32,), max_epochs=60)
        with pytest.warns(LowStatisticsWarning):
            detector = ANODE(flow, flow, region=REGION, contamination=0.05, random_state=0).fit(X)
        auc_in = roc_auc_score(inside, detector.anomaly_score(X))
        auc_out = roc_auc_score(inside, detector.training_scores_)
        assert auc_in > 0.6 and abs(auc_out - 0.5) < 0.05
        with pytest.warns(LowStatisticsWarning):
            labels = clone(detector).fit_predict(X)
        assert (labels == -1).mean() == pytest.approx(0.05, abs=2e-3)
        np.testing.assert_array_equal(
            labels == -1, -np.log(detector.training_scores_) < detector.offset_
        )

    def test_training_scores_in_sample(self, resonance):
        detector = clone(EXACT).set_params(cv=None).fit(resonance.data)
        np.testing.assert_allclose(
            detector.training_scores_, detector.anomaly_score(resonance.data)
        )

    def test_contamination_and_threshold(self, resonance):
        X = resonance.data
        detector = clone(EXACT).set_params(contamination=0.02).fit(X)
        assert (detector.predict(X) == -1).mean() == pytest.approx(0.02, abs=1e-3)
        detector.set_params(threshold=2.0).fit(X)
        np.testing.assert_array_equal(detector.predict(X) == -1, detector.anomaly_score(X) > 2.0)


class TestBackground:
    def test_sample_follows_the_interpolated_density(self, resonance, learned):
        sample, weight = learned.sample_background(4000, random_state=0)
        again, _ = learned.sample_background(4000, random_state=0)
        np.testing.assert_array_equal(sample, again)
        assert REGION.mask(sample).all() and (weight == 1).all()
        for i in (1, 2):
            assert stats.kstest(sample[:, i], "norm").statistic < 0.05
        observed = resonance.data[REGION.mask(resonance.data), 0]
        assert stats.ks_2samp(sample[:, 0], observed).pvalue > 0.01
        assert len(learned.sample_background()[0]) == 4 * learned.n_region_events_

    def test_in_a_bump_hunt(self):
        resonance = make_resonance(10_000, 300, random_state=2)
        hunt = BumpHunt(
            EXACT,
            [REGION],
            efficiencies=(0.05,),
            n_folds=2,
            background="direct",
            spectrum="polynomial",
            n_samples=50_000,
            random_state=0,
        ).fit(resonance.data)
        row = hunt.results_.iloc[0]
        passed = hunt.selected_[0] & REGION.mask(resonance.data)
        true = (passed & (resonance.target == 0)).sum()
        # The efficiency of the background is applied to all events, the signal among them.
        signal = (resonance.target[REGION.mask(resonance.data)] == 1).mean()
        expected = true * (1 + signal)
        assert row["background"] == pytest.approx(expected, abs=3.5 * row["stat"] + 3.5 * true**0.5)
        assert row["z_local"] > 4

    def test_ratio_finds_the_signal(self, resonance, learned):
        fresh = make_resonance(20_000, 1000, width=0.1, random_state=3)
        inside = REGION.mask(fresh.data)
        exact = roc_auc_score(fresh.target[inside], fresh.log_likelihood_ratio(fresh.data[inside]))
        auc = roc_auc_score(fresh.target[inside], learned.anomaly_score(fresh.data[inside]))
        assert auc > exact - 0.05
