"""Neural spline flow of coupling steps."""

from torch import nn

from skad.nn._elementwise import AffineSpline
from skad.nn._nflows import autoregressive, coupling

__all__ = ["nsf_coupling"]


def nsf_coupling(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 4,
    n_bins: int = 8,
    tail_bound: float = 4.0,
    scale_bound: float = 3.0,
    activation: str = "silu",
    **options,
) -> list[nn.Module]:
    """Return the transforms of a spline coupling flow: one pass in either direction.

    Each step maps the second half of the features as in `nsf`, given the first half. With one
    feature there is nothing to couple, and the flow is that of `nsf`.

    Parameters
    ----------
    n_features, n_context, n_bins, tail_bound, scale_bound, activation, **options
        As in `nsf`.
    n_transforms : int, default=4
        Number of coupling steps.
    """
    spline = AffineSpline(n_bins, tail_bound, scale_bound)
    steps = coupling if n_features > 1 else autoregressive
    return steps(
        n_features, n_context, spline, n_transforms=n_transforms, activation=activation, **options
    )
