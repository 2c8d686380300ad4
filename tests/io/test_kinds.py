"""What people's files hold beside plain columns: read, or refused with cause and way out."""

import gzip
import os
import pickle

import awkward as ak
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tables
import uproot
from sklearn.neighbors import KernelDensity

from skad.exceptions import DataFileError
from skad.io import iter_events, read_events, score_file, write_events


def refuses(message, path, *args, **kwargs):
    with pytest.raises(DataFileError, match=message) as error:
        read_events(path, *args, **kwargs)
    assert "damaged" not in str(error.value)


# --- CSV --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, expected",
    [
        ("m;pt\n1.5;2\n", {"m": [1.5], "pt": [2]}),
        ("m\tpt\n1.5\t2\n", {"m": [1.5], "pt": [2]}),
        ("m|pt\n1.5|2\n", {"m": [1.5], "pt": [2]}),
        ("# run 3\n#\n\nm,pt\n1,2\n# end\n", {"m": [1], "pt": [2]}),
        ("m,sig\n1,True\n2,False\n", {"m": [1, 2], "sig": [True, False]}),
        ("\ufeffm,pt\r\n1,2\r\n", {"m": [1], "pt": [2]}),
        ("m, pt\n1, 2.5\n", {"m": [1], "pt": [2.5]}),
        ("m,pt\n1e3,-inf\n", {"m": [1000.0], "pt": [-np.inf]}),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_csv(tmp_path, text, expected, suffix):
    path = tmp_path / f"a.{suffix}"
    content = text.encode()
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    assert read_events(path).to_dict("list") == expected
    assert pd.concat(iter_events(path, 1)).to_dict("list") == expected


# First values, one beyond the first blocks, and the dtype of all or a part of the error.
LATE = {
    "integer": (["1", "2"], "7", np.int64),
    "float": (["1", "2"], "1.5", np.float64),
    "missing": (["1", "2"], "", np.float64),
    "infinite": (["1", "2"], "inf", np.float64),
    "text": (["1", "2"], "abc", "invalid value 'abc'. It holds something else than numbers"),
    "too long": (["1", "2"], "99999999999999999999", "loses digits as a float"),
    "float beside long": (["9007199254740993"], "1.5", "loses digits|lose digits"),
    "missing beside long": (["9007199254740993"], "", "lose digits"),
    "unsigned": (["18446744073709551615"], "7", np.uint64),
    "boolean": (["true", "false"], "", np.float64),
    "number in booleans": (["true", "false"], "1.5", "something else than true and false"),
}


@pytest.mark.parametrize("name", LATE)
def test_late_values_of_csv_read_whole_in_batches_and_scored(tmp_path, name):
    first, late, expected = LATE[name]
    n_rows = 12_000
    texts = (first * n_rows)[:n_rows]
    texts[-3] = late
    path = tmp_path / "events.csv"
    wide = "0." + "0" * 100 + "1"  # blocks of a megabyte hold fewer rows
    path.write_text("a,wide\n" + "".join(f"{text},{wide}\n" for text in texts))
    target = tmp_path / "scores.parquet"
    model = KernelDensity().fit([[0.0], [1.0]])

    def in_batches(**options):
        batches = list(iter_events(path, 1000, ["a"], on_nan="keep", **options))
        assert len({batch.dtypes["a"] for batch in batches}) == 1
        return pd.concat(batches, ignore_index=True)

    def scored():
        score_file(model, path, target, columns=["wide"], keep=["a"])
        return read_events(target, ["a"], on_nan="keep")

    readers = [lambda: read_events(path, ["a"], on_nan="keep"), in_batches, scored]
    if isinstance(expected, str):
        for read in readers:
            with pytest.raises(DataFileError, match=expected):
                read()
    else:
        values = [float({"true": 1, "false": 0, "": "nan"}.get(text, text)) for text in texts]
        for read in readers:
            found = read()["a"]
            assert found.dtype == expected
            np.testing.assert_array_equal(found.astype(float), values)
    # What is not read spoils nothing.
    part = in_batches(rows=slice(10, 2010))
    pd.testing.assert_frame_equal(part, read_events(path, ["a"], rows=slice(10, 2010)))


def test_tsv_without_header(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("1\t2.5\n3\t4\n")
    assert read_events(path, column_names=["a", "b"]).to_dict("list") == {
        "a": [1, 3],
        "b": [2.5, 4],
    }


@pytest.mark.parametrize(
    "content, message",
    [
        (b'm,pt\n"1,234",2\n', r"'m' holds text .*Row #2.*'1,234'.*thousands="),
        (b"m;pt\n1,5;2\n", r"'m' holds text .*'1,5'.*decimal="),
        (b"m,s\n1,qcd\n", r"'s' holds text .*'qcd'.*columns="),
        (b"m,t\n1,2020-01-01\n", "'t' holds dates"),
        ("µ,pt\n1,2\n".encode("latin-1"), "not UTF-8.*iconv"),
        ("m,pt\n1,2\n".encode("utf-16"), "UTF-16.*iconv"),
        (b"m pt\n1 2\n", r"separated by blanks .*sep="),
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"m,pt\n1,2\n3\n", "Expected 2 columns, got 1"),
    ],
)
def test_csv_refused(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=message) as error:
        read_events(path)
    assert "truncated" not in str(error.value)


# --- HDF5 -------------------------------------------------------------------------------------


class Harmful:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("table_format", ["fixed", "table"])
@pytest.mark.parametrize("place", ["beside", "name of a column", "labels"])
def test_nothing_in_hdf5_is_run(tmp_path, table_format, place):
    path, ran = tmp_path / "a.h5", tmp_path / "ran"
    frame = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5)})
    frame.to_hdf(path, key="events", format=table_format)
    bomb = np.bytes_(pickle.dumps(Harmful(ran), 0))
    with h5py.File(path, "a") as file:
        group = file["events"]
        if place == "beside":
            group.attrs["note"] = bomb
        elif table_format == "table":
            node, name = {
                "labels": (group, "non_index_axes"),
                "name of a column": (group["table"], "values_block_0_kind"),
            }[place]
            node.attrs[name] = bomb
        else:
            name = {"labels": "axis0", "name of a column": "block0_items"}[place]
            del group[name]
            vlen = group.create_dataset(name, (1,), dtype=h5py.vlen_dtype(np.uint8))
            vlen[0] = np.frombuffer(bytes(bomb), np.uint8)
    if place == "beside":
        pd.testing.assert_frame_equal(read_events(path), frame)
    else:
        with pytest.raises(DataFileError, match="run(ning)? code"):
            read_events(path)
    assert not ran.exists()


@pytest.mark.parametrize("table_format", ["fixed", "table"])
def test_frames_of_pandas(tmp_path, table_format):
    path = tmp_path / "a.h5"
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=50),
            "n": rng.integers(0, 9, 50),
            "f": rng.normal(size=50).astype(np.float32),
            "b": rng.random(50) < 0.5,
            "y": rng.normal(size=50),
            "s": ["a", "b"] * 25,
            "t": pd.date_range("2020-01-01", periods=50),
        }
    )
    frame.to_hdf(path, key="deep/df", format=table_format, complib="blosc", complevel=5)
    read = read_events(path, "flat")
    pd.testing.assert_frame_equal(read, frame[["x", "n", "f", "b", "y"]])
    assert set(read.attrs["left_out"]) == {"s", "t"}
    part = frame[["b", "x"]][7:30].reset_index(drop=True)
    pd.testing.assert_frame_equal(read_events(path, ["b", "x"], rows=slice(7, 30)), part)
    refuses("'s' holds .*columns='flat'", path)
    refuses("'t' holds dates", path, ["t"])
    empty = frame[["x", "n"]][:0]
    empty.to_hdf(tmp_path / "empty.h5", key="df", format="fixed")
    pd.testing.assert_frame_equal(read_events(tmp_path / "empty.h5"), empty.reset_index(drop=True))


def test_data_columns_and_multi_index_of_pandas(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0], "n": [3, 4], "y": [5.0, 6.0]})
    frame.to_hdf(tmp_path / "a.h5", key="df", format="table", data_columns=["n"])
    pd.testing.assert_frame_equal(read_events(tmp_path / "a.h5"), frame)
    frame.set_index(["n", "y"]).to_hdf(tmp_path / "m.h5", key="df", format="table")
    assert read_events(tmp_path / "m.h5").to_dict("list") == {"x": [1.0, 2.0]}
    two = frame.set_axis(pd.MultiIndex.from_tuples([("j", c) for c in "abc"]), axis=1)
    two.to_hdf(tmp_path / "c.h5", key="df")
    refuses("columns of '/df' are a MultiIndex; join", tmp_path / "c.h5")
    frame.x.to_hdf(tmp_path / "s.h5", key="df")
    refuses(r"holds a Series.*to_frame", tmp_path / "s.h5")
    categories = frame.assign(c=pd.Categorical(["u", "v"]))
    categories.to_hdf(tmp_path / "cat.h5", key="df", format="table")
    assert list(read_events(tmp_path / "cat.h5", "flat")) == ["x", "n", "y"]


@pytest.mark.parametrize("complib", ["blosc", "blosc2", "zlib", "bzip2"])
def test_tables_of_pytables(tmp_path, complib):
    path = tmp_path / "a.h5"
    array = np.zeros(100, dtype=[("x", "f8"), ("b", "?"), ("v", "f4", (3,)), ("s", "S4")])
    array["x"], array["b"] = np.arange(100), np.arange(100) % 3 == 0
    with tables.open_file(path, "w", filters=tables.Filters(5, complib, fletcher32=True)) as file:
        file.create_table("/", "jets", array)
    read = read_events(path, "flat")
    assert [str(dtype) for dtype in read.dtypes] == ["float64", "bool"]
    np.testing.assert_array_equal(read.x, array["x"])
    np.testing.assert_array_equal(read.b, array["b"])
    refuses("'v' holds 3 values for each event", path, ["v"])


def test_lzo_is_named(tmp_path):
    if not tables.which_lib_version("lzo"):
        pytest.skip("PyTables without lzo")
    path = tmp_path / "a.h5"
    with tables.open_file(path, "w", filters=tables.Filters(5, "lzo")) as file:
        file.create_carray("/", "x", obj=np.arange(1000.0))
    refuses(r"HDF5 filter 305 \(lzo\).*ptrepack", path)


def test_odd_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["inner/x"], file["inner/y"] = np.arange(3.0), np.arange(3)
        file["other/z"] = np.arange(4.0)
        file["text"] = "hello"
        file["link"] = h5py.SoftLink("/nowhere")
        file["outside"] = h5py.ExternalLink("b.h5", "/x")
        file["complex"] = np.ones(3, complex)
        file["ragged"] = np.array([np.arange(2), np.arange(3)], dtype=h5py.vlen_dtype(int))
        file["nothing"] = h5py.Empty("f8")
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource("lost.h5", "x", (3,))
        file.create_virtual_dataset("virtual", layout)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = np.arange(3.0)
    assert read_events(path, key="inner").to_dict("list") == {"x": [0, 1, 2], "y": [0, 1, 2]}
    assert read_events(path, key="other/z").z.tolist() == [0, 1, 2, 3]
    for key, message in {
        "link": "no 'link'",
        "outside": "lies in another file",
        "complex": "complex numbers",
        "ragged": "lists or text of varying length",
        "nothing": "without a shape",
        "virtual": "keeps its values in other files",
        "text": r"shape \(\)",
    }.items():
        refuses(message, path, key=key)


# --- ROOT -------------------------------------------------------------------------------------


@pytest.fixture
def nano(tmp_path):
    """Like a NanoAOD: flat columns, lists with their lengths, two trees, a histogram."""
    path = tmp_path / "nano.root"
    with uproot.recreate(path) as file:
        file.mktree(
            "dir/Events",
            {
                "run": "u4",
                "met": "f4",
                "Jet": ak.types.from_datashape("var * {pt: float32}", highlevel=False),
            },
        )
        for start in (0, 3):
            file["dir/Events"].extend(
                {
                    "run": np.arange(start, start + 3, dtype="u4"),
                    "met": np.arange(3, dtype="f4") + start,
                    "Jet": ak.zip({"pt": ak.Array([[1.0], [], [2.0, 3.0]])}),
                }
            )
        file["h"] = np.histogram(np.arange(3.0))
    return path


def test_flat_columns_of_a_nano_aod(nano):
    refuses(r"'Jet_pt' holds a list for each event \(float\[\]\).*columns='flat'", nano)
    events = read_events(nano, "flat")
    assert events.to_dict("list") == {
        "nJet": [1, 0, 2] * 2,
        "run": list(range(6)),
        "met": [0, 1, 2, 3, 4, 5],
    } or events.to_dict("list") == {
        "run": list(range(6)),
        "met": [0, 1, 2, 3, 4, 5],
        "nJet": [1, 0, 2] * 2,
    }
    assert events.attrs["left_out"] == {"Jet_pt": "a list for each event (float[])"}
    assert [len(b) for b in iter_events(nano, 4, ["met"])] == [4, 2]
    assert read_events(f"{nano}:dir/Events", ["met"], rows=slice(2, 5)).met.tolist() == [2, 3, 4]
    refuses(r"no 'Events'; it has the trees \['dir/Events'\]", nano, key="Events")


def test_root_without_a_tree(tmp_path):
    path = tmp_path / "h.root"
    with uproot.recreate(path) as file:
        file["h"] = np.histogram(np.arange(3.0))
    refuses("no tree of events, only TH1D", path)


def test_structures_and_texts_in_root(tmp_path):
    path = tmp_path / "a.root"
    leaves = np.zeros(3, dtype=[("x", "f8"), ("n", "i4")])
    leaves["x"] = [1, 2, 3]
    with uproot.recreate(path) as file:
        file.mktree("t", {"s": "string", "v": np.dtype(("f8", (2,))), "m": "f8"})
        file["t"].extend({"s": ak.Array(["a", "b", "c"]), "v": np.ones((3, 2)), "m": leaves["x"]})
    refuses("'s' holds text", path, ["s"])
    refuses("'v' holds 2 numbers for each event", path, ["v"])
    assert list(read_events(path, "flat")) == ["m"]


def test_rntuple(tmp_path):
    """All types, several clusters, and the fields of structures."""
    path = tmp_path / "a.root"
    rng = np.random.default_rng(0)
    kinds = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
    frame = pd.DataFrame(
        {f"c{k}".replace("?", "b"): rng.integers(0, 2, 100).astype(k) for k in kinds}
    )
    with uproot.recreate(path) as file:
        columns = {name: frame[name].to_numpy() for name in frame}
        columns["jet"] = ak.zip({"pt": frame.cf4.to_numpy(), "n": frame.ci4.to_numpy()})
        columns["jets"] = ak.unflatten(np.arange(200.0), [1, 3] * 50)
        file.mkrntuple("n", {name: values[:40] for name, values in columns.items()})
        file["n"].extend({name: values[40:] for name, values in columns.items()})
    events = read_events(path, "flat")
    pd.testing.assert_frame_equal(events[list(frame)], frame)
    assert events["jet.pt"].tolist() == frame.cf4.tolist()
    assert "jets" in events.attrs["left_out"]
    assert (
        read_events(path, ["jet.n"], rows=slice(35, 45))["jet.n"].tolist()
        == frame.ci4.tolist()[35:45]
    )
    refuses(r"'jets' holds std::vector<double> for each event", path, ["jets"])
    refuses(r"'jet' holds a structure .*name its fields, \['jet.pt'", path, ["jet"])


# --- Parquet and NumPy ------------------------------------------------------------------------


def test_kinds_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "x": [1.0, 2.0],
            "h": pa.array(np.array([1, 2], np.float16)),
            "d": pa.array([5, 7]).dictionary_encode(),
            "none": pa.nulls(2),
            "list": [[1.0], []],
            "struct": [{"a": 1}, {"a": 2}],
            "t": pd.to_datetime(["2020", "2021"]),
            "bytes": [b"a", b"b"],
            "s": ["a", "b"],
        }
    )
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    events = read_events(path, "flat", on_nan="keep")
    assert [str(dtype) for dtype in events.dtypes] == ["float64", "float16", "int64", "float64"]
    assert events.d.tolist() == [5, 7] and events.none.isna().all()
    for name, kind in {
        "list": "a list",
        "struct": "struct<",
        "t": "dates",
        "bytes": "bytes",
        "s": "text",
    }.items():
        refuses(f"'{name}' holds .*{kind}", path, [name])


@pytest.mark.parametrize("compression", ["snappy", "gzip", "brotli", "lz4", "zstd", "none"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_encodings_of_parquet(tmp_path, compression, version):
    path = tmp_path / "a.parquet"
    n = np.arange(1000)
    table = pa.table({"f": np.sin(n), "i": n % 7, "u": n.astype(np.uint16), "b": n % 2 == 0})
    encodings = {"f": "BYTE_STREAM_SPLIT", "i": "DELTA_BINARY_PACKED", "u": "PLAIN", "b": "RLE"}
    pq.write_table(
        table,
        path,
        compression=compression,
        data_page_version=version,
        use_dictionary=False,
        column_encoding=encodings,
    )
    pd.testing.assert_frame_equal(read_events(path), table.to_pandas())


def test_kinds_of_numpy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(3.0))
    assert read_events(path).x0.tolist() == [0, 1, 2]
    assert read_events(path, column_names=["m"]).m.tolist() == [0, 1, 2]
    np.save(path, np.asfortranarray(np.arange(6, dtype=">i2").reshape(3, 2)))
    assert read_events(path).to_numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    np.save(path, np.array([{"a": 1}], dtype=object))
    refuses("pickled Python objects", path)
    np.savez(tmp_path / "a.npz", m=np.arange(2.0), s=np.array(["a", None], object))
    assert read_events(tmp_path / "a.npz", ["m"]).m.tolist() == [0, 1]
    refuses("'s' holds Python objects", tmp_path / "a.npz")
    fortran = np.asfortranarray(np.arange(6.0).reshape(3, 2))
    np.savez_compressed(tmp_path / "f.npz", X=fortran)
    np.testing.assert_array_equal(read_events(tmp_path / "f.npz").to_numpy(), fortran)
    batches = list(iter_events(tmp_path / "f.npz", 2))
    np.testing.assert_array_equal(pd.concat(batches).to_numpy(), fortran)


def test_columns_of_other_files_are_wider(tmp_path):
    """int32 and float64 of two files are float64 in both, also in the first batch."""
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    write_events(pd.DataFrame({"n": np.array([1, 2], np.int32)}), paths[0])
    write_events(pd.DataFrame({"n": [0.5]}), paths[1])
    assert read_events(paths).n.tolist() == [1, 2, 0.5]
    assert [str(batch.n.dtype) for batch in iter_events(paths, 2)] == ["float64", "float64"]
    write_events(pd.DataFrame({"n": [2**53 + 1]}), paths[0], overwrite=True)
    refuses("lose digits", paths)
