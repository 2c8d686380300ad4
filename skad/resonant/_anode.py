"""ANODE: the ratio of two densities of the signal region, one of them interpolated into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skad.density import FlowDensity
from skad.resonant._density_ratio import DensityRatioDetector
from skad.utils import _sklearn as sk
from skad.utils._children import unit_weights

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["ANODE"]


class ANODE(DensityRatioDetector):
    """Detector by density estimation, R(x|m) = p_data(x|m) / p_background(x|m).

    One conditional density is learned from the signal region, another one from the sidebands and
    interpolated into the region [1]_. No classifier and no simulation; features may depend on m.

    Parameters
    ----------
    data_density : estimator, default=None
        Conditional density of the region's data, with ``condition_features``, which is set to the
        resonant feature. None is ``FlowDensity(n_estimators=6, max_epochs=30)``: the mean over
        several flows takes out most of the noise of R.
    background_density : estimator, default=None
        Conditional density of the sidebands, likewise; it also has ``sample``. None is
        ``FlowDensity(batch_size=2048)``. A fitted density of the same columns in scikit-learn's
        `FrozenEstimator` is used as it is, such as the `background_density_` of another detector.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which both densities are learned. None is the logit of
        the features scaled to their range. Events that it maps to NaN lie outside the fiducial
        region.
    fiducial : None or (low, high), default=None
        Fiducial region, limits on every feature scaled to the range of the training events; the
        paper has (0.05, 0.95). Events outside are counted, warned about, left out of the
        densities and score as least anomalous. None keeps all.
    mass_spectrum : {"kde", "observed", "fit"}, default="kde"
        Masses of `sample_background`: a kernel estimate of the data of the region, the data
        themselves, or a fit of the sidebands.
    oversampling : float, default=4.0
        Background events per data event of the region, where `sample_background` is not told a
        number.
    cv : int, splitter or None, default=3
        Cross-fitting of the training events: `training_scores_`, `offset_` and `fit_predict` are
        by densities of as many folds that have not seen them. None leaves that out, and takes the
        densities of all events; `BumpHunt`, which has folds of its own, sets it.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training data (region and sidebands) to call outliers.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.
    random_state : int, RandomState or None, default=None
        Seed of the densities.

    Attributes
    ----------
    data_density_, background_density_ : estimator
        Fitted densities p(x|m), in the coordinates of X.
    coordinates_ : transformer or None
        Fitted map of the features.
    region_ : SignalRegion
        Resolved signal region.
    n_region_events_ : int
        Data events in the region, fiducial or not.
    n_outside_ : int
        Training events outside the fiducial region.
    masses_ : object
        Spectrum of m that `sample_background` draws from.
    resonance_index_ : int
        Position of m in X.
    feature_indices_ : ndarray of int
        Positions of the other columns.
    training_scores_ : ndarray of float64, shape (n_events,)
        Ratio R of the training events of region and sidebands, by densities that have not seen
        them; in sample with ``cv=None``, NaN elsewhere. Select among the training events by these.
    offset_ : float
        ``decision_function = score_samples - offset_``.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Warns
    -----
    FiducialWarning
        Events lie outside the fiducial region.
    LowStatisticsWarning
        Fewer than 1000 data events in the signal region.

    See Also
    --------
    ResidualANODE : Fits the signal alone on top of the background; better where it finds one.

    Notes
    -----
    ``anomaly_score = R`` and ``score_samples = -log R``. Both densities have the same Jacobian, so
    R does not depend on the coordinates in which it is read. With m outside the region, both are
    read at a mass of the region that m determines: those of a sideband are spread over the region
    like numbers at random, so that a cut meets the same fluctuations of the densities in sidebands
    and region. R of the training events by ``anomaly_score`` is noisier than that of others.

    The flows of the paper, its coordinates and fiducial region are `skad.papers.anode`.

    References
    ----------
    .. [1] B. Nachman, D. Shih, "Anomaly detection with density estimation", Phys. Rev. D 101
       (2020) 075042, arXiv:2001.04990.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from skad.datasets import make_resonance
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import ANODE
    >>> X, y = make_resonance(20_000, 400, random_state=0, return_X_y=True)
    >>> flow = FlowDensity(n_transforms=1, hidden_layer_sizes=(16,), max_epochs=5)
    >>> detector = ANODE(flow, flow, region=(3.3, 3.7), random_state=0).fit(X)
    >>> inside = detector.region_.mask(X)
    >>> bool(roc_auc_score(y[inside], detector.anomaly_score(X[inside])) > 0.85)
    True
    """

    _parameter_constraints: dict = {
        **DensityRatioDetector._ratio_constraints,
        "data_density": [None, sk.HasMethods(["fit", "score_samples"])],
    }

    def __init__(
        self,
        data_density: Estimator | None = None,
        background_density: Estimator | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        coordinates: Literal["passthrough"] | Estimator | None = None,
        fiducial: Floats | None = None,
        mass_spectrum: Literal["kde", "observed", "fit"] = "kde",
        oversampling: float = 4.0,
        cv: Any = 3,
        contamination: float = 0.01,
        threshold: float | None = None,
        random_state: Seed = None,
    ) -> None:
        self.data_density = data_density
        self.background_density = background_density
        self.region = region
        self.resonance = resonance
        self.coordinates = coordinates
        self.fiducial = fiducial
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.cv = cv
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    def _fit_region(self, X, sample_weight, rng):
        self.data_density_ = self._fit_data(X, sample_weight, rng)

    def _fit_data(self, X, sample_weight, rng):
        density = self.data_density
        if density is None:
            density = FlowDensity(n_estimators=6, max_epochs=30)
        return self._fit_density(density, X, sample_weight, rng, name="data_density")

    def _score_folds(self, events, inside, sideband, fold_of, learned, rng):
        log_ratio = np.full(len(events.m), np.nan)
        if fold_of is None:
            rows = inside | sideband
            log_ratio[rows] = self._log_ratio(self._in_region(events.X[rows]))
            return log_ratio
        for k in range(fold_of.max() + 1):
            test = fold_of == k
            data, background = inside & ~test, sideband & ~test
            data = self._fit_data(events.X[data], unit_weights(events.weights(data)), rng)
            background = self._fit_background(events.X[background], events.weights(background), rng)
            values = self._in_region(events.X[test])
            log_ratio[test] = self._log_density(data, values) - self._log_density(
                background, values
            )
        return log_ratio

    def _log_ratio(self, values):
        return self._log_density(self.data_density_, values) - self._log_density(
            self.background_density_, values
        )

    def _log_score(self, values):
        return self._log_ratio(values)

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """R = p_data(x|m) / p_background(x|m), see `log_density_ratio`.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events with the columns of `fit`, at any m.

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
            Positive, higher = more anomalous.
        """
        check_is_fitted(self)
        return np.exp(self._warned(self._log_score, X))
