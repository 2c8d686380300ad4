"""Explanations: planted columns are named, terms add up, and every kind of column is taken."""

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import trapezoid
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, OneHotEncoder, StandardScaler

from skad.coordinates import LogTransformer
from skad.density import FlowDensity, FramedDensity
from skad.detectors import (
    AutoencoderDetector,
    ConformalDetector,
    DensityDetector,
    VAEDetector,
    VotingDetector,
)
from skad.inspection import explain
from skad.metrics import anomaly_response

NAMES = list("abcdef")
MIXTURE = GaussianMixture(random_state=0)


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    mixing = np.eye(6) + 0.6 * np.tril(np.ones((6, 6)), -1)
    X = pd.DataFrame(rng.normal(size=(900, 6)) @ mixing.T, columns=NAMES)
    train, rest = X.iloc[:800], X.iloc[800:]
    # Typical events, in each of which one column is made odd.
    radius = MIXTURE.fit(train).score_samples(rest)
    odd = rest[radius > np.median(radius)].copy()
    moved = rng.integers(6, size=len(odd))
    for i, j in enumerate(moved):
        odd.iloc[i, j] += rng.choice([-6, 6]) * train.iloc[:, j].std()
    return train, odd, moved


SMALL = {"max_epochs": 15, "random_state": 0}
IN_ORDER = FlowDensity(flow_options={"permutation": "none"}, max_epochs=5, random_state=0)
DETECTORS = {
    "forest": lambda: IsolationForest(random_state=0),
    "LOF": lambda: LocalOutlierFactor(novelty=True),
    "mixture behind PCA": lambda: make_pipeline(StandardScaler(), PCA(), MIXTURE),
    "autoencoder": lambda: AutoencoderDetector(n_latent=2, **SMALL),
    "VAE": lambda: VAEDetector(hidden_layer_sizes=(32,), n_latent=2, **SMALL),
    "flow": lambda: DensityDetector(FlowDensity(max_epochs=5, random_state=0)),
    "flow in order": lambda: DensityDetector(IN_ORDER),
    "voting": lambda: VotingDetector(
        [("a", IsolationForest(random_state=0)), ("b", DensityDetector(MIXTURE))], voting="rank"
    ),
    "conformal": lambda: ConformalDetector(MIXTURE, cv=5, random_state=0),
}


@pytest.mark.parametrize("name", DETECTORS)
def test_a_planted_column_is_named_first(events, name):
    train, odd, moved = events
    table = explain(DETECTORS[name]().fit(train), odd, background=train)
    assert list(table.columns) == NAMES and (table.index == odd.index).all()
    assert (table.to_numpy().argmax(axis=1) == moved).mean() >= 0.95
    expected = "conditionals" if name == "flow in order" else "occlusion"
    assert table.attrs == {"method": expected, "adds_up": name == "flow in order"}


def test_occlusion_of_an_additive_score_gives_its_terms():
    # Independent columns and a score that is a sum: the fall is the term less that of the median.
    rng = np.random.default_rng(1)
    X = rng.normal(size=(3000, 3))
    odd = np.array([[4.0, 0.0, -3.0]])
    table = explain(MIXTURE.fit(X), odd, background=X, n_draws=200, random_state=0)
    # -log p of a standard normal: x^2 / 2, with a median of 0.227.
    assert (np.abs(table - (0.5 * odd**2 - 0.227)) < 0.15 * (1 + np.abs(odd))).all(axis=None)
    assert list(table.columns) == ["x0", "x1", "x2"]


@pytest.mark.parametrize("kind", ["maf", "nsf"])
def test_conditional_densities_are_densities_of_the_columns_before(events, kind):
    train, odd, _ = events
    options = {"permutation": "none", "batch_norm": kind == "maf"}
    flow = FlowDensity(
        kind, flow_options=options, n_transforms=2, n_estimators=2, max_epochs=2, random_state=0
    ).fit(train.to_numpy())
    odd = odd.to_numpy()
    terms = flow.conditional_log_densities(odd)
    np.testing.assert_allclose(terms.sum(axis=1), flow.score_samples(odd), rtol=1e-5)
    later = odd.copy()
    later[:, 3:] = 1.0
    np.testing.assert_allclose(
        flow.conditional_log_densities(later)[:, :3], terms[:, :3], rtol=1e-5, atol=1e-5
    )
    # Each integrates to one over its own column.
    for column in range(3):
        x = np.linspace(-60, 60, 4001)
        line = np.tile(odd[0], (len(x), 1))
        line[:, column] = x
        density = np.exp(flow.conditional_log_densities(line)[:, column])
        assert trapezoid(density, x) == pytest.approx(1, abs=0.01)
    with pytest.raises(TypeError, match="mixes the order of the features"):
        FlowDensity(max_epochs=1).fit(train).conditional_log_densities(odd)


def test_terms_add_up_where_they_claim_to(events):
    train, odd, _ = events
    positive, far = np.exp(train / 2), np.exp(odd / 2)
    framed = DensityDetector(FramedDensity(LogTransformer(), IN_ORDER))
    vae = VAEDetector(hidden_layer_sizes=(16,), n_latent=2, metric="mse", n_samples=3, **SMALL)
    for detector, method, X, events_ in (
        (DensityDetector(IN_ORDER), "conditionals", train, odd),
        (make_pipeline(StandardScaler(), IN_ORDER), "conditionals", train, odd),
        (make_pipeline(LogTransformer(), DensityDetector(IN_ORDER)), "auto", positive, far),
        (framed, "auto", positive, far),
        (AutoencoderDetector(n_estimators=2, **SMALL), "reconstruction", train, odd),
        (make_pipeline(StandardScaler(), vae), "reconstruction", train, odd),
    ):
        fitted = detector.fit(X)
        table = explain(fitted, events_, method=method)
        assert table.attrs["adds_up"] and list(table.columns) == NAMES
        np.testing.assert_allclose(table.sum(axis=1), anomaly_response(fitted, events_), rtol=1e-4)
    nll = VAEDetector(hidden_layer_sizes=(16,), n_latent=2, **SMALL).fit(train)
    assert not explain(nll, odd, method="reconstruction").attrs["adds_up"]


def test_shapley_values_of_trees():
    shap = pytest.importorskip("shap")
    rng = np.random.default_rng(2)
    X = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    odd = X.iloc[:3].assign(b=7.0)
    forest = make_pipeline(StandardScaler(), IsolationForest(n_estimators=20, random_state=0))
    table = explain(forest.fit(X), odd, method="shap")
    assert (table.to_numpy().argmax(axis=1) == 1).all()
    exact = shap.TreeExplainer(forest[-1]).shap_values(forest[:-1].transform(odd))
    np.testing.assert_allclose(table, -exact)
    with pytest.raises(TypeError, match="method='shap' needs"):
        explain(MIXTURE.fit(X), odd, method="shap")


def test_categories_and_missing_values_of_a_pipeline():
    rng = np.random.default_rng(3)
    size = rng.normal(size=600)
    X = pd.DataFrame(
        {
            "kind": np.where(size > 0, "large", "small"),
            "size": size,
            "other": rng.normal(size=600),
        }
    )
    X.loc[::15, "other"] = np.nan
    steps = make_column_transformer(
        (OneHotEncoder(), ["kind"]),
        (SimpleImputer(add_indicator=True), ["other"]),
        ("passthrough", ["size"]),
    )
    detector = make_pipeline(steps, GaussianMixture(2, reg_covar=1e-2, random_state=0)).fit(X)
    odd = pd.DataFrame({"kind": ["large", "small"], "size": [2.0, 0.0], "other": [0.0, 9.0]})
    odd.loc[0, "kind"] = "small"
    table = explain(detector, odd, background=X)
    assert table.iloc[0][["kind", "size"]].min() > 5 * abs(table.iloc[0]["other"])
    assert table.iloc[1].idxmax() == "other"
    # Nothing was written into what was given.
    assert odd["kind"].tolist() == ["small", "small"] and X["size"].equals(pd.Series(size))


class RankedTogether(OutlierMixin, BaseEstimator):
    """How few values lie as far, among all events, given ones too: as ECOD of PyOD."""

    def fit(self, X, y=None):
        self.X_ = X
        return self

    def score_samples(self, X):
        both = np.abs(np.concatenate([self.X_, X]))
        return sum(np.log((both[:, j] >= np.abs(X[:, [j]])).mean(axis=1)) for j in range(4))


def test_events_that_are_ranked_among_each_other_keep_their_company():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 4))
    odd = rng.normal(size=(8, 4)) * 0.3
    odd[:, 2] += 8.0
    # Eight odd events times twenty draws would make 8 an ordinary value.
    table = explain(RankedTogether().fit(X), odd, background=X)
    assert (table.to_numpy().argmax(axis=1) == 2).all()
    ranks = (odd[:, 2] >= odd[:, [2]]).sum(axis=1)
    np.testing.assert_allclose(table["x2"], np.log(0.5) - np.log(ranks / 308), atol=0.5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "conditionals"}, TypeError, "method='conditionals' needs a FlowDensity"),
        ({"method": "reconstruction"}, TypeError, "needs an AutoencoderDetector or VAEDetector"),
        ({}, ValueError, "background must hold more events than n_draws=20; got 5"),
        ({"background": np.zeros((50, 6))}, ValueError, "background must be of the kind of X"),
        ({"background": "columns"}, ValueError, "background must have the columns of X"),
    ],
)
def test_what_is_missing_is_said(events, options, error, message):
    train, odd, _ = events
    if isinstance(options.get("background"), str):
        options = {"background": train[NAMES[::-1]]}
    with pytest.raises(error, match=message):
        explain(MIXTURE.fit(train), odd.iloc[:5], **options)


def test_a_step_that_mixes_columns_has_no_terms_of_its_own(events):
    train, odd, _ = events
    for step in (PCA(), Normalizer()):
        detector = make_pipeline(step, AutoencoderDetector(max_epochs=1, random_state=0))
        with pytest.raises(TypeError, match="steps that map each column by itself"):
            explain(detector.fit(train), odd, method="reconstruction")
