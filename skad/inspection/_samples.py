"""Background templates and true background, read as weighted samples of the same features."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_array, check_random_state

from skad.exceptions import MissingColumnError
from skad.utils import _sklearn as sk
from skad.utils._arguments import CLASSIFIER, COUNT, N_JOBS
from skad.utils._columns import column_name, resolve_columns

__all__ = ["OF_TEMPLATES", "SampleReader", "WeightedSample", "check_some"]

# Arguments that the studies of templates share.
OF_TEMPLATES: dict = {
    "classifier": CLASSIFIER,
    "n_samples": [*COUNT, None],
    "n_seeds": COUNT,
    "n_jobs": N_JOBS,
    "random_state": ["random_state"],
}


@dataclass(frozen=True)
class WeightedSample:
    """Events with weights of mean 1."""

    X: np.ndarray
    weight: np.ndarray

    def __len__(self):
        return len(self.X)

    def rows(self, rows):
        """Return the sample of these rows; the weights get the mean 1 again."""
        return _weighted(self.X[rows], self.weight[rows])

    @property
    def is_weighted(self):
        """Whether the weights differ."""
        return bool(np.ptp(self.weight) > 0)


class _GivenSample:
    """A sample at hand with the interface of a template."""

    def __init__(self, X, sample_weight=None):
        self.names = list(X.columns) if hasattr(X, "columns") else None
        self.X = check_array(X, dtype=np.float64)
        self.weight = sk.check_sample_weight(sample_weight, self.X, dtype=np.float64)

    def sample_background(self, n_samples=None, random_state=None):
        if n_samples is None:
            return self.X, self.weight
        if n_samples > len(self.X):
            raise ValueError(
                f"n_samples={n_samples} is more than the {len(self.X)} events of the sample; "
                "give more events or a smaller n_samples."
            )
        rows = check_random_state(random_state).choice(len(self.X), n_samples, replace=False)
        return self.X[rows], self.weight[rows]


class SampleReader:
    """Draws of several templates beside the true background, reduced to the same columns.

    Parameters
    ----------
    templates : dict of str to template, sample or list of them
        A template has ``sample_background``; a sample is X or ``(X, sample_weight)``. A list
        holds one fitted template for each seed of its generator.
    X_true : array-like of shape (n_true, n_columns)
    features : sequence of int or str, or None
        None takes all columns but the resonant features of the templates.
    sample_weight : array-like of shape (n_true,) or None
        Weights of `X_true`.
    """

    def __init__(self, templates, X_true, features, sample_weight):
        if not isinstance(templates, Mapping) or not templates:
            raise ValueError("templates must be a dict of names and templates, with at least one.")
        true = _GivenSample(X_true, sample_weight)
        self._names, self._n_columns = true.names, true.X.shape[1]
        self._sources = {name: _sources(value, name) for name, value in templates.items()}
        resonant = self._check_regions(true.X)
        if features is None:
            self.columns = np.setdiff1d(np.arange(self._n_columns), sorted(resonant))
        else:
            self.columns = resolve_columns(
                features, self._names, self._n_columns, parameter="features"
            )
        check_some(self.columns)
        self.true = _weighted(true.X[:, self.columns], true.weight)

    @property
    def template_names(self):
        """Names of the templates."""
        return list(self._sources)

    @property
    def feature_names(self):
        """Names of the columns read, their positions where X_true has no names."""
        names = range(self._n_columns) if self._names is None else self._names
        return [names[i] for i in self.columns]

    def n_seeds(self, name, n_seeds):
        """Return the number of seeds of a template: as many as given, or `n_seeds` draws of one."""
        given = len(self._sources[name])
        return n_seeds if given == 1 else given

    def draw(self, name, seed_number, n_samples, random_state):
        """Return one draw of a template as a WeightedSample."""
        sources = self._sources[name]
        source = sources[seed_number % len(sources)]
        X, weight = source.sample_background(n_samples, random_state=random_state)
        X = check_array(X, dtype=np.float64, input_name=f"the sample of {name!r}")
        own = _names_of(source)
        columns = self.columns
        if X.shape[1] != self._n_columns:
            raise ValueError(
                f"templates[{name!r}] has {X.shape[1]} columns and X_true has {self._n_columns}; "
                "both need the same, the resonant feature among them."
            )
        if own is not None and self._names is not None:
            _same_names(own, self._names, name)
            columns = [own.index(self._names[i]) for i in columns]
        return _weighted(X[:, columns], weight)

    def _check_regions(self, X_true):
        """Return the resonant columns of X_true; refuse events outside the signal region."""
        resonant = set()
        for name, sources in self._sources.items():
            for source in sources:
                region = getattr(source, "region_", None)
                if region is None:
                    continue
                column, own = region.feature, _names_of(source)
                if own is not None and self._names is not None:
                    _same_names(own, self._names, name)
                    column = self._names.index(own[column])
                if not 0 <= column < self._n_columns:
                    raise MissingColumnError(
                        f"X_true has {self._n_columns} columns, but the resonant feature of "
                        f"templates[{name!r}] is {column_name(column, None)}; give X_true with "
                        "the columns of the template's fit."
                    )
                resonant.add(column)
                outside = int((~region.mask(X_true[:, column])).sum())
                if outside:
                    raise ValueError(
                        f"X_true holds {outside} events outside the signal region "
                        f"[{region.low:g}, {region.high:g}) of templates[{name!r}], of "
                        f"{len(X_true)}; pass X_true[template.region_.mask(X_true)]."
                    )
        return resonant


def check_some(columns):
    """Refuse features that are no column."""
    if not len(columns):
        raise ValueError("features must hold at least one column; none is left.")


def _sources(value, name):
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ValueError(f"templates[{name!r}] is an empty list.")
    sources = []
    for source in values:
        if hasattr(source, "sample_background"):
            sources.append(source)
        elif isinstance(source, tuple) and len(source) == 2:
            sources.append(_GivenSample(*source))
        elif np.ndim(source) == 2:
            sources.append(_GivenSample(source))
        else:
            raise TypeError(
                f"templates[{name!r}] must be a fitted template with sample_background, a sample "
                f"X or (X, sample_weight), or a list of them; got {type(source).__name__}."
            )
    return sources


def _names_of(source):
    if isinstance(source, _GivenSample):
        return source.names
    names = getattr(source, "feature_names_in_", None)
    return None if names is None else list(names)


def _same_names(own, names, name):
    if set(own) != set(names):
        raise MissingColumnError(
            f"templates[{name!r}] and X_true must have the same columns; only in the template: "
            f"{sorted(set(own) - set(names))}, only in X_true: {sorted(set(names) - set(own))}."
        )


def _weighted(X, weight):
    weight = np.asarray(weight, dtype=np.float64)
    if not weight.mean() > 0:
        raise ValueError(f"the weights of all {len(weight)} events of a sample are zero.")
    return WeightedSample(X, weight / weight.mean())
