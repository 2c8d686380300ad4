"""Templates against the known background of `make_resonance`."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skad.coordinates import LogTransformer
from skad.datasets import make_resonance
from skad.density import FlowDensity, FramedDensity
from skad.exceptions import FiducialWarning, LowStatisticsWarning, RegionError
from skad.metrics import mass_sculpting_chi2
from skad.resonant import (
    ANODE,
    CATHODE,
    CombinedTemplate,
    GivenReference,
    LaCATHODE,
    Sidebands,
    SignalRegion,
)
from skad.resonant._masses import MassSpectrum

REGION = SignalRegion(3.3, 3.7)
FLOW = FlowDensity(n_transforms=2, hidden_layer_sizes=(16,), max_epochs=8, batch_size=512)


def events(n_background=20_000, n_signal=0, seed=0, **options):
    return make_resonance(n_background, n_signal, random_state=seed, return_X_y=True, **options)


def simulation_beside_data(seed=0):
    """Data (y = 1) and a simulation with other features (y = 0)."""
    data, _ = events(seed=seed)
    simulation, _ = events(seed=seed + 1)
    simulation[:, 1:] += 10.0
    X = np.concatenate([data, simulation])
    return X, np.repeat([1, 0], [len(data), len(simulation)])


class TestSidebands:
    def test_each_sideband_weighs_half(self):
        X, _ = events()
        template = Sidebands(REGION).fit(X)
        sample, weight = template.sample_background()
        below = sample[:, 0] < 3.3
        assert below.sum() > 4 * (~below).sum()
        assert weight[below].sum() == pytest.approx(weight[~below].sum())
        assert weight.mean() == pytest.approx(1.0)

    def test_a_linear_dependence_on_m_cancels(self):
        X, _ = events(200_000, dependence=1.0)
        sample, weight = Sidebands(REGION.with_sidebands(0.2)).fit(X).sample_background()
        inside = REGION.mask(X)
        center = X[inside, 1].mean()
        # Half the weight each: the mean of the features is the mean of both sides' means.
        assert np.average(sample[:, 1], weights=weight) == pytest.approx(center, abs=0.02)
        assert abs(sample[:, 1].mean() - center) > 0.04

    def test_event_weights_are_kept(self):
        X, _ = events()
        event_weight = np.random.RandomState(0).uniform(size=len(X))
        sample, weight = Sidebands(REGION).fit(X, sample_weight=event_weight).sample_background()
        given = event_weight[REGION.sideband_mask(X)]
        low = sample[:, 0] < 3.3
        for side in (low, ~low):
            assert np.ptp(weight[side] / given[side]) < 1e-9

    def test_few_are_drawn_without_and_many_with_replacement(self):
        template = Sidebands(REGION.with_sidebands(0.1)).fit(events()[0])
        few, _ = template.sample_background(500, random_state=0)
        many, _ = template.sample_background(100_000, random_state=0)
        assert len(np.unique(few, axis=0)) == 500
        assert len(many) == 100_000
        assert len(np.unique(many, axis=0)) == len(template.events_)

    def test_weights_of_zero_in_one_sideband(self):
        X, _ = events()
        for width in (None, 0.2):
            with pytest.raises(RegionError, match="the low sideband .* holds no event"):
                Sidebands(REGION.with_sidebands(width)).fit(
                    X, sample_weight=(X[:, 0] > 3.3).astype(float)
                )

    def test_window_without_sidebands(self):
        with pytest.raises(RegionError, match="high sideband .* holds no event"):
            Sidebands((4.0, 6.0)).fit(events()[0])


class TestGivenReference:
    def test_the_reference_of_the_region_alone(self):
        X, y = simulation_beside_data()
        template = GivenReference(REGION).fit(X, y)
        sample, weight = template.sample_background()
        expected = X[(y == 0) & REGION.mask(X)]
        np.testing.assert_array_equal(sample, expected)
        np.testing.assert_array_equal(weight, np.ones(len(expected)))

    def test_without_reference_in_the_region(self):
        X, y = simulation_beside_data()
        with pytest.raises(RegionError, match=r"needs simulated events .* there are none"):
            GivenReference(REGION).fit(X, np.where(REGION.mask(X), 1, y))

    @pytest.mark.parametrize(
        "labels, message",
        [(None, "requires y"), (1, "must hold both 1"), (-1, "must be 1 for data")],
    )
    def test_labels_that_say_nothing(self, labels, message):
        X, y = simulation_beside_data()
        wrong = {None: None, 1: np.ones_like(y), -1: 2 * y - 1}[labels]
        with pytest.raises(ValueError, match=message):
            GivenReference(REGION).fit(X, wrong)

    def test_all_weights_zero(self):
        X, y = simulation_beside_data()
        with pytest.raises(ValueError, match="zero for every reference event"):
            GivenReference(REGION).fit(X, y, sample_weight=y.astype(float))


class TestFewEvents:
    def test_masses_in_another_unit_than_the_sidebands(self):
        """Two sideband events between 3300.0 and 3300.2 are no template."""
        X, _ = events()
        X[:, 0] *= 1000.0
        region = SignalRegion(3300.0, 3700.0, sideband_width=0.2)
        n = region.sideband_mask(X).sum()
        assert 0 < n < 50
        with pytest.warns(LowStatisticsWarning, match=f"Sidebands is made from {n} data events"):
            Sidebands(region).fit(X)

    def test_of_a_simulation(self):
        X, y = simulation_beside_data()
        few = (y == 1) | ~REGION.mask(X) | (np.arange(len(X)) % 100 == 0)
        n = (few & (y == 0) & REGION.mask(X)).sum()
        with pytest.warns(LowStatisticsWarning, match=f"is made from {n} simulated events of the"):
            GivenReference(REGION).fit(X[few], y[few])

    def test_of_a_member(self):
        X, _ = events(2500)
        member = Sidebands(REGION.with_sidebands(0.05))
        with pytest.warns(LowStatisticsWarning) as warned:
            CombinedTemplate([("few", member), ("many", Sidebands(REGION))]).fit(X)
        assert [str(w.message).split(" is made")[0] for w in warned] == ["Sidebands"]


class TestMassSpectrum:
    @pytest.mark.parametrize("kind", ["observed", "kde", "fit"])
    def test_draws_follow_the_spectrum(self, kind):
        X, _ = events(100_000)
        template = Sidebands(REGION)
        spectrum = MassSpectrum(kind, template._read_events(X), template.region_)
        drawn = spectrum.draw(20_000, np.random.RandomState(1))
        assert ((drawn >= 3.3) & (drawn < 3.7)).all()
        exact = stats.truncexpon(b=0.4 / 0.7, loc=3.3, scale=0.7)
        # 15 000 observed and 20 000 drawn masses.
        assert stats.kstest(drawn, exact.cdf).statistic < 0.02

    def test_only_the_fit_ignores_a_peak_in_the_region(self):
        X, _ = events(20_000, 2000)
        template = Sidebands(REGION)
        read = template._read_events(X)
        at_peak = {}
        for kind in ("observed", "kde", "fit"):
            drawn = MassSpectrum(kind, read, REGION).draw(20_000, np.random.RandomState(0))
            at_peak[kind] = np.mean(abs(drawn - 3.5) < 0.1)
        assert at_peak["fit"] < 0.55
        assert min(at_peak["observed"], at_peak["kde"]) > 0.65


class TestCATHODE:
    def test_the_density_is_interpolated_in_m(self):
        X, _ = events(30_000, dependence=1.5)
        template = CATHODE(FLOW, region=REGION, random_state=0).fit(X)
        sample, weight = template.sample_background(20_000, random_state=0)
        truth, _ = events(100_000, seed=9, dependence=1.5)
        truth = truth[REGION.mask(truth)]
        np.testing.assert_array_equal(weight, 1.0)
        for column in (1, 2):
            assert stats.ks_2samp(sample[:, column], truth[:, column]).statistic < 0.04
        slope = np.polyfit(sample[:, 0] - 3.5, sample[:, 1], 1)[0]
        assert slope == pytest.approx(1.5, abs=0.35)

    def test_events_of_the_region_are_not_read(self):
        X, _ = events()
        changed = X.copy()
        changed[REGION.mask(X), 1:] += 5.0
        draws = [
            CATHODE(FLOW, region=REGION, random_state=0).fit(Z).sample_background(500, 0)[0]
            for Z in (X, changed)
        ]
        np.testing.assert_array_equal(*draws)

    def test_samples_outside_the_support_are_reported(self):
        """A density that is too wide: a normal distribution for a bounded feature."""
        X, _ = events(5000)
        X[:, 1:] = np.clip(X[:, 1:], -1.0, 1.0) + 1e-3 * X[:, 1:]
        flow = FlowDensity("maf", n_transforms=1, hidden_layer_sizes=(4,), max_epochs=1)
        template = CATHODE(flow, region=REGION, random_state=0).fit(X)
        with pytest.warns(FiducialWarning, match="of 1000 events lie outside"):
            sample, _ = template.sample_background(1000, random_state=0)
        outside = (abs(sample[:, 1:]) > abs(X[:, 1:]).max()).any(axis=1)
        assert (~template.fiducial_mask(sample)).sum() >= outside.sum() > 50

    def test_natural_size(self):
        X, _ = events(5000)
        template = CATHODE(FLOW, region=REGION, oversampling=2.5, random_state=0).fit(X)
        assert len(template.sample_background()[0]) == round(2.5 * REGION.mask(X).sum())

    def test_resonance_by_name_and_coordinates_of_a_data_frame(self):
        X, _ = events(5000)
        frame = pd.DataFrame({"x1": np.exp(X[:, 1]), "mjj": X[:, 0], "x2": np.exp(X[:, 2])})
        template = CATHODE(
            FLOW, region=REGION, resonance="mjj", coordinates=LogTransformer(), random_state=0
        ).fit(frame)
        sample, _ = template.sample_background(1000, random_state=0)
        assert REGION.mask(sample[:, 1]).all()
        assert (sample[:, [0, 2]] > 0).all()

    def test_a_density_without_conditions(self):
        from sklearn.neighbors import KernelDensity

        with pytest.raises(TypeError, match="density must be conditional"):
            CATHODE(KernelDensity(), region=REGION).fit(events(2000)[0])

    def test_a_fitted_density_is_used_as_it_is(self):
        X, _ = events()
        anode = ANODE(FLOW, FLOW, region=REGION, random_state=0).fit(X)
        given = FrozenEstimator(anode.background_density_)
        template = CATHODE(given, region=REGION).fit(X)
        mine, theirs = (d.score_samples(X[:100]) for d in (template.density_, given))
        np.testing.assert_array_equal(mine, theirs)
        sample, _ = template.sample_background(20_000, random_state=0)
        inside = REGION.mask(X)
        assert stats.ks_2samp(sample[:, 1], X[inside, 1]).statistic < 0.05

    def test_a_fitted_density_must_be_conditional_on_m(self):
        X, _ = events(2000)
        wrong = FramedDensity(None, clone(FLOW).set_params(max_epochs=1)).fit(X)
        with pytest.raises(ValueError, match="density must be conditional on the resonant"):
            CATHODE(FrozenEstimator(wrong), region=REGION).fit(X)


class TestLaCATHODE:
    @pytest.fixture(scope="class")
    @staticmethod
    def fitted():
        X, _ = events(30_000, dependence=4.0)
        return LaCATHODE(FLOW, region=REGION, random_state=0).fit(X)

    def test_background_is_normal_and_independent_of_m_in_latent_space(self, fitted):
        background, _ = events(100_000, seed=7, dependence=4.0)
        background = background[REGION.mask(background)]
        latent = fitted.transform(background)
        np.testing.assert_array_equal(latent[:, 0], background[:, 0])
        assert np.corrcoef(background[:, 0], background[:, 1])[0, 1] > 0.3
        for column in (1, 2):
            assert stats.kstest(latent[:, column], "norm").statistic < 0.06
            assert abs(np.corrcoef(latent[:, 0], latent[:, column])[0, 1]) < 0.1

    def test_samples_are_normal_noise_mapped_back(self, fitted):
        sample, _ = fitted.sample_background(5000, random_state=0)
        latent = fitted.transform(sample)
        for column in (1, 2):
            assert stats.kstest(latent[:, column], "norm").pvalue > 1e-3

    def test_events_outside_the_support_are_counted(self, fitted):
        X, _ = events(1000, dependence=4.0)
        X[:100, 1] = 50.0
        with pytest.warns(FiducialWarning, match="1[0-9][0-9] of 1000 events lie outside"):
            fitted.transform(X)

    def test_a_density_without_latent_space(self):
        class Conditional(FlowDensity):
            transform = inverse_transform = property()

        density = Conditional(n_transforms=1, max_epochs=1)
        with pytest.raises(TypeError, match="has no latent space"):
            LaCATHODE(density, region=REGION).fit(events(1000)[0])


def test_lacathode_sculpts_less_than_cathode():
    """A feature that moves with m, as delta R does: 3 standard deviations across the region."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from skad.resonant import TemplateDetector

    X, _ = events(25_000, dependence=8.0)
    test, _ = events(150_000, seed=8, dependence=8.0)
    test = test[REGION.mask(test)]
    chi2 = {}
    for kind in (CATHODE, LaCATHODE):
        detector = TemplateDetector(
            kind(FLOW, region=REGION),
            HistGradientBoostingClassifier(max_iter=30),
            cv=None,
            random_state=0,
        ).fit(X)
        scores = detector.anomaly_score(test)
        chi2[kind] = mass_sculpting_chi2(test[:, 0], scores, fraction=0.1, bins=20)
    assert chi2[CATHODE] > 3
    assert chi2[LaCATHODE] < 0.5 * chi2[CATHODE]


def test_sidebands_within_reach():
    X = np.column_stack([np.linspace(2, 5, 3001), np.ones(3001)])
    events, weight = Sidebands((3.0, 3.4), reach=0.5).fit(X).sample_background()
    assert (events[:, 0].min(), events[:, 0].max()) == (2.801, 3.599)
    low = events[:, 0] < 3
    assert weight[low].sum() == pytest.approx(weight[~low].sum())
    with pytest.raises(RegionError, match="within reach=0.001 of its widths; raise reach"):
        Sidebands((3.0005, 3.4005), reach=0.001).fit(X)
