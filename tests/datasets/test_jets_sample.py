"""The jets shipped inside the package."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skad.datasets import load_jets
from skad.datasets._jets import _SHA256, KINDS


@pytest.fixture(scope="module")
def jets():
    return load_jets()


def test_file_is_the_expected_one_and_small(jets):
    content = Path(jets.filename).read_bytes()
    assert hashlib.sha256(content).hexdigest() == _SHA256
    assert len(content) <= 8_000_000


def test_kinds_and_labels(jets):
    kinds, counts = np.unique(jets.kind, return_counts=True)
    assert set(kinds) == set(KINDS)
    found = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
    assert found == {**dict.fromkeys(KINDS, 2_000), "qcd": 30_000, "outlier_w": 8_000}
    assert_array_equal(jets.target, (jets.kind != "qcd").astype(int))
    assert np.isnan(jets.parent_mass[jets.kind == "qcd"]).all()
    assert len(np.unique(jets.parent_mass[jets.kind == "outlier_w"])) == 12
    assert set(jets.parent_mass[jets.kind == "w_59"]) == {59.0}


def test_constituents_are_massless_sorted_and_padded(jets):
    p4 = jets.data.reshape(len(jets.data), 20, 4)
    assert np.isfinite(p4).all()
    assert_allclose(p4[..., 0], np.linalg.norm(p4[..., 1:], axis=-1), rtol=1e-12)
    pt = np.hypot(p4[..., 1], p4[..., 2])
    # Rounding may swap constituents of nearly equal pT.
    assert (np.diff(pt, axis=1) <= 1e-3 * pt[:, 1:]).all()
    assert pt[pt > 0].min() > 0.49
    assert ((jets.pt > 549.8) & (jets.pt < 650.2)).all()


def test_rounding_is_as_documented(jets, shared_data):
    for kind in ("qcd", "top_80", "outlier_w"):
        original = pd.read_parquet(shared_data / "jets" / f"{kind}.parquet")
        original = original.iloc[: (jets.kind == kind).sum()]
        rows = jets.kind == kind
        p4 = jets.data[rows].reshape(-1, 20, 4)
        expected = original.iloc[:, :80].to_numpy(np.float64, copy=True).reshape(-1, 20, 4)
        assert_allclose(p4[..., 1:], expected[..., 1:], rtol=2**-12)
        assert_allclose(p4, expected, rtol=2**-11.9)
        assert_allclose(jets.mass[rows], original["m"], rtol=2**-12)
        assert_allclose(jets.pt[rows], original["pt"], rtol=2**-12)
        # Energies from the original momenta: float32 energies are less exact than the rounding.
        expected[..., 0] = np.linalg.norm(expected[..., 1:], axis=-1)
        error = jet_mass(p4) - jet_mass(expected)
        assert abs(error).max() < 0.08
        assert np.median(abs(error)) < 0.007


def jet_mass(p4):
    jet = p4.sum(axis=1)
    return np.sqrt(np.maximum(jet[:, 0] ** 2 - (jet[:, 1:] ** 2).sum(axis=1), 0))


def test_masses_peak_at_the_parent(jets):
    for kind, mass in {"w_80": 80, "w_120": 120, "top_174": 174, "higgs_80": 174}.items():
        measured = jets.mass[jets.kind == kind]
        near = np.mean(abs(measured - mass) < 0.2 * mass)
        background = np.mean(abs(jets.mass[jets.kind == "qcd"] - mass) < 0.2 * mass)
        assert near > 0.4 > 1.5 * background


def test_selected_kinds_frame_and_tuple(jets):
    few = load_jets(kinds=["top_174", "qcd"], as_frame=True)
    assert list(few.frame.columns) == [
        *jets.feature_names,
        "label",
        "kind",
        "pt",
        "m",
        "parent_mass",
    ]
    assert few.target.name == "label"
    assert_array_equal(few.data.to_numpy()[:2_000], jets.data[jets.kind == "top_174"])
    assert_array_equal(few.frame["kind"][:2_000], "top_174")
    X, y = load_jets(kinds=("w_59",), return_X_y=True)
    assert X.shape == (2_000, 80) and (y == 1).all()
    X, _ = load_jets(kinds=("w_59",), return_X_y=True, as_frame=True)
    assert list(X.columns[:4]) == ["e00", "px00", "py00", "pz00"]
    assert "Pythia 8.318" in jets.DESCR and few.target_names == ["qcd", "other"]


@pytest.mark.parametrize("kinds", [["z_91"], [], ["qcd", "qcd"]])
def test_wrong_kinds(kinds):
    with pytest.raises(ValueError, match="kinds must hold some of"):
        load_jets(kinds=kinds)
