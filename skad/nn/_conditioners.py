"""Networks that give the parameters of elementwise maps: dense, and masked for autoregression."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skad.nn._random import Dropout

__all__ = ["MADE", "ConditionerNet"]

_ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU, "elu": nn.ELU}


class MaskedLinear(nn.Linear):
    """Linear layer that sees only the inputs allowed by a mask of shape (out, in)."""

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class ConditionerNet(nn.Module):
    """Network of features and context that starts close to zero.

    Parameters
    ----------
    n_features, n_context : int
        Columns of x and of the context.
    shape : (int, int)
        Shape of the output for one event.
    hidden_features : int or tuple of int, default=(64, 64)
        Widths of the hidden layers; an int is one hidden layer.
    activation : {"relu", "tanh", "silu", "gelu", "elu"}, default="relu"
        Activation of the hidden layers.
    dropout : float, default=0
        Share of hidden units dropped in training.
    residual : bool, default=False
        Add the input of a hidden layer to its output where both have the same width.
    """

    def __init__(
        self,
        n_features: int,
        n_context: int,
        shape: tuple[int, int],
        *,
        hidden_features: int | tuple[int, ...] = (64, 64),
        activation: str = "relu",
        dropout: float = 0.0,
        residual: bool = False,
    ):
        super().__init__()
        if isinstance(hidden_features, int):
            hidden_features = (hidden_features,)
        self.shape = shape
        self.residual = residual
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {tuple(_ACTIVATIONS)}; got {activation!r}."
            )
        self.activation = _ACTIVATIONS[activation]()
        self.dropout = Dropout(dropout) if dropout else nn.Identity()
        self.hidden, self.output = self._layers(n_features, n_context, hidden_features)
        nn.init.uniform_(self.output.weight, -1e-2, 1e-2)
        nn.init.zeros_(self.output.bias)

    def _layers(self, n_features, n_context, widths):
        widths = (n_features + n_context, *widths)
        hidden = [nn.Linear(i, o) for i, o in pairwise(widths)]
        return nn.ModuleList(hidden), nn.Linear(widths[-1], math.prod(self.shape))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.output(self._last_hidden(x, context)).unflatten(1, self.shape)

    def _last_hidden(self, x, context):
        h = x if context is None else torch.cat([x, context], dim=1)
        for i, layer in enumerate(self.hidden):
            update = self.dropout(self.activation(layer(h)))
            h = h + update if self.residual and i > 0 and h.shape == update.shape else update
        return h


class MADE(ConditionerNet):
    """Conditioner whose outputs for feature i depend on features 1 ... i-1 and the context alone.

    Unlike in `nflows.transforms.made.MADE`, the context also reaches the first feature: it has
    degree 0, and hidden units of degree 0 exist where there is a context.
    """

    def __init__(self, n_features: int, n_context: int, n_params: int, **options):
        super().__init__(n_features, n_context, (n_features, n_params), **options)

    def of_feature(self, i: int, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the outputs for feature `i` alone, shape (n, 1, n_params)."""
        rows, last = slice(i * self.shape[1], (i + 1) * self.shape[1]), self.output
        weight = last.weight[rows] * last.mask[rows]
        return F.linear(self._last_hidden(x, context), weight, last.bias[rows])[:, None]

    def _layers(self, n_features, n_context, widths):
        features = torch.arange(1, n_features + 1)
        degrees = torch.cat([features, torch.zeros(n_context, dtype=torch.long)])
        lowest = 0 if n_context or n_features == 1 else 1
        hidden = []
        for width in widths:
            units = lowest + torch.arange(width) % (n_features - lowest)
            hidden.append(MaskedLinear(units[:, None] >= degrees))
            degrees = units
        outputs = features.repeat_interleave(self.shape[1])
        return nn.ModuleList(hidden), MaskedLinear(outputs[:, None] > degrees)
