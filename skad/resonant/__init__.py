"""Resonant methods: signal regions, background templates, ANODE, detectors of a region."""

from typing import TYPE_CHECKING

from skad.utils._rooms import imported_when_asked_for

if TYPE_CHECKING:
    from skad.resonant._anode import ANODE
    from skad.resonant._cathode import CATHODE
    from skad.resonant._combined_template import CombinedTemplate
    from skad.resonant._curtains import CURTAINS
    from skad.resonant._feta import FETA
    from skad.resonant._given_reference import GivenReference
    from skad.resonant._lacathode import LaCATHODE
    from skad.resonant._quantile_decorrelator import QuantileDecorrelator
    from skad.resonant._quantile_morphing import QuantileMorphing
    from skad.resonant._region import RegionCounts, SignalRegion
    from skad.resonant._residual_anode import ResidualANODE
    from skad.resonant._salad import SALAD
    from skad.resonant._sidebands import Sidebands
    from skad.resonant._sigma import SIGMA
    from skad.resonant._template import Template
    from skad.resonant._template_detector import TemplateDetector

__all__ = [
    "SignalRegion",
    "RegionCounts",
    "Template",
    "Sidebands",
    "GivenReference",
    "CATHODE",
    "SIGMA",
    "LaCATHODE",
    "SALAD",
    "FETA",
    "CURTAINS",
    "QuantileMorphing",
    "CombinedTemplate",
    "TemplateDetector",
    "QuantileDecorrelator",
    "ANODE",
    "ResidualANODE",
]

__getattr__, __dir__ = imported_when_asked_for(__name__)
