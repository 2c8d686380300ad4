"""Events, labels and weights of every kind for every public estimator."""

import warnings

import numpy as np
import pandas as pd
from estimator_checks import make_events, outputs, seeded
from sklearn.base import BaseEstimator
from sklearn.utils.validation import has_fit_parameter

X, y = make_events()
WEIGHT = np.random.RandomState(0).uniform(0.5, 2, len(X))


def _with(value, where=(3, 1)):
    changed = X.copy()
    changed.iloc[where] = value
    return changed


def _one_of(label):
    return pd.concat([X[y == label][:1], X[y != label]]), np.r_[label, y[y != label]]


# Events, labels, weights, and whether they must be refused.
CASES = {
    "nan": (_with(np.nan), y, None, True),
    "inf": (_with(np.inf), y, None, True),
    "-inf": (_with(-np.inf), y, None, True),
    "text": (_with(0.0).astype(object).assign(b="abc"), y, None, True),
    "None in a column": (_with(0.0).astype(object).assign(b=None), y, None, True),
    "complex": (X.to_numpy() + 1j, y, None, True),
    "None": (None, y, None, True),
    "a number": (1.5, y, None, True),
    "one axis": (X["a"].to_numpy(), y, None, True),
    "three axes": (X.to_numpy()[None], y, None, True),
    "dates": (X.assign(a=pd.Timestamp("2026-01-01")), y, None, True),
    "1e-300": (X * 1e-300, y, None, False),
    "1e-30": (X * 1e-30, y, None, False),
    "1e30": (X * 1e30, y, None, False),
    "1e300": (X * 1e300, y, None, False),
    "one of 1e308": (_with(1e308), y, None, False),
    "one of 1e18": (_with(1e18), y, None, False),
    "offset of 1e8": (X + 1e8, y, None, False),
    "one column constant": (X.assign(b=0.5), y, None, False),
    "all constant": (X * 0 + 1.0, y, None, False),
    "all zero": (X * 0, y, None, False),
    "nearly constant": (X.assign(b=0.5 + 1e-15 * X["b"]), y, None, False),
    "duplicates": (pd.concat([X[:10]] * 10), np.tile(y[:10], 10), None, False),
    "ties": (X.round(1), y, None, False),
    "columns alike": (X.assign(b=X["a"]), y, None, False),
    "one event": (X[:1], y[:1], None, False),
    "two events": (X[:2], y[:2], None, False),
    "three events": (X[:3], y[:3], None, False),
    "one event of class 1": (*_one_of(1), None, False),
    "one event of class 0": (*_one_of(0), None, False),
    "no events": (X[:0], y[:0], None, True),
    "no columns": (X[[]], y, None, True),
    "one feature": (X[["a"]], y, None, False),
    "more features than events": (
        pd.DataFrame(np.abs(np.random.RandomState(0).normal(size=(20, 60))) + 0.1),
        np.arange(20) % 2, None, False,
    ),
    "200 features": (
        pd.DataFrame(np.abs(np.random.RandomState(0).normal(size=(100, 200))) + 0.1), y, None, False
    ),
    "negative": (-X, y, None, False),
    "float32": (X.astype(np.float32), y, None, False),
    "float16": (X.astype(np.float16), y, None, False),
    "int64": ((X * 100).astype(np.int64), y, None, False),
    "uint8": ((X * 10).astype(np.uint8), y, None, False),
    "bool": (X > 1, y, None, False),
    "pandas Float64": (X.astype("Float64"), y, None, False),
    "pandas Int64 with NA": ((X * 10).astype(int).astype("Int64").where(X > 0.5), y, None, True),
    "list": (X.to_numpy().tolist(), y.tolist(), None, False),
    "Fortran order": (np.asfortranarray(X.to_numpy()), y, None, False),
    "strided": (np.repeat(X.to_numpy(), 2, axis=0)[::2], np.repeat(y, 2)[::2], None, False),
    "read only": (pd.DataFrame(X).to_numpy(copy=False), y, None, False),
    "numbers as columns": (X.set_axis([0, 1, 2], axis=1), y, None, False),
    "y of text": (X, np.where(y == 1, "data", "simulation"), None, None),
    "y of -1 and 1": (X, 2 * y - 1, None, None),
    "y of 0.5": (X, y + 0.5, None, None),
    "y of NaN": (X, np.where(y == 1, np.nan, 0.0), None, None),
    "y of one class": (X, np.ones_like(y), None, None),
    "y of three": (X, np.arange(len(X)) % 3, None, None),
    "y too short": (X, y[:-1], None, None),
    "y of two axes": (X, np.c_[y, y], None, None),
    "weights of NaN": (X, y, np.where(y == 1, np.nan, 1.0), True),
    "weights of inf": (X, y, np.where(y == 1, np.inf, 1.0), True),
    "negative weights": (X, y, -WEIGHT, True),
    "weights all zero": (X, y, WEIGHT * 0, True),
    "weights too short": (X, y, WEIGHT[:-1], True),
    "weights of text": (X, y, np.full(len(X), "abc"), True),
    "weights of two axes": (X, y, np.c_[WEIGHT, WEIGHT], True),
    "almost all weights zero": (X, y, np.r_[np.ones(4), np.zeros(len(X) - 4)], False),
    "weights of 1e300": (X, y, WEIGHT * 1e300, False),
    "weights of 1e-300": (X, y, WEIGHT * 1e-300, False),
    "one huge weight": (X, y, np.r_[1e12, WEIGHT[1:]], False),
}  # fmt: skip

# Events for estimators that were fitted with ordinary ones.
AT_PREDICT = {
    "nan": (_with(np.nan), True),
    "inf": (_with(np.inf), True),
    "text": (_with(0.0).astype(object).assign(b="abc"), True),
    "reordered": (X[["c", "b", "a"]], True),
    "missing": (X[["a", "b"]], True),
    "added": (X.assign(d=1.0), True),
    "one axis": (X["a"].to_numpy(), True),
    "None": (None, True),
    "no events": (X[:0], False),
    "one event": (X[:1], False),
    "one of 1e308": (_with(1e308), False),
    "one of -1e308": (_with(-1e308), False),
    "1e-300": (X * 1e-300, False),
    "1e300": (X * 1e300, False),
    "constant": (X * 0 + 1.0, False),
    "float32": (X.astype(np.float32), False),
    "list": (X.to_numpy().tolist(), False),
}
# What their children say of their own accord.
OF_CHILDREN = {("BumpHunt", "almost all weights zero"): "an IsolationForest draws events by weight"}
# Their results may be NaN by their own words, or they look at no number.
MAY_BE_NAN = {
    "BumpHunt": "documented: NaN in rows that are not to be trusted",
    "LogTransformer": 'outside="nan" in tests/fast_estimators.py',
    "JetFrame": 'unphysical="ignore" in tests/fast_estimators.py',
    "JetObservables": 'unphysical="ignore" in tests/fast_estimators.py',
    "ConstituentCoordinates": 'unphysical="ignore" in tests/fast_estimators.py',
}


def fuzz_estimator(judge, name, estimator: BaseEstimator, keep=lambda number: True):
    """Judge the fits, and the calls of a fitted one, whose number is to be kept."""
    finite = name not in MAY_BE_NAN
    takes_weights = has_fit_parameter(estimator, "sample_weight")
    number = 0
    for case, (events, labels, weight, must_refuse) in CASES.items():
        number += 1
        if (name, case) in OF_CHILDREN or not keep(number):
            continue
        if weight is not None and not takes_weights:
            continue
        options = {} if weight is None else {"sample_weight": weight}

        def fit(events=events, labels=labels, options=options):
            return outputs(seeded(estimator).fit(events, labels, **options), events)

        judge(name, f"fit, {case}", fit, must_refuse=bool(must_refuse), finite=finite)
    fitted = None
    for case, (events, must_refuse) in AT_PREDICT.items():
        number += 1
        if not keep(number):
            continue
        if fitted is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = seeded(estimator).fit(X, y)
            if not hasattr(fitted, "transform") and not hasattr(fitted, "score_samples"):
                return
        judge(
            name, f"predict, {case}", lambda events=events, model=fitted: outputs(model, events),
            must_refuse=must_refuse, finite=finite,
        )  # fmt: skip
