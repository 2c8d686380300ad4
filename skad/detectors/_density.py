"""Rarity as an anomaly score: any density turned into a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin
from skad.coordinates import change_of_variables
from skad.density import FlowDensity, FramedDensity
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Estimator

__all__ = ["DensityDetector"]


class DensityDetector(DetectorMixin, BaseEstimator):
    """Detector of rare events: low density in a chosen frame is anomalous.

    Which events are rare depends on the coordinates; `frame` chooses them after or before the
    fit, without fitting the density again.

    Parameters
    ----------
    density : estimator, default=None
        Density of skad or scikit-learn (`KernelDensity`, `GaussianMixture`); None is
        ``FlowDensity()``. It is fitted to X.
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
        """
        density = FlowDensity() if self.density is None else self.density
        # FramedDensity bridges weights, conditions and data frames for any density.
        self._framed = FramedDensity(None, density).fit(X, sample_weight=sample_weight)
        self.n_features_in_ = self._framed.n_features_in_
        if hasattr(self._framed, "feature_names_in_"):
            self.feature_names_in_ = self._framed.feature_names_in_
        self.density_ = self._framed.density_
        self.frame_ = None
        if self.frame is not None:
            self.frame_ = fit_child(self.frame, self._framed.features(X))
        self._set_offset(self._raw_scores(X, self.frame_), sample_weight)
        return self

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
        log_density = self._framed.score_samples(X)
        if frame is not None:
            log_density = change_of_variables(log_density, frame, self._framed.features(X))
        return -log_density if self.log_score else -np.exp(log_density)
