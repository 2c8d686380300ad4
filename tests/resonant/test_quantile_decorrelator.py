"""QuantileDecorrelator against backgrounds whose dependence on m is known, and in searches."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.ensemble import IsolationForest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.resonant import (
    LaCATHODE,
    QuantileDecorrelator,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.search import BumpHunt

REGION = SignalRegion(3.0, 3.5)


def background(n=60_000, seed=0):
    """Events whose first feature moves and widens with m and whose correlation follows it."""
    rng = np.random.default_rng(seed)
    m = 2 + rng.exponential(size=n)
    rho = np.tanh(0.3 * (m - 3))
    first, other = rng.normal(size=(2, n))
    second = rho * first + np.sqrt(1 - rho**2) * other
    return np.column_stack([m, at(m, stats.expon.ppf(stats.norm.cdf(first))), second])


def at(m, unit):
    return 0.5 * m + 0.2 * m * unit


@pytest.fixture(scope="module")
def fitted():
    return QuantileDecorrelator(REGION).fit(background())


def test_events_are_where_they_would_be_at_the_center(fitted):
    X = background(20_000, seed=1)
    Z = fitted.transform(X)
    np.testing.assert_array_equal(Z[:, 0], X[:, 0])
    unit = (X[:, 1] - 0.5 * X[:, 0]) / (0.2 * X[:, 0])
    truth = at(3.25, unit)
    core = (X[:, 0] < 5) & (unit < 4)
    # The spread of the feature is 0.65.
    assert np.sqrt(np.mean((Z[core, 1] - truth[core]) ** 2)) < 0.04


@pytest.mark.parametrize("low", [2.0, 2.5, 3.0, 3.5, 4.0])
def test_features_do_not_depend_on_m(fitted, low):
    Z = fitted.transform(background(40_000, seed=2))
    here = (Z[:, 0] >= low) & (Z[:, 0] < low + 0.5)
    truth = background(40_000, seed=3)
    truth = truth[abs(truth[:, 0] - 3.25) < 0.05]
    for column in (1, 2):
        assert stats.ks_2samp(Z[here, column], truth[:, column]).pvalue > 1e-3
    rho = stats.spearmanr(Z[here, 1], Z[here, 2]).statistic
    expected = 6 / np.pi * np.arcsin(np.tanh(0.3 * 0.25) / 2)
    assert rho == pytest.approx(expected, abs=4 / np.sqrt(here.sum()) + 0.02)


def test_the_region_is_not_read(fitted):
    X = background()
    X[REGION.mask(X), 1:] = 1e3
    others = background(500, seed=4)
    other = QuantileDecorrelator(REGION).fit(X)
    np.testing.assert_array_equal(other.transform(others), fitted.transform(others))


def test_weights_are_events():
    X = background(6000)
    weight = np.random.RandomState(0).randint(0, 3, size=len(X))
    options = {"n_bins": 8}
    fits = [
        QuantileDecorrelator(REGION, **options).fit(X, sample_weight=weight.astype(float)),
        QuantileDecorrelator(REGION, **options).fit(np.repeat(X, weight, axis=0)),
    ]
    near = X[(X[:, 0] < 4) & (abs(X[:, 2]) < 1.5)]
    first, second = (fit.transform(near) for fit in fits)
    np.testing.assert_allclose(first, second, atol=0.05)


def test_beyond_the_sidebands_events_are_taken_to_be_at_their_edge():
    region = REGION.with_sidebands(0.5)
    fitted = QuantileDecorrelator(region).fit(background())
    event = np.array([[3.999, 2.0, 0.5], [9.0, 2.0, 0.5]])
    Z = fitted.transform(event)
    np.testing.assert_allclose(Z[1, 1:], Z[0, 1:], atol=0.01)
    assert Z[1, 0] == 9.0


def test_names_and_m_left_out():
    X = pd.DataFrame(background(5000), columns=["mjj", "first", "second"])
    X = X[["first", "mjj", "second"]]
    fitted = QuantileDecorrelator(REGION, resonance="mjj").set_output(transform="pandas").fit(X)
    assert list(fitted.transform(X)) == ["first", "mjj", "second"]
    blind = fitted.set_params(keep_resonance=False).fit(X).transform(X)
    assert list(blind) == ["first", "second"]


def test_no_more_knots_than_events_ask_for():
    rng = np.random.default_rng(0)
    m, *noise = 2 + rng.exponential(size=30_000), *rng.normal(size=(3, 30_000))
    X = np.column_stack([m, noise[0], noise[1] + 0.1 * m, noise[2] + np.sin(m)])
    fitted = QuantileDecorrelator(REGION).fit(X)
    assert fitted.n_knots_[[0, 3]].tolist() == [1, 1]
    assert fitted.n_knots_[1] == 2 and fitted.n_knots_[2] > 2
    np.testing.assert_allclose(fitted.transform(X)[:, 1], X[:, 1], atol=1e-9)
    assert (QuantileDecorrelator(REGION, n_knots=1).fit(X).n_knots_ == 1).all()
    assert (QuantileDecorrelator(REGION, min_knots=4).fit(X).n_knots_ == 4).all()
    three = QuantileDecorrelator(REGION, min_knots=3).fit(X).n_knots_
    assert (three[[0, 1, 3]] == 3).all() and three[2] >= 3
    with pytest.raises(ValueError, match="min_knots must not be above n_knots, which is 2; got 3"):
        QuantileDecorrelator(REGION, n_knots=2, min_knots=3).fit(X)


def test_few_events():
    X = background(600)
    Z = QuantileDecorrelator(REGION).fit(X).transform(X)
    assert np.isfinite(Z).all()
    high = X[:, 0] > 3.5
    assert abs(Z[high, 1].mean() - Z[~high, 1].mean()) < 0.2
    assert abs(X[high, 1].mean() - X[~high, 1].mean()) > 0.5


def shifted(seed, n_signal=0):
    X, _ = make_resonance(20_000, n_signal, dependence=1.0, random_state=seed, return_X_y=True)
    return X


def hunt(detector):
    return BumpHunt(
        detector,
        [SignalRegion(3.3, 3.7)],
        efficiencies=(0.1, 0.02),
        n_folds=2,
        n_global_toys=100,
        random_state=0,
    )


def cwola(decorrelator):
    return TemplateDetector(Sidebands(), GaussianNB(), cv=None, decorrelator=decorrelator)


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
def test_rows_of_features_that_move_with_m_can_be_trusted():
    assert not hunt(cwola(None)).fit(shifted(0)).results_["trusted"].any()
    found = hunt(cwola(QuantileDecorrelator())).fit(shifted(0)).results_
    assert found["trusted"].all() and (abs(found["z_local"]) < 3).all()
    found = hunt(cwola(QuantileDecorrelator())).fit(shifted(0, n_signal=300)).results_
    assert found["trusted"].any() and found["z_local"].max() > 5


def test_before_a_detector_that_knows_no_region():
    decorrelated = make_pipeline(
        QuantileDecorrelator(keep_resonance=False), IsolationForest(n_estimators=20, random_state=0)
    )
    found = hunt(decorrelated).set_params(keep_detectors=True).fit(shifted(0))
    assert found.results_["trusted"].any()
    assert found.detectors_[0][0][0][-1].n_features_in_ == shifted(0).shape[1] - 1


def test_a_template_detector_gives_its_region_and_column():
    X = shifted(0)[:, [1, 0, 2]]
    detector = TemplateDetector(
        Sidebands(SignalRegion(3.3, 3.7, sideband_width=0.2), resonance=1),
        GaussianNB(),
        cv=None,
        decorrelator=QuantileDecorrelator(),
    ).fit(X)
    region = detector.decorrelator_.region_
    assert (region.low, region.high, region.feature) == (3.3, 3.7, 1)
    assert region.sideband_mask(X).sum() > detector.region_.sideband_mask(X).sum()


def test_what_leaves_no_m_or_has_other_coordinates_is_refused():
    X = shifted(0)[:3000]
    with pytest.raises(ValueError, match="keep_resonance=True"):
        cwola(QuantileDecorrelator(keep_resonance=False)).fit(X)
    flow = FlowDensity(n_transforms=1, hidden_layer_sizes=(4,), max_epochs=1)
    with pytest.raises(TypeError, match="LaCATHODE, which has coordinates of its own"):
        TemplateDetector(
            LaCATHODE(flow), GaussianNB(), cv=None, decorrelator=QuantileDecorrelator()
        ).fit(X)
