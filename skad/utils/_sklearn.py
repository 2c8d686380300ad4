"""The one file that imports scikit-learn's private names."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._metadata_requests import _routing_enabled as routing_enabled
from sklearn.utils._param_validation import (
    HasMethods,
    Hidden,
    Interval,
    MissingValues,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils._param_validation import validate_params as _validate_params
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call as check_partial_fit_first_call,
)
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

from skad.utils._types import Function

__all__ = [
    "BaseComposition",
    "CYTHON_CALLS",
    "HasMethods",
    "Hidden",
    "Interval",
    "METRICS_OF_TREES",
    "MissingValues",
    "PARTS_OF_ESTIMATORS",
    "Options",
    "RealNotInt",
    "StrOptions",
    "boosted_trees",
    "check_feature_names_in",
    "check_partial_fit_first_call",
    "check_sample_weight",
    "column_transformer_parts",
    "fit_context",
    "metric_of_tree",
    "module_of",
    "function_constraints",
    "num_samples",
    "power_transformer_scale",
    "power_transformer_scaler",
    "routing_enabled",
    "tree_class",
    "tree_nodes",
    "set_function_constraints",
    "validate_parameter_constraints",
    "validate_params",
]

_HIST = "sklearn.ensemble._hist_gradient_boosting"
_METADATA = "sklearn.utils._metadata_requests"
_OPTIMIZERS = "sklearn.neural_network._stochastic_optimizers"
_LOSSES = (
    "AbsoluteError",
    "ExponentialLoss",
    "HalfBinomialLoss",
    "HalfGammaLoss",
    "HalfMultinomialLoss",
    "HalfPoissonLoss",
    "HalfSquaredError",
    "HalfTweedieLoss",
    "HalfTweedieLossIdentity",
    "HuberLoss",
    "PinballLoss",
)
_LINKS = ("HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
_SGD_LOSSES = (
    "EpsilonInsensitive",
    "Hinge",
    "ModifiedHuber",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
)

# Parts of estimators that are compiled and built from a few numbers: name in a model file, place.
CYTHON_CALLS = {
    **{f"sklearn.Cy{name}": f"sklearn._loss._loss:Cy{name}" for name in _LOSSES},
    **{f"sklearn.sgd.{name}": f"sklearn.linear_model._sgd_fast:{name}" for name in _SGD_LOSSES},
}
# Private classes of scikit-learn that estimators hold: name in a model file, place.
PARTS_OF_ESTIMATORS = {
    **CYTHON_CALLS,
    **{f"sklearn.{name}": f"sklearn._loss.loss:{name}" for name in _LOSSES},
    **{f"sklearn.{name}": f"sklearn._loss.link:{name}" for name in _LINKS},
    "sklearn.AdamOptimizer": f"{_OPTIMIZERS}:AdamOptimizer",
    "sklearn.BinMapper": f"{_HIST}.binning:_BinMapper",
    "sklearn.CalibratedClassifier": "sklearn.calibration:_CalibratedClassifier",
    "sklearn.MetadataRequest": f"{_METADATA}:MetadataRequest",
    "sklearn.MethodMetadataRequest": f"{_METADATA}:MethodMetadataRequest",
    "sklearn.MultimetricScorer": "sklearn.metrics._scorer:_MultimetricScorer",
    "sklearn.PassthroughScorer": "sklearn.metrics._scorer:_PassthroughScorer",
    "sklearn.SGDOptimizer": f"{_OPTIMIZERS}:SGDOptimizer",
    "sklearn.Scorer": "sklearn.metrics._scorer:_Scorer",
    "sklearn.SigmoidCalibration": "sklearn.calibration:_SigmoidCalibration",
    "sklearn.TreePredictor": f"{_HIST}.predictor:TreePredictor",
}

# Metrics of trees of neighbours, by the beginning of their class's name, that need no options.
METRICS_OF_TREES = {
    "euclidean": "EuclideanDistance",
    "manhattan": "ManhattanDistance",
    "chebyshev": "ChebyshevDistance",
    "minkowski": "MinkowskiDistance",
    "canberra": "CanberraDistance",
    "braycurtis": "BrayCurtisDistance",
    "haversine": "HaversineDistance",
    "hamming": "HammingDistance",
}


def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of `fit`, which type checkers see through."""
    return _fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)


def validate_params(
    constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
) -> Callable[[Function], Function]:
    """Return scikit-learn's decorator of functions, which type checkers see through."""
    return _validate_params(
        constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
    )


def tree_class():
    """Return the class of the nodes of a decision tree."""
    from sklearn.tree._tree import Tree

    return Tree


def tree_nodes(tree):
    """Return (left, right, feature, threshold, value) over the nodes of a fitted regression tree.

    The children of a leaf are negative; events go left where the feature is not above.
    """
    nodes = tree.tree_
    return (
        nodes.children_left,
        nodes.children_right,
        nodes.feature,
        nodes.threshold,
        nodes.value[:, 0, 0],
    )


def boosted_trees(booster):
    """Return the baseline of a fitted booster of two classes, and its trees as `tree_nodes`."""
    trees = []
    for (predictor,) in booster._predictors:
        nodes = predictor.nodes
        sides = [
            np.where(nodes["is_leaf"], -1, nodes[side].astype(int)) for side in ("left", "right")
        ]
        feature = nodes["feature_idx"].astype(int)
        trees.append((*sides, feature, nodes["num_threshold"], nodes["value"]))
    return booster._baseline_prediction.item(), trees


def metric_of_tree(metric):
    """Return name and options of the metric of a tree of neighbours; (None, {}) if unknown."""
    found = type(metric).__name__
    for name, prefix in METRICS_OF_TREES.items():
        if found.startswith(prefix):
            return name, {"p": float(metric.__getstate__()[0])} if name == "minkowski" else {}
    return None, {}


def module_of(cls):
    """Module of a class; scikit-learn 1.7 leaves the package out where the module is compiled."""
    return {"_loss": "sklearn._loss._loss"}.get(cls.__module__, cls.__module__)


def check_sample_weight(sample_weight, X, *, dtype=None):
    """Return weights of shape (n,), non-negative, not all zero; ones for None."""
    weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    if len(weight) and not weight.any():
        raise ValueError(
            "sample_weight must hold at least one positive weight; all are zero. "
            "Pass sample_weight=None to weight every event equally."
        )
    return weight


def column_transformer_parts(transformer):
    """Return (fitted transformer, input positions, output slice, weight) of a ColumnTransformer.

    Parts without columns are left out, dropped ones too.
    """
    weights = transformer.transformer_weights or {}
    return [
        (
            part,
            list(transformer._transformer_to_input_indices[name]),
            transformer.output_indices_[name],
            weights.get(name, 1.0),
        )
        for name, part, _ in transformer.transformers_
        if not (isinstance(part, str) and part == "drop")
        and len(transformer._transformer_to_input_indices[name])
    ]


def function_constraints(function):
    """Return the constraints of a function's options; none for others."""
    return getattr(function, "_skl_parameter_constraints", {})


def set_function_constraints(function, constraints):
    """Let `function_constraints` return these."""
    function._skl_parameter_constraints = constraints


def power_transformer_scaler(transformer):
    """Return the scaler behind a fitted PowerTransformer, or None."""
    return transformer._scaler if transformer.standardize else None


def power_transformer_scale(transformer):
    """Return the standard deviations by which a fitted PowerTransformer divides."""
    return transformer._scaler.scale_ if transformer.standardize else 1.0
