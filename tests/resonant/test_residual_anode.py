"""ResidualANODE: the fraction it finds, and does not find, on `make_resonance`."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.exceptions import LowStatisticsWarning
from skad.nn import build_flow
from skad.nn._annealing import Annealed
from skad.nn._flow_network import FlowNetwork
from skad.nn._mlp import Standardize
from skad.nn._signal_mixture import SignalMixture
from skad.nn._signal_mixture import mixture_negative_log_likelihood as objective_of
from skad.resonant import ResidualANODE, SignalRegion
from skad.search import BumpHunt

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* events lie outside:skad.exceptions.FiducialWarning"),
    pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning"),
]

REGION = SignalRegion(3.3, 3.7)
SIGNAL = FlowDensity(
    "maf",
    n_transforms=2,
    hidden_layer_sizes=(16,),
    max_epochs=60,
    batch_size=512,
    learning_rate=1e-2,
)


class ExactBackground(BaseEstimator):
    """p(x|m) of the background of `make_resonance`, which has nothing to learn."""

    def __init__(self, condition_features=None):
        self.condition_features = condition_features

    def fit(self, X):
        self.exact_ = make_resonance(10, 0)
        return self

    def score_samples(self, X):
        return self.exact_.log_density_background(np.asarray(X))

    def sample(self, n_samples, random_state, *, conditions=None):
        return np.column_stack([conditions, random_state.normal(size=(n_samples, 2))])


# Known in X, while the signal is learned in logit coordinates.
EXACT = FrozenEstimator(ExactBackground(condition_features=0).fit(None))


def detector(**params):
    return ResidualANODE(SIGNAL, EXACT, region=REGION, random_state=0, **params)


@pytest.fixture(scope="module")
def resonance():
    return make_resonance(20_000, 150, random_state=0)


@pytest.fixture(scope="module")
def fitted(resonance):
    return detector().fit(resonance.data)


class TestFraction:
    def test_is_found(self, resonance, fitted):
        truth = resonance.target[REGION.mask(resonance.data)]
        assert fitted.signal_gain_ > 50
        # Background that the flow takes along only moves it up, by as much again at most.
        assert 0.7 * truth.mean() < fitted.signal_fraction_ < 2 * truth.mean()
        assert 0 < fitted.signal_fraction_error_ < 0.3 * truth.mean()

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_is_compatible_with_none_without_a_signal(self, seed):
        X, _ = make_resonance(20_000, 0, random_state=seed, return_X_y=True)
        fit = detector().set_params(random_state=seed).fit(X)
        assert 0 <= fit.signal_fraction_ < 0.02
        assert 0 <= fit.signal_gain_ < 9

    def test_a_single_event_in_the_tails_is_no_signal(self):
        """There a learned density is wrong by many orders of magnitude."""
        X, _ = make_resonance(20_000, 0, random_state=1, return_X_y=True)
        x = np.sort(X[REGION.mask(X), 1])

        class WrongTail(ExactBackground):
            def score_samples(self, X):
                return np.where(X[:, 1] > x[-4:-2].mean(), -60.0, super().score_samples(X))

        wrong = FrozenEstimator(WrongTail(condition_features=0).fit(None))
        fit = ResidualANODE(SIGNAL, wrong, region=REGION, random_state=1).fit(X)
        assert fit.signal_gain_ < 9

    def test_maximises_the_held_out_likelihood(self, resonance, fitted):
        inside = REGION.mask(resonance.data)
        excess = fitted.training_scores_[inside] - 1
        gains = [2 * np.log1p(w * excess).sum() for w in np.linspace(0, 0.2, 2001)]
        assert fitted.signal_gain_ == pytest.approx(max(gains), abs=0.05)

    def test_training_scores_are_out_of_fold(self):
        X = make_resonance(3000, 0, n_features=4, random_state=0).data
        inside = REGION.mask(X)
        flow = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(32,), max_epochs=40)
        with pytest.warns(LowStatisticsWarning):
            fit = ResidualANODE(flow, flow, region=REGION, n_folds=3, random_state=0).fit(X)
        assert np.isfinite(fit.training_scores_).all()
        assert abs(roc_auc_score(inside, fit.training_scores_) - 0.5) < 0.05

    def test_given(self, resonance):
        fit = detector(signal_fraction=0.05).fit(resonance.data)
        assert fit.signal_fraction_ == 0.05
        assert np.isnan(fit.signal_fraction_error_)
        with pytest.raises(ValueError, match="signal_fraction"):
            detector(signal_fraction=1.0).fit(resonance.data)


class TestScore:
    def test_finds_signal_events(self, resonance, fitted):
        inside = REGION.mask(resonance.data)
        auc = roc_auc_score(resonance.target[inside], fitted.training_scores_[inside])
        assert auc > 0.95
        fresh = make_resonance(20_000, 1000, random_state=5)
        inside = REGION.mask(fresh.data) & fitted.fiducial_mask(fresh.data)
        X = fresh.data[inside]
        exact = fresh.log_likelihood_ratio(X)
        auc = roc_auc_score(fresh.target[inside], fitted.anomaly_score(X))
        assert auc > roc_auc_score(fresh.target[inside], exact) - 0.02

    def test_ratio_is_that_of_the_mixture(self, resonance, fitted):
        X = resonance.data[REGION.mask(resonance.data)]
        w, score = fitted.signal_fraction_, fitted.anomaly_score(X)
        np.testing.assert_allclose(fitted.density_ratio(X), 1 - w + w * score, rtol=1e-9)
        signal = fitted.signal_density_.score_samples(X)
        # One of the events of the region may lie anywhere in their range.
        floor = -np.log(len(X) * np.prod(np.ptp(X[:, 1:], axis=0)))
        background = np.logaddexp(resonance.log_density_background(X), floor)
        np.testing.assert_allclose(np.log(score), signal - background, atol=1e-6)

    def test_signal_density_is_normalised_in_x(self, fitted):
        """Importance sampling with a wide Gaussian: the integral over x is one."""
        rng = np.random.RandomState(0)
        x = rng.normal(0, 1.5, size=(40_000, 2))
        proposal = -0.5 * (x / 1.5) ** 2 - np.log(1.5 * np.sqrt(2 * np.pi))
        X = np.column_stack([np.full(len(x), 3.5), x])
        inside = fitted.fiducial_mask(X)
        log_weight = fitted.signal_density_.score_samples(X[inside]) - proposal[inside].sum(axis=1)
        assert np.exp(log_weight).sum() / len(x) == pytest.approx(1.0, abs=0.05)

    def test_sampled_signal_looks_like_the_signal(self, resonance, fitted):
        sample = fitted.sample_signal(2000, random_state=0)
        np.testing.assert_array_equal(sample, fitted.sample_signal(2000, random_state=0))
        assert REGION.mask(sample).all()
        # The flow takes along some background, whose median is 0; the signal's is 1.5.
        median = np.median(sample[:, 1:], axis=0)
        assert (median > 0.7).all() and (median < 1.7).all()
        # Masses by their probability to be signal: narrower than those of the background.
        background = resonance.data[REGION.mask(resonance.data), 0]
        assert sample[:, 0].std() < background.std()
        with pytest.raises(ValueError, match="n_samples must be a positive integer"):
            fitted.sample_signal(0)


class TestFit:
    def test_truth_is_not_read_and_seeds_repeat(self, resonance):
        quick = detector(n_folds=2).set_params(signal_density__max_epochs=3)
        X = resonance.data
        first = quick.fit(X).score_samples(X[:200])
        again = clone(quick).fit(X, resonance.target).score_samples(X[:200])
        np.testing.assert_array_equal(first, again)
        other = clone(quick).set_params(random_state=1).fit(X).score_samples(X[:200])
        assert not np.array_equal(first, other)

    def test_weights_select_events(self, resonance):
        weight = np.where(resonance.target == 1, 0.0, 1.0)
        fit = detector().fit(resonance.data, sample_weight=weight)
        assert fit.signal_gain_ < 9 and fit.signal_fraction_ < 0.02

    def test_data_frame(self, resonance):
        quick = detector(n_folds=2).set_params(signal_density__max_epochs=3)
        flow = FlowDensity("maf", n_transforms=1, hidden_layer_sizes=(8,), max_epochs=2)
        quick.set_params(background_density=flow)
        X = resonance.data
        frame = pd.DataFrame(X, columns=["m", "a", "b"])[["a", "m", "b"]]
        first = quick.fit(X).score_samples(X[:100])
        named = clone(quick).set_params(resonance="m").fit(frame)
        np.testing.assert_array_equal(named.score_samples(frame[:100]), first)
        assert named.sample_signal(5, random_state=0).shape == (5, 3)

    def test_in_a_bump_hunt(self):
        resonance = make_resonance(10_000, 150, random_state=4)
        hunt = BumpHunt(
            detector(n_folds=2).set_params(signal_density__max_epochs=30),
            [REGION],
            efficiencies=(0.02,),
            n_folds=2,
            background="direct",
            spectrum="polynomial",
            random_state=0,
        ).fit(resonance.data)
        passed = hunt.selected_[0] & REGION.mask(resonance.data)
        true = (passed & (resonance.target == 0)).sum()
        row = hunt.results_.iloc[0]
        assert row["background"] == pytest.approx(true, abs=4 * row["stat"] + 4 * true**0.5)
        assert row["z_local"] > 3


class TestNetwork:
    def make(self, learn=True):
        torch.manual_seed(0)
        one = Standardize(np.zeros(2), np.ones(2))
        flow = FlowNetwork(
            build_flow("maf", 2, 1, n_transforms=1, hidden_features=(4,)),
            one,
            Standardize(np.zeros(1), np.ones(1)),
        )
        return SignalMixture(flow, 0.1, learn)

    def test_mixture_of_both_densities(self):
        mixture = self.make()
        x, m, log_b = torch.randn(50, 2), torch.randn(50, 1), torch.randn(50)
        expected = 0.9 * log_b.exp() + 0.1 * mixture.signal(x, m).exp()
        torch.testing.assert_close(mixture(x, m, log_b).exp(), expected)
        annealed = 0.01 * log_b.exp() + 0.99 * mixture.signal(x, m).exp()
        torch.testing.assert_close(mixture(x, m, log_b, 0.0).exp(), annealed)

    def test_fraction_is_learned_or_not(self):
        batch = {
            "x": torch.randn(50, 2),
            "m": torch.randn(50, 1),
            "log_background": torch.zeros(50),
        }
        for learn in (True, False):
            mixture = self.make(learn)
            objective_of(Annealed(1.0))(mixture, batch).sum().backward()
            assert ("logit" in dict(mixture.named_parameters())) == learn
            assert not learn or mixture.logit.grad.abs().item() > 0
