"""The demo runs end to end, and is the search of its settings file."""

import json

import pandas as pd

from skad.cli import read_settings
from skad.cli._search import build_hunt
from skad.demo import main


def test_demo_is_a_search_with_a_report(tmp_path, capsys):
    options = [
        "--events",
        "8000",
        "--signal",
        "160",
        "--trees",
        "1",
        "--jobs",
        "1",
    ]
    report = main(["--output", str(tmp_path), *options])
    out = capsys.readouterr().out
    page = tmp_path / "results" / "report.html"
    assert page.resolve().as_uri() in out and page.stat().st_size > 100_000
    assert report.content["answer"]["text"] in out
    assert "Over all windows and cuts: p = " in out
    assert "TeV at efficiency" in out and "at 95 % confidence the data hold no more than" in out
    content = json.loads((tmp_path / "results" / "search.json").read_text())
    assert content == json.loads(report.json())
    assert content["record"]["data"]["columns"][0] == "mjj"
    table = pd.read_csv(tmp_path / "results" / "results.csv")
    assert len(table) == 9
    # The signal of 3.5 TeV is that of the window around it.
    cut = table[table["efficiency"] == 0.01]
    assert cut["z_local"].idxmax() == cut.index[(cut["low"] < 3.5) & (cut["high"] > 3.5)][0]
    hunt = build_hunt(read_settings(tmp_path / "search.toml"))
    assert hunt.detector.classifier.n_estimators == 1 and hunt.random_state == 0
