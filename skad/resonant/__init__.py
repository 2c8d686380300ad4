"""Resonant searches: regions, spectrum fits, background estimates, p-values, the bump hunt."""

from skad.resonant._anode import ANODE
from skad.resonant._background import (
    BackgroundEstimate,
    combine_seeds,
    direct_background,
    importance_background,
    sideband_background,
)
from skad.resonant._bump_hunt import BumpHunt
from skad.resonant._calibration import SignificanceCalibration, pseudo_experiments
from skad.resonant._cathode import CATHODE
from skad.resonant._combined_template import CombinedTemplate
from skad.resonant._curtains import CURTAINS
from skad.resonant._feta import FETA
from skad.resonant._given_reference import GivenReference
from skad.resonant._lacathode import LaCATHODE
from skad.resonant._p_values import (
    HistogramScan,
    global_p_value,
    local_p_value,
    p_to_z,
    scan_histogram,
    z_to_p,
)
from skad.resonant._region import RegionCounts, SignalRegion
from skad.resonant._residual_anode import ResidualANODE
from skad.resonant._salad import SALAD
from skad.resonant._sculpting import SculptingTest, sideband_sculpting_test
from skad.resonant._sidebands import Sidebands
from skad.resonant._spectrum import SpectrumFit, dijet_function, fit_spectrum, spectrum_edges
from skad.resonant._template import Template
from skad.resonant._template_detector import TemplateDetector

__all__ = [
    "SignalRegion",
    "RegionCounts",
    "SpectrumFit",
    "dijet_function",
    "fit_spectrum",
    "spectrum_edges",
    "BackgroundEstimate",
    "direct_background",
    "importance_background",
    "sideband_background",
    "combine_seeds",
    "SculptingTest",
    "sideband_sculpting_test",
    "HistogramScan",
    "global_p_value",
    "local_p_value",
    "p_to_z",
    "scan_histogram",
    "z_to_p",
    "Template",
    "Sidebands",
    "GivenReference",
    "CATHODE",
    "LaCATHODE",
    "SALAD",
    "FETA",
    "CURTAINS",
    "CombinedTemplate",
    "TemplateDetector",
    "ANODE",
    "ResidualANODE",
    "BumpHunt",
    "SignificanceCalibration",
    "pseudo_experiments",
]
