"""What the fit of an estimator takes, seen through the pipelines around it."""

from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

__all__ = ["requires_y", "weight_parameter"]


def requires_y(estimator):
    """Return whether `fit` needs y; the tags of a pipeline do not say so."""
    if isinstance(estimator, Pipeline):
        return requires_y(estimator.steps[-1][1])
    return get_tags(estimator).target_tags.required


def weight_parameter(estimator):
    """Return the keyword by which `fit` takes weights of events, None if it takes none."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        keyword = weight_parameter(last)
        return keyword and f"{name}__{keyword}"
    return "sample_weight" if has_fit_parameter(estimator, "sample_weight") else None
