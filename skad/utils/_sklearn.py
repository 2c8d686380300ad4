"""The one file that imports scikit-learn's private names."""

from sklearn.base import _fit_context as fit_context
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
    validate_params,
)
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "BaseComposition",
    "HasMethods",
    "Hidden",
    "Interval",
    "MissingValues",
    "Options",
    "RealNotInt",
    "StrOptions",
    "check_feature_names_in",
    "check_sample_weight",
    "column_transformer_parts",
    "fit_context",
    "num_samples",
    "power_transformer_scale",
    "routing_enabled",
    "validate_parameter_constraints",
    "validate_params",
]


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


def power_transformer_scale(transformer):
    """Return the standard deviations by which a fitted PowerTransformer divides."""
    return transformer._scaler.scale_ if transformer.standardize else 1.0
