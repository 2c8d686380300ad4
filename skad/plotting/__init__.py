"""Displays of what metrics and studies return; matplotlib loads when something is drawn."""

from skad.plotting._breakdown import BreakdownDisplay
from skad.plotting._bump_hunt import BumpHuntDisplay
from skad.plotting._bump_hunt_spectrum import BumpHuntSpectrum
from skad.plotting._closure import ClosureAUCDisplay, ClosureDisplay
from skad.plotting._coordinate_study import CoordinateStudyDisplay
from skad.plotting._decorrelation import DecorrelationDisplay
from skad.plotting._explanation import ExplanationDisplay
from skad.plotting._features import FeatureDisplay
from skad.plotting._frame import FrameDisplay
from skad.plotting._frame_histograms import FrameHistogramDisplay
from skad.plotting._injection import InjectionDisplay
from skad.plotting._jet_images import JetImageDisplay
from skad.plotting._jet_spectra import JetSpectraDisplay
from skad.plotting._latent import LatentDisplay
from skad.plotting._limit import LimitDisplay
from skad.plotting._log_posterior import LogPosteriorDisplay
from skad.plotting._mass_sculpting import MassSculptingDisplay
from skad.plotting._overlap import OverlapDisplay
from skad.plotting._overlap_study import OverlapStudyDisplay
from skad.plotting._resonance_fit import ResonanceFitDisplay
from skad.plotting._roc import ROCDisplay
from skad.plotting._scatter import DensityRatioDisplay, ScoreScatterDisplay
from skad.plotting._score import ScoreDisplay
from skad.plotting._score_correlation import ScoreCorrelationDisplay
from skad.plotting._score_mass import ScoreMassDisplay
from skad.plotting._sic import SICDisplay
from skad.plotting._yield_closure import YieldClosureDisplay

__all__ = [
    "BreakdownDisplay",
    "BumpHuntDisplay",
    "BumpHuntSpectrum",
    "ClosureAUCDisplay",
    "ClosureDisplay",
    "CoordinateStudyDisplay",
    "DecorrelationDisplay",
    "DensityRatioDisplay",
    "ExplanationDisplay",
    "FeatureDisplay",
    "FrameDisplay",
    "FrameHistogramDisplay",
    "InjectionDisplay",
    "JetImageDisplay",
    "JetSpectraDisplay",
    "LatentDisplay",
    "LimitDisplay",
    "LogPosteriorDisplay",
    "MassSculptingDisplay",
    "OverlapDisplay",
    "OverlapStudyDisplay",
    "ROCDisplay",
    "ResonanceFitDisplay",
    "SICDisplay",
    "ScoreCorrelationDisplay",
    "ScoreDisplay",
    "ScoreMassDisplay",
    "ScoreScatterDisplay",
    "YieldClosureDisplay",
]
