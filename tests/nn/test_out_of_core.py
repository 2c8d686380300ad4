"""Fits from files: the bits of a fit in memory, memory for some blocks, errors with their place."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, NetworkClassifier, VAEDetector
from skad.exceptions import DataFileError, DiscreteColumnWarning, MissingColumnError
from skad.io import read_events, write_events
from skad.nn._loader import EventData, EventLoader, KeptRows
from skad.utils import _blocks
from skad.utils._quantile import quantile_of_blocks, weighted_quantile
from skad.utils._statistics import mean_and_std

FAST = {"hidden_layer_sizes": (8,), "max_epochs": 2, "batch_size": 3000, "random_state": 0}
ESTIMATORS = {
    "conditional flows, split": FlowDensity(
        "maf", n_transforms=1, condition_features=["b"], n_estimators=2, select="best", **FAST
    ),
    "flow matching": FlowDensity("flow_matching", n_transforms=1, **FAST),
    "autoencoders, split": AutoencoderDetector(n_estimators=2, select="best", **FAST),
    "VAE, quartiles": VAEDetector(n_latent=2, **FAST),
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_blocks, "PAGE", 256)
    # As many events as networks are evaluated on at once: the same products have the same bits.
    monkeypatch.setattr(_blocks, "BLOCK", 16384)


@pytest.fixture(scope="module")
def events():
    X = np.random.RandomState(0).normal([5, 0, 1], [1, 2, 0.1], size=(40_100, 3))
    return pd.DataFrame(X.astype(np.float32), columns=list("abc"))


@pytest.fixture(scope="module")
def path(events, tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    events.to_parquet(path, row_group_size=7000)
    return path


def parameters(fitted):
    return [
        value
        for kept in fitted.trained_.networks
        for network in kept
        for value in network.state_dict().values()
    ]


def losses(fitted):
    return [
        (entry["train_loss"], entry.get("valid_loss"))
        for history in fitted.history_
        for entry in history
    ]


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("small", [True, False], ids=["blocks", "whole"])
def test_a_file_gives_the_bits_of_memory(name, small, path, request):
    reader = {"rows": slice(0, 6000)}
    if small:
        request.getfixturevalue("small_blocks")
        reader = {}
    in_memory = clone(ESTIMATORS[name]).fit(read_events(path, **reader))
    from_file = clone(ESTIMATORS[name]).fit_file(path, **reader)
    pairs = zip(parameters(in_memory), parameters(from_file), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert losses(in_memory) == losses(from_file)
    assert list(from_file.feature_names_in_) == ["a", "b", "c"]
    for attribute in ("offset_", "offsets_"):
        if hasattr(in_memory, attribute):
            assert getattr(in_memory, attribute) == getattr(from_file, attribute)
    if name.startswith("conditional"):
        a, b = (fitted.sample(50, random_state=1) for fitted in (in_memory, from_file))
        np.testing.assert_array_equal(a, b)


def test_a_second_fit_continues_the_first(small_blocks, path):
    reader = {"columns": ["a", "c"]}
    fits = [AutoencoderDetector(warm_start=True, **FAST) for _ in range(2)]
    for _ in range(2):
        fits[0].fit(read_events(path, **reader))
        fits[1].fit_file(path, **reader)
    assert losses(fits[0]) == losses(fits[1])


def test_memory_is_that_of_blocks(monkeypatch, tmp_path):
    monkeypatch.setattr(_blocks, "PAGE", 1024)
    monkeypatch.setattr(_blocks, "BLOCK", 32768)
    path = tmp_path / "million.parquet"
    X = np.random.RandomState(0).normal(size=(1_000_000, 5)).astype(np.float32)
    pd.DataFrame(X, columns=list("abcde")).to_parquet(path, row_group_size=50_000)
    detector = AutoencoderDetector(hidden_layer_sizes=(4,), max_epochs=1, batch_size=8192)
    tracemalloc.start()
    detector.fit_file(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < X.nbytes / 3
    exact = np.quantile(detector.anomaly_score(read_events(path, rows=slice(0, 100_000))), 0.99)
    assert -detector.offset_ == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("small", [True, False], ids=["blocks", "whole"])
@pytest.mark.parametrize(("bad", "word"), [(np.nan, "NaN"), (np.inf, "inf")])
def test_a_number_that_is_not_finite_has_file_column_and_row(
    small, bad, word, events, tmp_path, request
):
    if small:
        request.getfixturevalue("small_blocks")
    path = tmp_path / "bad.parquet"
    wrong = events.copy()
    wrong.loc[30_123, "c"] = bad
    wrong.to_parquet(path)
    with pytest.raises(DataFileError, match=rf"bad\.parquet: {word} .*'c'.* 30123"):
        FlowDensity().fit_file(path)


def test_what_fit_file_refuses(small_blocks, path, events, tmp_path):
    with pytest.raises(MissingColumnError, match="mass"):
        FlowDensity().fit_file(path, ["a", "mass"])
    with pytest.raises(TypeError, match="rows.*got sample_weight"):
        FlowDensity().fit_file(path, sample_weight="a")
    with pytest.raises(ValueError, match="on_nan must be 'raise' or 'drop'"):
        FlowDensity().fit_file(path, on_nan="keep")
    with pytest.raises(DataFileError, match="no event"):
        FlowDensity().fit_file(path, filters=[("a", ">", 1e6)])
    odd = tmp_path / "odd.npz"
    write_events(events.assign(b=7.0), odd)
    with pytest.raises(ValueError, match="'b' of X is constant"):
        FlowDensity().fit_file(odd)
    write_events(events.assign(b=events["b"].astype(np.float64) * 1e31), odd, overwrite=True)
    with pytest.raises(ValueError, match="'b' of X reaches"):
        AutoencoderDetector().fit_file(odd)
    write_events(events.assign(b=events["b"].round()), odd, overwrite=True)
    with pytest.warns(DiscreteColumnWarning, match="b"):
        FlowDensity("maf", n_transforms=1, **FAST).fit_file(odd)


def order(n, seed, rows=None):
    data = EventData({"i": torch.arange(n)}, [np.arange(n) if rows is None else rows])
    generator = torch.Generator().manual_seed(seed)
    loader = EventLoader(data, 100, torch.device("cpu"), False, [generator])
    return torch.cat([batch["i"] for batch, _ in loader]).numpy()


def test_blocks_shuffle_all_events_and_mix_far_ones(monkeypatch):
    monkeypatch.setattr(_blocks, "PAGE", 64)
    monkeypatch.setattr(_blocks, "BLOCK", 64 * 64)
    n = 50_001
    seen = order(n, 0)
    np.testing.assert_array_equal(np.sort(seen), np.arange(n))
    assert not np.array_equal(seen, order(n, 1))
    np.testing.assert_array_equal(seen, order(n, 0))
    # Means of batches over a sorted column: those of 100 events drawn anywhere, but for blocks.
    means = seen[:50_000].reshape(-1, 100).mean(axis=1) / n
    assert np.std(means) < 2.0 * np.sqrt(1 / 12 / 100)
    rows = np.arange(0, n, 3)
    np.testing.assert_array_equal(np.sort(order(n, 0, rows)), rows)


def test_kept_rows_are_the_positions_of_a_mask(monkeypatch):
    monkeypatch.setattr(_blocks, "PAGE", 16)
    mask = np.random.RandomState(0).uniform(size=1000) < 0.1
    kept, exact = KeptRows(mask), np.flatnonzero(mask)
    assert len(kept) == len(exact)
    for start, stop in [(0, len(exact)), (0, 1), (7, 50), (len(exact) - 3, len(exact))]:
        np.testing.assert_array_equal(kept[start:stop], exact[start:stop])


@pytest.mark.parametrize("q", [0.01, 0.25, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["normal", "ties", "wide"])
def test_quantile_of_blocks(q, kind):
    rng = np.random.RandomState(0)
    numbers = {
        "normal": rng.normal(size=3000),
        "ties": rng.randint(-3, 3, size=1001).astype(float),
        "wide": rng.normal(size=2000) * 10.0 ** rng.uniform(-300, 300, size=2000),
    }[kind]
    found = quantile_of_blocks(lambda: iter(np.array_split(numbers, 7)), q, len(numbers))
    assert found == weighted_quantile(numbers, q)


def test_moments_of_blocks(small_blocks):
    # Far from zero, where a sum of squares would have lost all digits.
    values = np.random.RandomState(0).normal(1e9, [1.0, 0.1], size=(50_000, 2))
    mean, std = mean_and_std(values)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(std, values.std(axis=0), rtol=1e-6)
    in_another_order = mean_and_std(np.asfortranarray(values))
    np.testing.assert_array_equal(in_another_order, [mean, std])


def labelled(events):
    """Events with the labels 7 and 5, in a column between theirs, which 7 opens."""
    rng = np.random.RandomState(1)
    first = events["c"].to_numpy() + 0.1 * rng.normal(size=len(events)) > 1
    first[0] = True
    found = events.copy()
    found.insert(1, "kind", np.where(first, 7, 5))
    return found


@pytest.mark.parametrize("class_weight", ["balanced", {7: 0.3, 5: 2.0}, None])
@pytest.mark.parametrize("small", [True, False], ids=["blocks", "whole"])
def test_a_classifier_learns_a_file_of_labels(small, class_weight, events, tmp_path, request):
    if small:
        request.getfixturevalue("small_blocks")
    path = tmp_path / "labels.parquet"
    table = labelled(events)
    table.to_parquet(path, row_group_size=7000)
    classifier = NetworkClassifier(
        n_estimators=2, class_weight=class_weight, select="best", learning_rate=0.05, **FAST
    )
    in_memory = clone(classifier).fit(events[["c", "a"]], table["kind"])
    found = [
        clone(classifier).fit_file(path, "kind", ["c", "a"]),
        clone(classifier).fit_file(path, 1, [3, 0]),
    ]
    for from_file in found:
        pairs = zip(parameters(in_memory), parameters(from_file), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert losses(in_memory) == losses(from_file)
        assert from_file.classes_.tolist() == [5, 7]
        assert from_file.feature_names_in_.tolist() == ["c", "a"]
    whole = clone(classifier).fit_file(path, "kind")
    assert whole.feature_names_in_.tolist() == ["a", "b", "c"]
    # Exact numbers of the column that decides would give 0.833: there is noise in the labels.
    assert roc_auc_score(table["kind"], whole.decision_function(events)) > 0.8


def test_labels_of_files_that_are_refused(small_blocks, events, tmp_path):
    path = tmp_path / "labels.parquet"
    labelled(events).to_parquet(path)
    classifier = NetworkClassifier(**FAST)
    with pytest.raises(ValueError, match="label='kind' must not be among columns"):
        classifier.fit_file(path, "kind", ["a", "kind"])
    with pytest.raises(MissingColumnError, match="truth"):
        classifier.fit_file(path, "truth")
    with pytest.raises(MissingColumnError, match="truth"):
        classifier.fit_file(path, "truth", ["a", "b"])
    with pytest.raises(ValueError, match=r"label='a' must be a column of two values; got"):
        classifier.fit_file(path, "a")
    with pytest.raises(ValueError, match="one class only"):
        classifier.fit_file(path, "kind", filters=[("kind", "==", 7)])
