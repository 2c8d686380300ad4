"""The training engine: one skorch-based trainer for every network (the only file with skorch)."""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn
from tqdm import tqdm

from skad.exceptions import DivergenceError, DivergenceWarning, InterruptedFitWarning
from skad.nn._annealing import Annealed
from skad.nn._device import resolve_device, seeded
from skad.nn._loader import EventData, EventLoader
from skad.nn._members import Members, Objective
from skad.nn._schedules import SCHEDULES
from skad.nn._trained import TrainedMembers

__all__ = ["Trainer"]

# A diverging network goes back to its last good state with its learning rate divided by this.
_RESCUE_FACTOR = 3.0
_MAX_RESCUES = 6
_MAX_SKIPPED_FRACTION = 0.1

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Settings of a training and the loop that follows them.

    Every network estimator of skad offers these settings as parameters of its own.

    Parameters
    ----------
    max_epochs : int, default=50
    batch_size : int, default=512
        Events per step; at most all of them.
    learning_rate : float, default=1e-3
        Peak of the schedule.
    weight_decay : float, default=0.0
    optimizer : {"adam", "adamw"}, default="adam"
        The optimizer; "adamw" decouples the weight decay.
    schedule : {"constant", "cosine", "one_cycle"}, default="constant"
        Learning rate over the whole training, updated every step.
    clip_norm : float or None, default=None
        Largest norm of the gradient of a network; larger ones are scaled down.
    early_stopping : bool, default=False
        Stop a network when its validation loss has not fallen by `tol` for
        `n_iter_no_change` epochs.
    validation_fraction : float, default=0.1
        Part of the events held out when `early_stopping` is set or `select="best"`.
    n_iter_no_change : int, default=10
    tol : float, default=1e-4
    select : {"last", "best"}, default="last"
        Epochs whose states are kept: the last ones, or those of lowest validation loss.
    n_averaged : int, default=1
        Number of states kept; predictions are averaged over them.
    device : str, default="auto"
    verbose : int, default=0
        1 shows a progress bar over the epochs.
    """

    max_epochs: int = 50
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    optimizer: str = "adam"
    schedule: str = "constant"
    clip_norm: float | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    select: str = "last"
    n_averaged: int = 1
    device: str = "auto"
    verbose: int = 0

    @property
    def needs_validation(self) -> bool:
        """Whether the settings call for held-out events."""
        return self.early_stopping or self.select == "best"

    def fit(
        self,
        build: Callable[[int], nn.Module],
        objective: Objective,
        tensors: dict[str, torch.Tensor],
        *,
        seeds: Sequence[int],
        weights: np.ndarray | None = None,
        rows: Sequence[np.ndarray] | None = None,
        valid_rows: Sequence[np.ndarray] | None = None,
        stratify: np.ndarray | None = None,
        annealed: Sequence[Annealed] = (),
        n_noise: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> TrainedMembers:
        """Train one network per seed.

        Networks of one architecture are trained as one with a leading member axis, unless
        their class sets ``stackable = False``. The result is the one of training them one by
        one with the same seeds. Where all events fit into one batch, training runs in float64,
        so that a weight of two equals an event given twice to rounding.

        Parameters
        ----------
        build : callable
            ``build(k)`` returns the network of member `k`; called with torch seeded by
            ``seeds[k]``. A network that is not stackable may have a method
            ``end_epoch(batches)``, called with the training events after each epoch.
        objective : callable
            ``objective(network, batch)`` returns a loss per event, or a scalar for a loss that
            only a whole batch has. `batch` is a dict of tensors of the events, with "weight"
            when there are weights.
        tensors : dict of str to tensor of shape (n_events, ...)
        seeds : sequence of int
        weights : array of shape (n_events,) or (n_members, n_events), default=None
        rows, valid_rows : sequence of int arrays, default=None
            Training and validation events of each member; by default all of them, with a
            random part held out when the settings need one.
        stratify : array of shape (n_events,), default=None
            Class labels whose proportions the random split keeps.
        annealed : sequence of Annealed
            Coefficients that the objective reads. Losses compare only once all are at their
            targets: states are kept and patience runs from then on.
        n_noise : int, default=0
            Standard normal numbers that every event gets afresh in every epoch, in the batch as
            "noise"; the validation events keep theirs.
        callbacks : sequence of skorch callbacks
            Called with the net, whose `criterion_` holds the objective.

        Returns
        -------
        trained : TrainedMembers

        Raises
        ------
        DivergenceError
            No finite loss was reached.
        """
        n_annealing = max((coefficient.n_epochs for coefficient in annealed), default=0)
        if n_annealing >= self.max_epochs:
            raise ValueError(
                f"The annealing takes {n_annealing} epochs, which leaves none at full strength out "
                f"of max_epochs={self.max_epochs}; raise max_epochs or shorten the annealing."
            )
        device = resolve_device(self.device)
        n_events = len(next(iter(tensors.values())))
        rows = [np.arange(n_events)] * len(seeds) if rows is None else list(rows)
        if valid_rows is None and self.needs_validation:
            rows, valid_rows = _split(rows, seeds, self.validation_fraction, stratify)
        one_batch = all(len(r) <= self.batch_size for r in rows)
        dtype = torch.float64 if one_batch and device.type != "mps" else torch.float32
        modules = []
        for k, seed in enumerate(seeds):
            with seeded(seed, device):
                modules.append(build(k).to(device))
            if dtype == torch.float64:
                modules[-1].double()
        stack = [range(len(seeds))]
        if not getattr(modules[0], "stackable", True):
            stack = [range(k, k + 1) for k in range(len(seeds))]

        trained: dict[int, _Record] = {}
        queue: list[Sequence[int]] = list(stack)
        while queue:
            members = queue.pop(0)
            run = _Run(
                self,
                objective,
                _data(tensors, weights, rows, members, dtype, n_noise),
                None
                if valid_rows is None
                else _data(tensors, weights, valid_rows, members, dtype, n_noise),
                [seeds[k] for k in members],
                device,
                annealed,
                callbacks,
            )
            records = run.train([modules[k] for k in members])
            for k, record in zip(members, records, strict=True):
                if record.evicted:
                    # A diverging member leaves the stack and is trained alone, where it can
                    # be rescued without touching the others.
                    queue.append(range(k, k + 1))
                else:
                    trained[k] = record
            if run.interrupted:
                warnings.warn(
                    "The fit was interrupted from the keyboard; the best state so far is kept.",
                    InterruptedFitWarning,
                    stacklevel=3,
                )
                break
        return _collect(trained, modules, device)


@dataclass
class _Record:
    """What the training of one member left behind."""

    states: list[dict[str, torch.Tensor]]
    history: list[dict[str, float]]
    n_rescues: int = 0
    n_skipped: int = 0
    evicted: bool = False


def _collect(trained: dict[int, _Record], modules, device) -> TrainedMembers:
    kept, histories = [], []
    for k, record in sorted(trained.items()):
        if not record.states:
            raise DivergenceError(
                "Training never reached a finite loss. Lower learning_rate, set clip_norm "
                "(say 5.0), take schedule='one_cycle', or bring the features to unit scale."
            )
        if record.n_rescues or record.n_skipped:
            warnings.warn(
                f"Training met non-finite losses: {record.n_skipped} steps were skipped and the "
                f"network went back to its last good state {record.n_rescues} times at a lower "
                "learning rate. Lower learning_rate or set clip_norm.",
                DivergenceWarning,
                stacklevel=4,
            )
        networks = []
        for state in record.states:
            network = modules[k] if state is record.states[-1] else copy.deepcopy(modules[k])
            network.load_state_dict(state)
            networks.append(network.eval().requires_grad_(False))
        kept.append(networks)
        histories.append(record.history)
    return TrainedMembers(kept, histories, device)


def _split(rows, seeds, fraction, stratify):
    """Hold out a random part of the rows of every member."""
    train, valid = [], []
    for member_rows, seed in zip(rows, seeds, strict=True):
        rng = np.random.RandomState(seed)
        labels = np.zeros(len(member_rows)) if stratify is None else stratify[member_rows]
        held_out = np.zeros(len(member_rows), dtype=bool)
        for label in np.unique(labels):
            of_label = rng.permutation(np.flatnonzero(labels == label))
            held_out[of_label[: round(fraction * len(of_label))]] = True
        if held_out.all() or not held_out.any():
            raise ValueError(
                f"validation_fraction={fraction} leaves no event for training or for validation "
                f"out of n_samples={len(member_rows)}; give more events, another fraction, or "
                "early_stopping=False and select='last'."
            )
        train.append(member_rows[~held_out])
        valid.append(member_rows[held_out])
    return train, valid


def _data(tensors, weights, rows, members, dtype, n_noise) -> EventData:
    own_rows = [rows[k] for k in members]
    if weights is None or np.all(weights == 1):
        return EventData(tensors, own_rows, n_noise=n_noise)
    weights = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    own = weights[list(members)] if len(weights) > 1 else np.repeat(weights, len(members), 0)
    sums = [w[r].sum() for w, r in zip(own, own_rows, strict=True)]
    if not all(s > 0 for s in sums):
        raise ValueError(
            "sample_weight is zero for every event of a training or validation part; give "
            "positive weights to more events or lower the number of folds."
        )
    own = own * np.array([len(r) / s for r, s in zip(own_rows, sums, strict=True)])[:, None]
    if len(weights) == 1 and (own == own[:1]).all():
        own = own[:1]
    return EventData(tensors, own_rows, torch.from_numpy(own).to(dtype), n_noise)


class _Run:
    """The training of one stack of members."""

    def __init__(self, settings, objective, train, valid, seeds, device, annealed, callbacks):
        self.settings = settings
        self.objective = objective
        self.train_data = train
        self.valid_data = valid
        self.seeds = seeds
        self.device = device
        self.annealed = annealed
        self.callbacks = callbacks
        self.interrupted = False

    def train(self, modules: Sequence[nn.Module]) -> list[_Record]:
        settings = self.settings
        keeper = _Keeper(self, settings)
        callbacks: list = [*self.callbacks, keeper]
        if settings.verbose:
            callbacks.append(_ProgressBar())
        adam = {"fused": True} if self.device.type in ("cpu", "cuda") else {}
        net = _Net(
            Members(modules, self.objective),
            self.objective,
            run=self,
            optimizer=_OPTIMIZERS[settings.optimizer],
            optimizer__weight_decay=settings.weight_decay,
            **{f"optimizer__{name}": value for name, value in adam.items()},
            lr=settings.learning_rate,
            max_epochs=settings.max_epochs,
            device=self.device,
            callbacks=callbacks,
            verbose=0,
        )
        seed = self.seeds[0] if len(self.seeds) == 1 else int(np.sum(self.seeds) % 2**31)
        with seeded(seed, self.device):
            net.initialize()
            net.partial_fit(self.train_data)
        return keeper.records


class _Net(NeuralNet):
    """skorch's net over a stack of members.

    Never a base class of an estimator: it only replaces skorch's loops over batches, whose
    bookkeeping for every batch costs a quarter of the speed of a small network.
    """

    def __init__(self, module, criterion, *, run, **kwargs):
        super().__init__(module, criterion, **kwargs)
        self.run = run

    @property
    def _default_callbacks(self):
        return []

    def initialize_criterion(self):
        # An objective is a plain function; skorch wants modules.
        self.criterion_ = _Criterion(self.criterion)
        return self

    def get_split_datasets(self, X, y=None, **fit_params):
        return X, self.run.valid_data

    def get_iterator(self, dataset, training=False):
        settings, device = self.run.settings, self.run.device
        stacked = self.module_.stacked
        if not training:
            return EventLoader(dataset, max(settings.batch_size, 4096), device, stacked)
        self.generators = [torch.Generator().manual_seed(seed) for seed in self.run.seeds]
        batch_size = min(settings.batch_size, len(dataset))
        loader = EventLoader(dataset, batch_size, device, stacked, self.generators)
        self.n_steps = len(loader) * settings.max_epochs
        self.i_step = 0
        self.lr_factor = 1.0
        self.epoch_loss = {}
        return loader

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        try:
            return super().fit_loop(X, y, epochs, **fit_params)
        except _AllStopped:
            return self
        except KeyboardInterrupt:
            self.run.interrupted = True
            raise

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        members: Members = self.module_
        members.train(training)
        objective = self.criterion_.objective
        step = self._step if training else self._evaluate
        total = torch.zeros(members.n_members, device=self.run.device)
        n_seen: int | torch.Tensor = 0
        self.skipped = torch.zeros(members.n_members, dtype=torch.bool)
        self.n_skipped = 0
        for batch, n_rows in iterator:
            losses = step(members, objective, batch, n_rows)
            if isinstance(n_rows, int):
                total.add_(losses, alpha=n_rows)
            else:
                total += losses * n_rows
            n_seen = n_seen + n_rows
        if training and not members.stacked and hasattr(members.network, "end_epoch"):
            members.network.end_epoch(batch for batch, _ in iterator)
        mean = total / torch.as_tensor(n_seen).clamp(min=1)
        self.epoch_loss[prefix] = mean.cpu().double().numpy()

    def _evaluate(self, members, objective, batch, n_rows):
        with torch.no_grad():
            return self._losses(members, objective, batch, n_rows)

    def _losses(self, members, objective, batch, n_rows):
        try:
            return members(objective, batch, n_rows)
        except DivergenceError:
            # The solver of a continuous flow gives up on a stiff field instead of returning NaN.
            return torch.tensor(torch.nan, device=self.run.device, requires_grad=True)

    def _step(self, members, objective, batch, n_rows):
        """Take one optimizer step; members with a non-finite loss or gradient sit it out."""
        settings = self.run.settings
        group = self.optimizer_.param_groups[0]
        lr = settings.learning_rate * self.lr_factor
        group["lr"] = lr * SCHEDULES[settings.schedule](self.i_step / self.n_steps)
        self.i_step += 1
        # By hand: the bookkeeping of zero_grad costs as much as a layer of a small network.
        for p in group["params"]:
            p.grad = None
        losses = self._losses(members, objective, batch, n_rows)
        total = losses if losses.ndim == 0 else losses.sum()
        total.backward()
        losses = losses.detach()
        finite = math.isfinite(total.item())
        checked = losses
        if settings.clip_norm is not None and finite:
            gradients = [p.grad for p in group["params"] if p.grad is not None]
            if members.stacked:
                checked = losses + _clip_members(gradients, settings.clip_norm)
                finite = math.isfinite(checked.sum().item())
            else:
                norm = _clip(gradients, settings.clip_norm)
                finite = math.isfinite(norm)
                checked = losses if finite else losses * torch.nan
        if finite:
            self.optimizer_.step()
            return losses
        finite_members = torch.isfinite(checked)
        self.skipped |= ~finite_members.cpu()
        self.n_skipped += 1
        # A stack goes on for its finite members; the others leave it at the end of the epoch.
        if finite_members.any():
            self.optimizer_.step()
        return torch.where(finite_members, losses, 0.0)


class _Criterion(nn.Module):
    def __init__(self, objective):
        super().__init__()
        self.objective = objective


class _AllStopped(Exception):
    """Every member has stopped early."""


def _clip(gradients: list[torch.Tensor], clip_norm: float) -> float:
    """Scale gradients down to a joint norm of `clip_norm`; return the norm before."""
    # A product of one long vector; torch's own clipping takes four times as long.
    flat = torch.cat([g.flatten() for g in gradients])
    norm = math.sqrt(torch.dot(flat, flat).item())
    if norm > clip_norm:
        torch._foreach_mul_(gradients, clip_norm / (norm + 1e-6))
    return norm


def _clip_members(gradients: list[torch.Tensor], clip_norm: float) -> torch.Tensor:
    """Scale the gradient of every member of a stack down to `clip_norm`; return the norms."""
    squares = [g.flatten(1).square().sum(1) for g in gradients]
    norms = torch.stack(squares).sum(0).sqrt()
    scale = (clip_norm / (norms + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.reshape(-1, *[1] * (g.ndim - 1)))
    return norms


class _Keeper(Callback):
    """Keep the states of every member, stop members early and rescue a diverging one."""

    def __init__(self, run: _Run, settings: Trainer) -> None:
        self.run = run
        self.settings = settings

    def on_train_begin(self, net, **kwargs):
        n = net.module_.n_members
        self.active = list(range(n))
        self.records = [_Record([], []) for _ in range(n)]
        self.losses: list[list[float]] = [[] for _ in range(n)]
        self.best = np.full(n, np.inf)
        self.n_waited = np.zeros(n, dtype=int)
        self.good = None if net.module_.stacked else net.module_.state(0)

    def on_epoch_begin(self, net, **kwargs):
        epoch = len(net.history) - 1
        for coefficient in self.run.annealed:
            coefficient.move_to(epoch)
        self.annealing = any(epoch < coefficient.n_epochs for coefficient in self.run.annealed)
        self.started = time.perf_counter()

    def on_epoch_end(self, net, **kwargs):
        members: Members = net.module_
        train = net.epoch_loss["train"]
        valid = net.epoch_loss.get("valid")
        finite = members.finite().numpy() & np.isfinite(train)
        if valid is not None:
            finite &= np.isfinite(valid)
        leaving = []
        if not members.stacked:
            finite = self._rescue(net, bool(finite[0]))
        else:
            finite &= ~net.skipped.numpy()
        for i, k in enumerate(self.active):
            if not finite[i]:
                if members.stacked:
                    self.records[k] = _Record([], [], evicted=True)
                    leaving.append(i)
                continue
            entry = {"epoch": len(net.history), "train_loss": float(train[i])}
            if valid is not None:
                entry["valid_loss"] = float(valid[i])
            entry["lr"] = net.optimizer_.param_groups[0]["lr"]
            entry["seconds"] = time.perf_counter() - self.started
            self.records[k].history.append(entry)
            if self.annealing:
                continue
            self._keep(k, float(train[i] if valid is None else valid[i]), members, i)
            if self.settings.early_stopping and self._exhausted(k, float(valid[i])):
                leaving.append(i)
        net.history.record("train_loss", float(np.mean(train)))
        if valid is not None:
            net.history.record("valid_loss", float(np.mean(valid)))
        if leaving:
            self._release(net, leaving)

    def on_train_end(self, net, **kwargs):
        # An interrupt within the first epoch leaves the state reached so far.
        finite = net.module_.finite()
        for i, k in enumerate(self.active):
            if self.run.interrupted and not self.records[k].states and finite[i]:
                self.records[k].states.append(net.module_.state(i))

    def _keep(self, k, loss, members, i):
        """Keep the state of member `k` if it is among the last or the best ones."""
        states, losses, n = self.records[k].states, self.losses[k], self.settings.n_averaged
        if len(states) == n:
            out = 0 if self.settings.select == "last" else int(np.argmax(losses))
            if self.settings.select == "best" and loss >= losses[out]:
                return
            del states[out], losses[out]
        states.append(members.state(i))
        losses.append(loss)

    def _exhausted(self, k, loss):
        if loss < self.best[k] - self.settings.tol:
            self.best[k] = loss
            self.n_waited[k] = 0
        else:
            self.n_waited[k] += 1
        return self.n_waited[k] >= self.settings.n_iter_no_change

    def _release(self, net, leaving):
        staying = [i for i in range(len(self.active)) if i not in leaving]
        if not staying:
            raise _AllStopped
        net.module_.select(staying, net.optimizer_)
        net.generators[:] = [net.generators[i] for i in staying]
        self.run.train_data.select(staying)
        if self.run.valid_data is not None:
            self.run.valid_data.select(staying)
        self.active = [self.active[i] for i in staying]

    def _rescue(self, net, finite):
        """Send a diverged single network back to its last good state; return if it is good."""
        record = self.records[0]
        record.n_skipped += net.n_skipped
        steps = net.n_steps / self.settings.max_epochs
        if finite and net.n_skipped <= _MAX_SKIPPED_FRACTION * steps:
            self.good = net.module_.state(0)
            return np.array([True])
        if record.n_rescues == _MAX_RESCUES:
            raise _AllStopped
        record.n_rescues += 1
        net.module_.network.load_state_dict(self.good)
        net.optimizer_.state.clear()
        net.lr_factor /= _RESCUE_FACTOR
        return np.array([False])


class _ProgressBar(Callback):
    """A bar over the epochs with the mean losses of the members."""

    def on_train_begin(self, net, **kwargs):
        self.bar = tqdm(total=net.max_epochs, unit="epoch", dynamic_ncols=True)

    def on_epoch_end(self, net, **kwargs):
        last = net.history[-1]
        shown = {name: last[name] for name in ("train_loss", "valid_loss") if name in last}
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in shown.items()})
        self.bar.update()

    def on_train_end(self, net, **kwargs):
        self.bar.close()
