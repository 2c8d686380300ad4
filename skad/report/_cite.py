"""Which papers to cite for what an estimator is made of."""

from __future__ import annotations

import difflib
import inspect
from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator

from skad.report._papers import OF_ESTIMATORS, OF_OPTIONS, SCIKIT_LEARN, SKAD
from skad.utils import all_estimators

if TYPE_CHECKING:
    from typing import Any

    from skad.utils._types import Estimator

__all__ = ["cite", "papers_of"]


def cite(*methods: str | Estimator | type[Any]) -> str:
    """Return what to cite for methods, as BibTeX: skad, then the papers of the methods.

    Parameters
    ----------
    *methods : str, estimator or class
        Name of an estimator in upper or lower case, such as "CATHODE"; its class; or an
        estimator, with everything that it holds: steps of a pipeline, the template of a detector,
        the kind of its flow. A fitted one also cites the defaults that its `fit` chose.

    Returns
    -------
    bibtex : str
        Entries for a .bib file.

    Raises
    ------
    ValueError
        A name that no estimator has.
    TypeError
        Something else than a name or an estimator.

    Examples
    --------
    >>> import skad
    >>> print(skad.cite("ResidualANODE"))
    @misc{skad,
    ...
    @misc{Das2023,
      author = {Das, Ranit and Kasieczka, Gregor and Shih, David},
      title = {{Residual ANODE}},
      year = {2023},
      eprint = {2312.11629},
      archivePrefix = {arXiv},
    }
    """
    return "\n\n".join(paper.bibtex() for paper in papers_of(*methods))


def papers_of(*methods):
    """Return the papers to cite, without repetition, the package first.

    Parameters
    ----------
    *methods : str, estimator or class

    Returns
    -------
    papers : list of Paper
    """
    found = [SKAD]
    for method in methods:
        if isinstance(method, str):
            method = _class_named(method)
        if isinstance(method, type):
            found += _of_class(method, _defaults(method))
        elif hasattr(method, "fit") or isinstance(method, BaseEstimator):
            found += _of_value(method, set())
        else:
            raise TypeError(
                "methods must be names of estimators, classes or estimators; got "
                f"{type(method).__name__}."
            )
    return list(dict.fromkeys(found))


def _class_named(name):
    known = {found.casefold(): cls for found, cls in all_estimators()}
    if name.casefold() in known:
        return known[name.casefold()]
    if name in OF_ESTIMATORS:
        return type(name, (), {})
    near = difflib.get_close_matches(name.casefold(), known, n=1)
    hint = f" Did you mean {known[near[0]].__name__!r}?" if near else ""
    raise ValueError(
        f"methods must be names of estimators as skad.utils.all_estimators lists them; got "
        f"{name!r}.{hint}"
    )


def _defaults(cls):
    parameters = inspect.signature(cls).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def _of_class(cls, options):
    found = [paper for c in cls.__mro__ for paper in OF_ESTIMATORS.get(c.__name__, ())]
    if cls.__module__.startswith("sklearn."):
        found.append(SCIKIT_LEARN)
    for name, value in options.items():
        if isinstance(value, str):
            found += OF_OPTIONS.get((name, value), ())
    return found


def _of_value(value, seen):
    """Papers of an estimator, or of estimators in a list, tuple or dict."""
    if isinstance(value, (list, tuple)):
        return [paper for item in value for paper in _of_value(item, seen)]
    if isinstance(value, dict):
        return _of_value(list(value.values()), seen)
    is_estimator = isinstance(value, BaseEstimator) or hasattr(value, "get_params")
    if not is_estimator or isinstance(value, type) or id(value) in seen:
        return []
    seen.add(id(value))
    options = value.get_params(deep=False)
    learned = [part for name, part in vars(value).items() if name.endswith("_")]
    return _of_class(type(value), options) + _of_value([*options.values(), *learned], seen)
