"""Statistics of a search: spectrum fits, background estimates, p-values, the bump hunt."""

from skad.search._background import (
    BackgroundEstimate,
    combine_seeds,
    direct_background,
    importance_background,
    sideband_background,
)
from skad.search._bump_hunt import BumpHunt
from skad.search._calibration import GlobalCalibration, SignificanceCalibration
from skad.search._functions import dijet_function
from skad.search._limit_files import limit_table, pyhf_workspace, write_limits
from skad.search._limits import CountingLimit, counting_limit
from skad.search._p_values import (
    HistogramScan,
    global_p_value,
    local_p_value,
    local_significance,
    p_to_z,
    scan_histogram,
    z_to_p,
)
from skad.search._plan import collect, missing_tasks, plan_experiments, run_task
from skad.search._poisson import poisson_interval, poisson_significance
from skad.search._pseudo_data import BackgroundGenerator, background_generator
from skad.search._pseudo_experiments import pseudo_experiments
from skad.search._resonance_fit import ResonanceFit, fit_resonance
from skad.search._sculpting import SculptingTest, sideband_sculpting_test
from skad.search._spectrum import SpectrumFit, fit_spectrum
from skad.search._spurious_signal import spurious_signal
from skad.search._template_ensemble import ensemble_background
from skad.search._upper_limit import SearchLimit, upper_limit

__all__ = [
    "SpectrumFit",
    "dijet_function",
    "fit_spectrum",
    "BackgroundEstimate",
    "direct_background",
    "importance_background",
    "sideband_background",
    "combine_seeds",
    "ensemble_background",
    "SculptingTest",
    "sideband_sculpting_test",
    "spurious_signal",
    "HistogramScan",
    "global_p_value",
    "local_p_value",
    "local_significance",
    "p_to_z",
    "poisson_interval",
    "poisson_significance",
    "scan_histogram",
    "z_to_p",
    "ResonanceFit",
    "fit_resonance",
    "CountingLimit",
    "counting_limit",
    "limit_table",
    "pyhf_workspace",
    "write_limits",
    "BumpHunt",
    "BackgroundGenerator",
    "background_generator",
    "pseudo_experiments",
    "SearchLimit",
    "upper_limit",
    "plan_experiments",
    "run_task",
    "missing_tasks",
    "collect",
    "SignificanceCalibration",
    "GlobalCalibration",
]
