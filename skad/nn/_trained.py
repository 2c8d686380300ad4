"""Trained networks: chunked evaluation, averaging and persistence."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

__all__ = ["TrainedMembers", "log_mean_exp"]

_CHUNK = 16384


def log_mean_exp(stacked: torch.Tensor) -> torch.Tensor:
    """Combine log densities, or log ratios, of all networks and epochs: the mean of their exp."""
    return torch.logsumexp(stacked, dim=0) - math.log(len(stacked))


class TrainedMembers:
    """The kept states of every member of a training.

    Parameters
    ----------
    networks : list of list of nn.Module
        For every member its kept states as networks.
    histories : list of list of dict
        For every member one entry an epoch.
    device : torch.device
        Where the networks live.

    Notes
    -----
    Pickles hold the networks on the CPU, so a model trained on a GPU loads anywhere; loading
    puts them back on a GPU only by `to`.
    """

    def __init__(
        self,
        networks: list[list[nn.Module]],
        histories: list[list[dict[str, float]]],
        device: torch.device,
    ) -> None:
        self.networks = networks
        self.histories = histories
        self.device = device

    def __getstate__(self):
        state = self.__dict__.copy()
        buffer = io.BytesIO()
        torch.save([[n.cpu() for n in kept] for kept in _copies(self)], buffer)
        state["networks"] = buffer.getvalue()
        state["device"] = "cpu"
        return state

    def __setstate__(self, state):
        self.__dict__.update(state)
        buffer = io.BytesIO(state["networks"])
        # The pickle around this buffer is trusted or not by whoever loads it.
        self.networks = torch.load(buffer, weights_only=False)
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> TrainedMembers:
        """Move the networks to a device."""
        for kept in self.networks:
            for network in kept:
                network.to(device)
        self.device = device
        return self

    @property
    def n_epochs(self) -> int:
        """Largest number of epochs of any member."""
        return int(max((h[-1]["epoch"] for h in self.histories if h), default=0))

    def groups(self, size: int) -> list[TrainedMembers]:
        """Split the members into groups of `size`, sharing the networks."""
        return [
            TrainedMembers(self.networks[i : i + size], self.histories[i : i + size], self.device)
            for i in range(0, len(self.networks), size)
        ]

    def best_of(self, size: int) -> TrainedMembers:
        """Keep of every `size` members the one with the lowest validation loss of any epoch."""
        if size == 1:
            return self
        lowest = [min(entry["valid_loss"] for entry in history) for history in self.histories]
        chosen = [
            i + int(np.argmin(lowest[i : i + size])) for i in range(0, len(self.networks), size)
        ]
        return TrainedMembers(
            [self.networks[i] for i in chosen], [self.histories[i] for i in chosen], self.device
        )

    def map(self, function: Callable[[nn.Module], nn.Module]) -> TrainedMembers:
        """Return members with ``function(network)``, a part of it, in place of every network."""
        networks = [[function(network) for network in kept] for kept in self.networks]
        return TrainedMembers(networks, self.histories, self.device)

    def shares(
        self, n_events: int, random_state: np.random.RandomState
    ) -> list[tuple[nn.Module, np.ndarray]]:
        """Return every network with its share of events to draw, equal shares at random."""
        networks = [network for kept in self.networks for network in kept]
        share = random_state.permutation(np.arange(n_events) % len(networks))
        rows = [np.flatnonzero(share == i) for i in range(len(networks))]
        return [pair for pair in zip(networks, rows, strict=True) if len(pair[1])]

    def evaluate(
        self,
        function: Callable[..., torch.Tensor],
        arrays: dict[str, np.ndarray],
        *,
        reduce: Callable[[torch.Tensor], torch.Tensor],
        chunk: int = _CHUNK,
    ) -> np.ndarray:
        """Evaluate the networks over events in chunks.

        Parameters
        ----------
        function : callable
            ``function(network, batch)`` returns a tensor of shape (n, ...).
        arrays : dict of str to array of shape (n_events, ...)
        reduce : callable
            Combines the outputs of all states of all members, stacked along a leading axis
            as float64.
        chunk : int
            Events at once.

        Returns
        -------
        values : ndarray of float64, shape (n_events, ...)
        """
        n = len(next(iter(arrays.values())))
        networks = [network for kept in self.networks for network in kept]
        out = None
        with torch.inference_mode():
            for start in range(0, n, chunk):
                batch = {
                    name: torch.as_tensor(array[start : start + chunk]).to(self.device)
                    for name, array in arrays.items()
                }
                stacked = torch.stack([function(network, batch).double() for network in networks])
                values = reduce(stacked).cpu().numpy()
                if out is None:
                    out = np.empty((n, *values.shape[1:]))
                out[start : start + len(values)] = values
        if out is None:
            raise ValueError("There is no event to evaluate.")
        return out


def _copies(trained: TrainedMembers) -> list[list[nn.Module]]:
    """Return the networks, copied only where moving them to the CPU would change the original."""
    if trained.device.type == "cpu":
        return trained.networks
    return [[copy.deepcopy(network) for network in kept] for kept in trained.networks]
