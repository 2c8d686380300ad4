"""Mass-volume curves: how small a part of space a score calls normal, without truth labels."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from skad.exceptions import LowStatisticsWarning
from skad.metrics._checks import check_fraction, check_scores, check_weight
from skad.metrics._registry import register_scorer
from skad.utils._children import fit_child, rows_of
from skad.utils._quantile import weighted_quantile
from skad.utils._random import draw_seeds
from skad.utils._readable import readable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["MassVolumeCurve", "mass_volume_curve"]

_MASSES = np.linspace(0.9, 0.999, 100)
# Uniform points that must lie in the smallest set, for its volume to be measured.
_FEWEST = 25


@readable
class MassVolumeCurve(NamedTuple):
    """Volume of the most normal part of space against the mass of the events in it.

    Attributes
    ----------
    mass : ndarray of shape (n_masses,)
        Fraction of the events that are most normal.
    volume : ndarray of shape (n_masses,)
        Fraction of uniform points that score as normal.
    volume_error : ndarray of shape (n_masses,)
        Its standard error (68 %), from the number of uniform points.
    """

    mass: np.ndarray
    volume: np.ndarray
    volume_error: np.ndarray

    @property
    def area(self):
        """Mean volume over the masses; the smaller, the better the score follows the density."""
        return float(self.volume.mean())


def mass_volume_curve(
    scores: ArrayLike,
    uniform_scores: ArrayLike,
    *,
    masses: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> MassVolumeCurve:
    """Volume of the smallest region of a score that holds a mass of the events.

    Of all scores, those that follow the density of the events have the smallest volume at every
    mass [1]_: a comparison of detectors of rare events that needs no truth labels.

    Parameters
    ----------
    scores : array-like of shape (n_events,)
        Anomaly scores of events that were not trained on, higher = more anomalous.
    uniform_scores : array-like of shape (n_points,)
        Scores of points drawn uniformly from a box that holds the events, the same box for all
        detectors to be compared.
    masses : array-like of shape (n_masses,), default=None
        Fractions of the events in (0, 1]; None is a hundred from 0.9 to 0.999, since anomalies are
        told apart there.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights of the events.

    Returns
    -------
    curve : MassVolumeCurve
        Named tuple ``(mass, volume, volume_error)``, with the mean volume as ``curve.area``.

    Raises
    ------
    ValueError
        Scores that are not finite, or masses outside (0, 1].

    Notes
    -----
    In many columns nearly all uniform points are far from all events, and the volumes are no
    longer measured: a `LowStatisticsWarning` says so. The scorer ``"neg_mass_volume"`` then refits
    to a few columns at a time, as in [1]_.

    References
    ----------
    .. [1] N. Goix, "How to evaluate the quality of unsupervised anomaly detection algorithms?",
       arXiv:1607.01152, equation 2 and algorithm 1; S. Clemencon, J. Jakubowicz, AISTATS 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.metrics import mass_volume_curve
    >>> rng = np.random.default_rng(0)
    >>> X, uniform = rng.normal(size=(5000, 2)), rng.uniform(-5, 5, size=(5000, 2))
    >>> distance = mass_volume_curve((X**2).sum(axis=1), (uniform**2).sum(axis=1))
    >>> one_column = mass_volume_curve(X[:, 0] ** 2, uniform[:, 0] ** 2)
    >>> round(distance.area, 2), round(one_column.area, 2)
    (0.21, 0.43)
    """
    scores = check_scores(scores)
    uniform = np.sort(check_scores(uniform_scores, name="uniform_scores"))
    weight = check_weight(sample_weight, scores)
    masses = _MASSES if masses is None else np.atleast_1d(check_fraction(masses, name="masses"))
    if masses.ndim != 1 or not len(masses):
        raise ValueError(f"masses must be a list of fractions; got shape {masses.shape}.")
    cuts = [weighted_quantile(scores, mass, weight) for mass in masses]
    inside = np.searchsorted(uniform, cuts, side="right")
    if inside.min() < _FEWEST:
        warnings.warn(
            f"Only {inside.min()} of {len(uniform)} uniform points lie in the region of "
            f"{masses.min():.3g} of the events; its volume is not measured. Give more points, or "
            "fewer columns.",
            LowStatisticsWarning,
            stacklevel=2,
        )
    volume = inside / len(uniform)
    return MassVolumeCurve(masses, volume, np.sqrt(volume * (1 - volume) / len(uniform)))


def _neg_mass_volume(scored, *, n_features=5, n_subsets=10, n_uniform=10_000, random_state=None):
    """Minus the mean volume of the mass-volume curve in the box of the events.

    With more than `n_features` columns, the mean over `n_subsets` random subsets of as many, to
    which a clone is fitted in one half of the events and tested in the other.
    """
    X, rng = scored.X, check_random_state(random_state)
    values = np.asarray(X)
    if values.dtype.kind not in "fiub" or values.ndim != 2:
        raise ValueError(
            "The scorer 'neg_mass_volume' needs numeric columns, to draw points between them; "
            f"got dtype {values.dtype}. Encode the others before, outside of the pipeline."
        )
    n_columns = values.shape[1]
    if n_columns <= n_features:
        points = _uniform(X, values, n_uniform, rng)
        return -mass_volume_curve(
            scored.scores, scored.response(points), sample_weight=scored.weight
        ).area
    areas = []
    for seed in draw_seeds(rng, n_subsets):
        draw = np.random.RandomState(seed)
        columns = np.sort(draw.choice(n_columns, n_features, replace=False))
        some = X.iloc[:, columns] if hasattr(X, "iloc") else values[:, columns]
        order = draw.permutation(len(values))
        train, test = order[: len(order) // 2], order[len(order) // 2 :]
        fitted = fit_child(scored.estimator, rows_of(some, train), random_state=seed)
        points = _uniform(some, values[:, columns], n_uniform, draw)
        weight = None if scored.weight is None else np.asarray(scored.weight)[test]
        areas.append(
            mass_volume_curve(
                scored.response(rows_of(some, test), fitted),
                scored.response(points, fitted),
                sample_weight=weight,
            ).area
        )
    return -np.mean(areas)


def _uniform(X, values, n_points, rng):
    """Return points of the box of the events, with the columns of X."""
    points = rng.uniform(values.min(axis=0), values.max(axis=0), (n_points, values.shape[1]))
    return type(X)(points, columns=X.columns) if hasattr(X, "iloc") else points


register_scorer(
    "neg_mass_volume",
    _neg_mass_volume,
    needs_truth=False,
    options=("n_features", "n_subsets", "n_uniform", "random_state"),
)
