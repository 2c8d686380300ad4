"""Latent points of events in two dimensions."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from skad.inspection import latent_embedding


def test_two_dimensions_stay_as_they_are():
    X = np.random.default_rng(0).normal(size=(300, 4))
    pca = PCA(2).fit(X)
    embedding = latent_embedding(pca, X)
    np.testing.assert_array_equal(embedding.points, pca.transform(X))
    assert not embedding.embedded and embedding.label is None


def test_more_are_embedded_and_groups_stay_together():
    rng = np.random.default_rng(0)
    y = np.where(np.arange(120) % 2, "W", "QCD")
    X = rng.normal(size=(120, 5)) + 20 * (y == "W")[:, None]
    embedding = latent_embedding(PCA(3).fit(X), X, y, n_events=80, random_state=0)
    assert embedding.points.shape == (80, 2) and embedding.embedded
    assert len(set(embedding.rows)) == 80
    np.testing.assert_array_equal(embedding.label, y[embedding.rows])
    assert silhouette_score(embedding.points, embedding.label) > 0.5


def test_one_dimension_is_an_error():
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(ValueError, match="latent space has one dimension"):
        latent_embedding(PCA(1).fit(X), X)
