"""Samples: shipped, downloaded, generated and simulated."""

from skad.datasets._clear import clear_data_home
from skad.datasets._dijets import load_dijets
from skad.datasets._fetch_jets import fetch_jets
from skad.datasets._gaussian_anomaly import make_gaussian_anomaly
from skad.datasets._jets import load_jets
from skad.datasets._lhco import (
    fetch_lhco_black_box,
    fetch_lhco_extra_background,
    fetch_lhco_herwig,
    fetch_lhco_rd,
)
from skad.datasets._remote import get_data_home
from skad.datasets._resonance import make_resonance
from skad.datasets._simulate import simulate_dijets, simulate_jets

__all__ = [
    "load_dijets",
    "load_jets",
    "make_gaussian_anomaly",
    "make_resonance",
    "fetch_jets",
    "fetch_lhco_black_box",
    "fetch_lhco_extra_background",
    "fetch_lhco_herwig",
    "fetch_lhco_rd",
    "clear_data_home",
    "get_data_home",
    "simulate_dijets",
    "simulate_jets",
]
