"""Trained networks: chunked evaluation, averaging and persistence."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
import torch
from torch import nn

import skad
from skad.exceptions import VersionWarning
from skad.nn._partial_fit import Progress
from skad.nn._stored import from_plain, to_plain

__all__ = ["TrainedMembers", "log_mean_exp"]

_CHUNK = 16384
# A GPU takes as long for far fewer.
_CHUNK_OF_GPU = 2**18


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
    progress : Progress, default=None
        How far a training in calls has come.

    Notes
    -----
    Pickles hold settings and NumPy arrays, so a model trained on a GPU loads anywhere; loading
    puts the networks back on a GPU only by `to`.
    """

    def __init__(
        self,
        networks: list[list[nn.Module]],
        histories: list[list[dict[str, float]]],
        device: torch.device,
        progress: Progress | None = None,
    ) -> None:
        self.networks = networks
        self.histories = histories
        self.device = device
        self.progress = progress

    def __getstate__(self):
        state = {
            "networks": [[to_plain(network) for network in kept] for kept in self.networks],
            "histories": self.histories,
            "versions": _versions(),
        }
        if self.progress is not None:
            state["progress"] = asdict(self.progress)
        return state

    def __setstate__(self, state):
        # A model file has versions of its own.
        _compare(state.get("versions"))
        self.networks = [[from_plain(plain) for plain in kept] for kept in state["networks"]]
        self.histories = state["histories"]
        self.device = torch.device("cpu")
        progress = state.get("progress")
        self.progress = None if progress is None else Progress(**progress)

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

        Returns
        -------
        values : ndarray of float64, shape (n_events, ...)
        """
        n = len(next(iter(arrays.values())))
        networks = [network for kept in self.networks for network in kept]
        chunk = _CHUNK_OF_GPU if self.device.type == "cuda" else _CHUNK
        out = None
        with torch.inference_mode():
            for start in range(0, n, chunk):
                batch = {
                    name: _tensor(array[start : start + chunk]).to(self.device)
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


def _versions() -> dict[str, str]:
    return {"skad": skad.__version__, "torch": str(torch.__version__)}


def _compare(versions: dict[str, str] | None) -> None:
    other = {
        name: version for name, version in (versions or {}).items() if _versions()[name] != version
    }
    if other:
        then = " and ".join(f"{name} {version}" for name, version in other.items())
        now = " and ".join(f"{name} {_versions()[name]}" for name in other)
        warnings.warn(
            f"Networks were pickled with {then}, and this is {now}: they may score "
            "differently. Files of skad.save_model can be read by later versions.",
            VersionWarning,
            stacklevel=3,
        )


def _tensor(array: np.ndarray) -> torch.Tensor:
    # torch warns of arrays that cannot be written to, such as memory maps.
    return torch.from_numpy(np.require(array, requirements="W"))
