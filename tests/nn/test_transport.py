"""Flows on a frozen base density."""

import numpy as np
import pytest
import torch

from skad.nn import build_flow
from skad.nn._flow_network import FlowNetwork
from skad.nn._mlp import Standardize
from skad.nn._transport import FlowOnFlow, MassTransport


def perturbed(flow, seed, scale=0.3):
    """A flow far from the identity."""
    generator = torch.Generator().manual_seed(seed)
    for p in flow.parameters():
        p.data += scale * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return flow


def make(cls, n_features=2, kind="nsf_coupling", n_transforms=2, seed=0, perturb=True, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base = FlowNetwork(
            perturbed(build_flow("maf", n_features, 1, n_transforms=2, hidden_features=8), 1, 0.1),
            Standardize(np.arange(n_features) + 1.0, np.full(n_features, 2.0)),
            Standardize(np.array([3.0]), np.array([0.5])),
        )
        flow = build_flow(
            kind,
            n_features,
            1 if cls is FlowOnFlow else 2,
            n_transforms=n_transforms,
            hidden_features=8,
            **options,
        )
    return cls(perturbed(flow, 2) if perturb else flow, base).double().eval()


@pytest.mark.parametrize("cls", [FlowOnFlow, MassTransport])
def test_density_is_normalised(cls):
    network = make(cls)
    masses = (3.2,) if cls is FlowOnFlow else (3.2, 2.7)

    axis = torch.linspace(-40, 44, 501, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    m = [torch.full((len(x), 1), value, dtype=torch.float64) for value in masses]
    with torch.inference_mode():
        total = network(x, *m).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("kind", ["nsf_coupling", "nsf", "maf"])
@pytest.mark.parametrize("n_transforms", [3, 4])
@pytest.mark.parametrize("permutation", ["reverse", "random"])
def test_untrained_transport_is_close_to_the_identity(kind, n_transforms, permutation):
    x = torch.randn(100, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    low, high = torch.full((100, 1), 2.8).double(), torch.full((100, 1), 3.3).double()
    options = {"n_features": 4, "perturb": False, "permutation": permutation}
    network = make(FlowOnFlow, kind=kind, n_transforms=n_transforms, **options)
    assert (network.push(x, low) - x).abs().max() < 0.3
    network = make(MassTransport, kind=kind, n_transforms=n_transforms, **options)
    for source, target in ((low, high), (high, low)):
        assert (network.move(x, source, target) - x).abs().max() < 0.3


def test_push_inverts_the_map_of_the_density():
    network = make(FlowOnFlow, n_features=3)
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    m = torch.linspace(2, 4, 50, dtype=torch.float64)[:, None]
    y = network.push(x, m)
    assert (y - x).abs().max() > 0.1
    z, log_abs_det = network._forward(network._features(y), network._conditions(m))
    torch.testing.assert_close(network.base.features.inverse(z), x)
    # log p(x|m) = log p_base(T(x)|m) + log|det dT/dx|, all in the coordinates of x.
    torch.testing.assert_close(network(y, m), network.base(x, m) + log_abs_det)


def test_transport_up_and_down_again():
    network = make(MassTransport, n_features=3)
    x = torch.randn(60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    source = torch.linspace(2, 4, 60, dtype=torch.float64)[:, None]
    target = source.flip(0)
    there = network.move(x, source, target)
    assert (there - x).abs().max() > 0.1
    torch.testing.assert_close(network.move(there, target, source), x)


def test_log_determinant_of_the_transport():
    network = make(MassTransport, n_features=3)
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    source = torch.tensor([[2.0], [2.5], [3.0], [3.5], [4.0], [3.0]], dtype=torch.float64)
    target = torch.tensor([[3.0], [2.0], [3.0], [4.0], [2.0], [3.5]], dtype=torch.float64)
    for i in range(6):
        one = slice(i, i + 1)
        jacobian = torch.autograd.functional.jacobian(
            lambda v, one=one: network.move(v[None], source[one], target[one])[0], x[i]
        )
        there = network.move(x[one], source[one], target[one])
        expected = network.base(there, target[one]) + torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(network(x[one], source[one], target[one]), expected)


@pytest.mark.parametrize("cls", [FlowOnFlow, MassTransport])
def test_base_is_frozen(cls):
    network = make(cls).train()
    assert not network.base.training
    assert network.flow.training
    assert {name.split(".")[0] for name, p in network.named_parameters() if p.requires_grad} == {
        "flow"
    }
