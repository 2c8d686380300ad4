"""Background-only data sets like the one that a bump hunt was fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skad.exceptions import RegionError
from skad.resonant import QuantileDecorrelator
from skad.search._spectrum import SpectrumFit, fit_spectrum
from skad.utils._readable import readable
from skad.utils._statistics import bin_of, equal_population_edges

if TYPE_CHECKING:
    from typing import Literal

    from skad.search._bump_hunt import BumpHunt

__all__ = ["METHODS", "BackgroundGenerator", "background_generator"]

METHODS = ("auto", "resampled", "morphed")
# Bins of m and of a feature in the test of independence.
_TEST_BINS = 10
# A feature below moves with m; what is left of that after the morph must not, below the other.
_DEPENDENT, _REFUSED = 0.05, 0.01
_FEW_VALUES = 50
# Fewest knots of every quantile that are tried.
_KNOTS = (1, 2, 3, 4)
# Cells of one bin of the spectrum, between which m is drawn evenly.
_CELLS = 32


@readable
@dataclass(frozen=True)
class BackgroundGenerator:
    """Draws data sets without signal that are otherwise like those of a search.

    What `background_generator` returns and `pseudo_experiments` makes of a fitted search. Called
    with a `random_state` it returns X, or (X, y) where the detector needs simulation.

    - m follows the smooth function of the search, fitted to all events of its range but those of
      the window with the smallest local p-value; the number of events is Poisson. Events outside
      of the range are those of the data, also a Poisson number.
    - The features x are those of the data events, dealt out to the new masses at random, each event
      once before any is dealt again: repeated events widen the significances. Those of a signal
      come to lie at all masses, where they are no bump. With the method "morphed", they are moved
      to their new mass by the quantiles and correlations of a `QuantileDecorrelator`, smooth
      functions of m fitted outside of the window.
    - Simulated events stay as they are.

    Attributes
    ----------
    method : {"resampled", "morphed"}
        How x is drawn given m.
    independence_p : float
        Chance of features that seem to depend on m as much as those of the data without depending
        on it, see `background_generator`.
    morphed_p : float
        The same for what the morph leaves of a dependence; NaN for "resampled".
    window : (float, float)
        Edges of the window that is left out of the fits and of the test of independence.
    fit : SpectrumFit
        Of the spectrum.
    source : object
        The events that are dealt out, and how they are moved.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.search import BumpHunt, background_generator
    >>> X = make_resonance(4000, 0, random_state=0).data
    >>> hunt = BumpHunt(
    ...     IsolationForest(n_estimators=5), [(3.3, 3.7)], efficiencies=(0.1,), random_state=0
    ... )
    >>> generate = background_generator(hunt.fit(X))
    >>> generate.method, generate(0).shape[1]
    ('resampled', 3)
    """

    method: str
    independence_p: float
    morphed_p: float
    window: tuple
    fit: SpectrumFit
    source: object = field(repr=False)

    def __call__(self, random_state=None):
        """Draw one data set.

        Parameters
        ----------
        random_state : None, int or RandomState, default=None

        Returns
        -------
        X : ndarray of float64, shape (n_events, n_features), or DataFrame
            As the search was fitted on.
        y : ndarray of int, shape (n_events,)
            1 = data, 0 = simulation; only where the detector needs it.
        """
        rng, source = check_random_state(random_state), self.source
        m = self._draw_masses(rng)
        X = source.donors[_dealt(len(source.donors), len(m), rng)]
        if source.morph is not None:
            X = source.morph(X, m)
        X[:, source.feature] = m
        n_outside = len(source.outside)
        outside = source.outside[_dealt(n_outside, rng.poisson(n_outside), rng)]
        X = rng.permutation(np.concatenate([X, outside]))
        if source.simulation is None:
            return source.framed(X)
        y = np.repeat([1, 0], [len(X), len(source.simulation)])
        return source.framed(np.concatenate([X, source.simulation])), y

    def _draw_masses(self, rng):
        edges = np.unique(
            np.linspace(self.fit.edges[:-1], self.fit.edges[1:], _CELLS + 1).ravel(order="F")
        )
        expected = self.fit.expected(edges)
        counts = rng.poisson(expected)
        cell = np.repeat(np.arange(len(counts)), counts)
        # Within the half-open cell, whatever the rounding.
        m = rng.uniform(edges[cell], edges[cell + 1])
        return np.minimum(m, np.nextafter(edges[cell + 1], -np.inf))


def _dealt(n, size, rng):
    """Return `size` of `n` positions at random, each once before any is dealt again."""
    rounds = -(-size // n) if n else 0
    orders = [rng.permutation(n) for _ in range(rounds)]
    return np.concatenate([np.empty(0, np.intp), *orders])[:size]


def background_generator(
    hunt: BumpHunt, method: Literal["auto", "resampled", "morphed"] = "auto"
) -> BackgroundGenerator:
    """Return a generator of background-only data sets like the one a search was fitted on.

    Parameters
    ----------
    hunt : BumpHunt
        Fitted.
    method : {"auto", "resampled", "morphed"}, default="auto"
        - "resampled": the features of data events, at random masses. Right where they do not
          depend on m; refused where they do.
        - "morphed": the features move with m along their quantiles, and their correlations with
          these, as in `QuantileDecorrelator`. Refused where the features still depend on m when
          that is undone. Features of fewer than 50 different values stay as they are.
        - "auto": the first where the features show no dependence on m (p of 5 % or more), else
          the second.

    Returns
    -------
    generator : BackgroundGenerator

    Raises
    ------
    ValueError
        The function of the search does not describe the spectrum, or the features depend on m
        in a way that the method does not know. Then give `pseudo_experiments` a generator of your
        own: simulation, or a model of your data.

    Notes
    -----
    Independence is tested outside of the window: every feature, and every product of the ranks of
    two, in ten bins of equal population against ten of m, by chi-square, and by Spearman's rank
    correlation; the smallest p-value, times the number of tests.

    A learned density is no method: it draws smoother events than the data, which the same kind of
    density learns again too easily. Where the background of the search is learned, its errors
    show only as far as the features are kept, as they are here.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.search import BumpHunt, background_generator
    >>> X = make_resonance(20_000, 0, dependence=0.5, random_state=0).data
    >>> hunt = BumpHunt(IsolationForest(n_estimators=5), [(3.3, 3.7)], efficiencies=(1.0,))
    >>> generate = background_generator(hunt.fit(X))
    >>> generate.method, generate.independence_p < 1e-6, generate.morphed_p > 0.01
    ('morphed', True, True)
    """
    check_is_fitted(hunt, "results_")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}; got {method!r}.")
    values, y, weight = hunt._events
    if weight is not None and np.ptp(weight) > 0:
        raise ValueError(
            "the search was fitted with sample_weight: data drawn from weighted events have other "
            "fluctuations. Give generate=, a callable that draws unweighted events."
        )
    data = values if y is None else values[y == 1]
    region = _claimed_window(hunt)
    fit = _fit_spectrum(hunt, region, data[:, region.feature])
    m = data[:, region.feature]
    inside = (m >= fit.edges[0]) & (m < fit.edges[-1])
    donors = data[inside]
    beside = data[inside & ~region.mask(m)]
    features = np.delete(np.arange(data.shape[1]), region.feature)
    generator = BackgroundGenerator(
        method="resampled",
        independence_p=independence_p_value(beside[:, region.feature], beside[:, features]),
        morphed_p=np.nan,
        window=(region.low, region.high),
        fit=fit,
        source=_Source(
            region.feature,
            getattr(hunt, "feature_names_in_", None),
            donors,
            data[~inside],
            None if y is None else values[y == 0],
        ),
    )
    dependent = generator.independence_p < _DEPENDENT
    if method == "resampled" and dependent:
        raise ValueError(
            "the features depend on the resonant one (p = "
            f"{generator.independence_p:.1e}): events cannot be dealt out to other masses. Take "
            "'auto' or 'morphed', or a generator of your own."
        )
    if method == "resampled" or (method == "auto" and not dependent):
        return generator
    morph, left = _simplest_morph(donors, beside, region, features)
    if left < _REFUSED:
        raise ValueError(
            "the features depend on the resonant one in a way that their quantiles and "
            f"correlations do not tell (p = {left:.1e} when these are followed): no "
            "background-only data can be made of the data alone. Give generate=, a callable that "
            "draws them from simulation or from a model of your data."
        )
    return replace(
        generator, method="morphed", morphed_p=left, source=replace(generator.source, morph=morph)
    )


def _simplest_morph(donors, beside, region, features):
    """Return the morph of the fewest knots that leaves no dependence, and the p-value of the rest.

    The test of independence sees slopes that an F-test of bins does not; more knots than it asks
    for invent a structure in the window.
    """
    found = []
    for min_knots in _KNOTS:
        morph = _Morph.fitted(donors, region, features, min_knots)
        undone = morph(beside, np.full(len(beside), np.median(beside[:, region.feature])))
        left = independence_p_value(beside[:, region.feature], undone[:, features])
        found.append((left, morph))
        if left >= _DEPENDENT:
            break
    left, morph = max(found, key=lambda each: each[0])
    return morph, left


def _claimed_window(hunt):
    """Return the window with the smallest local p-value, of a trusted row where there is one."""
    results = hunt.results_
    row = hunt.best_
    if row is None:
        row = int(np.nan_to_num(results["p_local"].to_numpy(), nan=2.0).argmin())
    return hunt.regions_[results["window"][row]]


def _fit_spectrum(hunt, region, m):
    """Fit the spectrum where any window fits it, without the events of the region."""
    low, high = hunt.results_["fit_low"].min(), hunt.results_["fit_high"].max()
    region = region.with_sidebands((region.low - low, high - region.high))
    edges = region.bin_edges(m, bins_per_region=hunt.bins_per_region)
    options = hunt._fit_options()
    try:
        fit = fit_spectrum(np.histogram(m, edges)[0], edges, exclude=region, **options)
    except RegionError as error:
        raise ValueError(f"no m can be drawn for background-only data: {error}") from error
    if not (fit.converged and not fit.p_value < hunt.fit_alpha):
        raise ValueError(
            f"the {fit.function} function does not describe the spectrum between {edges[0]:g} and "
            f"{edges[-1]:g} (p = {fit.p_value:.1e}), so no m can be drawn from it. Take another "
            "function or fit_range in the search, or give generate=."
        )
    return fit


def independence_p_value(m, X):
    """Chance of features that depend on m as much as these by chance, see `background_generator`.

    Parameters
    ----------
    m : ndarray of shape (n_events,)
    X : ndarray of shape (n_events, n_features)
    """
    ranks = [stats.rankdata(column) / len(column) - 0.5 for column in X.T]
    pairs = [a * b for i, a in enumerate(ranks) for b in ranks[:i]]
    rows = _bins(m, _TEST_BINS)
    p_values = []
    for values in [*ranks, *pairs]:
        columns = _bins(values, _TEST_BINS)
        if columns.max() == 0 or rows.max() == 0:
            continue
        table = np.zeros((rows.max() + 1, columns.max() + 1))
        np.add.at(table, (rows, columns), 1)
        table = table[:, table.any(axis=0)]
        p_values.append(stats.chi2_contingency(table).pvalue)
        p_values.append(stats.spearmanr(m, values).pvalue)
    return float(min(1.0, len(p_values) * min(p_values))) if p_values else 1.0


def _bins(values, n_bins):
    return bin_of(values, equal_population_edges(values, n_bins))


@dataclass(frozen=True)
class _Source:
    """Events in the range of the fit, outside of it, and simulated ones, with all columns."""

    feature: int
    names: np.ndarray | None
    donors: np.ndarray
    outside: np.ndarray
    simulation: np.ndarray | None
    morph: object = None

    def framed(self, X):
        if self.names is None:
            return X
        import pandas as pd

        return pd.DataFrame(X, columns=self.names)


@dataclass(frozen=True)
class _Morph:
    """Moves features from one mass to another by the quantiles of a `QuantileDecorrelator`."""

    feature: int
    features: np.ndarray
    discrete: np.ndarray
    quantiles: object

    @classmethod
    def fitted(cls, X, region, features, min_knots):
        decorrelator = QuantileDecorrelator(
            (region.low, region.high), resonance=region.feature, min_knots=min_knots
        )
        # Moved, the few values of a discrete feature would be others; the test sees what is left.
        discrete = [len(np.unique(X[:, column])) < _FEW_VALUES for column in features]
        return cls(region.feature, features, features[discrete], decorrelator.fit(X).map_)

    def __call__(self, X, m):
        """Return the events X as they would be at the masses m."""
        moved = X.copy()
        features, source = X[:, self.features], X[:, self.feature]
        moved[:, self.features] = self.quantiles.moved(features, source, m)
        moved[:, self.discrete] = X[:, self.discrete]
        return moved
