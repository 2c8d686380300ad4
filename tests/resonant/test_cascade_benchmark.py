"""The study of the cascade runs small, on events in which there is something to find."""

import cascade
import pytest
from small_search import make_search


@pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")
def test_table_compares_one_stage_and_two(monkeypatch):
    monkeypatch.setattr(cascade, "make_search", make_search)
    text = cascade.main(["--data", "nowhere", "--quick", "--seeds", "1"])
    rows = [row.split(" | ") for row in text.splitlines() if row.startswith("| 0.")]
    names = [row[1] for row in rows]
    assert len(names) == 4 and names[2:] == ["cascade", "three cascades"]
    assert rows[0][-1].startswith("1.00 (1.00-1.00)")
    assert float(rows[0][2].split()[0]) > 1
