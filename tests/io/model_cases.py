"""Fitted models for the tests of model files, and what they say of events."""

import numpy as np
import zuko
from estimator_checks import fitted, make_events, outputs
from fast_estimators import fast_estimators
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, OneClassSVM

from skad.coordinates import LogTransformer
from skad.density import FlowDensity
from skad.detectors import AutoencoderDetector, CWoLaDetector, DisCo, VAEDetector

X, Y = make_events()


def _columns():
    return ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["a"]),
            ("bins", KBinsDiscretizer(3, encode="onehot"), ["b"]),
        ],
        remainder="passthrough",
    )


def _others():
    tree = HistGradientBoostingClassifier(max_iter=3, early_stopping=True)
    steps = [RobustScaler(), MinMaxScaler(), PowerTransformer(), QuantileTransformer(n_quantiles=9)]
    return {
        "autoencoder in a pipeline": make_pipeline(
            LogTransformer(),
            AutoencoderDetector(hidden_layer_sizes=(8,), max_epochs=2, n_estimators=2),
        ),
        "boosted trees in a detector": CWoLaDetector(tree, cv=2),
        "calibrated": CalibratedClassifierCV(LogisticRegression(), cv=2),
        "columns": Pipeline([("columns", _columns()), ("trees", RandomForestClassifier(3))]),
        "flow of zuko": FlowDensity(
            zuko.flows.MAF,
            flow_options={"transforms": 2, "hidden_features": (8,), "randperm": True},
            max_epochs=2,
        ),
        "conditional flow": FlowDensity("nsf_coupling", condition_features=["c"], max_epochs=1),
        "variational autoencoder": VAEDetector(
            hidden_layer_sizes=(8,),
            n_latent=2,
            max_epochs=1,
            decorrelation=DisCo("c", strength=0.1),
        ),
        "continuous flow": FlowDensity("cnf", hidden_layer_sizes=(8,), max_epochs=1),
        "forest": IsolationForest(n_estimators=3, max_features=2),
        "gaussian process": GaussianProcessClassifier(RBF() + WhiteKernel()),
        "gradient boosting": GradientBoostingClassifier(n_estimators=3),
        "isotonic": make_pipeline(SelectKBest(f_classif, k=1), IsotonicRegression()),
        "local outliers": LocalOutlierFactor(novelty=True, metric="manhattan"),
        "mixture": make_pipeline(*steps, GaussianMixture(2)),
        "neighbours": KNeighborsClassifier(metric="minkowski", p=3),
        "network": MLPClassifier((4,), max_iter=3, early_stopping=True),
        "one-class machine": OneClassSVM(),
        "search": GridSearchCV(LogisticRegression(), {"C": [0.5, 1.0]}, cv=2, scoring="roc_auc"),
        "splines": make_pipeline(
            FunctionTransformer(np.log1p, np.expm1),
            SplineTransformer(),
            PCA(),
            LogisticRegression(),
        ),
        "stack": StackingClassifier([("svc", SVC())], SGDClassifier(), cv=2),
    }


def fitted_models():
    """Every public estimator of skad, and models of scikit-learn's, fitted: by name."""
    return {name: fitted(model, X, Y) for name, model in {**fast_estimators(), **_others()}.items()}


def names():
    """Names of `fitted_models`."""
    return [*fast_estimators(), *_others()]


def scores(model):
    """What the model says of the events, by method."""
    return outputs(model, X)
