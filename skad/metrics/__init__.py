"""Metrics of anomaly detection as physicists use them, and scorers for model selection."""

from skad.metrics._argos import argos_score
from skad.metrics._distance_correlation import distance_correlation
from skad.metrics._energy_movers import energy_movers_distance
from skad.metrics._ks import ks_table
from skad.metrics._overlap import most_anomalous, selection_overlap, shared_fraction
from skad.metrics._responses import anomaly_response
from skad.metrics._scorers import anomaly_scorers, get_anomaly_scorer
from skad.metrics._sculpting import mass_sculpting_chi2, mass_sculpting_jsd
from skad.metrics._sic import (
    SICCurve,
    WorkingPoint,
    background_rejection,
    max_significance_improvement,
    significance_improvement_at,
    significance_improvement_curve,
)

__all__ = [
    # significance improvement
    "SICCurve",
    "WorkingPoint",
    "background_rejection",
    "max_significance_improvement",
    "significance_improvement_at",
    "significance_improvement_curve",
    # without truth labels
    "argos_score",
    "most_anomalous",
    "selection_overlap",
    "shared_fraction",
    # sculpting, dependence and agreement of samples
    "distance_correlation",
    "energy_movers_distance",
    "ks_table",
    "mass_sculpting_chi2",
    "mass_sculpting_jsd",
    # estimators
    "anomaly_response",
    "anomaly_scorers",
    "get_anomaly_scorer",
]
