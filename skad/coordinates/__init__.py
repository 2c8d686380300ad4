"""Coordinates of events: one-to-one maps with inverses and Jacobians, and observables."""

from skad.coordinates import _composites, _sklearn_rules  # noqa: F401  (they register rules)
from skad.coordinates._affine import AffineTransformer
from skad.coordinates._base import CoordinateTransformer
from skad.coordinates._columns import ColumnCoordinates
from skad.coordinates._dijet import DijetCoordinates
from skad.coordinates._empirical import EmpiricalCDFTransformer
from skad.coordinates._exp import ExpTransformer
from skad.coordinates._function import FunctionCoordinates
from skad.coordinates._inverse import InverseCoordinates
from skad.coordinates._jacobian import (
    change_of_variables,
    inverse_transform,
    log_abs_det_jacobian,
    register_jacobian,
)
from skad.coordinates._jet_coordinates import ConstituentCoordinates
from skad.coordinates._jet_frame import JetFrame
from skad.coordinates._jet_observables import JetObservables, jet_observables
from skad.coordinates._log import LogTransformer
from skad.coordinates._logit import LogitTransformer
from skad.coordinates._normal import NormalCDFTransformer
from skad.coordinates._ratio import RatioTransformer
from skad.coordinates._shear import ShearTransformer
from skad.coordinates._tanh import TanhTransformer

__all__ = [
    "ConstituentCoordinates",
    "JetFrame",
    "JetObservables",
    "CoordinateTransformer",
    "AffineTransformer",
    "ColumnCoordinates",
    "DijetCoordinates",
    "EmpiricalCDFTransformer",
    "ExpTransformer",
    "FunctionCoordinates",
    "InverseCoordinates",
    "LogTransformer",
    "LogitTransformer",
    "NormalCDFTransformer",
    "RatioTransformer",
    "ShearTransformer",
    "TanhTransformer",
    "change_of_variables",
    "inverse_transform",
    "log_abs_det_jacobian",
    "register_jacobian",
    "jet_observables",
]
