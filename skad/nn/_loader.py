"""A loader that slices tensors over events, for one network or a stack of networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from skad.utils import _blocks

__all__ = ["EventData", "EventLoader", "KeptRows", "LabelWeights", "StoredTensors"]

Batch = dict[str, torch.Tensor]

# Batches gathered at once: one fancy index per block and tensor instead of one per step.
_BLOCK = 32

# Share of the free memory of a GPU that events in memory may take, to be gathered there.
_SHARE_OF_GPU = 0.25


class StoredTensors:
    """Tensors over events that stay in a file, in place of a dict of tensors.

    Parameters
    ----------
    events : StoredRows
    tensors_of : callable
        ``tensors_of(rows)`` returns the dict of tensors of some rows, each from its row alone.
    in_memory : dict of str to array of shape (n_events,), default=None
        Further tensors.
    """

    def __init__(
        self,
        events: Any,
        tensors_of: Callable[[np.ndarray], dict[str, torch.Tensor]],
        in_memory: dict[str, np.ndarray] | None = None,
    ) -> None:
        self.events = events
        self.tensors_of = tensors_of
        self.in_memory = in_memory or {}

    def __len__(self) -> int:
        return len(self.events)

    def take(self, pieces: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
        """Return the tensors of pieces of increasing rows."""
        tensors = self.tensors_of(np.concatenate([self.events.take(rows) for rows in pieces]))
        for name, array in self.in_memory.items():
            tensors[name] = torch.from_numpy(array[np.concatenate(pieces)])
        return tensors


class LabelWeights:
    """Weights of events that follow from their label, the tensor "y" of 0 and 1.

    Parameters
    ----------
    labels : array of shape (n_events,)
    values : array of shape (n_members, 2)
        For each member the weights of both labels.
    """

    def __init__(self, labels: np.ndarray, values: np.ndarray) -> None:
        self.labels, self.values = labels, values


class KeptRows:
    """Positions at which a mask holds, found where they are asked for.

    Parameters
    ----------
    mask : array of bool, shape (n_events,)
    """

    def __init__(self, mask: np.ndarray) -> None:
        self._mask = mask
        counts = [
            np.count_nonzero(mask[i : i + _blocks.PAGE]) for i in range(0, len(mask), _blocks.PAGE)
        ]
        self._page = _blocks.PAGE
        self._before = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def __len__(self) -> int:
        return int(self._before[-1])

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(len(self))
        first = int(np.searchsorted(self._before, start, side="right")) - 1
        last = int(np.searchsorted(self._before, stop, side="left"))
        found = np.flatnonzero(self._mask[first * self._page : last * self._page])
        offset = int(self._before[first])
        return found[start - offset : stop - offset] + first * self._page


class _Order:
    """The rows of one member in the order of one pass, a stretch at a time.

    With a generator, pages of rows that lie next to each other come in random order, and the rows
    of a block of pages are shuffled. A single block needs no order of its pages.
    """

    def __init__(self, rows: Sequence[int], generator: torch.Generator | None) -> None:
        self.rows, self.generator = rows, generator
        self.starts = torch.arange(0, len(rows), _blocks.PAGE)
        if generator is not None and len(rows) > _blocks.BLOCK:
            self.starts = self.starts[torch.randperm(len(self.starts), generator=generator)]
        self.stops = (self.starts + _blocks.PAGE).clamp(max=len(rows))
        self.ends = torch.cumsum(self.stops - self.starts, 0)

    def stretch(self, lo: int, hi: int) -> tuple[list[np.ndarray], torch.Tensor | None]:
        """Return the rows at positions lo to hi in pieces of pages, and how to shuffle them."""
        hi = min(hi, len(self.rows))
        if lo >= hi:
            return [], None
        pieces = []
        first = int(torch.searchsorted(self.ends, lo, right=True))
        last = int(torch.searchsorted(self.ends, hi)) + 1
        pages = (t[first:last].tolist() for t in (self.starts, self.stops, self.ends))
        for start, stop, end in zip(*pages, strict=True):
            before = end - (stop - start)
            part = slice(start + max(lo - before, 0), stop - max(end - hi, 0))
            piece: Any = self.rows[part]
            if isinstance(piece, range):
                piece = np.arange(piece.start, piece.stop)
            pieces.append(np.asarray(piece, dtype=np.int64))
        if self.generator is None:
            return pieces, None
        return pieces, torch.randperm(hi - lo, generator=self.generator)


class EventData:
    """Tensors over events and, for each network of a stack, the rows it sees.

    Parameters
    ----------
    tensors : dict of str to tensor, or StoredTensors
        Each of shape (n_events, ...).
    rows : sequence of int arrays, of KeptRows or of range
        For each member the positions of its events, increasing where tensors are stored.
    weights : tensor of shape (n_members, n_events) or (1, n_events), or None
        Weights with mean one over the rows of each member; None means all ones. With
        `weigh_labels`, those of both labels: of shape (n_members, 2) or (1, 2).
    n_noise : int, default=0
        Standard normal numbers that every event gets afresh in every pass, as "noise".
    weigh_labels : bool, default=False
        Whether the tensor "y" says which weight an event has.
    """

    def __init__(
        self,
        tensors: dict[str, torch.Tensor] | StoredTensors,
        rows: Sequence[Any],
        weights: torch.Tensor | None = None,
        n_noise: int = 0,
        weigh_labels: bool = False,
    ) -> None:
        self.tensors = tensors
        self.rows = list(rows)
        self.weights = weights
        self.n_noise = n_noise
        self.weigh_labels = weigh_labels

    def __len__(self) -> int:
        return max(len(r) for r in self.rows)

    def __getitem__(self, i: int) -> Batch:  # skorch recognises a data set by it
        if isinstance(self.tensors, StoredTensors):
            return self.tensors.take([np.array([i])])
        return {name: tensor[i] for name, tensor in self.tensors.items()}

    def to(self, device: torch.device) -> EventData:
        """Return the events on a GPU, where there is room for them, else these."""
        if device.type != "cuda" or isinstance(self.tensors, StoredTensors):
            return self
        size = sum(tensor.nbytes for tensor in self.tensors.values())
        size += 0 if self.weights is None else self.weights.nbytes
        if size > _SHARE_OF_GPU * torch.cuda.mem_get_info(device)[0]:
            return self
        tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        weights = None if self.weights is None else self.weights.to(device)
        return EventData(tensors, self.rows, weights, self.n_noise, self.weigh_labels)

    def select(self, members: Sequence[int]) -> None:
        """Keep only these members."""
        if self.weights is not None and len(self.weights) > 1:
            self.weights = self.weights[list(members)]
        self.rows = [self.rows[k] for k in members]


@dataclass
class _Stretch:
    """Events between two positions of a pass, of every member."""

    end: int
    tensors: dict[str, torch.Tensor]
    index: torch.Tensor  # (n_members, n_positions), where in `tensors`
    rows: torch.Tensor  # which rows these are
    real: torch.Tensor | None


class EventLoader:
    """Iterate over batches of `EventData`; those of a stack have a leading member axis.

    Batches hold `batch_size` rows; a last one smaller than half of it joins the one before,
    since a step on a handful of events is noise. Members with fewer rows than the largest are
    padded with events of weight zero; "n_rows" counts the others.

    The events of a pass are taken a block at a time (`skad.utils._blocks`), in the same order from
    tensors in memory and from stored ones, of which only that block is in memory.

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

    def _stretch(self, orders: list[_Order], lo: int, hi: int) -> _Stretch:
        """Return the events at positions lo to hi of every member, shuffled."""
        data = self.dataset
        stored = isinstance(data.tensors, StoredTensors)
        rows = torch.zeros(len(orders), hi - lo, dtype=torch.long)
        real = torch.zeros(len(orders), hi - lo)
        index, loaded, n_loaded = torch.zeros_like(rows), [], 0
        for k, order in enumerate(orders):
            pieces, shuffled = order.stretch(lo, hi)
            if not pieces:
                continue
            of_member = torch.from_numpy(np.concatenate(pieces))
            n = len(of_member)
            if shuffled is None:
                shuffled = torch.arange(n)
            rows[k, :n] = of_member.index_select(0, shuffled)
            real[k, :n] = 1
            if isinstance(data.tensors, StoredTensors):
                loaded.append(data.tensors.take(pieces))
                index[k, :n] = shuffled + n_loaded
                n_loaded += n
        if stored:
            tensors = {name: torch.cat([t[name] for t in loaded]) for name in loaded[0]}
        else:
            tensors, index = data.tensors, rows  # type: ignore[assignment]
        padded = any(len(order.rows) < len(data) for order in orders)
        return _Stretch(hi, tensors, index, rows, real if padded else None)

    def _gather(self, stretch: _Stretch, part: slice) -> tuple[Batch, torch.Tensor | None]:
        where = next(iter(stretch.tensors.values())).device
        index, rows = stretch.index[:, part].to(where), stretch.rows[:, part]
        flat = index.reshape(-1)
        # index_select takes a fraction of the time of fancy indexing.
        block = {
            name: tensor.index_select(0, flat).unflatten(0, index.shape).to(self.device)
            for name, tensor in stretch.tensors.items()
        }
        real = None if stretch.real is None else stretch.real[:, part]
        weights = self.dataset.weights
        if weights is not None:
            if self.dataset.weigh_labels:
                # Which of the numbers of a member an event has, in place of its row.
                rows = block["y"].long()
            rows = rows.to(weights.device)
            if len(weights) == 1:
                weight = weights[0][rows.reshape(-1)].reshape(rows.shape)
            else:
                weight = weights.gather(1, rows)
            block["weight"] = weight.to(self.device)
            if real is not None:
                block["weight"] = block["weight"] * real.to(self.device)
        elif real is not None:
            block["weight"] = real.to(self.device)
        return block, real

    def _blocks(self, positions: list[tuple[int, int]]) -> Iterator[tuple[Batch, Any]]:
        """Yield the events between positions, and the mask of the real ones, None for all."""
        rows = self.dataset.rows
        generators: list[Any] = self.generators or [None] * len(rows)
        orders = [_Order(r, g) for r, g in zip(rows, generators, strict=True)]
        noise = self.generators or [torch.Generator().manual_seed(0) for _ in rows]
        n, stretch, begin = len(self.dataset), None, 0
        for lo, hi in positions:
            parts: list[tuple[Batch, Any]] = []
            at = lo
            while at < hi:
                if stretch is None or at >= stretch.end:
                    begin, stretch = at, None  # two of them at once would double the memory
                    stretch = self._stretch(orders, at, min(at + _blocks.BLOCK, n))
                upto = min(hi, stretch.end)
                parts.append(self._gather(stretch, slice(at - begin, upto - begin)))
                at = upto
            block, real = parts[0]
            if len(parts) > 1:
                block = {name: torch.cat([b[name] for b, _ in parts], 1) for name in block}
                real = None if real is None else torch.cat([r for _, r in parts], 1)
            if self.dataset.n_noise:
                # From the member's own generator: the global one of torch is shared by threads.
                shape = hi - lo, self.dataset.n_noise
                drawn = torch.stack([torch.randn(shape, generator=g) for g in noise])
                block["noise"] = drawn.to(self.device)
            yield block, real

    def __iter__(self) -> Iterator[tuple[Batch, torch.Tensor | int]]:
        n, n_batches = len(self.dataset), len(self)
        edges = [i * self.batch_size for i in range(n_batches)] + [n]
        ends = [edges[i : i + _BLOCK + 1] for i in range(0, n_batches, _BLOCK)]
        blocks = self._blocks([(e[0], e[-1]) for e in ends])
        for (block, mask), of_block in zip(blocks, ends, strict=True):
            if not self.stacked:
                block = {name: t[0] for name, t in block.items()}
            lo = of_block[0]
            for start, stop in itertools.pairwise(of_block):
                part = slice(start - lo, stop - lo)
                batch = {name: t[:, part] if self.stacked else t[part] for name, t in block.items()}
                n_rows: torch.Tensor | int = stop - start
                if mask is not None:
                    n_rows = mask[:, part].sum(1).to(self.device)
                yield batch, n_rows
