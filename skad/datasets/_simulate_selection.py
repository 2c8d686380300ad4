"""From clustered jets to rows of a table: event selection and jet features."""

from typing import NamedTuple

import numpy as np

from skad.kinematics._four_vectors import (
    azimuth,
    invariant_mass,
    pseudorapidity,
    transverse_momentum,
    wrap_angle,
)
from skad.kinematics._subjettiness import n_subjettiness

__all__ = ["Jets", "boosted_jet_rows", "dijet_rows"]


class Jets(NamedTuple):
    """The jets of a batch of events, flat.

    Attributes
    ----------
    event : ndarray of int, shape (n_jets,)
        Event of each jet, not decreasing.
    p4 : ndarray of shape (n_jets, 4)
        E, px, py, pz in GeV.
    counts : ndarray of int, shape (n_jets,)
        Number of constituents.
    constituents : ndarray of shape (counts.sum(), 4)
        Constituents of the first jet, then of the next.
    """

    event: np.ndarray
    p4: np.ndarray
    counts: np.ndarray
    constituents: np.ndarray


def padded_constituents(jets, rows):
    """Return the constituents of some jets, zero padded: shape (len(rows), n_max, 4)."""
    counts = jets.counts[rows]
    width = int(counts.max(initial=0))
    starts = np.concatenate([[0], np.cumsum(jets.counts)])[rows]
    used = np.arange(width) < counts[:, None]
    padded = np.zeros((len(rows), width, 4))
    padded[used] = jets.constituents[(starts[:, None] + np.arange(width))[used]]
    return padded


def dijet_rows(jets):
    """Return px, py, pz, m, tau1, tau2, tau3 of the two leading jets of the selected events.

    Selected are events whose two jets of largest pT have abs(eta) < 2.5, the first of them
    pT > 1.2 TeV.

    Parameters
    ----------
    jets : Jets

    Returns
    -------
    rows : ndarray of shape (n_selected, 14)
    """
    pt = transverse_momentum(jets.p4)
    order = np.lexsort((-pt, jets.event))
    event = jets.event[order]
    first = np.flatnonzero(np.diff(event, prepend=-1))
    first = first[first + 1 < len(event)]
    first = first[event[first] == event[first + 1]]
    leading, second = order[first], order[first + 1]
    central = np.abs(pseudorapidity(jets.p4)) < 2.5
    selected = central[leading] & central[second] & (pt[leading] > 1200.0)
    return np.hstack([_features(jets, rows[selected]) for rows in (leading, second)])


def _features(jets, rows):
    p4 = jets.p4[rows]
    tau = n_subjettiness(padded_constituents(jets, rows), jets.counts[rows])
    return np.column_stack([p4[:, 1:], invariant_mass(p4), tau])


def boosted_jet_rows(jets, parents, n_constituents):
    """Return the hardest constituents, pT and mass of the selected jets.

    Selected are jets with 550 < pT < 650 GeV and abs(eta) < 2, and, where there are parents,
    within 0.6 of one of their event in (eta, phi).

    Parameters
    ----------
    jets : Jets
    parents : list of ndarray of shape (n_events, 4)
        Four-vectors of one boosted parent per event; none for QCD.
    n_constituents : int
        Number of constituents kept.

    Returns
    -------
    rows : ndarray of shape (n_selected, 4 * n_constituents + 2)
    """
    pt, eta, phi = transverse_momentum(jets.p4), pseudorapidity(jets.p4), azimuth(jets.p4)
    selected = (pt > 550.0) & (pt < 650.0) & (np.abs(eta) < 2.0)
    if parents:
        near = np.zeros(len(pt), dtype=bool)
        for parent in parents:
            p4 = parent[jets.event]
            dphi = wrap_angle(phi - azimuth(p4))
            near |= np.hypot(eta - pseudorapidity(p4), dphi) < 0.6
        selected &= near
    rows = np.flatnonzero(selected)
    padded = padded_constituents(jets, rows)
    order = np.argsort(-transverse_momentum(padded), axis=1)[:, :n_constituents]
    hardest = np.zeros((len(rows), n_constituents, 4))
    hardest[:, : order.shape[1]] = np.take_along_axis(padded, order[:, :, None], axis=1)
    return np.column_stack(
        [hardest.reshape(len(rows), 4 * n_constituents), pt[rows], invariant_mass(jets.p4[rows])]
    )
