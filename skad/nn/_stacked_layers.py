"""Layers of several networks of one architecture as one layer with a leading member axis."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn

from skad.nn._autoencoder import Autoencoder, VariationalAutoencoder
from skad.nn._mlp import ACTIVATIONS, MLP, Standardize

__all__ = ["stack_layers"]


class StackedLinear(nn.Module):
    """Linear layers as one batched product; weights of shape (n_members, n_out, n_in)."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = _stacked_parameter([layer.weight for layer in layers])
        self.bias = None
        if layers[0].bias is not None:
            self.bias = _stacked_parameter([layer.bias for layer in layers])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        transposed = self.weight.transpose(1, 2)
        if self.bias is None:
            return torch.bmm(x, transposed)
        return torch.baddbmm(self.bias[:, None], x, transposed)


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
    nn.Dropout,
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
    stack = copy.copy(modules[0])
    stack._modules = children
    return stack


def _stacked_parameter(parameters: Sequence[torch.Tensor]) -> nn.Parameter:
    return nn.Parameter(torch.stack([p.detach() for p in parameters]))
