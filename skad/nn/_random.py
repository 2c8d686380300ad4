"""Random numbers of networks from generators of skad's own, never from torch's global one.

Threads share the global generator: whoever draws from it changes what the others get.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["Drawing", "DrawingTransform", "Dropout", "draw_from", "draws_from", "own_dropout"]

Draw = Callable[[Tensor, torch.Generator | None], Tensor]


class draw_from(TorchDispatchMode):
    """Let the random operations of torch inside the scope, in this thread, draw from a generator.

    For code that has no generator to be given: the initialisation of layers, and what users built.
    Every operation inside costs some microseconds more.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        self.has_drawn = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags and kwargs.get("generator") is None:
            drawing = _with_generator(func)
            if drawing is not None and _device(args, kwargs) == self.generator.device:
                self.has_drawn = True
                return drawing(*args, **kwargs | {"generator": self.generator})
        return func(*args, **kwargs)


def _device(args, kwargs) -> torch.device:
    """Return the device on which an operation draws."""
    for value in args:
        if isinstance(value, Tensor):
            return value.device
    return torch.device(kwargs.get("device") or "cpu")


@cache
def _with_generator(func: Any) -> Any:
    """Return the overload of an operation that takes a generator, None where there is none."""

    def signature(overload):
        arguments = [(a.name, str(a.type)) for a in overload._schema.arguments]
        return [a for a in arguments if a[0] != "generator"], arguments

    packet = func.overloadpacket
    for overload in (getattr(packet, name) for name in packet.overloads()):
        without, arguments = signature(overload)
        if without == signature(func)[0] and without != arguments:
            return overload
    return None


class _Drawn(torch.autograd.Function):
    """Numbers for every entry of a tensor, each member of a stack from its own generator."""

    generate_vmap_rule = False

    @staticmethod
    def forward(like, draw, generators):
        numbers = torch.empty_like(like, memory_format=torch.contiguous_format)
        if len(generators) == 1:
            return draw(numbers, generators[0])
        for of_member, generator in zip(numbers, generators, strict=True):
            draw(of_member, generator)
        return numbers

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx, gradient):
        return None, None, None

    @staticmethod
    def vmap(info, in_dims, like, draw, generators):
        return _Drawn.forward(like.movedim(in_dims[0], 0), draw, generators), 0


class Drawing(nn.Module):
    """A layer that draws random numbers in training, from the generators that it was given.

    A stack of networks gives it one for each member, which is the leading axis. Without any it
    draws from torch's global one, as layers of torch do.
    """

    generators: Sequence[torch.Generator | None] = (None,)

    def drawn(self, like: Tensor, draw: Draw) -> Tensor:
        """Return numbers of the shape of `like`, which `draw(out, generator)` fills in place."""
        return _Drawn.apply(like.detach(), draw, self.generators)


class DrawingTransform(Drawing):
    """A transform that a user built and that may draw from torch in training."""

    def __init__(self, transform: nn.Module) -> None:
        super().__init__()
        self.transform = transform
        self._draws = True

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        generator = self.generators[0]
        if not (self.training and self._draws) or generator is None:
            return self.transform(x, context)
        with draw_from(generator) as scope:
            result = self.transform(x, context)
        # Few draw anything, and the scope is no cheap one.
        self._draws = scope.has_drawn
        return result

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.inverse(z, context)  # type: ignore[operator]


class Dropout(Drawing):
    """`torch.nn.Dropout` with generators of its own.

    Parameters
    ----------
    p : float
        Share of the entries that are dropped in training.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        keep = 1 - self.p
        return x * self.drawn(x, lambda out, g: out.bernoulli_(keep, generator=g)) / keep

    def extra_repr(self) -> str:
        return f"p={self.p}"


def own_dropout(network: nn.Module) -> nn.Module:
    """Put `Dropout` in the place of torch's in a network that a user built."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p).train(child.training))
    return Dropout(network.p) if type(network) is nn.Dropout else network


def draws_from(network: nn.Module, generators: Sequence[torch.Generator | None]) -> None:
    """Give every layer that draws these generators, one for each member of a stack."""
    for layer in network.modules():
        if isinstance(layer, Drawing):
            layer.generators = tuple(generators)
