"""Every public estimator keeps the rules of children, labels, weights, scores and scale."""

import pytest
from estimator_checks import make_events
from fast_estimators import fast_estimators
from rule_checks import rules_for
from rule_estimators import BREAKING, GOOD_WEAK
from simple_estimators import GoodDetector

ESTIMATORS = fast_estimators()


# A hundred events are too few for a search, as it warns.
@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
@pytest.mark.parametrize(
    "name, rule",
    [(name, rule) for name in ESTIMATORS for rule in rules_for(ESTIMATORS[name])],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_rules(name, rule):
    rule(ESTIMATORS[name], *make_events())


@pytest.mark.parametrize("estimator", [GoodDetector(), GOOD_WEAK], ids=["rare", "weak"])
def test_rules_accept_what_is_right(estimator):
    for rule in rules_for(estimator):
        rule(estimator, *make_events())


@pytest.mark.parametrize("rule, broken", BREAKING, ids=lambda v: getattr(v, "__name__", ""))
def test_rules_refuse_what_breaks_them(rule, broken):
    estimator = broken()
    assert rule in rules_for(estimator)
    with pytest.raises(AssertionError):
        rule(estimator, *make_events())


def test_every_rule_is_tested():
    applied = {rule for estimator in (GoodDetector(), GOOD_WEAK) for rule in rules_for(estimator)}
    assert applied == {rule for rule, _ in BREAKING}
