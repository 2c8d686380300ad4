"""Anomalies by a variational autoencoder, in five metrics."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skad.detectors._disco import DisCo
from skad.detectors._outlier_exposure import OutlierExposure
from skad.detectors._reconstruction import ReconstructionDetector
from skad.metrics import energy_movers_distance
from skad.nn._annealing import Annealed
from skad.nn._autoencoder import LARGEST_SCALED, VariationalAutoencoder
from skad.nn._losses import kl_to_standard_normal
from skad.nn._members import per_event
from skad.utils import _sklearn as sk
from skad.utils._columns import resolve_columns
from skad.utils._event_noise import normals_of_events
from skad.utils._random import draw_seed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["VAEDetector"]

METRICS = ("nll", "mse", "kl", "emd", "mss")


class VAEDetector(ReconstructionDetector):
    """Score events by a variational autoencoder.

    The encoder gives a normal posterior :math:`q(t|x) = N(\\mu(x), \\sigma^2(x))` over the latent
    space, the decoder a reconstruction :math:`\\hat z(t)` of the scaled features z. Trained on

    .. math:: L = \\mathrm{MSE} + \\beta\\, \\mathrm{KL}, \\quad
              \\mathrm{MSE} = \\frac{1}{d} \\sum_{i=1}^{d} (z_i - \\hat z_i)^2, \\quad
              \\mathrm{KL} = \\frac{1}{2} \\sum_{j} (\\mu_j^2 + \\sigma_j^2 - 1 - \\ln \\sigma_j^2).

    Two additions of [1]_ make the score independent of a feature such as the mass: `DisCo`, and
    `OutlierExposure` with outliers that follow the background in that feature (`match_mass`).

    Parameters
    ----------
    hidden_layer_sizes : int or tuple of int, default=(256, 128, 64)
        Hidden layers of the encoder; the decoder has them in reverse.
    n_latent : int, default=10
        Size of the latent space.
    activation : {"relu", "tanh", "silu", "elu", "gelu"}, default="relu"
        Activation of the hidden layers.
    beta : float, default=0.01
        Strength of the KL divergence, see Notes.
    beta_annealing : tuple (start, period, n_cycles), default=None
        `beta` is 0 for `start` epochs, then rises linearly from 0 within `period` epochs and stays
        for as many, `n_cycles` times; the last time it stays for good. None keeps it constant.
    scaling : {"standard", "robust"} or None, default="robust"
        Scale in which errors are measured, learned from the (background) training events.

        - "standard": mean zero and variance one of every feature.
        - "robust": the median goes to zero, the width between the quartiles to one; a feature
          whose quartiles agree, as those of padding and of flags, is scaled as by "standard".
        - None: X as it is.

        A constant column is only centred: it has no error until another value comes, whose error is
        in the units of X.
    metric : {"nll", "mse", "kl", "emd", "mss"}, default="nll"
        The anomaly score. It may be changed after the fit.

        - "nll": MSE + `kl_weight` KL.
        - "mse": MSE.
        - "kl": KL, in nats.
        - "emd": energy mover's distance of a jet to its reconstruction, for X that holds
          constituents; see `skad.metrics.energy_movers_distance`. Needs the package POT.
        - "mss": mean of the squares of the scaled features, which uses no network.
    kl_weight : float, default=0.03
        Weight of the KL divergence in the NLL, as `beta` is its weight in the loss. It may be
        changed after the fit.
    n_samples : int, default=1
        Posterior draws per event that MSE and EMD are averaged over, see Notes; 1 is what the
        training sees, 0 decodes the posterior mean. It may be changed after the fit.
    constituents : {"p4", "log_pt_eta_phi"}, default="p4"
        What the columns are to the metric "emd": E, px, py, pz of each constituent in turn, or
        log(1 + pT), eta, phi.
    decorrelation : DisCo, default=None
        A column of X that the score shall not depend on, and how strongly. No network sees it.
    exposure : OutlierExposure, default=None
        Outliers, y = 1 in `fit`, whose score shall exceed that of the background.
    n_estimators : int, default=1
        Networks trained with different seeds; the score is the mean of theirs.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the (background) training events that `predict` calls outliers.
    threshold : float, default=None
        Anomaly score above which an event is an outlier, in place of `contamination`.
    max_epochs : int, default=50
        Passes over the events.
    batch_size : int, default=256
        Events per step. DisCo takes time and memory of its square.
    learning_rate : float, default=3e-3
        Peak of the schedule.
    weight_decay : float, default=0.0
        Weight decay of the optimizer.
    schedule : {"constant", "cosine", "one_cycle"} or dict, default="one_cycle"
        Learning rate over the training, updated every step. A dict {epoch: factor}
        multiplies it from these epochs on, counted from 0.
    clip_norm : float or None, default=5.0
        Largest norm of the gradient.
    early_stopping : bool, default=False
        Stop when the loss of held-out events has not fallen by `tol` for `n_iter_no_change`
        epochs, counted from the end of the annealing.
    validation_fraction : float, default=0.1
        Part of the events held out if `early_stopping` or `select="best"`.
    n_iter_no_change : int, default=10
        Patience in epochs.
    tol : float, default=1e-4
        Smallest fall of the loss that counts.
    select : {"last", "best"}, default="last"
        Which epochs to keep: the last ones or those of lowest validation loss.
    n_averaged : int, default=1
        Number of epochs kept; the score is the mean of theirs.
    warm_start : bool, default=False
        Continue from the networks and the scale of the last fit, with a fresh optimizer.
    n_jobs : int, default=None
        Processes for the metric "emd".
    callbacks : list of skorch callbacks or of (name, callback), default=None
        Copies of them are called once an epoch of every training, see the guide to training.
    device : str, default="auto"
        "auto" (a GPU where there is one), "cpu", "cuda", ...
    random_state : int, RandomState or None, default=None
        Seed of initialisation, shuffling, splits and posterior draws.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    trained_ : TrainedMembers
        The networks.
    history_ : list of list of dict
        For every network one entry an epoch: losses, learning rate, seconds.
    n_iter_ : int
        Number of epochs run.
    offsets_ : dict of str to float
        For each metric the `score_samples` below which an event is an outlier; "emd" only after
        a fit with ``metric="emd"``.
    offset_ : float
        The one of the present `metric`.
    device_ : torch.device
        Where it was trained.
    feature_indices_ : ndarray of int
        Positions of the reconstructed columns.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if it had any.

    Raises
    ------
    DivergenceError
        If training reached no finite loss.

    See Also
    --------
    AutoencoderDetector : Without a distribution over the latent space.
    DisCo, OutlierExposure : Scores that are independent of a feature.

    Notes
    -----
    KL is the sum over the latent dimensions, in nats, in the loss, in the NLL, as a score and in
    `OutlierExposure`; MSE is the mean over the features. The public code [2]_ takes the mean of KL
    everywhere, so with its 10 latent dimensions its beta = 0.1 is ``beta=0.01`` and its NLL
    ``kl_weight=0.1``. As MSE is a mean over d features, a latent dimension pays for itself only if
    it lowers the MSE by beta times its KL, some nats: with 80 features and beta = 0.1 the posterior
    collapses to few dimensions. In the textbook's evidence lower bound for errors of unit
    variance, sums of squares over two, this beta is called beta d / 2.

    The draws of an event are made from its scaled values, in steps of a thousandth, and from a
    seed drawn from `random_state` in `fit`. Different events have independent draws; the same
    event has the same score in every call, chunk, order and company, as float32 or float64. A
    network trained with `DisCo` can hide what it knows of the column where only the mean of its
    posterior shows it: it is decorrelated as trained, with one draw.

    An event beyond 1e15 in scaled units, where networks saturate and distances lose their
    meaning, scores at least its MSS in every metric.

    Weights do not equal repetitions exactly, as every event draws its own posterior noise.

    References
    ----------
    .. [1] T. Cheng et al., "Variational autoencoders for anomalous jet tagging",
       arXiv:2007.01850.
    .. [2] https://github.com/taolicheng/VAE-Jet

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import VAEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 6))  # a plane in six dimensions
    >>> detector = VAEDetector(
    ...     hidden_layer_sizes=(32,), n_latent=2, beta=0.01, metric="mse", random_state=0
    ... ).fit(X)
    >>> scores = detector.anomaly_score(X)
    >>> off_plane = detector.anomaly_score(X + rng.normal(size=X.shape))
    >>> bool(np.median(off_plane) > 5 * np.median(scores))
    True
    >>> detector.set_params(metric="kl").anomaly_score(X[:2]).shape
    (2,)
    """

    _in_memory_only = ("decorrelation", "exposure")
    _parameter_constraints: dict = {
        **ReconstructionDetector._reconstruction_constraints,
        "beta": [sk.Interval(Real, 0, None, closed="left")],
        "beta_annealing": [None, "array-like"],
        "metric": [sk.StrOptions(set(METRICS))],
        "kl_weight": [sk.Interval(Real, 0, None, closed="left")],
        "n_samples": [sk.Interval(Integral, 0, None, closed="left")],
        "constituents": [sk.StrOptions({"p4", "log_pt_eta_phi"})],
        "decorrelation": [None, DisCo],
        "exposure": [None, OutlierExposure],
        "n_jobs": [None, Integral],
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: int | Sequence[int] = (256, 128, 64),
        n_latent: int = 10,
        activation: Literal["relu", "tanh", "silu", "elu", "gelu"] = "relu",
        beta: float = 0.01,
        beta_annealing: Any = None,
        scaling: Literal["standard", "robust"] | None = "robust",
        metric: Literal["nll", "mse", "kl", "emd", "mss"] = "nll",
        kl_weight: float = 0.03,
        n_samples: int = 1,
        constituents: Literal["p4", "log_pt_eta_phi"] = "p4",
        decorrelation: DisCo | None = None,
        exposure: OutlierExposure | None = None,
        n_estimators: int = 1,
        contamination: float = 0.01,
        threshold: float | None = None,
        max_epochs: int = 50,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
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
        n_jobs: int | None = None,
        callbacks: Any = None,
        device: str = "auto",
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_latent = n_latent
        self.activation = activation
        self.beta = beta
        self.beta_annealing = beta_annealing
        self.scaling = scaling
        self.metric = metric
        self.kl_weight = kl_weight
        self.n_samples = n_samples
        self.constituents = constituents
        self.decorrelation = decorrelation
        self.exposure = exposure
        self.n_estimators = n_estimators
        self.contamination = contamination
        self.threshold = threshold
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
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
    ) -> Self:
        """Learn the background.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : array-like of shape (n_events,), default=None
            With `exposure`: 0 for background, 1 for exposed outliers. Ignored without; truth
            labels may be passed.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights; all ones are the same as None.
        X_val : array-like of shape (n_validation_events, n_features), default=None
            Events for the validation loss, in place of a part of X.
        y_val : array-like of shape (n_validation_events,), default=None
            Their labels, with `exposure`.

        Returns
        -------
        self : VAEDetector

        Raises
        ------
        ValueError
            With `exposure`, a y that is not 0 and 1; an annealing that leaves no epoch.
        """
        return self._learn(X, y, sample_weight, X_val, y_val)

    def _partial_fit(self, X, y, sample_weight):
        return self._learn(X, y, sample_weight, more=True)

    def _learn(self, X, y, sample_weight, X_val=None, y_val=None, more=False):
        continued = (more or self.warm_start) and hasattr(self, "trained_")
        for part in (self.decorrelation, self.exposure):
            if part is not None:
                part._validate_params()
        if self.exposure is None:
            X, weight = self._fit(X, sample_weight, X_val, more=more)
        else:
            if y is None or (X_val is not None and y_val is None):
                raise ValueError(
                    "exposure requires y, and y_val with X_val, to be passed, but the target is "
                    "None; it is 0 for background, 1 for exposed outliers."
                )
            X, weight = self._fit(X, sample_weight, X_val, y, y_val, more)
        if not continued:
            self._noise_seed = draw_seed(self.random_state)
        scores = self._scores(X)
        self.offsets_ = {name: self._offset(score, weight) for name, score in scores.items()}
        return self

    def _named_scores(self, X):
        return self._scores(X)

    def _finish_stored(self, events, continued):
        if not continued:
            self._noise_seed = draw_seed(self.random_state)
        self.offsets_ = self._offsets_of_stored(events)
        return self

    def _feature_columns(self, X):
        self._decorrelated = resolve_columns(
            None if self.decorrelation is None else self.decorrelation.column,
            getattr(self, "feature_names_in_", None),
            X.shape[1],
            parameter="decorrelation__column",
        )
        features = np.setdiff1d(np.arange(X.shape[1]), self._decorrelated)
        if not len(features):
            raise ValueError(
                "decorrelation must leave a column to reconstruct; X has only one column."
            )
        return features

    def _extra_tensors(self, events):
        if self.decorrelation is None:
            return {}
        return {"decorrelated": self.decorrelation._tensor(events[:, self._decorrelated[0]])}

    def _build_network(self, scaling, n_features):
        return VariationalAutoencoder(
            scaling,
            n_features,
            self._hidden_sizes(),
            self.n_latent,
            activation=self.activation,
        )

    def _objective(self):
        beta = Annealed.read(self.beta, self.beta_annealing, name="beta_annealing")
        kl_weight = self.kl_weight
        annealed = [beta]
        if self.decorrelation is not None:
            decorrelation_term, kappa = self.decorrelation._term()
            annealed.append(kappa)
        if self.exposure is not None:
            exposure_term, strength = self.exposure._term()
            annealed.append(strength)

        def measures(network, batch):
            z = batch["z"]
            reconstruction, mean, log_variance = network(z, batch["noise"])
            mse = (reconstruction - z).square().mean(-1)
            kl = kl_to_standard_normal(mean, log_variance)
            return mse + beta.value * kl, mse, kl

        @per_event
        def loss_of_event(network, batch):
            return measures(network, batch)[0]

        def loss_of_batch(network, batch):
            loss, mse, kl = measures(network, batch)
            metrics = {"loss": loss, "nll": mse + kl_weight * kl, "mse": mse, "kl": kl}
            weight = batch["weight"] if "weight" in batch else torch.ones_like(loss)
            background = weight
            if "exposed" in batch:
                background = weight * (1 - batch["exposed"])
            total = (background * loss).sum() / background.sum().clamp(min=1e-12)
            if "decorrelated" in batch:
                total = total + decorrelation_term(metrics, batch["decorrelated"], background)
            if "exposed" in batch:
                total = total + exposure_term(metrics, batch["exposed"], weight)
            return total

        plain = self.decorrelation is None and self.exposure is None
        return (
            loss_of_event if plain else loss_of_batch,
            {"annealed": annealed, "n_noise": self._n_latent},
        )

    @property
    def offset_(self):
        """`score_samples` of the present `metric` below it is an outlier."""
        if self.metric not in self.offsets_:
            raise AttributeError(
                f"No threshold is known for metric={self.metric!r}: fit with this metric, or use "
                "anomaly_score and choose one."
            )
        return self.offsets_[self.metric]

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Anomaly score in the present `metric`.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        score : ndarray of float64, shape (n_events,)
            The mean over all networks and kept epochs.
        """
        X = self._validated(X)
        if self.metric not in METRICS:
            raise ValueError(f"metric must be one of {list(METRICS)}; got {self.metric!r}.")
        return self._bounded(self._scores(X)[self.metric])

    def _scores(self, X):
        """Scores in every metric, "emd" only where it is the present one."""
        mse, kl, mss = self._measures(X).T
        scores = {"nll": mse + self.kl_weight * kl, "mse": mse, "kl": kl, "mss": mss}
        far = mss > LARGEST_SCALED**2
        if self.metric == "emd":
            scores["emd"] = np.full(len(X), np.nan)
            if not far.all():
                scores["emd"][~far] = self._energy_movers(X[~far])
        return {name: np.where(far, np.fmax(score, mss), score) for name, score in scores.items()}

    def _latent_points(self, network, z):
        """Latent points to decode, shape (n_points, n_events, n_latent), and KL."""
        mean, log_variance = network.posterior(z)
        kl = kl_to_standard_normal(mean.double(), log_variance.double())
        if not self.n_samples:
            return mean[None], kl
        shape = (len(z), self.n_samples, mean.shape[1])
        noise = normals_of_events(
            z.cpu().numpy(), self.n_samples * mean.shape[1], seed=self._noise_seed
        )
        noise = torch.as_tensor(noise, dtype=mean.dtype, device=mean.device).reshape(shape)
        return mean + torch.exp(0.5 * log_variance) * noise.transpose(0, 1), kl

    def _measures(self, X):
        """MSE, KL and MSS of each event."""

        def measure(network, batch):
            z = network.scaling(batch["x"])
            points, kl = self._latent_points(network, z)
            errors = [self._errors_at(network, z, t).mean(-1) for t in points]
            return torch.stack([torch.stack(errors).mean(0), kl, z.square().mean(-1)], dim=-1)

        return self._evaluate(measure, X)

    @staticmethod
    def _errors_at(network, z, latent):
        # Squares in float64, so that an event far out keeps a finite, ordered score.
        return (network.decode(latent).double() - z).square()

    def _squared_errors(self, network, batch):
        z = network.scaling(batch["x"])
        points, _ = self._latent_points(network, z)
        return torch.stack([self._errors_at(network, z, t) for t in points]).mean(0)

    def _energy_movers(self, X):
        def reconstructions(network, batch):
            points, _ = self._latent_points(network, network.scaling(batch["x"]))
            return torch.stack([network.scaling.inverse(network.decode(t)) for t in points], dim=1)

        jets = X[:, self.feature_indices_]
        decoded = self._evaluate(
            reconstructions, X, reduce=lambda stacked: torch.cat(tuple(stacked), dim=1)
        )
        return np.mean(
            [
                energy_movers_distance(
                    jets, decoded[:, k], coordinates=self.constituents, n_jobs=self.n_jobs
                )
                for k in range(decoded.shape[1])
            ],
            axis=0,
        )

    def sample(self, n_samples: int = 1, random_state: Seed = None) -> NDArray[np.float64]:
        """Decode points drawn from the standard normal prior.

        Every network and kept epoch gives an equal share. These are means: the spread of events
        around their reconstruction is not added.

        Parameters
        ----------
        n_samples : int, default=1
            Number of events.
        random_state : int, RandomState or None, default=None
            Source of randomness.

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_decoded)
            In the units of the X of `fit`; its reconstructed columns, in their order.
        """
        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer; got {n_samples!r}.")
        rng = np.random.RandomState(draw_seed(random_state))
        shares = self.trained_.shares(n_samples, rng)
        latent = torch.from_numpy(rng.normal(size=(n_samples, self._n_latent)))
        X = np.empty((n_samples, len(self.feature_indices_)))
        with torch.inference_mode():
            for network, rows in shares:
                points = latent[rows].to(self.trained_.device)
                X[rows] = network.scaling.inverse(network.decode(points)).cpu().numpy()
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.exposure is not None
        return tags
