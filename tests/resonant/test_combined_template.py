"""Several templates in one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.exceptions import RegionError
from skad.resonant import (
    CATHODE,
    CURTAINS,
    FETA,
    SALAD,
    CombinedTemplate,
    GivenReference,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.search import BumpHunt

REGION = SignalRegion(3.3, 3.7)
FLOW = FlowDensity(n_transforms=1, hidden_layer_sizes=(8,), max_epochs=2)


def data_and_simulation(n=4000, seed=0):
    """Simulated features lie 10 higher, so that the origin of an event shows."""
    data, simulation = (make_resonance(n, 0, random_state=s, return_X_y=True)[0] for s in (0, 1))
    simulation[:, 1:] += 10.0
    return np.concatenate([data, simulation]), np.repeat([1, 0], n)


def combined(**params):
    return CombinedTemplate(
        [("sidebands", Sidebands(REGION)), ("reference", GivenReference(REGION))], random_state=0
    ).set_params(**params)


@pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning")
class TestShares:
    @pytest.mark.parametrize("shares, expected", [(None, 0.5), ([1, 3], 0.25), ([4.0, 1.0], 0.8)])
    def test_of_the_natural_numbers(self, shares, expected):
        X, y = data_and_simulation()
        template = combined(shares=shares).fit(X, y)
        events, weight = template.sample_background(random_state=0)
        of_data = events[:, 1] < 5
        inside = REGION.mask(X)
        assert of_data.sum() == ((y == 1) & ~inside).sum()
        assert (~of_data).sum() == ((y == 0) & inside).sum()
        assert weight[of_data].sum() / weight.sum() == pytest.approx(expected)
        assert weight.mean() == pytest.approx(1.0)
        # Inside a member the weights keep their ratios.
        low = events[:, 0] < 3.5
        assert weight[of_data & low].sum() == pytest.approx(weight[of_data & ~low].sum())

    @pytest.mark.parametrize("n_samples", [1, 2, 7, 1000])
    def test_of_a_number(self, n_samples):
        X, y = data_and_simulation()
        template = combined(shares=[1, 3]).fit(X, y)
        events, weight = template.sample_background(n_samples, random_state=0)
        of_data = events[:, 1] < 5
        assert len(events) == len(weight) == n_samples
        assert abs(of_data.sum() - 0.25 * n_samples) < 1
        if of_data.any():
            assert weight[of_data].sum() / weight.sum() == pytest.approx(0.25)

    @pytest.mark.parametrize("shares", [[1.0], [1, 0], [1, -1], [1, np.nan]])
    def test_that_make_no_sense(self, shares):
        X, y = data_and_simulation(500)
        with pytest.raises(ValueError, match="one positive number for each of the 2 templates"):
            combined(shares=shares).fit(X, y)


def test_members_without_simulation_see_the_data_alone():
    X, y = data_and_simulation()
    template = CombinedTemplate([("a", Sidebands(REGION)), ("b", Sidebands(REGION))])
    assert not get_tags(template).target_tags.required
    assert get_tags(combined()).target_tags.required
    together = combined().fit(X, y).templates_[0]
    alone = Sidebands(REGION).fit(X[y == 1])
    np.testing.assert_array_equal(together.events_, alone.events_)
    np.testing.assert_array_equal(together.sample_weight_, alone.sample_weight_)
    with pytest.raises(ValueError, match="requires y"):
        combined().fit(X)


def test_weights_of_events_reach_the_members():
    X, y = data_and_simulation()
    weight = np.random.RandomState(0).uniform(size=len(y))
    template = combined().fit(X, y, sample_weight=weight)
    inside = REGION.mask(X)
    for member, rows in zip(
        template.templates_, [(y == 1) & ~inside, (y == 0) & inside], strict=True
    ):
        low = X[rows, 0] < 3.3
        ratio = member.sample_weight_ / weight[rows]
        for side in (low, ~low):
            if side.any():
                assert np.ptp(ratio[side]) < 1e-9


@pytest.mark.parametrize(
    "params, message",
    [
        ({"reference__region": (3.2, 3.7)}, r"share one signal region.* \[3.2, 3.7\)"),
        ({"reference__resonance": 1, "reference__region": (-1, 1)}, "share one resonant feature"),
        ({"templates": []}, "at least one"),
        ({"templates": [("a", Sidebands()), ("a", Sidebands())]}, "not unique"),
        ({"templates": [("a", DecisionTreeClassifier())]}, "must have sample_background and"),
    ],
)
def test_members_that_do_not_fit_together(params, message):
    X, y = data_and_simulation(500)
    with pytest.raises((ValueError, TypeError), match=message):
        combined(**params).fit(X, y)
    if "region" in str(params):
        with pytest.raises(RegionError):
            combined(**params).fit(X, y)


def test_nested_parameters():
    template = CombinedTemplate([("cathode", CATHODE(FLOW)), ("salad", SALAD())])
    template.set_params(cathode__density__max_epochs=7, salad__region=(3.3, 3.7))
    assert template.get_params()["cathode__density__max_epochs"] == 7
    assert clone(template).get_params()["salad__region"] == (3.3, 3.7)
    template.set_params(salad=Sidebands(REGION))
    assert isinstance(template.templates[1][1], Sidebands)


def test_names_of_columns_and_the_seeds_of_members():
    X, _ = make_resonance(3000, 0, random_state=0, return_X_y=True)
    frame = pd.DataFrame(X, columns=["mjj", *"abcdefgh"[: X.shape[1] - 1]])
    members = [(name, CATHODE(FLOW, region=REGION, resonance="mjj")) for name in ("one", "two")]
    template = CombinedTemplate(members, random_state=3)
    first, second = (
        template.fit(frame).sample_background(200, random_state=0)[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    drawn = [t.sample_background(50, random_state=0)[0] for t in template.templates_]
    assert (drawn[0] != drawn[1]).any()
    assert template.templates_[0].feature_names_in_[0] == "mjj"


def test_fitted_members_are_used_as_they_are():
    X, y = data_and_simulation()
    fitted = combined().fit(X, y)
    frozen = [
        (name, FrozenEstimator(t))
        for (name, _), t in zip(fitted.templates, fitted.templates_, strict=True)
    ]
    again = CombinedTemplate(frozen).fit(X, y)
    for one, other in zip(again.templates_, fitted.templates_, strict=True):
        assert one.estimator is other


def test_in_a_detector():
    X, y = data_and_simulation()
    X[:, 1:] -= np.where(y == 1, 0.0, 10.0)[:, None]
    detector = TemplateDetector(
        combined(), DecisionTreeClassifier(max_depth=3), cv=2, random_state=0
    ).fit(X, y)
    inside = REGION.mask(X) & (y == 1)
    scores = detector.training_scores_[inside]
    assert np.isfinite(scores).all()
    # Both members are right here, so that nothing stands out.
    assert np.median(scores) == pytest.approx(1.0, abs=0.2)


# The flows are hardly trained.
@pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning")
# The signal lies in a sideband of the lower window, which no smooth function describes.
@pytest.mark.filterwarnings("ignore::skad.exceptions.SpectrumFitWarning")
def test_all_templates_in_a_bump_hunt():
    data, _ = make_resonance(8000, 200, random_state=0, return_X_y=True)
    simulation, _ = make_resonance(8000, 0, random_state=1, return_X_y=True)
    templates = [
        ("sidebands", Sidebands()),
        ("cathode", CATHODE(FLOW)),
        ("curtains", CURTAINS(FLOW, FLOW)),
        ("feta", FETA(FLOW, FLOW)),
        ("salad", SALAD(LogisticRegression())),
    ]
    hunt = BumpHunt(
        TemplateDetector(CombinedTemplate(templates), GaussianNB(), cv=None),
        [SignalRegion(2.8, 3.2), REGION],
        efficiencies=(1.0, 0.05),
        n_folds=2,
        n_parameters=3,
        n_global_toys=1000,
        random_state=0,
    )
    hunt.fit(np.concatenate([data, simulation]), np.repeat([1, 0], [len(data), len(simulation)]))
    z = hunt.results_.pivot(index="window", columns="efficiency", values="z_local")
    assert z.loc[1, 0.05] > 4 > 3 > z.loc[0, 0.05]
    assert z.loc[1, 0.05] > z.loc[1, 1.0] + 1
