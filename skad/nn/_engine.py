"""The training engine: the settings of a training, its events and what is kept of it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from skad.exceptions import DivergenceError, DivergenceWarning, InterruptedFitWarning
from skad.nn._annealing import Annealed
from skad.nn._device import resolve_device
from skad.nn._loader import EventData, KeptRows, LabelWeights, StoredTensors
from skad.nn._members import Objective
from skad.nn._partial_fit import Progress
from skad.nn._random import draw_from, draws_from, own_dropout
from skad.nn._skorch import Record, Run
from skad.nn._trained import TrainedMembers
from skad.utils import _blocks
from skad.utils._interrupts import is_among_others

__all__ = ["Trainer"]


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
    schedule : {"constant", "cosine", "one_cycle"} or dict, default="constant"
        Learning rate over the whole training, updated every step. A dict {epoch: factor}
        multiplies it from these epochs on, counted from 0.
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
    callbacks : sequence of skorch callbacks or of (name, callback), default=None
        Every training of a network or stack of networks calls copies of its own.
    device : str, default="auto"
    verbose : int, default=0
        1 shows a progress bar over the epochs.
    """

    max_epochs: int = 50
    batch_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    optimizer: str = "adam"
    schedule: str | Mapping[int, float] = "constant"
    clip_norm: float | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    select: str = "last"
    n_averaged: int = 1
    callbacks: Sequence[Any] | None = None
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
        tensors: dict[str, torch.Tensor] | StoredTensors,
        *,
        seeds: Sequence[int],
        weights: np.ndarray | LabelWeights | None = None,
        rows: Sequence[np.ndarray] | None = None,
        valid_rows: Sequence[np.ndarray] | None = None,
        stratify: np.ndarray | None = None,
        annealed: Sequence[Annealed] = (),
        n_noise: int = 0,
    ) -> TrainedMembers:
        """Train one network per seed.

        Networks of one architecture are trained as one with a leading member axis, unless
        their class sets ``stackable = False``. The result is the one of training them one by
        one with the same seeds. Where all events fit into one batch, training runs in float64,
        so that a weight of two equals an event given twice to rounding.

        Parameters
        ----------
        build : callable
            ``build(k)`` returns the network of member `k`; what it draws from torch is set by
            ``seeds[k]``. A network that is not stackable may have a method
            ``end_epoch(batches)``, called with the training events after each epoch.
        objective : callable
            ``objective(network, batch)`` returns a loss per event, or a scalar for a loss that
            only a whole batch has. `batch` is a dict of tensors of the events, with "weight"
            when there are weights.
        tensors : dict of str to tensor of shape (n_events, ...), or StoredTensors
        seeds : sequence of int
        weights : array of shape (n_events,) or (n_members, n_events), or LabelWeights, default=None
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

        Returns
        -------
        trained : TrainedMembers

        Raises
        ------
        DivergenceError
            No finite loss was reached.
        KeyboardInterrupt
            Interrupted where networks of other fits are compared with these. Elsewhere the best
            state so far is returned, with a warning.
        """
        n_annealing = max((coefficient.n_epochs for coefficient in annealed), default=0)
        if n_annealing >= self.max_epochs:
            raise ValueError(
                f"The annealing takes {n_annealing} epochs, which leaves none at full strength out "
                f"of max_epochs={self.max_epochs}; raise max_epochs or shorten the annealing."
            )
        device = resolve_device(self.device)
        stored = isinstance(tensors, StoredTensors)
        n_events = len(tensors if stored else next(iter(tensors.values())))  # type: ignore[union-attr]
        if rows is None:
            rows = [range(n_events) if stored else np.arange(n_events)] * len(seeds)  # type: ignore[list-item]
        rows = list(rows)
        if valid_rows is None and self.needs_validation:
            rows, valid_rows = _split(rows, seeds, self.validation_fraction, stratify)
        one_batch = all(len(r) <= self.batch_size for r in rows)
        dtype = torch.float64 if one_batch and device.type != "mps" else torch.float32
        modules, stack = _built(build, seeds, device)
        if dtype == torch.float64:
            for module in modules:
                module.double()

        trained: dict[int, Record] = {}
        queue: list[Sequence[int]] = list(stack)
        while queue:
            members = queue.pop(0)
            run = Run(
                self,
                objective,
                _data(tensors, weights, rows, members, dtype, n_noise),
                None
                if valid_rows is None
                else _data(tensors, weights, valid_rows, members, dtype, n_noise),
                [seeds[k] for k in members],
                device,
                annealed,
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
                if is_among_others():
                    raise KeyboardInterrupt
                self._warn_of_interrupt(trained, len(seeds))
                break
        return _collect(trained, modules, device)

    def fit_more(
        self,
        build: Callable[[int], nn.Module],
        objective: Objective,
        tensors: dict[str, torch.Tensor],
        *,
        seeds: Sequence[int],
        previous: TrainedMembers | None,
        weights: np.ndarray | None = None,
        annealed: Sequence[Annealed] = (),
        n_noise: int = 0,
    ) -> TrainedMembers:
        """Train one pass over events that come after others, in float32.

        Parameters
        ----------
        build, objective, tensors, annealed, n_noise
            As in `fit`; ``build(k)`` returns a copy of the last network of member `k`, if any.
        seeds : sequence of int
            For the first call.
        previous : TrainedMembers or None
            What the last call, or `fit`, returned.
        weights : array of shape (n_events,), default=None

        Returns
        -------
        trained : TrainedMembers

        Raises
        ------
        DivergenceError
            No finite loss was reached.
        ValueError
            Settings that hold events out.
        """
        for name, allowed in (("early_stopping", False), ("select", "last")):
            if getattr(self, name) != allowed:
                raise ValueError(
                    f"partial_fit takes {name}={allowed!r} only, since it holds no events out; "
                    f"got {getattr(self, name)!r}."
                )
        progress = Progress(list(seeds)) if previous is None else _progress(previous, seeds)
        device = resolve_device(self.device)
        n_events = len(next(iter(tensors.values())))
        weights = progress.weigh(weights, n_events)
        modules, stack = _built(build, progress.seeds, device)
        trained: dict[int, Record] = {}
        of_call, moments = progress.seeds_of_call(), []
        for i, members in enumerate(stack):
            own = None if weights is None else torch.from_numpy(weights).float()[None]
            run = Run(
                replace(self, max_epochs=1),
                objective,
                EventData(tensors, [np.arange(n_events)] * len(members), own, n_noise),
                None,
                [of_call[k] for k in members],
                device,
                annealed,
                progress,
                progress.moments[i] if progress.moments else None,
            )
            records = run.train([modules[k].float() for k in members])
            trained |= dict(zip(members, records, strict=True))
            moments.append(run.moments)
            if run.interrupted:
                raise KeyboardInterrupt
        more = _collect(trained, modules, device)
        progress.moments = moments
        progress.n_calls += 1
        progress.n_steps += max(1, round(n_events / min(self.batch_size, n_events)))
        if previous is not None:
            pairs = list(zip(previous.networks, more.networks, strict=True))
            more.networks = [[*before, *now][-self.n_averaged :] for before, now in pairs]
            of_both = zip(previous.histories, more.histories, strict=True)
            more.histories = [[*before, *now] for before, now in of_both]
        more.progress = progress
        return more

    def _warn_of_interrupt(self, trained: dict[int, Record], n_members: int) -> None:
        epochs = max((len(record.history) for record in trained.values()), default=0)
        left_out = n_members - len(trained)
        warnings.warn(
            f"The fit was interrupted from the keyboard after {epochs} of {self.max_epochs} "
            "epochs; the best state so far is kept"
            + (f", and {left_out} of {n_members} networks are missing." if left_out else "."),
            InterruptedFitWarning,
            stacklevel=4,
        )


def _built(build, seeds, device):
    """Return the networks of all members, and which of them are trained as one."""
    modules = []
    for k, seed in enumerate(seeds):
        with draw_from(torch.Generator().manual_seed(seed)):
            modules.append(own_dropout(build(k)).to(device))
    if getattr(modules[0], "stackable", True):
        return modules, [range(len(seeds))]
    return modules, [range(k, k + 1) for k in range(len(seeds))]


def _progress(previous, seeds):
    """Return where the training of networks stands, to be moved on."""
    if previous.progress is not None:
        return replace(previous.progress)
    n = len(previous.networks)
    return Progress([*seeds, *range(n)][:n], previous.n_epochs)


def _collect(trained: dict[int, Record], modules, device) -> TrainedMembers:
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
            draws_from(network, (None,))
            networks.append(network.eval().requires_grad_(False))
        kept.append(networks)
        histories.append(record.history)
    return TrainedMembers(kept, histories, device)


def _split(rows, seeds, fraction, stratify):
    """Hold out a random part of the rows of every member."""
    train, valid = [], []
    for member_rows, seed in zip(rows, seeds, strict=True):
        rng = np.random.RandomState(seed)
        held_out = np.zeros(len(member_rows), dtype=bool)
        for block in _blocks.block_slices(len(member_rows)):
            of_block = held_out[block]
            labels = np.zeros(len(of_block))
            if stratify is not None:
                labels = stratify[_part(member_rows, block)]
            for label in np.unique(labels):
                of_label = rng.permutation(np.flatnonzero(labels == label))
                of_block[of_label[: round(fraction * len(of_label))]] = True
        if held_out.all() or not held_out.any():
            raise ValueError(
                f"validation_fraction={fraction} leaves no event for training or for validation "
                f"out of n_samples={len(member_rows)}; give more events, another fraction, or "
                "early_stopping=False and select='last'."
            )
        if isinstance(member_rows, range):
            train.append(KeptRows(~held_out))
            valid.append(KeptRows(held_out))
        else:
            train.append(member_rows[~held_out])
            valid.append(member_rows[held_out])
    return train, valid


def _part(rows, block):
    """Return the positions of a block among rows, as an index."""
    part = rows[block]
    return slice(part.start, part.stop) if isinstance(part, range) else part


def _data(tensors, weights, rows, members, dtype, n_noise) -> EventData:
    own_rows = [rows[k] for k in members]
    labels = None
    if isinstance(weights, LabelWeights):
        labels, weights = weights.labels, weights.values
    if weights is None or np.all(weights == 1):
        return EventData(tensors, own_rows, n_noise=n_noise)
    weights = np.atleast_2d(np.asarray(weights, dtype=np.float64))
    own = weights[list(members)] if len(weights) > 1 else np.repeat(weights, len(members), 0)
    sums = [_sum(w, r, labels) for w, r in zip(own, own_rows, strict=True)]
    if not all(s > 0 for s in sums):
        raise ValueError(
            "sample_weight is zero for every event of a training or validation part; give "
            "positive weights to more events or lower the number of folds."
        )
    own = own * np.array([len(r) / s for r, s in zip(own_rows, sums, strict=True)])[:, None]
    if len(weights) == 1 and (own == own[:1]).all():
        own = own[:1]
    own = torch.from_numpy(own).to(dtype)
    return EventData(tensors, own_rows, own, n_noise, weigh_labels=labels is not None)


def _sum(weights, rows, labels):
    """Add the weights of rows, block by block."""
    total = 0.0
    for block in _blocks.block_slices(len(rows)):
        at = _part(rows, block)
        total += weights[at if labels is None else labels[at].astype(np.intp)].sum()
    return total
