"""Densities of events: flows, and densities read in any coordinates."""

from skad.density._flow import FlowDensity
from skad.density._framed import FramedDensity

__all__ = ["FlowDensity", "FramedDensity"]
