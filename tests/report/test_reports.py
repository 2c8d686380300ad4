"""Reports: the numbers of the hunt, one page that needs nothing, looked at in a real browser."""

import copy
import json
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from browser import find_browser, look_at
from sklearn.compose import ColumnTransformer
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skad.datasets import make_gaussian_anomaly, make_resonance
from skad.detectors import CWoLaDetector
from skad.exceptions import LowStatisticsWarning, SkadWarning
from skad.report import ComparisonReport, SearchReport, compare_detectors, read_report
from skad.report._document import _template
from skad.report._limit import limit_figure, limit_section
from skad.resonant import SignalRegion
from skad.search import BumpHunt, SignificanceCalibration
from skad.search._upper_limit import limits_of

HOSTILE = "<img src=x onerror=alert(1)>|x"


@pytest.fixture(scope="module")
def hunted():
    X, _ = make_resonance(5000, 60, n_features=3, random_state=0, return_X_y=True)
    X = pd.DataFrame(X, columns=["mjj", "mj1", HOSTILE, "tau21_j1"])
    hunt = BumpHunt(
        IsolationForest(n_estimators=10),
        SignalRegion.scan(3.0, 4.0, width=0.4, step=0.3),
        efficiencies=(1.0, 0.1, 0.02),
        n_folds=2,
        n_parameters=3,
        sculpting_alpha=1e-4,
        calibration=SignificanceCalibration(0.1, 1.1, 60),
        random_state=0,
    )
    with warnings.catch_warnings():
        # The report says what they say.
        warnings.simplefilter("ignore", SkadWarning)
        return hunt.fit(X), X


@pytest.fixture(scope="module")
def report(hunted):
    hunt, X = hunted
    record = {
        "settings": "title = '<b>'\n",
        "seed": 0,
        "data": {"files": ["events.csv"], "n_events": len(X)},
        "warnings": [{"category": "SculptingWarning", "message": "a <cut>", "count": 2}],
        "timings": {"search": 1.5},
    }
    return SearchReport.from_hunt(hunt, X, title="A <search>", record=record)


@pytest.fixture(scope="module")
def limited(hunted, report):
    """The report with a limit of two tests, and the limit."""
    hunt, _ = hunted
    rows = hunt.results_.query("low < 3.5 < high and efficiency > 0.05").index
    efficiencies = pd.DataFrame(
        [
            {"row": i, "efficiency": hunt.results_["efficiency"][row], "strength": strength}
            | {"signal_efficiency": (0.8, 0.4)[i] * factor, "absorbed": 0.0, "error": 0.01}
            | {"refit": refit, "z_local": strength / 40 + refit}
            for strength in (20.0, 80.0, 320.0)
            for refit, factor in enumerate((0.9, 1.1))
            for i, row in enumerate(rows[-2:])
        ]
    )
    limit = limits_of(hunt, rows[-2:], [0, 1], efficiencies, random_state=0)
    return report.with_limit(limit, signal=HOSTILE), limit


@pytest.fixture(scope="module")
def comparison():
    X, y = make_resonance(2000, 200, n_features=2, random_state=0, return_X_y=True)
    detectors = {
        "forest": make_pipeline(FunctionTransformer(np.log1p), IsolationForest(n_estimators=10)),
        "ellipse": EllipticEnvelope(),
    }
    cv = StratifiedShuffleSplit(2, test_size=0.5, random_state=0)
    return compare_detectors(
        detectors, np.abs(X), y, cv=cv, random_state=0, title="Two <detectors>"
    )


def test_content_is_that_of_the_hunt(hunted, report):
    hunt, _ = hunted
    content = report.content
    assert [row["p_local"] for row in content["results"]] == hunt.results_["p_local"].tolist()
    assert content["best"] == hunt.best_ and content["p_global"] == hunt.p_global_
    best = hunt.results_.loc[hunt.best_]
    assert content["answer"]["z_local"] == best["z_local"]
    assert f"{best['n_observed']:.0f} events" in content["answer"]["text"]
    fit = hunt.fits_[3]
    np.testing.assert_allclose(content["spectra"][3]["expected"], fit.expected())
    assert content["mass"] == {"name": "mjj", "label": "$m_{jj}$ [TeV]", "unit": "TeV"}
    assert content["calibration"][0] == {
        "efficiency": 1.0,
        "mean": 0.1,
        "std": 1.1,
        "n_experiments": 60,
    }


def test_sculpting_is_tested_as_in_the_hunt(hunted, report):
    hunt, _ = hunted
    for row, test in zip(hunt.results_.itertuples(), report.content["sculpting"], strict=True):
        if row.efficiency < 1:
            assert test["p_value"] == pytest.approx(row.sculpting_p)
            assert test["spread"] == pytest.approx(row.sculpting_spread)


def test_most_anomalous_events_are_those_of_the_scores(hunted, report):
    hunt, X = hunted
    window = int(hunt.results_["window"][report.content["shown"]])
    inside = hunt.regions_[window].mask(X["mjj"])
    scores = np.where(inside, hunt.scores_[window], -np.inf)
    rows = report.content["events"]["rows"]
    assert [row[0] for row in rows[:5]] == np.argsort(-scores)[:5].tolist()
    np.testing.assert_allclose(rows[0][2:], X.iloc[rows[0][0]])
    scored = report.content["scores"]
    assert sum(scored["region"]) == inside.sum()


def test_features_compare_what_passes(hunted, report):
    hunt, X = hunted
    shown = report.content["shown"]
    window = int(hunt.results_["window"][shown])
    inside = hunt.regions_[window].mask(X["mjj"])
    passed = hunt.selected_[shown]
    for feature in report.content["features"]:
        assert sum(feature["window"]) == inside.sum()
        assert sum(feature["selected"]) == (passed & inside).sum()
        assert sum(feature["sidebands"]) == (passed & ~inside).sum()
    shifts = [feature["shift"] for feature in report.content["features"]]
    assert shifts == sorted(shifts, reverse=True) and len(shifts) == 3


def test_limits_are_those_of_the_search(report, limited):
    made, limit = limited
    content = made.content["limit"]
    assert report.content["limit"] is None and "Upper limit" not in report.markdown()
    assert content["observed"] == limit.observed and content["best"] == limit.best
    assert content["expected"] == limit.expected.tolist()
    assert [row["expected"] for row in content["limits"]] == limit.table["expected"].tolist()
    best = limit.limits[limit.best]
    # CLs crosses 5 % where the limit is.
    crossing = np.interp(-0.05, -np.array(content["scan"]["observed"]), content["scan"]["strength"])
    assert crossing == pytest.approx(limit.observed, rel=0.02)
    assert len(content["scan"]["expected"]) == len(best.scan_strength)
    efficiency = (0.8, 0.4)[limit.best]
    for row, strength in zip(content["refits"], (20, 80, 320), strict=True):
        assert (row["strength"], row["refits"]) == (strength, 2)
        assert row["signal_efficiency"] == pytest.approx(efficiency)
        assert row["spread"] == pytest.approx(0.2 * efficiency / np.sqrt(2))
        assert row["z_local"] == pytest.approx(strength / 40 + 0.5)


def test_a_limit_is_a_section_with_table_and_figure(limited):
    made, limit = limited
    section = made.markdown().partition("## Upper limit")[2].partition("\n## ")[0]
    assert f"The data hold no more than {limit.observed:.3g} events" in section
    assert "The signal: \\<img src=x" in section and "into the data themselves" in section
    lines = [line for line in section.splitlines() if line.startswith("| 3.")]
    assert [line.split("|")[8].strip() for line in lines] == [
        f"{value:.4g}" for value in limit.table["observed"]
    ]
    (figure,) = (figure for figure in made.figures() if figure.name == "limit")
    document = replace(made._drawn, sections=[limit_section(made.content, [figure])])
    text = _template("report.html").render(document=document)
    page = Page(text)
    assert "<img src=x" not in text and "&lt;img src=x onerror" in text
    assert [image["alt"] for image in page.all("img")] == [figure.alt]
    ax = figure.drawn.axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["observed"], limit.limits[limit.best].scan_observed)


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_a_limit_beyond_the_strengths_and_one_of_another_search(hunted, report, limited):
    hunt, _ = hunted
    _, limit = limited
    few = limit.efficiencies.query("strength == 20")
    rows = limit.table["row"]
    beyond = report.with_limit(limits_of(hunt, rows[:1], [0], few, random_state=0))
    assert beyond.content["limit"]["observed"] is None
    assert "The limit is above 20, the largest number" in beyond.markdown()
    assert "above 20" in limit_figure(beyond.content).alt
    table = limit.table.assign(n_observed=limit.table["n_observed"] + 1)
    with pytest.raises(ValueError, match="limit is of another search"):
        report.with_limit(replace(limit, table=table))


def test_json_round_trip_gives_the_same_page(report, limited, comparison, tmp_path):
    made_of = ((report, SearchReport), (limited[0], SearchReport), (comparison, ComparisonReport))
    for made, cls in made_of:
        path = tmp_path / "report.json"
        path.write_text(made.json())
        again = read_report(path)
        assert type(again) is cls and again.json() == made.json()
        assert again.markdown() == made.markdown()
    assert "NaN" not in report.json()
    with pytest.raises(ValueError, match="holds the schema None"):
        path.write_text("{}")
        read_report(path)
    with pytest.raises(ValueError, match="must be a dict of the schema"):
        SearchReport({"schema": "other"})


def test_docstrings_document_the_schema(report, limited, comparison):
    of_limit = limited[0].content["limit"]
    inner = set(of_limit) | set(of_limit["refits"][0]) | set(of_limit["scan"])
    assert inner <= set(re.findall(r"`(\w+)`", SearchReport.__doc__))
    for made in (report, comparison):
        named = set(re.findall(r"`(\w+)`", type(made).__doc__))
        assert set(made.content) <= named
    assert set(report.content["answer"]) <= set(re.findall(r"`(\w+)`", SearchReport.__doc__))
    rows = comparison.content["detectors"]
    suffixed = {name.removesuffix("_low").removesuffix("_high") for row in rows for name in row}
    assert suffixed <= set(re.findall(r"`(\w+)`", ComparisonReport.__doc__))


def test_markdown_says_the_answer_first_and_keeps_its_tables(report):
    lines = report.markdown().splitlines()
    assert lines[0] == "# A <search>" and lines[2].startswith("Is there a resonance in mjj")
    assert report.content["answer"]["text"] in lines[4]
    tables = [line for line in lines if line.startswith("|")]
    header = next(line for line in tables if line.startswith("| event "))
    cells = re.split(r"(?<!\\)\|", header)
    row = tables[tables.index(header) + 2]
    assert len(re.split(r"(?<!\\)\|", row)) == len(cells) == 8


class Page(HTMLParser):
    """Collects the elements of a page, and complains where they are not nested."""

    VOID = {"meta", "link", "img", "br", "input"}

    def __init__(self, text):
        super().__init__()
        self.open, self.found = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.mark.parametrize("which", ["report", "comparison"])
def test_page_is_one_small_accessible_file(which, request):
    made = request.getfixturevalue(which)
    text = made.html()
    assert len(text.encode()) < 3_000_000
    page = Page(text)
    images = page.all("img")
    assert len(images) >= (8 if which == "report" else 2)
    for image in images:
        assert image["src"].startswith("data:image/svg+xml;base64,") and len(image["alt"]) > 30
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", text)
    assert not re.search(r"@import|url\(", text)
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link["href"][1:] for link in page.all("a")]
    assert set(links) <= set(ids)
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
    # A hostile name of a column or a title is text.
    assert "<img src=x" not in text and "<search>" not in text and "<detectors>" not in text


def test_figures_say_what_they_show(report):
    names = [figure.name for figure in report.figures()]
    assert names == [
        "p-values",
        "before",
        "after",
        "closure",
        "sculpting",
        "calibration",
        "scores",
        "features",
    ]
    shown = report.content["results"][report.content["shown"]]
    assert f"{shown['n_observed']} events" in report.figures()[2].alt
    assert all(figure.svg.startswith("<?xml") for figure in report.figures())


def test_notebooks_show_the_page_in_a_frame_of_its_own(report):
    frame = report._repr_html_()
    assert frame.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts"' in frame
    page = Page(frame)
    assert page.all("iframe")[0]["srcdoc"] == report.html()


def test_search_without_a_trusted_test_says_nothing(hunted):
    hunt, X = hunted
    strict = BumpHunt(**(hunt.get_params(deep=False) | {"fit_alpha": 1.0, "calibration": None}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkadWarning)
        strict.fit(X)
    report = SearchReport.from_hunt(strict, X)
    assert report.content["answer"]["verdict"] == "no statement"
    assert "None of the 9 tests can be trusted" in report.content["answer"]["text"]
    assert "does not describe the sidebands" in report.content["cautions"][0]
    assert "No statement" in report.markdown()
    assert len(report.html()) > 10_000


def test_answer_names_an_untrusted_test_that_claims_more(hunted):
    hunt, X = hunted
    hunt = copy.deepcopy(hunt)
    row = next(i for i in range(len(hunt.results_)) if i != hunt.best_)
    columns = ["z_local", "p_local", "trusted", "reason"]
    hunt.results_.loc[row, columns] = [9.0, 1e-19, False, "the cut sculpts"]
    text = SearchReport.from_hunt(hunt, X).content["answer"]["text"]
    assert "A test that is not trusted claims more, 9.0 standard deviations" in text
    assert ": the cut sculpts. A detector of decorrelated features (QuantileDecorrelator)" in text
    hunt.z_global_ = 1.0
    answer = SearchReport.from_hunt(hunt, X).content["answer"]
    assert answer["verdict"] == "no excess in the trusted tests"
    # Without any trusted test it is named as well.
    hunt.results_["trusted"], hunt.best_ = False, None
    answer = SearchReport.from_hunt(hunt, X).content["answer"]
    assert answer["verdict"] == "no statement"
    assert "The strongest claim among them is 9.0 standard deviations" in answer["text"]


def test_one_window_without_a_cut():
    X = make_resonance(2000, 0, random_state=0).data
    hunt = BumpHunt(IsolationForest(), [(3.3, 3.7)], efficiencies=(1.0,), random_state=0).fit(X)
    report = SearchReport.from_hunt(hunt, X)
    assert [figure.name for figure in report.figures()] == ["after", "closure"]
    assert report.content["scores"] is None and report.content["events"]["rows"] == []


def test_simulation_is_left_out_of_the_events(hunted):
    hunt, X = hunted
    with pytest.raises(ValueError, match="must hold the 5060 data events"):
        SearchReport.from_hunt(hunt, X.iloc[:-1])


def test_comparison_measures_what_it_says(comparison):
    content = comparison.content
    rows = {row["name"]: row for row in content["detectors"]}
    assert content["detectors"][0]["name"] == content["answer"]["verdict"]
    for row in rows.values():
        assert row["max_sic_low"] <= row["max_sic"] <= row["max_sic_high"]
        assert 0.3 < row["auc"] < 1
        # At a background efficiency of 1 everything passes.
        assert row["sic"][-1] == pytest.approx(1.0)
    (shared,) = content["shared"]
    assert 0 <= shared["shared"] <= 1


def test_comparison_fits_see_no_truth_and_scores_are_held_out():
    X, y = make_resonance(1000, 100, n_features=2, random_state=0, return_X_y=True)
    detectors = {"ellipse": EllipticEnvelope(random_state=0)}
    cv = StratifiedShuffleSplit(3, test_size=0.5, random_state=4)
    one = compare_detectors(detectors, X, y, cv=cv, by="auc", random_state=3)
    found = {}
    for train, test in cv.split(X, y):
        scores = -EllipticEnvelope(random_state=0).fit(X[train]).score_samples(X[test])
        found.setdefault("auc", []).append(roc_auc_score(y[test], scores))
        found.setdefault("average_precision", []).append(average_precision_score(y[test], scores))
        found.setdefault("precision_at_n", []).append(
            y[test][np.argsort(-scores)[: y[test].sum()]].mean()
        )
    assert one.table.index.tolist() == ["ellipse"]
    for name, values in found.items():
        assert one.table.loc["ellipse", name] == pytest.approx(np.median(values))
    assert f"area under the ROC curve, {np.median(found['auc']):.3g}" in one.markdown()
    with pytest.raises(ValueError, match="y must be 1 for signal and 0 for background"):
        compare_detectors(detectors, X, y + 1)


def test_comparison_without_labels_knows_the_better_description():
    X = make_gaussian_anomaly(1500, 1, n_features=3, random_state=0, return_X_y=True)[0]
    X = X @ np.array([[1, 0.9, 0], [0, 0.4, 0], [0, 0, 1]])
    one_column = make_pipeline(ColumnTransformer([("z", "passthrough", [2])]), EllipticEnvelope())
    detectors = {"column": one_column, "ellipse": EllipticEnvelope()}
    report = compare_detectors(detectors, X, fraction=0.05, random_state=0)
    assert report.content["answer"]["verdict"] == "no labels"
    assert json.loads(report.json())["n_signal"] is None
    # The volume of one column holds all values of the others.
    assert report.table.index.tolist() == ["ellipse", "column"]
    assert report.table.loc["ellipse", "mass_volume"] < 0.6 * report.table.loc["column"].mass_volume
    assert (report.table["stability"] > 0.7).all()
    assert "ellipse needs the smallest part of space" in report.content["answer"]["text"]
    # Folds do not overlap, so that nothing is said of stability.
    folds = compare_detectors({"ellipse": EllipticEnvelope()}, X, cv=2, random_state=0)
    assert folds.table["stability"].isna().all() and "most stable" not in folds.markdown()


def test_comparison_says_where_no_volume_is_measured():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 7)), columns=list("abcdefg"))
    named = make_pipeline(
        ColumnTransformer([("some", "passthrough", ["a", "b"])]), IsolationForest(n_estimators=5)
    )
    with pytest.warns(LowStatisticsWarning, match="named: No mass-volume curve"):
        report = compare_detectors({"named": named}, X, random_state=0)
    assert report.table["mass_volume"].isna().all()


def test_comparison_draws_what_it_holds(comparison):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = comparison.plot(figure.subplots())
    drawn = {line.get_label(): line.get_ydata() for line in ax.lines}
    for row in comparison.content["detectors"]:
        expected = [np.nan if value is None else value for value in row["sic"]]
        np.testing.assert_array_equal(drawn[row["name"]], expected)


@pytest.mark.parametrize(
    ("detectors", "message"),
    [
        ([IsolationForest()], "detectors must be a dict of names"),
        ({}, "detectors must be a dict of names"),
        ({"a": IsolationForest}, r"detectors\['a'\] must be a detector, density or classifier"),
        ({"a": CWoLaDetector()}, "a needs labels of data and simulation"),
    ],
)
def test_what_cannot_be_compared_is_refused(detectors, message):
    with pytest.raises((TypeError, ValueError), match=message):
        compare_detectors(detectors, np.zeros((10, 2)))


@pytest.mark.skipif(find_browser() is None, reason="no browser is installed")
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("which", ["report", "comparison"])
def test_in_a_browser(which, width, request, tmp_path):
    made = request.getfixturevalue(which)
    found = look_at(made.html(), width, tmp_path)
    assert found["width"] == width
    assert found["errors"] == [] and found["loaded"] == []
    assert found["overflow"] == [] and found["scroll"] <= width
    assert all(natural > 0 and alt for natural, alt in found["images"])
    assert found["sorted"]
    for _head, up, down, directions in found["sorted"]:
        assert directions == ["ascending", "descending"]
        number = r"-?\d+(\.\d+)?(e[+-]?\d+)?"
        numbers = [float(value) for value in up if re.fullmatch(number, value)]
        if len(numbers) == len([value for value in up if value]):
            assert numbers == sorted(numbers)
            back = [float(value) for value in down if value]
            assert back == sorted(numbers, reverse=True)
        # What is missing stays at the end, whichever way.
        for values in (up, down):
            empty = [value == "" for value in values]
            assert empty == sorted(empty)


@pytest.mark.skipif(find_browser() is None, reason="no browser is installed")
def test_browser_notices_what_is_wrong(tmp_path):
    page = """<!DOCTYPE html><html><head><meta http-equiv="Content-Security-Policy"
    content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"></head>
    <body><p style="width:900px">wide</p><img src="http://127.0.0.1:9/x.png" alt="">
    <script>nothing.there();</script></body></html>"""
    found = look_at(page, 360, tmp_path)
    assert any("nothing is not defined" in error for error in found["errors"])
    assert any("127.0.0.1" in error for error in found["errors"])
    assert found["overflow"] and found["scroll"] > 360
