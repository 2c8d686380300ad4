"""DijetCoordinates: definitions by an independent event loop, and the real LHC Olympics events."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.coordinates import (
    DijetCoordinates,
    inverse_transform,
    log_abs_det_jacobian,
)
from skad.exceptions import DomainError, MissingColumnError, NoJacobianError

DATA = Path(__file__).parents[3] / "shared" / "data"
COLUMNS = [f"{q}j{j}" for j in (1, 2) for q in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")]
MASS_LIKE = ["mjj", "mj1", "mj2", "delta_mj", "pt_j1", "pt_j2"]
WITHOUT_UNIT = ["tau21_j1", "tau21_j2", "tau32_j1", "tau32_j2"]
WITHOUT_UNIT += ["eta_j1", "eta_j2", "delta_eta", "delta_r"]
ALL = MASS_LIKE + WITHOUT_UNIT


def jets(n_events=300, seed=0):
    """Two roughly opposite jets in GeV, in the columns of the LHC Olympics files."""
    rng = np.random.default_rng(seed)
    phi = rng.uniform(-np.pi, np.pi, n_events)
    columns = {}
    for jet, angle in ((1, phi), (2, phi + np.pi + rng.normal(0, 0.3, n_events))):
        pt = rng.uniform(1000, 2000, n_events)
        taus = np.sort(rng.uniform(0.01, 0.5, (3, n_events)), axis=0)[::-1]
        values = (
            pt * np.cos(angle),
            pt * np.sin(angle),
            pt * np.sinh(rng.uniform(-2, 2, n_events)),
            rng.uniform(0, 600, n_events),
            *taus,
        )
        names = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
        columns |= {f"{name}j{jet}": value for name, value in zip(names, values, strict=True)}
    return pd.DataFrame(columns)


def one_event(row, order):
    """The observables of one event in plain Python, GeV, from angles instead of components."""
    found = []
    for jet in "12":
        px, py, pz, m = (row[f"{name}j{jet}"] for name in ("px", "py", "pz", "m"))
        p = math.sqrt(px**2 + py**2 + pz**2)
        found.append(
            {
                "m": m,
                "pt": math.hypot(px, py),
                "eta": -math.log(math.tan(math.acos(pz / p) / 2)),
                "phi": math.atan2(py, px),
                "tau": [row[f"tau{i}j{jet}"] for i in (1, 2, 3)],
            }
        )
    a, b = sorted(found, key=lambda jet: jet["m"]) if order == "mass" else found
    delta_phi = abs(a["phi"] - b["phi"])
    delta_phi = min(delta_phi, 2 * math.pi - delta_phi)
    # m^2 = m_a^2 + m_b^2 + 2 (mT_a mT_b cosh(delta y) - pT_a pT_b cos(delta phi)).
    transverse, rapidity = [], []
    for jet in (a, b):
        mt = math.hypot(jet["m"], jet["pt"])
        transverse.append(mt)
        rapidity.append(math.asinh(jet["pt"] * math.sinh(jet["eta"]) / mt))
    product = transverse[0] * transverse[1] * math.cosh(rapidity[0] - rapidity[1])
    mjj2 = a["m"] ** 2 + b["m"] ** 2
    mjj2 += 2 * (product - a["pt"] * b["pt"] * math.cos(delta_phi))
    return {
        "mjj": math.sqrt(mjj2),
        "mj1": a["m"],
        "mj2": b["m"],
        "delta_mj": b["m"] - a["m"],
        "tau21_j1": a["tau"][1] / (a["tau"][0] + 1e-5),
        "tau21_j2": b["tau"][1] / (b["tau"][0] + 1e-5),
        "tau32_j1": a["tau"][2] / (a["tau"][1] + 1e-5),
        "tau32_j2": b["tau"][2] / (b["tau"][1] + 1e-5),
        "pt_j1": a["pt"],
        "pt_j2": b["pt"],
        "eta_j1": a["eta"],
        "eta_j2": b["eta"],
        "delta_eta": abs(a["eta"] - b["eta"]),
        "delta_r": math.hypot(a["eta"] - b["eta"], delta_phi),
    }


@pytest.mark.parametrize("order", ["mass", "given"])
def test_observables_agree_with_an_event_loop(order):
    X = jets()
    expected = pd.DataFrame([one_event(row, order) for row in X.to_dict("records")])[ALL]
    dijet = DijetCoordinates(features=ALL, order=order, unit="GeV")
    Z = dijet.set_output(transform="pandas").fit_transform(X)
    assert list(Z.columns) == ALL
    pd.testing.assert_frame_equal(Z, expected, rtol=1e-9)
    # The features of a subset do not depend on the others.
    for feature in ALL:
        alone = DijetCoordinates(features=[feature], order=order, unit="GeV").fit_transform(X)
        np.testing.assert_array_equal(alone[:, 0], Z[feature])


def test_units_and_regulariser():
    X = jets()
    tev = DijetCoordinates(features=ALL).fit_transform(X)
    gev = DijetCoordinates(features=ALL, unit="GeV").fit_transform(X)
    factors = [1000.0] * len(MASS_LIKE) + [1.0] * len(WITHOUT_UNIT)
    np.testing.assert_allclose(gev, tev * factors)
    plain = DijetCoordinates(features=["tau21_j1"], order="given", regulariser=0.0)
    np.testing.assert_allclose(plain.fit_transform(X)[:, 0], X["tau2j1"] / X["tau1j1"])


def test_subjettiness_of_each_jet():
    columns = [f"{q}j{jet}" for jet in (1, 2) for q in ("m", "tau1", "tau2", "tau3")]
    X = pd.DataFrame([[200, 0.4, 0.2, 0.1, 90, 0.3, 0.1, 0.05]], columns=columns)
    names = [f"tau{n}_j{jet}" for jet in (1, 2) for n in (1, 2, 3)]
    # J1 is the lighter jet, the second of the columns.
    found = DijetCoordinates(features=names).fit_transform(X)
    np.testing.assert_array_equal(found, [[0.3, 0.1, 0.05, 0.4, 0.2, 0.1]])
    given = DijetCoordinates(features=["tau2_j1"], order="given").fit_transform(X)
    np.testing.assert_array_equal(given, [[0.2]])


def test_mass_order_does_not_depend_on_the_order_of_the_jets():
    X = jets()
    swapped = X.rename(columns=lambda name: name[:-1] + {"1": "2", "2": "1"}[name[-1]])
    dijet = DijetCoordinates(features=ALL).fit(X)
    np.testing.assert_allclose(dijet.transform(X), dijet.transform(swapped[X.columns]), rtol=1e-12)
    Z = dijet.set_output(transform="pandas").transform(X)
    assert (Z["delta_mj"] >= 0).all() and (Z["mj1"] <= Z["mj2"]).all()


def test_arrays_frames_labels_and_other_names_agree():
    X = jets()
    expected = DijetCoordinates().fit_transform(X)
    array = np.column_stack([X[COLUMNS], np.ones(len(X))])  # with the label of the files
    np.testing.assert_array_equal(DijetCoordinates().fit_transform(array), expected)
    shuffled = X[COLUMNS[::-1]].assign(label=1)
    np.testing.assert_array_equal(DijetCoordinates().fit_transform(shuffled), expected)
    renamed = shuffled.rename(columns={"mj1": "leading_mass"})
    for place in ("leading_mass", list(renamed.columns).index("leading_mass")):
        dijet = DijetCoordinates(columns={"mj1": place})
        np.testing.assert_array_equal(dijet.fit_transform(renamed), expected)


def test_single_precision():
    X = jets()
    Z = DijetCoordinates(features=ALL).fit_transform(X.astype(np.float32))
    assert Z.dtype == np.float32
    np.testing.assert_allclose(
        Z, DijetCoordinates(features=ALL).fit_transform(X), rtol=1e-4, atol=1e-5
    )


def test_no_inverse_and_no_jacobian():
    X = jets()
    dijet = DijetCoordinates().fit(X)
    message = r"DijetCoordinates has no inverse and no Jacobian.*start the change of coordinates"
    assert not hasattr(dijet, "inverse_transform")
    with pytest.raises(AttributeError, match=message):
        dijet.inverse_transform(dijet.transform(X))
    with pytest.raises(NoJacobianError, match=message):
        log_abs_det_jacobian(make_pipeline(dijet, StandardScaler()).fit(X), X)
    with pytest.raises(NoJacobianError, match=message):
        inverse_transform(dijet, dijet.transform(X))


def test_missing_columns_are_named():
    X = jets().drop(columns=["tau1j2", "mj1"])
    with pytest.raises(MissingColumnError, match=r"X lacks \['mj1', 'tau1j2'\], it has \['pxj1'"):
        DijetCoordinates().fit(X)
    with pytest.raises(ValueError, match=r"3 feature\(s\).*minimum of 13 is required"):
        DijetCoordinates().fit(np.ones((5, 3)))
    # Columns that no feature needs may be absent.
    DijetCoordinates(features=["mjj", "delta_r"]).fit(jets().drop(columns=["tau1j2", "tau2j1"]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"features": ["mjj", "mass"]},
            r"features must name observables.*'delta_r'\]; got \['mjj'",
        ),
        ({"features": ["mjj", "mjj"]}, r"features must name observables, each once"),
        ({"columns": {"px1": "a"}}, r"columns has the keys \['px1'\]; allowed are \['pxj1'"),
        ({"unit": "MeV"}, r"'unit' parameter of DijetCoordinates"),
    ],
)
def test_wrong_parameters_are_explained(params, message):
    with pytest.raises(ValueError, match=message):
        DijetCoordinates(**params).fit(jets())


def test_values_that_have_no_observable_are_located():
    X = jets()
    X.loc[4, "tau1j2"] = np.nan
    with pytest.raises(DomainError, match=r"NaN: column 'tau1j2', row 4.*drop or impute"):
        DijetCoordinates().fit(X)
    # A column that is not used may hold anything.
    assert np.isfinite(DijetCoordinates(features=["mjj"]).fit_transform(X)).all()
    X = jets()
    X.loc[6, ["pxj1", "pyj1"]] = 0.0
    with pytest.raises(
        DomainError, match=r"observables of these jets contain infinity: column 'delta_r', row 6"
    ):
        DijetCoordinates(features=["delta_r"]).fit_transform(X)


def test_simulated_events_look_like_the_real_ones():
    """KS distances between the simulated and the real signal region, as the READMEs state."""
    simulated, real = (
        DATA / "dijets" / "background.parquet",
        DATA / "lhco_sr" / "data_train.parquet",
    )
    if not (simulated.exists() and real.exists()):
        pytest.skip("needs the shared data")
    X = pd.read_parquet(simulated)
    dijet = DijetCoordinates().set_output(transform="pandas")
    Z = dijet.fit_transform(X)
    Z = Z[(Z["mjj"] > 3.3) & (Z["mjj"] < 3.7)]
    assert len(Z) == 69_258
    real = pd.read_parquet(real).query("label == 0")
    stated = {"mjj": 0.01, "mj1": 0.06, "delta_mj": 0.02, "tau21_j1": 0.20, "tau21_j2": 0.08}
    for name, distance in stated.items():
        assert stats.ks_2samp(Z[name], real[name]).statistic == pytest.approx(distance, abs=0.01)
