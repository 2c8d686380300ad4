"""zuko, which no other module imports: its ODE solver, and flows that a user built with it."""

import math

import torch
from torch import Tensor, nn
from zuko.lazy import Flow as ZukoFlow
from zuko.utils import odeint

__all__ = ["ZukoFlow", "ZukoTransform", "odeint"]


class ZukoTransform(nn.Module):
    """The transform of a zuko flow, onto its base, which must be a fixed standard normal."""

    def __init__(self, flow: ZukoFlow, n_features: int, n_context: int):
        super().__init__()
        self.flow = flow
        self._check_base(n_features, n_context)

    def _check_base(self, n_features: int, n_context: int) -> None:
        like = next(self.flow.parameters(), torch.empty(0))
        z = torch.linspace(-1.5, 2.0, 3 * n_features).reshape(3, n_features).to(like)
        base = self.flow(z.new_zeros(3, n_context) if n_context else None).base
        expected = -0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1)
        log_prob = base.log_prob(z)
        if log_prob.shape != expected.shape or not torch.allclose(log_prob, expected, atol=1e-4):
            raise ValueError(
                f"its base is {base}, which is not the standard normal of {n_features} features."
            )
        if any(True for _ in self.flow.base.parameters()):
            raise ValueError("its base has parameters of its own; give it as buffers.")

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._mapped(self.flow(context).transform, x)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._mapped(self.flow(context).transform.inv, z)

    @staticmethod
    def _mapped(transform, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_abs_det = transform.call_and_ladj(x)
        # One number for every feature where the transform treats each alone.
        return y, log_abs_det.reshape(len(x), -1).sum(dim=1)
