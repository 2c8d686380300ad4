"""replacing and locked: whole or not at all, one writer at a time, nothing left behind."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from skad.exceptions import DataFileError
from skad.utils._replacing import locked, replacing


def hang(path, ready):
    with replacing(path) as temporary:
        temporary.write_text("half")
        ready.set()
        time.sleep(60)


@pytest.fixture
def writer(tmp_path):
    """Another process in the middle of writing."""
    path = tmp_path / "events.txt"
    path.write_text("old")
    processes = multiprocessing.get_context("fork")
    ready = processes.Event()
    child = processes.Process(target=hang, args=(path, ready))
    child.start()
    assert ready.wait(30)
    yield path, child
    child.kill()
    child.join()


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "events.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("two")
        raise RuntimeError
    assert path.read_text() == "one"
    assert names(tmp_path) == ["events.txt"]


def test_a_link_stays_a_link(tmp_path):
    path, link = tmp_path / "events.txt", tmp_path / "link.txt"
    path.write_text("old")
    link.symlink_to(path)
    with replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and path.read_text() == "new"


def test_second_writer_is_refused(writer):
    path, _ = writer
    message = r"events\.txt: another process or thread is writing it .*\.events\.txt\.lock"
    with pytest.raises(DataFileError, match=message), replacing(path):
        pass
    with replacing(path.with_name("other.txt")) as temporary:
        temporary.write_text("free")


def test_second_writer_may_wait(tmp_path):
    path, order = tmp_path / "events.txt", []

    def first():
        with locked(path):
            order.append("first")
            time.sleep(0.3)
            order.append("done")

    thread = threading.Thread(target=first)
    thread.start()
    while not order:
        time.sleep(0.01)
    with locked(path, wait_s=10):
        order.append("second")
    thread.join()
    assert order == ["first", "done", "second"]
    assert names(tmp_path) == []


def test_sigterm_leaves_nothing(writer):
    path, child = writer
    child.terminate()
    child.join(10)
    assert child.exitcode == 128 + signal.SIGTERM
    assert path.read_text() == "old"
    assert names(path.parent) == ["events.txt"]


def test_what_a_killed_writer_left_is_removed_by_the_next(writer):
    path, child = writer
    child.kill()
    child.join()
    assert names(path.parent) == [".events.tmp.txt", ".events.txt.lock", "events.txt"]
    unrelated = path.with_name(".events.txt.swp")
    unrelated.write_text("mine")
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(path.parent) == [".events.txt.swp", "events.txt"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert os.path.exists(unrelated)


def test_a_full_folder_costs_nothing(tmp_path, monkeypatch):
    """A farm writes a hundred thousand small files into one folder."""

    def asked(*arguments):
        raise AssertionError("the folder was listed")

    monkeypatch.setattr(os, "scandir", asked)
    monkeypatch.setattr(os, "listdir", asked)
    with replacing(tmp_path / "experiment.json") as temporary:
        temporary.write_text("{}")
    assert (tmp_path / "experiment.json").read_text() == "{}"
