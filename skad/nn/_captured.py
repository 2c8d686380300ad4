"""A step of a training that a GPU records once and repeats on its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from skad.nn._clipping import clip_members, clip_one

__all__ = ["CapturedStep"]

# Steps taken before one is recorded: the first ones allocate what later ones reuse.
_WARM_UP = 3


@dataclass
class _Recorded:
    graph: torch.cuda.CUDAGraph
    batch: dict[str, torch.Tensor]
    n_rows: torch.Tensor
    losses: torch.Tensor


class CapturedStep:
    """The optimizer step of a stack of networks on a GPU, which waits for no answer from it.

    A network of some thousand weights keeps a GPU busy for less time than the processor needs to
    ask for its hundreds of operations. They are recorded as one CUDA graph for every shape of
    batch and replayed; the first steps are taken one by one. What is not finite is dealt with on
    the GPU: the optimizer leaves such a step out, and `failed` counts it.

    Parameters
    ----------
    members : Members
    objective : Objective
    optimizer : torch.optim.Adam or torch.optim.AdamW
        Fused; its learning rate becomes a tensor, which is changed in place from then on.
    clip_norm : float or None
    generators : sequence of torch.Generator
        Those on the GPU from which layers draw.
    """

    def __init__(self, members, objective, optimizer, clip_norm, generators) -> None:
        self.members = members
        self.objective = objective
        self.optimizer = optimizer
        self.clip_norm = clip_norm
        self.generators: Sequence[torch.Generator] = generators
        self.device = next(members.parameters()).device
        group = optimizer.param_groups[0]
        group["capturable"] = True
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=self.device)
        # Where it is one, fused optimizers leave the weights and their own state as they are.
        optimizer.found_inf = torch.zeros((), device=self.device)
        self.stream: torch.cuda.Stream | None = None
        self.start_afresh()

    @staticmethod
    def records(members) -> bool:
        """Return whether the step of these networks can be recorded."""
        # What vmap can run does not look at numbers to decide what comes next.
        network = members.network
        return members.stacked or getattr(network, "stackable", True)

    def start_afresh(self) -> None:
        """Forget what was recorded, since tensors or numbers in it are no longer the right ones."""
        self.recorded: dict[tuple, _Recorded] = {}
        self.n_warm = 0
        self.start_counting()

    def start_counting(self) -> None:
        """Set the counts of failed steps to zero."""
        self.failed = torch.zeros(self.members.n_members, device=self.device)

    def __call__(self, batch: dict[str, torch.Tensor], n_rows: torch.Tensor | int) -> torch.Tensor:
        """Take a step and return the loss of every member, zero where it is not finite."""
        key = tuple((name, tensor.shape) for name, tensor in batch.items())
        recorded = self.recorded.get(key)
        if recorded is None:
            n_rows = torch.as_tensor(n_rows, device=self.device)
            if self.n_warm < _WARM_UP:
                self.n_warm += 1
                return self._beside(lambda: self._step(batch, n_rows))
            recorded = self.recorded[key] = self._record(batch, n_rows)
        names = list(batch)
        torch._foreach_copy_([recorded.batch[n] for n in names], [batch[n] for n in names])
        if torch.is_tensor(n_rows):
            recorded.n_rows.copy_(n_rows)
        recorded.graph.replay()
        return recorded.losses

    def _beside(self, run):
        """Run on a stream of its own, as a recording needs it."""
        current = torch.cuda.current_stream(self.device)
        if self.stream is None:
            self.stream = torch.cuda.Stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = run()
        current.wait_stream(self.stream)
        return result

    def _record(self, batch, n_rows) -> _Recorded:
        held = {name: tensor.clone() for name, tensor in batch.items()}
        n_rows = n_rows.clone()
        graph = torch.cuda.CUDAGraph()
        for generator in self.generators:
            graph.register_generator_state(generator)

        def record():
            # Other threads may go on using the GPU.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                return self._step(held, n_rows)
            finally:
                graph.capture_end()

        return _Recorded(graph, held, n_rows, self._beside(record))

    def _step(self, batch, n_rows) -> torch.Tensor:
        parameters = self.optimizer.param_groups[0]["params"]
        for p in parameters:
            p.grad = None
        losses = self.members(self.objective, batch, n_rows)
        losses.sum().backward()
        losses = losses.detach()
        checked = losses
        if self.clip_norm is not None:
            clip = clip_members if self.members.stacked else clip_one
            gradients = [p.grad for p in parameters if p.grad is not None]
            checked = losses + clip(gradients, self.clip_norm)
        finite = torch.isfinite(checked)
        self.failed += ~finite
        self.optimizer.found_inf.copy_(~finite.any())
        self.optimizer.step()
        return torch.where(finite, losses, 0.0)
