"""Checks of the rules that hold for every estimator: children, labels, weights, scores, scale.

As in `estimator_checks`: functions of an unfitted estimator, events X (DataFrame) and labels y in
{0, 1}. `rules_for` says which apply.
"""

import warnings

import numpy as np
from estimator_checks import assert_same, differ, fitted, outputs, raises_clearly, seeded
from estimator_checks import outputs as all_outputs
from sklearn.base import BaseEstimator, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skad.base import ScoreMixin
from skad.exceptions import SkadWarning

SEED = 1000
MOST_COPIES = 20


def children_with_seeds(estimator):
    """Names of the parameters `random_state` of nested estimators."""
    return [name for name in estimator.get_params() if name.endswith("__random_state")]


def estimators_within(value, found=None):
    """All estimators that a fitted one has learned, however deep."""
    found = {} if found is None else found
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            estimators_within(item, found)
    elif id(value) not in found and type(value).__module__.partition(".")[0] in (
        "skad", "sklearn", "pyod", "simple_estimators", "rule_estimators"
    ) and hasattr(value, "__dict__"):  # fmt: skip
        found[id(value)] = value
        given = value.get_params(deep=False) if isinstance(value, BaseEstimator) else {}
        for name, part in vars(value).items():
            if name not in given:
                estimators_within(part, found)
    return [each for each in found.values() if isinstance(each, BaseEstimator)]


def check_children_keep_seeds(estimator, X, y):
    """A seed that the user gave a child stays, plus the number of the copy where there are some."""
    names = children_with_seeds(estimator)
    fit = seeded(estimator, **dict.fromkeys(names, SEED)).fit(X, y)
    params = estimator.get_params()
    kinds = {type(params[name.rpartition("__")[0]]) for name in names}
    found = [each for each in estimators_within(fit) if type(each) in kinds and each is not fit]
    for child in found:
        assert SEED <= child.random_state < SEED + MOST_COPIES, (
            f"{type(child).__name__} was given the seed {SEED} and has {child.random_state}"
        )
    if not found:
        other = seeded(estimator, **dict.fromkeys(names, SEED + 1)).fit(X, y)
        assert differ(outputs(fit, X), outputs(other, X)), "the seed of a child changes nothing"


def check_labels(estimator, X, y):
    """1 and 0 or booleans say which events are data; every other label is refused."""
    reference = outputs(fitted(estimator, X, y), X)
    assert_same(outputs(fitted(estimator, X, y.astype(bool)), X), reference)
    assert_same(outputs(fitted(estimator, X, y.astype(float)), X), reference)
    text = np.where(y == 1, "data", "simulation")
    for labels in (text, text.astype(object), 2 * y - 1, y + 1, np.arange(len(y)) % 3, 0 * y):
        raises_clearly(lambda labels=labels: fitted(estimator, X, labels), "y must .*1.*0")


def check_weight_unit(estimator, X, y):
    """Scores do not depend on the unit of the weights; equal weights are none.

    The numbers of events of a search are sums of weights; they are looked at in its own tests.
    """

    def outputs(fit, X):
        return {name: found for name, found in all_outputs(fit, X).items() if name != "results_"}

    reference = outputs(fitted(estimator, X, y), X)
    for unit in (1e-6, 1.0, 1e6):
        equal = fitted(estimator, X, y, sample_weight=np.full(len(X), unit))
        assert_same(outputs(equal, X), reference, rtol=1e-6, atol=1e-9)
    weight = np.random.RandomState(1).uniform(0.5, 2.0, size=len(X))
    one = outputs(fitted(estimator, X, y, sample_weight=weight), X)
    other = outputs(fitted(estimator, X, y, sample_weight=2.0**-20 * weight), X)
    assert_same(other, one, rtol=1e-5, atol=1e-7)


def check_extreme_events(estimator, X, y):
    """A finite event, however far out, is never normal because its score overflowed."""
    fit = fitted(estimator, X, y)
    regions = [name for name in estimator.get_params() if name.rpartition("__")[2] == "region"]
    rare = not get_tags(estimator).target_tags.required and not regions
    for value, dtype in [
        (1e19, np.float64), (3.4e38, np.float64), (1e160, np.float64), (1.7e308, np.float64),
        (3.4e38, np.float32),
    ]:  # fmt: skip
        for sign in (1, -1):
            far = X.iloc[:3].astype(dtype)
            far.iloc[0, 1] = sign * value
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    scores, labels = fit.anomaly_score(far), fit.predict(far)
                except ValueError as exc:
                    assert str(exc)
                    continue
            assert np.isfinite(scores).all(), f"{sign * value:g} scores {scores[0]}"
            if rare:
                assert labels[0] == -1, f"{sign * value:g} is called normal"


def check_scale(estimator, X, y):
    """Features at any scale rank the events alike, or it is an error that says so."""
    reference = fitted(estimator, X, y).anomaly_score(X)
    for scale in (1e-200, 1e200):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SkadWarning)
            try:
                scores = fitted(estimator, X * scale, y).anomaly_score(X * scale)
            except ValueError as exc:
                assert "reaches" in str(exc) or "region" in str(exc), str(exc)
                continue
        np.testing.assert_array_equal(np.argsort(scores), np.argsort(reference))


def rules_for(estimator):
    """The rules that apply to an estimator."""
    tags, rules = get_tags(estimator), []
    if children_with_seeds(clone(estimator)):
        rules.append(check_children_keep_seeds)
    if tags.target_tags.required and tags.estimator_type is None and hasattr(estimator, "fit"):
        rules.append(check_labels)
    if has_fit_parameter(estimator, "sample_weight"):
        rules.append(check_weight_unit)
    if isinstance(estimator, ScoreMixin):
        rules += [check_extreme_events, check_scale]
    return rules
