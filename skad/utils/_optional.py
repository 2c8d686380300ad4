"""Import of optional packages, with the extra to install in the error."""

import importlib

__all__ = ["import_optional"]


def import_optional(module, *, extra, purpose):
    """Import `module` or raise ImportError that says which extra brings it.

    Parameters
    ----------
    module : str
        Dotted name of the module.
    extra : str
        Extra of skad that installs it, for example "plot".
    purpose : str
        What needs it, for example "SICDisplay.plot".
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ImportError(
            f"{purpose} needs the package {module.split('.')[0]!r}, which is not installed; "
            f"run: pip install 'skad[{extra}]'"
        ) from exc
