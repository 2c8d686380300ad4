"""Writing loses nothing: types, names, rows, and the old file when it fails."""

import decimal
import multiprocessing
import os
import resource
import signal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from skad.exceptions import DataFileError
from skad.io import iter_events, read_events, write_events
from skad.io._formats import FORMATS, format_of

SUFFIXES = ["parquet", "h5", "csv", "csv.gz", "npy", "npz", "root"]
KINDS = [f"{kind}{size}" for kind in ("int", "uint") for size in (8, 16, 32, 64)]
ALL = ["bool", *KINDS, "float16", "float32", "float64"]


def column(dtype, n_rows):
    dtype, rng = np.dtype(dtype), np.random.default_rng(0)
    if dtype.kind == "b":
        return rng.random(n_rows) < 0.5
    if dtype.kind == "f":
        return rng.normal(size=n_rows).astype(dtype)
    limits = np.iinfo(dtype)
    values = rng.integers(limits.min, limits.max, n_rows, dtype=dtype, endpoint=True)
    values[:1], values[1:2] = limits.max, limits.min
    return values


@pytest.mark.parametrize("n_rows", [0, 1, 50])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_dtypes_come_back(tmp_path, suffix, n_rows):
    """CSV has no types: it gives back kinds, of columns with events."""
    for dtype in ALL:
        path = tmp_path / f"{dtype}.{suffix}"
        frame = pd.DataFrame({"a": column(dtype, n_rows)})
        if dtype not in format_of(path).dtypes.split():
            with pytest.raises(DataFileError, match=f"'a' holds {dtype}.*astype"):
                write_events(frame, path)
            continue
        assert write_events(frame, path) == n_rows
        read = read_events(path)
        if "csv" not in suffix:
            pd.testing.assert_frame_equal(read, frame)
        elif n_rows:
            kinds = {"u": "iu"}.get(np.dtype(dtype).kind, np.dtype(dtype).kind)
            assert read.a.dtype.kind in kinds
            np.testing.assert_array_equal(read.a.to_numpy().astype(dtype), frame.a.to_numpy())
    assert {np.dtype(name).name for each in FORMATS for name in each.dtypes.split()} == set(ALL)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "name", ["a b", "a.b", "a/b", "τ21", "index", "file", "1", "a,b", "#c", 'q"']
)
def test_names_come_back(tmp_path, suffix, name):
    frame = pd.DataFrame({name: [1.0, 2.0], "z": [3.0, 4.5]})
    write_events(frame, tmp_path / f"a.{suffix}")
    pd.testing.assert_frame_equal(read_events(tmp_path / f"a.{suffix}"), frame)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_types_are_not_those_of_the_first_batch(tmp_path, suffix):
    """A nullable column whose first batch has no null."""
    source, target = tmp_path / "source.parquet", tmp_path / f"a.{suffix}"
    values = [2, 3, None, 5]
    for statistics in (True, False):
        table = pa.table({"n": pa.array(values), "b": pa.array([True, False, None, True])})
        pq.write_table(table, source, row_group_size=2, write_statistics=statistics)
        write_events(iter_events(source, 2, on_nan="keep"), target, overwrite=True)
        read = read_events(target, on_nan="keep")
        assert read.n.dtype == np.float64
        np.testing.assert_array_equal(read.n, [2, 3, np.nan, 5])
        np.testing.assert_array_equal(read.b, [1, 0, np.nan, 1])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_batches_of_other_types_are_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    batches = [pd.DataFrame({"n": [2, 3]}), pd.DataFrame({"n": [np.nan, 0.5]})]
    with pytest.raises(
        DataFileError, match=r"'n' is int64 in the first .* float64 in a later.*astype"
    ):
        write_events(iter(batches), path)
    assert list(tmp_path.iterdir()) == []
    write_events(iter(batches[::-1]), path)
    assert read_events(path, on_nan="keep").n.tolist()[1:] == [0.5, 2, 3]
    long = [pd.DataFrame({"n": [0.5]}), pd.DataFrame({"n": [2**53 + 1]})]
    with pytest.raises(DataFileError, match="lose digits"):
        write_events(iter(long), path, overwrite=True)


@pytest.mark.parametrize("suffix", ["parquet", "npy", "csv"])
def test_events_of_many_kinds(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    expected = pd.DataFrame({"m": [1.5, 2.5], "n": [1, 2]})
    nullable = expected.convert_dtypes()
    table = pa.table({"m": [1.5, 2.5], "n": [1, 2]})
    structured = expected.to_records(index=False)
    for events in (
        nullable,
        table,
        table.to_batches(),
        table.to_reader(),
        structured,
        [expected[:1], expected[1:]],
        expected.convert_dtypes(dtype_backend="pyarrow"),
    ):
        write_events(events, path, overwrite=True)
        pd.testing.assert_frame_equal(read_events(path), expected)
    nullable.loc[1, "n"] = pd.NA
    write_events(nullable, path, overwrite=True)
    np.testing.assert_array_equal(read_events(path, on_nan="keep").n, [1, np.nan])
    big = np.array([[1.0, 2.0]], dtype=">f8")
    write_events(big, path, overwrite=True)
    assert read_events(path).to_numpy().tolist() == [[1, 2]]


def test_what_would_be_lost_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"m": [1.0, 2.0]})
    two_levels = pd.DataFrame(
        np.ones((2, 2)), columns=pd.MultiIndex.from_product([["j"], ["a", "b"]])
    )
    beyond = pd.DataFrame({"n": pd.array([2**53 + 1, None], dtype="Int64")})
    for events, message in (
        (frame.set_index(pd.Index([7, 8], name="event")), r"index \['event'\] .*reset_index"),
        (two_levels, "MultiIndex"),
        (pd.DataFrame({"t": pd.to_datetime(["2020"])}), "'t' holds datetime64"),
        (pd.DataFrame({"c": pd.Categorical(["a"])}), "'c' holds category"),
        (pa.table({"j": [[1.0]]}), "'j' holds a list"),
        (beyond, "lose digits"),
        (pd.DataFrame(index=[0]), "no columns"),
        (pd.DataFrame({"": [1.0]}), "no name"),
        ({"m": [1.0]}, "make a DataFrame"),
        (np.zeros((2, 2), complex), "complex128"),
    ):
        with pytest.raises(DataFileError, match=message):
            write_events(events, path)
    assert list(tmp_path.iterdir()) == []


def test_decimals(tmp_path):
    path = tmp_path / "a.parquet"
    prices = [decimal.Decimal("1.25"), decimal.Decimal("-2.00")]
    events = [decimal.Decimal(2**53 + 1), decimal.Decimal(7)]
    table = pa.table(
        {
            "price": pa.array(prices, pa.decimal128(9, 2)),
            "event": pa.array(events, pa.decimal128(18, 0)),
        }
    )
    pq.write_table(table, path)
    read = read_events(path)
    assert read.price.tolist() == [1.25, -2.0]
    assert read.event.tolist() == [2**53 + 1, 7]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_long_integers_in_csv(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    frame = pd.DataFrame(
        {
            "event": np.array([2**53 + 1, 2**62 + 1]),
            "hash": np.array([2**64 - 1, 2**63 + 3], dtype=np.uint64),
            "whole": [1.0, 2.0],
        }
    )
    write_events(frame, path)
    pd.testing.assert_frame_equal(read_events(path), frame)
    (tmp_path / "b.csv").write_text("event\n9007199254740993\n\n1.5\n")
    with pytest.raises(DataFileError, match=r"'event' at row 0 holds the integer 9007199254740993"):
        read_events(tmp_path / "b.csv", on_nan="keep")


def test_csv_column_that_turns_to_floats_late(tmp_path):
    """Beyond the first block, from which the types are taken."""
    path = tmp_path / "late.csv"
    n_rows = 300_000
    lines = [f"{i},{i % 2 == 0},{i}.5" for i in range(n_rows)] + ["0.25,,7"]
    path.write_text("n,b,x\n" + "\n".join(lines) + "\n")
    events = read_events(path, on_nan="keep")
    assert [str(dtype) for dtype in events.dtypes] == ["float64"] * 3
    assert events.n.tolist() == [*range(n_rows), 0.25]
    assert events.b.tolist()[:3] == [1, 0, 1] and np.isnan(events.b.iloc[-1])
    for batch in iter_events(path, 150_000, ["n"]):
        assert batch.n.dtype == np.float64


# --- Faults -----------------------------------------------------------------------------------


def fill_disk(path, queue):
    """Write with a limit on the size of files, which is what a full disk looks like."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
    frame = pd.DataFrame(np.random.default_rng(0).random((20_000, 4)), columns=list("abcd"))
    try:
        write_events(frame, path, overwrite=True)
        queue.put("success")
    except DataFileError as exc:
        queue.put(str(exc))
    except BaseException as exc:
        queue.put(repr(exc))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_full_disk(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    old = pd.DataFrame({"m": [1.0, 2.5]})
    write_events(old, path)
    processes = multiprocessing.get_context("fork")
    queue = processes.Queue()
    child = processes.Process(target=fill_disk, args=(path, queue))
    child.start()
    message = queue.get(timeout=60)
    child.join()
    assert f"a.{suffix}: cannot be written" in message
    assert os.listdir(tmp_path) == [path.name]
    pd.testing.assert_frame_equal(read_events(path), old)


@pytest.mark.parametrize("suffix", ["parquet", "h5"])
def test_second_writer_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    frame = pd.DataFrame({"m": [1.0]})

    def batches():
        yield frame
        with pytest.raises(DataFileError, match="another process or thread is writing it"):
            write_events(frame * 2, path)
        yield frame

    assert write_events(batches(), path) == 2
    assert read_events(path).m.tolist() == [1, 1]
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", ["parquet", "h5", "npz", "csv.gz"])
def test_bit_rot_is_noticed(tmp_path, suffix):
    """One flipped bit in the middle of the numbers."""
    path = tmp_path / f"a.{suffix}"
    write_events(pd.DataFrame({"x": np.random.default_rng(0).random(5000)}), path)
    content = bytearray(path.read_bytes())
    for place in (len(content) // 2, len(content) // 3):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataFileError, match="cannot be read"):
            read_events(path)
