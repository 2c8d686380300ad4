"""Autoregressive neural spline flow."""

from torch import nn

from skad.nn._elementwise import AffineSpline
from skad.nn._nflows import autoregressive

__all__ = ["nsf"]


def nsf(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 2,
    n_bins: int = 8,
    tail_bound: float = 4.0,
    scale_bound: float = 3.0,
    activation: str = "silu",
    **options,
) -> list[nn.Module]:
    """Return the transforms of an autoregressive neural spline flow.

    Each step maps every feature by the affine map of `maf` and then by a rational-quadratic
    spline, the parameters of both being functions of the features before it and the context. The
    affine map brings conditional densities of any place and width under the spline.

    Parameters
    ----------
    n_features, n_context, scale_bound
        As in `maf`.
    n_transforms : int, default=2
        Number of autoregressive steps.
    n_bins : int, default=8
        Bins of each spline.
    tail_bound : float, default=4
        The splines act on [-tail_bound, tail_bound] and are the identity outside.
    activation : {"relu", "tanh", "silu", "gelu", "elu"}, default="silu"
        Activation of the hidden layers; a smooth one gives a density with fewer kinks.
    **options
        As in `maf`.
    """
    spline = AffineSpline(n_bins, tail_bound, scale_bound)
    return autoregressive(
        n_features, n_context, spline, n_transforms=n_transforms, activation=activation, **options
    )
