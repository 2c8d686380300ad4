"""Numbers behind the figures of the papers: features, yields, injections, jet images."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture

from skad.detectors import CWoLaDetector
from skad.inspection import (
    feature_histograms,
    injection_study,
    jet_images,
    region_samples,
    yield_closure,
)
from skad.metrics import max_significance_improvement
from skad.resonant import SignalRegion
from skad.search import BackgroundEstimate


class TestFeatures:
    def test_heights_errors_and_ratio(self):
        rng = np.random.default_rng(0)
        a, b, weight = rng.normal(size=(400, 2)), rng.normal(size=(300, 2)), rng.random(300)
        edges = {"column 1": [-1.0, 0.0, 2.0]}
        found = feature_histograms(
            {"data": a, "template": (b, weight)}, features=[1], reference="data", bins=edges
        )
        inside = [(a[:, 1] >= -1) & (a[:, 1] < 0), (a[:, 1] >= 0) & (a[:, 1] <= 2)]
        heights = np.array([m.sum() / 400 / w for m, w in zip(inside, (1, 2), strict=True)])
        np.testing.assert_allclose(found.density["column 1"]["data"], heights)
        inside = [(b[:, 1] >= -1) & (b[:, 1] < 0), (b[:, 1] >= 0) & (b[:, 1] <= 2)]
        other = [weight[m].sum() / weight.sum() / w for m, w in zip(inside, (1, 2), strict=True)]
        np.testing.assert_allclose(found.ratio["column 1"]["template"], np.array(other) / heights)
        # Relative errors of numerator and denominator in quadrature.
        relative = [np.sqrt((weight[m] ** 2).sum()) / weight[m].sum() for m in inside] / np.ones(2)
        counts = heights * 400 * np.array([1, 2])
        expected = found.ratio["column 1"]["template"] * np.hypot(relative, counts**-0.5)
        np.testing.assert_allclose(found.ratio_error["column 1"]["template"], expected)
        np.testing.assert_allclose(found.ratio_error["column 1"]["data"], counts**-0.5)
        assert not feature_histograms({"data": a}).ratio

    def test_samples_by_region_and_class(self):
        m = np.array([1.0, 2.5, 2.6, 4.0, 2.7, 9.0])
        X = pd.DataFrame({"x": np.arange(6.0), "m": m})
        y = np.array(["qcd", "qcd", "w", "w", "top", "qcd"])
        samples = region_samples(
            y,
            X,
            SignalRegion(2.0, 3.0, sideband_width=2.0),
            resonance="m",
            sample_weight=np.arange(6.0),
            signal_label=["w"],
            background_label="qcd",
        )
        rows = {
            name: (part["x"].tolist(), weight.tolist()) for name, (part, weight) in samples.items()
        }
        assert rows == {
            "background, region": ([1.0], [1.0]),
            "background, sidebands": ([0.0], [0.0]),
            "w, region": ([2.0], [2.0]),
            "w, sidebands": ([3.0], [3.0]),
        }
        assert list(region_samples(None, X, (2.0, 3.0), resonance="m")) == [
            "events, region",
            "events, sidebands",
        ]

    @pytest.mark.parametrize(
        ("samples", "kwargs", "message"),
        [
            ({}, {}, "with at least one"),
            ({"a": np.ones((3, 1))}, {"reference": "b"}, "reference must be one of"),
            ({"a": np.ones((3, 1)), "b": np.ones((3, 2))}, {}, "same features"),
            ({"a": np.full((3, 1), np.nan)}, {}, "NaN"),
        ],
    )
    def test_bad_input(self, samples, kwargs, message):
        with pytest.raises(ValueError, match=message):
            feature_histograms(samples, **kwargs)


def estimate(threshold, background, stat):
    zero = np.zeros(len(threshold))
    return BackgroundEstimate(
        "direct", np.array(threshold), zero, np.array(background), np.array(stat), zero, zero, zero
    )


def test_yields_against_counts_by_hand():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 9.0])
    kind = np.array(["qcd", "qcd", "qcd", "top", "qcd", "w", "qcd", "w"])
    found = yield_closure(
        kind,
        scores,
        {"a": estimate([0.25, 8.0], [4.5, 0.5], [0.9, 0.1])},
        signal_label="w",
        background_label="qcd",
    )
    first, second = found.to_dict("records")
    assert first["n_true"] == 3 and first["n_observed"] == 5 and first["efficiency"] == 3 / 5
    assert first["ratio"] == 1.5 and first["ratio_error"] == pytest.approx(0.3)
    assert first["truth_error"] == pytest.approx(3**-0.5)
    assert second["n_true"] == 0 and np.isnan(second["ratio"])
    single = yield_closure(kind == "w", scores, estimate([0.25], [4.5], [0.9]))
    assert single["estimate"].tolist() == ["direct"] and single["n_true"].item() == 4
    with pytest.raises(ValueError, match="no background event"):
        yield_closure(np.ones(8), scores, estimate([0.25], [4.5], [0.9]))


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    background, reference, B = rng.normal(size=(3, 3000, 2))
    signal, S = rng.normal(1.5, 1, size=(2, 3000, 2))
    return background, signal, np.concatenate([B, S]), np.repeat([0, 1], 3000), reference


class TestInjection:
    def test_more_signal_is_found_better_and_values_are_measured(self, events):
        background, signal, X, y, reference = events
        study = injection_study(
            {"CWoLa": CWoLaDetector(LogisticRegression(), cv=None), "mixture": GaussianMixture()},
            background,
            signal,
            [0, 50, 1000],
            X,
            y,
            reference=reference,
            rejection=10,
            n_seeds=3,
            keep_scores=True,
            random_state=0,
        )
        assert len(study) == 2 * 3 * 3
        medians = study.groupby(["detector", "injected"])["roc_auc"].median()
        assert medians["CWoLa", 1000] > 0.9 > 0.7 > medians["CWoLa", 0]
        # A density without labels learns the signal as normal.
        assert medians["mixture", 1000] < medians["mixture", 50] < medians["mixture", 0]
        for _, row in study.iterrows():
            assert row["roc_auc"] == roc_auc_score(row["truth"], row["scores"])
            assert row["max_sic"] == max_significance_improvement(row["truth"], row["scores"])
        # Seeds draw other signal events.
        found = study[(study["detector"] == "mixture") & (study["injected"] == 50)]
        assert found["roc_auc"].nunique() == 3
        same = study[(study["detector"] == "mixture") & (study["injected"] == 0)]
        np.testing.assert_allclose(same["roc_auc"], same["roc_auc"].iloc[0], atol=1e-6)

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"injected": [5000]}, "from 0 to the 3000"),
            ({"injected": []}, "from 0 to the 3000"),
            ({"n_seeds": 0}, "n_seeds"),
            ({"simulation": np.zeros((3, 2)), "reference": np.zeros((3, 2))}, "give one of them"),
            ({"reference": None}, "require y"),
        ],
    )
    def test_bad_input(self, events, kwargs, message):
        background, signal, X, y, reference = events
        arguments = {
            "detectors": {"CWoLa": CWoLaDetector(LogisticRegression())},
            "background": background,
            "signal": signal,
            "injected": [10],
            "X_test": X,
            "y_test": y,
            "reference": reference,
        }
        with pytest.raises(ValueError, match=message):
            injection_study(**{**arguments, **kwargs})


def test_jet_images_by_hand():
    # Two massless constituents: at the axis, and at eta = 0.5, phi = 0.35 with a third of pT.
    pt, eta, phi = (
        np.array([2.0, 1.0, 0.0]),
        np.array([0.05, 0.5, 0.0]),
        np.array([0.05, 0.35, 0.0]),
    )
    p4 = np.stack([pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], -1)
    images = jet_images({"a": p4.reshape(1, -1), "far": 5 * p4.reshape(1, -1)}, bins=20, width=1.0)
    for image in images.image.values():
        assert image[10, 10] == pytest.approx(2 / 3) and image[15, 13] == pytest.approx(1 / 3)
        assert np.count_nonzero(image) == 2
    small = jet_images({"a": p4.reshape(1, -1)}, bins=4, width=0.2)
    assert small.outside["a"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="'width' parameter of jet_images must be a float"):
        jet_images({"a": p4.reshape(1, -1)}, width=0.0)
