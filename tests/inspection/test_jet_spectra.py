"""Spectra of jets from their constituents."""

import numpy as np
import pytest

from skad.coordinates import ConstituentCoordinates
from skad.datasets import load_jets
from skad.detectors import DisCo, VAEDetector
from skad.inspection import jet_spectra


@pytest.fixture(scope="module")
def jets():
    return load_jets(kinds=["qcd"]).data[:1500]


def test_spectra_of_the_summed_constituents(jets):
    spectra = jet_spectra({"jets": jets}, bins=10)
    p = jets.reshape(-1, 20, 4).sum(axis=1)
    mass = np.sqrt(p[:, 0] ** 2 - (p[:, 1:] ** 2).sum(axis=1))
    edges = spectra.edges["mass"]
    expected = np.histogram(mass, edges)[0] / (1500 * np.diff(edges))
    np.testing.assert_allclose(spectra.density["mass"]["jets"], expected)
    pt = np.hypot(p[:, 1], p[:, 2])
    inside = (pt >= spectra.edges["pt"][0]) & (pt <= spectra.edges["pt"][-1])
    assert inside.mean() == pytest.approx(0.99, abs=0.002)


def test_coordinates(jets):
    transformer = ConstituentCoordinates(relative=False).fit(jets)
    Z = transformer.transform(jets)
    expected = jet_spectra({"jets": jets})
    for coordinates in ("log_pt_eta_phi", transformer):
        found = jet_spectra({"jets": Z}, coordinates=coordinates)
        np.testing.assert_allclose(found.edges["mass"], expected.edges["mass"], rtol=1e-6)
    with pytest.raises(ValueError, match="coordinates must be 'p4', 'log_pt_eta_phi' or a"):
        jet_spectra({"jets": Z}, coordinates="polar")


def test_given_reconstructed_and_generated_jets(jets):
    # A column that no network sees.
    X = np.column_stack([np.arange(1500.0), jets])
    detector = VAEDetector(
        hidden_layer_sizes=(64,), decorrelation=DisCo(0), max_epochs=5, random_state=0
    )
    detector.fit(X)
    spectra = jet_spectra(detector, X, random_state=0)
    samples = {
        "jets": jets,
        "reconstructed": detector.reconstruct(X)[:, 1:],
        "generated": detector.sample(1500, 0),
    }
    expected = jet_spectra(samples)
    for observable in ("pt", "mass"):
        assert list(spectra.density[observable]) == list(samples)
        for name in samples:
            np.testing.assert_array_equal(
                spectra.density[observable][name], expected.density[observable][name]
            )
    with pytest.raises(ValueError, match="X must hold the jets"):
        jet_spectra(detector)
