"""The simulated boosted jets that are shipped inside the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from skad.datasets._shipped import make_bunch, read_descr, shipped_path
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["JET_COLUMNS", "load_jets"]

N_CONSTITUENTS = 20

JET_COLUMNS = [
    f"{component}{i:02d}" for i in range(N_CONSTITUENTS) for component in ("e", "px", "py", "pz")
]
"""Columns of jet samples: energies and momenta in GeV of the 20 hardest constituents."""

# In the order of the file's row groups.
KINDS = (
    "qcd",
    "w_59",
    "w_80",
    "w_120",
    "w_174",
    "top_80",
    "top_174",
    "higgs_20",
    "higgs_80",
    "outlier_w",
)

_FILE = "jets.parquet"
_SHA256 = "534bc76ad9ce4364c753a1da6c10338e6bea4b8c7285e24e4c17b9abc0108042"


@sk.validate_params(
    {"kinds": [list, tuple, None], "return_X_y": ["boolean"], "as_frame": ["boolean"]},
    prefer_skip_nested_validation=True,
)
def load_jets(
    *, kinds: Sequence[str] | None = None, return_X_y: bool = False, as_frame: bool = False
) -> Any:
    """Load boosted jets: QCD; W, top and Higgs jets of several masses; outlier W jets.

    Jets of 550 to 650 GeV with their 20 hardest constituents, simulated for this package after
    the samples of [1]_.

    =============================  =====================  ==========================
    kinds                          jets                   role in [1]_
    =============================  =====================  ==========================
    qcd                            30 000                 background
    w_59, w_80, w_120, w_174       2 000 each             signal
    top_80, top_174                2 000 each             signal
    higgs_20, higgs_80             2 000 each             signal
    outlier_w                      8 000                  outlier exposure
    features                       80, GeV
    =============================  =====================  ==========================

    Parameters
    ----------
    kinds : sequence of str, default=None
        Which jets, in this order; all of them by default.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects.

    Returns
    -------
    jets : :class:`~sklearn.utils.Bunch`
        data : ndarray of float64, shape (n_jets, 80), or DataFrame
            `e00 px00 py00 pz00` to `e19 px19 py19 pz19`, GeV, in pT order, zero padded. The
            kinds follow each other: shuffle before splitting.
        target : ndarray of int, shape (n_jets,), or Series
            0 for QCD, 1 for everything else.
        kind : ndarray of str, shape (n_jets,)
            One of `kinds` for each jet.
        pt, mass : ndarray of float64, shape (n_jets,)
            Transverse momentum and mass in GeV of the jet with all its constituents.
        parent_mass : ndarray of float64, shape (n_jets,)
            Mass in GeV of the particle behind the jet, NaN for QCD.
        feature_names : list of str
            The columns of `data`.
        target_names : list of str
            ``["qcd", "other"]``.
        frame : DataFrame or None
            With ``as_frame=True``: `data`, the target as "label", and the columns "kind", "pt",
            "m" (`mass`), "parent_mass".
        filename : str
            Path of the shipped file.
        DESCR : str
            The full description, with provenance and rounding.
    (data, target) : tuple
        When ``return_X_y=True``.

    Raises
    ------
    ValueError
        An unknown, repeated or missing kind.

    References
    ----------
    .. [1] T. Cheng et al., "Variational Autoencoders for Anomalous Jet Tagging",
       arXiv:2007.01850.

    Examples
    --------
    >>> from skad.datasets import load_jets
    >>> jets = load_jets(kinds=["qcd", "top_174"])
    >>> jets.data.shape, int(jets.target.sum())
    ((32000, 80), 2000)
    >>> jets.feature_names[:4]
    ['e00', 'px00', 'py00', 'pz00']
    """
    kinds = list(KINDS if kinds is None else kinds)
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds or len(set(kinds)) != len(kinds):
        raise ValueError(f"kinds must hold some of {list(KINDS)}, each once; got {kinds}.")
    with pq.ParquetFile(shipped_path(_FILE)) as file:
        tables = [file.read_row_group(KINDS.index(kind)) for kind in kinds]
    values = np.concatenate(
        [np.column_stack([column.to_numpy() for column in table.columns]) for table in tables]
    ).astype(np.float64)
    momenta, (pt, mass, parent_mass) = values[:, :-3], values[:, -3:].T.copy()
    kind = np.repeat(kinds, [len(table) for table in tables])
    bunch = make_bunch(
        _with_energies(momenta),
        (kind != "qcd").astype(np.int64),
        feature_names=JET_COLUMNS,
        as_frame=as_frame,
        return_X_y=False,
        kind=kind,
        pt=pt,
        mass=mass,
        parent_mass=parent_mass,
        target_names=["qcd", "other"],
        filename=str(shipped_path(_FILE)),
        DESCR=read_descr("jets"),
    )
    if return_X_y:
        return bunch.data, bunch.target
    if as_frame:
        bunch.frame = bunch.frame.assign(kind=kind, pt=pt, m=mass, parent_mass=parent_mass)
    return bunch


def _with_energies(momenta):
    """Put E = |p| before the momenta of each constituent."""
    p = momenta.reshape(len(momenta), N_CONSTITUENTS, 3)
    energy = np.sqrt(np.einsum("jci,jci->jc", p, p))
    return np.concatenate([energy[:, :, None], p], axis=2).reshape(len(momenta), -1)
