"""The checkpoint of a bump hunt: resuming, damage, two writers, what a killed run leaves."""

import numpy as np
import pandas as pd
import pytest
from fast_detectors import MixtureRatio
from sklearn.base import clone

from skad.datasets import make_resonance
from skad.exceptions import CheckpointWarning, DataFileError
from skad.search import BumpHunt
from skad.search import _checkpoint as checkpoint
from skad.search import _folds as folds
from skad.utils._replacing import locked

REGION = (3.3, 3.7)
OPTIONS = {"n_parameters": 3, "random_state": 0, "n_global_toys": 5000, "efficiencies": (0.1,)}


@pytest.fixture(scope="module")
def X():
    return make_resonance(6000, 30, random_state=0, return_X_y=True)[0]


def hunt(windows=(REGION,), **options):
    return BumpHunt(MixtureRatio(), list(windows), **{**OPTIONS, **options})


def test_resumes(X, tmp_path, monkeypatch):
    search = hunt(windows=[REGION, (3.0, 3.4)], n_folds=3, n_seeds=2)
    reference = clone(search).fit(X)
    search.set_params(checkpoint=tmp_path)
    real, calls = folds.fit_member, []

    def fit_or_stop(*args, limit):
        store = args[-1]
        if store.load(store.key("member", *(args[i] for i in (5, 4, 6, 7)))) is None:
            if len(calls) == limit:
                raise KeyboardInterrupt
            calls.append(1)
        return real(*args)

    monkeypatch.setattr(folds, "fit_member", lambda *args: fit_or_stop(*args, limit=7))
    with pytest.raises(KeyboardInterrupt):
        clone(search).fit(X)
    assert len(list(tmp_path.iterdir())) == 7
    monkeypatch.setattr(folds, "fit_member", lambda *args: fit_or_stop(*args, limit=12))
    resumed = clone(search).fit(X)
    assert len(calls) == 12
    pd.testing.assert_frame_equal(resumed.results_, reference.results_, check_exact=True)
    # Everything is there: nothing is trained, whatever the cuts.
    monkeypatch.setattr(folds, "fit_member", None)
    again = clone(search).fit(X)
    pd.testing.assert_frame_equal(again.results_, reference.results_, check_exact=True)
    clone(search).set_params(efficiencies=(0.05, 0.2)).fit(X)
    assert not list(tmp_path.glob("*.part"))
    # Other events, detectors or seeds are other files.
    monkeypatch.setattr(folds, "fit_member", real)
    n_files = len(list(tmp_path.iterdir()))
    clone(search).fit(X * (1 + 1e-12))
    assert len(list(tmp_path.iterdir())) == 2 * n_files
    clone(search).set_params(detector__n_components=3, random_state=1).fit(X)
    assert len(list(tmp_path.iterdir())) == 3 * n_files


def test_survives_a_write_that_fails(tmp_path, monkeypatch):
    def broken(value, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.joblib, "dump", broken)
    with checkpoint.open_store(tmp_path, "base") as store:
        with pytest.raises(OSError, match="disk full"):
            store.save("key", 1)
        assert store.load("key") is None
    assert not list(tmp_path.iterdir())


def truncated(content):
    return content[: len(content) // 2]


def flipped(content):
    i = len(content) // 3
    return content[:i] + bytes([content[i] ^ 4]) + content[i + 1 :]


@pytest.mark.parametrize("damage", [truncated, flipped, lambda content: b""])
def test_a_damaged_file_is_named_and_computed_again(X, tmp_path, damage):
    search = hunt(n_folds=2, checkpoint=tmp_path)
    reference = clone(search).fit(X).results_
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4
    for path in files:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(CheckpointWarning, match=r"\.joblib is damaged .* computed again") as caught:
        again = clone(search).fit(X).results_
    for path in files:
        assert sum(str(path) in str(w.message) for w in caught) == 1
    pd.testing.assert_frame_equal(again, reference, check_exact=True)
    resumed = clone(search).fit(X).results_
    pd.testing.assert_frame_equal(resumed, reference, check_exact=True)


def test_arrays_of_any_size_survive(tmp_path):
    value = [np.arange(1e5), np.ones((0, 3), np.float32), np.asfortranarray(np.eye(300, 7))]
    with checkpoint.open_store(tmp_path, "base") as store:
        store.save("key", value)
        found = store.load("key")
    for a, b in zip(found, value, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_second_writer_is_refused_by_name(X, tmp_path):
    with (
        locked(tmp_path / "checkpoint"),
        pytest.raises(DataFileError, match="checkpoint: another process or thread is writing it"),
    ):
        hunt(n_folds=2, checkpoint=tmp_path).fit(X)


def test_what_killed_runs_left_is_removed(X, tmp_path):
    left = tmp_path / ".0123.deadbeef.tmp.joblib"
    left.write_bytes(b"half")
    theirs = tmp_path / ".somebody_elses"
    theirs.write_bytes(b"kept")
    hunt(n_folds=2, checkpoint=tmp_path).fit(X)
    assert not left.exists()
    assert [path.name for path in tmp_path.glob(".*")] == [theirs.name]


def test_a_file_in_place_of_the_folder(X, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="is a file or lies in one; give the path"):
            hunt(n_folds=2, checkpoint=path).fit(X)
