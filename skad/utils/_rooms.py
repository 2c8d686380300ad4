"""Rooms whose classes are imported when they are asked for."""

import ast
import importlib
import importlib.util

__all__ = ["imported_when_asked_for"]


def imported_when_asked_for(room):
    """Return `__getattr__` and `__dir__` of a room, which imports what its TYPE_CHECKING names.

    So a search with trees does not wait for torch, and type checkers see plain imports.

    Parameters
    ----------
    room : str
        Its ``__name__``.
    """
    source = importlib.util.find_spec(room).loader.get_source(room)
    homes = {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        for alias in node.names
    }

    def __getattr__(name):
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        setattr(importlib.import_module(room), name, value)
        return value

    def __dir__():
        return sorted({*vars(importlib.import_module(room)), *homes})

    return __getattr__, __dir__
