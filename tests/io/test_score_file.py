"""score_file: equal to scoring in memory, resumable, whole or not at all, located errors."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.datasets import make_resonance
from skad.exceptions import DataFileError, MissingColumnError
from skad.io import _score_file as module
from skad.io import read_events, score_file, write_events
from skad.utils._replacing import locked

N = 5_000
BATCH = 100
# A forest is probed by score_samples and decision_function, in batches.
PROBES = 2 * module._PROBE_EVENTS // BATCH


class Crash(BaseException):
    """What the machine does, not what the code handles."""


@pytest.fixture(scope="module")
def events():
    return make_resonance(N - 50, 50, random_state=0, as_frame=True).frame


@pytest.fixture(scope="module")
def forest(events):
    return IsolationForest(n_estimators=5, random_state=0).fit(events[["x1", "x2"]])


@pytest.fixture
def source(tmp_path, events):
    path = tmp_path / "events.parquet"
    table = pa.Table.from_pandas(events, preserve_index=False)
    pq.write_table(table, path, row_group_size=700)
    return path


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("batch_size", [BATCH, 10 * N])
def test_equals_scores_in_memory(tmp_path, events, forest, source, batch_size, n_jobs):
    target = tmp_path / "scores.parquet"
    n_events = score_file(
        forest, source, target, keep=["m", "label"], batch_size=batch_size, n_jobs=n_jobs
    )
    assert n_events == N
    scores = read_events(target)
    assert list(scores.columns) == ["m", "label", "score_samples"]
    pd.testing.assert_frame_equal(scores[["m", "label"]], events[["m", "label"]])
    assert np.array_equal(scores.score_samples, forest.score_samples(events[["x1", "x2"]]))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["events.parquet", target.name]


def test_several_files_of_several_formats(tmp_path, events, forest, source):
    other = tmp_path / "more.h5"
    write_events(events[:1234], other)
    target = tmp_path / "scores.parquet"
    assert score_file(forest, [source, other], target, batch_size=BATCH) == N + 1234
    expected = forest.score_samples(pd.concat([events, events[:1234]])[["x1", "x2"]])
    assert np.array_equal(read_events(target).score_samples, expected)


def test_methods_and_arrays(tmp_path, events, source):
    X, y = events[["x1", "x2"]].to_numpy(), events.label
    classifier = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=3))
    classifier.fit(X, y)
    target = tmp_path / "scores.parquet"
    score_file(
        classifier, source, target, columns=["x1", "x2"], method=["predict_proba", "predict"]
    )
    scores = read_events(target)
    assert np.array_equal(scores.predict_proba, classifier.predict_proba(X)[:, 1])
    assert np.array_equal(scores.predict, classifier.predict(X))
    density = KernelDensity(kernel="tophat").fit(X[:10])
    score_file(density, source, target, columns=["x1", "x2"], overwrite=True)
    assert np.array_equal(read_events(target).score_samples, density.score_samples(X))
    with pytest.raises(TypeError, match="KernelDensity has no method 'predict'"):
        score_file(density, source, target, method="predict", overwrite=True)


@pytest.mark.parametrize("dies_after", [0, 1, 7, 23, 49])
def test_resumes_after_a_crash(tmp_path, events, forest, source, monkeypatch, dies_after):
    """5 parts of 10 batches; the process dies in the middle of one, the next call finishes."""
    target = tmp_path / "scores.parquet"
    apply, calls = module._apply, []

    def counting(*args):
        calls.append(1)
        if len(calls) > dies_after + PROBES:
            raise Crash
        return apply(*args)

    monkeypatch.setattr(module, "_apply", counting)
    with pytest.raises(Crash):
        score_file(forest, source, target, batch_size=BATCH)
    assert not target.exists()
    finished = dies_after // 10
    folder = tmp_path / "scores.parquet.parts"
    assert len(list(folder.glob("[0-9]*.parquet"))) == finished
    calls.clear()
    monkeypatch.setattr(module, "_apply", lambda *args: calls.append(1) or apply(*args))
    score_file(forest, source, target, batch_size=BATCH)
    # Row groups of 700 events cut batches of 100 nowhere; finished parts are not scored again.
    assert len(calls) - PROBES == 50 - 10 * finished
    assert np.array_equal(
        read_events(target).score_samples, forest.score_samples(events[["x1", "x2"]])
    )
    assert not folder.exists()


def test_crash_while_merging(tmp_path, events, forest, source, monkeypatch):
    target = tmp_path / "scores.parquet"
    monkeypatch.setattr(module, "read_part", lambda part: (_ for _ in ()).throw(Crash))
    with pytest.raises(Crash):
        score_file(forest, source, target, batch_size=BATCH)
    assert not target.exists()
    monkeypatch.undo()
    scored = []
    monkeypatch.setattr(module, "_write_part", lambda *args: scored.append(args))
    assert score_file(forest, source, target, batch_size=BATCH) == N
    assert scored == []
    assert len(read_events(target)) == N


@pytest.fixture
def unfinished(tmp_path, forest, source, monkeypatch):
    target = tmp_path / "scores.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_merge", lambda *args: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            score_file(forest, source, target, batch_size=BATCH)
    return target


def test_parts_of_another_call_are_not_mixed_in(events, source, forest, unfinished):
    other = IsolationForest(n_estimators=5, random_state=1).fit(events[["x1", "x2"]])
    with pytest.raises(DataFileError, match="unfinished call with other detector"):
        score_file(other, source, unfinished, batch_size=BATCH)
    with pytest.raises(DataFileError, match="other keep and batch_size"):
        score_file(forest, source, unfinished, batch_size=50, keep=["m"])
    write_events(events[::-1], source, overwrite=True)
    with pytest.raises(DataFileError, match="other sources"):
        score_file(forest, source, unfinished, batch_size=BATCH)
    assert not unfinished.exists()
    score_file(other, source, unfinished, batch_size=BATCH, restart=True)
    assert np.array_equal(
        read_events(unfinished).score_samples, other.score_samples(events[::-1][["x1", "x2"]])
    )


def test_manifest_is_readable(unfinished):
    manifest = json.loads((unfinished.parent / "scores.parquet.parts/manifest.json").read_text())
    assert manifest["plan"]["columns"] == ["x1", "x2"]


def test_existing_target_is_kept(tmp_path, forest, source):
    target = tmp_path / "scores.parquet"
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        score_file(forest, source, target)
    assert target.read_bytes() == b"precious"


def test_nan(tmp_path, events, forest):
    source, target = tmp_path / "nan.parquet", tmp_path / "scores.parquet"
    holed = events.copy()
    holed.loc[[3456, 3457], "x2"] = np.nan
    pq.write_table(pa.Table.from_pandas(holed, preserve_index=False), source, row_group_size=700)
    place = r"nan.parquet: NaN in column 'x2' at row group 4, row 3456 of the file and 1 more"
    with pytest.raises(DataFileError, match=place):
        score_file(forest, source, target)
    score_file(forest, source, target, on_nan="keep")
    scores = read_events(target, on_nan="keep").score_samples.to_numpy()
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3456, 3457]
    rest = holed.dropna()
    assert np.array_equal(scores[rest.index], forest.score_samples(rest[["x1", "x2"]]))


def test_wrong_files(tmp_path, events, forest, source):
    target = tmp_path / "scores.parquet"
    lacking = tmp_path / "lacking.parquet"
    write_events(events[["m", "x1"]], lacking)
    with pytest.raises(MissingColumnError, match=r"lacking.parquet: no column 'x2'"):
        score_file(forest, [source, lacking], target)
    with pytest.raises(MissingColumnError, match="no column 'weight'"):
        score_file(forest, source, target, keep=["weight"])
    unnamed = IsolationForest(n_estimators=2).fit(events[["x1", "x2"]].to_numpy())
    with pytest.raises(DataFileError, match="was fitted on 2 features, but the columns are"):
        score_file(unnamed, source, target)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(source.read_bytes()[:-500])
    with pytest.raises(DataFileError, match=r"broken.parquet: cannot be read"):
        score_file(forest, [source, broken], target)
    assert sorted(item.suffix for item in tmp_path.iterdir()) == [".parquet"] * 3


def test_no_events(tmp_path, events, forest):
    source, target = tmp_path / "empty.parquet", tmp_path / "scores.parquet"
    write_events(events[:0], source)
    assert score_file(forest, source, target, keep=["m"]) == 0
    assert read_events(target).shape == (0, 2)


def test_shape_of_scores_is_checked(tmp_path, events, source):
    classifier = HistGradientBoostingClassifier(max_iter=1)
    classifier.fit(events[["x1", "x2"]], np.arange(N) % 3)
    with pytest.raises(ValueError, match=r"must return one score per event.*\(1000, 3\)"):
        score_file(classifier, source, tmp_path / "scores.parquet")


# --- One schema, one detector, one writer -----------------------------------------------------


@pytest.mark.parametrize("suffix", ["h5", "csv", "npy", "npz", "root"])
def test_the_suffix_of_the_target_tells_the_format(tmp_path, events, forest, source, suffix):
    target = tmp_path / f"scores.{suffix}"
    score_file(forest, source, target, keep=["m", "label"], batch_size=BATCH)
    scores = read_events(target)
    assert list(scores) == ["m", "label", "score_samples"]
    assert np.array_equal(scores.label, events.label)
    assert np.array_equal(scores.score_samples, forest.score_samples(events[["x1", "x2"]]))
    with pytest.raises(ValueError, match="chosen by the suffix"):
        score_file(forest, source, tmp_path / "scores.txt")


def test_schema_is_settled_before_the_first_score(tmp_path, forest, monkeypatch):
    """A nullable integer beside the scores, whose nulls come late."""
    source, target = tmp_path / "runs.parquet", tmp_path / "scores.parquet"
    x = np.random.default_rng(0).normal(size=400)
    table = {"x1": x, "x2": x}
    run = pa.array([1] * 390 + [None] * 10, pa.int64())
    pq.write_table(pa.table({**table, "run": run}), source)
    score_file(forest, source, target, keep=["run"], batch_size=10)
    assert read_events(target, on_nan="keep").run.isna().sum() == 10
    called = []
    monkeypatch.setattr(module, "_apply", lambda *args: called.append(args))
    run = pa.array([2**53 + 1] * 390 + [None] * 10, pa.int64())
    pq.write_table(pa.table({**table, "run": run}), source)
    with pytest.raises(DataFileError, match="'run' holds integers beyond"):
        score_file(forest, source, target, keep=["run"], overwrite=True)
    half = np.array([1] * 400, np.float16)
    pq.write_table(pa.table({**table, "run": pa.array(half)}), source)
    with pytest.raises(DataFileError, match="'run' holds float16"):
        score_file(forest, source, tmp_path / "scores.root", keep=["run"])
    assert not called


def test_a_kept_column_is_not_overwritten(tmp_path, events, forest):
    source, target = tmp_path / "a.parquet", tmp_path / "scores.parquet"
    write_events(events.assign(score_samples=1.0), source)
    with pytest.raises(ValueError, match=r"keep names \['score_samples'\]"):
        score_file(forest, source, target, keep=["score_samples"])
    with pytest.raises(ValueError, match=r"keep names \['m'\]"):
        score_file(forest, source, target, keep=["m", "m"])
    before = source.read_bytes()
    with pytest.raises(ValueError, match="is a source too"):
        score_file(forest, source, source, overwrite=True)
    assert source.read_bytes() == before


def test_two_detectors_of_nearly_equal_labels_are_not_mixed(events, source, tmp_path, monkeypatch):
    """Labels of the first events are the same; only the scores tell the detectors apart."""
    X = events[["x1", "x2"]]
    one, other = (
        IsolationForest(n_estimators=5, contamination=0.001, random_state=seed).fit(X)
        for seed in (0, 1)
    )
    assert np.array_equal(one.predict(X[:10]), other.predict(X[:10]))
    target = tmp_path / "scores.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(module, "_merge", lambda *args: (_ for _ in ()).throw(Crash))
        with pytest.raises(Crash):
            score_file(one, source, target, method="predict", batch_size=BATCH)
    with pytest.raises(DataFileError, match="other detector"):
        score_file(other, source, target, method="predict", batch_size=BATCH)
    score_file(one, source, target, method="predict", batch_size=BATCH)
    assert np.array_equal(read_events(target).predict, one.predict(X))


def test_parts_know_whose_they_are(tmp_path, events, source, forest, unfinished):
    """A part that another call left in the folder is not merged."""
    folder = unfinished.parent / "scores.parquet.parts"
    part = sorted(folder.glob("[0-9]*.parquet"))[2]
    content = part.read_bytes()
    table = pq.read_table(part)
    pq.write_table(table.replace_schema_metadata({"skad.score_file": "other"}), part)
    with pytest.raises(DataFileError, match="is a part of another call"):
        score_file(forest, source, unfinished, batch_size=BATCH)
    part.write_bytes(content[: len(content) // 2])
    score_file(forest, source, unfinished, batch_size=BATCH)
    assert np.array_equal(
        read_events(unfinished).score_samples, forest.score_samples(events[["x1", "x2"]])
    )


def test_bit_rot_in_a_part(source, forest, unfinished):
    folder = unfinished.parent / "scores.parquet.parts"
    part = sorted(folder.glob("[0-9]*.parquet"))[1]
    content = bytearray(part.read_bytes())
    content[200] ^= 1
    part.write_bytes(content)
    with pytest.raises(DataFileError, match="was damaged .* only this part is scored again"):
        score_file(forest, source, unfinished, batch_size=BATCH)
    assert score_file(forest, source, unfinished, batch_size=BATCH) == N


def test_damaged_manifest(source, forest, unfinished):
    (unfinished.parent / "scores.parquet.parts/manifest.json").write_text("{")
    with pytest.raises(DataFileError, match="restart=True"):
        score_file(forest, source, unfinished, batch_size=BATCH)
    assert score_file(forest, source, unfinished, batch_size=BATCH, restart=True) == N


def test_second_call_on_the_same_target_is_refused(tmp_path, forest, source):
    target = tmp_path / "scores.parquet"
    with locked(target), pytest.raises(DataFileError, match="is writing it"):
        score_file(forest, source, target)
    assert score_file(forest, source, target) == N
    assert sorted(item.name for item in tmp_path.iterdir()) == ["events.parquet", target.name]
