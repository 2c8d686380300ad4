"""Monotone rational-quadratic splines with linear tails, safe in both directions."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["MIN_BIN", "MIN_SLOPE", "UNIT_SLOPE", "rational_quadratic_spline"]

MIN_BIN = 1e-3  # smallest width and height of a bin, in units of the whole interval
MIN_SLOPE = 1e-3
# softplus(UNIT_SLOPE) + MIN_SLOPE = 1, so that parameters of zero give the identity.
UNIT_SLOPE = math.log(math.expm1(1 - MIN_SLOPE))


def rational_quadratic_spline(
    x: Tensor, params: Tensor, bound: float, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    """Map x elementwise by a spline on [-bound, bound] that is the identity outside.

    Written here because nflows' function asserts on a negative discriminant, which rounding
    produces (nflows issue 87), where this one clamps it at zero; because parameters of zero are
    the identity here; and because it takes less time.

    Parameters
    ----------
    x : Tensor of shape (...)
    params : Tensor of shape (..., 3 K - 1)
        Unconstrained widths and heights of K bins and slopes at the K - 1 inner knots.
    bound : float
        Half the width of the interval, in the units of x.
    inverse : bool, default=False
        Apply the inverse map.

    Returns
    -------
    y, log_abs_det : Tensors of shape (...)

    References
    ----------
    Durkan, Bekasov, Murray, Papamakarios, arXiv:1906.04032, eqs. 4-8 and 29-32.
    """
    n_bins = (params.shape[-1] + 1) // 3
    raw_widths, raw_heights, raw_slopes = params.split([n_bins, n_bins, n_bins - 1], dim=-1)
    x_knots = _knots(raw_widths, bound)
    y_knots = _knots(raw_heights, bound)
    slopes = F.pad(MIN_SLOPE + F.softplus(raw_slopes + UNIT_SLOPE), (1, 1), value=1.0)

    inside = x.abs() < bound
    clamped = x.clamp(-bound, bound)[..., None]
    inner = (y_knots if inverse else x_knots)[..., 1:-1].detach().contiguous()
    i = torch.searchsorted(inner, clamped.detach().contiguous())
    x0, x1 = x_knots.gather(-1, i), x_knots.gather(-1, i + 1)
    y0, y1 = y_knots.gather(-1, i), y_knots.gather(-1, i + 1)
    d0, d1 = slopes.gather(-1, i), slopes.gather(-1, i + 1)
    width, height = x1 - x0, y1 - y0
    s = height / width
    curvature = d0 + d1 - 2 * s

    if inverse:
        rise = clamped - y0
        a = rise * curvature + height * (s - d0)
        b = height * d0 - rise * curvature
        c = -s * rise
        # The root of a xi^2 + b xi + c = 0 that does not cancel.
        xi = 2 * c / (-b - (b.square() - 4 * a * c).clamp_min(0).sqrt())
        xi = xi.clamp(0, 1)
        y = x0 + width * xi
    else:
        xi = (clamped - x0) / width
    mixed = xi * (1 - xi)
    denominator = s + curvature * mixed
    if not inverse:
        y = y0 + height * (s * xi.square() + d0 * mixed) / denominator
    slope = s.square() * (d1 * xi.square() + 2 * s * mixed + d0 * (1 - xi).square())
    log_abs_det = slope.log() - 2 * denominator.log()
    if inverse:
        log_abs_det = -log_abs_det
    return (
        torch.where(inside, y.squeeze(-1), x),
        torch.where(inside, log_abs_det.squeeze(-1), torch.zeros_like(x)),
    )


def _knots(raw: Tensor, bound: float) -> Tensor:
    """Return the K + 1 knots in [-bound, bound] of K raw bin sizes."""
    n_bins = raw.shape[-1]
    sizes = MIN_BIN + (1 - MIN_BIN * n_bins) * raw.softmax(dim=-1)
    inner = 2 * bound * sizes[..., :-1].cumsum(dim=-1) - bound
    return F.pad(F.pad(inner, (1, 0), value=-bound), (0, 1), value=bound)
