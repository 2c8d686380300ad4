"""Detectors of a bump hunt that outlive its fit: in memory, or in model files of a folder."""

import os
from pathlib import Path

from skad.exceptions import ModelFileError
from skad.io import load_model, save_model

__all__ = ["keep", "kept"]

# The end of a model file is the SHA-256 of the rest of it.
_DIGEST = 64


def keep(member, where, name):
    """Return what a hunt remembers of a fitted detector.

    Parameters
    ----------
    member : fitted estimator
    where : bool or path-like
        True for the detector itself, False for None, else the folder of its file.
    name : str
        Of the file.

    Returns
    -------
    entry : fitted estimator, (str, str) or None
        Of a file the name and checksum.
    """
    if where is False or where is True:
        return member if where else None
    folder = Path(where)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(member, folder / name, overwrite=True)
    return name, _digest(folder / name)


def kept(entry, where):
    """Return the fitted detector that `keep` remembered; `where` holds the files now."""
    if not isinstance(entry, tuple):
        return entry
    name, digest = entry
    if isinstance(where, bool):
        raise ValueError(
            f"the detectors of this fit are in files; keep_detectors={where} does not say where. "
            "Call set_params(keep_detectors=folder)."
        )
    path = Path(where) / name
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing, a detector of this fit; call set_params(keep_detectors=folder) "
            "with the folder where it is now, or fit again."
        )
    if _digest(path) != digest:
        raise ModelFileError(
            f"{path} is not the detector that this fit stored; another fit wrote to the folder. "
            "Give every hunt a folder of its own, and fit again."
        )
    return load_model(path)


def _digest(path):
    with open(path, "rb") as file:
        file.seek(-min(_DIGEST, path.stat().st_size), os.SEEK_END)
        return file.read().decode("ascii", "replace")
