"""Every format, dtype and layout, read, iterated, filtered and rewritten, against other readers."""

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import uproot

from skad.io import iter_events, read_events, write_events

N = 137


def events(dtypes):
    rng = np.random.default_rng(0)
    return pd.DataFrame({f"c_{d}": (100 * rng.random(N)).astype(d) for d in dtypes}).assign(
        row=np.arange(N)
    )


NUMBERS = ["int8", "int32", "int64", "uint16", "float32", "float64", "bool"]


def parquet_pandas(frame, path):
    frame.to_parquet(path, index=False)
    return pd.read_parquet(path)


def parquet_groups(frame, path):
    import pyarrow as pa

    pq.write_table(pa.Table.from_pandas(frame), path, row_group_size=20, use_dictionary=False)
    return pq.read_table(path).to_pandas()


def hdf5_fixed(frame, path):
    frame.to_hdf(path, key="df", format="fixed")
    return pd.read_hdf(path)


def hdf5_table(frame, path):
    frame.to_hdf(path, key="df", format="table", data_columns=["row"])
    return pd.read_hdf(path)


def hdf5_columns(frame, path):
    with h5py.File(path, "w") as file:
        for name in frame:
            file.create_dataset(name, data=frame[name], chunks=(20,), compression="gzip")
    with h5py.File(path) as file:
        return pd.DataFrame({name: file[name][:] for name in frame})


def hdf5_compound(frame, path):
    with h5py.File(path, "w") as file:
        file["events"] = frame.to_records(index=False)
    with h5py.File(path) as file:
        return pd.DataFrame(file["events"][:])


def csv_comma(frame, path):
    frame.to_csv(path, index=False)
    return pd.read_csv(path, float_precision="round_trip")


def csv_semicolon(frame, path):
    frame.to_csv(path, index=False, sep=";")
    return pd.read_csv(path, sep=";", float_precision="round_trip")


def npy_structured(frame, path):
    np.save(path, frame.to_records(index=False))
    return pd.DataFrame(np.load(path))


def npz_columns(frame, path):
    np.savez_compressed(path, **{name: frame[name].to_numpy() for name in frame})
    with np.load(path) as archive:
        return pd.DataFrame({name: archive[name] for name in archive})


def root_tree(frame, path):
    with uproot.recreate(path) as file:
        file.mktree("t", dict(frame.dtypes))
        for start in range(0, N, 30):
            file["t"].extend({c: frame[c].to_numpy()[start : start + 30] for c in frame})
    return uproot.open(path)["t"].arrays(library="pd")


def root_ntuple(frame, path):
    with uproot.recreate(path) as file:
        file.mkrntuple("t", {c: frame[c].to_numpy()[:30] for c in frame})
        file["t"].extend({c: frame[c].to_numpy()[30:] for c in frame})
    arrays = uproot.open(path)["t"].arrays()
    return pd.DataFrame({c: arrays[c].to_numpy() for c in arrays.fields})


LAYOUTS = [
    (parquet_pandas, "parquet"),
    (parquet_groups, "pq"),
    (hdf5_fixed, "h5"),
    (hdf5_table, "hdf5"),
    (hdf5_columns, "hdf"),
    (hdf5_compound, "h5"),
    (csv_comma, "csv"),
    (csv_semicolon, "csv.gz"),
    (npy_structured, "npy"),
    (npz_columns, "npz"),
    (root_tree, "root"),
    (root_ntuple, "root"),
]


@pytest.mark.parametrize("layout, suffix", LAYOUTS, ids=[layout.__name__ for layout, _ in LAYOUTS])
def test_equal_to_the_reference_reader(tmp_path, layout, suffix):
    path = tmp_path / f"a.{suffix}"
    expected = layout(events(NUMBERS), path).reset_index(drop=True)
    expected = expected[list(read_events(path))]  # h5py lists by name
    assert len(expected.columns) == len(NUMBERS) + 1
    pd.testing.assert_frame_equal(read_events(path), expected)
    pd.testing.assert_frame_equal(
        pd.concat(iter_events(path, 23), ignore_index=True), expected, check_exact=True
    )
    part = expected[["row", "c_float32"]][50:99].reset_index(drop=True)
    pd.testing.assert_frame_equal(read_events(path, ["row", "c_float32"], rows=slice(50, 99)), part)
    for name in expected:
        value = expected[name].iloc[60].item()
        for symbol, met in (
            ("==", expected[name] == value),
            ("<", expected[name] < value),
            (">=", expected[name] >= value),
            ("in", expected[name] == value),
        ):
            read = read_events(
                path, ["row"], filters=[(name, symbol, [value] if symbol == "in" else value)]
            )
            assert read.row.tolist() == expected.row[met].tolist(), (name, symbol)
    for other in ("parquet", "h5", "npz", "root"):
        target = tmp_path / f"again.{other}"
        assert write_events(iter_events(path, 50), target) == N
        pd.testing.assert_frame_equal(read_events(target), expected)
