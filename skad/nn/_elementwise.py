"""Elementwise maps of features, whose parameters a network gives: affine, and splines on top."""

import torch
from torch import Tensor

from skad.nn._splines import rational_quadratic_spline

__all__ = ["AffineSpline", "BoundedAffine"]


class BoundedAffine:
    """Elementwise affine map whose log scale stays within (-bound, bound)."""

    n_params = 2

    def __init__(self, bound: float):
        self.bound = bound

    def __call__(self, x: Tensor, params: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        raw, shift = params.unbind(-1)
        log_scale = self.bound * torch.tanh(raw / self.bound)
        if inverse:
            return (x - shift) * (-log_scale).exp(), -log_scale
        return x * log_scale.exp() + shift, log_scale


class AffineSpline:
    """Bounded affine map, then a rational-quadratic spline on [-bound, bound]."""

    def __init__(self, n_bins: int, bound: float, scale_bound: float):
        self.affine = BoundedAffine(scale_bound)
        self.bound = bound
        self.n_params = 2 + 3 * n_bins - 1

    def __call__(self, x: Tensor, params: Tensor, inverse: bool) -> tuple[Tensor, Tensor]:
        moves, shapes = params.split([2, self.n_params - 2], dim=-1)
        if inverse:
            x, spline_log_det = rational_quadratic_spline(x, shapes, self.bound, inverse=True)
            x, affine_log_det = self.affine(x, moves, inverse=True)
        else:
            x, affine_log_det = self.affine(x, moves, inverse=False)
            x, spline_log_det = rational_quadratic_spline(x, shapes, self.bound)
        return x, affine_log_det + spline_log_det
