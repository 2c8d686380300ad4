"""Networks, flows, losses and the engine that trains them (torch, skorch, nflows)."""

from skad.nn._annealing import Annealed
from skad.nn._autoencoder import Autoencoder, VariationalAutoencoder
from skad.nn._engine import Trainer
from skad.nn._flow_network import FlowNetwork, negative_log_likelihood
from skad.nn._flows import FLOW_KINDS, Flow, build_flow
from skad.nn._losses import distance_correlation, exposure_loss, kl_to_standard_normal
from skad.nn._members import per_event
from skad.nn._mlp import ACTIVATIONS, MLP, Standardize
from skad.nn._recipe import FlowRecipe
from skad.nn._settings import TrainingMixin
from skad.nn._signal_mixture import SignalMixture, mixture_negative_log_likelihood
from skad.nn._sinkhorn import sinkhorn_divergence
from skad.nn._trained import TrainedMembers, log_mean_exp
from skad.nn._transport import FlowOnFlow, MassTransport

__all__ = [
    "ACTIVATIONS",
    "FLOW_KINDS",
    "MLP",
    "Annealed",
    "Autoencoder",
    "Flow",
    "FlowNetwork",
    "FlowOnFlow",
    "FlowRecipe",
    "MassTransport",
    "SignalMixture",
    "Standardize",
    "TrainedMembers",
    "Trainer",
    "TrainingMixin",
    "VariationalAutoencoder",
    "build_flow",
    "distance_correlation",
    "exposure_loss",
    "kl_to_standard_normal",
    "log_mean_exp",
    "mixture_negative_log_likelihood",
    "negative_log_likelihood",
    "sinkhorn_divergence",
    "per_event",
]
