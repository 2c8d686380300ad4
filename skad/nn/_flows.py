"""Normalizing flows behind one seam: density, samples and both directions with log-determinants."""

import math
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from skad.exceptions import DivergenceError
from skad.nn._flow_kinds import KINDS
from skad.nn._nflows import Transform as NflowsTransform
from skad.nn._random import DrawingTransform
from skad.nn._zuko import ZukoFlow, ZukoTransform
from skad.utils._arguments import COUNT, NUMBER, checked

__all__ = ["FLOW_KINDS", "Flow", "build_flow"]

FLOW_KINDS = tuple(KINDS)

# Rows pushed through the inverse at once: bounds the memory of hidden layers when sampling.
_SAMPLE_CHUNK = 65_536
_MAX_REDRAWS = 10


class Flow(nn.Module):
    """A density p(x | context): a chain of invertible transforms onto N(0, 1)^d.

    ``log p(x|c) = log N(z; 0, 1) + log|det dz/dx|`` with z = forward(x, c). Parameters and results
    follow the module's dtype (float32 unless ``.double()`` was called) and device.

    Parameters
    ----------
    transforms : iterable of nn.Module
        Each maps ``forward(x, context) -> (z, log_abs_det)`` and ``inverse(z, context)`` back.
        Applied in this order from data to base.
    n_features : int
        Number d of columns of x.
    n_context : int, default=0
        Number of columns of the context; 0 means that none is taken.
    n_frequencies : int, default=0
        The transforms get the context c and sin and cos of 2^k pi c for as many k from 0 on, to
        resolve what changes fast with it.

    Attributes
    ----------
    stackable : bool
        Whether `torch.func.vmap` can evaluate several such flows as one.
    """

    def __init__(
        self,
        transforms: Iterable[nn.Module],
        n_features: int,
        n_context: int = 0,
        n_frequencies: int = 0,
    ):
        super().__init__()
        self.transforms = nn.ModuleList(transforms)
        self.n_features = n_features
        self.n_context = n_context
        self.n_frequencies = n_frequencies
        self.stackable = all(getattr(t, "stackable", True) for t in self.transforms)
        # What builds it again, where `build_flow` built it.
        self.settings: dict[str, Any] = {}

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map data (n, d) to the latent space; return z and ``log|det dz/dx|`` of shape (n,)."""
        context = self._checked(x, context)
        log_abs_det = x.new_zeros(len(x))
        for transform in self.transforms:
            x, term = transform(x, context)
            log_abs_det = log_abs_det + term
        return x, log_abs_det

    @property
    def keeps_order(self) -> bool:
        """Whether each latent feature depends on the features up to its own alone."""
        return all(hasattr(t, "log_derivatives") for t in self.transforms)

    def conditional_log_densities(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p(x_i | x_1 ... x_(i-1), context) of a flow that keeps the order, (n, d)."""
        context = self._checked(x, context)
        log_derivative = torch.zeros_like(x)
        for transform in self.transforms:
            x, term = transform.log_derivatives(x, context)  # type: ignore[operator]
            log_derivative = log_derivative + term
        # Squares in float64: a point far out must keep a finite, ordered density.
        return log_derivative - 0.5 * (x.double().square() + math.log(2 * math.pi))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map latent points (n, d) to data; return x and ``log|det dx/dz|`` of shape (n,)."""
        context = self._checked(z, context)
        log_abs_det = z.new_zeros(len(z))
        for transform in reversed(self.transforms):
            z, term = transform.inverse(z, context)  # type: ignore[operator]
            log_abs_det = log_abs_det + term
        return z, log_abs_det

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return log p(x | context) in nats, shape (n,)."""
        z, log_abs_det = self(x, context)
        log_norm = 0.5 * self.n_features * math.log(2 * math.pi)
        return log_abs_det - 0.5 * z.square().sum(dim=1) - log_norm

    def between(self, z: Tensor, low: Tensor, high: Tensor, share: Tensor) -> Tensor:
        """Map latent points to data by a velocity in between those at two contexts.

        As in SIGMA (arXiv:2410.20537), of a continuous flow.

        Parameters
        ----------
        z : Tensor of shape (n, d)
        low, high : Tensor of shape (n, n_context)
        share : Tensor of shape (n, 1)
            Of `low`, in [0, 1].

        Raises
        ------
        TypeError
            A flow that has no velocity.
        """
        if not all(hasattr(transform, "data") for transform in self.transforms):
            raise TypeError(
                "only a continuous flow has a velocity to interpolate, 'flow_matching' or 'cnf'."
            )
        contexts = (self._checked(z, low), share), (self._checked(z, high), 1 - share)
        for transform in reversed(self.transforms):
            z = transform.data(z, contexts)  # type: ignore[operator]
        return z

    def matching_loss(self, x: Tensor, context: Tensor | None, noise: Tensor) -> Tensor:
        """Return the loss of flow matching of each event, of a flow of one field."""
        context = self._checked(x, context)
        return self.transforms[0].matching_loss(x, context, noise)  # type: ignore[operator]

    def _data(self, z: Tensor, context: Tensor | None, interval) -> Tensor:
        if interval is not None:
            return self.between(z, *interval)
        context = self._checked(z, context)
        for transform in reversed(self.transforms):
            if hasattr(transform, "data"):
                z = transform.data(z, ((context, 1.0),))  # type: ignore[operator]
            else:
                z, _ = transform.inverse(z, context)  # type: ignore[operator]
        return z

    @torch.no_grad()
    def sample(
        self,
        n: int,
        context: Tensor | None = None,
        generator: torch.Generator | None = None,
        interval: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Draw n rows from the flow in evaluation mode, without touching torch's global generator.

        Parameters
        ----------
        n : int
            Number of rows.
        context : Tensor of shape (n, n_context), optional
            One row per sample.
        generator : torch.Generator, optional
            The only source of randomness. With a CPU generator a model gives the same base noise
            on every device. None starts a fresh generator from entropy of the system.
        interval : (low, high, share), optional
            Sample by `between`, in place of a context.

        Raises
        ------
        DivergenceError
            When rows stay non-finite after ten redraws, as after a training that diverged.
        """
        if not isinstance(n, Integral) or n < 0:
            raise ValueError(f"n must be a whole number of samples; got {n!r:.100}.")
        if context is not None and not isinstance(context, Tensor):
            raise TypeError(f"The context must be a tensor; got {type(context).__name__}.")
        if context is not None and (context.ndim != 2 or len(context) != n):
            raise ValueError(
                f"context must have n={n} rows, one per sample; got shape {tuple(context.shape)}."
            )
        if generator is None:
            generator = torch.Generator()
            generator.seed()
        reference = next(self.parameters())
        x = reference.new_empty((n, self.n_features))
        rows = torch.arange(n, device=x.device)
        was_training = self.training
        self.eval()
        try:
            for _ in range(1 + _MAX_REDRAWS):
                noise = torch.randn(
                    (len(rows), self.n_features),
                    generator=generator,
                    device=generator.device,
                    dtype=reference.dtype,
                ).to(x.device)
                for part, z in zip(
                    rows.split(_SAMPLE_CHUNK), noise.split(_SAMPLE_CHUNK), strict=True
                ):
                    own = None if interval is None else [each[part] for each in interval]
                    x[part] = self._data(z, None if context is None else context[part], own)
                rows = rows[~torch.isfinite(x[rows]).all(dim=1)]
                if len(rows) == 0:
                    return x
        finally:
            self.train(was_training)
        raise DivergenceError(
            f"{len(rows)} of {n} sampled rows are NaN or infinite after {_MAX_REDRAWS} redraws: "
            "the parameters of the flow have diverged or the context is not finite. Train with a "
            "smaller learning rate or with gradient clipping."
        )

    @torch.no_grad()
    def recompute_batch_norm(self, batches: Iterable[tuple[Tensor, Tensor | None]]) -> None:
        """Replace the running statistics of all batch-norm layers by those of the given data.

        Layer after layer, with the layers before it in evaluation mode, as CATHODE does after
        every epoch. Does nothing to a flow without batch norm.

        Parameters
        ----------
        batches : iterable of (x, context)
            The training data; context is None where the flow takes none. Held in memory.
        """
        last = max(
            (i for i, t in enumerate(self.transforms) if hasattr(t, "set_statistics")), default=-1
        )
        if last < 0:
            return
        batches = [(x, self._checked(x, context)) for x, context in batches]
        was_training = self.training
        self.eval()
        try:
            for transform in self.transforms[: last + 1]:
                if hasattr(transform, "set_statistics"):
                    transform.set_statistics(torch.cat([x for x, _ in batches]))  # type: ignore[operator]
                batches = [(transform(x, context)[0], context) for x, context in batches]
        finally:
            self.train(was_training)

    def _checked(self, x: Tensor, context: Tensor | None) -> Tensor | None:
        """Return the context as the transforms get it."""
        own = next(self.parameters(), None)
        for name, tensor in (("input", x), ("context", context)):
            is_none = tensor is None and name == "context"
            if not is_none and not isinstance(tensor, Tensor):
                raise TypeError(f"The {name} must be a tensor; got {type(tensor).__name__}.")
            if tensor is not None and own is not None and tensor.dtype != own.dtype:
                raise TypeError(
                    f"The flow is one of {own.dtype}, and the {name} of {tensor.dtype}; convert "
                    "one of them by .to(dtype)."
                )
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise ValueError(
                f"The flow has {self.n_features} features; got an input of shape {tuple(x.shape)}."
            )
        shape = None if context is None else tuple(context.shape)
        expected = (len(x), self.n_context) if self.n_context else None
        if shape != expected:
            raise ValueError(f"The context must have shape {expected}; got {shape}.")
        if context is None or not self.n_frequencies:
            return context
        angles = [2**k * math.pi * context for k in range(self.n_frequencies)]
        waves = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
        return torch.cat([context, *waves], dim=1)


@checked(
    kind=[str, callable],
    n_features=COUNT,
    n_context=NUMBER,
    n_frequencies=NUMBER,
)
def build_flow(
    kind: str | Callable[..., object],
    n_features: int,
    n_context: int = 0,
    *,
    n_frequencies: int = 0,
    **options,
) -> Flow:
    """Build an untrained flow.

    The built-in kinds start close to the identity. Weights come from torch's global generator:
    seed it in a scope (``torch.random.fork_rng``).

    Parameters
    ----------
    kind : {"nsf", "maf", "nsf_coupling", "cnf", "flow_matching"} or callable

        - "nsf": autoregressive rational-quadratic splines [2]_ on top of affine steps.
        - "maf": masked autoregressive flow with affine steps [1]_; fast density, sampling takes
          one pass per feature, as with "nsf".
        - "nsf_coupling": coupling layers of the splines of "nsf"; density and samples cost the
          same.
        - "cnf": continuous flow (FFJORD [3]_).
        - "flow_matching": continuous flow to be trained by flow matching [4]_.
        - A function ``build(n_features, n_context, **options)``, or a class such as
          `zuko.flows.NSF`, that returns an nflows transform, a zuko flow or a `Flow`. It maps
          data to a standard normal of as many features, and takes the context as nflows and zuko
          do.
    n_features : int
        Number of modelled columns, at least 1.
    n_context : int, default=0
        Number of columns conditioned on.
    n_frequencies : int, default=0
        Frequencies of the context c beside its values: sin and cos of 2^k pi c for k = 0, 1, ...
        Of a built-in kind; they resolve what changes fast with c.
    **options
        All kinds take `n_transforms` and `hidden_features` (int or tuple); "maf", "nsf" and
        "nsf_coupling" also `activation`, `dropout`, `residual`, `batch_norm`, `permutation` and
        `scale_bound`, the splines `n_bins` and `tail_bound`, "cnf" `activation`, `residual`,
        `trace`, `solver`, `tolerance` and `n_steps`, "flow_matching" those of "cnf" but `trace`,
        `solver` and `tolerance`. The files of `skad/nn/_flow_kinds` say what they do.

    Returns
    -------
    Flow

    Raises
    ------
    TypeError
        A function that returns something else.
    ValueError
        A flow of other features or context, or with another base.

    References
    ----------
    .. [1] Papamakarios, Pavlakou, Murray, arXiv:1705.07057, eqs. 3-5
    .. [2] Durkan, Bekasov, Murray, Papamakarios, arXiv:1906.04032
    .. [3] Grathwohl et al., arXiv:1810.01367
    .. [4] Lipman et al., arXiv:2210.02747

    Examples
    --------
    >>> import torch
    >>> from skad.nn import build_flow
    >>> flow = build_flow("maf", 2, n_context=1, n_transforms=3)
    >>> flow.log_prob(torch.zeros(5, 2), torch.ones(5, 1)).shape
    torch.Size([5])
    >>> flow.sample(5, torch.ones(5, 1), torch.Generator().manual_seed(0)).shape
    torch.Size([5, 2])

    >>> import zuko
    >>> own = build_flow(zuko.flows.MAF, 2, transforms=2)
    >>> own.log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """
    if callable(kind):
        if n_frequencies:
            options["n_frequencies"] = n_frequencies
        return _own_flow(kind, n_features, n_context, options)
    if kind not in KINDS:
        raise ValueError(f"flow kind must be one of {FLOW_KINDS} or a function; got {kind!r}.")
    _check_sizes(options)
    transforms = KINDS[kind](n_features, n_context * (1 + 2 * n_frequencies), **options)
    flow = Flow(transforms, n_features, n_context, n_frequencies)
    if n_frequencies:
        options["n_frequencies"] = n_frequencies
    return _with_settings(flow, kind, options)


def _check_sizes(options):
    """Refuse numbers of layers and units that are none, of any built-in kind."""
    for name in ("n_transforms", "hidden_features"):
        value = options.get(name, 1)
        sizes = value if name == "hidden_features" and isinstance(value, (tuple, list)) else [value]
        if not all(isinstance(size, Integral) and size >= 1 for size in sizes):
            also = ", or a tuple of them" if name == "hidden_features" else ""
            raise ValueError(f"{name} must be an int of at least 1{also}; got {value!r:.100}.")


def rebuild_flow(
    kind: str | Callable[..., object], n_features: int, n_context: int, options: dict
) -> Flow:
    """Build a flow of known settings, whose numbers are to be loaded."""
    if not callable(kind):
        return build_flow(kind, n_features, n_context, **options)
    built = kind(n_features, n_context, **options)
    return _with_settings(_wrapped(built, n_features, n_context), kind, options)


def _with_settings(flow: Flow, kind, options) -> Flow:
    flow.settings = {
        "kind": kind,
        "n_features": flow.n_features,
        "n_context": flow.n_context,
        "options": options,
    }
    return flow


def _wrapped(built: object, n_features: int, n_context: int) -> Flow:
    """Return a flow of an nflows transform or a zuko flow."""
    if isinstance(built, ZukoFlow):
        built = ZukoTransform(built, n_features, n_context)
    flow = built if isinstance(built, Flow) else Flow([built], n_features, n_context)  # type: ignore[list-item]
    # Of code that is not ours nobody knows whether vmap can run it.
    flow.stackable = False
    for i, transform in enumerate(flow.transforms):
        if not hasattr(transform, "set_statistics"):
            flow.transforms[i] = DrawingTransform(transform)
    return flow


def _own_flow(build: Callable[..., object], n_features: int, n_context: int, options) -> Flow:
    """Return a flow of what a user's function builds, or say why it is none."""
    name = getattr(build, "__name__", repr(build))
    built = build(n_features, n_context, **options)
    if not isinstance(built, (NflowsTransform, ZukoFlow, Flow)):
        raise TypeError(
            f"flow={name} must return an nflows transform (not a flow of nflows, but what it is "
            f"made from), a zuko flow or a skad.nn.Flow; got {type(built).__name__}."
        )
    try:
        flow = _wrapped(built, n_features, n_context)
        _try(flow.eval(), n_features, n_context)
    except Exception as exc:  # whatever a library raises where shapes do not fit
        raise ValueError(
            f"flow={name} built no flow of {n_features} features and {n_context} conditions onto a "
            f"standard normal: {exc}"
        ) from exc
    return _with_settings(flow.train(), build, options)


@torch.no_grad()
def _try(flow: Flow, n_features: int, n_context: int) -> None:
    """Map three points."""
    parameter = next((p for p in flow.parameters() if p.requires_grad), None)
    if parameter is None:
        raise ValueError("it has no parameters to learn.")
    x = torch.linspace(-1.0, 1.0, 3 * n_features).reshape(3, n_features).to(parameter)
    z, log_abs_det = flow(x, x.new_zeros(3, n_context) if n_context else None)
    if z.shape != x.shape or log_abs_det.shape != (3,):
        raise ValueError(
            f"it maps events of shape (3, {n_features}) to shape {tuple(z.shape)}, with "
            f"log-determinants of shape {tuple(log_abs_det.shape)}."
        )
    if not (torch.isfinite(z).all() and torch.isfinite(log_abs_det).all()):
        raise ValueError("it maps events between -1 and 1 to NaN or infinity.")
