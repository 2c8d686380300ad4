"""Networks that learn from events as they come, one pass over those of each call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike

__all__ = ["PartialFitMixin", "Progress", "moments_of", "restore_moments"]


@dataclass
class Progress:
    """How far a training in calls has come, as plain numbers that a model file can hold.

    Parameters
    ----------
    seeds : list of int
        Of the members.
    n_calls, n_steps, n_events : int
        Calls, steps of the optimizer and events so far.
    weight : float
        Sum of the weights of these events.
    moments : list of dict
        State of the optimizer of every stack of networks.
    """

    seeds: list[int]
    n_calls: int = 0
    n_steps: int = 0
    n_events: int = 0
    weight: float = 0.0
    moments: list[dict[str, dict[str, np.ndarray]]] = field(default_factory=list)

    def seeds_of_call(self) -> list[int]:
        """Return seeds that are others in every call, below 2**31."""
        states = [np.random.SeedSequence([seed, self.n_calls]) for seed in self.seeds]
        return [int(state.generate_state(1)[0] >> 1) for state in states]

    def weigh(self, weights: np.ndarray | None, n_events: int) -> np.ndarray | None:
        """Count the events of a call and return their weights, of mean one over all so far."""
        self.n_events += n_events
        self.weight += n_events if weights is None else float(np.sum(weights))
        if not self.weight > 0:
            raise ValueError(
                "sample_weight times the weight of its class is zero for every event so far; "
                "begin with events of positive weight."
            )
        factor = self.n_events / self.weight
        if weights is None:
            return None if factor == 1 else np.full(n_events, factor)
        return weights * factor


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, np.ndarray]]:
    """Return the state of an optimizer as arrays."""
    states = optimizer.state_dict()["state"]
    return {
        str(i): {name: value.cpu().numpy() for name, value in state.items()}
        for i, state in states.items()
    }


def restore_moments(
    optimizer: torch.optim.Optimizer, moments: dict[str, dict[str, np.ndarray]]
) -> None:
    """Give an optimizer the state that `moments_of` returned."""
    state = optimizer.state_dict()
    state["state"] = {
        int(i): {name: torch.from_numpy(np.array(value)) for name, value in values.items()}
        for i, values in moments.items()
    }
    optimizer.load_state_dict(state)


class PartialFitMixin:
    """`partial_fit` of estimators that learn without labels.

    A subclass has `_partial_fit(X, y, sample_weight)`.
    """

    @sk.fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Learn from some events of a stream, in one pass over them.

        The scale of the columns is that of the events of the first call, which should be some
        thousands: it stays. After a `fit`, or with a model from a file, the training goes on from
        there.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            As in `fit`.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights. Their unit does not matter, but should be the same in all calls.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            `early_stopping` or ``select="best"``, which hold events out.
        DivergenceError
            The training met no finite loss; the networks are those before the call.

        Notes
        -----
        A call counts as an epoch in `history_`, for `n_averaged`, annealed terms and a `schedule`
        that is a dict. The schedules "cosine" and "one_cycle", which need to know the end, become
        one without: in step n, `learning_rate` times the smaller of n / 200 and
        :math:`\\sqrt{200 / n}`. `max_epochs` and `X_val` have no part. The offset of a detector is
        the one of the events of the last call.

        The state of the optimizer stays with the networks, in model files too, so that a stream
        may be interrupted: the bits are those of an uninterrupted one.

        Examples
        --------
        >>> import numpy as np
        >>> from skad.density import FlowDensity
        >>> density, rng = FlowDensity(random_state=0), np.random.RandomState(0)
        >>> for _ in range(20):
        ...     density = density.partial_fit(rng.normal(size=(5000, 2)))
        >>> bool(abs(density.score(rng.normal(size=(5000, 2))) + np.log(2 * np.pi) + 1) < 0.05)
        True
        """
        return self._partial_fit(X, y, sample_weight)  # type: ignore[attr-defined, no-any-return]
