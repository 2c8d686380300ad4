"""The mean log density is that of the density itself."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skad.detectors import DensityDetector
from skad.metrics import mean_log_density


def test_densities_detectors_and_pipelines():
    X = np.random.default_rng(0).normal(size=(200, 2))
    weight = np.arange(200)
    density = GaussianMixture().fit(X)
    expected = np.average(density.score_samples(X), weights=weight)
    detector = DensityDetector(GaussianMixture()).fit(X)
    for estimator in (density, detector, make_pipeline("passthrough", density)):
        assert mean_log_density(estimator, X, sample_weight=weight) == pytest.approx(expected)


def test_what_has_none():
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match="FramedDensity"):
        mean_log_density(make_pipeline(StandardScaler(), GaussianMixture()).fit(X), X)
    with pytest.raises(TypeError, match="needs a fitted density .*; got IsolationForest"):
        mean_log_density(IsolationForest(n_estimators=2).fit(X), X)
