"""Anomalies as events that an autoencoder cannot reconstruct."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.detectors._reconstruction import ReconstructionDetector
from skad.nn._autoencoder import Autoencoder
from skad.nn._members import per_event
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["AutoencoderDetector"]


class AutoencoderDetector(ReconstructionDetector):
    """Score events by the squared error of their reconstruction by an autoencoder.

    A dense encoder with a linear bottleneck and its mirror image as decoder learn to reproduce
    the events. The anomaly score is the mean over the features of the squared error:

    .. math:: s(x) = \\frac{1}{d} \\sum_{i=1}^{d} (z_i - \\hat z_i)^2,

    with z the scaled features. It depends on the coordinates of X: an event is rare in some and
    not in others [1]_.

    Parameters
    ----------
    hidden_layer_sizes : int or tuple of int, default=(50, 20, 10)
        Hidden layers of the encoder; the decoder has them in reverse.
    n_latent : int, default=1
        Size of the bottleneck.
    activation : {"relu", "tanh", "silu", "elu", "gelu"}, default="relu"
        Activation of the hidden layers.
    encoder_bias : bool, default=True
        Whether the layers of the encoder have a bias.
    scaling : {"standard", "robust"} or None, default="standard"
        Scale in which errors are measured, learned from the training events.

        - "standard": mean zero and variance one of every feature; the score is in units of the
          features' variances, and is 1 for a network that has learned the mean only.
        - "robust": the median goes to zero, the width between the quartiles to one.
        - None: X as it is; the score has the unit of X squared.

        A constant column is only centred: it has no error until another value comes, whose error is
        in the units of X.
    n_estimators : int, default=1
        Autoencoders trained with different seeds; the score is the mean of theirs.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training events that `predict` calls outliers.
    threshold : float, default=None
        Anomaly score above which an event is an outlier, in place of `contamination`.
    max_epochs : int, default=100
        Passes over the events.
    batch_size : int, default=256
        Events per step.
    learning_rate : float, default=3e-3
        Peak of the schedule.
    weight_decay : float, default=0.0
        Weight decay of the optimizer.
    schedule : {"constant", "cosine", "one_cycle"} or dict, default="one_cycle"
        Learning rate over the training, updated every step. A dict {epoch: factor}
        multiplies it from these epochs on, counted from 0.
    clip_norm : float or None, default=None
        Largest norm of the gradient.
    early_stopping : bool, default=False
        Stop when the loss of held-out events has not fallen by `tol` for `n_iter_no_change`
        epochs.
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
        For every network one entry an epoch: losses, learning rate, seconds.
    n_iter_ : int
        Number of epochs run.
    offset_ : float
        `score_samples` below it is an outlier.
    device_ : torch.device
        Where it was trained.
    feature_indices_ : ndarray of int
        Positions of the reconstructed columns, here all.
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
    VAEDetector : Its latent space is made to follow a standard normal.

    Notes
    -----
    Signal among the training events is learned as well; its reconstruction error falls as its
    share rises.

    A penalty on the weights keeps the network to what most events share: with ``weight_decay=0.1,
    n_latent=2, hidden_layer_sizes=(128, 64), scaling="robust", clip_norm=5.0`` it found more signal
    in few smooth features, such as those of dijets, and less in tables with much structure
    (``benchmarks/results/choices.md``).

    References
    ----------
    .. [1] Kasieczka et al., "Anomaly Detection under Coordinate Transformations",
       arXiv:2209.06225, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.detectors import AutoencoderDetector
    >>> rng = np.random.RandomState(0)
    >>> t = rng.uniform(-1, 1, size=2000)
    >>> X = np.column_stack([t, t**2]) + 0.02 * rng.normal(size=(2000, 2))
    >>> detector = AutoencoderDetector(random_state=0).fit(X)
    >>> on_curve, off_curve = detector.anomaly_score([[0.5, 0.25], [0.5, 0.9]])
    >>> bool(off_curve > 5 * on_curve)
    True
    """

    _parameter_constraints: dict = {
        **ReconstructionDetector._reconstruction_constraints,
        "encoder_bias": ["boolean"],
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: int | Sequence[int] = (50, 20, 10),
        n_latent: int = 1,
        activation: Literal["relu", "tanh", "silu", "elu", "gelu"] = "relu",
        encoder_bias: bool = True,
        scaling: Literal["standard", "robust"] | None = "standard",
        n_estimators: int = 1,
        contamination: float = 0.01,
        threshold: float | None = None,
        max_epochs: int = 100,
        batch_size: int = 256,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.0,
        schedule: Literal["constant", "cosine", "one_cycle"] | dict[Any, Any] = "one_cycle",
        clip_norm: float | None = None,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_latent = n_latent
        self.activation = activation
        self.encoder_bias = encoder_bias
        self.scaling = scaling
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
        """Learn to reconstruct the events.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored
            Truth labels may be passed; they are not read.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights; all ones are the same as None.
        X_val : array-like of shape (n_validation_events, n_features), default=None
            Events for the validation loss, in place of a part of X.

        Returns
        -------
        self : AutoencoderDetector
        """
        X, weight = self._fit(X, sample_weight, X_val)
        self._set_offset(self._scores(X), weight)
        return self

    def _partial_fit(self, X, y, sample_weight):
        X, weight = self._fit(X, sample_weight, more=True)
        self._set_offset(self._scores(X), weight)
        return self

    def _named_scores(self, X):
        return {"score": self._scores(X)}

    def _finish_stored(self, events, continued):
        (self.offset_,) = self._offsets_of_stored(events).values()
        return self

    def _build_network(self, scaling, n_features):
        return Autoencoder(
            scaling,
            n_features,
            self._hidden_sizes(),
            self.n_latent,
            activation=self.activation,
            encoder_bias=self.encoder_bias,
        )

    def _objective(self):
        return _reconstruction_loss, {}

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Mean over the features of the squared reconstruction error.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)

        Returns
        -------
        score : ndarray of float64, shape (n_events,)
            In scaled units squared, the mean over all networks and kept epochs.
        """
        return self._bounded(self._scores(self._validated(X)))

    def _scores(self, X):
        return self._evaluate(
            lambda network, batch: self._squared_errors(network, batch).mean(-1), X
        )


@per_event
def _reconstruction_loss(network, batch):
    z = batch["z"]
    return (network(z) - z).square().mean(-1)
