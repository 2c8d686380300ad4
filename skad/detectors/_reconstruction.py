"""What autoencoder and variational autoencoder share: scaling, training, latent space."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from skad.base import DetectorMixin
from skad.io._stored_events import StoredRows
from skad.nn._from_files import FromFilesMixin
from skad.nn._loader import StoredTensors
from skad.nn._mlp import ACTIVATIONS, Standardize
from skad.nn._partial_fit import PartialFitMixin
from skad.nn._settings import TrainingMixin
from skad.utils import _sklearn as sk
from skad.utils._events import FLOATS, check_events, check_stored_events
from skad.utils._labels import read_labels
from skad.utils._quantile import quantile_of_blocks
from skad.utils._random import draw_seeds
from skad.utils._scaling import center_and_scale, robust_scale, spread
from skad.utils._statistics import Moments

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ReconstructionDetector", "mean_over_networks"]


def mean_over_networks(stacked):
    """Combine the outputs of all networks and epochs."""
    return stacked.mean(0)


def scaled_reconstruction(network, batch):
    """Return scaled features and their reconstruction, in float64.

    Differences and squares in float64, so that an event far out keeps a finite, ordered score.
    """
    z = network.scaling(batch["x"])
    return z, network.decode(network.latent(z)).double()


class ReconstructionDetector(
    FromFilesMixin,
    PartialFitMixin,
    TrainingMixin,
    DetectorMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base of the detectors that compress events to a latent space and back.

    A subclass implements `_build_network(scaling, n_features)`, `_objective()`, which returns the
    loss and further arguments of `Trainer.fit`, and `anomaly_score`; its `fit` calls `_fit`. For
    `fit_file`, `_named_scores` returns the scores that have an offset of their own, by name, and
    `_finish_stored(events, continued)` sets these.
    """

    _reconstruction_constraints: dict = {
        "hidden_layer_sizes": ["array-like", sk.Interval(Integral, 1, None, closed="left")],
        "n_latent": [sk.Interval(Integral, 1, None, closed="left")],
        "activation": [sk.StrOptions(set(ACTIVATIONS))],
        "scaling": [None, sk.StrOptions({"standard", "robust"})],
        "n_estimators": [sk.Interval(Integral, 1, None, closed="left")],
        **DetectorMixin._threshold_constraints,
        **TrainingMixin._training_constraints,
    }
    del _reconstruction_constraints["optimizer"]

    def _hidden_sizes(self):
        sizes = self.hidden_layer_sizes
        return (int(sizes),) if np.isscalar(sizes) else tuple(int(size) for size in sizes)

    def _feature_columns(self, X):
        """Positions of the columns that are reconstructed."""
        return np.arange(X.shape[1])

    def _extra_tensors(self, events):
        """Further tensors over the events that the objective needs."""
        return {}

    def _fit(self, X, sample_weight, X_val=None, exposed=None, exposed_val=None, more=False):
        """Validate, train, and return the background events and their weights.

        `exposed` is 1 for outliers among the events, which set neither scale nor threshold. With
        `more` it is a call of `partial_fit`.
        """
        continued = (more or self.warm_start) and hasattr(self, "trained_")
        n_least = 1 if more and continued else 2
        X = check_events(self, X, ensure_min_samples=n_least, reset=not continued)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        background = slice(None)
        if exposed is not None:
            exposed = self._read_exposed(exposed, X, name="y")
            background = exposed == 0
        background_weight = None if weight is None else weight[background]
        self.feature_indices_ = self._feature_columns(X)
        scaling = self._scaling(
            continued,
            lambda: self._scaling_of(X[background][:, self.feature_indices_], background_weight),
        )
        events, all_weight, rows, valid_rows = X, weight, None, None
        if X_val is not None:
            X_val = check_events(self, X_val, dtype=X.dtype, reset=False)
            events = np.concatenate([X, X_val])
            rows = [np.arange(len(X))] * self.n_estimators
            valid_rows = [np.arange(len(X), len(events))] * self.n_estimators
            if weight is not None:
                all_weight = np.concatenate([weight, np.ones(len(X_val))])
            if exposed is not None:
                exposed_val = self._read_exposed(exposed_val, X_val, name="y_val")
                exposed = np.concatenate([exposed, exposed_val])
        z = self._scaled(scaling, events, np.inf if more else len(events))
        tensors = {"z": z, **self._extra_tensors(events)}
        if exposed is not None:
            tensors["exposed"] = torch.from_numpy(exposed.astype(np.float32))
        if more:
            self._train(continued, scaling, tensors, more=True, weights=all_weight)
        else:
            self._train(
                continued,
                scaling,
                tensors,
                weights=all_weight,
                rows=rows,
                valid_rows=valid_rows,
                stratify=exposed,
            )
        return X[background], background_weight

    def _fit_stored(self, events):
        continued = self.warm_start and hasattr(self, "trained_")
        check_stored_events(self, events, reset=not continued)
        self.feature_indices_ = self._feature_columns(events)
        scaling = self._scaling(continued, lambda: self._scaling_of_stored(events))

        def tensors_of(rows):
            return {"z": self._scaled(scaling, rows, len(events))}

        self._train(continued, scaling, StoredTensors(events, tensors_of))
        return self._finish_stored(events, continued)

    def _offsets_of_stored(self, events):
        """Return the offset of each score of `_named_scores`."""
        names, n_bad = list(self._named_scores(events.read(0, 1))), 0
        with StoredRows(len(names), np.float64) as stored:
            for block in events.blocks():
                scores = np.column_stack([*self._named_scores(block).values()])
                n_bad += np.count_nonzero(np.isnan(scores).any(axis=1))
                stored.append(scores)
            self._refuse_nan(n_bad, len(events))
            return {
                name: self._offset_of_blocks(
                    lambda i=i: (rows[:, i] for rows in stored.blocks()), len(events)
                )
                for i, name in enumerate(names)
            }

    def _scaling(self, continued, new):
        """Return the scaling of the last fit where this one continues it, `new()` elsewhere."""
        if continued:
            # The networks were trained in the old scale and only they know it.
            return copy.deepcopy(self.trained_.networks[0][-1].scaling).cpu()
        self._n_latent = self.n_latent
        return new()

    def _train(self, continued, scaling, tensors, *, more=False, **events):
        previous = self.trained_ if continued else None

        def build(k):
            if previous is not None and k < len(previous.networks):
                return copy.deepcopy(previous.networks[k][-1]).requires_grad_(True)
            return self._build_network(copy.deepcopy(scaling), len(self.feature_indices_))

        objective, options = self._objective()
        train = self._trainer().fit
        if more:
            train, options = self._trainer().fit_more, {**options, "previous": previous}
        self.trained_ = train(
            build,
            objective,
            tensors,
            seeds=draw_seeds(self.random_state, self.n_estimators),
            **events,
            **options,
        )
        self.device_ = self.trained_.device
        self.history_ = self.trained_.histories
        self.n_iter_ = self.trained_.n_epochs

    @staticmethod
    def _read_exposed(y, X, *, name):
        exposed = read_labels(y, len(X), one="exposed outliers", zero="background", name=name)
        return exposed.astype(np.int64)

    def _scaling_of(self, values, weight):
        return Standardize(*center_and_scale(values, self.scaling, weight))

    def _scaling_of_stored(self, events):
        """Scaling of events in a file, with the bits of `_scaling_of`."""
        columns = self.feature_indices_
        if self.scaling is None:
            return Standardize(*center_and_scale(np.empty((0, len(columns))), None))
        moments = Moments()
        for block in events.blocks():
            moments.add(block[:, columns].astype(np.float64))
        mean, std = spread(*moments.mean_and_std())
        if self.scaling == "standard":
            return Standardize(mean, std)
        quartiles = [
            [
                quantile_of_blocks(lambda i=i: (b[:, i] for b in events.blocks()), q, len(events))
                for i in columns
            ]
            for q in (0.25, 0.5, 0.75)
        ]
        return Standardize(*robust_scale(*np.array(quartiles), std))

    def _scaled(self, scaling, events, n):
        """Scaled features as a tensor; float64 only where the engine trains in it."""
        with torch.no_grad():
            z = scaling(torch.from_numpy(np.ascontiguousarray(events[:, self.feature_indices_])))
        return z if n <= self.batch_size else z.float()

    def _evaluate(self, function, X, *, reduce=mean_over_networks, trained=None):
        """Evaluate networks over validated events; `function(network, batch)` gets "x"."""
        trained = self.trained_ if trained is None else trained
        return trained.evaluate(function, {"x": X[:, self.feature_indices_]}, reduce=reduce)

    def _validated(self, X):
        check_is_fitted(self)
        return check_events(self, X, reset=False)

    def reconstruct(self, X: ArrayLike) -> NDArray[np.float64]:
        """Reconstruct events, in the units of X.

        The mean over all networks and kept epochs.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        X_reconstructed : ndarray of float64, shape (n_events, n_features)
            In the columns of X; columns that are not reconstructed keep their values.
        """
        X = self._validated(X)
        reconstructed = X.astype(np.float64)
        reconstructed[:, self.feature_indices_] = self._evaluate(
            lambda network, batch: network.scaling.inverse(
                network.decode(network.latent(network.scaling(batch["x"])))
            ),
            X,
        )
        return reconstructed

    def reconstruction_errors(self, X: ArrayLike) -> NDArray[np.float64]:
        """Squared error of every column, in scaled units.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        errors : ndarray of float64, shape (n_events, n_features)
            The mean over all networks and kept epochs; 0 in columns that are not reconstructed.
        """
        X = self._validated(X)
        errors = np.zeros(X.shape)
        errors[:, self.feature_indices_] = self._evaluate(self._squared_errors, X)
        return errors

    def _squared_errors(self, network, batch):
        """Squared errors of events in all columns."""
        z, reconstruction = scaled_reconstruction(network, batch)
        return (z - reconstruction).square()

    def transform(self, X: ArrayLike) -> Any:
        """Map events to the latent space of the first network.

        Several networks have no latent space in common.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        Z : ndarray of float64, shape (n_events, n_latent)
        """
        X = self._validated(X)
        return self._evaluate(
            lambda network, batch: network.latent(network.scaling(batch["x"])),
            X,
            reduce=lambda stacked: stacked[-1],
            trained=self.trained_.groups(1)[0],
        )

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Decode latent points of the first network into events.

        Parameters
        ----------
        X : array-like of shape (n_events, n_latent)
            Latent points as `transform` gives them.

        Returns
        -------
        X_original : ndarray of float64, shape (n_events, n_decoded)
            In the units of the X of `fit`; its reconstructed columns, in their order.

        Raises
        ------
        ValueError
            Another number of columns than `n_latent`.
        """
        check_is_fitted(self)
        latent = check_array(X, dtype=FLOATS, input_name="X")
        if latent.shape[1] != self._n_latent:
            raise ValueError(
                f"X must hold latent points with n_latent={self._n_latent} columns; "
                f"got {latent.shape[1]}."
            )
        return self.trained_.groups(1)[0].evaluate(
            lambda network, batch: network.scaling.inverse(network.decode(batch["latent"])),
            {"latent": latent},
            reduce=lambda stacked: stacked[-1],
        )

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the columns of `transform`: "latent0", "latent1", ...

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X; only checked.

        Returns
        -------
        names : ndarray of str objects, shape (n_latent,)
        """
        check_is_fitted(self)
        sk.check_feature_names_in(self, input_features)
        return np.array([f"latent{i}" for i in range(self._n_latent)], dtype=object)
