"""Energy mover's distance against a general linear program and by hand."""

import joblib
import numpy as np
import pytest
from scipy.optimize import linprog

from skad.metrics import energy_movers_distance

pytest.importorskip("ot")


def jets(n_jets, n, seed):
    """Massless constituents as four-vectors and as (log pT, eta, phi), some places unused."""
    rng = np.random.RandomState(seed)
    pt = rng.exponential(50, size=(n_jets, n)) * (rng.uniform(size=(n_jets, n)) < 0.8)
    pt[:, 0] = 100.0
    eta, phi = rng.uniform(-0.8, 0.8, size=(n_jets, n)), rng.uniform(-np.pi, np.pi, (n_jets, n))
    eta, phi = np.where(pt > 0, (eta, phi), 0.0)
    p4 = [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
    log_pt = np.stack([np.log1p(pt), eta, phi], axis=-1).reshape(n_jets, -1)
    return pt, eta, phi, np.stack(p4, axis=-1).reshape(n_jets, -1), log_pt


def linear_program(p, q, theta, radius):
    """The definition: at most p leaves, at most q arrives, the smaller total moves."""
    n, m = theta.shape
    leaves = np.kron(np.eye(n), np.ones(m))
    arrives = np.kron(np.ones(n), np.eye(m))
    solution = linprog(
        theta.ravel() / radius,
        A_ub=np.concatenate([leaves, arrives]),
        b_ub=np.concatenate([p, q]),
        A_eq=np.ones((1, n * m)),
        b_eq=[min(p.sum(), q.sum())],
    )
    return solution.fun + abs(p.sum() - q.sum())


@pytest.mark.parametrize("normalize", [True, False])
def test_equals_the_linear_program(normalize):
    pt, eta, phi, X, log_x = jets(12, 5, seed=0)
    other_pt, other_eta, other_phi, Y, log_y = jets(12, 5, seed=1)
    if normalize:
        pt, other_pt = (p / p.sum(axis=1, keepdims=True) for p in (pt, other_pt))
    expected = []
    for i in range(12):
        dphi = np.abs(phi[i][:, None] - other_phi[i])
        theta = np.hypot(eta[i][:, None] - other_eta[i], np.minimum(dphi, 2 * np.pi - dphi))
        expected.append(linear_program(pt[i], other_pt[i], theta, 2.5))
    options = {"radius": 2.5, "normalize": normalize}
    np.testing.assert_allclose(energy_movers_distance(X, Y, **options), expected, rtol=1e-8)
    found = energy_movers_distance(log_x, log_y, coordinates="log_pt_eta_phi", **options)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_symmetric_and_zero_for_the_same_jet():
    *_, X, _ = jets(20, 6, seed=2)
    *_, Y, _ = jets(20, 6, seed=3)
    np.testing.assert_allclose(
        energy_movers_distance(X, Y), energy_movers_distance(Y, X), rtol=1e-9
    )
    reordered = X.reshape(20, 6, 4)[:, ::-1].reshape(20, -1)
    np.testing.assert_allclose(energy_movers_distance(X, reordered), 0, atol=1e-9)
    np.testing.assert_allclose(energy_movers_distance(X, 3 * X), 0, atol=1e-9)
    np.testing.assert_allclose(
        energy_movers_distance(X, 3 * X, normalize=False),
        2 * np.hypot(X[:, 1::4], X[:, 2::4]).sum(axis=1),
    )


def test_empty_jets():
    *_, X, _ = jets(2, 3, seed=4)
    empty = np.zeros_like(X)
    np.testing.assert_array_equal(energy_movers_distance(X, empty), 1.0)
    np.testing.assert_array_equal(energy_movers_distance(empty, empty), 0.0)


def test_workers_blocks_and_layout_change_nothing(monkeypatch):
    *_, X, _ = jets(50, 4, seed=5)
    *_, Y, _ = jets(50, 4, seed=6)
    expected = energy_movers_distance(X, Y)
    monkeypatch.setattr("skad.metrics._energy_movers._BLOCK", 7)
    for layout in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2]):
        np.testing.assert_array_equal(energy_movers_distance(layout, Y), expected)
    with joblib.parallel_config(backend="threading"):
        np.testing.assert_array_equal(energy_movers_distance(X, Y, n_jobs=2), expected)


def test_errors():
    X = np.ones((2, 8))
    with pytest.raises(ValueError, match=r"same shape; got \(2, 8\) and \(1, 8\)"):
        energy_movers_distance(X, X[:1])
    with pytest.raises(ValueError, match=r"got shape \(2, 7\)"):
        energy_movers_distance(X[:, :7], X[:, :7])
    with pytest.raises(ValueError, match="multiple of three columns; got 8"):
        energy_movers_distance(X, X, coordinates="log_pt_eta_phi")
    with pytest.raises(ValueError, match="coordinates must be 'p4'"):
        energy_movers_distance(X, X, coordinates="cartesian")
    with pytest.raises(ValueError, match="radius must be positive; got 0"):
        energy_movers_distance(X, X, radius=0)
