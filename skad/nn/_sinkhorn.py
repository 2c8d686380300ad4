"""Entropic optimal transport between two samples, as a loss."""

from __future__ import annotations

import math
from numbers import Integral, Real

import torch

from skad.nn._losses import check_tensors
from skad.utils import _sklearn as sk
from skad.utils._arguments import checked

__all__ = ["sinkhorn_divergence"]


@checked(
    # A smaller blur than that is lost in the sums, and takes more steps than anybody waits for.
    blur=[sk.Interval(Real, 1e-12, None, closed="left")],
    scaling=[sk.Interval(Real, 0, 0.999, closed="both")],
    n_final=[sk.Interval(Integral, 1, 10_000, closed="both")],
)
def sinkhorn_divergence(
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    x_weight: torch.Tensor | None = None,
    y_weight: torch.Tensor | None = None,
    blur: float = 0.01,
    scaling: float = 0.7,
    n_final: int = 2,
) -> torch.Tensor:
    """Debiased Sinkhorn divergence for the cost \\|x - y\\|^2 / 2.

    ``S(x, y) = OT(x, y) - OT(x, x)/2 - OT(y, y)/2`` with
    ``OT(x, y) = min_P <P, C> + blur^2 KL(P | a b)``: zero for equal samples and, for a small blur,
    half the squared Wasserstein-2 distance. Gradients flow to x and y by the envelope theorem, with
    the dual potentials held fixed.

    Parameters
    ----------
    x, y : Tensor of shape (n, d) and (m, d)
    x_weight, y_weight : Tensor of shape (n,) and (m,), optional
        Non-negative, of any sum; None means equal weights.
    blur : float, default=0.01
        Square root of the entropic regularisation, a length in the units of x.
    scaling : float, default=0.7
        The regularisation is lowered from the squared diameter to ``blur**2`` by the factor
        ``scaling**2`` a step; closer to 1 is more exact and slower.
    n_final : int, default=2
        Steps at the final regularisation.

    Returns
    -------
    divergence : scalar Tensor

    References
    ----------
    J. Feydy et al., "Interpolating between Optimal Transport and MMD using Sinkhorn Divergences",
    AISTATS 2019, arXiv:1810.08278, sections 2 and 3.

    Examples
    --------
    >>> import torch
    >>> from skad.nn import sinkhorn_divergence
    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    >>> float(sinkhorn_divergence(x, x)), round(float(sinkhorn_divergence(x, x + 1)), 2)
    (0.0, 1.0)
    """
    check_tensors(2, x=x, y=y)
    for name, points, weight in (("x_weight", x, x_weight), ("y_weight", y, y_weight)):
        if weight is not None:
            check_tensors(1, **{name: weight})
            if len(weight) != len(points):
                raise ValueError(
                    f"{name} must hold one number for each of {len(points)} points; got "
                    f"{len(weight)}."
                )
    if x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise ValueError(
            "x and y must hold points of as many coordinates; got the shapes "
            f"{tuple(x.shape)} and {tuple(y.shape)}."
        )
    log_a, log_b = _log_weight(x, x_weight), _log_weight(y, y_weight)
    xy, xx, yy = _cost(x, y.detach()), _cost(x, x.detach()), _cost(y, y.detach())
    yx = _cost(y, x.detach())
    with torch.no_grad():
        diameter = torch.cat([x, y]).amax(0) - torch.cat([x, y]).amin(0)
        epsilons = _epsilons(float(diameter.square().sum()), blur, scaling, n_final)
        f, g = _softmin(epsilons[0], xy, log_b), _softmin(epsilons[0], yx, log_a)
        p, q = _softmin(epsilons[0], xx, log_a), _softmin(epsilons[0], yy, log_b)
        for epsilon in epsilons:
            # Averaged updates of both potentials at once keep them symmetric.
            f, g = (
                0.5 * (f + _softmin(epsilon, xy, log_b + g / epsilon)),
                0.5 * (g + _softmin(epsilon, yx, log_a + f / epsilon)),
            )
            p = 0.5 * (p + _softmin(epsilon, xx, log_a + p / epsilon))
            q = 0.5 * (q + _softmin(epsilon, yy, log_b + q / epsilon))
    epsilon = epsilons[-1]
    f, g = (
        _softmin(epsilon, xy, log_b + g / epsilon),
        _softmin(epsilon, yx, log_a + f / epsilon),
    )
    p = _softmin(epsilon, xx, log_a + p / epsilon)
    q = _softmin(epsilon, yy, log_b + q / epsilon)
    return (log_a.exp() * (f - p)).sum() + (log_b.exp() * (g - q)).sum()


def _log_weight(x, weight):
    if weight is None:
        return x.new_full((len(x),), 1.0 / len(x)).log()
    return (weight / weight.sum()).to(x.dtype).log()


def _cost(x, y):
    # The expanded square loses digits where points lie close; the difference does not.
    return 0.5 * (x[:, None] - y[None]).square().sum(-1)


def _softmin(epsilon, cost, log_weight):
    return -epsilon * torch.logsumexp(log_weight - cost / epsilon, dim=1)


def _epsilons(largest: float, blur: float, scaling: float, n_final: int) -> list[float]:
    epsilons, smallest = [], blur**2
    # Points that are not finite have no distance, and no end of steps.
    while smallest < largest < math.inf:
        epsilons.append(largest)
        largest *= scaling**2
    return [*epsilons, *[smallest] * n_final]
