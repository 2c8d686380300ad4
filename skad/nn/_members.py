"""Networks of one architecture evaluated as one, with a leading member axis."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

__all__ = ["Members"]

Objective = Callable[[Callable, dict[str, torch.Tensor]], torch.Tensor]


class Members(nn.Module):
    """A stack of networks of one architecture.

    One network is kept as it is; several have their parameters stacked along a leading axis
    and are evaluated by `torch.func.vmap`.

    Parameters
    ----------
    modules : sequence of nn.Module
        Networks that differ in the values of their parameters and buffers only.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.n_members = len(modules)
        self._names: dict[str, str] = {}
        self.stacked = self.n_members > 1
        if not self.stacked:
            self.single = modules[0]
            return
        # In a list, so that torch does not count the template's parameters.
        self._template = [copy.deepcopy(modules[0])]
        parameters, buffers = stack_module_state(list(modules))
        for name, value in parameters.items():
            self.register_parameter(self._register(name), nn.Parameter(value.detach()))
        for name, value in buffers.items():
            self.register_buffer(self._register(name), value)

    def _register(self, name: str) -> str:
        key = name.replace(".", "|")
        self._names[name] = key
        return key

    def forward(self, objective: Objective, batch, n_rows) -> torch.Tensor:
        """Return the loss of every member, shape (n_members,), a scalar without a stack."""
        if not self.stacked:
            return _reduce(objective(self.single, batch), batch, n_rows)
        template = self._template[0].train(self.training)
        named = {name: getattr(self, key) for name, key in self._names.items()}

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
        if not self.stacked:
            return {name: t.detach().clone() for name, t in self.single.state_dict().items()}
        return {name: getattr(self, key)[k].detach().clone() for name, key in self._names.items()}

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
        for name, buffer in list(self.named_buffers()):
            setattr(self, name, buffer[index].clone())
        self.n_members = len(members)


def _reduce(loss: torch.Tensor, batch, n_rows) -> torch.Tensor:
    """Average a loss per event over the batch; a scalar loss is already one of the batch."""
    if loss.ndim == 0:
        return loss
    weight = batch.get("weight")
    if weight is None:
        return loss.mean()
    return (weight * loss).sum() / n_rows
