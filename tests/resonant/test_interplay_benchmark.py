"""The benchmark of the interplay paper runs small, and its tables hold every method."""

import interplay_paper
import numpy as np
import pytest
from small_search import make_search

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(interplay_paper, "make_search", make_search)

    def of_part(part, *arguments):
        common = ["--data", "nowhere", "--part", part, "--quick", "--seeds", "1", "--shifts", "0"]
        return interplay_paper.main([*common, *arguments])

    return of_part


def numbers(text, row):
    """Return the medians of the cells of a row of a table."""
    start = f"| {row} |"
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [float(cell.split()[0]) for cell in line.removeprefix(start).split("|")[:-1]]


@pytest.fixture
def two_templates(monkeypatch):
    few = {name: interplay_paper.TEMPLATES[name] for name in ("SALAD", "CATHODE")}
    monkeypatch.setattr(interplay_paper, "TEMPLATES", few)


def test_performance(run, two_templates):
    text = run("performance", "--fractions", "0.03")
    supervised = numbers(text, "supervised")
    for method in (*interplay_paper.TEMPLATES, "samples combined", "idealised"):
        max_sic, _, _, auc, seconds = numbers(text, method)
        assert max_sic >= 1 and 0.5 < auc <= supervised[3] + 0.05 and seconds >= 0
    assert numbers(text, "idealised")[1] == 1.0


def test_closure(run):
    text = run("closure")
    for name in interplay_paper.TEMPLATES:
        distances = numbers(text, name)
        assert len(distances) == 4 and np.all(np.array(distances) < 0.4)
        # Log posteriors of four classes scatter about chance, -ln 4.
        assert numbers(text, f"sample {name}") == pytest.approx([-np.log(4)] * 4, abs=0.3)


def test_agreement(run, two_templates):
    text = run("agreement", "--fractions", "0.03")
    assert "SALAD - CATHODE" in text
    row = numbers(text, "background | SALAD, CATHODE")
    assert row[0] == 0.03 and all(-0.2 <= excess <= 1 for excess in row[1:])
