"""Devices by name and random-number scopes of torch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

__all__ = ["resolve_device", "seeded"]

# Threads share torch's global generator; fits in several threads take turns with it.
_GENERATOR_LOCK = threading.RLock()


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the torch device for a `device` parameter.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes a CUDA device where there is one, else the CPU; any other name goes to torch.

    Raises
    ------
    ValueError
        A name torch does not know, or a device this machine lacks.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError) as exc:
        raise ValueError(
            f"device={device!r} cannot be used on this machine; "
            "take 'auto', 'cpu', or a device torch can see."
        ) from exc
    return resolved


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the scope and give the caller's generators back unchanged."""
    cuda = [device] if device.type == "cuda" else []
    with _GENERATOR_LOCK, torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield
