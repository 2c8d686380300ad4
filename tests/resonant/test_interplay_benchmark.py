"""The benchmark of the interplay paper runs small, and its tables hold every method."""

import interplay_paper
import numpy as np
import pytest
from dijet_search import REGION, Search

from skad.datasets import make_resonance

pytestmark = pytest.mark.filterwarnings("ignore")


def search(folder, seed, *, signal_fraction=0.006, shifted=False, features=(), n_data=0):
    def events(n, n_signal, seed):
        return make_resonance(n, n_signal, n_features=4, random_state=seed, return_X_y=True)

    X, truth = events(6000, round(20_000 * signal_fraction), seed)
    simulation, _ = events(6000, 0, seed + 50)
    fresh, fresh_truth = events(12_000, 1000, seed + 1)
    inside = REGION.mask(fresh)
    fresh, fresh_truth = fresh[inside], fresh_truth[inside]
    signal = fresh[fresh_truth == 1]
    return Search(X, truth, simulation, fresh[fresh_truth == 0], signal[::2], signal[1::2])


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(interplay_paper, "make_search", search)

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
