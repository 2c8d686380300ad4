"""Settings files: what they build, and errors with file, line and the nearest right name."""

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline
from small_analysis import SETTINGS

from skad.cli import read_settings
from skad.cli._build import build
from skad.cli._init import settings_template
from skad.cli._search import build_hunt
from skad.cli._settings import _line_of
from skad.detectors import VotingDetector
from skad.exceptions import MissingColumnError, SettingsError
from skad.resonant import SignalRegion, TemplateDetector

pytest_plugins = ["command_line"]


def test_builds_what_it_says(write):
    hunt = build_hunt(read_settings(write()))
    assert isinstance(hunt.detector, IsolationForest) and hunt.detector.n_estimators == 10
    assert hunt.windows == [[3.1, 3.5], [3.3, 3.7]] and hunt.n_folds == 2


def test_nested_tables_shorthand_none_and_tuples(write):
    table = """\
name = "TemplateDetector"
cv = "none"
template = "Sidebands"
[detector.classifier]
name = "NetworkClassifier"
hidden_layer_sizes = [16, 16]
"""
    settings = read_settings(write(('name = "IsolationForest"\nn_estimators = 10\n', table)))
    detector = build(settings, ["detector"])
    assert isinstance(detector, TemplateDetector) and detector.cv is None
    assert type(detector.template).__name__ == "Sidebands"
    assert list(detector.classifier.hidden_layer_sizes) == [16, 16]


def test_lists_of_named_tables_become_pairs(write):
    table = """\
name = "VotingDetector"
detectors = [{name = "IsolationForest"}, {name = "IsolationForest", n_estimators = 5}]
"""
    settings = read_settings(write(('name = "IsolationForest"\nn_estimators = 10\n', table)))
    detector = build(settings, ["detector"])
    assert isinstance(detector, VotingDetector)
    assert [each.n_estimators for _, each in detector.detectors] == [100, 5]
    assert len({name for name, _ in detector.detectors}) == 2


def test_scan_coordinates_and_papers(write):
    windows = "windows = [[3.1, 3.5], [3.3, 3.7]]"
    path = write(
        (windows, "scan = {low = 3.0, high = 4.0, width = 0.5}"),
        ("[search]", '[coordinates]\nname = "RobustScaler"\n\n[search]'),
    )
    hunt = build_hunt(read_settings(path))
    assert hunt.windows == SignalRegion.scan(3.0, 4.0, width=0.5)
    assert isinstance(hunt.detector, Pipeline)
    path = write(('"IsolationForest"\nn_estimators = 10', '"papers.cwola_hunting"'))
    hunt = build_hunt(read_settings(path))
    assert isinstance(hunt.detector, TemplateDetector)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("n_folds = 2", "n_fold = 2", 15, "Did you mean 'n_folds'?"),
        ("n_folds = 2", "n_folds = 1", 15, r"must be an int in the range \[2, inf\). Got 1"),
        ('"IsolationForest"', '"IsolatonForest"', 8, "Did you mean 'IsolationForest'?"),
        ("n_estimators = 10", "n_estimator = 10", 9, "Did you mean 'n_estimators'?"),
        ("n_estimators = 10", "n_estimators = -1", 9, "Got -1"),
        ("[detector]", "[detectr]", 7, "Did you mean 'detector'?"),
        ("path =", "pth =", 4, "Did you mean 'path'?"),
        ("random_state = 1", 'random_state = "x"', 17, "random_state"),
        (
            "efficiencies = [1.0, 0.1]",
            'efficiencies = [1.0, 0.1]\nspectrum = "dijets"',
            15,
            "dijet",
        ),
        ("windows = [", "scan = 3\nwindows = [", 13, "one of them"),
    ],
)
def test_errors_name_line_and_right_name(write, analysis, old, new, line, message, skad):
    path = write((old, new))
    code, _, err = skad("search", path)
    assert code == 2
    assert f"changed.toml, line {line}: " in err
    assert message.replace("\\", "") in err


def test_lines_of_any_way_to_write_toml():
    text = """\
# a comment

[search]
windows = [
  [3.1, 3.5],  # one
  [3.3, 3.7],
]
n_folds = 2
a.b.c = 1
inline = {x = 1, y = 2}
text = '''
n_folds = 99
'''
[[features]]
name = "A"
[[features]]
name = "B"
"""
    assert _line_of(text, ["search"]) == 3
    assert _line_of(text, ["search", "windows"]) == 4
    assert _line_of(text, ["search", "n_folds"]) == 8
    assert _line_of(text, ["search", "a", "b", "c"]) == 9
    assert _line_of(text, ["search", "inline", "y"]) == 10
    assert _line_of(text, ["features", 0, "name"]) == 15
    assert _line_of(text, ["features", 1, "name"]) == 17
    assert _line_of(text, ["features", 1, "none"]) is None


def test_no_toml_is_an_error_with_its_line(write, skad):
    code, _, err = skad("search", write(("n_folds = 2", "n_folds = = 2")))
    assert code == 2 and "line 15" in err


def test_errors_of_the_fit_get_their_line(write, skad):
    code, _, err = skad("search", write(("efficiencies = [1.0, 0.1]", "efficiencies = [2.0]")))
    assert code == 2 and "changed.toml, line 14: efficiencies must hold fractions" in err


def test_coordinates_of_a_detector_that_reads_the_mass_are_refused(write):
    path = write(
        ('"IsolationForest"\nn_estimators = 10', '"TemplateDetector"\ntemplate = "Sidebands"'),
        ("[search]", '[coordinates]\nname = "RobustScaler"\n\n[search]'),
    )
    with pytest.raises(SettingsError, match="reads the resonant feature"):
        build_hunt(read_settings(path))


def test_template_is_a_search_that_runs(analysis):
    text = settings_template("search.toml", str(analysis / "events.csv"))
    path = analysis / "template.toml"
    path.write_text(text)
    settings = read_settings(path)
    hunt = build_hunt(settings)
    assert settings.values["input"]["columns"] == ["m", "x1", "x2"]
    assert settings.values["input"]["label"] == "label"
    assert hunt.resonance == "m" and hunt.spectrum == "dijet" and hunt.sqrt_s == 13.0
    assert 4 <= len(hunt.windows) <= 8
    plain = read_settings_text(settings_template("search.toml"))
    assert plain.values["input"]["path"] == "events.parquet"


def read_settings_text(text):
    from pathlib import Path

    from skad.cli._settings import settings_from_text

    return settings_from_text(text, "text", Path.cwd())


def test_template_in_another_unit(tmp_path):
    m = 1000 * (2.5 + 2.4 * pd.Series(range(1000)) / 1000)
    for name, scale, expected in [
        ("gev.csv", 1.0, {"spectrum": "dijet", "sqrt_s": 13000.0}),
        ("mev.csv", 1e-6, {"spectrum": "polynomial"}),
    ]:
        pd.DataFrame({"amount": m * scale, "x": m % 7}).to_csv(tmp_path / name, index=False)
        values = read_settings_text(
            settings_template("s.toml", str(tmp_path / name), resonance="amount")
        ).values["search"]
        assert {key: values.get(key) for key in expected} == expected
        assert ("sqrt_s" in values) == ("sqrt_s" in expected)
        assert values["resonance"] == "amount"


@pytest.mark.parametrize(
    "names, mass",
    [
        (["pt", "M_inv", "m_j1"], "M_inv"),
        (["pt", "invariant mass [GeV]", "jet_mass"], "invariant mass [GeV]"),
        (["pt", "dijet_mass_TeV", "eta"], "dijet_mass_TeV"),
        (["pt", "mass_1", "mass_2"], None),
        (["pt", "x"], None),
    ],
)
def test_resonance_is_the_column_named_like_a_mass(tmp_path, names, mass):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.exponential(200, 500) for name in names})
    frame["event"], frame["row"] = 7, rng.permutation(500)
    frame["n"] = rng.poisson(3, 500)
    frame.to_csv(tmp_path / "a.csv", index=False)
    if mass is None:
        with pytest.raises(MissingColumnError, match=r"--resonance; there are: pt, "):
            settings_template("s.toml", str(tmp_path / "a.csv"))
        return
    text = settings_template("s.toml", str(tmp_path / "a.csv"))
    search = read_settings_text(text)
    assert search.values["search"]["resonance"] == mass
    assert search.values["input"]["columns"] == [*names, "n"]
    assert "# left out: event, row" in text


def test_relative_paths_start_at_the_file(write, analysis):
    assert read_settings(write()).path("events.csv") == str(analysis / "events.csv")
    assert SETTINGS.startswith("title")
