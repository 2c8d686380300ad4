"""The commands do what the functions behind them do, and end with the exit codes they document."""

import io
import json
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import RobustScaler

from skad.cli import load_search, main, read_settings, repeat_search, run_search
from skad.cli._events import read_input
from skad.cli._search import _with_kept_limit, build_hunt, search_of
from skad.coordinates import DijetCoordinates
from skad.datasets import load_dijets, make_resonance
from skad.io import read_events, write_events
from skad.report import SearchReport
from skad.search import upper_limit

# In a conftest.py of this folder they would hide the one of all tests.
pytest_plugins = ["command_line"]


@pytest.fixture(scope="module")
def results(analysis):
    """Results of the small search, written once."""
    run_search(analysis / "search.toml", analysis / "results")
    return analysis / "results"


def test_help_is_quick_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from skad.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    seconds = []
    for _ in range(3):
        started = time.process_time()
        before = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        seconds.append(time.perf_counter() - before)
        assert time.process_time() - started < 1
    loaded = set(json.loads(run.stdout.splitlines()[-1].replace("'", '"')))
    assert loaded.isdisjoint({"numpy", "sklearn", "torch", "pandas", "matplotlib", "jinja2"})
    # 0.3 s on a machine that does nothing else; the tests share it.
    assert min(seconds) < 1.0


def test_every_command_has_a_help(skad):
    code, out, _ = skad("--help")
    assert code == 0 and "Exit codes" in out
    for name in (
        "search",
        "limit",
        "report",
        "compare",
        "fit",
        "score",
        "features",
        "fetch",
        "info",
    ):
        assert f"  {name} " in out
        code, text, _ = skad(name, "--help")
        assert code == 0 and text.startswith(f"Usage: skad {name}")


def test_search_is_the_bump_hunt_of_its_settings(analysis, results):
    settings = read_settings(analysis / "search.toml")
    events = read_input(settings, truth=True)
    assert list(events.X.columns) == ["m", "x1", "x2"] and events.truth.sum() == 40
    hunt = build_hunt(settings).fit(events.X)
    table = pd.read_csv(results / "results.csv")
    for name in ("n_observed", "background", "z_local", "p_local"):
        np.testing.assert_allclose(table[name], hunt.results_[name], rtol=1e-12)
    content = json.loads((results / "search.json").read_text())
    assert content["p_global"] == hunt.p_global_
    assert [row["z_local"] for row in content["results"]] == hunt.results_["z_local"].tolist()


def test_limit_is_that_of_the_settings(skad, analysis, caplog):
    settings = analysis / "limit.toml"
    signal = make_resonance(0, 900, n_features=2, random_state=1, as_frame=True)
    write_events(signal.data.assign(label=signal.target), analysis / "signal.csv")
    text = (analysis / "search.toml").read_text()
    more = (
        '\n[limit]\nsignal = "signal.csv"\nlabel = "label"\nstrengths = [30, 400]\nn_refits = 1\n'
    )
    settings.write_text(text + more)
    code, out, _ = skad("-q", "limit", settings, "--json", "-o", analysis / "limit")
    found = json.loads(out)
    assert code == 0
    events = read_input(read_settings(settings))
    hunt = build_hunt(read_settings(settings)).fit(events.X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit = upper_limit(hunt, signal.data, [30, 400], n_refits=1, random_state=1)
    assert np.isfinite(limit.observed) and found["observed"] == limit.observed
    assert found["limits"] == json.loads((analysis / "limit" / "limit.json").read_text())["limits"]
    table = pd.read_csv(analysis / "limit" / "limits.csv")
    np.testing.assert_allclose(table["expected"], limit.table["expected"])
    content = json.loads((analysis / "limit" / "search.json").read_text())
    assert content["limit"]["observed"] == limit.observed
    assert content["limit"]["signal"] == "signal.csv" and content["limit"]["into"] == limit.into
    assert "CLs against the number" in (analysis / "limit" / "report.html").read_text()
    code, _, err = skad("limit", settings, "-o", analysis / "limit")
    assert code == 3 and "--overwrite" in err
    (analysis / "limit" / "limit.json").rename(analysis / "limit.json")
    settings.write_text((text + more).replace("random_state = 1", "random_state = 2"))
    code, _, err = skad("limit", settings, "-o", analysis / "limit")
    assert code == 3 and "other settings or events" in err
    # The same search again has the limit, another one has not.
    bare = SearchReport(content | {"limit": None})
    assert _with_kept_limit(bare, analysis).content == content
    bare.content["record"] = content["record"] | {"scores_sha256": "of another"}
    assert _with_kept_limit(bare, analysis).content["limit"] is None
    assert "limit.json is of another search" in caplog.text
    settings.write_text(text + '\n[limit]\nsignal = "signal.csv"\n')
    code, _, err = skad("limit", settings)
    assert code == 2 and "limit needs strengths, for example strengths = [50, 100, 200]" in err


def test_results_remember_what_they_rest_on(analysis, results):
    record = load_search(results)[0].content["record"]
    assert record["settings"] == (analysis / "search.toml").read_text()
    assert (results / "settings.toml").read_text() == record["settings"]
    assert record["seed"] == 1 and record["data"]["n_events"] == 4040
    assert record["data"]["columns"] == ["m", "x1", "x2"] and len(record["data"]["sha256"]) == 64
    assert record["data"]["files"] == ["events.csv"]
    assert set(record["timings"]) == {"read", "search"}
    assert {"skad", "python", "numpy", "scikit-learn"} <= set(
        load_search(results)[0].content["versions"]
    )
    assert {path.suffix for path in (results / "figures").iterdir()} == {".pdf", ".svg"}


def test_repeated_search_is_bitwise_the_same(results, skad):
    code, out, _ = skad("-q", "search", results)
    assert (code, out.strip()) == (0, "bitwise the same")


def test_repeated_search_finds_other_numbers(results, tmp_path, analysis, skad):
    changed = tmp_path / "results"
    changed.mkdir()
    content = json.loads((results / "search.json").read_text())
    content["results"][1]["n_observed"] += 1
    content["versions"]["numpy"] = "1.0"
    (changed / "search.json").write_text(json.dumps(content))
    code, out, _ = skad("-q", "search", changed, "--json")
    assert code == 4
    found = json.loads(out)
    assert not found["same"]
    assert [line.partition(":")[0] for line in found["differences"]] == [
        "row 1, n_observed",
        "version of numpy",
    ]
    # Other events are noticed by their fingerprint.
    content["record"]["folder"] = str(tmp_path)
    events = read_events(analysis / "events.csv")
    events.loc[0, "x1"] += 1e-9
    write_events(events, tmp_path / "events.csv")
    (changed / "search.json").write_text(json.dumps(content))
    assert repeat_search(changed)[0].startswith("data: ")


def test_search_of_standard_input_prints_its_answer(analysis, skad, tmp_path, monkeypatch):
    monkeypatch.chdir(analysis)
    text = (analysis / "search.toml").read_text()
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out, err = skad("search", "-", "--output", tmp_path / "results", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["verdict"] in out and answer["n_tests"] == 4
    assert "held-out scores" in err and "4040 events" in err
    assert (tmp_path / "results" / "report.html").exists()
    code, _, err = skad("-q", "search", "search.toml", "--output", tmp_path / "results")
    assert code == 3 and "--overwrite" in err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('path = "events.csv"', 'path = "event.csv"', "event.csv"),
        ('resonance = "m"', 'resonance = "mm"', "Did you mean 'm'?"),
        ("[[3.1, 3.5], [3.3, 3.7]]", "[[31.0, 35.0]]", "outside the data"),
        ('label = "label"', 'label = "lable"', "Did you mean 'label'?"),
        ('label = "label"', "", "looks like truth labels"),
    ],
)
def test_wrong_inputs_are_refused(write, skad, old, new, message):
    code, _, err = skad("-q", "search", write((old, new)))
    assert code in (2, 3) and message in err and "Traceback" not in err


def test_init_writes_settings_for_a_file(analysis, tmp_path, skad):
    target = tmp_path / "new.toml"
    code, out, _ = skad("search", "--init", target, "--input", analysis / "events.csv")
    assert code == 0 and str(target) in out
    assert read_settings(target).values["search"]["resonance"] == "m"
    code, _, err = skad("search", "--init", target)
    assert code == 3 and "--overwrite" in err
    options = ["--input", analysis / "events.csv", "--resonance", "mm"]
    code, _, err = skad("search", "--init", "-", *options)
    assert code == 3 and "Did you mean 'm'?" in err
    code, out, _ = skad("search", "--init", "-")
    assert code == 0 and out.startswith("# Settings of a search")


def test_report_in_every_format(results, tmp_path, skad):
    for kind, beginning in [
        ("html", "<!DOCTYPE html>"),
        ("markdown", "# A small search"),
        ("json", "{"),
    ]:
        code, out, _ = skad("report", results, "--format", kind, "-o", "-")
        assert code == 0 and out.startswith(beginning)
    code, out, _ = skad("report", results, "--format", "markdown", "-o", tmp_path / "r.md")
    assert Path(out.strip()).read_text().startswith("# A small search")


def test_features_are_those_of_the_transformer(tmp_path, skad, monkeypatch):
    dijets = load_dijets(n_background=300, n_signal=20, random_state=0, as_frame=True)
    source, target = tmp_path / "jets.csv", tmp_path / "features.parquet"
    write_events(dijets.data.assign(truth=dijets.target), source)
    code, out, _ = skad(
        *["features", source, target, "--features", "mjj,tau21_j1", "--keep", "truth"]
    )
    assert code == 0 and out.strip() == "320 events with mjj, tau21_j1, truth"
    found = read_events(target)
    expected = DijetCoordinates(features=("mjj", "tau21_j1")).fit_transform(dijets.data)
    np.testing.assert_allclose(found[["mjj", "tau21_j1"]], expected, rtol=1e-12)
    assert found["truth"].sum() == 20
    code, out, _ = skad("features", source, "-", "--features", "mjj", "--unit", "GeV")
    assert out.splitlines()[0] == "mjj"
    np.testing.assert_allclose(float(out.splitlines()[1]), 1000 * expected[0, 0])
    code, _, err = skad("features", source, target, "--keep", "trut", "--overwrite")
    assert code == 3 and "no column 'trut'" in err


def test_model_is_fitted_stored_and_scores(analysis, tmp_path, skad, monkeypatch):
    model, target = tmp_path / "model.skad", tmp_path / "scores.parquet"
    code, out, _ = skad(
        *["fit", analysis / "events.csv", "--label", "label", "-o", model],
        *["-d", "IsolationForest{n_estimators = 10, random_state = 3}", "--coordinates"],
        "RobustScaler",
    )
    assert code == 0 and "IsolationForest, 4040 events" in out
    code, out, _ = skad("-q", "score", model, analysis / "events.csv", target, "--keep", "label")
    assert code == 0 and "4040 events scored" in out
    events = read_events(analysis / "events.csv")
    truth = events.pop("label")
    forest = IsolationForest(n_estimators=10, random_state=3)
    expected = make_pipeline(RobustScaler(), forest).fit(events).score_samples(events)
    scores = read_events(target)
    np.testing.assert_array_equal(scores["score_samples"], expected)
    np.testing.assert_array_equal(scores["label"], truth)
    code, _, err = skad("score", model, analysis / "events.csv", target)
    assert code == 3 and "exists" in err
    # CSV through standard input and output.
    text = (analysis / "events.csv").read_bytes().splitlines(keepends=True)[:6]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"".join(text))))
    code, out, _ = skad("-q", "score", model, "-", "-", "--method", "predict")
    assert code == 0 and out.splitlines()[0] == "predict" and len(out.splitlines()) == 6
    code, _, err = skad("fit", analysis / "events.csv", "--label", "label", "-o", model)
    assert code == 3 and "--overwrite" in err
    code, _, err = skad("fit", analysis / "events.csv", "-o", tmp_path / "other.skad")
    assert code == 2 and "no detector to fit" in err


def test_model_with_features_scores_raw_columns(tmp_path, skad):
    dijets = load_dijets(n_background=500, n_signal=20, random_state=0, as_frame=True)
    source = tmp_path / "jets.parquet"
    write_events(dijets.data.assign(truth=dijets.target), source)
    settings = tmp_path / "fit.toml"
    settings.write_text(
        '[input]\npath = "jets.parquet"\nlabel = "truth"\n[features]\n'
        'name = "DijetCoordinates"\nfeatures = ["mj1", "tau21_j1"]\n'
        '[detector]\nname = "IsolationForest"\nn_estimators = 5\n'
    )
    assert skad("fit", settings, "-o", tmp_path / "m.skad")[0] == 0
    code, out, _ = skad("-q", "score", tmp_path / "m.skad", source, tmp_path / "s.csv")
    assert code == 0 and "520 events scored" in out
    assert len(read_events(tmp_path / "s.csv")) == 520


def test_calibrated_search(analysis, write, skad):
    calibration = '[calibration]\nn_experiments = 3\nfolder = "experiments"\nglobal = true\n'
    path = write(
        ("[search]", f"{calibration}\n[search]"),
        ("efficiencies = [1.0, 0.1]", 'efficiencies = [0.1]\nspectrum = "polynomial"'),
        ("windows = [[3.1, 3.5], [3.3, 3.7]]", "windows = [[3.1, 3.5]]"),
        ("n_parameters = 3", "sculpting_alpha = 0"),
    )
    settings = read_settings(path)
    report, _ = search_of(settings)
    assert len(list((analysis / "experiments").glob("experiment_*.json"))) == 3
    (row,), (entry,) = report.content["results"], report.content["calibration"]
    assert row["z_local"] == pytest.approx((row["z_raw"] - entry["mean"]) / entry["std"])
    plain = build_hunt(settings).fit(read_input(settings).X)
    assert row["z_raw"] == plain.results_["z_raw"][0]
    assert report.content["p_global"] in (0.25, 0.5, 0.75, 1.0)
    categories = {each["category"] for each in report.content["record"]["warnings"]}
    assert "LowStatisticsWarning" in categories
    code, _, err = skad("search", write(("[search]", "[calibration]\nn_jobs = 1\n[search]")))
    assert code == 2 and "calibration needs n_experiments" in err


def test_weighted_search(analysis, write):
    events = read_events(analysis / "events.csv")
    weight = 0.5 + (np.arange(len(events)) % 3)
    write_events(events.assign(w=weight), analysis / "weighted.csv", overwrite=True)
    path = write(
        ("events.csv", "weighted.csv"),
        ('label = "label"', 'label = "label"\nweight = "w"'),
    )
    settings = read_settings(path)
    found = read_input(settings)
    assert list(found.X.columns) == ["m", "x1", "x2"]
    np.testing.assert_array_equal(found.weight, weight)
    report, _ = search_of(settings)
    for row in report.content["results"]:
        if row["efficiency"] == 1:
            inside = found.X["m"].between(row["low"], row["high"], inclusive="left")
            assert row["n_observed"] == pytest.approx(weight[inside].sum())
    shown = report.content["results"][report.content["shown"]]
    inside = found.X["m"].between(shown["low"], shown["high"], inclusive="left")
    scored = report.content["scores"]
    assert sum(scored["region"]) == pytest.approx(weight[inside].sum())


def test_comparison_ranks_with_labels(analysis, tmp_path, skad):
    target = tmp_path / "comparison.html"
    code, out, _ = skad(
        *["-q", "compare", analysis / "events.csv", "-o", target],
        *["-d", "IsolationForest{n_estimators = 10}", "-d", "IsolationForest"],
    )
    assert code == 0 and "max SIC" in out and "IsolationForest 2" in out
    content = json.loads(target.with_suffix(".json").read_text())
    assert content["n_signal"] == 40 and content["record"]["seed"] == 0
    code, out, _ = skad("report", target.with_suffix(".json"), "--format", "markdown", "-o", "-")
    assert out.startswith("# Comparison of detectors")


def test_columns_are_chosen_on_the_command_line(tmp_path, skad):
    text = pd.DataFrame({"a": np.arange(200.0), "b": "word", "c": np.arange(200.0) % 7})
    text.to_csv(tmp_path / "text.csv", index=False)
    options = ["-d", "IsolationForest{n_estimators = 2}", "-o", tmp_path / "c.html", "--json"]
    code, _, err = skad("-q", "compare", tmp_path / "text.csv", *options)
    assert code == 3 and "holds text" in err
    for columns, expected in (("flat", ["a", "c"]), ("c", ["c"])):
        code, out, _ = skad("-q", "compare", tmp_path / "text.csv", *options, "--columns", columns)
        assert code == 0
        assert json.loads(out)["record"]["data"]["columns"] == expected


def test_comparison_from_settings(analysis, tmp_path, skad):
    path = analysis / "compare.toml"
    path.write_text(
        '[input]\npath = "events.csv"\nlabel = "label"\n[detectors.few]\n'
        'name = "IsolationForest"\nn_estimators = 5\n[detectors.more]\nname = "IsolationForest"\n'
        "[compare]\nfraction = 0.1\n"
    )
    code, out, _ = skad("-q", "compare", path, "--json", "-o", tmp_path / "c.html")
    assert code == 0 and {row["name"] for row in json.loads(out)["detectors"]} == {"few", "more"}
    path.write_text(path.read_text().replace("fraction =", "fractoin ="))
    code, _, err = skad("-q", "compare", path)
    assert code == 2 and "line 10" in err and "Did you mean 'fraction'?" in err


def test_info_for_machines(skad):
    code, out, _ = skad("info", "--json")
    found = json.loads(out)
    assert code == 0 and found["versions"]["numpy"] == np.__version__ and "cpu" in found["devices"]
    code, out, _ = skad("info")
    assert f"numpy          {np.__version__}" in out


def test_fetch_finds_what_is_shipped(tmp_path, skad):
    code, out, _ = skad("fetch", "jets", "-o", tmp_path / "jets.parquet")
    assert code == 0 and "truth" in read_events(out.strip(), rows=slice(0, 1)).columns
    code, _, err = skad("fetch", "lhco")
    assert code == 3 and "Did you mean 'lhco-rd'?" in err


def test_bugs_show_their_traceback(monkeypatch, skad):
    monkeypatch.setattr("skad.report.show_versions", lambda: 1 / 0)
    code, _, err = skad("info")
    assert code == 1 and "Traceback" in err


def test_interrupt_has_its_exit_code(monkeypatch, skad):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("skad.report.show_versions", interrupt)
    code, _, err = skad("info")
    assert code == 130 and "interrupted" in err


def test_usage_is_explained(skad):
    assert skad("search")[0] == 2
    assert skad("serch")[0] == 2
    with pytest.raises(SystemExit):
        main(["--version"])
