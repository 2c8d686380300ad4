"""The training of one stack of networks on skorch, which no other module imports."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
    PassthroughScoring,
    ProgressBar,
)
from torch import nn
from tqdm import tqdm

from skad.exceptions import DivergenceError
from skad.nn._captured import CapturedStep
from skad.nn._clipping import clip_members, clip_one
from skad.nn._denormals import flushed_denormals
from skad.nn._loader import EventLoader
from skad.nn._members import Members
from skad.nn._partial_fit import moments_of, restore_moments
from skad.nn._schedules import endless_schedule, schedule_of

__all__ = ["Record", "Run"]

# A diverging network goes back to its last good state with its learning rate divided by this.
_RESCUE_FACTOR = 3.0
_MAX_RESCUES = 6
_MAX_SKIPPED_FRACTION = 0.1

# Hooks of skorch that would cost a small network more than its own step.
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
_NEED_BATCHES = (BatchScoring, EpochScoring, GradientNormClipping, PassthroughScoring, ProgressBar)

# Entries of the history of skorch that no callback wrote.
_OF_THE_ENGINE = {"batches", "train_loss_best", "valid_loss_best"}

_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@dataclass
class Record:
    """What the training of one member left behind."""

    states: list[dict[str, torch.Tensor]]
    history: list[dict[str, float]]
    n_rescues: int = 0
    n_skipped: int = 0
    evicted: bool = False


class Run:
    """The training of one stack of members.

    With the `Progress` of a training in calls it is the next one of them, and goes on from
    `moments`, which it replaces.
    """

    def __init__(
        self,
        settings,
        objective,
        train,
        valid,
        seeds,
        device,
        annealed,
        progress=None,
        moments=None,
    ):
        self.settings = settings
        self.objective = objective
        self.train_data = train.to(device)
        self.valid_data = None if valid is None else valid.to(device)
        self.seeds = seeds
        self.device = device
        self.annealed = annealed
        self.interrupted = False
        self.progress = progress
        self.moments = moments

    def train(self, modules: Sequence[nn.Module]) -> list[Record]:
        settings = self.settings
        keeper = _Keeper(self, settings)
        callbacks: list = [keeper, *_fresh_callbacks(settings)]
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
            # Callbacks that print do it only in a net that is verbose.
            verbose=1,
        )
        net.initialize()
        if self.moments is not None:
            restore_moments(net.optimizer_, self.moments)
        with flushed_denormals():
            net.partial_fit(self.train_data)
        if self.progress is not None:
            self.moments = moments_of(net.optimizer_)
        if settings.callbacks:
            keeper.add_what_was_recorded(net.history)
        return keeper.records


def _fresh_callbacks(settings: Any) -> list:
    """Return copies of the user's callbacks, so that a fit leaves them as they are."""
    callbacks: list = []
    for item in settings.callbacks or ():
        name, callback = item if isinstance(item, tuple) else (None, item)
        if not isinstance(callback, Callback):
            raise TypeError(
                "callbacks must hold instances of skorch.callbacks.Callback, or pairs of a name "
                f"and one; got {item!r}."
            )
        _check_hooks(callback, settings.schedule)
        # Not a deep copy: a writer or a connection that it holds may have none.
        fresh = copy.copy(callback)
        callbacks.append(fresh if name is None else (name, fresh))
    return callbacks


def _check_hooks(callback: Callback, schedule: str | Mapping[int, float]) -> None:
    """Refuse what would wait in vain for a call at every batch."""
    kind = type(callback)
    own = [hook for hook in _BATCH_HOOKS if not getattr(kind, hook).__module__.startswith("skorch")]
    if (
        own
        or isinstance(callback, _NEED_BATCHES)
        or getattr(callback, "step_every", "epoch") != "epoch"
        or getattr(callback, "log_on_batch_end", False)
    ):
        raise ValueError(
            f"{kind.__name__} in callbacks wants to be called at every batch"
            + (f" ({', '.join(own)})" if own else "")
            + ", but networks are trained with one call an epoch; use on_epoch_end, clip_norm, "
            "schedule or verbose."
        )
    if isinstance(callback, LRScheduler) and schedule != "constant":
        raise ValueError(
            f"LRScheduler in callbacks and schedule={schedule!r} both set the learning rate; "
            "take schedule='constant'."
        )


class _Net(NeuralNet):
    """skorch's net over a stack of members.

    Never a base class of an estimator: it only replaces skorch's loops over batches, whose
    bookkeeping for every batch costs a quarter of the speed of a small network.
    """

    def __init__(self, module, criterion, *, run, **kwargs):
        super().__init__(module, criterion, **kwargs)
        self.run = run
        self.stopped = False

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
        of_layers = self._of_layers(device)
        self.module_.draw_from(of_layers)
        self.captured = None
        if device.type == "cuda" and CapturedStep.records(self.module_):
            criterion, clip_norm = self.criterion_.objective, settings.clip_norm
            self.captured = CapturedStep(
                self.module_, criterion, self.optimizer_, clip_norm, of_layers
            )
        batch_size = min(settings.batch_size, len(dataset))
        loader = EventLoader(dataset, batch_size, device, stacked, self.generators)
        self.steps_per_epoch = len(loader)
        # A constant rate is left alone: a callback may set it.
        if self.run.progress is None:
            self.i_step, self.n_steps = 0, len(loader) * settings.max_epochs
            self.schedule = schedule_of(settings.schedule, settings.max_epochs)
        else:
            self.i_step, self.n_steps = self.run.progress.n_steps, 1
            self.schedule = endless_schedule(settings.schedule, self.run.progress.n_calls)
        self.lr_factor = 1.0
        self.epoch_loss = {}
        self.best_loss = {}
        return loader

    def _of_layers(self, device):
        """Return the generators of the layers that draw, which must be on their device."""
        if device.type == "cpu":
            return self.generators
        return [torch.Generator(device).manual_seed(seed) for seed in self.run.seeds]

    def notify(self, method_name, **cb_kwargs):
        at_the_end = method_name == "on_epoch_end"
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            # So callbacks of skorch stop a training.
            if not (at_the_end and self.run.settings.callbacks):
                raise
            self.stopped = True
        if at_the_end and self.stopped:
            raise _AllStopped

    def forward_iter(self, X, training=False, device="cpu"):
        raise NotImplementedError(
            "The net of skad makes no predictions for callbacks; they may read net.history and "
            "net.module_."
        )

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
        # Callbacks that name files look for a last batch.
        self.history.new_batch()
        members: Members = self.module_
        members.train(training)
        objective = self.criterion_.objective
        step = self._step if training else self._evaluate
        total = torch.zeros(members.n_members, device=self.run.device)
        n_seen: int | torch.Tensor = 0
        self.skipped = torch.zeros(members.n_members, dtype=torch.bool)
        self.n_skipped = 0
        if training and self.captured is not None:
            self.captured.start_counting()
        for batch, n_rows in iterator:
            losses = step(members, objective, batch, n_rows)
            if isinstance(n_rows, int):
                total.add_(losses, alpha=n_rows)
            else:
                total += losses * n_rows
            n_seen = n_seen + n_rows
        if training and self.captured is not None:
            failed = self.captured.failed.cpu()
            self.skipped, self.n_skipped = failed > 0, int(failed.sum())
        if training and not members.stacked and hasattr(members.network, "end_epoch"):
            members.network.end_epoch(batch for batch, _ in iterator)
        mean = total / torch.as_tensor(n_seen).clamp(min=1)
        self.epoch_loss[prefix] = mean.cpu().double().numpy()
        self._record(prefix + "_loss", float(np.mean(self.epoch_loss[prefix])))

    def _record(self, name, loss):
        """Write a loss, and whether it is the best one so far, to where callbacks read it."""
        best = self.best_loss.get(name, math.inf)
        self.best_loss[name] = min(loss, best)
        self.history.record(name, loss)
        self.history.record(name + "_best", loss < best)

    def _evaluate(self, members, objective, batch, n_rows):
        with torch.no_grad():
            return self._losses(members, objective, batch, n_rows)

    def _losses(self, members, objective, batch, n_rows):
        try:
            return members(objective, batch, n_rows)
        except DivergenceError:
            # The solver of a continuous flow gives up on a stiff field instead of returning NaN.
            return torch.tensor(torch.nan, device=self.run.device, requires_grad=True)

    @property
    def rate(self):
        """Learning rate of the next step."""
        return float(self.optimizer_.param_groups[0]["lr"])

    def _set_rate(self, rate):
        group = self.optimizer_.param_groups[0]
        if self.captured is None:
            group["lr"] = rate
        else:
            group["lr"].fill_(rate)

    def lower_rate(self, factor):
        """Divide the learning rate of all steps to come."""
        self.lr_factor /= factor
        self._set_rate(self.rate / factor)

    def start_afresh(self):
        """Record anew what a GPU repeats, after a change of anything but the values of weights."""
        if self.captured is not None:
            self.captured.start_afresh()

    def _step(self, members, objective, batch, n_rows):
        """Take one optimizer step; members with a non-finite loss or gradient sit it out."""
        settings = self.run.settings
        group = self.optimizer_.param_groups[0]
        if self.schedule is not None:
            lr = settings.learning_rate * self.lr_factor
            self._set_rate(lr * self.schedule(self.i_step / self.n_steps))
            self.i_step += 1
        if self.captured is not None:
            return self.captured(batch, n_rows)
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
            clip = clip_members if members.stacked else clip_one
            checked = losses + clip(gradients, settings.clip_norm)
            finite = math.isfinite(checked.sum().item())
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


class _Keeper(Callback):
    """Keep the states of every member, stop members early and rescue a diverging one."""

    def __init__(self, run: Run, settings: Any) -> None:
        self.run = run
        self.settings = settings

    def on_train_begin(self, net, **kwargs):
        n = net.module_.n_members
        self.active = list(range(n))
        self.records = [Record([], []) for _ in range(n)]
        self.losses: list[list[float]] = [[] for _ in range(n)]
        self.best = np.full(n, np.inf)
        self.n_waited = np.zeros(n, dtype=int)
        self.good = None if net.module_.stacked else net.module_.state(0)
        progress = self.run.progress
        self.n_before = 0 if progress is None else progress.n_calls

    def on_epoch_begin(self, net, **kwargs):
        epoch = self.n_before + len(net.history) - 1
        before = [coefficient.value for coefficient in self.run.annealed]
        for coefficient in self.run.annealed:
            coefficient.move_to(epoch)
        if before != [coefficient.value for coefficient in self.run.annealed]:
            net.start_afresh()
        self.annealing = self.run.progress is None and any(
            epoch < coefficient.n_epochs for coefficient in self.run.annealed
        )
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
                    self.records[k] = Record([], [], evicted=True)
                    leaving.append(i)
                continue
            entry = {"epoch": self.n_before + len(net.history), "train_loss": float(train[i])}
            if valid is not None:
                entry["valid_loss"] = float(valid[i])
            entry["lr"] = net.rate
            entry["seconds"] = time.perf_counter() - self.started
            self.records[k].history.append(entry)
            if self.annealing:
                continue
            self._keep(k, float(train[i] if valid is None else valid[i]), members, i)
            if self.settings.early_stopping and self._exhausted(k, float(valid[i])):
                leaving.append(i)
        if leaving:
            self._release(net, leaving)

    def on_train_end(self, net, **kwargs):
        # An interrupt within the first epoch leaves the state reached so far.
        finite = net.module_.finite()
        for i, k in enumerate(self.active):
            if self.run.interrupted and not self.records[k].states and finite[i]:
                self.records[k].states.append(net.module_.state(i))

    def add_what_was_recorded(self, history):
        """Add what callbacks recorded of an epoch to the histories of its members."""
        for record in self.records:
            for entry in record.history:
                row = history[entry["epoch"] - 1 - self.n_before]
                names = row.keys() - entry.keys() - _OF_THE_ENGINE
                entry.update({name: row[name] for name in sorted(names)})

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
            net.stopped = True
            return
        net.module_.select(staying, net.optimizer_)
        net.generators[:] = [net.generators[i] for i in staying]
        net.start_afresh()
        self.run.train_data.select(staying)
        if self.run.valid_data is not None:
            self.run.valid_data.select(staying)
        self.active = [self.active[i] for i in staying]

    def _rescue(self, net, finite):
        """Send a diverged single network back to its last good state; return if it is good."""
        record = self.records[0]
        record.n_skipped += net.n_skipped
        if finite and net.n_skipped <= _MAX_SKIPPED_FRACTION * net.steps_per_epoch:
            self.good = net.module_.state(0)
            return np.array([True])
        if record.n_rescues == _MAX_RESCUES:
            net.stopped = True
            return np.array([False])
        record.n_rescues += 1
        net.module_.network.load_state_dict(self.good)
        net.optimizer_.state.clear()
        net.lower_rate(_RESCUE_FACTOR)
        net.start_afresh()
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
