"""SIGMA against known backgrounds, and what a bump hunt shares between its windows."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import solve_ivp
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skad.density import FlowDensity
from skad.resonant import SIGMA, CombinedTemplate, Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt

REGION = (3.0, 3.5)
FLOW = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=12)
SMALL = FlowDensity("maf", n_transforms=1, hidden_layer_sizes=(8,), max_epochs=1)


def spectrum(n=12_000, slope=0.5, seed=0):
    """Events whose feature is normal around ``slope * m``."""
    rng = np.random.default_rng(seed)
    m = 2 + rng.exponential(size=n)
    return np.column_stack([m, rng.normal(slope * m)])


def test_follows_the_masses():
    template = SIGMA(FLOW, region=REGION, random_state=0).fit(spectrum())
    events, weight = template.sample_background(5000, random_state=0)
    assert template.edges_ == pytest.approx((2.875, 3.625))
    assert (weight == 1).all()
    pulls = events[:, 1] - 0.5 * events[:, 0]
    assert abs(pulls.mean()) < 0.06
    assert stats.kstest(pulls - pulls.mean(), "norm").statistic < 0.03
    # Without the interpolation a step of the mean by 0.5 over the region is seen within it.
    low, high = events[events[:, 0] < 3.2, 1].mean(), events[events[:, 0] > 3.3, 1].mean()
    assert 0.02 < high - low < 0.25


@pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning")
def test_what_the_density_learned_of_a_signal_stays_out():
    X = spectrum(20_000, slope=0.0)
    inside = np.flatnonzero((X[:, 0] >= 3.1) & (X[:, 0] < 3.4))
    X[inside[::20], 1] = 6 + 0.1 * X[inside[::20], 1]
    flow = clone(FLOW).set_params(flow_options={"n_frequencies": 4})
    template = SIGMA(flow, region=REGION, margin=0.5, random_state=0).fit(X)
    learned = template.density_.sample(4000, 0, conditions=np.full(4000, 3.25))[:, 1]
    events, _ = template.sample_background(4000, random_state=0)
    assert np.mean(learned > 4.5) > 0.03
    assert np.mean(events[:, 1] > 4.5) < 0.002


def test_events_are_interpolated_between_the_edges():
    template = SIGMA(SMALL, region=REGION, random_state=0).fit(spectrum(2000))
    template.edges_ = (2.9, 3.6)
    events, _ = template.sample_background(200, random_state=1)
    rng = np.random.RandomState(1)
    m = template.masses_.draw(200, rng)
    seed = int(rng.randint(np.iinfo(np.int32).max))
    low, high = (
        template.density_.sample(200, seed, conditions=np.full(200, edge))[:, 1]
        for edge in (2.9, 3.6)
    )
    np.testing.assert_array_equal(events[:, 0], m)
    np.testing.assert_allclose(events[:, 1], low + (m - 2.9) / 0.7 * (high - low))


def test_velocity_between_two_conditions():
    """The ODE of the mixed velocity, against the adaptive solver of scipy."""
    flow = FlowDensity(
        "flow_matching",
        hidden_layer_sizes=(8, 8),
        flow_options={"n_steps": 50},
        condition_features=0,
        max_epochs=10,
        random_state=0,
    )
    density = flow.fit(spectrum(3000))
    sample = density.sample(5, 3, conditions=np.full(5, 3.1), between=(2.5, 3.5))
    network = density.trained_.networks[0][0]
    mean, scale = (getattr(network.features, name).numpy()[0] for name in ("mean", "scale"))
    at_edges = [network._context(torch.full((5, 1), m).double()) for m in (2.5, 3.5)]

    def velocity(t, z):
        z = torch.as_tensor(z[:, None], dtype=torch.float32)
        low, high = (
            network.flow.transforms[0].field.velocity(torch.tensor(t).float(), z, context)
            for context in at_edges
        )
        return (0.4 * low + 0.6 * high)[:, 0].detach().numpy().astype(float)

    at_low = density.sample(5, 3, conditions=np.full(5, 2.5))
    z = density.transform(at_low)[:, 1]
    solved = solve_ivp(velocity, (1.0, 0.0), z, rtol=1e-7, atol=1e-7).y[:, -1]
    np.testing.assert_allclose(sample[:, 1], solved * scale + mean, atol=2e-3)
    edge = density.sample(5, 3, conditions=np.full(5, 2.5), between=(2.5, 3.5))
    np.testing.assert_allclose(edge, at_low, rtol=1e-6)


def test_what_cannot_be_interpolated():
    density = FlowDensity("maf", condition_features=0, max_epochs=1).fit(spectrum(500))
    with pytest.raises(TypeError, match="only a continuous flow has a velocity"):
        density.sample(2, 0, conditions=[3, 3], between=(2, 4))
    with pytest.raises(ValueError, match=r"go from 3 to 5; got \(2, 4\)"):
        density.sample(2, 0, conditions=[3, 5], between=(2, 4))
    with pytest.raises(ValueError, match="has 0 condition_features"):
        FlowDensity("maf", max_epochs=1).fit(spectrum(500)).sample(2, 0, between=(2, 4))


def test_shared_is_the_same_as_ones_own():
    X = spectrum(2000)
    template = SIGMA(SMALL, random_state=3)
    shared = template.fit_shared(X)
    assert not hasattr(template, "region_") and isinstance(shared["shared"], FrozenEstimator)
    for region in (REGION, (2.5, 3.0)):
        own = SIGMA(SMALL, region=region, random_state=3).fit(X).sample_background(50, 0)
        again = SIGMA(SMALL, region=region, random_state=3, **shared).fit(X)
        np.testing.assert_array_equal(again.sample_background(50, 0)[0], own[0])


def test_shared_of_other_columns():
    shared = SIGMA(SMALL, resonance=1).fit_shared(spectrum(1000))
    with pytest.raises(ValueError, match="a fitted shared must be conditional on the resonant"):
        SIGMA(region=REGION, **shared).fit(spectrum(1000))


class Recording(SIGMA):
    """Remembers the rows of each shared training."""

    seen: list = []

    def fit_shared(self, X, y=None, sample_weight=None):
        self.seen.append(np.sort(np.asarray(X)[:, 0]))
        return super().fit_shared(X, y, sample_weight)


def hunt(template, windows, **options):
    detector = TemplateDetector(template, LogisticRegression(), cv=None)
    return BumpHunt(
        detector,
        windows,
        efficiencies=(0.2,),
        n_folds=2,
        n_global_toys=100,
        spectrum="polynomial",
        random_state=0,
        **options,
    )


@pytest.mark.filterwarnings("ignore")
def test_windows_share_one_training_per_fold():
    X = spectrum(3000)
    windows = SignalRegion.scan(2.5, 4.0, width=0.5)
    Recording.seen.clear()
    every = hunt(Recording(SMALL), windows, n_seeds=2).fit(X)
    assert len(Recording.seen) == 4
    folds = [Recording.seen[0], Recording.seen[2]]
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.sort(X[:, 0]))
    np.testing.assert_array_equal(Recording.seen[0], Recording.seen[1])
    assert np.isfinite(every.scores_).any(axis=1).all()
    # A template that shares nothing trains in each window; the first one has the same seeds.
    Recording.seen.clear()
    first = hunt(SIGMA(SMALL), windows[:1]).fit(X)
    np.testing.assert_array_equal(
        hunt(SIGMA(SMALL), windows).fit(X).scores_[0][first.scores_[0] > 0],
        first.scores_[0][first.scores_[0] > 0],
    )


@pytest.mark.filterwarnings("ignore")
def test_combined_and_resampled():
    X = spectrum(3000)
    combined = CombinedTemplate(
        [("sigma", SIGMA(SMALL)), ("sidebands", Sidebands())], random_state=0
    )
    detector = TemplateDetector(combined, LogisticRegression(), cv=None, random_state=0)
    shared = detector.fit_shared(X)
    assert list(shared) == ["template__sigma__shared"]
    detector.set_params(
        **shared, template__sigma__region=REGION, template__sidebands__region=REGION
    ).fit(X)
    frozen = shared["template__sigma__shared"].estimator
    assert detector.template_.templates_[0].density_ is frozen
    # Resampled events train anew, and the caller's detector stays as it was.
    other = detector.refit_background(X[::2], random_state=0)
    assert other.template_.templates_[0].density_ is not frozen
    assert detector.template.templates[0][1].shared is shared["template__sigma__shared"]
