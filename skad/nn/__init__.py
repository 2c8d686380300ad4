"""Networks, flows, losses and the engine that trains them (torch, skorch, nflows)."""

from skad.nn._autoencoder import Autoencoder
from skad.nn._engine import Trainer
from skad.nn._flow_network import FlowNetwork, negative_log_likelihood
from skad.nn._flows import FLOW_KINDS, Flow, build_flow
from skad.nn._mlp import ACTIVATIONS, MLP, Standardize
from skad.nn._settings import TrainingMixin
from skad.nn._trained import TrainedMembers

__all__ = [
    "ACTIVATIONS",
    "FLOW_KINDS",
    "MLP",
    "Autoencoder",
    "Flow",
    "FlowNetwork",
    "Standardize",
    "TrainedMembers",
    "Trainer",
    "TrainingMixin",
    "build_flow",
    "negative_log_likelihood",
]
