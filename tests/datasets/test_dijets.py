"""The shipped dijet sample: content, selection, reproducibility."""

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from skad.datasets import _dijets as module
from skad.datasets import load_dijets
from skad.datasets._shipped import shipped_path


def invariant_mass(X):
    """Dijet mass in GeV, from (px, py, pz, m) of both jets."""
    first, second = X[:, 0:4], X[:, 7:11]
    energy = sum(np.sqrt((jet**2).sum(axis=1)) for jet in (first, second))
    momentum = first[:, :3] + second[:, :3]
    return np.sqrt(energy**2 - (momentum**2).sum(axis=1))


@pytest.fixture(scope="module")
def dijets():
    return load_dijets()


def test_shipped_file_is_the_one_described():
    content = shipped_path(module._FILE).read_bytes()
    assert len(content) <= 8_000_000
    assert hashlib.sha256(content).hexdigest() == module._SHA256
    table = pq.read_table(shipped_path(module._FILE))
    names, counts = np.unique(np.asarray(table["sample"]), return_counts=True)
    assert dict(zip(names, counts.tolist(), strict=True)) == {
        "background": 260_000,
        "signal": 12_000,
        "simulation": 140_000,
    }
    assert np.array_equal(table["label"], np.asarray(table["sample"]) == "signal")
    assert all(column.null_count == 0 for column in table.columns)


def test_description_counts_the_signal_region(dijets):
    full = load_dijets(n_background=260_000, n_signal=12_000)
    mass = invariant_mass(full.data)
    inside = (mass > 3300) & (mass < 3700)
    assert (inside & (full.target == 0)).sum() == 51_193
    assert (inside & (full.target == 1)).sum() == 10_111
    mass = invariant_mass(full.simulation)
    assert ((mass > 3300) & (mass < 3700)).sum() == 27_723
    for count in ("51 193", "10 111", "27 723"):
        assert count in dijets.DESCR


def test_default_is_a_search(dijets):
    assert dijets.data.shape == (200_400, 14)
    assert dijets.data.dtype == np.float64
    assert dijets.target.sum() == 400
    mass = invariant_mass(dijets.data)
    assert mass.min() > 2690
    inside = (mass > 3300) & (mass < 3700)
    n_signal, n_background = dijets.target[inside].sum(), (dijets.target[inside] == 0).sum()
    assert 0.007 < n_signal / n_background < 0.01
    # Shuffled: the injected signal is spread evenly over the rows.
    assert 0.4 < np.flatnonzero(dijets.target).mean() / len(dijets.target) < 0.6


def test_test_set_is_everything_else(dijets):
    assert len(dijets.test_data) == 260_000 - 200_000 + 12_000 - 400
    assert dijets.test_target.sum() == 12_000 - 400
    rows = np.concatenate([dijets.data, dijets.test_data])
    full = load_dijets(n_background=260_000, n_signal=12_000)
    assert len(full.test_data) == 0

    def sort(X):
        return X[np.lexsort(X.T)]

    assert np.array_equal(sort(rows), sort(full.data))


def test_random_state_nests_the_selection():
    few = load_dijets(n_background=1000, n_signal=10, random_state=3)
    many = load_dijets(n_background=1000, n_signal=50, random_state=3)
    again = load_dijets(n_background=1000, n_signal=50, random_state=3)
    other = load_dijets(n_background=1000, n_signal=50, random_state=4)
    assert np.array_equal(many.data, again.data)
    assert not np.array_equal(many.data, other.data)

    def rows(bunch, label):
        return {tuple(row) for row in bunch.data[bunch.target == label]}

    assert rows(few, 0) == rows(many, 0)
    assert rows(few, 1) < rows(many, 1)


def test_numpy_generator_is_untouched():
    before = np.random.get_state()[1].copy()
    load_dijets(n_background=10, n_signal=1)
    assert np.array_equal(np.random.get_state()[1], before)


def test_frames_and_tuples():
    X, y = load_dijets(n_background=100, n_signal=5, return_X_y=True)
    bunch = load_dijets(n_background=100, n_signal=5, as_frame=True)
    assert list(bunch.data.columns) == bunch.feature_names
    assert list(bunch.frame.columns) == [*bunch.feature_names, "label"]
    assert list(bunch.simulation.columns) == list(bunch.test_data.columns) == bunch.feature_names
    assert np.array_equal(bunch.data.to_numpy(), X)
    assert np.array_equal(bunch.target.to_numpy(), y)


@pytest.mark.parametrize("params", [{"n_background": 260_001}, {"n_signal": 12_001}])
def test_more_than_is_shipped(params):
    with pytest.raises(ValueError, match="n_"):
        load_dijets(**params)


def test_signal_can_be_found(dijets):
    """Supervised on the held-out events; only the features that the simulation is known for."""
    X, y = dijets.test_data, dijets.test_target
    features = X[:, [3, 4, 5, 10, 11, 12]]
    half = len(X) // 2
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0)
    model.fit(features[:half], y[:half])
    assert roc_auc_score(y[half:], model.predict_proba(features[half:])[:, 1]) > 0.95


@pytest.mark.parametrize("sample", ["background", "simulation", "signal"])
def test_rounding_is_as_documented(shared_data, sample):
    full = pq.read_table(shared_data / "dijets" / f"{sample}.parquet")
    shipped = pq.read_table(shipped_path(module._FILE), filters=[("sample", "==", sample)])
    for name in module.LHCO_FEATURES:
        bound = 2.0**-9 if name.startswith("tau") else 2.0**-10
        source = np.sort(full[name].to_numpy().astype(np.float64))
        value = shipped[name].to_numpy().astype(np.float64)[::50]
        right = np.searchsorted(source, value).clip(1, len(source) - 1)
        distance = np.minimum(np.abs(source[right] - value), np.abs(source[right - 1] - value))
        assert (distance <= bound * np.abs(value)).all()
