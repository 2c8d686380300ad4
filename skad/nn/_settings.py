"""The training parameters that every network estimator has in common."""

from __future__ import annotations

from dataclasses import fields
from numbers import Integral, Real
from typing import Any

from skad.nn._engine import Trainer
from skad.nn._schedules import SCHEDULES
from skad.utils import _sklearn as sk

__all__ = ["TrainingMixin"]


class TrainingMixin:
    """Turn an estimator's training parameters into a `Trainer`.

    An estimator offers the settings of `Trainer` under the same names, as many as it likes.
    """

    _training_constraints: dict[str, list[Any]] = {
        "max_epochs": [sk.Interval(Integral, 1, None, closed="left")],
        "batch_size": [sk.Interval(Integral, 1, None, closed="left")],
        "learning_rate": [sk.Interval(Real, 0, None, closed="neither")],
        "weight_decay": [sk.Interval(Real, 0, None, closed="left")],
        "optimizer": [sk.StrOptions({"adam", "adamw"})],
        "schedule": [sk.StrOptions(set(SCHEDULES)), dict],
        "clip_norm": [None, sk.Interval(Real, 0, None, closed="neither")],
        "early_stopping": ["boolean"],
        "validation_fraction": [sk.Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [sk.Interval(Integral, 1, None, closed="left")],
        "tol": [sk.Interval(Real, 0, None, closed="left")],
        "select": [sk.StrOptions({"last", "best"})],
        "n_averaged": [sk.Interval(Integral, 1, None, closed="left")],
        "callbacks": [None, list],
        "warm_start": ["boolean"],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def _trainer(self) -> Trainer:
        names = [field.name for field in fields(Trainer)]
        return Trainer(**{name: getattr(self, name) for name in names if hasattr(self, name)})
