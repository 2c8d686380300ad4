"""Results print what a person reads; estimators link to their pages."""

import html
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from fast_estimators import fast_estimators

from skad.datasets import load_dijets, make_gaussian_anomaly
from skad.metrics import significance_improvement_curve
from skad.resonant import SignalRegion
from skad.search import fit_spectrum, importance_background
from skad.utils._readable import Bunch

EDGES = np.linspace(2.0, 4.0, 21)
COUNTS = (4000 * np.exp(-3 * EDGES[:-1] / 2)).round()


class Reader(HTMLParser):
    """Text and tags of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize(
    "record, said",
    [
        (fit_spectrum(COUNTS, EDGES, function="polynomial"), ["polynomial", "4 to", "counts"]),
        (importance_background([0.5, 1.0, 2.0, 4.0], [0.9, 1.5]), ["importance", "1.75", "3"]),
        (significance_improvement_curve([0, 1] * 500, np.arange(1000.0)), ["tpr", "sic", "..."]),
        (make_gaussian_anomaly(n_background=10, n_signal=5), ["data", "(15, "]),
        (load_dijets(n_background=10, as_frame=True), ["feature_names", "table of"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_results_print_shortly(record, said):
    text = repr(record)
    assert text.startswith(type(record).__name__)
    assert all(len(line) <= 120 for line in text.splitlines())
    assert 3 <= len(text.splitlines()) <= 40
    reader = Reader()
    reader.feed(record._repr_html_())
    assert {"table", "tr", "td"} <= reader.tags
    for words in said[:1]:
        assert words in text and words in " ".join(reader.text)


def test_numbers_are_those_of_the_record():
    estimate = importance_background([0.5, 1.0, 2.0, 4.0], [0.9, 1.5])
    rows = [line.split() for line in repr(estimate).splitlines()]
    columns = next(row for row in rows if "background" in row and "threshold" in row)
    first = next(row for row in rows if row[0] == "0" and len(row) == len(columns) + 1)
    shown = dict(zip(columns, map(float, first[1:]), strict=True))
    assert shown["background"] == estimate.background[0] == 1.75
    assert shown["n_observed"] == 3


def test_names_are_text_and_never_markup():
    evil = "<script>alert(1)</script>"
    bunch = Bunch(feature_names=[evil], frame=pd.DataFrame({evil: [1.0]}), **{evil: 1})
    bunch["b"] = bunch["a"] = np.arange(3.0)
    assert "script" not in (page := bunch._repr_html_()).replace(html.escape(evil), "")
    assert html.escape(evil) in page
    assert "<script" not in Bunch(**{evil: np.arange(3.0), "x": np.arange(3.0)})._repr_html_()


@pytest.mark.parametrize(
    "region, text",
    [
        (SignalRegion(3.3, 3.7), "SignalRegion(3.3, 3.7)"),
        (SignalRegion(0.4, 0.6, quantile=True), "SignalRegion(0.4, 0.6, quantile=True)"),
        (
            SignalRegion(3.3, 3.7, feature=0, sideband_width=(0.2, 0.4)),
            "SignalRegion(3.3, 3.7, feature=0, sideband_width=(0.2, 0.4))",
        ),
    ],
)
def test_region_prints_as_it_is_written(region, text):
    assert repr(region) == text
    assert eval(text) == region


@pytest.mark.parametrize("name, estimator", fast_estimators().items())
def test_estimators_link_to_their_pages(name, estimator, monkeypatch):
    monkeypatch.setenv("SKAD_DOCS", "https://docs.example/{skad}/")
    room = type(estimator).__module__.split(".")[1]
    page = f"https://docs.example/{{skad}}/api/generated/skad.{room}.{name}.html"
    assert estimator._get_doc_link() == page
    assert page in estimator._repr_html_()


def test_folder_of_built_pages_is_an_address(tmp_path, monkeypatch):
    folder = tmp_path / "built pages"
    (folder / "api" / "generated").mkdir(parents=True)
    monkeypatch.setenv("SKAD_DOCS", str(folder))
    page = folder / "api" / "generated" / "skad.density.FlowDensity.html"
    assert fast_estimators()["FlowDensity"]._get_doc_link() == page.as_uri()


@pytest.mark.parametrize("named", [None, "no-such-folder"])
def test_no_pages_is_no_link(named, monkeypatch):
    monkeypatch.delenv("SKAD_DOCS", raising=False)
    if named:
        monkeypatch.setenv("SKAD_DOCS", named)
    estimator = fast_estimators()["FlowDensity"]
    assert estimator._get_doc_link() == ""
    assert "api/generated" not in estimator._repr_html_()
