"""Fit of a peak on a smooth spectrum: mass, width and yield of what was found."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats
from scipy.special import xlogy

from skad.exceptions import RegionError, SpectrumFitWarning
from skad.resonant._region import SignalRegion, region_of
from skad.search._fit_range import restrict_sidebands
from skad.search._peaks import SHAPES, check_tails, peak_cumulative, peak_density
from skad.search._spectrum import SpectrumFit, fit_spectrum
from skad.search._weights import weighted_histogram
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, POSITIVE, Numbers, checked
from skad.utils._log_linear import SMALLEST_MEAN, integrate, quadrature
from skad.utils._optional import import_optional
from skad.utils._readable import readable
from skad.utils._tasks import outer_stacklevel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal

    from numpy.typing import ArrayLike, NDArray

    from skad.utils._types import Floats

__all__ = ["ResonanceFit", "fit_resonance"]

# Widths of a peak over that of the region with which a fit starts.
_FIRST_WIDTHS = (0.05, 0.12, 0.25)
# Bins whose background is fitted before there is a peak, as in `sideband_background`.
_COARSE = 4


@readable
@dataclass(frozen=True)
class ResonanceFit:
    """Peak on a smooth spectrum, as `fit_resonance` returns it.

    Attributes
    ----------
    n_signal, mass, width : float
        Events in the peak over all masses, its position and its standard deviation (that of the
        Gaussian core), in the unit of m. `n_signal` may be negative.
    covariance : ndarray, shape (3, 3)
        Of these three, the spectrum profiled; zero where a value was given.
    spectrum : SpectrumFit
        The background beside the peak, with the bins, all of them fitted, and its covariance.
    shape : {"gaussian", "crystal_ball"}
    tails : ndarray, shape (4,)
        Of the Crystal Ball function.
    deviance : float
        As in `SpectrumFit`, of peak and background.
    ndof : int
        Bins less parameters.
    converged : bool
        Whether the minimum was found inside the limits of mass and width.

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.search import fit_resonance
    >>> m = make_resonance(20_000, 500, random_state=0).data[:, 0]
    >>> fit = fit_resonance(m, (3.3, 3.7))
    >>> bool(abs(fit.mass - 3.5) < 4 * fit.errors[1])
    True
    """

    n_signal: float
    mass: float
    width: float
    covariance: np.ndarray = field(repr=False)
    spectrum: SpectrumFit = field(repr=False)
    shape: str
    tails: np.ndarray = field(repr=False)
    deviance: float
    ndof: int
    converged: bool

    @property
    def errors(self):
        """Standard deviations of `n_signal`, `mass` and `width`."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def p_value(self):
        """Goodness of fit: chance of a larger deviance, chi-square with `ndof`."""
        return float(stats.chi2.sf(self.deviance, self.ndof)) if self.ndof > 0 else np.nan

    def expected_signal(self, edges: ArrayLike | None = None) -> NDArray[Any]:
        """Events of the peak in every bin.

        Parameters
        ----------
        edges : array-like, shape (n_bins + 1,), default=None
            Edges of other bins.

        Returns
        -------
        expected : ndarray, shape (n_bins,)
        """
        edges = self.spectrum.edges if edges is None else np.asarray(edges, dtype=np.float64)
        z = (edges - self.mass) / self.width
        return self.n_signal * np.diff(peak_cumulative(z, self.shape, self.tails))

    def expected(self, edges: ArrayLike | None = None) -> NDArray[Any]:
        """Events of peak and background in every bin.

        Parameters
        ----------
        edges : array-like, shape (n_bins + 1,), default=None
            Edges of other bins.

        Returns
        -------
        expected : ndarray, shape (n_bins,)
        """
        return self.expected_signal(edges) + self.spectrum.expected(edges)

    def signal_density(self, m: ArrayLike) -> NDArray[Any]:
        """Events of the peak per unit of m.

        Parameters
        ----------
        m : array-like of float

        Returns
        -------
        density : ndarray
        """
        z = (np.asarray(m, dtype=np.float64) - self.mass) / self.width
        return self.n_signal * peak_density(z, self.shape, self.tails) / self.width

    def signal_weights(self, m: ArrayLike) -> NDArray[Any]:
        """Weights that make events at the masses m a sample of the signal (sWeights).

        Sums of weights over events estimate what the signal has of them, without bias where, in
        signal and in background, what is summed does not depend on m. Weights may be negative;
        their sum is the yield in the range of the fit, the variance of a sum that of the squares.

        Parameters
        ----------
        m : array-like of shape (n_events,)
            Masses of the events that the fit was made of.

        Returns
        -------
        weight : ndarray, shape (n_events,)
            0 outside the range of the fit.

        Raises
        ------
        ValueError
            The fitted yield is not positive, so that there is no signal to describe.

        References
        ----------
        M. Pivk, F. R. Le Diberder, "sPlot: a statistical tool to unfold data distributions", Nucl.
        Instrum. Meth. A 555 (2005) 356, arXiv:physics/0402083.
        """
        if not self.n_signal > 0:
            raise ValueError(
                f"the fitted yield is {self.n_signal:g}: there is no signal to describe."
            )
        m = Numbers().read(m, "m")
        ends = self.spectrum.edges[[0, -1]]
        inside = (m >= ends[0]) & (m < ends[1])
        densities = np.array([self.signal_density(m[inside]), self.spectrum.density(m[inside])])
        yields = np.array([self.expected_signal().sum(), self.spectrum.expected().sum()])
        densities /= yields[:, None]
        total = yields @ densities
        inverse = (densities / total**2) @ densities.T
        weight = np.zeros(len(m))
        weight[inside] = np.linalg.inv(inverse)[0] @ densities / total
        return weight


@checked(
    m=Numbers(),
    region=[SignalRegion, tuple, list],
    shape=[sk.StrOptions(set(SHAPES))],
    mass=[None, Real],
    width=[None, *POSITIVE],
    sqrt_s=POSITIVE,
    bins_per_region=COUNT,
    minimizer=[sk.StrOptions({"scipy", "minuit"})],
    sample_weight=Numbers(lowest=0.0, like="m"),
)
def fit_resonance(
    m: ArrayLike,
    region: SignalRegion | Floats,
    *,
    shape: Literal["gaussian", "crystal_ball"] = "gaussian",
    tails: Floats = (1.5, 5.0, 1.5, 5.0),
    mass: float | None = None,
    width: float | None = None,
    function: Literal["dijet", "power_exponential", "polynomial"] = "dijet",
    n_parameters: int | Sequence[int] | None = None,
    sqrt_s: float = 13.0,
    fit_range: Literal["auto"] | Floats | float | None = "auto",
    bins_per_region: int = 20,
    minimizer: Literal["scipy", "minuit"] = "scipy",
    sample_weight: ArrayLike | None = None,
) -> ResonanceFit:
    """Fit a peak in a region, and the smooth spectrum under it, by extended likelihood.

    Of a bump hunt, m holds the masses of the events that pass in the best row:
    ``m[hunt.selected_[hunt.best_]]`` with the window ``hunt.regions_[...]``.

    Parameters
    ----------
    m : array-like of shape (n_events,)
        Masses, in the region and beside it.
    region : SignalRegion or (low, high)
        Where the peak is.
    shape : {"gaussian", "crystal_ball"}, default="gaussian"
        "crystal_ball" has a Gaussian core and power laws on both sides.
    tails : (float, float, float, float), default=(1.5, 5.0, 1.5, 5.0)
        ``(alpha_low, n_low, alpha_high, n_high)`` of the Crystal Ball function: where the power
        laws begin, in widths, and their exponents. They are not fitted, which takes thousands of
        signal events: take them from a simulated signal.
    mass, width : float, default=None
        Position and width of the peak, in the unit of m; None fits them, the mass in the region,
        the width between a fourth of a bin and the region.
    function : {"dijet", "power_exponential", "polynomial"}, default="dijet"
        Background, as in `fit_spectrum`.
    n_parameters : int, sequence of int or None, default=None
        As in `fit_spectrum`; chosen on the sidebands.
    sqrt_s : float, default=13.0
        Collision energy in the unit of m, dijet function only.
    fit_range : "auto", None, (float, float) or float, default="auto"
        As in `sideband_background`.
    bins_per_region : int, default=20
        Bins in the region; the sidebands have bins about as wide.
    minimizer : {"scipy", "minuit"}, default="scipy"
        "scipy": trust region on the residuals of the deviance; "minuit": MIGRAD of the optional
        package iminuit. Both find the same minimum, and the covariance is the inverse of the same
        second derivatives there.
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights; bins are then scaled Poisson, as in `fit_spectrum`.

    Returns
    -------
    fit : ResonanceFit

    Raises
    ------
    RegionError
        No events in the region, or too few beside it.
    ImportError
        ``minimizer="minuit"`` without iminuit.

    Warns
    -----
    SpectrumFitWarning
        The fit did not converge, or mass or width ended at their limit, where errors mean nothing.

    Notes
    -----
    On pseudo-experiments the pulls of a peak of five standard deviations or more are 1.0 to 1.2
    wide; of one of three, those of mass and width are twice as wide, as the fit may take another
    fluctuation for the peak, and one fit in ten ends at a limit: give `mass` or `width` then. The
    width comes out low by a tenth to a third of its error
    (``benchmarks/results/resonance_fit.md``).

    References
    ----------
    S. Baker and R. Cousins, "Clarification of the use of chi-square and likelihood functions in
    fits to histograms", Nucl. Instrum. Meth. 221 (1984) 437.
    M. Oreglia, "A study of the reactions psi' -> gamma gamma psi", SLAC-R-236 (1980), appendix D
    (one tail).

    Examples
    --------
    >>> from skad.datasets import make_resonance
    >>> from skad.search import fit_resonance
    >>> m = make_resonance(20_000, 500, width=0.05, random_state=0).data[:, 0]
    >>> fit = fit_resonance(m, (3.3, 3.7))
    >>> print(f"{fit.mass:.2f} +- {fit.errors[1]:.2f}, width {fit.width:.2f}")
    3.50 +- 0.01, width 0.05
    """
    tails = check_tails(tails)
    region = region_of(region).resolve(m)
    if mass is not None and not region.low <= mass < region.high:
        raise ValueError(
            f"mass must lie in the region [{region.low:g}, {region.high:g}); got {mass:g}."
        )
    if width is not None and width > region.width:
        raise ValueError(
            f"width must not be above that of the region, {region.width:g}; got {width:g}."
        )
    options = {"function": function, "n_parameters": n_parameters, "sqrt_s": sqrt_s}
    region = restrict_sidebands(
        region, m, fit_range, bins_per_region=_COARSE, weight=sample_weight, **options
    )
    edges = region.bin_edges(m, bins_per_region=bins_per_region)
    counts, variances = weighted_histogram(m, edges, sample_weight)
    centers = 0.5 * (edges[1:] + edges[:-1])
    if not counts[region.mask(centers)].any():
        raise RegionError(
            f"the region [{region.low:g}, {region.high:g}) holds no events; no peak can be there."
        )
    sidebands = fit_spectrum(counts, edges, exclude=region, variances=variances, **options)
    problem = _Problem(sidebands, region, shape, tails, mass, width)
    minimise = {"scipy": _with_scipy, "minuit": _with_minuit}[minimizer]
    found = min((minimise(problem, start) for start in problem.starts()), key=lambda each: each[1])
    return _result(problem, *found)


class _Problem:
    """Likelihood of a peak and a spectrum in bins, as a function of the free parameters.

    Parameters are those of the spectrum, then yield, mass and width as far as they are free.
    """

    def __init__(self, sidebands, region, shape, tails, mass, width):
        self.sidebands, self.region = sidebands, region
        self.shape, self.tails = shape, tails
        self.given = np.array([np.nan, *(np.nan if v is None else v for v in (mass, width))])
        self.free = np.isnan(self.given)
        self.counts = sidebands.counts / sidebands.scale
        self.n_spectrum = sidebands.n_parameters
        nodes, self.weights = quadrature(sidebands.edges)
        self.basis = sidebands._basis(nodes)
        bin_width = np.diff(sidebands.edges).min()
        peak_low = np.array([-self.counts.sum(), region.low, 0.25 * bin_width])
        peak_high = np.array([2 * self.counts.sum() + 10, region.high, region.width])
        unbound = np.full(self.n_spectrum, np.inf)
        self.low = np.concatenate([-unbound, peak_low[self.free]])
        self.high = np.concatenate([unbound, peak_high[self.free]])

    def peak(self, parameters):
        """Return yield, mass and width."""
        peak = self.given.copy()
        peak[self.free] = parameters[self.n_spectrum :]
        return peak

    def expected(self, parameters):
        """Return expected (unweighted) events of every bin and their derivatives."""
        scale, edges = self.sidebands.scale, self.sidebands.edges
        log_mu, parts = integrate(self.basis, self.weights, parameters[: self.n_spectrum])
        background = np.exp(log_mu) / scale
        slopes = background[:, None] * np.einsum("bq,bqk->bk", parts, self.basis)
        n_signal, mass, width = self.peak(parameters)
        z = (edges - mass) / width
        fraction = np.diff(peak_cumulative(z, self.shape, self.tails))
        density = peak_density(z, self.shape, self.tails) / width
        by_peak = np.column_stack(
            [fraction, -n_signal * np.diff(density), -n_signal * np.diff(density * z)]
        )
        by_peak = by_peak[:, self.free] / np.reshape(scale, (-1, 1))
        expected = np.maximum(background + n_signal * fraction / scale, SMALLEST_MEAN)
        return expected, np.hstack([slopes, by_peak])

    def starts(self):
        """Yield parameters to begin with: the largest excess for peaks of several widths."""
        background = self.sidebands.expected() / self.sidebands.scale
        excess = self.counts - background
        edges, region = self.sidebands.edges, self.region
        masses = np.linspace(region.low, region.high, 42)[1:-1]
        masses = masses if self.free[1] else self.given[1:2]
        widths = np.array(_FIRST_WIDTHS) * region.width if self.free[2] else self.given[2:]
        for width in widths:
            width = np.clip(width, self.low[-1], self.high[-1]) if self.free[2] else width
            z = (edges - masses[:, None]) / width
            peaks = np.diff(peak_cumulative(z, self.shape, self.tails)) / self.sidebands.scale
            weight = peaks / background
            size = (weight * peaks).sum(axis=1)
            best = np.argmax(weight @ excess / np.sqrt(size))
            n_signal = (weight @ excess)[best] / size[best]
            peak = np.array([n_signal, masses[best], width])[self.free]
            start = np.concatenate([self.sidebands.log_parameters, peak])
            yield np.clip(start, self.low, self.high)

    def deviance(self, parameters):
        mu, n = self.expected(parameters)[0], self.counts
        return 2 * float((mu - n + xlogy(n, n / mu)).sum())

    def gradient(self, parameters):
        """Return the derivatives of half the deviance."""
        mu, slopes = self.expected(parameters)
        return (1 - self.counts / mu) @ slopes

    def covariance(self, parameters):
        """Return the inverse of the second derivatives of half the deviance."""
        mu, slopes = self.expected(parameters)
        fisher = (slopes / mu[:, None]).T @ slopes
        step = 0.02 * np.sqrt(np.diag(np.linalg.pinv(fisher, hermitian=True)))
        hessian = np.empty_like(fisher)
        for k, size in enumerate(step):
            shift = np.zeros_like(parameters)
            shift[k] = size if size > 0 else 1e-8
            up, down = self.gradient(parameters + shift), self.gradient(parameters - shift)
            hessian[k] = (up - down) / (2 * shift[k])
        hessian = 0.5 * (hessian + hessian.T)
        try:
            np.linalg.cholesky(hessian)
        except np.linalg.LinAlgError:
            hessian = fisher
        return np.linalg.pinv(hessian, hermitian=True)


def _with_scipy(problem, start):
    """Return the best parameters, the deviance there and whether it is a minimum."""
    n = problem.counts

    def residuals(parameters):
        mu = problem.expected(parameters)[0]
        return np.sign(mu - n) * np.sqrt(2 * np.maximum(mu - n + xlogy(n, n / mu), 0.0))

    def slopes(parameters):
        mu, by = problem.expected(parameters)
        root = residuals(parameters)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = (1 - n / mu) / root
        near = np.abs(root) < 1e-4
        factor[near] = 1 / np.sqrt(mu[near])
        return factor[:, None] * by

    found = optimize.least_squares(
        residuals, start, slopes, (problem.low, problem.high), x_scale="jac",
        xtol=1e-10, ftol=1e-12, gtol=1e-10, max_nfev=300,
    )  # fmt: skip
    return found.x, 2 * found.cost, found.status > 0


def _with_minuit(problem, start):
    purpose = "fit_resonance(minimizer='minuit')"
    iminuit = import_optional("iminuit", extra="hep", purpose=purpose)
    minuit = iminuit.Minuit(
        lambda parameters: 0.5 * problem.deviance(parameters), start, grad=problem.gradient
    )
    minuit.errordef = iminuit.Minuit.LIKELIHOOD
    minuit.limits = list(zip(problem.low, problem.high, strict=True))
    minuit.tol = 1e-3
    minuit.migrad()
    best = np.asarray(minuit.values)
    return best, problem.deviance(best), bool(minuit.valid)


def _result(problem, parameters, deviance, converged):
    covariance = problem.covariance(parameters)
    n = problem.n_spectrum
    whole = np.zeros((3, 3))
    whole[np.ix_(problem.free, problem.free)] = covariance[n:, n:]
    peak = problem.peak(parameters)
    span = 1e-3 * (problem.high - problem.low)[n:]
    at = parameters[n:]
    near = (at - problem.low[n:] < span) | (problem.high[n:] - at < span)
    names = np.array(["n_signal", "mass", "width"])[problem.free]
    stuck = [
        name for name, is_near in zip(names, near, strict=True) if is_near and name != "n_signal"
    ]
    if stuck or not converged:
        what = f"ended with {' and '.join(stuck)} at its limit" if stuck else "did not converge"
        warnings.warn(
            f"the fit of a peak of {peak[0]:.3g} events {what}: there is no clear peak, and errors "
            "mean little. Give width or mass, or a narrower region.",
            SpectrumFitWarning,
            stacklevel=outer_stacklevel(),
        )
    ndof = len(problem.counts) - len(parameters)
    spectrum = replace(
        problem.sidebands,
        fitted=np.ones(len(problem.counts), dtype=bool),
        log_parameters=parameters[:n],
        covariance=covariance[:n, :n],
        deviance=deviance,
        ndof=ndof,
        converged=converged,
    )
    return ResonanceFit(
        *map(float, peak),
        covariance=whole,
        spectrum=spectrum,
        shape=problem.shape,
        tails=problem.tails,
        deviance=deviance,
        ndof=ndof,
        converged=bool(converged and not stuck),
    )
