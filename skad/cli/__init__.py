"""The command ``skad``, and what its settings files describe as functions.

Nothing heavy is imported before a command needs it.
"""

import importlib

from skad.cli._main import main

_HOMES = {
    "Settings": "_settings",
    "read_settings": "_settings",
    "load_search": "_search",
    "repeat_search": "_search",
    "run_limit": "_limit",
    "run_search": "_search",
}

__all__ = ["main", *_HOMES]


def __getattr__(name):
    # The help of the command must not wait for scikit-learn.
    if name in _HOMES:
        return getattr(importlib.import_module(f"skad.cli.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'skad.cli' has no attribute {name!r}")
