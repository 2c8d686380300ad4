"""Readers and writers: every format, selections, streams, and errors that name the place."""

import gzip
import re

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

from skad.exceptions import DataFileError, MissingColumnError
from skad.io import iter_events, read_events, write_events
from skad.io._formats import FORMATS

# The files that are written and read back; ".pq" and the like are other names of these.
WRITABLE = ["parquet", "h5", "csv", "npy", "npz", "root", "tsv.gz"]


def test_every_format_is_tested_and_described():
    for each in FORMATS:
        assert {suffix[1:] for suffix in each.suffixes} & set(WRITABLE), each
        for suffix in each.suffixes:
            assert re.search(rf" {re.escape(suffix)}[ ,;:]", read_events.__doc__), suffix


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    n = 1000
    return pd.DataFrame(
        {
            "mjj": rng.uniform(2, 5, n),
            "mj1": rng.normal(size=n).astype(np.float32),
            "n": rng.integers(0, 9, n),
            "label": rng.random(n) < 0.1,
        }
    )


@pytest.fixture
def grouped(tmp_path, events):
    """Ten row groups in the order of mjj, so that filters can skip some."""
    path = tmp_path / "grouped.parquet"
    frame = events.sort_values("mjj", ignore_index=True)
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=100)
    return path, frame


def same(read, events):
    """Values equal, in the types that were written; CSV and ROOT may widen them."""
    assert list(read.columns) == list(events.columns)
    for name in events.columns:
        expected = events[name].to_numpy()
        np.testing.assert_array_equal(read[name].to_numpy().astype(expected.dtype), expected)


@pytest.mark.parametrize("suffix", WRITABLE)
def test_round_trip(tmp_path, events, suffix):
    path = tmp_path / f"events.{suffix}"
    assert write_events(events, path) == len(events)
    same(read_events(path), events)
    same(read_events(path, ["label", "mj1"]), events[["label", "mj1"]])
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    if suffix not in {"csv", "tsv.gz"}:
        assert (read_events(path).dtypes == events.dtypes).all()


@pytest.mark.parametrize("suffix", WRITABLE)
def test_batches_written_and_read(tmp_path, events, suffix):
    path = tmp_path / f"events.{suffix}"
    batches = [events[:300], events[300:301], events[301:]]
    assert write_events(iter(batches), path) == len(events)
    for batch_size in (17, 299, 5000):
        read = list(iter_events(path, batch_size, rows=slice(0, 600)))
        sizes = [len(batch) for batch in read]
        assert sizes == [batch_size] * (600 // batch_size) + [600 % batch_size] * (
            600 % batch_size > 0
        )
        same(pd.concat(read, ignore_index=True), events[:600])


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize(
    "rows", [slice(0, 10), slice(990, None), slice(1000, 1100), slice(5, 2500)]
)
def test_rows_over_several_files(tmp_path, events, suffix, rows):
    paths = [tmp_path / f"{i}.{suffix}" for i in range(3)]
    for path in paths:
        write_events(events, path)
    whole = pd.concat([events] * 3, ignore_index=True)
    same(read_events(paths, rows=rows), whole[rows])


@pytest.mark.parametrize("suffix", WRITABLE)
def test_filters(tmp_path, events, suffix):
    path = tmp_path / f"events.{suffix}"
    write_events(events, path)
    filters = [("mjj", ">", 3.3), ("mjj", "<=", 3.7), ("n", "in", [1, 2, 3])]
    expected = events[(events.mjj > 3.3) & (events.mjj <= 3.7) & events.n.isin([1, 2, 3])]
    assert 0 < len(expected) < len(events)
    same(read_events(path, ["mj1"], filters=filters), expected[["mj1"]])
    sizes = [len(batch) for batch in iter_events(path, 10, ["mj1"], filters=filters)]
    assert set(sizes[:-1]) == {10} and sum(sizes) == len(expected)


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
def test_row_groups_are_skipped_only_when_no_row_can_pass(grouped, operator):
    path, frame = grouped
    for value in (frame.mjj[0], frame.mjj[555], 1.0, 9.0):
        wanted = [value, frame.mjj[3]] if "in" in operator else value
        read = read_events(path, filters=[("mjj", operator, wanted)])
        mask = frame.mjj.isin(wanted) if "in" in operator else None
        if mask is None:
            mask = frame.eval(f"mjj {operator} @wanted")
        elif operator == "not in":
            mask = ~mask
        same(read, frame[mask])


def test_filters_are_pushed_down(grouped, monkeypatch):
    path, frame = grouped
    read = []
    original = pq.ParquetFile.iter_batches

    def spy(self, *args, row_groups, columns, **kwargs):
        read.append((row_groups, columns))
        return original(self, *args, row_groups=row_groups, columns=columns, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", spy)
    low, high = frame.mjj[310], frame.mjj[390]
    assert len(read_events(path, ["mj1"], filters=[("mjj", ">=", low), ("mjj", "<=", high)])) == 81
    assert read == [([3], ["mj1", "mjj"])]
    read.clear()
    read_events(path, ["n"], rows=slice(250, 420))
    assert read == [([2, 3, 4], ["n"])]


def test_text_columns_may_be_filtered_but_not_read(tmp_path):
    path = tmp_path / "samples.parquet"
    frame = pd.DataFrame({"x": np.arange(4.0), "sample": ["a", "b", "a", "c"]})
    frame.to_parquet(path)
    assert read_events(path, ["x"], filters=[("sample", "==", "a")]).x.tolist() == [0, 2]
    with pytest.raises(DataFileError, match=r"samples.parquet: column 'sample' holds text"):
        read_events(path)


# --- HDF5 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table_format", ["fixed", "table"])
def test_hdf5_of_pandas(tmp_path, events, table_format):
    path = tmp_path / "events.h5"
    events.to_hdf(path, key="df", format=table_format)
    same(read_events(path), events)
    same(read_events(path, ["n", "mjj"], rows=slice(100, 900)), events[["n", "mjj"]][100:900])


def test_hdf5_numbered_columns(tmp_path):
    """The raw LHC Olympics files number their columns."""
    path = tmp_path / "raw.h5"
    frame = pd.DataFrame(np.arange(12.0).reshape(3, 4))
    frame.to_hdf(path, key="df", complib="blosc", complevel=5)
    read = read_events(path)
    assert list(read.columns) == ["0", "1", "2", "3"]
    np.testing.assert_array_equal(read.to_numpy(), frame.to_numpy())


def test_hdf5_plain_arrays(tmp_path, events):
    matrix = events[["mjj", "mj1"]].to_numpy()
    path = tmp_path / "arrays.h5"
    with h5py.File(path, "w") as file:
        file["nested/matrix"] = matrix
        file["columns/a"] = matrix[:, 0]
        file["columns/b"] = matrix[:, 1]
        file["cube"] = np.zeros((3, 3, 3))
        file["compound"] = events[["mjj", "n"]].to_records(index=False)
    read = read_events(path, key="nested/matrix")
    assert list(read.columns) == ["x0", "x1"]
    np.testing.assert_array_equal(read.to_numpy(), matrix)
    named = read_events(path, ["q"], key="nested/matrix", column_names=["p", "q"])
    np.testing.assert_array_equal(named.q, matrix[:, 1])
    np.testing.assert_array_equal(read_events(path, ["b"], key="columns").b, matrix[:, 1])
    same(read_events(path, key="compound"), events[["mjj", "n"]])
    with pytest.raises(DataFileError, match=r"shape \(3, 3, 3\)"):
        read_events(path, key="cube")
    with pytest.raises(DataFileError, match="no 'lost'; it has"):
        read_events(path, key="lost")
    with pytest.raises(DataFileError, match=r"column_names has 3 names"):
        read_events(path, key="nested/matrix", column_names=["a", "b", "c"])


def test_hdf5_with_several_frames_needs_a_key(tmp_path, events):
    path = tmp_path / "two.h5"
    events.to_hdf(path, key="signal")
    events[:10].to_hdf(path, key="background")
    with pytest.raises(DataFileError, match=r"\['background', 'signal'\]; choose one with key="):
        read_events(path)
    assert len(read_events(path, key="background")) == 10


def test_hdf5_text_column(tmp_path):
    path = tmp_path / "text.h5"
    pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]}).to_hdf(path, key="df", format="table")
    with pytest.raises(DataFileError, match="column 'name' holds"):
        read_events(path)
    assert len(read_events(path, ["x"])) == 2


# --- NumPy, CSV, ROOT -----------------------------------------------------------------------


def test_numpy_arrays(tmp_path, events):
    matrix = events[["mjj", "mj1"]].to_numpy()
    np.save(tmp_path / "matrix.npy", matrix)
    np.testing.assert_array_equal(read_events(tmp_path / "matrix.npy").to_numpy(), matrix)
    np.savez(tmp_path / "one.npz", matrix=matrix)
    np.testing.assert_array_equal(read_events(tmp_path / "one.npz").to_numpy(), matrix)
    np.savez(tmp_path / "two.npz", matrix=matrix, other=np.zeros(3))
    with pytest.raises(DataFileError, match="Choose one with key="):
        read_events(tmp_path / "two.npz")
    assert read_events(tmp_path / "two.npz", key="matrix").shape == matrix.shape
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    with pytest.raises(DataFileError, match=r"shape \(2, 2, 2\)"):
        read_events(tmp_path / "cube.npy")


def test_array_is_written_with_names(tmp_path):
    path = tmp_path / "array.parquet"
    write_events(np.eye(3), path)
    assert list(read_events(path).columns) == ["x0", "x1", "x2"]
    write_events(np.eye(3), path, column_names=["a", "b", "c"], overwrite=True)
    assert list(read_events(path).columns) == ["a", "b", "c"]


def test_csv_without_header_and_compressed(tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("1,2\n3,4\n")
    read = read_events(path, column_names=["a", "b"])
    assert read.to_numpy().tolist() == [[1, 2], [3, 4]]
    packed = tmp_path / "packed.csv.gz"
    with gzip.open(packed, "wt") as file:
        file.write("a,b\n1,2\n3,4.5\n")
    assert read_events(packed).b.tolist() == [2, 4.5]


def test_csv_mixed_types(tmp_path):
    path = tmp_path / "mixed.csv"
    path.write_text("a,b,c\n1,2,3\n4,oops,6\n")
    with pytest.raises(DataFileError, match=r"mixed.csv: .*column 'b'.*Row #3.*'oops'"):
        read_events(path)
    assert read_events(path, ["c", "a"]).to_numpy().tolist() == [[3, 1], [6, 4]]
    path.write_text("a,b,c\n1,2,3\n4,5\n")
    with pytest.raises(DataFileError, match="Expected 3 columns, got 2"):
        read_events(path)


def test_root_trees(tmp_path, events):
    path = tmp_path / "trees.root"
    with uproot.recreate(path) as file:
        file.mktree("signal", {"mjj": np.float64})
        file["signal"].extend({"mjj": events.mjj.to_numpy()})
        file.mktree("background", {"pt": np.float32})
        file["background"].extend({"pt": events.mj1.to_numpy()})
    with pytest.raises(DataFileError, match=r"choose one with key=.*\['background', 'signal'\]"):
        read_events(path)
    same(read_events(path, key="signal"), events[["mjj"]])


def test_root_jagged_branch(tmp_path):
    import awkward as ak

    path = tmp_path / "jagged.root"
    with uproot.recreate(path) as file:
        file.mktree("events", {"x": np.float64, "jets": "var * float64"})
        file["events"].extend({"x": np.arange(2.0), "jets": ak.Array([[1.0, 2.0], [3.0]])})
    with pytest.raises(DataFileError, match="column 'jets' holds a list"):
        read_events(path, ["x", "jets"])
    assert read_events(path, ["x"]).x.tolist() == [0, 1]


# --- Errors ---------------------------------------------------------------------------------


def test_missing_column_names_the_file(tmp_path, events):
    for name in ("a", "b"):
        write_events(events.drop(columns="n") if name == "b" else events, tmp_path / f"{name}.h5")
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    with pytest.raises(MissingColumnError, match=r"b.h5: no column 'n'; the file has \['mjj'"):
        read_events(paths, ["mjj", "n"])
    with pytest.raises(DataFileError, match=r"b.h5: columns differ from those of .*a.h5.*\['n'\]"):
        read_events(paths)
    with pytest.raises(MissingColumnError, match="no column 'q'"):
        read_events(paths[0], filters=[("q", ">", 0)])


def test_nan_is_located(grouped):
    path, frame = grouped
    frame = frame.copy()
    frame.loc[[537, 538], "mj1"] = np.nan
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=100)
    place = r"NaN in column 'mj1' at row group 5, row 537 of the file and 1 more"
    with pytest.raises(DataFileError, match=place):
        read_events(path)
    with pytest.raises(DataFileError, match=place):
        read_events(path, filters=[("mjj", ">", frame.mjj[10])])
    with pytest.raises(DataFileError, match="row 537"):
        list(iter_events(path, 30))
    assert len(read_events(path, ["mjj"])) == 1000
    assert read_events(path, on_nan="keep").mj1.isna().sum() == 2
    same(read_events(path, on_nan="drop"), frame.drop(index=[537, 538]))


def test_null_integers_are_nan(tmp_path):
    path = tmp_path / "null.parquet"
    pq.write_table(
        pa.table({"n": pa.array([1, None, 3]), "b": pa.array([True, None, False])}), path
    )
    with pytest.raises(DataFileError, match="column 'n' at row group 0, row 1"):
        read_events(path)
    assert read_events(path, on_nan="drop").to_numpy().tolist() == [[1, 1], [3, 0]]


@pytest.mark.parametrize("suffix", [s for s in WRITABLE if s not in {"csv", "tsv.gz"}])
def test_truncated(tmp_path, events, suffix):
    path = tmp_path / f"events.{suffix}"
    write_events(events, path)
    content = path.read_bytes()
    for fraction in (0.0, 0.02, 0.5, 0.95):
        path.write_bytes(content[: int(fraction * len(content))])
        with pytest.raises(DataFileError, match=rf"events.{suffix}: cannot be read"):
            read_events(path)


def test_damaged_row_group_and_column_are_named(grouped):
    path, _ = grouped
    column = pq.ParquetFile(path).metadata.row_group(6).column(1)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="cannot be read at row group 6, column 'mj1'"):
        read_events(path)
    assert len(read_events(path, ["mjj", "n"])) == 1000
    assert len(read_events(path, rows=slice(0, 600))) == 600


def test_no_file_and_unknown_suffix(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lost\.parquet"):
        read_events(tmp_path / "lost.parquet")
    with pytest.raises(ValueError, match="chosen by the suffix"):
        read_events(tmp_path / "lost.xlsx")
    with pytest.raises(ValueError, match="no file"):
        read_events([])
    with pytest.raises(ValueError, match="slice forwards"):
        read_events(tmp_path / "lost.parquet", rows=slice(-5, None))
    with pytest.raises(ValueError, match="filters must be"):
        read_events(tmp_path / "lost.parquet", filters=[("a", "~", 1)])


# --- Writing whole or not at all ------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITABLE)
def test_failed_write_leaves_the_old_file(tmp_path, events, suffix):
    path = tmp_path / f"events.{suffix}"
    write_events(events, path)
    before = path.read_bytes()

    def broken():
        yield events
        raise RuntimeError("the source died")

    with pytest.raises(RuntimeError, match="the source died"):
        write_events(broken(), path, overwrite=True)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_existing_file_is_kept(tmp_path, events):
    path = tmp_path / "events.parquet"
    write_events(events, path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_events(events[:1], path)
    assert write_events(events[:1], path, overwrite=True) == 1


def test_writes_refused(tmp_path, events):
    path = tmp_path / "events.parquet"
    with pytest.raises(DataFileError, match=r"a batch has the columns \['mjj'\]"):
        write_events([events, events[["mjj"]]].__iter__(), path)
    with pytest.raises(DataFileError, match="column 'name' holds"):
        write_events(pd.DataFrame({"name": ["a"]}), path)
    with pytest.raises(DataFileError, match="two dimensions"):
        write_events(np.zeros(3), path)
    with pytest.raises(ValueError, match="no batch"):
        write_events(iter([]), path)
    with pytest.raises(ValueError, match=r"/events\.xlsx: .* must be one of"):
        write_events(events, tmp_path / "events.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_empty_selection(tmp_path, events):
    path = tmp_path / "events.parquet"
    write_events(events, path)
    read = read_events(path, filters=[("mjj", ">", 100)])
    assert read.shape == (0, 4) and list(read.columns) == list(events.columns)
    assert list(iter_events(path, filters=[("mjj", ">", 100)])) == []
    write_events(events[:0], tmp_path / "empty.parquet")
    assert read_events(tmp_path / "empty.parquet").shape == (0, 4)


@pytest.mark.parametrize("row_group_size", [50_000, 1_000_000])
def test_streaming_needs_memory_for_a_few_batches(tmp_path, row_group_size):
    """Also where a row group is the whole file; pyarrow's default would hold all of it."""
    path = tmp_path / "large.parquet"
    rng = np.random.default_rng(0)
    table = pa.table({f"x{i}": rng.random(1_000_000) for i in range(4)})
    pq.write_table(table, path, row_group_size=row_group_size, use_dictionary=False)
    size = path.stat().st_size
    del table
    before, peak, n_events = pa.total_allocated_bytes(), 0, 0
    for batch in iter_events(path, 10_000):
        peak = max(peak, pa.total_allocated_bytes() - before)
        n_events += len(batch)
    assert n_events == 1_000_000
    assert size > 30e6
    assert peak < 0.3 * size
