"""What a display of a bump hunt knows about one row: spectrum, fit, expectation."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._takes import HUNT
from skad.utils._arguments import checked
from skad.utils._readable import readable

if TYPE_CHECKING:
    from skad.search._bump_hunt import BumpHunt

__all__ = ["BumpHuntSpectrum"]

_N_POINTS = 300


@readable
@dataclass(frozen=True)
class BumpHuntSpectrum:
    """Spectrum of one row of a `BumpHunt` with its sideband fit, as plain numbers.

    Attributes
    ----------
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins, in the unit of m.
    counts : ndarray of shape (n_bins,)
        Events that pass, or their weights.
    scale : ndarray of shape (n_bins,)
        Mean weight of an event; 1 without weights.
    expected : ndarray of shape (n_bins,)
        Events that the fit expects.
    pulls : ndarray of shape (n_bins,)
        Poisson significance of the counts over it.
    fitted : ndarray of bool, shape (n_bins,)
        Bins of the sidebands, which the fit has seen.
    m, density, error : ndarray of shape (n_points,)
        The fit in events per unit of m at the masses m, with its standard deviation.
    region : (float, float)
        The window.
    n_observed : float
        Events observed in it.
    background, uncertainty : float
        Events expected in it, with the standard deviation.
    title : str
        What was cut.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skad.datasets import make_resonance
    >>> from skad.plotting import BumpHuntSpectrum
    >>> from skad.search import BumpHunt
    >>> X = make_resonance(3000, 0, random_state=0).data
    >>> hunt = BumpHunt(IsolationForest(), [(3.3, 3.7)], efficiencies=(1.0,)).fit(X)
    >>> BumpHuntSpectrum.from_hunt(hunt, 0).title
    'all events'
    """

    edges: np.ndarray
    counts: np.ndarray
    scale: np.ndarray
    expected: np.ndarray
    pulls: np.ndarray
    fitted: np.ndarray
    m: np.ndarray
    density: np.ndarray
    error: np.ndarray
    region: tuple
    n_observed: float
    background: float
    uncertainty: float
    title: str = ""

    @classmethod
    @checked(hunt=HUNT)
    def from_hunt(cls, hunt: BumpHunt, row: int) -> BumpHuntSpectrum:
        """Read a row of a fitted hunt.

        Parameters
        ----------
        hunt : BumpHunt
            Fitted.
        row : int
            Row of `hunt.results_` whose sideband fit succeeded.

        Returns
        -------
        spectrum : BumpHuntSpectrum

        Raises
        ------
        ValueError
            The row has no fit.
        """
        n_rows = len(hunt.fits_)
        if row is not None and not (isinstance(row, Integral) and 0 <= row < n_rows):
            raise ValueError(
                f"row must be one of the {n_rows} rows of results_, from 0; got {row!r}."
            )
        fit = None if row is None else hunt.fits_[row]
        if fit is None:
            raise ValueError(
                "row must be one whose sideband fit succeeded: too few events passed the cut of "
                f"row {row}. Choose among {[i for i, f in enumerate(hunt.fits_) if f is not None]}."
            )
        shown = hunt.results_.loc[row]
        m = np.linspace(fit.edges[0], fit.edges[-1], _N_POINTS)
        efficiency = shown["efficiency"]
        return cls(
            edges=fit.edges,
            counts=fit.counts,
            scale=np.broadcast_to(fit.scale, fit.counts.shape),
            expected=fit.expected(),
            pulls=fit.pulls,
            fitted=fit.fitted,
            m=m,
            density=fit.density(m),
            error=fit.density_uncertainty(m),
            region=(float(shown["low"]), float(shown["high"])),
            n_observed=float(shown["n_observed"]),
            background=float(shown["background"]),
            uncertainty=float(np.hypot(shown["stat"], shown["syst"])),
            title="all events" if efficiency == 1 else f"efficiency {efficiency:g}",
        )

    @property
    def end(self):
        """Where events end: the upper edge of the last bin that holds one, or of the window."""
        filled = np.flatnonzero(self.counts)
        last = self.edges[filled[-1] + 1] if len(filled) else self.region[1]
        return float(max(last, self.region[1]))
