"""Networks of one architecture evaluated as one, with a leading member axis."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from skad.nn._random import draws_from
from skad.nn._stacked_layers import stack_layers

__all__ = ["Members", "per_event"]

Objective = Callable[[Callable, dict[str, torch.Tensor]], torch.Tensor]


def per_event(objective: Any) -> Any:
    """Mark an objective that works on each event alone, whatever axes are in front of its own.

    Stacks of dense networks then run as batched products: the objective gets the batches of all
    members at once, of shape (n_members, n_events, ...), and must return the losses of shape
    (n_members, n_events). It may not differentiate the networks itself.
    """
    objective.per_event = True
    return objective


class Members(nn.Module):
    """A stack of networks of one architecture.

    One network is kept as it is; several have their parameters stacked along a leading axis.
    They are evaluated as batched products where both networks and objective allow it, by
    `torch.func.vmap` otherwise.

    Parameters
    ----------
    modules : sequence of nn.Module
        Networks that differ in the values of their parameters and buffers only.
    objective : Objective
        What will be evaluated; see `per_event`.
    """

    def __init__(self, modules: Sequence[nn.Module], objective: Objective) -> None:
        super().__init__()
        self.n_members = len(modules)
        self.stacked = self.n_members > 1
        self.network: nn.Module | None = None
        self._generators: list[torch.Generator | None] = [None] * self.n_members
        if not self.stacked:
            self.network = modules[0]
        elif getattr(objective, "per_event", False):
            self.network = stack_layers(modules)
        if self.network is not None:
            return
        # In a list, so that torch does not count the template's parameters.
        self._template = [copy.deepcopy(modules[0])]
        self._keys: dict[str, str] = {}
        parameters, buffers = stack_module_state(list(modules))
        for name, value in parameters.items():
            self.register_parameter(self._register(name), nn.Parameter(value.detach()))
        for name, value in buffers.items():
            self.register_buffer(self._register(name), value)

    def _register(self, name: str) -> str:
        # torch forbids dots in the names of parameters.
        key = name.replace(".", "|")
        self._keys[name] = key
        return key

    def _named(self) -> dict[str, torch.Tensor]:
        if self.network is not None:
            return self.network.state_dict(keep_vars=True)
        return {name: getattr(self, key) for name, key in self._keys.items()}

    def draw_from(self, generators: Sequence[torch.Generator | None]) -> None:
        """Let the layers of every member draw from its own generator."""
        self._generators = list(generators)
        draws_from(self._template[0] if self.network is None else self.network, generators)

    def forward(self, objective: Objective, batch, n_rows) -> torch.Tensor:
        """Return the loss of every member, shape (n_members,), a scalar without a stack."""
        if self.network is not None:
            return _reduce(objective(self.network, batch), batch, n_rows)
        template = self._template[0].train(self.training)
        named = self._named()

        def loss_of_one(state, member_batch, rows):
            def member(*args):
                return functional_call(template, state, args)

            return _reduce(objective(member, member_batch), member_batch, rows)

        rows = torch.as_tensor(n_rows, device=next(iter(named.values())).device)
        if rows.ndim == 0:
            rows = rows.expand(self.n_members)
        return vmap(loss_of_one, randomness="different")(named, batch, rows)

    def state(self, k: int) -> dict[str, torch.Tensor]:
        """Return a copy of the parameters and buffers of member `k`."""
        member = k if self.stacked else slice(None)
        return {name: t.detach()[member].clone() for name, t in self._named().items()}

    def finite(self) -> torch.Tensor:
        """Return for every member whether all of its parameters are finite."""
        finite = torch.ones(self.n_members, dtype=torch.bool)
        for p in self.parameters():
            rows = p.detach().reshape(self.n_members, -1)
            finite &= torch.isfinite(rows.sum(1)).cpu()
        return finite

    def select(self, members: Sequence[int], optimizer: torch.optim.Optimizer) -> None:
        """Keep only these members, here and in the optimizer's state."""
        index = torch.as_tensor(list(members), device=next(self.parameters()).device)
        for p in self.parameters():
            p.data = p.detach()[index].clone()
            p.grad = None
            state = optimizer.state[p]
            for name, value in state.items():
                if torch.is_tensor(value) and value.ndim:
                    state[name] = value[index].clone()
        for buffer in self.buffers():
            buffer.data = buffer[index].clone()
        self.n_members = len(members)
        self.draw_from([self._generators[k] for k in members])


def _reduce(loss: torch.Tensor, batch, n_rows) -> torch.Tensor:
    """Average a loss per event over the batch; a scalar loss is already one of the batch."""
    if loss.ndim == 0:
        return loss
    weight = batch.get("weight")
    if weight is None:
        return loss.mean(-1)
    return (weight * loss).sum(-1) / n_rows
