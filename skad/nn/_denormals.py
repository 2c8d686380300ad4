"""Numbers too small for full precision, in which a processor takes many times as long."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["flushed_denormals"]


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormal numbers as zero in this thread, while the context is open.

    Weights that a penalty has sent to zero multiply to such numbers, and a step then takes four
    times as long.
    """
    before = float(torch.tensor(1e-38) * 0.1) == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
