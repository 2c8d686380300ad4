"""Continuous flows (FFJORD) on zuko's ODE solver, which flow matching trains too."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skad.exceptions import DivergenceError
from skad.nn._random import Drawing
from skad.nn._zuko import odeint

__all__ = ["cnf"]


def _silu_slope(a: Tensor, h: Tensor) -> Tensor:
    s = torch.sigmoid(a)
    return s + h * (1 - s)


# Activation, and its derivative as a function of argument and value: the trace needs both.
_ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "tanh": (torch.tanh, lambda a, h: 1 - h * h),
    "softplus": (F.softplus, lambda a, h: -torch.expm1(-h)),
    "silu": (F.silu, _silu_slope),
}
Mixture = Sequence[tuple[Tensor | None, Tensor | float]]
_SOLVERS = ("dopri5", "rk4")
_TRACES = ("exact", "hutchinson")
# Of fields that are mixed, where no number of steps is given.
_STEPS_OF_SAMPLES = 8
# A field that needs more is stiff; zuko would shrink the step for ever.
_MAX_EVALUATIONS = 2000


def cnf(
    n_features: int,
    n_context: int = 0,
    *,
    n_transforms: int = 2,
    hidden_features: int | tuple[int, ...] = (50, 20, 10),
    activation: str = "tanh",
    residual: bool = False,
    trace: str = "exact",
    solver: str = "dopri5",
    tolerance: float = 1e-5,
    n_steps: int = 8,
) -> list[nn.Module]:
    """Return stacked ODE fields, dz/dt = g(z, t, context) for t from 0 to 1.

    log |det dz(1)/dz(0)| is the integral of the trace of dg/dz, solved for along with z. The
    defaults are those of the paper's coordinate study (arXiv:2209.06225).

    Parameters
    ----------
    n_features, n_context : int
        Columns of x and of the context.
    n_transforms : int, default=2
        Number of fields, one after the other.
    hidden_features : int or tuple of int, default=(50, 20, 10)
        Widths of the hidden layers of each field; an int is one hidden layer.
    activation : {"tanh", "softplus", "silu"}, default="tanh"
        Smooth, for the solver's sake.
    residual : bool, default=False
        Whether hidden layers of one width add to what they are given.
    trace : {"exact", "hutchinson"}, default="exact"
        "exact" costs n_features tangents. "hutchinson" is an unbiased estimate from one random
        tangent per row, fixed within a solve, in training mode only; outside of training the
        trace is always exact, so that scores are deterministic.
    solver : {"dopri5", "rk4"}, default="dopri5"

        - "dopri5": adaptive Dormand-Prince with the adjoint of zuko; the error of the worst row
          of a batch stays below `tolerance`.
        - "rk4": `n_steps` steps of the classical Runge-Kutta method; predictable time, never
          fails on a stiff field, but its error is not controlled.
    tolerance : float, default=1e-5
        Absolute and relative tolerance of "dopri5".
    n_steps : int, default=8
        Steps of "rk4" per field.
    """
    for option, value, allowed in (("trace", trace, _TRACES), ("solver", solver, _SOLVERS)):
        if value not in allowed:
            raise ValueError(f"{option} must be one of {allowed}; got {value!r}.")
    return [
        ContinuousTransform(
            Field(n_features, n_context, hidden_features, activation, residual),
            hutchinson=trace == "hutchinson",
            n_steps=n_steps if solver == "rk4" else None,
            tolerance=tolerance,
        )
        for _ in range(n_transforms)
    ]


class Field(nn.Module):
    """Vector field g(z, t, context) and sums of v . (dg/dz) v over given tangents v."""

    def __init__(self, n_features, n_context, hidden_features, activation, residual=False):
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {tuple(_ACTIVATIONS)}; got {activation!r}."
            )
        if isinstance(hidden_features, int):
            hidden_features = (hidden_features,)
        widths = (n_features + 1 + n_context, *hidden_features, n_features)
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(widths))
        # Small final weights: the flow starts close to the identity.
        nn.init.uniform_(self.layers[-1].weight, -1e-2, 1e-2)
        nn.init.zeros_(self.layers[-1].bias)
        self.activation = activation
        self.residual = residual

    def forward(
        self, t: Tensor, z: Tensor, context: Tensor | None, tangents: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return g, (n, d), and sum_k v_k . J v_k, (n,), for tangents (n or 1, k, d)."""
        function, derivative = _ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        h = self._inputs(t, z, context)
        # Forward mode: the tangents travel through the layers beside the values.
        jv = tangents
        for i, layer in enumerate(hidden):
            weight = layer.weight[:, : z.shape[1]] if i == 0 else layer.weight
            a = layer(h)
            value = function(a)
            slope = (jv @ weight.T) * derivative(a, value)[:, None]
            adds = self._adds(layer, i)
            h, jv = (h + value, jv + slope) if adds else (value, slope)
        return last(h), ((tangents @ last.weight) * jv).sum(dim=(1, 2))

    def velocity(self, t: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """Return g alone, at a fraction of the cost."""
        function, _ = _ACTIVATIONS[self.activation]
        *hidden, last = self.layers
        h = self._inputs(t, z, context)
        for i, layer in enumerate(hidden):
            value = function(layer(h))
            h = h + value if self._adds(layer, i) else value
        return last(h)

    def _adds(self, layer, i):
        return self.residual and i > 0 and layer.in_features == layer.out_features

    def _inputs(self, t: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        columns = [z, t.expand(len(z), 1)] + ([] if context is None else [context])
        return torch.cat(columns, dim=1)


class ContinuousTransform(Drawing):
    """Solve one field from t = 0 (data side) to t = 1 and back."""

    def __init__(self, field: Field, hutchinson: bool, n_steps: int | None, tolerance: float):
        super().__init__()
        self.field = field
        self.hutchinson = hutchinson
        self.n_steps = n_steps
        self.tolerance = tolerance
        # vmap cannot batch adaptive steps.
        self.stackable = n_steps is not None

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._solve(x, context, 0.0, 1.0)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._solve(z, context, 1.0, 0.0)

    def data(self, z: Tensor, contexts: Mixture) -> Tensor:
        """Solve back to the data in a mixture of the fields at several contexts.

        Parameters
        ----------
        z : Tensor of shape (n, d)
        contexts : list of (context, share)
            The velocity is the sum of the shares, (n, 1) or a number, of the velocities at these.
        """
        if self.n_steps is None and len(contexts) == 1:
            return self.inverse(z, contexts[0][0])[0]

        def velocity(t, z):
            parts = [share * self.field.velocity(t, z, context) for context, share in contexts]
            return (sum(parts[1:], parts[0]),)

        n_steps = self.n_steps or _STEPS_OF_SAMPLES
        return _runge_kutta(velocity, (z,), 1.0, 0.0, n_steps)[0]

    def matching_loss(self, x: Tensor, context: Tensor | None, noise: Tensor) -> Tensor:
        """Return the squared error of the velocity on straight lines from data to noise.

        Conditional flow matching (arXiv:2210.02747): at x_t = (1 - t) x + t z the field is to be
        z - x, for one t and one z for each event.

        Parameters
        ----------
        x : Tensor of shape (n, d)
        context : Tensor of shape (n, n_context) or None
        noise : Tensor of shape (n, d + 1)
            Standard normal numbers; the last column is made a uniform t.
        """
        z, t = noise[:, :-1], torch.special.ndtr(noise[:, -1:])
        velocity = self.field.velocity(t, x + t * (z - x), context)
        return (velocity - (z - x)).square().mean(dim=1)

    def _solve(self, z, context, start, stop):
        # One bad row would stop the solver for its whole batch.
        bad = ~torch.isfinite(z).all(dim=1)
        if context is not None:
            bad = bad | ~torch.isfinite(context).all(dim=1)
            context = context.masked_fill(bad[:, None], 0.0)
        z = z.masked_fill(bad[:, None], 0.0)
        tangents = self._tangents(z)

        def velocity(t, z, log_det):
            return self.field(t, z, context, tangents)

        state = (z, z.new_zeros(len(z)))
        if self.n_steps is None:
            z, log_det = self._adaptive(velocity, state, context, start, stop)
        else:
            z, log_det = _runge_kutta(velocity, state, start, stop, self.n_steps)
        return z.masked_fill(bad[:, None], torch.nan), log_det.masked_fill(bad, torch.nan)

    def _tangents(self, z: Tensor) -> Tensor:
        if self.hutchinson and self.training:
            return self.drawn(z[:, None], _signs)
        return torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[None]

    def _adaptive(self, velocity, state, context, start, stop):
        n_evaluations = 0

        def guarded(t, *state):
            nonlocal n_evaluations
            n_evaluations += 1
            derivatives = velocity(t, *state)
            # zuko's step control would loop for ever on NaN.
            finite = all(torch.isfinite(d).all() for d in derivatives)
            if not finite or n_evaluations > _MAX_EVALUATIONS:
                raise DivergenceError(
                    "The ODE of the continuous flow "
                    + ("is too stiff" if finite else "has a non-finite field")
                    + f" after {n_evaluations} evaluations. Train with a smaller learning rate or "
                    "weight decay, raise the tolerance, or use solver='rk4'."
                )
            return derivatives

        if len(state[0]) == 0:
            return state
        # zuko's adjoint differentiates with respect to these and the state only.
        phi = [p for p in self.field.parameters() if p.requires_grad]
        if context is not None and context.requires_grad:
            phi.append(context)
        return odeint(guarded, state, start, stop, phi, atol=self.tolerance, rtol=self.tolerance)


def _signs(out: Tensor, generator: torch.Generator | None) -> Tensor:
    """Fill with -1 and 1."""
    return out.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)


def _runge_kutta(velocity, state, start, stop, n_steps):
    """Integrate with the classical fourth-order method and a fixed step."""

    def moved(state, step, slope):
        return tuple(value + step * rate for value, rate in zip(state, slope, strict=True))

    h = (stop - start) / n_steps
    kind = {"dtype": state[0].dtype, "device": state[0].device}
    times = torch.linspace(start, stop, 2 * n_steps + 1, **kind)
    for i in range(n_steps):
        t0, t_half, t1 = times[2 * i : 2 * i + 3]
        k1 = velocity(t0, *state)
        k2 = velocity(t_half, *moved(state, h / 2, k1))
        k3 = velocity(t_half, *moved(state, h / 2, k2))
        k4 = velocity(t1, *moved(state, h, k3))
        state = tuple(
            value + (h / 6) * (a + 2 * b + 2 * c + d)
            for value, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        )
    return state
