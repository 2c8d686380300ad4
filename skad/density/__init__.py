"""Densities of events: flows, and densities read in any coordinates."""

from skad.density._flow import FlowDensity

__all__ = ["FlowDensity"]
