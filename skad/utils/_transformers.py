"""Transformers that may come fitted or not."""

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

__all__ = ["fitted_on"]


def fitted_on(transformer, X):
    """Return `transformer` if it is fitted, else a clone fitted to X.

    None and "passthrough" are the identity and are returned unchanged.
    """
    if transformer is None or isinstance(transformer, str):
        return transformer
    try:
        check_is_fitted(transformer)
    except NotFittedError:
        return clone(transformer).fit(X)
    return transformer
