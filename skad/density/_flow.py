"""Normalizing flows as densities."""

from __future__ import annotations

import copy
import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.random import sample_without_replacement
from sklearn.utils.validation import check_is_fitted

from skad.base import DensityMixin
from skad.density._discrete import warn_of_discrete_columns
from skad.io._stored_events import StoredEvents
from skad.nn._flows import FLOW_KINDS
from skad.nn._from_files import FromFilesMixin
from skad.nn._loader import StoredTensors
from skad.nn._mlp import Standardize
from skad.nn._partial_fit import PartialFitMixin
from skad.nn._recipe import FlowRecipe
from skad.nn._settings import TrainingMixin
from skad.nn._trained import log_mean_exp
from skad.utils import _blocks
from skad.utils import _sklearn as sk
from skad.utils._columns import column_name, resolve_columns
from skad.utils._events import check_events, check_stored_events
from skad.utils._random import draw_seed
from skad.utils._statistics import Moments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Floats, Seed

__all__ = ["FlowDensity"]

# Conditions kept for sampling when none are given.
_MAX_KEPT_CONDITIONS = 100_000


class FlowDensity(
    FromFilesMixin, PartialFitMixin, TrainingMixin, DensityMixin, TransformerMixin, BaseEstimator
):
    """Density p(x) or p(x|m) of events, learned by a normalizing flow.

    Maximum likelihood with a flow behind a standardisation of every column. The density is the
    one in the coordinates of X: its units are those of the features to the power minus one.

    Parameters
    ----------
    flow : {"nsf", "maf", "nsf_coupling", "cnf", "flow_matching"} or callable, default="nsf"
        Kind of flow, or a function that builds your own.

        - "nsf": autoregressive rational-quadratic splines on top of affine steps [2]_; fast
          densities, samples in one pass per feature. The default, as of all kinds it reaches the
          highest likelihood in the same processor time (table in the guide to densities).
        - "maf": masked autoregressive flow of affine steps alone [1]_.
        - "nsf_coupling": coupling layers of the same splines; samples as fast as densities.
        - "cnf": continuous flow (FFJORD [3]_).
        - "flow_matching": continuous flow trained by flow matching [5]_, a regression in place of
          maximum likelihood: losses are squared errors, not nats.
        - A function ``build(n_features, n_context)``, or a class such as `zuko.flows.NSF`, that
          returns an nflows transform or a zuko flow onto a standard normal. The events that it
          sees are standardised. `n_estimators` of them are trained one after another.
    n_transforms : int, default=None
        Number of stacked transforms; None takes the default of the kind.
    hidden_layer_sizes : int or tuple of int, default=None
        Hidden layers of the network of each transform; None takes the default of the kind.
    flow_options : dict, default=None
        Further options of the kind, see `skad.nn.build_flow`. A function gets them as keywords, as
        it gets `n_transforms` and, as `hidden_features`, `hidden_layer_sizes` unless they are None.
    condition_features : str, int or sequence of them, default=None
        Names or positions of the columns of X that are conditions m rather than features x.
    noise : float, default=0.0
        Width of normal noise that every training event gets afresh in every pass, in standard
        deviations of each feature. The flow then learns the density blurred by it [6]_: bounded
        where values repeat, and smooth where events are few. About 0.3 suits tables of up to ten
        thousand rows (``benchmarks/results/tables.md``).
    n_estimators : int, default=1
        Flows trained with different seeds; the density is the mean of theirs.
    max_epochs : int, default=20
        Passes over the events. A few thousand steps are enough: lower it for 1e6 events, raise it
        for 1e3.
    batch_size : int, default=512
        Events per step.
    learning_rate : float, default=6e-3
        Peak of the schedule.
    weight_decay : float, default=0.0
        Weight decay of the optimizer.
    schedule : {"constant", "cosine", "one_cycle"} or dict, default="one_cycle"
        Learning rate over the training, updated every step. A dict {epoch: factor}
        multiplies it from these epochs on, counted from 0.
    clip_norm : float or None, default=5.0
        Largest norm of the gradient.
    early_stopping : bool, default=False
        Stop when the likelihood of held-out events has not risen by `tol` for
        `n_iter_no_change` epochs.
    validation_fraction : float, default=0.1
        Part of the events held out if `early_stopping` or `select="best"`.
    n_iter_no_change : int, default=10
        Patience in epochs.
    tol : float, default=1e-4
        Smallest gain in nats that counts.
    select : {"last", "best"}, default="last"
        Which epochs to keep: the last ones or those of highest validation likelihood.
    n_averaged : int, default=1
        Number of epochs kept; the density is the mean of theirs.
    warm_start : bool, default=False
        Continue from the flows of the last fit, with a fresh optimizer.
    callbacks : list of skorch callbacks or of (name, callback), default=None
        Copies of them are called once an epoch of every training, see the guide to training.
    device : str, default="auto"
        "auto" (a GPU where there is one), "cpu", "cuda", ...
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling and splits; an int gives the same result again.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    trained_ : TrainedMembers
        The networks.
    history_ : list of list of dict
        For every flow one entry an epoch: losses in nats, learning rate, seconds.
    n_iter_ : int
        Number of epochs run.
    device_ : torch.device
        Where it was trained.
    condition_indices_ : ndarray of int
        Positions of the conditions in X.
    feature_indices_ : ndarray of int
        Positions of the features in X.
    n_features_in_ : int
        Number of columns of X, conditions included.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if it had any.

    Raises
    ------
    DivergenceError
        If training reached no finite likelihood.

    See Also
    --------
    FramedDensity : A density fitted in other coordinates than those of X.

    Notes
    -----
    `skad.papers` holds the flows of papers, with their coordinates: those of ANODE [4]_, CATHODE,
    CURTAINs, FETA and of the coordinate study.

    References
    ----------
    .. [1] Papamakarios, Pavlakou, Murray, arXiv:1705.07057
    .. [2] Durkan, Bekasov, Murray, Papamakarios, arXiv:1906.04032
    .. [3] Grathwohl et al., arXiv:1810.01367
    .. [4] Nachman, Shih, arXiv:2001.04990, section 3
    .. [5] Lipman et al., arXiv:2210.02747
    .. [6] Rothfuss et al., arXiv:1907.08982

    Examples
    --------
    >>> import numpy as np
    >>> from skad.density import FlowDensity
    >>> X = np.random.RandomState(0).normal(size=(2000, 2))
    >>> density = FlowDensity(max_epochs=20, random_state=0).fit(X)
    >>> exact = -0.5 * (X**2).sum(1) - np.log(2 * np.pi)
    >>> bool(abs(density.score(X) - exact.mean()) < 0.05)
    True
    >>> density.sample(3, random_state=0).shape
    (3, 2)

    A flow of zuko in place of a built-in one:

    >>> import zuko
    >>> options = {"transforms": 2, "hidden_features": (16,)}
    >>> own = FlowDensity(zuko.flows.NSF, flow_options=options, max_epochs=20, random_state=0)
    >>> bool(abs(own.fit(X).score(X) - exact.mean()) < 0.05)
    True
    """

    _parameter_constraints: dict = {
        "flow": [sk.StrOptions(set(FLOW_KINDS)), callable],
        "n_transforms": [None, sk.Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": [None, "array-like", sk.Interval(Integral, 1, None, closed="left")],
        "flow_options": [None, dict],
        "condition_features": [None, str, Integral, "array-like"],
        "noise": [sk.Interval(Real, 0, None, closed="left")],
        "n_estimators": [sk.Interval(Integral, 1, None, closed="left")],
        **TrainingMixin._training_constraints,
    }
    del _parameter_constraints["optimizer"]

    def __init__(
        self,
        flow: Literal["nsf", "maf", "nsf_coupling", "cnf", "flow_matching"]
        | Callable[..., Any] = "nsf",
        *,
        n_transforms: int | None = None,
        hidden_layer_sizes: int | Sequence[int] | None = None,
        flow_options: dict[Any, Any] | None = None,
        condition_features: str | int | Sequence[str | int] | None = None,
        noise: float = 0.0,
        n_estimators: int = 1,
        max_epochs: int = 20,
        batch_size: int = 512,
        learning_rate: float = 6e-3,
        weight_decay: float = 0.0,
        schedule: Literal["constant", "cosine", "one_cycle"] | dict[Any, Any] = "one_cycle",
        clip_norm: float | None = 5.0,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        select: Literal["last", "best"] = "last",
        n_averaged: int = 1,
        warm_start: bool = False,
        callbacks: Any = None,
        device: str = "auto",
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.flow = flow
        self.n_transforms = n_transforms
        self.hidden_layer_sizes = hidden_layer_sizes
        self.flow_options = flow_options
        self.condition_features = condition_features
        self.noise = noise
        self.n_estimators = n_estimators
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
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
    ) -> Self:
        """Learn the density of the events.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Features and conditions.
        y : ignored
            Truth labels may be passed; they are not read.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights; all ones are the same as None.
        X_val : array-like of shape (n_validation_events, n_features), default=None
            Events for the validation likelihood, in place of a part of X.

        Returns
        -------
        self : FlowDensity
        """
        continued = self.warm_start and hasattr(self, "trained_")
        X = check_events(self, X, ensure_min_samples=2, reset=not continued)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        recipe = self.recipe()
        features, conditions = self._scalings(recipe, X, weight)
        rows = valid_rows = None
        events, all_weight = X, weight
        if X_val is not None:
            X_val = check_events(self, X_val, dtype=X.dtype, reset=False)
            events = np.concatenate([X, X_val])
            rows, valid_rows = [np.arange(len(X))], [np.arange(len(X), len(events))]
            if weight is not None:
                all_weight = np.concatenate([weight, np.ones(len(X_val))])
        trained = recipe.train_density(
            self._builder(continued, recipe, features, conditions),
            self._arrays(events),
            random_state=self.random_state,
            weights=all_weight,
            rows=rows,
            valid_rows=valid_rows,
        )
        return self._keep(trained, X)

    def _scalings(self, recipe, X, weight):
        """Find the columns and return the standardisations of features and conditions."""
        self._resolve_columns()
        arrays = self._arrays(X)
        names = getattr(self, "feature_names_in_", None)
        names = [column_name(i, names) for i in self.feature_indices_]
        scalings = recipe.scaling(**arrays, sample_weight=weight, names=names)
        if not self.noise:
            warn_of_discrete_columns(arrays["x"], names)
        return scalings

    def _partial_fit(self, X, y, sample_weight):
        first = not hasattr(self, "trained_")
        X = check_events(self, X, ensure_min_samples=2 if first else 1, reset=first)
        weight = None
        if sample_weight is not None:
            weight = sk.check_sample_weight(sample_weight, X, dtype=np.float64)
        recipe = self.recipe()
        scalings = self._scalings(recipe, X, weight) if first else (None, None)
        trained = recipe.train_density(
            self._builder(not first, recipe, *scalings),
            self._arrays(X),
            random_state=self.random_state,
            more=True,
            previous=None if first else self.trained_,
            weights=weight,
        )
        return self._keep(trained, X)

    def _fit_stored(self, events):
        continued = self.warm_start and hasattr(self, "trained_")
        check_stored_events(self, events, reset=not continued)
        self._resolve_columns()
        recipe = self.recipe()
        names = getattr(self, "feature_names_in_", None)
        names = [column_name(i, names) for i in self.feature_indices_]
        recipe.refuse_constant((events.low == events.high)[self.feature_indices_], names)
        if not self.noise:
            warn_of_discrete_columns(self._arrays(events.read(0, _blocks.BLOCK))["x"], names)
        moments = {}
        for block in events.blocks():
            for name, array in self._arrays(block).items():
                moments.setdefault(name, Moments()).add(array)
        scalings = {name: Standardize(*m.mean_and_std()) for name, m in moments.items()}

        def tensors_of(rows):
            arrays = self._arrays(rows)
            return {n: torch.from_numpy(np.ascontiguousarray(a)) for n, a in arrays.items()}

        trained = recipe.train_density(
            self._builder(continued, recipe, scalings["x"], scalings.get("m")),
            StoredTensors(events, tensors_of),
            random_state=self.random_state,
        )
        return self._keep(trained, events)

    def _builder(self, continued, recipe, features, conditions):
        """Return the function that builds the networks to train."""
        previous = self.trained_ if continued else None

        def build(k):
            if previous is not None and k < len(previous.networks):
                return copy.deepcopy(previous.networks[k][-1]).requires_grad_(True)
            return recipe.network(features, conditions)

        return build

    def recipe(self) -> Any:
        """Return how these parameters say that flows are built and trained.

        Estimators that train flows in another way, in front of a density or as a part of a
        mixture, take their settings from an unfitted `FlowDensity` by this.

        Returns
        -------
        recipe : FlowRecipe
        """
        self._validate_params()
        options = dict(self.flow_options or {})
        if self.n_transforms is not None:
            options["n_transforms"] = self.n_transforms
        if self.hidden_layer_sizes is not None:
            sizes = self.hidden_layer_sizes
            options["hidden_features"] = (sizes,) if np.isscalar(sizes) else tuple(sizes)
        return FlowRecipe(
            kind=self.flow,
            options=options,
            n_estimators=self.n_estimators,
            trainer=self._trainer(),
            noise=float(self.noise),
        )

    def adopt(self, trained: Any, X: ArrayLike) -> Self:
        """Take flows that were trained elsewhere, in place of `fit`.

        Parameters
        ----------
        trained : TrainedMembers
            Their networks are flows of the features given the conditions, as
            ``recipe().network(...)`` builds them.
        X : array-like of shape (n_events, n_features)
            Events that they were trained on: names, number of columns and the conditions to
            sample at are those of X.

        Returns
        -------
        self : FlowDensity
        """
        X = check_events(self, X)
        self._resolve_columns()
        return self._keep(trained, X)

    def _keep(self, trained, X):
        self.trained_ = trained
        self.device_ = trained.device
        self.history_ = trained.histories
        self.n_iter_ = trained.n_epochs
        if len(self.condition_indices_):
            self._conditions = _some_of(X)[:, self.condition_indices_]
        return self

    def _resolve_columns(self):
        names, n_columns = getattr(self, "feature_names_in_", None), self.n_features_in_
        self.condition_indices_ = resolve_columns(
            self.condition_features, names, n_columns, parameter="condition_features"
        )
        self.feature_indices_ = np.setdiff1d(np.arange(n_columns), self.condition_indices_)
        if not len(self.feature_indices_):
            raise ValueError(
                "condition_features must leave at least one column to model; "
                f"got all {n_columns} columns of X."
            )

    def _arrays(self, X):
        """Return features x and conditions m, if any."""
        arrays = {"x": X[:, self.feature_indices_]}
        if len(self.condition_indices_):
            arrays["m"] = X[:, self.condition_indices_]
        return arrays

    def _validated(self, X):
        check_is_fitted(self)
        return check_events(self, X, reset=False)

    def score_samples(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log density of each event in the coordinates of X.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_density : ndarray of float64, shape (n_events,)
            log p(x) or log p(x|m), in nats.
        """
        arrays = self._arrays(self._validated(X))
        return self.trained_.evaluate(_log_density, arrays, reduce=log_mean_exp)

    def conditional_log_densities(self, X: ArrayLike) -> NDArray[np.float64]:
        """Log density of each feature given those before it, whose sum is `score_samples`.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_densities : ndarray of float64, shape (n_events, n_modelled)
            log p(x_i | x_1 ... x_(i-1)), in nats, for the columns that are modelled; the
            conditions are given for all of them.

        Raises
        ------
        TypeError
            A flow that mixes the order of the features between its steps.

        Examples
        --------
        >>> import numpy as np
        >>> from skad.density import FlowDensity
        >>> X = np.random.RandomState(0).normal(size=(500, 2))
        >>> options = {"permutation": "none"}
        >>> flow = FlowDensity(flow_options=options, max_epochs=2, random_state=0).fit(X)
        >>> terms = flow.conditional_log_densities(X)
        >>> bool(np.allclose(terms.sum(axis=1), flow.score_samples(X)))
        True
        """
        X = self._validated(X)
        if not self._keeps_order():
            raise TypeError(
                "This flow mixes the order of the features between its steps, so that its density "
                "is no product of conditional ones. Give flow='maf' or 'nsf' with n_transforms=1 "
                "or flow_options={'permutation': 'none'}."
            )

        def before(stacked):
            """The mean of densities, of all features up to each."""
            return log_mean_exp(stacked.cumsum(-1))

        up_to = self.trained_.evaluate(
            lambda network, batch: network.conditional_log_densities(*batch.values()),
            self._arrays(X),
            reduce=before,
        )
        return np.diff(up_to, axis=1, prepend=0.0)

    def _keeps_order(self):
        return all(network.flow.keeps_order for kept in self.trained_.networks for network in kept)

    def sample(
        self,
        n_samples: int = 1,
        random_state: Seed = None,
        *,
        conditions: ArrayLike | None = None,
        between: Floats | None = None,
    ) -> NDArray[np.float64]:
        """Draw events from the density.

        With several flows or epochs every one gives an equal share.

        Parameters
        ----------
        n_samples : int, default=1
            Number of events.
        random_state : int, RandomState or None, default=None
            Source of randomness. The same int draws the same latent points, at other conditions
            too.
        conditions : array-like of shape (n_samples,) or (n_samples, n_conditions), default=None
            Conditions m, in the order of `condition_features`; by default drawn from those of
            the training events.
        between : (float, float), default=None
            Two values of the only condition around all of `conditions`, of a continuous flow. Its
            velocity is interpolated from these, and what it learned in between is not used.

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_features)
            Events with the columns of the X of `fit`, conditions included.

        Raises
        ------
        ValueError
            Conditions of a wrong shape, beyond `between`, or given to an unconditional density.
        TypeError
            `between` of a flow that is not continuous.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer; got {n_samples!r}.")
        rng = np.random.RandomState(draw_seed(random_state))
        generator = torch.Generator().manual_seed(draw_seed(rng))
        m = self._check_conditions(conditions, n_samples, rng)
        if between is not None:
            between = _check_between(between, m)
        X = np.empty((n_samples, self.n_features_in_))
        for network, rows in self.trained_.shares(n_samples, rng):
            of_rows = None
            if m is not None:
                of_rows = torch.as_tensor(m[rows]).to(self.trained_.device)
            with torch.no_grad():
                drawn = network.sample(len(rows), of_rows, generator, between)
            X[np.ix_(rows, self.feature_indices_)] = drawn.cpu().numpy()
        if m is not None:
            X[:, self.condition_indices_] = m
        return X

    def _check_conditions(self, conditions, n_samples, rng):
        n_conditions = len(self.condition_indices_)
        if not n_conditions:
            if conditions is not None:
                raise ValueError(
                    "conditions were given, but this density has no condition_features."
                )
            return None
        if conditions is None:
            return self._conditions[rng.randint(len(self._conditions), size=n_samples)]
        m = np.asarray(conditions, dtype=np.float64)
        m = m[:, None] if m.ndim == 1 else m
        if m.shape != (n_samples, n_conditions):
            raise ValueError(
                f"conditions must have shape (n_samples, n_conditions) = "
                f"({n_samples}, {n_conditions}); got {np.shape(conditions)}."
            )
        if not np.isfinite(m).all():
            raise ValueError("conditions must be finite; they hold NaN or infinity.")
        return m

    def transform(self, X: ArrayLike) -> Any:
        """Map events to the latent space of the first flow; conditions stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        Z : ndarray of float64, shape (n_events, n_features)
            The features follow N(0, 1) independently, as far as the flow has learned.
        """
        X = self._validated(X)
        Z = X.astype(np.float64)
        Z[:, self.feature_indices_] = self._latent(X, lambda network, b: network.latent(*b)[0])
        return Z

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Map latent points back to events; conditions stay as they are.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Latent points as `transform` gives them.

        Returns
        -------
        X_original : ndarray of float64, shape (n_events, n_features)
        """
        X = self._validated(X)
        original = X.astype(np.float64)
        original[:, self.feature_indices_] = self._latent(X, lambda network, b: network.data(*b))
        return original

    def log_abs_det_jacobian(self, X: ArrayLike) -> NDArray[np.float64]:
        """Logarithm of ``|det dz/dx|`` of `transform` at each event.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        log_abs_det : ndarray of float64, shape (n_events,)
            Natural logarithm, the derivative taken in the coordinates of X.
        """
        return self._latent(self._validated(X), lambda network, b: network.latent(*b)[1])

    def _latent(self, X, function):
        # The mean of several flows has no latent space of its own.
        first = self.trained_.groups(1)[0]
        return first.evaluate(
            lambda network, batch: function(network, tuple(batch.values())),
            self._arrays(X),
            reduce=lambda stacked: stacked[-1],
        )

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Names of the columns of `transform`: latent ones, and the conditions.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of X.

        Returns
        -------
        names : ndarray of str objects, shape (n_features,)
        """
        check_is_fitted(self)
        names = sk.check_feature_names_in(self, input_features).copy()
        for i, position in enumerate(self.feature_indices_):
            names[position] = f"latent{i}"
        return names


def _some_of(X):
    """Return events whose conditions are kept."""
    n = len(X)
    if n <= _MAX_KEPT_CONDITIONS:
        return X.read(0, n) if isinstance(X, StoredEvents) else X
    rng = np.random.RandomState(0)
    if n <= _blocks.BLOCK:
        return X[rng.choice(n, _MAX_KEPT_CONDITIONS, replace=False)]
    # A permutation of the rows would need as much memory as a column.
    rows = np.sort(sample_without_replacement(n, _MAX_KEPT_CONDITIONS, random_state=rng))
    if not isinstance(X, StoredEvents):
        return X[rows]
    of_blocks = [rows[(rows >= b.start) & (rows < b.stop)] for b in _blocks.block_slices(n)]
    return np.concatenate([X.take(of_block) for of_block in of_blocks if len(of_block)])


def _check_between(between, m):
    """Return two values of the condition that hold all of m between them."""
    low, high = (float(edge) for edge in between)
    if m is None or m.shape[1] != 1:
        raise ValueError(
            "between interpolates in one condition; this density has "
            f"{0 if m is None else m.shape[1]} condition_features."
        )
    if not (low < high and low <= m.min() and m.max() <= high):
        raise ValueError(
            f"between must be two values around all conditions, which go from {m.min():g} to "
            f"{m.max():g}; got {between!r}."
        )
    return low, high


def _log_density(network, batch):
    # Squares in float64: a point far out must keep a finite, ordered density.
    z, log_abs_det = network.latent(*batch.values())
    return log_abs_det - 0.5 * (z.double().square() + math.log(2 * math.pi)).sum(1)
