"""Displays of several signals against one background, and of studies that kept their scores."""

import matplotlib

matplotlib.use("Agg")

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from skad.coordinates import ExpTransformer
from skad.inspection import coordinate_study, overlap_study, score_correlation
from skad.metrics import decorrelation_curve, max_significance_improvement
from skad.plotting import DecorrelationDisplay, ROCDisplay, ScoreDisplay, SICDisplay


@pytest.fixture(scope="module")
def jets():
    rng = np.random.default_rng(0)
    kind = rng.permutation(np.repeat(["qcd", "w_80", "top"], [4000, 1000, 1000]))
    centre = np.select([kind == "w_80", kind == "top"], [0.5, 2.0], 0.0)
    return kind, rng.normal(centre, size=(3, len(kind)))


@pytest.fixture(scope="module")
def study():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(2000, 1)), rng.normal(1, 1, size=(500, 1))])
    return coordinate_study(
        {"mixture": GaussianMixture()},
        {"x": None, "exp x": ExpTransformer()},
        X,
        np.repeat([0, 1], [2000, 500]),
        n_seeds=3,
        random_state=0,
        keep_scores=True,
    )


def area(kind, scores, signal):
    both = np.isin(kind, ["qcd", signal])
    return roc_auc_score(kind[both] == signal, scores[both])


def test_each_signal_is_a_curve(jets):
    kind, scores = jets
    display = ROCDisplay.from_predictions(
        kind, scores[0], name="nll", signal_label=["w_80", "top"], background_label="qcd"
    )
    assert display.name == ["nll, w_80", "nll, top"]
    expected = [area(kind, scores[0], signal) for signal in ("w_80", "top")]
    assert display.roc_auc == pytest.approx(expected, abs=1e-12)
    others = ROCDisplay.from_predictions(kind, scores[0], background_label="qcd")
    assert sorted(others.name) == ["top", "w_80"]
    one = ROCDisplay.from_predictions(
        kind, scores[0], name="nll", signal_label="w_80", background_label="qcd"
    )
    assert one.name == "nll" and one.roc_auc == display.roc_auc[:1]


def test_trainings_of_each_signal_are_one_band(jets):
    kind, scores = jets
    display = SICDisplay.from_predictions(
        kind, {"nll": scores}, signal_label=["w_80", "top"], background_label="qcd"
    )
    assert len(display.line_) == 2 and len(display.max_sic) == 6
    both = kind != "w_80"
    expected = [max_significance_improvement(kind[both] == "top", row[both]) for row in scores]
    tops = [v for v, n in zip(display.max_sic, display.name, strict=True) if n == "nll, top"]
    assert tops == expected


def test_histograms_and_decorrelation_of_every_signal(jets):
    kind, scores = jets
    labels = {"signal_label": ["top", "w_80"], "background_label": "qcd"}
    shown = ScoreDisplay.from_predictions(kind, scores[0], **labels)
    assert list(shown.density) == ["background", "top", "w_80"]
    mass = np.exp(scores[1])
    display = DecorrelationDisplay.from_predictions(kind, scores[0], mass, **labels)
    assert display.name == ["top", "w_80"]
    both = kind != "top"
    expected = decorrelation_curve(kind[both] == "w_80", scores[0][both], mass[both])
    np.testing.assert_array_equal(display.signal_efficiency[1], expected.signal_efficiency)


def test_agreement_of_every_signal(jets):
    kind, scores = jets
    labels = {"signal_label": ["top", "w_80"], "background_label": "qcd"}
    methods = {"a": scores[0], "b": scores[1]}
    correlation = score_correlation(kind, methods, **labels).set_index("events")["correlation"]
    assert list(correlation.index) == ["background", "top", "w_80"]
    alone = score_correlation(None, {k: v[kind == "top"] for k, v in methods.items()})
    assert correlation["top"] == alone["correlation"].item()
    study = overlap_study(kind, methods, fractions=[0.1], **labels)
    assert study["events"].tolist() == ["background", "top", "w_80"]


def test_curves_of_a_study(study):
    display = ROCDisplay.from_study(study)
    assert display.name == study["frame"].tolist()
    assert display.roc_auc == pytest.approx(study["roc_auc"].tolist(), abs=1e-12)
    # The median over the seeds of each frame.
    assert len(display.line_) == 2
    every = SICDisplay.from_study(study[study["frame"] == "x"], aggregate=False)
    assert every.name == "mixture" and len(every.line_) == 3
    assert every.max_sic == study.loc[study["frame"] == "x", "max_sic"].tolist()


def test_histogram_of_a_study_pools_its_seeds(study):
    rows = study[study["frame"] == "exp x"]
    display = ScoreDisplay.from_study(rows, bins=15)
    pooled = np.concatenate(rows["scores"].tolist())
    truth = np.concatenate(rows["truth"].tolist())
    expected, _ = np.histogram(pooled[truth], display.edges, density=True)
    np.testing.assert_allclose(display.density["signal"], expected)


def test_bad_input(jets, study):
    kind, scores = jets
    with pytest.raises(ValueError, match=r"several cases.*select the rows of one"):
        ScoreDisplay.from_study(study)
    with pytest.raises(ValueError, match=r"with keep_scores=True returns; it lacks \['scores'\]"):
        ROCDisplay.from_study(study.drop(columns="scores"))
    with pytest.raises(ValueError, match="no rows"):
        ROCDisplay.from_study(study[:0])
    with pytest.raises(ValueError, match="empty list"):
        ROCDisplay.from_predictions(kind, scores[0], signal_label=[], background_label="qcd")
    with pytest.raises(ValueError, match="background_label="):
        ROCDisplay.from_predictions(kind, scores[0], signal_label="top")
