"""The signal that a background function invents where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.resonant._region import check_region
from skad.search._background import fit_region
from skad.search._fit_range import restrict_sidebands
from skad.search._functions import check_function
from skad.utils import _sklearn as sk
from skad.utils._arguments import COUNT, POSITIVE, Numbers, checked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from numpy.typing import ArrayLike
    from pandas import DataFrame

    from skad.resonant._region import SignalRegion
    from skad.utils._types import Floats

__all__ = ["spurious_signal"]


@checked(m=Numbers(), sqrt_s=POSITIVE, bins_per_region=COUNT)
def spurious_signal(
    m: ArrayLike,
    windows: Sequence[SignalRegion | Floats],
    *,
    function: Literal["dijet", "power_exponential", "polynomial"] = "dijet",
    n_parameters: int | Sequence[int] | None = None,
    sqrt_s: float = 13.0,
    fit_range: Literal["auto"] | Floats | float | None = "auto",
    bins_per_region: int = 4,
    sample_weight: ArrayLike | None = None,
) -> DataFrame:
    """Measure on background alone what a fit of the sidebands finds in every window.

    The events stand for the background of a search: simulation, or data of a control region, best
    many times as many as the search has. What the fit misses in a window is the systematic
    error of choosing this function, as experiments quote it.

    Parameters
    ----------
    m : array-like of shape (n_events,)
        Masses of background events.
    windows : sequence of SignalRegion or of (low, high)
    function : {"dijet", "power_exponential", "polynomial"}, default="dijet"
    n_parameters : None, int or sequence of int, default=None
    sqrt_s : float, default=13.0
        Collision energy in the unit of m, dijet function only.
    fit_range : "auto", None, (float, float) or float, default="auto"
        As in `sideband_background`.
    bins_per_region : int, default=4
    sample_weight : array-like of shape (n_events,), default=None
        Non-negative weights, of weighted simulation.

    Returns
    -------
    table : DataFrame
        One row per window: `low`, `high`, `n_events` of the window (sum of weights), `fitted`,
        `spurious` = n_events - fitted with its statistical `error` (count and fit), `relative` =
        spurious over fitted, `fit_p`, `n_parameters`. For the parameter `spurious_signal` of
        `BumpHunt`.

    References
    ----------
    ATLAS Collaboration, "Recommendations for the modeling of smooth backgrounds",
    ATL-PHYS-PUB-2020-028.

    Examples
    --------
    >>> import numpy as np
    >>> from skad.search import spurious_signal
    >>> m = 1 + np.random.default_rng(0).exponential(size=50_000)
    >>> table = spurious_signal(m, [(2.0, 2.5)], function="polynomial", n_parameters=2)
    >>> bool(abs(table["spurious"][0]) < 4 * table["error"][0])
    True
    """
    import pandas as pd

    check_function(function)
    if not isinstance(windows, (list, tuple, np.ndarray)):
        raise TypeError(f"windows must be a list of regions; got {windows!r}.")
    if not len(windows):
        raise ValueError("windows must hold at least one region; it is empty.")
    weight = np.ones(len(m))
    if sample_weight is not None:
        weight = sk.check_sample_weight(sample_weight, m, dtype=np.float64)
    options = {"function": function, "n_parameters": n_parameters, "sqrt_s": sqrt_s}
    rows = []
    for window in windows:
        region, _ = check_region(window, m[:, None])
        seen = restrict_sidebands(
            region, m, fit_range, bins_per_region=bins_per_region, weight=weight, **options
        )
        edges = seen.bin_edges(m, bins_per_region=bins_per_region)
        fitted, stat, fit = fit_region(m, region, edges, options, weight)
        inside = weight[region.mask(m)]
        n_events = inside.sum()
        rows.append(
            {
                "low": region.low,
                "high": region.high,
                "n_events": n_events,
                "fitted": fitted,
                "spurious": n_events - fitted,
                "error": float(np.hypot(np.sqrt(inside @ inside), stat)),
                "relative": (n_events - fitted) / fitted,
                "fit_p": fit.p_value,
                "n_parameters": fit.n_parameters,
            }
        )
    return pd.DataFrame(rows)
