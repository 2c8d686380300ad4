"""Displays of what metrics and studies return; matplotlib loads when something is drawn."""

from skad.plotting._breakdown import BreakdownDisplay
from skad.plotting._bump_hunt import BumpHuntDisplay
from skad.plotting._closure import ClosureAUCDisplay, ClosureDisplay
from skad.plotting._coordinate_study import CoordinateStudyDisplay
from skad.plotting._frame import FrameDisplay
from skad.plotting._log_posterior import LogPosteriorDisplay
from skad.plotting._mass_dependence import (
    DecorrelationDisplay,
    MassSculptingDisplay,
    ScoreMassDisplay,
)
from skad.plotting._overlap import OverlapDisplay
from skad.plotting._overlap_study import OverlapStudyDisplay
from skad.plotting._roc import ROCDisplay
from skad.plotting._score import ScoreDisplay
from skad.plotting._score_correlation import ScoreCorrelationDisplay
from skad.plotting._sic import SICDisplay
from skad.plotting._vae import JetSpectraDisplay, LatentDisplay

__all__ = [
    "BreakdownDisplay",
    "BumpHuntDisplay",
    "ClosureAUCDisplay",
    "ClosureDisplay",
    "CoordinateStudyDisplay",
    "DecorrelationDisplay",
    "FrameDisplay",
    "JetSpectraDisplay",
    "LatentDisplay",
    "LogPosteriorDisplay",
    "MassSculptingDisplay",
    "OverlapDisplay",
    "OverlapStudyDisplay",
    "ROCDisplay",
    "SICDisplay",
    "ScoreCorrelationDisplay",
    "ScoreDisplay",
    "ScoreMassDisplay",
]
