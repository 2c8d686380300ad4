"""Residual ANODE: the signal's density fitted on top of the interpolated background."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.coordinates import log_abs_det_jacobian
from skad.density import FlowDensity, FramedDensity
from skad.nn._annealing import Annealed
from skad.nn._signal_mixture import SignalMixture, mixture_negative_log_likelihood
from skad.nn._trained import log_mean_exp
from skad.resonant._density_ratio import MAX_LOG_RATIO, DensityRatioDetector
from skad.resonant._events import check_n_samples
from skad.utils import _sklearn as sk
from skad.utils._columns import column_name
from skad.utils._interrupts import among_others
from skad.utils._random import draw_seed

if TYPE_CHECKING:
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, Floats, Seed

__all__ = ["ResidualANODE"]

# Where the learned fraction starts: weak signals are of this order.
_INITIAL_FRACTION = 0.01
# Part of the training in which the signal's share falls from nearly all events to w.
_ANNEALING = 5 / 6


class ResidualANODE(DensityRatioDetector):
    """Detector that fits a small signal to the region on top of its background (R-ANODE).

    The background p_b(x|m) is learned from the sidebands and held fixed. A flow for the signal
    alone is fitted to the region by maximum likelihood of ``(1 - w) p_b(x|m) + w p_s(x|m)``
    [1]_. Unlike in `ANODE`, the background in the region is not learned again, so its noise does
    not drown the signal.

    Parameters
    ----------
    signal_density : FlowDensity, default=None
        Flow of the signal and settings of its training. None is ``FlowDensity("maf",
        n_transforms=4, hidden_layer_sizes=(32, 32), n_estimators=4, max_epochs=60,
        batch_size=2048, learning_rate=3e-3)``. Every fold trains `n_estimators` of them.
    background_density : estimator, default=None
        Conditional density of the sidebands with ``condition_features``, which is set to the
        resonant feature, and ``sample``. None is ``FlowDensity(batch_size=2048)``. A fitted density
        of the same columns in scikit-learn's `FrozenEstimator` is used as it is, such as the
        `background_density_` of another detector.
    region : None, (low, high) or SignalRegion, default=None
        Signal region. None means the central fifth of the events.
    resonance : int or str, default=0
        Column of X that holds m.
    signal_fraction : None or float in (0, 1), default=None
        w, the signal events in the region over all events there. None learns it.
    n_folds : int, default=5
        Folds of the cross-fitting: every signal flow leaves out one fold of the region's events,
        whose likelihood then measures w without having been fitted.
    coordinates : None, "passthrough" or transformer, default=None
        Invertible map of the features, in which the densities are learned. None is the logit of
        the features scaled to their range. Events that it maps to NaN lie outside the fiducial
        region.
    fiducial : None or (low, high), default=None
        Fiducial region, limits on every feature scaled to the range of the training events.
        Events outside are counted, warned about, left out of the densities and score as least
        anomalous. None keeps all.
    mass_spectrum : {"kde", "observed", "fit"}, default="kde"
        Masses of `sample_background`: a kernel estimate of the data of the region, the data
        themselves, or a fit of the sidebands.
    oversampling : float, default=4.0
        Background events per data event of the region, where `sample_background` is not told a
        number.
    cv : int, splitter or None, default=3
        Folds of the sidebands: `training_scores_`, `offset_` and `fit_predict` are by background
        densities and signal flows that have not seen the event. None leaves that out, and takes
        the densities of all events; `BumpHunt`, which has folds of its own, sets it.
    contamination : float in (0, 0.5], default=0.01
        Fraction of the training data (region and sidebands) to call outliers.
    threshold : float or None, default=None
        Absolute threshold on the anomaly score, in place of `contamination`.
    random_state : int, RandomState or None, default=None
        Seed of densities and folds.

    Attributes
    ----------
    signal_density_, background_density_ : estimator
        Fitted densities p(x|m), in the coordinates of X.
    signal_fraction_ : float
        w: the given one, or that of largest likelihood of the held-out events, between 0 and 1.
    signal_fraction_error_ : float
        Its standard deviation from the curvature of the likelihood, for the densities as they
        are; NaN where w is given or 0.
    signal_gain_ : float
        Twice the gain in log likelihood of the held-out events over the background alone, at
        `signal_fraction_`. Not above 0 for a given w that the data disfavour.
    training_scores_ : ndarray of float64, shape (n_events,)
        Anomaly scores of the training events of region and sidebands, by densities that have not
        seen them; in sample with ``cv=None``, NaN elsewhere. Select among the training events by
        these.
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
    ANODE : The ratio of two densities; makes no assumption that the signal is small.

    Notes
    -----
    ``anomaly_score = p_s / p_b``, ``score_samples`` the negative of its logarithm, and
    ``density_ratio = 1 - w + w p_s / p_b``, which rises with it. p_s is the mean over all flows.

    Signal and background are taken to have the same spectrum of m within the region, that of the
    data: w does not depend on m, and a peak inside the region is not used. A score that knew of it
    would select masses, and shape the spectrum that is tested afterwards. With m outside the
    region the densities are read at a mass of the region, see `ANODE`.

    Started at a small w, the fit misses a weak signal. So w starts at 0.99, where the flow learns
    the data as `ANODE` does, and falls geometrically to its value within five sixths of the
    training; the flow sheds the background on the way.

    p_b is taken with a floor: one of the events of the region may lie anywhere in their range. A
    learned density underestimates its tails by orders of magnitude, and a single event there would
    outweigh all others in w and in the gain.

    A flow takes up fluctuations of the events that it is fitted to, so the w it learns with them
    is too large, also without any signal. `signal_fraction_` and `signal_gain_` therefore come from
    held-out events, where such a flow is a bad description. Two things remain, so that neither is
    evidence before it has been compared with pseudo-experiments, see the guide. A background
    density that is wrong in the region looks like a signal in both. And what the flow keeps of the
    background counts as signal in w (the likelihood cannot tell), so that w is rather an upper
    estimate, two to three times the truth for weak signals; the gain does not suffer.

    References
    ----------
    .. [1] R. Das, G. Kasieczka, D. Shih, "Residual ANODE", arXiv:2312.11629.

    Examples
    --------
    >>> from sklearn.metrics import roc_auc_score
    >>> from skad.datasets import make_resonance
    >>> from skad.density import FlowDensity
    >>> from skad.resonant import ResidualANODE
    >>> X, y = make_resonance(20_000, 400, random_state=0, return_X_y=True)
    >>> background = FlowDensity(n_transforms=1, hidden_layer_sizes=(16,), max_epochs=5)
    >>> signal = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(16,), max_epochs=30)
    >>> detector = ResidualANODE(signal, background, region=(3.3, 3.7), random_state=0).fit(X)
    >>> inside = detector.region_.mask(X)
    >>> bool(roc_auc_score(y[inside], detector.training_scores_[inside]) > 0.9)
    True
    >>> bool(0.05 < detector.signal_fraction_ < 0.25)
    True
    """

    _parameter_constraints: dict = {
        **DensityRatioDetector._ratio_constraints,
        # A frame is refused by name in fit.
        "signal_density": [None, FlowDensity, sk.Hidden(FramedDensity)],
        "signal_fraction": [None, sk.Interval(Real, 0, 1, closed="neither")],
        "n_folds": [sk.Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        signal_density: FlowDensity | None = None,
        background_density: Estimator | None = None,
        *,
        region: Floats | SignalRegion | None = None,
        resonance: int | str = 0,
        signal_fraction: float | None = None,
        n_folds: int = 5,
        coordinates: Literal["passthrough"] | Estimator | None = None,
        fiducial: Floats | None = None,
        mass_spectrum: Literal["kde", "observed", "fit"] = "kde",
        oversampling: float = 4.0,
        cv: Any = 3,
        contamination: float = 0.01,
        threshold: float | None = None,
        random_state: Seed = None,
    ) -> None:
        self.signal_density = signal_density
        self.background_density = background_density
        self.region = region
        self.resonance = resonance
        self.signal_fraction = signal_fraction
        self.n_folds = n_folds
        self.coordinates = coordinates
        self.fiducial = fiducial
        self.mass_spectrum = mass_spectrum
        self.oversampling = oversampling
        self.cv = cv
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    def _fit_region(self, X, sample_weight, rng):
        density = self._signal_settings()
        width = np.ptp(np.asarray(self._features(X), dtype=np.float64), axis=0)
        self._log_floor = -np.log(len(X)) - np.log(width[width > 0]).sum()
        tensors = self._tensors(X, self.background_density_)
        n_folds = min(self.n_folds, len(X))
        folds = list(KFold(n_folds, shuffle=True, random_state=draw_seed(rng)).split(X))
        trained = self._train(density, tensors, sample_weight, folds, rng)
        flows = trained.groups(density.n_estimators)
        log_ratio, flow_of = np.empty(len(X)), np.empty(len(X), dtype=np.intp)
        for k, (_, test) in enumerate(folds):
            held_out = {name: values[test] for name, values in tensors.items()}
            log_ratio[test] = flows[k].evaluate(_log_signal_ratio, held_out, reduce=log_mean_exp)
            flow_of[test] = k
        log_ratio = log_ratio.clip(-MAX_LOG_RATIO, MAX_LOG_RATIO)
        ratio = np.exp(log_ratio)
        self._measure_fraction(ratio, np.ones(len(X)) if sample_weight is None else sample_weight)
        self._keep_signal_masses(X, ratio, sample_weight)
        density.adopt(trained.map(lambda mixture: mixture.signal), self._named(X))
        self.signal_density_ = self._framed(FrozenEstimator(density)).fit(self._named(X))
        return flows, flow_of

    def _score_folds(self, events, inside, sideband, fold_of, learned, rng):
        """Score every event by one signal flow and one background that have not seen it."""
        log_score = np.full(len(events.m), np.nan)
        if fold_of is None:
            rows = inside | sideband
            log_score[rows] = self._log_score(self._in_region(events.X[rows]))
            return log_score
        flows, flow_of_region = learned
        backgrounds = [
            self._fit_background(events.X[rows], events.weights(rows), rng)
            for rows in (sideband & (fold_of != k) for k in range(fold_of.max() + 1))
        ]
        # No signal flow has seen the sidebands, and no background the region.
        flow_of = np.full(len(events.m), -1)
        flow_of[inside] = flow_of_region
        background_of = np.where(inside, flow_of % len(backgrounds), -1)
        background_of[sideband] = fold_of[sideband]
        flow_of[sideband] = background_of[sideband] % len(flows)
        for k, j in np.unique(np.column_stack([flow_of, background_of]), axis=0):
            rows = np.flatnonzero((flow_of == k) & (background_of == j))
            if min(k, j) < 0:
                continue
            tensors = self._tensors(self._in_region(events.X[rows]), backgrounds[j])
            log_score[rows] = flows[k].evaluate(_log_signal_ratio, tensors, reduce=log_mean_exp)
        return log_score

    def _signal_settings(self):
        """Return an unfitted flow with the settings of the signal's."""
        density = self.signal_density
        if density is None:
            density = FlowDensity(
                "maf",
                n_transforms=4,
                hidden_layer_sizes=(32, 32),
                n_estimators=4,
                max_epochs=60,
                batch_size=2048,
                learning_rate=3e-3,
            )
        return clone(density).set_params(condition_features=self.resonance_index_)

    def _tensors(self, X, background):
        """Return features, m and log p_b in the coordinates of the fit."""
        log_background = self._log_background(X, background)
        x = features = self._features(X)
        if self.coordinates_ is not None:
            x = self.coordinates_.transform(features)
            log_background = log_background - log_abs_det_jacobian(self.coordinates_, features)
        return {
            "x": np.asarray(x, dtype=np.float64),
            "m": X[:, [self.resonance_index_]],
            "log_background": log_background,
        }

    def _log_background(self, X, background):
        """Return log p_b with its floor, in the coordinates of X.

        Events at the ends of the range get log densities of -50: no density learned from n events
        can know that, and a single one of them would pass for a signal.
        """
        return np.logaddexp(self._log_density(background, X), self._log_floor)

    def _train(self, density, tensors, sample_weight, folds, rng):
        """Train the flows of all folds, those of one fold next to each other."""
        recipe = density.recipe()
        names = getattr(self, "feature_names_in_", None)
        scaling = recipe.scaling(
            tensors["x"],
            tensors["m"],
            sample_weight=sample_weight,
            names=[column_name(i, names) for i in self.feature_indices_],
        )
        learned = self.signal_fraction is None
        fraction = _INITIAL_FRACTION if learned else self.signal_fraction

        def build(k):
            return SignalMixture(recipe.network(*scaling), fraction, learned)

        annealing = Annealed(1.0, period=int(_ANNEALING * recipe.trainer.max_epochs))
        with among_others():
            return recipe.train(
                build,
                mixture_negative_log_likelihood(annealing),
                tensors,
                random_state=rng if density.random_state is None else density.random_state,
                rows=[train for train, _ in folds],
                weights=sample_weight,
                annealed=[annealing],
            )

    def _measure_fraction(self, ratio, weight):
        """Find w of largest likelihood for the held-out p_s / p_b, which is concave in w."""
        excess = ratio - 1.0

        def slope(w):
            with np.errstate(divide="ignore"):  # at w = 1 for events that no signal can explain
                return weight @ (excess / (1.0 + w * excess))

        w = self.signal_fraction
        if w is None:
            w = 0.0
            if slope(0.0) > 0:
                w = 1.0 if slope(1.0) >= 0 else brentq(slope, 0.0, 1.0)
        self.signal_fraction_ = float(w)
        self.signal_gain_ = float(2 * weight @ np.log1p(w * excess))
        self.signal_fraction_error_ = np.nan
        if self.signal_fraction is None and 0 < w < 1:
            curvature = weight @ (excess / (1.0 + w * excess)) ** 2
            self.signal_fraction_error_ = float(curvature**-0.5)

    def _keep_signal_masses(self, X, ratio, sample_weight):
        w = self.signal_fraction_ or _INITIAL_FRACTION
        probability = ratio / (1.0 + w * (ratio - 1.0))
        if sample_weight is not None:
            probability = probability * sample_weight
        m = X[:, self.resonance_index_]
        self._signal_masses = m, probability / probability.sum()

    def _log_score(self, values):
        log_background = self._log_background(values, self.background_density_)
        return self._log_density(self.signal_density_, values) - log_background

    def _log_ratio(self, values):
        w = self.signal_fraction_
        with np.errstate(divide="ignore"):
            return np.logaddexp(np.log1p(-w), np.log(w) + self._log_score(values))

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Ratio of the densities of signal and background, p_s(x|m) / p_b(x|m).

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events with the columns of `fit`; with m outside the region the ratio is that at a
            mass of the region.

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
            Positive, higher = more anomalous.
        """
        check_is_fitted(self)
        return np.exp(self._warned(self._log_score, X))

    def sample_signal(self, n_samples: int = 1, random_state: Seed = None) -> NDArray[np.float64]:
        """Draw events from the signal model, to show what was found.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_columns)
            Features from `signal_density_`, at masses of the region's events drawn by their
            probability of being signal.
        """
        check_is_fitted(self)
        check_n_samples(n_samples)
        rng = check_random_state(random_state)
        m, probability = self._signal_masses
        conditions = rng.choice(m, n_samples, p=probability)
        return self.signal_density_.sample(n_samples, rng, conditions=conditions)


def _log_signal_ratio(mixture, batch):
    return mixture.signal(batch["x"], batch["m"]) - batch["log_background"]
