"""Two resonant detectors that fit in a fraction of a second, for coverage studies and tests."""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state

from skad.resonant import SignalRegion

__all__ = ["MixtureRatio", "TreeHunter"]

CENTRAL = SignalRegion(0.4, 0.6, quantile=True)


class TreeHunter(BaseEstimator):
    """CWoLa hunting with boosted trees: signal region against sidebands, without m."""

    def __init__(self, region=None, resonance=0, max_iter=10, random_state=None):
        self.region = region
        self.resonance = resonance
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X, y=None):
        X = np.asarray(X)
        m = X[:, self.resonance]
        region = (self.region or CENTRAL).resolve(m)
        inside, sideband = region.mask(m), region.sideband_mask(m)
        use = inside | sideband
        self.classifier_ = HistGradientBoostingClassifier(
            max_iter=self.max_iter,
            max_leaf_nodes=8,
            max_bins=63,
            class_weight="balanced",
            early_stopping=False,
            random_state=self.random_state,
        ).fit(self._features(X[use]), inside[use])
        return self

    def anomaly_score(self, X):
        return np.exp(self.classifier_.decision_function(self._features(np.asarray(X))))

    def _features(self, X):
        return np.delete(X, self.resonance, axis=1)


class MixtureRatio(BaseEstimator):
    """ANODE with Gaussian mixtures: R = p_data(x) / p_background(x), x independent of m."""

    def __init__(self, region=None, resonance=0, n_components=2, random_state=None):
        self.region = region
        self.resonance = resonance
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X, y=None):
        X = np.asarray(X)
        m = X[:, self.resonance]
        region = (self.region or CENTRAL).resolve(m)
        self.m_ = m[region.mask(m)]
        x = np.delete(X, self.resonance, axis=1)
        seed = self.random_state
        self.background_ = GaussianMixture(random_state=seed).fit(x[region.sideband_mask(m)])
        self.data_ = GaussianMixture(self.n_components, random_state=seed).fit(x[region.mask(m)])
        return self

    def density_ratio(self, X):
        x = np.delete(np.asarray(X), self.resonance, axis=1)
        return np.exp(self.data_.score_samples(x) - self.background_.score_samples(x))

    def anomaly_score(self, X):
        return self.density_ratio(X)

    interpolates = False  # x is taken to be independent of m
    is_learned = False  # the events of the studies are normal, which a mixture knows exactly

    def held_out_background(self, X, y=None, sample_weight=None, n_samples=None, random_state=None):
        return self.sample_background(n_samples, random_state)

    def sample_background(self, n_samples, random_state=None):
        rng = check_random_state(random_state)
        x = rng.multivariate_normal(
            self.background_.means_[0], self.background_.covariances_[0], size=n_samples
        )
        return np.insert(x, self.resonance, rng.choice(self.m_, n_samples), axis=1), np.ones(
            n_samples
        )
