"""Every way to make a display, with ordinary arguments."""

import functools
import inspect
import warnings

import matplotlib
import numpy as np
from matplotlib import pyplot
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import cross_validate
from sklearn.preprocessing import StandardScaler

from skad import datasets, density, detectors, inspection, plotting, resonant, search
from skad.exceptions import LowStatisticsWarning

matplotlib.use("Agg")

N = 240
rng = np.random.default_rng(0)
X = np.exp(0.4 * rng.normal(size=(N, 2))) + 0.1
y = rng.permutation(np.arange(N) % 2)
score = rng.normal(size=N) + y
scores = {"a": score, "b": score + rng.normal(size=N)}
weight = rng.uniform(0.5, 2, N)
mass = 1 + rng.exponential(1, N)
jets = np.abs(rng.normal(size=(20, 12))) + np.tile([9.0, 0, 0, 0], 3)
scaler = StandardScaler().fit(X)
mixture = GaussianMixture(random_state=0).fit(X)
samples = {"a": rng.normal(size=(N, 2)), "b": rng.normal(size=(N, 2))}
folds = cross_validate(
    GaussianMixture(random_state=0), X, cv=2, return_estimator=True, return_indices=True,
)  # fmt: skip
folds = {name: folds[name] for name in ("estimator", "indices")}
study = inspection.coordinate_study(
    {"mixture": GaussianMixture()}, {"x": None, "z": StandardScaler()}, X, y, n_seeds=2,
    random_state=0, min_background_events=5, keep_scores=True,
)  # fmt: skip
injected = inspection.injection_study(
    {"CWoLa": detectors.CWoLaDetector(LogisticRegression(), cv=None)}, X[y == 0], X[y == 1],
    [0, 20], X, y, reference=X[y == 0], n_seeds=2, rejection=5, min_background_events=5,
    random_state=0,
)  # fmt: skip
of_frames = inspection.frame_overlap(mixture, {"z": scaler}, X, fraction=0.1)
resonance = datasets.make_resonance(1500, 0, random_state=0).data
hunt = search.BumpHunt(
    IsolationForest(n_estimators=5), [(3.3, 3.7)], efficiencies=(1.0,), n_folds=2, n_parameters=3,
    random_state=0,
).fit(resonance)  # fmt: skip
with warnings.catch_warnings():
    warnings.simplefilter("ignore", LowStatisticsWarning)
    breakdown = inspection.breakdown_test(
        detectors.CWoLaDetector(LogisticRegression(), cv=2), X, y, fraction=0.1,
        n_trainings=2, random_state=0,
    )  # fmt: skip
    anode = resonant.ANODE(
        *2 * [density.FlowDensity("maf", max_epochs=1)], region=(3.3, 3.7), random_state=0,
    ).fit(resonance)  # fmt: skip
inside = resonance[(resonance[:, 0] > 3.3) & (resonance[:, 0] < 3.7)][:200]


def drawn(method):
    """Return a function that draws, closes the figure and returns the numbers of the display."""

    @functools.wraps(method)
    def draw(**options):
        try:
            shown = vars(method(**options))
        finally:
            pyplot.close("all")
        return [value for name, value in shown.items() if not name.endswith("_")]

    return draw


limit = search.counting_limit(12, 10.0, 5.0, uncertainty=2.0)
closure = inspection.template_closure(samples, X, n_seeds=2, random_state=0)
of_scores = {"y_true": y, "scores": scores}
of_folds = {"cv_results": folds, "X": X}
of_models = {"a": mixture, "b": GaussianMixture(2, random_state=0).fit(X)}
# Ordinary arguments by method; the objects and arrays among them are varied.
ARGUMENTS = {
    "BreakdownDisplay.from_test": {"test": breakdown},
    "BumpHuntDisplay.from_estimator": {"hunt": hunt},
    "BumpHuntSpectrum.from_hunt": {"hunt": hunt, "row": 0},
    "ClosureAUCDisplay.from_study": {
        "closure": inspection.closure_auc(
            samples, X, classifier=LogisticRegression(), n_null=3, n_seeds=2, random_state=0
        )
    },
    "ClosureDisplay.from_study": {"closure": closure},
    "CoordinateStudyDisplay.from_study": {"study": study},
    "DecorrelationDisplay.from_estimator": {
        "estimators": of_models, "X": X, "y_true": y, "mass": mass,
    },
    "DecorrelationDisplay.from_predictions": {**of_scores, "mass": mass, "bins": 5},
    "DensityRatioDisplay.from_estimator": {
        "estimator": anode, "X": inside, "y_true": y[: len(inside)],
        "n_events": 50, "random_state": 0,
    },
    "ExplanationDisplay.from_explanation": {
        "contributions": inspection.explain(mixture, X[:5], background=X), "event": 1,
    },
    "FeatureDisplay.from_histograms": {
        "histograms": inspection.feature_histograms(samples, reference="a", bins=5)
    },
    "FrameDisplay.from_overlap": {"overlap": of_frames},
    "FrameDisplay.from_predictions": {
        "coordinates": samples, "scores": scores, "fraction": 0.1,
    },
    "FrameHistogramDisplay.from_frames": {
        "frames": {"z": scaler}, "X": X, "y_true": y, "feature": 0, "bins": 5,
    },
    "FrameHistogramDisplay.from_overlap": {"overlap": of_frames, "feature": 0, "bins": 5},
    "InjectionDisplay.from_study": {"study": injected, "metric": "max_sic"},
    "JetImageDisplay.from_images": {"images": inspection.jet_images({"jets": jets}, bins=8)},
    "JetSpectraDisplay.from_spectra": {"spectra": inspection.jet_spectra({"jets": jets}, bins=5)},
    "LatentDisplay.from_embedding": {
        "embedding": inspection.latent_embedding(
            PCA(2).fit(X), X, y, n_events=50, random_state=0
        )
    },
    "LimitDisplay.from_limit": {"limit": limit},
    "LimitDisplay.from_table": {"table": search.limit_table([limit, limit], [2.0, 3.0])},
    "LogPosteriorDisplay.from_study": {
        "posterior": inspection.log_posterior_test(
            samples, X, classifier=LogisticRegression(), n_seeds=2, random_state=0
        )
    },
    "MassSculptingDisplay.from_estimator": {"estimator": mixture, "X": X, "mass": mass},
    "MassSculptingDisplay.from_predictions": {
        "mass": mass, "scores": score, "fractions": np.array([1.0, 0.2]), "bins": 5,
        "sample_weight": weight,
    },
    "OverlapDisplay.from_cv_results": of_folds,
    "OverlapDisplay.from_estimator": {"estimators": of_models, "X": X},
    "OverlapDisplay.from_predictions": {
        "scores": scores, "fractions": np.array([0.1, 0.5]), "sample_weight": weight,
    },
    "OverlapStudyDisplay.from_study": {"study": inspection.overlap_study(y, scores)},
    "ROCDisplay.from_cv_results": {**of_folds, "y": y, "sample_weight": weight},
    "ROCDisplay.from_estimator": {"estimator": mixture, "X": X, "y": y},
    "ROCDisplay.from_predictions": {**of_scores, "sample_weight": weight},
    "ROCDisplay.from_study": {"study": study, "min_background_events": 5},
    "ResonanceFitDisplay.from_fit": {
        "fit": search.fit_resonance(resonance[:, 0], (3.3, 3.7), mass=3.5, width=0.05)
    },
    "SICDisplay.from_cv_results": {**of_folds, "y": y},
    "SICDisplay.from_estimator": {"estimator": of_models, "X": X, "y": y},
    "SICDisplay.from_predictions": {**of_scores, "min_background_events": 5},
    "SICDisplay.from_study": {"study": study},
    "ScoreCorrelationDisplay.from_study": {
        "correlation": inspection.score_correlation(y, scores)
    },
    "ScoreDisplay.from_cv_results": {**of_folds, "y": y},
    "ScoreDisplay.from_estimator": {"estimator": mixture, "X": X, "y": y},
    "ScoreDisplay.from_predictions": {
        "y_true": y, "scores": score, "bins": 5, "scale": "linear", "threshold": 1.0,
    },
    "ScoreDisplay.from_study": {
        "study": study[study["frame"] == "x"], "bins": 5, "scale": "linear",
    },
    "ScoreMassDisplay.from_estimator": {"estimators": of_models, "X": X, "mass": mass},
    "ScoreMassDisplay.from_predictions": {"mass": mass, "scores": scores, "bins": 5},
    "ScoreScatterDisplay.from_predictions": {**of_scores, "n_events": 50, "random_state": 0},
    "YieldClosureDisplay.from_study": {
        "closure": inspection.yield_closure(
            y, score, {"b": search.importance_background(np.exp(score), np.array([1.0, 2.0]))}
        )
    },
}  # fmt: skip


def methods():
    """Yield the names of all public ways to make a display."""
    for name in plotting.__all__:
        for method, _ in inspect.getmembers(getattr(plotting, name), inspect.ismethod):
            if method.startswith("from_"):
                yield f"{name}.{method}"


def _method(name):
    display, _, method = name.partition(".")
    return getattr(getattr(plotting, display), method)


DISPLAYS = {name: (drawn(_method(name)), options) for name, options in ARGUMENTS.items()}
