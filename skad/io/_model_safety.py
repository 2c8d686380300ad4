"""What a value of a model file must not do: lead to pickles, or mislead compiled code."""

import numpy as np
from sklearn.tree import BaseDecisionTree

from skad.exceptions import ModelFileError, UnknownTypeError

__all__ = ["check_compiled", "check_no_pickles"]

# Parameters that name folders of pickles, which a later fit would load.
_FOLDERS = ("memory", "checkpoint")


def check_no_pickles(name, state, path):
    """Raise if an estimator would load pickles from a folder in its next fit."""
    for parameter in _FOLDERS:
        if state.get(parameter) is not None:
            raise UnknownTypeError(
                f"{path or name} has {parameter}={state[parameter]!r:.100}, a folder of pickles, "
                f"which are code. Call set_params({parameter}=None) on it before it is saved."
            )


def check_compiled(value):
    """Raise if the parts that compiled code of scikit-learn follows do not fit together."""
    if isinstance(value, BaseDecisionTree) and hasattr(value, "tree_"):
        _require(value, value.tree_.n_features == value.n_features_in_)
        _require(value, value.tree_.n_outputs == value.n_outputs_)
    elif hasattr(value, "raw_left_cat_bitsets"):
        _check_predictor(value)
    elif hasattr(value, "_predictors") and hasattr(value, "_bin_mapper"):
        for predictor in (p for row in value._predictors for p in row):
            nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            _require(value, (nodes["feature_idx"] < value.n_features_in_).all())
    elif hasattr(value, "_n_support") and hasattr(value, "dual_coef_"):
        _check_support_vectors(value)
    elif hasattr(value, "estimators_"):
        _check_ensemble(value)


def _check_predictor(predictor):
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    rows, left, right = (np.int64(v[inner]) for v in (np.arange(len(nodes)), *_children(nodes)))
    # Children follow their parents, so that no walk is endless.
    _require(predictor, ((left > rows) & (right > rows)).all())
    _require(predictor, ((left < len(nodes)) & (right < len(nodes))).all())
    _require(predictor, (nodes["feature_idx"][inner] >= 0).all())
    categorical = inner & (nodes["is_categorical"] != 0)
    for bits in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        _require(predictor, bits.ndim == 2 and bits.shape[1] == 8)
        _require(predictor, (nodes["bitset_idx"][categorical] < len(bits)).all())


def _children(nodes):
    return nodes["left"], nodes["right"]


def _check_ensemble(ensemble):
    trees = [tree for tree in np.ravel(ensemble.estimators_) if hasattr(tree, "tree_")]
    columns = getattr(ensemble, "estimators_features_", None)
    if columns is None or not trees:
        wanted = [getattr(ensemble, "n_features_in_", None)] * len(trees)
    else:
        wanted = [len(features) for features in columns]
    _require(ensemble, len(wanted) == len(trees))
    for tree, n_features in zip(trees, wanted, strict=True):
        _require(ensemble, tree.n_features_in_ == n_features)


def _check_support_vectors(machine):
    counts, coefficients = machine._n_support, machine._dual_coef_
    classifies = hasattr(machine, "classes_")
    n_vectors = int(np.sum(counts) if classifies else counts[0])
    n_pairs = len(counts) * (len(counts) - 1) // 2
    _require(machine, len(counts) > 1 and (counts >= 0).all())
    _require(machine, classifies or len(counts) == 2)
    _require(machine, len(machine.support_) == n_vectors)
    _require(machine, (machine.support_ >= 0).all())
    _require(machine, (machine.support_ < machine.shape_fit_[0]).all())
    n_features = machine.n_features_in_
    shape = (0, 0) if machine.kernel == "precomputed" else (n_vectors, n_features)
    _require(machine, machine.support_vectors_.shape == shape)
    _require(machine, coefficients.shape == (len(counts) - 1, n_vectors))
    _require(machine, machine._intercept_.shape == (n_pairs,))
    for values in (machine._probA, machine._probB):
        _require(machine, values.shape in ((0,), (n_pairs,)))


def _require(value, condition):
    if not condition:
        raise ModelFileError(f"the parts of a {type(value).__name__} do not fit together")
