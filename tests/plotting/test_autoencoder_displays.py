"""Displays of jets and latent spaces draw what the studies return."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skad.datasets import load_jets
from skad.inspection import jet_spectra, latent_embedding
from skad.plotting import JetSpectraDisplay, LatentDisplay

plt = pytest.importorskip("matplotlib.pyplot")


def test_spectra_of_samples():
    jets = load_jets(kinds=["qcd"]).data
    spectra = jet_spectra({"some": jets[:300], "others": jets[300:600]}, bins=10)
    display = JetSpectraDisplay.from_spectra(spectra, curve_kwargs=[{"color": "red"}, {"lw": 3}])
    drawn = [line.get_data() for line in display.line_]
    expected = [
        (height, spectra.edges[observable])
        for observable in ("pt", "mass")
        for height in spectra.density[observable].values()
    ]
    for data, (height, edges) in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(data.values, height)
        np.testing.assert_array_equal(data.edges, edges)
    assert display.line_[1].get_linewidth() == 3
    texts = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert texts == ["some", "others"]


@pytest.mark.parametrize(("n_components", "label"), [(2, "latent 1"), (3, "t-SNE 1")])
def test_latent_points_by_kind(n_components, label):
    X = np.random.default_rng(0).normal(size=(60, 4))
    y = np.where(X[:, 0] > 0, "W", "QCD")
    embedding = latent_embedding(PCA(n_components).fit(X), X, y, random_state=0)
    display = LatentDisplay.from_embedding(embedding)
    for points in display.points_:
        expected = embedding.points[embedding.label == points.get_label()]
        np.testing.assert_allclose(points.get_offsets(), expected)
    assert display.ax_.get_xlabel() == label
