"""Model files: the same scores in another process, no code, no damage that goes unseen."""

import ast
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import model_cases
import numpy as np
import pandas as pd
import pytest
import sklearn
from estimator_checks import assert_same
from joblib import Memory
from model_cases import X, Y
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from skorch.callbacks import EpochTimer

import skad
from skad.coordinates import AffineTransformer, CoordinateTransformer, LogTransformer
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, DensityDetector, NetworkClassifier
from skad.exceptions import ModelFileError, UnknownTypeError, VersionWarning
from skad.io import _model_added, _model_types, load_model, model_info, save_model
from skad.resonant import SignalRegion
from skad.search import SignificanceCalibration
from skad.utils import _sklearn as sk

HERE = Path(__file__).parent
DATA = HERE.parent / "data"
PACKAGE = Path(skad.__file__).parent

# A hundred events are too few for a search, as it warns.
pytestmark = pytest.mark.filterwarnings("ignore::skad.exceptions.LowStatisticsWarning")

READ_ALL = """
import pickle, sys, warnings
from pathlib import Path
sys.path[:0] = {path!r}
import model_cases
from skad.io import load_model
warnings.simplefilter("ignore")
found = {{}}
for number, name in enumerate(model_cases.names()):
    try:
        found[name] = model_cases.scores(load_model(Path({folder!r}) / f"{{number}}.skad"))
    except Exception as exc:
        found[name] = repr(exc)
Path({folder!r}, "scores").write_bytes(pickle.dumps(found))
"""


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Scores of every model here, and of its file in a fresh process."""
    folder = tmp_path_factory.mktemp("models")
    here = {}
    for number, (name, model) in enumerate(model_cases.fitted_models().items()):
        here[name] = model_cases.scores(model)
        save_model(model, folder / f"{number}.skad")
    code = READ_ALL.format(path=[str(HERE), str(HERE.parent)], folder=str(folder))
    subprocess.run([sys.executable, "-c", code], check=True)
    return here, pickle.loads((folder / "scores").read_bytes())


@pytest.mark.parametrize("name", model_cases.names())
def test_scores_are_bitwise_the_same_in_a_fresh_process(scored, name):
    here, there = scored
    assert not isinstance(there[name], str), there[name]
    assert_same(there[name], here[name])


@pytest.fixture(scope="module")
def affine(tmp_path_factory):
    path = tmp_path_factory.mktemp("affine") / "model.skad"
    save_model(AffineTransformer(scale=2.0).fit(X), path)
    return path


def test_same_model_same_bytes(affine, tmp_path):
    save_model(load_model(affine), tmp_path / "again.skad")
    assert (tmp_path / "again.skad").read_bytes() == affine.read_bytes()


def test_what_the_file_says_of_itself(tmp_path):
    model = make_pipeline(LogTransformer(), IsolationForest(n_estimators=2)).fit(X)
    path = tmp_path / "model.skad"
    save_model(model, path, units={"a": "TeV"})
    info = model_info(path)
    assert info["class"] == "sklearn.pipeline.Pipeline"
    assert info["feature_names"] == ["a", "b", "c"] and info["n_features"] == 3
    assert info["units"] == {"a": "TeV"}
    assert info["scores"]["score_samples"] == "higher is more normal"
    assert info["versions"]["scikit-learn"] == sklearn.__version__
    assert info["versions"]["skad"] == skad.__version__
    with pytest.raises(ValueError, match=r"units names \['mass'\]"):
        save_model(model, tmp_path / "other.skad", units={"mass": "TeV"})


def test_a_file_is_plain_arrays_and_json(affine):
    with zipfile.ZipFile(affine) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        names = set(archive.namelist()) - {"manifest.json"}
        arrays = [np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names]
    assert manifest["format"] == 1
    assert all(array.dtype.kind in "fiub" for array in arrays)


def test_a_file_of_format_1_is_read_for_ever():
    expected = json.loads((DATA / "model_1.json").read_text())
    model = load_model(DATA / "model_1.skad")
    events = pd.DataFrame(expected["X"], columns=["m", "x", "y"])
    np.testing.assert_allclose(model.anomaly_score(events), expected["anomaly_score"], rtol=1e-5)
    for (name, _), detector in zip(model.detectors, model.detectors_, strict=True):
        np.testing.assert_allclose(
            detector.score_samples(events), expected[name], rtol=1e-5, err_msg=name
        )
    assert model_info(DATA / "model_1.skad")["units"] == {"m": "TeV"}


def test_attributes_that_came_later_are_those_of_the_older_class(tmp_path):
    old = load_model(DATA / "model_1.skad")
    found = dict(zip(("autoencoder", "density", "affine"), old.detectors_, strict=True))
    # The density was stored before constant columns were left out, and without a fit beside it.
    assert vars(found["density"])["constant_indices_"].tolist() == []
    unfitted = dict(old.detectors)["density"]
    assert "constant_indices_" not in vars(unfitted)
    with pytest.raises(NotFittedError):
        unfitted.anomaly_score(X)
    model = make_pipeline(StandardScaler(), DensityDetector(KernelDensity())).fit(X)
    model[-1].constant_indices_ = np.array([1])
    save_model(model, tmp_path / "new.skad")
    # What a file says is not replaced.
    assert load_model(tmp_path / "new.skad")[-1].constant_indices_.tolist() == [1]
    for name, added in _model_added.ADDED.items():
        learned = all(key.endswith("_") for key in added)
        is_part = not issubclass(_model_types.class_named(name), BaseEstimator)
        assert learned or is_part, "a parameter has its default in __init__"


def test_parameters_that_came_later_have_their_defaults():
    old = load_model(DATA / "model_1.skad")
    assert old.get_params()["density__density__density__noise"] == 0.0
    table = json.loads((DATA / "model_1.json").read_text())["X"]
    events = pd.DataFrame(table, columns=["m", "x", "y"])
    again = clone(old.detectors[1][1]).set_params(density__density__max_epochs=1)
    assert np.isfinite(again.fit(events).anomaly_score(events)).all()


def test_shared_parts_stay_shared(tmp_path):
    inner = LogTransformer().fit(X)
    model = make_pipeline(inner, StandardScaler()).fit(X)
    model.other_ = [inner, {"key": inner}]
    save_model(model, tmp_path / "model.skad")
    loaded = load_model(tmp_path / "model.skad")
    assert loaded.other_[0] is loaded.steps[0][1] is loaded.other_[1]["key"]


EQUAL = {
    pd.DataFrame: pd.testing.assert_frame_equal,
    pd.Series: pd.testing.assert_series_equal,
    pd.MultiIndex: pd.testing.assert_index_equal,
}


def test_values_keep_their_types(tmp_path):
    frame = pd.DataFrame(
        {
            "n": np.arange(3, dtype=np.int16),
            "t": ["a", None, "b"],
            "c": pd.Categorical(list("aba")),
        },
        index=pd.Index([1.5, 2.5, 3.5], name="m"),
    )
    values = {
        "tuple": (1, 2.5, True, None, "text"),
        "float": [float("nan"), float("-inf"), -0.0],
        "scalars": [
            np.float32(0.1),
            np.int64(2**62),
            np.bool_(True),
            np.str_("s"),
            np.longdouble(2),
        ],
        "keys": {1: "one", (2, 3): "two", None: "none", "$": "dollar"},
        "set": {"b", "a"},
        "slice": slice(1, None, 2),
        "range": range(3),
        "big": 2**100,
        "dtype": np.dtype("float32"),
        "class": np.float64,
        "objects": np.array(["a", 1, None], dtype=object),
        "order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.empty((0, 3), dtype=np.float32),
        "masked": np.ma.MaskedArray([1.0, 2.0], mask=[True, False]),
        "dates": np.array(["2026-11-26"], dtype="datetime64[D]"),
        "frame": frame,
        "series": pd.Series([1, 2], name="s", index=["a", "b"]),
        "region": SignalRegion(3.3, 3.7),
        "calibration": SignificanceCalibration(mean=0.5, std=1.25, n_experiments=300),
        "levels": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")]),
    }
    model = AffineTransformer().fit(X)
    model.values_ = values
    save_model(model, tmp_path / "model.skad")
    found = load_model(tmp_path / "model.skad").values_
    assert list(found) == list(values)
    for name, value in values.items():
        other = found[name]
        assert type(other) is type(value), name
        if isinstance(value, (pd.DataFrame, pd.Series, pd.Index)):
            EQUAL[type(value)](other, value)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(other, value)
            assert (
                other.dtype == value.dtype and other.flags.f_contiguous == value.flags.f_contiguous
            )
            assert other.flags.writeable
        elif name == "float":
            assert np.array(other).tobytes() == np.array(value).tobytes()
        else:
            assert other == value
    assert [type(v) for v in found["scalars"]] == [type(v) for v in values["scalars"]]
    assert found["dtype"] == np.float32 and found["class"] is np.float64


def test_generators_go_on_where_they_were(tmp_path):
    model = AffineTransformer().fit(X)
    model.old_ = np.random.RandomState(3)
    model.new_ = np.random.default_rng(3)
    model.old_.normal(size=3)
    model.new_.normal(size=3)
    save_model(model, tmp_path / "model.skad")
    loaded = load_model(tmp_path / "model.skad")
    assert (loaded.old_.normal(size=5) == model.old_.normal(size=5)).all()
    assert (loaded.new_.normal(size=5) == model.new_.normal(size=5)).all()
    spawned = [one.spawn(1)[0].normal() for one in (loaded.new_, model.new_)]
    assert spawned[0] == spawned[1]


class OwnCoordinates(CoordinateTransformer):
    def _forward(self, X):
        return X

    def _backward(self, Z):
        return Z


def own_function(values):
    return values


def own_flow(n_features, n_context):
    raise AssertionError("is not called")


def fast(**params):
    return AutoencoderDetector(hidden_layer_sizes=(4,), max_epochs=1, random_state=0, **params)


REFUSED = {
    "OwnCoordinates": lambda: make_pipeline(OwnCoordinates(), StandardScaler()).fit(X),
    r"steps\[0\]\[1\].func is the function own_function": lambda: make_pipeline(
        FunctionTransformer(own_function), StandardScaler()
    ).fit(X),
    "the function REFUSED|<lambda>": lambda: FunctionTransformer(lambda x: x).fit(X),
    r"memory=.*set_params\(memory=None\)": lambda: Pipeline(
        [("one", StandardScaler()), ("two", LogTransformer())], memory="folder"
    ).fit(np.exp(X)),
    "joblib.memory.Memory": lambda: _with(StandardScaler().fit(X), Memory(None)),
    r"callbacks\[0\] is a skorch.callbacks": lambda: fast(callbacks=[EpochTimer()]).fit(X),
    "flow is the function own_flow": lambda: _with(
        FlowDensity(max_epochs=1).fit(X), own_flow, "flow"
    ),
    "the function system": lambda: FunctionTransformer(os.system).fit(X),
    "the function load": lambda: FunctionTransformer(np.load).fit(X),
    "numpy.matrix|matrix": lambda: _with(StandardScaler().fit(X), np.asmatrix([[1.0]])),
    "inside of itself": lambda: _with(StandardScaler().fit(X), _circle()),
    "_io.BytesIO": lambda: _with(StandardScaler().fit(X), io.BytesIO()),
}


def _with(model, value, name="held_"):
    setattr(model, name, value)
    return model


def _circle():
    circle = []
    circle.append(circle)
    return circle


@pytest.mark.parametrize("message", REFUSED)
def test_saving_refuses_code_by_name(message, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("cache"))  # of the pipeline with memory
    path = tmp_path / "model.skad"
    path.write_text("old")
    with pytest.raises(UnknownTypeError, match=message):
        save_model(REFUSED[message](), path, overwrite=True)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_saving_needs_a_fitted_model_and_a_free_path(affine, tmp_path):
    with pytest.raises(NotFittedError):
        save_model(StandardScaler(), tmp_path / "model.skad")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_model(load_model(affine), affine)


def forge(source, target, change=None, *, members=None, compression=zipfile.ZIP_STORED):
    """Write a file whose manifest or members were changed, with a checksum that fits."""
    with zipfile.ZipFile(source) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    if change is not None:
        manifest = json.loads(content["manifest.json"])
        manifest = change(manifest) or manifest
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        content["manifest.json"] = text.encode()
    content.update(members or {})
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.comment = b"sha256:" + b"0" * 64
    return seal(target)


def seal(path, data=None):
    data = bytearray(path.read_bytes() if data is None else data)
    data[-64:] = hashlib.sha256(bytes(data[:-64])).hexdigest().encode()
    path.write_bytes(data)
    return path


def _name(name):
    def change(manifest):
        manifest["objects"][0]["class"] = name

    return change


def _root(value):
    def change(manifest):
        manifest["root"] = value

    return change


def _state(name, value):
    def change(manifest):
        manifest["objects"][0]["state"][name] = value

    return change


def _row(row):
    def change(manifest):
        manifest["objects"].append(row)
        manifest["objects"][0]["state"]["planted"] = {
            "$": "ref",
            "row": len(manifest["objects"]) - 1,
        }

    return change


FORGED = {
    "class of the standard library": (_name("subprocess.Popen"), UnknownTypeError),
    "builtin": (_name("builtins.eval"), UnknownTypeError),
    "function as class": (_name("skad.io.write_events"), UnknownTypeError),
    "class of a test": (_name("sklearn.tests.test_base.MyEstimator"), UnknownTypeError),
    "private class": (_name("sklearn.externals._packaging.version.Version"), UnknownTypeError),
    "class of tests of skad": (_name("skad.broken.Thing"), UnknownTypeError),
    "no estimator": (_name("sklearn.utils.Tags"), UnknownTypeError),
    "path in a name": (_name("sklearn..pipeline.Pipeline"), UnknownTypeError),
    "no name": (_name(["sklearn.pipeline.Pipeline"]), ModelFileError),
    "abstract class": (_name("skad.coordinates.CoordinateTransformer"), ModelFileError),
    "no model": (_root([1, 2]), ModelFileError),
    "system": (_state("f", {"$": "function", "name": "os.system"}), UnknownTypeError),
    "posix": (_state("f", {"$": "function", "name": "posix.system"}), UnknownTypeError),
    "eval": (_state("f", {"$": "function", "name": "eval"}), UnknownTypeError),
    "numpy.load": (_state("f", {"$": "function", "name": "numpy.load"}), UnknownTypeError),
    "frompyfunc": (_state("f", {"$": "function", "name": "numpy.frompyfunc"}), UnknownTypeError),
    "torch.load": (_state("f", {"$": "function", "name": "torch.load"}), UnknownTypeError),
    "writes": (_state("f", {"$": "function", "name": "skad.io.write_events"}), UnknownTypeError),
    "memory": (_state("memory", "/tmp/pickles"), UnknownTypeError),
    "checkpoint": (_state("checkpoint", "/tmp/pickles"), UnknownTypeError),
    "kind": (_state("f", {"$": "reduce", "items": []}), UnknownTypeError),
    "form": (_row({"form": "pickle", "data": "gASV"}), UnknownTypeError),
    "row": (_root({"$": "ref", "row": 99}), ModelFileError),
    "negative row": (_root({"$": "ref", "row": -1}), ModelFileError),
    "cycle": (_row({"form": "masked", "parts": [{"$": "ref", "row": 4}] * 3}), ModelFileError),
    "array outside": (_row({"form": "array", "array": 99}), ModelFileError),
    "array by path": (_row({"form": "array", "array": "../../etc/passwd"}), ModelFileError),
    "dtype of objects": (_state("d", {"$": "dtype", "value": "O"}), ModelFileError),
    "scalar of objects": (_state("d", {"$": "scalar", "dtype": "O", "value": 1}), ModelFileError),
    "huge scalar": (
        _state("d", {"$": "scalar", "dtype": "U999999999", "value": ""}),
        ModelFileError,
    ),
    "generator": (
        _row({"form": "Generator", "state": {"bit_generator": "default_rng"}}),
        ModelFileError,
    ),
    "deep": (lambda m: "[" * 100_000, ModelFileError),
    "other manifest": (lambda m: {"kind": "something"}, ModelFileError),
    "list": (lambda m: [1], ModelFileError),
    "infinity": (lambda m: json.dumps(m)[:-1] + ', "x": Infinity}', ModelFileError),
    "no objects": (lambda m: m.pop("objects") and None, ModelFileError),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_manifest_is_refused(name, affine, tmp_path):
    change, error = FORGED[name]
    path = forge(affine, tmp_path / "forged.skad", change)
    with pytest.raises(error, match=r"forged\.skad") as info:
        load_model(path)
    assert isinstance(info.value, ValueError)


def test_a_newer_format_says_what_to_do(affine, tmp_path):
    def newer(manifest):
        manifest["format"] = 2
        manifest["versions"]["skad"] = "9.1"

    path = forge(affine, tmp_path / "newer.skad", newer)
    with pytest.raises(
        ModelFileError, match=r"newer format 2, written by skad 9.1; .* Update skad"
    ):
        load_model(path)


def test_another_scikit_learn_warns(tmp_path):
    path = tmp_path / "model.skad"
    save_model(StandardScaler().fit(X), path)

    def older(manifest):
        manifest["versions"]["scikit-learn"] = "1.2.3"

    with pytest.warns(VersionWarning, match="scikit-learn 1.2.3"):
        loaded = load_model(forge(path, tmp_path / "older.skad", older))
    np.testing.assert_allclose(loaded.mean_, X.mean())


def npy_header(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def pickled_array():
    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        npy_header((2**40,)) + bytes(80),
        npy_header((2**62, 2**62)) + bytes(80),
        npy_header((-1,)) + bytes(80),
        npy_header((0,), "<U500000000"),
        pickled_array(),
        b"\x93NUMPY\x09\x00" + bytes(80),
        b"",
    ],
)
def test_an_array_that_promises_too_much_takes_no_memory(data, tmp_path):
    source = tmp_path / "model.skad"
    save_model(StandardScaler().fit(X), source)
    path = forge(source, tmp_path / "forged.skad", members={"arrays/0.npy": data})
    tracemalloc.start()
    try:
        if data != npy_header((0,), "<U500000000"):
            with pytest.raises(ModelFileError, match="forged"):
                load_model(path)
        else:
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_compressed_members_are_refused(affine, tmp_path):
    bomb = forge(
        affine,
        tmp_path / "bomb.skad",
        members={"arrays/0.npy": bytes(10**8)},
        compression=zipfile.ZIP_DEFLATED,
    )
    assert bomb.stat().st_size < 10**6
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="compressed or overlap"):
            load_model(bomb)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def change_network(change):
    def changed(manifest):
        (members,) = (o for o in manifest["objects"] if o.get("class") == "skad.TrainedMembers")
        change(members["state"]["networks"][0][0]["settings"])

    return changed


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["flow"].update(options={"n_transforms": 10**9}),
        lambda s: s["flow"].update(options={"hidden_features": [10**6, 10**6]}),
        lambda s: s["flow"].update(options={"hidden_features": [8] * 10**5}),
        lambda s: s["flow"].update(options={"n_bins": 10**12}),
        lambda s: s["flow"].update(n_features=10**9),
        lambda s: s["flow"].update(
            kind={"$": "function", "name": "zuko.flows.MAF"},
            options={"hidden_features": [10**5, 10**5]},
        ),
        lambda s: s["flow"].update(kind={"$": "function", "name": "numpy.sin"}),
        lambda s: s["flow"].update(kind="unknown"),
        lambda s: s["features"].update(n_features=10**13),
        lambda s: s.update(network="Popen"),
    ],
)
def test_forged_settings_of_networks_are_refused_before_they_cost(change, tmp_path):
    source = tmp_path / "model.skad"
    density = FlowDensity("maf", n_transforms=2, hidden_layer_sizes=(8,), max_epochs=1)
    save_model(density.fit(X), source)
    path = forge(source, tmp_path / "forged.skad", change_network(change))
    with pytest.raises(ModelFileError, match="forged"):
        load_model(path)


def change_array(source, target, match, change):
    """Forge a file in which the first array that `match` finds was changed."""
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                values = np.load(io.BytesIO(archive.read(name)))
                if match(values):
                    change(values)
                    file = io.BytesIO()
                    np.save(file, values)
                    return forge(source, target, members={name: file.getvalue()})
    raise AssertionError("no such array")


def _set(field, value, row=0):
    def change(nodes):
        nodes[field][row] = value

    return change


COMPILED = {
    "child outside": (DecisionTreeClassifier(max_depth=2), "left_child", _set("left_child", 10**6)),
    "child before": (DecisionTreeClassifier(max_depth=2), "left_child", _set("right_child", 0)),
    "feature outside": (DecisionTreeClassifier(max_depth=2), "left_child", _set("feature", 10**6)),
    "boosted child": (
        HistGradientBoostingClassifier(max_iter=1),
        "bitset_idx",
        _set("left", 10**6),
    ),
    "boosted loop": (HistGradientBoostingClassifier(max_iter=1), "bitset_idx", _set("right", 0)),
    "boosted feature": (
        HistGradientBoostingClassifier(max_iter=1),
        "bitset_idx",
        _set("feature_idx", 10**6),
    ),
}


@pytest.mark.parametrize("name", COMPILED)
def test_trees_that_lead_nowhere_are_refused(name, tmp_path):
    model, field, change = COMPILED[name]
    save_model(model.fit(X, Y), tmp_path / "model.skad")
    path = change_array(
        tmp_path / "model.skad",
        tmp_path / "forged.skad",
        lambda values: field in (values.dtype.names or ()),
        change,
    )
    with pytest.raises(ModelFileError, match="do not fit together"):
        load_model(path)


def test_support_vectors_that_are_not_there_are_refused(tmp_path):
    save_model(SVC().fit(X, Y), tmp_path / "model.skad")
    path = change_array(
        tmp_path / "model.skad",
        tmp_path / "forged.skad",
        lambda values: values.shape == (2,) and values.dtype == np.int32,
        _set(slice(None), 10**6),
    )
    with pytest.raises(ModelFileError, match="do not fit together"):
        load_model(path)


def test_every_flipped_bit_and_every_cut_is_seen(affine, tmp_path):
    whole = affine.read_bytes()
    path = tmp_path / "damaged.skad"
    rng = np.random.RandomState(0)
    for position in rng.choice(len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randint(8)
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="damaged"):
            load_model(path)
    for length in (*rng.choice(len(whole), 100, replace=False), 0, 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="damaged"):
            load_model(path)


def test_a_forged_checksum_lets_nothing_worse_than_other_numbers_through(tmp_path):
    source, path = tmp_path / "model.skad", tmp_path / "forged.skad"
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=2)).fit(X, Y)
    save_model(model, source)
    whole = source.read_bytes()
    rng = np.random.RandomState(0)
    refused = 0
    for position in rng.choice(len(whole) - 71, 300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.randint(8)
        try:
            load_model(seal(path, damaged))
        except ModelFileError:
            refused += 1
        except VersionWarning:  # a flipped version is another version
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    "data", [pickle.dumps({"a": 1}), b"", b"PK\x05\x06" + bytes(18), b"\x00" * 100]
)
def test_other_files_are_no_model_files(data, tmp_path):
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="no model file of skad.save_model"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "missing")


def test_every_name_of_the_lists_exists():
    for name, place in _model_types._PLACES.items():
        cls = _model_types.class_named(name)
        assert f"{sk.module_of(cls)}:{cls.__qualname__}" == place
    for name in sk.METRICS_OF_TREES:
        options = {"p": 3} if name == "minkowski" else {}
        kind = type(DistanceMetric.get_metric(name, **options)).__name__
        assert kind.startswith(sk.METRICS_OF_TREES[name])


def test_pickles_of_networks_hold_arrays_and_warn_across_versions():
    model = NetworkClassifier((4,), max_epochs=1, random_state=0).fit(X, Y)
    state = model.trained_.__getstate__()
    plain = state["networks"][0][0]
    assert all(type(values) is np.ndarray for values in plain["numbers"].values())
    data = pickle.dumps(model)
    # torch stores its own tensors as pickles in pickles.
    assert b"_load_from_bytes" not in data and b"_rebuild_tensor" not in data
    loaded = pickle.loads(data)
    assert (loaded.decision_function(X) == model.decision_function(X)).all()
    state["versions"]["torch"] = "1.0"
    with pytest.warns(VersionWarning, match=r"torch 1\.0") as record:
        loaded.trained_.__setstate__(state)
    assert issubclass(record[0].category, InconsistentVersionWarning)


def test_a_doctored_file_of_skops_runs_nothing(tmp_path, monkeypatch):
    sio = pytest.importorskip("skops.io")
    torch = pytest.importorskip("torch")
    from skad.nn._trained import TrainedMembers

    made = tmp_path / "made by loading"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(made),)

    buffer = io.BytesIO()
    torch.save([[Evil()]], buffer)
    model = fast().fit(X)
    honest = sio.dumps(model)
    types = sio.get_untrusted_types(data=honest)
    assert not [name for name in types if not name.startswith(("skad.", "torch.device"))]
    assert (sio.loads(honest, trusted=types).score_samples(X) == model.score_samples(X)).all()
    get = TrainedMembers.__getstate__
    monkeypatch.setattr(
        TrainedMembers, "__getstate__", lambda self: {**get(self), "networks": buffer.getvalue()}
    )
    with pytest.raises((TypeError, ModelFileError)):
        sio.loads(sio.dumps(model), trusted=types)
    assert not made.exists()


def test_no_file_of_the_package_unpickles_by_torch():
    calls = {"torch.load", "pickle.load", "pickle.loads"}
    found = [
        (path.name, node.lineno)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls
    ]
    assert found == []
