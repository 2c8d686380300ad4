"""Graphs of ONNX say what the models say; what cannot be written is refused by name."""

import json
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

import skad
from skad.coordinates import (
    AffineTransformer,
    ColumnCoordinates,
    DijetCoordinates,
    EmpiricalCDFTransformer,
    ExpTransformer,
    InverseCoordinates,
    LogitTransformer,
    LogTransformer,
    NormalCDFTransformer,
    TanhTransformer,
)
from skad.datasets import load_dijets
from skad.density import FlowDensity, FramedDensity
from skad.detectors import (
    AutoencoderDetector,
    CWoLaDetector,
    DensityDetector,
    NetworkClassifier,
    VAEDetector,
)
from skad.exceptions import ModelFileError, UnknownTypeError
from skad.serving import _export, to_onnx

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::skad.exceptions.FiducialWarning")

SMALL = {"hidden_layer_sizes": (16, 8), "max_epochs": 2, "random_state": 0}


def draw(n, seed):
    rng = np.random.default_rng(seed)
    m = rng.uniform(2, 5, n)
    columns = {"m": m, "x": rng.normal(m / 3, 0.5), "y": np.exp(rng.normal(size=n))}
    return pd.DataFrame({**columns, "z": rng.uniform(size=n)})


X = draw(1500, 0)
Y = (X["x"] + np.random.default_rng(1).normal(size=len(X)) > 1).astype(int)
EVENTS = draw(10_000, 2)


def flow(kind="maf", **params):
    return FlowDensity(kind, **{"max_epochs": 2, "random_state": 0, **params})


def columns():
    return ColumnCoordinates(
        [("log", LogTransformer(), ["y"]), ("logit", LogitTransformer(lower=0, upper=1), ["z"])]
    )


def scalers():
    return ColumnTransformer(
        [
            ("standard", StandardScaler(), ["m", "x"]),
            ("power", PowerTransformer(), ["y"]),
            ("range", MinMaxScaler(), ["z"]),
        ],
        transformer_weights={"power": 2.0},
    )


def vae(metric, **params):
    return VAEDetector(metric=metric, n_latent=2, **{**SMALL, "n_samples": 0, **params})


def net():
    return NetworkClassifier(**SMALL)


WIDE = {"batch_size": 2000, "max_epochs": 10}  # all events in one batch: networks in float64
BATCH_NORM = {"batch_norm": True, "permutation": "random", "residual": True}
CHAIN = (FunctionTransformer(np.arcsinh), InverseCoordinates(LogTransformer()), MaxAbsScaler())
MODELS = {
    "autoencoder": AutoencoderDetector(**SMALL),
    "autoencoders": AutoencoderDetector(n_estimators=2, n_averaged=2, activation="silu", **SMALL),
    "autoencoder in float64": AutoencoderDetector(activation="gelu", **{**SMALL, **WIDE}),
    **{f"vae, {metric}": vae(metric) for metric in ("nll", "mse", "kl", "mss")},
    "classifier": net(),
    "classifiers": NetworkClassifier(n_estimators=3, activation="elu", dropout=0.1, **SMALL),
    "weak classifier": CWoLaDetector(net(), cv=2),
    "weak pipeline": CWoLaDetector(make_pipeline(RobustScaler(), net())),
    **{kind: flow(kind, n_transforms=2) for kind in ("maf", "nsf", "nsf_coupling")},
    "flow with batch norm": flow(flow_options=BATCH_NORM, n_transforms=3),
    "conditional flows": flow("nsf", condition_features=["m"], n_estimators=2),
    "detector": DensityDetector(FramedDensity(columns(), flow()), frame=columns()),
    "framed": FramedDensity(make_pipeline(scalers(), TanhTransformer()), flow()),
    "framed conditional": FramedDensity(StandardScaler(), flow(condition_features=["m"])),
    "scalers and autoencoder": make_pipeline(scalers(), AutoencoderDetector(**SMALL)),
    "coordinates and classifier": make_pipeline(columns(), PCA(whiten=True), net()),
    "chain and flow": make_pipeline(
        *CHAIN, AffineTransformer(scale=3.0), NormalCDFTransformer(), flow()
    ),
    "exponential": make_pipeline(ExpTransformer(sign=-1), PowerTransformer("box-cox"), net()),
}
# The log densities of splines in float32 are rounded to so much themselves.
ROUNDED = {"nsf", "nsf_coupling", "conditional flows"}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a function: name -> fitted model, session, deviation."""
    folder, made = tmp_path_factory.mktemp("onnx"), {}

    def of(name):
        if name not in made:
            model = MODELS[name].fit(X, Y)
            deviation = to_onnx(model, folder / f"{name}.onnx", EVENTS, units={"m": "TeV"})
            session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
            made[name] = model, session, deviation
        return made[name]

    return of


def said(model, method, events):
    if not hasattr(model, method):
        model, events = model[-1], model[:-1].transform(events)
    return getattr(model, method)(events)


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_agrees_on_ten_thousand_events(name, exported):
    model, session, deviation = exported(name)
    limit = 3e-5 if name in ROUNDED else 1e-5
    assert deviation < limit
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {"X": EVENTS.to_numpy()})
    for method, values in zip(names, found, strict=True):
        expected = said(model, method, EVENTS)
        assert np.ptp(expected) > 0
        difference = np.abs(values - expected) / np.maximum(1, np.abs(expected))
        assert difference.max() < limit, method


@pytest.mark.parametrize("name", ["autoencoder", "vae, nll", "maf", "nsf", "classifiers"])
def test_events_far_out_score_as_in_the_model(name, exported):
    model, session, _ = exported(name)
    # Flows in float32 have no density beyond 1e38.
    scales = [1e2, 1e5, -1e10, 1e3 if name in ("maf", "nsf") else 1e200]
    far = EVENTS.to_numpy()[:40] * np.repeat(scales, 10)[:, None]
    method = session.get_outputs()[0].name
    (found,) = session.run([method], {"X": far})
    expected = said(model, method, pd.DataFrame(far, columns=EVENTS.columns))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_file_holds_reference_events_and_what_they_mean(exported):
    model, session, _ = exported("scalers and autoencoder")
    stored = session.get_modelmeta().custom_metadata_map
    found = {name: json.loads(text) for name, text in stored.items()}
    assert found["feature_names"] == ["m", "x", "y", "z"] and found["units"] == {"m": "TeV"}
    assert found["scores"]["anomaly_score"] == "higher is more anomalous"
    assert found["versions"]["skad"] == skad.__version__
    reference = np.array(found["reference_X"])
    np.testing.assert_array_equal(reference, EVENTS.to_numpy()[:100])
    scores = found["reference_scores"]["anomaly_score"]
    np.testing.assert_array_equal(scores, said(model, "anomaly_score", EVENTS[:100]))
    (served,) = session.run(["anomaly_score"], {"X": reference})
    np.testing.assert_allclose(served, scores, rtol=found["tolerance"])


def test_events_without_coordinates_have_no_score(exported):
    bad = EVENTS.to_numpy()[:3].copy()
    bad[0, 3], bad[1, 2], bad[2, 0] = 1.5, -1.0, np.nan
    _, session, _ = exported("coordinates and classifier")
    odds, probability = session.run(None, {"X": bad})
    assert np.isnan(odds).all() and np.isnan(probability).all()
    _, session, _ = exported("detector")
    (score,) = session.run(["anomaly_score"], {"X": bad})
    assert (score[:2] == np.finfo(float).max).all() and np.isnan(score[2])


def test_clipped_events_have_no_density(tmp_path):
    logit = LogitTransformer(lower=0, upper=1, outside="clip")
    density = FramedDensity(logit, flow()).fit(X[["z"]])
    events = pd.DataFrame({"z": [0.2, 0.5, 1.5, -0.1, 0.9]})
    assert np.isneginf(density.score_samples(events)).tolist() == [False, False, True, True, False]
    assert to_onnx(density, tmp_path / "model.onnx", events) < 1e-5


def test_dijets_from_four_vectors_to_score(tmp_path):
    events = load_dijets(as_frame=True).data[::20]
    features = ("mjj", "mj1", "delta_mj", "tau21_j1", "tau32_j2", "pt_j1", "eta_j2", "delta_eta")
    jets = DijetCoordinates(features=features)
    model = make_pipeline(jets, StandardScaler(), AutoencoderDetector(**SMALL)).fit(events)
    assert to_onnx(model, tmp_path / "model.onnx", events) < 1e-5


REFUSED = {
    "HistGradientBoostingClassifier": lambda: CWoLaDetector(HistGradientBoostingClassifier()),
    "IsolationForest": lambda: IsolationForest(),
    "GaussianMixture": lambda: DensityDetector(GaussianMixture()),
    "ContinuousTransform": lambda: flow("cnf", max_epochs=1),
    "EmpiricalCDFTransformer": lambda: make_pipeline(EmpiricalCDFTransformer(), flow()),
    "QuantileTransformer": lambda: make_pipeline(QuantileTransformer(n_quantiles=9), flow()),
    r"FunctionTransformer.*no ufunc": lambda: make_pipeline(
        FunctionTransformer(lambda x: x + 1), flow()
    ),
    "cbrt": lambda: make_pipeline(FunctionTransformer(np.cbrt), flow()),
    r"set_params\(n_samples=0\)": lambda: vae("nll", n_samples=2),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_written_is_refused_by_name(message, tmp_path):
    model = REFUSED[message]().fit(X, Y)
    with pytest.raises(UnknownTypeError, match=message):
        to_onnx(model, tmp_path / "model.onnx", X)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch, exported):
    model, _, deviation = exported("autoencoder")
    assert deviation > 0
    path = tmp_path / "model.onnx"
    monkeypatch.setattr(_export, "_TOLERANCE", 1e-30)
    with pytest.raises(ModelFileError, match="differs from it by"):
        to_onnx(model, path, EVENTS)
    path.write_text("old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        to_onnx(model, path, EVENTS)
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("name", "method"), [("autoencoder", "score_samples"), ("classifier", "predict_proba")]
)
def test_one_event_takes_less_than_a_millisecond(name, method, exported, tmp_path):
    model, session, _ = exported(name)
    skad.save_model(model, tmp_path / "model.skad")
    loaded = skad.load_model(tmp_path / "model.skad")
    event = EVENTS.to_numpy()[:1]

    def best(function):
        seconds = []
        for _ in range(200):
            start = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    assert best(lambda: session.run([method], {"X": event})) < 1e-3
    # Events as arrays, as a service has them: a frame costs what pandas takes.
    del loaded.feature_names_in_
    assert best(lambda: getattr(loaded, method)(event)) < 1e-3
