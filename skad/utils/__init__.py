"""Validation, seeding, optional imports and the list of all estimators."""

from skad.utils._columns import column_name, resolve_columns
from skad.utils._discovery import all_estimators
from skad.utils._fit_parameters import requires_y, weight_parameter
from skad.utils._fitting import fitted_on
from skad.utils._optional import import_optional
from skad.utils._quantile import weighted_quantile
from skad.utils._random import draw_seed, draw_seeds

__all__ = [
    "all_estimators",
    "column_name",
    "draw_seed",
    "draw_seeds",
    "fitted_on",
    "import_optional",
    "requires_y",
    "resolve_columns",
    "weight_parameter",
    "weighted_quantile",
]
