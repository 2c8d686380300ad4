"""Limits of a whole search: injection, efficiencies, resuming, what is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.naive_bayes import GaussianNB

from skad.datasets import make_resonance
from skad.exceptions import SkadWarning
from skad.resonant import SALAD, Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt, counting_limit, upper_limit
from skad.search import _upper_limit as module

REGION = SignalRegion(3.3, 3.7)
OPTIONS = {
    "n_parameters": 3,
    "random_state": 0,
    "n_global_toys": 1000,
    "n_folds": 2,
    "fit_alpha": 0.0,
}
STRENGTHS = [30.0, 60.0, 120.0]


class FirstFeature(BaseEstimator):
    """Learns nothing: the score is the first feature."""

    seen: list = []

    def fit(self, X, y=None):
        FirstFeature.seen.append(np.asarray(X))
        return self

    def anomaly_score(self, X):
        return np.asarray(X)[:, 0]


def events(n_background=5000, n_signal=0, seed=0):
    return make_resonance(n_background, n_signal, width=0.12, random_state=seed).data


SIGNAL = events(0, 3000, seed=9)


def hunt(detector=None, X=None, **options):
    detector = FirstFeature() if detector is None else detector
    options = {"efficiencies": (1.0, 0.1), **OPTIONS, **options}
    return BumpHunt(detector, [(2.9, 3.3), (3.3, 3.7)], **options).fit(events() if X is None else X)


def naive_bayes():
    return TemplateDetector(Sidebands(REGION), GaussianNB(), cv=None)


def test_a_detector_that_learns_nothing_has_the_limit_of_its_counts():
    search = hunt()
    limit = upper_limit(search, SIGNAL, STRENGTHS, n_refits=4, random_state=0)
    assert limit.table["row"].tolist() == [2, 3]
    row = search.results_.loc[3]
    inside = REGION.mask(SIGNAL)
    threshold = search.thresholds_[3].mean()
    # A little less with more signal: the fraction that passes is fixed, the threshold moves.
    efficiency = (inside & (SIGNAL[:, 1] > threshold)).mean()
    found = limit.efficiencies.query("row == 1")
    assert found["signal_efficiency"].mean() == pytest.approx(efficiency, rel=0.08)
    assert found["acceptance"].mean() == pytest.approx(inside.mean(), rel=0.01)
    # What passes beside the region raises the background of the fit.
    net = (found["signal_efficiency"] - found["absorbed"]).mean()
    assert 0.7 * efficiency < net < efficiency
    by_hand = counting_limit(
        row["n_observed"],
        row["background"],
        net,
        uncertainty=np.hypot(row["stat"], row["syst"]),
        signal_uncertainty=limit.table["signal_uncertainty"][1],
    )
    assert limit.limits[1].observed == pytest.approx(by_hand.observed, rel=0.05)
    assert limit.limits[1].expected == pytest.approx(by_hand.expected, rel=0.05)
    assert limit.table["expected"].argmin() == limit.best
    assert limit.observed == limit.limits[limit.best].observed
    assert np.array_equal(limit.expected, limit.limits[limit.best].expected)


def test_what_is_injected_is_not_measured_with():
    FirstFeature.seen = []
    search = hunt(efficiencies=(0.1,))
    FirstFeature.seen = []
    limit = upper_limit(search, SIGNAL, [20, 100], n_refits=3, random_state=0)
    found = limit.efficiencies
    assert found["n_injected"].nunique() > 2
    for strength, mean in found.groupby("strength")["n_injected"].mean().items():
        assert abs(mean - strength) < 4 * np.sqrt(strength / 3)
    signal = {tuple(x) for x in SIGNAL[:, 1:]}
    for both in np.reshape(np.arange(12), (6, 2)):
        trained = [sum(tuple(x) in signal for x in FirstFeature.seen[i]) for i in both]
        # Every event is in the training of one of two folds.
        assert sum(trained) == found["n_injected"][both[0] // 2]


def test_a_detector_that_learns_finds_more_of_a_stronger_signal():
    search = hunt(naive_bayes(), events(8000), efficiencies=(0.05,))
    for into in ("data", "auto"):
        limit = upper_limit(search, SIGNAL, [5, 200], n_refits=3, into=into, random_state=0)
        mean = limit.efficiencies.groupby("strength")["signal_efficiency"].mean().to_numpy()
        assert 1.2 * mean[0] < mean[1]
        assert np.all(np.diff(limit.limits[0].signal[:, 0]) > 0)
        assert 5 < limit.expected[2] < 200


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_a_signal_in_the_data_does_not_help_its_own_limit():
    search = hunt(naive_bayes(), events(5000, 150), efficiencies=(0.05,))
    means = {}
    for into in ("auto", "data"):
        limit = upper_limit(search, SIGNAL, [10], n_refits=6, into=into, random_state=0)
        assert limit.into == {"auto": "resampled", "data": "data"}[into]
        means[into] = limit.efficiencies["signal_efficiency"].mean()
    clean = hunt(naive_bayes(), events(5000), efficiencies=(0.05,))
    limit = upper_limit(clean, SIGNAL, [10], n_refits=6, into="data", random_state=0)
    without = limit.efficiencies["signal_efficiency"].mean()
    assert means["auto"] == pytest.approx(without, rel=0.25)
    assert means["data"] > 1.5 * means["auto"]


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_where_no_data_without_signal_can_be_made_the_data_are_taken_and_it_says_so():
    X = events(20_000)
    # A feature whose spread has a kink in m, which no quantile polynomial follows.
    X[:, 1] *= np.where(np.abs(X[:, 0] - 4.0) < 0.1, 9.0, 1.0)
    search = hunt(X=X, efficiencies=(0.3,), sculpting_alpha=0.0)
    options = {"strengths": [10, 100], "n_refits": 1, "random_state": 0}
    with pytest.raises(ValueError, match="no background-only data can be made"):
        upper_limit(search, SIGNAL, into="morphed", **options)
    with pytest.warns(SkadWarning, match="injected into the data.*no background-only data"):
        limit = upper_limit(search, SIGNAL, **options)
    other = upper_limit(search, SIGNAL, into="data", **options)
    assert limit.into == other.into == "data"
    pd.testing.assert_frame_equal(limit.efficiencies, other.efficiencies)
    pd.testing.assert_frame_equal(limit.table, other.table)


def test_weighted_counts_are_limited_in_units_of_their_mean():
    search = hunt(efficiencies=(0.3,), weighting="excess")
    limit = upper_limit(search, SIGNAL, STRENGTHS, n_refits=2, random_state=0)
    row, scale = search.results_.loc[1], search.results_["scale"][1]
    assert limit.table["n_observed"][0] == pytest.approx(row["n_observed"] / scale)
    net = (limit.efficiencies["signal_efficiency"] - limit.efficiencies["absorbed"]).mean()
    assert limit.limits[0].signal[-1, 0] == pytest.approx(120 * net / scale, rel=0.1)


def test_finished_refits_are_not_run_again(tmp_path, monkeypatch):
    search = hunt(efficiencies=(0.1,))
    options = {"n_refits": 2, "folder": tmp_path, "random_state": 0}
    first = upper_limit(search, SIGNAL, STRENGTHS, **options)
    (tmp_path / "experiment_00003.json").unlink()
    real, numbers = module._refit, []

    def refit(hunt, injection, seed, number, archive):
        numbers.append(number)
        return real(hunt, injection, seed, number, archive)

    monkeypatch.setattr(module, "_refit", refit)
    again = upper_limit(search, SIGNAL, STRENGTHS, **options)
    assert numbers == [3]
    pd.testing.assert_frame_equal(first.efficiencies, again.efficiencies, check_dtype=False)
    pd.testing.assert_frame_equal(first.table, again.table)
    with pytest.raises(ValueError, match="another search"):
        upper_limit(search, SIGNAL[1:], STRENGTHS, **options)


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_columns_by_name_and_simulation():
    columns = ["m", "x1", "x2"]
    data, simulation = events(4000), events(4000, seed=5)
    X = pd.DataFrame(np.concatenate([data, simulation]), columns=columns)
    y = np.repeat([1, 0], [len(data), len(simulation)])
    salad = TemplateDetector(SALAD(GaussianNB(), region=REGION), GaussianNB(), cv=None)
    search = BumpHunt(
        salad, [REGION], resonance="m", efficiencies=(0.1,), background="sideband", **OPTIONS
    ).fit(X, y)
    signal = pd.DataFrame(SIGNAL, columns=columns)
    limit = upper_limit(search, signal, [100, 200], n_refits=1, random_state=0)
    assert (limit.efficiencies["n_injected"] > 50).all()
    assert np.isfinite(limit.expected).all()


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
@pytest.mark.parametrize(
    "change, message",
    [
        ({"strengths": [30, 20]}, r"strengths must be increasing and above 0; got \[30. 20.\]"),
        ({"strengths": [2000]}, "3000 events; strengths up to 2000 need twice as many"),
        ({"into": "nothing"}, "into must be a callable or one of .*'data'"),
        ({"signal_events": np.add(SIGNAL, [4, 0, 0])}, "no signal event lies in a window"),
        ({"signal_events": SIGNAL[:, :2]}, "3 features"),
        ({"n_refits": 0}, "'n_refits' parameter"),
        ({"folder": "x", "random_state": None}, "int random_state"),
    ],
)
def test_what_is_refused(change, message):
    arguments = {"signal_events": SIGNAL, "strengths": STRENGTHS, "n_refits": 1, "random_state": 0}
    with pytest.raises(ValueError, match=message):
        upper_limit(hunt(), **arguments | change)


@pytest.mark.filterwarnings("ignore::skad.exceptions.SkadWarning")
def test_searches_without_a_limit():
    with pytest.raises(ValueError, match=r"\[3.3, 3.7\).* is trusted: 0 events|few events"):
        upper_limit(hunt(efficiencies=(0.0005,)), SIGNAL, STRENGTHS)
    X = events()
    weighted = hunt(naive_bayes(), efficiencies=(0.1,))
    weighted.fit(X, None, np.random.default_rng(0).uniform(0.5, 1.5, len(X)))
    with pytest.raises(ValueError, match="cannot be injected into weighted events"):
        upper_limit(weighted, SIGNAL, STRENGTHS)
