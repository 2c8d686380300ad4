"""What to cite follows from what an estimator is made of; the pages name the same papers."""

import re
from pathlib import Path

import pytest
from fast_estimators import fast_estimators
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skad
from skad.density import FlowDensity, FramedDensity
from skad.detectors import DensityDetector, DisCo, PyODDetector, VAEDetector, VotingDetector
from skad.report._papers import OF_ESTIMATORS, OF_OPTIONS
from skad.resonant import CATHODE, SALAD, CombinedTemplate, LaCATHODE, TemplateDetector
from skad.search import BumpHunt
from skad.utils import all_estimators

ROOT = Path(__file__).resolve().parents[2]
PAPERS = {p for found in [*OF_ESTIMATORS.values(), *OF_OPTIONS.values()] for p in found}


def keys(*methods):
    return re.findall(r"@misc\{(\w+),", skad.cite(*methods))


@pytest.mark.parametrize(
    "methods, expected",
    [
        ([], ["skad"]),
        (["CATHODE"], ["skad", "Hallin2021"]),
        (["cathode", CATHODE, CATHODE()], ["skad", "Hallin2021"]),
        ([LaCATHODE], ["skad", "Hallin2022", "Hallin2021"]),
        (["LogTransformer"], ["skad"]),
        ([FlowDensity(flow="cnf")], ["skad", "Grathwohl2018"]),
        ([FlowDensity(flow="maf")], ["skad", "Papamakarios2017"]),
        ([VAEDetector(decorrelation=DisCo(0))], ["skad", "Cheng2020", "Kasieczka2020"]),
        (
            [make_pipeline(StandardScaler(), IsolationForest())],
            ["skad", "Pedregosa2011", "Liu2008"],
        ),
        (
            [BumpHunt(TemplateDetector(CombinedTemplate([("a", SALAD()), ("b", CATHODE())])))],
            ["skad", "Collins2019", "Golling2023", "Andreassen2020", "Hallin2021"],
        ),
        (
            [VotingDetector([("forest", IsolationForest()), ("vae", VAEDetector())])],
            ["skad", "Liu2008", "Pedregosa2011", "Cheng2020"],
        ),
        (
            [DensityDetector(FramedDensity(StandardScaler(), FlowDensity(flow="maf")))],
            ["skad", "Kasieczka2022", "Pedregosa2011", "Papamakarios2017"],
        ),
    ],
)
def test_methods(methods, expected):
    assert sorted(keys(*methods)) == sorted(expected)
    assert keys(*methods)[0] == "skad"


def test_fitted_cites_what_fit_chose():
    detector = DensityDetector(contamination=0.1)
    assert keys(detector) == ["skad"]
    detector = DensityDetector(FlowDensity(flow="maf", max_epochs=1), contamination=0.1)
    detector.fit([[i % 7 + i / 64, i % 5 - i / 64] for i in range(64)])
    unfitted = detector.set_params(density=None)
    assert "Papamakarios2017" in keys(unfitted)


def test_entries_are_complete():
    for paper in PAPERS:
        text = paper.bibtex()
        assert text.count("{") == text.count("}")
        assert re.fullmatch(r"\d{4}\.\d{4,5}", paper.arxiv) or paper.where
        assert all(", " in author for author in paper.authors.split(" and "))
    assert len({paper.key for paper in PAPERS}) == len(PAPERS)


def test_names_exist_and_pages_agree():
    ours = {name for name, _ in all_estimators()} | {"DisCo", "OutlierExposure"}
    assert set(OF_ESTIMATORS) <= ours | {"IsolationForest"}
    page = (ROOT / "docs" / "references.md").read_text()
    assert {paper.arxiv for paper in PAPERS if paper.arxiv} <= set(re.findall(r"\d{4}\.\d+", page))


def test_every_estimator_can_be_cited():
    for estimator in fast_estimators().values():
        assert keys(estimator)[0] == "skad"
    assert keys(PyODDetector(IsolationForest()))[1] == "Zhao2019"


@pytest.mark.parametrize(
    "method, error, text",
    [
        ("cathod", ValueError, "Did you mean 'CATHODE'"),
        ("nothing like it", ValueError, "all_estimators"),
        (3, TypeError, "got int"),
        (None, TypeError, "got NoneType"),
    ],
)
def test_errors(method, error, text):
    with pytest.raises(error, match=text):
        skad.cite(method)


def test_show_versions_is_the_command(capsys):
    from click.testing import CliRunner

    from skad.cli._main import cli

    skad.show_versions()
    assert capsys.readouterr().out == CliRunner().invoke(cli, ["info"]).output
