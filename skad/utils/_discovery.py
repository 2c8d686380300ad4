"""Every public estimator of skad."""

import importlib
import inspect
import pkgutil

from sklearn.base import BaseEstimator

__all__ = ["all_estimators"]


def all_estimators():
    """List every public estimator of skad, as `sklearn.utils.all_estimators` does.

    A class is public when the ``__all__`` of a public package of skad names it, so a new class
    enters the common tests by being exported. One without `fit` holds parameters of an estimator
    and is none itself.

    Returns
    -------
    estimators : list of (str, type)
        Name and class, sorted by name.

    Examples
    --------
    >>> from skad.utils import all_estimators
    >>> dict(all_estimators())["LogTransformer"]
    <class 'skad.coordinates._log.LogTransformer'>
    """
    import skad

    classes = {}
    for info in pkgutil.iter_modules(skad.__path__):
        if not info.ispkg or info.name.startswith("_"):
            continue
        package = importlib.import_module(f"skad.{info.name}")
        for name in getattr(package, "__all__", ()):
            value = getattr(package, name)
            if (
                inspect.isclass(value)
                and issubclass(value, BaseEstimator)
                and hasattr(value, "fit")
                and not inspect.isabstract(value)
            ):
                classes[name] = value
    return sorted(classes.items())
