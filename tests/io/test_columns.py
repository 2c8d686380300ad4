"""What is a column, and what the parameters of a reader mean, alike in every format."""

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skad.exceptions import DataFileError, MissingColumnError
from skad.io import iter_events, read_events, write_events

SUFFIXES = ["parquet", "h5", "csv", "tsv", "csv.gz", "npy", "npz", "root"]


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(size=(20, 3)), columns=["m", "pt", "eta"])


def test_the_index_of_pandas_is_no_feature(tmp_path, frame):
    selected = frame[frame.m > 0]
    selected.to_parquet(tmp_path / "a.parquet")
    frame.set_index("pt").to_parquet(tmp_path / "named.parquet")
    frame.to_csv(tmp_path / "a.csv")
    for name in ("a.parquet", "named.parquet"):
        expected = pd.read_parquet(tmp_path / name)
        pd.testing.assert_frame_equal(read_events(tmp_path / name), expected.reset_index(drop=True))
    assert read_events(tmp_path / "named.parquet", ["pt"]).pt.tolist() == frame.pt.tolist()
    assert list(read_events(tmp_path / "a.csv")) == ["m", "pt", "eta"]


def test_a_header_of_numbers_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1.5,2\n3,4\n")
    with pytest.raises(DataFileError, match=r"the header line holds numbers.*column_names="):
        read_events(path)
    assert read_events(path, column_names=["a", "b"]).to_numpy().tolist() == [[1.5, 2], [3, 4]]
    path.write_text('"0","1"\n3,4\n')
    assert read_events(path).to_dict("list") == {"0": [3], "1": [4]}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_by_name_and_position(tmp_path, frame, suffix):
    path = tmp_path / f"a.{suffix}"
    write_events(frame, path)
    for columns in (["eta", "m"], [2, 0], ["eta", 0], (2, "m")):
        read = read_events(path, columns)
        assert list(read) == ["eta", "m"]
        np.testing.assert_array_equal(read.to_numpy(), frame[["eta", "m"]].to_numpy())
        assert list(next(iter_events(path, 7, columns))) == ["eta", "m"]
    assert list(read_events(path, "flat")) == list(frame)
    with pytest.raises(ValueError, match="names a column twice"):
        read_events(path, ["m", 0])
    with pytest.raises(MissingColumnError, match="no column at position 3; the file has 3"):
        read_events(path, [3])
    with pytest.raises(MissingColumnError, match="no column 'phi'"):
        read_events(path, ["phi"])
    with pytest.raises(ValueError, match=r"columns.* must be|columns must be"):
        read_events(path, "m")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_options_without_a_meaning_are_refused(tmp_path, frame, suffix):
    path = tmp_path / f"a.{suffix}"
    write_events(frame, path)
    if suffix not in ("csv", "tsv", "csv.gz"):
        with pytest.raises(DataFileError, match="column_names= has no meaning here"):
            read_events(path, column_names=["a", "b", "c"])
    if suffix not in ("h5", "npz", "root"):
        with pytest.raises(DataFileError, match="key= has no meaning here"):
            read_events(path, key="events")
        with pytest.raises(DataFileError, match="key= has no meaning here"):
            write_events(frame, tmp_path / f"b.{suffix}", key="events")
    else:
        with pytest.raises(DataFileError, match="no (array )?'lost'"):
            read_events(path, key="lost")
    with pytest.raises(DataFileError, match="column_names= has no meaning here"):
        write_events(frame, tmp_path / f"b.{suffix}", column_names=["a", "b", "c"])
    assert not (tmp_path / f"b.{suffix}").exists()


def test_olympics_frame_by_position(tmp_path):
    """The raw LHC Olympics files: fixed format, numbered columns, the label the last."""
    path = tmp_path / "raw.h5"
    frame = pd.DataFrame(np.random.default_rng(0).random((30, 2101)))
    frame.to_hdf(path, key="df", complib="blosc", complevel=9)
    read = read_events(path, columns=[0, 2100])
    assert list(read) == ["0", "2100"]
    np.testing.assert_array_equal(read.to_numpy(), frame[[0, 2100]].to_numpy())


def test_equal_names(tmp_path):
    table = pa.Table.from_arrays(
        [pa.array([1.0]), pa.array([3.0]), pa.array([5.0])], ["a", "a", "b"]
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("a,a,b\n1,3,5\n")
    for suffix in ("parquet", "csv"):
        with pytest.raises(DataFileError, match=r"several columns named \['a'\]"):
            read_events(tmp_path / f"a.{suffix}")
        assert read_events(tmp_path / f"a.{suffix}", ["b"]).b.tolist() == [5]
    with pytest.raises(DataFileError, match=r"several columns are named \['a'\]"):
        write_events(pd.DataFrame([[1, 2]], columns=["a", "a"]), tmp_path / "b.parquet")


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_X_and_y_as_two_arrays(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6) % 2
    if suffix == "npz":
        np.savez(path, X=X, y=y, version=3)
    else:
        with h5py.File(path, "w") as file:
            file["X"], file["y"], file["version"] = X, y, 3
    read = read_events(path)
    assert list(read) == ["x0", "x1", "y"]
    np.testing.assert_array_equal(read.to_numpy(), np.column_stack([X, y]))
    assert read_events(path, key="y").y.tolist() == y.tolist()
    np.testing.assert_array_equal(read_events(path, key="X").to_numpy(), X)
    assert list(read_events(path, column_names=["m", "pt"])) == ["m", "pt", "y"]


def test_left_out_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"m": [1.0, 2.0], "jets": [[1.0], [2.0, 3.0]], "s": ["a", "b"]}), path)
    with pytest.raises(DataFileError, match=r"'jets' holds a list .* 1 more .*columns='flat'"):
        read_events(path)
    events = read_events(path, "flat")
    assert list(events) == ["m"]
    assert set(events.attrs["left_out"]) == {"jets", "s"}
    assert set(next(iter_events(path, columns="flat")).attrs["left_out"]) == {"jets", "s"}


# --- Which files ------------------------------------------------------------------------------


def test_patterns_folders_and_home(tmp_path, frame, monkeypatch):
    for i in range(3):
        write_events(frame + i, tmp_path / f"run{i}.parquet")
    whole = pd.concat([frame, frame + 1, frame + 2], ignore_index=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (
        tmp_path,
        str(tmp_path / "run*.parquet"),
        tmp_path / "run[0-2].parquet",
        "~/run?.parquet",
        ["~/run0.parquet", tmp_path / "run1.parquet", str(tmp_path / "run2.parquet")],
    ):
        pd.testing.assert_frame_equal(read_events(path), whole)
    (tmp_path / "_SUCCESS").touch()
    pd.testing.assert_frame_equal(read_events(tmp_path), whole)
    with pytest.raises(FileNotFoundError, match="no file fits"):
        read_events(tmp_path / "walk*.parquet")
    write_events(frame, tmp_path / "other.csv")
    with pytest.raises(DataFileError, match="files of several formats"):
        read_events(tmp_path)
    (tmp_path / "sample=qcd").mkdir()
    with pytest.raises(DataFileError, match=r"further folders, \['sample=qcd'\]"):
        read_events(tmp_path)
    with pytest.raises(DataFileError, match="download it first"):
        read_events("https://example.org/a.parquet")


def test_tree_in_the_path(tmp_path, frame):
    path = tmp_path / "a.root"
    write_events(frame, path, key="nominal")
    pd.testing.assert_frame_equal(read_events(f"{path}:nominal"), frame)
    with pytest.raises(DataFileError, match=r"no 'lost'; it has the trees \['nominal'\]"):
        read_events(f"{path}:lost")
    with pytest.raises(DataFileError, match="give one"):
        read_events(f"{path}:nominal", key="nominal")
