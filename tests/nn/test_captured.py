"""The step of a GPU, taken on the CPU: the same as one by torch's own means, and no step at all
where there is no number. What a GPU records and repeats is tested in tests/test_gpu.py."""

import copy

import numpy as np
import pytest
import torch

from skad.nn._captured import CapturedStep
from skad.nn._members import Members, per_event
from skad.nn._mlp import MLP

RATE = 3e-3


@per_event
def squared_error(network, batch):
    return (network(batch["x"])[..., 0] - batch["y"]).square()


def networks(n):
    torch.manual_seed(0)
    return [MLP(2, (8,)) for _ in range(n)]


def batches(n_members, n=5):
    rng = np.random.RandomState(0)
    shape = (n_members, 50, 2) if n_members > 1 else (50, 2)
    for _ in range(n):
        x = torch.from_numpy(rng.normal(size=shape).astype(np.float32))
        yield {"x": x, "y": x.sum(-1), "weight": torch.rand(shape[:-1])}


def step_of(members, clip_norm):
    optimizer = torch.optim.Adam(members.parameters(), lr=RATE, fused=True)
    return CapturedStep(members, squared_error, optimizer, clip_norm, [])


@pytest.mark.parametrize("clip_norm", [None, 0.1, 1e6])
@pytest.mark.parametrize("n_members", [1, 3])
def test_a_step_is_that_of_every_network_alone(n_members, clip_norm):
    start = networks(n_members)
    alone = copy.deepcopy(start)
    optimizers = [torch.optim.Adam(network.parameters(), lr=RATE) for network in alone]
    members = Members(start, squared_error)
    step = step_of(members, clip_norm)
    for batch in batches(n_members):
        losses = step._step(batch, torch.tensor(50))
        for k, (network, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            own = {name: t[k] for name, t in batch.items()} if n_members > 1 else batch
            optimizer.zero_grad()
            loss = (own["weight"] * squared_error(network, own)).sum() / 50
            loss.backward()
            if clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
            optimizer.step()
            assert losses.reshape(-1)[k].item() == pytest.approx(loss.item(), rel=1e-5)
    assert not step.failed.any()
    for k, network in enumerate(alone):
        for name, value in network.state_dict().items():
            other = members.state(k)[_name_in(members, name)]
            torch.testing.assert_close(other, value, rtol=1e-4, atol=1e-6)


def _name_in(members, name):
    """Stacked layers come one after the other, under names of their own."""
    if not members.stacked:
        return name
    names = list(members.state(0))
    return names[list(MLP(2, (8,)).state_dict()).index(name)]


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_step_without_a_number_changes_nothing(broken):
    members = Members(networks(1), squared_error)
    step = step_of(members, clip_norm=1.0)
    first, second = batches(1, 2)
    step._step(first, torch.tensor(50))
    before = members.state(0)
    moments = copy.deepcopy(step.optimizer.state_dict()["state"])
    if broken == "loss":
        second["y"][3] = torch.nan
    else:
        for p in members.parameters():
            p.register_hook(lambda g: g * torch.inf)
    losses = step._step(second, torch.tensor(50))
    assert losses.item() == 0
    assert step.failed.tolist() == [1]
    for name, value in members.state(0).items():
        assert torch.equal(value, before[name])
    for i, state in step.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            assert torch.equal(value, moments[i][name])


def test_a_stack_goes_on_for_members_that_have_a_number():
    members = Members(networks(2), squared_error)
    step = step_of(members, clip_norm=None)
    (batch,) = batches(2, 1)
    batch["y"][1, 3] = torch.nan
    before = members.state(0)
    losses = step._step(batch, torch.tensor(50))
    assert losses[0] > 0 and losses[1] == 0
    assert step.failed.tolist() == [0, 1]
    assert not all(torch.equal(v, before[name]) for name, v in members.state(0).items())
    assert members.finite().tolist() == [True, False]


def test_the_rate_is_changed_in_place():
    members = Members(networks(1), squared_error)
    step = step_of(members, clip_norm=None)
    (batch,) = batches(1, 1)
    before = members.state(0)
    step.optimizer.param_groups[0]["lr"].fill_(0.0)
    step._step(batch, torch.tensor(50))
    assert all(torch.equal(v, before[name]) for name, v in members.state(0).items())
