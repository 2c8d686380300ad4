"""Layers of several networks of one architecture as one layer with a leading member axis."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from skad.nn._autoencoder import Autoencoder, VariationalAutoencoder
from skad.nn._mlp import ACTIVATIONS, MLP, Standardize
from skad.nn._random import Dropout

__all__ = ["stack_layers"]


class _BatchedLinear(torch.autograd.Function):
    """``x @ weight.mT + bias`` of every member, of the positive part of `x` if it is `rectified`.

    With gradients of its own. Of the two orders of a product, whose results are each other's
    transpose, the one with fewer and longer rows is up to ten times as fast, and torch takes the
    other for the weights of a layer with few outputs. The positive part and its gradient
    overwrite what they are made from, the largest arrays of a step, which nothing else reads.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, rectified):  # type: ignore[override]
        if rectified:
            x.relu_()
        ctx.rectified = rectified
        ctx.save_for_backward(x, weight)
        if bias is None:
            return torch.bmm(x, weight.mT)
        return torch.baddbmm(bias[:, None], x, weight.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):  # type: ignore[override]
        x, weight = ctx.saved_tensors
        n_out, n_in = weight.shape[1:]
        of_x = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = gradient * weight if n_out == 1 else torch.bmm(gradient, weight)
            if ctx.rectified:
                torch.ops.aten.threshold_backward.grad_input(of_x, x, 0, grad_input=of_x)
        if n_out <= n_in:
            of_weight = torch.bmm(gradient.mT, x)
        else:
            of_weight = torch.bmm(x.mT, gradient).mT
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(1)
        return of_x, of_weight, of_bias, None


class StackedLinear(nn.Module):
    """Linear layers as one batched product; weights of shape (n_members, n_out, n_in).

    `rectified` says that it also takes over a ReLU in front of it.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])
        self.bias = None
        if layers[0].bias is not None:
            self.bias = _stacked_parameter([layer.bias for layer in layers])
        self.rectified = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _BatchedLinear.apply(x, self.weight, self.bias, self.rectified)


class StackedStandardize(nn.Module):
    """Standardisations of the members; mean and scale of shape (n_members, n_features)."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, layers: Sequence[Standardize]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.stack([layer.mean for layer in layers]))
        self.register_buffer("scale", torch.stack([layer.scale for layer in layers]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean[:, None]) / self.scale[:, None]


_STACKED: dict[type[nn.Module], Callable[[Sequence], nn.Module]] = {
    nn.Linear: StackedLinear,
    Standardize: StackedStandardize,
}
# Without parameters of their own, and indifferent to axes in front of the last one.
_ANY_AXES = (
    nn.Sequential,
    Dropout,
    *(type(build()) for build in ACTIVATIONS.values()),
    MLP,
    Autoencoder,
    VariationalAutoencoder,
)


def stack_layers(modules: Sequence[nn.Module]) -> nn.Module | None:
    """Return one network that holds all, its state as theirs with a member axis in front.

    None where a part of them has no stacked form. Subclasses do not count as their base: they
    may do anything.
    """
    kind = type(modules[0])
    if kind in _STACKED:
        return _STACKED[kind](modules)
    if kind not in _ANY_AXES:
        return None
    children: dict[str, nn.Module | None] = {}
    for name, _ in modules[0].named_children():
        child = stack_layers([module.get_submodule(name) for module in modules])
        if child is None:
            return None
        children[name] = child
    if isinstance(modules[0], nn.Sequential):
        _join_activations(children)
    stack = copy.copy(modules[0])
    stack._modules = children
    return stack


def _stacked_parameter(parameters: Sequence[torch.Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([p.detach() for p in parameters]))


def _join_activations(layers: dict[str, nn.Module | None]) -> None:
    """Leave every ReLU that works in place to the linear layer right behind it."""
    for name, following in itertools.pairwise(list(layers)):
        activation, linear = layers[name], layers[following]
        if not (isinstance(activation, nn.ReLU) and activation.inplace):
            continue
        if isinstance(linear, StackedLinear):
            # The names of the state stay as they are.
            layers[name] = nn.Identity()
            linear.rectified = True
