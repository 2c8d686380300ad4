"""A display given the wrong object says what is right, what came and how to make the right one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError

from skad import plotting
from skad.exceptions import MissingColumnError
from skad.inspection import FeatureHistograms
from skad.search import BumpHunt

plt = pytest.importorskip("matplotlib.pyplot")

HISTOGRAMS = FeatureHistograms({}, {}, {}, {}, {}, None)


@pytest.mark.parametrize(
    "display, method, given, error, message",
    [
        (
            "ClosureDisplay", "from_study", "abc", TypeError,
            "closure must be the DataFrame that skad.inspection.template_closure returns; got an "
            "object of type str.",
        ),
        (
            "YieldClosureDisplay", "from_study", pd.DataFrame({"ratio": [1.0]}), MissingColumnError,
            "closure must be the DataFrame that skad.inspection.yield_closure returns; it lacks "
            "['estimate', 'threshold', 'efficiency', 'ratio_error', 'truth_error'] and has "
            "['ratio'].",
        ),
        (
            "CoordinateStudyDisplay", "from_study", pd.DataFrame(columns=["detector", "frame"]),
            ValueError,
            "study must be the DataFrame that skad.inspection.coordinate_study returns; it has no "
            "rows.",
        ),
        (
            "JetSpectraDisplay", "from_spectra", HISTOGRAMS, TypeError,
            "spectra must be the JetSpectra that skad.inspection.jet_spectra returns; got an "
            "object of type FeatureHistograms.",
        ),
        (
            "BumpHuntDisplay", "from_estimator", BumpHunt, TypeError,
            "hunt must be the BumpHunt that skad.search.BumpHunt(detector, windows).fit(X) "
            "returns; got the class BumpHunt.",
        ),
        (
            "BumpHuntDisplay", "from_estimator", BumpHunt(IsolationForest()), NotFittedError,
            "hunt must be the BumpHunt that skad.search.BumpHunt(detector, windows).fit(X) "
            "returns; it is not fitted. Call its fit first.",
        ),
    ],
)  # fmt: skip
def test_results_of_another_kind(display, method, given, error, message):
    with pytest.raises(error) as caught:
        getattr(getattr(plotting, display), method)(given)
    assert str(caught.value) == message


def test_one_of_several_estimators():
    X = np.random.default_rng(0).normal(size=(100, 2))
    forest = IsolationForest(n_estimators=2).fit(X)
    with pytest.raises(TypeError, match=r"^estimators\['b'\] must be a fitted det.*type float"):
        plotting.OverlapDisplay.from_estimator({"a": forest, "b": 3.7}, X)
    with pytest.raises(TypeError, match="^estimator must be .* or a dict of names.*got None"):
        plotting.ROCDisplay.from_estimator(None, X, np.arange(100) % 2)
    with pytest.raises(TypeError, match="^estimator must be a fitted ANODE.*Forest, which"):
        plotting.DensityRatioDisplay.from_estimator(forest, X)


def test_folds_say_how_to_cross_validate():
    message = "return_estimator=True, return_indices=True\\) returns; it lacks \\['indices'\\]"
    with pytest.raises(ValueError, match=message):
        plotting.SICDisplay.from_cv_results({"estimator": []}, [[0.0]], [0])


@pytest.mark.parametrize("ax", ["abc", plt, 3.7], ids=["text", "a module", "number"])
def test_axes_of_another_kind(ax):
    scores = np.arange(100.0)
    with pytest.raises(TypeError, match=r"^ax must be the Axes that matplotlib.pyplot.subplots"):
        plotting.ScoreDisplay.from_predictions(None, scores, ax=ax)
    frames = {"x": np.c_[scores, scores]}
    with pytest.raises(TypeError, match=r"^axes\[0\] must be the Axes"):
        plotting.FrameDisplay.from_predictions(frames, {"x": scores}, ax=[ax])


def test_scores_of_any_unit_scatter_alike():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 500))
    usual = plotting.ScoreScatterDisplay.from_predictions(None, {"a": a, "b": b})
    for unit in (1e-300, 1e300):
        scaled = plotting.ScoreScatterDisplay.from_predictions(None, {"a": a * unit, "b": b})
        np.testing.assert_allclose(scaled.points["all"], usual.points["all"], rtol=1e-9)
