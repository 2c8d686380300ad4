"""Rarity as an anomaly score: any density turned into a detector."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin
from skad.coordinates import change_of_variables
from skad.density import FlowDensity, FramedDensity
from skad.exceptions import ConstantColumnError, DiscreteColumnWarning
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child
from skad.utils._columns import column_name, resolve_columns
from skad.utils._events import check_events
from skad.utils._tasks import outer_stacklevel

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["DensityDetector"]

# Relative; a constant read back in float32 is the same.
_ROUNDING = 1e-6
# Events above which the default is the flow of `FlowDensity`, and steps and blur of the one below.
_MANY, _STEPS, _BLUR = 20_000, 300, 0.3


class DensityDetector(DetectorMixin, BaseEstimator):
    """Detector of rare events: low density in a chosen frame is anomalous.

    Which events are rare depends on the coordinates; `frame` chooses them after or before the
    fit, without fitting the density again.

    Parameters
    ----------
    density : estimator, default=None
        Density of skad or scikit-learn (`KernelDensity`, `GaussianMixture`); None is that of
        `default_density`. It is fitted to X.
    frame : transformer or None, default=None
        Invertible map of X, in whose coordinates rarity is judged, by its Jacobian alone. Fitted
        with the detector; conditions of the density are left out of it. None judges in the
        coordinates of X.
    log_score : bool, default=True
        Whether the anomaly score is -log p in nats, or -p as in the paper [1]_ (same order).
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training events to call outliers: the rarest ones.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.

    Attributes
    ----------
    density_ : estimator
        Fitted density in the coordinates of X.
    frame_ : transformer or None
        Fitted frame.
    constant_indices_ : ndarray of int
        Positions of the columns that were left out of the density, as it refuses them.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray of str
        Names of the columns of X, if it had any.

    Notes
    -----
    ``anomaly_score = -log p_frame(f(x)) = -log p_X(x) + log|det df/dx|`` and ``score_samples`` is
    its negative.

    A flow has no density of a column that is the same for all training events. Such columns are
    left out with a warning. An event whose value there is another one (by more than a millionth)
    has no density: its score is the largest number, 0 without `log_score`. `KernelDensity` and
    `GaussianMixture` have a width of their own and take constant columns as they are.

    References
    ----------
    .. [1] Kasieczka et al., Anomaly Detection under Coordinate Transformations,
       arXiv:2209.06225

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.mixture import GaussianMixture
    >>> from skad.coordinates import NormalCDFTransformer
    >>> from skad.detectors import DensityDetector
    >>> X = np.random.RandomState(0).normal(size=(1000, 1))
    >>> far = np.array([[4.0]])
    >>> DensityDetector(GaussianMixture()).fit(X).predict(far)
    array([-1])

    In the frame of its own cumulative distribution a Gaussian has no rare events:

    >>> flat = DensityDetector(GaussianMixture(), frame=NormalCDFTransformer()).fit(X)
    >>> bool(np.ptp(flat.score_samples(X)) < 0.6)
    True
    """

    _parameter_constraints: dict = {
        "density": [None, sk.HasMethods(["fit", "score_samples"])],
        "frame": [None, sk.HasMethods(["fit", "transform"])],
        "log_score": ["boolean"],
        **ScoreMixin._threshold_constraints,
    }

    def __init__(
        self,
        density: Estimator | None = None,
        *,
        frame: Estimator | None = None,
        log_score: bool = True,
        contamination: float = 0.01,
        threshold: float | None = None,
    ) -> None:
        self.density = density
        self.frame = frame
        self.log_score = log_score
        self.contamination = contamination
        self.threshold = threshold

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the density, the frame and the threshold.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        y : ignored
            Truth labels may be passed; they are not read.
        sample_weight : array-like of shape (n_events,), default=None
            Weights of the events, for a density that takes them and for `contamination`.

        Returns
        -------
        self : DensityDetector

        Raises
        ------
        ConstantColumnError
            All columns are constant.

        Warns
        -----
        DiscreteColumnWarning
            Constant columns are left out.
        """
        density = self.default_density(len(X)) if self.density is None else self.density
        # FramedDensity bridges weights, conditions and data frames for any density.
        whole = FramedDensity(None, density)
        self.constant_indices_ = np.empty(0, dtype=np.intp)
        try:
            self._framed = whole.fit(X, sample_weight=sample_weight)
        except ConstantColumnError:
            if not self._find_constants(X, sample_weight, whole):
                raise
            self._framed = FramedDensity(None, self._of_kept_columns(density, whole)).fit(
                self._kept(X), sample_weight=sample_weight
            )
        self._feature_indices = whole.feature_indices_
        self.n_features_in_ = whole.n_features_in_
        if hasattr(whole, "feature_names_in_"):
            self.feature_names_in_ = whole.feature_names_in_
        self.density_ = self._framed.density_
        self.frame_ = None
        if self.frame is not None:
            self.frame_ = fit_child(self.frame, self._features(X))
        self._set_offset(self._raw_scores(X, self.frame_), sample_weight)
        return self

    @staticmethod
    def default_density(n_events: int) -> FlowDensity:
        """Return the density that `fit` learns when none is given.

        Parameters
        ----------
        n_events : int
            Events of the fit.

        Returns
        -------
        density : FlowDensity
            Unfitted: for more than 20 000 events with its defaults; for fewer, as most tables
            have, affine steps blurred by 0.3 standard deviations, trained for 300 steps or more
            (``benchmarks/results/tables.md``).
        """
        if n_events > _MANY:
            return FlowDensity()
        flow = FlowDensity("maf", noise=_BLUR)
        return flow.set_params(max_epochs=math.ceil(_STEPS / math.ceil(n_events / flow.batch_size)))

    def _find_constants(self, X, sample_weight, whole):
        """Find the constant features and warn of them; return whether others are left."""
        values = np.asarray(X, dtype=np.float64)
        if sample_weight is not None:
            values = values[np.asarray(sample_weight) > 0]
        features = whole.feature_indices_
        constant = features[(values[:, features] == values[:1, features]).all(axis=0)]
        if len(constant) in (0, len(features)):
            return False
        self.constant_indices_, self._constants = constant, values[0, constant]
        names = getattr(whole, "feature_names_in_", None)
        shown = ", ".join(column_name(i, names) for i in constant[:5])
        more = f" and {len(constant) - 5} more" if len(constant) > 5 else ""
        warnings.warn(
            f"Constant columns have no density and are left out: {shown}{more}. An event with "
            "another value there is scored as the most anomalous. Drop these columns, or make "
            "them conditions (condition_features), if such values are normal.",
            DiscreteColumnWarning,
            stacklevel=outer_stacklevel(),
        )
        return True

    def _kept(self, X):
        """Return X without the constant columns."""
        if hasattr(X, "iloc"):
            kept = np.setdiff1d(np.arange(X.shape[1]), self.constant_indices_)
            return X.iloc[:, kept]
        return np.delete(np.asarray(X), self.constant_indices_, axis=1)

    def _features(self, X):
        """Return the columns of X that are no conditions, constant ones too."""
        if not len(self.constant_indices_):
            return self._framed.features(X)
        if hasattr(X, "iloc"):
            return X.iloc[:, self._feature_indices]
        return np.asarray(X)[:, self._feature_indices]

    def _of_kept_columns(self, density, whole):
        """Return the density with its conditions at their positions among the kept columns."""
        names, n_columns = getattr(whole, "feature_names_in_", None), whole.n_features_in_
        moved = {}
        for key, value in density.get_params().items():
            if key.rsplit("__", 1)[-1] == "condition_features" and value is not None:
                at = resolve_columns(value, names, n_columns, parameter=key)
                moved[key] = [int(i - (self.constant_indices_ < i).sum()) for i in at]
        return clone(density).set_params(**moved)

    def anomaly_score(self, X: ArrayLike, frame: Estimator | None = None) -> NDArray[np.float64]:
        """Rarity of each event: -log p in nats, or -p, in the frame of the detector.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
        frame : fitted transformer, default=None
            Judge in this frame instead of the detector's.

        Returns
        -------
        scores : ndarray of float64, shape (n_events,)
            Higher = more anomalous.
        """
        check_is_fitted(self)
        return self._bounded(self._raw_scores(X, self.frame_ if frame is None else frame))

    def _raw_scores(self, X, frame):
        if len(self.constant_indices_):
            values = check_events(self, X, reset=False)
            X = X if hasattr(X, "iloc") else values
            log_density = self._framed.score_samples(self._kept(X))
            away = np.abs(values[:, self.constant_indices_] - self._constants)
            log_density[(away > _ROUNDING * np.abs(self._constants)).any(axis=1)] = -np.inf
        else:
            log_density = self._framed.score_samples(X)
        if frame is not None:
            # Constant columns too: a frame may mix them with others.
            log_density = change_of_variables(log_density, frame, self._features(X))
        return -log_density if self.log_score else -np.exp(log_density)
