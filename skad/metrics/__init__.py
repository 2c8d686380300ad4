"""Metrics of anomaly detection as physicists use them, and scorers for model selection."""

from skad.metrics._argos import argos_score
from skad.metrics._decorrelation import DecorrelationCurve, decorrelation_curve
from skad.metrics._distance_correlation import distance_correlation
from skad.metrics._energy_movers import energy_movers_distance
from skad.metrics._ks import ks_table
from skad.metrics._log_density import mean_log_density
from skad.metrics._mass_spectra import MassSpectra, mass_spectra
from skad.metrics._mass_volume import MassVolumeCurve, mass_volume_curve
from skad.metrics._overlap import (
    OverlapCurve,
    jaccard_index,
    most_anomalous,
    overlap_curve,
    selection_overlap,
    shared_fraction,
)
from skad.metrics._precision import precision_at_k, recall_at_k
from skad.metrics._responses import anomaly_response
from skad.metrics._roc import ROCCurve, anomaly_roc_curve
from skad.metrics._score_histograms import ScoreHistograms, score_histograms
from skad.metrics._score_profile import ScoreProfile, score_profile
from skad.metrics._scorers import anomaly_scorer_table, anomaly_scorers, get_anomaly_scorer
from skad.metrics._sculpting import mass_sculpting_chi2, mass_sculpting_jsd
from skad.metrics._sic import (
    SICCurve,
    WorkingPoint,
    background_rejection,
    max_significance_improvement,
    significance_improvement_at,
    significance_improvement_curve,
)
from skad.metrics._threshold import anomaly_threshold

__all__ = [
    # efficiencies and significance improvement
    "ROCCurve",
    "SICCurve",
    "WorkingPoint",
    "anomaly_roc_curve",
    "background_rejection",
    "max_significance_improvement",
    "precision_at_k",
    "recall_at_k",
    "significance_improvement_at",
    "significance_improvement_curve",
    # without truth labels
    "MassVolumeCurve",
    "OverlapCurve",
    "argos_score",
    "jaccard_index",
    "mass_volume_curve",
    "mean_log_density",
    "most_anomalous",
    "overlap_curve",
    "selection_overlap",
    "shared_fraction",
    # sculpting, dependence and agreement of samples
    "DecorrelationCurve",
    "MassSpectra",
    "ScoreProfile",
    "decorrelation_curve",
    "distance_correlation",
    "energy_movers_distance",
    "ks_table",
    "mass_sculpting_chi2",
    "mass_sculpting_jsd",
    "mass_spectra",
    "score_profile",
    # scores of estimators, and scorers
    "ScoreHistograms",
    "anomaly_response",
    "anomaly_scorer_table",
    "anomaly_scorers",
    "anomaly_threshold",
    "get_anomaly_scorer",
    "score_histograms",
]
