"""The selection of a bump hunt on other events: shares of folds, efficiencies, kept detectors."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fast_detectors import MixtureRatio
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.naive_bayes import GaussianNB

import skad
from skad.datasets import make_resonance
from skad.exceptions import ModelFileError
from skad.resonant import Sidebands, SignalRegion, TemplateDetector
from skad.search import BumpHunt, fit_spectrum

REGION = SignalRegion(3.3, 3.7)
WINDOWS = [(3.0, 3.4), (3.3, 3.7)]
OPTIONS = {
    "n_parameters": 3,
    "random_state": 0,
    "n_global_toys": 1000,
    "n_folds": 3,
    "efficiencies": (1.0, 0.1, 0.02),
    # The signal in the sidebands of the first window is no matter here.
    "fit_alpha": 0.0,
    "sculpting_alpha": 0.0,
}


def events(n_background=6000, n_signal=120, seed=0):
    return make_resonance(n_background, n_signal, width=0.15, random_state=seed, return_X_y=True)


X, TRUTH = events()
SIGNAL = events(0, 2000, seed=1)[0]


def naive_bayes():
    return TemplateDetector(Sidebands(REGION), GaussianNB(), cv=None)


@pytest.fixture(scope="module")
def kept():
    return BumpHunt(naive_bayes(), WINDOWS, keep_detectors=True, n_seeds=2, **OPTIONS).fit(X)


def test_keeping_changes_nothing(kept):
    plain = clone(kept).set_params(keep_detectors=False).fit(X)
    pd.testing.assert_frame_equal(plain.results_, kept.results_, check_exact=True)
    assert plain.detectors_ is None


def test_thresholds_and_detectors_are_those_that_selected(kept):
    unknown = np.ones(len(X), dtype=bool)
    for fold, members in enumerate(kept.detectors_[1]):
        scores = np.mean([member.anomaly_score(X) for member in members], axis=0)
        held_out = scores == kept.scores_[1]
        assert 0.2 * len(X) < held_out.sum() < 0.4 * len(X)
        unknown &= ~held_out
        for row in (4, 5):
            passed = scores[held_out] > kept.thresholds_[row, fold]
            assert np.array_equal(passed, kept.selected_[row, held_out])
    in_range = np.isfinite(kept.scores_[1])
    assert not unknown[in_range].any()
    assert np.array_equal(np.isneginf(kept.thresholds_[:, 0]), [1, 0, 0, 1, 0, 0])


def test_shares_are_the_folds_in_which_an_event_passes(kept):
    share = kept.select(SIGNAL)
    for row, window in enumerate(kept.results_["window"]):
        region = kept.regions_[window]
        in_range = region.mask(SIGNAL) | region.sideband_mask(SIGNAL)
        folds = [
            np.mean([member.anomaly_score(SIGNAL) for member in members], axis=0) > threshold
            for members, threshold in zip(
                kept.detectors_[window], kept.thresholds_[row], strict=True
            )
        ]
        np.testing.assert_allclose(share[row], in_range * np.mean(folds, axis=0))
    scores = kept.anomaly_score(SIGNAL, window=1)
    expected = np.mean(
        [member.anomaly_score(SIGNAL) for members in kept.detectors_[1] for member in members],
        axis=0,
    )
    known = np.isfinite(scores)
    np.testing.assert_allclose(scores[known], expected[known], rtol=1e-12)
    np.testing.assert_array_equal(kept.anomaly_score(SIGNAL), scores)


def test_efficiency_is_that_of_the_signal_in_the_data(kept):
    table = kept.signal_efficiency(SIGNAL)
    inside = kept.regions_[1].mask(X) & (TRUTH == 1)
    for row in (3, 4, 5):
        expected = (kept.selected_[row] & inside).sum() / TRUTH.sum()
        error = np.hypot(np.sqrt(expected * (1 - expected) / TRUTH.sum()), table["error"][row])
        assert abs(table["signal_efficiency"][row] - expected) < 3 * error
    assert table["signal_efficiency"][3] == table["acceptance"][3]
    assert table["spread"][3] == 0 < table["spread"][5]
    # The background of as many events passes as the cut says.
    background = kept.select(events(4000, 0, seed=2)[0])
    assert background[4].mean() == pytest.approx(0.1, abs=0.02)


def test_error_of_the_efficiency_is_its_spread_over_samples(kept):
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(SIGNAL))
    tables = [kept.signal_efficiency(part, w) for part, w in zip(
        np.split(SIGNAL, 40), np.split(weight, 40), strict=True)]  # fmt: skip
    found = np.array([table["signal_efficiency"] for table in tables])
    claimed = np.array([table["error"] for table in tables]).mean(axis=0)
    np.testing.assert_allclose(found.std(axis=0, ddof=1)[3:], claimed[3:], rtol=0.4)
    whole = kept.signal_efficiency(SIGNAL, weight)
    again = kept.signal_efficiency(SIGNAL, 7 * weight)
    pd.testing.assert_frame_equal(whole, again)
    share = kept.select(SIGNAL)[5] * kept.regions_[1].mask(SIGNAL)
    assert whole["signal_efficiency"][5] == pytest.approx(np.average(share, weights=weight))


def test_absorbed_is_what_the_fit_takes_for_background(kept):
    share = kept.select(SIGNAL)
    for row in (3, 4):
        fit, region = kept.fits_[row], kept.regions_[1]
        more = 20 * np.histogram(SIGNAL[:, 0], fit.edges, weights=share[row])[0] / len(SIGNAL)
        again = fit_spectrum(
            fit.counts + more, fit.edges, exclude=region, n_parameters=fit.n_parameters
        )
        grown = (
            again.yield_in(region.low, region.high)[0] - fit.yield_in(region.low, region.high)[0]
        )
        absorbed = kept.signal_efficiency(SIGNAL)["absorbed"][row]
        assert absorbed == pytest.approx(grown / 20, rel=0.1)


def test_absorbed_with_the_direct_background():
    hunt = BumpHunt(
        MixtureRatio(), [REGION], background="direct", keep_detectors=True, **OPTIONS
    ).fit(X)
    row, found = hunt.results_.loc[1], hunt.signal_efficiency(SIGNAL).loc[1]
    assert row["method"] == "direct"
    inside = REGION.mask(X).sum()
    assert found["absorbed"] == pytest.approx(found["acceptance"] * row["background"] / inside)


@pytest.mark.parametrize("folder", [None, str, Path], ids=["memory", "text", "path"])
def test_a_saved_hunt_selects_as_before(folder, kept, tmp_path):
    hunt = kept
    if folder is not None:
        hunt = clone(kept).set_params(keep_detectors=folder(tmp_path / "kept")).fit(X)
        assert len(list((tmp_path / "kept").iterdir())) == 2 * 3 * 2
    skad.save_model(hunt, tmp_path / "hunt.skad")
    loaded = skad.load_model(tmp_path / "hunt.skad")
    np.testing.assert_array_equal(loaded.select(SIGNAL), kept.select(SIGNAL))
    assert loaded.keep_detectors == hunt.keep_detectors
    assert type(loaded.keep_detectors) is type(hunt.keep_detectors)
    if folder is None:
        return
    shutil.move(tmp_path / "kept", tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"set_params\(keep_detectors=folder\)"):
        loaded.select(SIGNAL)
    with pytest.raises(ValueError, match="keep_detectors=True does not say where"):
        loaded.set_params(keep_detectors=True).select(SIGNAL)
    loaded.set_params(keep_detectors=tmp_path / "elsewhere")
    np.testing.assert_array_equal(loaded.select(SIGNAL), kept.select(SIGNAL))
    # Another fit in the same folder.
    clone(loaded).set_params(random_state=1).fit(X)
    with pytest.raises(ModelFileError, match="another fit wrote to the folder"):
        loaded.select(SIGNAL)


def test_a_resumed_fit_keeps_them_too(kept, tmp_path):
    hunt = clone(kept).set_params(checkpoint=tmp_path, keep_detectors=False).fit(X)
    resumed = clone(hunt).set_params(keep_detectors=True).fit(X)
    np.testing.assert_array_equal(resumed.select(SIGNAL), kept.select(SIGNAL))


def test_detectors_that_were_not_kept():
    hunt = BumpHunt(MixtureRatio(), [REGION], **OPTIONS).fit(X)
    for name in ("select", "anomaly_score", "signal_efficiency"):
        assert not hasattr(hunt, name)
    with pytest.raises(AttributeError) as error:
        hunt.select(SIGNAL)
    assert "keep_detectors=True" in str(error.value.__cause__)
    with pytest.raises(ValueError, match="fit again with keep_detectors=True"):
        hunt.set_params(keep_detectors=True).select(SIGNAL)


def test_a_detector_that_no_file_holds_is_refused_at_its_first_fit(tmp_path):
    hunt = BumpHunt(MixtureRatio(), [REGION], keep_detectors=tmp_path, **OPTIONS)
    with pytest.raises(skad.exceptions.UnknownTypeError, match="MixtureRatio"):
        hunt.fit(X)


def test_without_a_cut_there_is_nothing_to_keep():
    hunt = BumpHunt(MixtureRatio(), [REGION], **OPTIONS | {"efficiencies": (1.0,)}).fit(X)
    region = hunt.regions_[0]
    in_range = region.mask(SIGNAL) | region.sideband_mask(SIGNAL)
    assert np.array_equal(hunt.select(SIGNAL), [in_range])
    assert hunt.signal_efficiency(SIGNAL)["signal_efficiency"][0] == region.mask(SIGNAL).mean()
    with pytest.raises(ValueError, match="fits no detector"):
        hunt.anomaly_score(SIGNAL)


def test_columns_by_name_and_blind_detectors():
    frame = pd.DataFrame(X[:, [1, 0, 2]], columns=["x1", "m", "x2"])
    hunt = BumpHunt(
        IsolationForest(n_estimators=5), [REGION], resonance="m", keep_detectors=True, **OPTIONS
    ).fit(frame)
    other = pd.DataFrame(SIGNAL[:, [1, 0, 2]], columns=["x1", "m", "x2"])
    share = hunt.select(other)
    moved = other.assign(m=np.clip(other["m"], 3.3, 3.69))
    assert np.array_equal(hunt.select(moved)[1][REGION.mask(SIGNAL)], share[1][REGION.mask(SIGNAL)])
    with pytest.raises(ValueError, match="feature names"):
        hunt.select(other[["m", "x1", "x2"]])


def test_wrong_questions(kept):
    with pytest.raises(ValueError, match="window must be one of the 2 windows, 0 to 1; got 2"):
        kept.anomaly_score(SIGNAL, window=2)
    with pytest.raises(ValueError, match="at least one (non-zero|positive)"):
        kept.signal_efficiency(SIGNAL, np.zeros(len(SIGNAL)))
    with pytest.raises(ValueError, match="3 features"):
        kept.select(SIGNAL[:, :2])
