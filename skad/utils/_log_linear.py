"""Poisson likelihood fits of ``exp(sum_k a_k b_k(m))`` to a histogram, and their order."""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import xlogy

from skad.utils._optional import import_optional

__all__ = [
    "SMALLEST_MEAN",
    "LogLinearFit",
    "choose_order",
    "fit_log_linear",
    "integrate",
    "polynomial_basis",
    "quadrature",
]

# Gauss-Legendre nodes per bin; the spectra are smooth on the scale of a bin.
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)
# Expected events of a bin that stand for none, so that ratios to them stay finite.
SMALLEST_MEAN = 1e-280
_MAX_STEPS = 100


@dataclass(frozen=True)
class LogLinearFit:
    """Result of `fit_log_linear`: parameters a_k, their covariance, and how well they fit."""

    parameters: np.ndarray
    covariance: np.ndarray
    deviance: float
    ndof: int
    converged: bool

    @property
    def n_parameters(self):
        """Number of fitted parameters."""
        return len(self.parameters)


def polynomial_basis(m, n_parameters, low, high):
    t = (2 * m - low - high) / (high - low)
    return np.stack([t**k for k in range(n_parameters)], axis=-1)


def quadrature(edges):
    half = 0.5 * np.diff(edges)[:, None]
    return edges[:-1, None] + half * (1 + _NODES), half * _NODE_WEIGHTS


def integrate(basis, weights, log_parameters):
    """Log of the expected events per bin, and the part of every node in them.

    Logarithms, because a function fitted to a steep spectrum can be zero to machine precision in
    some bins and its derivatives divide by it.
    """
    exponents = basis @ log_parameters
    highest = exponents.max(axis=1, keepdims=True)
    values = weights * np.exp(exponents - highest)
    total = values.sum(axis=1, keepdims=True)
    return (highest + np.log(total))[:, 0], values / total


def fit_log_linear(basis, weights, counts, minimizer="newton"):
    """Fit by extended Poisson likelihood.

    Parameters
    ----------
    basis : ndarray of shape (n_bins, n_nodes, n_parameters)
        The functions b_k at the nodes of `quadrature`.
    weights : ndarray of shape (n_bins, n_nodes)
    counts : ndarray of shape (n_bins,)
    minimizer : {"newton", "minuit"}, default="newton"

    Returns
    -------
    fit : LogLinearFit
    """
    n_parameters = basis.shape[-1]
    # Such functions are almost degenerate; in an orthonormal basis of the fitted range the
    # Hessian is well conditioned.
    flat = basis.reshape(-1, n_parameters)
    triangular = np.linalg.qr(flat / np.sqrt(len(flat)), mode="r")
    basis = np.linalg.solve(triangular.T, flat.T).T.reshape(basis.shape)
    start = _start(basis, weights, counts)
    minimize = _minimize_newton if minimizer == "newton" else _minimize_minuit
    theta, covariance, converged = minimize(basis, weights, counts, start)
    back = np.linalg.inv(triangular)
    return LogLinearFit(
        parameters=back @ theta,
        covariance=back @ covariance @ back.T,
        deviance=2 * _negative_log_likelihood(basis, weights, counts, theta)[0],
        ndof=len(counts) - n_parameters,
        converged=converged,
    )


def choose_order(fit_order, orders, most, *, test="f", alpha=0.05):
    """Fit nested functions of rising order while the next one is a significant improvement.

    Parameters
    ----------
    fit_order : callable
        ``fit_order(n_parameters)`` returns a fit with `n_parameters`, `deviance`, `ndof`.
    orders : sequence of int
        Increasing numbers of parameters.
    most : int
        More parameters than this are not tried.
    test : {"f", "likelihood_ratio"}, default="f"
    alpha : float, default=0.05
        The next order is taken while its p-value is below `alpha`.

    Returns
    -------
    fit : the chosen fit
    tests : list of (int, int, float)
        p-value of every comparison (parameters before, after).
    """
    fit = fit_order(orders[0])
    tests = []
    for order in orders[1:]:
        if order > most:
            break
        richer = fit_order(order)
        p_value = _compare(fit, richer, test)
        tests.append((fit.n_parameters, order, p_value))
        if not p_value < alpha:
            break
        fit = richer
    return fit, tests


def _compare(simple, richer, order_test):
    extra = richer.n_parameters - simple.n_parameters
    drop = max(simple.deviance - richer.deviance, 0.0)
    if order_test == "likelihood_ratio":
        return float(stats.chi2.sf(drop, extra))
    # A deviance below ndof, as of bins that hold hardly an event, makes no drop clearer: counts
    # vary as Poisson numbers at least.
    spread = max(richer.deviance / richer.ndof, 1.0)
    return float(stats.f.sf(drop / extra / spread, extra, richer.ndof))


def _start(basis, weights, n):
    """Least squares of the log density of the bins, weighted by their counts."""
    width = weights.sum(axis=1)
    center = (basis * weights[..., None]).sum(axis=1) / width[:, None]
    root = np.sqrt(n + 0.5)
    log_density = np.log((n + 0.5) / width)
    return np.linalg.lstsq(center * root[:, None], log_density * root, rcond=None)[0]


def _negative_log_likelihood(basis, weights, n, theta):
    """Poisson likelihood, zero where every bin is met, its gradient and expected Hessian."""
    with np.errstate(over="ignore", invalid="ignore"):
        log_mu, parts = integrate(basis, weights, theta)
        mu = np.exp(log_mu)
        slopes = np.einsum("bq,bqk->bk", parts, basis)
        # The logarithm of the ratio is exact where n is near mu; below, n / mu would overflow.
        floored = np.maximum(mu, SMALLEST_MEAN)
        beyond = np.where(mu < floored, n * (np.log(SMALLEST_MEAN) - log_mu), 0.0)
        value = float(np.sum(mu - n + xlogy(n, n / floored) + beyond))
        gradient = slopes.T @ (mu - n)
        fisher = (slopes * mu[:, None]).T @ slopes
    return value, gradient, fisher


def _observed_covariance(basis, weights, n, theta):
    log_mu, parts = integrate(basis, weights, theta)
    mu = np.exp(log_mu)
    slopes = np.einsum("bq,bqk->bk", parts, basis)
    hessian = np.einsum("b,bq,bqk,bql->kl", mu - n, parts, basis, basis)
    hessian += (slopes * n[:, None]).T @ slopes
    try:
        np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        hessian = (slopes * mu[:, None]).T @ slopes
    return np.linalg.pinv(hessian, hermitian=True)


def _minimize_newton(basis, weights, n, theta):
    value, gradient, fisher = _negative_log_likelihood(basis, weights, n, theta)
    converged = False
    for _ in range(_MAX_STEPS):
        step = np.linalg.lstsq(fisher, gradient, rcond=None)[0]
        decrease = gradient @ step
        # Expected drop of the likelihood, far below the 1/2 of one standard deviation.
        if decrease < 1e-10:
            converged = True
            break
        scale = 1.0
        while scale > 1e-6:
            trial = _negative_log_likelihood(basis, weights, n, theta - scale * step)
            if np.isfinite(trial[0]) and trial[0] <= value:
                break
            scale *= 0.5
        else:
            break
        theta = theta - scale * step
        value, gradient, fisher = trial
    return theta, _observed_covariance(basis, weights, n, theta), converged


def _minimize_minuit(basis, weights, n, theta):
    iminuit = import_optional("iminuit", extra="hep", purpose="fit_spectrum(minimizer='minuit')")

    def cost(parameters):
        return _negative_log_likelihood(basis, weights, n, parameters)[0]

    def gradient(parameters):
        return _negative_log_likelihood(basis, weights, n, parameters)[1]

    minuit = iminuit.Minuit(cost, theta, grad=gradient)
    minuit.errordef = iminuit.Minuit.LIKELIHOOD
    minuit.strategy = 2
    minuit.tol = 1e-3
    minuit.migrad()
    theta = np.asarray(minuit.values)
    # HESSE's numerical second derivatives of five parameters were off by 3 % on one processor.
    return theta, _observed_covariance(basis, weights, n, theta), bool(minuit.valid)
