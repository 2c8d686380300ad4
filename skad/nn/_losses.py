"""Terms of losses: divergence from a normal, distance correlation, outlier exposure."""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["check_tensors", "distance_correlation", "exposure_loss", "kl_to_standard_normal"]

# Keeps square roots and quotients of variables without spread differentiable.
_TINY = 1e-12


def kl_to_standard_normal(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Return KL(N(mean, variance) || N(0, 1)) in nats, summed over the last axis."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(-1)


def distance_correlation(
    x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None, *, power: int = 1
) -> torch.Tensor:
    """Return the weighted distance correlation of two variables, as a loss.

    .. math:: R = \\frac{\\mathrm{dCov}(x, y)}{\\sqrt{\\mathrm{dCov}(x, x)\\,\\mathrm{dCov}(y, y)}},
              \\quad \\mathrm{dCov}^2(x, y) = \\sum_{jk} w_j w_k A_{jk} B_{jk},

    as `skad.metrics.distance_correlation` does in O(n log n) but without gradients. Memory and
    time are O(n^2): with gradients about seven n x n matrices live at a time.

    Parameters
    ----------
    x, y : tensor of shape (n,)
    weight : tensor of shape (n,), default=None
        Non-negative weights of any sum.
    power : {1, 2}, default=1
        1 returns R, the definition of the papers; 2 returns R squared, which the public code of
        DisCo computes and calls power 1.

    Returns
    -------
    correlation : scalar tensor
        About 0, with zero gradient, where a variable is constant.
    """
    check_tensors(1, x=x, y=y)
    if weight is not None:
        check_tensors(1, x=x, weight=weight)
    if len(x) != len(y) or (weight is not None and len(weight) != len(y)):
        raise ValueError("x, y and weight must hold one number for each event, and are unequal.")
    if isinstance(power, bool) or not isinstance(power, int) or power not in (1, 2):
        raise ValueError(f"power must be 1 (R) or 2 (R squared); got {power!r:.100}.")
    if weight is None:
        weight = torch.ones_like(y)
    weight = weight / weight.sum().clamp(min=_TINY)
    a, b = _centred_distances(x, weight), _centred_distances(y, weight)
    covariance, x_variance, y_variance = (
        weight @ (product @ weight) for product in (a * b, a * a, b * b)
    )
    squared = covariance / (x_variance * y_variance + _TINY**2).sqrt()
    # The slope of the root is infinite at zero.
    return squared if power == 2 else squared.clamp(min=_TINY).sqrt()


def check_tensors(ndim: int, **tensors: torch.Tensor) -> None:
    """Refuse by name what is no tensor of `ndim` axes, or of another dtype than the first.

    Numbers are not looked at: a check would wait for the GPU in every step of a training.
    """
    first = next(iter(tensors.values()))
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} must be a tensor; got {type(tensor).__name__}.")
        if tensor.ndim != ndim or not tensor.is_floating_point():
            raise ValueError(
                f"{name} must be a tensor of floats with {ndim} dimensions; got {tensor.dtype} of "
                f"shape {tuple(tensor.shape)}."
            )
        if tensor.dtype != first.dtype:
            raise TypeError(f"{name} is of {tensor.dtype}, others of {first.dtype}; convert it.")


def _centred_distances(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    distance = (x[:, None] - x[None, :]).abs()
    mean = distance @ weight
    return distance - mean[:, None] - mean[None, :] + weight @ mean


def exposure_loss(
    values: torch.Tensor,
    exposed: torch.Tensor,
    weight: torch.Tensor,
    *,
    margin: float | None = None,
) -> torch.Tensor:
    """Return the loss that pushes the values of exposed outliers above those of the background.

    Background events and outliers of the batch are paired in its random order, the fewer ones
    repeated. With the gap of a pair, value of the outlier minus value of the background event,
    the loss is the weighted mean of ``sigmoid(-gap)``, or of ``max(0, margin - gap)``.

    Parameters
    ----------
    values : tensor of shape (n,)
    exposed : tensor of shape (n,)
        1 for outliers, 0 for background.
    weight : tensor of shape (n,)
    margin : float, default=None
        Gap that is large enough; None takes the sigmoid.

    Returns
    -------
    loss : scalar tensor
        Zero for a batch without background or without outliers.
    """
    n = len(values)
    # Gathers instead of masks: under vmap every member has the same shapes.
    background_first = torch.argsort(exposed, stable=True)
    n_exposed = exposed.sum().to(torch.long)
    n_background = n - n_exposed
    i = torch.arange(n, device=values.device)
    background = background_first.gather(0, i % n_background.clamp(min=1))
    outlier = background_first.gather(0, (n_background + i % n_exposed.clamp(min=1)) % n)
    gap = values.gather(0, outlier) - values.gather(0, background)
    loss = torch.sigmoid(-gap) if margin is None else F.relu(margin - gap)
    both = (n_exposed > 0) & (n_background > 0)
    pair_weight = weight.gather(0, outlier) * weight.gather(0, background) * both
    return (pair_weight * loss).sum() / pair_weight.sum().clamp(min=_TINY)
