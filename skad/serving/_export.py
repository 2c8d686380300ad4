"""Export of a fitted model to a file of ONNX that is checked against the model."""

from __future__ import annotations

import copy
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import skad
from skad.exceptions import ModelFileError
from skad.io._model_file import score_meanings
from skad.nn._trained import TrainedMembers
from skad.serving._graph import Graph
from skad.serving._models import outputs_of
from skad.utils import _sklearn as sk
from skad.utils._optional import import_optional
from skad.utils._replacing import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from skad.utils._types import Estimator, FilePath

__all__ = ["to_onnx"]

# How far onnxruntime may be from the model, relative to a score above one, absolute below.
_TOLERANCE = 1e-5
_N_CHECKED = 10_000
_N_STORED = 100


@sk.validate_params(
    {
        "model": [sk.HasMethods("fit")],
        "path": [str, os.PathLike],
        "X": ["array-like"],
        "units": [None, dict],
        "overwrite": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def to_onnx(
    model: Estimator,
    path: FilePath,
    X: ArrayLike,
    *,
    units: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> float:
    """Write a fitted model as a graph of ONNX, for serving without Python.

    Known are `AutoencoderDetector`, `VAEDetector` (with ``n_samples=0``, or a metric that needs no
    draws), `NetworkClassifier`, `CWoLaDetector` around it, `FlowDensity` of the kinds "maf", "nsf"
    and "nsf_coupling", `FramedDensity` and `DensityDetector` around these, and a `Pipeline` of one
    behind scikit-learn's scalers, PCA, PowerTransformer, ColumnTransformer or the coordinates of
    skad that have a formula (not `EmpiricalCDFTransformer` and `FunctionCoordinates`).

    The graph takes X, float64 of shape (n_events, n_features), and has one output for each score
    method, under its name. An event with NaN, or outside the domain of the coordinates, scores NaN
    (-inf as a log density) where skad raises an error. The metadata of the file hold the names of
    the features, their units, what the scores mean, versions, and reference events with their
    scores, as the Les Houches guide for reinterpretable machine learning asks [1]_.

    Parameters
    ----------
    model : fitted estimator
    path : str or path-like
        File to write.
    X : array-like of shape (n_events, n_features)
        Events to check the graph on, at most ten thousand of them; the first hundred are stored
        in the file as reference.
    units : dict of str to str, default=None
        Units of features, such as ``{"mjj": "TeV"}``.
    overwrite : bool, default=False
        Replace an existing file.

    Returns
    -------
    deviation : float
        Largest difference of onnxruntime and the model over X, relative to a score above one,
        absolute below. A flow of splines in float32 rounds its own log density by some 1e-5; the
        graph computes flows in float64.

    Raises
    ------
    UnknownTypeError
        A part of the model that cannot be written, by name.
    ModelFileError
        A graph that differs on X by more than 1e-5 from the model and from the same model in
        float64; nothing is written.
    ImportError
        onnx or onnxruntime is not installed (extra "onnx").
    FileExistsError
        `path` exists and `overwrite` is False.

    References
    ----------
    .. [1] J. Y. Araz et al., "Les Houches guide to reusable ML models in LHC analyses",
       arXiv:2312.14575.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import onnxruntime
    >>> import skad
    >>> from skad.detectors import AutoencoderDetector
    >>> X = np.random.default_rng(0).normal(size=(500, 3))
    >>> detector = AutoencoderDetector(max_epochs=2, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "detector.onnx"
    ...     deviation = skad.to_onnx(detector, path, X)
    ...     session = onnxruntime.InferenceSession(path)
    >>> (scores,) = session.run(["anomaly_score"], {"X": X[:5]})
    >>> bool(np.allclose(scores, detector.anomaly_score(X[:5]), atol=1e-5))
    True
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it.")
    runtime = import_optional("onnxruntime", extra="onnx", purpose="to_onnx")
    check_is_fitted(model)
    events = X[:_N_CHECKED]
    values = np.ascontiguousarray(events, dtype=np.float64)
    graph = Graph(values.shape[1])
    outputs = outputs_of(model, graph.X)
    expected = {name: _said(model, name, events) for name in outputs}
    content = graph.model(outputs, _metadata(model, values, expected, units)).SerializeToString()
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = dict(zip(expected, session.run(list(expected), {"X": values}), strict=True))
    deviation = _deviation(found, expected)
    if not deviation <= _TOLERANCE:
        # What the networks compute, without the rounding of float32 that the graph is not to copy.
        exact = _in_double(model)
        exact_deviation = _deviation(found, {name: _said(exact, name, events) for name in outputs})
        if not exact_deviation <= _TOLERANCE:
            raise ModelFileError(
                f"The graph of {type(model).__name__} differs from it by {deviation:.2g} on X, "
                f"above {_TOLERANCE:g}, so nothing was written; serve it by skad.save_model and "
                "load_model."
            )
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return deviation


def _said(model, method, X):
    if not hasattr(model, method):
        # A Pipeline hands on the methods of scikit-learn alone.
        model, X = model[-1], model[:-1].transform(X)
    return np.asarray(getattr(model, method)(X))


def _deviation(found, expected):
    """Return the largest difference, relative to numbers above one; NaN counts as infinite."""
    largest = 0.0
    for name, values in expected.items():
        with np.errstate(invalid="ignore"):
            difference = np.abs(found[name] - values) / np.maximum(1.0, np.abs(values))
        difference = np.where(found[name] == values, 0.0, np.nan_to_num(difference, nan=np.inf))
        largest = max(largest, float(difference.max(initial=0.0)))
    return largest


def _in_double(model):
    """Return a copy of a model whose networks compute in float64."""
    copied = copy.deepcopy(model)
    waiting, seen = [copied], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, TrainedMembers):
            for network in (network for kept in value.networks for network in kept):
                network.double()
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, BaseEstimator):
            waiting += vars(value).values()
    return copied


def _metadata(model, values, expected, units):
    names = getattr(model, "feature_names_in_", None)
    n = min(len(values), _N_STORED)
    reference = {name: scores[:n].tolist() for name, scores in expected.items()}
    versions = {name: importlib.metadata.version(name) for name in ("onnx", "torch", "numpy")}
    versions |= {"skad": skad.__version__, "python": platform.python_version()}
    meanings = score_meanings(model)
    described = {
        "model": type(model).__name__,
        "feature_names": None if names is None else list(names),
        "units": units or {},
        "scores": {name: meanings[name] for name in expected},
        "versions": versions,
        "reference_X": values[:n].tolist(),
        "reference_scores": reference,
        "tolerance": _TOLERANCE,
    }
    return {name: json.dumps(value) for name, value in described.items()}
