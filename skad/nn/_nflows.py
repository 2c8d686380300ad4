"""Layers of autoregressive and coupling flows on nflows, which no other module imports."""

import math
from itertools import pairwise

import torch
from nflows.transforms.autoregressive import AutoregressiveTransform
from nflows.transforms.base import Transform
from nflows.transforms.permutations import RandomPermutation, ReversePermutation
from torch import Tensor, nn
from torch.nn import functional as F

from skad.nn._splines import rational_quadratic_spline

__all__ = ["maf", "nsf", "nsf_coupling"]

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU, "elu": nn.ELU}
_PERMUTATIONS = {"reverse": ReversePermutation, "random": RandomPermutation}


def maf(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 6,
    hidden_features: int | tuple[int, ...] = (64, 64),
    activation: str = "relu",
    dropout: float = 0.0,
    residual: bool = False,
    batch_norm: bool = False,
    permutation: str = "reverse",
    scale_bound: float = 3.0,
) -> list[nn.Module]:
    """Return the transforms of a masked autoregressive flow with bounded affine steps.

    z_i = x_i exp(s_i) + t_i with s_i = b tanh(r_i / b), where r_i and t_i are functions of
    x_1 ... x_(i-1) and the context.

    Parameters
    ----------
    n_features, n_context : int
        Columns of x and of the context.
    n_transforms : int, default=6
        Number of autoregressive steps.
    hidden_features : int or tuple of int, default=(64, 64)
        Widths of the hidden layers of each step; an int is one hidden layer.
    activation : {"relu", "tanh", "silu", "gelu", "elu"}, default="relu"
        Activation of the hidden layers.
    dropout : float, default=0
        Share of hidden units dropped in training.
    residual : bool, default=False
        Add the input of a hidden layer to its output where both have the same width.
    batch_norm : bool, default=False
        Put an invertible batch normalisation after every step; its statistics are best recomputed
        after each epoch with `Flow.recompute_batch_norm`.
    permutation : {"reverse", "random"}, default="reverse"
        Order of the features from one step to the next.
    scale_bound : float, default=3
        Largest \\|log scale\\| b of one step. An unbounded scale diverges on real events.
    """
    affine = BoundedAffine(scale_bound)
    steps = [
        Autoregressive(
            MADE(
                n_features,
                n_context,
                hidden_features,
                affine.n_params,
                activation=activation,
                dropout=dropout,
                residual=residual,
            ),
            affine,
        )
        for _ in range(n_transforms)
    ]
    return _chain(steps, n_features, permutation, batch_norm)


def nsf(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 2,
    hidden_features: int | tuple[int, ...] = (64, 64),
    n_bins: int = 8,
    tail_bound: float = 4.0,
    scale_bound: float = 3.0,
    activation: str = "silu",
    dropout: float = 0.0,
    residual: bool = False,
    batch_norm: bool = False,
    permutation: str = "reverse",
) -> list[nn.Module]:
    """Return the transforms of an autoregressive neural spline flow.

    Each step maps every feature by the affine map of `maf` and then by a rational-quadratic
    spline, the parameters of both being functions of the features before it and the context. The
    affine map brings conditional densities of any place and width under the spline.

    Parameters
    ----------
    n_features, n_context, hidden_features, dropout, residual, batch_norm, \
            permutation, scale_bound
        As in `maf`.
    n_transforms : int, default=2
        Number of autoregressive steps.
    activation : {"relu", "tanh", "silu", "gelu", "elu"}, default="silu"
        Activation of the hidden layers; a smooth one gives a density with fewer kinks.
    n_bins : int, default=8
        Bins of each spline.
    tail_bound : float, default=4
        The splines act on [-tail_bound, tail_bound] and are the identity outside.
    """
    elementwise = AffineSpline(n_bins, tail_bound, scale_bound)
    steps = [
        Autoregressive(
            MADE(
                n_features,
                n_context,
                hidden_features,
                elementwise.n_params,
                activation=activation,
                dropout=dropout,
                residual=residual,
            ),
            elementwise,
        )
        for _ in range(n_transforms)
    ]
    return _chain(steps, n_features, permutation, batch_norm)


def nsf_coupling(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 4,
    hidden_features: int | tuple[int, ...] = (64, 64),
    n_bins: int = 8,
    tail_bound: float = 4.0,
    scale_bound: float = 3.0,
    activation: str = "silu",
    dropout: float = 0.0,
    residual: bool = False,
    batch_norm: bool = False,
    permutation: str = "reverse",
) -> list[nn.Module]:
    """Return the transforms of a spline coupling flow: one pass in either direction.

    Each step maps the second half of the features as in `nsf`, given the first half. With one
    feature there is nothing to couple, and the flow is that of `nsf`.

    Parameters
    ----------
    n_features, n_context, hidden_features, n_bins, tail_bound, activation, dropout, residual, \
            batch_norm, permutation, scale_bound
        As in `nsf`.
    n_transforms : int, default=4
        Number of coupling steps.
    """
    if n_features == 1:
        return nsf(
            n_features,
            n_context,
            n_transforms=n_transforms,
            hidden_features=hidden_features,
            n_bins=n_bins,
            tail_bound=tail_bound,
            scale_bound=scale_bound,
            activation=activation,
            dropout=dropout,
            residual=residual,
            batch_norm=batch_norm,
        )
    elementwise = AffineSpline(n_bins, tail_bound, scale_bound)
    n_given = n_features // 2
    steps = [
        Coupling(
            n_given,
            MLP(
                n_given,
                n_context,
                hidden_features,
                (n_features - n_given, elementwise.n_params),
                activation=activation,
                dropout=dropout,
                residual=residual,
            ),
            elementwise,
        )
        for _ in range(n_transforms)
    ]
    return _chain(steps, n_features, permutation, batch_norm)


def _chain(steps, n_features, permutation, batch_norm) -> list[nn.Module]:
    """Put permutations between the steps and batch norm after each."""
    transforms: list[nn.Module] = []
    for i, step in enumerate(steps):
        if i > 0 and n_features > 1:
            transforms.append(_choose("permutation", permutation, _PERMUTATIONS)(n_features))
        transforms.append(step)
        if batch_norm:
            transforms.append(BatchNorm(n_features))
    return transforms


class MaskedLinear(nn.Linear):
    """Linear layer that sees only the inputs allowed by a mask of shape (out, in)."""

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MLP(nn.Module):
    """Network of features and context that starts close to zero.

    Returns a tensor of shape (n, \\*shape).
    """

    def __init__(
        self, n_features, n_context, hidden_features, shape, activation, dropout, residual
    ):
        super().__init__()
        if isinstance(hidden_features, int):
            hidden_features = (hidden_features,)
        self.shape = shape
        self.residual = residual
        self.activation = _choose("activation", activation, _ACTIVATIONS)()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.hidden, self.output = self._layers(n_features, n_context, hidden_features)
        nn.init.uniform_(self.output.weight, -1e-2, 1e-2)
        nn.init.zeros_(self.output.bias)

    def _layers(self, n_features, n_context, widths):
        widths = (n_features + n_context, *widths)
        hidden = [nn.Linear(i, o) for i, o in pairwise(widths)]
        return nn.ModuleList(hidden), nn.Linear(widths[-1], math.prod(self.shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = x if context is None else torch.cat([x, context], dim=1)
        for i, layer in enumerate(self.hidden):
            update = self.dropout(self.activation(layer(h)))
            h = h + update if self.residual and i > 0 and h.shape == update.shape else update
        return self.output(h).unflatten(1, self.shape)


class MADE(MLP):
    """MLP whose outputs for feature i depend on features 1 ... i-1 and the context alone.

    Unlike in `nflows.transforms.made.MADE`, the context also reaches the first feature: it has
    degree 0, and hidden units of degree 0 exist where there is a context.
    """

    def __init__(self, n_features, n_context, hidden_features, n_params, **options):
        super().__init__(n_features, n_context, hidden_features, (n_features, n_params), **options)

    def _layers(self, n_features, n_context, widths):
        features = torch.arange(1, n_features + 1)
        degrees = torch.cat([features, torch.zeros(n_context, dtype=torch.long)])
        lowest = 0 if n_context or n_features == 1 else 1
        hidden = []
        for width in widths:
            units = lowest + torch.arange(width) % (n_features - lowest)
            hidden.append(MaskedLinear(units[:, None] >= degrees))
            degrees = units
        outputs = features.repeat_interleave(self.shape[1])
        return nn.ModuleList(hidden), MaskedLinear(outputs[:, None] > degrees)


class BoundedAffine:
    """Elementwise affine map whose log scale stays within (-bound, bound)."""

    n_params = 2

    def __init__(self, bound: float):
        self.bound = bound

    def __call__(self, x: Tensor, params: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        log_scale = self.bound * torch.tanh(raw / self.bound)
        if inverse:
            return (x - shift) * (-log_scale).exp(), -log_scale
        return x * log_scale.exp() + shift, log_scale


class AffineSpline:
    """Bounded affine map, then a rational-quadratic spline on [-bound, bound]."""

    def __init__(self, n_bins: int, bound: float, scale_bound: float):
        self.affine = BoundedAffine(scale_bound)
        self.bound = bound
        self.n_params = 2 + 3 * n_bins - 1

    def __call__(self, x: Tensor, params: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        moves, shapes = params.split([2, self.n_params - 2], dim=-1)
        if inverse:
            x, spline_log_det = rational_quadratic_spline(x, shapes, self.bound, inverse=True)
            x, affine_log_det = self.affine(x, moves, inverse=True)
        else:
            x, affine_log_det = self.affine(x, moves, inverse=False)
            x, spline_log_det = rational_quadratic_spline(x, shapes, self.bound)
        return x, affine_log_det + spline_log_det


class Autoregressive(AutoregressiveTransform):
    """Elementwise map whose parameters come from a MADE; nflows brings the inverse, d passes."""

    def __init__(self, net: MADE, elementwise):
        super().__init__(net)
        self.elementwise = elementwise

    def _elementwise_forward(self, inputs, autoregressive_params):
        outputs, log_det = self.elementwise(inputs, autoregressive_params, inverse=False)
        return outputs, log_det.sum(dim=1)

    def _elementwise_inverse(self, inputs, autoregressive_params):
        outputs, log_det = self.elementwise(inputs, autoregressive_params, inverse=True)
        return outputs, log_det.sum(dim=1)


class Coupling(Transform):
    """Elementwise map of the features after the first n_given, by a network of those.

    nflows' own writes into slices in place, which torch.func.vmap cannot batch.
    """

    def __init__(self, n_given: int, net: MLP, elementwise):
        super().__init__()
        self.n_given = n_given
        self.net = net
        self.elementwise = elementwise

    def forward(self, inputs, context=None):
        return self._map(inputs, context, inverse=False)

    def inverse(self, inputs, context=None):
        return self._map(inputs, context, inverse=True)

    def _map(self, inputs, context, inverse):
        given, rest = inputs[:, : self.n_given], inputs[:, self.n_given :]
        rest, log_det = self.elementwise(rest, self.net(given, context), inverse)
        return torch.cat([given, rest], dim=1), log_det.sum(dim=1)


class BatchNorm(Transform):
    """Invertible batch normalisation: batch statistics in training, running ones otherwise.

    nflows' own starts with a running variance of zero and turns a batch of one row into NaN.
    """

    mean: Tensor
    var: Tensor

    def __init__(self, n_features: int, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.log_gain = nn.Parameter(torch.zeros(n_features))
        self.bias = nn.Parameter(torch.zeros(n_features))
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("var", torch.ones(n_features))

    def set_statistics(self, x: Tensor, momentum: float = 1.0) -> None:
        """Move the running mean and variance towards those of x."""
        self.mean.mul_(1 - momentum).add_(momentum * x.mean(dim=0))
        self.var.mul_(1 - momentum).add_(momentum * x.var(dim=0, correction=0))

    def forward(self, inputs, context=None):
        mean, var = self.mean, self.var
        if self.training and len(inputs) > 1:
            mean, var = inputs.mean(dim=0), inputs.var(dim=0, correction=0)
            self.set_statistics(inputs.detach(), self.momentum)
        log_scale = self.log_gain - 0.5 * (var + self.eps).log()
        outputs = (inputs - mean) * log_scale.exp() + self.bias
        return outputs, log_scale.sum().expand(len(inputs))

    def inverse(self, inputs, context=None):
        log_scale = self.log_gain - 0.5 * (self.var + self.eps).log()
        outputs = (inputs - self.bias) * (-log_scale).exp() + self.mean
        return outputs, -log_scale.sum().expand(len(inputs))


def _choose(option: str, name: str, choices: dict):
    if name not in choices:
        raise ValueError(f"{option} must be one of {tuple(choices)}; got {name!r}.")
    return choices[name]
