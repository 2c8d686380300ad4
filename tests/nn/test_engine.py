"""The training engine: stacks, weights, selection, rescue, interrupts, reproducibility."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skad.exceptions import DivergenceError, DivergenceWarning, InterruptedFitWarning
from skad.nn._autoencoder import Autoencoder, VariationalAutoencoder
from skad.nn._engine import Trainer
from skad.nn._loader import EventData, EventLoader
from skad.nn._members import Members, per_event
from skad.nn._mlp import MLP, Standardize
from skad.nn._schedules import SCHEDULES, schedule_of
from skad.nn._trained import log_mean_exp

N = 600


@pytest.fixture
def tensors():
    rng = np.random.RandomState(0)
    x = rng.normal(size=(N, 3)).astype(np.float32)
    y = (x[:, 0] + 0.5 * rng.normal(size=N)).astype(np.float32)
    return {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}


def build(k):
    return MLP(3, (8, 4))


def squared_error(network, batch):
    return (network(batch["x"]).squeeze(-1) - batch["y"]).square()


def state(trained, member=0, which=-1):
    return torch.cat([p.flatten() for p in trained.networks[member][which].parameters()]).double()


def mean_loss(trained, tensors, member=0, rows=slice(None)):
    network = copy.deepcopy(trained.networks[member][-1]).double()
    batch = {name: t[rows].double() for name, t in tensors.items()}
    return float(squared_error(network, batch).mean())


per_event_squared_error = per_event(lambda *arguments: squared_error(*arguments))


@pytest.mark.parametrize("objective", [squared_error, per_event_squared_error])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_stack_trains_like_its_members_one_by_one(tensors, objective, early_stopping):
    seeds = [3, 1, 2]
    weights = np.random.RandomState(1).uniform(0.5, 2, size=(3, N))
    rows = [np.flatnonzero(np.arange(N) % 3 != k)[: 400 - k] for k in range(3)]
    valid = [np.flatnonzero(np.arange(N) % 3 == k) for k in range(3)]
    trainer = Trainer(
        max_epochs=25,
        batch_size=64,
        learning_rate=2e-2,
        schedule="cosine",
        clip_norm=0.5,
        early_stopping=early_stopping,
        n_iter_no_change=2,
        tol=1e-3,
        select="best",
        n_averaged=2,
    )
    options = {"weights": weights, "rows": rows, "valid_rows": valid}
    together = trainer.fit(build, objective, tensors, seeds=seeds, **options)
    lengths = set()
    for k, seed in enumerate(seeds):
        own = {name: value[k : k + 1] for name, value in options.items()}
        alone = trainer.fit(build, objective, tensors, seeds=[seed], **own)
        for which in range(2):
            torch.testing.assert_close(
                state(together, k, which), state(alone, 0, which), rtol=1e-3, atol=1e-4
            )
        assert len(together.histories[k]) == len(alone.histories[0])
        lengths.add(len(alone.histories[0]))
    if early_stopping:
        assert len(lengths) > 1, "members must stop at different epochs for this test to bite"


def standardized(k):
    scaling = Standardize(np.arange(3) + k, np.array([1.0, 2.0, 0.0]))
    return nn.Sequential(scaling, MLP(3, (8, 4), activation="elu"))


def relu_on_a_copy(k):
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), MLP(8, (4,), dropout=0.0))


def autoencoder(k):
    scaling = Standardize(np.zeros(3), np.ones(3))
    return Autoencoder(scaling, 3, (5,), 2, encoder_bias=False)


def variational(k):
    return VariationalAutoencoder(Standardize(np.zeros(3), np.ones(3)), 3, (5,), 2)


def loss_of_standardized(network, batch):
    return squared_error(lambda x: network(x), batch)


def loss_of_autoencoder(network, batch):
    return (network(batch["x"]) - batch["x"]).square().mean(-1)


def loss_of_variational(network, batch):
    reconstruction, mean, log_variance = network(batch["x"], batch["x"][..., :2])
    return (reconstruction - batch["x"]).square().mean(-1) + (mean + log_variance).sum(-1)


@pytest.mark.parametrize(
    ("build", "loss"),
    [
        (build, squared_error),
        (relu_on_a_copy, squared_error),
        (standardized, loss_of_standardized),
        (autoencoder, loss_of_autoencoder),
        (variational, loss_of_variational),
    ],
)
def test_batched_products_give_the_losses_and_gradients_of_every_member(tensors, build, loss):
    modules = [build(k) for k in range(4)]
    batch = {name: t.reshape(4, N // 4, *t.shape[1:]) for name, t in tensors.items()}
    members = Members(modules, per_event(lambda *arguments: loss(*arguments)))
    assert members.network is not None
    losses = members(loss, batch, N // 4)
    losses.sum().backward()
    gradients = {name: p.grad for name, p in members.network.named_parameters()}
    for k, module in enumerate(modules):
        own = loss(module, {name: t[k] for name, t in batch.items()}).mean()
        own.backward()
        torch.testing.assert_close(losses[k], own)
        for name, p in module.named_parameters():
            torch.testing.assert_close(gradients[name][k], p.grad, rtol=1e-4, atol=1e-6)
        module.load_state_dict(members.state(k))
    members.select([1, 3], torch.optim.Adam(members.parameters()))
    kept = members(loss, {name: t[[1, 3]] for name, t in batch.items()}, N // 4)
    torch.testing.assert_close(kept, losses[[1, 3]])


def test_networks_and_objectives_without_a_batched_form_are_mapped():
    class Own(MLP):
        """May do anything in its forward."""

    objective = per_event(lambda *arguments: squared_error(*arguments))
    assert Members([build(k) for k in range(2)], squared_error).network is None
    assert Members([Own(3, (4,)) for _ in range(2)], objective).network is None
    nested = [nn.Sequential(MLP(3, (4,)), nn.LayerNorm(1)) for _ in range(2)]
    assert Members(nested, objective).network is None


def test_unit_weights_change_nothing(tensors):
    trainer = Trainer(max_epochs=3, batch_size=50)
    plain = trainer.fit(build, squared_error, tensors, seeds=[0])
    weighted = trainer.fit(build, squared_error, tensors, seeds=[0], weights=np.ones(N))
    assert torch.equal(state(plain), state(weighted))


def test_weights_equal_repetitions_in_one_batch(tensors):
    counts = np.random.RandomState(0).randint(0, 4, size=N)
    trainer = Trainer(max_epochs=20, batch_size=10 * N)
    repeated = {
        name: t.repeat_interleave(torch.from_numpy(counts), 0) for name, t in tensors.items()
    }
    a = trainer.fit(build, squared_error, tensors, seeds=[0], weights=counts.astype(float))
    b = trainer.fit(build, squared_error, repeated, seeds=[0])
    torch.testing.assert_close(state(a), state(b), rtol=1e-9, atol=1e-9)


def test_all_weights_zero_on_a_part_is_an_error(tensors):
    weights = np.zeros(N)
    weights[:10] = 1
    with pytest.raises(ValueError, match="sample_weight is zero for every event"):
        Trainer().fit(
            build,
            squared_error,
            tensors,
            seeds=[0],
            weights=weights,
            rows=[np.arange(20, N)],
        )


def test_best_epochs_have_the_lowest_validation_losses(tensors):
    trained = Trainer(
        max_epochs=15, batch_size=20, learning_rate=0.1, select="best", n_averaged=3
    ).fit(build, squared_error, tensors, seeds=[0])
    valid = [entry["valid_loss"] for entry in trained.histories[0]]
    held_out = np.random.RandomState(0).permutation(N)[: round(0.1 * N)]
    kept = [
        float(
            squared_error(
                network, {name: t[np.sort(held_out)] for name, t in tensors.items()}
            ).mean()
        )
        for network in trained.networks[0]
    ]
    np.testing.assert_allclose(sorted(kept), sorted(valid)[:3], rtol=1e-5)
    assert min(valid) < valid[-1], "the last epoch must not be the best for this test to bite"


def test_last_epochs_are_kept(tensors):
    long = Trainer(max_epochs=6, n_averaged=2).fit(build, squared_error, tensors, seeds=[0])
    short = Trainer(max_epochs=5).fit(build, squared_error, tensors, seeds=[0])
    assert len(long.networks[0]) == 2
    assert torch.equal(state(long, which=0), state(short))


def test_divergence_is_rescued(tensors):
    calls = []

    def fails_for_a_while(network, batch):
        calls.append(1)
        loss = squared_error(network, batch)
        return loss * float("nan") if 20 < len(calls) < 60 else loss

    with pytest.warns(DivergenceWarning, match="went back to its last good state"):
        trained = Trainer(max_epochs=30, batch_size=100, learning_rate=1e-2).fit(
            build, fails_for_a_while, tensors, seeds=[0]
        )
    assert mean_loss(trained, tensors) < float(tensors["y"].var())
    assert np.isfinite([entry["train_loss"] for entry in trained.histories[0]]).all()


def test_a_diverging_member_leaves_the_stack_and_is_rescued_alone(tensors):
    def build_with_outlier(k):
        network = build(k)
        if k == 1:
            network[0].weight.data[:] = 1e30
        return network

    trainer = Trainer(max_epochs=10, batch_size=100)
    with pytest.raises(DivergenceError, match="Lower learning_rate"):
        trainer.fit(build_with_outlier, squared_error, tensors, seeds=[0, 1, 2])


def test_training_that_is_never_finite_fails_loudly(tensors):
    def never(network, batch):
        return squared_error(network, batch) * float("inf")

    with pytest.raises(DivergenceError, match="never reached a finite loss"):
        Trainer(max_epochs=3).fit(build, never, tensors, seeds=[0])


def test_clipping_bounds_the_step(tensors):
    big = {**tensors, "y": 1e4 * tensors["y"]}
    norms = []

    def watched(network, batch):
        loss = squared_error(network, batch)
        p = next(iter(network.parameters()))
        p.register_hook(lambda g: norms.append(float(g.norm())))
        return loss

    clipped = Trainer(max_epochs=1, batch_size=N, clip_norm=1.0).fit(build, watched, big, seeds=[0])
    assert max(norms) > 1e3
    assert clipped.histories[0][0]["train_loss"] > 0


def test_interrupt_keeps_the_best_state_and_says_so(tensors):
    from skorch.callbacks import Callback

    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    with pytest.warns(InterruptedFitWarning, match="interrupted from the keyboard"):
        trained = Trainer(max_epochs=50, callbacks=[Interrupt()]).fit(
            build, squared_error, tensors, seeds=[0]
        )
    assert trained.n_epochs == 3
    expected = Trainer(max_epochs=3).fit(build, squared_error, tensors, seeds=[0])
    assert torch.equal(state(trained), state(expected))


def test_same_seed_same_result_and_the_callers_generators_stay(tensors):
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    trainer = Trainer(max_epochs=3, batch_size=50)
    a = trainer.fit(lambda k: MLP(3, (8,), dropout=0.3), squared_error, tensors, seeds=[7, 8])
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    torch.rand(3)
    b = trainer.fit(lambda k: MLP(3, (8,), dropout=0.3), squared_error, tensors, seeds=[7, 8])
    assert torch.equal(state(a, 1), state(b, 1))
    assert not torch.equal(state(a, 0), state(a, 1))


def test_memory_map_trains_like_an_array(tensors, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, tensors["x"].numpy())
    mapped = np.load(path, mmap_mode="c")
    trainer = Trainer(max_epochs=2, batch_size=32)
    a = trainer.fit(build, squared_error, tensors, seeds=[0])
    b = trainer.fit(build, squared_error, {**tensors, "x": torch.from_numpy(mapped)}, seeds=[0])
    assert torch.equal(state(a), state(b))


def test_fewer_rows_than_a_batch(tensors):
    few = {name: t[:3] for name, t in tensors.items()}
    trained = Trainer(max_epochs=300, batch_size=512, learning_rate=1e-2).fit(
        build, squared_error, few, seeds=[0]
    )
    assert mean_loss(trained, few) < 1e-2


def test_split_too_small_is_an_error(tensors):
    few = {name: t[:3] for name, t in tensors.items()}
    with pytest.raises(ValueError, match="validation_fraction=0.1 leaves no event"):
        Trainer(early_stopping=True).fit(build, squared_error, few, seeds=[0])


def test_stratified_split_keeps_the_proportions(tensors):
    labels = np.r_[np.ones(30), np.zeros(N - 30)]
    seen = []

    def record(network, batch):
        seen.append((len(batch["x"]), int(batch["label"].sum())))
        return squared_error(network, batch)

    Trainer(max_epochs=1, batch_size=N, early_stopping=True, validation_fraction=0.2).fit(
        build,
        record,
        {**tensors, "label": torch.from_numpy(labels)},
        seeds=[0],
        stratify=labels,
    )
    assert seen == [(480, 24), (120, 6)]


def test_scalar_loss_of_a_batch(tensors):
    trainer = Trainer(max_epochs=3, batch_size=100)
    a = trainer.fit(build, squared_error, tensors, seeds=[0])
    b = trainer.fit(build, lambda n, b: squared_error(n, b).mean(), tensors, seeds=[0])
    assert torch.equal(state(a), state(b))


@pytest.mark.parametrize("n_rows", [1, 63, 64, 95, 97, 640, 5000])
def test_every_row_once_an_epoch(n_rows):
    data = EventData({"i": torch.arange(n_rows)}, [np.arange(n_rows)])
    loader = EventLoader(data, 64, torch.device("cpu"), False, [torch.Generator().manual_seed(0)])
    batches = [batch["i"] for batch, _ in loader]
    seen = torch.cat(batches)
    assert torch.equal(seen.sort().values, torch.arange(n_rows))
    assert len(batches) == len(loader)
    if n_rows > 64:
        assert not torch.equal(seen, torch.arange(n_rows))
        assert min(len(b) for b in batches) >= 32


def test_members_with_fewer_rows_are_padded_by_weight_zero():
    rows = [np.arange(10), np.arange(3, 9)]
    data = EventData({"i": torch.arange(10)}, rows)
    loader = EventLoader(
        data, 4, torch.device("cpu"), True, [torch.Generator().manual_seed(s) for s in (0, 1)]
    )
    seen = [[], []]
    for batch, n_rows in loader:
        for k in range(2):
            real = batch["weight"][k] == 1
            assert int(real.sum()) == int(n_rows[k])
            seen[k] += batch["i"][k][real].tolist()
    assert sorted(seen[0]) == list(range(10))
    assert sorted(seen[1]) == list(range(3, 9))


def test_evaluation_does_not_depend_on_the_chunk_and_survives_a_pickle(tensors, monkeypatch):
    trained = Trainer(max_epochs=1, n_averaged=1).fit(build, squared_error, tensors, seeds=[0, 1])
    arrays = {"x": tensors["x"].numpy()}

    def output(network, batch):
        return network(batch["x"]).squeeze(-1)

    def mean(stacked):
        return stacked.mean(0)

    whole = trained.evaluate(output, arrays, reduce=mean)
    with monkeypatch.context() as small:
        small.setattr("skad.nn._trained._CHUNK", 7)
        parts = trained.evaluate(output, arrays, reduce=mean)
    by_hand = np.mean(
        [kept[0](tensors["x"]).squeeze(-1).numpy() for kept in trained.networks], axis=0
    )
    np.testing.assert_allclose(whole, parts, atol=1e-6)
    np.testing.assert_allclose(whole, by_hand, atol=1e-6)
    loaded = pickle.loads(pickle.dumps(trained))
    assert (loaded.evaluate(output, arrays, reduce=mean) == whole).all()


def test_every_network_draws_an_equal_share(tensors):
    trained = Trainer(max_epochs=2, n_averaged=2).fit(build, squared_error, tensors, seeds=[0, 1])
    shares = trained.shares(10, np.random.RandomState(0))
    assert [network for network, _ in shares] == [n for kept in trained.networks for n in kept]
    assert sorted(len(rows) for _, rows in shares) == [2, 2, 3, 3]
    assert sorted(np.concatenate([rows for _, rows in shares])) == list(range(10))
    # A network without a share is left out.
    assert len(trained.shares(3, np.random.RandomState(0))) == 3


def test_a_part_of_every_network(tensors):
    trained = Trainer(max_epochs=1).fit(build, squared_error, tensors, seeds=[0, 1])
    parts = trained.map(lambda network: network[0])
    assert [kept[0] for kept in parts.networks] == [kept[0][0] for kept in trained.networks]
    assert parts.n_epochs == trained.n_epochs


def test_log_mean_exp_of_large_values():
    values = torch.tensor([[1e4, -1e4], [1e4 + np.log(3), -1e4]], dtype=torch.float64)
    torch.testing.assert_close(log_mean_exp(values), values[0] + torch.tensor([np.log(2), 0.0]))


def test_drops_of_the_rate_begin_with_their_epoch():
    n_epochs, n_batches = 7, 3
    drops = schedule_of({4: 0.01, 2: 0.1}, n_epochs)
    rates = [drops(step / (n_epochs * n_batches)) for step in range(n_epochs * n_batches)]
    assert rates == [1.0] * 6 + [0.1] * 6 + [0.01] * 9
    for wrong in ({-1: 0.1}, {1.5: 0.1}, {1: 0.0}):
        with pytest.raises(ValueError, match=r"schedule must be a name or \{epoch: factor\}"):
            schedule_of(wrong, n_epochs)


def test_schedules_start_peak_and_end():
    one_cycle = [SCHEDULES["one_cycle"](i / 100) for i in range(100)]
    assert one_cycle[0] == pytest.approx(1 / 25)
    assert max(one_cycle) == one_cycle[30] == pytest.approx(1.0)
    assert one_cycle[-1] < 1e-2
    reference = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0),
        max_lr=1.0,
        total_steps=101,
        final_div_factor=1e4 / 25,
        cycle_momentum=False,
    )
    for value in one_cycle:
        assert value == pytest.approx(reference.get_last_lr()[0], abs=0.05)
        reference.optimizer.step()
        reference.step()
    assert SCHEDULES["cosine"](0.5) == pytest.approx(0.5)
    assert SCHEDULES["constant"](0.9) == 1.0


def test_unknown_device_is_named():
    with pytest.raises(ValueError, match="device='banana' cannot be used"):
        Trainer(device="banana").fit(build, squared_error, {"x": torch.zeros(3, 3)}, seeds=[0])
