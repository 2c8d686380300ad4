"""Values of the resonant feature for background events of the signal region."""

import warnings

import numpy as np
from sklearn.neighbors import KernelDensity

from skad.coordinates import LogitTransformer
from skad.exceptions import RegionError, SpectrumFitWarning
from skad.resonant._events import missing_simulation
from skad.utils._children import unit_weights
from skad.utils._log_linear import choose_order, fit_log_linear, polynomial_basis, quadrature
from skad.utils._random import draw_seed

__all__ = ["MASS_SPECTRA", "MassSpectrum"]

MASS_SPECTRA = ("observed", "kde", "fit")

_BANDWIDTH = 0.01
_GRID = 2001
# Parameters of the polynomial in m.
_ORDERS = (2, 3, 4)


class MassSpectrum:
    """Spectrum of m in the signal region, to draw from.

    Parameters
    ----------
    kind : {"observed", "kde", "fit", "simulation"}
        - "observed": the data of the region, drawn again;
        - "kde": a Gaussian kernel of width 0.01 on the logit of m between the edges of the region,
          as in CATHODE;
        - "fit": a smooth function fitted to the sidebands within one width of the region, as in
          CURTAINS: knows nothing of the region. The order of the polynomial in ln f is chosen by an
          F-test;
        - "simulation": the simulated events of the region, drawn again.
    """

    def __init__(self, kind, events, region):
        self.kind = kind
        self.region = region
        of_kind = ~events.data if kind == "simulation" else events.data
        rows = of_kind & events.inside
        if kind == "simulation" and not rows.any():
            raise missing_simulation(region, "mass_spectrum='simulation'")
        self.m = events.m[rows]
        weight = unit_weights(events.weights(rows))
        self.p = None if weight is None else weight / weight.sum()
        if kind == "kde":
            self._logit = LogitTransformer(
                lower=np.nextafter(region.low, -np.inf), upper=region.high
            )
            z = self._logit.fit_transform(self.m[:, None])
            self._kernel = KernelDensity(bandwidth=_BANDWIDTH).fit(z, sample_weight=weight)
        elif kind == "fit":
            self._fit(events)

    def _fit(self, events):
        # Farther out lie turn-on and tail, which would bend the polynomial.
        near = abs(events.m - self.region.center) < 1.5 * self.region.width
        rows = events.data & near & (events.inside | events.sideband)
        m, weight = events.m[rows], unit_weights(events.weights(rows))
        edges = self.region.bin_edges(m)
        counts, _ = np.histogram(m, edges, weights=weight)
        grid = np.linspace(self.region.low, self.region.high, _GRID)
        density = np.exp(self._polynomial(counts.astype(np.float64), edges, grid))
        cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
        self._quantiles = cumulative / cumulative[-1], grid

    def _polynomial(self, counts, edges, grid):
        """Return on a grid the log of a density fitted outside the region, a polynomial in m."""
        centers = 0.5 * (edges[1:] + edges[:-1])
        beside = (centers < self.region.low) | (centers > self.region.high)
        nodes, weights = quadrature(edges)
        n_filled = np.count_nonzero(counts[beside])
        if n_filled < _ORDERS[0]:
            raise RegionError(
                f"mass_spectrum='fit' needs {_ORDERS[0]} filled bins beside the signal region; "
                f"there are {n_filled}. Widen the sidebands, or take mass_spectrum='kde'."
            )

        def basis(m, order):
            return polynomial_basis(m, order, edges[0], edges[-1])

        fit, _ = choose_order(
            lambda order: fit_log_linear(
                basis(nodes[beside], order), weights[beside], counts[beside]
            ),
            _ORDERS,
            min(beside.sum() - 1, n_filled),
        )
        if not fit.converged:
            warnings.warn(
                f"the fit of the spectrum beside the signal region with {fit.n_parameters} "
                "parameters did not converge; take mass_spectrum='kde' or other sidebands.",
                SpectrumFitWarning,
                stacklevel=2,
            )
        return basis(grid, fit.n_parameters) @ fit.parameters

    def draw(self, n, rng):
        """Return n values of m in the region."""
        if self.kind == "kde":
            z = self._kernel.sample(n, random_state=draw_seed(rng))
            # Beyond a logit of about 37 rounding would put a value on the upper edge.
            m = self._logit.inverse_transform(z)[:, 0]
            return np.clip(m, self.region.low, np.nextafter(self.region.high, -np.inf))
        if self.kind == "fit":
            return np.interp(rng.uniform(size=n), *self._quantiles)
        return rng.choice(self.m, n, p=self.p)
