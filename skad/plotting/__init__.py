"""Displays of what metrics and studies return; matplotlib loads when something is drawn."""

from skad.plotting._bump_hunt import BumpHuntDisplay
from skad.plotting._coordinate_study import CoordinateStudyDisplay
from skad.plotting._frame import FrameDisplay
from skad.plotting._mass_dependence import (
    DecorrelationDisplay,
    MassSculptingDisplay,
    ScoreMassDisplay,
)
from skad.plotting._overlap import OverlapDisplay
from skad.plotting._roc import ROCDisplay
from skad.plotting._score import ScoreDisplay
from skad.plotting._sic import SICDisplay
from skad.plotting._vae import JetSpectraDisplay, LatentDisplay

__all__ = [
    "BumpHuntDisplay",
    "CoordinateStudyDisplay",
    "DecorrelationDisplay",
    "FrameDisplay",
    "JetSpectraDisplay",
    "LatentDisplay",
    "MassSculptingDisplay",
    "OverlapDisplay",
    "ROCDisplay",
    "SICDisplay",
    "ScoreDisplay",
    "ScoreMassDisplay",
]
