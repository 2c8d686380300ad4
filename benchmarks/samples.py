"""The events of the benchmarks: from a folder that `prepare.py` filled, or those of the package."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd

from skad.coordinates import DijetCoordinates
from skad.datasets import load_dijets
from skad.resonant import SignalRegion

__all__ = ["FEATURES", "REGION", "add_data_option", "read_dijets", "read_region", "region_samples"]

REGION = SignalRegion(3.3, 3.7)
FEATURES = ("mjj", "mj1", "delta_mj", "tau21_j1", "tau21_j2")
MASSES_AND_TAUS = ("m1", "m2", "tau1", "tau2")
MISSING = "{path} is missing; python benchmarks/prepare.py --data {folder} makes it."


def add_data_option(parser):
    """Add --data, the same for every benchmark."""
    parser.add_argument(
        "--data",
        type=Path,
        help="folder that prepare.py filled; by default the smaller samples of the package",
    )


def read_dijets(folder=None):
    """Background, simulation and signal with the columns of the LHC Olympics files (GeV)."""
    if folder is None:
        return _shipped()
    return [_read(folder, name) for name in ("background", "simulation", "signal")]


def read_region(folder=None):
    """Two halves of data with signal, and signal events apart, of 3.3 to 3.7 TeV; features in TeV.

    Columns: those of `FEATURES`, then `m1`, `m2` (TeV) and `tau1`, `tau2` of the leading jet where
    they are known, and `label`.
    """
    if folder is None:
        background, _, signal = _shipped()
        return region_samples(background, signal)
    return [_read(folder, name) for name in ("data_train", "data_val", "signal_extra")]


def region_samples(background, signal, *, signal_fraction=0.0066, seed=0):
    """Split the events of the region as the public code of CATHODE does."""
    rng = np.random.RandomState(seed)
    background, signal = (
        table.iloc[rng.permutation(len(table))].reset_index(drop=True)
        for table in (_features(background), _features(signal))
    )
    half = len(background) // 2
    n_signal = round(signal_fraction * half)
    parts = []
    for i in range(2):
        own = [
            background[i * half : (i + 1) * half].assign(label=0),
            signal[i * n_signal : (i + 1) * n_signal].assign(label=1),
        ]
        both = pd.concat(own)
        parts.append(both.iloc[rng.permutation(len(both))].reset_index(drop=True))
    return [*parts, signal[2 * n_signal :].assign(label=1).reset_index(drop=True)]


def _features(jets):
    """Features of the events of the region."""
    by_mass = DijetCoordinates(features=FEATURES).fit_transform(jets)
    in_order = DijetCoordinates(
        features=("mj1", "mj2", "tau1_j1", "tau2_j1"), order="given"
    ).fit_transform(jets)
    table = pd.DataFrame(
        np.column_stack([by_mass, in_order]), columns=[*FEATURES, *MASSES_AND_TAUS]
    )
    return table[REGION.mask(table["mjj"])]


@functools.cache
def _shipped():
    dijets = load_dijets(n_background=260_000, n_signal=12_000, as_frame=True)
    signal = dijets.target == 1
    data = dijets.data
    return [data[~signal], dijets.simulation, data[signal]]


def _read(folder, name):
    path = Path(folder) / f"{name}.parquet"
    if not path.exists():
        raise SystemExit(MISSING.format(path=path, folder=folder))
    return pd.read_parquet(path)
