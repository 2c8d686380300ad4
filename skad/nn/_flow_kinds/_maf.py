"""Masked autoregressive flow."""

from torch import nn

from skad.nn._elementwise import BoundedAffine
from skad.nn._nflows import autoregressive

__all__ = ["maf"]


def maf(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 6,
    scale_bound: float = 3.0,
    **options,
) -> list[nn.Module]:
    """Return the transforms of a masked autoregressive flow with bounded affine steps.

    z_i = x_i exp(s_i) + t_i with s_i = b tanh(r_i / b), where r_i and t_i are functions of
    x_1 ... x_(i-1) and the context.

    Parameters
    ----------
    n_features, n_context : int
        Columns of x and of the context.
    n_transforms : int, default=6
        Number of autoregressive steps.
    scale_bound : float, default=3
        Largest \\|log scale\\| b of one step. An unbounded scale diverges on real events.
    **options
        `permutation` and `batch_norm` of `skad.nn._nflows.autoregressive`, `hidden_features`,
        `activation`, `dropout` and `residual` of `skad.nn._conditioners.ConditionerNet`.
    """
    affine = BoundedAffine(scale_bound)
    return autoregressive(n_features, n_context, affine, n_transforms=n_transforms, **options)
