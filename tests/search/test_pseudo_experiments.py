"""Pseudo-experiments: data without signal from the data, files, calibration of global p-values."""

import json
import pickle

import numpy as np
import pandas as pd
import pseudo_experiments as benchmark
import pytest
from fast_detectors import MixtureRatio
from joblib import parallel_config
from scipy import stats
from sklearn.base import clone

from skad.datasets import make_resonance
from skad.exceptions import CheckpointWarning, LowStatisticsWarning, SpectrumFitWarning
from skad.resonant import GivenReference, SignalRegion, TemplateDetector
from skad.search import (
    BumpHunt,
    GlobalCalibration,
    SignificanceCalibration,
    background_generator,
    pseudo_experiments,
)
from skad.search import _pseudo_experiments as module
from skad.search._pseudo_data import independence_p_value
from skad.search._trust import LEARNED

REGION = SignalRegion(3.3, 3.7)


def fitted(X, y=None, detector=None, **options):
    """A search without a cut, which fits in no time, on the events."""
    settings = {"efficiencies": (1.0,), "n_global_toys": 100, "random_state": 0} | options
    return BumpHunt(detector or MixtureRatio(), [REGION], **settings).fit(X, y)


def search(**options):
    settings = {"efficiencies": (0.1,), "n_folds": 2, "n_global_toys": 100, "random_state": 0}
    return BumpHunt(MixtureRatio(), [REGION], **settings | options)


class Falling:
    def __call__(self, random_state):
        return make_resonance(3000, 0, random_state=random_state).data


def test_masses_follow_the_spectrum_and_their_number_is_poisson():
    X = make_resonance(40_000, 0, random_state=0).data
    generate = background_generator(fitted(X))
    sizes = [len(generate(seed)) for seed in range(60)]
    assert np.mean(sizes) == pytest.approx(len(X), abs=5 * np.sqrt(len(X) / 60 + len(X) / 10))
    assert 0.6 < np.std(sizes) / np.sqrt(len(X)) < 1.4
    m = np.concatenate([generate(seed)[:, 0] for seed in range(5)])
    exact = make_resonance(400_000, 0, random_state=1).data[:, 0]
    assert stats.ks_2samp(m, exact).statistic < 0.01
    inside = np.mean((m >= 3.3) & (m < 3.7))
    assert inside == pytest.approx(np.mean((exact >= 3.3) & (exact < 3.7)), rel=0.03)


@pytest.mark.parametrize("dependence", [0.0, 1.0])
def test_a_signal_is_no_bump_in_the_data_without_signal(dependence):
    """Signal as strong as a sixth of the window: at all masses after the deal."""
    X, _ = make_resonance(
        20_000, 600, separation=3.0, dependence=dependence, random_state=0, return_X_y=True
    )

    def significance(X):
        """Of the events that look like signal, given m, in the window."""
        chosen = (X[:, 1:] - dependence * (X[:, :1] - 3.5) > 2.2).all(axis=1)
        inside = REGION.mask(X[:, 0])
        expected = chosen[~inside].mean() * inside.sum()
        return (chosen[inside].sum() - expected) / np.sqrt(expected)

    hunt = fitted(X)
    generate = background_generator(hunt)
    assert generate.window == (3.3, 3.7)
    assert significance(X) > 20 and hunt.results_["z_raw"][0] > 5
    drawn = [generate(seed) for seed in range(4)]
    assert np.abs([significance(X) for X in drawn]).max() < 3.5
    assert np.abs([fitted(X).results_["z_raw"][0] for X in drawn]).max() < 3.5


def test_every_event_is_dealt_once_before_any_is_dealt_again():
    X = make_resonance(5000, 0, random_state=0).data
    drawn = background_generator(fitted(X))(0)
    times = np.unique(drawn[:, 1], return_counts=True)[1]
    assert times.max() == 2 and set(drawn[:, 1]) <= set(X[:, 1])
    # Their masses are new ones, and know nothing of the features.
    assert not set(drawn[:, 0]) & set(X[:, 0])
    assert independence_p_value(drawn[:, 0], drawn[:, 1:]) > 1e-3


def test_features_that_move_with_the_mass_are_moved_back():
    X = make_resonance(40_000, 0, dependence=1.0, random_state=0).data
    generate = background_generator(fitted(X))
    assert generate.method == "morphed"
    drawn = generate(1)
    for low, high in ((2.5, 2.7), (3.3, 3.5), (3.5, 3.7), (4.0, 4.5)):
        part = drawn[(drawn[:, 0] >= low) & (drawn[:, 0] < high)]
        # make_resonance: unit normal around m - 3.5, features independent given m.
        centred = part[:, 1:] - (part[:, :1] - 3.5)
        error = 1 / np.sqrt(len(part))
        np.testing.assert_allclose(centred.mean(axis=0), 0, atol=4 * error + 0.02)
        np.testing.assert_allclose(centred.std(axis=0), 1, atol=4 * error)
    with pytest.raises(ValueError, match="'auto' or 'morphed'"):
        background_generator(fitted(X), "resampled")


def correlated(m, x1, correlation, rng):
    """Two normal features whose correlation depends on m, while neither does alone."""
    x2 = correlation * x1 + np.sqrt(1 - correlation**2) * rng.normal(size=len(m))
    return np.column_stack([m, x1, x2])


def test_a_correlation_that_moves_with_the_mass_is_moved_back():
    rng = np.random.default_rng(0)
    m, x1 = make_resonance(40_000, 0, n_features=1, random_state=0).data.T
    generate = background_generator(fitted(correlated(m, x1, np.tanh(m - 3.5), rng)))
    assert generate.method == "morphed" and generate.independence_p < 1e-9
    drawn = generate(1)
    for low, high in ((2.6, 2.8), (3.3, 3.5), (3.5, 3.7), (4.0, 4.5)):
        part = drawn[(drawn[:, 0] >= low) & (drawn[:, 0] < high)]
        expected = np.tanh(part[:, 0] - 3.5).mean()
        error = 1 / np.sqrt(len(part))
        assert np.corrcoef(part[:, 1:].T)[0, 1] == pytest.approx(expected, abs=4 * error + 0.02)


def test_a_slope_that_few_events_show_is_moved_back():
    """Bins of quantiles do not see it, ranks of all events do."""
    X = make_resonance(6000, 0, dependence=0.12, random_state=3).data
    generate = background_generator(fitted(X))
    assert generate.method == "morphed" and generate.independence_p < 1e-3
    assert generate.morphed_p > 0.05


def test_other_dependence_is_refused_by_name():
    """A correlation of two features that jumps at a mass leaves both quantiles alone."""
    rng = np.random.default_rng(0)
    m, x1 = make_resonance(30_000, 0, n_features=1, random_state=0).data.T
    X = correlated(m, x1, np.where(m < 3.0, 0.7, -0.7), rng)
    with pytest.raises(ValueError, match="quantiles and correlations do not tell"):
        background_generator(fitted(X))


def test_a_spectrum_that_the_function_does_not_describe_is_refused():
    X = make_resonance(20_000, 0, random_state=0).data
    X[::4, 0] = np.random.default_rng(0).normal(4.3, 0.05, size=5000)
    with pytest.warns(SpectrumFitWarning, match="does not describe the sidebands"):
        hunt = fitted(X, fit_range=None)
    with pytest.raises(ValueError, match="dijet function does not describe the spectrum"):
        background_generator(hunt)


def test_simulation_stays_and_frames_keep_their_columns():
    X, y = make_resonance(6000, 0, random_state=0).data, np.arange(6000) % 3 > 0
    frame = pd.DataFrame(X, columns=["mjj", "a", "b"])
    detector = TemplateDetector(GivenReference())
    drawn, labels = background_generator(fitted(frame, y.astype(int), detector))(0)
    assert list(drawn.columns) == ["mjj", "a", "b"]
    np.testing.assert_array_equal(drawn[labels == 0], X[~y])
    assert not set(drawn["mjj"][labels == 1]) & set(X[:, 0])


def test_events_outside_of_the_range_of_the_fit_are_those_of_the_data():
    X = make_resonance(20_000, 0, random_state=0).data
    drawn = background_generator(fitted(X, fit_range=(2.8, 4.5)))(0)
    below = drawn[:, 0] < 2.7
    assert set(map(tuple, drawn[below])) <= set(map(tuple, X))
    # Each once, but for those that a larger number needs again.
    n_outside = np.sum((X[:, 0] < 2.8) | (X[:, 0] > 4.5))
    repeated = below.sum() - len(np.unique(drawn[below, 0]))
    assert repeated <= 5 * np.sqrt(n_outside)
    expected = np.mean(X[:, 0] < 2.7)
    assert below.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / len(X)))


def test_the_test_of_independence_is_valid_and_sees_dependence():
    rng = np.random.default_rng(0)
    p_values = [
        independence_p_value(rng.exponential(size=2000), rng.normal(size=(2000, 3)))
        for _ in range(60)
    ]
    assert np.mean(np.array(p_values) < 0.1) < 0.25
    m, x = rng.uniform(size=(2, 20_000))
    assert independence_p_value(m, np.column_stack([x, x + 0.1 * m])) < 1e-3
    assert independence_p_value(m, np.ones((20_000, 2))) == 1.0


def test_same_results_for_any_number_of_jobs(tmp_path):
    unused = tmp_path / "unused"
    one = pseudo_experiments(search(checkpoint=unused), 3, Falling(), random_state=5, verbose=0)
    with parallel_config(backend="threading"):
        two = pseudo_experiments(search(), 3, Falling(), random_state=5, verbose=0, n_jobs=2)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert one["experiment"].tolist() == [0, 1, 2] and one["n_observed"].nunique() > 1
    assert one.attrs["generate"] == "given" and not unused.exists()


def test_what_is_finished_is_never_run_again(tmp_path, monkeypatch, capsys):
    hunt = search(efficiencies=(1.0, 0.1)).fit(Falling()(0))
    options = {"random_state": 3, "verbose": 0}
    expected = pseudo_experiments(hunt, 4, **options)
    real, calls = module._experiment, []

    def stops(work, number, archive):
        if number == 2 and not calls.count(2):
            calls.append(number)
            raise KeyboardInterrupt
        calls.append(number)
        return real(work, number, archive)

    monkeypatch.setattr(module, "_experiment", stops)
    with pytest.raises(KeyboardInterrupt):
        pseudo_experiments(hunt, 4, folder=tmp_path, **options)
    assert calls == [0, 1, 2]
    damaged = tmp_path / "experiment_00000.json"
    damaged.write_text(damaged.read_text()[:-40])
    changed = tmp_path / "experiment_00001.json"
    changed.write_text(changed.read_text().replace('"z_local": [', '"z_local": [1'))
    with pytest.warns(CheckpointWarning) as caught:
        again = pseudo_experiments(hunt, 4, folder=tmp_path, **options | {"verbose": 1})
    assert sorted(calls) == [0, 0, 1, 1, 2, 2, 3]
    said = " ".join(str(warning.message) for warning in caught)
    assert damaged.name in said and changed.name in said
    pd.testing.assert_frame_equal(again, expected, check_exact=True)
    assert "4 experiments of" in capsys.readouterr().err
    # Fewer and more of them come from the same files, with the seeds they had.
    fewer = pseudo_experiments(hunt, 2, folder=tmp_path, **options)
    pd.testing.assert_frame_equal(fewer, expected[expected["experiment"] < 2], check_exact=True)
    assert len(calls) == 7
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_belongs_to_one_search(tmp_path):
    hunt = search(efficiencies=(1.0,)).fit(Falling()(0))
    pseudo_experiments(hunt, 1, folder=tmp_path, random_state=0, verbose=0)
    other_data = clone(hunt).fit(Falling()(1))
    other_settings = clone(hunt).set_params(sqrt_s=14.0).fit(Falling()(0))
    for wrong, seed in ((other_data, 0), (other_settings, 0), (hunt, 1)):
        with pytest.raises(ValueError, match="pseudo-experiments of another search"):
            pseudo_experiments(wrong, 1, folder=tmp_path, random_state=seed, verbose=0)
    more_jobs = clone(hunt).set_params(n_jobs=2, verbose=1).fit(Falling()(0))
    pseudo_experiments(more_jobs, 1, folder=tmp_path, random_state=0, verbose=0)
    with pytest.raises(ValueError, match="needs an int random_state"):
        pseudo_experiments(hunt, 1, folder=tmp_path, verbose=0)
    with pytest.raises(ValueError, match="can be pickled"):
        pseudo_experiments(hunt, 1, lambda rng: None, folder=tmp_path, random_state=0, verbose=0)
    with pytest.raises(ValueError, match="callable or one of"):
        pseudo_experiments(hunt, 1, "density")
    with pytest.raises(ValueError, match="n_experiments must be"):
        pseudo_experiments(hunt, 0)


def test_says_how_long_it_will_take(capsys):
    pseudo_experiments(search(efficiencies=(1.0,)), 3, Falling(), random_state=0)
    said = capsys.readouterr().err
    assert "2 experiments of" in said and "features" not in said
    hunt = search(efficiencies=(1.0,)).fit(Falling()(0))
    hunt._core_seconds = 7200.0
    pseudo_experiments(hunt, 3, random_state=0)
    said = capsys.readouterr().err
    assert "3 experiments of 2.0 h, 1 at a time: about 6.0 h." in said
    assert "features resampled, no dependence on m" in said


def table(z, trusted=True, reason="", n_windows=2):
    """Experiments as rows of z, one column per window."""
    z = np.asarray(z, dtype=float)
    rows = pd.DataFrame({"z_raw": z.ravel(), "experiment": np.repeat(range(len(z)), n_windows)})
    rows["z_local"] = rows["z_raw"]
    rows["efficiency"], rows["reason"] = 0.1, reason
    rows["trusted"] = np.broadcast_to(trusted, z.shape).ravel()
    return rows


def test_calibrated_global_p_values_are_uniform_without_signal():
    """Of correlated and too wide significances, where toys of their correlation are wrong."""
    rng = np.random.default_rng(0)

    def draw(n):
        return 1.4 * (rng.normal(size=(n, 1)) * 0.8 + rng.normal(size=(n, 2)) * 0.6)

    calibration = GlobalCalibration.from_experiments(table(draw(2000)))
    p = [calibration.p_value(stats.norm.sf(z.max())) for z in draw(1000)]
    p, error = np.array(p).T
    assert stats.kstest(p, "uniform").pvalue > 0.01
    np.testing.assert_allclose(error, np.sqrt(p * (1 - p) / 2000))
    assert calibration.p_value(0.0)[0] == pytest.approx(1 / 2001)
    assert np.isnan(calibration.p_value(np.nan)).all()


def test_untrusted_rows_claim_nothing_and_count_as_experiments():
    z = np.zeros((100, 2))
    z[:, 0], z[:, 1] = 5.0, np.linspace(-2, 2, 100)
    trusted = np.ones((100, 2), dtype=bool)
    trusted[:, 0] = False
    trusted[90:] = False
    calibration = GlobalCalibration.from_experiments(table(z, trusted))
    smallest = np.array(calibration.minima[None])
    np.testing.assert_allclose(smallest[:90], stats.norm.sf(z[:90, 1]))
    assert (smallest[90:] == 1).all()
    learned = table(z, False, LEARNED)
    local = SignificanceCalibration(0.0, 2.0, 100)
    smallest = GlobalCalibration.from_experiments(learned, local).minima[0.1]
    np.testing.assert_allclose(smallest, stats.norm.sf(2.5))
    with pytest.raises(ValueError, match="only 0 of 100 experiments have a trusted row"):
        GlobalCalibration.from_experiments(learned)
    z[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 trusted rows have no finite"):
        GlobalCalibration.from_experiments(table(z, trusted))
    with pytest.raises(ValueError, match="as many rows each"):
        GlobalCalibration.from_experiments(table(np.zeros((60, 2)))[1:])
    with pytest.warns(LowStatisticsWarning, match="from 20 pseudo-experiments"):
        GlobalCalibration.from_experiments(table(np.zeros((20, 2))))


def test_a_search_takes_its_global_p_value_from_the_experiments():
    X = Falling()(0)
    hunt = search(efficiencies=(1.0,), random_state=0).fit(X)
    assert np.isnan(hunt.p_global_error_)
    z = hunt.results_["z_raw"][0]
    rows = table(z + np.linspace(-1, 1, 200)[:, None], n_windows=1).assign(efficiency=1.0)
    calibration = GlobalCalibration.from_experiments(rows)
    hunt.set_params(global_calibration=pickle.loads(pickle.dumps(calibration))).fit(X)
    assert hunt.p_global_ == pytest.approx(101 / 201)
    assert hunt.p_global_error_ == pytest.approx(0.5 / np.sqrt(200), rel=1e-3)
    assert hunt.global_["p_global"].tolist() == [hunt.p_global_]
    with pytest.raises(ValueError, match="of a search with 1 rows at the efficiencies"):
        clone(hunt).set_params(efficiencies=(1.0, 0.1)).fit(X)
    with pytest.raises(ValueError, match="another local calibration"):
        clone(hunt).set_params(calibration=SignificanceCalibration(0.1, 1.0, 200)).fit(X)


def test_experiments_know_the_null_distribution_of_the_true_generator():
    """The significances of data made from data, against those of fresh ones."""
    hunt = search(n_parameters=3)
    true = pseudo_experiments(hunt, 40, Falling(), random_state=0, verbose=0)
    own = pd.concat(
        [
            pseudo_experiments(clone(hunt).fit(Falling()(100 + k)), 20, random_state=k, verbose=0)
            for k in range(2)
        ]
    )
    assert stats.ks_2samp(true["z_raw"], own["z_raw"]).pvalue > 0.01
    assert 0.5 < own["z_raw"].std() / true["z_raw"].std() < 1.6


def test_the_study_runs_and_its_record_is_what_it_reports():
    (case,) = benchmark.main(["--quick"])["cases"]
    name, shift, found = case
    # One in twenty data sets seems to depend on m; morphing it does no harm.
    assert (name, shift) == ("Sidebands", 0.0) and "resampled" in found["made"]
    assert [row[:3] for row in found["rows"][:2]] == [["z at 0.1", 4, 4], ["z at 0.02", 4, 4]]
    recorded = json.loads(benchmark.RESULTS.read_text())
    assert benchmark.report(recorded) == benchmark.RESULTS.with_suffix(".md").read_text()
    same = pd.DataFrame({"efficiency": 0.1, "z_raw": np.arange(50.0), "trusted": True})
    same = same.assign(experiment=range(50), data_set=0, p_global=0.5)
    assert benchmark.compare(same, same)[0][-1] == "1.00"
    assert benchmark.compare(same, same.assign(z_raw=same["z_raw"] + 40))[0][-1] == "0.00"
