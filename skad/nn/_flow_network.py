"""A flow behind its standardisation: the network of a density p(x|m)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from skad.nn._autoencoder import LARGEST_SCALED
from skad.nn._flows import Flow
from skad.nn._mlp import Standardize

__all__ = ["FlowNetwork", "blurred_likelihood", "matching_loss", "negative_log_likelihood"]


class FlowNetwork(nn.Module):
    """Standardisation of features and conditions, then a flow.

    Parameters
    ----------
    flow : Flow
    features : Standardize
    conditions : Standardize or None
        None for an unconditional flow.
    """

    def __init__(self, flow: Flow, features: Standardize, conditions: Standardize | None) -> None:
        super().__init__()
        self.flow = flow
        self.features = features
        self.conditions = conditions
        self.stackable = getattr(flow, "stackable", True)

    @property
    def settings(self) -> dict[str, Any]:
        """What builds it again."""
        return {"flow": self.flow, "features": self.features, "conditions": self.conditions}

    def _inputs(self, x: torch.Tensor, m: torch.Tensor | None):
        z = self.features(x)
        if not self.training:
            z = z.clamp(-LARGEST_SCALED, LARGEST_SCALED)
        return self._cast(z), self._context(m)

    def _context(self, m: torch.Tensor | None) -> torch.Tensor | None:
        return None if self.conditions is None else self._cast(self.conditions(m))

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(next(self.flow.parameters()).dtype)

    def latent(
        self, x: torch.Tensor, m: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return z and log|det dz/dx|, the derivative in the coordinates of x."""
        z, log_abs_det = self.flow(*self._inputs(x, m))
        return z, log_abs_det - self.features.scale.log().sum()

    def conditional_log_densities(
        self, x: torch.Tensor, m: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return log p(x_i | x_1 ... x_(i-1), m) of each feature, if the flow keeps the order."""
        terms = self.flow.conditional_log_densities(*self._inputs(x, m))
        return terms - self.features.scale.log()

    def data(self, z: torch.Tensor, m: torch.Tensor | None = None) -> torch.Tensor:
        """Return the event at a latent point."""
        return self.features.inverse(self.flow.inverse(self._cast(z), self._context(m))[0])

    def forward(
        self,
        x: torch.Tensor,
        m: torch.Tensor | None = None,
        noise: torch.Tensor | None = None,
        blur: float | None = None,
    ) -> torch.Tensor:
        """Return log p(x|m) in nats, of x blurred by noise; without blur the loss of matching."""
        if noise is not None and blur is None:
            inputs, context = self._inputs(x, m)
            return self.flow.matching_loss(inputs, context, self._cast(noise))
        if noise is not None and blur is not None:
            x = x + blur * self.features.scale * noise
        z, log_abs_det = self.latent(x, m)
        return log_abs_det - 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)

    def sample(
        self,
        n: int,
        m: torch.Tensor | None,
        generator: torch.Generator,
        between: tuple[float, float] | None = None,
    ) -> torch.Tensor:
        """Draw n events, one for each row of m; from the flows at two values of m alone."""
        if between is None or m is None:
            return self.features.inverse(self.flow.sample(n, self._context(m), generator))
        low, high = (torch.full_like(m, edge) for edge in between)
        contexts = self._context(low), self._context(high)
        share = self._cast((high - m) / (high - low))
        drawn = self.flow.sample(n, None, generator, (*contexts, share))  # type: ignore[arg-type]
        return self.features.inverse(drawn)

    def end_epoch(self, batches: Iterable[dict[str, torch.Tensor]]) -> None:
        """Recompute the statistics of batch-norm layers, as CATHODE does."""
        with torch.no_grad():
            self.flow.recompute_batch_norm(self._inputs(b["x"], b.get("m")) for b in batches)


def negative_log_likelihood(network, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Objective of maximum likelihood: -log p(x|m) of every event."""
    if "m" in batch:
        return -network(batch["x"], batch["m"])
    return -network(batch["x"])


def blurred_likelihood(network, batch: dict[str, torch.Tensor], *, blur: float) -> torch.Tensor:
    """Objective of maximum likelihood of events with noise, `blur` standard deviations wide."""
    return -network(batch["x"], batch.get("m"), batch["noise"], blur)


def matching_loss(network, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Objective of flow matching, see `ContinuousTransform.matching_loss`."""
    return network(batch["x"], batch.get("m"), batch["noise"])
