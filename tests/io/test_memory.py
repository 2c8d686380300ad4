"""Memory that readers need, beside the events that they return."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import uproot

from skad.exceptions import DataFileError
from skad.io import _whole, iter_events, read_events, write_events

N = 3_000_000
STREAMED = ["tree.root", "ntuple.root", "a.npz", "a.h5", "a.parquet"]
# The most that is decoded of a wide matrix at a time.
SLAB = 1 << 26


def peak_of(function):
    tracemalloc.start()
    try:
        result = function()
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One column of integers in few large baskets or clusters, which compresses to nothing."""
    folder = tmp_path_factory.mktemp("files")
    ones = np.full(N, 7, dtype=np.int32)
    for name, make in (("tree", "mktree"), ("ntuple", "mkrntuple")):
        with uproot.recreate(folder / f"{name}.root") as file:
            getattr(file, make)("t", {"n": ones.dtype})
            for part in np.array_split(ones, 6):
                file["t"].extend({"n": part})
    np.save(folder / "a.npy", ones)
    np.savez_compressed(folder / "a.npz", n=ones)
    write_events(pd.DataFrame({"n": ones}), folder / "a.h5")
    write_events(pd.DataFrame({"n": ones}), folder / "a.parquet")
    return folder


@pytest.mark.parametrize(
    "name", ["tree.root", "ntuple.root", "a.npy", "a.npz", "a.h5", "a.parquet"]
)
def test_whole_files_need_less_than_twice_the_events(files, name):
    events, peak = peak_of(lambda: read_events(files / name))
    size = events.memory_usage(index=False).sum()
    assert len(events) == N and size == 4 * N
    assert peak < 2 * size


@pytest.mark.parametrize("name", STREAMED)
def test_batches_need_memory_for_a_basket(files, name):
    n_events, peak = peak_of(lambda: sum(len(batch) for batch in iter_events(files / name, 50_000)))
    assert n_events == N
    assert peak < 0.55 * 4 * N  # two of six baskets, and what reads them


def test_few_columns_of_a_wide_frame(tmp_path):
    path = tmp_path / "wide.h5"
    frame = pd.DataFrame(np.random.default_rng(0).random((4000, 2101)))
    frame.to_hdf(path, key="df")
    events, peak = peak_of(lambda: read_events(path, columns=[0, 2100]))
    np.testing.assert_array_equal(events.to_numpy(), frame[[0, 2100]].to_numpy())
    assert peak < 1.5 * SLAB


def test_more_events_than_memory_are_refused(files, monkeypatch):
    monkeypatch.setattr(_whole, "_free_bytes", lambda: 10_000_000)
    for name in ("tree.root", "a.parquet", "a.h5"):
        with pytest.raises(DataFileError, match=r"3000000 events of 4 bytes .* iter_events"):
            read_events(files / name)
        few = read_events(files / name, filters=[("n", "!=", 7)])
        assert few.shape == (0, 1) and few.n.dtype == np.int32
        assert len(read_events(files / name, rows=slice(0, 100))) == 100


def test_a_file_that_promises_too_much(tmp_path):
    """A small file that claims a million million events."""
    import h5py

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (10**12,), chunks=(1000,), dtype="f8")
    with pytest.raises(DataFileError, match="1000000000000 events of 8 bytes are more than"):
        read_events(path)
