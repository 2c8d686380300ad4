"""Detectors: rarity, reconstruction and weak supervision."""

from typing import TYPE_CHECKING

from skad.utils._rooms import imported_when_asked_for

if TYPE_CHECKING:
    from skad.detectors._autoencoder import AutoencoderDetector
    from skad.detectors._cascade import CascadeClassifier
    from skad.detectors._conformal import ConformalDetector
    from skad.detectors._cwola import CWoLaDetector
    from skad.detectors._density import DensityDetector
    from skad.detectors._disco import DisCo
    from skad.detectors._excess_selector import ExcessSelector
    from skad.detectors._match_mass import mass_matching_weight, match_mass
    from skad.detectors._neighbors import NeighborsDetector
    from skad.detectors._network_classifier import NetworkClassifier
    from skad.detectors._outlier_exposure import OutlierExposure
    from skad.detectors._pyod import PyODDetector
    from skad.detectors._tabular import TabularDetector
    from skad.detectors._tree_ensemble import TreeEnsembleClassifier
    from skad.detectors._vae import VAEDetector
    from skad.detectors._voting import VotingDetector

__all__ = [
    "AutoencoderDetector",
    "CWoLaDetector",
    "CascadeClassifier",
    "ConformalDetector",
    "DensityDetector",
    "DisCo",
    "ExcessSelector",
    "NeighborsDetector",
    "NetworkClassifier",
    "OutlierExposure",
    "PyODDetector",
    "TabularDetector",
    "TreeEnsembleClassifier",
    "VAEDetector",
    "VotingDetector",
    "mass_matching_weight",
    "match_mass",
]

__getattr__, __dir__ = imported_when_asked_for(__name__)
