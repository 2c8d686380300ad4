"""Versions of what a result depends on, and the machine it was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import TYPE_CHECKING

import skad
from skad.utils._arguments import Having, checked

if TYPE_CHECKING:
    from typing import Any, TextIO

__all__ = ["environment", "show_versions", "versions"]

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "torch",
    "skorch",
    "nflows",
    "zuko",
    "joblib",
    "pyarrow",
    "matplotlib",
)
_OPTIONAL = ("uproot", "h5py", "tables", "iminuit", "POT", "fastjet", "pythia8mc", "onnxruntime")


def versions() -> dict[str, str]:
    """Return the versions of skad, Python and the packages that numbers depend on.

    Returns
    -------
    versions : dict of str to str
        Of the packages that are installed.

    Examples
    --------
    >>> from skad.report import versions
    >>> list(versions())[:3]
    ['skad', 'python', 'numpy']
    """
    found = {"skad": skad.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def environment() -> dict[Any, Any]:
    """Return what a bug report needs: versions, system, processors, threads, devices, folders.

    Returns
    -------
    environment : dict

    Examples
    --------
    >>> from skad.report import environment
    >>> environment()["devices"][0]
    'cpu'
    """
    import threadpoolctl
    import torch

    from skad.datasets import get_data_home

    optional = {}
    for name in _OPTIONAL:
        try:
            optional[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            optional[name] = None
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "versions": versions(),
        "optional": optional,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "thread_pools": [
            {"library": pool["internal_api"], "threads": pool["num_threads"]}
            for pool in threadpoolctl.threadpool_info()
        ],
        "devices": devices,
        "variables": {
            name: os.environ[name]
            for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "SKAD_DATA")
            if name in os.environ
        },
        "data_home": str(get_data_home()),
    }


@checked(file=Having("a text stream", ("write",)))
def show_versions(file: TextIO | None = None) -> None:
    """Print what a bug report needs, as the command ``skad info`` does.

    Parameters
    ----------
    file : text stream, default=None
        Where to print; None means standard output.

    Returns
    -------
    None

    Examples
    --------
    >>> import skad
    >>> skad.show_versions()
    skad           ...
    python         ...
    """
    found = environment()
    lines = {
        **found["versions"],
        **{name: version or "not installed" for name, version in found["optional"].items()},
        **{name: found[name] for name in ("system", "processors", "torch_threads", "data_home")},
        "devices": ", ".join(found["devices"]),
        "thread pools": ", ".join(
            f"{pool['library']} {pool['threads']}" for pool in found["thread_pools"]
        )
        or "none",
        **found["variables"],
    }
    stream = sys.stdout if file is None else file
    stream.write("".join(f"{name:<14} {value}\n" for name, value in lines.items()))
