"""The bump hunt: select with a detector in every window, estimate the background, test."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
from joblib import effective_n_jobs
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from skad.exceptions import (
    LowStatisticsWarning,
    RegionError,
    SculptingWarning,
    SpectrumFitWarning,
)
from skad.resonant._region import check_region
from skad.search._background import fit_region, sculpting_message
from skad.search._calibration import GlobalCalibration, SignificanceCalibration, calibrated
from skad.search._checkpoint import open_store
from skad.search._fit_range import check_fit_range, restrict_sidebands
from skad.search._folds import (
    Background,
    Cut,
    counts_of_data,
    cut_of,
    direct_estimate,
    fit_and_keep,
    fit_shared,
    score_fold,
)
from skad.search._functions import FUNCTIONS, check_mass_unit
from skad.search._p_values import (
    global_p_value,
    local_p_value,
    local_significance,
    p_to_z,
    z_to_p,
)
from skad.search._sculpting import Beside, smallest_of
from skad.search._selection import SelectionMixin
from skad.search._trust import FIT_ALPHA, why_untrusted
from skad.search._weights import effective_events, mean_weight, weighted_scale
from skad.utils import _sklearn as sk
from skad.utils._arguments import Numbers
from skad.utils._children import last_step, requires_y, shared_parameters
from skad.utils._documentation import LinkedMixin
from skad.utils._labels import read_labels
from skad.utils._random import draw_seed, draw_seeds
from skad.utils._tasks import outer_stacklevel, run_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, Self

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Estimator, FilePath, Floats, Seed

__all__ = ["BumpHunt"]

# The efficiencies at which harder cuts are tested for sculpting too.
_LOOSE = (0.3, 0.1)
# Folds that learn from each other count a fluctuation twice that both hold: the variance of all
# counts is more than the sum of theirs by a part between 0 and 1. Without signal it was 0.3 with
# the direct background, the mean over classifiers and cuts, and 0.04 with the sideband fit.
_COUNTED_TWICE = 0.25
# Of learned weights it would be 1, were they as often negative: each pair of events that are like
# one another raises the weights of both. Cut at 0 it was 0.5 without signal.
_WEIGHED_TWICE = 0.5
_BACKGROUNDS = {"auto", "sideband", "direct"}


class BumpHunt(LinkedMixin, SelectionMixin, BaseEstimator):
    """Search for a resonance: windows, cross-fitted selection, background, p-values.

    In every window the events are split into folds. A detector fitted to the other folds scores
    the events of the held-out one, the rarest of them pass, and the passing events of all folds
    are merged. The background left in the signal region is estimated and compared with the
    observed count.

    Parameters
    ----------
    detector : estimator
        Unfitted. What is asked of it:

        - ``fit(X)``, or ``fit(X, y)`` with y = 1 for data and 0 for simulation where its tag
          says that y is required;
        - ``anomaly_score(X)``, higher = more anomalous (or ``score_samples(X)``, higher = more
          normal, as every outlier detector of scikit-learn), for events of region and sidebands;
        - parameters `region` and `resonance`, also of nested estimators, are set where it has
          them: the resolved `SignalRegion` of the window, with the width of the sidebands that the
          detector's own region was given, and the position of the resonant feature. A detector
          without `region` is fitted without the resonant feature, so that it cannot cut on it;
        - parameters named `shared`, also of nested estimators (`SIGMA`), are set to what its
          ``fit_shared(X, y, sample_weight)`` returns: called once for each fold and seed, it learns
          what all windows have in common from the training events of the fold;
        - for ``background="direct"``: ``held_out_background(X, y, None, n_samples, random_state)``,
          background events (X, sample_weight) of the signal region that no training has seen, made
          of the events of the held-out fold or drawn afresh; `interpolates`, whether they are those
          of the masses of the region, rather than of masses beside it; and `is_learned`, whether
          they or their weights come from a training.
    windows : None, sequence of SignalRegion or of (low, high), default=None
        Signal regions, see `SignalRegion.scan`. None means one, the central fifth of the events.
    efficiencies : sequence of float, default=(1e-1, 1e-2, 1e-3)
        Target fractions of the events that pass, in (0, 1]; 1 means no cut. The threshold of a
        fold is set on all its events of region and sidebands: it uses no label, and since the
        background estimate sees the same cut, its fluctuation cancels in the excess (the number
        of passing events is fixed, which a fit with a free normalisation does not notice).
        A threshold set on the region alone would fix the count that is tested.
    weighting : {None, "excess"}, default=None
        What an event counts that passes: 1, or with "excess" R - c, where R is its score and c the
        threshold of the efficiency, in units of its mean in the fold. For density ratios R
        this is, up to the unit, ``(R - (1 - mu)) / mu`` with c = 1 - mu, what the likelihood of a
        small signal asks for. A clear event counts more than one that just passes, and a
        loose efficiency throws nothing away. Bins and counts are sums of weights, taken for scaled
        Poisson numbers; `n_observed`, `background` and `scale` are in the same unit. Rows with
        fewer than 25 effective events in the sidebands or 10 in the region are not trusted;
        p-values of 15 in the region were too large, of 40 and more they were uniform. On simulated
        dijets it finds as much as the better of two hard cuts, and spares their choice; 1.27 to
        1.44 times as much where both have a `calibration`.
    n_folds : int, default=5
        Folds of the cross-fitting.
    n_seeds : int, default=1
        Detectors per fold that differ in their seed; their scores and ratios are averaged. A
        seed that the detector was given stays, in the k-th of them plus k.
    resonance : int or str, default=0
        Column of X that holds m.
    background : {"auto", "sideband", "direct"}, default="auto"
        - "sideband": fit of the surviving spectrum, see `sideband_background`. Right where the cut
          does not sculpt the spectrum; rows in which it does are not trusted;
        - "direct": fraction of the detector's background that passes, times the observed events
          of the region, see `direct_background`. The background events took no part in any
          training of a classifier. Where they are those of masses beside the region (`Sidebands`),
          a cut that sculpts is not trusted either. Where they are learned (`CATHODE`, `SALAD`,
          `ANODE`, ...), rows are trusted with a `calibration` only: a template off by a
          few per cent looks like a signal;
        - "auto": "sideband", and "direct" in rows that the cut sculpts, where the background is
          that of the region and not learned (`GivenReference`); `results_` says which.

        With an efficiency of 1 it is always the sideband fit. Importance weights are not on offer:
        without signal they are far off where R is noisy. `importance_background` corrects them by
        densities of halves.
    spectrum : {"dijet", "power_exponential", "polynomial"}, default="dijet"
        Function of the fits, see `fit_spectrum`.
    sqrt_s : float, default=13.0
        Collision energy in the unit of m (the default is for TeV), dijet function only.
    n_parameters : None, int or sequence of int, default=None
        Number of parameters, or the candidates of the F-test; None means the function's own.
    fit_range : "auto", None, (float, float) or float, default="auto"
        Masses that the fits of a window see, as in `sideband_background`: "auto" starts above a
        turn-on, chosen on all events before any cut; `results_` says where.
    bins_per_region : int, default=4
        Bins of the fit inside a window; the sidebands have bins about as wide.
    n_samples : int, default=50000
        Background events per fold and seed of detectors that draw them, for "direct".
    n_bootstraps : int, default=0
        Backgrounds learned from resampled events, for "direct" with a background that is learned:
        the spread of what passes enters `syst`. 0 leaves out how well the events determine it.
    n_toys : int, default=0
        Pseudo-experiments of every local p-value; 0 leaves `p_toys` out.
    n_global_toys : int, default=100000
        Pseudo-experiments of the scan for the global p-value.
    spurious_signal : None, float or DataFrame, default=None
        What the sideband fit invents, as a fraction of the background, which enters `syst`: one
        number, or the table that the function `spurious_signal` makes for the same windows.
    fit_alpha : float, default=0.01
        A sideband fit whose p-value is below describes nothing: the row is not trusted.
    sculpting_alpha : float, default=0.01
        A cut whose `sideband_sculpting_test` has a p-value below sculpts the spectrum: the row is
        not trusted with ``background="sideband"``. Of harder cuts those at 0.3 and 0.1 are tested
        too, since few events hide what sculpts; the smallest p-value counts, corrected for the
        number of cuts.
    calibration : None, SignificanceCalibration or dict, default=None
        Applied to every `z_raw`, or a dict with one for each of `efficiencies`, as
        `SignificanceCalibration.by_efficiency` makes it from `pseudo_experiments`.
    global_calibration : None or GlobalCalibration, default=None
        Gives the global p-values in place of `n_global_toys`, as
        `GlobalCalibration.from_experiments` makes it from `pseudo_experiments`.
    checkpoint : None or path, default=None
        Folder in which fitted detectors and scores are kept, named after a hash of everything
        that determines them, the versions of skad, scikit-learn and torch included; a later fit
        resumes there. Needs an int `random_state`. One fit at a time writes there; a damaged file
        is named and replaced. The files are pickles: load only folders of your own.
    keep_detectors : bool or path, default=False
        Whether the fitted detectors are kept, so that `select`, `anomaly_score` and
        `signal_efficiency` can be asked of other events: True in memory, a path in a folder of
        model files (`skad.save_model`), which are loaded one by one when they are needed. A folder
        is of one hunt; ``set_params(keep_detectors=...)`` says where it was moved to. A hunt that
        is itself saved as a model file takes it as text.
    n_jobs : int, default=None
        Fits at a time (windows, folds and seeds).
    random_state : None, int or RandomState, default=None
        Of the folds, detectors and pseudo-experiments.
    verbose : int, default=0
        Show the progress of the fits, with the time that is left, when positive: a bar in
        terminals and notebooks, else lines of the logger "skad".

    Attributes
    ----------
    results_ : DataFrame
        One row per window and efficiency: `window`, `low`, `high`, `efficiency` (target),
        `n_selected` (region and sidebands), `n_observed` (region), `scale` (mean weight of an event
        in the p-value, 1 without weights), `method`, `background`, `stat`, `syst`,
        `background_efficiency`, `z_raw`, `p_local`, `z_local`, with `n_toys` also `p_toys`, and
        of the sideband fit `n_parameters`, `fit_p`, `fit_low`, `fit_high` (its range);
        `sculpting_p`, `sculpting_spread`; `trusted`, and the `reason` where a row is not. A row
        whose background cannot be estimated holds NaN. `z_local` is negative for a deficit. `syst`
        is the quadratic sum of the error of the mean over seeds (standard deviation over the root
        of `n_seeds`), the spread over bootstraps, and the spurious signal of the function; with
        "direct" or `weighting` also of a part of the standard deviation of the count, for folds
        that learn from each other (see Notes). `z_raw` is without that part, and what
        `calibration` is applied to.
    global_ : DataFrame
        One row per efficiency: `n_tests`, `window` of the smallest `p_local`, `p_global`,
        `z_global`, for a scan over the trusted rows at that efficiency.
    p_global_, z_global_ : float
        For the scan over all trusted rows; NaN without any, and `reason` says why.
    p_global_error_ : float
        Binomial error of `p_global_` with `global_calibration`; NaN without.
    best_ : int or None
        Trusted row of `results_` with the smallest `p_local`.
    correlation_ : ndarray, shape (n_rows, n_rows)
        Correlation of the significances of the rows without signal, from their shared events.
    regions_ : list of SignalRegion
        Resolved windows.
    fits_ : list of SpectrumFit or None
        Sideband fit of every row; None where it failed.
    scores_ : ndarray, shape (n_windows, n_data_events)
        Held-out anomaly scores; NaN outside region and sidebands, or where nothing was cut.
    selected_ : ndarray of bool, shape (n_rows, n_data_events)
        Events that pass.
    counts_ : ndarray, shape (n_rows, n_data_events), or None
        With `weighting` what every event counts.
    thresholds_ : ndarray, shape (n_rows, n_folds)
        Scores above which an event passes in every fold; -infinity where nothing is cut.
    detectors_ : list of list of list, or None
        With `keep_detectors` the fitted detectors by window, fold and seed; of those in a folder
        the names and checksums of their files.
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Raises
    ------
    RegionError
        A window is empty, outside the data or without sidebands.
    DomainError
        A mass outside ``0 < m < sqrt_s``, or all in another unit, with ``spectrum="dijet"``.
    TypeError
        The detector lacks a method that `background` needs.

    Warns
    -----
    SculptingWarning, SpectrumFitWarning, LowStatisticsWarning
        Some rows are not to be trusted: a cut changes the spectrum in the sidebands, the function
        does not describe them, or too few events pass.

    Notes
    -----
    Every pair of folds learns from each other, so that a fluctuation which both hold counts twice.
    Significances without signal would be 1.0 to 1.35 wide with "direct", most where a boosted
    classifier makes a loose cut. So a quarter of the variance of the count and of the background
    is added in `syst`, half of it with `weighting`; with it they are 0.9 to 1.2 wide, as without it
    with "sideband" and a cut
    (``benchmarks/results/null_matrix.md``, ``direct_pulls.md``, ``bump_hunt_coverage.md``).

    How much is counted twice depends on the detector: with weights of boosted trees of five
    features it is hardly more than with cuts (``weighted_hunt.md``). `calibration` by
    `pseudo_experiments` measures it, in place of the assumed part, and p-values are then compatible
    with uniform ones.

    References
    ----------
    J. Collins, K. Howe, B. Nachman, "Extending the search for new resonances with machine
    learning", Phys. Rev. D 99 (2019) 014038, arXiv:1902.02634.
    R. Gambhir, R. Mastandrea, B. Nachman, J. Thaler, "Isolating unisolated Upsilons with anomaly
    detection in CMS open data", Phys. Rev. Lett. 135 (2025) 021902, arXiv:2502.14036 (weights).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.resonant import SignalRegion
    >>> from skad.search import BumpHunt
    >>> rng = np.random.default_rng(0)
    >>> background = np.column_stack([rng.exponential(size=4000), rng.normal(size=(4000, 2))])
    >>> signal = np.column_stack([rng.normal(1.2, 0.05, 60), rng.normal(3.0, 0.3, (60, 2))])
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=20),
    ...     [SignalRegion(1.0, 1.4)],
    ...     efficiencies=(1.0, 0.05),
    ...     spectrum="polynomial",
    ...     random_state=0,
    ... ).fit(np.vstack([background, signal]))
    >>> bool(hunt.results_["z_local"][1] > 5)
    True
    """

    _parameter_constraints = {
        "detector": [sk.HasMethods(["fit"])],
        "windows": [None, list, tuple],
        "efficiencies": [list, tuple, np.ndarray],
        "weighting": [None, sk.StrOptions({"excess"})],
        "n_folds": [sk.Interval(Integral, 2, None, closed="left")],
        "n_seeds": [sk.Interval(Integral, 1, None, closed="left")],
        "resonance": [Integral, str],
        "background": [sk.StrOptions(_BACKGROUNDS)],
        "spectrum": [sk.StrOptions(set(FUNCTIONS))],
        "sqrt_s": [sk.Interval(Real, 0, None, closed="neither")],
        "n_parameters": [None, Integral, list, tuple],
        "fit_range": [None, sk.StrOptions({"auto"}), tuple, list, Real],
        "bins_per_region": [sk.Interval(Integral, 1, None, closed="left")],
        "n_samples": [sk.Interval(Integral, 1, None, closed="left")],
        "n_bootstraps": [sk.Interval(Integral, 0, None, closed="left")],
        "n_toys": [sk.Interval(Integral, 0, None, closed="left")],
        "n_global_toys": [sk.Interval(Integral, 1, None, closed="left")],
        "spurious_signal": [None, sk.Interval(Real, 0, None, closed="left"), sk.HasMethods("loc")],
        "fit_alpha": [sk.Interval(Real, 0, 1, closed="both")],
        "sculpting_alpha": [sk.Interval(Real, 0, 1, closed="both")],
        "calibration": [None, SignificanceCalibration, dict],
        "global_calibration": [None, GlobalCalibration],
        "checkpoint": [None, str, os.PathLike],
        "keep_detectors": ["boolean", str, os.PathLike],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        detector: Estimator,
        windows: Sequence[SignalRegion | Floats] | None = None,
        *,
        efficiencies: Floats = (1e-1, 1e-2, 1e-3),
        weighting: Literal["excess"] | None = None,
        n_folds: int = 5,
        n_seeds: int = 1,
        resonance: int | str = 0,
        background: Literal["auto", "sideband", "direct"] = "auto",
        spectrum: Literal["dijet", "power_exponential", "polynomial"] = "dijet",
        sqrt_s: float = 13.0,
        n_parameters: int | Sequence[int] | None = None,
        fit_range: Literal["auto"] | Floats | float | None = "auto",
        bins_per_region: int = 4,
        n_samples: int = 50_000,
        n_bootstraps: int = 0,
        n_toys: int = 0,
        n_global_toys: int = 100_000,
        spurious_signal: float | DataFrame | None = None,
        fit_alpha: float = FIT_ALPHA,
        sculpting_alpha: float = 0.01,
        calibration: SignificanceCalibration | dict[Any, Any] | None = None,
        global_calibration: GlobalCalibration | None = None,
        checkpoint: FilePath | None = None,
        keep_detectors: bool | FilePath = False,
        n_jobs: int | None = None,
        random_state: Seed = None,
        verbose: int = 0,
    ) -> None:
        self.detector = detector
        self.windows = windows
        self.efficiencies = efficiencies
        self.weighting = weighting
        self.n_folds = n_folds
        self.n_seeds = n_seeds
        self.resonance = resonance
        self.background = background
        self.spectrum = spectrum
        self.sqrt_s = sqrt_s
        self.n_parameters = n_parameters
        self.fit_range = fit_range
        self.bins_per_region = bins_per_region
        self.n_samples = n_samples
        self.n_bootstraps = n_bootstraps
        self.n_toys = n_toys
        self.n_global_toys = n_global_toys
        self.spurious_signal = spurious_signal
        self.fit_alpha = fit_alpha
        self.sculpting_alpha = sculpting_alpha
        self.calibration = calibration
        self.global_calibration = global_calibration
        self.checkpoint = checkpoint
        self.keep_detectors = keep_detectors
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Run the search.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events, the resonant feature among the columns.
        y : array-like of shape (n_events,), default=None
            Ignored (truth labels may be passed), unless the detector requires y: then 1 = data
            and 0 = simulation, which every fold trains with and nothing counts.
        sample_weight : array-like of shape (n_events,), default=None
            Non-negative weights of data and simulation, in any unit: of weighted simulation in
            place of data. Numbers of events become sums of weights, and a bin, or what passes in
            the region, a Poisson number of events of its mean weight (scaled Poisson). Rows with
            fewer than 25 effective events in the sidebands are not trusted.

        Returns
        -------
        self : BumpHunt
        """
        start = time.perf_counter()
        efficiencies = self._check_efficiencies()
        if self.n_bootstraps == 1:
            raise ValueError("n_bootstraps must be 0, or 2 or more for a spread; got 1.")
        cuts = min(efficiencies) < 1
        if cuts:
            self._check_detector()
        values = validate_data(self, X, dtype=np.float64, ensure_min_features=2 if cuts else 1)
        y = self._check_data_labels(values, y)
        data = np.arange(len(values)) if y is None else np.flatnonzero(y == 1)
        all_weights = None
        if sample_weight is not None:
            all_weights = sk.check_sample_weight(sample_weight, values, dtype=np.float64)
        weight = np.ones(len(data)) if all_weights is None else all_weights[data]
        names = getattr(self, "feature_names_in_", None)
        rng = check_random_state(self.random_state)
        regions, m = [], None
        for window in [None] if self.windows is None else self.windows:
            region, m = check_region(
                window,
                values[data],
                resonance=self.resonance,
                feature_names=names,
                sample_weight=None if all_weights is None else weight,
            )
            regions.append(region)
        if m is None:
            raise ValueError("windows holds no signal region; pass None for a default one.")
        # A wrong unit or range must not cost the training first.
        check_fit_range(self.fit_range)
        if self.spectrum == "dijet":
            check_mass_unit(m, self.sqrt_s)
        for region in regions:
            self._spurious_fraction(region)
        if self.global_calibration is not None:
            n_rows = len(regions) * len(efficiencies)
            self.global_calibration.check(n_rows, efficiencies, self.calibration)
        fitted = [self._fitted_region(region, m, weight) for region in regions]
        self.detectors_ = None
        if cuts:
            with open_store(self.checkpoint, (values, y, all_weights, self.detector)) as store:
                folds = self._score_folds(X, values, y, all_weights, data, m, regions, rng, store)
        else:
            folds = [[] for _ in regions]
        self.regions_ = regions
        self.scores_ = np.full((len(regions), len(m)), np.nan)
        rows = []
        for i, region in enumerate(regions):
            for fold in folds[i]:
                self.scores_[i, fold.events] = fold.scores
            beside = Beside(m, fitted[i], weight)
            rows += [
                self._test(i, region, fitted[i], m, weight, folds[i], beside, efficiency, rng)
                for efficiency in efficiencies
            ]
            folds[i] = []  # Large, and nobody asks for more than the scores.
        self._summarise(rows, rng)
        # What pseudo-experiments are made from, and how long one takes.
        self._events = values, y, all_weights
        self._core_seconds = (time.perf_counter() - start) * effective_n_jobs(self.n_jobs)
        return self

    def _fit_options(self):
        return {
            "function": self.spectrum,
            "n_parameters": self.n_parameters,
            "sqrt_s": self.sqrt_s,
        }

    def _fitted_region(self, region, m, weight):
        """Return the window with the sidebands that its fits see."""
        bins = self.bins_per_region
        return restrict_sidebands(
            region, m, self.fit_range, bins_per_region=bins, weight=weight, **self._fit_options()
        )

    def _check_efficiencies(self):
        efficiencies = np.atleast_1d(Numbers((0, 1)).read(self.efficiencies, "efficiencies"))
        efficiencies = efficiencies.tolist()
        if not efficiencies or not all(0 < efficiency <= 1 for efficiency in efficiencies):
            raise ValueError(
                f"efficiencies must hold fractions in (0, 1]; got {self.efficiencies!r}."
            )
        if isinstance(self.calibration, dict):
            missing = sorted(set(efficiencies) - set(self.calibration))
            if missing:
                raise ValueError(
                    f"calibration holds none for the efficiencies {missing}, only for "
                    f"{sorted(self.calibration)}; run the pseudo-experiments with the same ones."
                )
        return efficiencies

    def _check_detector(self):
        if not any(hasattr(self.detector, name) for name in ("anomaly_score", "score_samples")):
            raise TypeError(
                "BumpHunt needs a detector with anomaly_score or score_samples; "
                f"{type(self.detector).__name__} has neither."
            )
        if self.background == "direct" and not self._measures_background():
            raise TypeError(
                "BumpHunt(background='direct') needs a detector with held_out_background, whose "
                f"background can be cut on; {type(self.detector).__name__} has none. Take "
                "background='sideband', or a TemplateDetector, ANODE or ResidualANODE."
            )
        if self.checkpoint is not None and not isinstance(self.random_state, Integral):
            raise ValueError(
                "checkpoint needs an int random_state, or a later fit trains other detectors; "
                f"got random_state={self.random_state!r}."
            )

    def _measures_background(self):
        """Whether background events are scored beside the data."""
        if not hasattr(self.detector, "held_out_background"):
            return False
        return self.background == "direct" or (self.background == "auto" and self._known())

    def _known(self):
        """Whether the background is that of the region, and of nobody's training."""
        return self._has("interpolates") and not self._has("is_learned")

    def _check_data_labels(self, values, y):
        """Return y where the detector needs it, None where it is ignored."""
        if not requires_y(self.detector):
            return None
        if y is None and isinstance(last_step(self.detector), FrozenEstimator):
            return None  # fitted before, to other events
        return read_labels(y, len(values), owner=type(self.detector).__name__).astype(int)

    def _score_folds(self, X, values, y, weight, data, m, regions, rng, store):
        """Fit the detectors and score the held-out events: lists of `Fold` per window."""
        splits = list(KFold(self.n_folds, shuffle=True, random_state=draw_seed(rng)).split(data))
        seeds = np.array(draw_seeds(rng, len(regions) * self.n_folds * self.n_seeds)).reshape(
            len(regions), self.n_folds, self.n_seeds
        )
        X = X if hasattr(X, "iloc") else values
        simulation = self._split_simulation(y, rng)
        resampling = ()
        if self.n_bootstraps and self._measures_background() and self._has("is_learned"):
            resampling = tuple(draw_seeds(rng, self.n_bootstraps))
        tasks, folds, keys, training = [], {}, {}, {}
        for i, region in enumerate(regions):
            in_range = region.mask(m) | region.sideband_mask(m)
            for j, (train, test) in enumerate(splits):
                test = test[in_range[test]]
                if not len(test):
                    raise RegionError(
                        f"the window [{region.low:g}, {region.high:g}) and its sidebands hold "
                        f"{in_range.sum()} events, none of them in one of the {self.n_folds} "
                        "folds; widen it or take fewer folds."
                    )
                key = (region, train, test, seeds[i, j])
                measures = self._measures_background()
                keys[i, j] = store.key(key, measures, self.n_samples, resampling)
                folds[i, j] = store.load(keys[i, j])
                if folds[i, j] is None or self.keep_detectors is not False:
                    rows = training[j] = np.concatenate([data[train], simulation[j][0]])
                    for copy, seed in enumerate(seeds[i, j]):
                        tasks.append((i, j, int(seed), copy, rows, test))
        options = {"n_jobs": self.n_jobs, "verbose": self.verbose}
        shared = self._fit_shared(X, y, weight, training, seeds[0], regions[0], store)
        fitted = run_tasks(
            [
                (
                    fit_and_keep,
                    (
                        (
                            self.detector,
                            X,
                            y,
                            weight,
                            rows,
                            regions[i],
                            seed,
                            copy,
                            shared.get((j, copy), {}),
                            store,
                        ),
                        self.keep_detectors,
                        f"window_{i}_fold_{j}_seed_{copy}.skad",
                    ),
                )
                for i, j, seed, copy, rows, _ in tasks
            ],
            name=f"fits of {len(regions)} windows x {self.n_folds} folds x {self.n_seeds} seeds",
            groups=[_window(regions[i]) for i, *_ in tasks],
            **options,
        )

        def background(j):
            if not self._measures_background():
                return None
            return Background(self.n_samples, simulation[j][1], training[j], resampling)

        members, held_out, entries = {}, {}, {}
        for (i, j, seed, _, _, test), (member, entry) in zip(tasks, fitted, strict=True):
            entries.setdefault((i, j), []).append(entry)
            if folds[i, j] is None:
                members.setdefault((i, j), []).append((seed, member))
                held_out[i, j] = test
        if self.keep_detectors is not False:
            self.detectors_ = [
                [entries[i, j] for j in range(self.n_folds)] for i in range(len(regions))
            ]
        scored = run_tasks(
            [
                (
                    score_fold,
                    (
                        members[i, j],
                        X,
                        y,
                        weight,
                        held_out[i, j],
                        data[held_out[i, j]],
                        background(j),
                        regions[i],
                        (store, keys[i, j]),
                    ),
                )
                for i, j in members
            ],
            name="held-out scores",
            groups=[_window(regions[i]) for i, _ in members],
            **options,
        )
        folds.update(zip(members, scored, strict=True))
        return [[folds[i, j] for j in range(self.n_folds)] for i in range(len(regions))]

    def _fit_shared(self, X, y, weight, training, seeds, region, store):
        """Return what the detectors of each fold and seed share in all windows, if anything."""
        if not shared_parameters(self.detector):
            return {}
        tasks = {
            (j, copy): (self.detector, X, y, weight, rows, region, int(seeds[j, copy]), copy, store)
            for j, rows in training.items()
            for copy in range(self.n_seeds)
        }
        fitted = run_tasks(
            [(fit_shared, arguments) for arguments in tasks.values()],
            name=f"models of all windows, {self.n_folds} folds x {self.n_seeds} seeds",
            groups=[f"fold {j}" for j, _ in tasks],
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        return dict(zip(tasks, fitted, strict=True))

    def _split_simulation(self, y, rng):
        """Return, for every fold, the simulated events to train with and those to leave out."""
        if y is None:
            return [(np.empty(0, dtype=np.intp),) * 2] * self.n_folds
        simulation = np.flatnonzero(y == 0)
        if not self._measures_background():
            return [(simulation, simulation[:0])] * self.n_folds
        folds = KFold(self.n_folds, shuffle=True, random_state=draw_seed(rng))
        return [(simulation[train], simulation[test]) for train, test in folds.split(simulation)]

    def _test(self, window, region, fitted_region, m, weight, folds, beside, efficiency, rng):
        """Return one row of the results, the fit, the selection and the influence of events."""
        edges = fitted_region.bin_edges(m, bins_per_region=self.bins_per_region)
        spurious = self._spurious_fraction(region)
        in_range = region.mask(m) | region.sideband_mask(m)
        inside = region.mask(m)
        cuts = [cut_of(fold, efficiency, weighs=self.weighting is not None) for fold in folds]
        counts = counts_of_data(folds, cuts, in_range)
        passed, counted = counts > 0, weight * counts
        weighs = self.weighting is not None and efficiency < 1
        # Of the background: a signal in the region counts more.
        unit = weighted_scale(weight, counts, fitted_region.sideband_mask(m)) if weighs else 1.0
        scale = unit * mean_weight(weight[passed & inside])
        try:
            *fitted, fit = fit_region(
                m[passed],
                region,
                edges,
                self._fit_options(),
                weight[passed],
                counts=counts[passed] if weighs else None,
                scale=unit,
            )
        except RegionError:
            fitted, fit = (np.nan, np.nan), None
        looser = [
            counts_of_data(folds, [cut_of(fold, loose) for fold in folds], in_range)
            for loose in _LOOSE
            if efficiency < loose
        ]
        tests = [beside.test(each) for each in [counts, *looser]]
        test, sculpting = tests[0], _clearest(tests)
        method = self._method(efficiency, sculpting)
        influence = np.zeros(len(m))
        syst = 0.0
        if method == "sideband":
            background, stat = fitted
            syst = spurious * background
            influence[inside] = counted[inside]
            if fit is not None:
                bins = np.searchsorted(edges, m, side="right") - 1
                seen = passed & (bins >= 0) & (bins < len(edges) - 1)
                response = fit.yield_response(region.low, region.high)
                influence[seen] -= counted[seen] * response[bins[seen]]
        else:
            background, stat, syst = direct_estimate(folds, cuts, inside, counts, influence)
        apart = np.hypot(stat, syst)
        if weighs or method == "direct":
            twice = _WEIGHED_TWICE if weighs else _COUNTED_TWICE
            syst = np.hypot(syst, np.sqrt(twice * (background * scale + stat**2)))
        row = {
            "window": window,
            "low": region.low,
            "high": region.high,
            "efficiency": efficiency,
            "n_selected": _count(counted[passed]),
            "n_observed": _count(counted[passed & inside]),
            "scale": scale,
            "method": method,
            "background": background,
            "stat": stat,
            "syst": syst,
            "background_efficiency": background / weight[inside].sum(),
        }
        row |= self._local(row, apart, rng)
        row |= {
            "n_parameters": np.nan if fit is None else fit.n_parameters,
            "fit_p": np.nan if fit is None else fit.p_value,
            "sculpting_p": test.p_value,
            "sculpting_spread": test.spread,
            "fit_low": edges[0],
            "fit_high": edges[-1],
        }
        row["reason"] = why_untrusted(
            background=background,
            n_sideband=effective_events(counted[fitted_region.sideband_mask(m)]),
            n_weighted=background / scale if weighs else np.inf,
            fit=fit if method == "sideband" else None,
            fit_alpha=self.fit_alpha,
            sculpting=None if method == "direct" and self._has("interpolates") else sculpting,
            is_learned=(
                method == "direct" and self._has("is_learned") and self.calibration is None
            ),
            sculpting_alpha=self.sculpting_alpha,
        )
        row["trusted"] = not row["reason"]
        # Of many windows and events, eight bytes for each are too many where one will do.
        counts = passed if self.weighting is None else counts
        return row, fit, counts, sparse.csr_matrix(influence), sculpting, cuts

    def _spurious_fraction(self, region):
        """Return the error of the function in a window, as a fraction of its background."""
        if self.spurious_signal is None or isinstance(self.spurious_signal, Real):
            return float(self.spurious_signal or 0.0)
        table = self.spurious_signal
        row = np.isclose(table["low"], region.low) & np.isclose(table["high"], region.high)
        if row.sum() != 1:
            raise ValueError(
                f"spurious_signal has {row.sum()} rows for the window [{region.low:g}, "
                f"{region.high:g}); make the table with the windows of the search."
            )
        return float(np.abs(table["relative"][row]).iloc[0])

    def _has(self, property):
        """Whether the detector says `interpolates` or `is_learned` of its background."""
        return bool(getattr(self.detector, property, property == "is_learned"))

    def _method(self, efficiency, sculpting):
        """Return how the background of a row is estimated."""
        if efficiency == 1 or not self._measures_background():
            return "sideband"
        sculpted = sculpting.p_value < self.sculpting_alpha
        if self.background == "direct" or (sculpted and self._known()):
            return "direct"
        return "sideband"

    def _local(self, row, apart, rng):
        """Return the significances; `apart` is the error had the folds learned apart."""
        errors = np.array([apart, np.hypot(row["stat"], row["syst"])]) / row["scale"]
        counts = row["n_observed"] / row["scale"], row["background"] / row["scale"]
        usable = counts[1] > 0 and np.isfinite(errors).all()
        z_raw, z_local = local_significance(*counts, errors) if usable else (np.nan, np.nan)
        if self.calibration is not None:
            # It was measured on searches whose folds learn from each other as these do.
            z_local = calibrated(z_raw, row["efficiency"], self.calibration)
        local = {
            "z_raw": float(z_raw),
            "p_local": float(z_to_p(z_local)),
            "z_local": float(z_local),
        }
        if self.n_toys:
            local["p_toys"] = np.nan
            if usable:
                local["p_toys"] = local_p_value(
                    *counts, errors[1], method="toys", n_toys=self.n_toys, random_state=rng
                )
        return local

    def _summarise(self, rows, rng):
        import pandas as pd

        table, fits, counts, influences, tests, cuts = zip(*rows, strict=True)
        results = pd.DataFrame(list(table))
        self.results_ = results
        self.fits_ = list(fits)
        self.selected_ = np.array([each > 0 for each in counts])
        self.counts_ = None if self.weighting is None else np.array(counts)
        # Where nothing is cut, no fold was made.
        cuts = [list(each) or [Cut(-np.inf)] * self.n_folds for each in cuts]
        self.thresholds_ = np.array([[cut.threshold for cut in each] for each in cuts])
        self._units = np.array([[cut.unit for cut in each] for each in cuts])
        self.correlation_ = _correlation(influences)
        p_local = results["p_local"].to_numpy()
        trusted = np.flatnonzero(results["trusted"])

        def smallest(rows):
            return int(rows[p_local[rows].argmin()]) if len(rows) else None

        def scan(rows, efficiency=None):
            if not len(rows):
                return np.nan, np.nan
            if self.global_calibration is not None:
                return self.global_calibration.p_value(p_local[rows].min(), efficiency)
            correlation = self.correlation_[np.ix_(rows, rows)]
            return global_p_value(
                p_local[rows],
                correlation=correlation,
                n_toys=self.n_global_toys,
                random_state=rng,
            ), np.nan

        self.best_ = smallest(trusted)
        self.p_global_, self.p_global_error_ = scan(trusted)
        self.z_global_ = float(p_to_z(self.p_global_))
        scans = []
        for efficiency, group in results.groupby("efficiency", sort=False):
            rows = np.intersect1d(group.index, trusted)
            p_global, best = scan(rows, efficiency)[0], smallest(rows)
            scans.append(
                {
                    "efficiency": efficiency,
                    "n_tests": len(rows),
                    "window": None if best is None else results["window"][best],
                    "p_global": p_global,
                    "z_global": float(p_to_z(p_global)),
                }
            )
        self.global_ = pd.DataFrame(scans)
        self._warn(tests)

    def _warn(self, tests):
        results = self.results_

        def name(row):
            return (
                f"[{results['low'][row]:g}, {results['high'][row]:g}) at efficiency "
                f"{results['efficiency'][row]:g}"
            )

        sculpted = [row for row, why in enumerate(results["reason"]) if "sculpts" in why]
        described = [row for row, why in enumerate(results["reason"]) if "describe" in why]
        others = [
            row
            for row in np.flatnonzero(~results["trusted"])
            if row not in sculpted and row not in described
        ]
        n_rows = len(results)
        if others:
            warnings.warn(
                f"{len(others)} of {n_rows} tests are not to be trusted, first {name(others[0])}: "
                f"{results['reason'][others[0]]}. Raise the efficiency, widen the sidebands or "
                "lower n_parameters.",
                LowStatisticsWarning,
                stacklevel=outer_stacklevel(),
            )
        if described:
            worst = min(described, key=lambda row: results["fit_p"][row])
            warnings.warn(
                f"{len(described)} of {n_rows} tests are not to be trusted, worst {name(worst)}: "
                f"{results['reason'][worst]}. Take another function, fit_range or windows.",
                SpectrumFitWarning,
                stacklevel=outer_stacklevel(),
            )
        if sculpted:
            worst = min(sculpted, key=lambda row: tests[row].p_value)
            warnings.warn(
                f"{len(sculpted)} of {n_rows} tests are not to be trusted, worst {name(worst)}: "
                + sculpting_message("the cut", tests[worst]),
                SculptingWarning,
                stacklevel=outer_stacklevel(),
            )


def _clearest(tests):
    """Return the test with the smallest p-value, corrected for their number."""
    clearest = min(tests, key=lambda each: np.nan_to_num(each.p_value, nan=2.0))
    return replace(clearest, p_value=smallest_of(clearest.p_value, len(tests)))


def _count(weight):
    """Return the sum of weights, a whole number for events without weights."""
    total = float(weight.sum())
    return int(total) if (weight == 1).all() else total


def _window(region):
    return f"window [{region.low:g}, {region.high:g})"


def _correlation(influences):
    """Correlation of sums over Poisson events, each event with its influence on every sum."""
    matrix = sparse.vstack(influences)
    covariance = (matrix @ matrix.T).toarray()
    scale = np.sqrt(np.diag(covariance))
    scale[scale == 0] = 1.0
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return correlation
