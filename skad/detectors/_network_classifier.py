"""A dense network as a classifier, many members trained as one."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch.nn import functional as F

from skad.detectors._two_classes import (
    TwoClassMixin,
    class_balanced_weight,
    class_factors,
    encode_two_classes,
)
from skad.io._stored_events import LabelColumn, StoredEvents, events_to_fit
from skad.nn._loader import LabelWeights, StoredTensors
from skad.nn._members import per_event
from skad.nn._mlp import ACTIVATIONS, MLP, Standardize
from skad.nn._settings import TrainingMixin
from skad.utils import _sklearn as sk
from skad.utils._events import check_events, check_stored_events
from skad.utils._random import draw_seeds
from skad.utils._statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import FilePath, Seed

__all__ = ["NetworkClassifier"]


class NetworkClassifier(TrainingMixin, TwoClassMixin, BaseEstimator):
    """Dense networks for two classes, averaged over seeds and epochs.

    Cross-entropy on standardised features. All members, also those of several folds, are trained
    as one network.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the hidden layers.
    activation : {"relu", "tanh", "silu", "elu", "gelu"}, default="relu"
        Activation of the hidden layers.
    dropout : float in [0, 1), default=0.0
        Fraction of units dropped after every hidden layer in training.
    class_weight : "balanced", dict or None, default="balanced"
        "balanced" gives both classes the same sum of weights; a dict maps class labels to
        factors.
    n_estimators : int, default=1
        Networks trained with different seeds; probabilities are averaged.
    n_candidates : int, default=1
        Trainings for each of them, with validation splits of their own, of which only the one
        with the lowest validation loss is kept. More than one needs `early_stopping` or
        ``select="best"``.
    max_epochs : int, default=50
        Passes over the events.
    batch_size : int, default=512
        Events per step.
    learning_rate : float, default=1e-3
        Peak of the schedule.
    weight_decay : float, default=0.0
        Weight decay of the optimizer.
    schedule : {"constant", "cosine", "one_cycle"} or dict, default="constant"
        Learning rate over the training, updated every step. A dict {epoch: factor}
        multiplies it from these epochs on, counted from 0.
    clip_norm : float or None, default=None
        Largest norm of the gradient.
    early_stopping : bool, default=False
        Stop when the loss of held-out events has not fallen by `tol` for `n_iter_no_change`
        epochs.
    validation_fraction : float, default=0.1
        Part of the events held out, stratified, if `early_stopping` or `select="best"`.
    n_iter_no_change : int, default=10
        Patience in epochs.
    tol : float, default=1e-7
        Smallest gain that counts.
    select : {"last", "best"}, default="last"
        Which epochs to keep: the last ones or those of lowest validation loss.
    n_averaged : int, default=1
        Number of epochs kept; probabilities are averaged.
    callbacks : list of skorch callbacks or of (name, callback), default=None
        Copies of them are called once an epoch of every training, see the guide to training.
    device : str, default="auto"
        "auto" (a GPU where there is one), "cpu", "cuda", ...
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and splits.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    trained_ : TrainedMembers
        The networks.
    classes_ : ndarray of shape (2,)
        Class labels.
    history_ : list of list of dict
        For every network one entry an epoch.
    n_iter_ : int
        Number of epochs run.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X had any.

    Notes
    -----
    The networks of papers are the classifiers of the detectors that `skad.papers` builds.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import NetworkClassifier
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(2000, 2))
    >>> y = (X[:, 0] + rng.normal(size=2000) > 0).astype(int)
    >>> classifier = NetworkClassifier(max_epochs=10, random_state=0).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.7)
    True
    """

    # Of the weights of the events of both classes so far, in a training in calls.
    _class_sums: NDArray[np.float64]

    _parameter_constraints: dict = {
        "hidden_layer_sizes": ["array-like"],
        "activation": [sk.StrOptions(set(ACTIVATIONS))],
        "dropout": [sk.Interval(Real, 0, 1, closed="left")],
        "class_weight": [sk.StrOptions({"balanced"}), dict, None],
        "n_estimators": [sk.Interval(Integral, 1, None, closed="left")],
        "n_candidates": [sk.Interval(Integral, 1, None, closed="left")],
        **TrainingMixin._training_constraints,
    }
    del _parameter_constraints["optimizer"], _parameter_constraints["warm_start"]

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        *,
        activation: Literal["relu", "tanh", "silu", "elu", "gelu"] = "relu",
        dropout: float = 0.0,
        class_weight: Literal["balanced"] | dict[Any, Any] | None = "balanced",
        n_estimators: int = 1,
        n_candidates: int = 1,
        max_epochs: int = 50,
        batch_size: int = 512,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        schedule: Literal["constant", "cosine", "one_cycle"] | dict[Any, Any] = "constant",
        clip_norm: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-7,
        select: Literal["last", "best"] = "last",
        n_averaged: int = 1,
        callbacks: Any = None,
        device: str = "auto",
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.class_weight = class_weight
        self.n_estimators = n_estimators
        self.n_candidates = n_candidates
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.select = select
        self.n_averaged = n_averaged
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train the networks.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
            Two classes.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights.

        Returns
        -------
        self : NetworkClassifier
        """
        X, y = check_events(self, X, y, ensure_min_samples=2)
        self.classes_, y = encode_two_classes(y)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        (trained,) = self._train_folds(X, y, sample_weight, [np.arange(len(y))])
        return self._adopt(trained)

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit_file(
        self,
        path: Sequence[FilePath] | FilePath,
        label: str | int,
        columns: Sequence[int | str] | None = None,
        **reader: Any,
    ) -> Self:
        """Train the networks with the events of files, which need not fit into memory.

        Up to 1 048 576 events are read whole. More of them go once through a temporary file of the
        size of their columns as float32 or float64, and then there is memory for some such blocks
        only, and for a byte for the label of every event. `fit` gives the same bits for the same
        events in the same order, without weights.

        Parameters
        ----------
        path : str, path-like, or list of them
            Files of events in any format, as in `read_events`.
        label : str or int
            Column that holds the two classes.
        columns : list of str or int, default=None
            Columns to learn from; None means all but `label`.
        **reader
            Of `read_events`: `rows`, `filters`, `key`, `column_names`, `on_nan` ("raise" or
            "drop").

        Returns
        -------
        self : NetworkClassifier

        Raises
        ------
        DataFileError
            As `read_events`, and for infinite values, with file, column and event.
        MissingColumnError
            When a file lacks a column.
        ValueError
            As `fit`; labels of one or more than two values.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from skad.datasets import make_resonance
        >>> from skad.detectors import NetworkClassifier
        >>> from skad.io import write_events
        >>> X, y = make_resonance(2000, 500, random_state=0, return_X_y=True)
        >>> events = pd.DataFrame(X).add_prefix("x").assign(signal=y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "events.parquet"
        ...     _ = write_events(events, path)
        ...     classifier = NetworkClassifier(max_epochs=5, random_state=0)
        ...     classifier = classifier.fit_file(path, "signal")
        >>> bool(classifier.score(X, y) > 0.7)
        True
        """
        labels = LabelColumn(label)
        with events_to_fit(path, columns, reader, labels) as events:
            classes, second = labels.read()
            if isinstance(events, StoredEvents):
                return self._fit_stored(events, classes, second)
        return self.fit(events, classes[second.astype(np.intp)])

    @sk.fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from some events of a stream, in one pass over them.

        The scale of the columns is that of the events of the first call, which should be some
        thousands: it stays. After a `fit`, or with a model from a file, the training goes on from
        there. Events of one class alone will do; ``class_weight="balanced"`` goes by all events so
        far.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
        classes : array-like of shape (2,), default=None
            Both classes; needed in the first call.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights. Their unit does not matter, but should be the same in all calls.

        Returns
        -------
        self : NetworkClassifier

        Raises
        ------
        ValueError
            No `classes` in the first call, others later, or labels that are none of them;
            `early_stopping` or ``select="best"``, which hold events out.
        DivergenceError
            The training met no finite loss; the networks are those before the call.

        Notes
        -----
        What counts as an epoch and what becomes of a schedule says `FlowDensity.partial_fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from skad.detectors import NetworkClassifier
        >>> classifier, rng = NetworkClassifier(random_state=0), np.random.RandomState(0)
        >>> for _ in range(10):
        ...     y = rng.randint(2, size=2000)
        ...     X = rng.normal(y[:, None], size=(2000, 2))
        ...     classifier = classifier.partial_fit(X, y, classes=[0, 1])
        >>> bool(classifier.score(X, y) > 0.7)
        True
        """
        first = not hasattr(self, "trained_")
        X, y = check_events(self, X, y, ensure_min_samples=2 if first else 1, reset=first)
        if classes is not None:
            encode_two_classes(classes)
        sk.check_partial_fit_first_call(self, classes)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"y must hold the classes of the first call, {self.classes_.tolist()}; got "
                f"{unknown[:5].tolist()} too."
            )
        y = np.searchsorted(self.classes_, y)
        if sample_weight is not None:
            sample_weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        previous = None if first else self.trained_
        sums = np.bincount(y, weights=weight, minlength=2)
        if previous is not None and previous.progress is not None:
            sums = sums + self._class_sums
        balanced = self.class_weight == "balanced"
        factors = np.ones(2)
        if not balanced or (sums > 0).all():
            factors = class_factors(sums, self.class_weight, self.classes_)
        scaler = Standardize.of(X, sample_weight) if first else None

        def build(k):
            if previous is not None:
                return copy.deepcopy(previous.networks[k][-1]).requires_grad_(True)
            return self._network(scaler)

        trained = self._trainer().fit_more(
            build,
            _cross_entropy,
            {"x": torch.from_numpy(np.ascontiguousarray(X)), "y": torch.from_numpy(y)},
            seeds=draw_seeds(self.random_state, self.n_estimators),
            previous=previous,
            weights=weight * factors[y],
        )
        self._class_sums = sums
        return self._adopt(trained)

    def _network(self, scaler):
        network = MLP(
            self.n_features_in_,
            tuple(self.hidden_layer_sizes),
            activation=self.activation,
            dropout=self.dropout,
        )
        return torch.nn.Sequential(scaler, network)

    def _fit_stored(self, events, classes, second):
        check_stored_events(self, events)
        self.classes_, _ = encode_two_classes(classes)
        moments = Moments()
        for block in events.blocks():
            moments.add(block)

        def tensors_of(rows):
            return {"x": torch.from_numpy(rows)}

        tensors = StoredTensors(events, tensors_of, {"y": second})
        weights = LabelWeights(second, self._factors(second)[None])
        scalers = [Standardize(*moments.mean_and_std())]
        (trained,) = self._train(tensors, second, weights, scalers, None)
        return self._adopt(trained)

    def fit_folds(
        self,
        X: ArrayLike,
        y: ArrayLike,
        folds: Sequence[Any],
        sample_weight: ArrayLike | None = None,
    ) -> list[NetworkClassifier]:
        """Train one classifier per fold, all their networks as one.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,)
        folds : sequence of int arrays
            Training events of each fold.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights.

        Returns
        -------
        classifiers : list of NetworkClassifier
            Fitted on the folds.
        """
        X, y = check_events(self, X, y, ensure_min_samples=2)
        self.classes_, y = encode_two_classes(y)
        fitted = []
        for trained in self._train_folds(X, y, sample_weight, folds):
            classifier = type(self)(**self.get_params(deep=False))
            for name in ("classes_", "n_features_in_", "feature_names_in_"):
                if hasattr(self, name):
                    setattr(classifier, name, getattr(self, name))
            fitted.append(classifier._adopt(trained))
        return fitted

    def _adopt(self, trained):
        self.trained_ = trained
        self.history_ = trained.histories
        self.n_iter_ = trained.n_epochs
        return self

    def _factors(self, y):
        """Return the weights of both classes, without others."""
        return class_factors(np.bincount(y, minlength=2), self.class_weight, self.classes_)

    def _train_folds(self, X, y, sample_weight, folds):
        """Return for each fold its trained members."""
        scalers, n_members = [], self.n_estimators * self.n_candidates
        if sample_weight is None:
            values = [self._factors(y[fold]) for fold in folds]
            weights = LabelWeights(y, np.repeat(values, n_members, axis=0))
            scalers = [Standardize.of(X[fold]) for fold in folds]
        else:
            weights = np.zeros((len(folds), len(y)))
            for weight, fold in zip(weights, folds, strict=True):
                own = np.asarray(sample_weight, np.float64)[fold]
                weight[fold] = class_balanced_weight(y[fold], own, self.class_weight, self.classes_)
                scalers.append(Standardize.of(X[fold], own))
            weights = np.repeat(weights, n_members, axis=0)
        tensors = {"x": torch.from_numpy(np.ascontiguousarray(X)), "y": torch.from_numpy(y)}
        rows = [fold for fold in folds for _ in range(n_members)]
        return self._train(tensors, y, weights, scalers, rows)

    def _train(self, tensors, y, weights, scalers, rows):
        """Return the trained members of every scaler."""
        if self.n_candidates > 1 and not (self.early_stopping or self.select == "best"):
            raise ValueError(
                f"n_candidates={self.n_candidates} chooses by the validation loss; set "
                "early_stopping=True or select='best'."
            )
        n = self.n_estimators * self.n_candidates
        trained = self._trainer().fit(
            lambda k: self._network(scalers[k // n]),
            _cross_entropy,
            tensors,
            seeds=draw_seeds(self.random_state, n * len(scalers)),
            weights=weights,
            rows=rows,
            stratify=y,
        )
        return [group.best_of(self.n_candidates) for group in trained.groups(n)]

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log odds of the second class, of the probability averaged over networks and epochs.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_odds : ndarray of float64, shape (n_events,)
        """
        check_is_fitted(self)
        X = check_events(self, X, reset=False)
        return self.trained_.evaluate(_logit, {"x": X}, reduce=_log_odds_of_mean)


def _logit(network, batch):
    return network(batch["x"]).squeeze(-1)


@per_event
def _cross_entropy(network, batch):
    logit = _logit(network, batch)
    return F.binary_cross_entropy_with_logits(logit, batch["y"].to(logit.dtype), reduction="none")


def _log_odds_of_mean(logits):
    # In log space: the probability of a certain event rounds to one long before its odds do.
    return torch.logsumexp(F.logsigmoid(logits), 0) - torch.logsumexp(F.logsigmoid(-logits), 0)
