"""Networks of torch in a graph of ONNX, node by node, in the precision that they have."""

import math
from functools import singledispatch

import numpy as np
from scipy import special
from torch import nn

from skad.nn._autoencoder import LARGEST_SCALED, LOG_VARIANCES, Autoencoder
from skad.nn._conditioners import ConditionerNet, MaskedLinear
from skad.nn._elementwise import AffineSpline, BoundedAffine
from skad.nn._flow_network import FlowNetwork
from skad.nn._mlp import MLP, Standardize
from skad.nn._nflows import Autoregressive, BatchNorm, Coupling, Permutation
from skad.nn._random import Dropout
from skad.nn._splines import MIN_BIN, MIN_SLOPE, UNIT_SLOPE
from skad.serving._coordinates import refused
from skad.serving._graph import concatenate, elementwise

__all__ = ["log_density", "network_output", "posterior", "reconstruction", "scaled"]


def numbers(tensor):
    """Return the numbers of a tensor as an array."""
    return tensor.detach().cpu().numpy()


@singledispatch
def network_output(network, x):
    """Return what a network makes of x in the graph."""
    raise refused(network)


@network_output.register(Standardize)
def scaled(network, x):
    """Return standardised features, in float64."""
    return (x - numbers(network.mean)) / numbers(network.scale)


@network_output.register(nn.Sequential)
def _(network, x):
    if isinstance(network, MLP):
        x = x.astype(numbers(next(network.parameters())).dtype)
    for part in network:
        x = network_output(part, x)
    return x


@network_output.register(nn.Linear)
def _(network, x):
    weight = numbers(network.weight)
    if isinstance(network, MaskedLinear):
        weight = weight * numbers(network.mask)
    x = x.astype(np.result_type(weight, x.dtype)) @ weight.T
    return x if network.bias is None else x + numbers(network.bias)


@network_output.register(nn.Identity)
@network_output.register(Dropout)
@network_output.register(nn.Dropout)
def _(network, x):
    return x


@network_output.register(nn.ReLU)
def _(network, x):
    return np.maximum(x, 0.0)


@network_output.register(nn.Tanh)
def _(network, x):
    return np.tanh(x)


@network_output.register(nn.SiLU)
def _(network, x):
    return x * elementwise(special.expit, x)


@network_output.register(nn.ELU)
def _(network, x):
    return np.where(x > 0.0, x, (np.exp(np.minimum(x, 0.0)) - 1.0) * network.alpha)


@network_output.register(nn.GELU)
def _(network, x):
    return x * elementwise(special.ndtr, x)


@network_output.register(ConditionerNet)
def _(network, h):
    for i, layer in enumerate(network.hidden):
        update = network_output(network.activation, network_output(layer, h))
        kept = network.residual and i > 0 and h.shape == update.shape
        h = h + update if kept else update
    return network_output(network.output, h).reshaped(-1, *network.shape)


def _cast(network: Autoencoder, values):
    dtype = numbers(next(network.decoder.parameters())).dtype
    if values.dtype == dtype:
        return values
    return np.clip(values, -LARGEST_SCALED, LARGEST_SCALED).astype(dtype)


def reconstruction(network: Autoencoder, z):
    """Return the reconstruction of scaled features, in float64."""
    latent = network_output(network.encoder, _cast(network, z))
    return decoded(network, latent)


def decoded(network: Autoencoder, latent):
    """Return the scaled features at a latent point, in float64."""
    return network_output(network.decoder, _cast(network, latent)).astype(np.float64)


def posterior(network: Autoencoder, z):
    """Return mean and log variance of the latent point of scaled features."""
    code = network_output(network.encoder, _cast(network, z))
    n_latent = code.shape[-1] // 2
    return code[:, :n_latent], np.clip(code[:, n_latent:], *LOG_VARIANCES)


def log_density(network: FlowNetwork, x, m):
    """Return log p(x|m) in nats, in float64, and where it is not, NaN or -inf."""
    # In float64: rounding in float32, which splines magnify, would add to that of the network.
    z = scaled(network.features, x)
    context = None if m is None else scaled(network.conditions, m)
    total = None
    for transform in network.flow.transforms:
        z, term = _step(transform, z, context)
        if term is not None:
            total = term if total is None else total + term
    squares = (z.square() + math.log(2 * math.pi)).sum()
    log_scale = float(np.log(numbers(network.features.scale)).sum())
    return (-log_scale if total is None else total - log_scale) - squares * 0.5


@singledispatch
def _step(transform, x, context):
    """Return z and the log-determinant of one step of a flow."""
    raise refused(f"A flow with a step {type(transform).__name__}")


@_step.register(Permutation)
def _(transform, x, context):
    return x[:, numbers(transform._permutation)], None


@_step.register(BatchNorm)
def _(transform, x, context):
    log_scale = numbers(transform.log_gain - 0.5 * (transform.var + transform.eps).log())
    moved = (x - numbers(transform.mean)) * np.exp(log_scale) + numbers(transform.bias)
    return moved, (x[:, :1] * 0.0).sum() + log_scale.sum()


@_step.register(Autoregressive)
def _(transform, x, context):
    h = x if context is None else concatenate([x, context])
    params = network_output(transform.autoregressive_net, h)
    z, log_det = _elementwise(transform.elementwise, x, params)
    return z, log_det.sum()


@_step.register(Coupling)
def _(transform, x, context):
    given, rest = x[:, : transform.n_given], x[:, transform.n_given :]
    h = given if context is None else concatenate([given, context])
    rest, log_det = _elementwise(transform.elementwise, rest, network_output(transform.net, h))
    return concatenate([given, rest]), log_det.sum()


def _elementwise(elementwise, x, params):
    """Return z and log|dz/dx| of every feature; params have shape (n, d, n_params)."""
    if isinstance(elementwise, BoundedAffine):
        return _affine(elementwise, x, params)
    if not isinstance(elementwise, AffineSpline):
        raise refused(f"A flow with the map {type(elementwise).__name__}")
    z, affine_log_det = _affine(elementwise.affine, x, params)
    z, spline_log_det = _spline(z, _last(params, slice(2, None)), elementwise.bound)
    return z, affine_log_det + spline_log_det


def _last(values, index):
    """Take a part of the last axis."""
    picked = np.arange(values.shape[-1])[index]
    shape = (*values.shape[:-1], *picked.shape)
    axis = values.ndim - 1
    return values.graph.add("Gather", [values, picked], shape, values.dtype, axis=axis)


def _affine(elementwise, x, params):
    raw, shift = _last(params, 0), _last(params, 1)
    log_scale = np.tanh(raw / elementwise.bound) * elementwise.bound
    return x * np.exp(log_scale) + shift, log_scale


def _spline(x, params, bound):
    """As `skad.nn._splines.rational_quadratic_spline`, forwards."""
    n_bins = (params.shape[-1] + 1) // 3
    x_knots = _knots(_last(params, slice(0, n_bins)), bound)
    y_knots = _knots(_last(params, slice(n_bins, 2 * n_bins)), bound)
    raw = _last(params, slice(2 * n_bins, None)) + UNIT_SLOPE
    softplus = np.maximum(raw, 0.0) + np.log(np.exp(-np.abs(raw)) + 1.0)
    slopes = _padded(softplus + MIN_SLOPE, 1.0, 1.0)
    clamped = np.clip(x, -bound, bound).reshaped(-1, *x.shape[1:], 1)
    below = _last(x_knots, slice(1, -1)) < clamped
    i = below.astype(np.int64).sum(keepdims=True)
    x0, x1 = _picked(x_knots, i), _picked(x_knots, i + 1)
    y0, y1 = _picked(y_knots, i), _picked(y_knots, i + 1)
    d0, d1 = _picked(slopes, i), _picked(slopes, i + 1)
    width, height = x1 - x0, y1 - y0
    s = height / width
    curvature = d0 + d1 - s * 2.0
    xi = (clamped - x0) / width
    mixed = xi * (1.0 - xi)
    denominator = s + curvature * mixed
    y = y0 + height * (s * xi * xi + d0 * mixed) / denominator
    slope = s * s * (d1 * xi * xi + s * mixed * 2.0 + d0 * (1.0 - xi) * (1.0 - xi))
    log_det = np.log(slope) - np.log(denominator) * 2.0
    inside = np.abs(x) < bound
    return np.where(inside, y.sum(), x), np.where(inside, log_det.sum(), 0.0)


def _knots(raw, bound):
    n_bins = raw.shape[-1]
    shares = raw.graph.add("Softmax", [raw], raw.shape, raw.dtype, axis=-1)
    sizes = shares * (1 - MIN_BIN * n_bins) + MIN_BIN
    inner = _last(sizes, slice(0, -1))
    last = np.array(inner.ndim - 1, np.int64)
    summed = raw.graph.add("CumSum", [inner, last], inner.shape, raw.dtype)
    return _padded(summed * (2 * bound) - bound, -bound, bound)


def _padded(values, first, last):
    """Put a number before and one after the last axis."""
    shape = (*values.shape[:-1], values.shape[-1] + 1)
    zeros = [0] * values.ndim
    for number, before in ((first, 1), (last, 0)):
        pads = np.array([*zeros[1:], before, *zeros[1:], 1 - before], np.int64)
        inputs = [values, pads, np.asarray(number, values.dtype)]
        values = values.graph.add("Pad", inputs, shape, values.dtype)
        shape = (*shape[:-1], shape[-1] + 1)
    return values


def _picked(values, index):
    return values.graph.add("GatherElements", [values, index], index.shape, values.dtype, axis=-1)
