"""Dense networks and the standardisation in front of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from skad.nn._random import Dropout
from skad.utils._statistics import mean_and_std

__all__ = ["ACTIVATIONS", "MLP", "Standardize", "mlp_layers"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    # In place: no gradient needs what a linear layer returned.
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
}


class Standardize(nn.Module):
    """Fixed affine map to zero mean and unit scale, in float64.

    The caller casts to the precision of its network afterwards: a large offset would drown small
    differences in float32.

    Parameters
    ----------
    mean, scale : array of shape (n_features,)
        A scale of zero, that of a constant feature, is taken as one.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, mean: np.ndarray, scale: np.ndarray) -> None:
        super().__init__()
        scale = np.where(np.asarray(scale) == 0, 1.0, scale)
        self.register_buffer("mean", torch.as_tensor(np.asarray(mean), dtype=torch.float64))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64))

    @classmethod
    def blank(cls, n_features: int) -> Standardize:
        """Return the identity, whose numbers are to be loaded."""
        return cls(np.zeros(n_features), np.ones(n_features))

    @property
    def settings(self) -> dict[str, Any]:
        """What `blank` takes."""
        return {"n_features": len(self.mean)}

    @classmethod
    def of(cls, values: np.ndarray, sample_weight: np.ndarray | None = None) -> Standardize:
        """Return the standardisation of the columns of `values`."""
        return cls(*mean_and_std(values, sample_weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.scale

    def inverse(self, z: torch.Tensor) -> torch.Tensor:
        return z.double() * self.scale + self.mean


def mlp_layers(
    sizes: Sequence[int], activation: str, *, dropout: float = 0.0, bias: bool = True
) -> list[nn.Module]:
    """Return linear layers between the sizes, each but the last with activation and dropout."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        layers.append(nn.Linear(n_in, n_out, bias=bias))
        if i < len(sizes) - 2:
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(Dropout(dropout))
    return layers


class MLP(nn.Sequential):
    """A dense network with a linear output; inputs are cast to its precision.

    Parameters
    ----------
    n_inputs : int
    hidden_sizes : sequence of int
    n_outputs : int, default=1
    activation : {"relu", "tanh", "silu", "elu", "gelu"}, default="relu"
    dropout : float, default=0.0
        After every hidden layer.
    """

    def __init__(
        self,
        n_inputs: int,
        hidden_sizes: Sequence[int],
        n_outputs: int = 1,
        *,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        sizes = [n_inputs, *hidden_sizes, n_outputs]
        super().__init__(*mlp_layers(sizes, activation, dropout=dropout))
        self.settings = {
            "n_inputs": n_inputs,
            "hidden_sizes": [int(size) for size in hidden_sizes],
            "n_outputs": n_outputs,
            "activation": activation,
            "dropout": dropout,
        }

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.to(next(self.parameters()).dtype))
