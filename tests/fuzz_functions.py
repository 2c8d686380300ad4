"""Every public function with ordinary arguments, and what kind of thing each argument is."""

import importlib
import inspect
import pkgutil
import warnings
from pathlib import Path

import numpy as np
import torch
from fuzz import ARRAYS, MUST_REFUSE, OBJECTS, SAME, SCALARS, numbers_of, paths
from fuzz_displays import DISPLAYS
from fuzz_files import ALLOWED as OF_FILES
from fuzz_files import FILES, SLOW
from fuzz_studies import ALLOWED as OF_STUDIES
from fuzz_studies import STUDIES
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

import skad
from skad import base, coordinates, datasets, detectors, inspection, kinematics, metrics, search
from skad.resonant import SignalRegion
from skad.utils import all_estimators

N = 400
rng = np.random.RandomState(0)
X = np.exp(0.4 * rng.normal(size=(N, 3))) + 0.1
y = rng.permutation(np.arange(N) % 2)
score = rng.normal(size=N) + y
other = score + rng.normal(size=N)
mass = 1 + rng.exponential(1, N)
weight = rng.uniform(0.5, 2, N)
jets = np.abs(rng.normal(size=(20, 12))) + np.tile([9.0, 0, 0, 0], 3)
p4 = np.abs(rng.normal(size=(N, 4))) + np.array([9.0, 0, 0, 0])
edges = np.linspace(1, 5, 21)
counts = np.histogram(mass, edges)[0].astype(float)
scaler = StandardScaler().fit(X)
forest = IsolationForest(n_estimators=5, random_state=0).fit(X)
density = KernelDensity().fit(X)
region = SignalRegion(2.0, 2.4)
z = rng.normal(size=50)

# Name: function, keyword arguments. Arrays, numbers and objects are told apart by their types;
# names in `fixed` are not varied.
CALLS = {
    "anomaly_score_of": (base.anomaly_score_of, {"estimator": forest, "X": X}),
    "change_of_variables": (
        coordinates.change_of_variables,
        {"log_density": score, "transformer": scaler, "X": X},
    ),
    "inverse_transform": (coordinates.inverse_transform, {"transformer": scaler, "X": X}),
    "log_abs_det_jacobian": (coordinates.log_abs_det_jacobian, {"transformer": scaler, "X": X}),
    "jet_observables": (coordinates.jet_observables, {"X": jets, "regulariser": 1e-5}),
    "make_gaussian_anomaly": (
        datasets.make_gaussian_anomaly,
        {"n_background": 50, "n_signal": 5, "shift": 1.0, "n_features": 2, "random_state": 0},
    ),
    "make_resonance": (
        datasets.make_resonance,
        {
            "n_background": 50, "n_signal": 5, "n_features": 2, "mass": 3.5, "width": 0.05,
            "falloff": 0.7, "separation": 1.5, "signal_spread": 0.5, "dependence": 0.0,
            "random_state": 0,
        },
    ),
    "mass_matching_weight": (
        detectors.mass_matching_weight,
        {"mass": mass, "reference_mass": mass[::2], "bins": 10},
    ),
    "match_mass": (
        detectors.match_mass,
        {"mass": mass, "reference_mass": mass[::2], "bins": 10, "n_samples": 20,
         "random_state": 0},
    ),
    "explain": (
        inspection.explain,
        {"detector": density, "X": X[:30], "background": X, "n_draws": 5, "random_state": 0},
    ),
    "frame_overlap": (
        inspection.frame_overlap,
        {"density": density, "frames": {"z": scaler}, "X": X, "fraction": 0.1},
    ),
    "overlap_study": (inspection.overlap_study, {"scores": {"a": score, "b": other}, "y_true": y}),
    "score_correlation": (
        inspection.score_correlation, {"scores": {"a": score, "b": other}, "y_true": y},
    ),
    "jet_spectra": (inspection.jet_spectra, {"jets": {"jets": jets}, "bins": 10}),
    "azimuth": (kinematics.azimuth, {"p4": p4}),
    "invariant_mass": (kinematics.invariant_mass, {"p4": p4}),
    "pseudorapidity": (kinematics.pseudorapidity, {"p4": p4}),
    "rapidity": (kinematics.rapidity, {"p4": p4}),
    "split_constituents": (kinematics.split_constituents, {"X": jets}),
    "transverse_momentum": (kinematics.transverse_momentum, {"p4": p4}),
    "wrap_angle": (kinematics.wrap_angle, {"phi": score}),
    "n_subjettiness": (kinematics.n_subjettiness, {"p4": jets.reshape(20, 3, 4)}),
    "anomaly_roc_curve": (metrics.anomaly_roc_curve, {"y_true": y, "scores": score,
                                                      "sample_weight": weight}),
    "background_rejection": (
        metrics.background_rejection,
        {"y_true": y, "scores": score, "tpr": 0.5, "min_background_events": 5},
    ),
    "max_significance_improvement": (
        metrics.max_significance_improvement,
        {"y_true": y, "scores": score, "min_background_events": 5, "sample_weight": weight},
    ),
    "significance_improvement_at": (
        metrics.significance_improvement_at, {"y_true": y, "scores": score, "tpr": 0.5},
    ),
    "significance_improvement_curve": (
        metrics.significance_improvement_curve, {"y_true": y, "scores": score},
    ),
    "argos_score": (
        metrics.argos_score,
        {"scores": score, "background_scores": other, "background_efficiency": 0.1},
    ),
    "mean_log_density": (metrics.mean_log_density, {"estimator": density, "X": X,
                                                    "sample_weight": weight}),
    "mass_volume_curve": (
        metrics.mass_volume_curve,
        {"scores": score, "uniform_scores": other, "masses": 0.9 + 0.1 * np.tanh(z) ** 2,
         "sample_weight": weight},
    ),
    "precision_at_k": (
        metrics.precision_at_k, {"y_true": y, "scores": score, "k": 20, "sample_weight": weight},
    ),
    "recall_at_k": (
        metrics.recall_at_k, {"y_true": y, "scores": score, "k": 20, "sample_weight": weight},
    ),
    "most_anomalous": (
        metrics.most_anomalous, {"scores": score, "fraction": 0.1, "sample_weight": weight},
    ),
    "overlap_curve": (
        lambda a, b, **k: metrics.overlap_curve(a, b, **k),
        {"a": score, "b": other, "fractions": np.array([0.1, 0.5]), "sample_weight": weight},
    ),
    "selection_overlap": (
        lambda a, b, **k: metrics.selection_overlap(a, b, **k),
        {"a": score, "b": other, "fraction": 0.1},
    ),
    "shared_fraction": (
        lambda a, b, **k: metrics.shared_fraction(a, b, **k),
        {"a": score, "b": other, "fraction": 0.1},
    ),
    "decorrelation_curve": (
        metrics.decorrelation_curve, {"mass": mass, "scores": score, "y_true": y, "bins": 5},
    ),
    "distance_correlation": (
        metrics.distance_correlation, {"x": score, "y": other, "sample_weight": weight, "power": 1},
    ),
    "distance_correlation of vectors": (metrics.distance_correlation, {"x": X, "y": other}),
    "energy_movers_distance": (
        metrics.energy_movers_distance, {"X": jets, "Y": jets[::-1], "radius": 1.0},
    ),
    "ks_table": (
        metrics.ks_table, {"X": X, "reference": X[::2], "sample_weight": weight},
    ),
    "mass_sculpting_chi2": (
        metrics.mass_sculpting_chi2,
        {"mass": mass, "scores": score, "fraction": 0.2, "bins": 5, "sample_weight": weight},
    ),
    "mass_sculpting_jsd": (
        metrics.mass_sculpting_jsd,
        {"mass": mass, "scores": score, "fraction": 0.2, "bins": 5, "sample_weight": weight},
    ),
    "mass_spectra": (
        metrics.mass_spectra,
        {"mass": mass, "scores": score, "fractions": np.array([1.0, 0.2]), "bins": 5},
    ),
    "score_profile": (metrics.score_profile, {"mass": mass, "scores": score, "bins": 5}),
    "anomaly_response": (metrics.anomaly_response, {"estimator": forest, "X": X}),
    "anomaly_threshold": (metrics.anomaly_threshold, {"estimator": forest, "X": X}),
    "anomaly_scorers": (metrics.anomaly_scorers, {"scorers": ["max_sic"]}),
    "get_anomaly_scorer": (metrics.get_anomaly_scorer, {"name": "max_sic"}),
    "score_histograms": (
        metrics.score_histograms,
        {"scores": score, "y_true": y, "bins": 5, "sample_weight": weight},
    ),
    "dijet_function": (
        search.dijet_function, {"m": mass, "parameters": np.array([1.0, 2, 3]), "sqrt_s": 13.0},
    ),
    "fit_spectrum": (
        search.fit_spectrum,
        {"counts": counts, "edges": edges, "function": "polynomial", "n_parameters": 2},
    ),
    "fit_resonance": (
        search.fit_resonance,
        {"m": mass, "region": region, "width": 0.05, "function": "polynomial", "n_parameters": 2,
         "bins_per_region": 6, "sample_weight": weight},
    ),
    "direct_background": (
        lambda **options: search.direct_background(density, lambda X: X[:, 0], **options),
        {"thresholds": np.array([0.4]), "n_region": 100, "region_scores": score,
         "random_state": 0, "n_samples": 100},
    ),
    "jaccard_index": (
        lambda a, b, **k: metrics.jaccard_index(a, b, **k),
        {"a": score, "b": other, "fraction": 0.1},
    ),
    "poisson_interval": (search.poisson_interval, {"counts": counts}),
    "poisson_significance": (
        search.poisson_significance, {"counts": counts, "expected": counts + 1.0},
    ),
    "importance_background": (
        search.importance_background,
        {"ratio": np.exp(score), "thresholds": np.array([1.5]), "scores": other},
    ),
    "sideband_background": (
        search.sideband_background,
        {"m": mass, "scores": score, "thresholds": np.array([1.0]), "region": region,
         "function": "polynomial", "fit_alpha": 0.01},
    ),
    "sideband_sculpting_test": (
        search.sideband_sculpting_test,
        {"m": mass, "passed": score > 0, "region": region, "n_bins": 4},
    ),
    "spurious_signal": (
        search.spurious_signal,
        {"m": mass, "windows": [(2.0, 2.4)], "function": "polynomial", "n_parameters": 2},
    ),
    "global_p_value": (
        search.global_p_value,
        {"p_local": np.array([0.01, 0.2]), "correlation": np.eye(2), "n_toys": 100,
         "random_state": 0},
    ),
    "local_p_value": (
        search.local_p_value,
        {"n_observed": np.array([10.0, 20.0]), "background": np.array([9.0, 12.0]),
         "uncertainty": np.array([1.0, 2.0])},
    ),
    "local_p_value, toys": (
        search.local_p_value,
        {"n_observed": 12.0, "background": 9.0, "uncertainty": 1.0, "method": "toys",
         "n_toys": 100, "random_state": 0},
    ),
    "local_significance": (
        search.local_significance,
        {"n_observed": np.array([10.0, 20.0]), "background": np.array([9.0, 12.0]),
         "uncertainty": np.array([1.0, 2.0])},
    ),
    "counting_limit": (
        search.counting_limit,
        {"n_observed": np.array([10.0, 20.0]), "background": np.array([9.0, 12.0]),
         "signal": np.array([[3.0, 4.0], [9.0, 8.0]]), "uncertainty": np.array([1.0, 2.0]),
         "signal_uncertainty": np.array([0.1, 0.2]), "strengths": np.array([1.0, 2.0]),
         "level": 0.9},
    ),
    "counting_limit, toys": (
        search.counting_limit,
        {"n_observed": 12.0, "background": 9.0, "signal": 5.0, "uncertainty": 1.0,
         "method": "toys", "n_toys": 100, "random_state": 0},
    ),
    "p_to_z": (search.p_to_z, {"p_value": np.array([0.1, 0.5])}),
    "z_to_p": (search.z_to_p, {"significance": z}),
    "scan_histogram": (
        search.scan_histogram,
        {"counts": counts, "background": counts.mean() * np.ones(20), "min_width": 1,
         "max_width": 3, "n_toys": 50, "random_state": 0},
    ),
    "SignalRegion": (SignalRegion, {"low": 1.0, "high": 2.0, "sideband_width": 0.5}),
    "SignalRegion.counts": (region.counts, {"X": mass, "sample_weight": weight}),
    "SignalRegion.resolve": (
        SignalRegion(0.4, 0.6, quantile=True).resolve, {"X": mass, "sample_weight": weight},
    ),
    "SignalRegion.mask": (region.mask, {"X": mass}),
    "SignalRegion.bin_edges": (region.bin_edges, {"m": mass, "bins_per_region": 4}),
    "SignalRegion.scan": (SignalRegion.scan, {"low": 1.0, "high": 3.0, "width": 0.5}),
    "SignificanceCalibration.from_significances": (
        search.SignificanceCalibration.from_significances, {"significances": z},
    ),
    "SignificanceCalibration.apply": (
        search.SignificanceCalibration(0.1, 1.1, 50).apply, {"significance": z},
    ),
}  # fmt: skip

CALLS |= DISPLAYS | STUDIES | FILES

# What is right although it looks like a finding, and why: (function, argument, cases).
_NO_NUMBER = {"nan", "inf", "-inf"}
_BINS = "an event on the edge of a bin moves by rounding"
_EACH = "a function of each event alone: NaN stays NaN, infinity has a limit"
_FEW = "documented: NaN where nothing passes or all do"
ALLOWED = {
    ("anomaly_score_of", "X", frozenset({*_NO_NUMBER, "sparse"})): "the forest takes them",
    ("anomaly_response", "X", frozenset({*_NO_NUMBER, "sparse"})): "the forest takes them",
    ("anomaly_threshold", "X", frozenset(_NO_NUMBER)): "the forest takes them",
    ("anomaly_threshold", "estimator", frozenset(OBJECTS)): "documented: None without offset_",
    ("change_of_variables", "log_density", frozenset(_NO_NUMBER)): "log of a density of zero",
    ("change_of_variables", "transformer", frozenset({"None"})): "documented: the identity",
    ("inverse_transform", "transformer", frozenset({"None"})): "documented: the identity",
    ("log_abs_det_jacobian", "transformer", frozenset({"None"})): "documented: the identity",
    ("inverse_transform", "X", frozenset(_NO_NUMBER)): _EACH,
    ("jet_observables", "X", frozenset(_NO_NUMBER)): _EACH,
    ("make_gaussian_anomaly", "shift", frozenset({"huge"})): "its signal overflows",
    ("mass_matching_weight", "mass", frozenset({"float32"})): _BINS,
    ("mass_matching_weight", "reference_mass", frozenset({"float32"})): _BINS,
    ("match_mass", "mass", frozenset({"float32"})): _BINS,
    ("match_mass", "reference_mass", frozenset({"float32"})): _BINS,
    ("mass_matching_weight", "bins", frozenset({"array"})): "documented: edges",
    ("match_mass", "bins", frozenset({"array"})): "documented: edges",
    ("mass_spectra", "bins", frozenset({"array"})): "documented: edges",
    ("mass_sculpting_jsd", "bins", frozenset({"array"})): "documented: edges",
    ("mass_sculpting_chi2", "bins", frozenset({"array"})): "documented: edges",
    ("score_profile", "bins", frozenset({"array"})): "documented: edges",
    ("decorrelation_curve", "bins", frozenset({"array"})): "documented: edges",
    ("mass_spectra", "fractions", frozenset({"float32"})): _BINS,
    ("ks_table", "X", frozenset({"float32"})): "values differ between the samples by rounding",
    ("ks_table", "reference", frozenset({"float32"})): "values differ by rounding",
    ("frame_overlap", "X", frozenset({"frame"})): "names of columns are added",
    ("energy_movers_distance", "radius", frozenset({"inf"})): "a limit: distances are zero",
    ("mass_sculpting_chi2", "sample_weight", frozenset({"huge"})): "one event holds all weight",
    ("direct_background", "thresholds", frozenset({"inf", "-inf"})): "no cut, or nothing left",
    ("direct_background", "n_region", frozenset({"array"})): "documented: a pair",
    ("importance_background", "thresholds", frozenset({"inf", "-inf"})): "no cut, or nothing left",
    ("sideband_background", "thresholds", frozenset({"inf", "-inf", "-huge", "all huge"})): _FEW,
    ("sideband_background", "scores", frozenset({"constant", "zeros", "far", "-huge"})): _FEW,
    ("sideband_sculpting_test", "m", frozenset({"constant", "zeros", "tiny"})): _FEW,
    ("sideband_sculpting_test", "passed", frozenset({"constant", "zeros"})): _FEW,
    ("local_p_value, toys", "n_observed", frozenset({"array"})): "documented: arrays",
    ("local_p_value, toys", "background", frozenset({"array"})): "documented: arrays",
    ("local_p_value, toys", "uncertainty", frozenset({"array"})): "documented: arrays",
    ("counting_limit, toys", "n_observed", None): "documented: NaN where no toy shows as few",
    ("counting_limit, toys", "signal", frozenset({"array"})): "documented: channels",
    ("p_to_z", "p_value", frozenset({"nan"})): _EACH,
    ("z_to_p", "significance", frozenset(_NO_NUMBER)): _EACH,
    ("SignificanceCalibration.apply", "significance", frozenset(_NO_NUMBER)): _EACH,
    ("SignalRegion", "sideband_width", frozenset({"inf", "array"})): "documented: all, or a pair",
    ("overlap_study", "y_true", frozenset({"none at all"})): "documented: all events",
    ("score_correlation", "y_true", frozenset({"none at all"})): "documented: all events",
    ("score_histograms", "y_true", frozenset({"none at all"})): "documented: all events",
    ("anomaly_roc_curve", "sample_weight", frozenset({"huge"})): "one event holds all weight",
    ("max_significance_improvement", "sample_weight", frozenset({"huge"})): "one holds all weight",
    ("max_significance_improvement", "min_background_events", frozenset({"huge"})): "documented",
    ("significance_improvement_curve", None, None): "documented: NaN where no background is left",
    **{
        (name, "p4", frozenset(_NO_NUMBER)): _EACH
        for name in ("azimuth", "invariant_mass", "pseudorapidity", "rapidity",
                     "transverse_momentum", "n_subjettiness")
    },
    ("split_constituents", "X", frozenset(_NO_NUMBER)): _EACH,
    ("wrap_angle", "phi", frozenset(_NO_NUMBER)): _EACH,
    ("frame_overlap", "frames", frozenset({"first is None"})): "the identity",
    ("MassSculptingDisplay.from_predictions", "bins", frozenset({"array"})): "documented: edges",
    ("ROCDisplay.from_cv_results", "sample_weight", frozenset({"huge"})): "one holds all weight",
    ("ROCDisplay.from_predictions", "sample_weight", frozenset({"huge"})): "one holds all weight",
    ("SICDisplay.from_predictions", "min_background_events", frozenset({"huge"})): "documented",
    ("ScoreDisplay.from_predictions", "threshold", frozenset({"inf", "-inf"})): "all, or none",
    ("FrameHistogramDisplay.from_frames", "frames", frozenset({"first is None"})): "the identity",
    ("ScoreDisplay.from_predictions", "y_true", frozenset({"none at all"})): "documented: all",
    ("ScoreScatterDisplay.from_predictions", "y_true", frozenset({"none at all"})): "documented",
}  # fmt: skip


ALLOWED |= OF_FILES | OF_STUDIES


def is_allowed(function, argument, case):
    """Whether a finding is none, by the table above."""
    return any(
        name == function and which in (None, argument) and (cases is None or case in cases)
        for name, which, cases in ALLOWED
    )


def _tensors(tensor):
    """Return tensors of changed numbers, and what is no tensor as it is."""
    found = {}
    for case, change in ARRAYS.items():
        changed = change(tensor.numpy())
        if isinstance(changed, np.ndarray) and changed.dtype.kind in "fc":
            changed = torch.from_numpy(changed.copy())
            changed = changed if changed.is_complex() else changed.to(tensor.dtype)
        found[case] = changed
    return found


def variants(function, kwargs):
    """Yield an argument, the name of a case, the changed arguments, and what must become of it."""
    parameters = inspect.signature(function).parameters
    for name, value in kwargs.items():
        is_optional = name in parameters and parameters[name].default is None
        if isinstance(value, (Path, torch.Tensor)):
            others = paths(value) if isinstance(value, Path) else _tensors(value)
            for case, changed in others.items():
                if changed is not None or not is_optional:
                    is_tensor = isinstance(changed, torch.Tensor)
                    flags = not is_tensor, is_tensor and case in SAME
                    yield name, case, {**kwargs, name: changed}, flags
            continue
        if isinstance(value, (bool, str)) or name == "random_state":
            known = ("zero", "negative") if name == "random_state" else ("zero",)
            table, good = {k: v for k, v in SCALARS.items() if k not in known}, ()
        elif isinstance(value, np.ndarray):
            table, good = ARRAYS, SAME
        elif isinstance(value, (int, float)):
            table, good = SCALARS, ()
        elif isinstance(value, dict) and isinstance(next(iter(value.values())), np.ndarray):
            # Of several arrays by name the first is changed.
            first = next(iter(value))
            for case, change in ARRAYS.items():
                yield (
                    name,
                    case,
                    {**kwargs, name: {**value, first: change(value[first])}},
                    (case in MUST_REFUSE, case in SAME),
                )
            table, good = OBJECTS, ()
        elif isinstance(value, dict) and isinstance(name_of_first := next(iter(value)), str):
            # Of several objects by name too.
            for case, wrong in OBJECTS.items():
                changed = {**kwargs, name: {**value, name_of_first: wrong}}
                yield name, f"first is {case}", changed, (True, False)
            table, good = OBJECTS, ()
        else:
            table, good = OBJECTS, ()
        for case, change in table.items():
            if isinstance(value, np.ndarray):
                try:
                    changed = change(value)
                except (TypeError, ValueError):
                    continue
            else:
                changed = change
            if changed is None and (is_optional or name not in parameters):
                continue
            yield (
                name,
                case,
                {**kwargs, name: changed},
                (
                    case in MUST_REFUSE or case in ("text", "dict", "array") or table is OBJECTS,
                    case in good,
                ),
            )


def fuzz_function(judge, name, keep=lambda number: True):
    """Judge the calls of a function whose number is to be kept."""
    function, kwargs = CALLS[name]
    expected = None
    if name not in SLOW:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = np.ravel(numbers_of(function(**kwargs)))
    for number, (argument, case, changed, (must_refuse, same)) in enumerate(
        variants(function, kwargs)
    ):
        if keep(number) and not is_allowed(name, argument, case):
            judge(
                name, f"{argument}: {case}", lambda c=changed: function(**c),
                must_refuse=must_refuse, same_as=expected if same else None,
            )  # fmt: skip


_RESULT = "a result, which functions make"
_BASE = "a base of classes"
_PART = "parameters of an estimator, whose fit checks them"
_NOTHING = "takes nothing"
_FITS = "its own tests are in tests/search"
# What is public and neither fuzzed here nor an estimator, with the reason.
OWN_TESTS = {
    **dict.fromkeys(("CoordinateTransformer", "DensityMixin", "DetectorMixin", "ScoreMixin",
                     "Template"), _BASE),
    **dict.fromkeys(("DisCo", "OutlierExposure"), _PART),
    **dict.fromkeys(("anomaly_scorer_table", "environment", "versions", "all_estimators",
                     "papers.coordinate_frames"), _NOTHING),
    **dict.fromkeys(
        ("BackgroundEstimate", "BackgroundGenerator", "BreakdownTest", "ClosureAUC",
         "CountingLimit", "DecorrelationCurve", "FeatureHistograms", "FrameOverlap",
         "GlobalCalibration", "HistogramScan", "JetImages", "JetSpectra", "LatentEmbedding",
         "MassSpectra", "MassVolumeCurve", "OverlapCurve", "ROCCurve", "RegionCounts",
         "ResonanceFit", "SICCurve", "ScoreHistograms", "ScoreProfile", "SculptingTest",
         "SearchLimit", "Settings", "SpectrumFit", "TemplateFitTest", "WorkingPoint"),
        _RESULT,
    ),
    **dict.fromkeys(
        ("background_generator", "ensemble_background", "plan_experiments", "pseudo_experiments",
         "upper_limit"), _FITS,
    ),
    "demo.main": "takes the arguments of a script",
    "main": "tests/fuzz_commands.py",
    "register_jacobian": "takes a class",
    "simulate_dijets": "needs Pythia",
    "simulate_jets": "needs Pythia",
    "to_onnx": "needs the extra onnx; its own tests are in tests/serving",
}  # fmt: skip


def public_callables():
    """Yield the names of all that is public and can be called, but estimators and displays.

    A name that another room has too, and those of skad.papers, come with their room.
    """
    estimators, seen = {cls for _, cls in all_estimators()}, set()
    for info in pkgutil.iter_modules(skad.__path__):
        if info.name.startswith("_") or info.name == "plotting":
            continue
        module = importlib.import_module(f"skad.{info.name}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            is_error = inspect.isclass(value) and issubclass(value, BaseException)
            if not callable(value) or is_error or value in estimators:
                continue
            yield f"{info.name}.{name}" if name in seen or info.name == "papers" else name
            seen.add(name)


def fuzzed():
    """Return the names of what is fuzzed: of a method, also its class."""
    names = {name.partition(",")[0].partition(" of ")[0] for name in CALLS}
    return names | {name.partition(".")[0] for name in names}
