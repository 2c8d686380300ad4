"""The jets of "Variational Autoencoders for Anomalous Jet Tagging", downloaded from Zenodo."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np

from skad.datasets._lhco import FETCH_CONSTRAINTS
from skad.datasets._remote import RemoteFile, fetch_file
from skad.datasets._shipped import make_bunch, read_descr
from skad.exceptions import DataFileError
from skad.utils import _sklearn as sk
from skad.utils._optional import import_optional

if TYPE_CHECKING:
    from typing import Any

__all__ = ["JET_FILES", "fetch_jets"]

_SIGNALS = 4614656
_MAX_BYTES = 20 << 30
JET_FILES = {
    "qcd": RemoteFile("qcd_dijet.h5", 4641460, max_bytes=_MAX_BYTES),
    "w_59": RemoteFile("W_m59_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "w_80": RemoteFile("W_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "w_120": RemoteFile("W_m120_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "w_174": RemoteFile("W_m174_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "top_80": RemoteFile("top_m80_100k_01_new.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "top_174": RemoteFile("top_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "higgs_20": RemoteFile("h3_m174_h20_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
    "higgs_80": RemoteFile("h3_m174_h80_100k_01.h5", _SIGNALS, max_bytes=_MAX_BYTES),
}

_CONSTITUENTS = "objects/jets/constituents"
_OBSERVABLES = "objects/jets/obs"
# E, px, py, pz and a fifth number of every constituent.
_STRIDE = 5
_READ_ROWS = 20_000


@sk.validate_params(
    {
        "kind": [sk.StrOptions(set(JET_FILES))],
        "n_events": [sk.Interval(numbers.Integral, 1, None, closed="left"), None],
        "n_constituents": [sk.Interval(numbers.Integral, 1, None, closed="left")],
        "jet": [sk.Interval(numbers.Integral, 0, None, closed="left")],
        **FETCH_CONSTRAINTS,
    },
    prefer_skip_nested_validation=True,
)
def fetch_jets(
    kind: str = "qcd",
    *,
    n_events: int | None = None,
    n_constituents: int = 20,
    jet: int = 0,
    data_home: Any = None,
    download_if_missing: Any = True,
    return_X_y: Any = False,
    as_frame: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
) -> Any:
    """Load boosted jets with their constituents (download).

    The QCD jets and the test jets (W, top and Higgs jets of several masses) of the paper [1]_,
    anti-kT with R = 1.0, before its cut of 550 to 650 GeV on the transverse momentum.

    Parameters
    ----------
    kind : str, default="qcd"
        One of

        - "qcd";
        - "w_59", "w_80", "w_120", "w_174": W jets with the W mass in GeV;
        - "top_80", "top_174": top jets with the top mass in GeV;
        - "higgs_20", "higgs_80": jets of a Higgs boson of 174 GeV that decays to two lighter
          ones of this mass.
    n_events : int, default=None
        Read only the first events. None means all.
    n_constituents : int, default=20
        Keep the constituents with the highest transverse momentum, zero padded.
    jet : int, default=0
        Which jet of an event.
    data_home, download_if_missing, return_X_y, as_frame, n_retries, delay : optional
        As in `fetch_lhco_rd`.

    Returns
    -------
    jets : :class:`~sklearn.utils.Bunch`
        data : ndarray of float32, shape (n_events, 4 * n_constituents), or DataFrame
            Columns "e00", "px00", "py00", "pz00", "e01", ... in GeV, as in `load_jets`.
        target : ndarray of int, shape (n_events,), or Series
            0 for QCD, else 1.
        observables : ndarray of shape (n_events, n_observables)
            The numbers that the file gives for the jet, N-subjettiness from the fifth on.
        feature_names, target_names : list of str
            The columns of `data` and the meaning of the labels.
        frame : DataFrame or None
            `data` and the target when ``as_frame=True``.
        filename, DESCR : str
            Path of the downloaded file; the full description.
    (data, target) : tuple
        When ``return_X_y=True``.

    Raises
    ------
    OSError, DownloadError
        As in `fetch_lhco_rd`.
    DataFileError
        When the file has another layout.

    References
    ----------
    .. [1] T. Cheng et al., "Variational Autoencoders for Anomalous Jet Tagging",
       Phys. Rev. D 107 (2023) 016002, arXiv:2007.01850; Zenodo records 4614656 and 4641460.

    Examples
    --------
    >>> from skad.datasets import fetch_jets
    >>> jets = fetch_jets("top_174", n_events=10_000)  # doctest: +SKIP
    >>> jets.data.shape  # doctest: +SKIP
    (10000, 80)
    """
    path = fetch_file(
        JET_FILES[kind],
        data_home=data_home,
        download_if_missing=download_if_missing,
        n_retries=n_retries,
        delay=delay,
        check=_check,
    )
    with _open(path) as file:
        constituents, observables = _datasets(file, path)
        if jet >= constituents.shape[1]:
            raise ValueError(f"jet={jet}: the events of {path} have {constituents.shape[1]} jets.")
        n_rows = len(constituents) if n_events is None else min(n_events, len(constituents))
        data = np.empty((n_rows, 4 * n_constituents), dtype=np.float32)
        for start in range(0, n_rows, _READ_ROWS):
            rows = slice(start, min(start + _READ_ROWS, n_rows))
            data[rows] = _hardest(constituents[rows, jet], n_constituents, path)
        observables = observables[:n_rows, jet]
    target = np.full(n_rows, int(kind != "qcd"))
    return make_bunch(
        data,
        target,
        feature_names=[
            f"{quantity}{i:02d}"
            for i in range(n_constituents)
            for quantity in ("e", "px", "py", "pz")
        ],
        as_frame=as_frame,
        return_X_y=return_X_y,
        observables=observables,
        target_names=["qcd", "signal"],
        filename=str(path),
        DESCR=read_descr("fetch_jets"),
    )


def _open(path):
    h5py = import_optional("h5py", extra="hep", purpose="fetch_jets")
    try:
        return h5py.File(path, "r")
    except OSError as exc:
        raise DataFileError(f"{path}: cannot be read ({exc}).") from exc


def _datasets(file, path):
    for name in (_CONSTITUENTS, _OBSERVABLES):
        if name not in file:
            raise DataFileError(f"{path}: no dataset {name!r}.")
    constituents, observables = file[_CONSTITUENTS], file[_OBSERVABLES]
    if constituents.ndim < 2 or observables.ndim < 3 or len(constituents) != len(observables):
        raise DataFileError(
            f"{path}: {_CONSTITUENTS!r} has the shape {constituents.shape} and {_OBSERVABLES!r} "
            f"{observables.shape}; expected (n_events, n_jets, ...) of both."
        )
    return constituents, observables


def _check(path):
    with _open(path) as file:
        constituents, _ = _datasets(file, path)
        _hardest(constituents[-1:, 0], 1, path)


def _hardest(jets, n_constituents, path):
    """Return E, px, py, pz of the hardest constituents, shape (n, 4 * n_constituents).

    `jets` holds one list of numbers per jet, of varying length, or a padded array.
    """
    lengths = np.array([len(jet) for jet in jets])
    odd = lengths[lengths % _STRIDE > 0]
    if len(odd):
        raise DataFileError(
            f"{path}: {_CONSTITUENTS!r} holds a list of {odd[0]} numbers, not a multiple of "
            f"{_STRIDE}."
        )
    counts = lengths // _STRIDE
    padded = np.zeros((len(jets), max(counts.max(initial=0), n_constituents), _STRIDE))
    present = np.arange(padded.shape[1]) < counts[:, None]
    padded[present] = np.concatenate([*jets, np.empty(0)]).reshape(-1, _STRIDE)
    momentum_squared = padded[:, :, 1] ** 2 + padded[:, :, 2] ** 2
    order = np.argsort(-momentum_squared, axis=1, kind="stable")[:, :n_constituents]
    hardest = np.take_along_axis(padded[:, :, :4], order[:, :, None], axis=1)
    return hardest.reshape(len(jets), 4 * n_constituents)
