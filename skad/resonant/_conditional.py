"""Densities conditional on the resonant feature."""

__all__ = ["set_conditions"]


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
