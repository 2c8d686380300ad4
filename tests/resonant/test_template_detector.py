"""Templates as detectors: the ratio they learn, cross-fitting, weights, searches."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from skad.coordinates import ColumnCoordinates, ExpTransformer
from skad.datasets import make_resonance
from skad.density import FlowDensity
from skad.exceptions import LowStatisticsWarning
from skad.metrics import get_anomaly_scorer, max_significance_improvement
from skad.resonant import (
    CATHODE,
    GivenReference,
    LaCATHODE,
    Sidebands,
    SignalRegion,
    TemplateDetector,
)
from skad.search import BumpHunt

REGION = SignalRegion(3.3, 3.7)
TREES = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8)
# Both densities are Gaussian, so the log of their ratio is quadratic.
QUADRATIC = make_pipeline(PolynomialFeatures(2), LogisticRegression(C=100.0))


def events(n_background=20_000, n_signal=0, seed=0, **options):
    return make_resonance(n_background, n_signal, random_state=seed, return_X_y=True, **options)


def test_the_score_is_the_density_ratio():
    """Data with 20 % signal in the region against a perfect reference."""
    resonance = make_resonance(40_000, 2000, random_state=0)
    reference, _ = events(40_000, seed=1)
    X = np.concatenate([resonance.data, reference])
    y = np.repeat([1, 0], [len(resonance.data), len(reference)])
    detector = TemplateDetector(
        GivenReference(REGION), HistGradientBoostingClassifier(max_iter=60), random_state=0
    ).fit(X, y)
    test, _ = events(20_000, 1000, seed=2)
    test = test[REGION.mask(test)]
    inside = resonance.data[REGION.mask(resonance.data)]
    # The classifier sees no m: the ratio is that of the mixture over the region.
    share = resonance.target[REGION.mask(resonance.data)].mean()
    exact = np.log(1 - share + share * np.exp(resonance.log_likelihood_ratio(test)))
    learned = -detector.score_samples(test)
    assert len(inside) > 5000
    assert np.median(abs(learned - exact)) < 0.15
    np.testing.assert_allclose(detector.density_ratio(test), np.exp(learned))


@pytest.mark.parametrize(
    "template",
    [
        Sidebands(REGION.with_sidebands(0.2)),
        CATHODE(FlowDensity(n_transforms=2, max_epochs=5), region=REGION),
        LaCATHODE(FlowDensity(n_transforms=2, max_epochs=5), region=REGION),
    ],
    ids=lambda template: type(template).__name__,
)
def test_signal_is_found_without_labels(template):
    X, _ = events(40_000, 400)
    detector = TemplateDetector(template, TREES, random_state=0).fit(X)
    test, truth = events(40_000, 4000, seed=1)
    inside = REGION.mask(test)
    score = detector.anomaly_score(test[inside])
    exact = make_resonance().log_likelihood_ratio(test[inside])
    found, best = (max_significance_improvement(truth[inside], s) for s in (score, exact))
    assert found > 0.5 * best
    selected = detector.predict(test) == -1
    assert truth[selected].mean() > 5 * truth.mean()


def test_training_scores_are_out_of_fold():
    """A classifier that knows its training events by heart says nothing of those held out."""
    X, _ = events(4000)
    by_heart = DecisionTreeClassifier(random_state=0)
    detector = TemplateDetector(Sidebands(REGION), by_heart, random_state=0).fit(X)
    inside = REGION.mask(X)
    # Nothing is known of the events of the region, nor of those of the sidebands.
    found = [(detector.training_scores_[rows] > 1).mean() for rows in (inside, ~inside)]
    assert found[0] < 0.5
    assert found[0] == pytest.approx(found[1], abs=0.04)
    # What is called an outlier is so by these scores.
    labels = detector.set_params(contamination=0.1).fit_predict(X)
    assert (labels == -1).mean() <= 0.1
    assert (labels[inside] == -1).mean() < 0.5
    known = TemplateDetector(Sidebands(REGION), by_heart, cv=None, random_state=0).fit(X)
    assert (known.training_scores_[inside] > 1).all()


def test_the_classifier_does_not_see_m():
    X, _ = events(4000)
    detector = TemplateDetector(Sidebands(REGION), TREES, random_state=0).fit(X)
    moved = X.copy()
    moved[:, 0] += 1.0
    np.testing.assert_array_equal(detector.anomaly_score(X), detector.anomaly_score(moved))


def test_weights_of_the_data_count():
    """Signal of weight zero is not there."""
    X, y = events(40_000, 2000)
    with_signal, without = (
        TemplateDetector(Sidebands(REGION), QUADRATIC.steps[1][1], cv=None, random_state=0).fit(
            X, sample_weight=weight
        )
        for weight in (np.ones(len(X)), 1.0 - y)
    )
    at_signal = np.array([[3.5, 1.5, 1.5]])
    assert with_signal.anomaly_score(at_signal) > 2
    assert without.anomaly_score(at_signal) == pytest.approx(1.0, abs=0.25)


def test_weights_for_a_classifier_without_them():
    X, _ = events(4000)
    neighbours = KNeighborsClassifier(20)
    equal = TemplateDetector(Sidebands(REGION), neighbours, random_state=0)
    plain = equal.fit(X).anomaly_score(X)
    # Events are drawn by the template's own weights: as many of either sideband are left.
    smaller = min(REGION.counts(X)[1:])
    assert equal.n_template_ == pytest.approx(2 * smaller, abs=4 * smaller**0.5)
    assert max(REGION.counts(X)[1:]) > 2 * smaller
    np.testing.assert_array_equal(
        equal.fit(X, sample_weight=np.full(len(X), 2.0)).anomaly_score(X), plain
    )
    with pytest.raises(TypeError, match="fit of KNeighborsClassifier takes none"):
        equal.fit(X, sample_weight=1 + np.arange(len(X)) % 2)


def test_y_is_required_by_some_templates_only():
    data_driven = TemplateDetector(Sidebands())
    given = TemplateDetector(GivenReference())
    assert get_tags(data_driven).estimator_type == "outlier_detector"
    assert not get_tags(data_driven).target_tags.required
    assert get_tags(given).estimator_type is None
    assert get_tags(given).target_tags.required
    with pytest.raises(ValueError, match="GivenReference requires y"):
        given.fit(events(4000)[0])


def test_supervised_with_truth_labels():
    X, y = events(20_000, 4000)
    detector = TemplateDetector(GivenReference(REGION), TREES, random_state=0).fit(X, y)
    test, truth = events(20_000, 4000, seed=1)
    inside = REGION.mask(test)
    scores = [detector.anomaly_score(test), make_resonance().log_likelihood_ratio(test)]
    found, best = (max_significance_improvement(truth[inside], s[inside]) for s in scores)
    assert found > 0.8 * best


def test_few_events_warn():
    X, _ = events(1000)
    with pytest.warns(LowStatisticsWarning, match="holds [0-9]+ data events"):
        TemplateDetector(Sidebands(REGION), TREES).fit(X)


# The signal lies in a sideband of the lower window, which no smooth function describes.
@pytest.mark.filterwarnings("ignore::skad.exceptions.SpectrumFitWarning")
def test_in_a_bump_hunt():
    X, _ = events(6000, 120)
    hunt = BumpHunt(
        TemplateDetector(Sidebands(), GaussianNB(), cv=None),
        [REGION, SignalRegion(2.8, 3.2)],
        efficiencies=(1.0, 0.05),
        n_parameters=3,
        n_global_toys=1000,
        random_state=0,
    )
    hunt.fit(X)
    z = hunt.results_.pivot(index="window", columns="efficiency", values="z_local")
    assert z.loc[0, 0.05] > z.loc[0, 1.0] + 1
    assert z.loc[0, 0.05] > 4
    assert z.loc[1, 0.05] < 3


def test_in_a_bump_hunt_with_a_given_reference_and_the_direct_estimate():
    X, _ = events(6000, 120)
    reference, _ = events(12_000, seed=5)
    hunt = BumpHunt(
        TemplateDetector(GivenReference(), GaussianNB(), cv=None),
        [REGION],
        efficiencies=(0.05,),
        background="direct",
        n_parameters=3,
        n_global_toys=1000,
        random_state=0,
    )
    hunt.fit(np.concatenate([X, reference]), np.repeat([1, 0], [len(X), len(reference)]))
    assert hunt.results_["z_local"][0] > 4


def test_in_a_grid_search_with_truth_for_the_score():
    X, y = events(10_000, 400)
    search = GridSearchCV(
        TemplateDetector(Sidebands(REGION), random_state=0, cv=None),
        {
            "classifier": [GaussianNB(), TREES],
            "template__region": [REGION.with_sidebands(0.2), REGION],
        },
        scoring=get_anomaly_scorer("roc_auc_anomaly"),
        cv=KFold(2, shuffle=True, random_state=0),
    ).fit(X, y)
    assert search.best_score_ > 0.6
    assert len(search.cv_results_["params"]) == 4


def test_in_a_pipeline_in_other_coordinates():
    X, y = events(20_000, 600)
    frame = pd.DataFrame(X, columns=["m", "x1", "x2"])
    coordinates = ColumnCoordinates([("exp", ExpTransformer(), ["x1", "x2"])])
    detector = TemplateDetector(
        Sidebands(REGION.with_sidebands(0.2), resonance="m"), TREES, random_state=0
    )
    pipeline = make_pipeline(coordinates.set_output(transform="pandas"), detector).fit(frame)
    inside = REGION.mask(X)
    plain = -detector.fit(frame).score_samples(frame[inside])
    other = -pipeline.score_samples(frame[inside])
    # The likelihood ratio knows no coordinates, and trees hardly do.
    sic = [max_significance_improvement(y[inside], score) for score in (plain, other)]
    assert sic[0] > 3
    assert sic[1] == pytest.approx(sic[0], rel=0.4)
