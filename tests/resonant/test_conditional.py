"""What estimators with densities p(x|m) share: coordinates, seeds, the fiducial mask."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

from skad.coordinates import AffineTransformer, LogitTransformer
from skad.datasets import make_resonance
from skad.density import FlowDensity, FramedDensity
from skad.resonant import (
    ANODE,
    CATHODE,
    CURTAINS,
    FETA,
    LaCATHODE,
    ResidualANODE,
    SignalRegion,
)

# Small samples, hardly trained flows and fresh events.
pytestmark = [
    pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning"),
    pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning"),
]

REGION = SignalRegion(3.3, 3.7)
FLOW = FlowDensity("maf", n_transforms=1, hidden_layer_sizes=(8,), max_epochs=2)
COUPLING = FlowDensity("nsf_coupling", n_transforms=2, hidden_layer_sizes=(8,), max_epochs=2)
TEMPLATES = {
    "CATHODE": CATHODE(FLOW, region=REGION, random_state=0),
    "LaCATHODE": LaCATHODE(FLOW, region=REGION, random_state=0),
    "CURTAINS": CURTAINS(FLOW, COUPLING, region=REGION, random_state=0),
    "FETA": FETA(FLOW, COUPLING, region=REGION, random_state=0),
}
RATIOS = {
    "ANODE": ANODE(FLOW, FLOW, region=REGION, random_state=0),
    "ResidualANODE": ResidualANODE(FLOW, FLOW, region=REGION, n_folds=2, random_state=0),
}
ALL = {**TEMPLATES, **RATIOS}
DENSITIES = [
    (name, parameter)
    for name, estimator in ALL.items()
    for parameter, value in estimator.get_params(deep=False).items()
    if isinstance(value, FlowDensity)
]


def sample(n=3000):
    """Data and, as y = 0, simulation of the same features, positive ones."""
    data, simulation = (make_resonance(n, 0, random_state=s, return_X_y=True)[0] for s in (0, 1))
    X = np.concatenate([data, simulation])
    X[:, 1:] = np.exp(0.5 * X[:, 1:])
    return X, np.repeat([1, 0], n)


def made(name, **params):
    return clone(ALL[name]).set_params(**params)


def fit(estimator, X, y, **options):
    if type(estimator) is not FETA:
        X, y = X[y == 1], None
        options = {name: value[: len(X)] for name, value in options.items()}
    return clone(estimator).fit(X, y, **options)


def draw(estimator, X, y):
    return fit(estimator, X, y).sample_background(300, random_state=0)[0]


@pytest.mark.parametrize("name", ALL)
class TestCoordinates:
    def test_default_is_the_logit_of_the_range(self, name):
        X, y = sample()
        explicit = LogitTransformer(outside="nan" if name in ("CATHODE", *RATIOS) else "clip")
        default, given = (draw(made(name, coordinates=c), X, y) for c in (None, explicit))
        np.testing.assert_array_equal(default, given)
        fitted = fit(made(name, coordinates=None), X, y)
        assert (fitted.coordinates_.upper_ > X[:, 1:].max(axis=0) - 2).all()

    @pytest.mark.parametrize(
        "coordinates",
        [
            "passthrough",
            StandardScaler(),
            make_pipeline(LogitTransformer(outside="nan"), StandardScaler()),
        ],
        ids=["passthrough", "transformer", "pipeline"],
    )
    def test_any(self, name, coordinates):
        """The density read in X is normalised whatever the coordinates."""
        X, y = sample()
        fitted = fit(made(name, coordinates=coordinates), X, y)
        assert (fitted.coordinates_ is None) == (coordinates == "passthrough")
        density = getattr(fitted, "background_density_", None) or fitted.density_
        rng = np.random.RandomState(0)
        low, high = X[:, 1:].min(axis=0) + 1e-9, X[:, 1:].max(axis=0) - 1e-9
        points = np.column_stack([np.full(40_000, 3.5), rng.uniform(low, high, (40_000, 2))])
        volume = np.prod(high - low)
        p = np.exp(density.score_samples(points)) * volume
        assert p.mean() == pytest.approx(1.0, abs=0.06 + 3 * p.std() / 200)
        assert REGION.mask(fitted.sample_background(300, random_state=0)[0]).all()

    def test_a_fitted_frame_is_kept(self, name):
        X, y = sample()
        frozen = FrozenEstimator(LogitTransformer(margin=0.5).fit(X[:, 1:]))
        fitted = fit(made(name, coordinates=frozen), X, y)
        assert fitted.coordinates_.estimator is frozen.estimator

    def test_its_seed_is_drawn(self, name):
        X, y = sample(1500)
        # Fewer events than it has: it draws some.
        coordinates = QuantileTransformer(
            n_quantiles=50, subsample=500, output_distribution="normal"
        )
        estimator = made(name, coordinates=coordinates)
        np.testing.assert_array_equal(draw(estimator, X, y), draw(estimator, X, y))

    def test_of_a_data_frame(self, name):
        X, y = sample(1500)
        frame = pd.DataFrame(X, columns=["m", "a", "b"])[["a", "m", "b"]]
        coordinates = LogitTransformer(outside=ALL[name]._beyond_range)
        plain = fit(made(name, coordinates=coordinates), X, y)
        named = fit(made(name, coordinates=coordinates, resonance="m"), frame, y)
        assert list(named.coordinates_.feature_names_in_) == ["a", "b"]
        first, second = (e.sample_background(200, random_state=0)[0] for e in (plain, named))
        np.testing.assert_array_equal(first[:, [1, 0, 2]], second)


@pytest.mark.parametrize("name, parameter", DENSITIES)
def test_a_frame_around_a_density_is_refused_by_name(name, parameter):
    X, y = sample(500)
    framed = FramedDensity(LogitTransformer(), FLOW)
    message = (
        f"^{parameter} must be a density without coordinates of its own; got a FramedDensity. "
        f"Give its coordinates as coordinates= and its density as {parameter}=.$"
    )
    with pytest.raises(TypeError, match=message):
        fit(made(name, **{parameter: framed}), X, y)


@pytest.mark.parametrize("name", ["CATHODE", "LaCATHODE", "ANODE", "ResidualANODE"])
def test_a_fitted_frame_is_a_density_of_the_events(name):
    X, y = sample()
    density = fit(made("ANODE"), X, y).background_density_
    parameter = "density" if name in TEMPLATES else "background_density"
    fitted = fit(
        made(name, **{parameter: FrozenEstimator(density)}, coordinates="passthrough"),
        X,
        y,
    )
    assert getattr(fitted, f"{parameter}_") is density


@pytest.mark.parametrize("name", ["CURTAINS", "FETA"])
def test_events_that_the_coordinates_cannot_map(name):
    X, y = sample(500)
    logit = LogitTransformer(lower=0.5, upper=3.0, outside="nan")
    with pytest.raises(ValueError, match="of [0-9]+ events lie outside the domain of coordinates="):
        fit(made(name, coordinates=logit), X, y)


@pytest.mark.parametrize("name", TEMPLATES)
def test_events_beyond_the_range_can_be_held_out(name):
    """Events of another fold reach further; a template that is made of them keeps them."""
    X, y = sample(1000)
    others, labels = sample(1200)
    others[::50, 1] += 100.0
    fitted = fit(made(name), X, y)
    others, labels = (others, labels) if name == "FETA" else (others[labels == 1], None)
    events, _ = fitted.held_out_background(others, labels, random_state=0)
    assert np.isfinite(events).all() and REGION.mask(events).all()
    if name == "CURTAINS":
        assert len(events) == REGION.sideband_mask(others).sum()


class TestSeeds:
    """A seed that the user gave a child stays; one that is missing comes from the parent."""

    @pytest.mark.parametrize("name", ALL)
    def test_of_every_child(self, name):
        X, y = sample(1000)
        seeded = {
            f"{parameter}__random_state": 3 for owner, parameter in DENSITIES if owner == name
        }
        estimator = made(name, **seeded, coordinates="passthrough")
        estimator.set_params(random_state=None)
        if name == "ResidualANODE":
            # The folds have the seed of the parent.
            first, second = (
                fit(estimator, X, y).background_density_.score_samples(X) for _ in range(2)
            )
        else:
            first, second = (draw(estimator, X, y) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("name, parameter", DENSITIES)
    def test_matters(self, name, parameter):
        X, y = sample(1000)
        results = []
        for seed in (1, 2):
            estimator = made(
                name, **{f"{parameter}__random_state": seed}, coordinates="passthrough"
            )
            fitted = fit(estimator, X, y)
            if name in RATIOS:
                results.append(fitted.log_density_ratio(X[:50]))
            else:
                results.append(fitted.sample_background(50, random_state=0)[0])
        assert (results[0] != results[1]).any()


@pytest.mark.parametrize("name", ALL)
def test_the_unit_of_weights_does_not_matter(name):
    X, y = sample(1000)
    weight = np.random.RandomState(0).uniform(0.5, 1.5, size=len(X))
    estimator = made(name, coordinates="passthrough", mass_spectrum="fit")
    plain, tiny = (
        fit(estimator, X, y, sample_weight=unit * weight).sample_background(200, random_state=0)[0]
        for unit in (1.0, 2.0**-20)
    )
    np.testing.assert_allclose(tiny, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ALL)
def test_fiducial_mask(name):
    """Events within the range of the training events, and only they, are described."""
    X, y = sample()
    fitted = fit(made(name), X, y)
    data = X[y == 1]
    of_sidebands = data if name in RATIOS else data[REGION.sideband_mask(data)]
    low, high = of_sidebands[:, 1:].min(axis=0), of_sidebands[:, 1:].max(axis=0)
    beyond = 0.01 * (high - low)
    points = np.array([low - beyond, low, 0.5 * (low + high), high, high + beyond])
    mask = fitted.fiducial_mask(np.column_stack([np.full(5, 3.5), points]))
    np.testing.assert_array_equal(mask, [False, True, True, True, False])


@pytest.mark.parametrize("name", ALL)
def test_default_number_of_events(name):
    """Data of the region times `oversampling`; data without weight do not count."""
    X, y = sample(1000)
    weight = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1.0)
    fitted = fit(made(name, oversampling=1.5), X, y, sample_weight=weight)
    n = (REGION.mask(X) & (y == 1) & (weight > 0)).sum()
    assert fitted.n_region_events_ == n
    assert len(fitted.sample_background(random_state=0)[0]) == round(1.5 * n)
    with pytest.raises(ValueError, match="n_samples must be a positive integer; got 0"):
        fitted.sample_background(0)


def test_coordinates_of_a_shifted_feature_do_not_move_a_ratio():
    """Both densities of ANODE share the Jacobian."""
    X, y = sample()
    X = X[y == 1]
    flow = clone(FLOW).set_params(random_state=0)
    ratios = [
        ANODE(flow, flow, region=REGION, coordinates=coordinates).fit(X).log_density_ratio(X)
        for coordinates in ("passthrough", AffineTransformer(scale=100.0, shift=3.0))
    ]
    np.testing.assert_allclose(*ratios, atol=1e-3)
    assert stats.iqr(ratios[0]) > 0.01
