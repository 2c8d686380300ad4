"""Jacobians and inverses of scikit-learn's Pipeline, ColumnTransformer and FeatureUnion."""

from typing import NamedTuple

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline

from skad.coordinates._jacobian import columns_read, inverse_rule, invert, log_det_rule
from skad.exceptions import NoJacobianError
from skad.utils import _sklearn as sk
from skad.utils._columns import column_name

__all__: list[str] = []


class _Part(NamedTuple):
    """A transformer side by side with others: what it is given and where its results go."""

    transformer: object
    inputs: np.ndarray
    outputs: slice
    weight: float


# -- Nothing, and columns left out -----------------------------------------------------------


@log_det_rule.register(type(None))
@log_det_rule.register(str)
def _(transformer, X):
    _check_word(transformer)
    return 0.0


@inverse_rule.register(type(None))
@inverse_rule.register(str)
def _(transformer, Z, n_features):
    _check_word(transformer)
    return np.asarray(Z)


def _check_word(transformer):
    if transformer not in (None, "passthrough"):
        raise NoJacobianError(
            f"A transformer given as a word must be 'passthrough'; got {transformer!r}."
        )


@log_det_rule.register(SelectorMixin)
def _(transformer, X):
    return 0.0


@inverse_rule.register(SelectorMixin)
def _(transformer, Z, n_features):
    return np.asarray(Z)


@columns_read.register(SelectorMixin)
def _(transformer, n_features):
    return transformer.get_support(indices=True)


# -- One after another -----------------------------------------------------------------------


@log_det_rule.register(FrozenEstimator)
def _(transformer, X):
    return log_det_rule(transformer.estimator, X)


@inverse_rule.register(FrozenEstimator)
def _(transformer, Z, n_features):
    return inverse_rule(transformer.estimator, Z, n_features)


@columns_read.register(FrozenEstimator)
def _(transformer, n_features):
    return columns_read(transformer.estimator, n_features)


@log_det_rule.register(Pipeline)
def _(transformer, X):
    steps = _steps(transformer)
    total = 0.0
    for position, step in enumerate(steps):
        total = total + log_det_rule(step, X)
        if position + 1 < len(steps):
            X = step.transform(X)
    return total


@inverse_rule.register(Pipeline)
def _(transformer, Z, n_features):
    steps = _steps(transformer)
    for step in reversed(steps[1:]):
        Z = invert(step, Z)
    return inverse_rule(steps[0], Z, n_features) if steps else np.asarray(Z)


@columns_read.register(Pipeline)
def _(transformer, n_features):
    steps = _steps(transformer)
    if not steps:
        return np.arange(n_features)
    read = columns_read(steps[0], n_features)
    for step in steps[1:]:
        if len(columns_read(step, len(read))) != len(read):
            raise NoJacobianError(
                f"{type(step).__name__} drops columns after {type(steps[0]).__name__}; a pipeline "
                "is one-to-one only if columns are dropped in its first step."
            )
    return read


def _steps(pipeline):
    return [step for _, step in pipeline.steps if step is not None and step != "passthrough"]


# -- Side by side ----------------------------------------------------------------------------


@log_det_rule.register(ColumnTransformer)
@log_det_rule.register(FeatureUnion)
def _(transformer, X):
    names = getattr(transformer, "feature_names_in_", None)
    total = 0.0
    for part in _parts(transformer, X.shape[1]):
        given = _take(X, part.inputs, names)
        width = part.outputs.stop - part.outputs.start
        total = total + log_det_rule(part.transformer, given) + width * np.log(abs(part.weight))
    return total


@inverse_rule.register(ColumnTransformer)
@inverse_rule.register(FeatureUnion)
def _(transformer, Z, n_features):
    Z = np.asarray(Z)
    return np.hstack(
        [
            inverse_rule(part.transformer, Z[:, part.outputs] / part.weight, len(part.inputs))
            for part in _parts(transformer, n_features)
        ]
    )


@columns_read.register(ColumnTransformer)
@columns_read.register(FeatureUnion)
def _(transformer, n_features):
    read = [
        np.asarray(part.inputs)[columns_read(part.transformer, len(part.inputs))]
        for part in _parts(transformer, n_features)
    ]
    read = np.concatenate(read) if read else np.empty(0, dtype=np.intp)
    positions, counts = np.unique(read, return_counts=True)
    if (counts > 1).any():
        names = getattr(transformer, "feature_names_in_", None)
        twice = ", ".join(column_name(position, names) for position in positions[counts > 1])
        raise NoJacobianError(
            f"{type(transformer).__name__} uses {twice} more than once, so it is not one-to-one. "
            "Give every column to exactly one of its transformers; in a FeatureUnion each "
            "transformer must begin with one that selects its columns."
        )
    return read


def _parts(transformer, n_features):
    """Return the parts of a ColumnTransformer or FeatureUnion."""
    if isinstance(transformer, ColumnTransformer):
        parts = [_Part(*part) for part in sk.column_transformer_parts(transformer)]
    else:
        parts, start = [], 0
        weights = transformer.transformer_weights or {}
        for name, part in transformer.transformer_list:
            if part == "drop":
                continue
            stop = start + len(columns_read(part, n_features))
            outputs = slice(start, stop)
            parts.append(_Part(part, np.arange(n_features), outputs, weights.get(name, 1.0)))
            start = stop
    if any(part.weight == 0 for part in parts):
        raise NoJacobianError(
            f"{type(transformer).__name__} has a zero in transformer_weights, so it is not "
            "one-to-one. Give every transformer a weight other than zero."
        )
    return parts


def _take(X, positions, names):
    """Return columns of an array or frame, by name where both sides have names."""
    if not hasattr(X, "columns"):
        return X[:, positions]
    if names is not None:
        return X[[names[position] for position in positions]]
    return X.iloc[:, positions] if hasattr(X, "iloc") else X[:, positions]
