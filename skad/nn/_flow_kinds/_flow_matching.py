"""Continuous flows that are trained by flow matching, a regression, without solving an ODE."""

from torch import nn

from skad.nn._flow_kinds._cnf import cnf

__all__ = ["flow_matching"]


def flow_matching(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 1,
    hidden_features: int | tuple[int, ...] = (64, 64, 64),
    activation: str = "silu",
    residual: bool = True,
    n_steps: int = 8,
) -> list[nn.Module]:
    """Return one ODE field from data to noise, as `cnf` with Runge-Kutta steps of fixed size.

    `FlowDensity` trains it as in arXiv:2210.02747: at a point of the straight line from an event
    to noise the velocity is to be that of the line. A density costs an ODE still.

    Parameters
    ----------
    n_features, n_context : int
        Columns of x and of the context.
    n_transforms : int, default=1
        Only one field can be matched.
    hidden_features : int or tuple of int, default=(64, 64, 64)
        Widths of the hidden layers of the field.
    activation, residual, n_steps
        As of `cnf`.
    """
    if n_transforms != 1:
        raise ValueError(
            f"n_transforms must be 1 or None for 'flow_matching', which has one field; got "
            f"{n_transforms}. Give it more hidden layers."
        )
    return cnf(
        n_features,
        n_context,
        n_transforms=1,
        hidden_features=hidden_features,
        activation=activation,
        residual=residual,
        solver="rk4",
        n_steps=n_steps,
    )
