"""The features of an excess and its most signal-like events, against counts made by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from skad.datasets import make_resonance
from skad.inspection import excess_features, most_signal_like
from skad.search import BumpHunt, fit_resonance


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    template = rng.normal(size=(6000, 2))
    signal = rng.normal([2.5, -2.0], 0.3, size=(150, 2))
    return np.concatenate([rng.normal(size=(1200, 2)), signal]), template


def test_difference_to_a_template_is_the_signal(samples):
    X, template = samples
    table = excess_features(X, template, background=(1200.0, 30.0), bins=8)
    assert list(table["feature"].unique()) == ["column 0", "column 1"]
    sums = table.groupby("feature")["excess"].sum()
    assert sums.to_numpy() == pytest.approx([150, 150])
    truth = np.concatenate(
        [
            np.histogram(X[1200:, i], [*rows["low"], rows["high"].iloc[-1]])[0]
            for i, (_, rows) in enumerate(table.groupby("feature"))
        ]
    )
    pulls = (table["excess"] - truth) / table["error"]
    assert np.abs(pulls).max() < 3 and np.abs(pulls).mean() > 0.2
    # By hand, the bin that holds 0.5.
    row = table[(table["low"] <= 0.5) & (table["high"] > 0.5) & (table["feature"] == "column 0")]
    inside = [
        np.sum((v[:, 0] >= row["low"].item()) & (v[:, 0] < row["high"].item())) for v in samples
    ]
    expected = 1200 * inside[1] / 6000
    assert row["excess"].item() == pytest.approx(inside[0] - expected)
    error = np.sqrt(inside[0] + inside[1] * 0.2**2 + (expected * 30 / 1200) ** 2)
    assert row["error"].item() == pytest.approx(error)


def test_weights_of_the_template_have_no_unit(samples):
    X, template = samples
    weight = np.random.default_rng(1).uniform(0, 2, 6000)
    frames = [pd.DataFrame(each, columns=["a", "b"]) for each in samples]
    options = {"background": 1200.0, "features": ["b"], "bins": 5}
    one = excess_features(*frames, template_weight=weight, **options)
    other = excess_features(*frames, template_weight=7 * weight, **options)
    pd.testing.assert_frame_equal(one, other)
    assert one["feature"].unique().tolist() == ["b"]
    known = excess_features(X, template, background=1200.0, features=[1], bins=5)
    assert np.all(one["error"] > known["error"])


def test_weights_of_the_signal_show_its_feature():
    X, y = make_resonance(8000, 400, n_features=2, random_state=1, return_X_y=True)
    m = X[:, 0]
    fit = fit_resonance(m, (3.3, 3.7), n_parameters=3)
    table = excess_features(X, signal_weight=fit.signal_weights(m), features=[1], bins=6)
    edges = [*table["low"], table["high"].iloc[-1]]
    truth = np.histogram(X[y == 1, 1], edges)[0]
    assert np.abs((table["excess"] - truth) / table["error"]).max() < 3
    assert table["excess"].sum() == pytest.approx(fit.n_signal, rel=0.05)


def test_what_is_missing_or_wrong_is_named(samples):
    X, template = samples
    with pytest.raises(ValueError, match="one of template and signal_weight"):
        excess_features(X)
    with pytest.raises(ValueError, match="needs background"):
        excess_features(X, template)
    with pytest.raises(ValueError, match="2 columns of X"):
        excess_features(X, template[:, :1], background=1.0)
    with pytest.raises(ValueError, match="a pair with its standard deviation"):
        excess_features(X, template, background=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="non-zero number"):
        excess_features(X, template, background=1.0, template_weight=np.zeros(6000))
    with pytest.raises(ValueError, match="one entry for each of X"):
        excess_features(X, signal_weight=[1.0])


@pytest.fixture(scope="module")
def hunt():
    X, _ = make_resonance(3000, 80, n_features=3, random_state=0, return_X_y=True)
    frame = pd.DataFrame(X, columns=["m", "score", "c", "d"])
    search = BumpHunt(
        IsolationForest(n_estimators=20), [(3.3, 3.7)], efficiencies=(1.0, 0.1), n_folds=2,
        n_parameters=3, resonance="m", random_state=0,
    )  # fmt: skip
    return search.fit(frame), frame


def test_most_signal_like_events_are_those_with_the_highest_scores(hunt):
    hunt, X = hunt
    table = most_signal_like(hunt, X, 12, row=1)
    m = X["m"].to_numpy()
    scores = np.where((m >= 3.3) & (m < 3.7), hunt.scores_[0], -np.inf)
    assert table["event"].tolist() == np.argsort(-scores, kind="stable")[:12].tolist()
    assert table["score"].tolist() == sorted(scores, reverse=True)[:12]
    assert table["passes"].all()
    assert list(table.columns) == ["event", "score", "passes", "m", "score of X", "c", "d"]
    np.testing.assert_array_equal(
        table[["m", "score of X", "c", "d"]], X.to_numpy()[table["event"]]
    )
    everything = most_signal_like(hunt, X, 10**6, row=1)
    assert len(everything) == hunt.regions_[0].mask(m).sum()
    assert everything["passes"].sum() == hunt.results_["n_observed"][1]


def test_events_of_another_search_are_refused(hunt):
    hunt, X = hunt
    with pytest.raises(ValueError, match="3080 data events of 4 features"):
        most_signal_like(hunt, X.iloc[:100], row=1)
    with pytest.raises(ValueError, match="row must be one of"):
        most_signal_like(hunt, X, row=7)
    uncut = BumpHunt(
        IsolationForest(), [(3.3, 3.7)], efficiencies=(1.0,), n_parameters=3, random_state=0
    ).fit(X.to_numpy())
    with pytest.raises(ValueError, match="nothing was cut"):
        most_signal_like(uncut, X, row=0)
