"""The table of presets for the page of `skad.papers`: read from the detectors that they build."""

import inspect

from sklearn.base import BaseEstimator

from skad import papers

__all__ = ["preset_rows", "presets_table"]

# What the functions ask for besides the region; it is not a setting of the paper.
_ARGUMENTS = {"column": 0, "method": "cathode"}


def preset_rows():
    """Rows of (call, class, settings that differ from the defaults of the classes)."""
    rows = []
    for name in papers.__all__:
        function = getattr(papers, name)
        needed = [
            p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty
        ]
        given = {parameter: _ARGUMENTS[parameter] for parameter in needed}
        detector = function(**given)
        if isinstance(detector, BaseEstimator):
            call = f"{name}({', '.join(repr(value) for value in given.values())})"
            rows.append((call, type(detector).__name__, _differences(detector)))
    return rows


def presets_table():
    """The rows as a list-table of reStructuredText."""
    lines = [".. list-table:: What each preset sets", "   :header-rows: 1", "   :widths: 20 20 60"]
    lines.append("")
    header = ("preset", "class", "settings that are not the default")
    for call, kind, settings in [header, *preset_rows()]:
        said = settings if isinstance(settings, str) else ", ".join(f"``{s}``" for s in settings)
        lines += [f"   * - {call}", f"     - {kind}", f"     - {said}"]
    return "\n".join(lines) + "\n"


def _differences(estimator, prefix=""):
    """Settings of an estimator and of those it holds, as ``a__b=value``."""
    found = []
    signature = inspect.signature(type(estimator)).parameters
    for name, value in estimator.get_params(deep=False).items():
        if name == "region":
            continue  # of the user, not of the paper
        if isinstance(value, BaseEstimator) and not hasattr(value, "steps"):
            found.append(f"{prefix}{name}={type(value).__name__}")
            found += _differences(value, f"{prefix}{name}__")
        elif repr(value) != repr(signature[name].default):
            said = type(value).__name__ if isinstance(value, BaseEstimator) else repr(value)
            if isinstance(value, list) and any(isinstance(v, tuple) for v in value):
                said = f"{len(value)} parts"
            found.append(f"{prefix}{name}={said}")
    return found
