"""Models in a graph of ONNX: what detectors, densities and classifiers say of events."""

import math
from functools import singledispatch

import numpy as np
from scipy import special
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skad.base import ScoreMixin
from skad.density import FlowDensity, FramedDensity
from skad.detectors import (
    AutoencoderDetector,
    CWoLaDetector,
    DensityDetector,
    NetworkClassifier,
    VAEDetector,
)
from skad.nn._autoencoder import LARGEST_SCALED
from skad.serving._coordinates import finite, log_det_of, refused, transformed
from skad.serving._graph import concatenate, elementwise
from skad.serving._networks import (
    decoded,
    log_density,
    network_output,
    posterior,
    reconstruction,
    scaled,
)

__all__ = ["outputs_of"]

_LARGEST = np.finfo(np.float64).max
# Log odds of the probabilities that detectors count for 0 and 1.
_LARGEST_LOG_ODDS = -math.log(np.finfo(np.float64).eps)


@singledispatch
def outputs_of(model, x):
    """Return what the score methods of a fitted model say of events x, by method."""
    raise refused(model)


@outputs_of.register(Pipeline)
def _(model, x):
    for _, step in model.steps[:-1]:
        x = transformed(step, x)
    # ReLU and comparisons would make numbers of what has no coordinates.
    known = finite(x)
    return {
        name: value + (known if value.ndim == 1 else known.reshaped(-1, 1))
        for name, value in outputs_of(model.steps[-1][1], x).items()
    }


@outputs_of.register(FrozenEstimator)
def _(model, x):
    return outputs_of(model.estimator, x)


def _mean(values):
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total / len(values)


def _log_sum_exp(values):
    if len(values) == 1:
        return values[0]
    stacked = concatenate([value.reshaped(-1, 1) for value in values])
    return stacked.graph.add(
        "ReduceLogSumExp", [stacked], stacked.shape[:1], stacked.dtype, axes=[1], keepdims=0
    )


def _networks(model):
    return [network for kept in model.trained_.networks for network in kept]


def _detector(model: ScoreMixin, score, known):
    """Return both scores, numbers for every finite event as skad's are."""
    # Overflows are infinite or NaN, which is no number that equals itself.
    itself = score.graph.add("Equal", [score, score], score.shape, np.bool_)
    bounded = np.where(itself, np.clip(score, -_LARGEST, _LARGEST), _LARGEST)
    score = bounded + known
    normality = -np.log(score) if isinstance(model, CWoLaDetector) else -score
    return {"anomaly_score": score, "score_samples": normality}


@outputs_of.register(AutoencoderDetector)
def _(model, x):
    features = x[:, model.feature_indices_]
    errors = []
    for network in _networks(model):
        z = scaled(network.scaling, features)
        errors.append((z - reconstruction(network, z)).square().mean())
    return _detector(model, _mean(errors), finite(x))


@outputs_of.register(VAEDetector)
def _(model, x):
    if model.metric == "emd":
        raise refused("VAEDetector with metric='emd'")
    if model.metric in ("nll", "mse") and model.n_samples:
        raise refused(
            f"VAEDetector with n_samples={model.n_samples}",
            "it draws by a hash of the event; with set_params(n_samples=0) it decodes the mean",
        )
    features = x[:, model.feature_indices_]
    measures = []
    for network in _networks(model):
        z = scaled(network.scaling, features)
        mean, log_variance = posterior(network, z)
        error = (decoded(network, mean) - z).square().mean()
        mean, log_variance = mean.astype(np.float64), log_variance.astype(np.float64)
        kl = (mean.square() + np.exp(log_variance) - 1.0 - log_variance).sum() * 0.5
        measures.append((error, kl, z.square().mean()))
    mse, kl, mss = (_mean(list(values)) for values in zip(*measures, strict=True))
    score = {"mse": mse, "kl": kl, "mss": mss}.get(model.metric)
    if score is None:
        score = mse + kl * model.kl_weight
    far = mss > LARGEST_SCALED**2
    return _detector(model, np.where(far, np.maximum(score, mss), score), finite(x))


@outputs_of.register(NetworkClassifier)
def _(model, x):
    logits = [network_output(n, x).astype(np.float64).reshaped(-1) for n in _networks(model)]
    log_odds = logits[0]
    if len(logits) > 1:
        log_odds = _log_sum_exp([_log_sigmoid(v) for v in logits])
        log_odds = log_odds - _log_sum_exp([_log_sigmoid(-v) for v in logits])
    log_odds = log_odds + finite(x)
    p = elementwise(special.expit, log_odds).reshaped(-1, 1)
    return {"decision_function": log_odds, "predict_proba": concatenate([1.0 - p, p])}


def _log_sigmoid(x):
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


@outputs_of.register(CWoLaDetector)
def _(model, x):
    ratios = []
    for classifier in model.classifiers_:
        log_odds = outputs_of(classifier, x)["decision_function"]
        if not type(classifier).__module__.startswith("skad."):
            log_odds = np.clip(log_odds, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
        ratios.append(log_odds)
    return _detector(model, np.exp(_mean(ratios) - model._log_prior), finite(x))


@outputs_of.register(FlowDensity)
def _(model, x):
    conditions = model.condition_indices_
    m = x[:, conditions] if len(conditions) else None
    features = x[:, model.feature_indices_]
    densities = [log_density(network, features, m) for network in _networks(model)]
    total = _log_sum_exp(densities)
    total = total - math.log(len(densities)) if len(densities) > 1 else total
    return {"score_samples": total + finite(x)}


@outputs_of.register(FramedDensity)
def _(model, x):
    return {"score_samples": _framed(model, x) + finite(x)}


def _framed(model, x):
    """Return log p(x), -inf outside of the domain of the coordinates."""
    features = x[:, model.feature_indices_]
    coordinates = transformed(model.coordinates_, features)
    events = coordinates
    if len(model.condition_indices_):
        columns = [x[:, [i]] for i in range(x.shape[1])]
        for k, position in enumerate(model.feature_indices_):
            columns[position] = coordinates[:, [k]]
        events = concatenate(columns)
    log_p = outputs_of(model.density_, events)["score_samples"]
    log_p = log_p + log_det_of(model.coordinates_, features)
    known = finite(coordinates)
    inside = known.graph.add("Equal", [known, known], known.shape, np.bool_)
    return np.where(inside, log_p, -np.inf)


@outputs_of.register(DensityDetector)
def _(model, x):
    if len(model.constant_indices_):
        raise refused(model, "it has left out constant columns")
    log_p = _framed(model._framed, x)
    if model.frame_ is not None:
        log_p = log_p - log_det_of(model.frame_, x[:, model._framed.feature_indices_])
    score = -log_p if model.log_score else -np.exp(log_p)
    return _detector(model, score, finite(x))
