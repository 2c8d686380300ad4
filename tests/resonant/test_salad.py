"""SALAD against a density ratio that is known and depends on m."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skad.detectors import NetworkClassifier
from skad.exceptions import LowStatisticsWarning, RegionError
from skad.metrics import ks_table
from skad.resonant import SALAD, SignalRegion

# Some of the samples are small.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* is made from [0-9]+:skad.exceptions.LowStatisticsWarning"
)

REGION = SignalRegion(3.3, 3.7)
NETWORK = NetworkClassifier(
    (32, 32),
    activation="silu",
    max_epochs=12,
    batch_size=512,
    learning_rate=5e-3,
    schedule="one_cycle",
)
# The log ratio below is a polynomial of third order, which this classifier holds.
EXACT_FORM = make_pipeline(
    StandardScaler(), PolynomialFeatures(3), LogisticRegression(C=1e3, max_iter=2000)
)
# The simulation is wider than the data.
WIDER = pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning")


def mean_of_data(m):
    return 0.6 * (m - 3.0)


def data_and_simulation(n=40_000, seed=0, shift=mean_of_data):
    """x ~ N(shift(m), 1) in data, N(0, 1.2) in simulation, and the spectra differ too."""
    rng = np.random.RandomState(seed)
    m_data = stats.truncexpon.rvs(b=4.0, loc=2.5, scale=0.5, size=n, random_state=rng)
    m_simulation = stats.truncexpon.rvs(b=2.0, loc=2.5, scale=1.0, size=n, random_state=rng)
    x = np.concatenate([rng.normal(shift(m_data)), rng.normal(0, 1.2, size=n)])
    noise = rng.normal(size=2 * n)
    X = np.column_stack([np.concatenate([m_data, m_simulation]), x, noise])
    return X, np.repeat([1, 0], n)


def log_ratio(X):
    m, x = X[:, 0], X[:, 1]
    density_m = stats.truncexpon.logpdf(m, b=4.0, loc=2.5, scale=0.5)
    density_m -= stats.truncexpon.logpdf(m, b=2.0, loc=2.5, scale=1.0)
    return density_m + stats.norm.logpdf(x, mean_of_data(m)) - stats.norm.logpdf(x, 0, 1.2)


@pytest.mark.parametrize("classifier", [NETWORK, EXACT_FORM], ids=["network", "exact form"])
def test_weights_are_the_density_ratio(classifier):
    X, y = data_and_simulation()
    template = SALAD(classifier, region=REGION, random_state=0).fit(X, y)
    events, weight = template.sample_background()
    np.testing.assert_array_equal(events, X[(y == 0) & REGION.mask(X)])
    exact = np.exp(log_ratio(events))
    exact /= exact.mean()
    likely = abs(events[:, 1] - mean_of_data(events[:, 0])) < 2
    assert np.corrcoef(np.log(weight[likely]), np.log(exact[likely]))[0, 1] > 0.97
    assert np.median(abs(np.log(weight / exact)[likely])) < 0.1


def test_the_weighted_simulation_is_background_of_the_region():
    X, y = data_and_simulation()
    template = SALAD(NETWORK, region=REGION, random_state=0).fit(X, y)
    events, weight = template.sample_background()
    truth, label = data_and_simulation(seed=7)
    truth = truth[(label == 1) & REGION.mask(truth)]
    before = ks_table(events, truth)["statistic"]
    after = ks_table(events, truth, sample_weight=weight)["statistic"]
    assert before[1] > 0.1
    assert before[0] > 0.02
    assert (after < 0.04).all()
    assert np.mean(weight) == pytest.approx(1.0)
    # The number of events in the region follows as well.
    n_data = ((y == 1) & REGION.mask(X)).sum()
    assert template.n_background_ == pytest.approx(n_data, rel=0.05)


@WIDER
@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_events_of_the_region_are_not_read():
    X, y = data_and_simulation(4000)
    changed = X.copy()
    changed[REGION.mask(X) & (y == 1), 1] += 3.0
    weights = [
        SALAD(EXACT_FORM, region=REGION).fit(events, y).sample_weight_ for events in (X, changed)
    ]
    np.testing.assert_array_equal(*weights)
    inclusive = [
        SALAD(EXACT_FORM, region=REGION, sidebands_only=False).fit(events, y).sample_weight_
        for events in (X, changed)
    ]
    assert abs(inclusive[0] - inclusive[1]).max() > 0.1


@WIDER
def test_class_sizes_and_weights_of_events():
    X, y = data_and_simulation()
    rng = np.random.RandomState(1)
    # Half of the data, at double weight: the same densities and the same number.
    kept = (y == 0) | (rng.uniform(size=len(y)) < 0.5)
    own = np.where(y == 1, 2.0, 1.0) * np.where((y == 0) & (X[:, 2] > 0), 3.0, 1.0)
    neighbours = make_pipeline(StandardScaler(), KNeighborsClassifier())
    with pytest.raises(TypeError, match="step 'kneighborsclassifier', KNeighborsClassifier takes"):
        SALAD(neighbours, region=REGION).fit(X, y, sample_weight=own)
    template = SALAD(NETWORK, region=REGION, random_state=0)
    template.fit(X[kept], y[kept], sample_weight=own[kept])
    events, weight = template.sample_background()
    n_data = ((y == 1) & REGION.mask(X)).sum()
    assert template.n_background_ == pytest.approx(n_data, rel=0.05)
    # Three times the weight of half the simulation is undone by the classifier.
    assert weight[events[:, 2] > 0].sum() / weight.sum() == pytest.approx(0.5, abs=0.03)


def test_extreme_weights_are_reported_and_clipped_on_request_only():
    # Data far from the simulation: the few simulated events near them weigh all.
    X, y = data_and_simulation(4000, shift=lambda m: 4.5 + 0 * m)
    with pytest.warns(LowStatisticsWarning, match=r"more than 10 times .* the largest"):
        template = SALAD(EXACT_FORM, region=REGION).fit(X, y)
    weight = template.sample_weight_
    assert template.largest_weight_ == weight.max() > 10
    assert template.n_extreme_ == (weight > 10).sum() > 0
    assert template.n_effective_ == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert template.n_effective_ < 0.2 * len(weight)
    clipped = SALAD(EXACT_FORM, region=REGION, max_weight=5.0).fit(X, y)
    assert clipped.largest_weight_ == template.largest_weight_
    expected = np.minimum(weight, 5.0)
    np.testing.assert_allclose(clipped.sample_weight_, expected / expected.mean())


@pytest.mark.parametrize(
    "side, message",
    [
        ("region", "signal region .* there are none"),
        ("low", "none in the low one"),
        ("high", "none in the high one"),
    ],
)
def test_missing_simulation(side, message):
    X, y = data_and_simulation(1000)
    gap = REGION.mask(X) if side == "region" else REGION.sideband_mask(X, side)
    kept = (y == 1) | ~gap
    with pytest.raises(RegionError, match=message):
        SALAD(DecisionTreeClassifier(), region=REGION).fit(X[kept], y[kept])


@pytest.mark.parametrize(
    "zero, message",
    [
        (lambda m, y: (y == 0) & REGION.mask(m), "simulated event of the signal region"),
        (lambda m, y: (y == 0) & ~REGION.mask(m), "simulated event around"),
    ],
)
def test_weights_of_zero(zero, message):
    X, y = data_and_simulation(1000)
    weight = np.where(zero(X[:, 0], y), 0.0, 1.0)
    with pytest.raises(ValueError, match=f"zero for every {message}"):
        SALAD(DecisionTreeClassifier(), region=REGION).fit(X, y, sample_weight=weight)
