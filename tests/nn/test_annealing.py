"""Annealed coefficients and noise in the engine."""

import pytest
import torch

from skad import papers
from skad.nn._annealing import Annealed
from skad.nn._engine import Trainer
from skad.nn._mlp import MLP

X = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))


def build(k):
    return MLP(2, (4,))


def values_of(coefficient, n_epochs):
    values = []
    for epoch in range(n_epochs):
        coefficient.move_to(epoch)
        values.append(coefficient.value)
    return values


def test_rises_from_zero_in_cycles_with_plateaus_and_stays():
    coefficient = Annealed(3.0, start=2, period=4, n_cycles=2)
    cycle = [0.0, 1.0, 2.0, 3.0, *[3.0] * 4]
    assert values_of(coefficient, 20) == pytest.approx([0.0, 0.0, *cycle, *cycle, 3.0, 3.0])
    assert coefficient.n_epochs == 14
    assert values_of(Annealed(3.0, start=1, period=1), 4) == [0.0, 0.0, 3.0, 3.0]
    assert Annealed(3.0).value == 3.0
    assert Annealed(3.0).n_epochs == 0


def test_the_annealing_of_the_public_code_of_disco():
    """Zero to epoch 10, ninths of the way from 11 to 19, full to 29; the same again from 30 on."""
    rise = [i / 9 for i in range(10)]
    expected = [0.0] * 10 + rise + [1.0] * 10 + rise + [1.0] * 60
    coefficient = Annealed(1.0, *papers.vae_disco("mass").decorrelation.annealing)
    assert values_of(coefficient, 100) == pytest.approx(expected)
    # Outlier exposure counts its patience from epoch 35 on, when the last rise is over.
    assert Annealed(1.0, *papers.vae_outlier_exposure().exposure.annealing).n_epochs == 35


def test_the_objective_sees_it_and_only_full_strength_counts():
    coefficient = Annealed(1.0, start=1, period=2, n_cycles=1)
    seen = []

    def objective(network, batch):
        seen.append(coefficient.value)
        # Zero until the coefficient rises: the first epochs would win if they counted.
        return coefficient.value * (1 + network(batch["x"]).squeeze(-1).square())

    def fit(**settings):
        return Trainer(batch_size=200, **settings).fit(
            build, objective, {"x": X}, seeds=[0], annealed=[coefficient]
        )

    best = fit(max_epochs=4, select="best")
    assert seen[::2] == [0.0, 0.0, 1.0, 1.0]
    assert best.histories[0][0]["valid_loss"] == 0
    last = fit(max_epochs=4, select="last", validation_fraction=0.1, early_stopping=True)
    for a, b in zip(
        best.networks[0][0].parameters(), last.networks[0][0].parameters(), strict=True
    ):
        assert torch.equal(a, b)
    # From 0 to 1 the loss rises, which must not use up the patience.
    assert fit(max_epochs=6, early_stopping=True, n_iter_no_change=1).n_epochs > 4


def test_annealing_that_never_ends_is_an_error():
    with pytest.raises(ValueError, match=r"takes 15 epochs, .* max_epochs=10"):
        Trainer(max_epochs=10).fit(
            build,
            lambda network, batch: network(batch["x"]).squeeze(-1),
            {"x": X},
            seeds=[0],
            annealed=[Annealed(1.0, 0, 5, 2)],
        )


def test_noise_is_fresh_in_training_fixed_in_validation_and_own_to_each_member():
    noise = []

    def objective(network, batch):
        if not torch._C._functorch.is_batchedtensor(batch["noise"]):
            noise.append(batch["noise"])
        prediction = network(batch["x"]).squeeze(-1)
        return (prediction + batch["noise"][:, 0] - 1).square()

    settings = {"max_epochs": 3, "batch_size": 500, "select": "best"}
    alone = Trainer(**settings).fit(build, objective, {"x": X}, seeds=[3], n_noise=3)
    shapes = [tuple(n.shape) for n in noise]
    assert shapes == [(180, 3), (20, 3)] * 3
    training, validation = noise[::2], noise[1::2]
    assert not torch.equal(training[0], training[1])
    assert torch.equal(validation[0], validation[1])
    assert abs(float(torch.cat(training).mean())) < 0.1
    assert float(torch.cat(training).std()) == pytest.approx(1, abs=0.1)
    stacked = Trainer(**settings).fit(build, objective, {"x": X}, seeds=[5, 3], n_noise=3)
    for a, b in zip(
        alone.networks[0][0].parameters(), stacked.networks[1][0].parameters(), strict=True
    ):
        torch.testing.assert_close(a, b)
