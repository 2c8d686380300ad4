"""Flows: Jacobians, round trips, normalisation, determinism and robustness."""

import copy
import pickle
import warnings

import pytest
import torch

from skad.exceptions import DivergenceError
from skad.nn import FLOW_KINDS, build_flow
from skad.nn._flows import rebuild_flow
from skad.nn._splines import rational_quadratic_spline

# One row for each kind: options of a small, exact one.
FAST = {
    "flow_matching": {"hidden_features": (8, 8), "n_steps": 10},
    "maf": {"n_transforms": 3, "hidden_features": (16, 16)},
    "nsf": {"n_transforms": 2, "hidden_features": (16, 16), "n_bins": 5},
    "nsf_coupling": {"n_transforms": 3, "hidden_features": (16, 16), "n_bins": 5, "residual": True},
    "cnf": {"hidden_features": (12, 8), "tolerance": 1e-8},
}
SHAPES = [(1, 0), (1, 2), (2, 0), (3, 1), (5, 2)]

every_kind = pytest.mark.parametrize("kind", FLOW_KINDS)


def make_flow(kind, n_features, n_context=0, noise=0.3, seed=0, **options):
    """Return a float64 flow in evaluation mode whose parameters lie far from the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = build_flow(kind, n_features, n_context, **(FAST[kind] | options)).double()
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter += noise * torch.randn_like(parameter)
    return flow.eval()


def draw(n, n_features, n_context=0, scale=1.0, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = scale * torch.randn(n, n_features, generator=generator, dtype=torch.float64)
    context = torch.randn(n, n_context, generator=generator, dtype=torch.float64)
    return x, context if n_context else None


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def jacobians(function, x, context):
    """Return (n, d, d) Jacobians: row i of the output depends on row i of x alone."""
    x = x.clone().requires_grad_()
    z, _ = function(x, context)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in z.T]
    return torch.stack(rows, dim=1)


@every_kind
@pytest.mark.parametrize(("n_features", "n_context"), SHAPES)
def test_log_det_against_autograd(kind, n_features, n_context):
    flow = make_flow(kind, n_features, n_context)
    x, context = draw(10, n_features, n_context, scale=2.0)
    for function in (flow.forward, flow.inverse):
        _, log_abs_det = function(x, context)
        expected = torch.linalg.slogdet(jacobians(function, x, context))[1]
        torch.testing.assert_close(log_abs_det, expected, rtol=1e-6, atol=1e-6)


@every_kind
@pytest.mark.parametrize(("n_features", "n_context"), SHAPES)
def test_round_trip(kind, n_features, n_context):
    flow = make_flow(kind, n_features, n_context, noise=0.1)
    x, context = draw(300, n_features, n_context, scale=3.0)
    z, forward_log_det = flow(x, context)
    back, inverse_log_det = flow.inverse(z, context)
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(inverse_log_det, -forward_log_det, rtol=1e-6, atol=1e-6)


@every_kind
@pytest.mark.parametrize("n_context", [0, 2])
def test_density_integrates_to_one(kind, n_context):
    options = {"tolerance": 1e-5} if kind == "cnf" else {}
    flow = make_flow(kind, 2, n_context, noise=0.1, **options)
    axis = torch.linspace(-12, 12, 301, dtype=torch.float64)
    cell = (axis[1] - axis[0]) ** 2
    grid = torch.cartesian_prod(axis, axis)
    context = torch.tensor([[0.7, -1.2]]).double().expand(len(grid), 2) if n_context else None
    with torch.no_grad():
        density = flow.log_prob(grid, context).exp()
    assert abs(density.sum() * cell - 1) < 0.01
    # Not a normal distribution in disguise.
    normal = torch.distributions.Normal(0, 1).log_prob(grid).sum(dim=1).exp()
    assert (density - normal).abs().sum() * cell > 0.05


@every_kind
def test_samples_follow_the_density(kind):
    options = {"tolerance": 1e-5} if kind == "cnf" else {}
    flow = make_flow(kind, 1, 1, noise=0.15, seed=3, **options)
    n = 20_000
    context = torch.full((n, 1), 0.8, dtype=torch.float64)
    x = flow.sample(n, context, generator())[:, 0].sort().values
    axis = torch.linspace(-15, 15, n, dtype=torch.float64)
    with torch.no_grad():
        density = flow.log_prob(axis[:, None], context).exp()
    cdf = density.cumsum(0) * (axis[1] - axis[0])
    empirical = torch.searchsorted(x, axis) / n
    # Kolmogorov-Smirnov distance; 1.63 / sqrt(n) is the 1 % point.
    assert (cdf - empirical).abs().max() < 1.63 / n**0.5


@every_kind
def test_context_reaches_every_feature(kind):
    flow = make_flow(kind, 3, 1)
    x, context = draw(50, 3, 1)
    z, _ = flow(x, context)
    moved, _ = flow(x, context + 0.5)
    assert (moved - z).abs().amax(dim=0).min() > 1e-3


@every_kind
def test_starts_close_to_identity(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = build_flow(kind, 4, 1)
    x, context = (t.float() for t in draw(1000, 4, 1))
    normal = torch.distributions.Normal(0, 1).log_prob(x).sum(dim=1)
    assert (flow.log_prob(x, context) - normal).abs().max() < 1


@every_kind
def test_sample_is_set_by_the_generator_alone(kind):
    flow = make_flow(kind, 2, 1)
    _, context = draw(100, 2, 1)
    state = torch.random.get_rng_state()
    first = flow.sample(100, context, generator(5))
    torch.rand(3)
    assert torch.equal(first, flow.sample(100, context, generator(5)))
    assert not torch.equal(first, flow.sample(100, context, generator(6)))
    torch.random.set_rng_state(state)
    flow.sample(100, context)
    assert torch.equal(torch.random.get_rng_state(), state)


@every_kind
def test_sample_in_chunks(kind, monkeypatch):
    # Steps of the adaptive solver depend on the rows solved together, to within its tolerance.
    flow = make_flow(kind, 2, 1)
    _, context = draw(100, 2, 1)
    whole = flow.sample(100, context, generator())
    monkeypatch.setattr("skad.nn._flows._SAMPLE_CHUNK", 7)
    torch.testing.assert_close(flow.sample(100, context, generator()), whole, rtol=1e-6, atol=1e-6)


@every_kind
def test_sample_leaves_the_mode(kind):
    flow = make_flow(kind, 2).train()
    flow.sample(3, generator=generator())
    assert flow.training
    assert flow.sample(0, generator=generator()).shape == (0, 2)


@every_kind
def test_sample_raises_when_diverged(kind):
    flow = make_flow(kind, 2)
    next(flow.parameters()).data.fill_(float("nan"))
    message = "100 of 100 sampled rows" if kind != "cnf" else "non-finite field"
    with pytest.raises(DivergenceError, match=message):
        flow.sample(100, generator=generator())


@every_kind
def test_gradients_are_finite_at_extreme_inputs(kind):
    options = {"tolerance": 1e-4} if kind == "cnf" else {}
    flow = make_flow(kind, 3, 1, noise=0.1, **options).float()
    x = 50 * torch.tensor([[1.0, 1, 1], [-1, 1, -1], [-1, -1, -1], [0, 0, 1]])
    x = torch.cat([x, torch.tensor([[5.0, -5.0, 0.0]])])  # on the tail bound of the splines
    x.requires_grad_()
    log_prob = flow.log_prob(x, torch.zeros(5, 1))
    assert torch.isfinite(log_prob).all()
    log_prob.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in flow.parameters())


@every_kind
def test_a_bad_row_spoils_only_itself(kind):
    flow = make_flow(kind, 2, 1)
    x, context = draw(4, 2, 1)
    expected = flow.log_prob(x, context)[2:]
    x[0, 1] = torch.nan
    context[1, 0] = torch.inf
    log_prob = flow.log_prob(x, context)
    assert not torch.isfinite(log_prob[:2]).any()
    torch.testing.assert_close(log_prob[2:], expected, rtol=1e-6, atol=1e-6)


@every_kind
def test_single_precision_throughout(kind):
    options = {"tolerance": 1e-5} if kind == "cnf" else {}
    flow = make_flow(kind, 2, 1, noise=0.1, **options)
    x, context = draw(200, 2, 1)
    reference = flow.log_prob(x, context)
    flow = flow.float()
    floating = [t for t in flow.state_dict().values() if t.is_floating_point()]
    assert {t.dtype for t in floating} == {torch.float32}
    assert flow.sample(5, context[:5].float(), generator()).dtype == torch.float32
    log_prob = flow.log_prob(x.float(), context.float())
    assert log_prob.dtype == torch.float32
    torch.testing.assert_close(log_prob.double(), reference, rtol=1e-3, atol=1e-3)


@every_kind
def test_pickle_and_deepcopy(kind):
    flow = make_flow(kind, 2, 1)
    x, context = draw(50, 2, 1)
    for other in (pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow)):
        assert torch.equal(other.log_prob(x, context), flow.log_prob(x, context))


@every_kind
def test_no_warnings(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n_features, n_context in SHAPES[1:4]:
            flow = make_flow(kind, n_features, n_context)
            x, context = draw(8, n_features, n_context)
            flow.log_prob(x, context).sum().backward()
            flow.sample(8, context, generator())


@every_kind
def test_wrong_arguments(kind):
    with pytest.raises(ValueError, match=r"n_features.* Got 0"):
        build_flow(kind, 0)
    with pytest.raises(ValueError, match=r"activation must be one of .*'sine'"):
        build_flow(kind, 2, activation="sine")
    flow = build_flow(kind, 2, 1)
    with pytest.raises(ValueError, match=r"2 features; got an input of shape \(4, 3\)"):
        flow.log_prob(torch.zeros(4, 3), torch.zeros(4, 1))
    with pytest.raises(ValueError, match=r"must have shape \(4, 1\); got None"):
        flow.log_prob(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="n=5 rows, one per sample; got shape"):
        flow.sample(5, torch.zeros(4, 1))


@every_kind
@pytest.mark.parametrize("options", [{}, {"batch_norm": True}])
def test_stacked_by_vmap(kind, options):
    if kind == "cnf":
        options = {"solver": "rk4", "n_steps": 3}
    if kind == "flow_matching":
        options = {"n_steps": 3}
    flows = [make_flow(kind, 3, 1, seed=seed, **options).train() for seed in range(3)]
    assert flows[0].stackable
    batches = [draw(20, 3, 1, seed=seed) for seed in range(3)]
    expected = torch.stack([copy.deepcopy(f)(*b)[1] for f, b in zip(flows, batches, strict=True)])
    state = torch.func.stack_module_state(flows)
    x, context = (torch.stack(tensors) for tensors in zip(*batches, strict=True))

    def log_det(parameters, buffers, x, context):
        return torch.func.functional_call(flows[0], (parameters, buffers), (x, context))[1]

    torch.testing.assert_close(torch.vmap(log_det)(*state, x, context), expected)


@every_kind
def test_frequencies_of_the_context(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = build_flow(kind, 2, 1, n_frequencies=2, **FAST[kind]).double().eval()
    other = build_flow(kind, 2, 5, **FAST[kind]).double().eval()
    other.load_state_dict(flow.state_dict())
    x, c = draw(6, 2, 1)
    columns = [c, *(f(k * torch.pi * c) for k in (1, 2) for f in (torch.sin, torch.cos))]
    torch.testing.assert_close(flow.log_prob(x, c), other.log_prob(x, torch.cat(columns, 1)))
    assert rebuild_flow(**flow.settings).n_frequencies == 2


def test_every_kind_is_in_the_table():
    assert set(FAST) == set(FLOW_KINDS)


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"kind must be one of .*got 'planar'"):
        build_flow("planar", 2)


def test_batch_norm_statistics_are_those_of_all_data():
    flow = make_flow("maf", 3, 1, batch_norm=True)
    x, context = draw(1000, 3, 1, scale=4.0)
    flow.recompute_batch_norm((x[i : i + 128], context[i : i + 128]) for i in range(0, 1000, 128))
    with torch.no_grad():
        evaluated = flow(x, context)
        # On all the data at once, batch statistics and running statistics are the same.
        trained = flow.train()(x, context)
    torch.testing.assert_close(evaluated, trained)


def test_batch_norm_round_trip():
    flow = make_flow("nsf", 3, batch_norm=True, noise=0.1)
    x, _ = draw(300, 3, scale=4.0)
    flow.recompute_batch_norm([(x, None)])
    z, log_abs_det = flow(x)
    back, inverse_log_abs_det = flow.inverse(z)
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(inverse_log_abs_det, -log_abs_det, rtol=1e-6, atol=1e-6)


def test_batch_norm_accepts_a_batch_of_one_row():
    flow = make_flow("maf", 2, batch_norm=True).train()
    x, _ = draw(1, 2)
    assert torch.isfinite(flow.log_prob(x)).all()


def test_flow_of_anode():
    # The log of the LaCATHODE repository gives this number for its 15 MADE blocks.
    flow = build_flow("maf", 4, 1, n_transforms=15, hidden_features=(128, 128), batch_norm=True)
    assert sum(p.numel() for p in flow.parameters()) == 274_800


def test_maf_scale_is_bounded():
    flow = make_flow("maf", 2, noise=30.0, n_transforms=1, scale_bound=1.5)
    x, _ = draw(100, 2, scale=10.0)
    _, log_abs_det = flow(x)
    assert log_abs_det.abs().max() <= 2 * 1.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_spline_inverse_survives_rounding(scale, dtype):
    # nflows' function raises AssertionError in single precision at scales 10 and 100.
    rng = generator()
    params = scale * torch.randn(200_000, 3 * 8 - 1, generator=rng, dtype=dtype)
    x = 10 * torch.rand(200_000, generator=rng, dtype=dtype) - 5
    x[:10] = torch.tensor([-5.0, 5.0]).repeat(5)
    y, log_abs_det = rational_quadratic_spline(x, params, bound=5.0)
    back, inverse_log_abs_det = rational_quadratic_spline(y, params, bound=5.0, inverse=True)
    again, _ = rational_quadratic_spline(back, params, bound=5.0)
    for values in (y, log_abs_det, back, inverse_log_abs_det):
        assert torch.isfinite(values).all()
    error = (again - y).abs()
    worst, median = (5e-2, 1e-6) if dtype == torch.float32 else (1e-7, 1e-14)
    assert error.max() < worst and error.median() < median


def test_spline_parameters_of_zero_are_the_identity():
    x = torch.linspace(-7, 7, 101, dtype=torch.float64)
    y, log_abs_det = rational_quadratic_spline(x, torch.zeros(101, 23).double(), bound=5.0)
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(log_abs_det, torch.zeros_like(x))


def test_runge_kutta_agrees_with_the_adaptive_solver():
    flow = make_flow("cnf", 2, 1, noise=0.2)
    x, context = draw(100, 2, 1, scale=2.0)
    expected = flow.log_prob(x, context)
    for n_steps, error in ((8, 1e-3), (16, 1e-4)):
        for transform in flow.transforms:
            transform.n_steps = n_steps
        assert (flow.log_prob(x, context) - expected).abs().max() < error


def test_adjoint_gradients_against_runge_kutta():
    flow = make_flow("cnf", 2, 1, noise=0.2)
    x, context = draw(100, 2, 1, scale=2.0)
    context.requires_grad_()
    wanted = [context, *flow.parameters()]
    adjoint = torch.autograd.grad(flow.log_prob(x, context).mean(), wanted)
    for transform in flow.transforms:
        transform.n_steps = 64
    direct = torch.autograd.grad(flow.log_prob(x, context).mean(), wanted)
    for a, b in zip(adjoint, direct, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_hutchinson_trace():
    flow = make_flow("cnf", 3, 1, noise=0.2, trace="hutchinson", solver="rk4")
    x, context = draw(1, 3, 1)
    x, context = x.expand(20_000, 3), context.expand(20_000, 1)
    exact = flow.log_prob(x[:1], context[:1])
    assert torch.equal(exact, flow.log_prob(x[:1], context[:1]))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        estimates = flow.train().log_prob(x, context)
    # Unbiased, and one of at most 2**(d - 1) values per field: the noise is fixed within a solve.
    assert 1 < len(estimates.round(decimals=8).unique()) <= 2 ** (2 * 2)
    assert abs(estimates.mean() - exact) < 4 * estimates.std() / len(x) ** 0.5


def test_stiff_field_raises():
    flow = make_flow("cnf", 2)
    flow.transforms[0].field.layers[-1].weight.data *= 1e6
    x, _ = draw(10, 2)
    with pytest.raises(DivergenceError, match=r"too stiff.*solver='rk4'"):
        flow.log_prob(x)
