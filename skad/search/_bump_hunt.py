"""The bump hunt: select with a detector in every window, estimate the background, test."""

import os
import warnings
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path

import joblib
import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import validate_data

from skad.base import anomaly_score_of
from skad.exceptions import LowStatisticsWarning, RegionError, SculptingWarning
from skad.resonant._region import check_region
from skad.search._background import fit_region, pass_fraction, sculpting_message
from skad.search._calibration import SignificanceCalibration
from skad.search._p_values import global_p_value, local_p_value, p_to_z, z_to_p
from skad.search._sculpting import sideband_sculpting_test
from skad.search._spectrum import check_mass_unit
from skad.utils import _sklearn as sk
from skad.utils._children import fit_child, requires_y, rows_of
from skad.utils._labels import read_labels
from skad.utils._random import draw_seed, draw_seeds

__all__ = ["BumpHunt"]

_NEEDS = {"sideband": (), "direct": ("sample_background",), "importance": ("density_ratio",)}


class BumpHunt(BaseEstimator):
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
        - for ``background="direct"``: ``sample_background(n_samples, random_state)``, background
          events (X, sample_weight) of the signal region;
        - for ``background="importance"``: ``density_ratio(X)``, R = p_data / p_background.
    windows : None, sequence of SignalRegion or of (low, high), default=None
        Signal regions, see `SignalRegion.scan`. None means one, the central fifth of the events.
    efficiencies : sequence of float, default=(1e-1, 1e-2, 1e-3)
        Target fractions of the events that pass, in (0, 1]; 1 means no cut. The threshold of a
        fold is set on all its events of region and sidebands: it uses no label, and since the
        background estimate sees the same cut, its fluctuation cancels in the excess (the number
        of passing events is fixed, which a fit with a free normalisation does not notice).
        A threshold set on the region alone would fix the count that is tested.
    n_folds : int, default=5
        Folds of the cross-fitting.
    n_seeds : int, default=1
        Detectors per fold that differ in their seed; their scores and ratios are averaged. A
        seed that the detector was given stays, in the k-th of them plus k.
    resonance : int or str, default=0
        Column of X that holds m.
    background : {"sideband", "direct", "importance"}, default="sideband"
        - "sideband": fit of the surviving spectrum, see `sideband_background`;
        - "direct": Monte-Carlo integral over the detector's background density, see
          `direct_background`, times the observed events of the region;
        - "importance": sum of 1/R over the passing events, see `importance_background`, whose
          warning about noisy R applies.

        With an efficiency of 1 it is always the sideband fit.
    spectrum : {"dijet", "polynomial"}, default="dijet"
        Function of the fits, see `fit_spectrum`.
    sqrt_s : float, default=13.0
        Collision energy in the unit of m (the default is for TeV), dijet function only.
    n_parameters : None, int or sequence of int, default=None
        Number of parameters, or the candidates of the F-test; None means the function's own.
    bins_per_region : int, default=4
        Bins of the fit inside a window; the sidebands have bins about as wide.
    n_samples : int, default=50000
        Background events drawn per fold and seed, "direct" only.
    n_toys : int, default=0
        Pseudo-experiments of every local p-value; 0 leaves `p_toys` out.
    n_global_toys : int, default=100000
        Pseudo-experiments of the scan for the global p-value.
    sculpting_alpha : float, default=1e-3
        Warn when the p-value of `sideband_sculpting_test` is below.
    calibration : None, SignificanceCalibration or dict, default=None
        Applied to every significance, or a dict with one for each of `efficiencies`, as
        `SignificanceCalibration.by_efficiency` makes it from `pseudo_experiments`.
    checkpoint : None or path, default=None
        Folder in which fitted detectors and scores are kept, named after a hash of everything
        that determines them; a later fit resumes there. Needs an int `random_state`. The files
        are pickles: load only folders of your own.
    n_jobs : int, default=None
        Fits at a time (windows, folds and seeds).
    random_state : None, int or RandomState, default=None
        Of the folds, detectors and pseudo-experiments.
    verbose : int, default=0
        Passed to joblib.

    Attributes
    ----------
    results_ : DataFrame
        One row per window and efficiency: `window`, `low`, `high`, `efficiency` (target),
        `n_selected` (region and sidebands), `n_observed` (region), `background`, `stat`, `syst`,
        `background_efficiency`, `z_raw`, `p_local`, `z_local`, with `n_toys` also `p_toys`, and
        of the sideband fit `n_parameters`, `fit_p`; `sculpting_p`, `sculpting_spread`. A row
        whose background cannot be estimated holds NaN.
    global_ : DataFrame
        One row per efficiency: `n_tests`, `window` of the smallest `p_local`, `p_global`,
        `z_global`, for a scan over the windows at that efficiency.
    p_global_, z_global_ : float
        For the scan over all windows and efficiencies.
    best_ : int or None
        Row of `results_` with the smallest `p_local`.
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
    SculptingWarning
        A cut changes the spectrum in the sidebands, with ``background="sideband"``.
    LowStatisticsWarning
        The background of some rows cannot be estimated because too few events pass.

    Notes
    -----
    Cross-fitting under-covers slightly. On 300 background-only data sets of 10 000 events, one
    window and small detectors (`benchmarks/bump_hunt_coverage.py`), the significances at
    efficiencies of 0.1 and 0.02 had standard deviations of 1.07 to 1.12 with "sideband" and 1.09
    to 1.16 with "direct", whose Monte-Carlo error leaves out how well the sidebands determine the
    density. With "importance" they had a mean of 0.9 to 1.5 and a standard deviation of 0.3: no
    p-value without `calibration`. After it, measured on one half of the data sets, the p-values
    of all methods on the other half were compatible with uniform ones.

    References
    ----------
    J. Collins, K. Howe, B. Nachman, "Extending the search for new resonances with machine
    learning", Phys. Rev. D 99 (2019) 014038, arXiv:1902.02634.

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
        "n_folds": [sk.Interval(Integral, 2, None, closed="left")],
        "n_seeds": [sk.Interval(Integral, 1, None, closed="left")],
        "resonance": [Integral, str],
        "background": [sk.StrOptions(set(_NEEDS))],
        "spectrum": [sk.StrOptions({"dijet", "polynomial"})],
        "sqrt_s": [sk.Interval(Real, 0, None, closed="neither")],
        "n_parameters": [None, Integral, list, tuple],
        "bins_per_region": [sk.Interval(Integral, 1, None, closed="left")],
        "n_samples": [sk.Interval(Integral, 1, None, closed="left")],
        "n_toys": [sk.Interval(Integral, 0, None, closed="left")],
        "n_global_toys": [sk.Interval(Integral, 1, None, closed="left")],
        "sculpting_alpha": [sk.Interval(Real, 0, 1, closed="both")],
        "calibration": [None, SignificanceCalibration, dict],
        "checkpoint": [None, str, os.PathLike],
        "n_jobs": [None, Integral],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        detector,
        windows=None,
        *,
        efficiencies=(1e-1, 1e-2, 1e-3),
        n_folds=5,
        n_seeds=1,
        resonance=0,
        background="sideband",
        spectrum="dijet",
        sqrt_s=13.0,
        n_parameters=None,
        bins_per_region=4,
        n_samples=50_000,
        n_toys=0,
        n_global_toys=100_000,
        sculpting_alpha=1e-3,
        calibration=None,
        checkpoint=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
        self.detector = detector
        self.windows = windows
        self.efficiencies = efficiencies
        self.n_folds = n_folds
        self.n_seeds = n_seeds
        self.resonance = resonance
        self.background = background
        self.spectrum = spectrum
        self.sqrt_s = sqrt_s
        self.n_parameters = n_parameters
        self.bins_per_region = bins_per_region
        self.n_samples = n_samples
        self.n_toys = n_toys
        self.n_global_toys = n_global_toys
        self.sculpting_alpha = sculpting_alpha
        self.calibration = calibration
        self.checkpoint = checkpoint
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @sk.fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Run the search.

        Parameters
        ----------
        X : array-like of shape (n_events, n_features)
            Events, the resonant feature among the columns.
        y : array-like of shape (n_events,), default=None
            Ignored (truth labels may be passed), unless the detector requires y: then 1 = data
            and 0 = simulation, which every fold trains with and nothing counts.

        Returns
        -------
        self : BumpHunt
        """
        efficiencies = self._check_efficiencies()
        cuts = min(efficiencies) < 1
        if cuts:
            self._check_detector()
        values = validate_data(self, X, dtype=np.float64, ensure_min_features=2 if cuts else 1)
        y = self._check_data_labels(values, y)
        data = np.arange(len(values)) if y is None else np.flatnonzero(y == 1)
        names = getattr(self, "feature_names_in_", None)
        rng = check_random_state(self.random_state)
        regions, m = [], None
        for window in [None] if self.windows is None else self.windows:
            region, m = check_region(
                window, values[data], resonance=self.resonance, feature_names=names
            )
            regions.append(region)
        if m is None:
            raise ValueError("windows holds no signal region; pass None for a default one.")
        edges = [region.bin_edges(m, bins_per_region=self.bins_per_region) for region in regions]
        if self.spectrum == "dijet":
            # A wrong unit of sqrt_s must not cost the training first.
            check_mass_unit(np.concatenate(edges), self.sqrt_s)
        if cuts:
            folds = self._score_folds(X, values, y, data, m, regions, rng)
        else:
            folds = [[] for _ in regions]
        self.regions_ = regions
        self.scores_ = np.full((len(regions), len(m)), np.nan)
        rows = []
        for i, region in enumerate(regions):
            for fold in folds[i]:
                self.scores_[i, fold.events] = fold.scores
            for efficiency in efficiencies:
                rows.append(self._test(i, region, edges[i], m, folds[i], efficiency, rng))
        self._summarise(rows, rng)
        return self

    def _check_efficiencies(self):
        efficiencies = [float(efficiency) for efficiency in np.atleast_1d(self.efficiencies)]
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
        methods = _NEEDS[self.background]
        if not hasattr(self.detector, "score_samples"):
            methods = (*methods, "anomaly_score")
        missing = [method for method in methods if not hasattr(self.detector, method)]
        if missing:
            raise TypeError(
                f"BumpHunt(background={self.background!r}) needs a detector with "
                f"{' and '.join(missing)}; {type(self.detector).__name__} has none."
            )
        if self.checkpoint is not None and not isinstance(self.random_state, Integral):
            raise ValueError(
                "checkpoint needs an int random_state, or a later fit trains other detectors; "
                f"got random_state={self.random_state!r}."
            )

    def _check_data_labels(self, values, y):
        """Return y where the detector needs it, None where it is ignored."""
        if not requires_y(self.detector):
            return None
        return read_labels(y, len(values), owner=type(self.detector).__name__).astype(int)

    def _score_folds(self, X, values, y, data, m, regions, rng):
        """Fit the detectors and score the held-out events: lists of `_Fold` per window."""
        splits = list(KFold(self.n_folds, shuffle=True, random_state=draw_seed(rng)).split(data))
        seeds = np.array(draw_seeds(rng, len(regions) * self.n_folds * self.n_seeds)).reshape(
            len(regions), self.n_folds, self.n_seeds
        )
        X = X if hasattr(X, "iloc") else values
        simulation = np.empty(0, dtype=np.intp) if y is None else np.flatnonzero(y == 0)
        store = _Store(self.checkpoint, (values, y, self.detector))
        tasks, folds, keys = [], {}, {}
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
                keys[i, j] = store.key(key, self.background, self.n_samples)
                folds[i, j] = store.load(keys[i, j])
                if folds[i, j] is None:
                    rows = np.concatenate([data[train], simulation])
                    for copy, seed in enumerate(seeds[i, j]):
                        tasks.append((i, j, int(seed), copy, rows, test))
        parallel = Parallel(n_jobs=self.n_jobs, verbose=self.verbose)
        fitted = parallel(
            delayed(_fit_member)(self.detector, X, y, rows, regions[i], seed, copy, store)
            for i, _, seed, copy, rows, _ in tasks
        )
        members, held_out = {}, {}
        for (i, j, seed, _, _, test), member in zip(tasks, fitted, strict=True):
            members.setdefault((i, j), []).append((seed, member))
            held_out[i, j] = test
        scored = parallel(
            delayed(_score_fold)(
                members[i, j],
                X,
                held_out[i, j],
                data[held_out[i, j]],
                regions[i],
                self.background,
                self.n_samples,
                (store, keys[i, j]),
            )
            for i, j in members
        )
        folds.update(zip(members, scored, strict=True))
        return [[folds[i, j] for j in range(self.n_folds)] for i in range(len(regions))]

    def _test(self, window, region, edges, m, folds, efficiency, rng):
        """Return one row of the results, the fit, the selection and the influence of events."""
        in_range = region.mask(m) | region.sideband_mask(m)
        inside = region.mask(m)
        thresholds = [_threshold(fold.scores, efficiency) for fold in folds]
        passed = in_range.copy()
        if efficiency < 1:
            passed[:] = False
            for fold, threshold in zip(folds, thresholds, strict=True):
                passed[fold.events] = fold.scores > threshold
        options = {
            "function": self.spectrum,
            "n_parameters": self.n_parameters,
            "sqrt_s": self.sqrt_s,
        }
        try:
            *fitted, fit = fit_region(m[passed], region, edges, options)
        except RegionError:
            fitted, fit = (np.nan, np.nan), None
        influence = np.zeros(len(m))
        syst = 0.0
        if efficiency == 1 or self.background == "sideband":
            background, stat = fitted
            influence[passed & inside] = 1.0
            if fit is not None:
                bins = np.clip(np.searchsorted(edges, m, side="right") - 1, 0, len(edges) - 2)
                response = fit.yield_response(region.low, region.high)
                influence -= np.where(passed, response[bins], 0.0)
        elif self.background == "direct":
            background, stat, syst = _direct(folds, thresholds, inside, passed, influence)
        else:
            background, stat, syst = _importance(folds, inside, passed, influence)
        test = sideband_sculpting_test(m, passed, region)
        row = {
            "window": window,
            "low": region.low,
            "high": region.high,
            "efficiency": efficiency,
            "n_selected": int(passed.sum()),
            "n_observed": int((passed & inside).sum()),
            "background": background,
            "stat": stat,
            "syst": syst,
            "background_efficiency": background / inside.sum(),
        }
        row |= self._local(row, rng)
        row |= {
            "n_parameters": np.nan if fit is None else fit.n_parameters,
            "fit_p": np.nan if fit is None else fit.p_value,
            "sculpting_p": test.p_value,
            "sculpting_spread": test.spread,
        }
        return row, fit, passed, sparse.csr_matrix(influence), test

    def _local(self, row, rng):
        counts = row["n_observed"], row["background"], np.hypot(row["stat"], row["syst"])
        usable = counts[1] > 0 and np.isfinite(counts[2])
        z_raw = float(p_to_z(local_p_value(*counts))) if usable else np.nan
        calibration = self.calibration
        if isinstance(calibration, dict):
            calibration = calibration[row["efficiency"]]
        z_local = z_raw if calibration is None else calibration.apply(z_raw)
        local = {"z_raw": z_raw, "p_local": float(z_to_p(z_local)), "z_local": z_local}
        if self.n_toys:
            local["p_toys"] = np.nan
            if usable:
                local["p_toys"] = local_p_value(
                    *counts, method="toys", n_toys=self.n_toys, random_state=rng
                )
        return local

    def _summarise(self, rows, rng):
        import pandas as pd

        table, fits, passed, influences, tests = zip(*rows, strict=True)
        results = pd.DataFrame(list(table))
        self.results_ = results
        self.fits_ = list(fits)
        self.selected_ = np.array(passed)
        self.correlation_ = _correlation(influences)
        p_local = results["p_local"].to_numpy()
        self.best_ = None if np.isnan(p_local).all() else int(np.nanargmin(p_local))

        def scan(rows):
            return global_p_value(
                p_local[rows],
                correlation=self.correlation_[np.ix_(rows, rows)],
                n_toys=self.n_global_toys,
                random_state=rng,
            )

        self.p_global_ = scan(np.arange(len(results)))
        self.z_global_ = float(p_to_z(self.p_global_))
        scans = []
        for efficiency, group in results.groupby("efficiency", sort=False):
            known = group["p_local"].dropna()
            p_global = scan(group.index.to_numpy())
            scans.append(
                {
                    "efficiency": efficiency,
                    "n_tests": len(known),
                    "window": results["window"][known.idxmin()] if len(known) else None,
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

        failed = np.flatnonzero(results["p_local"].isna())
        if len(failed):
            warnings.warn(
                f"no p-value in {len(failed)} of {len(results)} tests, first in {name(failed[0])}: "
                "too few events pass to estimate the background. Raise the efficiency, widen the "
                "sidebands or lower n_parameters.",
                LowStatisticsWarning,
                stacklevel=4,
            )
        sculpted = np.flatnonzero(results["sculpting_p"] < self.sculpting_alpha)
        if len(sculpted) and self.background == "sideband":
            worst = min(sculpted, key=lambda row: results["sculpting_p"][row])
            warnings.warn(
                f"in {len(sculpted)} of {len(results)} tests, worst in {name(worst)}, "
                + sculpting_message("the cut", tests[worst]),
                SculptingWarning,
                stacklevel=4,
            )


@dataclass(frozen=True)
class _Fold:
    """Held-out events of one fold in one window.

    `events` are their positions among the data events, `scores` their mean scores over the
    seeds; `drawn` holds (scores, weights) of the background drawn from each seed's detector;
    `ratios` the density ratio of each seed.
    """

    events: np.ndarray
    scores: np.ndarray
    drawn: tuple = ()
    ratios: tuple = ()


class _Store:
    """Files named after a hash of what they hold; does nothing without a folder."""

    def __init__(self, folder, base):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.base = joblib.hash(base)

    def key(self, *parts):
        return None if self.folder is None else joblib.hash((self.base, parts))

    def load(self, key):
        """Return what was saved under the key, or None."""
        if key is None or not self._path(key).exists():
            return None
        return joblib.load(self._path(key))

    def save(self, key, value):
        if key is None:
            return
        # A crash must not leave half a file under the final name.
        part = self._path(key).with_suffix(f".{os.getpid()}.part")
        joblib.dump(value, part)
        part.replace(self._path(key))

    def _path(self, key):
        return self.folder / f"{key}.joblib"


def _fit_member(detector, X, y, rows, region, seed, copy, store):
    key = store.key("member", region, rows, seed, copy)
    member = store.load(key)
    if member is not None:
        return member
    member = fit_child(
        detector,
        _events(detector, X, rows, region),
        None if y is None else y[rows],
        random_state=seed,
        copy=copy,
        settings=_settings(detector, region),
    )
    store.save(key, member)
    return member


def _settings(detector, window):
    """Return the parameters `region` and `resonance` of a detector in a window, nested ones too.

    The window decides the edges; a width of the sidebands that the user gave a region stays.
    """
    settings = {}
    for name, value in detector.get_params(deep=True).items():
        last = name.rpartition("__")[2]
        if last == "resonance":
            settings[name] = window.feature
        elif last == "region":
            settings[name] = window
            width = getattr(value, "sideband_width", None)
            if width is not None and value.quantile:
                raise RegionError(
                    f"{name} has sidebands {width!r} wide in quantiles, which windows of BumpHunt "
                    "do not have; give sideband_width in the unit of m, without quantile=True."
                )
            if width is not None:
                settings[name] = replace(window, sideband_width=width)
    return settings


def _events(detector, X, rows, region):
    """Rows of X as the detector wants them: without m where it knows no region."""
    names = detector.get_params(deep=True)
    blind = not any(name.rpartition("__")[2] == "region" for name in names)
    events = rows_of(X, rows)
    if not blind:
        return events
    if hasattr(X, "iloc"):
        return events.drop(columns=X.columns[region.feature])
    return np.delete(events, region.feature, axis=1)


def _score_fold(members, X, events, rows, region, background, n_samples, slot):
    seeds = [seed for seed, _ in members]
    members = [member for _, member in members]
    held_out = _events(members[0], X, rows, region)

    def mean_score(X):
        return np.mean([anomaly_score_of(member, X) for member in members], axis=0)

    scores = mean_score(held_out)
    if np.isnan(scores).any():
        raise ValueError(
            f"{type(members[0]).__name__} scored {np.isnan(scores).sum()} held-out events as NaN."
        )
    drawn, ratios = [], []
    if background == "direct":
        for seed, member in zip(seeds, members, strict=True):
            sample, weight = member.sample_background(n_samples, random_state=seed)
            if hasattr(X, "iloc") and not hasattr(sample, "iloc"):
                sample = type(X)(sample, columns=X.columns)
            drawn.append((mean_score(sample), weight))
    elif background == "importance":
        ratios = [np.asarray(member.density_ratio(held_out)) for member in members]
    fold = _Fold(events, scores, tuple(drawn), tuple(ratios))
    store, key = slot
    store.save(key, fold)
    return fold


def _threshold(scores, efficiency):
    """Return the cut that the highest `efficiency` of the scores are above; ties pass."""
    n_pass = min(max(1, round(efficiency * len(scores))), len(scores))
    return np.nextafter(np.partition(scores, -n_pass)[-n_pass], -np.inf)


def _direct(folds, thresholds, inside, passed, influence):
    """Background of the direct method; `influence` is filled in."""
    background = variance = 0.0
    seeds = np.zeros(len(folds[0].drawn))
    for fold, threshold in zip(folds, thresholds, strict=True):
        events = fold.events[inside[fold.events]]
        each = [
            np.ravel(pass_fraction(scores, weight, np.array([threshold])))
            for scores, weight in fold.drawn
        ]
        efficiency = np.mean([value for value, _ in each])
        background += len(events) * efficiency
        variance += len(events) ** 2 * np.mean([error**2 for _, error in each]) / len(each)
        seeds += len(events) * np.array([value for value, _ in each])
        influence[events] = passed[events] - efficiency
    return background, np.sqrt(variance), _error_of_mean(seeds)


def _importance(folds, inside, passed, influence):
    """Background of the importance method; `influence` is filled in."""
    background = variance = 0.0
    seeds = np.zeros(len(folds[0].ratios))
    for fold in folds:
        use = inside[fold.events] & passed[fold.events]
        events = fold.events[use]
        ratio = np.mean([each[use] for each in fold.ratios], axis=0)
        if not np.all((ratio > 0) & np.isfinite(ratio)):
            raise ValueError(
                "density_ratio of the detector is not positive and finite for events that pass."
            )
        background += np.sum(1 / ratio)
        variance += np.sum(1 / ratio**2)
        seeds += [np.sum(1 / each[use]) for each in fold.ratios]
        influence[events] = 1 - 1 / ratio
    return background, np.sqrt(variance), _error_of_mean(seeds)


def _error_of_mean(values):
    """Spread over seeds as the uncertainty of their mean; 0 for one seed."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _correlation(influences):
    """Correlation of sums over Poisson events, each event with its influence on every sum."""
    matrix = sparse.vstack(influences)
    covariance = (matrix @ matrix.T).toarray()
    scale = np.sqrt(np.diag(covariance))
    scale[scale == 0] = 1.0
    correlation = covariance / np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    return correlation
