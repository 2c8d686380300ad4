"""A loader that slices whole tensors, for one network or a stack of networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

__all__ = ["EventData", "EventLoader"]

Batch = dict[str, torch.Tensor]

# Batches gathered at once: one fancy index per block and tensor instead of one per step.
_BLOCK = 32


class EventData:
    """Tensors over events and, for each network of a stack, the rows it sees.

    Parameters
    ----------
    tensors : dict of str to tensor
        Each of shape (n_events, ...). NumPy memory maps come in through `torch.from_numpy` and
        are read block by block.
    rows : sequence of int arrays
        For each member the positions of its events.
    weights : tensor of shape (n_members, n_events) or (1, n_events), or None
        Weights with mean one over the rows of each member; None means all ones.
    n_noise : int, default=0
        Standard normal numbers that every event gets afresh in every pass, as "noise".
    """

    def __init__(
        self,
        tensors: dict[str, torch.Tensor],
        rows: Sequence[np.ndarray],
        weights: torch.Tensor | None = None,
        n_noise: int = 0,
    ) -> None:
        self.tensors = tensors
        self.rows = [torch.as_tensor(np.asarray(r), dtype=torch.long) for r in rows]
        self.weights = weights
        self.n_noise = n_noise

    def __len__(self) -> int:
        return max(len(r) for r in self.rows)

    def __getitem__(self, i: int) -> Batch:  # skorch recognises a data set by it
        return {name: tensor[i] for name, tensor in self.tensors.items()}

    def select(self, members: Sequence[int]) -> None:
        """Keep only these members."""
        if self.weights is not None and len(self.weights) > 1:
            self.weights = self.weights[list(members)]
        self.rows = [self.rows[k] for k in members]


class EventLoader:
    """Iterate over batches of `EventData`; those of a stack have a leading member axis.

    Batches hold `batch_size` rows; a last one smaller than half of it joins the one before,
    since a step on a handful of events is noise. Members with fewer rows than the largest are
    padded with events of weight zero; "n_rows" counts the others.

    Parameters
    ----------
    dataset : EventData
    batch_size : int
    device : torch.device
    stacked : bool
        Whether the batches have a member axis; without one there is one member.
    generators : list of torch.Generator or None
        One for each member; None keeps the order of the rows, and repeats the noise in each pass.
    """

    def __init__(
        self,
        dataset: EventData,
        batch_size: int,
        device: torch.device,
        stacked: bool,
        generators: list[torch.Generator] | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.device = device
        self.stacked = stacked
        self.generators = generators

    def __len__(self) -> int:
        return max(1, round(len(self.dataset) / self.batch_size))

    def _order(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return rows (K, n) and, where members have fewer rows, a mask of the real ones."""
        rows = self.dataset.rows
        if self.generators is not None:
            rows = [
                r.index_select(0, torch.randperm(len(r), generator=g))
                for r, g in zip(rows, self.generators, strict=True)
            ]
        n = len(self.dataset)
        if all(len(r) == n for r in rows):
            return torch.stack(rows), None
        order = torch.zeros(len(rows), n, dtype=torch.long)
        real = torch.zeros(len(rows), n)
        for k, r in enumerate(rows):
            order[k, : len(r)] = r
            real[k, : len(r)] = 1
        return order, real

    def _gather(
        self, order: torch.Tensor, real: torch.Tensor | None, noise: list[torch.Generator]
    ) -> Batch:
        flat = order.reshape(-1)
        # index_select takes a fraction of the time of fancy indexing.
        block = {
            name: tensor.index_select(0, flat).unflatten(0, order.shape).to(self.device)
            for name, tensor in self.dataset.tensors.items()
        }
        if self.dataset.n_noise:
            # From the member's own generator: the global one of torch is shared by threads.
            shape = order.shape[1], self.dataset.n_noise
            drawn = torch.stack([torch.randn(shape, generator=g) for g in noise])
            block["noise"] = drawn.to(self.device)
        weights = self.dataset.weights
        if weights is not None:
            if len(weights) == 1:
                block["weight"] = weights[0][flat].reshape(order.shape).to(self.device)
            else:
                block["weight"] = weights.gather(1, order).to(self.device)
            if real is not None:
                block["weight"] = block["weight"] * real.to(self.device)
        elif real is not None:
            block["weight"] = real.to(self.device)
        return block

    def __iter__(self) -> Iterator[tuple[Batch, torch.Tensor | int]]:
        order, real = self._order()
        noise = self.generators or [torch.Generator().manual_seed(0) for _ in order]
        n, n_batches = len(self.dataset), len(self)
        edges = [i * self.batch_size for i in range(n_batches)] + [n]
        for first in range(0, n_batches, _BLOCK):
            ends = edges[first : first + _BLOCK + 1]
            lo, hi = ends[0], ends[-1]
            mask = None if real is None else real[:, lo:hi]
            block = self._gather(order[:, lo:hi], mask, noise)
            if not self.stacked:
                block = {name: t[0] for name, t in block.items()}
            for start, stop in itertools.pairwise(ends):
                part = slice(start - lo, stop - lo)
                batch = {name: t[:, part] if self.stacked else t[part] for name, t in block.items()}
                n_rows: torch.Tensor | int = stop - start
                if mask is not None:
                    n_rows = mask[:, start - lo : stop - lo].sum(1).to(self.device)
                yield batch, n_rows
