"""The only file that calls Pythia and FastJet, a whole batch of events at a time."""

from typing import NamedTuple

import numpy as np

from skad.datasets._simulate_selection import Jets
from skad.utils._optional import import_optional

__all__ = ["Particles", "PythiaSource", "cluster"]

_MAX_PYTHIA_SEED = 900_000_000


class Particles(NamedTuple):
    """The event records of a batch of events, flat.

    Attributes
    ----------
    counts : ndarray of int, shape (n_events,)
        Number of entries per event.
    pdg_id, status : ndarray of int, shape (counts.sum(),)
        Particle and status codes; positive status: final state.
    p4 : ndarray of shape (counts.sum(), 4)
        E, px, py, pz in GeV.
    """

    counts: np.ndarray
    pdg_id: np.ndarray
    status: np.ndarray
    p4: np.ndarray


class PythiaSource:
    """Pythia events with given settings and seed.

    Parameters
    ----------
    settings : sequence of str
    seed : int

    Raises
    ------
    ImportError
        pythia8mc or awkward is not installed.
    ValueError
        A setting that Pythia does not know.
    RuntimeError
        Pythia could not be initialised.
    """

    def __init__(self, settings, seed):
        self._ak = import_optional("awkward", extra="sim", purpose="Simulation")
        pythia8 = import_optional("pythia8mc", extra="sim", purpose="Simulation")
        self._pythia = pythia8.Pythia("", False)
        seeding = ("Random:setSeed = on", f"Random:seed = {1 + seed % _MAX_PYTHIA_SEED}")
        for setting in (*settings, *seeding):
            if not self._pythia.readString(setting):
                raise ValueError(f"Pythia does not accept the setting {setting!r}.")
        if not self._pythia.init():
            raise RuntimeError(f"Pythia could not be initialised with {list(settings)}.")

    def next_batch(self, n_events):
        """Generate events; failed ones (rare) are left out.

        Parameters
        ----------
        n_events : int

        Returns
        -------
        particles : Particles
        """
        ak = self._ak
        record = self._pythia.nextBatch(n_events).prt
        flat = ak.flatten(record)
        p = flat.p
        return Particles(
            counts=ak.to_numpy(ak.num(record)).astype(np.int64),
            pdg_id=ak.to_numpy(flat.id),
            status=ak.to_numpy(flat.status),
            p4=np.column_stack([ak.to_numpy(p[name]) for name in ("e", "px", "py", "pz")]),
        )


def cluster(p4, counts, *, radius, min_pt):
    """Cluster all events in one call: anti-kT, E-scheme.

    Parameters
    ----------
    p4 : ndarray of shape (counts.sum(), 4)
        E, px, py, pz in GeV of the particles of the first event, then of the next.
    counts : ndarray of int, shape (n_events,)
    radius : float
    min_pt : float
        Least pT of a jet in GeV.

    Returns
    -------
    jets : Jets

    Raises
    ------
    ImportError
        fastjet or awkward is not installed.
    """
    ak = import_optional("awkward", extra="sim", purpose="Simulation")
    fastjet = import_optional("fastjet", extra="sim", purpose="Simulation")
    components = dict(zip(("E", "px", "py", "pz"), np.ascontiguousarray(p4.T), strict=True))
    particles = ak.unflatten(ak.zip(components, with_name="Momentum4D"), counts)
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    sequence = fastjet.ClusterSequence(particles, definition)
    found = sequence.inclusive_jets(min_pt=min_pt)
    index = sequence.constituent_index(min_pt=min_pt)
    jets = ak.flatten(found)
    n_jets = ak.to_numpy(ak.num(found)).astype(np.int64)
    first_particle = np.cumsum(counts) - counts
    event = np.repeat(np.arange(len(counts)), n_jets)
    n_constituents = ak.to_numpy(ak.num(ak.flatten(index))).astype(np.int64)
    members = ak.to_numpy(ak.flatten(index, axis=None)).astype(np.int64)
    members += np.repeat(first_particle[event], n_constituents)
    return Jets(
        event=event,
        p4=np.column_stack([ak.to_numpy(jets[name]) for name in ("E", "px", "py", "pz")]),
        counts=n_constituents,
        constituents=p4[members],
    )
