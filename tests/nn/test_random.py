"""Generators of skad's own: nobody else's draws change a fit, and a fit changes nobody's."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn

from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier, VAEDetector
from skad.nn import Flow, build_flow
from skad.nn._mlp import MLP
from skad.nn._random import Drawing, Dropout, draw_from, draws_from, own_dropout

X = np.random.RandomState(0).normal(size=(400, 3))
Y = np.random.RandomState(1).randint(2, size=400)
SMALL = {"max_epochs": 2, "batch_size": 100, "random_state": 0}
TINY = {"n_transforms": 1, "hidden_layer_sizes": (8,), **SMALL}


class Noisy(nn.Module):
    """An affine transform of a user's that draws in training, by a layer and by a function."""

    def __init__(self, n_features, n_context):
        super().__init__()
        self.shift = nn.Parameter(torch.randn(n_features))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, context=None):
        shift = self.dropout(self.shift)
        if self.training:
            shift = shift + 0.1 * torch.randn_like(shift) + 0.1 * torch.rand(len(shift))
        return x + shift, x.new_zeros(len(x))

    def inverse(self, z, context=None):
        return z - self.shift, z.new_zeros(len(z))


def noisy_flow(n_features, n_context):
    return Flow([Noisy(n_features, n_context)], n_features, n_context)


CASES = {
    "maf, dropout": lambda: FlowDensity("maf", flow_options={"dropout": 0.2}, **TINY),
    "stack of maf, dropout": lambda: FlowDensity(
        "maf", flow_options={"dropout": 0.2}, n_estimators=2, **TINY
    ),
    "hutchinson": lambda: FlowDensity(
        "cnf", flow_options={"trace": "hutchinson", "solver": "rk4"}, n_estimators=2, **TINY
    ),
    "own flow": lambda: FlowDensity(noisy_flow, **SMALL),
    "autoencoder": lambda: AutoencoderDetector(n_estimators=2, **SMALL),
    "vae": lambda: VAEDetector(hidden_layer_sizes=(8,), n_latent=2, **SMALL),
    "classifier, dropout": lambda: NetworkClassifier((8, 8), dropout=0.3, n_estimators=3, **SMALL),
}  # fmt: skip


def scores(estimator):
    estimator.fit(X, Y)
    name = "score_samples" if hasattr(estimator, "score_samples") else "decision_function"
    return getattr(estimator, name)(X)


class Others(threading.Thread):
    """Another thread that draws from torch's and numpy's global generators all the time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.drawn = []

    def run(self):
        while not self.over.is_set():
            self.drawn.append(torch.rand(1).item())
            np.random.rand()
            self.over.wait(1e-4)


@pytest.mark.parametrize("name", CASES)
def test_nobody_elses_draws_change_a_fit_and_a_fit_changes_nobodys(name):
    torch.manual_seed(5)
    alone = scores(CASES[name]())
    assert torch.rand(1).item() == torch.rand(1, generator=torch.Generator().manual_seed(5)).item()
    torch.manual_seed(5)
    others = Others()
    others.start()
    try:
        beside = scores(CASES[name]())
    finally:
        others.over.set()
        others.join()
    assert np.array_equal(alone, beside)
    expected = torch.rand(len(others.drawn) + 20, generator=torch.Generator().manual_seed(5))
    # One by one and in a row, torch draws the same numbers.
    drawn = torch.tensor(others.drawn)
    assert len(drawn) > 5
    assert torch.equal(drawn, expected[: len(drawn)])


def test_fits_side_by_side_are_the_fits_one_by_one():
    one_by_one = [scores(make()) for make in CASES.values()]
    found = {}
    threads = [
        threading.Thread(target=lambda n=name, m=make: found.update({n: scores(m())}))
        for name, make in CASES.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, expected in zip(CASES, one_by_one, strict=True):
        assert np.array_equal(found[name], expected), name


def test_every_random_operation_of_torch_takes_the_generator():
    def draws():
        x = torch.full((20,), 0.5)
        return [
            torch.rand(3), torch.randn(3), torch.randint(9, (3,)), torch.randint(2, 9, (3,)),
            torch.randperm(9), torch.rand_like(x), torch.randn_like(x), torch.randint_like(x, 9),
            torch.randint_like(x, 2, 9), torch.bernoulli(x), torch.normal(x, x),
            torch.normal(0.0, 1.0, (3,)), torch.multinomial(x, 2), torch.poisson(x),
            x.clone().uniform_(), x.clone().normal_(), x.clone().bernoulli_(0.5),
            x.clone().exponential_(), nn.functional.dropout(x), nn.Linear(3, 2).weight.detach(),
            torch.distributions.Gamma(x, x).sample(), torch.distributions.Beta(x, x).sample(),
        ]  # fmt: skip

    torch.manual_seed(3)
    expected = draws()
    state = torch.random.get_rng_state()
    with draw_from(torch.Generator().manual_seed(3)):
        drawn = draws()
    assert torch.equal(torch.random.get_rng_state(), state)
    for a, b in zip(drawn, expected, strict=True):
        assert torch.equal(a, b)


def test_dropout_keeps_the_mean_and_drops_its_share():
    dropout = Dropout(0.3)
    dropout.generators = (torch.Generator().manual_seed(0),)
    x = torch.full((200_000,), 2.0, requires_grad=True)
    y = dropout(x)
    y.sum().backward()
    kept = y != 0
    assert abs(kept.double().mean() - 0.7) < 5 * (0.21 / len(x)) ** 0.5
    assert torch.allclose(y[kept], torch.tensor(2 / 0.7))
    assert torch.equal(x.grad, y.detach() / 2)
    assert torch.equal(dropout.eval()(x), x)


def test_a_member_of_a_stack_draws_what_it_would_draw_alone():
    def generators():
        return [torch.Generator().manual_seed(seed) for seed in (4, 5)]

    x = torch.ones(2, 50, 3)
    alone = []
    for member, generator in zip(x, generators(), strict=True):
        dropout = Dropout(0.5)
        dropout.generators = (generator,)
        alone.append(dropout(member))
    stack = Dropout(0.5)
    draws_from(stack, generators())
    assert torch.equal(stack(x), torch.stack(alone))
    draws_from(stack, generators())
    assert torch.equal(torch.vmap(stack, randomness="different")(x), torch.stack(alone))


@pytest.mark.parametrize("name", ["stack of maf, dropout", "hutchinson", "classifier, dropout"])
def test_a_stack_with_dropout_is_its_members(name):
    together = CASES[name]().fit(X, Y)
    seeds = np.random.RandomState(0).randint(np.iinfo(np.int32).max, size=together.n_estimators)
    for k, seed in enumerate(seeds):
        trainer = together._trainer()
        assert trainer.max_epochs == 2
        alone = CASES[name]().set_params(n_estimators=1)
        alone.random_state = _Fixed(int(seed))
        alone.fit(X, Y)
        ours, theirs = together.trained_.networks[k][0], alone.trained_.networks[0][0]
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


class _Fixed(np.random.RandomState):
    """A source whose one seed is given."""

    def __init__(self, seed):
        super().__init__(0)
        self.seed_of_all = seed

    def randint(self, *args, size=None, **kwargs):
        return np.full(size, self.seed_of_all)


def test_a_users_dropout_is_ours_and_a_flow_alone_draws_from_torch():
    network = own_dropout(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.4)))
    assert isinstance(network[1], Dropout)
    assert network[1].p == 0.4
    assert list(network.state_dict()) == ["0.weight", "0.bias"]
    flow = build_flow("maf", 2, dropout=0.5).train()
    with torch.random.fork_rng():
        values = []
        for _ in range(2):
            torch.manual_seed(0)
            values.append(flow.log_prob(torch.ones(5, 2)))
    assert torch.equal(*values)


def test_trained_networks_hold_no_generator():
    for make in CASES.values():
        for kept in make().fit(X, Y).trained_.networks:
            for network in kept:
                for layer in network.modules():
                    assert not isinstance(layer, Drawing) or layer.generators == (None,)
    network = copy.deepcopy(pickle.loads(pickle.dumps(MLP(2, (3,), dropout=0.5))))
    assert network[2].p == 0.5
