"""How flows are built, scaled and trained, as one object that estimators share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from skad.exceptions import ConstantColumnError
from skad.nn._engine import Trainer
from skad.nn._flow_network import (
    FlowNetwork,
    blurred_likelihood,
    matching_loss,
    negative_log_likelihood,
)
from skad.nn._flows import Flow, build_flow
from skad.nn._loader import StoredTensors
from skad.nn._members import Objective
from skad.nn._mlp import Standardize
from skad.nn._trained import TrainedMembers
from skad.utils._random import draw_seeds

__all__ = ["FlowRecipe"]


@dataclass(frozen=True, kw_only=True)
class FlowRecipe:
    """How to build, scale and train flows.

    `FlowDensity.recipe` returns one, for estimators that train flows of its settings in their own
    way: in front of another density, or as a part of a mixture.

    Parameters
    ----------
    kind : str or callable
        Kind of flow, as in `build_flow`.
    options : dict
        Options of the kind.
    n_estimators : int
        Networks trained with different seeds.
    trainer : Trainer
        How they are trained.
    noise : float, default=0.0
        Width of the noise on training events, in standard deviations, see `FlowDensity`.
    """

    kind: str | Callable[..., object]
    options: dict[str, Any]
    n_estimators: int
    trainer: Trainer
    noise: float = 0.0

    def flow(self, n_features: int, n_context: int = 0) -> Flow:
        """Build an untrained flow."""
        return build_flow(self.kind, n_features, n_context, **self.options)

    def network(self, features: Standardize, conditions: Standardize | None = None) -> FlowNetwork:
        """Build an untrained flow behind the standardisations that `scaling` returned."""
        n_context = 0 if conditions is None else len(conditions.mean)
        return FlowNetwork(self.flow(len(features.mean), n_context), features, conditions)

    def train_density(
        self,
        build: Callable[[int], nn.Module],
        arrays: dict[str, np.ndarray] | StoredTensors,
        **options: Any,
    ) -> TrainedMembers:
        """Train networks of densities as `train` does, by the objective of their kind."""
        objective: Objective = negative_log_likelihood
        matches = self.kind == "flow_matching"
        if matches and self.noise:
            raise ValueError(
                "noise is for flows of maximum likelihood; flow='flow_matching' has none. Take "
                "another flow, or noise=0."
            )
        if matches or self.noise:
            first = arrays
            if isinstance(arrays, StoredTensors):
                first = arrays.take([np.array([0])])  # type: ignore[assignment]
            objective = matching_loss if matches else partial(blurred_likelihood, blur=self.noise)
            options["n_noise"] = first["x"].shape[1] + matches  # type: ignore[index]
        return self.train(build, objective, arrays, **options)

    def scaling(
        self,
        x: np.ndarray,
        m: np.ndarray | None = None,
        *,
        sample_weight: np.ndarray | None = None,
        names: Sequence[str],
    ) -> tuple[Standardize, Standardize | None]:
        """Return the standardisations of features and conditions.

        Parameters
        ----------
        x : array of shape (n_events, n_features)
        m : array of shape (n_events, n_conditions), default=None
        sample_weight : array of shape (n_events,), default=None
        names : sequence of str
            What to call the columns of x in a message.

        Raises
        ------
        ConstantColumnError
            A feature that is the same for all events.
        """
        seen = x if sample_weight is None else x[sample_weight > 0]
        self.refuse_constant((seen == seen[:1]).all(axis=0), names)
        conditions = None if m is None else Standardize.of(m, sample_weight)
        return Standardize.of(x, sample_weight), conditions

    @staticmethod
    def refuse_constant(constant: np.ndarray, names: Sequence[str]) -> None:
        """Raise for the first column that is constant."""
        for name, is_constant in zip(names, constant, strict=True):
            if is_constant:
                raise ConstantColumnError(
                    f"{name} of X is constant, so its density is not finite; drop the column or "
                    "name it in condition_features."
                )

    def train(
        self,
        build: Callable[[int], nn.Module],
        objective: Objective,
        arrays: dict[str, np.ndarray] | StoredTensors,
        *,
        random_state: Any,
        rows: Sequence[np.ndarray] | None = None,
        valid_rows: Sequence[np.ndarray] | None = None,
        more: bool = False,
        **options: Any,
    ) -> TrainedMembers:
        """Train `n_estimators` networks, or as many for every fold.

        Parameters
        ----------
        build, objective
            As in `Trainer.fit`.
        arrays : dict of str to array of shape (n_events, ...), or StoredTensors
        random_state : int, RandomState or None
            Source of the seeds.
        rows, valid_rows : sequence of int arrays, default=None
            Training and validation events of each fold. The networks of one fold are next to each
            other.
        more : bool, default=False
            Train by `Trainer.fit_more`.
        **options
            Of `Trainer.fit` or `Trainer.fit_more`.

        Returns
        -------
        trained : TrainedMembers
        """
        if self.noise and "n_noise" not in options:
            raise ValueError(
                f"noise={self.noise} is for flows that are fitted as densities; this estimator "
                "trains them in another way. Take noise=0."
            )
        n_folds = 1 if rows is None else len(rows)
        tensors: Any = arrays
        if not isinstance(arrays, StoredTensors):
            tensors = {n: torch.from_numpy(np.ascontiguousarray(a)) for n, a in arrays.items()}
        if more:
            seeds = draw_seeds(random_state, self.n_estimators)
            return self.trainer.fit_more(build, objective, tensors, seeds=seeds, **options)
        return self.trainer.fit(
            build,
            objective,
            tensors,
            seeds=draw_seeds(random_state, self.n_estimators * n_folds),
            rows=self._repeated(rows),
            valid_rows=self._repeated(valid_rows),
            **options,
        )

    def _repeated(self, folds: Sequence[np.ndarray] | None) -> list[np.ndarray] | None:
        if folds is None:
            return None
        return [fold for fold in folds for _ in range(self.n_estimators)]
