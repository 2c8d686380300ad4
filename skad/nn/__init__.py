"""Networks, flows, losses and the engine that trains them (torch, skorch, nflows, zuko).

Public is what stands on its own: flows and losses. Estimators import the rest from its modules.
"""

from skad.nn._flows import FLOW_KINDS, Flow, build_flow
from skad.nn._losses import distance_correlation
from skad.nn._sinkhorn import sinkhorn_divergence

__all__ = ["FLOW_KINDS", "Flow", "build_flow", "distance_correlation", "sinkhorn_divergence"]
