"""Every public estimator passes scikit-learn's checks and skad's own; the checks can fail."""

import re
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from unittest import SkipTest
from unittest.mock import patch

import numpy as np
import pytest
from broken_estimators import BROKEN, INCOMPLETE, WithoutRow
from estimator_checks import (
    check_complete,
    check_parallel,
    checks_for,
    make_events,
    methods_of,
)
from fast_estimators import _FAST, GUIDE, build, fast_estimators
from simple_estimators import GoodDensity, GoodDetector, GoodTemplate, GoodTransformer
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest
from sklearn.feature_selection import SelectKBest
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import has_fit_parameter

# A hundred events are too few for a search, as it warns.
pytestmark = pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")

ESTIMATORS = fast_estimators()

# Checks that cannot pass, by class name, with the reason. Only sample-weight equivalence
# under random splits or noise may stand here, as for scikit-learn's own IsolationForest.
EXPECTED_FAILURES = {
    "TreeEnsembleClassifier": {
        "check_sample_weight_equivalence_on_dense_data": (
            "its trees grow on random halves of the events; the copies of an event given twice "
            "can fall into both"
        )
    },
    "FETA": {
        "check_sample_weight_equivalence_on_dense_data": (
            "the events of the check hold one distinct event of the class that plays the "
            "simulation, and one event has no density"
        )
    },
    "TemplateDetector": {
        "check_sample_weight_equivalence_on_dense_data": (
            "its folds are of data and template events together, so the folds of the events of X "
            "that the check passes do not fit"
        )
    },
    "ResidualANODE": {
        "check_sample_weight_equivalence_on_dense_data": (
            "its folds are random; an event given twice can be learned from in one fold and held "
            "out in another"
        )
    },
    "BumpHunt": {
        "check_sample_weight_equivalence_on_dense_data": (
            "its folds are random; an event given twice can be learned from in one fold and held "
            "out in another"
        )
    },
    "VAEDetector": {
        "check_sample_weight_equivalence_on_dense_data": (
            "every event draws its own posterior noise in training, so an event given twice "
            "draws two, and one of weight two draws one"
        )
    },
}


def expected_failures(estimator):
    return EXPECTED_FAILURES.get(type(estimator).__name__, {})


@contextmanager
def labels_as_skad_reads_them(estimator):
    """Hand 1 and 0 to `fit` where a check invents two other numbers.

    Labels such as {1, 2} say nothing of data and reference, so skad refuses them; every other y
    arrives as the check made it.
    """
    tags, kind = get_tags(estimator), type(estimator)
    fit = kind.fit
    if not tags.target_tags.required or tags.estimator_type is not None:
        yield
        return

    @wraps(fit)
    def fit_with_labels(self, X, y=None, *args, **params):
        labels = np.unique(np.asarray(y)) if y is not None else ()
        if len(labels) == 2 and labels.dtype.kind in "iu" and labels[1] == labels[0] + 1:
            y = (np.asarray(y) == labels[1]).astype(int)
        return fit(self, X, y, *args, **params)

    with patch.object(kind, "fit", fit_with_labels):
        yield


def run_check(check, estimator):
    """Run a check of scikit-learn; one that skips itself counts as failed."""
    try:
        with labels_as_skad_reads_them(estimator):
            check(estimator)
    except SkipTest as exc:
        raise AssertionError(f"the check skipped itself: {exc}") from exc


def scikit_learn_checks():
    """Every pair of estimator and check, as `parametrize_with_checks` would make them.

    With names of our own: scikit-learn's hold the address of a function among the parameters,
    and then two test processes disagree on the names.
    """
    for estimator in ESTIMATORS.values():
        yield from estimator_checks_generator(
            estimator,
            expected_failed_checks=expected_failures(estimator),
            mark="xfail",
            xfail_strict=True,
        )


def short_name(value):
    """Name of an estimator, or of a check with its options."""
    if not isinstance(value, partial):
        return type(value).__name__
    options = ",".join(f"{key}={option}" for key, option in value.keywords.items())
    return f"{value.func.__name__}({options})" if options else value.func.__name__


# scikit-learn's events know nothing of an estimator's domain; its warnings are in order.
@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
@pytest.mark.parametrize("estimator, check", list(scikit_learn_checks()), ids=short_name)
def test_scikit_learn_checks(estimator, check):
    run_check(check, estimator)


def test_expected_failures_are_few_and_explained():
    for name, checks in EXPECTED_FAILURES.items():
        assert name in ESTIMATORS
        for check, reason in checks.items():
            assert check.startswith("check_sample_weight_equivalence")
            assert len(reason.split()) > 5


def check_names(estimator):
    """Names of the checks that scikit-learn runs on dense NumPy arrays, one for each variant."""
    names = [check.func.__name__ for _, check in estimator_checks_generator(estimator)]
    return [name for name in names if "sparse_data" not in name and "array_api" not in name]


def comparable(estimator):
    """An estimator of scikit-learn of the same kind, with or without weights in `fit`."""
    weighted = has_fit_parameter(estimator, "sample_weight")
    tags = get_tags(estimator)
    if not methods_of(estimator):
        return BaseEstimator()
    if tags.estimator_type == "outlier_detector":
        return IsolationForest() if weighted else LocalOutlierFactor(novelty=True)
    if tags.estimator_type == "classifier":
        if weighted:
            return SVC() if "class_weight" in estimator.get_params() else GaussianNB()
        return LinearDiscriminantAnalysis()
    if hasattr(estimator, "transform"):
        if tags.target_tags.required:
            return SelectKBest(k="all")
        return StandardScaler() if weighted else MinMaxScaler()
    return KernelDensity()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_number_of_checks(name):
    """No tag silently switches checks off: as many run as for scikit-learn's own."""
    estimator = ESTIMATORS[name]
    ours, theirs = check_names(estimator), check_names(comparable(estimator))
    missing = set(theirs) - set(ours)
    if "false_alarm_rate" in estimator.get_params():
        # No fraction of its training events is called outliers.
        missing -= {"check_outlier_contamination"}
        theirs.remove("check_outlier_contamination")
    assert not missing
    assert len(ours) >= len(theirs) > 30


# Checks that scikit-learn runs on its own estimators only, outside parametrize_with_checks.
FURTHER = [
    estimator_checks.check_param_validation,
    estimator_checks.check_dataframe_column_names_consistency,
]
FURTHER_FOR_TRANSFORMERS = [
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
]


def further_checks(estimator):
    transformer = isinstance(estimator, TransformerMixin)
    return FURTHER + (FURTHER_FOR_TRANSFORMERS if transformer else [])


@pytest.mark.parametrize(
    "name, check",
    [(name, check) for name in ESTIMATORS for check in further_checks(ESTIMATORS[name])],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_further_scikit_learn_checks(name, check):
    run_check(lambda estimator: check(name, estimator), ESTIMATORS[name])


# Started once, the processes of joblib serve all that need them, if one test process asks.
PROCESSES = pytest.mark.xdist_group("processes")


def skad_checks():
    for name, estimator in ESTIMATORS.items():
        for check in checks_for(estimator):
            marks = [PROCESSES] if check is check_parallel else []
            yield pytest.param(name, check, marks=marks, id=f"{name}-{check.__name__}")


@pytest.mark.parametrize("name, check", skad_checks())
def test_skad_checks(name, check):
    X, y = make_events()
    check(ESTIMATORS[name], X, y)


# The checks themselves, on small estimators that are right and on copies broken in one place.

GOOD = [GoodDetector(), GoodDensity(), GoodTemplate(), GoodTransformer()]


@PROCESSES
@pytest.mark.parametrize("estimator", GOOD, ids=lambda estimator: type(estimator).__name__)
def test_checks_accept_what_is_right(estimator):
    X, y = make_events()
    for check in checks_for(estimator):
        check(estimator, X, y)
    for _, check in estimator_checks_generator(estimator):
        run_check(check, estimator)


@pytest.mark.parametrize(
    "check, broken", BROKEN, ids=lambda value: getattr(value, "__name__", value)
)
def test_checks_refuse_what_is_broken(check, broken):
    estimator = broken()
    X, y = make_events()
    assert check in checks_for(estimator)
    with pytest.raises(AssertionError):
        check(estimator, X, y)


def test_every_check_is_tested():
    applied = {check for estimator in GOOD for check in checks_for(estimator)}
    assert applied == {check for check, _ in BROKEN}


@pytest.mark.parametrize("broken, message", INCOMPLETE)
def test_what_is_missing_is_named(broken, message):
    with pytest.raises(AssertionError, match=rf"(?s){message}.*docs/contributing\.md"):
        check_complete(broken(), *make_events())


def test_missing_row_is_named():
    message = r"WithoutRow cannot be built .*'detector'.* row .* in _FAST of tests/fast_estimators"
    with pytest.raises(TypeError, match=message):
        build(WithoutRow)


def test_rows_are_of_estimators():
    assert set(_FAST) <= set(ESTIMATORS)


def test_messages_point_to_a_section_that_exists():
    path, section = re.match(r'(\S+), "(.*)"', GUIDE).groups()
    text = (Path(__file__).resolve().parents[1] / path).read_text()
    assert f"\n## {section}\n" in text


class SkippedDetector(GoodDetector):
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.no_validation = True
        return tags


def test_number_of_checks_notices_a_tag(monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "SkippedDetector", SkippedDetector())
    with pytest.raises(AssertionError):
        test_number_of_checks("SkippedDetector")
    monkeypatch.setitem(ESTIMATORS, "GoodDetector", GoodDetector())
    test_number_of_checks("GoodDetector")


def test_a_check_that_skips_itself_fails():
    def check(estimator):
        raise SkipTest("not today")

    with pytest.raises(AssertionError, match="not today"):
        run_check(check, GoodDetector())
