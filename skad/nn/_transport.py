"""Invertible maps in front of a density that is already learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from skad.nn._flow_network import FlowNetwork
from skad.nn._flows import Flow

__all__ = ["FlowOnFlow", "MassTransport"]


class _OnBase(nn.Module):
    """A flow in the standardised coordinates of a frozen base density.

    The order that the columns have after the untrained flow, which is close to the identity, is
    undone, so that training starts from the identity.
    """

    order: torch.Tensor
    rank: torch.Tensor

    def __init__(self, flow: Flow, base: FlowNetwork, order: torch.Tensor | None = None) -> None:
        super().__init__()
        self.flow = flow
        self.register_buffer("order", _order(flow) if order is None else order)
        self.register_buffer("rank", torch.argsort(self.order))
        self.base = base.requires_grad_(False).eval()
        # A stack would train all of its parameters, the frozen ones too.
        self.stackable = False

    @classmethod
    def rebuilt(cls, flow: Flow, base: FlowNetwork) -> _OnBase:
        """Return one whose numbers, the order among them, are to be loaded."""
        return cls(flow, base, torch.arange(flow.n_features))

    @property
    def settings(self) -> dict[str, Any]:
        """What `rebuilt` takes."""
        return {"flow": self.flow, "base": self.base}

    def train(self, mode: bool = True) -> _OnBase:
        super().train(mode)
        # Neither dropout nor batch norm may move what is frozen.
        self.base.eval()
        return self

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        return self.base.features(x).to(next(self.flow.parameters()).dtype)

    def _conditions(self, m: torch.Tensor) -> torch.Tensor:
        assert self.base.conditions is not None
        return self.base.conditions(m).to(next(self.flow.parameters()).dtype)

    def _forward(self, z, context) -> tuple[torch.Tensor, torch.Tensor]:
        z, log_abs_det = self.flow(z, context)
        return z[:, self.order], log_abs_det

    def _inverse(self, z, context) -> tuple[torch.Tensor, torch.Tensor]:
        return self.flow.inverse(z[:, self.rank], context)

    def _log_base(self, z: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        log_scale = self.base.features.scale.log().sum()
        return self.base.flow.log_prob(z, context) - log_scale


def _order(flow: Flow) -> torch.Tensor:
    """Return which column of the untrained flow's result belongs to each column of x."""
    probe = torch.linspace(-2, 2, flow.n_features)[None]
    context = torch.zeros(1, flow.n_context) if flow.n_context else None
    flow.eval()
    with torch.no_grad():
        z, _ = flow(probe.to(next(flow.parameters()).dtype), context)
    flow.train()
    return torch.argsort(z[0])


class FlowOnFlow(_OnBase):
    """Density p(x|m) of a flow whose base is another density p_base(y|m), with y = T(x|m).

    ``log p(x|m) = log p_base(T(x|m) | m) + log|det dT/dx|``.

    Parameters
    ----------
    flow : Flow
        T, with the columns of m as context, in the standardised coordinates of the base.
    base : FlowNetwork
        Conditional density, frozen here.
    """

    def forward(self, x: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        """Return log p(x|m) in nats."""
        context = self._conditions(m)
        z, log_abs_det = self._forward(self._features(x), context)
        return self._log_base(z, context) + log_abs_det

    def push(self, y: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        """Return T^-1(y|m): an event of the base as one of this density."""
        z, _ = self._inverse(self._features(y), self._conditions(m))
        return self.base.features.inverse(z)

    def sample(self, n: int, m: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Draw n events, one for each row of m."""
        return self.push(self.base.sample(n, m, generator), m)


class MassTransport(_OnBase):
    """Map T(x; s, t) of an event at one value s of m to another value t.

    The flow maps upwards in m, its inverse downwards, so ``T(T(x; s, t); t, s) = x``; both see the
    lower and the higher value.

    Parameters
    ----------
    flow : Flow
        With both values of m as context, in the standardised coordinates of the base.
    base : FlowNetwork
        Density p(x|m) that the mapped events are to follow, frozen here.
    """

    def _move(self, x, source, target):
        up = (target >= source)[:, 0]
        low, high = (
            torch.where(up[:, None], source, target),
            torch.where(up[:, None], target, source),
        )
        context = torch.cat([self._conditions(low), self._conditions(high)], dim=1)
        z = self._features(x)
        moved, log_abs_det = z.new_empty(z.shape), z.new_empty(len(z))
        for rows, direction in ((up, self._forward), (~up, self._inverse)):
            if rows.any():
                part, term = direction(z[rows], context[rows])
                moved[rows], log_abs_det[rows] = part.to(z.dtype), term.to(z.dtype)
        return moved, log_abs_det

    def move(self, x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return T(x; source, target)."""
        return self.base.features.inverse(self._move(x, source, target)[0])

    def forward(self, x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return log p_base(T(x) | target) + log|det dT/dx| in nats."""
        z, log_abs_det = self._move(x, source, target)
        return self._log_base(z, self._conditions(target)) + log_abs_det

    def points(
        self, x: torch.Tensor, m: torch.Tensor, target: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return features and m in one tensor, standardised; moved to `target` if one is given."""
        if target is None:
            return torch.cat([self._features(x), self._conditions(m)], dim=1)
        return torch.cat([self._move(x, m, target)[0], self._conditions(target)], dim=1)
