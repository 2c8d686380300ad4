"""The studies of skad.inspection with ordinary arguments, as small as they can be."""

import functools
import warnings

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler

from skad import detectors, inspection, search
from skad.datasets import make_resonance

N = 120
rng = np.random.RandomState(1)
X = np.exp(0.4 * rng.normal(size=(N, 2))) + 0.1
y = rng.permutation(np.arange(N) % 2)
score = rng.normal(size=N) + y
weight = rng.uniform(0.5, 2, N)
jets = np.abs(rng.normal(size=(20, 12))) + np.tile([9.0, 0, 0, 0], 3)
events = make_resonance(900, 0, random_state=0).data
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    hunt = search.BumpHunt(
        IsolationForest(n_estimators=3), [(3.3, 3.7)], efficiencies=(0.5,), n_folds=2,
        n_parameters=3, random_state=0,
    ).fit(events)  # fmt: skip
classifier = LogisticRegression()
templates = {"a": rng.normal(size=(N, 2)), "b": rng.normal(size=(N, 2))}
of_templates = {
    "templates": templates, "X_true": X, "sample_weight": weight, "n_samples": 50, "n_seeds": 1,
    "features": [0, 1], "random_state": 0,
}  # fmt: skip
region = (0.9, 1.3)


def without_seconds(study):
    """Return the study without the columns that no two runs share."""

    @functools.wraps(study)
    def call(**options):
        return study(**options).drop(columns=["fit_seconds", "score_seconds"], errors="ignore")

    return call


STUDIES = {
    "coordinate_study": (
        without_seconds(inspection.coordinate_study),
        {
            "detectors": {"density": KernelDensity()}, "frames": {"z": StandardScaler()},
            "X": X, "y": y, "sample_weight": weight, "test_size": 0.5, "n_seeds": 1,
            "random_state": 0, "fraction": 0.1, "min_background_events": 5, "rejection": 5.0,
        },
    ),
    "closure_auc": (
        inspection.closure_auc,
        {**of_templates, "classifier": classifier, "cv": 2, "n_null": 3},
    ),
    "log_posterior_test": (
        inspection.log_posterior_test,
        {**of_templates, "classifier": classifier, "test_size": 0.2, "truth_as_class": False},
    ),
    "template_closure": (inspection.template_closure, of_templates),
    "template_fit_test": (
        inspection.template_fit_test,
        {
            "templates": {"a": templates["a"]}, "X": X, "classifier": classifier,
            "sample_weight": weight, "n_samples": 50, "n_seeds": 1, "random_state": 0,
        },
    ),
    "feature_histograms": (
        inspection.feature_histograms,
        {"samples": templates, "features": [0], "reference": "a", "bins": 5},
    ),
    "injection_study": (
        without_seconds(inspection.injection_study),
        {
            "detectors": {"density": KernelDensity()}, "background": X[y == 0],
            "signal": X[y == 1], "injected": [0, 5], "X_test": X, "y_test": y, "n_seeds": 1,
            "min_background_events": 5, "rejection": 5.0, "random_state": 0,
        },
    ),
    "region_samples": (
        inspection.region_samples,
        {"y_true": y, "X": X, "region": region, "resonance": 0, "sample_weight": weight},
    ),
    "yield_closure": (
        inspection.yield_closure,
        {
            "y_true": y, "scores": score,
            "estimates": {
                "b": search.importance_background(np.exp(score), np.array([1.0, 2.0]))
            },
        },
    ),
    "excess_features": (
        inspection.excess_features,
        {
            "X": X, "template": X[::2], "template_weight": weight[::2], "background": 30.0,
            "features": [0, 1], "bins": 5,
        },
    ),
    "excess_features, weights": (
        inspection.excess_features, {"X": X, "signal_weight": weight, "bins": 5},
    ),
    "most_signal_like": (
        inspection.most_signal_like, {"hunt": hunt, "X": events, "n_events": 5, "row": 0},
    ),
    "breakdown_test": (
        inspection.breakdown_test,
        {
            "detector": detectors.CWoLaDetector(classifier, cv=2), "X": X, "y": y,
            "classifier": classifier, "strategy": "seeds", "fraction": 0.2, "n_trainings": 2,
            "n_null": 19, "alpha": 0.05, "sequential": True, "random_state": 0,
        },
    ),
    "jet_images": (inspection.jet_images, {"jets": {"jets": jets}, "bins": 8, "width": 1.0}),
    "latent_embedding": (
        inspection.latent_embedding,
        {
            "estimator": PCA(2).fit(X), "X": X, "y": y, "n_events": 50, "perplexity": 10.0,
            "random_state": 0,
        },
    ),
}  # fmt: skip

_EMPTY = frozenset({"huge", "-huge", "constant", "zeros", "duplicates", "one"})
_ANY = frozenset({"nan", "inf", "-inf", "text", "objects", "complex"})
# As `ALLOWED` of tests/fuzz_functions.py.
ALLOWED = {
    ("coordinate_study", "detectors", frozenset({"first is not fitted"})): "the one it is",
    ("injection_study", "detectors", frozenset({"first is not fitted"})): "the one it is",
    ("coordinate_study", "frames", frozenset({"first is None"})): "documented: the identity",
    ("coordinate_study", "frames", frozenset({"first is of another kind"})): "a transformer too",
    **{
        (name, argument, frozenset({"huge"})): "documented: NaN where no background is left"
        for name in ("coordinate_study", "injection_study")
        for argument in ("min_background_events", "rejection")
    },
    ("feature_histograms", "samples", _EMPTY): "documented: NaN where the reference is empty",
    ("region_samples", "X", frozenset({"frame"})): "frames are given back, by columns",
    ("region_samples", "y_true", frozenset({"none at all"})): "documented: all events",
    ("yield_closure", "scores", frozenset({"tiny", "constant", "zeros"})): "documented: none pass",
    ("excess_features", "X", frozenset({"frame"})): "names of columns are added",
    ("excess_features", "background", frozenset({"array"})): "documented: a pair",
    ("excess_features, weights", "X", frozenset({"frame"})): "names of columns are added",
    ("latent_embedding", "y", _ANY): "documented: of any type",
}  # fmt: skip
