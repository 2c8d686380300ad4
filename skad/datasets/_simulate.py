"""Simulated dijet events and boosted jets: Pythia, a parametric detector, FastJet."""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skad.datasets import _simulate_pythia
from skad.datasets._dijets import LHCO_FEATURES
from skad.datasets._jets import JET_COLUMNS, N_CONSTITUENTS
from skad.datasets._simulate_chunks import produce_in_chunks
from skad.datasets._simulate_recipes import (
    DIJET_PROCESSES,
    JET_KINDS,
    Recipe,
    dijet_recipe,
    jet_recipe,
)
from skad.datasets._simulate_response import detector_response
from skad.datasets._simulate_selection import boosted_jet_rows, dijet_rows
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Literal

    from pandas import DataFrame

    from skad.utils._types import FilePath, Seed

__all__ = ["simulate_dijets", "simulate_jets"]

# Events in memory at once: a record of 1000 to 2000 particles takes some 200 kB.
BATCH_EVENTS = 500
_CHUNK_ROWS = 5_000
_RADIUS = 1.0
# After this many events an efficiency below the inverse is taken for a mistake.
_PATIENCE = 20_000

_COMMON_CONSTRAINTS = {
    "n_events": [sk.Interval(numbers.Integral, 1, None, closed="left")],
    "random_state": ["random_state"],
    "n_jobs": [numbers.Integral, None],
    "path": [str, os.PathLike, None],
    "verbose": ["verbose"],
}
_MASS = [sk.Interval(numbers.Real, 0, None, closed="neither")]


@sk.validate_params(
    {
        **_COMMON_CONSTRAINTS,
        "process": [sk.StrOptions(set(DIJET_PROCESSES))],
        "m_resonance": _MASS,
        "m_x": _MASS,
        "m_y": _MASS,
    },
    prefer_skip_nested_validation=True,
)
def simulate_dijets(
    process: Literal["qcd", "qcd_variation", "wprime"] = "qcd",
    n_events: int = 10_000,
    *,
    m_resonance: float = 3500.0,
    m_x: float = 500.0,
    m_y: float = 100.0,
    random_state: Seed = None,
    n_jobs: int | None = None,
    path: FilePath | None = None,
    verbose: int = 0,
) -> DataFrame:
    """Simulate dijet events with the columns of the LHC Olympics files.

    Proton-proton collisions at 13 TeV from Pythia 8 [1]_ without multiparton interactions, a
    parametric detector response, anti-kT jets with R = 1.0 from FastJet [2]_; selected are
    events whose two leading jets have abs(eta) < 2.5, the first pT > 1.2 TeV. Needs the extra
    ``sim``; pythia8mc compiles for half an hour or more when it is installed.

    Parameters
    ----------
    process : {"qcd", "qcd_variation", "wprime"}, default="qcd"
        - "qcd": QCD dijets with pTHatMin = 1050 GeV;
        - "qcd_variation": the same with another shower and hadronisation, to play the simulation
          where "qcd" plays the data;
        - "wprime": W' -> X Y with X and Y each to two quarks, a W' -> W Z with moved masses.
    n_events : int, default=10_000
        Number of selected events.
    m_resonance : float, default=3500.0
        Mass of the W' in GeV; its width is 1 % of it. Used by "wprime" only, as are the next.
    m_x, m_y : float, default=500.0, 100.0
        Masses of X and Y in GeV, 1 GeV wide.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same events, whatever `n_jobs` (with the same version of Pythia).
        With None and `path`, an interrupted run goes on with the seed it began with.
    n_jobs : int, default=None
        Processes that simulate chunks of 5000 events.
    path : str or path-like, default=None
        Parquet file to write. A run that was interrupted resumes from the chunks in the folder
        ``<path>.parts``; a complete file made with the same arguments is read, not made again.
    verbose : int, default=0
        Above 0, a progress bar over the chunks.

    Returns
    -------
    events : DataFrame of shape (n_events, 15)
        `pxj1 pyj1 pzj1 mj1 tau1j1 tau2j1 tau3j1`, the same for j2 (float32, GeV, jets in pT
        order; N-subjettiness with beta = 1, exclusive-kT axes, normalised to the sum of pT),
        and `label` (int8): 1 for "wprime", else 0.

    Raises
    ------
    ImportError
        pythia8mc, fastjet or awkward is not installed.
    DataFileError
        `path` belongs to a run with other arguments.
    RuntimeError
        Hardly any event is selected, as with a resonance too light for the jets.

    See Also
    --------
    load_dijets : Events of these processes that come with the package.

    References
    ----------
    .. [1] C. Bierlich et al., "A comprehensive guide to the physics and usage of PYTHIA 8.3",
       SciPost Phys. Codebases 8 (2022), arXiv:2203.11601.
    .. [2] M. Cacciari, G. Salam, G. Soyez, "FastJet user manual", Eur. Phys. J. C 72 (2012)
       1896, arXiv:1111.6097.

    Examples
    --------
    >>> from skad.datasets import simulate_dijets
    >>> events = simulate_dijets("wprime", 1000, m_resonance=3000.0)  # doctest: +SKIP
    """
    masses = {}
    if process == "wprime":
        masses = {"m_resonance": float(m_resonance), "m_x": float(m_x), "m_y": float(m_y)}
    recipe = dijet_recipe(process, m_resonance=m_resonance, m_x=m_x, m_y=m_y)
    return produce_in_chunks(
        _DijetChunk(recipe, label=int(process == "wprime")),
        n_rows=int(n_events),
        chunk_size=_CHUNK_ROWS,
        settings={"process": process, **masses, "pythia": recipe.settings},
        random_state=random_state,
        path=path,
        n_jobs=n_jobs,
        verbose=verbose,
    )


@sk.validate_params(
    {
        **_COMMON_CONSTRAINTS,
        "kind": [sk.StrOptions(set(JET_KINDS))],
        "mass": [*_MASS, None],
    },
    prefer_skip_nested_validation=True,
)
def simulate_jets(
    kind: Literal["qcd", "w", "top", "higgs"] = "qcd",
    mass: float | None = None,
    n_events: int = 10_000,
    *,
    random_state: Seed = None,
    n_jobs: int | None = None,
    path: FilePath | None = None,
    verbose: int = 0,
) -> DataFrame:
    """Simulate boosted jets with their constituents.

    Anti-kT jets with R = 1.0, 550 < pT < 650 GeV and abs(eta) < 2 from proton-proton collisions at
    13 TeV, Pythia 8 [1]_ without multiparton interactions, a parametric detector response and
    FastJet [2]_, after the samples of [3]_. Jets of a W, top or Higgs are within 0.6 of it in
    (eta, phi); some of them do not contain the whole decay. Both jets of an event may be selected
    ("qcd", "top") and then follow each other. Needs the extra ``sim``.

    Parameters
    ----------
    kind : {"qcd", "w", "top", "higgs"}, default="qcd"
        - "qcd": QCD, 450 < pTHat < 800 GeV;
        - "w": W' (1.25 TeV) -> W(qq) Z(nu nu);
        - "top": Z' (1.3 TeV) -> t tbar, hadronic; below 100 GeV the W in it has mass / 4;
        - "higgs": H (174 GeV) -> h h -> 4 b, produced with a hard parton.
    mass : float, default=None
        Mass in GeV of the W, the top or the light Higgs h; None for "qcd".
    n_events : int, default=10_000
        Number of jets.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same jets, whatever `n_jobs` (with the same version of Pythia).
        With None and `path`, an interrupted run goes on with the seed it began with.
    n_jobs : int, default=None
        Processes that simulate chunks of 5000 jets.
    path : str or path-like, default=None
        Parquet file to write. A run that was interrupted resumes from the chunks in the folder
        ``<path>.parts``; a complete file made with the same arguments is read, not made again.
    verbose : int, default=0
        Above 0, a progress bar over the chunks.

    Returns
    -------
    jets : DataFrame of shape (n_events, 82)
        `e00 px00 py00 pz00` to `e19 px19 py19 pz19`, the 20 hardest constituents in pT order,
        zero padded, and `pt`, `m` of the jet with all its constituents (float32, GeV).

    Raises
    ------
    ImportError
        pythia8mc, fastjet or awkward is not installed.
    ValueError
        A mass that is missing, superfluous or out of range.
    DataFileError
        `path` belongs to a run with other arguments.

    See Also
    --------
    load_jets : Jets of these kinds that come with the package.

    References
    ----------
    .. [1] C. Bierlich et al., "A comprehensive guide to the physics and usage of PYTHIA 8.3",
       SciPost Phys. Codebases 8 (2022), arXiv:2203.11601.
    .. [2] M. Cacciari, G. Salam, G. Soyez, "FastJet user manual", Eur. Phys. J. C 72 (2012)
       1896, arXiv:1111.6097.
    .. [3] T. Cheng et al., "Variational Autoencoders for Anomalous Jet Tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> from skad.datasets import simulate_jets
    >>> jets = simulate_jets("top", 174.0, 1000, n_jobs=2)  # doctest: +SKIP
    """
    recipe = jet_recipe(kind, None if mass is None else float(mass))
    return produce_in_chunks(
        _JetChunk(recipe),
        n_rows=int(n_events),
        chunk_size=_CHUNK_ROWS,
        settings={"kind": kind, "mass": mass, "pythia": recipe.settings},
        random_state=random_state,
        path=path,
        n_jobs=n_jobs,
        verbose=verbose,
    )


@dataclass(frozen=True)
class _DijetChunk:
    recipe: Recipe
    label: int

    def __call__(self, n_rows, seed):
        table = _frame(_collect(self.recipe, self._rows, n_rows, seed), LHCO_FEATURES)
        table["label"] = np.int8(self.label)
        return table

    @staticmethod
    def _rows(particles, parents, rng):
        return dijet_rows(_measured_jets(particles, rng, min_pt=20.0))


@dataclass(frozen=True)
class _JetChunk:
    recipe: Recipe

    def __call__(self, n_rows, seed):
        rows = _collect(self.recipe, self._rows, n_rows, seed)
        return _frame(rows, [*JET_COLUMNS, "pt", "m"])

    @staticmethod
    def _rows(particles, parents, rng):
        return boosted_jet_rows(
            _measured_jets(particles, rng, min_pt=500.0), parents, N_CONSTITUENTS
        )


def _frame(rows, columns):
    import pandas as pd

    return pd.DataFrame(rows.astype(np.float32), columns=columns)


def _collect(recipe, to_rows, n_rows, seed):
    """Generate batches until enough rows are selected; exactly `n_rows` are returned."""
    source = _simulate_pythia.PythiaSource(recipe.settings, seed)
    rng = np.random.default_rng(seed)
    rows, n_selected, n_generated = [], 0, 0
    while n_selected < n_rows:
        particles = source.next_batch(BATCH_EVENTS)
        parents = boosted_parents(particles, recipe.parent_id)
        rows.append(to_rows(particles, parents, rng))
        n_selected += len(rows[-1])
        n_generated += BATCH_EVENTS
        if n_generated >= _PATIENCE and n_selected * _PATIENCE < n_generated:
            raise RuntimeError(
                f"Only {n_selected} of {n_generated} generated events are selected; are the "
                "masses such that jets of the required pT occur?"
            )
    return np.concatenate(rows)[:n_rows]


def boosted_parents(particles, parent_id):
    """Return the last copy of the parent and of its antiparticle in each event.

    Parameters
    ----------
    particles : Particles
    parent_id : int or None

    Returns
    -------
    parents : list of ndarray of shape (n_events, 4)
        One array per sign of the code that occurs, NaN for events without; empty for None.
    """
    if parent_id is None:
        return []
    event = np.repeat(np.arange(len(particles.counts)), particles.counts)
    parents = []
    for pdg_id in (parent_id, -parent_id):
        index = np.flatnonzero(particles.pdg_id == pdg_id)
        if len(index):
            last = np.full(len(particles.counts), -1)
            last[event[index]] = index  # a later copy overwrites an earlier one
            parents.append(np.where((last >= 0)[:, None], particles.p4[last], np.nan))
    return parents


def _measured_jets(particles, rng, min_pt):
    final = particles.status > 0
    event = np.repeat(np.arange(len(particles.counts)), particles.counts)[final]
    seen, measured = detector_response(particles.p4[final], particles.pdg_id[final], rng)
    counts = np.bincount(event[seen], minlength=len(particles.counts))
    return _simulate_pythia.cluster(measured, counts, radius=_RADIUS, min_pt=min_pt)
