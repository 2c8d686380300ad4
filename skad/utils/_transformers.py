"""Transformers that may come fitted or not."""

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from skad.utils._arguments import Having

__all__ = ["check_transformer", "fitted_on"]

_TRANSFORMER = Having("None or a transformer, as those of skad.coordinates", ("fit", "transform"))


def check_transformer(transformer, name):
    """Refuse by name what is no transformer, None or "passthrough"."""
    is_identity = transformer is None or (
        isinstance(transformer, str) and transformer == "passthrough"
    )
    if not is_identity:
        _TRANSFORMER.read(transformer, name)


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
