"""Estimators from tables of a settings file: by name, with nested parameters."""

import importlib
import inspect

from skad.cli._settings import nearest
from skad.exceptions import SkadError
from skad.utils import _sklearn as sk

__all__ = ["build", "check_parameters", "known_classes"]

_ROOMS = ("coordinates", "density", "detectors", "resonant", "search", "nn")
# Parameters that hold pairs (name, estimator).
_PAIRS = ("detectors", "templates", "steps", "estimators", "transformers")


def known_classes():
    """Return what a settings file may name: classes of skad and scikit-learn, functions of papers.

    Names of scikit-learn that skad has too are skad's.
    """
    from sklearn.utils import all_estimators

    from skad import papers

    known = dict(all_estimators())
    for room in _ROOMS:
        module = importlib.import_module(f"skad.{room}")
        known |= {
            name: getattr(module, name)
            for name in module.__all__
            if inspect.isclass(getattr(module, name))
        }
    return known | {f"papers.{name}": getattr(papers, name) for name in papers.__all__}


def build(settings, keys, *, skip=()):
    """Build the estimator that the table or name at `keys` describes.

    Parameters
    ----------
    settings : Settings
    keys : list of str or int
        The way to it from the top of the file.
    skip : sequence of str, default=()
        Parameters that the caller gives; the table must not.

    Returns
    -------
    estimator : object
    """
    value = settings.values
    for key in keys:
        value = value[key]
    return _Builder(settings, known_classes()).build(list(keys), value, skip)


def check_parameters(settings, keys, owner, constraints, parameters):
    """Check values against the constraints of their owner, each at its own line; return them.

    A list is turned into a tuple, and "none" into None, where only that is allowed.
    """
    checked = {}
    for name, value in parameters.items():
        constraint = constraints.get(name, "no_validation")
        if isinstance(value, bool) and isinstance(constraint, list):
            # True is 1 in Python, and no number in a settings file.
            others = [each for each in constraint if not isinstance(each, sk.Interval)]
            if len(others) < len(constraint) and all(each is None for each in others):
                raise settings.error(
                    [*keys, name], f"{name} of {owner} must be a number; got {str(value).lower()}."
                )
        candidates = [value]
        if value == "none":
            candidates.append(None)
        if isinstance(value, list):
            candidates.append(tuple(value))
        problem = None
        for candidate in candidates:
            try:
                sk.validate_parameter_constraints(
                    {name: constraint}, {name: candidate}, caller_name=owner
                )
            except ValueError as exc:
                problem = problem or exc
            else:
                checked[name] = candidate
                break
        else:
            raise settings.error([*keys, name], str(problem)) from problem
    return checked


class _Builder:
    def __init__(self, settings, known):
        self.settings = settings
        self.known = known

    def build(self, keys, value, skip=()):
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or "name" not in value:
            raise self.settings.error(
                keys,
                f"{_dotted(keys)} needs a name, for example "
                f'{_dotted(keys)} = {{name = "IsolationForest", n_estimators = 200}}.',
            )
        name = value["name"]
        if not isinstance(name, str) or name not in self.known:
            raise self.settings.error(
                [*keys, "name"],
                f"{_dotted(keys)} has the name {name!r}, which neither skad nor scikit-learn has."
                f"{nearest(name, self.known)}",
            )
        cls = self.known[name]
        allowed = [
            parameter
            for parameter in inspect.signature(cls).parameters
            if parameter not in skip and parameter not in ("args", "kwargs")
        ]
        parameters = {}
        for key, item in value.items():
            if key == "name":
                continue
            if key not in allowed:
                raise self.settings.error(
                    [*keys, key],
                    f"{_dotted([*keys, key])} is no parameter of {name}.{nearest(key, allowed)} It "
                    f"takes: {', '.join(allowed) or 'none'}.",
                )
            parameters[key] = self._value([*keys, key], key, item, cls)
        constraints = getattr(cls, "_parameter_constraints", {})
        parameters = check_parameters(self.settings, keys, name, constraints, parameters)
        try:
            return cls(**parameters)
        except (TypeError, ValueError, SkadError) as exc:
            raise self.settings.error(keys, f"{name}: {exc}") from exc

    def _value(self, keys, key, value, cls):
        if isinstance(value, dict):
            return self.build(keys, value) if "name" in value else value
        if isinstance(value, str) and self._names_a_class(key, value, cls):
            return self.build(keys, value)
        if isinstance(value, list) and any(_is_named(item) for item in value):
            built = [
                self.build([*keys, position], item) if _is_named(item) else item
                for position, item in enumerate(value)
            ]
            if key in _PAIRS:
                return [
                    (f"{type(item).__name__.lower()}{position}", item)
                    for position, item in enumerate(built)
                ]
            return built
        return value

    def _names_a_class(self, key, value, cls):
        """Whether a text stands for an estimator: the parameter takes no such text itself."""
        if value not in self.known:
            return False
        constraint = getattr(cls, "_parameter_constraints", {}).get(key)
        if constraint is None:
            return False
        try:
            sk.validate_parameter_constraints(
                {key: constraint}, {key: value}, caller_name=cls.__name__
            )
        except ValueError:
            return True
        return False


def _is_named(value):
    return isinstance(value, dict) and "name" in value


def _dotted(keys):
    return ".".join(map(str, keys))
