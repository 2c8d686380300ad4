"""Filters choose the rows that pandas chooses, whatever the statistics of the file say."""

import decimal
import operator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skad.exceptions import DataFileError, MissingColumnError
from skad.io import iter_events, read_events, write_events

COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NUMBERS = ["int8", "int32", "int64", "uint8", "uint64", "float16", "float32", "float64", "bool"]
ALMOST = [0, 1, -1, 0.1, 0.5, 2.5, 100, 127, 128, -128, 1e-8, 65504, 2**24 + 1, 2**53 + 1, 1e300]


def rows_of(path, condition):
    return read_events(path, ["row"], filters=[condition], on_nan="keep").row.tolist()


def rows_of_pandas(series, symbol, value):
    if symbol == "in":
        met = np.logical_or.reduce([np.zeros(len(series), bool), *(series == v for v in value)])
    elif symbol == "not in":
        met = np.logical_and.reduce([np.ones(len(series), bool), *(series != v for v in value)])
    else:
        with np.errstate(over="ignore"):
            met = COMPARE[symbol](series, value)
    return np.flatnonzero(met).tolist()


def write(folder, column, name="c"):
    """The same column with and without statistics, three rows in a group."""
    paths = []
    for statistics in (True, False):
        path = folder / f"{name}_{statistics}.parquet"
        table = pa.table({"row": np.arange(len(column)), "c": column})
        pq.write_table(table, path, row_group_size=3, write_statistics=statistics)
        paths.append(path)
    return paths


@pytest.mark.parametrize("dtype", NUMBERS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_numbers(tmp_path_factory, dtype, data):
    kind = np.dtype(dtype)
    if kind.kind == "f":
        finite = st.floats(width=kind.itemsize * 8) | st.sampled_from([0.1, 0.5, -0.0, np.nan])
    elif kind.kind == "b":
        finite = st.booleans()
    else:
        limits = np.iinfo(kind)
        finite = st.integers(int(limits.min), int(limits.max)) | st.sampled_from([0, 1, 100])
    values = data.draw(st.lists(finite, min_size=1, max_size=9))
    nulls = data.draw(st.booleans()) and kind.kind in "iu"
    symbol = data.draw(st.sampled_from([*COMPARE, "in", "not in"]))
    items = st.sampled_from([*ALMOST, *values])
    value = data.draw(st.lists(items, max_size=12) if "in" in symbol else items)
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=kind)
    column = pa.array(array)
    series = pd.Series(array)
    if nulls and all(abs(v) < 2**53 for v in values):
        column = pa.array([*array.tolist(), None], type=column.type)
        series = pd.Series([*array.tolist(), np.nan], dtype="float64")
    expected = rows_of_pandas(series, symbol, value)
    for path in write(tmp_path_factory.mktemp("f"), column):
        assert rows_of(path, ("c", symbol, value)) == expected


@pytest.mark.parametrize("symbol", [*COMPARE, "in", "not in"])
@pytest.mark.parametrize(
    "values, kind, value",
    [
        (["a", None, "qcd", "b", "qcd", "z"], pa.string(), "qcd"),
        (["a", None, "qcd", "b", "qcd", "z"], pa.dictionary(pa.int8(), pa.string()), "qcd"),
        ([3, None, 1, 2, 3, 7], pa.dictionary(pa.int8(), pa.int64()), 3),
        ([decimal.Decimal(f"0.{i}") for i in range(1, 7)], pa.decimal128(5, 2), 0.5),
        ([decimal.Decimal(f"0.{i}") for i in range(1, 7)], pa.decimal128(5, 2), 0.3),
        (pd.to_datetime([f"202{i}-01-01" for i in range(6)]), pa.timestamp("us"), "2022-01-01"),
        (pd.to_datetime([f"202{i}-01-01" for i in range(6)]), pa.timestamp("ns"), "2022-06-01"),
    ],
)
def test_other_types(tmp_path, values, kind, value, symbol):
    def meets(item):
        if item is None:
            return symbol in ("!=", "not in")
        if isinstance(item, pd.Timestamp):
            wanted = pd.Timestamp(value)
        else:
            wanted = value
        base = {"in": "==", "not in": "!="}.get(symbol, symbol)
        return COMPARE[base](item, wanted)

    expected = [i for i, item in enumerate(values) if meets(item)]
    wanted = [value] if "in" in symbol else value
    column = pa.array(list(values)).cast(getattr(kind, "value_type", kind))
    column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
    for path in write(tmp_path, column):
        assert rows_of(path, ("c", symbol, wanted)) == expected


def test_statistics_with_nan_decide_nothing(tmp_path):
    """Some writers put NaN, or what they found beside it, into minimum and maximum."""
    column = pa.array([1.0, np.nan, 0.5, np.nan, np.nan, np.nan, 7.0, 8.0, 9.0])
    for path in write(tmp_path, column):
        assert rows_of(path, ("c", ">", 0.7)) == [0, 6, 7, 8]
        assert rows_of(path, ("c", "!=", 1.0)) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_float32_against_a_python_float(tmp_path):
    for path in write(tmp_path, pa.array(np.full(3, 0.1, np.float32))):
        assert rows_of(path, ("c", "==", 0.1)) == [0, 1, 2]
        assert rows_of(path, ("c", "<=", 0.1)) == [0, 1, 2]
        assert rows_of(path, ("c", "in", [0.1])) == [0, 1, 2]
        assert rows_of(path, ("c", "<", 0.1)) == []
        assert rows_of(path, ("c", "==", np.float64(0.1))) == []


@pytest.mark.parametrize("suffix", ["parquet", "h5", "csv", "npy", "npz", "root"])
def test_no_conditions_are_all_rows(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    write_events(pd.DataFrame({"x": np.arange(1000.0)}), path)
    for filters in ([], ()):
        assert read_events(path, filters=filters).x.tolist() == list(range(1000))
        assert [len(b) for b in iter_events(path, 300, filters=filters)] == [300, 300, 300, 100]


def test_text_of_every_format(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0], "s": ["qcd", "top", "qcd"]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_hdf(tmp_path / "a.h5", key="df", format="table")
    text = np.array(frame.s.tolist())
    np.savez(tmp_path / "a.npz", x=frame.x.to_numpy(), s=text)
    for suffix in ("csv", "parquet", "h5", "npz"):
        path = tmp_path / f"a.{suffix}"
        assert read_events(path, ["x"], filters=[("s", "==", "qcd")]).x.tolist() == [1, 3]
        assert read_events(path, ["x"], filters=[("s", "not in", ["qcd"])]).x.tolist() == [2]


def test_wrong_filters(tmp_path):
    path = tmp_path / "x.parquet"
    dates = pd.to_datetime(["2020", "2021"])
    pd.DataFrame({"x": [1.0, 2.0], "t": dates, "s": ["a", "b"]}).to_parquet(path)
    assert read_events(path, ["x"], filters=[("t", ">", "2020-06-01")]).x.tolist() == [2]
    for condition in (("x", "<", "a"), ("s", "<", 1), ("t", ">", "noon")):
        with pytest.raises(DataFileError, match=r"x\.parquet: filter .* cannot be applied"):
            read_events(path, ["x"], filters=[condition])
    with pytest.raises(MissingColumnError, match="no column 'y'"):
        read_events(path, ["x"], filters=[("y", "==", 1)])
    for condition in (("x", "=", 1), ("x", "in", "abc"), ("x", "in", 3), ("x", "==", [1]), "x>1"):
        with pytest.raises(ValueError, match="filters"):
            read_events(path, ["x"], filters=[condition])
