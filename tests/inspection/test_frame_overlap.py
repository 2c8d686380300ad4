"""Frames by Jacobian against exact densities and refits."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from skad.coordinates import LogTransformer, NormalCDFTransformer
from skad.density import FramedDensity
from skad.detectors import DensityDetector
from skad.inspection import frame_overlap
from skad.metrics import shared_fraction


@pytest.fixture(scope="module")
def masses():
    return np.random.default_rng(0).lognormal(sigma=0.5, size=(40_000, 1))


@pytest.fixture(scope="module")
def density(masses):
    """A log-normal, exact up to its two fitted numbers."""
    return FramedDensity(LogTransformer(), GaussianMixture()).fit(masses)


FRAMES = {"m": None, "log m": LogTransformer()}


def test_log_densities_are_those_of_the_paper(masses, density):
    """For logarithms of the masses, p_log = p m."""
    overlap = frame_overlap(density, FRAMES, masses)
    difference = overlap.log_density["log m"] - overlap.log_density["m"]
    np.testing.assert_allclose(difference, np.log(masses[:, 0]), atol=1e-12)
    np.testing.assert_allclose(overlap.log_density["m"], density.score_samples(masses))
    np.testing.assert_allclose(overlap.coordinates["log m"], np.log(masses))
    assert overlap.coordinates["m"] is masses


def test_shared_fraction_has_its_exact_value(masses, density):
    """In z = log(m) / s the rarest of m are those of largest abs(z + s)."""
    s = 0.5
    cut = brentq(lambda c: norm.sf(c - s) + norm.cdf(-c - s) - 0.01, 2, 4)
    both = norm.sf(max(cut - s, norm.isf(0.005))) + norm.cdf(-max(cut + s, norm.isf(0.005)))
    overlap = frame_overlap(density, FRAMES, masses)
    assert overlap.shared.loc["m", "log m"] == pytest.approx(both / 0.01, abs=0.03)


def test_tables_are_consistent(masses, density):
    overlap = frame_overlap(density, FRAMES, masses, fraction=0.05)
    assert overlap.fraction == 0.05
    shared, selected = overlap.shared, overlap.selected
    assert list(shared.index) == list(shared.columns) == list(selected.columns) == list(FRAMES)
    assert (selected.sum() == 2000).all()
    both = (selected["m"] & selected["log m"]).sum() / 2000
    assert shared.loc["m", "log m"] == shared.loc["log m", "m"] == pytest.approx(both)
    np.testing.assert_allclose(np.diag(shared), 1)
    np.testing.assert_allclose(overlap.excess, shared - 0.05)
    assert overlap.log_density.loc[selected["m"], "m"].max() <= (
        overlap.log_density.loc[~selected["m"], "m"].min()
    )


def test_agrees_with_a_refit_in_the_frame(masses):
    X = masses[:2000]
    density = KernelDensity(bandwidth=0.1).fit(X)
    frame = LogTransformer().fit(X)
    refit = KernelDensity(bandwidth=0.1).fit(np.log(X)).score_samples(np.log(X))
    moved = frame_overlap(density, {"log m": frame}, X).log_density["log m"].to_numpy()
    assert shared_fraction(-moved, -refit, fraction=0.1) > 0.7
    # The Jacobian matters: without it the agreement is lost.
    raw = density.score_samples(X)
    assert shared_fraction(-raw, -refit, fraction=0.1) < 0.6


def test_a_uniform_frame_has_no_rare_events():
    X = np.random.default_rng(1).normal(size=(5000, 1))
    density = GaussianMixture().fit(X)
    flat = frame_overlap(density, {"cdf": NormalCDFTransformer()}, X).log_density["cdf"]
    assert flat.abs().max() < 0.5


def test_fitted_frames_are_used_as_they_are(masses, density):
    calls = []

    class Counting(FramedDensity):
        def score_samples(self, X):
            calls.append(len(X))
            return super().score_samples(X)

    counting = Counting(density.coordinates, density.density).fit(masses)
    calls.clear()
    frame = LogTransformer().fit(masses[:10])
    frame_overlap(counting, {"a": frame, "b": "passthrough", "c": LogTransformer()}, masses)
    assert calls == [len(masses)]


def test_detector_with_a_density_and_data_frames(masses):
    X = pd.DataFrame({"mj1": masses[:2000, 0], "mj2": masses[2000:4000, 0]})
    detector = DensityDetector(GaussianMixture(2, random_state=0)).fit(X)
    overlap = frame_overlap(detector, FRAMES, X)
    expected = overlap.log_density["m"] + np.log(X).sum(axis=1)
    np.testing.assert_allclose(overlap.log_density["log m"], expected)


def test_weights(masses, density):
    X = masses[:300]
    weight = np.random.default_rng(2).integers(0, 3, size=300)
    weighted = frame_overlap(density, FRAMES, X, fraction=0.1, sample_weight=weight)
    share = weight @ weighted.selected.to_numpy() / weight.sum()
    np.testing.assert_allclose(share, 0.1, atol=3 / weight.sum())


def test_bad_input(masses, density):
    with pytest.raises(ValueError, match="frames must be a dict"):
        frame_overlap(density, [LogTransformer()], masses)
    with pytest.raises(TypeError, match="refit them in each frame with coordinate_study"):
        frame_overlap(IsolationForest().fit(masses), FRAMES, masses)


def test_real_masses_share_about_a_fifth(shared_data):
    """Reference [1]: 1 % selections in m and in log m share about 20 % of their events."""
    events = pd.read_parquet(shared_data / "lhco_sr" / "data_train.parquet").query("label == 0")
    X = np.c_[events["mj1"], events["mj1"] + events["delta_mj"]].astype(float)
    X = X[(X > 1e-3).all(axis=1)]
    density = FramedDensity(LogTransformer(), GaussianMixture(12, random_state=0)).fit(X)
    shared = frame_overlap(density, FRAMES, X).shared.loc["m", "log m"]
    assert 0.05 < shared < 0.4
