"""The Sinkhorn divergence against POT and known distances."""

import numpy as np
import pytest
import torch

from skad.nn import sinkhorn_divergence

ot = pytest.importorskip("ot")


def clouds(n=60, m=80, seed=0):
    rng = np.random.RandomState(seed)
    x, y = rng.normal(size=(n, 3)), rng.normal([0.5, 0.0, -0.3], 1.4, size=(m, 3))
    return x, y, rng.uniform(0.2, 2, size=n), rng.uniform(0.2, 2, size=m)


def entropic_cost(x, y, a, b, epsilon):
    """min <P, C> + epsilon KL(P | a b), from POT's plan."""
    cost = 0.5 * ot.dist(x, y)
    plan = ot.sinkhorn(a, b, cost, epsilon, method="sinkhorn_log", numItermax=5000, stopThr=1e-8)
    return (plan * cost).sum() + epsilon * (plan * np.log(plan / np.outer(a, b))).sum()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("blur", [0.6, 1.0])
def test_against_pot(blur, weighted):
    x, y, a, b = clouds()
    if not weighted:
        a, b = np.ones(len(x)), np.ones(len(y))
    value = sinkhorn_divergence(
        *map(torch.from_numpy, (x, y)),
        x_weight=torch.from_numpy(a) if weighted else None,
        y_weight=torch.from_numpy(b) if weighted else None,
        blur=blur,
        scaling=0.9,
        n_final=500,
    )
    a, b = a / a.sum(), b / b.sum()
    epsilon = blur**2
    expected = entropic_cost(x, y, a, b, epsilon)
    expected -= 0.5 * (entropic_cost(x, x, a, a, epsilon) + entropic_cost(y, y, b, b, epsilon))
    assert float(value) == pytest.approx(expected, rel=1e-4)


def test_small_blur_is_half_the_squared_wasserstein_distance():
    x, y, *_ = clouds(80, 80)
    exact = ot.emd2(np.full(80, 1 / 80), np.full(80, 1 / 80), 0.5 * ot.dist(x, y))
    value = sinkhorn_divergence(
        *map(torch.from_numpy, (x, y)), blur=0.05, scaling=0.95, n_final=200
    )
    assert float(value) == pytest.approx(exact, rel=0.01)


def test_gradient_is_that_of_the_value():
    x, y, *_ = (torch.from_numpy(v) for v in clouds(12, 15))
    options = {"blur": 0.5, "scaling": 0.9, "n_final": 2000}
    x.requires_grad_(True)
    sinkhorn_divergence(x, y, **options).backward()
    step = 1e-5
    for i, j in ((0, 0), (5, 2)):
        shifted = []
        for sign in (1, -1):
            moved = x.detach().clone()
            moved[i, j] += sign * step
            shifted.append(float(sinkhorn_divergence(moved, y, **options)))
        slope = (shifted[0] - shifted[1]) / (2 * step)
        assert float(x.grad[i, j]) == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_vanishes_for_the_same_points_and_grows_with_their_shift():
    x = torch.from_numpy(clouds()[0])
    assert float(sinkhorn_divergence(x, x.flip(0))) == pytest.approx(0, abs=1e-8)
    for shift in (0.1, 1.0):
        expected = 0.5 * 3 * shift**2
        assert float(sinkhorn_divergence(x, x + shift)) == pytest.approx(expected, rel=0.02)
