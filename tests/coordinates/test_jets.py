"""Jet observables, the jet frame and constituent coordinates."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skad.coordinates import (
    ConstituentCoordinates,
    JetFrame,
    JetObservables,
    jet_observables,
    log_abs_det_jacobian,
)
from skad.datasets import load_jets
from skad.exceptions import DomainError, FiducialWarning, MissingColumnError, NoJacobianError
from skad.kinematics._four_vectors import invariant_mass, pseudorapidity, rapidity, wrap_angle

TAUS = ["tau1", "tau2", "tau3"]
CONVENTIONS = ["paper", "code", "moments"]


@pytest.fixture(scope="module")
def top_jets():
    return load_jets(kinds=["top_174"]).data[:300]


def make_jet(rng, n, *, mass_scale=0.0, spread=0.4):
    """A random jet of n constituents in a random direction, (n, 4)."""
    pt = rng.exponential(30, n) + 1
    eta = rng.uniform(-1.5, 1.5) + rng.normal(0, spread, n) * rng.uniform(0.1, 1)
    phi = rng.uniform(-np.pi, np.pi) + rng.normal(0, spread, n)
    mass = mass_scale * rng.uniform(0, 1, n)
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=-1)
    energy = np.sqrt((p**2).sum(-1) + mass**2)
    return np.concatenate([energy[:, None], p], axis=1)


def rotate_about_beam(p4, angle):
    c, s = np.cos(angle), np.sin(angle)
    e, x, y, z = np.moveaxis(p4, -1, 0)
    return np.stack([e, c * x - s * y, s * x + c * y, z], axis=-1)


def boost_along_beam(p4, y):
    e, px, py, pz = np.moveaxis(p4, -1, 0)
    c, s = np.cosh(y), np.sinh(y)
    return np.stack([c * e + s * pz, px, py, c * pz + s * e], axis=-1)


def flat(p4, dtype=np.float64):
    return np.asarray(p4, dtype=dtype).reshape(1, -1)


def has_clear_axis(framed):
    """Whether the direction of the axis does not hang on rounding."""
    p4 = framed.reshape(-1, 4)
    pt = np.hypot(p4[:, 1], p4[:, 2])
    eta, phi = pseudorapidity(p4), np.arctan2(p4[:, 2], p4[:, 1])
    moments = np.array([(pt * phi**2).sum(), (pt * eta**2).sum(), (pt * eta * phi).sum()])
    gap = np.hypot(moments[0] - moments[1], 2 * moments[2])
    r = np.maximum(np.hypot(eta, phi), 1e-12)
    lean = np.array([(p4[:, 0] * phi / r).sum(), (p4[:, 0] * eta / r).sum()])
    return (
        gap > 0.05 * moments[:2].sum()
        and abs(lean[0]) > 0.05 * pt.sum()
        and r.min() > 1e-3
        and abs(phi).max() < 2.5
    )


jets = st.builds(
    lambda seed, n, mass: make_jet(np.random.default_rng(seed), n, mass_scale=mass),
    st.integers(0, 2**32 - 1),
    st.integers(3, 12),
    st.sampled_from([0.0, 1.0]),
)
TOLERANCE = {np.float64: 1e-7, np.float32: 2e-3}


class TestJetFrameInvariance:
    """Two jets that differ by a symmetry have the same frame."""

    def check(self, convention, jet, other, dtype):
        frame = JetFrame(convention=convention).fit(flat(jet))
        reference = frame.transform(flat(jet))
        assume(has_clear_axis(reference))
        scale = jet[:, 0].sum()
        framed = frame.transform(flat(other, dtype))
        assert framed.dtype == dtype
        assert_allclose(framed / scale, reference / scale, atol=TOLERANCE[dtype])

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("convention", CONVENTIONS)
    @settings(max_examples=40, deadline=None)
    @given(jet=jets, angle=st.floats(-10, 10))
    def test_rotation_about_the_beam(self, convention, dtype, jet, angle):
        self.check(convention, jet, rotate_about_beam(jet, angle), dtype)

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("convention", CONVENTIONS)
    @settings(max_examples=40, deadline=None)
    @given(jet=jets, y=st.floats(-2, 2))
    def test_boost_along_the_beam(self, convention, dtype, jet, y):
        self.check(convention, jet, boost_along_beam(jet, y), dtype)

    @pytest.mark.parametrize("convention", CONVENTIONS)
    @settings(max_examples=40, deadline=None)
    @given(jet=jets, n_padding=st.integers(1, 5))
    def test_padding(self, convention, jet, n_padding):
        padded = np.concatenate([jet, np.zeros((n_padding, 4))])
        framed = JetFrame(convention=convention).fit_transform(flat(padded)).reshape(-1, 4)
        alone = JetFrame(convention=convention).fit_transform(flat(jet)).reshape(-1, 4)
        assert_allclose(framed[: len(jet)], alone, rtol=1e-12, atol=1e-9)
        assert_array_equal(framed[len(jet) :], 0)

    @pytest.mark.parametrize("convention", CONVENTIONS)
    @settings(max_examples=40, deadline=None)
    @given(jet=jets, seed=st.integers(0, 1000))
    def test_order(self, convention, jet, seed):
        order = np.random.default_rng(seed).permutation(len(jet))
        frame = JetFrame(convention=convention).fit(flat(jet))
        framed = frame.transform(flat(jet)).reshape(-1, 4)
        assume(has_clear_axis(framed))
        shuffled = frame.transform(flat(jet[order])).reshape(-1, 4)
        assert_allclose(shuffled, framed[order], atol=1e-8 * jet[:, 0].sum())

    @pytest.mark.parametrize("convention", CONVENTIONS)
    @settings(max_examples=40, deadline=None)
    @given(jet=jets)
    def test_a_framed_jet_is_centred(self, convention, jet):
        framed = JetFrame(convention=convention).fit_transform(flat(jet)).reshape(-1, 4)
        assume(has_clear_axis(framed))
        pt = np.hypot(framed[:, 1], framed[:, 2])
        eta, phi = pseudorapidity(framed), np.arctan2(framed[:, 2], framed[:, 1])
        if convention == "moments":
            assert abs((pt * eta * phi).sum()) < 1e-8 * (pt * phi**2).sum()
            assert (pt * phi**2).sum() >= (pt * eta**2).sum()
        elif convention == "code":
            assert abs(framed[:, 2:].sum(axis=0)).max() < 1e-8 * pt.sum()
        else:
            r = np.hypot(eta, phi)
            across, up = ((framed[:, 0] * x / r).sum() for x in (eta, phi))
            # Turning the plane changes the energies a little, so it is not vertical to the digit.
            assert up > 0
            assert abs(across) < 0.3 * framed[:, 0].sum()


def slow_code_frame(p4):
    """One jet in the "code" frame, by explicit Lorentz matrices."""
    e, px, py, pz = p4.sum(axis=0)
    angle, beta = -np.arctan2(py, px), pz / e
    gamma = 1 / np.sqrt(1 - beta**2)
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    boost = np.eye(4)
    boost[np.ix_([0, 3], [0, 3])] = [[gamma, -gamma * beta], [-gamma * beta, gamma]]
    p4 = p4 @ (boost @ rotation).T
    used = p4[:, 0] > 1e-10
    phi = np.arctan2(p4[used, 2], p4[used, 1])
    eta = np.arctanh(p4[used, 3] / np.linalg.norm(p4[used, 1:], axis=1))
    weight = p4[used, 0] / np.hypot(eta, phi)
    alpha = np.arctan2((weight * eta).sum(), (weight * phi).sum())
    turn = np.eye(4)
    turn[2:, 2:] = [[np.cos(alpha), np.sin(alpha)], [-np.sin(alpha), np.cos(alpha)]]
    return p4 @ turn.T


def slow_plane_frame(p4, axis_of):
    """One jet turned in the plane (eta, phi) until an axis is vertical, in (pT, eta, phi)."""
    p4 = p4[p4[:, 0] > 1e-10]
    jet = p4.sum(axis=0)
    y_jet = 0.5 * np.log((jet[0] + jet[3]) / (jet[0] - jet[3]))
    pt = np.hypot(p4[:, 1], p4[:, 2])
    eta = np.arctanh(p4[:, 3] / np.linalg.norm(p4[:, 1:], axis=1)) - y_jet  # massless: eta = y
    phi = np.angle(np.exp(1j * (np.arctan2(p4[:, 2], p4[:, 1]) - np.arctan2(jet[2], jet[1]))))
    points = np.stack([phi, eta], axis=1)
    energy = pt * np.cosh(eta)
    lean = (energy[:, None] * points / np.linalg.norm(points, axis=1)[:, None]).sum(axis=0)
    axis = axis_of(pt, points, lean)
    phi, eta = points @ axis, points @ [-axis[1], axis[0]]
    return np.stack(
        [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1
    )


def slow_paper_frame(p4):
    """The axis of equation 3: the mean direction weighted with the energy."""
    return slow_plane_frame(p4, lambda pt, points, lean: lean / np.linalg.norm(lean))


def slow_moments_frame(p4):
    """The first eigenvector of the moments."""

    def axis_of(pt, points, lean):
        axis = np.linalg.eigh((pt[:, None] * points).T @ points)[1][:, -1]
        return axis * np.sign(axis @ lean)

    return slow_plane_frame(p4, axis_of)


@pytest.mark.parametrize(
    ("convention", "slow"),
    [("code", slow_code_frame), ("paper", slow_paper_frame), ("moments", slow_moments_frame)],
)
def test_jet_frame_agrees_with_a_slow_reference(convention, slow, top_jets):
    framed = JetFrame(convention=convention).fit_transform(top_jets).reshape(-1, 20, 4)
    for jet, p4 in zip(top_jets.reshape(-1, 20, 4), framed, strict=True):
        expected = slow(jet)
        assert_allclose(p4[: len(expected)], expected, atol=1e-6)
        assert_allclose(p4[len(expected) :], 0, atol=1e-12)


def test_what_each_convention_keeps(top_jets):
    before = jet_observables(top_jets, features=["pt", "mass", "n_constituents"])
    code = JetFrame(convention="code").fit_transform(top_jets)
    after = jet_observables(code, features=["pt", "mass", "n_constituents"])
    assert_allclose(after, before, rtol=1e-6)
    p4 = top_jets.reshape(-1, 20, 4)
    for convention in ("paper", "moments"):
        plane = JetFrame(convention=convention).fit_transform(top_jets).reshape(-1, 20, 4)
        assert_allclose(np.hypot(plane[..., 1], plane[..., 2]), np.hypot(p4[..., 1], p4[..., 2]))
        assert abs(invariant_mass(plane)).max() < 1e-3


def test_jet_frame_keeps_other_columns_and_names(top_jets):
    X = pd.DataFrame(top_jets, columns=load_jets(kinds=["qcd"]).feature_names)
    X.insert(0, "mass", np.arange(len(X), dtype=float))
    frame = JetFrame().set_output(transform="pandas").fit(X)
    framed = frame.transform(X)
    assert list(framed.columns) == list(X.columns)
    assert_array_equal(framed["mass"], X["mass"])
    assert frame.n_constituents_ == 20
    assert_allclose(framed.iloc[:, 1:], JetFrame().fit_transform(top_jets))


def test_jets_of_one_constituent_and_none():
    single = np.array([[5.0, 3.0, 0.0, 4.0, 0, 0, 0, 0], [0.0] * 8])
    for convention in CONVENTIONS:
        framed = JetFrame(convention=convention).fit_transform(single)
        assert_allclose(framed, [[3.0, 3.0, 0, 0, 0, 0, 0, 0], [0.0] * 8], atol=1e-12)
    observables = jet_observables(single)
    assert_allclose(observables[1], 0)
    assert_allclose(observables[0, [0, 3, 9]], [3.0, 0.0, 1.0], atol=1e-7)
    assert_array_equal(observables[0, 4:9], 0)


class TestObservables:
    def test_kinematics_of_a_known_jet(self):
        # Back to back in the transverse plane: mass 2 E, no pT.
        back_to_back = [[5.0, 5.0, 0, 0, 5.0, -5.0, 0, 0]]
        assert_allclose(jet_observables(back_to_back, features=["pt", "mass"]), [[0, 10]])
        one = [[13.0, 3.0, 4.0, 12.0]]
        values = jet_observables(one, features=["mass", "phi", "eta", "pt"])[0]
        assert_allclose(values, [0, np.arctan2(4, 3), np.arcsinh(12 / 5), 5])

    def test_tau1_by_hand(self):
        """The E-scheme axis of two equal massless constituents is half-way between them."""
        p4 = np.array(
            [
                [10 * np.cosh(0.2), 10, 0, 10 * np.sinh(0.2)],
                [10 * np.cosh(0.2), 10, 0, -10 * np.sinh(0.2)],
            ]
        )
        assert_allclose(jet_observables(flat(p4), features=TAUS), [[0.2, 0, 0]], atol=1e-12)

    @pytest.mark.parametrize("shift", ["order", "padding", "rotation", "boost"])
    @settings(max_examples=25, deadline=None)
    @given(jet=jets, seed=st.integers(0, 1000))
    def test_invariance(self, shift, jet, seed):
        rng = np.random.default_rng(seed)
        features = ["pt", "mass", *TAUS, "tau21", "tau32", "n_constituents"]
        other = {
            "order": lambda: rng.permutation(jet),
            "padding": lambda: np.insert(jet, rng.integers(0, len(jet), 3), 0, axis=0),
            "rotation": lambda: rotate_about_beam(jet, rng.uniform(-5, 5)),
            "boost": lambda: boost_along_beam(jet, rng.uniform(-2, 2)),
        }[shift]()
        assert_allclose(
            jet_observables(flat(other), features=features),
            jet_observables(flat(jet), features=features),
            rtol=1e-6,
            atol=1e-6,
        )

    def test_taus_fall_and_shrink_with_the_jet(self, top_jets):
        tau1, tau2, tau3 = jet_observables(top_jets, features=TAUS).T
        # Exclusive-kT axes are no minimum, so the order may fail, but rarely.
        assert np.mean(tau1 >= tau2) > 0.97
        assert np.mean(tau2 >= tau3) > 0.97
        assert tau3.min() > 0 and tau1.max() < 1

    def test_top_jets_have_three_prongs_and_w_jets_two(self):
        jets = load_jets(kinds=["qcd", "w_80", "top_174"])
        tau21, tau32 = jet_observables(jets.data, features=["tau21", "tau32"]).T
        median = {k: np.median(tau21[jets.kind == k]) for k in ("qcd", "w_80")}
        assert median["w_80"] < median["qcd"] - 0.1
        assert np.median(tau32[jets.kind == "top_174"]) < np.median(tau32[jets.kind == "qcd"])

    def test_n_subjettiness_agrees_with_fastjet(self, top_jets):
        fastjet = pytest.importorskip("fastjet", exc_type=ImportError)
        definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0)
        rng = np.random.default_rng(0)
        wide = np.zeros((40, 60, 4))  # many constituents, some massive, some padding
        for jet in wide:
            n = rng.integers(2, 60)
            jet[:n] = make_jet(rng, n, mass_scale=2.0)
        for X in (top_jets[:150], wide.reshape(40, -1)):
            expected = [fastjet_taus(fastjet, definition, p) for p in X.reshape(len(X), -1, 4)]
            assert_allclose(jet_observables(X, features=TAUS), expected, atol=1e-12)

    def test_n_subjettiness_agrees_with_a_slow_reference(self, top_jets):
        expected = [slow_taus(p4) for p4 in top_jets[:60].reshape(-1, 20, 4)]
        assert_allclose(jet_observables(top_jets[:60], features=TAUS), expected, atol=1e-12)

    def test_agrees_with_the_stored_mass_and_momentum(self, shared_data):
        jets = pd.read_parquet(shared_data / "jets" / "w_80.parquet")
        complete = (jets["e19"] == 0).to_numpy()
        pt, mass = jet_observables(jets.loc[complete].iloc[:, :80], features=["pt", "mass"]).T
        assert complete.sum() > 50
        assert_allclose(pt, jets["pt"][complete], rtol=1e-5)
        # Rounding of the stored float32 energies moves the mass of the narrowest jets.
        assert_allclose(mass, jets["m"][complete], rtol=1e-3, atol=0.3)

    def test_transformer_equals_the_function(self, top_jets):
        X = np.column_stack([top_jets, np.arange(len(top_jets))])
        transformer = JetObservables(features=["mass", "tau21"])
        out = transformer.fit_transform(X)
        assert list(transformer.get_feature_names_out()) == ["mass", "tau21", "x80"]
        assert_allclose(out[:, :2], jet_observables(top_jets, features=["mass", "tau21"]))
        assert_array_equal(out[:, 2], X[:, 80])
        dropped = JetObservables(features=["mass", "tau21"], remainder="drop").fit(X)
        assert_array_equal(dropped.transform(X), out[:, :2])
        assert list(dropped.get_feature_names_out()) == ["mass", "tau21"]

    def test_regulariser(self, top_jets):
        X = top_jets[:50]
        tau1, tau2, ratio = jet_observables(
            X, features=["tau1", "tau2", "tau21"], regulariser=0.5
        ).T
        assert_allclose(ratio, tau2 / (tau1 + 0.5))
        transformer = JetObservables(features=["tau21"], regulariser=0.5)
        assert_allclose(transformer.fit_transform(X)[:, 0], ratio)
        with pytest.raises(ValueError, match="regulariser must be a positive number; got 0"):
            jet_observables(X, regulariser=0)

    def test_wrong_features_and_columns(self, top_jets):
        with pytest.raises(ValueError, match=r"features may hold.*got \['tau4'\]"):
            jet_observables(top_jets, features=["tau4"])
        with pytest.raises(ValueError, match="features must hold some of"):
            JetObservables(features=["pt", "pt"]).fit(top_jets)
        with pytest.raises(ValueError, match=r"shape \(300, 79\)"):
            jet_observables(top_jets[:, :79])


def fastjet_taus(fastjet, definition, p4):
    particles = [
        fastjet.PseudoJet(float(px), float(py), float(pz), float(e))
        for e, px, py, pz in p4
        if e > 0
    ]
    cluster = fastjet.ClusterSequence(particles, definition)
    total = sum(p.pt() for p in particles)
    taus = []
    for n in (1, 2, 3):
        axes = cluster.exclusive_jets(min(n, len(particles)))
        taus.append(sum(p.pt() * min(p.delta_R(a) for a in axes) for p in particles) / total)
    return taus


def slow_taus(p4):
    """Exclusive kT by the definition: the globally smallest distance, one jet, plain loops."""
    p4 = p4[p4[:, 0] > 0]
    axes, found = list(p4), {}
    while axes:
        found[len(axes)] = list(axes)
        if len(axes) == 1:
            break
        pairs = [(i, j) for i in range(len(axes)) for j in range(i)]
        i, j = min(
            pairs,
            key=lambda ij: (
                min(np.hypot(*axes[k][1:3]) for k in ij) ** 2
                * delta_r(axes[ij[0]], axes[ij[1]]) ** 2
            ),
        )
        axes = [a for k, a in enumerate(axes) if k not in (i, j)] + [axes[i] + axes[j]]
    pt = np.hypot(p4[:, 1], p4[:, 2])
    return [
        sum(
            w * min(delta_r(p, a) for a in found[min(n, len(p4))])
            for w, p in zip(pt, p4, strict=True)
        )
        / pt.sum()
        for n in (1, 2, 3)
    ]


def delta_r(a, b):
    y = [0.5 * np.log((v[0] + v[3]) / (v[0] - v[3])) for v in (a, b)]
    phi = np.arctan2(a[2], a[1]) - np.arctan2(b[2], b[1])
    return np.hypot(y[0] - y[1], np.angle(np.exp(1j * phi)))


class TestConstituentCoordinates:
    def test_round_trip_of_massless_constituents(self, top_jets):
        coordinates = ConstituentCoordinates(relative=False).fit(top_jets)
        back = coordinates.inverse_transform(coordinates.transform(top_jets))
        assert_allclose(back, top_jets, atol=1e-9)

    def test_relative_round_trip_is_the_centred_jet(self, top_jets):
        coordinates = ConstituentCoordinates(pt_scale=0.1).fit(top_jets)
        relative = coordinates.transform(top_jets)
        back = coordinates.inverse_transform(relative)
        features = ["pt", "eta", "phi", "mass", *TAUS]
        before = jet_observables(top_jets, features=features)
        after = jet_observables(back, features=features)
        assert_allclose(after[:, 1:3], 0, atol=1e-9)
        assert_allclose(after[:, [0, 3, 4, 5, 6]], before[:, [0, 3, 4, 5, 6]], rtol=1e-6)
        assert_allclose(coordinates.transform(back), relative, atol=1e-9)

    @settings(max_examples=40, deadline=None)
    @given(jet=jets, angle=st.floats(-5, 5), y=st.floats(-2, 2))
    def test_relative_coordinates_ignore_rotation_and_boost(self, jet, angle, y):
        jet = jet.copy()
        jet[:, 0] = np.linalg.norm(jet[:, 1:], axis=1)
        other = boost_along_beam(rotate_about_beam(jet, angle), y)
        transform = ConstituentCoordinates().fit(flat(jet)).transform
        difference = transform(flat(other)) - transform(flat(jet))
        difference[:, 2::3] = wrap_angle(difference[:, 2::3])
        assert abs(difference).max() < 1e-7

    def test_names_padding_and_dtype(self, top_jets):
        X = np.hstack([top_jets[:, :8], np.zeros((len(top_jets), 4))]).astype(np.float32)
        coordinates = ConstituentCoordinates().fit(X)
        out = coordinates.transform(X)
        assert out.dtype == np.float32
        assert_array_equal(out[:, 6:], 0)
        assert list(coordinates.get_feature_names_out()[3:6]) == ["log_pt01", "eta01", "phi01"]
        assert_allclose(out[:, 0], np.log1p(np.hypot(X[:, 1], X[:, 2])), rtol=1e-5)

    def test_inverse_refuses_what_has_no_inverse(self, top_jets):
        coordinates = ConstituentCoordinates(remainder="drop").fit(top_jets[:, :81])
        values = coordinates.transform(top_jets)
        values[3, 6] = -0.1
        with pytest.raises(DomainError, match=r"'log_pt02' holds -0\.1 in row 3"):
            coordinates.inverse_transform(values)
        with pytest.raises(ValueError, match="X has 59 features"):
            coordinates.inverse_transform(values[:, :59])
        with_mass = np.column_stack([top_jets, top_jets[:, 0]])
        coordinates = ConstituentCoordinates(remainder="drop").fit(with_mass)
        with pytest.raises(ValueError, match="remainder='passthrough'"):
            coordinates.inverse_transform(coordinates.transform(with_mass))
        coordinates = ConstituentCoordinates(relative=False).fit(with_mass)
        assert_allclose(
            coordinates.inverse_transform(coordinates.transform(with_mass)), with_mass, atol=1e-9
        )


class TestColumns:
    def test_by_name_position_and_default_agree(self, top_jets):
        names = load_jets(kinds=["qcd"]).feature_names
        X = pd.DataFrame(top_jets, columns=names)
        shuffled = X.assign(other=1.0)[["other", *names[::-1]]]
        expected = JetObservables(features=["mass"]).fit_transform(top_jets)
        for columns in (None, names, [shuffled.columns.get_loc(name) for name in names]):
            observables = JetObservables(features=["mass"], columns=columns, remainder="drop")
            assert_allclose(observables.fit_transform(shuffled), expected)

    def test_incomplete_four_vectors(self, top_jets):
        X = pd.DataFrame(top_jets, columns=load_jets(kinds=["qcd"]).feature_names)
        with pytest.raises(MissingColumnError, match=r"Constituent 07 lacks.*'py07'"):
            JetFrame().fit(X.drop(columns="py07"))
        with pytest.raises(ValueError, match="a multiple of four; got 3 columns"):
            JetFrame(columns=[0, 1, 2]).fit(top_jets)
        with pytest.raises(MissingColumnError, match="columns=80 is not a column"):
            JetFrame(columns=[80, 1, 2, 3]).fit(top_jets)

    @pytest.mark.parametrize("estimator", [JetFrame, JetObservables, ConstituentCoordinates])
    def test_wrong_order_of_components_is_noticed(self, estimator, top_jets):
        swapped = top_jets.reshape(-1, 20, 4)[..., [1, 2, 3, 0]].reshape(-1, 80)
        with pytest.warns(FiducialWarning, match=r"300 of 300 jets.*constituent 0 of row 0"):
            estimator().fit(swapped).transform(swapped)
        with pytest.raises(DomainError, match=r"E < \|p\|"):
            estimator(unphysical="raise").fit(swapped).transform(swapped)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            estimator(unphysical="ignore").fit(swapped).transform(swapped)
            estimator().fit(top_jets).transform(top_jets.astype(np.float32))

    def test_no_room_for_a_constituent(self):
        X = np.ones((3, 2))
        with pytest.warns(FiducialWarning, match=r"X has 2 column\(s\) and no constituent"):
            frame = JetFrame().fit(X)
        assert_array_equal(frame.transform(X), X)
        with pytest.raises(DomainError, match="no constituent"):
            JetFrame(unphysical="raise").fit(X)


@settings(max_examples=100, deadline=None)
@given(pt=st.floats(0.1, 1e3), y=st.floats(-6, 6), mass=st.floats(0, 100), phi=st.floats(-3, 3))
def test_rapidity_and_mass_by_construction(pt, y, mass, phi):
    mt = np.hypot(pt, mass)
    p4 = np.array([mt * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), mt * np.sinh(y)])
    # At |y| = 6 the mass is a difference of energies 400 times as large.
    assert_allclose(rapidity(p4), y, atol=1e-9)
    assert_allclose(invariant_mass(p4) ** 2, mass**2, atol=1e-9 * p4[0] ** 2)


def test_the_jet_frame_has_no_jacobian(top_jets):
    for transformer in (JetFrame(), JetObservables(), ConstituentCoordinates()):
        with pytest.raises(NoJacobianError):
            log_abs_det_jacobian(transformer.fit(top_jets), top_jets)
    assert not hasattr(JetFrame(), "inverse_transform")
