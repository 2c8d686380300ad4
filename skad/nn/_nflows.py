"""Layers of autoregressive and coupling flows on nflows, which no other module imports."""

import torch
from nflows.transforms.autoregressive import AutoregressiveTransform
from nflows.transforms.base import Transform
from nflows.transforms.permutations import RandomPermutation, ReversePermutation
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["maf"]

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
    transforms: list[nn.Module] = []
    for i in range(n_transforms):
        if i > 0 and n_features > 1:
            transforms.append(_permutation(permutation, n_features))
        net = MADE(
            n_features,
            n_context,
            hidden_features,
            n_outputs=2,
            activation=activation,
            dropout=dropout,
            residual=residual,
        )
        transforms.append(BoundedAffineAutoregressive(net, scale_bound))
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


class MADE(nn.Module):
    """Network whose outputs for feature i depend on features 1 ... i-1 and the context alone.

    Unlike in `nflows.nn.nde.MADE`, the context also reaches the first feature: it has degree 0,
    and hidden units of degree 0 exist where there is a context. Starts close to zero.
    Returns a tensor of shape (n, n_features, n_outputs).
    """

    def __init__(
        self, n_features, n_context, hidden_features, n_outputs, activation, dropout, residual
    ):
        super().__init__()
        widths = _widths(hidden_features)
        features = torch.arange(1, n_features + 1)
        lowest = 0 if n_context or n_features == 1 else 1
        degrees = torch.cat([features, torch.zeros(n_context, dtype=torch.long)])
        layers = []
        for width in widths:
            hidden = lowest + torch.arange(width) % max(1, n_features - lowest)
            layers.append(MaskedLinear(hidden[:, None] >= degrees))
            degrees = hidden
        self.hidden = nn.ModuleList(layers)
        self.output = MaskedLinear(features.repeat_interleave(n_outputs)[:, None] > degrees)
        _start_small(self.output)
        self.activation = _choose("activation", activation, _ACTIVATIONS)()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.shape = (n_features, n_outputs)
        self.residual = residual

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = x if context is None else torch.cat([x, context], dim=1)
        for i, layer in enumerate(self.hidden):
            update = self.dropout(self.activation(layer(h)))
            h = h + update if self.residual and i > 0 and h.shape == update.shape else update
        return self.output(h).unflatten(1, self.shape)


class BoundedAffineAutoregressive(AutoregressiveTransform):
    """Affine autoregressive step whose log scale stays within (-bound, bound).

    The inverse, one pass per feature, comes from nflows.
    """

    def __init__(self, net: MADE, bound: float):
        super().__init__(net)
        self.bound = bound

    def _shift_and_log_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        return shift, self.bound * torch.tanh(raw / self.bound)

    def _elementwise_forward(self, inputs, autoregressive_params):
        shift, log_scale = self._shift_and_log_scale(autoregressive_params)
        return inputs * log_scale.exp() + shift, log_scale.sum(dim=1)

    def _elementwise_inverse(self, inputs, autoregressive_params):
        shift, log_scale = self._shift_and_log_scale(autoregressive_params)
        return (inputs - shift) * (-log_scale).exp(), -log_scale.sum(dim=1)


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
        self.mean.lerp_(x.mean(dim=0), momentum)
        self.var.lerp_(x.var(dim=0, correction=0), momentum)

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


def _permutation(name: str, n_features: int) -> nn.Module:
    return _choose("permutation", name, _PERMUTATIONS)(n_features)


def _choose(option: str, name: str, choices: dict):
    if name not in choices:
        raise ValueError(f"{option} must be one of {tuple(choices)}; got {name!r}.")
    return choices[name]


def _widths(hidden_features: int | tuple[int, ...]) -> tuple[int, ...]:
    return (hidden_features,) if isinstance(hidden_features, int) else tuple(hidden_features)


def _start_small(layer: nn.Linear) -> None:
    """Start an output layer so close to zero that the flow starts as the identity."""
    nn.init.uniform_(layer.weight, -1e-2, 1e-2)
    nn.init.zeros_(layer.bias)
