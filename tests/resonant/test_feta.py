"""FETA on simulation whose difference to the data is known and depends on m."""

import numpy as np
import pytest
from scipy import stats
from sklearn.preprocessing import StandardScaler

from skad.density import FlowDensity
from skad.exceptions import RegionError
from skad.metrics import ks_table
from skad.resonant import FETA, SignalRegion

# Some of the samples are small.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* is made from [0-9]+:skad.exceptions.LowStatisticsWarning"
)

REGION = SignalRegion(3.3, 3.7)
BASE = FlowDensity(n_transforms=1, hidden_layer_sizes=(16,), max_epochs=6, learning_rate=2e-2)
TRANSPORT = FlowDensity(
    "nsf_coupling", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=6, learning_rate=1e-2
)


def data_and_simulation(n=20_000, seed=0):
    """Simulation: correlated normal features; data: shifted by (m - 3)/2 and wider."""
    rng = np.random.RandomState(seed)
    m_data = stats.truncexpon.rvs(b=4.0, loc=2.5, scale=0.5, size=n, random_state=rng)
    m_simulation = stats.truncexpon.rvs(b=2.0, loc=2.5, scale=1.0, size=n, random_state=rng)
    noise = rng.normal(size=(2 * n, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    y = np.repeat([1, 0], n)
    m = np.concatenate([m_data, m_simulation])
    noise[y == 1] = 1.2 * noise[y == 1] + np.outer(0.5 * (m_data - 3.0), [1.0, -1.0])
    return np.column_stack([m, noise]), y


def feta(transport=TRANSPORT, **params):
    return FETA(
        BASE, transport, region=REGION, coordinates=StandardScaler(), random_state=0, **params
    )


@pytest.mark.parametrize("source", ["density", "simulation"])
def test_transported_simulation_is_background_of_the_region(source):
    X, y = data_and_simulation()
    template = feta(source=source).fit(X, y)
    events, weight = template.sample_background(10_000, random_state=0)
    np.testing.assert_array_equal(weight, 1.0)
    assert REGION.mask(events).all()
    truth, label = data_and_simulation(100_000, seed=7)
    truth = truth[(label == 1) & REGION.mask(truth)]
    simulated = X[(y == 0) & REGION.mask(X)]
    before = ks_table(simulated, truth)["statistic"]
    after = ks_table(events, truth)["statistic"]
    assert (before[1:] > 0.08).all()
    assert (before[0] > 0.04) and (after[0] < 0.03)
    assert (after[1:] < 0.04).all()
    correlation = [np.corrcoef(sample[:, 1:].T)[0, 1] for sample in (events, truth)]
    assert correlation[0] == pytest.approx(correlation[1], abs=0.06)


def test_data_features_of_the_region_are_not_read():
    X, y = data_and_simulation(3000)
    changed = X.copy()
    changed[REGION.mask(X) & (y == 1), 1:] += 3.0
    draws = [
        feta().fit(events, y).sample_background(500, random_state=0)[0] for events in (X, changed)
    ]
    np.testing.assert_array_equal(*draws)


def test_simulated_events_at_the_masses_of_the_data():
    X, y = data_and_simulation(3000)
    template = feta(source="simulation").fit(X, y)
    events, _ = template.sample_background(2000, random_state=0)
    simulated = X[(y == 0) & REGION.mask(X)]
    assert np.isin(events[:, 0], simulated[:, 0]).all()
    # The transport is one to one at fixed m: as many different events as there were.
    assert len(np.unique(events, axis=0)) == len(np.unique(events[:, 0]))


def test_masses_of_the_simulation():
    X, y = data_and_simulation(3000)
    events, _ = feta(mass_spectrum="simulation").fit(X, y).sample_background(2000, random_state=0)
    assert np.isin(events[:, 0], X[(y == 0) & REGION.mask(X), 0]).all()


def test_default_number_and_event_weights():
    X, y = data_and_simulation(3000)
    template = feta(oversampling=1.5)
    events, _ = template.fit(X, y).sample_background(random_state=0)
    assert len(events) == round(1.5 * (REGION.mask(X) & (y == 1)).sum())
    # The simulated events below the mean weigh nothing.
    weight = np.where((y == 0) & (X[:, 1] < 0), 0.0, 1.0)
    template.fit(X, y, sample_weight=weight)
    assert np.mean(template.density_.sample(1000, 0)[:, 1] < 0) < 0.1


@pytest.mark.parametrize(
    "side, message",
    [("region", "signal region .* there are none"), ("low", "none in the low one")],
)
def test_missing_simulation(side, message):
    X, y = data_and_simulation(1000)
    gap = REGION.mask(X) if side == "region" else REGION.sideband_mask(X, side)
    kept = (y == 1) | ~gap
    with pytest.raises(RegionError, match=message):
        feta().fit(X[kept], y[kept])


def test_several_transports_leave_the_base_as_it_is():
    X, y = data_and_simulation(1500)
    transport = FlowDensity("nsf_coupling", n_transforms=2, max_epochs=1, n_estimators=2)
    template = feta(transport).fit(X, y)
    learned = template.density_.density_.trained_.networks[0][0].state_dict()
    first, second = (kept[0] for kept in template.trained_.networks)
    for network in (first, second):
        for name, value in network.base.state_dict().items():
            np.testing.assert_allclose(value, learned[name], rtol=1e-6)
    moved = [network.flow.state_dict() for network in (first, second)]
    assert any((moved[0][name] != moved[1][name]).any() for name in moved[0])
    assert len(template.sample_background(101, random_state=0)[0]) == 101
