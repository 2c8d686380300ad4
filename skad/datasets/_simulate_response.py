"""A parametric detector: what it sees of the generated particles, and how blurred."""

import numpy as np

from skad.kinematics._four_vectors import azimuth, pseudorapidity, transverse_momentum

__all__ = ["detector_response"]

_INVISIBLE = (12, 14, 16)
_PHOTON = 22
# K0L, K0S, n, Lambda, Sigma0, Xi0, pi0, eta: the neutral particles that Pythia may leave stable.
_NEUTRAL_HADRONS = (130, 310, 2112, 3122, 3212, 3322, 111, 221)

_MAX_ETA_CHARGED = 2.5
_MAX_ETA_NEUTRAL = 4.9
_MIN_PT_CHARGED = 0.5  # GeV
_MIN_PT_NEUTRAL = 0.8  # GeV
_CELL = 0.05  # width in eta and phi


def detector_response(p4, pdg_id, rng):
    """Return what the detector measures of stable particles.

    Visible particles with abs(eta) < 2.5 (charged) or 4.9 (neutral). The relative resolution of
    pT is 1 % + 1.5e-4 pT for charged particles, 10 %/sqrt(E) + 0.7 % for photons and
    80 %/sqrt(E) + 5 % for neutral hadrons (pT, E in GeV; the two terms of neutral ones added in
    quadrature). The directions of neutral ones are blurred uniformly over a cell of 0.05 x 0.05.
    What is measured has pT > 0.5 GeV (charged) or 0.8 GeV (neutral) and no mass.

    Parameters
    ----------
    p4 : ndarray of shape (n, 4)
        E, px, py, pz in GeV.
    pdg_id : ndarray of int, shape (n,)
    rng : numpy.random.Generator

    Returns
    -------
    seen : ndarray of bool, shape (n,)
        Which particles are measured.
    measured : ndarray of shape (seen.sum(), 4)
        Their measured four-vectors.
    """
    kind = np.abs(pdg_id)
    photon = kind == _PHOTON
    neutral = photon | np.isin(kind, _NEUTRAL_HADRONS)
    eta = pseudorapidity(p4)
    accepted = ~np.isin(kind, _INVISIBLE)
    accepted &= np.abs(eta) < np.where(neutral, _MAX_ETA_NEUTRAL, _MAX_ETA_CHARGED)

    index = np.flatnonzero(accepted)
    p4, eta, photon, neutral = p4[index], eta[index], photon[index], neutral[index]
    pt, phi = transverse_momentum(p4), azimuth(p4)
    # Pythia makes photons of no energy; they must not become NaN.
    sqrt_e = np.sqrt(np.maximum(p4[:, 0], 1e-9))
    resolution = np.where(
        photon,
        np.hypot(0.10 / sqrt_e, 0.007),
        np.where(neutral, np.hypot(0.80 / sqrt_e, 0.05), 0.01 + 1.5e-4 * pt),
    )
    pt = pt * (1 + resolution * rng.standard_normal(len(pt)))
    blur = _CELL * (rng.random((2, len(pt))) - 0.5) * neutral
    eta, phi = eta + blur[0], phi + blur[1]

    above = pt > np.where(neutral, _MIN_PT_NEUTRAL, _MIN_PT_CHARGED)
    pt, eta, phi = pt[above], eta[above], phi[above]
    seen = np.zeros(len(kind), dtype=bool)
    seen[index[above]] = True
    return seen, np.stack(
        [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], axis=1
    )
