"""The table of scorers: each metric enters itself, by one call below its function."""

import inspect
import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["SCORERS", "ScorerEntry", "find_scorer", "register_scorer"]

SCORERS = {}


class ScorerEntry(NamedTuple):
    """One scorer, or a family of scorers whose names hold numbers.

    Attributes
    ----------
    name : str
        As the user writes it; for a family with the varying parts in angle brackets.
    function : callable
        ``function(y_true, scores, *, sample_weight, **options)``, or
        ``function(scored, **options)`` without truth, with a `Scored` of `_scorers.py`.
    options : tuple of str
        Parameters of the function that the user may set; those without a default are required.
    needs_truth : bool
    pattern : str
        Regular expression of all names.
    read : callable
        Turns a match of the pattern into parameters of the function; a ValueError is no match.
    """

    name: str
    function: Callable
    options: tuple
    needs_truth: bool
    pattern: str
    read: Callable

    @property
    def required(self):
        """Options without a default."""
        parameters = inspect.signature(self.function).parameters
        named = [parameters[option] for option in self.options if option in parameters]
        return [p.name for p in named if p.default is inspect.Parameter.empty]

    @property
    def summary(self):
        """First sentence of the documentation of the function."""
        return inspect.getdoc(self.function).splitlines()[0]


def register_scorer(name, function, *, needs_truth, options=(), pattern=None, read=None):
    """Enter a scorer in the table; the parameters are the attributes of `ScorerEntry`.

    Without `pattern` the name stands for itself.
    """
    pattern = re.escape(name) if pattern is None else pattern
    read = (lambda match: {}) if read is None else read
    SCORERS[name] = ScorerEntry(name, function, tuple(options), needs_truth, pattern, read)


def find_scorer(name):
    """Return the entry of a name, and the parameters that the name itself sets."""
    for entry in SCORERS.values() if isinstance(name, str) else ():
        match = re.fullmatch(entry.pattern, name)
        if match:
            try:
                return entry, entry.read(match)
            except ValueError:
                continue
    raise ValueError(f"name must be one of {sorted(SCORERS)}; got {name!r}.")
