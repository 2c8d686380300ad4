"""Checks of skad's own conventions, which every public estimator must pass.

Each check is a function of an unfitted estimator, events X (DataFrame) and labels y in {0, 1}; it
raises AssertionError where a convention is broken. `checks_for` says which apply.
"""

import copy
import io
import pickle
import random
import re
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from fast_estimators import GUIDE
from sklearn import config_context
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from skad.base import DensityMixin, ScoreMixin
from skad.exceptions import SkadWarning
from skad.resonant import Template

METHODS = (
    "transform",
    "score_samples",
    "anomaly_score",
    "decision_function",
    "predict",
    "predict_proba",
    "log_abs_det_jacobian",
)


def make_events(n_events=100, seed=0):
    """Correlated, continuous, positive events in three columns, and random labels."""
    rng = np.random.RandomState(seed)
    mixing = np.array([[1.0, 0.3, 0.0], [0.0, 1.0, -0.4], [0.0, 0.0, 1.0]])
    X = np.exp(0.4 * rng.normal(size=(n_events, 3)) @ mixing) + 0.1
    y = rng.permutation(np.arange(n_events) % 2)
    return pd.DataFrame(X, columns=["a", "b", "c"]), y


def seeded(estimator, **params):
    """A clone with random_state=0 wherever there is one, and `params` set."""
    seeds = {
        name: 0
        for name in estimator.get_params()
        if name == "random_state" or name.endswith("__random_state")
    }
    return clone(estimator).set_params(**(seeds | params))


def fitted(estimator, X, y, **fit_params):
    """A seeded clone fitted to the events."""
    return seeded(estimator).fit(X, y, **fit_params)


def methods_of(estimator):
    """Names of the methods that say something of every event."""
    return [name for name in METHODS if hasattr(estimator, name)]


def outputs(estimator, X, methods=METHODS):
    """What each output method of a fitted estimator says of the events.

    Of an estimator that has none, such as a search, the tables and arrays it learned.
    """
    found = {
        name: np.asarray(getattr(estimator, name)(X))
        for name in methods
        if hasattr(estimator, name)
    }
    return found or learned_tables(estimator)


def learned_tables(estimator):
    """Numeric tables and arrays among the learned attributes."""
    found = {}
    for name, value in vars(estimator).items():
        if isinstance(value, pd.DataFrame):
            value = value.select_dtypes("number").to_numpy()
        if name.endswith("_") and isinstance(value, np.ndarray) and value.dtype.kind in "fib":
            found[name] = value
    assert found, f"{type(estimator).__name__} has no output method and learned no table"
    return found


def assert_same(first, second, *, rtol=0.0, atol=0.0):
    """Outputs agree method by method; bitwise unless a tolerance is given."""
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=rtol, atol=atol, err_msg=name)


def differ(first, second):
    return any(not np.array_equal(first[name], second[name]) for name in first)


def mean_output(estimator, X, y=None):
    """Scorer for any estimator: the mean of the first output it has."""
    return float(np.mean(next(iter(outputs(estimator, X).values()))))


def outlier_fraction(estimator, X, y=None):
    """Scorer for detectors."""
    return float(np.mean(estimator.predict(X) == -1))


def result_or_clear_error(function, words):
    """Outputs, all finite; or None after an error whose message matches `words`."""
    with warnings.catch_warnings():
        # On degenerate events a warning is welcome.
        warnings.simplefilter("ignore", SkadWarning)
        try:
            found = function()
        except (ValueError, TypeError, ArithmeticError) as exc:
            assert re.search(words, str(exc), re.IGNORECASE), (
                f"{type(exc).__name__} does not say what is wrong: {exc}"
            )
            return None
    for name, values in found.items():
        assert np.isfinite(values).all(), f"{name} is not finite"
    return found


def raises_clearly(function, words):
    """Assert a ValueError or TypeError whose message matches `words`."""
    try:
        function()
    except (ValueError, TypeError) as exc:
        assert re.search(words, str(exc), re.IGNORECASE), (
            f"{type(exc).__name__} does not say what is wrong: {exc}"
        )
    else:
        raise AssertionError(f"no error, expected one that matches {words!r}")


# Every estimator


def _rate(estimator):
    """Name of the parameter that says how many events are called outliers."""
    known = "false_alarm_rate" in type(estimator)._get_param_names()
    return "false_alarm_rate" if known else "contamination"


def check_complete(estimator, X, y):
    """The class has what scikit-learn and the contract of its family ask for, and fits."""
    cls = type(estimator)
    missing = []
    constraints = getattr(cls, "_parameter_constraints", None)
    if constraints is None:
        missing.append("_parameter_constraints, a dict from parameters to what they may be")
    else:
        parameters = set(cls._get_param_names())
        missing += [f"a constraint of {name!r}" for name in sorted(parameters - set(constraints))]
        if surplus := sorted(set(constraints) - parameters):
            missing.append(f"the parameters {surplus} that _parameter_constraints names")
    if not any(hasattr(vars(base).get("fit"), "__wrapped__") for base in cls.__mro__):
        missing.append("@sk.fit_context on fit, which reads _parameter_constraints")
    if isinstance(estimator, ScoreMixin):
        wanted = {_rate(estimator), "threshold"} - set(cls._get_param_names())
        missing += [f"the parameter {name!r} of ScoreMixin" for name in sorted(wanted)]
        if not hasattr(cls, "anomaly_score"):
            missing.append("anomaly_score(X)")
    if isinstance(estimator, DensityMixin) and not hasattr(cls, "score_samples"):
        missing.append("score_samples(X)")
    assert not missing, f"{cls.__name__} lacks {'; '.join(missing)}. {GUIDE}."
    try:
        fitted(estimator, X, y)
    except Exception as exc:
        raise AssertionError(
            f"{cls.__name__} does not fit the events of the common tests ({exc}); its row in "
            f"tests/fast_estimators.py must give arguments that do. {GUIDE}."
        ) from exc


def check_copies(estimator, X, y):
    """Clone, deepcopy, pickle and joblib give identical outputs."""
    fit = fitted(estimator, X, y)
    expected = outputs(fit, X)
    buffer = io.BytesIO()
    joblib.dump(fit, buffer)
    buffer.seek(0)
    for other in (copy.deepcopy(fit), pickle.loads(pickle.dumps(fit)), joblib.load(buffer)):
        assert_same(outputs(other, X), expected)
    assert_same(outputs(clone(fit).fit(X, y), X), expected)


def check_same_seed(estimator, X, y):
    """The same random_state gives bitwise the same, whatever the global generators hold."""
    found = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        random.seed(seed)
        found.append(outputs(fitted(estimator, X, y), X))
    assert_same(*found)


def _global_states():
    return (
        pickle.dumps(np.random.get_state()),
        torch.get_rng_state().numpy().tobytes(),
        random.getstate(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.get_num_threads(),
    )


def check_globals_untouched(estimator, X, y):
    """Fitting, scoring and sampling leave the caller's generators and torch settings alone."""
    before = _global_states()
    fit = fitted(estimator, X, y)
    outputs(fit, X)
    if hasattr(fit, "sample"):
        fit.sample(3, random_state=0)
    assert _global_states() == before, "a global generator or setting of torch changed"


def check_refit_forgets(estimator, X, y):
    """A second fit forgets the first, number of columns included."""
    other, labels = make_events(40, seed=1)
    other = other.assign(extra=other["a"] * 2 + other["b"])
    fit = fitted(estimator, other, labels)
    seeds_again = seeded(estimator).get_params(deep=False)
    fit.set_params(**{k: v for k, v in seeds_again.items() if k == "random_state"})
    assert_same(outputs(fit.fit(X, y), X), outputs(fitted(estimator, X, y), X))


def check_truth_unread(estimator, X, y):
    """Without supervision, labels change nothing."""
    expected = outputs(fitted(estimator, X, None), X)
    assert_same(outputs(fitted(estimator, X, y), X), expected)
    assert_same(outputs(fitted(estimator, X, y[::-1]), X), expected)


def check_input_unchanged(estimator, X, y):
    """No method writes into X."""
    original = X.to_numpy().copy()
    values = original.copy()
    outputs(fitted(estimator, values, y), values)
    np.testing.assert_array_equal(values, original)


PIPELINE_METHODS = ("transform", "score_samples", "decision_function", "predict")


def check_pipeline(estimator, X, y):
    """As the last step of a Pipeline it does what it does alone."""
    pipeline = make_pipeline(MaxAbsScaler(), seeded(estimator)).fit(X, y)
    scaled = MaxAbsScaler().fit_transform(X)
    alone = fitted(estimator, scaled, y)
    assert_same(outputs(pipeline, X, PIPELINE_METHODS), outputs(alone, scaled, PIPELINE_METHODS))


def check_grid_search(estimator, X, y):
    """GridSearchCV sets the parameters, and refits what it chose."""
    params = seeded(estimator).get_params(deep=False)
    if isinstance(estimator, ScoreMixin):
        grid, scoring = {_rate(estimator): [0.05, 0.4]}, outlier_fraction
    else:
        name = "random_state" if "random_state" in params else next(iter(params), None)
        grid, scoring = {name: [params[name]]} if name else {}, mean_output
    search = GridSearchCV(
        seeded(estimator), grid, scoring=scoring, cv=KFold(2), error_score="raise"
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    if isinstance(estimator, ScoreMixin):
        assert search.best_params_ == {_rate(estimator): 0.4}
    alone = seeded(estimator, **search.best_params_).fit(X, y)
    assert_same(outputs(search.best_estimator_, X), outputs(alone, X))


def check_parallel(estimator, X, y):
    """cross_val_score gives the same with two threads and with two processes."""
    options = {"scoring": mean_output, "cv": KFold(3), "error_score": "raise"}
    expected = cross_val_score(seeded(estimator), X, y, **options)
    for backend in ("threading", "loky"):
        with joblib.parallel_config(backend=backend):
            found = cross_val_score(seeded(estimator), X, y, n_jobs=2, **options)
        np.testing.assert_array_equal(found, expected, err_msg=backend)


def check_routing(estimator, X, y):
    """Weights arrive through a Pipeline with metadata routing on and off, and matter."""
    weight = np.random.RandomState(0).uniform(0.1, 2.0, size=len(X))
    scaled = MaxAbsScaler().fit_transform(X)
    weighted = has_fit_parameter(estimator, "sample_weight")
    plain = outputs(fitted(estimator, scaled, y), scaled, PIPELINE_METHODS)
    expected = plain
    if weighted:
        alone = fitted(estimator, scaled, y, sample_weight=weight)
        expected = outputs(alone, scaled, PIPELINE_METHODS)
        assert differ(expected, plain), "sample_weight changes nothing"
        pipeline = make_pipeline(MaxAbsScaler(), seeded(estimator))
        pipeline.fit(X, y, **{f"{pipeline.steps[-1][0]}__sample_weight": weight})
        assert_same(outputs(pipeline, X, PIPELINE_METHODS), expected)
    with config_context(enable_metadata_routing=True):
        last = seeded(estimator)
        if weighted:
            last.set_fit_request(sample_weight=True)
        # The scaler is told nothing: it takes no weights.
        pipeline = make_pipeline(MaxAbsScaler(), last)
        pipeline.fit(X, y, **({"sample_weight": weight} if weighted else {}))
        assert_same(outputs(pipeline, X, PIPELINE_METHODS), expected)
        if hasattr(pipeline, "score"):
            assert np.isfinite(pipeline.score(X, y))


def check_dataframe(estimator, X, y):
    """A DataFrame gives what its values give; names and index are kept."""
    X = X.set_index(np.arange(len(X))[::-1] * 10)
    fit = fitted(estimator, X, y)
    np.testing.assert_array_equal(fit.feature_names_in_, X.columns)
    values = X.to_numpy()
    assert_same(outputs(fit, X), outputs(fitted(estimator, values, y), values), rtol=1e-9)
    if hasattr(fit, "transform") and hasattr(fit, "set_output"):
        plain = fit.transform(X)
        frame = fit.set_output(transform="pandas").transform(X)
        assert isinstance(frame, pd.DataFrame)
        np.testing.assert_array_equal(frame.index, X.index)
        np.testing.assert_array_equal(frame.columns, fit.get_feature_names_out())
        np.testing.assert_array_equal(frame.to_numpy(), plain)


def check_column_order(estimator, X, y):
    """Reordered or missing columns are refused, not read in the wrong order."""
    fit = fitted(estimator, X, y)
    for name in methods_of(fit):
        method = getattr(fit, name)
        raises_clearly(lambda method=method: method(X[X.columns[::-1]]), "feature names|order")
        raises_clearly(lambda method=method: method(X[X.columns[:-1]]), "feature names|missing")


def check_dtypes(estimator, X, y):
    """float32 events give what the same events in float64 give; scores are float64."""
    single = X.to_numpy(dtype=np.float32)
    double = single.astype(np.float64)
    first = outputs(fitted(estimator, single, y), single)
    second = outputs(fitted(estimator, double, y), double)
    for name in first:
        scale = np.abs(second[name]).max() + 1e-12
        np.testing.assert_allclose(
            first[name] / scale, second[name] / scale, rtol=1e-3, atol=1e-4, err_msg=name
        )
        if name not in ("transform", "predict"):
            assert first[name].dtype == second[name].dtype == np.float64, name


def check_one_event(estimator, X, y):
    """One event is scored as it is within many; fitting one works or says why not."""
    fit = fitted(estimator, X, y)
    many, one = outputs(fit, X), outputs(fit, X.iloc[[7]])
    for name in many:
        np.testing.assert_allclose(one[name], many[name][[7]], rtol=1e-4, atol=1e-5, err_msg=name)
    result_or_clear_error(
        lambda: outputs(fitted(estimator, X.iloc[:1], y[:1]), X.iloc[:1]),
        r"\b(1|one|single|least|few\w*|more)\b|class|constant|distinct",
    )


DEGENERATE = (
    r"constant|distinct|duplicate|identical|equal|same|column|feature|zero|range|variance|rank"
)


def check_constant_column(estimator, X, y):
    """A constant column gives finite outputs or an error that speaks of it."""
    constant = X.assign(b=0.5)
    result_or_clear_error(lambda: outputs(fitted(estimator, constant, y), constant), DEGENERATE)


def check_duplicates(estimator, X, y):
    """A column given twice, and events given five times, give finite outputs or a clear error."""
    doubled = X.assign(again=X["a"])
    result_or_clear_error(lambda: outputs(fitted(estimator, doubled, y), doubled), DEGENERATE)
    repeated, labels = pd.concat([X.iloc[:20]] * 5, ignore_index=True), np.tile(y[:20], 5)
    result_or_clear_error(
        lambda: outputs(fitted(estimator, repeated, labels), repeated), DEGENERATE
    )


def check_bad_values(estimator, X, y):
    """NaN, infinities, strings and objects are refused in fit and in every output method."""
    fit = fitted(estimator, X, y)
    bad = [
        (np.nan, "nan|missing|finite"),
        (np.inf, "inf|finite"),
        (-np.inf, "inf|finite"),
        ("anomaly", "convert|numeric|string|dtype|float"),
    ]
    for value, words in bad:
        events = X.astype(object) if isinstance(value, str) else X.copy()
        events.iloc[3, 1] = value
        raises_clearly(lambda events=events: fitted(estimator, events, y), words)
        for name in methods_of(fit):
            method = getattr(fit, name)
            raises_clearly(lambda method=method, events=events: method(events), words)


def check_empty(estimator, X, y):
    """No events and no columns are refused; scoring no events is refused or gives none."""
    empty = r"\b0\b|empty|no events|least|minimum"
    raises_clearly(lambda: fitted(estimator, X.iloc[:0], y[:0]), empty)
    raises_clearly(lambda: fitted(estimator, X.iloc[:, :0], y), empty)
    fit = fitted(estimator, X, y)
    for name in methods_of(fit):
        found = result_or_clear_error(lambda name=name: outputs(fit, X.iloc[:0], [name]), empty)
        assert found is None or len(found[name]) == 0


# Detectors


def check_detector_scores(estimator, X, y):
    """The score methods agree, in sign and offset; scores are float64."""
    fit = fitted(estimator, X, y)
    anomaly, normality = fit.anomaly_score(X), fit.score_samples(X)
    decision, label = fit.decision_function(X), fit.predict(X)
    for scores in (anomaly, normality, decision):
        assert isinstance(scores, np.ndarray)
        assert scores.shape == (len(X),)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
    order = np.argsort(anomaly)
    assert (np.diff(normality[order]) <= 0).all(), "score_samples must fall as anomaly_score rises"
    distinct = np.diff(anomaly[order]) > 1e-9 * np.ptp(anomaly)
    assert (np.diff(normality[order])[distinct] < 0).all(), "score_samples loses the order"
    np.testing.assert_array_equal(decision, normality - fit.offset_)
    np.testing.assert_array_equal(label, np.where(decision < 0, -1, 1))
    assert np.issubdtype(label.dtype, np.integer)


def check_detector_threshold(estimator, X, y):
    """`contamination` is the rarest fraction, `threshold` an absolute anomaly score."""
    rate = _rate(estimator)
    few = seeded(estimator, **{rate: 0.05}).fit(X, y)
    many = seeded(estimator, **{rate: 0.4}).fit(X, y)
    assert few.offset_ < many.offset_
    assert outlier_fraction(few, X) <= outlier_fraction(many, X)
    assert outlier_fraction(many, X) > 0
    middle = float(np.median(few.anomaly_score(X)))
    fixed = seeded(estimator, **{rate: 0.05}, threshold=middle).fit(X, y)
    expected = np.where(fixed.anomaly_score(X) > middle, -1, 1)
    np.testing.assert_array_equal(fixed.predict(X), expected)


def check_detector_kind(estimator, X, y):
    """An OutlierMixin fits without y; a detector that needs y carries the tag and says so."""
    tags = get_tags(estimator)
    assert not isinstance(estimator, DensityMixin), "one class is a density or a detector"
    assert tags.target_tags.required != isinstance(estimator, OutlierMixin)
    if tags.target_tags.required:
        raises_clearly(lambda: seeded(estimator).fit(X), "y")


# Densities


def check_density_score(estimator, X, y):
    """`score` is the (weighted) mean of finite float64 log densities, highest near the events."""
    fit = fitted(estimator, X, y)
    log_density = fit.score_samples(X)
    assert log_density.shape == (len(X),)
    assert log_density.dtype == np.float64
    assert np.isfinite(log_density).all()
    weight = np.random.RandomState(0).uniform(0.1, 2.0, size=len(X))
    assert fit.score(X) == pytest.approx(log_density.mean(), rel=1e-9)
    weighted = np.average(log_density, weights=weight)
    assert fit.score(X, sample_weight=weight) == pytest.approx(weighted, rel=1e-9)
    raises_clearly(lambda: fit.score(X, sample_weight=np.zeros(len(X))), "zero|positive")
    assert fit.score(X) > np.mean(fit.score_samples(4 * X))


def check_density_sample(estimator, X, y):
    """`sample` gives an array of finite events with finite density, by its seed alone."""
    fit = fitted(estimator, X, y)
    first = fit.sample(50, random_state=3)
    assert isinstance(first, np.ndarray)
    assert first.shape == (50, X.shape[1])
    assert np.isfinite(first).all()
    assert np.isfinite(fit.score_samples(pd.DataFrame(first, columns=X.columns))).all()
    np.testing.assert_array_equal(fit.sample(50, random_state=3), first)
    generator = np.random.RandomState(3)
    np.testing.assert_array_equal(fit.sample(50, random_state=generator), first)
    assert not np.array_equal(fit.sample(50, random_state=generator), first)
    assert fit.sample(random_state=0).shape == (1, X.shape[1])
    raises_clearly(lambda: fit.sample(0), "n_samples|sample")


# Templates


def check_template(estimator, X, y):
    """`sample_background` gives finite events and weights, as many as asked, by its seed alone."""
    fit = fitted(estimator, X, y)
    with warnings.catch_warnings():
        # A hundred events are too few to say where the features end.
        warnings.simplefilter("ignore", SkadWarning)
        for n_samples in (None, 7):
            events, weight = fit.sample_background(n_samples, random_state=3)
            assert len(events) == (n_samples or len(events)) > 0
            assert events.shape == (len(weight), X.shape[1])
            assert events.dtype == weight.dtype == np.float64
            assert np.isfinite(events).all() and np.isfinite(weight).all()
            assert (weight >= 0).all() and weight.any()
            again, _ = fit.sample_background(n_samples, random_state=3)
            np.testing.assert_array_equal(again, events)
        other, _ = fit.sample_background(7, random_state=4)
        assert not np.array_equal(other, events), "random_state of sample_background does nothing"
        raises_clearly(lambda: fit.sample_background(0), "n_samples")


# Transformers


def check_feature_names(estimator, X, y):
    """Output columns have unique names, as many as there are."""
    fit = fitted(estimator, X, y)
    names = fit.get_feature_names_out()
    assert len(set(names)) == len(names) == np.asarray(fit.transform(X)).shape[1]


def check_round_trip(estimator, X, y):
    """`inverse_transform` undoes `transform`, in values and in shape."""
    fit = fitted(estimator, X, y)
    values = X.to_numpy()
    back = np.asarray(fit.inverse_transform(np.asarray(fit.transform(X))))
    np.testing.assert_allclose(back, values, rtol=1e-6)


def check_jacobian(estimator, X, y):
    """`log_abs_det_jacobian` agrees with central differences in value and sign."""
    fit = fitted(estimator, X, y)
    events = X.to_numpy()[[3, 17, 41]]
    found = fit.log_abs_det_jacobian(pd.DataFrame(events, columns=X.columns))
    assert found.shape == (3,)
    for event, log_det in zip(events, found, strict=True):
        step = 1e-6 * np.maximum(1.0, np.abs(event))
        shifts = np.concatenate([np.diag(step), -np.diag(step)])
        moved = np.asarray(fit.transform(pd.DataFrame(event + shifts, columns=X.columns)))
        half = len(event)
        jacobian = (moved[:half] - moved[half:]) / (2 * step[:, None])
        assert np.linalg.slogdet(jacobian)[1] == pytest.approx(log_det, abs=1e-5)


# Those that make sense without a method that says something of every event.
WITHOUT_OUTPUT = [
    check_complete,
    check_copies,
    check_same_seed,
    check_globals_untouched,
    check_refit_forgets,
    check_input_unchanged,
    check_dataframe,
    check_bad_values,
    check_empty,
]
WITH_OUTPUT = [
    check_pipeline,
    check_grid_search,
    check_parallel,
    check_routing,
    check_column_order,
    check_dtypes,
    check_one_event,
    check_constant_column,
    check_duplicates,
]
DETECTOR = [check_detector_scores, check_detector_threshold, check_detector_kind]
DENSITY = [check_density_score, check_density_sample]


def checks_for(estimator):
    """The checks that apply to an estimator, by its base classes, tags and methods."""
    checks = list(WITHOUT_OUTPUT)
    if methods_of(estimator):
        checks += WITH_OUTPUT
    if not get_tags(estimator).target_tags.required:
        checks.append(check_truth_unread)
    if isinstance(estimator, ScoreMixin):
        checks += DETECTOR
    if isinstance(estimator, DensityMixin):
        checks += DENSITY
    if isinstance(estimator, Template):
        checks.append(check_template)
    if hasattr(estimator, "transform"):
        checks.append(check_feature_names)
    if hasattr(estimator, "log_abs_det_jacobian"):
        checks.append(check_jacobian)
        if hasattr(estimator, "inverse_transform"):
            checks.append(check_round_trip)
    return checks
