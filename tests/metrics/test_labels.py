"""Truth of several signals and one background: what counts as what, in every metric."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.metrics import roc_auc_score

from skad.metrics import (
    anomaly_roc_curve,
    anomaly_scorers,
    background_rejection,
    decorrelation_curve,
    get_anomaly_scorer,
    max_significance_improvement,
    score_histograms,
    significance_improvement_at,
)


@pytest.fixture(scope="module")
def jets():
    """Background, a signal just above it and one far above."""
    rng = np.random.default_rng(0)
    kind = rng.permutation(np.repeat(["qcd", "w_80", "top"], [6000, 2000, 2000]))
    centre = np.select([kind == "w_80", kind == "top"], [0.5, 2.0], 0.0)
    return kind, rng.normal(centre), rng.random(len(kind))


METRICS = {
    "auc": lambda y, s, **kw: anomaly_roc_curve(y, s, **kw).roc_auc,
    "max_sic": max_significance_improvement,
    "sic": lambda y, s, **kw: significance_improvement_at(y, s, fpr=0.05, **kw),
    "rejection": lambda y, s, **kw: background_rejection(y, s, tpr=0.8, **kw),
    "decorrelation": lambda y, s, **kw: decorrelation_curve(y, s, s**2, **kw).jsd.sum(),
}


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("signal", ["w_80", "top"])
def test_other_signals_are_no_background(jets, name, signal):
    kind, scores, weight = jets
    both = np.isin(kind, ["qcd", signal])
    expected = METRICS[name](kind[both] == signal, scores[both], sample_weight=weight[both])
    found = METRICS[name](
        kind, scores, signal_label=signal, background_label="qcd", sample_weight=weight
    )
    assert found == expected


@pytest.mark.parametrize("name", METRICS)
def test_a_third_label_is_never_background_in_silence(jets, name):
    kind, scores, _ = jets
    with pytest.raises(ValueError, match=r"besides signal_label='w_80'.*background_label="):
        METRICS[name](kind, scores, signal_label="w_80")
    with pytest.raises(ValueError, match=r"besides background_label='qcd'.*signal_label="):
        METRICS[name](kind, scores, background_label="qcd")
    # All others on purpose.
    expected = METRICS[name]((kind == "w_80").astype(int), scores)
    assert METRICS[name](kind == "w_80", scores) == expected


def test_histograms_of_every_signal(jets):
    kind, scores, weight = jets
    options = {"sample_weight": weight, "background_label": "qcd", "bins": 20}
    several = score_histograms(kind, scores, signal_label=["top", "w_80"], **options)
    assert list(several.density) == ["background", "top", "w_80"]
    expected, _ = np.histogram(
        scores[kind == "top"], several.edges, weights=weight[kind == "top"], density=True
    )
    np.testing.assert_allclose(several.density["top"], expected)
    one = score_histograms(kind, scores, signal_label="w_80", **options)
    assert list(one.density) == ["background", "signal"]
    # The edges are those of the events that are drawn.
    assert one.edges[-1] == scores[kind != "top"].max() < several.edges[-1]


class Given(OutlierMixin, BaseEstimator):
    """Scores events by their only column."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return -X[:, 0]


def test_scorers(jets):
    kind, scores, _ = jets
    model, X = Given().fit(None), scores[:, None]
    labels = {"signal_label": "w_80", "background_label": "qcd"}
    both = kind != "top"
    expected = roc_auc_score(kind[both] == "w_80", scores[both])
    scorer = get_anomaly_scorer("roc_auc_anomaly", **labels)
    assert scorer(model, X, kind) == pytest.approx(expected, rel=1e-12)
    assert anomaly_scorers(["roc_auc_anomaly"], **labels)(model, X, kind) == {
        "roc_auc_anomaly": scorer(model, X, kind)
    }
    assert repr(scorer).endswith("signal_label='w_80', background_label='qcd')")


def test_the_old_order_is_refused(jets):
    _, scores, _ = jets
    with pytest.raises(TypeError, match="got a dict. The truth comes first"):
        anomaly_roc_curve({"a": scores}, scores)
