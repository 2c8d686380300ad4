"""Flows: Jacobians, round trips, normalisation, determinism and robustness."""

import copy
import pickle

import pytest
import torch

from skad.exceptions import DivergenceError
from skad.nn import build_flow

FAST = {
    "maf": {"n_transforms": 3, "hidden_features": (16, 16)},
}


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


def jacobians(function, x, context):
    rows = [None] * len(x) if context is None else context[:, None]
    return torch.stack(
        [
            torch.autograd.functional.jacobian(lambda v, c=c: function(v[None], c)[0][0], row)
            for row, c in zip(x, rows, strict=True)
        ]
    )


@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize(("n_features", "n_context"), [(1, 0), (1, 2), (2, 0), (3, 1), (5, 2)])
def test_log_det_against_autograd(kind, n_features, n_context):
    flow = make_flow(kind, n_features, n_context)
    x, context = draw(20, n_features, n_context, scale=2.0)
    for function in (flow.forward, flow.inverse):
        _, log_abs_det = function(x, context)
        expected = torch.linalg.slogdet(jacobians(function, x, context))[1]
        torch.testing.assert_close(log_abs_det, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", FAST)
@pytest.mark.parametrize(("n_features", "n_context"), [(1, 0), (1, 1), (4, 0), (4, 2)])
def test_round_trip(kind, n_features, n_context):
    flow = make_flow(kind, n_features, n_context)
    x, context = draw(500, n_features, n_context, scale=3.0)
    z, forward_log_det = flow(x, context)
    back, inverse_log_det = flow.inverse(z, context)
    torch.testing.assert_close(back, x, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(inverse_log_det, -forward_log_det, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", FAST)
def test_context_reaches_every_feature(kind):
    flow = make_flow(kind, 3, 1)
    x, context = draw(50, 3, 1)
    z, _ = flow(x, context)
    moved, _ = flow(x, context + 0.5)
    assert (moved - z).abs().amax(dim=0).min() > 1e-3


@pytest.mark.parametrize("kind", FAST)
def test_starts_close_to_identity(kind):
    torch.manual_seed(0)
    flow = build_flow(kind, 4, 1)
    x, context = (t.float() for t in draw(1000, 4, 1))
    normal = torch.distributions.Normal(0, 1).log_prob(x).sum(dim=1)
    assert (flow.log_prob(x, context) - normal).abs().max() < 1


def test_batch_norm_statistics_are_those_of_all_data():
    flow = make_flow("maf", 3, 1, batch_norm=True)
    x, context = draw(1000, 3, 1, scale=4.0)
    flow.recompute_batch_norm((x[i : i + 128], context[i : i + 128]) for i in range(0, 1000, 128))
    with torch.no_grad():
        evaluated = flow(x, context)
        # On all the data at once, batch statistics and running statistics are the same.
        trained = flow.train()(x, context)
    torch.testing.assert_close(evaluated, trained)


def test_batch_norm_accepts_a_batch_of_one_row():
    flow = make_flow("maf", 2, batch_norm=True).train()
    x, _ = draw(1, 2)
    assert torch.isfinite(flow.log_prob(x)).all()


def test_sample_raises_when_diverged():
    flow = make_flow("maf", 2)
    next(flow.parameters()).data.fill_(float("nan"))
    with pytest.raises(DivergenceError, match="100 of 100 sampled rows"):
        flow.sample(100, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", FAST)
def test_pickle_and_deepcopy(kind):
    flow = make_flow(kind, 2, 1)
    x, context = draw(50, 2, 1)
    for other in (pickle.loads(pickle.dumps(flow)), copy.deepcopy(flow)):
        assert torch.equal(other.log_prob(x, context), flow.log_prob(x, context))
