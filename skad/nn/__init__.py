"""Networks, flows, losses and the engine that trains them (torch, skorch, nflows)."""

from skad.nn._flows import FLOW_KINDS, Flow, build_flow

__all__ = ["FLOW_KINDS", "Flow", "build_flow"]
