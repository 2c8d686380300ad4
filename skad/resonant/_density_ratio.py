"""What detectors by a ratio of conditional densities of the signal region have in common."""

from __future__ import annotations

import warnings
from copy import copy
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.base import DetectorMixin, ScoreMixin
from skad.coordinates import log_abs_det_jacobian
from skad.density import FlowDensity
from skad.exceptions import DivergenceError, FiducialWarning, LowStatisticsWarning
from skad.resonant._conditional import ConditionalMixin
from skad.resonant._events import ResonantMixin, check_n_samples, labels_out_of_fold
from skad.utils import _sklearn as sk
from skad.utils._children import unit_weights
from skad.utils._random import draw_seed

if TYPE_CHECKING:
    from typing import Any, Self

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Seed

__all__ = ["MAX_LOG_RATIO", "DensityRatioDetector"]

# R and 1/R stay finite and positive in float64.
MAX_LOG_RATIO = 700.0
# Fewer events of the signal region do not determine a density.
_FEW_EVENTS = 1000
_MAX_REDRAWS = 50
# How often events of a sideband run through the masses of the region in one width of it: so often
# that where they land has nothing to do with m, and no rational number, for masses of few digits.
_TURNS = 100 * np.sqrt(2)
# Of log ratios, in float32.
_ROUNDING = 1e-5


class DensityRatioDetector(ConditionalMixin, ResonantMixin, DetectorMixin, BaseEstimator):
    """Base of the detectors by p(x|m) of the signal region over p(x|m) of its background.

    A subclass takes the parameters of `_ratio_constraints` and implements
    ``_fit_region(X, sample_weight, rng)``, called with the fiducial events of the region,
    ``_log_score(values)`` and ``_log_ratio(values)`` for fiducial events whose m lies in the
    region, and ``_score_folds(events, inside, sideband, fold_of, learned, rng)``, the log scores
    of the training events by what has not seen them, where `learned` is what ``_fit_region``
    returned and `fold_of` holds the fold of every event, None for scores in sample.
    """

    # A search scores no training event.
    _settings_in_search = {"cv": None}
    _ratio_constraints = {
        **ResonantMixin._region_constraints,  # type: ignore[dict-item]
        **ConditionalMixin._conditional_constraints,
        "background_density": [None, sk.HasMethods(["fit", "score_samples", "sample"])],
        "fiducial": [None, tuple, list],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
        **ScoreMixin._threshold_constraints,
    }

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the densities of sidebands and region.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events of signal region and sidebands, the resonant feature among the columns.
        y : ignored
            Truth labels may be passed; they are not read.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights.

        Returns
        -------
        self : object

        Raises
        ------
        RegionError
            The region is empty, outside the data or lacks sidebands.
        ValueError
            No event in the fiducial region.
        """
        fiducial = self._check_fiducial()
        rng = check_random_state(self.random_state)
        events = self._read_events(X, y, sample_weight)
        used = (events.inside | events.sideband) & events.weighing
        self._range = None
        if fiducial is not None:
            values = events.X[used][:, self.feature_indices_]
            self._range = values.min(axis=0), values.max(axis=0), fiducial
        self._fit_coordinates(events.X[used], rng)
        described = used.copy()
        described[used] = self._is_described(events.X[used])
        self.n_outside_ = int(used.sum() - described.sum())
        inside, sideband = events.inside & described, events.sideband & described
        self._check_events(used, inside, sideband)
        self.background_density_ = self._fit_background(
            events.X[sideband], events.weights(sideband), rng
        )
        self._keep_masses(events, described)
        self._keep_outside(events, events.inside & used, inside)
        weight = unit_weights(events.weights(inside))
        learned = self._fit_region(events.X[inside], weight, rng)
        self._score_training(events, used, inside, sideband, learned, rng)
        scored = ~np.isnan(self.training_scores_)
        self._set_offset(self.training_scores_[scored], events.weights(scored))
        if self.threshold is None:
            # Flows round differently in batches of other sizes; the event at the threshold passes.
            self.offset_ -= _ROUNDING * max(1.0, abs(self.offset_))
        return self

    def _score_training(self, events, used, inside, sideband, learned, rng):
        """Set the scores of the training events, out of fold unless `cv` is None."""
        rows = np.flatnonzero(inside | sideband)
        fold_of = None
        if self.cv is not None:
            fold_of = np.full(len(events.m), -1)
            folds = self.cv
            if isinstance(folds, Integral):
                folds = StratifiedKFold(folds, shuffle=True, random_state=draw_seed(rng))
                for k, (_, test) in enumerate(folds.split(rows, inside[rows])):
                    fold_of[rows[test]] = k
            else:
                for k, (_, test) in enumerate(check_cv(folds).split(events.X)):
                    fold_of[test] = k
                fold_of[~(inside | sideband)] = -1
                rows = np.flatnonzero(fold_of >= 0)
        log_score = self._score_folds(events, inside, sideband, fold_of, learned, rng)[rows]
        log_score = np.nan_to_num(log_score, nan=MAX_LOG_RATIO)
        self.training_scores_ = np.full(len(events.m), np.nan)
        # Outside of what the densities describe events are least anomalous.
        self.training_scores_[used & ~(inside | sideband)] = np.exp(-MAX_LOG_RATIO)
        self.training_scores_[rows] = np.exp(log_score.clip(-MAX_LOG_RATIO, MAX_LOG_RATIO))

    def _check_fiducial(self):
        if self.fiducial is None:
            return None
        if len(self.fiducial) != 2 or not 0 <= self.fiducial[0] < self.fiducial[1] <= 1:
            raise ValueError(
                "fiducial must be None or (low, high) with 0 <= low < high <= 1, limits on the "
                f"features scaled to their range; got {self.fiducial!r}."
            )
        return tuple(self.fiducial)

    @property
    def _domain(self):
        """What the densities describe, in words."""
        if self.fiducial is None:
            return "the domain of the coordinates (by default the range of the training events)"
        return f"the fiducial region {tuple(self.fiducial)}"

    def _check_events(self, used, inside, sideband):
        if self.n_outside_:
            warnings.warn(
                f"{self.n_outside_} of {used.sum()} training events lie outside {self._domain}; "
                "they are left out of the densities and score as least anomalous.",
                FiducialWarning,
                stacklevel=5,
            )
        # Every fold leaves two to learn from.
        fewest, reason = 2, ""
        if isinstance(self.cv, Integral):
            fewest, reason = max(self.cv, 4), f" for cv={self.cv}"
        for rows, place in ((inside, "the signal region"), (sideband, "the sidebands")):
            if rows.sum() < fewest:
                raise ValueError(
                    f"{type(self).__name__} needs at least {fewest} events in {place}{reason}, "
                    f"within the fiducial region and with positive weight; found {rows.sum()} out "
                    f"of n_samples={used.sum()}. Widen region or fiducial."
                )
        if inside.sum() < _FEW_EVENTS:
            region = self.region_
            warnings.warn(
                f"the signal region [{region.low:g}, {region.high:g}) holds {inside.sum()} data "
                f"events; their density is hardly known from fewer than {_FEW_EVENTS}. Widen the "
                "region.",
                LowStatisticsWarning,
                stacklevel=5,
            )

    def _fit_region(self, X, sample_weight, rng):
        raise NotImplementedError

    def _log_score(self, values):
        raise NotImplementedError

    def _log_ratio(self, values):
        raise NotImplementedError

    def _score_folds(self, events, inside, sideband, fold_of, learned, rng):
        raise NotImplementedError

    def _fit_background(self, X, sample_weight, rng):
        density = self.background_density
        if density is None:
            # Larger batches than those of FlowDensity: the sidebands of a search hold 1e5 events.
            density = FlowDensity(batch_size=2048)
        return self._fit_density(density, X, sample_weight, rng, name="background_density")

    def fit_predict(self, X: ArrayLike, y: Any = None, **fit_params: Any) -> NDArray[np.int64]:
        """Fit and label the training events by `training_scores_`: +1 normal, -1 outlier.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : ignored
        **fit_params
            Passed to `fit`.

        Returns
        -------
        labels : ndarray of int, shape (n_events,)
            Those of events outside region and sidebands are of ``predict(X)``.
        """
        return labels_out_of_fold(self.fit(X, y, **fit_params), X)

    def _keep_outside(self, events, everywhere, inside):
        """Keep the events of the region that the densities do not describe, to draw from."""
        outside = everywhere & ~inside
        weight = np.ones(len(events.m)) if events.weight is None else events.weight
        self._outside = events.X[outside], weight[outside]
        self._outside_fraction = weight[outside].sum() / weight[everywhere].sum()

    def _is_described(self, values):
        described = np.ones(len(values), dtype=bool)
        if self._range is not None:
            lowest, highest, (low, high) = self._range
            width = np.where(highest > lowest, highest - lowest, 1.0)
            scaled = (values[:, self.feature_indices_] - lowest) / width
            described &= ((scaled > low) & (scaled < high)).all(axis=1)
        if self.coordinates_ is not None:
            with warnings.catch_warnings():
                # They are counted and reported here.
                warnings.simplefilter("ignore", FiducialWarning)
                described &= np.isfinite(self._to_coordinates(values)).all(axis=1)
                # Where the map is flat, both densities are zero.
                log_det = log_abs_det_jacobian(self.coordinates_, self._features(values))
                described &= np.isfinite(log_det)
        return described

    def _log_density(self, density, values):
        values = self._events_for(density, values)
        return np.asarray(density.score_samples(values), dtype=np.float64)

    def _in_region(self, values):
        """Return the events outside at masses of the region that are evenly spread over it.

        At the nearest edge all events of a sideband would meet the same fluctuation of the
        densities, and a cut pass other fractions of them than of the events of the region.
        """
        values = values.copy()
        low, high = self.region_.low, self.region_.high
        m = values[:, self.resonance_index_]
        outside = (m < low) | (m >= high)
        place = np.mod(_TURNS * (m[outside] - low) / (high - low), 1.0)
        within = (low + (high - low) * place).clip(low, np.nextafter(high, low))
        values[outside, self.resonance_index_] = within
        return values

    def _evaluate(self, function, values):
        """Return a log ratio and the number of events outside."""
        described = self._is_described(values)
        log_ratio = np.full(len(values), -MAX_LOG_RATIO)
        if described.any():
            log_ratio[described] = function(self._in_region(values[described]))
        return log_ratio.clip(-MAX_LOG_RATIO, MAX_LOG_RATIO), int((~described).sum())

    def _warned(self, function, X):
        result, n_outside = self._evaluate(function, self._as_fitted(X))
        if n_outside:
            warnings.warn(
                f"{n_outside} of {len(result)} events lie outside {self._domain}, where the "
                "densities know nothing; they score as least anomalous.",
                FiducialWarning,
                stacklevel=3,
            )
        # So far out that both densities overflow.
        return np.nan_to_num(result, nan=MAX_LOG_RATIO)

    def _normality(self, anomaly_score):
        return -np.log(anomaly_score)

    def log_density_ratio(self, X: ArrayLike) -> NDArray[np.float64]:
        """log of R = p_data(x|m) / p_background(x|m).

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events with the columns of `fit`; with m outside the region the ratio is that at a
            mass of the region.

        Returns
        -------
        log_ratio : ndarray of float64, shape (n_events,)
            Between -700 and 700; -700 outside the fiducial region, 700 where both densities
            overflow.

        Warns
        -----
        FiducialWarning
            Events lie outside the fiducial region.
        """
        return self._warned(self._log_ratio, X)

    def density_ratio(self, X: ArrayLike) -> NDArray[np.float64]:
        """R = p_data(x|m) / p_background(x|m); what `BumpHunt` asks for.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)

        Returns
        -------
        ratio : ndarray of float64, shape (n_events,)
            Positive; about 1e-304 outside the fiducial region.
        """
        return np.exp(self._warned(self._log_ratio, X))

    def log_background_density(self, X: ArrayLike) -> NDArray[np.float64]:
        """log p_background(x|m), the interpolated density of the background.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
            Events with the columns of `fit`; m outside the region counts as its nearest edge.

        Returns
        -------
        log_density : ndarray of float64, shape (n_events,)
            In nats, for the features in their own units; -inf outside the fiducial region, where
            the density knows nothing.
        """
        check_is_fitted(self)
        values = self._as_fitted(X)
        described = self._is_described(values)
        result = np.full(len(values), -np.inf)
        if described.any():
            result[described] = self._log_density(
                self.background_density_, self._in_region(values[described])
            )
        return result

    def sample_background(
        self, n_samples: int | None = None, random_state: Seed = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw background events of the signal region from the interpolated density.

        Parameters
        ----------
        n_samples : int, default=None
            Number of events; None takes `oversampling` times the data events of the region.
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_columns)
            The fraction of the region's data that lies outside the fiducial region is drawn from
            these data, so that efficiencies refer to all events.
        sample_weight : ndarray of float64, shape (n_samples,)
            Ones.
        """
        check_is_fitted(self)
        if n_samples is None:
            n_samples = self._n_background()
        check_n_samples(n_samples)
        rng = check_random_state(random_state)
        n_outside = round(self._outside_fraction * n_samples)
        X = np.empty((n_samples, self.n_features_in_))
        X[n_outside:] = self._draw_background(n_samples - n_outside, rng)
        if n_outside:
            events, weight = self._outside
            X[:n_outside] = events[rng.choice(len(events), n_outside, p=weight / weight.sum())]
        return rng.permutation(X), np.ones(n_samples)

    # The density of the sidebands is taken to the masses of the region, as well as it was learned.
    interpolates = True
    is_learned = True

    def held_out_background(
        self,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        n_samples: int | None = None,
        random_state: Seed = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Draw background events of the signal region, as `sample_background` does.

        Parameters
        ----------
        X, y, sample_weight : ignored
            A template of existing events needs other ones than those of `fit`.
        n_samples : int, default=None
        random_state : int, RandomState or None, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_samples, n_columns)
        sample_weight : ndarray of float64, shape (n_samples,)
        """
        return self.sample_background(n_samples, random_state)

    def refit_background(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        random_state: Seed = None,
    ) -> Any:
        """Return a copy whose background is learned from other events, resampled ones for example.

        Parameters
        ----------
        X : array-like of shape (n_events, n_columns)
        y : ignored
        sample_weight : array-like of shape (n_events,), default=None
        random_state : int, RandomState or None, default=None

        Returns
        -------
        detector : object
            With the coordinates, masses and other density of this one.
        """
        check_is_fitted(self)
        other = copy(self)
        events = self._read_others(X, y, sample_weight)
        used = events.sideband & events.weighing
        used[used] = self._is_described(events.X[used])
        other.background_density_ = self._fit_background(
            events.X[used], events.weights(used), check_random_state(random_state)
        )
        return other

    def _draw_background(self, n, rng):
        X = np.empty((n, self.n_features_in_))
        if not n:
            return X
        rows, m = np.arange(n), self.masses_.draw(n, rng)
        for _ in range(_MAX_REDRAWS):
            X[rows] = self.background_density_.sample(len(rows), rng, conditions=m[rows])
            if self._range is None:
                return X
            rows = rows[~self._is_described(X[rows])]
            if not len(rows):
                return X
        raise DivergenceError(
            f"{len(rows)} of {n} sampled events lie outside the fiducial region after "
            f"{_MAX_REDRAWS} draws; the background density is far from its training events."
        )
