"""The simulated dijets that are shipped inside the package."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from sklearn.utils import check_random_state

from skad.datasets._shipped import make_bunch, read_descr, shipped_path
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any

    from skad.utils._types import Seed

__all__ = ["LHCO_FEATURES", "load_dijets"]

LHCO_FEATURES = [
    f"{quantity}j{jet}"
    for jet in (1, 2)
    for quantity in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
]
"""Columns of the LHC Olympics feature files; momenta and masses in GeV, jets in pT order."""

_FILE = "dijets.parquet"
_SHA256 = "c9df9576516c6dcefc6fc2d4879b3f121e49e928119410bfe2486dc5f8f91cf6"
_N_BACKGROUND = 260_000
_N_SIGNAL = 12_000


@sk.validate_params(
    {
        "n_background": [sk.Interval(numbers.Integral, 1, _N_BACKGROUND, closed="both")],
        "n_signal": [sk.Interval(numbers.Integral, 0, _N_SIGNAL, closed="both")],
        "random_state": ["random_state"],
        "return_X_y": ["boolean"],
        "as_frame": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def load_dijets(
    *,
    n_background: int = 200_000,
    n_signal: int = 400,
    random_state: Seed = 0,
    return_X_y: bool = False,
    as_frame: bool = False,
) -> Any:
    """Load a dijet search: QCD with a few signal events, a simulation of it, and a test set.

    The events have the columns of the LHC Olympics R&D data set [1]_ and were simulated for this
    package: QCD dijets (the background of the "data"), QCD dijets with another shower and
    hadronisation (the "simulation") and W' -> XY with masses of 3.5, 0.5 and 0.1 TeV, X and Y to
    two quarks each (the signal). All have a dijet mass above 2.7 TeV; the usual signal region
    is 3.3 to 3.7 TeV, sidebands lie on both sides of it.

    Parameters
    ----------
    n_background : int, default=200_000
        Background events in `data`, at most 260 000; a fifth lies in the signal region.
    n_signal : int, default=400
        Signal events injected in `data`, over the full mass range, at most 12 000. 84 % of
        them lie in the signal region. The defaults give a signal-to-background ratio of
        0.8 % there, and 1.7 for signal over the square root of background.
    random_state : int, RandomState instance or None, default=0
        Selects and shuffles the events. For one seed and `n_background` the background stays
        the same for every `n_signal`, and fewer signal events are a subset of more.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects.

    Returns
    -------
    dijets : :class:`~sklearn.utils.Bunch`
        data : ndarray of float64, shape (n_background + n_signal, 14), or DataFrame
            Background with injected signal, shuffled. Momenta and masses in GeV.
        target : ndarray of int, shape (n_background + n_signal,), or Series
            The truth: 1 signal, 0 background.
        simulation : ndarray of float64, shape (140_000, 14), or DataFrame
            The alternative simulation of the background, for SALAD and FETA.
        test_data : ndarray of float64, shape (n_test, 14), or DataFrame
            Every background and signal event that `data` does not hold, shuffled.
        test_target : ndarray of int, shape (n_test,)
            Their truth.
        feature_names : list of str
            The columns of `data`.
        target_names : list of str
            ``["background", "signal"]``.
        frame : DataFrame or None
            `data` and `target` (column "label") when ``as_frame=True``.
        filename : str
            Path of the shipped file.
        DESCR : str
            The full description, with provenance and rounding.
    (data, target) : tuple
        When ``return_X_y=True``.

    References
    ----------
    .. [1] G. Kasieczka et al., "The LHC Olympics 2020", Rept. Prog. Phys. 84 (2021) 124201,
       arXiv:2101.08320.

    Examples
    --------
    >>> from skad.datasets import load_dijets
    >>> dijets = load_dijets()
    >>> dijets.data.shape, int(dijets.target.sum())
    ((200400, 14), 400)
    >>> dijets.feature_names[:4]
    ['pxj1', 'pyj1', 'pzj1', 'mj1']
    """
    rng = check_random_state(random_state)
    background, simulation, signal = _read_processes()
    background = background[rng.permutation(_N_BACKGROUND)]
    signal = signal[rng.permutation(_N_SIGNAL)]
    simulation = simulation[rng.permutation(len(simulation))]
    data, target = _mix(background[:n_background], signal[:n_signal], rng)
    test_data, test_target = _mix(background[n_background:], signal[n_signal:], rng)
    return make_bunch(
        data,
        target,
        feature_names=LHCO_FEATURES,
        as_frame=as_frame,
        return_X_y=return_X_y,
        tables=("simulation", "test_data"),
        simulation=simulation,
        test_data=test_data,
        test_target=test_target,
        target_names=["background", "signal"],
        filename=str(shipped_path(_FILE)),
        DESCR=read_descr("dijets"),
    )


def _read_processes():
    """Return background, simulation and signal; the file holds each in one row group."""
    with pq.ParquetFile(shipped_path(_FILE)) as file:
        tables = [file.read_row_group(i, columns=LHCO_FEATURES) for i in range(3)]
    # float64, because invariant masses are small differences of large energies.
    return [
        np.column_stack([table[name].to_numpy().astype(np.float64) for name in LHCO_FEATURES])
        for table in tables
    ]


def _mix(background, signal, rng):
    order = rng.permutation(len(background) + len(signal))
    target = np.repeat([0, 1], [len(background), len(signal)])
    return np.concatenate([background, signal])[order], target[order]
