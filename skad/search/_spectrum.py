"""Fits of the falling spectrum of the resonant feature, with the signal region left out."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from sklearn.utils import check_random_state

from skad.exceptions import RegionError, SpectrumFitWarning
from skad.resonant._region import SignalRegion
from skad.search._functions import FUNCTIONS, check_function, check_mass_unit
from skad.search._poisson import poisson_significance
from skad.utils._arguments import MOST, POSITIVE, PROBABILITY, Numbers, checked
from skad.utils._log_linear import (
    SMALLEST_MEAN,
    choose_order,
    fit_log_linear,
    integrate,
    quadrature,
)
from skad.utils._readable import readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Floats, Seed

__all__ = ["SpectrumFit", "fit_spectrum"]

# A polynomial of six parameters takes its fifth power.
_LARGEST_MASS = 1e50


@readable
@dataclass(frozen=True)
class SpectrumFit:
    """Result of `fit_spectrum`.

    Attributes
    ----------
    edges : ndarray, shape (n_bins + 1,)
        Edges of the bins, in the unit of m.
    counts : ndarray, shape (n_bins,)
        Observed events.
    fitted : ndarray of bool, shape (n_bins,)
        Bins that entered the fit; the others are blinded.
    function : str
        Name of the function.
    sqrt_s : float
        Collision energy in the unit of m (dijet function only).
    log_parameters : ndarray, shape (n_parameters,)
        ln p1, p2, ... of `dijet_function` (ln because p1 itself may overflow, being almost
        degenerate with the others); for the polynomial the coefficients a_k of
        ``ln f = sum_k a_k t^k``, t = -1 and +1 at the ends of the range.
    covariance : ndarray, shape (n_parameters, n_parameters)
        Of `log_parameters`: inverse Hessian of the negative log likelihood.
    deviance : float
        ``2 sum(mu - n + n ln(n / mu))`` over the fitted bins.
    ndof : int
        Fitted bins less parameters.
    converged : bool
    order_tests : tuple of (int, int, float)
        p-value of every comparison (parameters before, after) that chose the order.
    scale : ndarray, shape (n_bins,)
        Variance over mean of the counts: 1, or of weighted events the mean weight of an event.
    """

    edges: np.ndarray
    counts: np.ndarray
    fitted: np.ndarray
    function: str
    sqrt_s: float
    log_parameters: np.ndarray
    covariance: np.ndarray
    deviance: float
    ndof: int
    converged: bool
    order_tests: tuple = ()
    scale: np.ndarray | float = 1.0

    @property
    def n_parameters(self):
        """Number of fitted parameters."""
        return len(self.log_parameters)

    @property
    def p_value(self):
        """Goodness of fit: chance of a larger deviance, chi-square with `ndof`.

        Holds for bins of more than a few events; `goodness_of_fit` throws toys instead.
        """
        return float(stats.chi2.sf(self.deviance, self.ndof)) if self.ndof > 0 else np.nan

    @property
    def pulls(self):
        """Poisson significance of every bin, fitted or not, see `poisson_significance`."""
        return poisson_significance(self.counts / self.scale, self.expected() / self.scale)

    def density(self, m: Any) -> Any:
        """Expected events per unit of m at the masses m."""
        m = np.asarray(m, dtype=np.float64)
        return np.exp(self._basis(m) @ self.log_parameters)

    def density_uncertainty(self, m: Any) -> Any:
        """Standard deviation of `density` at the masses m, from the covariance, to first order."""
        basis = self._basis(np.asarray(m, dtype=np.float64))
        variance = np.einsum("...k,kl,...l->...", basis, self.covariance, basis)
        return self.density(m) * np.sqrt(np.maximum(variance, 0.0))

    def expected(self, edges: ArrayLike | None = None) -> NDArray[Any]:
        """Expected events of every bin, by Gauss-Legendre quadrature.

        Parameters
        ----------
        edges : array-like, shape (n_bins + 1,), default=None
            Edges of other bins.

        Returns
        -------
        expected : ndarray, shape (n_bins,)
        """
        return self._moments(self.edges if edges is None else edges)[0]

    def yield_in(self, low: float, high: float) -> tuple[float, float]:
        """Expected events in ``low <= m < high`` with their uncertainty from the fit.

        The full covariance of the parameters is propagated to first order.

        Parameters
        ----------
        low, high : float
            Edges, in the unit of m.

        Returns
        -------
        expected, uncertainty : float
        """
        expected, slopes = self._moments(np.linspace(low, high, 9))
        gradient = expected @ slopes
        variance = gradient @ self.covariance @ gradient
        return float(expected.sum()), float(np.sqrt(max(variance, 0.0)))

    def yield_response(self, low: Any, high: Any) -> NDArray[Any]:
        """Change of `yield_in` per event (unit of weight) added to each bin (0 for bins left out).

        First order in the data: ``gradient' C d(mu)/mu``. It gives the correlation of
        estimates that share events.

        Returns
        -------
        response : ndarray, shape (n_bins,)
        """
        expected, slopes = self._moments(np.linspace(low, high, 9))
        gradient = expected @ slopes
        response = self._moments(self.edges)[1] @ (self.covariance @ gradient)
        return np.where(self.fitted, response / self.scale, 0.0)

    def toys(self, n_toys: int, random_state: Seed = None) -> NDArray[Any]:
        """Draw pseudo-experiments: (scaled) Poisson counts of every bin around the fit.

        Parameters
        ----------
        n_toys : int
        random_state : None, int or RandomState, default=None

        Returns
        -------
        counts : ndarray, shape (n_toys, n_bins)
        """
        rng = check_random_state(random_state)
        mean = self.expected() / self.scale
        return self.scale * rng.poisson(mean, size=(n_toys, len(self.counts)))

    def refit(self, counts: Any) -> Any:
        """Fit the same function, bins and number of parameters to other counts."""
        return _fit_order(
            np.asarray(counts, dtype=np.float64),
            self.edges,
            self.fitted,
            self.function,
            self.sqrt_s,
            self.n_parameters,
            "newton",
            self.scale,
        )

    def goodness_of_fit(self, n_toys: int = 200, random_state: Seed = None) -> float:
        """p-value of the deviance from refitted pseudo-experiments.

        Parameters
        ----------
        n_toys : int, default=200
        random_state : None, int or RandomState, default=None

        Returns
        -------
        p_value : float
            ``(1 + toys at least as bad) / (1 + toys)``.
        """
        toys = self.toys(n_toys, random_state)
        worse = sum(self.refit(toy).deviance >= self.deviance for toy in toys)
        return (1 + worse) / (1 + n_toys)

    def _basis(self, m):
        return FUNCTIONS[self.function].basis(
            m, self.n_parameters, self.sqrt_s, self.edges[0], self.edges[-1]
        )

    def _moments(self, edges):
        """Expected events of every bin and the derivatives of their logarithm."""
        nodes, weights = quadrature(np.asarray(edges, dtype=np.float64))
        basis = self._basis(nodes)
        log_mu, parts = integrate(basis, weights, self.log_parameters)
        # Not zero: pulls divide by it.
        mu = np.maximum(np.exp(log_mu), SMALLEST_MEAN)
        return mu, np.einsum("bq,bqk->bk", parts, basis)


@checked(
    counts=Numbers(finite=False),
    variances=Numbers(),
    edges=Numbers(),
    sqrt_s=POSITIVE,
    alpha=PROBABILITY,
)
def fit_spectrum(
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    exclude: SignalRegion | Floats | None = None,
    function: Literal["dijet", "power_exponential", "polynomial"] = "dijet",
    n_parameters: int | Sequence[int] | None = None,
    sqrt_s: float = 13.0,
    order_test: Literal["f", "likelihood_ratio"] = "f",
    alpha: float = 0.05,
    minimizer: Literal["newton", "minuit"] = "newton",
    variances: ArrayLike | None = None,
) -> SpectrumFit:
    """Fit a smooth spectrum to a histogram by extended likelihood.

    The counts are Poisson around the integral of the function over each bin. The functions
    are exponentials of sums linear in their parameters, so the likelihood is smooth with one
    minimum in practice.

    Parameters
    ----------
    counts : array-like of shape (n_bins,)
        Events per bin.
    edges : array-like of shape (n_bins + 1,)
        Edges of the bins, increasing, in the unit of m.
    exclude : SignalRegion, (float, float) or None, default=None
        Interval whose bins stay out of the fit; it must start and end on edges.
    function : {"dijet", "power_exponential", "polynomial"}, default="dijet"
        - "dijet": see `dijet_function`, 3 to 5 parameters;
        - "power_exponential": ``p1 x^-p2 exp(-p3 x - p4 x^2)`` with x = m over the upper end of the
          histogram, 2 to 4 parameters, m > 0;
        - "polynomial": the exponential of a polynomial in m, 1 to 6 parameters, for any
          feature, negative values included.
    n_parameters : int, sequence of int or None, default=None
        Number of parameters, or the increasing candidates among which `order_test` chooses.
        None means (3, 4, 5) for the dijet function and (2, 3, 4) for the others.
    sqrt_s : float, default=13.0
        Collision energy in the unit of m (the default is for TeV), dijet function only.
    order_test : {"f", "likelihood_ratio"}, default="f"
        Test that compares an order with the next. "f": Fisher's F test on the deviances,
        which forgives residuals that are all larger than Poisson numbers have them;
        "likelihood_ratio": drop of the deviance against chi-square.
    alpha : float, default=0.05
        The next order is taken while its p-value is below `alpha`.
    minimizer : {"newton", "minuit"}, default="newton"
        "newton": Fisher scoring with step halving, NumPy only; "minuit": MIGRAD of the
        optional package iminuit. Both find the same minimum; the covariance is the inverse of
        the closed Hessian there.

    variances : array-like of shape (n_bins,), default=None
        Sums of squared weights, where `counts` are sums of weights. Every bin is then a Poisson
        count times its mean weight ``variances / counts`` (scaled Poisson, which has the variance
        of the weighted sum); an empty bin has the mean weight of all. None means counts of events.

    Returns
    -------
    fit : SpectrumFit

    Raises
    ------
    RegionError
        Too few bins or events outside `exclude`, or edges that do not match `exclude`.
    DomainError
        Masses outside ``0 < m < sqrt_s``, or all below a thousandth of it: another unit.
    ImportError
        ``minimizer="minuit"`` without iminuit.

    Warns
    -----
    SpectrumFitWarning
        The fit did not converge.

    References
    ----------
    S. Baker and R. Cousins, "Clarification of the use of chi-square and likelihood functions in
    fits to histograms", Nucl. Instrum. Meth. 221 (1984) 437.
    G. Bohm and G. Zech, "Statistics of weighted Poisson events and its applications", Nucl.
    Instrum. Meth. A 748 (2014) 1, arXiv:1309.1287 (scaled Poisson).

    Examples
    --------
    >>> import numpy as np
    >>> from skad.search import dijet_function, fit_spectrum
    >>> edges = np.linspace(2.0, 6.0, 41)
    >>> counts = 0.1 * dijet_function(edges[:-1] + 0.05, [10.0, 10.0, 5.0])
    >>> fit = fit_spectrum(np.round(counts), edges, exclude=(3.0, 3.6))
    >>> fit.n_parameters
    3
    >>> expected, uncertainty = fit.yield_in(3.0, 3.6)
    """
    if edges.shape != (len(counts) + 1,) or not np.all(np.diff(edges) > 0):
        raise ValueError(
            "fit_spectrum needs counts of shape (n_bins,) and increasing edges of shape "
            f"(n_bins + 1,); got {counts.shape} and {edges.shape}."
        )
    if not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise ValueError("counts must be finite and not negative.")
    check_function(function)
    for name, value, allowed in [
        ("order_test", order_test, ("f", "likelihood_ratio")),
        ("minimizer", minimizer, ("newton", "minuit")),
    ]:
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}; got {value!r}.")
    if function == "dijet":
        check_mass_unit(edges, sqrt_s)
    scale = _scale(counts, variances)
    if np.abs(edges).max() > _LARGEST_MASS:
        raise ValueError(
            f"edges must not be above {_LARGEST_MASS:g}, where powers of m are no numbers; they "
            f"span [{edges[0]:g}, {edges[-1]:g}]. Give m in another unit, or a fit_range."
        )
    if np.max(counts / scale) > MOST:
        raise ValueError(
            f"counts must not be above {MOST:g} events in a bin; the largest is {counts.max():g}."
        )
    fitted = _fitted_bins(edges, exclude)
    candidates = _candidates(n_parameters, function, counts, fitted)
    fit, tests = choose_order(
        lambda order: _fit_order(counts, edges, fitted, function, sqrt_s, order, minimizer, scale),
        candidates,
        min(fitted.sum() - 1, np.count_nonzero(counts[fitted])),
        test=order_test,
        alpha=alpha,
    )
    if not fit.converged:
        warnings.warn(
            f"the fit of the {function} function with {fit.n_parameters} parameters to "
            f"{int(counts[fitted].sum())} events did not converge; take fewer parameters or a "
            "shorter range.",
            SpectrumFitWarning,
            stacklevel=2,
        )
    return replace(fit, order_tests=tuple(tests))


def _scale(counts, variances):
    """Return the mean weight of an event in every bin."""
    if variances is None:
        return np.ones(len(counts))
    variances = np.asarray(variances, dtype=np.float64)
    if variances.shape != counts.shape or not np.all((variances > 0) == (counts > 0)):
        raise ValueError(
            "variances must hold one sum of squared weights for every bin, positive where counts "
            f"are; got shape {variances.shape} for counts of shape {counts.shape}."
        )
    if not counts.any():
        return np.ones(len(counts))
    filled = counts > 0
    scale = np.full(len(counts), variances.sum() / counts.sum())
    scale[filled] = variances[filled] / counts[filled]
    return scale


def _fitted_bins(edges, exclude):
    if exclude is None:
        return np.ones(len(edges) - 1, dtype=bool)
    low, high = (exclude.low, exclude.high) if isinstance(exclude, SignalRegion) else tuple(exclude)
    tolerance = 1e-9 * (edges[-1] - edges[0])
    for edge in (low, high):
        if np.abs(edges - edge).min() > tolerance:
            raise RegionError(
                f"the excluded interval [{low:g}, {high:g}) must start and end on edges of the "
                "histogram, or events of the region enter the fit; build the edges with "
                "SignalRegion.bin_edges."
            )
    centers = 0.5 * (edges[1:] + edges[:-1])
    return (centers < low) | (centers > high)


def _candidates(n_parameters, function, counts, fitted):
    if n_parameters is None:
        n_parameters = FUNCTIONS[function].orders
    orders = np.atleast_1d(n_parameters).tolist()
    if not orders or not all(isinstance(order, Integral) for order in orders):
        raise ValueError(f"n_parameters must be whole numbers; got {n_parameters!r}.")
    lowest, highest = FUNCTIONS[function].fewest, FUNCTIONS[function].most
    if orders != sorted(set(orders)) or orders[0] < lowest or orders[-1] > highest:
        raise ValueError(
            f"n_parameters of the {function} function must be increasing numbers between "
            f"{lowest} and {highest}; got {n_parameters!r}."
        )
    n_filled = np.count_nonzero(counts[fitted])
    if fitted.sum() < orders[0] or n_filled < orders[0]:
        raise RegionError(
            f"a fit of {orders[0]} parameters needs as many filled bins outside the excluded "
            f"region; there are {fitted.sum()} bins, {n_filled} of them filled, with "
            f"{int(counts[fitted].sum())} events. Loosen the cut, widen the range or take finer "
            "bins."
        )
    return orders


def _fit_order(counts, edges, fitted, function, sqrt_s, n_parameters, minimizer, scale):
    nodes, weights = quadrature(edges)
    basis = FUNCTIONS[function].basis(nodes, n_parameters, sqrt_s, edges[0], edges[-1])
    # Counts and means in units of an event of mean weight are Poisson.
    scaled = weights[fitted] / scale[fitted, None]
    fit = fit_log_linear(basis[fitted], scaled, counts[fitted] / scale[fitted], minimizer)
    return SpectrumFit(
        edges=edges,
        counts=counts,
        fitted=fitted,
        function=function,
        sqrt_s=sqrt_s,
        log_parameters=fit.parameters,
        covariance=fit.covariance,
        deviance=fit.deviance,
        ndof=fit.ndof,
        converged=fit.converged,
        scale=scale,
    )
