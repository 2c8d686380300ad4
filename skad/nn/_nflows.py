"""Stacks of autoregressive and coupling steps on nflows, which no other module imports."""

from collections.abc import Callable

import torch
from nflows.transforms.autoregressive import AutoregressiveTransform
from nflows.transforms.base import Transform
from nflows.transforms.permutations import Permutation, RandomPermutation, ReversePermutation
from torch import Tensor, nn

from skad.nn._conditioners import MADE, ConditionerNet

__all__ = [
    "Autoregressive",
    "BatchNorm",
    "Coupling",
    "Permutation",
    "Transform",
    "autoregressive",
    "coupling",
]

_PERMUTATIONS = {"reverse": ReversePermutation, "random": RandomPermutation}


def autoregressive(
    n_features: int,
    n_context: int,
    elementwise,
    *,
    permutation="reverse",
    batch_norm=False,
    n_transforms: int,
    **net,
) -> list[nn.Module]:
    """Return autoregressive steps: each feature is mapped given those before it and the context.

    Parameters
    ----------
    n_features, n_context : int
        Columns of x and of the context.
    elementwise : callable
        Map ``(x, params, inverse) -> (z, log_derivative)`` with `n_params` parameters a feature.
    n_transforms : int
        Number of steps.
    permutation : {"reverse", "random", "none"}, default="reverse"
        Order of the features from one step to the next. With "none", as with a single step, each
        latent feature depends on the features up to its own alone, so that the density is a
        product of conditional ones (`Flow.conditional_log_densities`).
    batch_norm : bool, default=False
        Put an invertible batch normalisation after every step; its statistics are best recomputed
        after each epoch with `Flow.recompute_batch_norm`.
    **net
        Options of `ConditionerNet`.
    """

    def step():
        return Autoregressive(MADE(n_features, n_context, elementwise.n_params, **net), elementwise)

    return _chain(step, n_transforms, n_features, permutation, batch_norm, (*_PERMUTATIONS, "none"))


def coupling(
    n_features: int,
    n_context: int,
    elementwise,
    *,
    n_transforms: int,
    permutation="reverse",
    batch_norm=False,
    **net,
) -> list[nn.Module]:
    """Return coupling steps: the second half of the features is mapped given the first.

    One pass in either direction. Parameters as in `autoregressive`, at least two features.
    """
    n_given = n_features // 2
    shape = (n_features - n_given, elementwise.n_params)

    def step():
        return Coupling(n_given, ConditionerNet(n_given, n_context, shape, **net), elementwise)

    return _chain(step, n_transforms, n_features, permutation, batch_norm)


def _chain(
    step: Callable[[], Transform],
    n: int,
    n_features: int,
    permutation: str,
    batch_norm: bool,
    allowed: tuple[str, ...] = tuple(_PERMUTATIONS),
) -> list[nn.Module]:
    """Put permutations between the steps and batch norm after each."""
    if permutation not in allowed:
        raise ValueError(f"permutation must be one of {allowed}; got {permutation!r}.")
    transforms: list[nn.Module] = []
    for i, transform in enumerate([step() for _ in range(n)]):
        if i > 0 and n_features > 1 and permutation != "none":
            transforms.append(_PERMUTATIONS[permutation](n_features))
        transforms.append(transform)
        if batch_norm:
            transforms.append(BatchNorm(n_features))
    return transforms


class Autoregressive(AutoregressiveTransform):
    """Elementwise map whose parameters come from a MADE."""

    def __init__(self, net: MADE, elementwise):
        super().__init__(net)
        self.elementwise = elementwise

    def _elementwise_forward(self, inputs, autoregressive_params):
        outputs, log_det = self.elementwise(inputs, autoregressive_params, inverse=False)
        return outputs, log_det.sum(dim=1)

    def inverse(self, inputs, context=None):
        # nflows' own inverts all features in each of its passes, of which one is new.
        known = torch.zeros_like(inputs)
        log_det = 0.0
        for i in range(inputs.shape[1]):
            params = self.autoregressive_net.of_feature(i, known, context)
            column, term = self.elementwise(inputs[:, i : i + 1], params, inverse=True)
            known = torch.cat([known[:, :i], column, known[:, i + 1 :]], dim=1)
            log_det = log_det + term[:, 0]
        return known, log_det

    def log_derivatives(self, inputs, context=None):
        """Return outputs and the log derivative of each by its own input, shape (n, d)."""
        params = self.autoregressive_net(inputs, context)
        return self.elementwise(inputs, params, inverse=False)


class Coupling(Transform):
    """Elementwise map of the features after the first n_given, by a network of those.

    nflows' own writes into slices in place, which torch.func.vmap cannot batch.
    """

    def __init__(self, n_given: int, net: ConditionerNet, elementwise):
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

    def log_derivatives(self, inputs, context=None):
        """Return outputs and the log derivative of each by its own input, shape (n, d)."""
        log_scale = self.log_gain - 0.5 * (self.var + self.eps).log()
        return self.forward(inputs, context)[0], log_scale.expand(inputs.shape)

    def inverse(self, inputs, context=None):
        log_scale = self.log_gain - 0.5 * (self.var + self.eps).log()
        outputs = (inputs - self.bias) * (-log_scale).exp() + self.mean
        return outputs, -log_scale.sum().expand(len(inputs))
