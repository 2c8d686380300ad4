"""Terms of losses against dcor, torch's distributions, gradients and by hand."""

import dcor_oracle as dcor
import numpy as np
import pytest
import torch

from skad import metrics
from skad.nn import distance_correlation
from skad.nn._losses import exposure_loss, kl_to_standard_normal


def pairs(n=80):
    rng = np.random.RandomState(0)
    x = rng.exponential(size=n)
    return {
        "linear": (x, 3 - 2 * x),
        "square": (x, (x - 1) ** 2 + 0.1 * rng.normal(size=n)),
        "independent": (x, rng.normal(size=n)),
        "ties": (np.round(x), np.round(rng.normal(size=n) + x)),
        "small": (1e3 * x, 1e-4 * (x + rng.normal(size=n))),
    }


# dcor compiles for half a minute where it is imported first: once, in one test process.
COMPILED = pytest.mark.xdist_group("dcor")


@COMPILED
@pytest.mark.parametrize("name", pairs())
def test_distance_correlation_equals_dcor(name):
    x, y = pairs()[name]
    found = distance_correlation(torch.from_numpy(x), torch.from_numpy(y))
    assert float(found) == pytest.approx(dcor.distance_correlation(x, y), abs=1e-6)
    squared = distance_correlation(torch.from_numpy(x), torch.from_numpy(y), power=2)
    assert float(squared) == pytest.approx(dcor.distance_correlation_sqr(x, y), abs=1e-6)


@COMPILED
def test_weighted_distance_correlation_equals_repetitions():
    x, y = pairs()["square"]
    count = np.random.RandomState(1).randint(0, 4, size=len(x))
    tensors = [torch.from_numpy(v) for v in (x, y, 0.3 * count)]
    found = float(distance_correlation(*tensors))
    expected = dcor.distance_correlation(np.repeat(x, count), np.repeat(y, count))
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(metrics.distance_correlation(x, y, sample_weight=count), abs=1e-6)


def test_distance_correlation_has_the_right_gradient():
    x, y = (torch.from_numpy(v[:12]) for v in pairs()["independent"])
    weight = torch.linspace(0.5, 2, 12, dtype=torch.float64)
    y.requires_grad_(True)
    for power in (1, 2):
        assert torch.autograd.gradcheck(
            lambda y, p=power: distance_correlation(x, y, weight, power=p), (y,)
        )


def test_distance_correlation_of_a_constant_is_zero_and_differentiable():
    x = torch.arange(5.0)
    y = torch.ones(5, requires_grad=True)
    value = distance_correlation(x, y)
    value.backward()
    assert value.item() < 1e-5
    assert torch.isfinite(y.grad).all()


def test_kl_is_the_sum_over_the_latent_dimensions():
    mean, log_variance = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)


def test_exposure_loss_by_hand():
    # Background 1, 4, 2 (in this order), outliers 3, 0: pairs (1,3) (4,0) (2,3) (1,0) (4,3).
    values = torch.tensor([1.0, 3.0, 4.0, 2.0, 0.0])
    exposed = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0])
    weight = torch.ones(5)
    gaps = torch.tensor([2.0, -4.0, 1.0, -1.0, -1.0])
    torch.testing.assert_close(exposure_loss(values, exposed, weight), torch.sigmoid(-gaps).mean())
    torch.testing.assert_close(
        exposure_loss(values, exposed, weight, margin=1.5),
        torch.tensor([0.0, 5.5, 0.5, 2.5, 2.5]).mean(),
    )
    only_first_pair = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(
        exposure_loss(values, exposed, only_first_pair), torch.sigmoid(torch.tensor(-2.0))
    )


@pytest.mark.parametrize("margin", [None, 1.0])
def test_exposure_pushes_outliers_above_the_background(margin):
    values = torch.zeros(6, requires_grad=True)
    exposed = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
    exposure_loss(values, exposed, torch.ones(6), margin=margin).backward()
    step = -values.grad
    assert (step[exposed == 1] > 0).all()
    assert (step[exposed == 0] < 0).all()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_exposure_of_a_batch_of_one_kind_is_zero(label):
    values = torch.arange(4.0, requires_grad=True)
    loss = exposure_loss(values, torch.full((4,), label), torch.ones(4))
    loss.backward()
    assert loss.item() == 0
    assert (values.grad == 0).all()
