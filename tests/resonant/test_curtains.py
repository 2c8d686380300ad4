"""CURTAINS on features whose dependence on m is known."""

import numpy as np
import pytest
from scipy import stats
from sklearn.preprocessing import StandardScaler

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.metrics import ks_table
from skad.resonant import CURTAINS, SignalRegion

REGION = SignalRegion(3.3, 3.7)
BASE = FlowDensity(n_transforms=1, hidden_layer_sizes=(16,), max_epochs=8, learning_rate=2e-2)
TRANSPORT = FlowDensity(
    "nsf_coupling", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=6, learning_rate=1e-2
)


def background(n=20_000, seed=0, dependence=1.5):
    return make_resonance(n, 0, random_state=seed, return_X_y=True, dependence=dependence)[0]


def fitted(X, sample_weight=None, **params):
    template = CURTAINS(
        BASE, TRANSPORT, region=REGION, coordinates=StandardScaler(), random_state=0
    )
    return template.set_params(**params).fit(X, sample_weight=sample_weight)


def test_moved_sidebands_are_background_of_the_region():
    X = background()
    events, weight = fitted(X).sample_background(10_000, random_state=0)
    np.testing.assert_array_equal(weight, 1.0)
    assert REGION.mask(events).all()
    truth = background(100_000, seed=9)
    truth = truth[REGION.mask(truth)]
    before = ks_table(X[REGION.sideband_mask(X)], truth)["statistic"]
    after = ks_table(events, truth)["statistic"]
    assert (before[1:3] > 0.1).all()
    assert (after < 0.04).all()
    slope = np.polyfit(events[:, 0] - 3.5, events[:, 1], 1)[0]
    assert slope == pytest.approx(1.5, abs=0.4)


def test_events_at_the_same_mass_stay_nearly_the_same():
    """The transport starts as the identity, so that it moves no further than it must."""
    X = background(10_000, dependence=0.0)
    template = fitted(X)
    network = template.trained_.networks[0][-1]
    z, m = template._to_z(X), X[:, :1]
    moved = template._transported(
        lambda _, batch: network.move(batch["z"], batch["m"], batch["m"]),
        {"z": z, "m": m},
        np.random.RandomState(0),
    )
    assert np.median(abs(moved - z)) < 0.1


def test_events_of_the_region_are_not_read():
    X = background(6000)
    changed = X.copy()
    inside = REGION.mask(X)
    changed[inside, 1:] += 5.0
    changed[inside, 0] = 3.5
    draws = [fitted(events).sample_background(500, random_state=0)[0] for events in (X, changed)]
    np.testing.assert_array_equal(*draws)


def test_optimal_transport_moves_the_sidebands_too():
    X = background(5000, dependence=3.0)
    # A Sinkhorn divergence on 128 events is noisy, so that this map is only a coarse one.
    transport = FlowDensity(
        "nsf_coupling",
        n_transforms=2,
        hidden_layer_sizes=(16,),
        max_epochs=8,
        batch_size=128,
        learning_rate=1e-2,
    )
    template = fitted(X, transport=transport, loss="optimal_transport")
    assert template.density_ is None
    events, _ = template.sample_background(5000, random_state=0)
    truth = background(50_000, seed=9, dependence=3.0)
    truth = truth[REGION.mask(truth)]
    before = ks_table(X[REGION.sideband_mask(X)], truth)["statistic"]
    after = ks_table(events, truth)["statistic"]
    assert (after[1:3] < 0.4 * before[1:3]).all()


def test_number_of_events_and_their_weights():
    X = background(6000)
    template = fitted(X, oversampling=2.0, mass_spectrum="observed")
    events, _ = template.sample_background(random_state=0)
    assert len(events) == 2 * REGION.mask(X).sum()
    template.set_params(oversampled="sidebands")
    assert len(template.sample_background(random_state=0)[0]) == 2 * REGION.sideband_mask(X).sum()
    # Without the weight of events of positive x_0 - 1.5 (m - 3.5), none is moved.
    positive = X[:, 1] - 1.5 * (X[:, 0] - 3.5) > 0
    template = fitted(X, sample_weight=np.where(positive, 0.0, 1.0))
    events, _ = template.sample_background(random_state=0)
    residual = events[:, 1] - 1.5 * (events[:, 0] - 3.5)
    assert np.mean(residual > 0.5) < 0.05
    assert stats.iqr(residual) < 1.2
