"""The LHC Olympics 2020 data sets, downloaded from Zenodo."""

from __future__ import annotations

import numbers
import os
from typing import TYPE_CHECKING

import numpy as np

from skad.datasets._dijets import LHCO_FEATURES
from skad.datasets._remote import RemoteFile, fetch_file
from skad.datasets._shipped import make_bunch, read_descr
from skad.exceptions import DataFileError
from skad.io._formats import HDF5, open_source
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from typing import Any, Literal

    from skad.utils._types import FilePath

__all__ = [
    "LHCO_FILES",
    "fetch_lhco_black_box",
    "fetch_lhco_extra_background",
    "fetch_lhco_herwig",
    "fetch_lhco_rd",
]

# A million events of 2100 numbers in float64, uncompressed, and some.
_BOX_BYTES = 20 << 30

LHCO_FILES = {
    "rd": RemoteFile(
        "events_anomalydetection_v2.features.h5",
        6466204,
        "md5:271cf5e71fc756b2a8d2b32730689bdb",
    ),
    "three_prong": RemoteFile(
        "events_anomalydetection_Z_XY_qqq.features.h5",
        6466204,
        "md5:1e729f7dff225451182c28afaa4bb411",
    ),
    "extra_background": RemoteFile(
        "events_anomalydetection_qcd_extra_inneronly_features.h5", 8370758
    ),
    "herwig": RemoteFile("events_anomalydetection_DelphesHerwig_qcd_features.h5", 4536377),
    "box_1": RemoteFile("events_LHCO2020_BlackBox1.h5", 4536624, max_bytes=_BOX_BYTES),
    "box_2": RemoteFile("events_LHCO2020_BlackBox2.h5", 4536624, max_bytes=_BOX_BYTES),
    "box_3": RemoteFile("events_LHCO2020_BlackBox3.h5", 4536624, max_bytes=_BOX_BYTES),
    "box_background": RemoteFile(
        "events_LHCO2020_backgroundMC_Pythia.h5", 4536624, max_bytes=_BOX_BYTES
    ),
    "key_1": RemoteFile("events_LHCO2020_BlackBox1.masterkey", 4536624),
    "key_3": RemoteFile("events_LHCO2020_BlackBox3.masterkey", 4536624),
}

_N_PARTICLES = 700
_READ_ROWS = 20_000

FETCH_CONSTRAINTS = {
    "data_home": [str, os.PathLike, None],
    "download_if_missing": ["boolean"],
    "return_X_y": ["boolean"],
    "as_frame": ["boolean"],
    "n_retries": [sk.Interval(numbers.Integral, 0, None, closed="left")],
    "delay": [sk.Interval(numbers.Real, 0.0, None, closed="left")],
}


@sk.validate_params(
    {"signal": [sk.StrOptions({"two_prong", "three_prong"})], **FETCH_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def fetch_lhco_rd(
    *,
    signal: Literal["two_prong", "three_prong"] = "two_prong",
    data_home: FilePath | None = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
    as_frame: bool = False,
    n_retries: int = 3,
    delay: float = 1.0,
) -> Any:
    """Load the LHC Olympics R&D events: QCD dijets and W' -> XY (download, 74 MB).

    A million background and 100 000 signal events with the features of their two leading jets
    [1]_, background first as in the file. Masses of W', X and Y: 3.5, 0.5 and 0.1 TeV.

    Parameters
    ----------
    signal : {"two_prong", "three_prong"}, default="two_prong"
        Decay of X and Y to two quarks each, or to three ("three_prong" downloads 5 MB more).
    data_home : str or path-like, default=None
        Folder of downloaded files, see `get_data_home`. A file copied there by hand is used.
    download_if_missing : bool, default=True
        If False, raise OSError instead of downloading.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Return pandas objects.
    n_retries : int, default=3
        How often a failed download is tried again, each time going on where it stopped.
    delay : float, default=1.0
        Seconds between the attempts.

    Returns
    -------
    lhco : :class:`~sklearn.utils.Bunch`
        data : ndarray of shape (1_100_000, 14), or DataFrame
            Momenta and masses in GeV; NaN as in the file, if there are any.
        target : ndarray of int, shape (1_100_000,), or Series
            The truth: 1 signal, 0 background.
        feature_names, target_names : list of str
            The columns of `data` and the meaning of the labels.
        frame : DataFrame or None
            `data` and the target when ``as_frame=True``.
        filename : str
            Path of the (main) downloaded file, for `iter_events` and `score_file`.
        DESCR : str
            The full description.
    (data, target) : tuple
        When ``return_X_y=True``.

    Raises
    ------
    OSError
        When the file is missing and `download_if_missing` is False.
    DownloadError
        When the download fails or another file than the expected one arrives.

    Notes
    -----
    The environment variable SKAD_DATA_MIRROR may hold the URL of a folder with copies of the
    files, to be used instead of Zenodo.

    References
    ----------
    .. [1] G. Kasieczka, B. Nachman, D. Shih, "R&D Dataset for LHC Olympics 2020 Anomaly Detection
       Challenge", Zenodo, doi:10.5281/zenodo.6466204.

    Examples
    --------
    >>> from skad.datasets import fetch_lhco_rd
    >>> lhco = fetch_lhco_rd()  # doctest: +SKIP
    >>> lhco.data.shape  # doctest: +SKIP
    (1100000, 14)
    """
    options = _fetch_options(data_home, download_if_missing, n_retries, delay)
    path = fetch_file(LHCO_FILES["rd"], check=_check_features, **options)
    data, target = _read_features(path, default_label=None)
    if signal == "three_prong":
        other = fetch_file(LHCO_FILES["three_prong"], check=_check_features, **options)
        signal_data, _ = _read_features(other, default_label=1)
        data = np.concatenate([data[target == 0], signal_data])
        target = np.repeat([0, 1], [len(data) - len(signal_data), len(signal_data)])
    return _bunch(data, target, path, as_frame, return_X_y)


@sk.validate_params(FETCH_CONSTRAINTS, prefer_skip_nested_validation=True)
def fetch_lhco_extra_background(
    *,
    data_home: Any = None,
    download_if_missing: Any = True,
    return_X_y: Any = False,
    as_frame: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
) -> Any:
    """Load the extra QCD events of the signal region 3.3 < mjj < 3.7 TeV (download).

    About 613 000 Pythia events with the columns of `fetch_lhco_rd`, made for CATHODE [1]_: more
    background for tests and for the idealised detector.

    Parameters
    ----------
    data_home, download_if_missing, return_X_y, as_frame, n_retries, delay : optional
        As in `fetch_lhco_rd`.

    Returns
    -------
    lhco : :class:`~sklearn.utils.Bunch` or tuple
        As in `fetch_lhco_rd`; `target` is 0 throughout.

    Raises
    ------
    OSError, DownloadError
        As in `fetch_lhco_rd`.

    References
    ----------
    .. [1] A. Hallin et al., "Classifying Anomalies THrough Outer Density Estimation (CATHODE)",
       Phys. Rev. D 106 (2022) 055006, arXiv:2109.00546; Zenodo record 8370758.

    Examples
    --------
    >>> from skad.datasets import fetch_lhco_extra_background
    >>> X, y = fetch_lhco_extra_background(return_X_y=True)  # doctest: +SKIP
    """
    options = _fetch_options(data_home, download_if_missing, n_retries, delay)
    path = fetch_file(LHCO_FILES["extra_background"], check=_check_features, **options)
    data, target = _read_features(path, default_label=0)
    return _bunch(data, target, path, as_frame, return_X_y)


@sk.validate_params(FETCH_CONSTRAINTS, prefer_skip_nested_validation=True)
def fetch_lhco_herwig(
    *,
    data_home: Any = None,
    download_if_missing: Any = True,
    return_X_y: Any = False,
    as_frame: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
) -> Any:
    """Load the Herwig++ QCD events that serve as simulation of the R&D data (download).

    About a million events with the columns of `fetch_lhco_rd`, for methods that learn from a
    simulation (SALAD, FETA).

    Parameters
    ----------
    data_home, download_if_missing, return_X_y, as_frame, n_retries, delay : optional
        As in `fetch_lhco_rd`.

    Returns
    -------
    lhco : :class:`~sklearn.utils.Bunch` or tuple
        As in `fetch_lhco_rd`; `target` is 0 throughout.

    Raises
    ------
    OSError, DownloadError
        As in `fetch_lhco_rd`.

    Notes
    -----
    Versions of the R&D record differ in their files, and which of them holds this one could not
    be verified. When the download fails, get
    ``events_anomalydetection_DelphesHerwig_qcd_features.h5`` by other means and copy it to the
    folder of `get_data_home`.

    Examples
    --------
    >>> from skad.datasets import fetch_lhco_herwig
    >>> X, y = fetch_lhco_herwig(return_X_y=True)  # doctest: +SKIP
    """
    options = _fetch_options(data_home, download_if_missing, n_retries, delay)
    path = fetch_file(LHCO_FILES["herwig"], check=_check_features, **options)
    data, target = _read_features(path, default_label=0)
    return _bunch(data, target, path, as_frame, return_X_y)


@sk.validate_params(
    {
        "box": [
            sk.Interval(numbers.Integral, 1, 3, closed="both"),
            sk.StrOptions({"background"}),
        ],
        "n_events": [sk.Interval(numbers.Integral, 1, None, closed="left"), None],
        **FETCH_CONSTRAINTS,
    },
    prefer_skip_nested_validation=True,
)
def fetch_lhco_black_box(
    box: Literal[1, 2, 3, "background"] = 1,
    *,
    n_events: int | None = None,
    data_home: Any = None,
    download_if_missing: Any = True,
    return_X_y: Any = False,
    as_frame: Any = False,
    n_retries: Any = 3,
    delay: Any = 1.0,
) -> Any:
    """Load a black box of the LHC Olympics, or the background made for them (large download).

    A million events each with up to 700 particles (pT, eta, phi), zero padded [1]_; the leading
    jet (R = 1) has pT > 1.2 TeV. In float32 a whole box needs 8.4 GB of memory.

    Parameters
    ----------
    box : {1, 2, 3, "background"}, default=1
        Boxes 1 and 3 hold a signal, box 2 none. "background" is the QCD simulation that was
        given with them.
    n_events : int, default=None
        Read only the first events. None means all.
    data_home, download_if_missing, return_X_y, as_frame, n_retries, delay : optional
        As in `fetch_lhco_rd`.

    Returns
    -------
    lhco : :class:`~sklearn.utils.Bunch` or tuple
        As in `fetch_lhco_rd`, with `data` of float32, shape (n_events, 2100) and columns "pt0",
        "eta0", "phi0", "pt1", ...: pT in GeV. `target` is the master key: 0 background, 1 signal,
        in box 3 also 2 for signal; 0 throughout for box 2 and the background.

    Raises
    ------
    OSError, DownloadError
        As in `fetch_lhco_rd`.

    References
    ----------
    .. [1] G. Kasieczka, B. Nachman, D. Shih, "Official Datasets for LHC Olympics 2020 Anomaly
       Detection Challenge", Zenodo, doi:10.5281/zenodo.4536624.

    Examples
    --------
    >>> from skad.datasets import fetch_lhco_black_box
    >>> box = fetch_lhco_black_box(1, n_events=10_000)  # doctest: +SKIP
    >>> particles = box.data.reshape(-1, 700, 3)  # doctest: +SKIP
    """
    options = _fetch_options(data_home, download_if_missing, n_retries, delay)
    path = fetch_file(LHCO_FILES[f"box_{box}"], check=_check_particles, **options)
    with open_source(path) as source:
        _require_columns(source, 3 * _N_PARTICLES)
        n_rows = source.n_rows if n_events is None else min(n_events, source.n_rows)
        data = np.empty((n_rows, 3 * _N_PARTICLES), dtype=np.float32)
        for first, chunk, _ in source.chunks(source.names, 0, n_rows, _READ_ROWS):
            rows = slice(first, first + len(chunk[source.names[0]]))
            for i, name in enumerate(source.names):
                data[rows, i] = chunk[name]
        n_in_file = source.n_rows
    if box in (1, 3):
        key = fetch_file(LHCO_FILES[f"key_{box}"], check=_check_key, **options)
        labels = _read_key(key)
        if len(labels) != n_in_file:
            raise DataFileError(f"{key}: has {len(labels)} labels for the {n_in_file} of {path}.")
        target = labels[:n_rows]
    else:
        target = np.zeros(n_rows, dtype=np.int64)
    names = [f"{quantity}{i}" for i in range(_N_PARTICLES) for quantity in ("pt", "eta", "phi")]
    return _bunch(data, target, path, as_frame, return_X_y, feature_names=names)


def _fetch_options(data_home, download_if_missing, n_retries, delay):
    return {
        "data_home": data_home,
        "download_if_missing": download_if_missing,
        "n_retries": n_retries,
        "delay": delay,
    }


def _bunch(data, target, path, as_frame, return_X_y, feature_names=LHCO_FEATURES):
    return make_bunch(
        data,
        target,
        feature_names=feature_names,
        as_frame=as_frame,
        return_X_y=return_X_y,
        target_names=["background", "signal"],
        filename=str(path),
        DESCR=read_descr("lhco"),
    )


def _check_features(path):
    with open_source(path, file_format=HDF5) as source:
        source.resolve(LHCO_FEATURES)
        # Reading the end finds what is missing there.
        list(source.chunks(source.names, max(source.n_rows - 1, 0), source.n_rows, 1))


def _check_particles(path):
    with open_source(path, file_format=HDF5) as source:
        _require_columns(source, 3 * _N_PARTICLES)
        list(source.chunks(source.names, max(source.n_rows - 1, 0), source.n_rows, 1))


def _require_columns(source, n_columns):
    if len(source.names) != n_columns:
        raise DataFileError(f"{source.path}: has {len(source.names)} columns, not {n_columns}.")


def _check_key(path):
    _read_key(path)


def _read_key(path):
    try:
        labels = np.loadtxt(path, dtype=np.float64, ndmin=1)
    except (ValueError, UnicodeDecodeError) as exc:
        raise DataFileError(f"{path}: is not a list of labels ({exc}).") from exc
    if not np.isin(labels, (0, 1, 2)).all():
        raise DataFileError(f"{path}: holds other labels than 0, 1 and 2.")
    return labels.astype(np.int64)


def _read_features(path, *, default_label):
    """Return the 14 columns, and the labels or the default where the file has none."""
    with open_source(path) as source:
        has_label = "label" in source.names
        columns = [*LHCO_FEATURES, "label"] if has_label else LHCO_FEATURES
        source.resolve(columns if default_label is not None else [*LHCO_FEATURES, "label"])
        ((_, content, _),) = source.chunks(columns, 0, source.n_rows, source.n_rows)
        data = np.column_stack([content[name] for name in LHCO_FEATURES])
        if has_label:
            return data, content["label"].astype(np.int64)
        return data, np.full(len(data), default_label)
