"""Densities conditional on the resonant feature."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

__all__ = ["check_conditional", "set_conditions"]


def check_conditional(density, position, n_columns, *, name):
    """Return a fitted density of the same columns, conditional on the resonant feature alone.

    Raises
    ------
    ValueError
        It was fitted to other columns or conditions; `name` is the parameter that held it.
    """
    check_is_fitted(density)
    columns = getattr(density, "n_features_in_", n_columns)
    conditions = np.asarray(getattr(density, "condition_indices_", position))
    if columns != n_columns or list(conditions.ravel()) != [position]:
        raise ValueError(
            f"a fitted {name} must be conditional on the resonant feature alone (column "
            f"{position} of {n_columns}); this one was fitted to {columns} columns with "
            f"conditions {conditions.ravel().tolist()}."
        )
    return density


def set_conditions(density, position):
    """Set every parameter `condition_features` of a density, also of nested ones.

    Raises
    ------
    TypeError
        The density has no such parameter, so it cannot be conditional on m.
    """
    names = [
        name
        for name in density.get_params(deep=True)
        if name.rpartition("__")[2] == "condition_features"
    ]
    if not names:
        raise TypeError(
            f"density must be conditional on m (have condition_features, as FlowDensity has); "
            f"{type(density).__name__} is not."
        )
    return density.set_params(**dict.fromkeys(names, position))
