"""Devices by name."""

from __future__ import annotations

import torch

__all__ = ["resolve_device"]


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
