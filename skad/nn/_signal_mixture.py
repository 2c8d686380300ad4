"""A flow for a small signal on top of a background whose density is known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.functional import logsigmoid

from skad.nn._annealing import Annealed
from skad.nn._flow_network import FlowNetwork

__all__ = ["SignalMixture", "mixture_negative_log_likelihood"]


# Where the annealed fraction starts: nearly all events are signal, so the flow first learns the
# data and sheds the background as its share falls.
_FIRST_FRACTION = 0.99


class SignalMixture(nn.Module):
    """The mixture ``(1 - w) p_background + w p_signal``, of which the signal is learned.

    Parameters
    ----------
    signal : FlowNetwork
        p_signal(x|m).
    fraction : float
        Signal fraction w in (0, 1).
    learn_fraction : bool
        Whether w is learned too, starting from `fraction`.
    """

    def __init__(self, signal: FlowNetwork, fraction: float, learn_fraction: bool) -> None:
        super().__init__()
        self.signal = signal
        self._options = {"fraction": fraction, "learn_fraction": learn_fraction}
        self.stackable = signal.stackable
        logit = torch.tensor([math.log(fraction) - math.log1p(-fraction)])
        if learn_fraction:
            self.logit = nn.Parameter(logit)
        else:
            self.register_buffer("logit", logit)

    @property
    def settings(self) -> dict[str, Any]:
        """What builds it again."""
        return {"signal": self.signal, **self._options}

    def forward(
        self,
        x: torch.Tensor,
        m: torch.Tensor,
        log_background: torch.Tensor,
        annealing: float = 1.0,
    ) -> torch.Tensor:
        """Return the log density of the mixture in nats, that of the background being given.

        With ``annealing`` below 1 the fraction lies between 0.99 (at 0) and w, geometrically.
        """
        log_fraction = annealing * logsigmoid(self.logit)
        log_fraction = log_fraction + (1.0 - annealing) * math.log(_FIRST_FRACTION)
        log_rest = torch.log(-torch.expm1(log_fraction))
        return torch.logaddexp(log_fraction + self.signal(x, m), log_rest + log_background)

    def end_epoch(self, batches: Iterable[dict[str, torch.Tensor]]) -> None:
        """Recompute the statistics of batch-norm layers of the signal's flow."""
        self.signal.end_epoch(batches)


def mixture_negative_log_likelihood(annealing: Annealed):
    """Return the objective of the mixture; a batch holds "log_background" of every event."""

    def objective(network, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return -network(batch["x"], batch["m"], batch["log_background"], annealing.value)

    return objective
