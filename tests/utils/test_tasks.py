"""Tasks keep their order, gather their warnings where the caller is, and say how far they are."""

import logging
import time
import warnings

from sklearn.exceptions import ConvergenceWarning

from skad.exceptions import LowStatisticsWarning
from skad.utils._tasks import progress, run_tasks


def square(x):
    return x * x


def noisy(x):
    warnings.warn(f"loss {x / 7:.3f} at epoch {x}", ConvergenceWarning, stacklevel=2)
    if x == 3:
        warnings.warn("three", LowStatisticsWarning, stacklevel=2)
    return x


def test_results_keep_their_order():
    assert run_tasks([(square, (x,)) for x in range(6)], name="squares") == [0, 1, 4, 9, 16, 25]


def test_warnings_are_gathered_once_per_group():
    tasks = [(noisy, (x,)) for x in range(6)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = run_tasks(tasks, name="fits", groups=["a"] * 4 + ["b"] * 2)
    assert results == list(range(6))
    messages = [str(each.message) for each in caught]
    assert messages == [
        "a: loss 0.000 at epoch 0 (4 of 4 fits)",
        "a: three (1 of 4 fits)",
        "b: loss 0.571 at epoch 4 (2 of 2 fits)",
    ]
    assert [each.category for each in caught] == [
        ConvergenceWarning,
        LowStatisticsWarning,
        ConvergenceWarning,
    ]
    assert {each.filename for each in caught} == {__file__}


def test_progress_passes_everything_on_and_names_the_rest(caplog, monkeypatch):
    monkeypatch.setattr("skad.utils._tasks._LOG_EVERY", 0.0)
    with caplog.at_level(logging.INFO, logger="skad"):
        items = []
        for item in progress(iter("abc"), 3, "letters", verbose=1):
            time.sleep(0.01)
            items.append(item)
    assert items == ["a", "b", "c"]
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("letters: 1 of 3, ") and lines[0].endswith(" s left")
    assert lines[-1].startswith("letters: 3 of 3 in ")


def test_progress_is_quiet_unless_asked(caplog, capsys):
    with caplog.at_level(logging.INFO, logger="skad"):
        assert list(progress(iter("abc"), 3, "letters")) == ["a", "b", "c"]
    assert not caplog.records and capsys.readouterr().err == ""


def test_bar_where_no_log_listens(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger("skad"), "level", logging.WARNING)
    logging.getLogger("skad").manager._clear_cache()
    assert list(progress(iter("ab"), 2, "letters", verbose=1)) == ["a", "b"]
    assert "letters: 100%" in capsys.readouterr().err
